/* test-tls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/channel/mp-tls-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include "connection-test.h"
#include "tls-test.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The machine below listeners and clients. These with TLS: test-listener-tls.c. */

#define LARGE_SIZE (8 << 20)

typedef struct
{
  const char *server;            /* names of certificates; NULL: none */
  const char *server_trusts;
  const char *client;
  const char *client_trusts;
  const char *identity;
} Setup;

static const Setup usual = { "server", NULL, NULL, "authority", "localhost" };

typedef struct
{
  MpTls  *server;
  MpTls  *client;
  GError *server_error;
  GError *client_error;
} Ends;

/* Two ends of a connection over the loopback device. */
static void
open_sockets (int fds[2])
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  fds[1] = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (connect (fds[1], (struct sockaddr *) &address, sizeof address), ==, 0);
  fds[0] = accept4 (fd, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (fds[0], >=, 0);
  close (fd);
}

static MpTls *
make_server (int          fd,
             const Setup *setup)
{
  g_autoptr(GTlsCertificate) certificate = load_certificate (setup->server);
  g_autoptr(GTlsDatabase) database = setup->server_trusts != NULL ? load_authority (setup->server_trusts) : NULL;
  MpTlsSettings settings = { TRUE, certificate, database, NULL };

  return mp_tls_new (fd, &settings);
}

static MpTls *
make_client (int          fd,
             const Setup *setup)
{
  g_autoptr(GTlsCertificate) certificate = setup->client != NULL ? load_certificate (setup->client) : NULL;
  g_autoptr(GTlsDatabase) database = load_authority (setup->client_trusts);
  g_autoptr(GSocketConnectable) identity = g_network_address_new (setup->identity, 0);
  MpTlsSettings settings = { FALSE, certificate, database, identity };

  return mp_tls_new (fd, &settings);
}

/* Takes both as far as they come. */
static void
shake_hands (Ends *ends)
{
  gboolean server_done = FALSE, client_done = FALSE;

  while (!(server_done || ends->server_error != NULL) || !(client_done || ends->client_error != NULL))
    {
      GPollFD fds[2] = { { -1, 0, 0 }, { -1, 0, 0 } };
      GIOCondition condition = 0;

      if (!server_done && ends->server_error == NULL)
        server_done = mp_tls_handshake (ends->server, TRUE, &fds[0].fd, &condition, &ends->server_error);
      fds[0].events = condition;
      if (!client_done && ends->client_error == NULL)
        client_done = mp_tls_handshake (ends->client, TRUE, &fds[1].fd, &condition, &ends->client_error);
      fds[1].events = condition;
      if (ends->server_error != NULL)
        g_clear_pointer (&ends->server, mp_tls_free);
      if (ends->client_error != NULL)
        g_clear_pointer (&ends->client, mp_tls_free);

      if (fds[0].fd >= 0 || fds[1].fd >= 0)
        g_assert_cmpint (mp_poll_fds (fds, 2, LONG_TIME), >, 0);
    }
}

static Ends
ends_open (const Setup *setup)
{
  Ends ends = { NULL };
  int fds[2];

  open_sockets (fds);
  ends.server = make_server (fds[0], setup);
  ends.client = make_client (fds[1], setup);
  shake_hands (&ends);
  return ends;
}

static void
ends_clear (Ends *ends)
{
  mp_tls_free (ends->server);
  mp_tls_free (ends->client);
  g_clear_error (&ends->server_error);
  g_clear_error (&ends->client_error);
}

static void
tls_pipe_open (Pipe *pipe)
{
  Ends ends = ends_open (&usual);

  g_assert_no_error (ends.server_error);
  g_assert_no_error (ends.client_error);
  pipe->first = mp_connection_new_tls (ends.server, 64 << 20);
  pipe->second = mp_connection_new_tls (ends.client, 64 << 20);
}

static gboolean
skip (void)
{
  if (certificates_directory == NULL)
    g_test_skip ("GIO's TLS or the program openssl is not there");
  return certificates_directory == NULL;
}

static gpointer
echo_thread (gpointer data)
{
  MpConnection *connection = data;
  guint i;

  for (i = 0; i < 1001; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
      g_assert_no_error (error);
    }
  return NULL;
}

