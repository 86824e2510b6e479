/* mp-barrier.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-barrier-private.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __has_include && __has_include (<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#else
#define __libc_single_threaded FALSE
#endif

gboolean
mp_barrier_join (void)
{
  return syscall (SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void
mp_barrier_join_early (void)
{
  if (__libc_single_threaded)
    mp_barrier_join ();
}

gboolean
mp_barrier_run (void)
{
  return syscall (SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}
