/* mp-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-queue-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <unistd.h>

/**
 * MpQueue:
 *
 * A queue of values between processes, as many as there are on either side.
 *
 * As Python's `multiprocessing.Queue`: [method@Mp.Queue.put] puts an item, [method@Mp.Queue.get] gets the oldest one.
 * An item is a [struct@GLib.Variant] without handles, or plain bytes. It lies in memory that all processes share, which
 * grows with what is in the queue and is given back: there is no thread that writes it to a pipe, so that a process may
 * end, or be killed, as soon as put has returned, and the item is there.
 *
 * The queue travels to other processes as a part of a function's arguments or of a message, see [iface@Mp.Shareable].
 * An item is got by exactly one of them.
 *
 * ```c
 * g_autoptr(MpQueue) queue = mp_queue_new (10, 0);  // ten items at most, of whatever size
 * g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (queue));
 * g_autoptr(MpProcess) process = mp_process_new (MP_FUNCTION (produce), g_variant_new ("(@h)", handle));
 * g_autoptr(GError) error = NULL;
 * GVariant *item = NULL;
 *
 * if (mp_process_start (process, -1, NULL, &error))
 *   while ((item = mp_queue_get (queue, -1, NULL, &error)) != NULL)
 *     take_and_unref (item);
 * // here G_IO_ERROR_CLOSED says that the process has put all that it had, or is gone
 * ```
 *
 * What waits takes a time in microseconds, -1 for ever and 0 not at all; [method@Mp.Queue.try_get] and
 * [method@Mp.Queue.try_put] do not wait and say `MP_ERROR_EMPTY` and `MP_ERROR_FULL`. After [method@Mp.Queue.start]
 * each item comes as the signal [signal@Mp.Queue::item].
 *
 * ## When a process dies
 *
 * An item is put as a whole or not at all. It is got at the one instant at which the queue goes on to the next: a
 * process killed before leaves it where it was, one killed later takes it along. Nobody else waits for the dead for
 * longer than a fraction of a second.
 *
 * ## The end
 *
 * A process that has put, or that the queue was handed to and that has not called get, may put something. It may no
 * more when it has called [method@Mp.Queue.close], when it has dropped the queue, or when it is gone. When the queue is
 * empty, there was such a process, and none is left, getting fails with `G_IO_ERROR_CLOSED`, also for those that wait
 * already.
 *
 * ## Threads and contexts
 *
 * A queue may be used in any thread, and in several at once. Callbacks run in the main context that was the
 * thread-default one of the call, signals in that of [method@Mp.Queue.start]. Of calls that wait for one queue object
 * in one process by [method@Mp.Queue.get_async] the first one gets the first item; who is first among others is not
 * said.
 *
 * Making a queue never fails: when there is no memory or no descriptor for it, each operation tells the reason.
 *
 * Since: 0.1
 */

#define STATE_TYPE "(ub" "v)"    /* descriptors of the slot; whether it is isolated; the slot */

enum { PROP_0, PROP_MAX_ITEMS, PROP_MAX_BYTES, PROP_ISOLATED, N_PROPS };
static GParamSpec *props[N_PROPS];

enum { SIGNAL_ITEM, SIGNAL_CLOSED, N_SIGNALS };
static guint signals[N_SIGNALS];

static const MpQueueKind queue_kind = { "queue", MP_SLOT_QUEUE, 0 };

static void mp_queue_shareable_init (MpShareableInterface *iface);

G_DEFINE_TYPE_WITH_CODE (MpQueue, mp_queue, G_TYPE_OBJECT,
                         G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_queue_shareable_init)
                         G_IMPLEMENT_INTERFACE (MP_TYPE_WAITABLE, mp_queue_waitable_init))
MP_QUEUE_DEFINE_KIND (mp_queue, MP_TYPE_QUEUE, queue_kind)

/* What the object that is being constructed in this thread is to have. */
typedef struct
{
  MpSlotRef slot;
  MpTape   *tape;
} Parts;

static __thread Parts *parts_to_adopt;

static const char *
mp_queue_shareable_get_kind (MpShareable *shareable)
{
  return mp_queue_get_kind (MP_QUEUE (shareable))->kind;
}

/* Once it is, it stays so, whatever strangers write into the memory: what has come from them is not to be taken for the
 * program's own. */
static gboolean
mp_queue_get_isolated (MpShareable *shareable)
{
  MpQueue *self = MP_QUEUE (shareable);

  return self->isolated || mp_slot_is_isolated (&self->slot);
}