static void
recv_bytes_ok (MpConnection *connection,
               GBytes       *expected)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (bytes, expected));
}

static void
test_messages (void)
{
  g_autoptr(GBytes) large = make_large (LARGE_SIZE + 3);
  GThread *thread;
  Pipe pipe;
  guint i;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  thread = g_thread_new ("echo", echo_thread, pipe.second);
  for (i = 0; i < 1000; i++)
    {
      g_autoptr(GBytes) bytes = g_bytes_new_from_bytes (large, i, i * 17);

      send_bytes_ok (pipe.first, bytes);
      recv_bytes_ok (pipe.first, bytes);
    }
  send_bytes_ok (pipe.first, large);
  recv_bytes_ok (pipe.first, large);
  g_thread_join (thread);
  pipe_clear (&pipe);
}

static void
test_values (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpConnection) first = NULL, second = NULL;
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  send_ok (pipe.first, g_variant_new ("(is)", 7, "seven"));
  recv_ok (pipe.second, "(7, 'seven')");

  /* It stays where its keys are. */
  g_assert_true (mp_pipe_new (TRUE, &first, &second, &error));
  g_assert_no_error (error);
  g_assert_false (mp_connection_send (first, mp_shareable_to_variant (MP_SHAREABLE (pipe.second)), 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "TLS"));
  g_clear_error (&error);

  /* Nor do objects go there. */
  g_assert_false (mp_connection_send (pipe.first, mp_shareable_to_variant (MP_SHAREABLE (first)), 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  send_ok (pipe.second, g_variant_new_string ("still there"));
  recv_ok (pipe.first, "'still there'");
  pipe_clear (&pipe);
}

static void
count_cb (MpConnection *connection,
          GBytes       *bytes,
          gpointer      user_data)
{
  guint *n = user_data;

  ++*n;
}

static void
append_message (GByteArray *stream,
                gsize       size)
{
  guint8 head[MP_STREAM_MAX_HEAD];
  guint n_head = mp_stream_put_head (head, size);

  g_byte_array_append (stream, head, n_head);
  g_byte_array_set_size (stream, stream->len + size);
  memset (stream->data + stream->len - size, 'x', size);
}

static void
send_stream (MpTls      *tls,
             GByteArray *stream)
{
  MpWireIO *io = mp_tls_get_io (tls);
  g_autoptr(GError) error = NULL;
  gsize sent = 0;

  while (sent < stream->len)
    {
      struct iovec iov = { stream->data + sent, stream->len - sent };

      sent += io->funcs->send (io, &iov, 1, &error);
      g_assert_no_error (error);
    }
}

/* A large message is read to its end and no farther: those behind it, in its last record, are in GIO's memory then,
 * where the socket does not tell of them, and a connection that is started lets others have their turn just there. */
static void
test_hidden (void)
{
  enum { N_BEFORE = 63, N_AFTER = 5 };
  g_autoptr(GByteArray) first = g_byte_array_new ();
  g_autoptr(GByteArray) stream = g_byte_array_new ();
  MpConnection *connection;
  guint n = 0, i;
  Ends ends;

  if (skip ())
    return;

  append_message (first, 60000);
  for (i = 0; i < N_BEFORE + 1 + N_AFTER; i++)
    append_message (stream, i == N_BEFORE ? 70000 : 10);
  ends = ends_open (&usual);
  connection = mp_connection_new_tls (g_steal_pointer (&ends.client), 1 << 20);
  /* Until the system gives the socket a window that is large enough for all of it. */
  for (i = 0; i < 50; i++)
    {
      g_autoptr(GBytes) bytes = NULL;

      send_stream (ends.server, first);
      bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, NULL);
      g_assert_nonnull (bytes);
    }

  send_stream (ends.server, stream);
  g_signal_connect (connection, "message-bytes", G_CALLBACK (count_cb), &n);
  mp_connection_start (connection);
  while (n < N_BEFORE + 1 + N_AFTER)
    g_main_context_iteration (NULL, TRUE);
  g_assert_finalize_object (connection);
  ends_clear (&ends);
}

