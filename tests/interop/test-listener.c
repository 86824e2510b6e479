/* test-listener.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Listeners whose clients are CPython's own, with each version of it that there is. */

#include "config.h"

#include "mp-glib/mp-glib.h"
#include "messages.h"
#include "pythons.h"

#include <gio/gunixsocketaddress.h>

#define KEY "the key"

static Peer peer;

typedef struct
{
  const Python *python;
  const char   *address;   /* (nullable) */
} Case;

static MpListener *
listen_ok (const char *address,
           const char *key,
           gboolean    allow_md5)
{
  g_autoptr(GBytes) bytes = key != NULL ? g_bytes_new (key, strlen (key)) : NULL;
  g_autoptr(GError) error = NULL;
  MpListener *listener;

  listener = g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", address, "authkey", bytes,
                             "allow-md5", allow_md5, "allow-abstract", TRUE, NULL);
  g_assert_no_error (error);
  return listener;
}

/* In Python. */
static char *
make_address (MpListener *listener)
{
  GSocketAddress *address = mp_listener_get_socket_address (listener);

  if (G_IS_INET_SOCKET_ADDRESS (address))
    return g_strdup_printf ("('127.0.0.1', %u)", g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)));
  return g_strdup_printf ("'%s%s'",
                          g_unix_socket_address_get_address_type (G_UNIX_SOCKET_ADDRESS (address)) ==
                          G_UNIX_SOCKET_ADDRESS_PATH ? "" : "\\0",
                          g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (address)));
}

/* It connects, and is "c" there. */
static void
tell_to_connect (Peer       *who,
                 MpListener *listener,
                 const char *key)
{
  g_autofree char *address = make_address (listener);
  g_autofree char *authkey = key != NULL ? g_strdup_printf ("b'%s'", key) : g_strdup ("None");
  g_autofree char *line = g_strdup_printf ("c = Client(%s, authkey=%s)", address, authkey);

  peer_tell (who, line);
}

static void
hear (Peer       *who,
      const char *expected)
{
  g_autofree char *answer = peer_hear (who);

  if (!g_str_has_prefix (answer, expected))
    g_error ("\"%s\" instead of \"%s\"", answer, expected);
}

