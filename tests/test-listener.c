/* test-listener.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Listeners whose clients behave. */

#include "config.h"

#include "listener-test.h"

#include <gio/gunixsocketaddress.h>
#include <sys/stat.h>

static void
test_unix (void)
{
  g_autofree char *path = make_path ();
  g_autofree char *address = g_strconcat ("unix:", path, NULL);
  MpListener *listener = listen_ok (path, NULL);
  g_autoptr(Client) client = client_start (listener, NULL, FALSE);
  MpConnection *connection = accept_ok (listener);
  g_autoptr(GSocketAddress) last = mp_listener_get_last_accepted (listener);

  g_assert_cmpstr (mp_listener_get_address (listener), ==, address);
  g_assert_true (G_IS_UNIX_SOCKET_ADDRESS (last));
  client_join (client);
  exchange (connection, client->connection);

  /* The connection goes on without the listener. */
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  mp_listener_close (listener);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  exchange (connection, client->connection);
  g_assert_finalize_object (connection);
  g_assert_finalize_object (listener);
}

static void
check_tcp (const char *address,
           const char *prefix)
{
  g_autoptr(MpListener) listener = listen_ok (address, NULL);
  g_autoptr(Client) client = client_start (listener, NULL, FALSE);
  g_autoptr(MpConnection) connection = accept_ok (listener);
  g_autoptr(GSocketAddress) last = mp_listener_get_last_accepted (listener);
  GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS (mp_listener_get_socket_address (listener));
  g_autofree char *expected = g_strdup_printf ("%s%u", prefix, g_inet_socket_address_get_port (inet));

  g_assert_cmpstr (mp_listener_get_address (listener), ==, expected);
  g_assert_cmpuint (g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (last)), !=, 0);
  client_join (client);
  exchange (connection, client->connection);
}

static gboolean
has_ipv6 (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpListener) listener = mp_listener_new ("tcp:[::1]:0", NULL, &error);

  return listener != NULL;
}

static void
test_tcp (void)
{
  check_tcp ("tcp:127.0.0.1:0", "tcp:127.0.0.1:");
  check_tcp ("tcp:localhost:0", "tcp:127.0.0.1:");
  if (has_ipv6 ())
    check_tcp ("tcp:[::1]:0", "tcp:[::1]:");
}

/* The same port again at once, and both families by one. */
static void
test_tcp_again (void)
{
  g_autoptr(MpListener) first = listen_ok ("tcp:127.0.0.1:0", NULL);
  g_autofree char *address = g_strdup (mp_listener_get_address (first));
  g_autoptr(Client) client = client_start (first, NULL, FALSE);
  g_autoptr(MpConnection) connection = accept_ok (first);
  g_autoptr(MpListener) second = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_listener_new (address, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_clear_error (&error);

  client_join (client);
  mp_listener_close (first);
  mp_connection_close (connection, NULL);
  second = listen_ok (address, NULL);
  g_assert_cmpstr (mp_listener_get_address (second), ==, address);

  if (has_ipv6 ())
    {
      g_autoptr(MpListener) both = listen_ok ("tcp:[::]:0", NULL);
      guint port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (mp_listener_get_socket_address (both)));
      g_autoptr(GSocketAddress) old = g_inet_socket_address_new_from_string ("127.0.0.1", port);
      int fd = dial (old);

      g_assert_finalize_object (accept_ok (both));
      close (fd);
    }
}

static void
test_own_directory (void)
{
  MpListener *listener = listen_ok (NULL, KEY);
  GUnixSocketAddress *address = G_UNIX_SOCKET_ADDRESS (mp_listener_get_socket_address (listener));
  g_autofree char *path = g_strdup (g_unix_socket_address_get_path (address));
  g_autofree char *directory = g_path_get_dirname (path);
  g_autoptr(Client) client = client_start (listener, KEY, FALSE);
  g_autoptr(MpConnection) connection = accept_ok (listener);
  GStatBuf found;

  g_assert_cmpint (g_stat (directory, &found), ==, 0);
  g_assert_cmpint (found.st_mode & 07777, ==, 0700);
  client_join (client);
  exchange (connection, client->connection);
  g_assert_finalize_object (listener);
  g_assert_false (g_file_test (directory, G_FILE_TEST_EXISTS));
}

