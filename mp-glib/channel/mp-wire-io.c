/* mp-wire-io.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/base/mp-error.h"

#define MAX_IOV 32

MpWire *
mp_wire_new_stream_over (int       fd,
                         MpWireIO *io,
                         guint64   max_length)
{
  MpWire *self = mp_wire_new_stream (fd, max_length);

  self->io = io;
  return self;
}

gboolean
mp_wire_is_over_io (MpWire *self)
{
  return self->io != NULL;
}

gboolean
mp_wire_may_have_more (MpWire *self)
{
  if (self->io == NULL)
    return mp_wire_lane_has_news (self);
  return !self->in.at_eof && self->io->funcs->may_have_more (self->io);
}

static guint
gather (MpWireOutput *out,
        struct iovec  iov[MAX_IOV])
{
  MpWireChunk *chunk = &out->chunks[out->first];
  guint8 *buffered = out->buffer + out->start;
  guint i;

  for (i = 0; i < out->n_chunks && i < MAX_IOV; i++)
    {
      iov[i].iov_len = chunk[i].size;
      iov[i].iov_base = chunk[i].data != NULL ? (gpointer) chunk[i].data : buffered;
      if (chunk[i].data == NULL)
        buffered += chunk[i].size;
    }
  return i;
}

gboolean
mp_wire_io_flush (MpWire  *self,
                  GError **error)
{
  MpWireOutput *out = &self->out;

  while (out->n_chunks > 0)
    {
      struct iovec iov[MAX_IOV];
      guint n_iov = gather (out, iov);
      gssize n;

      if (out->chunks[out->first].n_fds > 0)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "Cannot send: descriptors do not go this way");
          return FALSE;
        }

      n = self->io->funcs->send (self->io, iov, n_iov, error);
      if (n <= 0)
        return n == 0;
      mp_wire_output_consume (out, n);
    }

  return TRUE;
}

gssize
mp_wire_io_recv (MpWire   *self,
                 gpointer  data,
                 gsize     size,
                 gboolean *at_end,
                 GError  **error)
{
  *at_end = FALSE;
  return self->io->funcs->recv (self->io, data, size, at_end, error);
}

/* FALSE without error: no more is taken now. */
static gboolean
send_pending (MpWireIO  *self,
              MpAuth    *auth,
              GError   **error)
{
  struct iovec iov;
  gssize n;

  while ((iov.iov_base = (gpointer) mp_auth_get_pending (auth, &iov.iov_len)) != NULL)
    {
      n = self->funcs->send (self, &iov, 1, error);
      if (n <= 0)
        return FALSE;
      mp_auth_sent (auth, n);
    }
  return TRUE;
}

/* FALSE without error: there is nothing now. */
static gboolean
read_wanted (MpWireIO  *self,
             MpAuth    *auth,
             GError   **error)
{
  guint8 data[2 * MP_AUTH_MAX_MESSAGE];
  gsize size = MIN (mp_auth_get_wanted (auth), sizeof data);
  gboolean at_end = FALSE;
  gssize n;

  if (size == 0)
    return mp_auth_feed (auth, data, 0, error);   /* it has failed */

  n = self->funcs->recv (self, data, size, &at_end, error);
  if (at_end)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "authentication: the other end has closed the connection");
  return n > 0 && mp_auth_feed (auth, data, n, error);
}

gboolean
mp_wire_io_run_auth (MpWireIO      *self,
                     MpAuth        *auth,
                     GIOCondition  *condition,
                     GError       **error)
{
  gboolean ok = TRUE;

  while (ok && !mp_auth_is_done (auth))
    {
      *condition = G_IO_OUT;
      ok = send_pending (self, auth, error);
      if (ok && !mp_auth_is_done (auth))
        {
          *condition = G_IO_IN;
          ok = read_wanted (self, auth, error);
        }
    }

  /* The news of a failure, if they can leave. */
  if (!ok)
    send_pending (self, auth, NULL);
  return ok;
}
