/* mp-process-core.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-process-private.h"

#include <errno.h>
#include <unistd.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-fd-private.h"

/* Somebody who has called an asynchronous start or join. Referred to by the queue it waits in (later by the post that
 * cleans up) and by its source on the cancellable. */
typedef struct
{
  gatomicrefcount      ref_count;
  MpProcessCore       *core;        /* (owned) */
  GTask               *task;        /* (owned) (nullable) made without callback; gone when it is completed */
  GAsyncReadyCallback  callback;
  gpointer             user_data;
  GMainContext        *context;     /* (owned) the task's, with the hub's source on it */
  GSource             *cancel;      /* (owned) (nullable) */
  GQueue              *queue;       /* (nullable) the one it waits in; under the lock */
} MpProcessWaiter;

typedef struct
{
  const char *stream;   /* static */
  char       *text;     /* (owned) */
} MpProcessLine;

/* Children from started to ended, in the order of their start. Under the hub's lock. */
static GQueue running = G_QUEUE_INIT;

static void
line_free (gpointer data)
{
  MpProcessLine *self = data;

  if (self != NULL)
    g_free (self->text);
  g_free (self);
}

MpProcessCore *
mp_process_core_new (MpProcessKind kind)
{
  MpProcessCore *self = g_new0 (MpProcessCore, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->kind = kind;
  self->owner_pid = getpid ();
  self->context = g_main_context_ref_thread_default ();
  self->exit_status = MP_EXIT_STATUS_RUNNING;
  self->sentinel = -1;
  self->link.data = self;

  return self;
}

MpProcessCore *
mp_process_core_ref (MpProcessCore *self)
{
  g_atomic_ref_count_inc (&self->ref_count);

  return self;
}

void
mp_process_core_unref (MpProcessCore *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  mp_fd_close (&self->sentinel);
  g_clear_error (&self->error);
  g_queue_clear_full (&self->lines, line_free);
  g_clear_pointer (&self->identity, g_array_unref);
  if (self->attached)
    mp_hub_unref_context (self->context);
  g_main_context_unref (self->context);
  g_free (self);
}

/* Gives up one share of the core's reference to its object. Without the lock: that may be the object's last. */
static void
release_object (MpProcessCore *self)
{
  MpProcess *object = NULL;

  mp_hub_lock ();
  if (--self->n_holds == 0)
    object = g_steal_pointer (&self->object);
  mp_hub_unlock ();

  g_clear_object (&object);
}

/* Waiters. */

static void
waiter_unref (gpointer data)
{
  MpProcessWaiter *self = data;

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_clear_pointer (&self->cancel, g_source_unref);
  mp_hub_unref_context (self->context);
  mp_process_core_unref (self->core);
  g_free (self);
}

static void
waiter_finish (gpointer data)
{
  MpProcessWaiter *self = data;

  if (self->cancel != NULL)
    g_source_destroy (self->cancel);
  g_clear_pointer (&self->cancel, g_source_unref);
}

/* With the lock held. @error: (transfer full) (nullable). */
static void
waiter_complete (MpProcessWaiter *self,
                 GError          *error)
{
  if (self->queue != NULL)
    g_queue_remove (self->queue, self);
  self->queue = NULL;

  if (error != NULL)
    g_task_return_error (self->task, error);
  else
    g_task_return_boolean (self->task, TRUE);
  mp_hub_post_task (g_steal_pointer (&self->task), self->core, self->callback, self->user_data);
  mp_hub_post (self->context, self->core, waiter_finish, self, waiter_unref);
}

static gboolean
waiter_cancelled_cb (GCancellable *cancellable,
                     gpointer      data)
{
  MpProcessWaiter *self = data;

  mp_hub_lock ();
  if (self->queue != NULL)
    {
      gboolean is_start = self->queue == &self->core->start_waiters;

      /* Nobody has the promise that a start that was called off has come to nothing but the one who called it off. */
      if (is_start && self->core->child != NULL)
        mp_child_end (self->core->child, 0);
      waiter_complete (self, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "process %s: Operation was cancelled",
                                          is_start ? "start" : "join"));
    }
  mp_hub_unlock ();

  return G_SOURCE_REMOVE;
}

