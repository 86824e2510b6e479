/* test-lock-travel.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/sync/mp-lock-private.h"
#include "mp-glib/sync/mp-sync-object-private.h"

#include <signal.h>

/* Locks that go to other processes, and come back. */

static MpLock *
lock_of (GVariant *handle)
{
  g_autoptr(GError) error = NULL;
  MpShareable *object = mp_shareable_from_variant (handle, &error);

  g_assert_no_error (error);
  g_assert_true (MP_IS_LOCK (object));
  return MP_LOCK (object);
}

static GVariant *
handle_of (MpLock *lock)
{
  return mp_shareable_to_variant (MP_SHAREABLE (lock));
}

/* The same memory, and so the same state, in any state. */
static void
check_same (MpLock *a,
            MpLock *b)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_slot_equal (mp_lock_get_slot (a), mp_lock_get_slot (b)));
  g_assert_false (mp_lock_is_locked (a));
  g_assert_true (mp_lock_try_acquire (a));
  g_assert_true (mp_lock_is_locked (b));
  g_assert_false (mp_lock_try_acquire (b));
  g_assert_true (mp_lock_release (b, &error));
  g_assert_no_error (error);
  g_assert_false (mp_lock_is_locked (a));
}

/* Holds the lock of the first handle, and says so through the second, until it hears something. */
static GVariant *
hold (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) first = g_variant_get_child_value (args, 0);
  g_autoptr(GVariant) second = g_variant_get_child_value (args, 1);
  g_autoptr(MpLock) lock = lock_of (first);
  g_autoptr(GVariant) result = NULL;

  if (!mp_lock_acquire (lock, LONG, NULL, error))
    return NULL;
  result = wait_at_gate (second, NULL, error);
  if (result == NULL || !mp_lock_release (lock, error))
    return NULL;
  return g_steal_pointer (&result);
}

static GVariant *
hold_args (MpLock *lock,
           Gate   *gate)
{
  g_autoptr(GVariant) first = handle_of (lock);

  return g_variant_new ("(@h@h)", first, gate_handle (gate));
}

static GVariant *
make_lock (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpLock) lock = mp_lock_new ();

  if (g_variant_get_boolean (args) && !mp_lock_acquire (lock, -1, NULL, error))
    return NULL;
  return handle_of (lock);
}

/* Nobody keeps it but the process that is going to have it. */
static void
test_process_kept (void)
{
  MpLock *lock = mp_lock_new ();
  Gate gate = gate_new ();
  g_autoptr(MpProcess) process = mp_process_new (MP_FUNCTION (hold), hold_args (lock, &gate));
  g_autoptr(GError) error = NULL;

  g_object_add_weak_pointer (G_OBJECT (lock), (gpointer *) &lock);
  g_object_unref (lock);
  g_assert_nonnull (lock);
  g_assert_true (mp_process_start (process, LONG, NULL, &error));
  g_assert_no_error (error);
  /* Its arguments have left. */
  g_assert_null (lock);
  gate_await (&gate);
  gate_open (&gate);
  g_assert_true (mp_process_join (process, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
  gate_clear (&gate);
}

static void
test_pool (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  MpPool *pool = mp_pool_new (2);
  Gate gate = gate_new ();
  MpFuture *future = submit (pool, MP_FUNCTION (hold), hold_args (lock, &gate));
  g_autoptr(GError) error = NULL;
  int pid = gate_await (&gate);

  g_assert_true (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_try_acquire (lock));
  g_assert_false (mp_lock_mark_consistent (lock, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  gate_open (&gate);
  g_assert_cmpint (get_int (future), ==, pid);
  g_assert_false (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  g_object_unref (future);
  gate_clear (&gate);
  finish (pool);
}

static void
test_pool_killed (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  MpFuture *future = submit (pool, MP_FUNCTION (hold), hold_args (lock, &gate));
  g_autoptr(GVariant) none = NULL;
  g_autoptr(GError) error = NULL;

  kill (gate_await (&gate), SIGKILL);
  g_assert_true (mp_lock_acquire (lock, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (mp_lock_is_abandoned (lock));
  g_assert_true (mp_lock_mark_consistent (lock, &error));
  none = mp_future_get (future, LONG, NULL, &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  g_object_unref (future);
  gate_clear (&gate);
  finish (pool);
}

static void
test_and_back (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GVariant) handle = handle_of (lock);
  g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (echo), handle);
  g_autoptr(MpLock) same = lock_of (result);

  check_same (lock, same);
  check_same (same, lock);
  finish (pool);
  check_same (lock, same);
}

static void
test_process (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  Gate gate = gate_new ();
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (hold),
                                               "args", hold_args (lock, &gate), NULL);
  g_autoptr(GError) error = NULL;

  mp_process_start (process, LONG, NULL, &error);
  g_assert_no_error (error);
  gate_await (&gate);
  g_assert_true (mp_lock_is_locked (lock));
  gate_open (&gate);
  mp_process_join (process, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
  g_assert_false (mp_lock_is_locked (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  gate_clear (&gate);
}

static void
check_pipe (MpLock *lock)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  g_autoptr(MpLock) same = NULL;
  g_autoptr(GVariant) handle = handle_of (lock);
  g_autoptr(GVariant) message = NULL;
  g_autoptr(GError) error = NULL;

  mp_pipe_new (TRUE, &first, &second, &error);
  g_assert_no_error (error);
  mp_connection_send (first, g_variant_new_variant (handle), LONG, NULL, &error);
  g_assert_no_error (error);
  message = mp_connection_recv (second, LONG, NULL, &error);
  g_assert_no_error (error);
  same = lock_of (message);
  g_assert_true (same != lock);
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (same)) == mp_shareable_get_isolated (MP_SHAREABLE (lock)));
  check_same (lock, same);

  /* It lives on by any of them. */
  g_clear_pointer (&message, g_variant_unref);
  g_assert_true (mp_lock_try_acquire (same));
  g_assert_true (mp_lock_release (same, NULL));
}

static void
test_pipe (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();

  g_assert_false (mp_shareable_get_isolated (MP_SHAREABLE (lock)));
  check_pipe (lock);
}

static void
test_isolated (void)
{
  g_autoptr(MpLock) lock = mp_lock_new_isolated ();

  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (lock)));
  check_pipe (lock);
}

/* Many in one message: one descriptor is enough. */
static void
test_many (void)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  MpLock *locks[3000];
  GVariant *handles[G_N_ELEMENTS (locks)];
  g_autoptr(GVariant) message = NULL;
  g_autoptr(GError) error = NULL;
  guint i;

  for (i = 0; i < G_N_ELEMENTS (locks); i++)
    {
      locks[i] = mp_lock_new ();
      handles[i] = handle_of (locks[i]);
    }
  mp_pipe_new (TRUE, &first, &second, &error);
  mp_connection_send (first, g_variant_new_array (NULL, handles, G_N_ELEMENTS (handles)), LONG, NULL, &error);
  g_assert_no_error (error);
  message = mp_connection_recv (second, LONG, NULL, &error);
  g_assert_no_error (error);
  for (i = 0; i < G_N_ELEMENTS (locks); i++)
    {
      g_autoptr(GVariant) handle = g_variant_get_child_value (message, i);
      g_autoptr(MpLock) same = lock_of (handle);

      g_assert_true (mp_slot_equal (mp_lock_get_slot (locks[i]), mp_lock_get_slot (same)));
      g_variant_unref (handles[i]);
      g_object_unref (locks[i]);
    }
}

/* Made by a process that is gone. */
static void
test_orphan (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (make_lock), g_variant_new_boolean (FALSE));
  g_autoptr(GVariant) held = apply (pool, MP_FUNCTION (make_lock), g_variant_new_boolean (TRUE));
  g_autoptr(MpLock) lock = lock_of (result);
  g_autoptr(MpLock) held_lock = lock_of (held);
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GVariant) back = NULL;
  g_autoptr(MpLock) same = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_lock_is_locked (lock));
  g_assert_true (mp_lock_is_locked (held_lock));
  finish (pool);
  g_assert_true (mp_lock_try_acquire (lock));
  g_assert_false (mp_lock_is_abandoned (lock));
  g_assert_true (mp_lock_release (lock, &error));
  g_assert_true (mp_lock_acquire (held_lock, -1, NULL, &error));
  g_assert_true (mp_lock_is_abandoned (held_lock));

  /* It can still travel. */
  pool = mp_pool_new (1);
  handle = handle_of (lock);
  back = apply (pool, MP_FUNCTION (echo), handle);
  same = lock_of (back);
  check_same (lock, same);
  finish (pool);
}

