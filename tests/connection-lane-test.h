/* connection-lane-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of connections that share memory have in common. */
#pragma once

#include "connection-test.h"

#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/channel/mp-wire-parts-private.h"

static inline gboolean
has_lane (MpConnection *connection)
{
  gboolean result;

  pthread_mutex_lock (&connection->lock);
  result = mp_wire_has_lane (connection->wire);
  pthread_mutex_unlock (&connection->lock);
  return result;
}

static inline gboolean
uses_lane (MpConnection *connection)
{
  gboolean result;

  pthread_mutex_lock (&connection->lock);
  result = connection->wire->lane_out.in_use;
  pthread_mutex_unlock (&connection->lock);
  return result;
}

static inline void
send_number (MpConnection *connection,
             guint32       number)
{
  send_ok (connection, g_variant_new_uint32 (number));
}

static inline guint32
recv_number (MpConnection *connection)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_connection_recv (connection, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  return g_variant_get_uint32 (value);
}

/* One that sends alone, until the other gets it by memory. */
static inline void
warm_up (MpConnection *from,
         MpConnection *to)
{
  guint i;

  for (i = 0; i < 1000 && !(uses_lane (from) && has_lane (to)); i++)
    {
      send_number (from, i);
      g_assert_cmpuint (recv_number (to), ==, i);
    }
  g_assert_true (uses_lane (from));
}

static inline void
lane_open (Pipe *pipe)
{
  pipe_open (pipe);
  warm_up (pipe->first, pipe->second);
  warm_up (pipe->second, pipe->first);
}
