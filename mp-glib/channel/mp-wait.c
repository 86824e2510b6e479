/* mp-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wait.h"

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/channel/mp-wait-private.h"
#include "mp-glib/platform/mp-deadline-private.h"

#include <errno.h>

#define WAIT "wait"

static gboolean
are_waitable (MpWaitable * const *objects,
              gsize               n_objects)
{
  for (gsize i = 0; i < n_objects; i++)
    if (!MP_IS_WAITABLE (objects[i]))
      return FALSE;
  return TRUE;
}

static gboolean
set_cancelled (GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, WAIT ": cancelled");
  return FALSE;
}

/* A callback of the call forked, and this is the copy. */
static gboolean
is_copy (guint epoch)
{
  return mp_hub_get_epoch () != epoch;
}

static gboolean
set_copied (GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, MP_HUB_COPIED, WAIT);
  return FALSE;
}

/* Blocking. */

/* So often all are polled, before the epoll set is made; unless they are few. */
#define MAX_POLLS 4
#define FEW       64

typedef struct
{
  MpWaitSet    *set;
  gint64        deadline;
  GCancellable *cancellable;   /* (nullable) */
  gpointer     *owners;        /* of the set */
  guint         n_owners;
  guint         n_polls;
  guint         n_fds;         /* of the last one */
  MpWatch      *watch;         /* (owned) (nullable): on the epoll set, when that is used */
  gboolean      told;          /* of it: the hub's lock */
  guint         epoch;         /* the hub's at the beginning */
} Blocked;

static gboolean
never (gpointer data)
{
  return FALSE;
}

static gboolean
was_told (gpointer data)
{
  return ((Blocked *) data)->told;
}

/* With the hub's lock held. Nothing is looked at here; so once is enough. */
static void
told_cb (MpWatch      *watch,
         GIOCondition  condition,
         gpointer      data)
{
  ((Blocked *) data)->told = TRUE;
  mp_hub_modify_watch (watch, 0);
}

/* With the hub's lock held. FALSE with error: epoll sets can be nested so deep only. */
static gboolean
watch_set (MpWatch  *watch,
           GError  **error)
{
  int saved_errno;

  if (mp_hub_try_modify_watch (watch, G_IO_IN))
    return TRUE;

  saved_errno = errno;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), WAIT ": cannot wait for the descriptors: %s",
               g_strerror (saved_errno));
  return FALSE;
}

/* FALSE with error: of the waiting. */
static gboolean
sleep_by_poll (Blocked  *self,
               GError  **error)
{
  GPollFD *fds = mp_wait_set_get_polled (self->set, MP_HUB_N_OWN_FDS, &self->n_fds);

  self->n_polls++;
  return mp_hub_wait_for_fds ((const gconstpointer *) self->owners, self->n_owners, fds, self->n_fds, never, NULL, WAIT,
                              mp_deadline_left (self->deadline), self->cancellable, error);
}

static gboolean
sleep_by_epoll (Blocked  *self,
                GError  **error)
{
  gboolean ok;

  mp_hub_lock ();
  if (self->watch == NULL)
    self->watch = mp_hub_add_watch (mp_wait_set_get_fd (self->set), 0, told_cb, self);
  self->told = FALSE;
  ok = watch_set (self->watch, error);
  mp_hub_unlock ();

  return ok && mp_hub_wait_for_owners ((const gconstpointer *) self->owners, self->n_owners, was_told, self, WAIT,
                                       mp_deadline_left (self->deadline), self->cancellable, error);
}

