#!/bin/sh
# usage: sh examples/run.sh [DIR]
# Builds the example checksum-tree in _build and runs it: the SHA-256 of every regular file under DIR (/usr/include if
# not given), as sha256sum prints them. Installs what is missing to build it.
set -eu
directory=${1:-/usr/include}
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/tests/prepare.sh"

want_for_building
install_missing

# Standard output is for the sums alone.
{
  [ -f "$source/_build/build.ninja" ] || (cd "$source" && configure _build)
  meson compile -C "$source/_build" checksum-tree
} >&2

exec "$source/_build/examples/checksum-tree" "$directory"
