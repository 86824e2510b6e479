/* test-listener-tls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-tls-private.h"

#include "connection-test.h"
#include "tls-test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Listeners and clients with TLS. What is below them: test-tls.c. */

#define LARGE_SIZE (8 << 20)

static MpListener *
listener_open (const char *certificate_name,
               const char *trusted,
               const char *key,
               guint       max_pending)
{
  g_autoptr(GTlsCertificate) certificate = certificate_name != NULL ? load_certificate (certificate_name) : NULL;
  g_autoptr(GTlsDatabase) database = trusted != NULL ? load_authority (trusted) : NULL;
  g_autoptr(GBytes) bytes = key != NULL ? g_bytes_new (key, strlen (key)) : NULL;
  g_autoptr(GError) error = NULL;
  MpListener *listener = g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", "tcp:127.0.0.1:0",
                                         "tls-certificate", certificate, "tls-database", database, "authkey", bytes,
                                         "max-pending", max_pending, "handshake-timeout-us", (gint64) LONG_TIME, NULL);

  g_assert_no_error (error);
  return listener;
}

static MpClientOptions *
make_options (const char *certificate_name,
              const char *trusted,
              const char *key)
{
  g_autoptr(GTlsCertificate) certificate = certificate_name != NULL ? load_certificate (certificate_name) : NULL;
  g_autoptr(GTlsDatabase) database = trusted != NULL ? load_authority (trusted) : NULL;
  g_autoptr(GBytes) bytes = key != NULL ? g_bytes_new (key, strlen (key)) : NULL;

  return g_object_new (MP_TYPE_CLIENT_OPTIONS, "tls", TRUE, "tls-certificate", certificate, "tls-database", database,
                       "authkey", bytes, NULL);
}

/* One client, and what comes of it at both ends. */
typedef struct
{
  MpListener   *listener;
  GAsyncResult *accepted;
  GAsyncResult *connected;
  GError       *failure;    /* of the signal */
  guint         n_failures;
} Meeting;

static void
failed_cb (MpListener *listener,
           GError     *error,
           gpointer    user_data)
{
  Meeting *meeting = user_data;

  g_clear_error (&meeting->failure);
  meeting->failure = g_error_copy (error);
  meeting->n_failures++;
}

static void
meeting_begin (Meeting         *meeting,
               MpListener      *listener,
               MpClientOptions *options)
{
  g_autofree char *address = NULL;

  memset (meeting, 0, sizeof *meeting);
  meeting->listener = listener;
  g_object_get (listener, "address", &address, NULL);
  g_signal_connect (listener, "client-failed", G_CALLBACK (failed_cb), meeting);
  mp_listener_accept_async (listener, NULL, keep_result_cb, &meeting->accepted);
  mp_client_connect_to_async (address, options, NULL, keep_result_cb, &meeting->connected);
}

/* Both come together. */
static void
meeting_end (Meeting *meeting,
             Pipe    *pipe)
{
  g_autoptr(GError) error = NULL;

  wait_for_result (&meeting->accepted);
  wait_for_result (&meeting->connected);
  pipe->first = mp_listener_accept_finish (meeting->listener, meeting->accepted, &error);
  g_assert_no_error (error);
  pipe->second = mp_client_connect_to_finish (meeting->connected, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (meeting->n_failures, ==, 0);
  g_signal_handlers_disconnect_by_data (meeting->listener, meeting);
  g_clear_object (&meeting->accepted);
  g_clear_object (&meeting->connected);
}

/* They do not. The listener goes on. */
static void
meeting_fail (Meeting  *meeting,
              GError  **error)
{
  MpConnection *connection;
  g_autoptr(GError) closed = NULL;

  wait_for_result (&meeting->connected);
  connection = mp_client_connect_to_finish (meeting->connected, error);
  while (meeting->n_failures == 0)
    g_main_context_iteration (NULL, TRUE);
  if (connection != NULL)
    {
      /* That it is not wanted it learns when it receives. */
      g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, error));
      g_object_unref (connection);
    }
  g_assert_nonnull (*error);

  g_assert_null (meeting->accepted);
  mp_listener_close (meeting->listener);
  wait_for_result (&meeting->accepted);
  g_assert_null (mp_listener_accept_finish (meeting->listener, meeting->accepted, &closed));
  g_assert_error (closed, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_signal_handlers_disconnect_by_data (meeting->listener, meeting);
  g_clear_object (&meeting->accepted);
  g_clear_object (&meeting->connected);
  g_assert_finalize_object (meeting->listener);
}

