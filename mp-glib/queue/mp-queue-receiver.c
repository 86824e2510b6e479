/* mp-queue-receiver.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-queue-private.h"

#include "mp-glib/base/mp-hub-private.h"

/* Items as signals. One is had at a time: the next one is got when the handlers of the last one have returned, so that
 * the others stay in the queue, for others too, as long as this process is busy. After one that was waited for, some
 * more are taken right away if they are there, for at most as long as a main loop can do without its turn. */

#define MAX_ITEMS 64
#define MAX_US    2000

struct _MpQueueReceiver
{
  GCancellable *cancellable;   /* (owned) */
  gboolean      stopped;       /* the hub's lock */
};

static void
receiver_free (MpQueueReceiver *self)
{
  g_object_unref (self->cancellable);
  g_free (self);
}

static gboolean
is_stopped (MpQueueReceiver *self)
{
  gboolean stopped;

  mp_hub_lock ();
  stopped = self->stopped;
  mp_hub_unlock ();
  return stopped;
}

/* It was the last of this receiver. */
static void
finish (MpQueue         *queue,
        MpQueueReceiver *self)
{
  mp_hub_lock ();
  if (queue->receiver == self)
    queue->receiver = NULL;
  mp_hub_unlock ();
  receiver_free (self);
}

/* FALSE: there is no more. */
static gboolean
emit_one (MpQueue      *queue,
          MpQueueGet   *get)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;
  guint tag = 0;

  value = mp_queue_get_to_value (get, &tag, &error);
  mp_queue_get_clear (get);
  if (value != NULL)
    mp_queue_emit_item (queue, value, tag);
  else
    g_warning ("%s", error->message);
  return value != NULL;
}

static void
emit_more (MpQueue         *queue,
           MpQueueReceiver *self)
{
  gint64 until = g_get_monotonic_time () + MAX_US;

  for (guint i = 1; i < MAX_ITEMS && !is_stopped (self) && !mp_tape_is_empty (queue->tape); i++)
    {
      MpQueueGet get;

      get.taken = (MpTapeTaken) { .bytes_only = FALSE };
      if (g_get_monotonic_time () >= until || !mp_queue_try_run_get (queue, &get, NULL))
        return;
      emit_one (queue, &get);
    }
}

static void
got_cb (GObject      *source_object,
        GAsyncResult *result,
        gpointer      user_data)
{
  MpQueue *queue = MP_QUEUE (source_object);
  MpQueueReceiver *self = user_data;
  g_autoptr(GError) error = NULL;
  MpQueueGet *get = mp_queue_end_get (queue, result, &error);
  GMainContext *context = NULL;

  if (get == NULL)
    {
      gboolean stopped = is_stopped (self);

      finish (queue, self);
      if (!stopped)
        mp_queue_emit_closed (queue, g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED) ? NULL : error);
      return;
    }

  /* Also after stop() if it was got before: it is in no queue any more. */
  emit_one (queue, get);
  mp_queue_get_free (get);
  emit_more (queue, self);
  if (is_stopped (self))
    {
      finish (queue, self);
      return;
    }

  /* Whatever thread it is that has the context now. */
  context = g_task_get_context (G_TASK (result));
  g_main_context_push_thread_default (context);
  mp_queue_begin_get (queue, FALSE, mp_queue_start, self->cancellable, got_cb, self);
  g_main_context_pop_thread_default (context);
}

/**
 * mp_queue_start:
 * @self: a queue
 *
 * Makes items come as signals.
 *
 * From now on items are got as they come, one after the other, and told by [signal@Mp.Queue::item], and the end by
 * [signal@Mp.Queue::closed], in the main context that is the thread-default one of this call. While the handlers of an
 * item run no other one is got. No thread is needed for it. The queue is kept alive until [method@Mp.Queue.stop] or the
 * end. To start a started one does nothing.
 *
 * Since: 0.1
 */
void
mp_queue_start (MpQueue *self)
{
  MpQueueReceiver *receiver = NULL;

  g_return_if_fail (MP_IS_QUEUE (self));

  mp_hub_lock ();
  if (self->receiver == NULL)
    {
      receiver = self->receiver = g_new0 (MpQueueReceiver, 1);
      receiver->cancellable = g_cancellable_new ();
    }
  mp_hub_unlock ();
  if (receiver != NULL)
    mp_queue_begin_get (self, FALSE, mp_queue_start, receiver->cancellable, got_cb, receiver);
}

/**
 * mp_queue_stop:
 * @self: a queue
 *
 * Ends what [method@Mp.Queue.start] began.
 *
 * An item that was got before, and has not been told yet, is still told. To stop a queue that is not started does
 * nothing.
 *
 * Since: 0.1
 */
void
mp_queue_stop (MpQueue *self)
{
  g_autoptr(GCancellable) cancellable = NULL;

  g_return_if_fail (MP_IS_QUEUE (self));

  mp_hub_lock ();
  if (self->receiver != NULL)
    {
      self->receiver->stopped = TRUE;
      cancellable = g_object_ref (self->receiver->cancellable);
      self->receiver = NULL;
    }
  mp_hub_unlock ();
  if (cancellable != NULL)
    g_cancellable_cancel (cancellable);
}