/* Without the lock. Takes @task. */
static MpProcessWaiter *
waiter_new (MpProcessCore       *core,
            GTask               *task,
            GAsyncReadyCallback  callback,
            gpointer             user_data)
{
  MpProcessWaiter *self = g_new0 (MpProcessWaiter, 1);
  GCancellable *cancellable = g_task_get_cancellable (task);

  g_atomic_ref_count_init (&self->ref_count);
  self->core = mp_process_core_ref (core);
  self->task = task;
  self->callback = callback;
  self->user_data = user_data;
  self->context = mp_hub_ref_context (g_task_get_context (task));

  if (cancellable != NULL)
    {
      g_atomic_ref_count_inc (&self->ref_count);
      self->cancel = g_cancellable_source_new (cancellable);
      g_source_set_static_name (self->cancel, "[mp-glib] process");
      g_source_set_priority (self->cancel, g_task_get_priority (task));
      g_source_set_callback (self->cancel, G_SOURCE_FUNC (waiter_cancelled_cb), self, waiter_unref);
    }

  return self;
}

/* With the lock held. The source is attached only now, so that it finds the waiter in its queue. */
static void
waiter_enqueue (MpProcessWaiter *self,
                GQueue          *queue)
{
  self->queue = queue;
  g_queue_push_tail (queue, self);
  if (self->cancel != NULL)
    g_source_attach (self->cancel, self->context);
}

GError *
mp_process_core_copy_start_error (MpProcessCore *self)
{
  if (self->ready)
    return NULL;
  if (self->error != NULL)
    return g_error_copy (self->error);

  return g_error_new_literal (MP_ERROR, MP_ERROR_WORKER_START, "process start: it was ended before it was ready");
}

static void
complete_all (GQueue       *queue,
              const GError *error)
{
  while (!g_queue_is_empty (queue))
    waiter_complete (g_queue_peek_head (queue), error != NULL ? g_error_copy (error) : NULL);
}

void
mp_process_core_await_start (MpProcessCore       *self,
                             GTask               *task,
                             GAsyncReadyCallback  callback,
                             gpointer             user_data)
{
  MpProcessWaiter *waiter = waiter_new (self, task, callback, user_data);

  mp_hub_lock ();
  if (self->state == MP_PROCESS_STARTING && !self->ready)
    waiter_enqueue (waiter, &self->start_waiters);
  else
    waiter_complete (waiter, mp_process_core_copy_start_error (self));
  mp_hub_unlock ();
}

void
mp_process_core_await_end (MpProcessCore       *self,
                           GTask               *task,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  MpProcessWaiter *waiter = waiter_new (self, task, callback, user_data);

  mp_hub_lock ();
  if (self->state < MP_PROCESS_ENDED)
    waiter_enqueue (waiter, &self->join_waiters);
  else
    waiter_complete (waiter, self->state == MP_PROCESS_FAILED ? mp_process_core_copy_start_error (self) : NULL);
  mp_hub_unlock ();
}

void
mp_process_core_fail (MpProcessCore       *self,
                      GTask               *task,
                      GError              *error,
                      GAsyncReadyCallback  callback,
                      gpointer             user_data)
{
  MpProcessWaiter *waiter = waiter_new (self, task, callback, user_data);

  mp_hub_lock ();
  waiter_complete (waiter, error);
  mp_hub_unlock ();
}

/* Posts: in the process's context, without the lock. Each holds the core; the object is there until the last one. */

static void
emit_started_cb (gpointer data)
{
  MpProcessCore *self = data;

  mp_process_emit_started (self->object);
}

/* One at a time: a handler that joins the process gets the rest of the lines, and then its end, before we go on. */
static void
emit_lines_cb (gpointer data)
{
  MpProcessCore *self = data;
  MpProcessLine *line = NULL;

  do
    {
      mp_hub_lock ();
      line = g_queue_pop_head (&self->lines);
      mp_hub_unlock ();
      if (line != NULL)
        mp_process_emit_line (self->object, line->stream, line->text);
      line_free (line);
    }
  while (line != NULL);
}

static void
emit_exited_cb (gpointer data)
{
  MpProcessCore *self = data;

  emit_lines_cb (self);
  if (self->pid != 0)
    mp_process_emit_exited (self->object, self->exit_status);
}

static void
exited_done (gpointer data)
{
  MpProcessCore *self = data;

  release_object (self);
  mp_process_core_unref (self);
}

static void
post (MpProcessCore  *self,
      MpPostFunc      func,
      GDestroyNotify  destroy)
{
  mp_hub_post (self->context, self, func, mp_process_core_ref (self), destroy);
}