static void
test_meet (gconstpointer data)
{
  const char *key = data;
  g_autoptr(MpClientOptions) options = NULL;
  g_autoptr(GTlsCertificate) expected = NULL, certificate = NULL;
  MpListener *listener;
  Meeting meeting;
  Pipe pipe;

  if (skip ())
    return;

  listener = listener_open ("server", NULL, key, 64);
  options = make_options (NULL, "authority", key);
  meeting_begin (&meeting, listener, options);
  meeting_end (&meeting, &pipe);
  send_ok (pipe.first, g_variant_new_string ("out"));
  send_ok (pipe.second, g_variant_new_string ("back"));
  recv_ok (pipe.second, "'out'");
  recv_ok (pipe.first, "'back'");

  expected = load_certificate ("server");
  g_object_get (pipe.second, "peer-certificate", &certificate, NULL);
  g_assert_true (g_tls_certificate_is_same (certificate, expected));
  g_clear_object (&certificate);
  g_object_get (pipe.first, "peer-certificate", &certificate, NULL);
  g_assert_null (certificate);
  pipe_clear (&pipe);
  g_assert_finalize_object (listener);
}

static gpointer
connect_thread (gpointer data)
{
  g_autoptr(MpClientOptions) options = make_options ("client", "authority", "secret");
  g_autoptr(GError) error = NULL;
  MpConnection *connection = mp_client_connect_to (data, options, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  return connection;
}

/* Blocking calls, in two threads, and certificates on both sides; then large messages both ways. */
static void
test_blocking (void)
{
  g_autoptr(GBytes) large = make_large (LARGE_SIZE);
  g_autofree char *address = NULL;
  g_autoptr(GTlsCertificate) certificate = NULL, expected = NULL;
  g_autoptr(GError) error = NULL;
  GAsyncResult *sent = NULL;
  MpListener *listener;
  GThread *thread;
  Pipe pipe;
  guint i;

  if (skip ())
    return;

  listener = listener_open ("server", "authority", "secret", 64);
  g_object_get (listener, "address", &address, NULL);
  thread = g_thread_new ("client", connect_thread, address);
  pipe.first = mp_listener_accept (listener, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  pipe.second = g_thread_join (thread);
  expected = load_certificate ("client");
  g_object_get (pipe.first, "peer-certificate", &certificate, NULL);
  g_assert_true (g_tls_certificate_is_same (certificate, expected));

  for (i = 0; i < 2; i++)
    {
      g_autoptr(GBytes) received = NULL;
      MpConnection *out = i == 0 ? pipe.first : pipe.second;
      MpConnection *in = i == 0 ? pipe.second : pipe.first;
      GAsyncResult *got = NULL;

      mp_connection_recv_bytes_async (in, NULL, keep_result_cb, &got);
      mp_connection_send_bytes_async (out, large, NULL, keep_result_cb, &sent);
      wait_for_result (&sent);
      wait_for_result (&got);
      g_assert_true (mp_connection_send_bytes_finish (out, sent, &error));
      g_assert_no_error (error);
      received = mp_connection_recv_bytes_finish (in, got, &error);
      g_assert_no_error (error);
      g_assert_true (g_bytes_equal (received, large));
      g_clear_object (&sent);
      g_clear_object (&got);
    }
  pipe_clear (&pipe);
  g_assert_finalize_object (listener);
}

static void
check_refused (const char *server,
               const char *server_trusts,
               const char *client,
               const char *client_trusts,
               GQuark      client_domain,
               GQuark      server_domain)
{
  MpListener *listener = listener_open (server, server_trusts, NULL, 64);
  g_autoptr(MpClientOptions) options = make_options (client, client_trusts, NULL);
  g_autoptr(GError) error = NULL;
  Meeting meeting;

  meeting_begin (&meeting, listener, options);
  meeting_fail (&meeting, &error);
  g_test_message ("%s / %s", error->message, meeting.failure->message);
  g_assert_cmpstr (g_quark_to_string (error->domain), ==, g_quark_to_string (client_domain));
  g_assert_cmpstr (g_quark_to_string (meeting.failure->domain), ==, g_quark_to_string (server_domain));
  g_clear_error (&meeting.failure);
}

static void
test_certificates (void)
{
  if (skip ())
    return;

  check_refused ("server", NULL, NULL, "stranger", G_TLS_ERROR, G_IO_ERROR);
  check_refused ("elsewhere", NULL, NULL, "authority", G_TLS_ERROR, G_IO_ERROR);
  check_refused ("expired", NULL, NULL, "authority", G_TLS_ERROR, G_IO_ERROR);
  check_refused ("server", "authority", NULL, "authority", G_IO_ERROR, G_TLS_ERROR);
  check_refused ("server", "authority", "strange", "authority", G_IO_ERROR, G_TLS_ERROR);
  check_refused ("server", "authority", "expired", "authority", G_IO_ERROR, G_TLS_ERROR);
}

/* A name of its own for a server that is reached by its number. */
static void
test_identity (void)
{
  g_autoptr(GSocketConnectable) identity = g_network_address_new ("elsewhere.example", 0);
  g_autoptr(MpClientOptions) options = NULL;
  MpListener *listener;
  Meeting meeting;
  Pipe pipe;

  if (skip ())
    return;

  listener = listener_open ("elsewhere", NULL, NULL, 64);
  options = make_options (NULL, "authority", NULL);
  mp_client_options_set_server_identity (options, identity);
  meeting_begin (&meeting, listener, options);
  meeting_end (&meeting, &pipe);
  pipe_clear (&pipe);
  g_assert_finalize_object (listener);
}

static void
test_keys (void)
{
  g_autoptr(MpClientOptions) options = NULL;
  g_autoptr(GError) error = NULL;
  Meeting meeting;

  if (skip ())
    return;

  options = make_options (NULL, "authority", "guess");
  meeting_begin (&meeting, listener_open ("server", NULL, "secret", 64), options);
  meeting_fail (&meeting, &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_assert_error (meeting.failure, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_clear_error (&meeting.failure);
}

/* One side only speaks TLS. */
static void
test_plain (void)
{
  g_autoptr(MpClientOptions) options = NULL;
  g_autoptr(GError) error = NULL;
  MpListener *listener;
  MpConnection *connection;
  Meeting meeting;

  if (skip ())
    return;

  /* A plain client without a key connects at once, and learns of it when it sends something. */
  listener = listener_open ("server", NULL, NULL, 64);
  meeting_begin (&meeting, listener, NULL);
  wait_for_result (&meeting.connected);
  connection = mp_client_connect_to_finish (meeting.connected, &error);
  g_assert_no_error (error);
  send_ok (connection, g_variant_new_string ("plain"));
  while (meeting.n_failures == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_error (meeting.failure, G_TLS_ERROR, G_TLS_ERROR_NOT_TLS);
  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_object_unref (connection);
  g_clear_error (&meeting.failure);
  g_clear_object (&meeting.connected);
  mp_listener_close (listener);
  wait_for_result (&meeting.accepted);
  g_clear_object (&meeting.accepted);
  g_assert_finalize_object (listener);

  /* A client with TLS at a listener without. */
  options = make_options (NULL, "authority", "secret");
  meeting_begin (&meeting, listener_open (NULL, NULL, "secret", 64), options);
  meeting_fail (&meeting, &error);
  g_assert_cmpstr (g_quark_to_string (error->domain), ==, g_quark_to_string (G_TLS_ERROR));
  g_assert_error (meeting.failure, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&meeting.failure);
}

static void
test_settings (void)
{
  g_autoptr(GTlsCertificate) certificate = NULL, without_key = NULL;
  g_autoptr(GTlsDatabase) database = NULL;
  g_autoptr(MpClientOptions) options = NULL;
  g_autoptr(MpListener) local = NULL;
  g_autofree char *path = NULL, *address = NULL;
  g_autoptr(GError) error = NULL;

  if (skip ())
    return;

  certificate = load_certificate ("server");
  database = load_authority ("authority");
  path = certificate_path ("server.pem");
  without_key = g_tls_certificate_new_from_file (path, &error);
  g_assert_no_error (error);

  g_assert_null (g_initable_new (MP_TYPE_LISTENER, NULL, &error, "tls-certificate", certificate, NULL));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", "tcp:127.0.0.1:0", "tls-certificate",
                                 without_key, NULL));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", "tcp:127.0.0.1:0", "tls-database",
                                 database, NULL));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);

  local = mp_listener_new (NULL, NULL, &error);
  g_assert_no_error (error);
  g_object_get (local, "address", &address, NULL);
  options = make_options (NULL, "authority", NULL);
  g_assert_null (mp_client_connect_to (address, options, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
}

/* Without the module of GIO that does it all. */
static void
test_without_backend (void)
{
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(MpClientOptions) options = NULL;
  g_autofree char *address = NULL;
  g_autoptr(GError) error = NULL;

  if (!g_test_subprocess ())
    {
      g_setenv ("GIO_USE_TLS", "dummy", TRUE);
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_unsetenv ("GIO_USE_TLS");
      g_test_trap_assert_passed ();
      return;
    }

  listener = mp_listener_new ("tcp:127.0.0.1:0", NULL, &error);
  g_assert_no_error (error);
  g_object_get (listener, "address", &address, NULL);
  options = make_options (NULL, NULL, NULL);
  g_assert_null (mp_client_connect_to (address, options, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "glib-networking"));
}

static int
open_server (struct sockaddr_in *address)
{
  socklen_t length = sizeof *address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  *address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  g_assert_cmpint (bind (fd, (struct sockaddr *) address, length), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) address, &length), ==, 0);
  return fd;
}