static void
test_for_address (void)
{
  g_autoptr(GSocketConnectable) name = g_network_address_new ("localhost", 0);
  g_autoptr(GSocketAddress) abstract = g_unix_socket_address_new_with_type ("mp-listener", -1,
                                                                            G_UNIX_SOCKET_ADDRESS_ABSTRACT);
  g_autofree char *path = make_path ();
  g_autoptr(GSocketAddress) unix_address = g_unix_socket_address_new (path);
  g_autoptr(MpListener) first = NULL, second = NULL, third = NULL;
  g_autoptr(GError) error = NULL;

  first = mp_listener_new_for_address (name, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (mp_listener_get_address (first), "tcp:127.0.0.1:"));

  second = mp_listener_new_for_address (G_SOCKET_CONNECTABLE (unix_address), NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));

  g_assert_null (mp_listener_new_for_address (G_SOCKET_CONNECTABLE (abstract), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  third = g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", "unix-abstract:mp-listener-test",
                          "allow-abstract", TRUE, NULL);
  g_assert_no_error (error);
  g_assert_cmpstr (mp_listener_get_address (third), ==, "unix-abstract:mp-listener-test");
  close (dial_listener (third));
  g_assert_finalize_object (accept_ok (third));
}

static void
check_refused (const char *address,
               int         code)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_listener_new (address, NULL, &error));
  g_assert_error (error, G_IO_ERROR, code);
}

