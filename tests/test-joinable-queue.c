/* test-joinable-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"
#include "mp-glib/platform/mp-memory-file-private.h"
#include "mp-glib/queue/mp-queue-private.h"

static MpJoinableQueue *queue;   /* of the test that runs: children made by fork() have it as well */

static void
put (guint first,
     guint n)
{
  for (guint i = 0; i < n; i++)
    {
      g_autoptr(GError) error = NULL;

      mp_queue_put (MP_QUEUE (queue), g_variant_new_uint32 (first + i), LONG, NULL, &error);
      g_assert_no_error (error);
    }
}

static guint
get (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) item = mp_queue_get (MP_QUEUE (queue), LONG, NULL, &error);

  g_assert_no_error (error);
  return g_variant_get_uint32 (item);
}

static void
finish_one (void)
{
  g_autoptr(GError) error = NULL;

  mp_joinable_queue_task_done (queue, &error);
  g_assert_no_error (error);
}

static void
expect_nothing_to_finish (void)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_joinable_queue_task_done (queue, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
}

static void
join (void)
{
  g_autoptr(GError) error = NULL;

  mp_joinable_queue_join (queue, LONG, NULL, &error);
  g_assert_no_error (error);
}

static void
expect_abandoned (guint n)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_joinable_queue_join (queue, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  g_assert_true (g_str_has_prefix (error->message, "queue join: "));
  g_assert_cmpuint (mp_joinable_queue_get_n_abandoned (queue), ==, n);
}

#define expect_numbers(n_unfinished,length) \
  G_STMT_START { \
    g_assert_cmpuint (mp_joinable_queue_get_n_unfinished (queue), ==, n_unfinished); \
    g_assert_cmpuint (mp_queue_get_length (MP_QUEUE (queue)), ==, length); \
  } G_STMT_END

