/* test-client.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "client-test.h"

#include "mp-glib/platform/mp-socket-private.h"

#include <sys/resource.h>

static void
exchange (MpConnection *client,
          MpConnection *other)
{
  send_ok (client, g_variant_new ("(is)", 1, "there"));
  recv_ok (other, "(1, 'there')");
  send_ok (other, g_variant_new_string ("back"));
  recv_ok (client, "'back'");
}

static void
test_families (gconstpointer data)
{
  int family = GPOINTER_TO_INT (data);
  MpConnection *client, *other;
  guint64 max_size;
  Server server;

  if (!server_open (&server, family, 5))
    {
      g_test_skip ("no IPv6 here");
      return;
    }

  client = connect_ok (server.address, NULL);
  other = server_shake_hands (&server, NULL, NULL);
  exchange (client, other);
  g_object_get (client, "max-message-size", &max_size, NULL);
  g_assert_cmpuint (max_size, ==, 64 << 20);

  g_assert_finalize_object (client);
  g_assert_finalize_object (other);
  server_close (&server);
}

/* What is listened to is 127.0.0.1, and ::1 is refused or not there. */
static void
test_name (void)
{
  g_autoptr(GSocketConnectable) address = NULL;
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  MpConnection *client, *other;
  Server server;

  server_open (&server, AF_INET, 5);
  text = g_strconcat ("tcp:localhost", strrchr (server.address, ':'), NULL);
  client = connect_ok (text, NULL);
  other = server_shake_hands (&server, NULL, NULL);
  exchange (client, other);
  g_assert_finalize_object (client);
  g_assert_finalize_object (other);

  address = g_network_address_parse (text + strlen ("tcp:"), 0, &error);
  client = mp_client_connect (address, NULL, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  other = server_shake_hands (&server, NULL, NULL);
  exchange (client, other);
  g_assert_finalize_object (client);
  g_assert_finalize_object (other);
  server_close (&server);
}

static void
check_refused (const char *address,
               GQuark      domain,
               int         code,
               const char *what)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GAsyncResult) result = NULL;

  g_assert_null (mp_client_connect_to (address, NULL, LONG_TIME, NULL, &error));
  g_assert_error (error, domain, code);
  if (strstr (error->message, what) == NULL)
    g_error ("\"%s\" has no \"%s\"", error->message, what);
  g_clear_error (&error);

  mp_client_connect_to_async (address, NULL, NULL, keep_result_cb, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_client_connect_to_finish (result, &error));
  g_assert_error (error, domain, code);
}

static void
test_refused (void)
{
  g_autofree char *missing = g_strconcat ("unix:", server_folder, "/missing", NULL);
  Server server;

  check_refused (missing, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, missing);
  check_refused ("nothing that is one", G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "no form that is known");
  check_refused ("unix-abstract:mp-test", G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "abstract");
  check_refused ("tcp:127.0.0.1:0", G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "port");

  server_open (&server, AF_UNIX, 5);
  close (g_steal_fd (&server.fd));
  check_refused (server.address, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED, server.address);
  server_close (&server);

  server_open (&server, AF_INET, 5);
  close (g_steal_fd (&server.fd));
  check_refused (server.address, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED, server.address);
  server_close (&server);
}