static void
test_refused (void)
{
  g_autoptr(GBytes) empty = g_bytes_new (NULL, 0);
  g_autofree char *missing = g_strconcat (folder, "/there/is/none", NULL);
  g_autoptr(GError) error = NULL;

  check_refused ("nonsense", G_IO_ERROR_INVALID_ARGUMENT);
  check_refused ("tcp:127.0.0.1:", G_IO_ERROR_INVALID_ARGUMENT);
  check_refused ("unix-abstract:name", G_IO_ERROR_PERMISSION_DENIED);
  check_refused ("tcp:192.0.2.1:0", g_io_error_from_errno (EADDRNOTAVAIL));
  check_refused (missing, G_IO_ERROR_NOT_FOUND);

  g_assert_null (mp_listener_new (NULL, empty, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
}

static void
test_key (void)
{
  g_autoptr(MpListener) listener = listen_ok ("tcp:127.0.0.1:0", KEY);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  g_autoptr(Client) wrong = client_start (listener, "another", FALSE);
  g_autoptr(Client) right = NULL;
  g_autoptr(MpConnection) connection = NULL;

  /* Nobody but the one that fails: the call goes on. */
  assert_accept_fails (listener, 0, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  right = client_start (listener, KEY, FALSE);
  connection = accept_ok (listener);
  client_join (right);
  g_assert_no_error (right->error);
  exchange (connection, right->connection);

  while (failures->len == 0)
    assert_accept_fails (listener, 1000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  client_join (wrong);
  g_assert_error (wrong->error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_assert_cmpuint (failures->len, ==, 1);
  g_assert_error ((GError *) failures->pdata[0], MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_assert_nonnull (strstr (((GError *) failures->pdata[0])->message, "127.0.0.1"));
}

static gpointer
cancel_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_waiting (void)
{
  g_autoptr(MpListener) listener = listen_ok (NULL, NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();
  GThread *thread;

  assert_accept_fails (listener, 0, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  assert_accept_fails (listener, 20000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 20000);

  thread = g_thread_new ("cancel", cancel_thread, cancellable);
  g_assert_null (mp_listener_accept (listener, LONG_TIME, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_thread_join (thread);
  g_assert_null (mp_listener_accept (listener, LONG_TIME, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  mp_listener_close (listener);
  mp_listener_close (listener);
  g_assert_true (mp_listener_is_closed (listener));
  g_assert_cmpint (mp_listener_get_fd (listener), ==, -1);
  assert_accept_fails (listener, LONG_TIME, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

static gpointer
close_thread (gpointer data)
{
  mp_listener_close (data);
  return NULL;
}

static void
test_close_while_waiting (void)
{
  guint i;

  for (i = 0; i < 200; i++)
    {
      g_autofree char *path = make_path ();
      g_autoptr(MpListener) listener = listen_ok (path, NULL);
      GThread *thread = g_thread_new ("close", close_thread, listener);

      assert_accept_fails (listener, LONG_TIME, G_IO_ERROR, G_IO_ERROR_CLOSED);
      g_thread_join (thread);
      g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
    }
}

static void
test_async (void)
{
  MpListener *listener = listen_ok (NULL, KEY);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) cancelled = NULL, accepted = NULL, closed = NULL;
  g_autoptr(Client) client = NULL;
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GError) error = NULL;

  mp_listener_accept_async (listener, cancellable, keep_result_cb, &cancelled);
  mp_listener_accept_async (listener, NULL, keep_result_cb, &accepted);
  mp_listener_accept_async (listener, NULL, keep_result_cb, &closed);
  g_cancellable_cancel (cancellable);
  client = client_start (listener, KEY, FALSE);

  while (accepted == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_listener_accept_finish (listener, cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  connection = mp_listener_accept_finish (listener, accepted, &error);
  g_assert_no_error (error);
  client_join (client);
  exchange (connection, client->connection);

  g_assert_null (closed);
  mp_listener_close (listener);
  while (closed == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_listener_accept_finish (listener, closed, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);

  g_clear_object (&cancelled);
  g_clear_object (&accepted);
  g_clear_object (&closed);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (listener);
}

/* A script without a main loop: a blocking call sees to the asynchronous one that was there first. */
static void
test_async_without_loop (void)
{
  g_autoptr(MpListener) listener = listen_ok (NULL, NULL);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(MpConnection) first = NULL, second = NULL;
  g_autoptr(GError) error = NULL;
  int fds[2];

  mp_listener_accept_async (listener, NULL, keep_result_cb, &result);
  fds[0] = dial_listener (listener);
  fds[1] = dial_listener (listener);
  second = accept_ok (listener);
  g_assert_nonnull (result);
  first = mp_listener_accept_finish (listener, result, &error);
  g_assert_no_error (error);

  g_assert_cmpint (send (fds[0], "\0\0\0\1a", 5, 0), ==, 5);
  g_assert_true (mp_connection_poll (first, LONG_TIME, NULL, NULL));
  g_assert_false (mp_connection_poll (second, 0, NULL, NULL));
  close (fds[0]);
  close (fds[1]);
}

static void
connection_cb (MpListener   *listener,
               MpConnection *connection,
               gpointer      user_data)
{
  g_ptr_array_add (user_data, g_object_ref (connection));
  if (((GPtrArray *) user_data)->len == 30)
    mp_listener_stop (listener);
}

static void
test_signal (void)
{
  MpListener *listener = listen_ok (NULL, NULL);
  g_autoptr(GPtrArray) connections = g_ptr_array_new_with_free_func (g_object_unref);
  int fds[40];
  guint i;

  g_signal_connect (listener, "connection", G_CALLBACK (connection_cb), connections);
  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = dial_listener (listener);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (connections->len, ==, 0);

  mp_listener_start (listener);
  mp_listener_start (listener);
  while (connections->len < 30)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (connections->len, ==, 30);

  /* The others are still there. */
  for (i = 30; i < G_N_ELEMENTS (fds); i++)
    g_ptr_array_add (connections, accept_ok (listener));
  assert_accept_fails (listener, 0, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      g_assert_cmpint (send (fds[i], "\0\0\0\1a", 5, 0), ==, 5);
      g_assert_true (mp_connection_poll (connections->pdata[i], LONG_TIME, NULL, NULL));
      close (fds[i]);
    }

  /* One that is dropped while it is started. */
  mp_listener_start (listener);
  g_assert_finalize_object (listener);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
start_connection_cb (MpListener   *listener,
                     MpConnection *connection,
                     gpointer      user_data)
{
  g_set_object ((MpConnection **) user_data, connection);
  mp_connection_start (connection);
}

static void
count_messages_cb (MpConnection *connection,
                   GVariant     *value,
                   gpointer      user_data)
{
  ++*(guint *) user_data;
}

/* Connections that come by the signal belong to the listener's context, though who turns that has another one as its
 * thread's default. */
static void
test_signal_context (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(Client) client = NULL;
  guint n_messages = 0, n_turns;

  g_main_context_push_thread_default (context);
  listener = listen_ok (NULL, NULL);
  g_main_context_pop_thread_default (context);
  g_signal_connect (listener, "connection", G_CALLBACK (start_connection_cb), &connection);
  mp_listener_start (listener);
  client = client_start (listener, NULL, FALSE);
  while (connection == NULL)
    g_main_context_iteration (context, TRUE);
  client_join (client);
  g_signal_connect (connection, "message", G_CALLBACK (count_messages_cb), &n_messages);
  send_ok (client->connection, g_variant_new_string ("here"));
  for (n_turns = 0; n_messages == 0 && n_turns < 1000; n_turns++)
    {
      g_main_context_iteration (context, FALSE);
      g_usleep (1000);
    }
  g_assert_cmpuint (n_messages, ==, 1);
}

static void
close_cb (MpListener *listener,
          gpointer    data,
          gpointer    user_data)
{
  guint *n = user_data;

  ++*n;
  mp_listener_close (listener);
}

static void
drop_cb (MpListener   *listener,
         MpConnection *connection,
         gpointer      user_data)
{
  g_clear_object ((MpListener **) user_data);
}

/* From its own handlers. */
static void
test_close_in_handlers (void)
{
  MpListener *listener = listen_ok (NULL, NULL);
  guint i, n = 0;
  int fds[5];

  g_signal_connect (listener, "connection", G_CALLBACK (close_cb), &n);
  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = dial_listener (listener);
  mp_listener_start (listener);
  while (n == 0)
    g_main_context_iteration (NULL, TRUE);
  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      char byte;

      g_assert_cmpint (recv (fds[i], &byte, 1, 0), <=, 0);
      close (fds[i]);
    }
  g_assert_cmpuint (n, ==, 1);
  g_assert_finalize_object (listener);

  listener = listen_ok (NULL, NULL);
  g_signal_connect (listener, "connection", G_CALLBACK (drop_cb), &listener);
  fds[0] = dial_listener (listener);
  mp_listener_start (listener);
  while (listener != NULL)
    g_main_context_iteration (NULL, TRUE);
  close (fds[0]);

  /* In a call that waits. */
  n = 0;
  listener = listen_ok (NULL, KEY);
  g_signal_connect (listener, "client-failed", G_CALLBACK (close_cb), &n);
  close (dial_listener (listener));
  assert_accept_fails (listener, LONG_TIME, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_cmpuint (n, ==, 1);
  g_assert_finalize_object (listener);
}

static gboolean
is_readable (int fd)
{
  struct pollfd polled = { fd, POLLIN, 0 };

  return poll (&polled, 1, 0) == 1;
}

static void
test_fd (void)
{
  g_autoptr(MpListener) listener = listen_ok (NULL, KEY);
  int fd = mp_listener_get_fd (listener);
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(Client) client = NULL;
  struct pollfd polled = { fd, POLLIN, 0 };

  g_assert_false (is_readable (fd));
  client = client_start (listener, KEY, FALSE);
  while (connection == NULL)
    {
      g_autoptr(GError) error = NULL;

      g_assert_cmpint (poll (&polled, 1, 60000), ==, 1);
      connection = mp_listener_accept (listener, 0, NULL, &error);
      if (connection == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    }
  client_join (client);
  exchange (connection, client->connection);
  g_assert_false (is_readable (fd));
}

static void
check_wait (MpListener *listener,
            gint64      timeout_us,
            guint       n_expected)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) ready = mp_wait ((MpWaitable **) &listener, 1, timeout_us, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, n_expected);
}

static void
test_wait (void)
{
  g_autoptr(MpListener) listener = listen_ok (NULL, KEY);
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(Client) client = NULL;
  GThread *thread;

  check_wait (listener, 0, 0);
  check_wait (listener, 1000, 0);
  client = client_start (listener, KEY, FALSE);
  check_wait (listener, LONG_TIME, 1);

  /* It is still there, and comes at once. */
  check_wait (listener, 0, 1);
  g_assert_true (is_readable (mp_listener_get_fd (listener)));
  connection = mp_listener_accept (listener, 0, NULL, NULL);
  g_assert_nonnull (connection);
  client_join (client);
  exchange (connection, client->connection);
  check_wait (listener, 0, 0);

  thread = g_thread_new ("close", close_thread, listener);
  check_wait (listener, LONG_TIME, 1);
  g_thread_join (thread);
  check_wait (listener, LONG_TIME, 1);
}

static gpointer
accept_thread (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(MpConnection) connection = NULL;

  g_main_context_push_thread_default (context);
  connection = accept_ok (data);
  send_ok (connection, g_variant_new_string ("hello"));
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr(MpListener) listener = listen_ok (NULL, KEY);
  GThread *threads[16];
  Client *clients[16];
  guint round, i;

  for (round = 0; round < 8; round++)
    {
      for (i = 0; i < G_N_ELEMENTS (threads); i++)
        {
          threads[i] = g_thread_new ("accept", accept_thread, listener);
          clients[i] = client_start (listener, KEY, FALSE);
        }
      for (i = 0; i < G_N_ELEMENTS (threads); i++)
        {
          client_join (clients[i]);
          recv_ok (clients[i]->connection, "'hello'");
          g_thread_join (threads[i]);
          client_free (clients[i]);
        }
    }
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/listener/unix", test_unix);
  g_test_add_func ("/listener/tcp", test_tcp);
  g_test_add_func ("/listener/tcp-again", test_tcp_again);
  g_test_add_func ("/listener/own-directory", test_own_directory);
  g_test_add_func ("/listener/for-address", test_for_address);
  g_test_add_func ("/listener/refused", test_refused);
  g_test_add_func ("/listener/key", test_key);
  g_test_add_func ("/listener/waiting", test_waiting);
  g_test_add_func ("/listener/close-while-waiting", test_close_while_waiting);
  g_test_add_func ("/listener/async", test_async);
  g_test_add_func ("/listener/async-without-loop", test_async_without_loop);
  g_test_add_func ("/listener/signal", test_signal);
  g_test_add_func ("/listener/signal-context", test_signal_context);
  g_test_add_func ("/listener/close-in-handlers", test_close_in_handlers);
  g_test_add_func ("/listener/fd", test_fd);
  g_test_add_func ("/listener/wait", test_wait);
  g_test_add_func ("/listener/threads", test_threads);

  return run_in_folder ("mp-listener-test-XXXXXX");
}