static void
test_poll (void)
{
  g_autoptr(GError) error = NULL;
  Pipe pipe;
  guint i;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, &error));
  g_assert_no_error (error);
  for (i = 0; i < 3; i++)
    send_ok (pipe.first, g_variant_new_uint32 (i));
  for (i = 0; i < 3; i++)
    {
      g_autoptr(GVariant) value = NULL;

      g_assert_true (mp_connection_poll (pipe.second, LONG_TIME, NULL, &error));
      g_assert_no_error (error);
      value = mp_connection_recv (pipe.second, 0, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (g_variant_get_uint32 (value), ==, i);
    }
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, &error));
  g_assert_no_error (error);
  pipe_clear (&pipe);
}

static void
check_readable (MpConnection *connection,
                int           expected)
{
  GPollFD fd = { mp_connection_get_fd (connection), G_IO_IN, 0 };

  g_assert_cmpint (mp_poll_fds (&fd, 1, expected > 0 ? LONG_TIME : 0), ==, expected);
}

/* The descriptor and mp_wait() know of messages that GIO has already. */
static void
test_ready (void)
{
  g_autofree char *text = g_strnfill (5000, 'x');
  Pipe pipe;
  guint i;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  mp_connection_get_fd (pipe.second);
  check_readable (pipe.second, 0);
  for (i = 0; i < 40; i++)
    mp_connection_send_async (pipe.first, g_variant_new_string (text), NULL, NULL, NULL);
  for (i = 0; i < 40; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GPtrArray) ready = NULL;
      g_autoptr(GVariant) value = NULL;

      while (!mp_connection_poll (pipe.second, 0, NULL, &error))
        check_readable (pipe.second, 1);
      check_readable (pipe.second, 1);
      ready = mp_wait ((MpWaitable **) &pipe.second, 1, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (ready->len, ==, 1);
      value = mp_connection_recv (pipe.second, 0, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (g_variant_get_string (value, NULL), ==, text);
    }
  check_readable (pipe.second, 0);
  g_assert_true (mp_connection_close (pipe.first, NULL));
  check_readable (pipe.second, 1);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  pipe_clear (&pipe);
}

static void
check_end (MpConnection *connection,
           const char   *words)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_end (void)
{
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  send_ok (pipe.first, g_variant_new_string ("last"));
  g_assert_true (mp_connection_close (pipe.first, NULL));
  recv_ok (pipe.second, "'last'");
  check_end (pipe.second, "The other end is closed");
  check_end (pipe.second, "The other end is closed");
  pipe_clear (&pipe);
}

/* As when the process of the other end is killed: whole messages are received. */
static void
test_cut (void)
{
  g_autoptr(GBytes) large = make_large (LARGE_SIZE);
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  send_ok (pipe.first, g_variant_new_string ("whole"));
  mp_connection_send_bytes_async (pipe.first, large, NULL, NULL, NULL);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpint (shutdown (mp_wire_get_fd (pipe.first->wire), SHUT_RDWR), ==, 0);
  recv_ok (pipe.second, "'whole'");
  check_end (pipe.second, "without a word");
  mp_connection_close (pipe.first, NULL);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  pipe_clear (&pipe);
}

/* A reader that stops: what was taken back is not there, what counts as sent is there whole. */
static void
test_stopped_reader (gconstpointer data)
{
  g_autoptr(GBytes) bytes = make_large (GPOINTER_TO_SIZE (data));
  g_autoptr(GError) error = NULL;
  guint n_sent = 0, i;
  Pipe pipe;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  while (mp_connection_send_bytes (pipe.first, bytes, 20000, NULL, &error))
    n_sent++;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_cmpuint (n_sent, >, 1);

  /* The rest of the last one leaves by itself. */
  for (i = 0; i < n_sent; i++)
    {
      g_autoptr(GBytes) received = NULL;

      while (!mp_connection_poll (pipe.second, 1000, NULL, &error))
        g_main_context_iteration (NULL, FALSE);
      received = mp_connection_recv_bytes (pipe.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      g_assert_true (g_bytes_equal (received, bytes));
    }
  send_ok (pipe.first, g_variant_new_string ("after"));
  recv_ok (pipe.second, "'after'");
  pipe_clear (&pipe);
}

/* Its threads are not those that GLib counts on: it says so at once. */
static gboolean
cannot_begin (void)
{
  g_autoptr(GError) error = NULL;
  GIOCondition condition;
  MpTls *client;
  int fds[2];
  int fd;

  open_sockets (fds);
  client = make_client (fds[1], &usual);
  mp_tls_handshake (client, TRUE, &fd, &condition, &error);
  mp_tls_free (client);
  close (fds[0]);
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

/* The copy of a process must not use the keys, and its end says nothing to the other side. */
static void
test_fork (void)
{
  g_autoptr(GError) error = NULL;
  int status = 0;
  Pipe pipe;
  pid_t pid;

  if (skip ())
    return;

  tls_pipe_open (&pipe);
  pid = fork ();
  if (pid == 0)
    {
      gboolean ok = !mp_connection_send (pipe.first, g_variant_new_string ("no"), 0, NULL, &error) &&
                    g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED) && cannot_begin ();

      g_clear_object (&pipe.first);
      g_clear_object (&pipe.second);
      _exit (ok ? 0 : 1);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  send_ok (pipe.first, g_variant_new_string ("yes"));
  recv_ok (pipe.second, "'yes'");
  send_ok (pipe.second, g_variant_new_string ("yes"));
  recv_ok (pipe.first, "'yes'");
  pipe_clear (&pipe);
}

static void
check_refused (const char *server,
               const char *client_trusts,
               const char *identity,
               const char *words)
{
  Setup setup = { server, NULL, NULL, client_trusts, identity };
  Ends ends = ends_open (&setup);

  g_assert_error (ends.client_error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  g_assert_nonnull (strstr (ends.client_error->message, words));
  g_assert_nonnull (ends.server_error);
  ends_clear (&ends);
}

static void
test_server_certificate (void)
{
  Setup by_number = { "server", NULL, NULL, "authority", "127.0.0.1" };
  g_autoptr(GTlsCertificate) certificate = NULL, expected = NULL;
  Ends ends;

  if (skip ())
    return;

  check_refused ("server", "stranger", "localhost", "trusted");
  check_refused ("strange", "authority", "localhost", "trusted");
  check_refused ("elsewhere", "authority", "localhost", "another name");
  check_refused ("server", "authority", "127.0.0.2", "another name");
  check_refused ("expired", "authority", "localhost", "expired");

  ends = ends_open (&by_number);
  g_assert_no_error (ends.client_error);
  g_assert_no_error (ends.server_error);
  expected = load_certificate ("server");
  certificate = mp_tls_dup_peer_certificate (ends.client);
  g_assert_true (g_tls_certificate_is_same (certificate, expected));
  g_assert_null (mp_tls_dup_peer_certificate (ends.server));
  ends_clear (&ends);
}

/* The client learns of it when it reads: in TLS 1.3 its handshake ends before the server has seen its certificate. */
static void
check_client_refused (const char *client)
{
  Setup setup = { "server", "authority", client, "authority", "localhost" };
  int code = client == NULL ? G_TLS_ERROR_CERTIFICATE_REQUIRED : G_TLS_ERROR_BAD_CERTIFICATE;
  Ends ends = ends_open (&setup);

  g_assert_error (ends.server_error, G_TLS_ERROR, code);
  if (ends.client_error == NULL)
    {
      g_autoptr(MpConnection) connection = mp_connection_new_tls (g_steal_pointer (&ends.client), 1000);

      g_assert_null (mp_connection_recv (connection, LONG_TIME, NULL, &ends.client_error));
    }
  g_test_message ("server: %s; client: %s", ends.server_error->message, ends.client_error->message);
  g_assert_nonnull (ends.client_error);
  ends_clear (&ends);
}

static void
test_client_certificate (void)
{
  Setup setup = { "server", "authority", "client", "authority", "localhost" };
  g_autoptr(GTlsCertificate) certificate = NULL, expected = NULL;
  Ends ends;

  if (skip ())
    return;

  check_client_refused (NULL);
  check_client_refused ("strange");
  check_client_refused ("expired");

  ends = ends_open (&setup);
  g_assert_no_error (ends.client_error);
  g_assert_no_error (ends.server_error);
  expected = load_certificate ("client");
  certificate = mp_tls_dup_peer_certificate (ends.server);
  g_assert_true (g_tls_certificate_is_same (certificate, expected));
  ends_clear (&ends);
}

static void
wait_until (MpTls        *tls,
            gint64        timeout_us,
            int           n_expected,
            GError      **error)
{
  GPollFD fd = { -1, 0, 0 };
  GIOCondition condition = 0;

  g_assert_false (mp_tls_handshake (tls, TRUE, &fd.fd, &condition, error));
  g_assert_no_error (*error);
  g_assert_false (mp_tls_is_under_way (tls));
  fd.events = condition;
  g_assert_cmpint (mp_poll_fds (&fd, 1, timeout_us), ==, n_expected);
}

/* Clients that do not begin a handshake cost a server no thread, and no time. */
static void
test_gate (void)
{
  static const guint8 hello[] = { 22, 3, 1, 1, 0, 1, 0 };
  g_autoptr(GError) error = NULL;
  GIOCondition condition;
  guint8 data[3];
  MpTls *server;
  int fds[2];
  int fd;

  if (skip ())
    return;

  /* A part of a first record: not readable again until more is there. */
  open_sockets (fds);
  server = make_server (fds[0], &usual);
  wait_until (server, 0, 0, &error);
  g_assert_cmpint (send (fds[1], hello, 3, 0), ==, 3);
  while (recv (fds[0], data, sizeof data, MSG_PEEK | MSG_DONTWAIT) < 3)
    ;
  wait_until (server, 0, 0, &error);
  g_assert_cmpint (send (fds[1], hello + 3, 4, 0), ==, 4);
  g_assert_cmpint (mp_poll_fds (&(GPollFD) { fds[0], G_IO_IN, 0 }, 1, LONG_TIME), ==, 1);
  wait_until (server, 0, 0, &error);
  close (fds[1]);
  g_assert_false (mp_tls_handshake (server, TRUE, &fd, &condition, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  mp_tls_free (server);

  /* What is no TLS at all. */
  open_sockets (fds);
  server = make_server (fds[0], &usual);
  g_assert_cmpint (send (fds[1], "\0\0\0\4abcd", 8, 0), ==, 8);
  while (!mp_tls_handshake (server, TRUE, &fd, &condition, &error) && error == NULL)
    ;
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_NOT_TLS);
  mp_tls_free (server);
  close (fds[1]);
}

/* A handshake that is given up ends at once, also when the other end stalls for ever. */
static void
test_given_up (void)
{
  enum { N_STALLED = 20 };
  g_autoptr(GError) error = NULL;
  GIOCondition condition;
  MpTls *client, *server;
  char byte;
  int peers[N_STALLED];
  int fds[2];
  int fd, i;

  if (skip ())
    return;

  for (i = 0; i < N_STALLED; i++)
    {
      open_sockets (fds);
      peers[i] = fds[0];
      client = make_client (fds[1], &usual);
      g_assert_false (mp_tls_handshake (client, TRUE, &fd, &condition, &error));
      g_assert_no_error (error);
      g_assert_true (mp_tls_is_under_way (client));
      if (i % 2 == 0)
        g_assert_cmpint (recv (fds[0], &byte, 1, MSG_PEEK), ==, 1);
      mp_tls_free (client);
    }
  while (mp_tls_sweep () > 0)
    g_thread_yield ();
  for (i = 0; i < N_STALLED; i++)
    close (peers[i]);

  /* The same with servers, whose turn it is only when their owner says so. */
  open_sockets (fds);
  client = make_client (fds[1], &usual);
  server = make_server (fds[0], &usual);
  g_assert_false (mp_tls_handshake (client, TRUE, &fd, &condition, &error));
  while (!mp_tls_handshake (server, FALSE, &fd, &condition, &error) && fd >= 0)
    g_assert_no_error (error);
  g_assert_no_error (error);
  g_assert_false (mp_tls_is_under_way (server));
  g_assert_false (mp_tls_handshake (server, TRUE, &fd, &condition, &error));
  g_assert_no_error (error);
  g_assert_true (mp_tls_is_under_way (server));
  mp_tls_free (server);
  mp_tls_free (client);

  while (mp_tls_sweep () > 0)
    g_thread_yield ();
}

static void
test_old_version (void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *command = NULL;
  g_auto(GStrv) argv = NULL;
  struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof name;
  GPollFD poll_fd = { -1, 0, 0 };
  GIOCondition condition = 0;
  MpTls *server;
  GPid pid;
  int fd;

  if (skip ())
    return;

  fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &name, sizeof name), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &name, &length), ==, 0);
  command = g_strdup_printf ("openssl s_client -tls1_2 -connect 127.0.0.1:%d", ntohs (name.sin_port));
  argv = g_strsplit (command, " ", -1);
  g_assert_true (g_spawn_async (NULL, argv, NULL,
                                G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
                                G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &pid, &error));
  g_assert_no_error (error);

  server = make_server (accept4 (fd, NULL, NULL, SOCK_CLOEXEC), &usual);
  while (!mp_tls_handshake (server, TRUE, &poll_fd.fd, &condition, &error) && error == NULL)
    {
      poll_fd.events = condition;
      g_assert_cmpint (mp_poll_fds (&poll_fd, 1, LONG_TIME), >, 0);
    }
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_HANDSHAKE);
  g_assert_nonnull (strstr (error->message, "1.3"));
  mp_tls_free (server);
  close (fd);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  g_spawn_close_pid (pid);
}

/* Both show that they know the key, within the session. */
static void
run_auth (const char  *client_key,
          GError     **server_error,
          GError     **client_error)
{
  g_autoptr(GBytes) key = g_bytes_new_static ("secret", 6);
  g_autoptr(GBytes) other = g_bytes_new (client_key, strlen (client_key));
  g_autoptr(MpAuth) server = mp_auth_new (MP_AUTH_LISTENER, key, FALSE, NULL);
  g_autoptr(MpAuth) client = mp_auth_new (MP_AUTH_CLIENT, other, FALSE, NULL);
  gboolean server_done = FALSE, client_done = FALSE;
  Ends ends = ends_open (&usual);

  while (!(server_done || *server_error != NULL) || !(client_done || *client_error != NULL))
    {
      GPollFD fds[2] = { { mp_tls_get_fd (ends.server), 0, 0 }, { mp_tls_get_fd (ends.client), 0, 0 } };
      GIOCondition condition = 0;

      if (!server_done && *server_error == NULL)
        server_done = mp_wire_io_run_auth (mp_tls_get_io (ends.server), server, &condition, server_error);
      if (!client_done && *client_error == NULL)
        client_done = mp_wire_io_run_auth (mp_tls_get_io (ends.client), client, &condition, client_error);
      fds[0].events = fds[1].events = condition;
      mp_poll_fds (fds, 2, 1000);
    }
  ends_clear (&ends);
}

static void
test_auth (void)
{
  g_autoptr(GError) server_error = NULL;
  g_autoptr(GError) client_error = NULL;

  if (skip ())
    return;

  run_auth ("secret", &server_error, &client_error);
  g_assert_no_error (server_error);
  g_assert_no_error (client_error);
  run_auth ("guess", &server_error, &client_error);
  g_assert_error (server_error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_assert_error (client_error, MP_ERROR, MP_ERROR_AUTHENTICATION);
}

int
main (int   argc,
      char *argv[])
{
  int status;

  g_test_init (&argc, &argv, NULL);
  certificates_make ();

  g_test_add_func ("/tls/messages", test_messages);
  g_test_add_func ("/tls/values", test_values);
  g_test_add_func ("/tls/hidden", test_hidden);
  g_test_add_func ("/tls/poll", test_poll);
  g_test_add_func ("/tls/ready", test_ready);
  g_test_add_func ("/tls/end", test_end);
  g_test_add_func ("/tls/cut", test_cut);
  g_test_add_data_func ("/tls/stopped-reader/short", GSIZE_TO_POINTER (1000), test_stopped_reader);
  g_test_add_data_func ("/tls/stopped-reader/long", GSIZE_TO_POINTER (100000), test_stopped_reader);
  g_test_add_func ("/tls/fork", test_fork);
  g_test_add_func ("/tls/server-certificate", test_server_certificate);
  g_test_add_func ("/tls/client-certificate", test_client_certificate);
  g_test_add_func ("/tls/gate", test_gate);
  g_test_add_func ("/tls/given-up", test_given_up);
  g_test_add_func ("/tls/old-version", test_old_version);
  g_test_add_func ("/tls/auth", test_auth);

  status = g_test_run ();
  certificates_remove ();
  return status;
}
