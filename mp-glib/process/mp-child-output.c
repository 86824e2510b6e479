/* mp-child-output.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

/* What is held back of a process that is not ready. */
#define MAX_HELD   (64 * 1024)
/* A line longer than this is handed over in parts. */
#define MAX_LINE   (64 * 1024)
/* What is kept for messages. */
#define MAX_LAST      20
#define MAX_LAST_LINE 512
/* Bytes read in one turn, so that one noisy process does not keep the others waiting; and at the end, where another
 * process may hold the pipe open and go on writing. */
#define READ_SIZE  (16 * 1024)
#define MAX_LEFT   (4 * 1024 * 1024)

static void
write_all (gpointer data)
{
  GBytes *bytes = data;
  gsize size;
  const char *text = g_bytes_get_data (bytes, &size);

  mp_fd_write_quietly (STDERR_FILENO, text, size);
  g_bytes_unref (bytes);
}

/* To this process's own stderr, which may block: not under the lock. */
static void
pass_on (const void *data, gsize size)
{
  if (size > 0)
    mp_hub_run_unlocked (write_all, g_bytes_new (data, size));
}

static void
take_line (MpStream *self, const char *text, gsize length)
{
  MpChild *child = self->child;
  g_autofree char *line = g_utf8_make_valid (text, length);
  char *shown;

  if (child->funcs.line != NULL && self->to_lines)
    child->funcs.line (child, self->name, line, child->data);
  shown = g_strndup (line, MAX_LAST_LINE);
  if (strlen (line) > MAX_LAST_LINE)
    *(char *) g_utf8_find_prev_char (shown, shown + MAX_LAST_LINE) = '\0';
  g_queue_push_tail (&self->last, shown);
  if (self->last.length > MAX_LAST)
    g_free (g_queue_pop_head (&self->last));
}

static void
take_lines (MpStream *self, const char *text, gsize length)
{
  if (self->partial == NULL)
    self->partial = g_string_new (NULL);
  while (length > 0)
    {
      const char *newline = memchr (text, '\n', length);
      gsize n = newline != NULL ? (gsize) (newline - text) : length;

      g_string_append_len (self->partial, text, n);
      if (newline != NULL || self->partial->len >= MAX_LINE)
        {
          take_line (self, self->partial->str, self->partial->len);
          g_string_truncate (self->partial, 0);
        }
      n += newline != NULL;
      text += n;
      length -= n;
    }
}

static void
take_output (MpStream *self, const char *text, gsize length)
{
  take_lines (self, text, length);
  if (self->to_owner)
    {
      pass_on (text, length);
    }
  else if (!self->to_lines)
    {
      if (self->held == NULL)
        self->held = g_byte_array_new ();
      g_byte_array_append (self->held, (const guint8 *) text, MIN (length, MAX_HELD - self->held->len));
    }
}

static void
on_output (MpWatch *watch, GIOCondition condition, gpointer data)
{
  MpStream *self = data;

  mp_child_ref (self->child);
  mp_child_announce (self->child);
  mp_stream_read (self, FALSE);
  mp_child_unref (self->child);
}

gboolean
mp_stream_open (MpStream  *self,
                int       *write_end,
                GError   **error)
{
  int fds[2];

  if (mp_fd_pipe (fds) < 0 || !g_unix_set_fd_nonblocking (fds[0], TRUE, NULL))
    {
      int saved = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "cannot make a pipe for a worker's output: %s",
                   g_strerror (saved));
      return FALSE;
    }
  self->fd = fds[0];
  *write_end = fds[1];
  return TRUE;
}

void
mp_stream_watch (MpStream *self)
{
  if (self->fd >= 0)
    self->watch = mp_hub_add_watch (self->fd, G_IO_IN, on_output, self);
}

/* The last line may lack its end. */
static void
end_output (MpStream *self)
{
  if (self->partial != NULL && self->partial->len > 0)
    take_line (self, self->partial->str, self->partial->len);
  g_clear_pointer (&self->watch, mp_hub_remove_watch);
  mp_fd_close (&self->fd);
  if (self->partial != NULL)
    g_string_truncate (self->partial, 0);
}

void
mp_stream_read (MpStream *self,
                gboolean  to_end)
{
  char buffer[READ_SIZE];
  gsize total = 0;
  gssize n;

  if (self->fd < 0)
    return;
  do
    {
      n = read (self->fd, buffer, sizeof buffer);
      if (n > 0)
        take_output (self, buffer, n);
      total += MAX (n, 0);
    }
  while ((n < 0 && errno == EINTR) || (n > 0 && to_end && total < MAX_LEFT));

  if (n == 0 || to_end || (n < 0 && errno != EAGAIN))
    end_output (self);
}

void
mp_stream_release (MpStream *self)
{
  if (self->to_lines)
    return;
  self->to_owner = TRUE;
  if (self->held != NULL)
    pass_on (self->held->data, self->held->len);
  g_clear_pointer (&self->held, g_byte_array_unref);
}

void
mp_stream_close (MpStream *self)
{
  g_clear_pointer (&self->watch, mp_hub_remove_watch);
  mp_fd_close (&self->fd);
}

void
mp_stream_clear (MpStream *self)
{
  g_clear_pointer (&self->held, g_byte_array_unref);
  if (self->partial != NULL)
    g_string_free (g_steal_pointer (&self->partial), TRUE);
  g_queue_clear_full (&self->last, g_free);
}
