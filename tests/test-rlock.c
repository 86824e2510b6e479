/* test-rlock.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"

static MpRLock *rlock;   /* of the test that runs: children made by fork() have it as well */

static void
take (void)
{
  g_autoptr(GError) error = NULL;

  mp_rlock_acquire (rlock, LONG, NULL, &error);
  g_assert_no_error (error);
}

static void
give (void)
{
  g_autoptr(GError) error = NULL;

  mp_rlock_release (rlock, &error);
  g_assert_no_error (error);
}

static gpointer
other_thread (gpointer data)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_rlock_try_acquire (rlock));
  g_assert_false (mp_rlock_acquire (rlock, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_false (mp_rlock_release (rlock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  g_assert_false (mp_rlock_mark_consistent (rlock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 0);
  g_assert_true (mp_rlock_is_locked (rlock));

  return NULL;
}

static void
other_process (int socket)
{
  other_thread (NULL);
}

static void
test_depth (void)
{
  g_autoptr(MpRLock) own = rlock = mp_rlock_new ();
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_rlock_release (own, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_cmpstr (error->message, ==, "rlock release: this thread does not have it");
  take ();
  take ();
  g_assert_true (mp_rlock_try_acquire (own));
  g_assert_cmpuint (mp_rlock_get_depth (own), ==, 3);
  give ();
  give ();
  g_thread_join (g_thread_new ("other", other_thread, NULL));
  run_apart (other_process);
  give ();
  g_assert_false (mp_rlock_is_locked (own));
  g_assert_cmpuint (mp_rlock_get_depth (own), ==, 0);
}

static void
take_twice_and_stay (int socket)
{
  end_with_parent ();
  take ();
  take ();
  tell (socket, mp_rlock_get_depth (rlock));
  pause ();
}

/* Not what the dead had: from one again. */
static void
test_killed (void)
{
  g_autoptr(MpRLock) own = rlock = mp_rlock_new ();
  g_autoptr(GError) error = NULL;
  Peer peer = peer_start (take_twice_and_stay);

  g_assert_cmpuint (hear (peer.socket), ==, 2);
  g_assert_false (mp_rlock_try_acquire (own));
  peer_kill (&peer);
  take ();
  g_assert_cmpuint (mp_rlock_get_depth (own), ==, 1);
  g_assert_true (mp_rlock_is_abandoned (own));
  g_assert_true (mp_rlock_mark_consistent (own, &error));
  g_assert_no_error (error);
  g_assert_false (mp_rlock_is_abandoned (own));
  give ();
  g_assert_false (mp_rlock_is_locked (own));
}

static void
count_up (int socket)
{
  end_with_parent ();
  for (guint i = 0; i < 5000; i++)
    {
      take ();
      take ();
      give ();
      give ();
    }
}

static void
test_crowd (void)
{
  g_autoptr(MpRLock) own = rlock = mp_rlock_new ();
  Peer peers[3];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (count_up);
  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_join (&peers[i]);
  g_assert_false (mp_rlock_is_locked (own));
}

static gpointer
take_and_give_thread (gpointer data)
{
  for (guint i = 0; i < 5000; i++)
    {
      take ();
      take ();
      g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 2);
      ++*(guint *) data;
      give ();
      give ();
    }
  return NULL;
}

static void
test_threads (void)
{
  G_GNUC_UNUSED g_autoptr(MpRLock) own = rlock = mp_rlock_new ();
  GThread *threads[3];
  guint count = 0, i;

  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("rlock", take_and_give_thread, &count);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (count, ==, 15000);
}

/* It belongs to the thread of the call, from the moment at which it is acquired. */
static void
test_async (void)
{
  g_autoptr(MpRLock) own = rlock = mp_rlock_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) first = NULL;
  g_autoptr(GAsyncResult) second = NULL;
  g_autoptr(GAsyncResult) third = NULL;
  g_autoptr(GError) error = NULL;
  Peer peer = peer_start (take_twice_and_stay);

  hear (peer.socket);
  mp_rlock_acquire_async (own, NULL, result_cb, &first);
  mp_rlock_acquire_async (own, cancellable, result_cb, &second);
  g_cancellable_cancel (cancellable);
  await_result (&second);
  g_assert_false (mp_rlock_acquire_finish (own, second, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  peer_kill (&peer);
  await_result (&first);
  g_assert_true (mp_rlock_acquire_finish (own, first, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (mp_rlock_get_depth (own), ==, 1);
  mp_rlock_acquire_async (own, NULL, result_cb, &third);
  g_assert_cmpuint (mp_rlock_get_depth (own), ==, 2);
  await_result (&third);
  give ();
  give ();
  g_assert_false (mp_rlock_is_locked (own));
}

/* An asynchronous call may get it for this thread while a blocking one waits for it: then both have it. */
static void
test_async_and_blocking (void)
{
  g_autoptr(MpRLock) own = rlock = mp_rlock_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  Peer peer = peer_start (take_twice_and_stay);

  hear (peer.socket);
  mp_rlock_acquire_async (own, NULL, result_cb, &result);
  peer_kill (&peer);
  g_assert_true (mp_rlock_acquire (own, LONG, NULL, &error));
  g_assert_no_error (error);
  give ();
  await_result (&result);
  g_assert_true (mp_rlock_acquire_finish (own, result, &error));
  g_assert_cmpuint (mp_rlock_get_depth (own), ==, 1);
  give ();
  g_assert_false (mp_rlock_is_locked (own));
}

static void
test_scope (void)
{
  g_autoptr(MpRLock) own = mp_rlock_new ();
  g_autoptr(GError) error = NULL;

  {
    g_autoptr(MpRLockLocker) locker = mp_rlock_locker_new (own, &error);

    g_assert_nonnull (locker);
    g_assert_cmpuint (mp_rlock_get_depth (own), ==, 1);
  }
  g_assert_false (mp_rlock_is_locked (own));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/rlock/depth", test_depth);
  g_test_add_func ("/rlock/killed", test_killed);
  g_test_add_func ("/rlock/crowd", test_crowd);
  g_test_add_func ("/rlock/threads", test_threads);
  g_test_add_func ("/rlock/async", test_async);
  g_test_add_func ("/rlock/async-and-blocking", test_async_and_blocking);
  g_test_add_func ("/rlock/scope", test_scope);

  return g_test_run ();
}
