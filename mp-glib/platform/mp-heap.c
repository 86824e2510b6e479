/* mp-heap.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-process-control-private.h"

#include <malloc.h>

/* Between two tasks this much is kept. */
#define KEEP_BYTES (8 * 1024 * 1024)

#ifdef M_TRIM_THRESHOLD

void
mp_platform_keep_heap (void)
{
  mallopt (M_TRIM_THRESHOLD, KEEP_BYTES);
  mallopt (M_MMAP_THRESHOLD, KEEP_BYTES / 2);
}

#else

void
mp_platform_keep_heap (void)
{
}

#endif
