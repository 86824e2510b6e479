/* mp-barrier.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-barrier.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-home-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/sync/mp-barrier-party-private.h"
#include "mp-glib/sync/mp-sync-object-private.h"

#include <pthread.h>

/**
 * MpBarrier:
 *
 * A place at which processes wait for each other.
 *
 * As Python's `multiprocessing.Barrier`: [method@Mp.Barrier.wait] waits until as many have come as the barrier has
 * parties; then all go on, and it can be used again at once. One of them can do something before, see
 * [method@Mp.Barrier.set_action].
 *
 * It travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable].
 *
 * ## Broken
 *
 * Either all who have come go on, or none: for these the barrier is broken, and their waits end with
 * `MP_ERROR_BROKEN_BARRIER`, as does every later one until [method@Mp.Barrier.reset]. It breaks
 *
 * - by [method@Mp.Barrier.abort], and by an action that fails;
 * - when a wait ends before its time: with its timeout, or by its cancellable;
 * - when a process that waits dies;
 * - when a process that has the barrier ends, in whatever way, and had not dropped it, that is, let go of all objects that
 *   stand for it: also the process that made it. One that the library has started drops all it has when its function
 *   returns without an error; a copy made by fork() has it from its first use of the barrier on;
 * - when every process that has the barrier waits, in as many calls as it has threads, and they are fewer than the parties.
 *   Half a second passes before this is held to be so, for an asynchronous call half a second in which its main loop
 *   turns. A process that it is being sent to counts as one that may come.
 *
 * That somebody has ended is seen within a fraction of a second.
 *
 * A process that was stopped is not dead: there the timeout or the cancellable ends a wait.
 *
 * ## Threads and contexts
 *
 * A barrier may be used in any thread; a party is a call, so several threads, and several calls of
 * [method@Mp.Barrier.wait_async], can be parties of one process, at most 1023. Callbacks run in the main context that was the
 * thread-default one of the call.
 *
 * Since: 0.1
 */

/* The user's. */
typedef struct
{
  gatomicrefcount ref_count;
  MpBarrierFunc   func;
  gpointer        user_data;    /* (owned) */
  GDestroyNotify  destroy;      /* (nullable) */
  MpHome          home;
} Action;

/* One that was interrupted by a signal, and is still counted. */
typedef struct
{
  GThread        *thread;       /* (not owned) */
  MpBarrierParty  party;
} Suspended;

struct _MpBarrier
{
  MpSyncObject parent_instance;

  guint            parties;     /* as asked for */
  pthread_mutex_t  lock;
  Action          *action;      /* (owned) (nullable): with the lock held */
  GSList          *suspended;   /* (owned) (element-type Suspended): with the lock held */
};

/* An asynchronous wait. */
typedef struct
{
  MpBarrierParty party;         /* first: it is what the tries get */
  Action        *action;        /* (owned) (nullable) */
  gint64        *turned_us;     /* (owned): MpBarrierParty.turned_us, a g_atomic_rc_box */
} Wait;

enum { PROP_0, PROP_PARTIES, PROP_N_WAITING, PROP_BROKEN, N_PROPS };
static GParamSpec *props[N_PROPS];

static const MpSyncKind barrier_kind = { "barrier", MP_SLOT_BARRIER, TRUE, MP_SLOT_MARKED };

G_DEFINE_FINAL_TYPE (MpBarrier, mp_barrier, MP_TYPE_SYNC_OBJECT)
MP_SYNC_DEFINE_KIND (mp_barrier, MP_TYPE_BARRIER, barrier_kind)

static MpSync *
get_sync (MpBarrier *self)
{
  return &self->parent_instance.sync;
}

static void
action_free (gpointer data)
{
  Action *self = data;

  if (self->destroy != NULL)
    self->destroy (self->user_data);
  mp_home_clear (&self->home);
  g_free (self);
}

