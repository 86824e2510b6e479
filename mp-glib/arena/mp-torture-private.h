/* mp-torture-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Points at which the torture suite kills a process: between any two stores that another process can see. Compiled into
 * the library that tests/torture/ links, nothing in any other. @name: a word, unique ("cell-taken").
 *
 * A section of the program lists all points, so that the suite knows those too that were never reached. */
#ifdef MP_TORTURE
typedef struct
{
  const char *name;
  guint       number;   /* the suite's own */
} MpTorturePoint;

# define MP_TORTURE_POINT(name) \
  G_STMT_START { \
    static MpTorturePoint mp_torture_here = { name, 0 }; \
    static MpTorturePoint *mp_torture_entry \
      __attribute__ ((used, section ("mp_torture_points"), aligned (sizeof (gpointer)))) = &mp_torture_here; \
    mp_torture_point (mp_torture_entry); \
  } G_STMT_END

/* The suite's: counts, and ends the process when it is the turn of this point. */
void mp_torture_point (MpTorturePoint *point);
#else
# define MP_TORTURE_POINT(name) G_STMT_START { } G_STMT_END
#endif

G_END_DECLS
