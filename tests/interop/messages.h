/* messages.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What goes over a connection to CPython. */
#pragma once

#include "peer.h"

#include <mp-glib/mp-glib.h>

#define LONG_TIME (60 * G_USEC_PER_SEC)

static inline void
expect_bytes (MpConnection *connection,
              gconstpointer data,
              gsize         size)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);
  gsize got;
  gconstpointer place;

  g_assert_no_error (error);
  place = g_bytes_get_data (bytes, &got);
  g_assert_cmpmem (place, got, data, size);
}

/* Both ways, and then its end; "c" is the other end there. */
static inline void
check_messages (Peer         *peer,
                MpConnection *connection)
{
  static const gsize sizes[] = { 0, 1, 16384, 65533, 100001, 3000001 };
  g_autofree guint8 *data = g_malloc (3000001);
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) pickle = NULL;
  gsize i;

  for (i = 0; i < 3000001; i++)
    data[i] = i % 251;

  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr(GBytes) bytes = g_bytes_new_static (data, sizes[i]);
      g_autofree char *expected = g_strdup_printf ("(%" G_GSIZE_FORMAT ", True)", sizes[i]);
      g_autofree char *answer = NULL;

      peer_do (peer, "d = (bytes(range(251)) * 12000)[:%" G_GSIZE_FORMAT "]", sizes[i]);
      peer_tell (peer, "r = c.recv_bytes()");
      g_assert_true (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
      answer = peer_hear (peer);
      g_assert_cmpstr (answer, ==, "-");
      peer_assert (peer, expected, "(len(r), r == d)");
      peer_tell (peer, "c.send_bytes(d); c.send_bytes(b'short'); c.send_bytes(d)");
      expect_bytes (connection, data, sizes[i]);
      expect_bytes (connection, "short", 5);
      expect_bytes (connection, data, sizes[i]);
      g_clear_pointer (&answer, g_free);
      answer = peer_hear (peer);
      g_assert_cmpstr (answer, ==, "-");
    }

  /* Its objects are no values of ours, and are there as bytes, which we can send back. */
  peer_do (peer, "c.send({'a': [1, 2.5, None]})");
  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);
  pickle = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (mp_connection_send_bytes (connection, pickle, LONG_TIME, NULL, &error));
  peer_assert (peer, "{'a': [1, 2.5, None]}", "c.recv()");

  /* A value of ours is bytes to it, which it can send back. */
  g_assert_true (mp_connection_send (connection, g_variant_new ("(is)", 7, "seven"), LONG_TIME, NULL, &error));
  peer_do (peer, "c.send_bytes(c.recv_bytes())");
  {
    g_autoptr(GVariant) value = mp_connection_recv (connection, LONG_TIME, NULL, &error);
    g_autofree char *text = NULL;

    g_assert_no_error (error);
    text = g_variant_print (value, FALSE);
    g_assert_cmpstr (text, ==, "(7, 'seven')");
  }

  peer_do (peer, "c.close()");
  g_assert_null (mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}