static void
action_unref (Action *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count) || mp_home_try_free (&self->home, action_free, self))
    return;

  mp_hub_lock ();
  mp_hub_post (self->home.context, NULL, action_free, self, NULL);
  mp_hub_unlock ();
}

/* (transfer full) (nullable) */
static Action *
ref_action (MpBarrier *self)
{
  Action *action = NULL;

  pthread_mutex_lock (&self->lock);
  if (self->action != NULL)
    {
      action = self->action;
      g_atomic_ref_count_inc (&action->ref_count);
    }
  pthread_mutex_unlock (&self->lock);
  return action;
}

static MpSyncStep
withdraw (MpBarrier      *self,
          MpBarrierParty *party,
          MpBarrierCause  cause)
{
  MpSyncStep step;

  party->cause = cause;
  step = mp_sync_do_soon (get_sync (self), "barrier wait", mp_barrier_party_withdraw, party, sizeof *party, NULL);
  party->is_over = TRUE;
  return step;
}

static void
mp_barrier_begin (MpSyncObject *object)
{
  mp_holdings_commit_word (&object->sync.slot, ((MpBarrierWord) { .parties = MP_BARRIER (object)->parties }).word);
}

static void
mp_barrier_constructed (GObject *object)
{
  MpSync *sync = get_sync (MP_BARRIER (object));

  G_OBJECT_CLASS (mp_barrier_parent_class)->constructed (object);

  /* From here on this process has it. */
  if (mp_sync_is_usable (sync) && !mp_holdings_mark (&sync->slot))
    mp_sync_do_soon (sync, "barrier", mp_barrier_settle, NULL, 0, NULL);
}

static void
mp_barrier_finalize (GObject *object)
{
  MpBarrier *self = MP_BARRIER (object);

  for (GSList *link = self->suspended; link != NULL; link = link->next)
    withdraw (self, &((Suspended *) link->data)->party, MP_BARRIER_CANCELLED);
  g_slist_free_full (self->suspended, g_free);
  g_clear_pointer (&self->action, action_unref);
  pthread_mutex_destroy (&self->lock);

  G_OBJECT_CLASS (mp_barrier_parent_class)->finalize (object);
}

