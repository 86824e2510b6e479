/* mp-queue-calls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-queue-private.h"

/* The public calls of MpQueue that put and get. */

/* Not all of it is set: what is taken comes there. */
static void
begin_get (MpQueueGet *get,
           gboolean    bytes_only)
{
  get->settle = FALSE;
  get->taken.bytes_only = bytes_only;
  get->taken.is_too_long = FALSE;
  get->taken.into = NULL;
  get->taken.data = NULL;
}

/* GVariants. */

/**
 * mp_queue_put:
 * @self: a queue
 * @value: the item; a floating reference is taken
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Puts an item, and waits while there is no room for it.
 *
 * When it returns, the item is in the queue, and stays there as long as any process has that, whatever becomes of this
 * one. A value with handles of objects in it (type `h`) is refused with `G_IO_ERROR_NOT_SUPPORTED`, because nobody
 * could keep their descriptors: such values go by a connection, or as arguments of a process or a task.
 *
 * While it waits, callbacks of the queue's asynchronous calls that are due in a main context which this thread may
 * acquire are run.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before;
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `G_IO_ERROR_CLOSED` when this process has closed the queue;
 * `MP_ERROR_TOO_LARGE` when the item alone is larger than [property@Mp.Queue:max-bytes], or than the memory that there
 * is; `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the queue. With an error nothing
 * was put.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_put (MpQueue       *self,
              GVariant      *value,
              gint64         timeout_us,
              GCancellable  *cancellable,
              GError       **error)
{
  MpQueuePut put = { 0 };
  gboolean success = FALSE;

  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (value != NULL, FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  success = mp_queue_put_set_value (&put, value, FALSE, error) &&
            mp_queue_run_put (self, &put, timeout_us, cancellable, error);
  mp_queue_put_clear (&put);
  return success;
}

/**
 * mp_queue_try_put:
 * @self: a queue
 * @value: the item; a floating reference is taken
 * @error: return location for an error
 *
 * Puts an item if there is room for it now.
 *
 * Errors: `MP_ERROR_FULL`, and those of [method@Mp.Queue.put] that have nothing to do with waiting.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_try_put (MpQueue   *self,
                  GVariant  *value,
                  GError   **error)
{
  MpQueuePut put = { 0 };
  gboolean success = FALSE;

  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (value != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  success = mp_queue_put_set_value (&put, value, FALSE, error) && mp_queue_try_run_put (self, &put, error);
  mp_queue_put_clear (&put);
  return success;
}

/**
 * mp_queue_put_async:
 * @self: a queue
 * @value: the item; a floating reference is taken
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the item has been put, or not
 * @user_data: data for @callback
 *
 * Puts an item without blocking: as [method@Mp.Queue.put], for ever.
 *
 * @callback runs once, in the thread-default main context of the caller, never from within this call; @self lives at
 * least until then. Items of one process that wait are put in their order.
 *
 * Since: 0.1
 */
