/* mp-queue-sides.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-queue-private.h"

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/base/mp-spare-private.h"

#include <string.h>

/* The two sides of a queue, and what waits at each for the other. */

#define PUT "queue put"
#define GET "queue get"

/* Putting. */

static gboolean
refuse_handle (gint32   *handle,
               gpointer  user_data)
{
  *(gboolean *) user_data = TRUE;
  return FALSE;
}

static gboolean
set_refused (gboolean   has_handles,
             GError   **error)
{
  if (has_handles)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                 PUT ": the value has objects in it (type h), which a queue cannot carry: send them by a "
                 "connection, or as arguments of a process or a task");
  else
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 PUT ": the value is nested too deeply, or a variant in it has too long a type");
  return FALSE;
}

gboolean
mp_queue_put_set_value (MpQueuePut  *put,
                        GVariant    *value,
                        gboolean     keep,
                        GError     **error)
{
  const char *type = g_variant_get_type_string (value);
  gsize n_type = strlen (type);
  gboolean has_handles = FALSE;

  if (keep || g_variant_is_floating (value))
    put->value = g_variant_ref_sink (value);
  if (n_type > MP_CODEC_MAX_TYPE)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, PUT ": the type of the value is %" G_GSIZE_FORMAT
                   " characters long", n_type);
      return FALSE;
    }

  for (guint i = 0; i < 2 && !has_handles; i++)
    {
      gsize size = g_variant_get_size (value);
      gconstpointer data = g_variant_get_data (value);
      GVariant *normal = NULL;

      put->item = (MpTapeItem) { MP_TAPE_VALUE, 0, type, n_type, data, size };
      if ((data != NULL || size == 0) &&
          mp_value_check_string (type, n_type, data, size, refuse_handle, &has_handles))
        return TRUE;
      /* Made from bytes that nobody had checked. GVariant reads such a value as its normal form. */
      normal = g_variant_get_normal_form (value);
      g_clear_pointer (&put->value, g_variant_unref);
      value = put->value = normal;
      type = g_variant_get_type_string (value);
    }
  return set_refused (has_handles, error);
}

void
mp_queue_put_clear (MpQueuePut *put)
{
  g_clear_pointer (&put->value, g_variant_unref);
  g_clear_pointer (&put->bytes, g_bytes_unref);
}

static void
put_free (gpointer data)
{
  mp_queue_put_clear (data);
  g_free (data);
}

static MpSyncStep
try_put (MpSync    *sync,
         gboolean   settle,
         gpointer   data,
         int       *wake,
         GError   **error)
{
  MpQueue *self = mp_queue_of_side (sync);
  MpQueuePut *put = data;

  switch (mp_tape_put (self->tape, &put->item, &put->n_got, error))
    {
    case MP_TAPE_DONE:
      return MP_SYNC_DONE;
    case MP_TAPE_NOT_NOW:
      return MP_SYNC_NOT_YET;
    default:
      g_prefix_error (error, PUT ": ");
      return MP_SYNC_FAILED;
    }
}

static gboolean
look_for_room (MpSync   *sync,
               gpointer  data)
{
  MpQueuePut *put = data;
  MpTapeState get;

  mp_tape_read (&mp_queue_of_side (sync)->tape->header->get, &get);
  return get.n_items != put->n_got;
}

/* What can be said without a look at the tape. */
static gboolean
may_put (MpQueue     *self,
         MpQueuePut  *put,
         GError     **error)
{
  if (!mp_sync_is_usable (&self->put_side.sync))
    return mp_sync_set_unusable (&self->put_side.sync, PUT, error);

  /* Before it is there: whoever gets it finds the process that has put it among those that put. */
  mp_queue_mark (self, MP_QUEUE_PUTS);
  if (G_UNLIKELY ((mp_queue_get_marks (self) & MP_QUEUE_CLOSED) != 0))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, PUT ": this process has closed the queue");
      return FALSE;
    }
  if (self->tape->max_bytes > 0 && put->item.size > self->tape->max_bytes)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
                   PUT ": the item has %" G_GSIZE_FORMAT " bytes, and the queue is for %" G_GUINT64_FORMAT " at most",
                   put->item.size, self->tape->max_bytes);
      return FALSE;
    }
  return TRUE;
}

static void
was_put (MpQueue *self)
{
  mp_sync_notice (&self->get_side.sync, 1);
}

gboolean
mp_queue_run_put (MpQueue       *self,
                  MpQueuePut    *put,
                  gint64         timeout_us,
                  GCancellable  *cancellable,
                  GError       **error)
{
  if (!may_put (self, put, error) ||
      !mp_sync_wait (&self->put_side.sync, self, PUT, try_put, put, timeout_us, cancellable, error))
    return FALSE;

  was_put (self);
  return TRUE;
}

gboolean
mp_queue_try_run_put (MpQueue     *self,
                      MpQueuePut  *put,
                      GError     **error)
{
  MpSyncStep step;

  if (!may_put (self, put, error))
    return FALSE;

  step = mp_sync_do (&self->put_side.sync, PUT, try_put, put, error);
  if (step == MP_SYNC_DONE)
    was_put (self);
  if (step == MP_SYNC_NOT_YET)
    g_set_error (error, MP_ERROR, MP_ERROR_FULL, PUT ": the queue is full");
  return step == MP_SYNC_DONE;
}