/* FALSE with error. What is ready at the last moment counts. */
static gboolean
sleep_once (Blocked  *self,
            GError  **error)
{
  MpWaitSet *set = self->set;
  GError *local_error = NULL;
  gboolean by_poll = mp_wait_set_get_fd (set) < 0 && (self->n_polls < MAX_POLLS || self->n_fds <= FEW);
  gboolean ok;

  if (!by_poll && mp_wait_set_get_fd (set) < 0 && !mp_wait_set_use_epoll (set, error))
    return FALSE;

  ok = by_poll ? sleep_by_poll (self, &local_error) : sleep_by_epoll (self, &local_error);
  /* What is told of, and the descriptors for it, are the parent's. */
  if (is_copy (self->epoch))
    {
      g_clear_error (&local_error);
      return set_copied (error);
    }
  if (!(by_poll ? mp_wait_set_take_polled : mp_wait_set_collect) (set, error))
    ok = FALSE;
  else if (mp_wait_set_is_ready (set))
    ok = TRUE;
  else if (!ok)
    g_propagate_error (error, g_steal_pointer (&local_error));
  g_clear_error (&local_error);
  return ok;
}

/* FALSE with error. */
static gboolean
sleep_until_ready (MpWaitSet     *set,
                   guint          epoch,
                   gint64         deadline,
                   GCancellable  *cancellable,
                   GError       **error)
{
  Blocked self = { .set = set, .deadline = deadline, .cancellable = cancellable, .epoch = epoch };
  gboolean ok = TRUE;

  self.owners = mp_wait_set_get_owners (set, &self.n_owners);
  while (ok && !mp_wait_set_is_ready (set))
    ok = sleep_once (&self, error);

  if (self.watch != NULL)
    {
      mp_hub_lock ();
      mp_hub_remove_watch (self.watch);
      mp_hub_unlock ();
    }
  return ok;
}

/* TRUE also when the time is over. */
static gboolean
wait_blocking (MpWaitSet     *set,
               gint64         timeout_us,
               GCancellable  *cancellable,
               GError       **error)
{
  gint64 deadline = mp_deadline_after (timeout_us);
  guint epoch = mp_hub_get_epoch ();
  guint n_owners = 0;
  gpointer *owners = mp_wait_set_get_owners (set, &n_owners);
  GError *local_error = NULL;
  gboolean ok;

  if (g_cancellable_is_cancelled (cancellable))
    return set_cancelled (error);

  /* Turns the hub once, so that processes are what they are, and runs what is due. */
  mp_hub_wait_for_owners ((const gconstpointer *) owners, n_owners, never, NULL, WAIT, 0, NULL, NULL);
  if (is_copy (epoch))
    return set_copied (error);
  if (!mp_wait_set_look (set, error))
    return FALSE;
  if (mp_wait_set_is_ready (set) || timeout_us == 0)
    return TRUE;
  if (!mp_hub_try_prepare (WAIT, error))
    return FALSE;

  ok = mp_wait_set_arm (set, &local_error) &&
       (mp_wait_set_is_ready (set) || sleep_until_ready (set, epoch, deadline, cancellable, &local_error));
  mp_wait_set_disarm (set);
  if (ok)
    return TRUE;
  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    {
      g_error_free (local_error);
      return TRUE;
    }

  g_propagate_error (error, local_error);
  return FALSE;
}

/* Asynchronous. */

typedef struct
{
  gatomicrefcount      ref_count;   /* of the wait, of posts, and of the handler of the cancellable */
  MpWaitSet           *set;         /* (owned) (nullable): until the end */
  GTask               *task;        /* (owned) (nullable): likewise */
  GAsyncReadyCallback  callback;
  gpointer             user_data;
  GMainContext        *context;     /* (owned): the task's, with the hub's source on it */
  gint64               deadline;
  gulong               cancel_id;   /* 0: not connected */
  gboolean             begun;       /* in the context */

  /* The hub's lock. */
  MpWatch             *watch;       /* (nullable) */
  MpTimer             *timer;       /* (nullable) */
  gboolean             posted;
  gboolean             ended;
} Call;

static void
call_unref (gpointer data)
{
  Call *self = data;

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  mp_hub_unref_context (self->context);
  g_free (self);
}

static void step_cb (gpointer data);

/* With the hub's lock held. */
static void
post_step (Call *self)
{
  if (self->posted || self->ended)
    return;

  self->posted = TRUE;
  g_atomic_ref_count_inc (&self->ref_count);
  mp_hub_post (self->context, self, step_cb, self, call_unref);
}

