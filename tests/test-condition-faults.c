/* test-condition-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "condition-test.h"
#include "mp-glib/arena/mp-holdings-private.h"
#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/sync/mp-condition-private.h"

/* Conditions whose waiters, notifiers and owners die; asynchronous waits; what travels. */

/* Tells how long it took. */
static void
wait_and_tell_time (int socket)
{
  g_autoptr(GError) error = NULL;
  gint64 begin = 0;

  end_with_parent ();
  lock ();
  mp_condition_wait (condition, LONG, NULL, &error);
  g_assert_no_error (error);
  begin = g_get_monotonic_time ();
  unlock ();
  tell (socket, begin);
  hear (socket);
}

static Peer
waiter_start (guint n_waiting)
{
  Peer peer = peer_start (wait_and_tell_time);

  await_waiting (n_waiting);
  await_asleep (peer.pid, peer.pid);
  return peer;
}

/* Released, within a second after @since. */
static void
waiter_join (Peer   *peer,
             gint64  since)
{
  gint64 end = hear (peer->socket);

  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    g_assert_cmpint (end - since, <, AT_MOST_US);
  tell (peer->socket, 1);
  peer_join (peer);
}

static void
check_times_out (void)
{
  g_autoptr(GError) error = NULL;

  lock ();
  g_assert_cmpuint (mp_condition_get_n_waiting (condition), ==, 0);
  g_assert_false (mp_condition_wait (condition, 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  unlock ();
}

/* One that sleeps dies: perhaps it was to be notified. */
static void
test_waiter_killed (void)
{
  G_GNUC_UNUSED g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  Peer first = waiter_start (1), second = waiter_start (2);
  gint64 begin = g_get_monotonic_time ();

  peer_kill (&first);
  waiter_join (&second, begin);
  check_times_out ();
}

/* Nobody else waits, nobody notifies: one only asks how many there are. */
static void
test_waiter_killed_alone (void)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  Peer peer = waiter_start (1);
  gint64 deadline = g_get_monotonic_time () + LONG;

  peer_kill (&peer);
  while (mp_condition_get_n_waiting (own) != 0)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_usleep (1000);
    }
  check_times_out ();
}

static guint
count_tokens (void)
{
  guint64 state[2];

  mp_cell_read_state (&condition->parent_instance.sync.slot, state);
  return state[0] >> 14 & 0x3fff;
}

/* It was notified, and has not got the lock yet: it was to do something, and now another one is. */
static void
test_notified_killed (void)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  Peer first = waiter_start (1), second = waiter_start (2);
  gint64 begin = 0;

  lock ();
  kill (second.pid, SIGSTOP);
  g_assert_true (mp_condition_notify (own, 1, NULL));
  while (count_tokens () != 0)
    g_thread_yield ();
  peer_kill (&first);
  kill (second.pid, SIGCONT);
  begin = g_get_monotonic_time ();
  unlock ();
  waiter_join (&second, begin);
  check_times_out ();
}

static void
notify_with_lock_and_stay (int socket)
{
  end_with_parent ();
  lock ();
  tell (socket, 1);
  pause ();
}

static gboolean
is_abandoned (MpCondition *self)
{
  return MP_IS_RLOCK (self->lock) ? mp_rlock_is_abandoned ((MpRLock *) self->lock) :
         mp_lock_is_abandoned ((MpLock *) self->lock);
}

/* The lock's owner dies, perhaps between a change and its notification. */
static void
check_owner_killed (MpShareable *the_lock)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (the_lock);

  /* The second time it is abandoned already. */
  for (guint i = 0; i < 2; i++)
    {
      Peer waiters[2] = { waiter_start (1), waiter_start (2) };
      Peer owner = peer_start (notify_with_lock_and_stay);
      gint64 begin = 0;

      g_assert_cmpuint (hear (owner.socket), ==, 1);
      begin = g_get_monotonic_time ();
      peer_kill (&owner);
      for (guint k = 0; k < G_N_ELEMENTS (waiters); k++)
        waiter_join (&waiters[k], begin);
      g_assert_true (is_abandoned (own));
    }
  check_times_out ();
}