void
mp_queue_put_async (MpQueue             *self,
                    GVariant            *value,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  MpQueuePut put = { 0 };
  GError *error = NULL;

  g_return_if_fail (MP_IS_QUEUE (self));
  g_return_if_fail (value != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  mp_queue_put_set_value (&put, value, TRUE, &error);
  mp_queue_begin_put (self, &put, error, mp_queue_put_async, cancellable, callback, user_data);
}

/**
 * mp_queue_put_finish:
 * @self: a queue
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Queue.put_async] began. A call that was cancelled too late has put its item.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_put_finish (MpQueue       *self,
                     GAsyncResult  *result,
                     GError       **error)
{
  return mp_queue_end_put (self, result, error);
}

/**
 * mp_queue_get:
 * @self: a queue
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Gets the oldest item, and waits until there is one.
 *
 * One that was put as plain bytes is an `ay`.
 *
 * While it waits, callbacks of the queue's asynchronous calls that are due in a main context which this thread may
 * acquire are run.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before;
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `G_IO_ERROR_CLOSED` when the queue is empty, and no process
 * is left that could put; `MP_ERROR_PROTOCOL` when another process has damaged the queue; `MP_ERROR_FAILED` with the
 * reason when there was no memory or no descriptor for the queue.
 *
 * Returns: (transfer full): the item
 *
 * Since: 0.1
 */
GVariant *
mp_queue_get (MpQueue       *self,
              gint64         timeout_us,
              GCancellable  *cancellable,
              GError       **error)
{
  return mp_queue_get_tagged (self, NULL, timeout_us, cancellable, error);
}

/**
 * mp_queue_try_get:
 * @self: a queue
 * @error: return location for an error
 *
 * Gets the oldest item if there is one now.
 *
 * Errors: `MP_ERROR_EMPTY`, and those of [method@Mp.Queue.get] that have nothing to do with waiting.
 *
 * Returns: (transfer full): the item
 *
 * Since: 0.1
 */
GVariant *
mp_queue_try_get (MpQueue  *self,
                  GError  **error)
{
  GVariant *value = NULL;
  MpQueueGet get;

  g_return_val_if_fail (MP_IS_QUEUE (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  begin_get (&get, FALSE);
  if (mp_queue_try_run_get (self, &get, error))
    value = mp_queue_get_to_value (&get, NULL, error);
  mp_queue_get_clear (&get);
  return value;
}

/**
 * mp_queue_get_async:
 * @self: a queue
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when there is an item, or an error
 * @user_data: data for @callback
 *
 * Gets the oldest item without blocking: as [method@Mp.Queue.get], for ever.
 *
 * @callback runs once, in the thread-default main context of the caller, never from within this call; @self lives at
 * least until then. The item is out of the queue before @callback runs. A call that is cancelled when it has got one
 * gives it all the same, so that nothing is lost.
 *
 * Since: 0.1
 */
void
mp_queue_get_async (MpQueue             *self,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  g_return_if_fail (MP_IS_QUEUE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  mp_queue_begin_get (self, FALSE, mp_queue_get_async, cancellable, callback, user_data);
}

/**
 * mp_queue_get_finish:
 * @self: a queue
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Queue.get_async] began.
 *
 * Returns: (transfer full): the item
 *
 * Since: 0.1
 */
GVariant *
mp_queue_get_finish (MpQueue       *self,
                     GAsyncResult  *result,
                     GError       **error)
{
  return mp_queue_get_tagged_finish (self, result, NULL, error);
}

/* Plain bytes. */

/**
 * mp_queue_put_bytes:
 * @self: a queue
 * @bytes: the item
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Puts an item of plain bytes, and waits while there is no room for it: as [method@Mp.Queue.put].
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before;
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `G_IO_ERROR_CLOSED` when this process has closed the queue;
 * `MP_ERROR_TOO_LARGE` when the item alone is larger than [property@Mp.Queue:max-bytes], or than the memory that there
 * is; `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the queue. With an error nothing
 * was put.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_put_bytes (MpQueue       *self,
                    GBytes        *bytes,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  gsize size = 0;
  gconstpointer data = NULL;

  g_return_val_if_fail (bytes != NULL, FALSE);

  data = g_bytes_get_data (bytes, &size);
  return mp_queue_put_tagged (self, data, size, 0, timeout_us, cancellable, error);
}

/**
 * mp_queue_try_put_bytes:
 * @self: a queue
 * @bytes: the item
 * @error: return location for an error
 *
 * Puts an item of plain bytes if there is room for it now.
 *
 * Errors: `MP_ERROR_FULL`, and those of [method@Mp.Queue.put_bytes] that have nothing to do with waiting.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_try_put_bytes (MpQueue  *self,
                        GBytes   *bytes,
                        GError  **error)
{
  MpQueuePut put = { .item = { .kind = MP_TAPE_BYTES } };

  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (bytes != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  put.item.data = g_bytes_get_data (bytes, &put.item.size);
  return mp_queue_try_run_put (self, &put, error);
}

/**
 * mp_queue_put_bytes_async:
 * @self: a queue
 * @bytes: the item
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the item has been put, or not
 * @user_data: data for @callback
 *
 * Puts an item of plain bytes without blocking: as [method@Mp.Queue.put_async].
 *
 * Since: 0.1
 */
void
mp_queue_put_bytes_async (MpQueue             *self,
                          GBytes              *bytes,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  MpQueuePut put = { .item = { .kind = MP_TAPE_BYTES } };

  g_return_if_fail (MP_IS_QUEUE (self));
  g_return_if_fail (bytes != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  put.bytes = g_bytes_ref (bytes);
  put.item.data = g_bytes_get_data (bytes, &put.item.size);
  mp_queue_begin_put (self, &put, NULL, mp_queue_put_bytes_async, cancellable, callback, user_data);
}

/**
 * mp_queue_put_bytes_finish:
 * @self: a queue
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Queue.put_bytes_async] began. A call that was cancelled too late has put its item.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_put_bytes_finish (MpQueue       *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  return mp_queue_end_put (self, result, error);
}

/**
 * mp_queue_get_bytes:
 * @self: a queue
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Gets the oldest item, of plain bytes, and waits until there is one.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before;
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `G_IO_ERROR_CLOSED` when the queue is empty, and no process
 * is left that could put; `MP_ERROR_PROTOCOL` when another process has damaged the queue; `MP_ERROR_FAILED` with the
 * reason when there was no memory or no descriptor for the queue; `MP_ERROR_INVALID_TYPE` when it is a
 * [struct@GLib.Variant]: then it stays in the queue.
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_queue_get_bytes (MpQueue       *self,
                    gint64         timeout_us,
                    GCancellable  *cancellable,
                    GError       **error)
{
  GBytes *bytes = NULL;
  MpQueueGet get;

  g_return_val_if_fail (MP_IS_QUEUE (self), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  begin_get (&get, TRUE);
  if (mp_queue_run_get (self, &get, timeout_us, cancellable, error))
    bytes = mp_queue_get_to_bytes (&get);
  mp_queue_get_clear (&get);
  return bytes;
}

/**
 * mp_queue_try_get_bytes:
 * @self: a queue
 * @error: return location for an error
 *
 * Gets the oldest item, of plain bytes, if there is one now.
 *
 * Errors: `MP_ERROR_EMPTY`, and those of [method@Mp.Queue.get_bytes] that have nothing to do with waiting.
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_queue_try_get_bytes (MpQueue  *self,
                        GError  **error)
{
  GBytes *bytes = NULL;
  MpQueueGet get;

  g_return_val_if_fail (MP_IS_QUEUE (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  begin_get (&get, TRUE);
  if (mp_queue_try_run_get (self, &get, error))
    bytes = mp_queue_get_to_bytes (&get);
  mp_queue_get_clear (&get);
  return bytes;
}

/**
 * mp_queue_get_bytes_async:
 * @self: a queue
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when there is an item, or an error
 * @user_data: data for @callback
 *
 * Gets the oldest item, of plain bytes, without blocking: as [method@Mp.Queue.get_async].
 *
 * Since: 0.1
 */
void
mp_queue_get_bytes_async (MpQueue             *self,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  g_return_if_fail (MP_IS_QUEUE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  mp_queue_begin_get (self, TRUE, mp_queue_get_bytes_async, cancellable, callback, user_data);
}

/**
 * mp_queue_get_bytes_finish:
 * @self: a queue
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Queue.get_bytes_async] began.
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_queue_get_bytes_finish (MpQueue       *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  MpQueueGet *get = mp_queue_end_get (self, result, error);
  GBytes *bytes = NULL;

  if (get == NULL)
    return NULL;

  bytes = mp_queue_get_to_bytes (get);
  mp_queue_get_free (get);
  return bytes;
}

/**
 * mp_queue_put_data:
 * @self: a queue
 * @data: (array length=n_data) (element-type guint8) (nullable): the item
 * @n_data: how many bytes it has
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Puts an item of plain bytes, as [method@Mp.Queue.put_bytes].
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before;
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `G_IO_ERROR_CLOSED` when this process has closed the queue;
 * `MP_ERROR_TOO_LARGE` when the item alone is larger than [property@Mp.Queue:max-bytes], or than the memory that there
 * is; `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the queue. With an error nothing
 * was put.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_put_data (MpQueue       *self,
                   const guint8  *data,
                   gsize          n_data,
                   gint64         timeout_us,
                   GCancellable  *cancellable,
                   GError       **error)
{
  return mp_queue_put_tagged (self, data, n_data, 0, timeout_us, cancellable, error);
}

/**
 * mp_queue_get_bytes_into: (skip)
 * @self: a queue
 * @buffer: where the bytes go
 * @size: how many it can hold
 * @length: (out): how many they are; with `MP_ERROR_BUFFER_TOO_SHORT` how many there would be
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Gets the oldest item, of plain bytes, into memory of the caller's.
 *
 * Errors: those of [method@Mp.Queue.get_bytes], and `MP_ERROR_BUFFER_TOO_SHORT`: then the item stays in the queue. With
 * any other error @length is 0.
 *
 * Returns: whether there are bytes in @buffer
 *
 * Since: 0.1
 */
gboolean
mp_queue_get_bytes_into (MpQueue       *self,
                         gpointer       buffer,
                         gsize          size,
                         gsize         *length,
                         gint64         timeout_us,
                         GCancellable  *cancellable,
                         GError       **error)
{
  gboolean success = FALSE;
  MpQueueGet get;

  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (buffer != NULL, FALSE);
  g_return_val_if_fail (length != NULL, FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  begin_get (&get, TRUE);
  get.taken.into = buffer;
  get.taken.max_into = size;
  get.taken.record.size = 0;
  success = mp_queue_run_get (self, &get, timeout_us, cancellable, error);
  *length = success || get.taken.is_too_long ? get.taken.record.size : 0;
  return success;
}

/* For bindings. */

/**
 * mp_queue_put_tagged:
 * @self: a queue
 * @data: (array length=n_data) (element-type guint8) (nullable): the item
 * @n_data: how many bytes it has
 * @tag: a number that goes with it, at most 65535; 0 for plain bytes
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Puts an item of bytes, as [method@Mp.Queue.put_bytes], with a number that says what they are.
 *
 * This is for bindings, which put values of another language that way, and get them by [method@Mp.Queue.get_tagged].
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before;
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `G_IO_ERROR_CLOSED` when this process has closed the queue;
 * `MP_ERROR_TOO_LARGE` when the item alone is larger than [property@Mp.Queue:max-bytes], or than the memory that there
 * is; `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the queue. With an error nothing
 * was put.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_put_tagged (MpQueue       *self,
                     const guint8  *data,
                     gsize          n_data,
                     guint          tag,
                     gint64         timeout_us,
                     GCancellable  *cancellable,
                     GError       **error)
{
  MpQueuePut put = { .item = { .kind = MP_TAPE_BYTES, .tag = tag, .data = data, .size = n_data } };

  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (data != NULL || n_data == 0, FALSE);
  g_return_val_if_fail (tag <= G_MAXUINT16, FALSE);
  g_return_val_if_fail (timeout_us >= -1, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  return mp_queue_run_put (self, &put, timeout_us, cancellable, error);
}

/**
 * mp_queue_put_tagged_async:
 * @self: a queue
 * @data: (array length=n_data) (element-type guint8) (nullable): the item, copied
 * @n_data: how many bytes it has
 * @tag: a number that goes with it, at most 65535; 0 for plain bytes
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when the item has been put, or not
 * @user_data: data for @callback
 *
 * Puts an item of bytes with a number, as [method@Mp.Queue.put_tagged], without blocking.
 *
 * Since: 0.1
 */
void
mp_queue_put_tagged_async (MpQueue             *self,
                           const guint8        *data,
                           gsize                n_data,
                           guint                tag,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  MpQueuePut put = { .item = { .kind = MP_TAPE_BYTES, .tag = tag } };

  g_return_if_fail (MP_IS_QUEUE (self));
  g_return_if_fail (data != NULL || n_data == 0);
  g_return_if_fail (tag <= G_MAXUINT16);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  put.bytes = g_bytes_new (data, n_data);
  put.item.data = g_bytes_get_data (put.bytes, &put.item.size);
  mp_queue_begin_put (self, &put, NULL, mp_queue_put_tagged_async, cancellable, callback, user_data);
}

/**
 * mp_queue_put_tagged_finish:
 * @self: a queue
 * @result: what the callback got
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Queue.put_tagged_async] began. A call that was cancelled too late has put its item.
 *
 * Returns: whether the item was put
 *
 * Since: 0.1
 */
gboolean
mp_queue_put_tagged_finish (MpQueue       *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  return mp_queue_end_put (self, result, error);
}

/**
 * mp_queue_get_tagged:
 * @self: a queue
 * @tag: (out) (optional): the number that goes with it; 0 for plain bytes and for a [struct@GLib.Variant]
 * @timeout_us: how long to wait, in microseconds; -1 for ever, 0 not at all
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Gets the oldest item, as [method@Mp.Queue.get], and what was put with it by [method@Mp.Queue.put_tagged].
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`; `G_IO_ERROR_CANCELLED`, also when @cancellable was cancelled before;
 * `MP_ERROR_INTERRUPTED`, see [func@Mp.set_interrupt_fd]; `G_IO_ERROR_CLOSED` when the queue is empty, and no process
 * is left that could put; `MP_ERROR_PROTOCOL` when another process has damaged the queue; `MP_ERROR_FAILED` with the
 * reason when there was no memory or no descriptor for the queue.
 *
 * Returns: (transfer full): the item
 *
 * Since: 0.1
 */
GVariant *
mp_queue_get_tagged (MpQueue       *self,
                     guint         *tag,
                     gint64         timeout_us,
                     GCancellable  *cancellable,
                     GError       **error)
{
  GVariant *value = NULL;
  MpQueueGet get;

  g_return_val_if_fail (MP_IS_QUEUE (self), NULL);
  g_return_val_if_fail (timeout_us >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (tag != NULL)
    *tag = 0;
  begin_get (&get, FALSE);
  if (mp_queue_run_get (self, &get, timeout_us, cancellable, error))
    value = mp_queue_get_to_value (&get, tag, error);
  mp_queue_get_clear (&get);
  return value;
}

/**
 * mp_queue_get_tagged_async:
 * @self: a queue
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable) (scope async) (closure user_data): called when there is an item, or an error
 * @user_data: data for @callback
 *
 * Gets the oldest item as [method@Mp.Queue.get_tagged] does, without blocking.
 *
 * Since: 0.1
 */
void
mp_queue_get_tagged_async (MpQueue             *self,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_return_if_fail (MP_IS_QUEUE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  mp_queue_begin_get (self, FALSE, mp_queue_get_tagged_async, cancellable, callback, user_data);
}

/**
 * mp_queue_get_tagged_finish:
 * @self: a queue
 * @result: what the callback got
 * @tag: (out) (optional): the number that goes with the item; 0 for plain bytes and for a [struct@GLib.Variant]
 * @error: return location for an error
 *
 * Finishes what [method@Mp.Queue.get_tagged_async] began.
 *
 * Returns: (transfer full): the item
 *
 * Since: 0.1
 */
GVariant *
mp_queue_get_tagged_finish (MpQueue       *self,
                            GAsyncResult  *result,
                            guint         *tag,
                            GError       **error)
{
  MpQueueGet *get = mp_queue_end_get (self, result, error);
  GVariant *value = NULL;

  if (tag != NULL)
    *tag = 0;
  if (get == NULL)
    return NULL;

  value = mp_queue_get_to_value (get, tag, error);
  mp_queue_get_free (get);
  return value;
}
