/* test-connection-many.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-test.h"

#include "mp-glib/base/mp-context-watch-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Many connections in one main context: what one of them does to the others. */

#define N_PIPES    200
#define N_MESSAGES 70    /* more than a connection tells in one turn */

static void
count_cb (MpConnection *connection,
          GVariant     *value,
          gpointer      user_data)
{
  guint *n = user_data;

  /* In order, and none is missing. */
  g_assert_cmpuint (g_variant_get_uint32 (value), ==, *n);
  (*n)++;
}

static void
start_counting (MpConnection *connection,
                guint        *n)
{
  *n = 0;
  g_signal_connect (connection, "message", G_CALLBACK (count_cb), n);
  mp_connection_start (connection);
}

static void
wait_for_count (guint *n,
                guint  wanted)
{
  while (*n < wanted)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (*n, ==, wanted);
}

/* What there is to do without waiting. FALSE: it does not end. */
static gboolean
comes_to_rest (void)
{
  for (guint i = 0; i < 1000; i++)
    if (!g_main_context_iteration (NULL, FALSE))
      return TRUE;
  return FALSE;
}

static guint
get_n_polled (void)
{
  GMainContext *context = g_main_context_default ();
  GPollFD fds[2 * N_PIPES];
  int priority, timeout, n;

  g_assert_true (g_main_context_acquire (context));
  g_main_context_prepare (context, &priority);
  n = g_main_context_query (context, priority, &timeout, fds, G_N_ELEMENTS (fds));
  g_main_context_release (context);
  return n;
}

static void
test_one_descriptor (void)
{
  Pipe pipes[N_PIPES];
  guint n_received[N_PIPES], n_polled = get_n_polled ();

  for (guint i = 0; i < N_PIPES; i++)
    {
      pipe_open (&pipes[i]);
      start_counting (pipes[i].second, &n_received[i]);
    }
  g_assert_cmpuint (get_n_polled (), <=, n_polled + 1);

  for (guint j = 0; j < N_MESSAGES; j++)
    for (guint i = 0; i < N_PIPES; i++)
      send_ok (pipes[i].first, g_variant_new_uint32 (j));
  for (guint i = 0; i < N_PIPES; i++)
    wait_for_count (&n_received[i], N_MESSAGES);
  for (guint i = 0; i < N_PIPES; i++)
    pipe_clear (&pipes[i]);
  g_assert_cmpuint (get_n_polled (), ==, n_polled);
}

#define N_BUSY    4
#define N_WAITING 500   /* messages of each */

typedef struct
{
  guint n_received[N_BUSY];
  guint n_turns;
} Busy;

static gboolean
count_turn_cb (gpointer user_data)
{
  ((Busy *) user_data)->n_turns++;
  return G_SOURCE_CONTINUE;
}

static void
compare_cb (MpConnection *connection,
            GVariant     *value,
            gpointer      user_data)
{
  Busy *busy = user_data;
  guint number = g_variant_get_uint32 (value) % N_BUSY;

  g_assert_cmpuint (g_variant_get_uint32 (value) / N_BUSY, ==, busy->n_received[number]);
  busy->n_received[number]++;
  for (guint i = 0; i < N_BUSY; i++)
    g_assert_cmpuint (busy->n_received[number], <=, busy->n_received[i] + 2 * 64);
}

/* Some that have many messages have turns, and so has another source. */
static void
test_fair (void)
{
  Busy busy = { { 0 }, 0 };
  Pipe pipes[N_BUSY];
  GSource *source = g_idle_source_new ();

  for (guint i = 0; i < N_BUSY; i++)
    {
      pipe_open (&pipes[i]);
      for (guint j = 0; j < N_WAITING; j++)
        send_ok (pipes[i].first, g_variant_new_uint32 (j * N_BUSY + i));
      g_signal_connect (pipes[i].second, "message", G_CALLBACK (compare_cb), &busy);
      mp_connection_start (pipes[i].second);
    }
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, count_turn_cb, &busy, NULL);
  g_source_attach (source, NULL);
  for (guint i = 0; i < N_BUSY; i++)
    while (busy.n_received[i] < N_WAITING)
      g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (busy.n_turns, >=, N_WAITING / 64);

  g_source_destroy (source);
  g_source_unref (source);
  for (guint i = 0; i < N_BUSY; i++)
    pipe_clear (&pipes[i]);
}

