/* hub-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include <string.h>
#include <unistd.h>

/* What the tests of the hub share. */

/* Long enough to tell "woken" from "woken by the clock". */
#define LONG (20 * G_USEC_PER_SEC)

/* A pipe whose read end is watched: each byte is counted. */
typedef struct
{
  int      fds[2];
  MpWatch *watch;
  int      n_bytes;        /* hub's lock */
  int      n_calls;
  void  (* func) (gpointer data);   /* (nullable) called after each byte, lock held */
  gpointer data;
} Source;

G_GNUC_UNUSED static gboolean
not_yet (gpointer data)
{
  return FALSE;
}

G_GNUC_UNUSED static gboolean
is_positive (gpointer data)
{
  return *(int *) data > 0;
}

G_GNUC_UNUSED static void
source_cb (MpWatch      *watch,
           GIOCondition  condition,
           gpointer      data)
{
  Source *source = data;
  char byte;

  source->n_calls++;
  /* Another thread may have taken it: then the kernel has told both. */
  if (mp_poll_fds (&(GPollFD) { source->fds[0], G_IO_IN, 0 }, 1, 0) == 1 && read (source->fds[0], &byte, 1) == 1)
    {
      source->n_bytes++;
      if (source->func != NULL)
        source->func (source->data);
    }
}

G_GNUC_UNUSED static void
source_init (Source *source)
{
  memset (source, 0, sizeof *source);
  g_assert_no_errno (mp_fd_pipe (source->fds));
  mp_hub_lock ();
  source->watch = mp_hub_add_watch (source->fds[0], G_IO_IN, source_cb, source);
  mp_hub_unlock ();
}

G_GNUC_UNUSED static void
source_clear (Source *source)
{
  mp_hub_lock ();
  if (source->watch != NULL)
    mp_hub_remove_watch (source->watch);
  mp_hub_unlock ();
  mp_fd_close (&source->fds[0]);
  mp_fd_close (&source->fds[1]);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Source, source_clear)

G_GNUC_UNUSED static void
source_write (Source *source)
{
  g_assert_cmpint (write (source->fds[1], "x", 1), ==, 1);
}

G_GNUC_UNUSED static void
turn_once (void)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_hub_wait (NULL, not_yet, NULL, "turn", 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

/* Ends a wait without any descriptor. */
G_GNUC_UNUSED static void
set_one (gpointer data)
{
  mp_hub_lock ();
  *(int *) data = 1;
  mp_hub_changed ();
  mp_hub_unlock ();
}

/* Callbacks that note that they were called. */
static GString *notes;

G_GNUC_UNUSED static void
note_cb (gpointer data)
{
  g_string_append (notes, data);
}

G_GNUC_UNUSED static char *
take_notes (void)
{
  char *text = g_strdup (notes->str);

  g_string_truncate (notes, 0);
  return text;
}

#define assert_notes(expected) \
  G_STMT_START { \
    g_autofree char *notes_ = take_notes (); \
    g_assert_cmpstr (notes_, ==, expected); \
  } G_STMT_END

G_GNUC_UNUSED static void
post (GMainContext  *context,
      gconstpointer  owner,
      const char    *text)
{
  mp_hub_lock ();
  mp_hub_post (context, owner, note_cb, (gpointer) text, NULL);
  mp_hub_unlock ();
}

G_GNUC_UNUSED static void
post_on_byte (gpointer data)
{
  mp_hub_post (g_main_context_default (), data, note_cb, (gpointer) "told", NULL);
}