static void
test_abstract (void)
{
  g_autoptr(MpClientOptions) options = mp_client_options_new ();
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autofree char *name = g_strdup_printf ("mp-test-client-%d", getpid ());
  g_autofree char *text = g_strconcat ("unix-abstract:", name, NULL);
  g_autoptr(GSocketAddress) made = g_unix_socket_address_new_with_type (name, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
  g_autoptr(GError) error = NULL;
  MpConnection *client;
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  memcpy (address.sun_path + 1, name, strlen (name));
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address,
                         G_STRUCT_OFFSET (struct sockaddr_un, sun_path) + 1 + strlen (name)), ==, 0);
  g_assert_cmpint (listen (fd, 5), ==, 0);

  g_assert_null (mp_client_connect (G_SOCKET_CONNECTABLE (made), options, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  mp_client_options_set_allow_abstract (options, TRUE);
  client = connect_ok (text, options);
  g_assert_finalize_object (client);
  client = mp_client_connect (G_SOCKET_CONNECTABLE (made), options, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_finalize_object (client);
  close (fd);
}

/* Many clients at once, more than the queue has room for: none is lost. */
static void
test_crowd (void)
{
  enum { N = 40 };
  GAsyncResult *results[N] = { NULL };
  g_autoptr(GError) error = NULL;
  Server server;
  guint i;

  server_open (&server, AF_UNIX, 1);
  for (i = 0; i < N; i++)
    mp_client_connect_to_async (server.address, NULL, NULL, keep_result_cb, &results[i]);

  for (i = 0; i < N; i++)
    {
      struct pollfd polled = { server.fd, POLLIN, 0 };

      while (poll (&polled, 1, 0) == 0)
        g_main_context_iteration (NULL, TRUE);
      close (server_accept (&server));
    }
  for (i = 0; i < N; i++)
    {
      g_autoptr(MpConnection) client = NULL;

      while (results[i] == NULL)
        g_main_context_iteration (NULL, TRUE);
      client = mp_client_connect_to_finish (results[i], &error);
      g_assert_no_error (error);
      g_clear_object (&results[i]);
    }
  server_close (&server);
}

/* A queue that stays full. */
static void
test_full (void)
{
  g_autoptr(GPtrArray) clients = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  MpConnection *client;
  Server server;

  server_open (&server, AF_UNIX, 0);
  while ((client = mp_client_connect_to (server.address, NULL, 0, NULL, &error)) != NULL)
    g_ptr_array_add (clients, client);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_cmpuint (clients->len, >, 0);

  g_assert_null (mp_client_connect_to (server.address, NULL, 20000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  mp_client_connect_to_async (server.address, NULL, cancellable, keep_result_cb, &result);
  g_main_context_iteration (NULL, FALSE);
  g_assert_null (result);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_client_connect_to_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  server_close (&server);
}

static void
flag_cb (MpConnection *connection,
         GVariant     *value,
         GThread     **place)
{
  *place = g_thread_self ();
}

/* Signals come where the call was made, whether or not that is thread-default while it is turned. */
static void
test_async (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(MpClientOptions) options = options_with_key ("the key");
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  MpConnection *client, *other;
  GThread *seen = NULL;
  g_autoptr(GBytes) key = g_bytes_new_static ("the key", 7);
  MpHandshake handshake;
  Server server;

  server_open (&server, AF_INET, 5);
  g_main_context_push_thread_default (context);
  mp_client_connect_to_async (server.address, options, NULL, keep_result_cb, &result);
  g_main_context_pop_thread_default (context);
  mp_client_options_set_authkey (options, NULL);   /* it has been copied */

  while (g_main_context_iteration (context, FALSE))
    ;
  mp_handshake_init (&handshake, server_accept (&server), MP_AUTH_LISTENER, key, FALSE, -1, &error);
  while (mp_handshake_step (&handshake, &error) == MP_HANDSHAKE_WAITS)
    g_main_context_iteration (context, FALSE);
  g_assert_no_error (error);
  other = mp_handshake_finish (&handshake, 1000);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  client = mp_client_connect_to_finish (result, &error);
  g_assert_no_error (error);

  g_signal_connect (client, "message", G_CALLBACK (flag_cb), &seen);
  mp_connection_start (client);
  send_ok (other, g_variant_new_int32 (1));
  while (seen == NULL)
    g_main_context_iteration (context, TRUE);

  g_clear_object (&result);
  g_assert_finalize_object (client);
  g_assert_finalize_object (other);
  server_close (&server);
}

/* What is not ours to be had. */
static void
test_no_descriptors (void)
{
  struct rlimit limit, none;
  g_autoptr(GError) error = NULL;
  Server server;

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
      g_test_trap_assert_passed ();
      return;
    }

  server_open (&server, AF_UNIX, 5);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  none = limit;
  none.rlim_cur = 0;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);
  g_assert_null (mp_client_connect_to (server.address, NULL, LONG_TIME, NULL, &error));
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);   /* sanitizers need some */
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  server_close (&server);
}

/* Where nobody listens, a socket that tries often enough may meet itself. */
static void
test_itself (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl (INADDR_LOOPBACK) } };
  socklen_t length = sizeof address;
  int fd = mp_socket_new (AF_INET);
  struct pollfd polled = { fd, POLLOUT, 0 };
  int result;

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  result = mp_socket_connect (fd, &address, sizeof address);
  if (result < 0 && errno == EINPROGRESS)
    {
      g_assert_cmpint (poll (&polled, 1, 30000), ==, 1);
      result = mp_socket_take_error (fd);
    }
  g_assert_cmpint (result, ==, -1);
  g_assert_cmpint (errno, ==, ECONNREFUSED);
  close (fd);
}

static void
test_options (void)
{
  g_autoptr(GBytes) key = g_bytes_new_static ("k", 1);
  g_autoptr(MpClientOptions) options = g_object_new (MP_TYPE_CLIENT_OPTIONS, "authkey", key, "allow-md5", TRUE,
                                                     "allow-abstract", TRUE, "max-message-size",
                                                     G_GUINT64_CONSTANT (5), NULL);
  g_autoptr(GBytes) got = NULL;
  gboolean md5, abstract;
  guint64 size;

  g_object_get (options, "authkey", &got, "allow-md5", &md5, "allow-abstract", &abstract, "max-message-size", &size,
                NULL);
  g_assert_true (got == key);
  g_assert_true (md5 && mp_client_options_get_allow_md5 (options));
  g_assert_true (abstract && mp_client_options_get_allow_abstract (options));
  g_assert_cmpuint (size, ==, 5);
  g_assert_cmpuint (mp_client_options_get_max_message_size (options), ==, 5);
  mp_client_options_set_authkey (options, NULL);
  g_assert_null (mp_client_options_get_authkey (options));
}

int
main (int   argc,
      char *argv[])
{
  int status;

  g_test_init (&argc, &argv, NULL);
  server_folder = g_dir_make_tmp ("mp-client-XXXXXX", NULL);

  g_test_add_data_func ("/client/families/unix", GINT_TO_POINTER (AF_UNIX), test_families);
  g_test_add_data_func ("/client/families/ipv4", GINT_TO_POINTER (AF_INET), test_families);
  g_test_add_data_func ("/client/families/ipv6", GINT_TO_POINTER (AF_INET6), test_families);
  g_test_add_func ("/client/name", test_name);
  g_test_add_func ("/client/refused", test_refused);
  g_test_add_func ("/client/abstract", test_abstract);
  g_test_add_func ("/client/crowd", test_crowd);
  g_test_add_func ("/client/full", test_full);
  g_test_add_func ("/client/async", test_async);
  g_test_add_func ("/client/no-descriptors", test_no_descriptors);
  g_test_add_func ("/client/itself", test_itself);
  g_test_add_func ("/client/options", test_options);

  status = g_test_run ();
  g_rmdir (server_folder);
  g_free (server_folder);
  return status;
}
