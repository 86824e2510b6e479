/* mp-connection-end.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/platform/mp-socket-private.h"

/* The end of a connection over TCP. A socket that is closed while it holds something unread is reset, and the system
 * drops what is still on its way to the other end: messages that count as sent would be lost. What has come is thrown
 * away before, therefore, but only by who is alone with the socket: another process would miss it. */

void
mp_connection_note_alone (MpConnection *self)
{
  if ((self->flags & MP_CONNECTION_NO_HANDLES) == 0)
    return;

  self->is_alone = TRUE;
  self->n_copies = g_atomic_int_get (&mp_connection_n_copies);
}

void
mp_connection_discard_input (MpConnection *self)
{
  if (self->is_alone && self->wire != NULL && self->n_copies == (guint) g_atomic_int_get (&mp_connection_n_copies))
    mp_socket_discard (mp_wire_get_fd (self->wire));
}
