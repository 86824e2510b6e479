#!/bin/sh
# Builds and runs all tests that are quick: plain, in all languages, in _build; then those in C again with the address and
# undefined-behaviour sanitizers, in _build-sanitized. Installs what is missing. Last line: "N passed, N failed".
set -eu
cd "$(dirname "$0")/.."
. tests/prepare.sh

want_for_building
want_for_tls
want_for_all_languages
install_missing

status=0

# run DIR OPTIONS...
run () {
  echo "== $1 =="
  configure "$@" >/dev/null || { cat "$1/meson-logs/meson-log.txt" >&2; return 1; }
  meson compile -C "$1" || return 1
  # What an earlier run left must not be counted.
  rm -f "$1/meson-logs/testlog.json"
  meson test -C "$1" --no-rebuild --print-errorlogs --timeout-multiplier 3
}

run _build -Dintrospection=enabled -Dvapi=enabled -Ddocs=enabled -Dtests=enabled -Dexamples=enabled || status=1
run _build-sanitized -Db_sanitize=address,undefined -Db_lundef=false \
  -Dintrospection=disabled -Dvapi=disabled -Ddocs=disabled -Dtests=enabled -Dexamples=enabled || status=1

python3 tests/count.py _build _build-sanitized || status=1
exit $status
