/* mp-barrier.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-barrier-private.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

gboolean
mp_barrier_join (void)
{
  return syscall (SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

gboolean
mp_barrier_run (void)
{
  return syscall (SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}
