/* mp-handshake.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-handshake-private.h"

#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-fd-private.h"

gboolean
mp_handshake_init (MpHandshake  *self,
                   int           fd,
                   MpAuthRole    role,
                   GBytes       *key,
                   gboolean      allow_md5,
                   gint64        deadline,
                   GError      **error)
{
  *self = (MpHandshake) { .fd = fd, .wait_fd = fd, .may_begin = TRUE, .deadline = deadline };
  if (key == NULL)
    return TRUE;

  self->auth = mp_auth_new (role, key, allow_md5, error);
  if (self->auth != NULL)
    return TRUE;

  mp_handshake_clear (self);
  return FALSE;
}

void
mp_handshake_use_tls (MpHandshake         *self,
                      const MpTlsSettings *settings)
{
  self->tls = mp_tls_new (self->fd, settings);
}

void
mp_handshake_clear (MpHandshake *self)
{
  g_clear_pointer (&self->auth, mp_auth_free);
  if (self->tls != NULL)
    self->fd = -1;
  g_clear_pointer (&self->tls, mp_tls_free);
  mp_fd_close (&self->fd);
}

/* FALSE without error: not yet. */
static gboolean
run (MpHandshake  *self,
     GError      **error)
{
  if (self->tls != NULL && !self->is_secure)
    {
      self->is_secure = mp_tls_handshake (self->tls, self->may_begin, &self->wait_fd, &self->condition, error);
      if (!self->is_secure)
        return FALSE;
    }

  self->wait_fd = self->fd;
  if (self->auth == NULL)
    return TRUE;
  if (self->tls != NULL)
    return mp_wire_io_run_auth (mp_tls_get_io (self->tls), self->auth, &self->condition, error);
  return mp_auth_run (self->auth, self->fd, &self->condition, error);
}

MpHandshakeState
mp_handshake_step (MpHandshake  *self,
                   GError      **error)
{
  GError *local_error = NULL;

  if (run (self, &local_error))
    return MP_HANDSHAKE_DONE;

  if (local_error == NULL && mp_deadline_left (self->deadline) == 0)
    g_set_error (&local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "%s: timed out",
                 self->tls != NULL && !self->is_secure ? "TLS" : "authentication");
  if (local_error == NULL)
    return MP_HANDSHAKE_WAITS;

  g_propagate_error (error, local_error);
  return MP_HANDSHAKE_FAILED;
}

MpConnection *
mp_handshake_finish (MpHandshake *self,
                     guint64      max_message_size)
{
  MpConnection *connection;

  if (self->tls != NULL)
    {
      connection = mp_connection_new_tls (g_steal_pointer (&self->tls), max_message_size);
      self->fd = -1;
    }
  else
    {
      connection = mp_connection_new_stream (g_steal_fd (&self->fd), MP_CONNECTION_DUPLEX, max_message_size);
    }
  mp_connection_note_alone (connection);
  mp_handshake_clear (self);
  return connection;
}
