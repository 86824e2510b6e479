/* test-tls-handshake.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tls-ends-test.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who is let in, how handshakes begin, and how they are given up. What comes after them: test-tls.c. */

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
  kind_make_fds (KIND_TCP, fds);
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
  kind_make_fds (KIND_TCP, fds);
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
      kind_make_fds (KIND_TCP, fds);
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
  kind_make_fds (KIND_TCP, fds);
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

  g_test_add_func ("/tls-handshake/server-certificate", test_server_certificate);
  g_test_add_func ("/tls-handshake/client-certificate", test_client_certificate);
  g_test_add_func ("/tls-handshake/gate", test_gate);
  g_test_add_func ("/tls-handshake/given-up", test_given_up);
  g_test_add_func ("/tls-handshake/old-version", test_old_version);
  g_test_add_func ("/tls-handshake/auth", test_auth);

  status = g_test_run ();
  certificates_remove ();
  return status;
}
