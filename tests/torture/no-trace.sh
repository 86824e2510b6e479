#!/bin/sh
# no-trace.sh — SPDX-License-Identifier: LGPL-2.1-or-later
# no-trace.sh LIBRARY: fails if there are points of the torture suite in it.
set -eu

if grep -q -a -e mp_torture -e cell-state-half "$1"; then
  echo "$1 contains points of the torture suite" >&2
  exit 1
fi