static void
test_owner_killed (void)
{
  g_autoptr(MpLock) plain = mp_lock_new ();

  check_owner_killed (NULL);
  check_owner_killed (MP_SHAREABLE (plain));
}

/* Until the lock is marked consistent each notification is one for all. */
static void
test_abandoned (void)
{
  g_autoptr(MpLock) plain = mp_lock_new ();
  g_autoptr(MpCondition) own = condition = mp_condition_new (MP_SHAREABLE (plain));
  Peer owner = peer_start (notify_with_lock_and_stay);
  Peer waiters[2];

  g_assert_cmpuint (hear (owner.socket), ==, 1);
  peer_kill (&owner);
  lock ();
  unlock ();
  waiters[0] = waiter_start (1);
  waiters[1] = waiter_start (2);
  notify (1);
  for (guint i = 0; i < G_N_ELEMENTS (waiters); i++)
    waiter_join (&waiters[i], g_get_monotonic_time ());

  lock ();
  g_assert_true (mp_lock_mark_consistent (plain, NULL));
  unlock ();
  waiters[0] = waiter_start (1);
  waiters[1] = waiter_start (2);
  notify (1);
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 1);
  notify (1);
  for (guint i = 0; i < G_N_ELEMENTS (waiters); i++)
    waiter_join (&waiters[i], g_get_monotonic_time ());
}

/* Who has it by the index of one who died. */
static void
test_index_reused (void)
{
  G_GNUC_UNUSED g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);

  for (guint i = 0; i < 5; i++)
    {
      Peer peer = waiter_start (1);
      GPollFD heard = { -1, G_IO_IN, 0 };

      peer_kill (&peer);
      /* The next one has its index, perhaps: then what was counted goes when it comes, else it is released by that. */
      peer = peer_start (wait_and_tell_time);
      heard.fd = peer.socket;
      while (g_poll (&heard, 1, 10) == 0)
        notify (1);
      waiter_join (&peer, g_get_monotonic_time ());
    }
  check_times_out ();
}

static void
write_word (guint64 word)
{
  const guint64 state[2] = { word, 0 };

  g_assert_cmpint (mp_cell_try_take (&condition->parent_instance.sync.slot), ==, MP_CELL_TAKEN);
  mp_cell_write_state (&condition->parent_instance.sync.slot, state);
  mp_cell_give_back (&condition->parent_instance.sync.slot);
}

/* The counts of merges come to their end while somebody still waits in the first group. */
static void
test_counts_go_round (void)
{
  for (guint n_merges = 2044; n_merges <= 2047; n_merges++)
    {
      G_GNUC_UNUSED g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
      Peer waiters[4];

      write_word ((guint64) n_merges << 42 | (guint64) 2047 << 53);
      waiters[0] = waiter_start (1);
      waiters[1] = waiter_start (2);
      notify (1);
      for (guint i = 2; i < G_N_ELEMENTS (waiters); i++)
        {
          waiters[i] = peer_start (wait_and_tell_time);
          await_asleep (waiters[i].pid, waiters[i].pid);
          notify (2);
        }
      notify (100);
      for (guint i = 0; i < G_N_ELEMENTS (waiters); i++)
        waiter_join (&waiters[i], g_get_monotonic_time ());
      check_times_out ();
    }
}

/* The same, and nearly at the count at which it came. */
static void
test_counts_come_again (void)
{
  G_GNUC_UNUSED g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  Peer waiters[3];
  guint64 word[2];

  write_word ((guint64) 2047 << 42);
  waiters[0] = waiter_start (1);
  waiters[1] = waiter_start (2);
  kill (waiters[1].pid, SIGSTOP);
  notify (1);
  waiter_join (&waiters[0], g_get_monotonic_time ());
  mp_cell_read_state (&condition->parent_instance.sync.slot, word);
  g_assert_cmpuint (word[0], ==, 1);
  write_word (1 | (guint64) 2046 << 42);
  waiters[2] = waiter_start (2);
  notify (2);
  kill (waiters[1].pid, SIGCONT);
  waiter_join (&waiters[1], g_get_monotonic_time ());
  waiter_join (&waiters[2], g_get_monotonic_time ());
  check_times_out ();
}