static void
call_told_cb (MpWatch      *watch,
              GIOCondition  condition,
              gpointer      data)
{
  mp_hub_modify_watch (watch, 0);
  post_step (data);
}

static void
call_timer_cb (gpointer data)
{
  Call *self = data;

  self->timer = NULL;
  post_step (self);
}

static void
call_cancelled_cb (GCancellable *cancellable,
                   gpointer      user_data)
{
  mp_hub_lock ();
  post_step (user_data);
  mp_hub_unlock ();
}

/* In the context. @error: (transfer full) (nullable). */
static void
end_call (Call   *self,
          GError *error)
{
  g_autoptr(GTask) task = g_steal_pointer (&self->task);
  MpWaitSet *set = g_steal_pointer (&self->set);

  /* Not g_cancellable_disconnect(): that waits for a handler that runs, perhaps further up this very stack. */
  if (self->cancel_id != 0)
    g_signal_handler_disconnect (g_task_get_cancellable (task), self->cancel_id);
  mp_hub_lock ();
  self->ended = TRUE;
  if (self->watch != NULL)
    mp_hub_remove_watch (g_steal_pointer (&self->watch));
  if (self->timer != NULL)
    mp_hub_remove_timer (g_steal_pointer (&self->timer));
  mp_hub_unlock ();
  mp_wait_set_disarm (set);

  if (error != NULL)
    g_task_return_error (task, error);
  else if (g_task_get_source_tag (task) == mp_wait_async)
    g_task_return_pointer (task, mp_wait_set_list (set), (GDestroyNotify) g_ptr_array_unref);
  else
    g_task_return_pointer (task, mp_wait_set_list_positions (set), (GDestroyNotify) g_array_unref);
  mp_wait_set_free (set);
  if (self->callback != NULL)
    self->callback (NULL, G_ASYNC_RESULT (task), self->user_data);
  mp_hub_complete_task (task);
  call_unref (self);
}

/* FALSE with error. */
static gboolean
look (Call    *self,
      GError **error)
{
  if (g_cancellable_is_cancelled (g_task_get_cancellable (self->task)))
    return set_cancelled (error);
  if (self->begun)
    return mp_wait_set_collect (self->set, error);

  self->begun = TRUE;
  if (!mp_wait_set_look (self->set, error))
    return FALSE;
  return mp_wait_set_is_ready (self->set) || self->deadline == 0 ||
         (mp_wait_set_arm (self->set, error) && mp_wait_set_use_epoll (self->set, error));
}

/* In the context, without the lock. */
static void
step_cb (gpointer data)
{
  Call *self = data;
  GError *error = NULL;
  gboolean is_late, ok;

  /* What comes from now on is another step. */
  mp_hub_lock ();
  self->posted = FALSE;
  mp_hub_unlock ();
  if (self->task == NULL)
    return;

  is_late = mp_deadline_left (self->deadline) == 0;
  if (!look (self, &error) || mp_wait_set_is_ready (self->set) || is_late)
    {
      end_call (self, error);
      return;
    }

  mp_hub_lock ();
  if (self->watch == NULL)
    self->watch = mp_hub_add_watch (mp_wait_set_get_fd (self->set), 0, call_told_cb, self);
  if (self->timer == NULL && self->deadline >= 0)
    self->timer = mp_hub_add_timer (self->deadline, call_timer_cb, self);
  ok = watch_set (self->watch, &error);
  mp_hub_unlock ();
  if (!ok)
    end_call (self, error);
}