/* What names a slot of another time, of another kind, or none. */
static void
check_forged (GVariant *state,
              int       fd)
{
  MpShareableAdopt adopt = mp_shareable_find_kind ("lock");
  g_autoptr(GError) error = NULL;
  int fds[1] = { mp_fd_dup (fd) };

  g_variant_ref_sink (state);
  g_assert_null (adopt (state, fds, 1, &error));
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  mp_fd_close (&fds[0]);
  g_variant_unref (state);
}

static void
test_forged (void)
{
  MpLock *lock = mp_lock_new ();
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  guint64 id[2];
  guint32 index, generation;
  guint16 kind;
  int fd;

  mp_sync_ensure_kinds ();
  state = MP_SHAREABLE_GET_IFACE (lock)->describe (MP_SHAREABLE (lock), fds, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (fds->len, ==, 1);
  fd = g_array_index (fds, int, 0);
  g_variant_get (state, "(ttuuq)", &id[0], &id[1], &index, &generation, &kind);
  check_forged (g_variant_new ("(ttuuq)", id[0], id[1], index, generation - 1, kind), fd);
  check_forged (g_variant_new ("(ttuuq)", id[0], id[1], index, generation + 1, kind), fd);
  check_forged (g_variant_new ("(ttuuq)", id[0], id[1], index, generation, MP_SLOT_TEST), fd);
  check_forged (g_variant_new ("(ttuuq)", id[0], id[1] + 1, index, generation, kind), fd);
  check_forged (g_variant_new ("(ttuuq)", id[0], id[1], G_MAXUINT32, generation, kind), fd);
  check_forged (g_variant_new ("(t)", id[0]), fd);
  g_assert_true (mp_lock_try_acquire (lock));
  g_assert_true (mp_lock_release (lock, NULL));
  mp_fd_close (&fd);
  g_object_unref (lock);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/lock-travel/pool", test_pool);
  g_test_add_func ("/lock-travel/pool-killed", test_pool_killed);
  g_test_add_func ("/lock-travel/and-back", test_and_back);
  g_test_add_func ("/lock-travel/process", test_process);
  g_test_add_func ("/lock-travel/process-kept", test_process_kept);
  g_test_add_func ("/lock-travel/pipe", test_pipe);
  g_test_add_func ("/lock-travel/isolated", test_isolated);
  g_test_add_func ("/lock-travel/many", test_many);
  g_test_add_func ("/lock-travel/orphan", test_orphan);
  g_test_add_func ("/lock-travel/forged", test_forged);

  return g_test_run ();
}
