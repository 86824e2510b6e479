/* test-lock.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"

#include "mp-glib/base/mp-hub-private.h"

#include <sys/resource.h>

static void
test_alone (void)
{
  MpLock *lock = mp_lock_new ();
  g_autoptr(GError) error = NULL;
  gint64 begin;

  g_assert_false (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  g_assert_true (mp_lock_acquire (lock, -1, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));

  /* Not recursive. */
  g_assert_false (mp_lock_try_acquire (lock));
  g_assert_false (mp_lock_acquire (lock, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  begin = g_get_monotonic_time ();
  g_assert_false (mp_lock_acquire (lock, 20000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 20000);
  g_clear_error (&error);

  g_assert_true (mp_lock_mark_consistent (lock, &error));
  g_assert_no_error (error);
  g_assert_true (mp_lock_release (lock, &error));
  g_assert_no_error (error);
  g_assert_false (mp_lock_is_locked (lock));
  g_assert_cmpuint (get_word (lock), ==, 0);

  g_assert_true (mp_lock_try_acquire (lock));
  g_assert_true (mp_lock_is_locked (lock));
  release (lock);
  g_assert_true (mp_lock_acquire (lock, 0, NULL, &error));
  g_assert_no_error (error);
  release (lock);
  g_assert_finalize_object (lock);
}

static void
test_not_locked (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_lock_release (lock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_cmpstr (error->message, ==, "lock release: it is not locked");
  g_clear_error (&error);
  g_assert_false (mp_lock_release (lock, NULL));
  g_assert_false (mp_lock_mark_consistent (lock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);

  /* It has no effect. */
  g_assert_true (mp_lock_try_acquire (lock));
  release (lock);
}

static void
test_cancelled_before (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_lock_acquire (lock, -1, cancellable, &error));
  g_assert_no_error (error);
  release (lock);

  g_cancellable_cancel (cancellable);
  g_assert_false (mp_lock_acquire (lock, -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (mp_lock_is_locked (lock));
}

typedef struct
{
  MpLock       *lock;
  GCancellable *cancellable;
  gint          tid;     /* atomic */
  GError       *error;
  gboolean      result;
} Waiter;

static gpointer
waiter_thread (gpointer data)
{
  Waiter *self = data;

  g_atomic_int_set (&self->tid, get_tid ());
  self->result = mp_lock_acquire (self->lock, LONG, self->cancellable, &self->error);
  return NULL;
}

static GThread *
waiter_start (Waiter *self)
{
  GThread *thread = g_thread_new ("waiter", waiter_thread, self);

  while (g_atomic_int_get (&self->tid) == 0)
    g_thread_yield ();
  await_asleep (getpid (), g_atomic_int_get (&self->tid));
  return thread;
}

static void
test_cancelled_meanwhile (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  Waiter waiter = { lock, cancellable, 0, NULL, FALSE };
  GThread *thread;
  gint64 begin;

  acquire (lock);
  thread = waiter_start (&waiter);
  begin = g_get_monotonic_time ();
  g_cancellable_cancel (cancellable);
  g_thread_join (thread);
  /* Woken for it, not found out at the end of a slice. */
  if (mp_futex_has_many () && g_getenv ("MP_TESTS_SLOW") == NULL)
    g_assert_cmpint (g_get_monotonic_time () - begin, <, MP_CELL_SLICE_US);
  g_assert_false (waiter.result);
  g_assert_error (waiter.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (waiter.error->message, ==, "lock acquire: cancelled");
  g_clear_error (&waiter.error);

  g_assert_true (mp_lock_is_locked (lock));
  release (lock);
  g_assert_true (mp_lock_try_acquire (lock));
  release (lock);
}

static void
wait_quietly (int socket)
{
  end_with_parent ();
  acquire (shared);
  tell (socket, 1);
  release (shared);
}

/* One who was woken, found the lock taken again and goes without it: it leaves word that others still sleep. */
static void
test_passed_on (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  Waiter waiter = { lock, cancellable, 0, NULL, FALSE };
  GThread *thread;
  Peer peer;

  acquire (lock);
  peer = peer_start (wait_quietly);
  await_asleep (peer.pid, peer.pid);
  thread = waiter_start (&waiter);
  /* As it is when somebody has taken it between the wake and the look. */
  __atomic_fetch_and (&mp_lock_get_slot (lock)->slot->word, ~(guint64) MP_CELL_WAITERS, __ATOMIC_SEQ_CST);
  g_cancellable_cancel (cancellable);
  g_thread_join (thread);
  g_assert_error (waiter.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&waiter.error);
  g_assert_cmpuint (get_word (lock) & MP_CELL_WAITERS, !=, 0);
  release (lock);
  hear (peer.socket);
  peer_join (&peer);
}

/* Two threads are two, as they are for any lock. */
static void
test_threads (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  Waiter waiter = { lock, NULL, 0, NULL, FALSE };
  GThread *thread;

  acquire (lock);
  thread = waiter_start (&waiter);
  g_assert_true (mp_lock_is_locked (lock));
  release (lock);
  g_thread_join (thread);
  g_assert_no_error (waiter.error);
  g_assert_true (waiter.result);

  /* The other thread's, which has ended: it is the process that has it. */
  g_assert_true (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  release (lock);
  g_assert_cmpuint (get_word (lock), ==, 0);
}

#define N_ROUNDS 20000

typedef struct
{
  MpLock *lock;
  guint64 count;
} Counter;

static gpointer
counting_thread (gpointer data)
{
  Counter *counter = data;
  guint i;

  for (i = 0; i < N_ROUNDS; i++)
    {
      acquire (counter->lock);
      counter->count++;
      release (counter->lock);
    }
  return NULL;
}

static void
test_counter (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  Counter counter = { lock, 0 };
  GThread *threads[4];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("counter", counting_thread, &counter);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (counter.count, ==, G_N_ELEMENTS (threads) * N_ROUNDS);
}

static void
test_locker (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GError) error = NULL;

  {
    g_autoptr(MpLockLocker) locker = mp_lock_locker_new (lock, &error);

    g_assert_no_error (error);
    g_assert_nonnull (locker);
    g_assert_true (mp_lock_is_locked (lock));
  }
  g_assert_false (mp_lock_is_locked (lock));
}

static void
release_and_go (int socket)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_lock_is_locked (shared));
  /* Not one that holds it. */
  g_assert_false (mp_lock_mark_consistent (shared, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  g_assert_false (mp_lock_try_acquire (shared));
  g_assert_true (mp_lock_release (shared, &error));
  g_assert_no_error (error);
  tell (socket, 1);
}

static void
test_released_by_other (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GError) error = NULL;
  Peer peer;

  acquire (lock);
  peer = peer_start (release_and_go);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  g_assert_false (mp_lock_is_locked (lock));
  peer_join (&peer);
  g_assert_false (mp_lock_is_abandoned (lock));
  g_assert_false (mp_lock_release (lock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
}

static void
test_processes (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  Peer owner = owner_start (), waiter;

  g_assert_true (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_try_acquire (lock));
  waiter = sleeper_start ();
  tell (owner.socket, 1);
  hear (waiter.socket);
  g_assert_cmpuint (hear (waiter.socket), ==, FALSE);
  hear (waiter.socket);
  peer_join (&owner);
  g_assert_true (mp_lock_is_locked (lock));
  tell (waiter.socket, 1);
  acquire (lock);
  peer_join (&waiter);
  release (lock);
}

/* Asynchronous calls. */

static void
test_async (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GAsyncResult) second = NULL;

  mp_lock_acquire_async (lock, NULL, result_cb, &result);
  g_assert_null (result);
  g_assert_true (mp_lock_is_locked (lock));
  finish (lock, &result);

  mp_lock_acquire_async (lock, NULL, result_cb, &result);
  mp_lock_acquire_async (lock, NULL, result_cb, &second);
  g_assert_cmpuint (mp_async_count (), ==, 2);
  g_main_context_iteration (NULL, FALSE);
  g_assert_null (result);
  release (lock);
  finish (lock, &result);
  g_assert_null (second);
  g_assert_true (mp_lock_is_locked (lock));
  release (lock);
  finish (lock, &second);
  release (lock);
  g_assert_cmpuint (mp_async_count (), ==, 0);

  /* Nobody to tell: the lock is held all the same. */
  mp_lock_acquire_async (lock, NULL, NULL, NULL);
  g_assert_true (mp_lock_is_locked (lock));
  while (g_main_context_iteration (NULL, FALSE))
    ;
  release (lock);
}

static void
test_async_from_other (void)
{
  g_autoptr(MpLock) lock = shared = mp_lock_new ();
  g_autoptr(GAsyncResult) result = NULL;
  Peer owner = owner_start ();

  mp_lock_acquire_async (lock, NULL, result_cb, &result);
  tell (owner.socket, 1);
  finish (lock, &result);
  g_assert_false (mp_lock_is_abandoned (lock));
  peer_join (&owner);
  release (lock);
}

static void
test_async_cancelled (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) first = NULL;
  g_autoptr(GAsyncResult) second = NULL;
  g_autoptr(GAsyncResult) third = NULL;
  g_autoptr(GError) error = NULL;

  acquire (lock);
  mp_lock_acquire_async (lock, cancellable, result_cb, &first);
  mp_lock_acquire_async (lock, NULL, result_cb, &second);
  g_cancellable_cancel (cancellable);
  g_assert_null (first);
  await_result (&first);
  g_assert_false (mp_lock_acquire_finish (lock, first, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (second);
  release (lock);
  finish (lock, &second);

  /* Before the call: not even when it is free. */
  release (lock);
  mp_lock_acquire_async (lock, cancellable, result_cb, &third);
  g_assert_null (third);
  await_result (&third);
  g_assert_false (mp_lock_acquire_finish (lock, third, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (mp_lock_is_locked (lock));
}

/* Whoever is first, the lock and the cancellable: the result says who has it. */
static void
test_async_cancel_race (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  guint n_acquired = 0, n_cancelled = 0, i;

  for (i = 0; i < 2000; i++)
    {
      g_autoptr(GCancellable) cancellable = g_cancellable_new ();
      g_autoptr(GAsyncResult) result = NULL;
      g_autoptr(GError) error = NULL;

      acquire (lock);
      mp_lock_acquire_async (lock, cancellable, result_cb, &result);
      release (lock);
      for (guint k = 0; k < i % 40 * 100; k++)
        __asm__ volatile ("" ::: "memory");
      g_cancellable_cancel (cancellable);
      await_result (&result);
      if (mp_lock_acquire_finish (lock, result, &error))
        {
          n_acquired++;
          release (lock);
        }
      else
        {
          n_cancelled++;
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        }
    }
  g_test_message ("%u acquired, %u cancelled", n_acquired, n_cancelled);
  g_assert_false (mp_lock_is_locked (lock));
  g_assert_cmpuint (mp_async_count (), ==, 0);
}

/* The lock is there, but nobody has been told of it: who calls it off now does not want it. */
static void
test_async_cancelled_late (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  acquire (lock);
  mp_lock_acquire_async (lock, cancellable, result_cb, &result);
  mp_hub_lock ();   /* without which nobody can be told */
  release (lock);
  while (mp_async_count () > 0)
    g_thread_yield ();
  g_assert_true (mp_lock_is_locked (lock));
  g_cancellable_cancel (cancellable);
  mp_hub_unlock ();
  await_result (&result);
  g_assert_false (mp_lock_acquire_finish (lock, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (mp_lock_is_locked (lock));
}

static void
release_cb (GObject      *object,
            GAsyncResult *result,
            gpointer      user_data)
{
  gboolean *called = user_data;
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_lock_acquire_finish (MP_LOCK (object), result, &error));
  g_assert_no_error (error);
  *called = TRUE;
  release (MP_LOCK (object));
}

static gpointer
release_soon (gpointer lock)
{
  release (lock);
  return NULL;
}

/* A script without a main loop: the blocking call runs what is due for its object, and that is what it waits for. */
static void
test_promise_five (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  gboolean called = FALSE;
  GThread *thread;

  /* Due already. */
  mp_lock_acquire_async (lock, NULL, release_cb, &called);
  acquire (lock);
  g_assert_true (called);

  /* Only when it sleeps. */
  called = FALSE;
  mp_lock_acquire_async (lock, NULL, release_cb, &called);
  thread = g_thread_new ("release", release_soon, lock);
  acquire (lock);
  if (!called)
    {
      /* The blocking call was first. */
      release (lock);
      while (!called)
        g_main_context_iteration (NULL, TRUE);
      acquire (lock);
    }
  g_thread_join (thread);
  release (lock);
}

static gpointer
async_thread (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  MpLock *lock = data;
  gboolean called = FALSE;

  g_main_context_push_thread_default (context);
  acquire (lock);
  mp_lock_acquire_async (lock, NULL, release_cb, &called);
  release (lock);
  while (!called)
    g_main_context_iteration (context, TRUE);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* Callbacks come where the call was made. */
static void
test_context (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  GThread *thread = g_thread_new ("async", async_thread, lock);

  g_thread_join (thread);
  g_assert_false (mp_lock_is_locked (lock));
}

#define N_PENDING 10000

static GPtrArray *order;

static void
order_cb (GObject      *object,
          GAsyncResult *result,
          gpointer      user_data)
{
  g_autoptr(GError) error = NULL;

  mp_lock_acquire_finish (MP_LOCK (object), result, &error);
  if (error != NULL)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  else
    release (MP_LOCK (object));
  g_ptr_array_add (order, user_data);
}

static void
test_many_pending (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  guint n_pending = g_getenv ("MP_TESTS_SLOW") != NULL ? 500 : N_PENDING;
  guint n_fds, n_threads, i;

  order = g_ptr_array_new ();
  acquire (lock);
  mp_lock_acquire_async (lock, NULL, order_cb, GUINT_TO_POINTER (0));
  n_fds = count_fds ();
  n_threads = count_threads ();
  for (i = 1; i < n_pending; i++)
    mp_lock_acquire_async (lock, NULL, order_cb, GUINT_TO_POINTER (i));
  g_assert_cmpuint (count_fds (), ==, n_fds);
  g_assert_cmpuint (count_threads (), ==, n_threads);
  g_assert_cmpuint (mp_async_count (), ==, n_pending);
  release (lock);
  while (order->len < n_pending)
    g_main_context_iteration (NULL, TRUE);
  for (i = 0; i < n_pending; i++)
    g_assert_cmpuint (GPOINTER_TO_UINT (order->pdata[i]), ==, i);

  /* And as many called off at once. */
  g_ptr_array_set_size (order, 0);
  acquire (lock);
  for (i = 0; i < n_pending; i++)
    mp_lock_acquire_async (lock, cancellable, order_cb, GUINT_TO_POINTER (i));
  g_assert_cmpuint (count_threads (), ==, n_threads);
  g_cancellable_cancel (cancellable);
  while (order->len < n_pending)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (mp_async_count (), ==, 0);
  g_assert_true (mp_lock_is_locked (lock));
  release (lock);
  g_clear_pointer (&order, g_ptr_array_unref);
}

/* Many arenas, more than one can sleep on at a time. */
static void
test_many_isolated (void)
{
  MpLock *locks[200];
  guint i;

  order = g_ptr_array_new ();
  for (i = 0; i < G_N_ELEMENTS (locks); i++)
    {
      locks[i] = mp_lock_new_isolated ();
      acquire (locks[i]);
      mp_lock_acquire_async (locks[i], NULL, order_cb, NULL);
    }
  for (i = 0; i < G_N_ELEMENTS (locks); i++)
    release (locks[i]);
  while (order->len < G_N_ELEMENTS (locks))
    g_main_context_iteration (NULL, TRUE);
  for (i = 0; i < G_N_ELEMENTS (locks); i++)
    g_assert_finalize_object (locks[i]);
  g_clear_pointer (&order, g_ptr_array_unref);
}

/* Memory. */

#define N_LOCKS 100000

static guint64
get_kib (const char *path,
         const char *name)
{
  g_autofree char *text = NULL;
  const char *line;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  line = strstr (text, name);
  return line != NULL ? g_ascii_strtoull (line + strlen (name), NULL, 10) : 0;
}

static void
test_many (void)
{
  guint n_locks = g_getenv ("MP_TESTS_SLOW") != NULL ? 2000 : N_LOCKS;
  g_autofree MpLock **locks = g_new (MpLock *, n_locks);
  guint n_fds, i;
  guint64 before, shared_before;

  locks[0] = mp_lock_new ();
  n_fds = count_fds ();
  before = get_kib ("/proc/self/status", "VmRSS:");
  shared_before = get_kib ("/proc/self/status", "RssShmem:");
  for (i = 1; i < n_locks; i++)
    locks[i] = mp_lock_new ();
  g_test_message ("%u locks: %" G_GUINT64_FORMAT " KiB, of which %" G_GUINT64_FORMAT " KiB shared", n_locks,
                  get_kib ("/proc/self/status", "VmRSS:") - before,
                  get_kib ("/proc/self/status", "RssShmem:") - shared_before);
  for (i = 0; i < n_locks; i++)
    g_assert_true (mp_lock_try_acquire (locks[i]));
  g_assert_cmpuint (count_fds (), <=, n_fds);
  g_assert_cmpuint (get_kib ("/proc/self/status", "RssShmem:") - shared_before, <=, 100 + n_locks * 64 / 1000);
  for (i = 0; i < n_locks; i++)
    release (locks[i]);
  for (i = 0; i < n_locks; i++)
    g_object_unref (locks[i]);
}

static void
check_reason (GError **error)
{
  g_assert_nonnull (*error);
  g_assert_nonnull (strstr ((*error)->message, g_strerror (EMFILE)));
  g_clear_error (error);
}

/* No descriptors are left: the lock exists, and says why it is of no use. */
static void
use_without_memory (int socket)
{
  g_autoptr(MpLock) lock = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  struct rlimit limit = { 0, 0 };
  gboolean isolated;

  getrlimit (RLIMIT_NOFILE, &limit);
  limit.rlim_cur = 0;
  setrlimit (RLIMIT_NOFILE, &limit);
  lock = mp_lock_new_isolated ();
  limit.rlim_cur = limit.rlim_max;
  setrlimit (RLIMIT_NOFILE, &limit);

  g_assert_false (mp_lock_acquire (lock, -1, NULL, &error));
  check_reason (&error);
  g_assert_false (mp_lock_try_acquire (lock));
  g_assert_false (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  g_assert_false (mp_lock_release (lock, &error));
  check_reason (&error);
  g_assert_false (mp_lock_mark_consistent (lock, &error));
  check_reason (&error);
  g_assert_null (mp_lock_locker_new (lock, &error));
  check_reason (&error);
  mp_lock_acquire_async (lock, NULL, result_cb, &result);
  await_result (&result);
  g_assert_false (mp_lock_acquire_finish (lock, result, &error));
  check_reason (&error);
  g_object_get (lock, "isolated", &isolated, NULL);
  g_assert_true (isolated);
  tell (socket, 1);
}

static void
test_without_memory (void)
{
  Peer peer = peer_start (use_without_memory);

  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_join (&peer);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/lock/alone", test_alone);
  g_test_add_func ("/lock/not-locked", test_not_locked);
  g_test_add_func ("/lock/cancelled-before", test_cancelled_before);
  g_test_add_func ("/lock/released-by-other", test_released_by_other);
  g_test_add_func ("/lock/processes", test_processes);
  g_test_add_func ("/lock/without-memory", test_without_memory);
  g_test_add_func ("/lock/cancelled-meanwhile", test_cancelled_meanwhile);
  g_test_add_func ("/lock/passed-on", test_passed_on);
  g_test_add_func ("/lock/threads", test_threads);
  g_test_add_func ("/lock/counter", test_counter);
  g_test_add_func ("/lock/locker", test_locker);
  g_test_add_func ("/lock/async", test_async);
  g_test_add_func ("/lock/async-from-other", test_async_from_other);
  g_test_add_func ("/lock/async-cancelled", test_async_cancelled);
  g_test_add_func ("/lock/async-cancelled-late", test_async_cancelled_late);
  g_test_add_func ("/lock/async-cancel-race", test_async_cancel_race);
  g_test_add_func ("/lock/promise-five", test_promise_five);
  g_test_add_func ("/lock/context", test_context);
  g_test_add_func ("/lock/many-pending", test_many_pending);
  g_test_add_func ("/lock/many-isolated", test_many_isolated);
  g_test_add_func ("/lock/many", test_many);

  return g_test_run ();
}
