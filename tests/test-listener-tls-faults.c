/* test-listener-tls-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clients of a listener with TLS that do strange things, and a program that has no time for good ones. */

#include "config.h"

#include "mp-glib/channel/mp-tls-private.h"

#include "instrument-test.h"
#include "listener-test.h"
#include "tls-test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

static MpListener *
listen_with (gint64      handshake_timeout_us,
             guint       max_pending,
             const char *key)
{
  g_autoptr(GTlsCertificate) certificate = load_certificate ("server");
  g_autoptr(GBytes) bytes = make_key (key);
  g_autoptr(GError) error = NULL;
  MpListener *listener = g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", "tcp:127.0.0.1:0",
                                         "tls-certificate", certificate, "authkey", bytes, "handshake-timeout-us",
                                         handshake_timeout_us, "max-pending", max_pending, "backlog", 512, NULL);

  g_assert_no_error (error);
  return listener;
}

/* What a client says first. */
static gsize
record_hello (guint8 *data,
              gsize   size)
{
  g_autoptr(GSocketConnectable) identity = g_network_address_new ("localhost", 0);
  g_autoptr(GTlsDatabase) database = load_authority ("authority");
  MpTlsSettings settings = { FALSE, NULL, database, identity };
  g_autoptr(GError) error = NULL;
  GIOCondition condition;
  int fds[2], fd;
  gsize n = 0;
  MpTls *tls;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  tls = mp_tls_new (fds[0], &settings);
  g_assert_false (mp_tls_handshake (tls, TRUE, &fd, &condition, &error));
  g_assert_no_error (error);
  while (n < 5 || n < 5 + (gsize) (data[3] << 8 | data[4]))
    {
      gssize part = recv (fds[1], data + n, size - n, 0);

      g_assert_cmpint (part, >, 0);
      n += part;
    }
  mp_tls_free (tls);
  close (fds[1]);
  return n;
}

/* Urgent data stops who reads before it: what is there never becomes more, and is there all the time. */
static void
test_urgent (void)
{
  static const guint8 begin[] = { 22, 3, 1, 0 };
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(GPtrArray) failures = NULL;
  gint64 cpu_time;
  int fd;

  if (skip ())
    return;

  listener = listen_with (LONG_TIME, 64, NULL);
  failures = watch_failures (listener);
  fd = dial_listener (listener);
  g_assert_cmpint (send (fd, begin, sizeof begin, 0), ==, sizeof begin);
  g_assert_cmpint (send (fd, "x", 1, MSG_OOB), ==, 1);
  cpu_time = get_cpu_time ();
  assert_accept_fails (listener, 500000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (get_cpu_time () - cpu_time, <, is_slow () ? 300000 : 100000);
  g_assert_cmpuint (failures->len, ==, 1);
  g_assert_error ((GError *) failures->pdata[0], G_TLS_ERROR, G_TLS_ERROR_NOT_TLS);
  close (fd);
}

static struct rlimit usual_limit;

static void
use_up_descriptors (GArray *fds)
{
  struct rlimit usual, small;
  int fd;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &usual), ==, 0);
  small = (struct rlimit) { MIN (usual.rlim_cur, 256), usual.rlim_max };
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &small), ==, 0);
  while ((fd = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    g_array_append_val (fds, fd);
  g_assert_cmpint (errno, ==, EMFILE);
  usual_limit = usual;
}

static void
give_back_descriptors (GArray *fds,
                       guint   n)
{
  for (; n > 0; n--)
    {
      close (g_array_index (fds, int, fds->len - 1));
      g_array_set_size (fds, fds->len - 1);
    }
  if (fds->len == 0)
    g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &usual_limit), ==, 0);
}

