/* mp-future-list.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-list-private.h"

/**
 * MpFutureList:
 *
 * Futures that belong together: a list for a view, a number for a progress bar, and one after the other as they end.
 *
 * It is a [iface@Gio.ListModel] of [class@Mp.Future]s in the order in which they were added, from whatever pools.
 * [method@Mp.FutureList.next_done] gives each of them once, in the order in which they end; it is what Python calls
 * `as_completed()`. What has been given stays a member until it is removed.
 *
 * The list keeps its members, and they keep nothing of it. Its properties notify in the main context that was
 * thread-default when it was made, at most once in 16 ms for however many have ended meanwhile.
 *
 * A list is for one thread at a time, as other list models are; its members are for any.
 *
 * Since: 0.1
 */
struct _MpFutureList
{
  GObject parent_instance;

  GPtrArray *entries;   /* (owned) (element-type MpRosterEntry) */
  MpRoster  *roster;    /* (owned) */
};

enum
{
  PROP_0,
  PROP_ITEM_TYPE,
  PROP_N_ITEMS,
  PROP_N_DONE,
  PROP_FRACTION,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

static GType
get_item_type (GListModel *list)
{
  return MP_TYPE_FUTURE;
}

static guint
get_n_items (GListModel *list)
{
  return MP_FUTURE_LIST (list)->entries->len;
}

static gpointer
get_item (GListModel *list,
          guint       position)
{
  MpFutureList *self = MP_FUTURE_LIST (list);

  if (position >= self->entries->len)
    return NULL;
  return g_object_ref (((MpRosterEntry *) g_ptr_array_index (self->entries, position))->future);
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (MpFutureList, mp_future_list, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static void
mp_future_list_finalize (GObject *object)
{
  MpFutureList *self = MP_FUTURE_LIST (object);

  for (guint i = 0; i < self->entries->len; i++)
    mp_roster_remove (self->roster, g_ptr_array_index (self->entries, i));
  g_ptr_array_unref (self->entries);
  mp_roster_drop (self->roster);

  G_OBJECT_CLASS (mp_future_list_parent_class)->finalize (object);
}

static void
mp_future_list_get_property (GObject    *object,
                             guint       prop_id,
                             GValue     *value,
                             GParamSpec *pspec)
{
  MpFutureList *self = MP_FUTURE_LIST (object);

  switch (prop_id)
    {
    case PROP_ITEM_TYPE:
      g_value_set_gtype (value, MP_TYPE_FUTURE);
      break;
    case PROP_N_ITEMS:
      g_value_set_uint (value, self->entries->len);
      break;
    case PROP_N_DONE:
      g_value_set_uint (value, mp_future_list_get_n_done (self));
      break;
    case PROP_FRACTION:
      g_value_set_double (value, mp_future_list_get_fraction (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_future_list_class_init (MpFutureListClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->finalize = mp_future_list_finalize;
  object_class->get_property = mp_future_list_get_property;

  /**
   * MpFutureList:item-type:
   *
   * The type of the items, as [method@Gio.ListModel.get_item_type] gives it.
   *
   * Since: 0.1
   */
  props[PROP_ITEM_TYPE] = g_param_spec_gtype ("item-type", NULL, NULL, MP_TYPE_FUTURE, flags);

  /**
   * MpFutureList:n-items:
   *
   * The number of futures, as [method@Gio.ListModel.get_n_items] gives it.
   *
   * Since: 0.1
   */
  props[PROP_N_ITEMS] = g_param_spec_uint ("n-items", NULL, NULL, 0, G_MAXUINT, 0, flags);

  /**
   * MpFutureList:n-done: (getter get_n_done)
   *
   * The number of futures that have ended, well or not.
   *
   * Since: 0.1
   */
  props[PROP_N_DONE] = g_param_spec_uint ("n-done", NULL, NULL, 0, G_MAXUINT, 0, flags);

  /**
   * MpFutureList:fraction: (getter get_fraction)
   *
   * How much of all has ended, from 0 to 1.
   *
   * Since: 0.1
   */
  props[PROP_FRACTION] = g_param_spec_double ("fraction", NULL, NULL, 0, 1, 0, flags);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_future_list_init (MpFutureList *self)
{
  self->entries = g_ptr_array_new ();
  self->roster = mp_roster_new (self);
}

void
mp_future_list_notify (MpFutureList *self)
{
  g_object_freeze_notify (G_OBJECT (self));
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_N_DONE]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
  g_object_thaw_notify (G_OBJECT (self));
}

/* Of the members; the futures' own references keep them. */
static GPtrArray *
copy_futures (MpFutureList *self)
{
  GPtrArray *futures = g_ptr_array_new ();

  for (guint i = 0; i < self->entries->len; i++)
    g_ptr_array_add (futures, ((MpRosterEntry *) g_ptr_array_index (self->entries, i))->future);
  return futures;
}

/**
 * mp_future_list_new:
 *
 * Makes a list without futures.
 *
 * Returns: (transfer full): a list
 *
 * Since: 0.1
 */
MpFutureList *
mp_future_list_new (void)
{
  return g_object_new (MP_TYPE_FUTURE_LIST, NULL);
}

/**
 * mp_future_list_add:
 * @self: a list of futures
 * @future: one more
 *
 * Puts a future at the end of the list.
 *
 * One that has ended already is the next to be given. One may be there several times.
 *
 * Since: 0.1
 */
void
mp_future_list_add (MpFutureList *self,
                    MpFuture     *future)
{
  g_return_if_fail (MP_IS_FUTURE_LIST (self));
  g_return_if_fail (MP_IS_FUTURE (future));

  g_ptr_array_add (self->entries, mp_roster_add (self->roster, future));
  g_list_model_items_changed (G_LIST_MODEL (self), self->entries->len - 1, 0, 1);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_N_ITEMS]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
}

/**
 * mp_future_list_remove:
 * @self: a list of futures
 * @future: one of them
 *
 * Takes a future out of the list; the task goes on.
 *
 * It is not given by [method@Mp.FutureList.next_done] any more.
 *
 * Returns: `TRUE` when it was there
 *
 * Since: 0.1
 */
gboolean
mp_future_list_remove (MpFutureList *self,
                       MpFuture     *future)
{
  guint position = 0;

  g_return_val_if_fail (MP_IS_FUTURE_LIST (self), FALSE);
  g_return_val_if_fail (MP_IS_FUTURE (future), FALSE);

  while (position < self->entries->len &&
         ((MpRosterEntry *) g_ptr_array_index (self->entries, position))->future != future)
    position++;
  if (position == self->entries->len)
    return FALSE;

  mp_roster_remove (self->roster, g_ptr_array_remove_index (self->entries, position));
  g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_N_ITEMS]);
  mp_future_list_notify (self);

  return TRUE;
}

/**
 * mp_future_list_get_n_done: (get-property n-done)
 * @self: a list of futures
 *
 * The number of futures that have ended, well or not.
 *
 * Returns: the number of futures
 *
 * Since: 0.1
 */
guint
mp_future_list_get_n_done (MpFutureList *self)
{
  guint n_done = 0;

  g_return_val_if_fail (MP_IS_FUTURE_LIST (self), 0);

  mp_hub_lock ();
  n_done = self->roster->n_done;
  mp_hub_unlock ();

  return n_done;
}

/**
 * mp_future_list_get_fraction: (get-property fraction)
 * @self: a list of futures
 *
 * How much of all has ended.
 *
 * Each future counts alike; of one that has not ended, what is done of it: of a map its chunks that have ended.
 *
 * Returns: a number from 0 to 1; 0 for an empty list
 *
 * Since: 0.1
 */
double
mp_future_list_get_fraction (MpFutureList *self)
{
  double sum = 0;

  g_return_val_if_fail (MP_IS_FUTURE_LIST (self), 0);

  if (self->entries->len == 0)
    return 0;

  mp_hub_lock ();
  sum = mp_roster_get_sum (self->roster);
  mp_hub_unlock ();

  return MIN (1, sum / self->entries->len);
}

/**
 * mp_future_list_cancel:
 * @self: a list of futures
 *
 * Calls off all tasks of the list that have not ended, see [method@Mp.Future.cancel].
 *
 * Returns: how many ends this call has decided
 *
 * Since: 0.1
 */
guint
mp_future_list_cancel (MpFutureList *self)
{
  g_autoptr(GPtrArray) futures = NULL;
  guint n = 0;

  g_return_val_if_fail (MP_IS_FUTURE_LIST (self), 0);

  futures = copy_futures (self);
  for (guint i = 0; i < futures->len; i++)
    n += mp_future_cancel (g_ptr_array_index (futures, i)) ? 1 : 0;

  return n;
}

/* One after the other. */

/* What a wait for the next one is about: taken as soon as it is there, so that nobody else gets it. */
typedef struct
{
  MpRoster      *roster;
  MpRosterEntry *entry;   /* (owned) (nullable) */
  gboolean       taken;
} Next;

static gboolean
take_next (gpointer data)
{
  Next *next = data;

  if (!next->taken)
    next->taken = mp_roster_take (next->roster, &next->entry);
  return next->taken;
}

/**
 * mp_future_list_next_done:
 * @self: a list of futures
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting; no future is lost
 *
 * Waits for the next future that ends, well or not.
 *
 * Each is given once, in the order in which they end; those that had ended when they were added, in that order. `NULL`
 * without an error says that all have been given: futures that are added later are given by later calls.
 *
 * Callbacks and signals of their pools that are due run meanwhile, in a thread that may acquire their main context.
 *
 * Returns: (transfer full) (nullable): a future that has ended; `NULL` when there is none left, or with
 *   `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED` or `MP_ERROR_INTERRUPTED`
 *
 * Since: 0.1
 */
MpFuture *
mp_future_list_next_done (MpFutureList  *self,
                          gint64         timeout_us,
                          GCancellable  *cancellable,
                          GError       **error)
{
  Next next = { NULL };
  g_autoptr(GPtrArray) owners = NULL;
  MpFuture *future = NULL;

  g_return_val_if_fail (MP_IS_FUTURE_LIST (self), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  for (guint i = 0; i < self->roster->cores->len; i++)
    if (!mp_pool_core_is_ours (g_ptr_array_index (self->roster->cores, i), error))
      return NULL;

  next.roster = mp_roster_ref (self->roster);
  owners = mp_roster_list_owners (self->roster);
  mp_hub_wait_for_owners ((const gconstpointer *) owners->pdata, owners->len, take_next, &next, "wait for the next future",
                          timeout_us, cancellable, error);
  if (next.entry != NULL)
    {
      future = g_object_ref (next.entry->future);
      mp_roster_entry_unref (next.entry);
    }
  mp_roster_unref (next.roster);

  return future;
}

static void
withdraw_next (MpReply *reply)
{
  mp_roster_withdraw (MP_FUTURE_LIST (g_task_get_source_object (reply->task))->roster, reply);
}

static void
give_next (MpReply *reply)
{
  MpRosterEntry *entry = reply->data;

  g_task_return_pointer (reply->task, entry != NULL ? g_object_ref (entry->future) : NULL, g_object_unref);
}

static void
clear_next (MpReply *reply)
{
  if (reply->data != NULL)
    mp_roster_entry_unref (reply->data);
}

static const MpReplyFuncs next_funcs = { withdraw_next, give_next, clear_next };

/**
 * mp_future_list_next_done_async:
 * @self: a list of futures
 * @cancellable: (nullable): ends the waiting; no future is lost
 * @callback: (scope async) (closure user_data): called when the next one has ended
 * @user_data: data for @callback
 *
 * Waits for the next future that ends, without blocking.
 *
 * Several may be under way: they get the futures one after another. @callback runs in the thread-default main context of the
 * caller, or in a blocking call on the list or on the future's pool in a thread that may acquire that.
 *
 * Since: 0.1
 */
void
mp_future_list_next_done_async (MpFutureList        *self,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data)
{
  GTask *task = NULL;
  MpReply *reply = NULL;

  g_return_if_fail (MP_IS_FUTURE_LIST (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, NULL, NULL);
  g_task_set_source_tag (task, mp_future_list_next_done_async);
  reply = mp_reply_new (self->roster, task, callback, user_data, &next_funcs, NULL);
  mp_hub_lock ();
  if (mp_reply_wait (reply))
    mp_roster_wait (self->roster, reply);
  mp_hub_changed ();
  mp_hub_unlock ();
}

/**
 * mp_future_list_next_done_finish:
 * @self: a list of futures
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.FutureList.next_done_async].
 *
 * Returns: (transfer full) (nullable): a future that has ended; `NULL` when there is none left, or with
 *   `G_IO_ERROR_CANCELLED`
 *
 * Since: 0.1
 */
MpFuture *
mp_future_list_next_done_finish (MpFutureList  *self,
                                 GAsyncResult  *result,
                                 GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/* All, or the first. */

/**
 * mp_future_list_wait_all:
 * @self: a list of futures
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits until all tasks that are in the list now have ended, see [func@Mp.Future.wait_all].
 *
 * Returns: `TRUE` when all have ended, `FALSE` with an error when the wait has ended first
 *
 * Since: 0.1
 */
gboolean
mp_future_list_wait_all (MpFutureList  *self,
                         gint64         timeout_us,
                         GCancellable  *cancellable,
                         GError       **error)
{
  g_autoptr(GPtrArray) futures = NULL;

  g_return_val_if_fail (MP_IS_FUTURE_LIST (self), FALSE);

  futures = copy_futures (self);
  return mp_future_wait_all ((MpFuture **) futures->pdata, futures->len, timeout_us, cancellable, error);
}

/**
 * mp_future_list_wait_all_async:
 * @self: a list of futures
 * @cancellable: (nullable): ends the waiting; the tasks go on
 * @callback: (scope async) (closure user_data): called when all have ended
 * @user_data: data for @callback
 *
 * Waits until all tasks that are in the list now have ended, without blocking.
 *
 * See [func@Mp.Future.wait_all_async] for where @callback runs.
 *
 * Since: 0.1
 */
void
mp_future_list_wait_all_async (MpFutureList        *self,
                               GCancellable        *cancellable,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data)
{
  g_autoptr(GPtrArray) futures = NULL;

  g_return_if_fail (MP_IS_FUTURE_LIST (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  futures = copy_futures (self);
  mp_future_gather (g_task_new (self, cancellable, NULL, NULL), (MpFuture **) futures->pdata, futures->len, FALSE,
                    callback, user_data);
}

/**
 * mp_future_list_wait_all_finish:
 * @self: a list of futures
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.FutureList.wait_all_async].
 *
 * Returns: `TRUE` when all tasks have ended, `FALSE` with `G_IO_ERROR_CANCELLED`
 *
 * Since: 0.1
 */
gboolean
mp_future_list_wait_all_finish (MpFutureList  *self,
                                GAsyncResult  *result,
                                GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * mp_future_list_wait_any:
 * @self: a list of futures
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the waiting
 *
 * Waits until one of the tasks that are in the list now has ended, see [func@Mp.Future.wait_any].
 *
 * It takes nothing from [method@Mp.FutureList.next_done]: both may give the same future.
 *
 * Returns: (transfer full): the future that has ended
 *
 * Since: 0.1
 */
MpFuture *
mp_future_list_wait_any (MpFutureList  *self,
                         gint64         timeout_us,
                         GCancellable  *cancellable,
                         GError       **error)
{
  g_autoptr(GPtrArray) futures = NULL;

  g_return_val_if_fail (MP_IS_FUTURE_LIST (self), NULL);

  futures = copy_futures (self);
  return mp_future_wait_any ((MpFuture **) futures->pdata, futures->len, timeout_us, cancellable, error);
}

/**
 * mp_future_list_wait_any_async:
 * @self: a list of futures
 * @cancellable: (nullable): ends the waiting; the tasks go on
 * @callback: (scope async) (closure user_data): called when one has ended
 * @user_data: data for @callback
 *
 * Waits until one of the tasks that are in the list now has ended, without blocking.
 *
 * See [method@Mp.FutureList.wait_any] and [method@Mp.FutureList.wait_all_async].
 *
 * Since: 0.1
 */
void
mp_future_list_wait_any_async (MpFutureList        *self,
                               GCancellable        *cancellable,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data)
{
  g_autoptr(GPtrArray) futures = NULL;

  g_return_if_fail (MP_IS_FUTURE_LIST (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  futures = copy_futures (self);
  mp_future_gather (g_task_new (self, cancellable, NULL, NULL), (MpFuture **) futures->pdata, futures->len, TRUE,
                    callback, user_data);
}

/**
 * mp_future_list_wait_any_finish:
 * @self: a list of futures
 * @result: what the callback was given
 *
 * The outcome of [method@Mp.FutureList.wait_any_async].
 *
 * Returns: (transfer full): the future that has ended
 *
 * Since: 0.1
 */
MpFuture *
mp_future_list_wait_any_finish (MpFutureList  *self,
                                GAsyncResult  *result,
                                GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