/* What the child tells. With the lock held. */

static void
child_started (MpChild  *child,
               gpointer  data)
{
  MpProcessCore *self = data;

  self->pid = mp_child_get_pid (child);
  g_queue_push_tail_link (&running, &self->link);
  post (self, emit_started_cb, (GDestroyNotify) mp_process_core_unref);
  if (!g_queue_is_empty (&self->lines))
    post (self, emit_lines_cb, (GDestroyNotify) mp_process_core_unref);
  mp_active_children_changed (self);
  mp_hub_changed ();
}

static void
child_ready (MpChild  *child,
             gpointer  data)
{
  MpProcessCore *self = data;

  self->state = MP_PROCESS_RUNNING;
  self->ready = TRUE;
  complete_all (&self->start_waiters, NULL);
  mp_hub_changed ();
}

static void
child_frame (MpChild  *child,
             MpFrame  *frame,
             gpointer  data)
{
  MpProcessCore *self = data;
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  gsize used = 0;

  if (frame->kind != MP_FRAME_ERROR || self->error != NULL)
    return;

  value = mp_frame_get_value (frame, 0, &used, &error);
  self->error = value != NULL ? mp_error_from_variant (value, NULL) : g_steal_pointer (&error);
}

static void
child_line (MpChild    *child,
            const char *stream,
            const char *line,
            gpointer    data)
{
  MpProcessCore *self = data;
  MpProcessLine *item = g_new (MpProcessLine, 1);

  /* What comes before the pid is known waits for that. */
  if (g_queue_is_empty (&self->lines) && self->pid != 0)
    post (self, emit_lines_cb, (GDestroyNotify) mp_process_core_unref);
  item->stream = stream;
  item->text = g_strdup (line);
  g_queue_push_tail (&self->lines, item);
}

/* Called back once the lock is free: the child calls ended() from its own insides. */
static void
drop_child (gpointer data)
{
  mp_hub_lock ();
  mp_child_unref (data);
  mp_hub_unlock ();
}

static void
child_ended (MpChild      *child,
             const GError *error,
             gpointer      data)
{
  MpProcessCore *self = data;
  g_autoptr(GError) start_error = NULL;

  self->pid = mp_child_get_pid (child);
  self->exit_status = mp_child_get_exit_status (child);
  if (error != NULL && self->error == NULL)
    self->error = g_error_copy (error);
  self->state = self->pid != 0 ? MP_PROCESS_ENDED : MP_PROCESS_FAILED;
  if (self->state == MP_PROCESS_FAILED)
    self->exit_status = MP_EXIT_STATUS_RUNNING;
  if (self->link.prev != NULL || self->link.next != NULL || running.head == &self->link)
    g_queue_unlink (&running, &self->link);

  start_error = mp_process_core_copy_start_error (self);
  complete_all (&self->start_waiters, start_error);
  post (self, emit_exited_cb, exited_done);
  complete_all (&self->join_waiters, self->state == MP_PROCESS_FAILED ? start_error : NULL);
  mp_process_core_tell_spots (self);
  mp_active_children_changed (self);

  if (self->child != NULL)
    mp_hub_run_unlocked (drop_child, g_steal_pointer (&self->child));
  mp_hub_run_unlocked ((GDestroyNotify) mp_process_core_unref, self);
  mp_hub_changed ();
}

static const MpChildFuncs child_funcs =
{
  .started = child_started,
  .ready = child_ready,
  .frame = child_frame,
  .line = child_line,
  .ended = child_ended,
};

/* With the lock held; what it takes goes back when it fails. */
static gboolean
start_child (MpProcessCore        *self,
             MpContext            *context,
             const MpChildConfig  *config,
             MpEncoded            *run,
             GError              **error)
{
  MpChild *child = NULL;

  if (self->closed)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "process start: it has been closed");
      return FALSE;
    }
  if (self->state != MP_PROCESS_NEW)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_EXISTS, "process start: it has been started before");
      return FALSE;
    }

  self->state = MP_PROCESS_STARTING;
  child = mp_child_start (context, config, &child_funcs, mp_process_core_ref (self), error);
  if (child == NULL)
    {
      self->state = MP_PROCESS_NEW;
      mp_hub_run_unlocked ((GDestroyNotify) mp_process_core_unref, self);
      return FALSE;
    }

  if (self->state >= MP_PROCESS_ENDED)
    {
      mp_hub_run_unlocked (drop_child, child);
      return TRUE;
    }
  self->child = child;
  mp_wire_queue_value (mp_child_get_wire (child), MP_FRAME_RUN, 0, NULL, 0, run);
  mp_child_flush (child);

  return TRUE;
}

