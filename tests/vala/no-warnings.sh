#!/bin/sh
# usage: no-warnings.sh COMMAND...: runs the command, which must succeed and print nothing.
set -eu
output=$("$@" 2>&1) || { echo "$output"; exit 1; }
[ -z "$output" ] || { echo "$output"; exit 1; }
