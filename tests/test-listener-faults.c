/* test-listener-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clients that fail, lie, stall, or are killed, and a process that is forked or has no descriptors left. */

#include "config.h"

#include "instrument-test.h"
#include "listener-test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define N_HOSTILE 500
#define N_GOOD    30

static MpListener *
listen_with (const char *address,
             gint64      handshake_timeout_us,
             guint       max_pending)
{
  g_autoptr(GBytes) key = make_key (KEY);
  g_autoptr(GError) error = NULL;
  MpListener *listener = g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", address, "authkey", key,
                                         "handshake-timeout-us", handshake_timeout_us, "max-pending", max_pending,
                                         NULL);

  g_assert_no_error (error);
  return listener;
}

static guint
count_errors (GPtrArray *failures,
              GQuark     domain,
              int        code)
{
  guint i, n = 0;

  for (i = 0; i < failures->len; i++)
    n += g_error_matches (failures->pdata[i], domain, code);
  return n;
}

static void
wait_for_failures (MpListener *listener,
                   GPtrArray  *failures,
                   guint       n)
{
  while (failures->len < n)
    assert_accept_fails (listener, 1000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void
assert_good_one (MpListener *listener)
{
  g_autoptr(Client) client = client_start (listener, KEY, FALSE);
  g_autoptr(MpConnection) connection = accept_ok (listener);

  client_join (client);
  g_assert_no_error (client->error);
  exchange (connection, client->connection);
}

static void
send_raw (int           fd,
          gconstpointer data,
          gsize         size)
{
  (void) !send (fd, data, size, MSG_NOSIGNAL);
}

/* What a bad client does, and stays. */
static void
be_bad (int   fd,
        guint kind)
{
  static const guint8 rubbish[] = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
  static const guint8 half[] = { 0, 0, 0, 40, '{', 's', 'h' };
  static const guint8 huge[] = { 0x7f, 0xff, 0xff, 0xff, 'a' };
  static const guint8 negative[] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 'a' };
  static const guint8 empty[] = { 0, 0, 0, 0 };

  switch (kind % 8)
    {
    case 1:
      send_raw (fd, rubbish, sizeof rubbish);
      break;
    case 2:
      send_raw (fd, half, sizeof half);
      break;
    case 3:
      send_raw (fd, huge, sizeof huge);
      break;
    case 4:
      send_raw (fd, negative, sizeof negative);
      break;
    case 5:
      send_raw (fd, empty, sizeof empty);
      break;
    case 6:
      shutdown (fd, SHUT_WR);
      break;
    case 7:
      close (fd);
      break;
    default:
      break;   /* silent */
    }
}

/* A process that is nothing but bad clients. Ends when @end does. */
static pid_t
start_bad_clients (MpListener *listener,
                   guint       n,
                   guint       only_kind,   /* G_MAXUINT: all kinds */
                   int         end)
{
  GSocketAddress *address = mp_listener_get_socket_address (listener);
  pid_t pid = fork ();
  char byte;
  guint i;

  if (pid != 0)
    return pid;

  /* What does not get in waits here, in connect(). */
  for (i = 0; i < n; i++)
    be_bad (dial (address), only_kind == G_MAXUINT ? i : only_kind);
  (void) !read (end, &byte, 1);
  _exit (0);
}

static void
end_child (pid_t pid)
{
  int status;

  kill (pid, SIGKILL);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
}

/* The good ones come when the bad ones are there already, and while they come. */
static void
check_hostile (const char *address,
               guint       kind)
{
  g_autoptr(MpListener) listener = listen_with (address, 5 * G_USEC_PER_SEC, 64);
  Client *clients[N_GOOD];
  int ends[2];
  pid_t pid;
  guint i;

  g_assert_cmpint (pipe (ends), ==, 0);
  pid = start_bad_clients (listener, N_HOSTILE, kind, ends[0]);
  close (ends[0]);
  assert_accept_fails (listener, 10000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);

  for (i = 0; i < N_GOOD; i++)
    clients[i] = client_start (listener, KEY, FALSE);
  for (i = 0; i < N_GOOD; i++)
    g_assert_finalize_object (accept_ok (listener));
  for (i = 0; i < N_GOOD; i++)
    {
      client_join (clients[i]);
      g_assert_no_error (clients[i]->error);
      client_free (clients[i]);
    }

  end_child (pid);
  close (ends[1]);
  assert_good_one (listener);
}

static void
test_hostile (void)
{
  check_hostile (NULL, G_MAXUINT);
  check_hostile ("tcp:127.0.0.1:0", G_MAXUINT);
  check_hostile (NULL, 0);
}

/* One after the other has to go, and the first of all are the silent ones. */
static void
test_crowded (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 3);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  int fds[6];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = dial_listener (listener);
  wait_for_failures (listener, failures, 3);
  g_assert_cmpuint (count_errors (failures, G_IO_ERROR, G_IO_ERROR_BUSY), ==, 3);
  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      char data[256];
      struct pollfd polled = { fds[i], POLLIN, 0 };

      g_assert_cmpint (poll (&polled, 1, 60000), ==, 1);
      g_assert_cmpint (recv (fds[i], data, sizeof data, 0), >, 0);
      g_assert_cmpint (recv (fds[i], data, sizeof data, MSG_DONTWAIT), ==, i < 3 ? 0 : -1);
    }
  assert_good_one (listener);
  for (i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

static void
test_timeout (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, 50000, 64);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  gint64 begin = g_get_monotonic_time ();
  int silent = dial_listener (listener);
  int slow = dial_listener (listener);

  /* A byte now and then is no progress. */
  while (failures->len < 2)
    {
      assert_accept_fails (listener, 1000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      send_raw (slow, "", failures->len == 0 ? 1 : 0);
    }
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 50000);
  g_assert_cmpuint (count_errors (failures, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) +
                    count_errors (failures, MP_ERROR, MP_ERROR_AUTHENTICATION), ==, 2);
  g_assert_cmpuint (count_errors (failures, G_IO_ERROR, G_IO_ERROR_TIMED_OUT), >=, 1);
  close (silent);
  close (slow);
}

