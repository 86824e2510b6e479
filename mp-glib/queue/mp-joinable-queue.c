/* mp-joinable-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-joinable-queue.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/queue/mp-queue-private.h"
#include "mp-glib/queue/mp-tape-joinable-private.h"

/**
 * MpJoinableQueue:
 *
 * A queue of tasks, which knows which of them are finished.
 *
 * As Python's `multiprocessing.JoinableQueue`: each item that was put is unfinished until the process that has got it
 * says by [method@Mp.JoinableQueue.task_done] that it is done with it; and [method@Mp.JoinableQueue.join] waits until
 * nothing is unfinished. All else is as with [class@Mp.Queue].
 *
 * ## When a process dies
 *
 * An item stays in the memory of the queue until it is finished. What a process has got and not finished when it ends,
 * whatever the cause, is abandoned: [method@Mp.JoinableQueue.join] says so, in every process that waits, within a fraction
 * of a second, instead of waiting for ever. Then [method@Mp.JoinableQueue.put_back_abandoned] lets these items be got
 * again, before all others, or [method@Mp.JoinableQueue.give_up_abandoned] takes them for finished. An item that was
 * put back can be done twice, in part or wholly, if its process died between the work and `task_done`.
 *
 * Since: 0.1
 */
struct _MpJoinableQueue
{
  MpQueue        parent_instance;

  MpTapeSearched searched;   /* with the cell of the getting side */
};

enum { PROP_0, PROP_N_UNFINISHED, N_PROPS };
static GParamSpec *props[N_PROPS];

static const MpQueueKind joinable_kind = { "joinable queue", MP_SLOT_QUEUE, MP_TAPE_JOINABLE };

G_DEFINE_FINAL_TYPE (MpJoinableQueue, mp_joinable_queue, MP_TYPE_QUEUE)
MP_QUEUE_DEFINE_KIND (mp_joinable_queue, MP_TYPE_JOINABLE_QUEUE, joinable_kind)

static MpTape *
get_tape (MpJoinableQueue *self)
{
  return self->parent_instance.tape;
}

/* The side that gets, under whose cell everything is finished. */
static MpSync *
get_side (MpJoinableQueue *self)
{
  return &self->parent_instance.get_side.sync;
}

/* Those that wait for the end of the work. */
static MpSync *
join_side (MpJoinableQueue *self)
{
  return &self->parent_instance.join_side.sync;
}

static gboolean
is_all_finished (MpSync   *sync,
                 gpointer  data)
{
  return mp_tape_count_unfinished (mp_queue_of_side (sync)->tape) == 0;
}

static const MpSyncAcross join_across = { is_all_finished, NULL };

static void
mp_joinable_queue_constructed (GObject *object)
{
  MpJoinableQueue *self = MP_JOINABLE_QUEUE (object);
  MpQueue *queue = &self->parent_instance;

  G_OBJECT_CLASS (mp_joinable_queue_parent_class)->constructed (object);
  if (queue->tape != NULL)
    mp_queue_init_side (queue, &queue->join_side, &queue->tape->header->join_slot, &queue->tape->header->join_hint,
                        &join_across);
  else
    queue->join_side.sync.error = queue->error;
}