static void
test_count (void)
{
  g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (3, 0);
  g_autoptr(GError) error = NULL;
  guint n_unfinished = G_MAXUINT;

  join ();
  expect_nothing_to_finish ();
  put (0, 3);
  expect_numbers (3, 3);
  /* What is not finished takes no place of the bound. */
  g_assert_cmpuint (get (), ==, 0);
  expect_numbers (3, 2);
  put (3, 1);
  g_assert_true (mp_queue_is_full (MP_QUEUE (own)));
  expect_numbers (4, 3);
  g_assert_false (mp_joinable_queue_join (own, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpstr (error->message, ==, "queue join: timed out");
  g_clear_error (&error);
  finish_one ();
  expect_nothing_to_finish ();
  for (guint i = 1; i < 4; i++)
    g_assert_cmpuint (get (), ==, i);
  for (guint i = 1; i < 4; i++)
    finish_one ();
  g_object_get (own, "n-unfinished", &n_unfinished, NULL);
  g_assert_cmpuint (n_unfinished, ==, 0);
  join ();
  expect_nothing_to_finish ();
}

static void
test_cancelled (void)
{
  g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  put (0, 1);
  mp_joinable_queue_join_async (own, cancellable, result_cb, &result);
  g_cancellable_cancel (cancellable);
  await_result (&result);
  g_assert_false (mp_joinable_queue_join_finish (own, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_false (mp_joinable_queue_join (own, LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* More than the tape's first window, whose memory is used again behind what is finished. */
static void
test_many (void)
{
  G_GNUC_UNUSED g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  guint n = g_getenv ("MP_TESTS_SLOW") != NULL ? 2000 : 50000;

  put (0, n);
  for (guint i = 0; i < n; i++)
    {
      g_assert_cmpuint (get (), ==, i);
      if (i >= 100)
        finish_one ();
    }
  expect_numbers (100, 0);
  put (n, n);
  for (guint i = 0; i < n; i++)
    {
      g_assert_cmpuint (get (), ==, n + i);
      finish_one ();
    }
  for (guint i = 0; i < 100; i++)
    finish_one ();
  join ();
}

static guint64
get_memory (void)
{
  return mp_memory_file_get_reserved (MP_QUEUE (queue)->tape->fd);
}

/* What is finished is given back, and nothing before. */
static void
test_memory (void)
{
  G_GNUC_UNUSED g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  g_autoptr(GBytes) item = g_bytes_new_take (g_malloc0 (1 << 20), 1 << 20);
  const guint n = 50;
  guint i;

  for (i = 0; i < n; i++)
    g_assert_true (mp_queue_put_bytes (MP_QUEUE (queue), item, LONG, NULL, NULL));
  for (i = 0; i < n; i++)
    {
      g_autoptr(GBytes) bytes = mp_queue_get_bytes (MP_QUEUE (queue), LONG, NULL, NULL);

      g_assert_true (g_bytes_equal (bytes, item));
    }
  g_assert_cmpuint (get_memory (), >=, n << 20);
  for (i = 0; i < n - 5; i++)
    finish_one ();
  g_assert_cmpuint (get_memory (), <=, 15 << 20);
  for (; i < n; i++)
    finish_one ();
  g_assert_cmpuint (get_memory (), <=, 8 << 20);
  join ();
}

static void
work_off (int socket)
{
  end_with_parent ();
  while (get () != 0)
    finish_one ();
  finish_one ();
  tell (socket, mp_joinable_queue_get_n_abandoned (queue));
}

static void
test_processes (void)
{
  G_GNUC_UNUSED g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (10, 0);
  Peer peers[3];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (work_off);
  put (1, 3000);
  join ();
  expect_numbers (0, 0);
  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    put (0, 1);
  join ();
  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    {
      g_assert_cmpuint (hear (peers[i].socket), ==, 0);
      peer_join (&peers[i]);
    }
}

/* Tells what it has got, and keeps it. */
static void
get_two (int socket)
{
  end_with_parent ();
  tell (socket, get ());
  tell (socket, get ());
  pause ();
}

/* Of three that it has got it has finished the first. */
static void
finish_first_of_three (int socket)
{
  guint first = get ();

  end_with_parent ();
  get ();
  get ();
  finish_one ();
  tell (socket, first);
  pause ();
}

static void
test_killed (void)
{
  g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  Peer peer;

  put (0, 5);
  peer = peer_start (finish_first_of_three);
  g_assert_cmpuint (hear (peer.socket), ==, 0);
  expect_numbers (4, 2);
  g_assert_cmpuint (mp_joinable_queue_get_n_abandoned (own), ==, 0);
  g_assert_cmpuint (mp_joinable_queue_put_back_abandoned (own), ==, 0);
  peer_kill (&peer);
  expect_abandoned (2);
  expect_numbers (4, 2);

  /* They come before all others, and in their order. */
  g_assert_cmpuint (mp_joinable_queue_put_back_abandoned (own), ==, 2);
  g_assert_cmpuint (mp_joinable_queue_put_back_abandoned (own), ==, 0);
  g_assert_cmpuint (mp_joinable_queue_get_n_abandoned (own), ==, 0);
  expect_numbers (4, 4);
  put (5, 1);
  for (guint i = 1; i < 6; i++)
    {
      g_assert_cmpuint (get (), ==, i);
      finish_one ();
    }
  join ();
  g_assert_true (mp_queue_is_empty (MP_QUEUE (own)));
}

/* Those that were put back are lost by the next one as well, and one has them who had taken others before. */
static void
test_killed_again (void)
{
  g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  Peer peer;

  put (0, 3);
  peer = peer_start (get_two);
  hear (peer.socket);
  hear (peer.socket);
  g_assert_cmpuint (get (), ==, 2);
  peer_kill (&peer);
  for (guint i = 0; i < 5; i++)
    {
      expect_abandoned (2);
      g_assert_cmpuint (mp_joinable_queue_put_back_abandoned (own), ==, 2);
      peer = peer_start (get_two);
      g_assert_cmpuint (hear (peer.socket), ==, 0);
      g_assert_cmpuint (hear (peer.socket), ==, 1);
      expect_numbers (3, 0);
      peer_kill (&peer);
    }
  g_assert_cmpuint (mp_joinable_queue_put_back_abandoned (own), ==, 2);
  g_assert_cmpuint (get (), ==, 0);
  /* The one that was got first: the last one that was put. */
  finish_one ();
  peer = peer_start (get_two);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_kill (&peer);
  finish_one ();
  expect_abandoned (1);
  g_assert_cmpuint (mp_joinable_queue_give_up_abandoned (own), ==, 1);
  expect_numbers (0, 0);
  join ();
}

static void
get_and_tell (int socket)
{
  end_with_parent ();
  tell (socket, get_tid ());
  tell (socket, get ());
  pause ();
}

/* One who sleeps for an item gets the one that is put back. */
static void
test_put_back_wakes (void)
{
  G_GNUC_UNUSED g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  Peer dead, sleeper;

  put (7, 1);
  dead = peer_start (get_and_tell);
  hear (dead.socket);
  g_assert_cmpuint (hear (dead.socket), ==, 7);
  sleeper = peer_start (get_and_tell);
  await_asleep (sleeper.pid, hear (sleeper.socket));
  peer_kill (&dead);
  expect_abandoned (1);
  g_assert_cmpuint (mp_joinable_queue_put_back_abandoned (queue), ==, 1);
  g_assert_cmpuint (hear (sleeper.socket), ==, 7);
  peer_kill (&sleeper);
}

static void
join_and_tell (int socket)
{
  g_autoptr(GError) error = NULL;

  end_with_parent ();
  tell (socket, get_tid ());
  tell (socket, mp_joinable_queue_join (queue, LONG, NULL, &error) ? 0 : error->code);
}

/* Those who sleep for the end of the work: all of them, and nobody else. */
static void
test_sleepers (void)
{
  G_GNUC_UNUSED g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  Peer joiners[3], getter;
  guint i;

  put (0, 2);
  get ();
  get ();
  for (i = 0; i < G_N_ELEMENTS (joiners); i++)
    {
      joiners[i] = peer_start (join_and_tell);
      await_asleep (joiners[i].pid, hear (joiners[i].socket));
    }
  getter = peer_start (get_and_tell);
  await_asleep (getter.pid, hear (getter.socket));
  finish_one ();
  put (2, 1);
  g_assert_cmpuint (hear (getter.socket), ==, 2);
  finish_one ();
  /* They see that its item is abandoned. */
  peer_kill (&getter);
  for (i = 0; i < G_N_ELEMENTS (joiners); i++)
    {
      g_assert_cmpuint (hear (joiners[i].socket), ==, MP_ERROR_WORKER_DIED);
      peer_join (&joiners[i]);
    }
  for (i = 0; i < G_N_ELEMENTS (joiners); i++)
    {
      mp_joinable_queue_put_back_abandoned (queue);
      joiners[i] = peer_start (join_and_tell);
      await_asleep (joiners[i].pid, hear (joiners[i].socket));
    }
  g_assert_cmpuint (get (), ==, 2);
  finish_one ();
  for (i = 0; i < G_N_ELEMENTS (joiners); i++)
    {
      g_assert_cmpuint (hear (joiners[i].socket), ==, 0);
      peer_join (&joiners[i]);
    }
}

static void
test_async (void)
{
  g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  g_autoptr(GAsyncResult) joined = NULL;
  g_autoptr(GAsyncResult) got = NULL;
  g_autoptr(GVariant) item = NULL;
  g_autoptr(GError) error = NULL;

  put (0, 1);
  mp_joinable_queue_join_async (own, NULL, result_cb, &joined);
  get ();
  /* One line is not behind the other. */
  mp_queue_get_async (MP_QUEUE (own), NULL, result_cb, &got);
  put (1, 1);
  await_result (&got);
  item = mp_queue_get_finish (MP_QUEUE (own), got, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_get_uint32 (item), ==, 1);
  finish_one ();
  g_assert_null (joined);
  finish_one ();
  await_result (&joined);
  g_assert_true (mp_joinable_queue_join_finish (own, joined, &error));
  g_assert_no_error (error);
}

static void
test_async_after_death (void)
{
  g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  g_autoptr(GAsyncResult) joined = NULL;
  g_autoptr(GError) error = NULL;
  Peer peer;

  put (0, 2);
  peer = peer_start (get_two);
  hear (peer.socket);
  hear (peer.socket);
  mp_joinable_queue_join_async (own, NULL, result_cb, &joined);
  peer_kill (&peer);
  await_result (&joined);
  g_assert_false (mp_joinable_queue_join_finish (own, joined, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
}

/* What has been got before a fork is the parent's. */
static void
expect_nothing (int socket)
{
  expect_nothing_to_finish ();
}

static void
test_fork (void)
{
  G_GNUC_UNUSED g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);

  put (0, 1);
  get ();
  run_apart (expect_nothing);
  finish_one ();
  join ();
}

static gpointer
work_in_thread (gpointer data)
{
  for (guint i = 0; i < 1000; i++)
    {
      get ();
      finish_one ();
    }
  return NULL;
}

static void
test_threads (void)
{
  G_GNUC_UNUSED g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (20, 0);
  GThread *threads[3];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("work", work_in_thread, NULL);
  put (0, 3000);
  join ();
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  expect_nothing_to_finish ();
}

static GVariant *
work_off_five (GVariant  *args,
               gpointer   user_data,
               GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);
  g_autoptr(MpShareable) shareable = mp_shareable_from_variant (handle, error);

  g_assert_true (MP_IS_JOINABLE_QUEUE (shareable));
  for (guint i = 0; i < 5; i++)
    {
      g_autoptr(GVariant) item = mp_queue_get (MP_QUEUE (shareable), LONG, NULL, error);

      if (item == NULL || !mp_joinable_queue_task_done (MP_JOINABLE_QUEUE (shareable), error))
        return NULL;
    }
  return g_variant_new ("()");
}

static void
test_travel (void)
{
  for (gboolean isolated = FALSE; isolated <= TRUE; isolated++)
    {
      g_autoptr(MpJoinableQueue) own = queue = g_object_new (MP_TYPE_JOINABLE_QUEUE, "isolated", isolated, NULL);
      g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (own));
      g_autoptr(MpProcess) process = mp_process_new (MP_FUNCTION (work_off_five), g_variant_new ("(@h)", handle));
      g_autoptr(GError) error = NULL;

      mp_process_start (process, LONG, NULL, &error);
      g_assert_no_error (error);
      put (0, 5);
      join ();
      mp_process_join (process, LONG, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
    }
}

/* Processes that are being started need this one to go on, also while it waits for what they do. */
static void
test_start_meanwhile (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(MpJoinableQueue) own = queue = mp_joinable_queue_new (0, 0);
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (own));
  MpProcess *processes[2];
  g_autoptr(GError) error = NULL;
  guint i;

  for (i = 0; i < G_N_ELEMENTS (processes); i++)
    {
      processes[i] = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (work_off_five), "args",
                                   g_variant_new ("(@h)", handle), "context", context, NULL);
      mp_process_start_async (processes[i], NULL, NULL, NULL);
    }
  put (0, 10);
  join ();
  for (i = 0; i < G_N_ELEMENTS (processes); i++)
    {
      mp_process_join (processes[i], LONG, NULL, &error);
      g_assert_no_error (error);
      g_object_unref (processes[i]);
    }
}

static void
test_simple (void)
{
  g_autoptr(MpSimpleQueue) own = mp_simple_queue_new ();
  g_autoptr(GVariant) item = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_true (MP_IS_QUEUE (own));
  g_assert_true (mp_queue_is_empty (MP_QUEUE (own)));
  g_assert_true (mp_queue_try_put (MP_QUEUE (own), g_variant_new_string ("one"), &error));
  g_assert_cmpuint (mp_queue_get_max_items (MP_QUEUE (own)), ==, 0);
  item = mp_queue_try_get (MP_QUEUE (own), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (g_variant_get_string (item, NULL), ==, "one");
  g_assert_null (mp_queue_try_get (MP_QUEUE (own), &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_EMPTY);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/joinable-queue/count", test_count);
  g_test_add_func ("/joinable-queue/cancelled", test_cancelled);
  g_test_add_func ("/joinable-queue/many", test_many);
  g_test_add_func ("/joinable-queue/memory", test_memory);
  g_test_add_func ("/joinable-queue/processes", test_processes);
  g_test_add_func ("/joinable-queue/killed", test_killed);
  g_test_add_func ("/joinable-queue/killed-again", test_killed_again);
  g_test_add_func ("/joinable-queue/put-back-wakes", test_put_back_wakes);
  g_test_add_func ("/joinable-queue/sleepers", test_sleepers);
  g_test_add_func ("/joinable-queue/async", test_async);
  g_test_add_func ("/joinable-queue/async-after-death", test_async_after_death);
  g_test_add_func ("/joinable-queue/fork", test_fork);
  g_test_add_func ("/joinable-queue/threads", test_threads);
  g_test_add_func ("/joinable-queue/travel", test_travel);
  g_test_add_func ("/joinable-queue/start-meanwhile", test_start_meanwhile);
  g_test_add_func ("/simple-queue/simple", test_simple);

  return g_test_run ();
}