/* Takes @set. */
static void
begin_call (MpWaitSet           *set,
            gint64               timeout_us,
            GCancellable        *cancellable,
            gpointer             source_tag,
            GAsyncReadyCallback  callback,
            gpointer             user_data)
{
  GError *error = NULL;
  Call *self;

  if (!mp_hub_try_prepare (WAIT, &error))
    {
      g_task_report_error (NULL, callback, user_data, source_tag, error);
      mp_wait_set_free (set);
      return;
    }

  self = g_new0 (Call, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->set = set;
  self->task = g_task_new (NULL, cancellable, NULL, NULL);
  g_task_set_source_tag (self->task, source_tag);
  g_task_set_name (self->task, WAIT);
  /* The result says what was ready. */
  g_task_set_check_cancellable (self->task, FALSE);
  self->callback = callback;
  self->user_data = user_data;
  self->context = mp_hub_ref_context (g_task_get_context (self->task));
  self->deadline = timeout_us == 0 ? 0 : mp_deadline_after (timeout_us);
  if (cancellable != NULL)
    {
      g_atomic_ref_count_inc (&self->ref_count);
      self->cancel_id = g_cancellable_connect (cancellable, G_CALLBACK (call_cancelled_cb), self, call_unref);
    }

  mp_hub_lock ();
  post_step (self);
  mp_hub_unlock ();
}

/**
 * mp_wait:
 * @objects: (array length=n_objects): what to wait for
 * @n_objects: how many they are
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until at least one of the objects is ready, and says which ones are.
 *
 * [iface@Mp.Waitable] says what that is for each kind. Nothing is taken from any of them: another thread or process
 * may take first what was there. One that is closed is ready. All that are ready are given, in the order of @objects,
 * and one that is there twice is given twice. When the time is over, an empty array is given, without an error;
 * without any objects that is what is waited for.
 *
 * An object may be waited for in several threads at once. There is no bound to the number of objects; the time that it
 * takes grows with it. While the call waits, it takes one or two descriptors, however many objects there are. A
 * connection goes on sending what it has to send, and callbacks and signals of the objects that are due run, in a
 * thread that may acquire their main context. To wait for a queue counts as getting from it.
 *
 * Errors: `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before; `MP_ERROR_INTERRUPTED`, see
 * [func@Mp.set_interrupt_fd]; `G_IO_ERROR_BUSY` in a copy of the process that a callback of the call forked;
 * `G_IO_ERROR_NOT_SUPPORTED` for the sending end of a pipe, and for the current process; `G_IO_ERROR_NOT_INITIALIZED`
 * for a process that has not been started; `MP_ERROR_NOT_OWNER` for one, and for a future, that another process has
 * made; `G_IO_ERROR_TOO_MANY_OPEN_FILES`, `G_IO_ERROR_NO_SPACE` and others when the system has nothing left to wait
 * with; `G_IO_ERROR_TOO_MANY_LINKS` for descriptors of epoll sets within epoll sets, of which the system bears five: a
 * wait that does not block takes two or three of them, one that blocks for a few objects none.
 *
 * Returns: (transfer container) (element-type Mp.Waitable): those that are ready; the array holds references
 *
 * Since: 0.1
 */
GPtrArray *
mp_wait (MpWaitable * const  *objects,
         gsize                n_objects,
         gint64               timeout_us,
         GCancellable        *cancellable,
         GError             **error)
{
  MpWaitSet *set = NULL;
  GPtrArray *list = NULL;

  g_return_val_if_fail (objects != NULL || n_objects == 0, NULL);
  g_return_val_if_fail (are_waitable (objects, n_objects), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  set = mp_wait_set_new (objects, n_objects, NULL, 0);
  if (wait_blocking (set, timeout_us, cancellable, error))
    list = mp_wait_set_list (set);
  mp_wait_set_free (set);
  return list;
}

/**
 * mp_wait_async:
 * @objects: (array length=n_objects): what to wait for
 * @n_objects: how many they are
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when one is ready, or the time is over
 * @user_data: data for @callback
 *
 * Waits until at least one of the objects is ready, without blocking: see [func@Mp.wait].
 *
 * @callback gets `NULL` as its source. It runs once, in the thread-default main context of the caller, never from
 * within this call. The objects live at least until then. The wait needs no thread, and two descriptors.
 *
 * Since: 0.1
 */
void
mp_wait_async (MpWaitable * const  *objects,
               gsize                n_objects,
               gint64               timeout_us,
               GCancellable        *cancellable,
               GAsyncReadyCallback  callback,
               gpointer             user_data)
{
  g_return_if_fail (objects != NULL || n_objects == 0);
  g_return_if_fail (are_waitable (objects, n_objects));
  g_return_if_fail (timeout_us >= -1);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  begin_call (mp_wait_set_new (objects, n_objects, NULL, 0), timeout_us, cancellable, mp_wait_async, callback,
              user_data);
}

static gpointer
finish_call (GAsyncResult  *result,
             gpointer       source_tag,
             GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  g_return_val_if_fail (g_task_get_source_tag (G_TASK (result)) == source_tag, NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * mp_wait_finish:
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [func@Mp.wait_async] began.
 *
 * Returns: (transfer container) (element-type Mp.Waitable): those that are ready; none when the time was over
 *
 * Since: 0.1
 */
GPtrArray *
mp_wait_finish (GAsyncResult  *result,
                GError       **error)
{
  return finish_call (result, mp_wait_async, error);
}

/**
 * mp_wait_with_fds:
 * @objects: (array length=n_objects) (nullable): what to wait for
 * @n_objects: how many they are
 * @fds: (array length=n_fds) (nullable): descriptors to wait for as well
 * @n_fds: how many they are
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Waits until at least one of the objects is ready, or one of the descriptors is readable, at its end, or broken.
 *
 * Else as [func@Mp.wait]. What is given are positions: those below @n_objects are of objects, and the descriptors are
 * counted on from there. A descriptor must stay open until the call has returned; that it was not open before is
 * `G_IO_ERROR_INVALID_ARGUMENT`.
 *
 * Returns: (transfer full) (element-type guint): the positions of those that are ready
 *
 * Since: 0.1
 */
GArray *
mp_wait_with_fds (MpWaitable * const  *objects,
                  gsize                n_objects,
                  const int           *fds,
                  gsize                n_fds,
                  gint64               timeout_us,
                  GCancellable        *cancellable,
                  GError             **error)
{
  MpWaitSet *set = NULL;
  GArray *list = NULL;

  g_return_val_if_fail (objects != NULL || n_objects == 0, NULL);
  g_return_val_if_fail (are_waitable (objects, n_objects), NULL);
  g_return_val_if_fail (fds != NULL || n_fds == 0, NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  set = mp_wait_set_new (objects, n_objects, fds, n_fds);
  if (wait_blocking (set, timeout_us, cancellable, error))
    list = mp_wait_set_list_positions (set);
  mp_wait_set_free (set);
  return list;
}

/**
 * mp_wait_with_fds_async:
 * @objects: (array length=n_objects) (nullable): what to wait for
 * @n_objects: how many they are
 * @fds: (array length=n_fds) (nullable): descriptors to wait for as well
 * @n_fds: how many they are
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when one is ready, or the time is over
 * @user_data: data for @callback
 *
 * Does what [func@Mp.wait_with_fds] does, without blocking: see [func@Mp.wait_async].
 *
 * The descriptors must stay open until @callback is called.
 *
 * Since: 0.1
 */
void
mp_wait_with_fds_async (MpWaitable * const  *objects,
                        gsize                n_objects,
                        const int           *fds,
                        gsize                n_fds,
                        gint64               timeout_us,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  g_return_if_fail (objects != NULL || n_objects == 0);
  g_return_if_fail (are_waitable (objects, n_objects));
  g_return_if_fail (fds != NULL || n_fds == 0);
  g_return_if_fail (timeout_us >= -1);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  begin_call (mp_wait_set_new (objects, n_objects, fds, n_fds), timeout_us, cancellable, mp_wait_with_fds_async,
              callback, user_data);
}

/**
 * mp_wait_with_fds_finish:
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [func@Mp.wait_with_fds_async] began.
 *
 * Returns: (transfer full) (element-type guint): the positions of those that are ready; none when the time was over
 *
 * Since: 0.1
 */
GArray *
mp_wait_with_fds_finish (GAsyncResult  *result,
                         GError       **error)
{
  return finish_call (result, mp_wait_with_fds_async, error);
}
