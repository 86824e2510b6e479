/* mp-torture-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Points at which the torture suite kills a process: between any two stores that another process can see. Compiled into
 * a build with -Dtorture=true only; nothing otherwise. @name: a word, unique ("cell-taken"). */
#ifdef MP_TORTURE
#define MP_TORTURE_POINT(name) \
  G_STMT_START { \
    static int mp_torture_number = -1; \
    if (mp_torture_func != NULL) \
      mp_torture_func (name, &mp_torture_number); \
  } G_STMT_END
/* Set by the suite: counts, and raises SIGKILL when it is the turn of this point. */
extern void (* mp_torture_func) (const char *name,
                                 int        *number);
#else
#define MP_TORTURE_POINT(name) G_STMT_START { } G_STMT_END
#endif

G_END_DECLS
