/* mp-home-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where a call was made. What it was given belongs there: the memory of a value may be freed by a function of the
 * user's, which must not run in whatever thread happens to be done with it. */
typedef struct
{
  GMainContext *context;   /* (owned): thread-default at the call */
  guint         thread;    /* number of the thread that made it; 0: not set */
} MpHome;

void      mp_home_init     (MpHome         *self);   /* here and now */
void      mp_home_clear    (MpHome         *self);

/* Whether this is the thread that made the call. Takes no lock. */
gboolean  mp_home_is_here  (const MpHome   *self);

/* Calls @func (@data) at once if this is that thread or one that may acquire the context, with the context as
 * thread-default. FALSE: another thread has it, and @func was not called. @func may clear @self. Without any lock. */
gboolean  mp_home_try_free (const MpHome   *self,
                            GDestroyNotify  func,
                            gpointer        data);

G_END_DECLS