static int
connect_to (const struct sockaddr_in *address)
{
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (connect (fd, (const struct sockaddr *) address, sizeof *address), ==, 0);
  return fd;
}

/* What a client says first. */
static gsize
record_hello (guint8 *data,
              gsize   size)
{
  g_autoptr(GTlsDatabase) database = load_authority ("authority");
  g_autoptr(GSocketConnectable) identity = g_network_address_new ("localhost", 0);
  MpTlsSettings settings = { FALSE, NULL, database, identity };
  g_autoptr(GError) error = NULL;
  struct sockaddr_in address;
  GIOCondition condition;
  gsize n = 0;
  int server, fd, peer;
  MpTls *tls;

  server = open_server (&address);
  tls = mp_tls_new (connect_to (&address), &settings);
  peer = accept4 (server, NULL, NULL, SOCK_CLOEXEC);
  g_assert_false (mp_tls_handshake (tls, TRUE, &fd, &condition, &error));
  g_assert_no_error (error);
  while (n < 5 || n < 5 + (gsize) (data[3] << 8 | data[4]))
    {
      gssize part = recv (peer, data + n, size - n, 0);

      g_assert_cmpint (part, >, 0);
      n += part;
    }
  mp_tls_free (tls);
  close (peer);
  close (server);
  return n;
}