gboolean
mp_process_core_launch (MpProcessCore        *self,
                        MpProcess            *object,
                        MpContext            *context,
                        const MpChildConfig  *config,
                        GVariant             *run,
                        GError              **error)
{
  GMainContext *main_context = NULL;
  MpEncoded encoded = { 0, };
  gboolean success = FALSE;
  gboolean was_held = FALSE;

  if (!mp_hub_try_prepare ("process start", error))
    return FALSE;
  if (!mp_value_encode (run, &encoded, error))
    {
      g_prefix_error (error, "process start: ");
      return FALSE;
    }
  main_context = mp_hub_ref_context (self->context);
  g_object_ref (object);

  mp_hub_lock ();
  was_held = self->n_holds > 0;
  if (!was_held)
    {
      self->object = object;
      self->n_holds = 1;
    }
  success = start_child (self, context, config, &encoded, error);
  if (success)
    self->attached = TRUE;
  else if (!was_held)
    self->object = (self->n_holds = 0, NULL);
  mp_hub_unlock ();

  mp_encoded_clear (&encoded);
  if (!success)
    {
      g_object_unref (object);
      mp_hub_unref_context (main_context);
    }

  return success;
}

static gboolean
never (gpointer data)
{
  return FALSE;
}

void
mp_process_core_refresh (void)
{
  static const char nobody;

  /* Posts belong to an owner; there are none of this one. */
  mp_hub_wait (&nobody, never, NULL, "process", 0, NULL, NULL);
}

/* A descriptor that is readable for ever. */
static int
make_ended_sentinel (void)
{
  const guint64 one = 1;
  int fd = mp_fd_eventfd ();

  if (fd >= 0 && write (fd, &one, sizeof one) != sizeof one)
    mp_fd_close (&fd);

  return fd;
}

int
mp_process_core_get_sentinel (MpProcessCore  *self,
                              GError        **error)
{
  if (self->sentinel >= 0)
    return self->sentinel;

  if (self->child != NULL)
    {
      self->sentinel = mp_child_dup_sentinel (self->child, error);
      return self->sentinel;
    }

  self->sentinel = make_ended_sentinel ();
  if (self->sentinel < 0)
    {
      int code = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "process sentinel: %s", g_strerror (code));
    }

  return self->sentinel;
}

GPtrArray *
mp_process_list_running (void)
{
  GPtrArray *objects = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GPtrArray) cores = g_ptr_array_new ();

  mp_hub_lock ();
  for (GList *link = running.head; link != NULL; link = link->next)
    {
      MpProcessCore *core = link->data;

      core->n_holds++;
      g_ptr_array_add (cores, mp_process_core_ref (core));
    }
  mp_hub_unlock ();

  for (guint i = 0; i < cores->len; i++)
    {
      MpProcessCore *core = g_ptr_array_index (cores, i);

      g_ptr_array_add (objects, g_object_ref (core->object));
      release_object (core);
      mp_process_core_unref (core);
    }

  return objects;
}

static void
parent_gone (MpWatch      *watch,
             GIOCondition  condition,
             gpointer      data)
{
  MpProcessCore *self = data;

  mp_hub_remove_watch (watch);
  self->state = MP_PROCESS_ENDED;
  self->exit_status = MP_EXIT_STATUS_UNKNOWN;
  self->n_holds++;
  post (self, emit_exited_cb, exited_done);
  complete_all (&self->join_waiters, NULL);
  mp_process_core_tell_spots (self);
}

void
mp_process_core_watch_parent (MpProcessCore *self,
                              MpProcess     *object,
                              int            pid,
                              int            sentinel)
{
  mp_hub_ref_context (self->context);

  mp_hub_lock ();
  self->attached = TRUE;
  self->object = object;
  self->n_holds = 1;
  self->pid = pid;
  self->state = MP_PROCESS_RUNNING;
  self->ready = TRUE;
  self->sentinel = sentinel;
  if (sentinel >= 0)
    mp_hub_add_watch (sentinel, G_IO_IN, parent_gone, self);
  mp_hub_unlock ();
}

void
mp_process_core_reset_after_fork (void)
{
  g_queue_init (&running);
}