#define N_FLOODS   128   /* as many as have their turn at once */
#define N_IN_FLOOD 1000

static void
count_flood_cb (MpConnection *connection,
                GVariant     *value,
                gpointer      user_data)
{
  (*(guint *) user_data)++;
}

/* Those that never have nothing to tell do not keep the context from seeing that another one has something. */
static void
test_flood (void)
{
  g_autofree Pipe *pipes = g_new (Pipe, N_FLOODS);
  guint n_flood = 0, n_quiet;
  Pipe quiet;

  for (guint i = 0; i < N_FLOODS; i++)
    {
      pipe_open (&pipes[i]);
      for (guint j = 0; j < N_IN_FLOOD; j++)
        send_ok (pipes[i].first, g_variant_new_uint32 (j));
      g_signal_connect (pipes[i].second, "message", G_CALLBACK (count_flood_cb), &n_flood);
      mp_connection_start (pipes[i].second);
    }
  while (n_flood == 0)
    g_main_context_iteration (NULL, TRUE);

  pipe_open (&quiet);
  start_counting (quiet.second, &n_quiet);
  send_ok (quiet.first, g_variant_new_uint32 (0));
  wait_for_count (&n_quiet, 1);
  g_assert_cmpuint (n_flood, <, N_FLOODS * N_IN_FLOOD / 2);

  pipe_clear (&quiet);
  for (guint i = 0; i < N_FLOODS; i++)
    pipe_clear (&pipes[i]);
}

typedef struct
{
  guint *n_other;
  guint  n;
  guint  depth;
} Nested;

/* Iterates the context until another connection has told something. */
static void
nested_cb (MpConnection *connection,
           GVariant     *value,
           gpointer      user_data)
{
  Nested *nested = user_data;

  g_assert_cmpuint (nested->depth++, ==, 0);
  /* This may find the next message. */
  mp_connection_poll (connection, 0, NULL, NULL);
  wait_for_count (nested->n_other, 1);
  g_assert_true (comes_to_rest ());
  nested->depth--;
  nested->n++;
}

static void
test_nested (void)
{
  guint n_other;
  Nested nested = { &n_other, 0, 0 };
  Pipe one, other;

  pipe_open (&one);
  pipe_open (&other);
  start_counting (other.second, &n_other);
  g_signal_connect (one.second, "message", G_CALLBACK (nested_cb), &nested);
  mp_connection_start (one.second);
  /* The second is read along with the first, and the last comes by the socket. */
  send_ok (one.first, g_variant_new_string ("a"));
  send_ok (one.first, g_variant_new_string ("b"));
  send_ok (one.first, g_variant_new_take_string (g_strnfill (100000, 'c')));
  send_ok (other.first, g_variant_new_uint32 (0));
  while (nested.n < 3)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (comes_to_rest ());
  pipe_clear (&one);
  pipe_clear (&other);
}

typedef struct
{
  Pipe  pipes[10];
  guint n;
} Group;

static void
close_all_cb (MpConnection *connection,
              GVariant     *value,
              gpointer      user_data)
{
  Group *group = user_data;

  group->n++;
  for (guint i = 0; i < G_N_ELEMENTS (group->pipes); i++)
    {
      mp_connection_close (group->pipes[i].second, NULL);
      /* The one that is being told is kept by that. */
      if (i % 2 == 0)
        g_clear_object (&group->pipes[i].second);
    }
}