/* A client that has answered is not late because the program had other things to do. */
static void
test_busy_program (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, 20000, 64);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  g_autoptr(GBytes) key = make_key (KEY);
  g_autoptr(MpAuth) auth = mp_auth_new (MP_AUTH_CLIENT, key, FALSE, NULL);
  g_autoptr(MpConnection) connection = NULL;
  int fd = dial_listener (listener);
  GIOCondition condition;
  g_autoptr(GError) error = NULL;
  gint64 busy_until;

  while (connection == NULL)
    {
      connection = mp_listener_accept (listener, 0, NULL, NULL);
      mp_auth_run (auth, fd, &condition, &error);
      g_assert_no_error (error);
      for (busy_until = g_get_monotonic_time () + 40000; g_get_monotonic_time () < busy_until;)
        ;
    }
  g_assert_true (mp_auth_is_done (auth));
  g_assert_cmpuint (failures->len, ==, 0);
  close (fd);
}

/* Goes on byte by byte, and is killed before the next one. FALSE: it was done before. */
static void
be_killed_after (MpListener *listener,
                 guint       n_bytes)
{
  g_autoptr(GBytes) key = make_key (KEY);
  g_autoptr(MpAuth) auth = mp_auth_new (MP_AUTH_CLIENT, key, FALSE, NULL);
  int fd = dial_listener (listener);
  guint8 byte;
  gsize size;

  while (!mp_auth_is_done (auth))
    {
      const guint8 *pending = mp_auth_get_pending (auth, &size);

      if (n_bytes-- == 0)
        kill (getpid (), SIGKILL);
      if (pending != NULL)
        {
          g_assert_cmpint (send (fd, pending, 1, MSG_NOSIGNAL), ==, 1);
          mp_auth_sent (auth, 1);
        }
      else
        {
          g_assert_cmpint (recv (fd, &byte, 1, 0), ==, 1);
          g_assert_true (mp_auth_feed (auth, &byte, 1, NULL));
        }
    }
  _exit (0);
}

static void
test_killed (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 64);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  guint n_bytes = 0, n_before;
  gboolean done = FALSE;
  int status;

  for (n_bytes = 0; !done; n_bytes += n_bytes % 64 < 8 ? 1 : 5)
    {
      pid_t pid = fork ();

      if (pid == 0)
        be_killed_after (listener, n_bytes);

      n_before = failures->len;
      while (failures->len == n_before)
        {
          g_autoptr(MpConnection) connection = mp_listener_accept (listener, 1000, NULL, NULL);
          g_autoptr(GError) error = NULL;

          if (connection == NULL)
            continue;
          done = TRUE;
          g_assert_null (mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
          break;
        }
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      g_assert_cmpint (status, ==, done ? 0 : SIGKILL);
      if (!done)
        g_assert_error ((GError *) failures->pdata[n_before], G_IO_ERROR, G_IO_ERROR_CLOSED);
    }

  g_assert_cmpuint (n_bytes, >, 200);
  assert_good_one (listener);
}

static void
keep_connection_cb (MpListener   *listener,
                    MpConnection *connection,
                    gpointer      user_data)
{
  g_set_object ((MpConnection **) user_data, connection);
}

