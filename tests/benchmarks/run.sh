#!/bin/sh
# run.sh — SPDX-License-Identifier: LGPL-2.1-or-later
# tests/benchmarks/run.sh [PART] [--json FILE] [--rounds N]: see run.py.
# Installs Boost's queue, to be measured beside ours; where that is impossible it is done without.
set -eu
. "$(dirname "$0")/../prepare.sh"

boost_compiles () {
  echo '#include <boost/interprocess/ipc/message_queue.hpp>' | g++ -x c++ -E -
}

want 'g++ libboost-dev' boost_compiles
if [ -n "$missing" ] && install_missing; then
  rm -rf "$(dirname "$0")/../../_build-bench"   # which was configured without
fi

# The interpreter that is compared is the system's: another one first in PATH has no PyGObject.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$(dirname "$0")/run.py" "$@"