/* The first handshake of a process needs some: the client waits for them, with its place. */
static void
test_no_descriptors (void)
{
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(GPtrArray) failures = NULL;
  g_autoptr(GSubprocess) client = NULL;
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autofree char *address = NULL;
  g_autoptr(GError) error = NULL;
  struct pollfd polled = { .events = POLLIN };

  if (skip ())
    return;

  listener = listen_with (LONG_TIME, 64, NULL);
  failures = watch_failures (listener);
  assert_accept_fails (listener, 0, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_object_get (listener, "address", &address, NULL);
  client = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE |
                             G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error, "openssl", "s_client", "-quiet", "-connect",
                             address + strlen ("tcp:"), NULL);
  g_assert_no_error (error);
  polled.fd = mp_listener_get_fd (listener);
  g_assert_cmpint (poll (&polled, 1, 60000), ==, 1);

  use_up_descriptors (fds);
  give_back_descriptors (fds, 1);
  assert_accept_fails (listener, 500000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpuint (failures->len, ==, 1);
  g_assert_error ((GError *) failures->pdata[0], G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  give_back_descriptors (fds, fds->len);
  connection = accept_ok (listener);
  g_assert_cmpuint (failures->len, ==, 1);
  g_subprocess_force_exit (client);
}

static guint
count_descriptors (void)
{
  GDir *directory = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (directory) != NULL)
    n++;
  g_dir_close (directory);
  return n;
}

static void
begin_and_close (const guint8 *hello,
                 gsize         size)
{
  g_autoptr(MpListener) listener = listen_with (LONG_TIME, 64, NULL);
  int fd = dial_listener (listener);
  guint8 answer;

  g_assert_cmpint (send (fd, hello, size, 0), ==, size);
  while (recv (fd, &answer, 1, MSG_DONTWAIT) < 0)
    assert_accept_fails (listener, 1000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  mp_listener_close (listener);
  close (fd);
}

/* What a handshake had that was given up goes when GIO's thread has, without anybody's asking for another one. */
static void
test_given_up (void)
{
  g_autoptr(MpListener) other = NULL;
  guint8 hello[4096];
  gint64 deadline;
  gsize size;
  guint n;

  if (skip ())
    return;

  size = record_hello (hello, sizeof hello);
  other = listen_with (LONG_TIME, 64, NULL);
  mp_listener_start (other);
  begin_and_close (hello, size);
  while (mp_tls_sweep () > 0)
    g_usleep (1000);
  n = count_descriptors ();
  begin_and_close (hello, size);
  deadline = g_get_monotonic_time () + LONG_TIME;
  while (count_descriptors () > n && g_get_monotonic_time () < deadline)
    {
      g_main_context_iteration (NULL, FALSE);
      g_usleep (1000);
    }
  g_assert_cmpuint (count_descriptors (), ==, n);
}

typedef struct
{
  char         *address;
  const char   *key;
  MpConnection *connection;
  GError       *error;
  int           done;       /* atomic */
} Caller;

static gpointer
call_thread (gpointer data)
{
  Caller *self = data;
  g_autoptr(GTlsDatabase) database = load_authority ("authority");
  g_autoptr(GBytes) key = make_key (self->key);
  g_autoptr(MpClientOptions) options = g_object_new (MP_TYPE_CLIENT_OPTIONS, "tls", TRUE, "tls-database", database,
                                                     "authkey", key, NULL);
  g_autoptr(GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  self->connection = mp_client_connect_to (self->address, options, LONG_TIME, NULL, &self->error);
  g_main_context_pop_thread_default (context);
  g_atomic_int_set (&self->done, 1);
  return NULL;
}

/* A client that has answered is not late because the program had other things to do. */
static void
test_busy_program (gconstpointer data)
{
  Caller caller = { .key = data };
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(GPtrArray) failures = NULL;
  g_autoptr(MpConnection) connection = NULL;
  GThread *thread;

  if (skip ())
    return;

  listener = listen_with (700000, 64, data);
  failures = watch_failures (listener);
  g_object_get (listener, "address", &caller.address, NULL);
  thread = g_thread_new ("caller", call_thread, &caller);
  while (connection == NULL && failures->len == 0)
    {
      connection = mp_listener_accept (listener, 0, NULL, NULL);
      g_usleep (G_USEC_PER_SEC);
    }
  if (failures->len > 0)
    g_test_message ("%s", ((GError *) failures->pdata[0])->message);
  g_assert_cmpuint (failures->len, ==, 0);
  g_thread_join (thread);
  g_assert_no_error (caller.error);
  exchange (connection, caller.connection);
  g_object_unref (caller.connection);
  g_free (caller.address);
}

/* Clients that begin a handshake, and no more. */
static void
stall (MpListener *listener,
       int        *fds,
       guint       n_fds)
{
  guint8 hello[4096];
  gsize size = record_hello (hello, sizeof hello);

  for (guint i = 0; i < n_fds; i++)
    {
      fds[i] = dial_listener (listener);
      g_assert_cmpint (send (fds[i], hello, size, 0), ==, size);
    }
}

/* One that does as it should comes through all the same. */
static void
meet_behind (MpListener *listener)
{
  Caller caller = { .key = "secret" };
  g_autoptr(MpConnection) connection = NULL;
  GThread *thread;

  g_object_get (listener, "address", &caller.address, NULL);
  thread = g_thread_new ("caller", call_thread, &caller);
  while (connection == NULL && g_atomic_int_get (&caller.done) == 0)
    connection = mp_listener_accept (listener, 100000, NULL, NULL);
  g_thread_join (thread);
  g_assert_no_error (caller.error);
  exchange (connection, caller.connection);
  g_object_unref (caller.connection);
  g_free (caller.address);
}

/* Who begin and stall are more than could have a turn of a second each in the time of a handshake. */
static void
test_crowd (void)
{
  enum { N_STALLED = 120 };
  g_autoptr(MpListener) listener = NULL;
  int fds[N_STALLED];
  guint i;

  if (skip ())
    return;

  listener = listen_with (12 * G_USEC_PER_SEC, 2 * N_STALLED, "secret");
  stall (listener, fds, N_STALLED);
  assert_accept_fails (listener, 100000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  meet_behind (listener);
  for (i = 0; i < N_STALLED; i++)
    close (fds[i]);
}

/* More of them than the listener takes in at once, and all before the good one. */
static void
test_long_queue (void)
{
  enum { N_STALLED = 300 };
  g_autoptr(MpListener) listener = NULL;
  int fds[N_STALLED];
  gint64 begin;
  guint i;

  if (skip ())
    return;

  listener = listen_with (12 * G_USEC_PER_SEC, 64, "secret");
  stall (listener, fds, N_STALLED);
  begin = g_get_monotonic_time ();
  meet_behind (listener);
  g_test_message ("%.1f s", (g_get_monotonic_time () - begin) / 1e6);
  /* With turns that are as long as for good ones it is 12 s. */
  g_assert_cmpint (g_get_monotonic_time () - begin, <, 8 * G_USEC_PER_SEC);
  for (i = 0; i < N_STALLED; i++)
    close (fds[i]);
}

int
main (int   argc,
      char *argv[])
{
  int status;

  mp_init ();
  g_test_init (&argc, &argv, NULL);
  certificates_make ();

  g_test_add_func ("/listener-tls/faults/no-descriptors", test_no_descriptors);   /* the first handshake of all */
  g_test_add_func ("/listener-tls/faults/given-up", test_given_up);
  g_test_add_func ("/listener-tls/faults/urgent", test_urgent);
  g_test_add_data_func ("/listener-tls/faults/busy-program", NULL, test_busy_program);
  g_test_add_data_func ("/listener-tls/faults/busy-program-with-key", "secret", test_busy_program);
  g_test_add_func ("/listener-tls/faults/crowd", test_crowd);
  g_test_add_func ("/listener-tls/faults/long-queue", test_long_queue);

  status = g_test_run ();
  certificates_remove ();
  return status;
}
