/* test-ground-fork.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"
#include "instrument-test.h"

#include "mp-glib/arena/mp-ring-private.h"
#include "mp-glib/base/mp-hub-private.h"

#include <pthread.h>

/* A program that forks at the worst of times. Each test is a process of its own: the handlers around a fork stay. */

static GThread *other;
static pid_t other_tid;   /* atomic */
static GAsyncResult *other_result;

static GThreadFunc other_func;
static gpointer other_data;

/* Between the handlers of the ground, and those of the hub. */
static void
prepare_cb (void)
{
  if (other != NULL)
    return;

  other = g_thread_new ("other", other_func, other_data);
  while (__atomic_load_n (&other_tid, __ATOMIC_SEQ_CST) == 0)
    g_thread_yield ();
  await_asleep (getpid (), other_tid);
}

/* The next fork begins while @func runs in another thread, for which it has to wait, or the other way round. */
static void
disturb_fork (GThreadFunc func,
              gpointer    data)
{
  end_with_parent ();
  alarm (g_getenv ("MP_TESTS_SLOW") != NULL ? 60 : 10);
  other_func = func;
  other_data = data;
  mp_hub_watch_forks ();
  g_assert_no_errno (pthread_atfork (prepare_cb, NULL, NULL));
}

static gpointer
wait_for_it (gpointer context)
{
  __atomic_store_n (&other_tid, get_tid (), __ATOMIC_SEQ_CST);
  g_main_context_push_thread_default (context);
  mp_lock_acquire_async (shared, NULL, result_cb, &other_result);
  while (other_result == NULL)
    g_main_context_iteration (context, TRUE);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* The first of all asynchronous calls comes from another thread, in the midst of a fork. */
static void
fork_at_first_call (int socket)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  pid_t pid;

  disturb_fork (wait_for_it, context);
  shared = mp_lock_new ();
  acquire (shared);

  pid = fork ();
  if (pid == 0)
    _exit (mp_lock_is_locked (shared) && !mp_async_thread_runs () ? 0 : 1);
  g_assert_cmpint (wait_status (pid), ==, 0);

  release (shared);
  g_thread_join (other);
  finish (shared, &other_result);
  release (shared);
}

/* A copy of a process with threads has lost what the others had: a check for leaks would tell. */
static gboolean
is_watched (void)
{
  if (!is_under_valgrind ())
    return FALSE;
  g_test_skip ("what threads that are not in the copy had in hand is no leak");
  return TRUE;
}

static void
test_first_call (void)
{
  if (is_watched ())
    return;
  run_apart (fork_at_first_call);
}

/* Whose end of a ring is let go of under the hub's lock. */
static gpointer
free_ring (gpointer ring)
{
  __atomic_store_n (&other_tid, get_tid (), __ATOMIC_SEQ_CST);
  mp_hub_lock ();
  mp_ring_free (ring);
  mp_hub_unlock ();
  return NULL;
}

static void
fork_beside_ring (int socket)
{
  g_autoptr(GError) error = NULL;
  MpRing *ring = mp_ring_new (4096, &error);
  pid_t pid;

  g_assert_no_error (error);
  disturb_fork (free_ring, ring);
  g_assert_true (mp_ring_take_end (ring, MP_RING_WRITER, NULL));

  pid = fork ();
  if (pid == 0)
    {
      /* It works here as well. */
      mp_hub_lock ();
      g_assert_true (mp_ring_take_end (ring, MP_RING_READER, NULL));
      mp_ring_free (ring);
      mp_hub_unlock ();
      _exit (0);
    }
  g_assert_cmpint (wait_status (pid), ==, 0);
  g_thread_join (other);
}

static void
test_ring (void)
{
  if (is_watched ())
    return;
  run_apart (fork_beside_ring);
}

/* What waits is the parent's: the copy may end it by its copy of the cancellable, and has nothing to be told. */
static void
cancel_in_child (int socket)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) first = NULL, second = NULL, third = NULL;
  g_autoptr(GMainContext) context = NULL;
  pid_t pid;

  end_with_parent ();
  shared = mp_lock_new ();
  acquire (shared);
  mp_lock_acquire_async (shared, cancellable, result_cb, &first);
  mp_lock_acquire_async (shared, cancellable, result_cb, &second);

  pid = fork ();
  if (pid == 0)
    {
      alarm (g_getenv ("MP_TESTS_SLOW") != NULL ? 60 : 10);
      g_cancellable_cancel (cancellable);
      g_assert_cmpuint (mp_async_count (), ==, 0);
      /* Of GLib's default context the two have one wake-up between them. */
      context = g_main_context_new ();
      g_main_context_push_thread_default (context);
      mp_lock_acquire_async (shared, NULL, result_cb, &third);
      g_assert_cmpuint (mp_async_count (), ==, 1);
      g_assert_true (mp_lock_release (shared, NULL));
      while (third == NULL)
        g_main_context_iteration (context, TRUE);
      finish (shared, &third);
      g_assert_null (first);
      g_assert_null (second);
      release (shared);
      leave ();
    }
  finish (shared, &first);
  release (shared);
  finish (shared, &second);
  release (shared);
  wait_well (pid);
}

static void
test_cancel_in_child (void)
{
  if (is_watched ())
    return;
  run_apart (cancel_in_child);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/ground-fork/first-call", test_first_call);
  g_test_add_func ("/ground-fork/ring", test_ring);
  g_test_add_func ("/ground-fork/cancel-in-child", test_cancel_in_child);
  return g_test_run ();
}