static void
test_no_descriptors (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 64);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  struct rlimit before, none;
  int fds[2];
  gint64 cpu_time;

  fds[0] = dial_listener (listener);
  fds[1] = dial_listener (listener);

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  none = before;
  none.rlim_cur = 3;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);
  cpu_time = get_cpu_time ();
  assert_accept_fails (listener, 500000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  cpu_time = get_cpu_time () - cpu_time;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);

  /* It has slept, and told of it once. */
  g_assert_cmpint (cpu_time, <, is_slow () ? 300000 : 50000);
  g_assert_cmpuint (failures->len, ==, 1);
  g_assert_error ((GError *) failures->pdata[0], G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);

  close (fds[0]);
  assert_good_one (listener);
  close (fds[1]);
}

static void
restore_limit_cb (MpListener *listener,
                  GError     *error,
                  gpointer    user_data)
{
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, user_data), ==, 0);
}

/* A call that waits goes on when there are descriptors again. */
static void
test_descriptors_again (void)
{
  g_autoptr(MpListener) listener = listen_ok (NULL, NULL);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  struct rlimit before, none;
  int fd = dial_listener (listener);

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  none = before;
  none.rlim_cur = 3;
  g_signal_connect (listener, "client-failed", G_CALLBACK (restore_limit_cb), &before);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);
  g_assert_finalize_object (accept_ok (listener));
  g_assert_cmpuint (failures->len, ==, 1);
  close (fd);
}

/* The first thing that the copy does is to wait for a client. */
static void
test_fork_and_accept (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 64);
  int status;
  pid_t pid;

  assert_good_one (listener);
  pid = fork ();
  if (pid == 0)
    {
      alarm (20);
      assert_good_one (listener);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

/* With a main context that does not run nobody hears of failures: they do not fill memory. */
static void
test_flood (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(GPtrArray) failures = NULL;
  guint i;

  g_main_context_push_thread_default (context);
  listener = listen_with (NULL, LONG_TIME, 64);
  failures = watch_failures (listener);
  g_main_context_pop_thread_default (context);

  /* Another thread has it. */
  g_assert_true (g_main_context_acquire (context));
  for (i = 0; i < 300; i++)
    {
      close (dial_listener (listener));
      if (i % 50 == 49)
        {
          GThread *thread = g_thread_new ("good", (GThreadFunc) (void (*) (void)) assert_good_one, listener);

          g_thread_join (thread);
        }
    }
  g_main_context_release (context);
  while (g_main_context_iteration (context, FALSE))
    ;
  g_assert_cmpuint (failures->len, ==, 64);
}

/* The copy of a process has the socket too. What it does harms the original nothing. */
static void
test_fork (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 64);
  g_autoptr(GBytes) key = make_key (KEY);
  g_autoptr(MpAuth) auth = mp_auth_new (MP_AUTH_CLIENT, key, FALSE, NULL);
  g_autoptr(MpConnection) connection = NULL;
  int fd = dial_listener (listener);
  GIOCondition condition;
  int ends[2], status;
  pid_t pid;
  char byte;

  /* One client is in the midst of its handshake. */
  assert_accept_fails (listener, 0, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  mp_auth_run (auth, fd, &condition, NULL);
  assert_accept_fails (listener, 0, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);

  g_assert_cmpint (pipe (ends), ==, 0);
  pid = fork ();
  if (pid == 0)
    {
      int own;

      close (ends[0]);
      assert_accept_fails (listener, 0, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      (void) !write (ends[1], "r", 1);
      connection = accept_ok (listener);
      own = mp_connection_send (connection, g_variant_new_string ("from the copy"), LONG_TIME, NULL, NULL);
      mp_listener_close (listener);
      g_clear_object (&connection);
      g_clear_pointer (&auth, mp_auth_free);
      _exit (own ? 0 : 1);
    }

  close (ends[1]);
  g_assert_cmpint (read (ends[0], &byte, 1), ==, 1);
  close (ends[0]);
  {
    g_autoptr(Client) client = client_start (listener, KEY, FALSE);

    client_join (client);
    g_assert_no_error (client->error);
    recv_ok (client->connection, "'from the copy'");
  }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  /* The handshake goes on here, and new clients find the file. */
  while (connection == NULL)
    {
      mp_auth_run (auth, fd, &condition, NULL);
      connection = mp_listener_accept (listener, 1000, NULL, NULL);
    }
  close (fd);
  assert_good_one (listener);
}

/* A copy that forgets of it by ending, or by letting go of the object. */
static void
test_fork_and_end (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 64);
  int status;
  pid_t pid;

  assert_good_one (listener);
  pid = fork ();
  if (pid == 0)
    {
      g_object_unref (listener);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  assert_good_one (listener);
}

/* What was started is not in the copy of a process, until it is started there. */
static void
test_fork_started (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 64);
  MpConnection *connection = NULL;
  int status;
  pid_t pid;

  g_signal_connect (listener, "connection", G_CALLBACK (keep_connection_cb), &connection);
  mp_listener_start (listener);
  pid = fork ();
  if (pid == 0)
    {
      g_autoptr(Client) client = NULL;

      alarm (20);
      mp_listener_start (listener);
      client = client_start (listener, KEY, FALSE);
      while (connection == NULL)
        g_main_context_iteration (NULL, TRUE);
      client_join (client);
      _exit (client->error == NULL ? 0 : 1);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

static gpointer
make_challenges_thread (gpointer data)
{
  g_autoptr(GBytes) key = make_key (KEY);

  while (g_atomic_int_get ((int *) data) == 0)
    mp_auth_free (mp_auth_new (MP_AUTH_LISTENER, key, FALSE, NULL));
  return NULL;
}

/* The copy of a process whose other threads were authenticating. */
static void
test_fork_in_the_midst (void)
{
  g_autoptr(GBytes) key = make_key (KEY);
  int stop = 0, status;
  GThread *threads[2];
  guint i;

  if (is_under_valgrind ())
    {
      g_test_skip ("the copy has lost what the other threads had");
      return;
    }
  for (i = 0; i < 2; i++)
    threads[i] = g_thread_new ("authenticate", make_challenges_thread, &stop);
  for (i = 0; i < 100; i++)
    {
      pid_t pid = fork ();

      if (pid == 0)
        {
          alarm (5);
          mp_auth_free (mp_auth_new (MP_AUTH_LISTENER, key, FALSE, NULL));
          _exit (0);
        }
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      g_assert_cmpint (status, ==, 0);
    }
  g_atomic_int_set (&stop, 1);
  for (i = 0; i < 2; i++)
    g_thread_join (threads[i]);
}

/* One that cannot be made leaves nothing behind, whichever descriptor is the one that is not to be had. */
static void
test_not_made (void)
{
  struct rlimit before, less;
  MpListener *listener = NULL;
  guint n_spare;
  int fd;

  if (!g_test_subprocess ())
    {
      g_autofree char *before_test = g_strdup (g_getenv ("TMPDIR"));
      g_autofree char *parent = g_dir_make_tmp ("mp-test-XXXXXX", NULL);

      g_setenv ("TMPDIR", parent, TRUE);
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
      g_test_trap_assert_passed ();
      if (before_test != NULL)
        g_setenv ("TMPDIR", before_test, TRUE);
      else
        g_unsetenv ("TMPDIR");
      g_assert_cmpint (g_rmdir (parent), ==, 0);
      return;
    }

  g_main_context_default ();
  g_type_ensure (MP_TYPE_LISTENER);   /* the thread sanitizer wants files to name what tests/tsan.supp lets pass */
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  for (n_spare = 0; listener == NULL; n_spare++)
    {
      fd = dup (0);
      close (fd);
      less = before;
      less.rlim_cur = fd + n_spare;
      g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &less), ==, 0);
      listener = mp_listener_new (NULL, NULL, NULL);
      g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);
      g_assert_cmpuint (count_files (g_get_tmp_dir ()), ==, listener != NULL ? 1 : 0);
    }
  g_assert_cmpuint (n_spare, >, 4);
  g_assert_finalize_object (listener);
}