/* All are ready in one turn; the first to be told ends them all. */
static void
test_closed_by_another (void)
{
  Group group = { .n = 0 };

  for (guint i = 0; i < G_N_ELEMENTS (group.pipes); i++)
    {
      pipe_open (&group.pipes[i]);
      g_signal_connect (group.pipes[i].second, "message", G_CALLBACK (close_all_cb), &group);
      mp_connection_start (group.pipes[i].second);
      send_ok (group.pipes[i].first, g_variant_new_boolean (TRUE));
    }
  while (group.n == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (comes_to_rest ());
  g_assert_cmpuint (group.n, ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (group.pipes); i++)
    {
      g_clear_object (&group.pipes[i].second);
      g_assert_finalize_object (group.pipes[i].first);
    }
}

/* What nobody wants now keeps nobody awake: neither a message nor the end of the stream. */
static void
test_stopped (void)
{
  guint n_received;
  Pipe pipe;

  pipe_open (&pipe);
  start_counting (pipe.second, &n_received);
  send_ok (pipe.first, g_variant_new_uint32 (0));
  wait_for_count (&n_received, 1);

  mp_connection_stop (pipe.second);
  send_ok (pipe.first, g_variant_new_uint32 (1));
  g_assert_true (comes_to_rest ());
  g_assert_cmpuint (n_received, ==, 1);
  mp_connection_close (pipe.first, NULL);
  g_assert_true (comes_to_rest ());
  g_assert_cmpuint (n_received, ==, 1);

  mp_connection_start (pipe.second);
  wait_for_count (&n_received, 2);
  g_assert_true (comes_to_rest ());
  pipe_clear (&pipe);
}

static void
in_copy (Pipe  *pipes,
         guint *n_received)
{
  alarm (60);
  send_ok (pipes[0].first, g_variant_new_uint32 (1));
  wait_for_count (&n_received[0], 2);
  mp_connection_close (pipes[1].second, NULL);
  mp_connection_stop (pipes[2].second);
  g_assert_true (comes_to_rest ());
  _exit (0);
}

/* A copy of the process goes on with one of them, and ends others, for itself alone. */
static void
test_fork (void)
{
  guint n_received[3];
  Pipe pipes[3];
  int status;
  pid_t pid;

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    {
      pipe_open (&pipes[i]);
      start_counting (pipes[i].second, &n_received[i]);
      send_ok (pipes[i].first, g_variant_new_uint32 (0));
      wait_for_count (&n_received[i], 1);
    }

  pid = fork ();
  if (pid == 0)
    in_copy (pipes, n_received);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    {
      send_ok (pipes[i].first, g_variant_new_uint32 (1));
      wait_for_count (&n_received[i], 2);
    }
  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    pipe_clear (&pipes[i]);
}

/* Without a descriptor for the set each is polled by itself. */
static void
test_no_descriptors (void)
{
  struct rlimit limit, low;
  guint n_received[3], n_fds = 0;
  Pipe pipes[3];
  int fds[64];

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    pipe_open (&pipes[i]);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  low = limit;
  low.rlim_cur = 64;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  while (n_fds < G_N_ELEMENTS (fds) && (fds[n_fds] = mp_fd_dup (0)) >= 0)
    n_fds++;

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    start_counting (pipes[i].second, &n_received[i]);
  for (guint j = 0; j < N_MESSAGES; j++)
    for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
      {
        send_ok (pipes[i].first, g_variant_new_uint32 (j));
        wait_for_count (&n_received[i], j + 1);
      }
  mp_connection_stop (pipes[0].second);
  send_ok (pipes[0].first, g_variant_new_uint32 (N_MESSAGES));
  g_assert_true (comes_to_rest ());

  while (n_fds > 0)
    close (fds[--n_fds]);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  mp_connection_start (pipes[0].second);
  wait_for_count (&n_received[0], N_MESSAGES + 1);
  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    pipe_clear (&pipes[i]);
}

/* A call that was made in another context is heard there alone, and keeps no part of that. */
static void
test_other_context (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GVariant) value = NULL;
  guint n_received;
  Pipe pipe;

  pipe_open (&pipe);
  start_counting (pipe.second, &n_received);
  g_main_context_push_thread_default (context);
  mp_connection_recv_async (pipe.second, NULL, keep_result_cb, &result);
  g_main_context_pop_thread_default (context);
  send_ok (pipe.first, g_variant_new_string ("there"));
  g_assert_true (comes_to_rest ());
  g_assert_null (result);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  value = mp_connection_recv_finish (pipe.second, result, NULL);
  g_assert_cmpstr (g_variant_get_string (value, NULL), ==, "there");

  send_ok (pipe.first, g_variant_new_uint32 (0));
  wait_for_count (&n_received, 1);
  g_clear_object (&result);
  pipe_clear (&pipe);
}