static void
mp_joinable_queue_get_property (GObject    *object,
                                guint       prop_id,
                                GValue     *value,
                                GParamSpec *pspec)
{
  switch (prop_id)
    {
    case PROP_N_UNFINISHED:
      g_value_set_uint (value, mp_joinable_queue_get_n_unfinished (MP_JOINABLE_QUEUE (object)));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_joinable_queue_class_init (MpJoinableQueueClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = mp_joinable_queue_constructed;
  object_class->get_property = mp_joinable_queue_get_property;
  klass->parent_class.kind = &joinable_kind;

  /**
   * MpJoinableQueue:n-unfinished: (getter get_n_unfinished)
   *
   * How many items have been put and not been finished.
   *
   * It changes without notification.
   *
   * Since: 0.1
   */
  props[PROP_N_UNFINISHED] = g_param_spec_uint ("n-unfinished", NULL, NULL, 0, G_MAXUINT, 0,
                                                G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_joinable_queue_init (MpJoinableQueue *self)
{
}

/**
 * mp_joinable_queue_new:
 * @max_items: how many items wait in it at most to be got; 0: any number
 * @max_bytes: how many bytes of them; 0: any number
 *
 * Makes a queue of tasks.
 *
 * What was got and is not finished takes memory, but does not count for the bounds.
 *
 * Returns: (transfer full): a queue
 *
 * Since: 0.1
 */
MpJoinableQueue *
mp_joinable_queue_new (guint   max_items,
                       guint64 max_bytes)
{
  return g_object_new (MP_TYPE_JOINABLE_QUEUE, "max-items", max_items, "max-bytes", max_bytes, NULL);
}

/* Under the cell of the getting side. */

typedef struct
{
  MpJoinableQueue *self;
  guint            n;
} Change;

static MpSyncStep
finish_one (MpSync    *sync,
            gboolean   settle,
            gpointer   data,
            int       *wake,
            GError   **error)
{
  MpJoinableQueue *self = data;

  if (!mp_tape_finish (get_tape (self), mp_arena_get_self (sync->slot.arena), &self->searched))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NOT_OWNER,
                   "queue task done: called more often than this process has got items");
      return MP_SYNC_FAILED;
    }
  return MP_SYNC_DONE;
}

static MpSyncStep
count_abandoned (MpSync    *sync,
                 gboolean   settle,
                 gpointer   data,
                 int       *wake,
                 GError   **error)
{
  Change *change = data;

  change->n = mp_tape_count_abandoned (get_tape (change->self), sync->slot.arena);
  return MP_SYNC_DONE;
}

static MpSyncStep
put_back_abandoned (MpSync    *sync,
                    gboolean   settle,
                    gpointer   data,
                    int       *wake,
                    GError   **error)
{
  Change *change = data;

  change->n = mp_tape_put_back_abandoned (get_tape (change->self), sync->slot.arena);
  *wake = change->n;
  return MP_SYNC_DONE;
}

static MpSyncStep
give_up_abandoned (MpSync    *sync,
                   gboolean   settle,
                   gpointer   data,
                   int       *wake,
                   GError   **error)
{
  Change *change = data;

  change->n = mp_tape_finish_abandoned (get_tape (change->self), sync->slot.arena);
  return MP_SYNC_DONE;
}

static guint
do_change (MpJoinableQueue *self,
           const char      *what,
           MpSyncTry        func)
{
  Change change = { self, 0 };

  mp_sync_do (get_side (self), what, func, &change, NULL);
  return change.n;
}

/* Those who wait for the end. */

static void
tell_the_end (MpJoinableQueue *self)
{
  if (mp_tape_count_unfinished (get_tape (self)) == 0)
    mp_sync_notice (join_side (self), G_MAXINT);
}

/* The cell of the getting side is had by others for some stores only; never to be slept for here. */
#define MAX_TRIES 1000

static guint
look_for_abandoned (MpJoinableQueue *self)
{
  MpSync *side = get_side (self);
  Change change = { self, 0 };
  MpCellResult result = MP_CELL_BUSY;
  int wake = 0;

  for (guint i = 0; i < MAX_TRIES && result == MP_CELL_BUSY; i++)
    result = mp_cell_try_take (&side->slot);
  if (result == MP_CELL_BUSY || result == MP_CELL_LOST)
    return 0;

  mp_sync_see_to (side);
  count_abandoned (side, TRUE, &change, &wake, NULL);
  mp_sync_leave (side);
  return change.n;
}

static MpSyncStep
join (MpSync    *sync,
      gboolean   settle,
      gpointer   data,
      int       *wake,
      GError   **error)
{
  MpJoinableQueue *self = data;
  guint n = 0;

  if (mp_tape_count_unfinished (get_tape (self)) == 0)
    return MP_SYNC_DONE;
  if (!settle || (n = look_for_abandoned (self)) == 0)
    return MP_SYNC_NOT_YET;

  g_set_error (error, MP_ERROR, MP_ERROR_WORKER_DIED, n == 1 ?
               "queue join: %u item was got by a process that has ended and not finished it" :
               "queue join: %u items were got by processes that have ended and not finished them", n);
  return MP_SYNC_FAILED;
}

/* Calls. */

/**
 * mp_joinable_queue_task_done:
 * @self: a queue
 * @error: return location for an error
 *
 * Says that the oldest item that this process has got is finished: the one that it got before all others that it has not
 * finished.
 *
 * When it was the last one, those who wait in [method@Mp.JoinableQueue.join] go on.
 *
 * Errors: `MP_ERROR_NOT_OWNER` when this process has nothing that is not finished.
 *
 * Returns: whether an item was finished
 *
 * Since: 0.1
 */
gboolean
mp_joinable_queue_task_done (MpJoinableQueue  *self,
                             GError          **error)
{
  g_return_val_if_fail (MP_IS_JOINABLE_QUEUE (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (mp_sync_do (get_side (self), "queue task done", finish_one, self, error) != MP_SYNC_DONE)
    return FALSE;

  tell_the_end (self);
  return TRUE;
}

/**
 * mp_joinable_queue_join:
 * @self: a queue
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until all items that were put are finished.
 *
 * While it waits, callbacks of the queue's asynchronous calls that are due in a main context which this thread may acquire
 * are run.
 *
 * Errors: `MP_ERROR_WORKER_DIED` when a process has ended that had got items and not finished them; as long as they are
 * neither put back nor given up. `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled
 * before; and `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `MP_ERROR_FAILED` with the reason when there was no
 * memory or no descriptor for the queue.
 *
 * Returns: whether all is finished
 *
 * Since: 0.1
 */
gboolean
mp_joinable_queue_join (MpJoinableQueue  *self,
                        gint64            timeout_us,
                        GCancellable     *cancellable,
                        GError          **error)
{
  g_return_val_if_fail (MP_IS_JOINABLE_QUEUE (self), FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_sync_wait (join_side (self), self, "queue join", join, self, timeout_us, cancellable, error);
}

/**
 * mp_joinable_queue_join_async:
 * @self: a queue
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when all is finished, or not
 * @user_data: data for @callback
 *
 * Waits without blocking: as [method@Mp.JoinableQueue.join], for ever.
 *
 * @callback runs once, in the thread-default main context of the caller, never from within this call; @self lives at least
 * until then.
 *
 * Since: 0.1
 */
void
mp_joinable_queue_join_async (MpJoinableQueue     *self,
                              GCancellable        *cancellable,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  MpSyncCall *call = NULL;

  g_return_if_fail (MP_IS_JOINABLE_QUEUE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = mp_sync_call_new (self, join_side (self), "queue join", mp_joinable_queue_join_async, cancellable, callback,
                           user_data);
  call->try_func = join;
  call->data = self;
  /* The end is for all. */
  call->skips_line = TRUE;
  mp_sync_call_run (call);
}

/**
 * mp_joinable_queue_join_finish:
 * @self: a queue
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.JoinableQueue.join_async] began.
 *
 * Returns: whether all is finished
 *
 * Since: 0.1
 */
gboolean
mp_joinable_queue_join_finish (MpJoinableQueue  *self,
                               GAsyncResult     *result,
                               GError          **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_joinable_queue_get_n_unfinished: (get-property n-unfinished)
 * @self: a queue
 *
 * Gets how many items have been put and not been finished, those that nobody has got included.
 *
 * By the time that one looks at the answer it may be another one.
 *
 * Returns: the number of items
 *
 * Since: 0.1
 */
guint
mp_joinable_queue_get_n_unfinished (MpJoinableQueue *self)
{
  g_return_val_if_fail (MP_IS_JOINABLE_QUEUE (self), 0);

  if (!mp_sync_is_usable (get_side (self)))
    return 0;
  return MIN (mp_tape_count_unfinished (get_tape (self)), G_MAXUINT);
}

/**
 * mp_joinable_queue_get_n_abandoned:
 * @self: a queue
 *
 * Gets how many items processes have got that have ended since, and not finished.
 *
 * It looks at every item that was got and is not finished.
 *
 * Returns: the number of items
 *
 * Since: 0.1
 */
guint
mp_joinable_queue_get_n_abandoned (MpJoinableQueue *self)
{
  g_return_val_if_fail (MP_IS_JOINABLE_QUEUE (self), 0);

  return do_change (self, "queue count", count_abandoned);
}

/**
 * mp_joinable_queue_put_back_abandoned:
 * @self: a queue
 *
 * Puts those items back that processes have got that have ended since, and not finished.
 *
 * They are got before all others, in the order in which they were put at first, and take no place of the bounds.
 * None is lost, and none got twice by processes that live, also when the process dies that calls this.
 *
 * Returns: the number of items
 *
 * Since: 0.1
 */
guint
mp_joinable_queue_put_back_abandoned (MpJoinableQueue *self)
{
  g_return_val_if_fail (MP_IS_JOINABLE_QUEUE (self), 0);

  return do_change (self, "queue put back", put_back_abandoned);
}

/**
 * mp_joinable_queue_give_up_abandoned:
 * @self: a queue
 *
 * Takes those items for finished that processes have got that have ended since.
 *
 * Returns: the number of items
 *
 * Since: 0.1
 */
guint
mp_joinable_queue_give_up_abandoned (MpJoinableQueue *self)
{
  guint n = 0;

  g_return_val_if_fail (MP_IS_JOINABLE_QUEUE (self), 0);

  n = do_change (self, "queue give up", give_up_abandoned);
  if (n > 0)
    tell_the_end (self);
  return n;
}
