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
  *self = (MpHandshake) { .fd = fd, .deadline = deadline };
  if (key == NULL)
    return TRUE;

  self->auth = mp_auth_new (role, key, allow_md5, error);
  if (self->auth != NULL)
    return TRUE;

  mp_handshake_clear (self);
  return FALSE;
}

void
mp_handshake_clear (MpHandshake *self)
{
  g_clear_pointer (&self->auth, mp_auth_free);
  mp_fd_close (&self->fd);
}

MpHandshakeState
mp_handshake_step (MpHandshake  *self,
                   GError      **error)
{
  GError *local_error = NULL;

  if (self->auth == NULL || mp_auth_run (self->auth, self->fd, &self->condition, &local_error))
    return MP_HANDSHAKE_DONE;

  if (local_error == NULL && mp_deadline_left (self->deadline) == 0)
    g_set_error (&local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "authentication: timed out");
  if (local_error == NULL)
    return MP_HANDSHAKE_WAITS;

  g_propagate_error (error, local_error);
  return MP_HANDSHAKE_FAILED;
}

MpConnection *
mp_handshake_finish (MpHandshake *self,
                     guint64      max_message_size)
{
  MpConnection *connection = mp_connection_new_stream (g_steal_fd (&self->fd), MP_CONNECTION_DUPLEX, max_message_size);

  mp_handshake_clear (self);
  return connection;
}