static MpSyncStep
step_put (MpSyncCall  *call,
          GError     **error)
{
  MpSyncStep step = mp_sync_call_step (call, error);

  if (step == MP_SYNC_DONE)
    was_put (mp_queue_of_side (call->sync));
  return step;
}

static MpSyncStep
step_failed (MpSyncCall  *call,
             GError     **error)
{
  *error = g_steal_pointer (&call->data);
  return MP_SYNC_FAILED;
}

void
mp_queue_begin_put (MpQueue             *self,
                    MpQueuePut          *put,
                    GError              *failure,
                    gpointer             source_tag,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  MpSyncCall *call = mp_sync_call_new (self, &self->put_side.sync, PUT, source_tag, cancellable, callback, user_data);

  if (failure != NULL || !may_put (self, put, &failure))
    {
      mp_queue_put_clear (put);
      call->skips_line = TRUE;
      call->step = step_failed;
      call->data = failure;
      call->free_data = (GDestroyNotify) g_error_free;
    }
  else
    {
      call->data = g_memdup2 (put, sizeof *put);
      call->free_data = put_free;
      call->step = step_put;
      call->try_func = try_put;
    }
  mp_sync_call_run (call);
}

gboolean
mp_queue_end_put (MpQueue       *self,
                  GAsyncResult  *result,
                  GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/* Getting. */

static MpSyncStep
set_closed (GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, GET ": the queue is empty, and no process is left that could put");
  return MP_SYNC_FAILED;
}

static MpSyncStep
try_get (MpSync    *sync,
         gboolean   settle,
         gpointer   data,
         int       *wake,
         GError   **error)
{
  MpQueue *self = mp_queue_of_side (sync);
  MpQueueGet *get = data;
  MpOwner owner = MP_ARENA_SELF (self->slot.arena);
  MpTapeResult result = mp_tape_take (self->tape, owner, &get->taken, error);

  if (result == MP_TAPE_NOT_NOW && (settle || get->settle) && !mp_queue_may_get_more (self))
    {
      /* The last one may have put just before it went. */
      result = mp_tape_take (self->tape, owner, &get->taken, error);
      if (result == MP_TAPE_NOT_NOW)
        return set_closed (error);
    }

  switch (result)
    {
    case MP_TAPE_DONE:
      return MP_SYNC_DONE;
    case MP_TAPE_NOT_NOW:
      return MP_SYNC_NOT_YET;
    default:
      g_prefix_error (error, GET ": ");
      return MP_SYNC_FAILED;
    }
}

static gboolean
look_for_items (MpSync   *sync,
                gpointer  data)
{
  return !mp_tape_is_empty (mp_queue_of_side (sync)->tape);
}

static void
recover_get (MpSync *sync)
{
  mp_tape_recover (mp_queue_of_side (sync)->tape);
}

static gboolean
may_get (MpQueue  *self,
         GError  **error)
{
  if (!mp_sync_is_usable (&self->get_side.sync))
    return mp_sync_set_unusable (&self->get_side.sync, GET, error);

  mp_queue_mark (self, MP_QUEUE_GETS);
  return TRUE;
}

static void
was_got (MpQueue *self)
{
  if (mp_queue_is_bounded (self))
    mp_sync_notice (&self->put_side.sync, self->tape->max_bytes > 0 ? G_MAXINT : 1);
}

gboolean
mp_queue_run_get (MpQueue       *self,
                  MpQueueGet    *get,
                  gint64         timeout_us,
                  GCancellable  *cancellable,
                  GError       **error)
{
  if (!may_get (self, error) ||
      !mp_sync_wait (&self->get_side.sync, self, GET, try_get, get, timeout_us, cancellable, error))
    return FALSE;

  was_got (self);
  return TRUE;
}

gboolean
mp_queue_try_run_get (MpQueue     *self,
                      MpQueueGet  *get,
                      GError     **error)
{
  MpSyncStep step;

  if (!may_get (self, error))
    return FALSE;

  get->settle = TRUE;
  step = mp_sync_do (&self->get_side.sync, GET, try_get, get, error);
  if (step == MP_SYNC_DONE)
    was_got (self);
  if (step == MP_SYNC_NOT_YET)
    g_set_error (error, MP_ERROR, MP_ERROR_EMPTY, GET ": the queue is empty");
  return step == MP_SYNC_DONE;
}

static MpSyncStep
step_get (MpSyncCall  *call,
          GError     **error)
{
  MpSyncStep step = mp_sync_call_step (call, error);

  if (step == MP_SYNC_DONE)
    was_got (mp_queue_of_side (call->sync));
  return step;
}

