#!/bin/sh
# usage: expect.sh [--sorted] EXPECTED PROGRAM [ARGUMENT]...
# Runs the program and compares what it prints with the file EXPECTED, line by line; --sorted for programs whose
# processes print in whatever order they come. It must end with exit status 0.
set -eu
order='cat'
if [ "$1" = --sorted ]; then
  order='sort'
  shift
fi
expected=$1
shift

export LC_ALL=C
# Or Python writes the end of a line by itself, and lines of two processes run together.
unset PYTHONUNBUFFERED
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# Through a pipe: a process that the program left behind would hold it open.
{ status=0; "$@" || status=$?; echo "$status" > "$directory/status"; } | $order > "$directory/output"
$order < "$expected" | diff -u - "$directory/output"
[ "$(cat "$directory/status")" -eq 0 ]