/* Those who stall, in every place, do not keep the others away; each has to go at its time. */
static void
test_stalled (void)
{
  enum { N_STALLED = 36, N_GOOD = 4 };
  g_autoptr(MpClientOptions) options = NULL;
  g_autoptr(GSocketAddress) where = NULL;
  struct sockaddr_in address;
  MpListener *listener;
  guint8 hello[4096];
  int fds[N_STALLED];
  Meeting meeting;
  gsize size;
  guint i;

  if (skip ())
    return;

  size = record_hello (hello, sizeof hello);
  listener = listener_open ("server", NULL, "secret", 64);
  g_object_get (listener, "socket-address", &where, NULL);
  g_assert_true (g_socket_address_to_native (where, &address, sizeof address, NULL));
  for (i = 0; i < N_STALLED; i++)
    {
      fds[i] = connect_to (&address);
      if (i % 3 > 0)
        g_assert_cmpint (send (fds[i], hello, i % 3 == 1 ? size : 100, 0), >, 0);
    }

  options = make_options (NULL, "authority", "secret");
  for (i = 0; i < N_GOOD; i++)
    {
      g_autofree char *text = NULL;
      g_autoptr(GError) error = NULL;
      Pipe pipe;

      memset (&meeting, 0, sizeof meeting);
      g_object_get (listener, "address", &text, NULL);
      mp_listener_accept_async (listener, NULL, keep_result_cb, &meeting.accepted);
      mp_client_connect_to_async (text, options, NULL, keep_result_cb, &meeting.connected);
      wait_for_result (&meeting.accepted);
      wait_for_result (&meeting.connected);
      pipe.first = mp_listener_accept_finish (listener, meeting.accepted, &error);
      g_assert_no_error (error);
      pipe.second = mp_client_connect_to_finish (meeting.connected, &error);
      g_assert_no_error (error);
      send_ok (pipe.first, g_variant_new_uint32 (i));
      g_clear_pointer (&text, g_free);
      text = g_strdup_printf ("%u", i);
      recv_ok (pipe.second, text);
      pipe_clear (&pipe);
      g_clear_object (&meeting.accepted);
      g_clear_object (&meeting.connected);
    }

  g_assert_finalize_object (listener);
  for (i = 0; i < N_STALLED; i++)
    close (fds[i]);
  while (mp_tls_sweep () > 0)
    g_thread_yield ();
}