static GVariant *
mp_queue_describe (MpShareable  *shareable,
                   GArray       *fds,
                   GError      **error)
{
  MpQueue *self = MP_QUEUE (shareable);
  const char *kind = mp_queue_get_kind (self)->kind;
  g_autoptr(GVariant) slot = NULL;
  guint n_before = fds->len;
  int fd = -1;

  if (!mp_sync_is_usable (&self->put_side.sync))
    {
      g_autofree char *what = g_strdup_printf ("Cannot send a %s", kind);

      mp_sync_set_unusable (&self->put_side.sync, what, error);
      return NULL;
    }

  slot = mp_slot_describe (&self->slot, fds, kind, error);
  if (slot == NULL)
    return NULL;
  fd = mp_fd_dup (self->tape->fd);
  if (fd < 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: cannot be sent: %s", kind, g_strerror (errno));
      return NULL;
    }
  mp_queue_note_handed (self, FALSE);
  g_array_append_val (fds, fd);
  return g_variant_ref_sink (g_variant_new (STATE_TYPE, fds->len - 1 - n_before, mp_queue_get_isolated (shareable), slot));
}

static void
mp_queue_shareable_init (MpShareableInterface *iface)
{
  iface->get_kind = mp_queue_shareable_get_kind;
  iface->describe = mp_queue_describe;
  iface->get_isolated = mp_queue_get_isolated;
}

MpShareable *
mp_queue_adopt (GType               type,
                const MpQueueKind  *kind,
                GVariant           *state,
                int                *fds,
                guint               n_fds,
                GError            **error)
{
  g_autoptr(GVariant) slot = NULL;
  Parts parts = { { NULL }, NULL };
  guint n_slot_fds = 0;
  gboolean isolated = FALSE;
  MpQueue *self = NULL;

  if (g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)))
    g_variant_get (state, STATE_TYPE, &n_slot_fds, &isolated, &slot);
  if (slot == NULL || n_fds == 0 || n_slot_fds != n_fds - 1)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: its state", kind->kind);
      return NULL;
    }

  if (!mp_slot_adopt (&parts.slot, kind->slot_kind, slot, fds, n_slot_fds, kind->kind, error))
    return NULL;
  parts.tape = mp_tape_adopt (fds[n_slot_fds], kind->tape_flags, kind->kind, error);
  if (parts.tape == NULL)
    {
      mp_slot_clear (&parts.slot);
      return NULL;
    }
  fds[n_slot_fds] = -1;

  parts_to_adopt = &parts;
  self = g_object_new (type, "isolated", isolated, NULL);
  parts_to_adopt = NULL;
  mp_queue_mark_slowly (self, MP_QUEUE_HANDED, MP_QUEUE_CLOSED);
  mp_queue_note_handed (self, TRUE);
  return MP_SHAREABLE (self);
}