static MpConnection *
accept_ok (MpListener *listener)
{
  g_autoptr(GError) error = NULL;
  MpConnection *connection = mp_listener_accept (listener, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  return connection;
}

static void
check_client (const Case *test,
              const char *key)
{
  g_autoptr(MpListener) listener = listen_ok (test->address, key, test->python->minor < 12);
  g_autoptr(MpConnection) connection = NULL;

  tell_to_connect (&peer, listener, key);
  connection = accept_ok (listener);
  hear (&peer, "-");
  check_messages (&peer, connection);
}

static void
test_messages (gconstpointer data)
{
  const Case *test = data;

  peer_start_with (&peer, test->python->path);
  check_client (test, NULL);
  check_client (test, KEY);
  peer_end (&peer);
}

static void
keep_error_cb (MpListener *listener,
               GError     *error,
               gpointer    user_data)
{
  GError **place = user_data;

  g_assert_no_error (*place);
  *place = g_error_copy (error);
}

static void
check_refused (const Case *test,
               gboolean    allow_md5,
               const char *key,
               const char *what)
{
  g_autoptr(MpListener) listener = listen_ok (test->address, KEY, allow_md5);
  g_autoptr(GError) failure = NULL;

  g_signal_connect (listener, "client-failed", G_CALLBACK (keep_error_cb), &failure);
  tell_to_connect (&peer, listener, key);
  while (failure == NULL)
    {
      g_autoptr(GError) error = NULL;

      g_assert_null (mp_listener_accept (listener, 1000, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    }
  g_assert_error (failure, MP_ERROR, MP_ERROR_AUTHENTICATION);
  if (strstr (failure->message, what) == NULL)
    g_error ("\"%s\" has no \"%s\"", failure->message, what);
  hear (&peer, "!AuthenticationError: ");
}

static void
test_refused (gconstpointer data)
{
  const Case *test = data;
  gboolean md5 = test->python->minor < 12;

  peer_start_with (&peer, test->python->path);
  check_refused (test, md5, "another", "has not the same key");
  if (md5)
    check_refused (test, FALSE, KEY, "allow-md5");
  peer_end (&peer);
}

/* One side only has a key. */
static void
test_one_sided (gconstpointer data)
{
  const Case *test = data;
  g_autoptr(MpListener) with = listen_ok (test->address, KEY, TRUE);
  g_autoptr(MpListener) without = listen_ok (NULL, NULL, FALSE);
  g_autoptr(GError) failure = NULL;
  g_autoptr(GError) error = NULL;
  MpConnection *connection;

  peer_start_with (&peer, test->python->path);

  /* It takes the challenge for a message. */
  g_signal_connect (with, "client-failed", G_CALLBACK (keep_error_cb), &failure);
  tell_to_connect (&peer, with, NULL);
  hear (&peer, "-");
  g_assert_null (mp_listener_accept (with, 0, NULL, NULL));
  peer_do (&peer, "c.send_bytes(c.recv_bytes())");
  while (failure == NULL)
    g_assert_null (mp_listener_accept (with, 1000, NULL, NULL));
  g_assert_error (failure, MP_ERROR, MP_ERROR_AUTHENTICATION);
  peer_do (&peer, "c.close()");

  /* It waits for one in vain. */
  tell_to_connect (&peer, without, KEY);
  connection = accept_ok (without);
  g_assert_false (mp_connection_poll (connection, 0, NULL, &error));
  g_assert_no_error (error);
  g_assert_finalize_object (connection);
  hear (&peer, "!EOFError");
  peer_end (&peer);
}

static void
connection_cb (MpListener   *listener,
               MpConnection *connection,
               gpointer      user_data)
{
  g_ptr_array_add (user_data, g_object_ref (connection));
}

/* All of them at once, and more than once. */
static void
test_together (gconstpointer data)
{
  const GArray *pythons = data;
  g_autoptr(MpListener) listener = listen_ok ("tcp:127.0.0.1:0", KEY, TRUE);
  g_autoptr(GPtrArray) connections = g_ptr_array_new_with_free_func (g_object_unref);
  guint n = 3 * pythons->len;
  g_autofree Peer *peers = g_new0 (Peer, n);
  g_autoptr(GError) error = NULL;
  guint64 seen = 0;
  guint i;

  g_signal_connect (listener, "connection", G_CALLBACK (connection_cb), connections);
  mp_listener_start (listener);
  for (i = 0; i < n; i++)
    peer_start_with (&peers[i], g_array_index (pythons, Python, i / 3).path);
  for (i = 0; i < n; i++)
    tell_to_connect (&peers[i], listener, KEY);
  while (connections->len < n)
    g_main_context_iteration (NULL, TRUE);

  for (i = 0; i < n; i++)
    {
      hear (&peers[i], "-");
      peer_do (&peers[i], "c.send_bytes(b'%c')", (char) ('A' + i));
    }
  for (i = 0; i < n; i++)
    {
      g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connections->pdata[i], LONG_TIME, NULL, &error);

      g_assert_no_error (error);
      seen |= G_GUINT64_CONSTANT (1) << (*(const char *) g_bytes_get_data (bytes, NULL) - 'A');
    }
  g_assert_cmpuint (seen, ==, (G_GUINT64_CONSTANT (1) << n) - 1);
  for (i = 0; i < n; i++)
    peer_end (&peers[i]);
}

int
main (int   argc,
      char *argv[])
{
  static const char *const addresses[] = { NULL, "tcp:127.0.0.1:0", "unix-abstract:mp-interop-listener" };
  static const char *const kinds[] = { "unix", "tcp", "abstract" };
  g_autoptr(GArray) pythons = NULL;
  g_autofree Case *cases = NULL;
  guint i, n = G_N_ELEMENTS (kinds);

  mp_init ();
  g_test_init (&argc, &argv, NULL);

  pythons = pythons_find ();
  cases = g_new (Case, n * pythons->len);
  for (i = 0; i < n * pythons->len; i++)
    {
      const Python *python = &g_array_index (pythons, Python, i / n);
      g_autofree char *prefix = g_strdup_printf ("/interop/listener/python3.%d/%s", python->minor, kinds[i % n]);
      g_autofree char *messages = g_strconcat (prefix, "/messages", NULL);
      g_autofree char *refused = g_strconcat (prefix, "/refused", NULL);
      g_autofree char *one_sided = g_strconcat (prefix, "/one-sided", NULL);

      cases[i] = (Case) { python, addresses[i % n] };
      g_test_add_data_func (messages, &cases[i], test_messages);
      g_test_add_data_func (refused, &cases[i], test_refused);
      if (i % n == 0)
        g_test_add_data_func (one_sided, &cases[i], test_one_sided);
    }
  g_test_add_data_func ("/interop/listener/together", pythons, test_together);

  return g_test_run ();
}
