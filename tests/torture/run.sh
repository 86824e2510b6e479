#!/bin/sh
# run.sh — SPDX-License-Identifier: LGPL-2.1-or-later
# tests/torture/run.sh [PRIMITIVE] [KILLS] [OPTIONS]: builds the torture suite in _build-torture and runs it: the
# long form, 10000 kills for each primitive, unless KILLS says otherwise. Prints a line of figures for each, and is 1
# when an invariant was violated, or, in the long form, a point was never killed at. PRIMITIVE `all` is all of them,
# `sync` all of mp-glib/sync/ but the lock.
# Options: --seed N; --broken runs variants with a fault, which must be caught; --list names primitives and points.
set -eu
cd "$(dirname "$0")/../.."
. tests/prepare.sh

primitive=
kills=10000
case ${1-} in
  ''|-*) ;;
  *[!0-9]*) primitive=$1; shift ;;
esac
case ${1-} in
  ''|*[!0-9]*) ;;
  *) kills=$1; shift ;;
esac
[ "$primitive" != all ] || primitive=
[ "$primitive" != sync ] || primitive='semaphore event rlock condition barrier'

want_for_building
install_missing
configure _build-torture -Dtorture=true -Dtests=enabled -Dexamples=disabled -Dintrospection=disabled -Dvapi=disabled \
  -Ddocs=disabled --buildtype=release >/dev/null || { cat _build-torture/meson-logs/meson-log.txt >&2; exit 2; }
ninja -C _build-torture tests/torture/torture >_build-torture/build.log || { cat _build-torture/build.log >&2; exit 2; }
exec _build-torture/tests/torture/torture --kills "$kills" "$@" $primitive