static void
test_full (void)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  g_autoptr(GError) error = NULL;

  write_word (MP_CONDITION_MAX_WAITING);
  lock ();
  g_assert_false (mp_condition_wait (own, 0, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  g_assert_cmpstr (error->message, ==, "condition wait: 16383 wait already");
  unlock ();
}

/* Whatever is in the memory. */
static void
test_damaged (void)
{
  for (guint i = 0; i < 200; i++)
    {
      g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
      const guint64 state[2] = { (guint64) g_test_rand_int () << 32 | (guint32) g_test_rand_int (),
                                 (guint64) g_test_rand_int () << 32 | (guint32) g_test_rand_int () };

      mp_cell_try_take (&own->parent_instance.sync.slot);
      mp_cell_write_state (&own->parent_instance.sync.slot, state);
      mp_cell_give_back (&own->parent_instance.sync.slot);
      lock ();
      mp_condition_get_n_waiting (own);
      mp_condition_wait (own, 0, NULL, NULL);
      g_assert_true (mp_condition_notify (own, 7, NULL));
      mp_condition_wait (own, 10, NULL, NULL);
      g_assert_true (mp_condition_notify_all (own, NULL));
      unlock ();
    }
}

/* Asynchronous waits. */

static void
begin_wait (GCancellable  *cancellable,
            GAsyncResult **result)
{
  lock ();
  mp_condition_wait_async (condition, cancellable, result_cb, result);
}

/* Released, and the lock is had. */
static void
finish_wait (GAsyncResult **result)
{
  g_autoptr(GError) error = NULL;

  await_result (result);
  g_assert_true (mp_condition_wait_finish (condition, *result, &error));
  g_assert_no_error (error);
  unlock ();
  g_clear_object (result);
}

static void
notify_one (int socket)
{
  end_with_parent ();
  notify (1);
}

static void
notify_everybody (int socket)
{
  end_with_parent ();
  lock ();
  g_assert_true (mp_condition_notify_all (condition, NULL));
  unlock ();
}

static void
check_async (MpShareable *the_lock)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (the_lock);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) first = NULL;
  g_autoptr(GAsyncResult) second = NULL;
  g_autoptr(GAsyncResult) third = NULL;
  g_autoptr(GError) error = NULL;

  begin_wait (NULL, &first);
  begin_wait (cancellable, &second);
  begin_wait (NULL, &third);
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 3);
  g_cancellable_cancel (cancellable);
  await_result (&second);
  g_assert_false (mp_condition_wait_finish (own, second, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_clear_object (&second);
  /* With the lock, whatever the result. */
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 2);
  unlock ();

  run_apart (notify_one);
  finish_wait (&first);
  g_assert_null (third);
  g_assert_cmpuint (mp_condition_get_n_waiting (own), ==, 1);
  begin_wait (NULL, &first);
  run_apart (notify_everybody);
  /* In their order. */
  finish_wait (&third);
  finish_wait (&first);
  check_times_out ();
}

static void
test_async (void)
{
  g_autoptr(MpLock) plain = mp_lock_new ();

  check_async (NULL);
  check_async (MP_SHAREABLE (plain));
}

static void
test_async_refused (void)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  mp_condition_wait_async (own, NULL, result_cb, &result);
  g_assert_null (result);
  await_result (&result);
  g_assert_false (mp_condition_wait_finish (own, result, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  g_clear_object (&result);

  g_cancellable_cancel (cancellable);
  begin_wait (cancellable, &result);
  g_assert_cmpuint (mp_rlock_get_depth ((MpRLock *) own->lock), ==, 1);
  await_result (&result);
  g_assert_false (mp_condition_wait_finish (own, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  unlock ();
  check_times_out ();
}

/* The death of another waiter alone, and that of the lock's owner. */
static void
test_async_after_death (void)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  g_autoptr(GAsyncResult) result = NULL;
  Peer peer = waiter_start (1);

  begin_wait (NULL, &result);
  peer_kill (&peer);
  finish_wait (&result);

  begin_wait (NULL, &result);
  peer = peer_start (notify_with_lock_and_stay);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_kill (&peer);
  finish_wait (&result);
  g_assert_true (is_abandoned (own));
}

/* A callback that runs in a blocking wait of the same thread has the lock, and keeps it beside that. */
static void
test_async_and_blocking (void)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  MpRLock *rlock = (MpRLock *) own->lock;
  g_autoptr(GAsyncResult) result = NULL;

  lock ();
  lock ();
  mp_condition_wait_async (own, NULL, result_cb, &result);
  g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 0);
  run_apart (notify_one);
  lock ();
  while (result == NULL)
    {
      g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 1);
      mp_condition_wait (own, 1000, NULL, NULL);
    }
  g_assert_true (mp_condition_wait_finish (own, result, NULL));
  g_assert_cmpuint (mp_rlock_get_depth (rlock), ==, 3);
  unlock ();
  unlock ();
  unlock ();
  check_times_out ();
}