static void
mp_barrier_get_property (GObject    *object,
                         guint       prop_id,
                         GValue     *value,
                         GParamSpec *pspec)
{
  MpBarrier *self = MP_BARRIER (object);

  switch (prop_id)
    {
    case PROP_PARTIES:
      g_value_set_uint (value, mp_barrier_get_parties (self));
      break;
    case PROP_N_WAITING:
      g_value_set_uint (value, mp_barrier_get_n_waiting (self));
      break;
    case PROP_BROKEN:
      g_value_set_boolean (value, mp_barrier_is_broken (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_barrier_set_property (GObject      *object,
                         guint         prop_id,
                         const GValue *value,
                         GParamSpec   *pspec)
{
  switch (prop_id)
    {
    case PROP_PARTIES:
      MP_BARRIER (object)->parties = g_value_get_uint (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_barrier_class_init (MpBarrierClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  MpSyncObjectClass *sync_class = (MpSyncObjectClass *) klass;

  object_class->constructed = mp_barrier_constructed;
  object_class->finalize = mp_barrier_finalize;
  object_class->get_property = mp_barrier_get_property;
  object_class->set_property = mp_barrier_set_property;
  sync_class->kind = &barrier_kind;
  sync_class->begin = mp_barrier_begin;

  /**
   * MpBarrier:parties: (getter get_parties)
   *
   * How many have to come.
   *
   * Since: 0.1
   */
  props[PROP_PARTIES] = g_param_spec_uint ("parties", NULL, NULL, 1, MP_BARRIER_MAX_PARTIES, 1,
                                           G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * MpBarrier:n-waiting: (getter get_n_waiting)
   *
   * How many have come and wait for the others.
   *
   * It changes without notification.
   *
   * Since: 0.1
   */
  props[PROP_N_WAITING] = g_param_spec_uint ("n-waiting", NULL, NULL, 0, MP_BARRIER_MAX_PARTIES, 0,
                                             G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  /**
   * MpBarrier:broken: (getter is_broken)
   *
   * Whether nobody can come before a [method@Mp.Barrier.reset].
   *
   * It changes without notification.
   *
   * Since: 0.1
   */
  props[PROP_BROKEN] = g_param_spec_boolean ("broken", NULL, NULL, FALSE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_barrier_init (MpBarrier *self)
{
  pthread_mutex_init (&self->lock, NULL);
}

/**
 * mp_barrier_new:
 * @parties: how many have to come; from 1 to 16383
 *
 * Makes a barrier.
 *
 * Returns: (transfer full): a barrier
 *
 * Since: 0.1
 */
MpBarrier *
mp_barrier_new (guint parties)
{
  g_return_val_if_fail (parties > 0, NULL);
  g_return_val_if_fail (parties <= MP_BARRIER_MAX_PARTIES, NULL);

  return g_object_new (MP_TYPE_BARRIER, "parties", parties, NULL);
}

/* Now and then also with a look at who has died: perhaps nobody waits who would do that. */
static MpBarrierWord
read_word (MpBarrier *self)
{
  MpSync *sync = get_sync (self);
  guint64 state[2] = { 0 };
  gint64 now = g_get_monotonic_time ();

  if (!mp_sync_is_usable (sync))
    return (MpBarrierWord) { .parties = self->parties };

  if (now - __atomic_load_n (&sync->settled_us, __ATOMIC_RELAXED) >= MP_CELL_SLICE_US &&
      mp_cell_take_quickly (&sync->slot))
    {
      __atomic_store_n (&sync->settled_us, now, __ATOMIC_RELAXED);
      mp_sync_do_inside (sync, mp_barrier_settle, NULL, NULL);
    }
  mp_cell_read_state (&sync->slot, state);
  return (MpBarrierWord) { state[0] };
}

/**
 * mp_barrier_get_parties: (get-property parties)
 * @self: a barrier
 *
 * Gets how many have to come.
 *
 * Returns: the number
 *
 * Since: 0.1
 */
guint
mp_barrier_get_parties (MpBarrier *self)
{
  g_return_val_if_fail (MP_IS_BARRIER (self), 0);

  return read_word (self).parties;
}

/**
 * mp_barrier_get_n_waiting: (get-property n-waiting)
 * @self: a barrier
 *
 * Gets how many have come and wait for the others. By the time that one looks at the answer it may be another one.
 *
 * Returns: the number
 *
 * Since: 0.1
 */
guint
mp_barrier_get_n_waiting (MpBarrier *self)
{
  g_return_val_if_fail (MP_IS_BARRIER (self), 0);

  return read_word (self).waiting;
}

/**
 * mp_barrier_is_broken: (get-property broken)
 * @self: a barrier
 *
 * Gets whether the barrier is broken: nobody can come before a [method@Mp.Barrier.reset].
 *
 * Returns: whether it is
 *
 * Since: 0.1
 */
gboolean
mp_barrier_is_broken (MpBarrier *self)
{
  g_return_val_if_fail (MP_IS_BARRIER (self), FALSE);

  return read_word (self).broken;
}

/**
 * mp_barrier_set_action:
 * @self: a barrier
 * @action: (nullable) (scope notified) (closure user_data) (destroy destroy): what is to be done, or `NULL`
 * @user_data: data for @action
 * @destroy: (nullable): frees @user_data
 *
 * Sets what is done when all have come, before any of them goes on.
 *
 * It is done by the one who comes last, if an action was set for the object that it waits with: the action does not travel
 * with the barrier. In [method@Mp.Barrier.wait] it is called from within that call; after
 * [method@Mp.Barrier.wait_async], in the main context of the call, before the callback. When it fails, or its process
 * dies meanwhile, the barrier breaks; its error is that of the last one's wait. It must not wait at the barrier itself. That
 * it was called does not say that all go on: somebody else may break the barrier while it runs.
 *
 * It counts for the waits that begin from now on. @destroy is called in the main context that is thread-default here.
 *
 * Since: 0.1
 */
void
mp_barrier_set_action (MpBarrier      *self,
                       MpBarrierFunc   action,
                       gpointer        user_data,
                       GDestroyNotify  destroy)
{
  Action *fresh = NULL;
  Action *old = NULL;

  g_return_if_fail (MP_IS_BARRIER (self));

  if (action != NULL)
    {
      fresh = g_new0 (Action, 1);
      g_atomic_ref_count_init (&fresh->ref_count);
      fresh->func = action;
      fresh->user_data = user_data;
      fresh->destroy = destroy;
      mp_home_init (&fresh->home);
    }

  pthread_mutex_lock (&self->lock);
  old = self->action;
  self->action = fresh;
  pthread_mutex_unlock (&self->lock);
  if (old != NULL)
    action_unref (old);
}

/* All have come, and this one is the last: in the context in which actions run. The cell is not waited for longer than for
 * the others. */
static gboolean
act (MpBarrier       *self,
     MpBarrierParty  *party,
     Action          *action,
     gint64           deadline,
     GCancellable    *cancellable,
     GError         **error)
{
  MpSync *sync = get_sync (self);
  gint64 left = 0;
  GError *failure = NULL;

  /* Broken meanwhile, it is no longer called for. */
  if (read_word (self).round == party->round && !action->func (self, action->user_data, &failure))
    {
      if (failure == NULL)
        failure = g_error_new_literal (MP_ERROR, MP_ERROR_FAILED, "barrier wait: the action failed");
      withdraw (self, party, MP_BARRIER_ACTION);
      g_propagate_error (error, failure);
      return FALSE;
    }

  g_clear_error (&failure);
  left = mp_deadline_left (deadline);
  if (mp_sync_enter (sync, party, "barrier wait", left < 0 ? -1 : MAX (left, MP_SYNC_ENTER_US), cancellable, error))
    return mp_sync_do_inside (sync, mp_barrier_party_conclude, party, error) == MP_SYNC_DONE;

  withdraw (self, party, MP_BARRIER_TIMED_OUT);
  return FALSE;
}

/* What the thread was at when it was interrupted, if it was; in a forked copy it was not. */
static gboolean
resume (MpBarrier      *self,
        MpBarrierParty *party)
{
  Suspended *found = NULL;
  gboolean resumes = FALSE;

  pthread_mutex_lock (&self->lock);
  for (GSList *link = self->suspended; link != NULL && found == NULL; link = link->next)
    if (((Suspended *) link->data)->thread == g_thread_self ())
      found = link->data;
  self->suspended = g_slist_remove (self->suspended, found);
  pthread_mutex_unlock (&self->lock);

  resumes = found != NULL && found->party.owner == mp_arena_get_self (get_sync (self)->slot.arena);
  if (resumes)
    *party = found->party;
  g_free (found);
  return resumes;
}

static void
suspend (MpBarrier            *self,
         const MpBarrierParty *party)
{
  Suspended *suspended = g_new0 (Suspended, 1);

  suspended->thread = g_thread_self ();
  suspended->party = *party;
  pthread_mutex_lock (&self->lock);
  self->suspended = g_slist_prepend (self->suspended, suspended);
  pthread_mutex_unlock (&self->lock);
}

/* The wait of @party has ended with @error. TRUE: it was passed all the same. */
static gboolean
give_up (MpBarrier      *self,
         MpBarrierParty *party,
         const GError   *error)
{
  gboolean is_cancelled = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  if (party->is_over || g_error_matches (error, MP_ERROR, MP_ERROR_INTERRUPTED))
    return FALSE;
  return withdraw (self, party, is_cancelled ? MP_BARRIER_CANCELLED : MP_BARRIER_TIMED_OUT) == MP_SYNC_DONE;
}

/**
 * mp_barrier_wait:
 * @self: a barrier
 * @index: (out) (optional): the number of this one, from 0 to parties - 1, which no other one of those who go on has;
 *   the last one to come has the highest
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until all have come.
 *
 * While it waits, callbacks of the barrier's asynchronous calls that are due in a main context which this thread may acquire
 * are run.
 *
 * Errors: `MP_ERROR_BROKEN_BARRIER`, with the reason; `G_IO_ERROR_TIMED_OUT` and `G_IO_ERROR_CANCELLED`, also when
 * @cancellable was cancelled before: these break the barrier for the others; that of the action, if this one came last;
 * `MP_ERROR_FULL` when 1023 of this process wait; `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor
 * for the barrier.
 *
 * `MP_ERROR_INTERRUPTED` (see [func@Mp.set_interrupt_fd]) is not the end of the wait: this one still counts, if it had
 * come. The next call of this thread for this object goes on with it; when there will be none, break the barrier.
 *
 * Returns: whether all have come
 *
 * Since: 0.1
 */
gboolean
mp_barrier_wait (MpBarrier     *self,
                 guint         *index,
                 gint64         timeout_us,
                 GCancellable  *cancellable,
                 GError       **error)
{
  gint64 deadline = mp_deadline_after (timeout_us);
  MpBarrierParty party = { FALSE };
  Action *action = NULL;
  GError *failure = NULL;
  gboolean success = FALSE;

  g_return_val_if_fail (MP_IS_BARRIER (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!resume (self, &party))
    {
      action = ref_action (self);
      party.has_action = action != NULL;
    }

  success = mp_sync_wait (get_sync (self), self, "barrier wait", mp_barrier_party_wait, &party, timeout_us, cancellable,
                          &failure);
  if (success && party.acts)
    success = act (self, &party, action, deadline, cancellable, &failure);
  else if (!success && party.owner != 0 && g_error_matches (failure, MP_ERROR, MP_ERROR_INTERRUPTED))
    suspend (self, &party);
  else if (!success && give_up (self, &party, failure))
    {
      g_clear_error (&failure);
      success = TRUE;
    }

  if (action != NULL)
    action_unref (action);
  if (index != NULL)
    *index = success ? party.index : 0;
  if (failure != NULL)
    g_propagate_error (error, failure);
  return success;
}

static void
wait_free (gpointer data)
{
  Wait *self = data;

  g_clear_pointer (&self->action, action_unref);
  g_atomic_rc_box_release (self->turned_us);
  g_free (self);
}

/* MpPostFunc: the main loop has turned. */
static void
note_turn (gpointer turned_us)
{
  __atomic_store_n ((gint64 *) turned_us, g_get_monotonic_time (), __ATOMIC_RELEASE);
}

/* A call for @self: its context is known. */
static void
watch_loop (MpBarrier *self,
            Wait      *wait,
            GTask     *task)
{
  wait->turned_us = g_atomic_rc_box_new0 (gint64);
  wait->party.turned_us = wait->turned_us;
  mp_hub_lock ();
  mp_hub_post (g_task_get_context (task), self, note_turn, g_atomic_rc_box_acquire (wait->turned_us),
               (GDestroyNotify) g_atomic_rc_box_release);
  mp_hub_unlock ();
}

static void
wait_withdraw (MpSyncCall *call)
{
  Wait *wait = call->data;

  /* If it cannot be done now, wait_end() does it. */
  wait->party.cause = MP_BARRIER_CANCELLED;
  if (mp_sync_call_undo (call, mp_barrier_party_withdraw, FALSE))
    g_clear_error (&call->error);
}

static void
wait_end (MpSyncCall *call)
{
  MpBarrier *self = g_task_get_source_object (call->task);
  Wait *wait = call->data;

  if (call->error == NULL && wait->party.acts && g_cancellable_is_cancelled (g_task_get_cancellable (call->task)))
    call->error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "barrier wait: cancelled");
  else if (call->error == NULL && wait->party.acts)
    act (self, &wait->party, wait->action, 0, NULL, &call->error);
  if (call->error != NULL && give_up (self, &wait->party, call->error))
    g_clear_error (&call->error);
  g_clear_pointer (&wait->action, action_unref);
}

/**
 * mp_barrier_wait_async:
 * @self: a barrier
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when all have come, or the wait has ended
 * @user_data: data for @callback
 *
 * Waits without blocking until all have come: as [method@Mp.Barrier.wait], for ever.
 *
 * It has come, and counts, when this returns, or a moment later when somebody else is coming or going just then.
 * @callback runs once, in the thread-default main context of the caller, never from within this call. When @cancellable
 * is cancelled before all have come, the barrier breaks, and the result is `G_IO_ERROR_CANCELLED`; afterwards it has no
 * effect.
 *
 * Since: 0.1
 */
void
mp_barrier_wait_async (MpBarrier           *self,
                       GCancellable        *cancellable,
                       GAsyncReadyCallback  callback,
                       gpointer             user_data)
{
  MpSyncCall *call = NULL;
  Wait *wait = NULL;

  g_return_if_fail (MP_IS_BARRIER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  wait = g_new0 (Wait, 1);
  wait->action = ref_action (self);
  wait->party.has_action = wait->action != NULL;
  call = mp_sync_call_new (self, get_sync (self), "barrier wait", mp_barrier_wait_async, cancellable, callback, user_data);
  watch_loop (self, wait, call->task);
  g_task_set_task_data (call->task, wait, wait_free);
  call->try_func = mp_barrier_party_wait;
  call->data = wait;
  call->skips_line = TRUE;
  call->unordered = TRUE;
  call->withdraw = wait_withdraw;
  call->end = wait_end;
  /* It is broken when this returns, as it would be if this came later. */
  if (g_cancellable_is_cancelled (cancellable))
    withdraw (self, &wait->party, MP_BARRIER_CANCELLED);
  mp_sync_call_run (call);
}

/**
 * mp_barrier_wait_finish:
 * @self: a barrier
 * @result: what the callback got
 * @index: (out) (optional): the number of this one, as in [method@Mp.Barrier.wait]
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Barrier.wait_async] began.
 *
 * Returns: whether all have come
 *
 * Since: 0.1
 */
gboolean
mp_barrier_wait_finish (MpBarrier     *self,
                        GAsyncResult  *result,
                        guint         *index,
                        GError       **error)
{
  gboolean success = FALSE;

  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  success = g_task_propagate_boolean (G_TASK (result), error);
  if (index != NULL)
    *index = success ? ((Wait *) g_task_get_task_data (G_TASK (result)))->party.index : 0;
  return success;
}

/**
 * mp_barrier_reset:
 * @self: a barrier
 * @error: return location for an error
 *
 * Makes the barrier whole, and empty: for those who wait it is broken.
 *
 * Errors: `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the barrier.
 *
 * Returns: whether it is whole
 *
 * Since: 0.1
 */
gboolean
mp_barrier_reset (MpBarrier  *self,
                  GError    **error)
{
  g_return_val_if_fail (MP_IS_BARRIER (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_do (get_sync (self), "barrier reset", mp_barrier_mend, NULL, error) == MP_SYNC_DONE;
}

/**
 * mp_barrier_abort:
 * @self: a barrier
 * @error: return location for an error
 *
 * Breaks the barrier: for those who wait, and for all who come before a [method@Mp.Barrier.reset].
 *
 * Errors: as [method@Mp.Barrier.reset].
 *
 * Returns: whether it is broken
 *
 * Since: 0.1
 */
gboolean
mp_barrier_abort (MpBarrier  *self,
                  GError    **error)
{
  g_return_val_if_fail (MP_IS_BARRIER (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_do (get_sync (self), "barrier abort", mp_barrier_break, NULL, error) == MP_SYNC_DONE;
}
