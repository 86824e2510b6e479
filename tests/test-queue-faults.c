/* test-queue-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "queue-test.h"

#include "mp-glib/base/mp-codec-private.h"

/* Queues between processes: who dies, who is stopped, who is the last. */

#define N_ITEMS   2000
#define N_PEERS   3

static void
die (void)
{
  kill (getpid (), SIGKILL);
}

static void
wait_killed (Peer *peer)
{
  int status = wait_status (peer->pid);

  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  mp_fd_close (&peer->socket);
}

/* @begin: when what ends the wait was done. */
static void
check_soon (gint64 begin)
{
  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    g_assert_cmpint (g_get_monotonic_time () - begin, <, AT_MOST_US);
}

static void
check_closed (MpQueue *self)
{
  g_autoptr(GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();

  g_assert_null (mp_queue_get (self, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_cmpstr (error->message, ==, "queue get: the queue is empty, and no process is left that could put");
  check_soon (begin);
  g_clear_error (&error);
  g_assert_null (mp_queue_try_get (self, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

static void
check_waits (MpQueue *self)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_queue_get (self, 150000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void
put_and_die (int socket)
{
  for (guint i = 0; i < N_ITEMS; i++)
    put_sized (queue, i, i % 3000);
  die ();
}

/* What was put is there, whatever becomes of who has put it; and then that is all. */
static void
test_put_and_die (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  Peer peer = peer_start (put_and_die);

  wait_killed (&peer);
  g_assert_cmpuint (mp_queue_get_length (own), ==, N_ITEMS);
  for (guint i = 0; i < N_ITEMS; i++)
    get_sized (own, i, i % 3000);
  check_closed (own);
}

static void
get_and_die (int socket)
{
  g_assert_cmpuint (get_number (queue), ==, 0);
  die ();
}

static void
test_got_is_gone (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  Peer peer;

  put_number (own, 0);
  put_number (own, 1);
  peer = peer_start (get_and_die);
  wait_killed (&peer);
  g_assert_cmpuint (get_number (own), ==, 1);
  g_assert_true (mp_queue_is_empty (own));
}

/* Each side's cell with one who died with it. */
static void
take_and_die (int socket)
{
  g_assert_cmpint (mp_cell_try_take (&queue->put_side.sync.slot), ==, MP_CELL_TAKEN);
  g_assert_cmpint (mp_cell_try_take (&queue->get_side.sync.slot), ==, MP_CELL_TAKEN);
  tell (socket, 0);
  hear (socket);
}

static void
test_cells (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  Peer peer;
  gint64 begin;

  put_number (own, 1);
  peer = peer_start (take_and_die);
  hear (peer.socket);
  peer_kill (&peer);
  begin = g_get_monotonic_time ();
  put_number (own, 2);
  g_assert_cmpuint (get_number (own), ==, 1);
  g_assert_cmpuint (get_number (own), ==, 2);
  check_soon (begin);
}

/* A getter that was stopped with the cell: others have their time-outs. */
static void
test_stopped (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  g_autoptr(GError) error = NULL;
  Peer peer = peer_start (take_and_die);

  hear (peer.socket);
  kill (peer.pid, SIGSTOP);
  g_assert_false (mp_queue_put (own, g_variant_new_uint64 (1), 50000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_null (mp_queue_get (own, 50000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  peer_kill (&peer);
  put_number (own, 1);
  g_assert_cmpuint (get_number (own), ==, 1);
}

/* Many. */

static void
produce (int socket)
{
  guint64 self = 0;

  end_with_parent ();
  self = hear (socket);
  for (guint i = 0; i < N_ITEMS; i++)
    put_number (queue, self * N_ITEMS + i);
}

/* In order of each producer. */
static void
consume (int socket)
{
  g_autoptr(GError) error = NULL;
  guint64 sum = 0, n = 0, last[N_PEERS] = { 0 };

  end_with_parent ();
  for (;;)
    {
      g_autoptr(GVariant) value = mp_queue_get (queue, LONG, NULL, &error);
      guint64 number = 0, from = 0;

      if (value == NULL)
        break;
      number = g_variant_get_uint64 (value);
      from = number / N_ITEMS;
      g_assert_cmpuint (from, <, N_PEERS);
      g_assert_cmpuint (number % N_ITEMS + 1, >, last[from]);
      last[from] = number % N_ITEMS + 1;
      sum += number;
      n++;
    }
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  tell (socket, n);
  tell (socket, sum);
}

static void
check_many (guint   max_items,
            guint64 max_bytes)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (max_items, max_bytes);
  Peer producers[N_PEERS], consumers[N_PEERS];
  guint64 n = 0, sum = 0, all = N_PEERS * N_ITEMS;

  for (guint i = 0; i < N_PEERS; i++)
    {
      consumers[i] = peer_start (consume);
      producers[i] = peer_start (produce);
    }
  for (guint i = 0; i < N_PEERS; i++)
    tell (producers[i].socket, i);
  for (guint i = 0; i < N_PEERS; i++)
    peer_join (&producers[i]);
  for (guint i = 0; i < N_PEERS; i++)
    {
      n += hear (consumers[i].socket);
      sum += hear (consumers[i].socket);
      peer_join (&consumers[i]);
    }
  g_assert_cmpuint (n, ==, all);
  g_assert_cmpuint (sum, ==, all * (all - 1) / 2);
  g_assert_true (mp_queue_is_empty (own));
}

static void
test_many (void)
{
  check_many (0, 0);
  check_many (1, 0);
  check_many (5, 0);
  check_many (0, 100);
}

/* Who is a producer. */

static void
hold (int socket)
{
  end_with_parent ();
  tell (socket, 0);
  hear (socket);
}

static void
get_first (int socket)
{
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  mp_queue_try_get (queue, &error);
  tell (socket, error->code);
  hear (socket);
}

static void
put_and_close (int socket)
{
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  put_number (queue, 1);
  tell (socket, 0);
  hear (socket);
  g_assert_true (mp_queue_close (queue, &error));
  g_assert_true (mp_queue_close (queue, &error));
  g_assert_no_error (error);
  g_assert_true (mp_queue_is_closed (queue));
  g_assert_false (mp_queue_put (queue, g_variant_new_uint64 (1), LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_false (mp_queue_try_put (queue, g_variant_new_uint64 (1), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  tell (socket, 0);
  hear (socket);
}

/* Nobody was there yet, so that this is not the end. */
static void
test_before_begin (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  Peer peer;

  check_waits (own);
  peer = peer_start (get_first);
  g_assert_cmpint (hear (peer.socket), ==, MP_ERROR_EMPTY);
  check_waits (own);
  peer_kill (&peer);
  check_waits (own);
}

static void
test_last_killed (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  Peer first = peer_start (hold), second = peer_start (hold);

  hear (first.socket);
  hear (second.socket);
  check_waits (own);
  peer_kill (&first);
  check_waits (own);
  peer_kill (&second);
  check_closed (own);
  /* It may go on. */
  put_number (own, 5);
  g_assert_cmpuint (get_number (own), ==, 5);
  check_waits (own);
  g_assert_true (mp_queue_close (own, NULL));
  check_closed (own);
}

static void
test_closed (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  Peer peer = peer_start (put_and_close);

  hear (peer.socket);
  g_assert_cmpuint (get_number (own), ==, 1);
  check_waits (own);
  tell (peer.socket, 0);
  hear (peer.socket);
  check_closed (own);
  peer_kill (&peer);
}

static void
get_to_the_end (int socket)
{
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  tell (socket, get_number (queue));
  g_assert_null (mp_queue_get (queue, LONG, NULL, &error));
  tell (socket, error->code);
  hear (socket);
}

/* Who has made it, and has not put anything, is not waited for. */
static void
test_idle_maker (void)
{
  G_GNUC_UNUSED g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  Peer putter = peer_start (put_and_close), getter;

  hear (putter.socket);
  getter = peer_start (get_to_the_end);
  g_assert_cmpuint (hear (getter.socket), ==, 1);
  peer_kill (&putter);
  g_assert_cmpuint (hear (getter.socket), ==, G_IO_ERROR_CLOSED);
  peer_kill (&getter);
}

static void
sleep_for_end (int socket)
{
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  tell (socket, get_tid ());
  g_assert_null (mp_queue_get (queue, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* Those who sleep are woken by a close at once, and learn of a death within a second. */
static void
test_sleepers (void)
{
  for (guint how = 0; how < 2; how++)
    {
      g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
      Peer producer = peer_start (put_and_close), getters[N_PEERS];
      gint64 begin;

      hear (producer.socket);
      g_assert_cmpuint (get_number (own), ==, 1);
      for (guint i = 0; i < N_PEERS; i++)
        {
          getters[i] = peer_start (sleep_for_end);
          await_asleep (getters[i].pid, hear (getters[i].socket));
        }
      begin = g_get_monotonic_time ();
      if (how == 0)
        tell (producer.socket, 0);
      else
        peer_kill (&producer);
      for (guint i = 0; i < N_PEERS; i++)
        peer_join (&getters[i]);
      check_soon (begin);
      if (how == 0)
        peer_kill (&producer);
    }
}

/* On its way it counts, and when nobody gets it that is the end. */
static void
test_on_its_way (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (0, 0);
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (own));
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;

  check_waits (own);
  g_assert_true (mp_value_encode (handle, &encoded, &error));
  check_waits (own);
  mp_encoded_clear (&encoded);
  check_closed (own);
}

/* Forks and threads. */

static void
in_child (int socket)
{
  g_assert_cmpuint (mp_queue_get_length (queue), ==, 1);
  g_assert_cmpuint (get_number (queue), ==, 1);
  put_number (queue, 2);
}

static void
put_seven (int socket)
{
  put_number (queue, 7);
}

static void
test_fork (void)
{
  g_autoptr(MpQueue) own = queue = mp_queue_new (0, 0);
  GAsyncResult *result = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;

  put_number (own, 1);
  run_apart (in_child);
  g_assert_cmpuint (get_number (own), ==, 2);
  /* With a wait, which is the parent's. */
  mp_queue_get_async (own, NULL, result_cb, &result);
  run_apart (put_seven);
  await_result (&result);
  value = mp_queue_get_finish (own, result, &error);
  g_assert_cmpuint (g_variant_get_uint64 (value), ==, 7);
  g_clear_object (&result);
}

static gpointer
thread_main (gpointer data)
{
  guint64 sum = 0;

  for (guint i = 0; i < N_ITEMS; i++)
    {
      put_number (queue, i);
      sum += get_number (queue);
    }
  return GSIZE_TO_POINTER (sum);
}

static void
test_threads (void)
{
  G_GNUC_UNUSED g_autoptr(MpQueue) own = queue = mp_queue_new (3, 0);
  GThread *threads[N_PEERS];
  guint64 sum = 0;

  for (guint i = 0; i < N_PEERS; i++)
    threads[i] = g_thread_new ("test", thread_main, NULL);
  for (guint i = 0; i < N_PEERS; i++)
    sum += GPOINTER_TO_SIZE (g_thread_join (threads[i]));
  g_assert_cmpuint (sum, ==, (guint64) N_PEERS * N_ITEMS * (N_ITEMS - 1) / 2);
}

typedef struct
{
  pid_t         tid;
  GCancellable *cancellable;
} Sleeper;

static gpointer
cancel_soon (gpointer data)
{
  Sleeper *sleeper = data;

  await_asleep (getpid (), sleeper->tid);
  g_cancellable_cancel (sleeper->cancellable);
  return NULL;
}

static void
test_cancel (void)
{
  g_autoptr(MpQueue) own = mp_queue_new (1, 0);
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr(GCancellable) cancellable = g_cancellable_new ();
      Sleeper sleeper = { get_tid (), cancellable };
      GThread *thread = g_thread_new ("test", cancel_soon, &sleeper);

      if (i == 0)
        g_assert_null (mp_queue_get (own, LONG, cancellable, &error));
      else
        g_assert_false (mp_queue_put (own, g_variant_new_uint64 (2), LONG, cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&error);
      g_thread_join (thread);
      if (i == 0)
        put_number (own, 1);
    }
  g_assert_cmpuint (get_number (own), ==, 1);
  g_assert_true (mp_queue_is_empty (own));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/queue-faults/put-and-die", test_put_and_die);
  g_test_add_func ("/queue-faults/got-is-gone", test_got_is_gone);
  g_test_add_func ("/queue-faults/cells", test_cells);
  g_test_add_func ("/queue-faults/stopped", test_stopped);
  g_test_add_func ("/queue-faults/many", test_many);
  g_test_add_func ("/queue-faults/before-begin", test_before_begin);
  g_test_add_func ("/queue-faults/last-killed", test_last_killed);
  g_test_add_func ("/queue-faults/closed", test_closed);
  g_test_add_func ("/queue-faults/idle-maker", test_idle_maker);
  g_test_add_func ("/queue-faults/sleepers", test_sleepers);
  g_test_add_func ("/queue-faults/on-its-way", test_on_its_way);
  g_test_add_func ("/queue-faults/fork", test_fork);
  g_test_add_func ("/queue-faults/threads", test_threads);
  g_test_add_func ("/queue-faults/cancel", test_cancel);
  return g_test_run ();
}