static void
fork_cb (GObject *source_object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GError) error = NULL;
  Peer *peer = user_data;
  int pair[2];

  g_assert_false (mp_condition_wait_finish (condition, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  unlock ();
  g_assert_no_errno (mp_socket_pair (pair, 0));
  peer->pid = fork ();
  g_assert_no_errno (peer->pid);
  peer->socket = pair[peer->pid == 0];
  close (pair[peer->pid != 0]);
}

/* In a callback that runs while it waits: the copy waits for nothing, and has the lock, too, when that is free. */
static void
test_fork_in_wait (void)
{
  g_autoptr(MpCondition) own = condition = mp_condition_new (NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  Peer peer = { -1, -1 };

  lock ();
  mp_condition_wait_async (own, cancellable, fork_cb, &peer);
  g_cancellable_cancel (cancellable);
  lock ();
  g_assert_false (mp_condition_wait (own, 3 * MP_CELL_SLICE_US, NULL, &error));
  g_assert_cmpint (peer.pid, >=, 0);
  if (peer.pid == 0)
    {
      g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
      g_assert_cmpstr (error->message, ==, "condition wait: this process is a copy of the one that waited");
      unlock ();
      tell (peer.socket, 1);
      leave ();
    }
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  unlock ();
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_join (&peer);
  check_times_out ();
}

/* One that is to be received as another one describes it. */

static MpShareable *
travel (GVariant *handle)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new ();
  g_autoptr(GVariant) arrived = NULL;
  g_autoptr(GError) error = NULL;
  MpShareable *result = NULL;
  MpEncoded encoded;
  gsize used = 0;

  g_assert_true (mp_value_encode (handle, &encoded, &error));
  for (guint i = 0; i < encoded.n_pieces; i++)
    g_byte_array_append (bytes, encoded.pieces[i].data, encoded.pieces[i].size);
  arrived = mp_value_decode (NULL, bytes->data, bytes->len, &used, (int *) (gpointer) encoded.fds->data,
                             encoded.fds->len, &error);
  g_assert_no_error (error);
  mp_encoded_clear (&encoded);
  result = mp_shareable_from_variant (arrived, &error);
  g_assert_no_error (error);
  return result;
}

static void
check_travels (MpCondition *own,
               gboolean     isolated)
{
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (own));
  g_autoptr(MpShareable) there = travel (handle);
  MpCondition *other = (MpCondition *) there;

  g_assert_true (MP_IS_CONDITION (there) && other != own);
  g_assert_true (G_OBJECT_TYPE (other->lock) == G_OBJECT_TYPE (own->lock) && other->lock != own->lock);
  g_assert_true (mp_slot_equal (&other->parent_instance.sync.slot, &own->parent_instance.sync.slot));
  g_assert_true (mp_slot_equal (&mp_condition_get_lock_sync (other)->slot, &mp_condition_get_lock_sync (own)->slot));
  g_assert_cmpint (mp_shareable_get_isolated (there), ==, isolated);
}