static void
count_call_cb (gpointer      object,
               GMainContext *context)
{
  int n = GPOINTER_TO_INT (g_object_get_data (object, "calls"));

  g_object_set_data (object, "calls", GINT_TO_POINTER (n + 1));
}

/* What there was to do, and others have done, wakes nobody. */
static void
test_done_by_another (void)
{
  g_autoptr(GObject) object = g_object_new (G_TYPE_OBJECT, NULL);
  MpContextWatch *watch;

  mp_hub_watch_forks ();
  watch = mp_context_watch_new (g_main_context_default (), object, count_call_cb);
  mp_context_watch_set (watch, -1, 0, TRUE);
  mp_context_watch_set (watch, -1, 0, FALSE);
  g_assert_true (comes_to_rest ());
  g_assert_null (g_object_get_data (object, "calls"));
  mp_context_watch_set (watch, -1, 0, TRUE);
  g_assert_true (comes_to_rest ());
  g_assert_cmpint (GPOINTER_TO_INT (g_object_get_data (object, "calls")), ==, 1);
  mp_context_watch_free (watch);
}

/* Iterates the context, in which the descriptor is found to be ready still, and forks: the copy goes on as if it had
 * not. */
static void
fork_call_cb (gpointer      object,
              GMainContext *context)
{
  pid_t *pid = g_object_get_data (object, "pid");
  int status;

  if (*pid >= 0)
    return;

  while (g_main_context_iteration (context, FALSE))
    ;
  *pid = fork ();
  if (*pid == 0)
    return;
  g_assert_cmpint (waitpid (*pid, &status, 0), ==, *pid);
  g_assert_cmpint (status, ==, 0);
}

/* What a copy of the process looks for then it does not look for in the name of the other one. */
static void
test_fork_within (void)
{
  g_autoptr(GObject) object = g_object_new (G_TYPE_OBJECT, NULL);
  MpContextWatch *watch;
  pid_t pid = -1;
  int fd = mp_fd_eventfd ();

  mp_hub_watch_forks ();
  g_object_set_data (object, "pid", &pid);
  mp_fd_signal (fd);
  watch = mp_context_watch_new (g_main_context_default (), object, fork_call_cb);
  mp_context_watch_set (watch, fd, G_IO_IN, FALSE);
  while (pid < 0)
    g_main_context_iteration (NULL, TRUE);
  if (pid == 0)
    _exit (0);

  mp_context_watch_set (watch, fd, 0, FALSE);
  g_assert_true (comes_to_rest ());
  mp_context_watch_free (watch);
  mp_fd_close (&fd);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-many/one-descriptor", test_one_descriptor);
  g_test_add_func ("/connection-many/fair", test_fair);
  g_test_add_func ("/connection-many/flood", test_flood);
  g_test_add_func ("/connection-many/nested", test_nested);
  g_test_add_func ("/connection-many/closed-by-another", test_closed_by_another);
  g_test_add_func ("/connection-many/stopped", test_stopped);
  g_test_add_func ("/connection-many/fork", test_fork);
  g_test_add_func ("/connection-many/fork-within", test_fork_within);
  g_test_add_func ("/connection-many/no-descriptors", test_no_descriptors);
  g_test_add_func ("/connection-many/other-context", test_other_context);
  g_test_add_func ("/connection-many/done-by-another", test_done_by_another);

  return g_test_run ();
}