/* A server that takes the connection and says nothing. */
static void
test_client_gives_up (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(MpClientOptions) options = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree char *text = NULL;
  GAsyncResult *result = NULL;
  struct sockaddr_in address;
  char byte;
  int server, peer;

  if (skip ())
    return;

  server = open_server (&address);
  text = g_strdup_printf ("tcp:127.0.0.1:%d", ntohs (address.sin_port));
  options = make_options (NULL, "authority", NULL);
  g_assert_null (mp_client_connect_to (text, options, 100000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  peer = accept4 (server, NULL, NULL, SOCK_CLOEXEC);
  close (peer);

  mp_client_connect_to_async (text, options, cancellable, keep_result_cb, &result);
  peer = -1;
  while (peer < 0)
    {
      GPollFD fd = { server, G_IO_IN, 0 };

      g_main_context_iteration (NULL, FALSE);
      if (g_poll (&fd, 1, 10) > 0)
        peer = accept4 (server, NULL, NULL, SOCK_CLOEXEC);
    }
  /* It has begun. */
  while (recv (peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
    g_main_context_iteration (NULL, FALSE);
  g_cancellable_cancel (cancellable);
  wait_for_result (&result);
  g_assert_null (mp_client_connect_to_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  while (mp_tls_sweep () > 0)
    g_thread_yield ();
  g_object_unref (result);
  close (peer);
  close (server);
}

/* Of a process of their own: they begin, and stall. */
static void
flood (const struct sockaddr_in *address,
       const guint8             *hello,
       gsize                     size,
       int                       told)
{
  guint i;

  alarm (60);   /* if nobody kills it */
  for (i = 0; i < 40; i++)
    {
      int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

      if (connect (fd, (const struct sockaddr *) address, sizeof *address) < 0 || send (fd, hello, size, 0) < 0)
        _exit (1);
    }
  if (write (told, "x", 1) == 1)
    pause ();
  _exit (1);
}

static void
limit_descriptors (int limit)
{
  struct rlimit now;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &now), ==, 0);
  now.rlim_cur = limit > 0 ? (rlim_t) limit : now.rlim_max;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &now), ==, 0);
}

/* Handshakes of TLS need descriptors, and GLib ends the program when it finds none: not for strangers who come. */
static void
test_no_descriptors (void)
{
  enum { N_SPARE = 12 };
  g_autoptr(GSocketAddress) where = NULL;
  g_autoptr(MpClientOptions) options = NULL;
  g_autoptr(GError) error = NULL;
  struct sockaddr_in address;
  MpListener *listener;
  guint8 hello[4096];
  Meeting meeting;
  int told[2];
  gsize size;
  char byte;
  pid_t pid;
  Pipe pipe;

  if (skip ())
    return;
  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
      g_test_trap_assert_passed ();
      return;
    }

  size = record_hello (hello, sizeof hello);
  options = make_options (NULL, "authority", NULL);
  listener = listener_open ("server", NULL, NULL, 64);
  g_object_get (listener, "socket-address", &where, NULL);
  g_assert_true (g_socket_address_to_native (where, &address, sizeof address, NULL));
  g_assert_cmpint (pipe2 (told, O_CLOEXEC), ==, 0);
  pid = fork ();
  if (pid == 0)
    flood (&address, hello, size, told[1]);
  g_assert_cmpint (read (told[0], &byte, 1), ==, 1);

  /* Descriptors are given from the lowest on, so those that are open are below. */
  limit_descriptors (told[1] + 1 + N_SPARE);
  g_assert_null (mp_listener_accept (listener, 3 * G_USEC_PER_SEC, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  limit_descriptors (0);

  meeting_begin (&meeting, listener, options);
  wait_for_result (&meeting.accepted);
  wait_for_result (&meeting.connected);
  meeting.n_failures = 0;
  g_clear_error (&meeting.failure);
  meeting_end (&meeting, &pipe);
  pipe_clear (&pipe);
  g_assert_finalize_object (listener);
}

/* Another implementation at the other end, in a process that is killed. */
static void
test_killed (void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *address = NULL, *command = NULL;
  g_autoptr(MpConnection) connection = NULL;
  g_auto(GStrv) argv = NULL;
  MpListener *listener;
  GPid pid;
  int input;

  if (skip ())
    return;

  listener = listener_open ("server", NULL, NULL, 64);
  g_object_get (listener, "address", &address, NULL);
  command = g_strdup_printf ("openssl s_client -quiet -verify_quiet -connect %s", address + strlen ("tcp:"));
  argv = g_strsplit (command, " ", -1);
  g_assert_true (g_spawn_async_with_pipes (NULL, argv, NULL,
                                           G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                           G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                                           &pid, &input, NULL, NULL, &error));
  g_assert_no_error (error);
  connection = mp_listener_accept (listener, LONG_TIME, NULL, &error);
  g_assert_no_error (error);

  /* A whole message, and a part of another one. */
  g_assert_cmpint (write (input, "\0\0\0\5whole\0\0\1\0part", 17), ==, 17);
  {
    g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

    g_assert_no_error (error);
    g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), "whole", 5);
  }
  g_assert_false (mp_connection_poll (connection, 0, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_assert_null (mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  g_spawn_close_pid (pid);
  close (input);
  g_assert_finalize_object (listener);
}

int
main (int   argc,
      char *argv[])
{
  int status;

  g_test_init (&argc, &argv, NULL);
  certificates_make ();

  g_test_add_func ("/listener-tls/without-backend", test_without_backend);
  g_test_add_data_func ("/listener-tls/meet", NULL, test_meet);
  g_test_add_data_func ("/listener-tls/meet-with-key", "secret", test_meet);
  g_test_add_func ("/listener-tls/blocking", test_blocking);
  g_test_add_func ("/listener-tls/certificates", test_certificates);
  g_test_add_func ("/listener-tls/identity", test_identity);
  g_test_add_func ("/listener-tls/keys", test_keys);
  g_test_add_func ("/listener-tls/plain", test_plain);
  g_test_add_func ("/listener-tls/settings", test_settings);
  g_test_add_func ("/listener-tls/stalled", test_stalled);
  g_test_add_func ("/listener-tls/client-gives-up", test_client_gives_up);
  g_test_add_func ("/listener-tls/killed", test_killed);
  g_test_add_func ("/listener-tls/no-descriptors", test_no_descriptors);

  status = g_test_run ();
  certificates_remove ();
  return status;
}