static void
test_travel (void)
{
  g_autoptr(MpLock) plain = mp_lock_new ();
  g_autoptr(MpLock) apart = mp_lock_new_isolated ();
  g_autoptr(MpCondition) usual = mp_condition_new (NULL);
  g_autoptr(MpCondition) given = mp_condition_new (MP_SHAREABLE (plain));
  g_autoptr(MpCondition) isolated = g_object_new (MP_TYPE_CONDITION, "isolated", TRUE, NULL);
  g_autoptr(MpCondition) both = g_object_new (MP_TYPE_CONDITION, "isolated", TRUE, "lock", apart, NULL);
  g_autoptr(MpCondition) half = g_object_new (MP_TYPE_CONDITION, "isolated", TRUE, "lock", plain, NULL);

  check_travels (usual, FALSE);
  check_travels (given, FALSE);
  check_travels (isolated, TRUE);
  check_travels (both, TRUE);
  check_travels (half, FALSE);
}

static void
check_forged (const char *state)
{
  g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new_parsed (state));
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_shareable_find_kind ("condition") (value, NULL, 0, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
}

static void
test_forged (void)
{
  g_autoptr(MpSemaphore) semaphore = mp_semaphore_new (1);
  g_autoptr(MpLock) plain = mp_lock_new ();
  G_GNUC_UNUSED g_autoptr(MpCondition) whole = condition = mp_condition_new (NULL);
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  MpShareable *locks[] = { MP_SHAREABLE (semaphore), MP_SHAREABLE (plain) };

  check_forged ("1");
  check_forged ("(<1>, <2>)");
  check_forged ("(<('lock', uint32 0, <1>)>, <2>)");
  check_forged ("(<('lock', uint32 1, <(uint64 1, uint64 2, uint32 3, uint32 4, uint16 1)>)>, <2>)");
  check_forged ("(<('condition', uint32 0, <(<1>, <2>)>)>, <2>)");
  /* A lock that is none; and a lock in the place of the condition. */
  for (guint i = 0; i < G_N_ELEMENTS (locks); i++)
    {
      g_autoptr(GVariant) lock = mp_shareable_describe_within (locks[i], fds, &error);
      g_autoptr(GVariant) own = mp_shareable_describe_within (i == 0 ? MP_SHAREABLE (condition) : locks[i], fds, &error);
      g_autoptr(GVariant) parts = NULL;
      g_autoptr(GVariant) state = NULL;

      g_assert_no_error (error);
      g_variant_get_child (own, 2, "v", &parts);
      if (i == 0)
        {
          g_autoptr(GVariant) both = g_steal_pointer (&parts);

          g_variant_get_child (both, 1, "v", &parts);
        }
      state = g_variant_ref_sink (g_variant_new ("(vv)", lock, parts));
      g_assert_null (mp_shareable_find_kind ("condition") (state, (int *) (gpointer) fds->data, fds->len, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      g_clear_error (&error);
    }
  close_fds ((int *) (gpointer) fds->data, fds->len);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();
  mp_sync_ensure_kinds ();

  g_test_add_func ("/condition-faults/waiter-killed", test_waiter_killed);
  g_test_add_func ("/condition-faults/waiter-killed-alone", test_waiter_killed_alone);
  g_test_add_func ("/condition-faults/notified-killed", test_notified_killed);
  g_test_add_func ("/condition-faults/owner-killed", test_owner_killed);
  g_test_add_func ("/condition-faults/abandoned", test_abandoned);
  g_test_add_func ("/condition-faults/index-reused", test_index_reused);
  g_test_add_func ("/condition-faults/counts-go-round", test_counts_go_round);
  g_test_add_func ("/condition-faults/counts-come-again", test_counts_come_again);
  g_test_add_func ("/condition-faults/full", test_full);
  g_test_add_func ("/condition-faults/damaged", test_damaged);
  g_test_add_func ("/condition-faults/async", test_async);
  g_test_add_func ("/condition-faults/async-refused", test_async_refused);
  g_test_add_func ("/condition-faults/async-after-death", test_async_after_death);
  g_test_add_func ("/condition-faults/async-and-blocking", test_async_and_blocking);
  g_test_add_func ("/condition-faults/fork-in-wait", test_fork_in_wait);
  g_test_add_func ("/condition-faults/travel", test_travel);
  g_test_add_func ("/condition-faults/forged", test_forged);

  return g_test_run ();
}
