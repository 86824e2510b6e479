/* mp-home.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-home-private.h"

/* Numbers are not used again, unlike the addresses of threads. */
static guint last_thread;
static __thread guint this_thread;

static guint
get_this_thread (void)
{
  if (G_UNLIKELY (this_thread == 0))
    this_thread = (guint) g_atomic_int_add (&last_thread, 1) + 1;
  return this_thread;
}

void
mp_home_init (MpHome *self)
{
  self->context = g_main_context_ref_thread_default ();
  self->thread = get_this_thread ();
}

void
mp_home_clear (MpHome *self)
{
  g_clear_pointer (&self->context, g_main_context_unref);
  self->thread = 0;
}

gboolean
mp_home_is_here (const MpHome *self)
{
  return self->thread == get_this_thread ();
}

gboolean
mp_home_try_free (const MpHome   *self,
                  GDestroyNotify  func,
                  gpointer        data)
{
  GMainContext *context;

  if (mp_home_is_here (self))
    {
      func (data);
      return TRUE;
    }
  if (!g_main_context_acquire (self->context))
    return FALSE;

  context = g_main_context_ref (self->context);
  g_main_context_push_thread_default (context);
  func (data);
  g_main_context_pop_thread_default (context);
  g_main_context_release (context);
  g_main_context_unref (context);
  return TRUE;
}
