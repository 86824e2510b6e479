#!/bin/sh
# run.sh — SPDX-License-Identifier: LGPL-2.1-or-later
# tests/benchmarks/run.sh [PART] [--json FILE] [--rounds N]: see run.py.
set -eu

# The interpreter that is compared is the system's: another one first in PATH has no PyGObject.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$(dirname "$0")/run.py" "$@"