void
mp_queue_begin_get (MpQueue             *self,
                    gboolean             bytes_only,
                    gpointer             source_tag,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  MpSyncCall *call = mp_sync_call_new (self, &self->get_side.sync, GET, source_tag, cancellable, callback, user_data);
  g_autoptr(GError) error = NULL;
  MpQueueGet *get = g_new0 (MpQueueGet, 1);

  get->taken.bytes_only = bytes_only;
  g_task_set_task_data (call->task, get, (GDestroyNotify) mp_queue_get_free);
  call->data = get;
  call->step = step_get;
  call->try_func = try_get;
  /* An object that cannot be used says so in the call. */
  may_get (self, &error);
  mp_sync_call_run (call);
}

MpQueueGet *
mp_queue_end_get (MpQueue       *self,
                  GAsyncResult  *result,
                  GError       **error)
{
  MpQueueGet *get = NULL;

  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  if (!g_task_propagate_boolean (G_TASK (result), error))
    return NULL;

  /* Of the task's what it has taken; the rest goes with it. */
  get = g_task_get_task_data (G_TASK (result));
  get = g_memdup2 (get, sizeof *get);
  ((MpQueueGet *) g_task_get_task_data (G_TASK (result)))->taken.data = NULL;
  return get;
}

void
mp_queue_get_clear (MpQueueGet *get)
{
  g_clear_pointer (&get->taken.data, mp_spare_free);
}

void
mp_queue_get_free (MpQueueGet *get)
{
  mp_queue_get_clear (get);
  g_free (get);
}

/* The content, with as much of what lies before it as is asked for left out. */
static GBytes *
take_bytes (MpQueueGet *get,
            gsize       offset)
{
  gpointer data = g_steal_pointer (&get->taken.data);
  gsize size = get->taken.record.size;

  if (data == NULL)
    return g_bytes_new ((guint8 *) get->taken.words + offset, size);
  return g_bytes_new_with_free_func ((guint8 *) data + offset, size, mp_spare_free, data);
}

GBytes *
mp_queue_get_to_bytes (MpQueueGet *get)
{
  return take_bytes (get, 0);
}

/* GVariant forgets what it knows of a type when no value of it is left, and in a process that only gets, each value is
 * the only one: to find it out anew takes longer than all the rest. So each thread has a value of the last type. */
static void
remember_type (const char *type)
{
  static GPrivate last = G_PRIVATE_INIT ((GDestroyNotify) g_variant_unref);
  GVariant *value = g_private_get (&last);

  if (value == NULL || !g_str_equal (g_variant_get_type_string (value), type))
    g_private_replace (&last, g_variant_ref_sink (g_variant_new_from_data ((const GVariantType *) type, NULL, 0, FALSE,
                                                                           NULL, NULL)));
}

GVariant *
mp_queue_get_to_value (MpQueueGet  *get,
                       guint       *tag,
                       GError     **error)
{
  const MpTapeRecord *record = &get->taken.record;
  const char *type = (const char *) (get->taken.data != NULL ? get->taken.data : get->taken.words);
  gsize n_type = mp_tape_type_size (record);
  gboolean has_handles = FALSE;
  g_autoptr(GBytes) bytes = NULL;
  g_autofree char *copy = NULL;

  if (tag != NULL)
    *tag = record->kind == MP_TAPE_BYTES ? record->tag : 0;
  if (record->kind == MP_TAPE_BYTES)
    {
      remember_type ("ay");
      bytes = take_bytes (get, 0);
      return g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE));
    }

  /* What is in the memory was perhaps written by anybody. */
  if (record->n_type == 0 || record->n_type > MP_CODEC_MAX_TYPE || type[record->n_type] != 0 ||
      !mp_value_check_string (type, record->n_type, type + n_type, record->size, refuse_handle, &has_handles))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, GET ": the item is no value, and was dropped");
      return NULL;
    }
  remember_type (type);
  /* The bytes may be long, and take with them what the type lies in. */
  copy = get->taken.data != NULL ? g_strdup (type) : NULL;
  bytes = take_bytes (get, n_type);
  if (copy != NULL)
    type = copy;
  return g_variant_ref_sink (g_variant_new_from_bytes ((const GVariantType *) type, bytes, TRUE));
}

/* Both. */

void
mp_queue_tell_getters (MpQueue *self)
{
  mp_sync_notice (&self->get_side.sync, G_MAXINT);
}

void
mp_queue_init_side (MpQueue            *self,
                    MpQueueSide        *side,
                    MpSlot             *slot,
                    guint32            *hint,
                    const MpSyncAcross *across)
{
  static const MpSyncKind kind = { "queue", MP_SLOT_FREE, FALSE, 0 };

  side->queue = self;
  side->sync.kind = &kind;
  side->sync.slot = self->slot;
  side->sync.slot.slot = slot;
  side->sync.hint = hint;
  side->sync.across = across;
}

void
mp_queue_init_sides (MpQueue *self)
{
  static const MpSyncAcross put_across = { look_for_room, NULL };
  static const MpSyncAcross get_across = { look_for_items, recover_get };
  MpTapeHeader *header = self->tape->header;

  mp_queue_init_side (self, &self->put_side, &header->put_slot, &header->put_hint, &put_across);
  mp_queue_init_side (self, &self->get_side, &header->get_slot, &header->get_hint, &get_across);
}