/* Urgent data, which UNIX sockets have, too. */
static void
test_urgent (void)
{
  g_autoptr(MpListener) listener = listen_with (NULL, LONG_TIME, 64);
  int fd = dial_listener (listener);
  gint64 cpu_time;

  send_raw (fd, "\0\0", 2);
  (void) !send (fd, "x", 1, MSG_OOB);
  cpu_time = get_cpu_time ();
  assert_accept_fails (listener, 500000, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (get_cpu_time () - cpu_time, <, is_slow () ? 300000 : 100000);
  assert_good_one (listener);
  close (fd);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/listener/faults/fork", test_fork);
  g_test_add_func ("/listener/faults/fork-and-end", test_fork_and_end);
  g_test_add_func ("/listener/faults/fork-and-accept", test_fork_and_accept);
  g_test_add_func ("/listener/faults/fork-started", test_fork_started);
  g_test_add_func ("/listener/faults/fork-in-the-midst", test_fork_in_the_midst);
  g_test_add_func ("/listener/faults/killed", test_killed);
  g_test_add_func ("/listener/faults/hostile", test_hostile);
  g_test_add_func ("/listener/faults/crowded", test_crowded);
  g_test_add_func ("/listener/faults/timeout", test_timeout);
  g_test_add_func ("/listener/faults/busy-program", test_busy_program);
  g_test_add_func ("/listener/faults/no-descriptors", test_no_descriptors);
  g_test_add_func ("/listener/faults/descriptors-again", test_descriptors_again);
  g_test_add_func ("/listener/faults/flood", test_flood);
  g_test_add_func ("/listener/faults/not-made", test_not_made);
  g_test_add_func ("/listener/faults/urgent", test_urgent);

  return g_test_run ();
}