static void
mp_queue_get_property (GObject    *object,
                       guint       prop_id,
                       GValue     *value,
                       GParamSpec *pspec)
{
  MpQueue *self = MP_QUEUE (object);

  switch (prop_id)
    {
    case PROP_MAX_ITEMS:
      g_value_set_uint (value, self->max_items);
      break;
    case PROP_MAX_BYTES:
      g_value_set_uint64 (value, self->max_bytes);
      break;
    case PROP_ISOLATED:
      g_value_set_boolean (value, mp_queue_get_isolated (MP_SHAREABLE (self)));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_queue_set_property (GObject      *object,
                       guint         prop_id,
                       const GValue *value,
                       GParamSpec   *pspec)
{
  MpQueue *self = MP_QUEUE (object);

  switch (prop_id)
    {
    case PROP_MAX_ITEMS:
      self->max_items = g_value_get_uint (value);
      break;
    case PROP_MAX_BYTES:
      self->max_bytes = g_value_get_uint64 (value);
      break;
    case PROP_ISOLATED:
      self->isolated = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
make_parts (MpQueue *self)
{
  const MpQueueKind *kind = mp_queue_get_kind (self);

  if (!mp_slot_new (&self->slot, kind->slot_kind, 0, self->isolated, kind->kind, &self->error))
    return;

  self->tape = mp_tape_new (kind->tape_flags, self->max_items, self->max_bytes, kind->kind, &self->error);
  if (self->tape == NULL)
    mp_slot_clear (&self->slot);
}

static void
mp_queue_constructed (GObject *object)
{
  MpQueue *self = MP_QUEUE (object);
  gboolean fresh = parts_to_adopt == NULL;

  if (fresh)
    {
      make_parts (self);
    }
  else
    {
      self->slot = parts_to_adopt->slot;
      self->tape = parts_to_adopt->tape;
      self->max_items = self->tape->max_items;
      self->max_bytes = self->tape->max_bytes;
    }

  if (self->tape != NULL)
    mp_queue_init_sides (self);
  else
    self->put_side.sync.error = self->get_side.sync.error = self->error;
  if (fresh && self->tape != NULL)
    mp_queue_mark_made (self);

  G_OBJECT_CLASS (mp_queue_parent_class)->constructed (object);
}

static void
mp_queue_finalize (GObject *object)
{
  MpQueue *self = MP_QUEUE (object);

  g_clear_pointer (&self->tape, mp_tape_free);
  mp_slot_clear (&self->slot);
  g_clear_error (&self->error);

  G_OBJECT_CLASS (mp_queue_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  /**
   * MpQueue:max-items: (getter get_max_items)
   *
   * The most items that are in the queue at once; 0: there is no bound.
   *
   * Since: 0.1
   */
  props[PROP_MAX_ITEMS] = g_param_spec_uint ("max-items", NULL, NULL, 0, G_MAXUINT, 0,
                                             G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * MpQueue:max-bytes: (getter get_max_bytes)
   *
   * The most bytes that the items in the queue have together; 0: there is no bound but memory.
   *
   * What counts is what the user put: the serialised value, or the bytes.
   *
   * Since: 0.1
   */
  props[PROP_MAX_BYTES] = g_param_spec_uint64 ("max-bytes", NULL, NULL, 0, G_MAXINT64, 0,
                                               G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * MpQueue:isolated:
   *
   * Whether it shares no memory with other objects.
   *
   * Such a queue may be sent to a process that is not one of this program's own workers.
   *
   * Since: 0.1
   */
  props[PROP_ISOLATED] = g_param_spec_boolean ("isolated", NULL, NULL, FALSE,
                                               G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_queue_class_init (MpQueueClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_queue_get_property;
  object_class->set_property = mp_queue_set_property;
  object_class->constructed = mp_queue_constructed;
  object_class->finalize = mp_queue_finalize;
  klass->kind = &queue_kind;
  install_properties (object_class);

  /**
   * MpQueue::item:
   * @self: the queue
   * @value: the item; one of plain bytes as an `ay`
   * @tag: the number that was put with it, see [method@Mp.Queue.put_tagged], else 0
   *
   * An item has been got.
   *
   * Comes between [method@Mp.Queue.start] and [method@Mp.Queue.stop], in the main context that was the thread-default
   * one of the former call.
   *
   * Since: 0.1
   */
  signals[SIGNAL_ITEM] = g_signal_new ("item", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                       G_TYPE_NONE, 2, G_TYPE_VARIANT, G_TYPE_UINT);

  /**
   * MpQueue::closed:
   * @self: the queue
   * @error: (nullable): what went wrong; `NULL` when the queue is empty, and no process is left that could put
   *
   * No more items will come.
   *
   * Comes once, as the last signal of a started queue. It does not come for [method@Mp.Queue.stop], and may come anew
   * when the queue was started anew.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CLOSED] = g_signal_new ("closed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                         G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
mp_queue_init (MpQueue *self)
{
}

/**
 * mp_queue_new:
 * @max_items: the most items that are in it at once, 0 for no bound
 * @max_bytes: the most bytes that its items have together, 0 for no bound
 *
 * Makes a queue.
 *
 * Returns: (transfer full): a queue
 *
 * Since: 0.1
 */
MpQueue *
mp_queue_new (guint   max_items,
              guint64 max_bytes)
{
  return mp_queue_new_full (max_items, max_bytes, FALSE);
}

/**
 * mp_queue_new_full:
 * @max_items: the most items that are in it at once, 0 for no bound
 * @max_bytes: the most bytes that its items have together, 0 for no bound
 * @isolated: whether it shares no memory with other objects, see [property@Mp.Queue:isolated]
 *
 * Makes a queue.
 *
 * Returns: (transfer full): a queue
 *
 * Since: 0.1
 */
MpQueue *
mp_queue_new_full (guint    max_items,
                   guint64  max_bytes,
                   gboolean isolated)
{
  g_return_val_if_fail (max_bytes <= G_MAXINT64, NULL);

  return g_object_new (MP_TYPE_QUEUE, "max-items", max_items, "max-bytes", max_bytes, "isolated", isolated, NULL);
}

/**
 * mp_queue_get_max_items: (get-property max-items)
 * @self: a queue
 *
 * Gets the most items that are in the queue at once.
 *
 * Returns: the bound, 0 for none
 *
 * Since: 0.1
 */
guint
mp_queue_get_max_items (MpQueue *self)
{
  g_return_val_if_fail (MP_IS_QUEUE (self), 0);

  return self->max_items;
}

/**
 * mp_queue_get_max_bytes: (get-property max-bytes)
 * @self: a queue
 *
 * Gets the most bytes that the items in the queue have together.
 *
 * Returns: the bound, 0 for none
 *
 * Since: 0.1
 */
guint64
mp_queue_get_max_bytes (MpQueue *self)
{
  g_return_val_if_fail (MP_IS_QUEUE (self), 0);

  return self->max_bytes;
}

/**
 * mp_queue_get_length:
 * @self: a queue
 *
 * Gets how many items are in the queue.
 *
 * The number is exact for one instant; by the time that one looks at it it may be another one, unless nobody else has
 * the queue.
 *
 * Returns: the number of items
 *
 * Since: 0.1
 */
guint
mp_queue_get_length (MpQueue *self)
{
  g_return_val_if_fail (MP_IS_QUEUE (self), 0);

  return self->tape != NULL ? mp_tape_count (self->tape, NULL) : 0;
}

/**
 * mp_queue_get_n_bytes:
 * @self: a queue
 *
 * Gets how many bytes the items in the queue have together, as [property@Mp.Queue:max-bytes] counts them.
 *
 * Returns: the number of bytes
 *
 * Since: 0.1
 */
guint64
mp_queue_get_n_bytes (MpQueue *self)
{
  guint64 n_bytes = 0;

  g_return_val_if_fail (MP_IS_QUEUE (self), 0);

  if (self->tape != NULL)
    mp_tape_count (self->tape, &n_bytes);
  return n_bytes;
}

/**
 * mp_queue_is_empty:
 * @self: a queue
 *
 * Gets whether there is nothing in the queue.
 *
 * Returns: whether it is empty
 *
 * Since: 0.1
 */
gboolean
mp_queue_is_empty (MpQueue *self)
{
  g_return_val_if_fail (MP_IS_QUEUE (self), TRUE);

  return mp_queue_get_length (self) == 0;
}

/**
 * mp_queue_is_full:
 * @self: a queue
 *
 * Gets whether not even an item without content could be put now. A queue without bounds is never full.
 *
 * Returns: whether it is full
 *
 * Since: 0.1
 */
gboolean
mp_queue_is_full (MpQueue *self)
{
  guint64 n_bytes = 0;
  guint n_items = 0;

  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);

  if (self->tape != NULL)
    n_items = mp_tape_count (self->tape, &n_bytes);
  return self->max_items > 0 && n_items >= self->max_items;
}

/**
 * mp_queue_close:
 * @self: a queue
 * @error: return location for an error
 *
 * Says that this process puts nothing more.
 *
 * All its objects of this queue refuse to put from now on, with `G_IO_ERROR_CLOSED`; they still get. A process that
 * gets the queue handed anew may put again. To close twice is no error.
 *
 * Errors: `MP_ERROR_FAILED` with the reason when there was no memory or no descriptor for the queue.
 *
 * Returns: whether it is closed
 *
 * Since: 0.1
 */
gboolean
mp_queue_close (MpQueue  *self,
                GError  **error)
{
  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!mp_sync_is_usable (&self->put_side.sync))
    return mp_sync_set_unusable (&self->put_side.sync, "queue close", error);

  /* Also of one that has put nothing: it could have. */
  __atomic_store_n (&self->tape->header->had_producer, 1, __ATOMIC_SEQ_CST);
  mp_queue_mark_slowly (self, MP_QUEUE_CLOSED, 0);
  mp_queue_tell_getters (self);
  return TRUE;
}

/**
 * mp_queue_is_closed:
 * @self: a queue
 *
 * Gets whether this process has closed the queue.
 *
 * Returns: whether [method@Mp.Queue.close] was called
 *
 * Since: 0.1
 */
gboolean
mp_queue_is_closed (MpQueue *self)
{
  g_return_val_if_fail (MP_IS_QUEUE (self), FALSE);

  return mp_sync_is_usable (&self->put_side.sync) && (mp_queue_get_marks (self) & MP_QUEUE_CLOSED) != 0;
}

void
mp_queue_emit_item (MpQueue  *self,
                    GVariant *value,
                    guint     tag)
{
  g_signal_emit (self, signals[SIGNAL_ITEM], 0, value, tag);
}

void
mp_queue_emit_closed (MpQueue      *self,
                      const GError *error)
{
  g_signal_emit (self, signals[SIGNAL_CLOSED], 0, error);
}
