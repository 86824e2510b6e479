/* mp-connection-engine.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <string.h>

/* Messages of asynchronous calls are written together up to about this many bytes. */
#define GATHER_SIZE ((gsize) 65536)

static gboolean
set_closed (GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "The connection is closed");
  return FALSE;
}

gboolean
mp_connection_check_in (MpConnection  *self,
                        GError       **error)
{
  if (self->closed && self->in_error == NULL)
    return set_closed (error);
  if (self->flags & MP_CONNECTION_READABLE)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "This end of the pipe can only send");
  return FALSE;
}

gboolean
mp_connection_check_out (MpConnection  *self,
                         GError       **error)
{
  if (self->closed)
    return set_closed (error);
  if ((self->flags & MP_CONNECTION_WRITABLE) == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "This end of the pipe can only receive");
      return FALSE;
    }
  if (self->out_error != NULL)
    {
      g_propagate_error (error, g_error_copy (self->out_error));
      return FALSE;
    }

  return TRUE;
}

static MpEncodeFlags
get_encode_flags (MpConnection *self)
{
  MpEncodeFlags flags = MP_ENCODE_ALL;

  if (self->flags & MP_CONNECTION_FOREIGN)
    flags |= MP_ENCODE_ISOLATED;
  if (self->flags & MP_CONNECTION_NO_HANDLES)
    flags |= MP_ENCODE_NO_HANDLES;
  return flags;
}

gboolean
mp_op_init_send (MpOp          *op,
                 MpConnection  *self,
                 GVariant      *value,
                 GBytes        *bytes,
                 GError       **error)
{
  guint64 size, max_size;

  op->sends = TRUE;
  op->kind = value != NULL ? MP_MESSAGE_VALUE : MP_MESSAGE_BYTES;
  if (value != NULL && !mp_value_encode_for (value, get_encode_flags (self), &op->encoded, error))
    return FALSE;
  op->has_encoded = value != NULL;
  if (bytes != NULL)
    op->bytes = g_bytes_ref (bytes);

  size = value != NULL ? op->encoded.size : g_bytes_get_size (bytes);
  if (value != NULL && (self->flags & MP_CONNECTION_STREAM) != 0)
    size += MP_STREAM_MAGIC_SIZE;
  max_size = __atomic_load_n (&self->max_size, __ATOMIC_RELAXED);
  if (size <= max_size)
    return TRUE;

  g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
               "Cannot send a message of %" G_GUINT64_FORMAT " bytes: at most %" G_GUINT64_FORMAT " are allowed",
               size, max_size);
  return FALSE;
}

void
mp_op_clear (MpOp *op)
{
  if (op->has_encoded)
    mp_encoded_clear (&op->encoded);
  op->has_encoded = FALSE;
  g_clear_pointer (&op->bytes, g_bytes_unref);
  g_clear_pointer (&op->value, g_variant_unref);
  g_clear_error (&op->error);
}

static void
op_free (gpointer data)
{
  MpOp *op = data;

  mp_op_clear (op);
  g_clear_object (&op->task);
  g_clear_pointer (&op->posts, mp_hub_unref_context);
  mp_home_clear (&op->home);
  g_free (op);
}

static gboolean
nothing_cb (gpointer user_data)
{
  return G_SOURCE_REMOVE;
}

/* What was to be sent may be freed by a function of the user's, and another thread may have sent it. */
void
mp_op_unref (MpOp *op)
{
  g_autoptr(GSource) source = NULL;

  if (!g_atomic_ref_count_dec (&op->ref_count) || mp_home_try_free (&op->home, op_free, op))
    return;

  source = g_idle_source_new ();
  g_source_set_static_name (source, "MpConnection free");
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, nothing_cb, op, op_free);
  g_source_attach (source, op->home.context);
}

void
mp_connection_wake (MpConnection *self)
{
  GList *link;

  for (link = self->sleepers.head; link != NULL; link = link->next)
    {
      MpSleeper *sleeper = link->data;

      if (sleeper->spot != NULL)
        mp_wait_spot_tell (sleeper->spot);
      else if (sleeper->event_fd >= 0)
        mp_fd_signal (sleeper->event_fd);
    }
  if (self->wire != NULL)
    mp_wire_rouse (self->wire);
}

/* The call is over. One that is not blocking is completed by whoever holds @finished. What it has sent is freed only
 * then: that may run code of the user's. */
static void
finish_op (MpConnection *self,
           GQueue       *queue,
           MpOp         *op,
           const GError *error,
           GQueue       *finished)
{
  g_queue_unlink (queue, &op->link);
  op->state = MP_OP_IDLE;
  if (error != NULL)
    op->error = g_error_copy (error);

  if (op->watch != NULL)
    op->watch->n_ops--;
  op->watch = NULL;

  if (op->blocking)
    mp_connection_wake (self);   /* it sees for itself */
  else
    g_queue_push_tail_link (finished, &op->link);
}

static void
fail_ops (MpConnection *self,
          GQueue       *queue,
          const GError *error,
          GQueue       *finished)
{
  while (queue->head != NULL)
    finish_op (self, queue, queue->head->data, error, finished);
}

/* Who only looks for something to receive has found it: the error. */
static void
fail_receivers (MpConnection *self,
                const GError *error,
                GQueue       *finished)
{
  while (self->receivers.head != NULL)
    {
      MpOp *op = self->receivers.head->data;

      finish_op (self, &self->receivers, op, op->polls && self->in_error != NULL ? NULL : error, finished);
    }
}

/* Of those that go together, what has left has been sent, whatever becomes of the rest. */
static void
finish_sent (MpConnection *self,
             GQueue       *finished)
{
  while (self->in_wire.head != NULL && mp_wire_has_sent (self->wire, ((MpOp *) self->in_wire.head->data)->end))
    finish_op (self, &self->in_wire, self->in_wire.head->data, NULL, finished);
}

static void
release_wire (MpConnection *self)
{
  if (!self->closed || self->n_polling > 0 || self->wire == NULL)
    return;

  mp_connection_forget_socket (self);
  g_clear_pointer (&self->wire, mp_wire_free);
}

void
mp_connection_end_polling (MpConnection *self)
{
  /* In the callbacks of a wait the process may have been forked. */
  if (self->n_polling > 0)
    self->n_polling--;
  release_wire (self);
}

gboolean
mp_connection_shut (MpConnection *self,
                    GQueue       *finished)
{
  g_autoptr(GError) error = NULL;
  gboolean whole = TRUE;

  if (self->closed)
    return TRUE;

  if (self->has_parents_output)
    whole = FALSE;
  else if (self->wire != NULL && mp_wire_get_pending (self->wire) > 0 && self->out_error == NULL)
    whole = mp_wire_flush (self->wire, NULL) && mp_wire_get_pending (self->wire) == 0;

  self->closed = TRUE;
  self->lingering = FALSE;
  set_closed (&error);
  fail_receivers (self, self->in_error != NULL ? self->in_error : error, finished);
  /* The wire may live on for a while: it must not be the last to let go of what was to be sent. */
  if (self->wire != NULL)
    {
      finish_sent (self, finished);
      mp_wire_drop_output (self->wire);
    }
  mp_connection_discard_input (self);
  fail_ops (self, &self->in_wire, error, finished);
  fail_ops (self, &self->senders, error, finished);
  mp_frame_clear (&self->frame);
  self->frame.kind = 0;

  mp_connection_update_watches (self);
  mp_connection_wake (self);
  release_wire (self);
  return whole;
}

/* The other side's fault. What this process has not got for an object (MP_ERROR_FAILED, …_FULL) is not. */
static gboolean
is_protocol_error (const GError *error)
{
  return g_error_matches (error, MP_ERROR, MP_ERROR_PROTOCOL) || g_error_matches (error, MP_ERROR, MP_ERROR_TOO_LARGE);
}

/* No more messages will come. A peer that broke the rules is cut off by mp_connection_pump(). */
static void
end_input (MpConnection *self,
           GError       *error)
{
  if (self->in_error == NULL)
    self->in_error = error;
  else
    g_error_free (error);
}

gboolean
mp_connection_look (MpConnection *self)
{
  GError *error = NULL;
  gboolean had_it = self->frame.kind != 0 || self->in_error != NULL;
  gssize n = 1;

  while (self->frame.kind == 0 && self->in_error == NULL && self->wire != NULL)
    {
      if (mp_wire_next (self->wire, &self->frame, &error))
        {
          if ((self->flags & MP_CONNECTION_READABLE) != 0 &&
              (self->frame.kind == MP_MESSAGE_VALUE || self->frame.kind == MP_MESSAGE_BYTES))
            break;
          mp_frame_clear (&self->frame);
          self->frame.kind = 0;
          error = g_error_new (MP_ERROR, MP_ERROR_PROTOCOL, "Received a message of a kind that does not exist here");
        }
      else if (error == NULL)
        {
          n = mp_wire_fill (self->wire, FALSE, &error);
        }

      if (error != NULL)
        end_input (self, error);
      else if (n == 0)
        return FALSE;
    }

  /* For those who wait for it to show at the socket. */
  if (!had_it && self->sleepers.head != NULL && self->receivers.head == NULL)
    mp_connection_wake (self);
  return self->frame.kind != 0 || self->in_error != NULL;
}

gboolean
mp_connection_suits (MpConnection  *self,
                     MpMessageKind  kind)
{
  if (kind == MP_MESSAGE_ANY)
    return TRUE;
  if (self->flags & MP_CONNECTION_STREAM)
    return kind == MP_MESSAGE_BYTES || self->frame.is_value;
  return self->frame.kind == kind;
}

static GVariant *
get_value (MpConnection  *self,
           GError       **error)
{
  MpFrame *frame = &self->frame;
  gsize offset = self->flags & MP_CONNECTION_STREAM ? MP_STREAM_MAGIC_SIZE : 0;
  GVariant *value;
  gboolean foreign = (self->flags & MP_CONNECTION_FOREIGN) != 0;
  gboolean outer;
  guint64 outer_max;
  MpValueHead head;

  if ((self->flags & MP_CONNECTION_NO_HANDLES) != 0 && frame->size >= offset + sizeof head)
    {
      memcpy (&head, frame->data + offset, sizeof head);
      if (head.n_handles > 0)
        {
          g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a value with objects from another machine");
          return NULL;
        }
    }

  outer = mp_shareable_begin_foreign (foreign);
  outer_max = mp_connection_bound_received (foreign ? self->max_size : G_MAXINT64);
  value = mp_frame_get_value (frame, offset, NULL, error);
  mp_connection_bound_received (outer_max);
  mp_shareable_end_foreign (outer);
  return value;
}

gboolean
mp_connection_take (MpConnection  *self,
                    GVariant     **value,
                    GBytes       **bytes,
                    GError       **error)
{
  MpFrame *frame = &self->frame;
  GError *local_error = NULL;

  if (value == NULL || (bytes != NULL && !mp_connection_suits (self, MP_MESSAGE_VALUE)))
    *bytes = frame->bytes != NULL ? g_steal_pointer (&frame->bytes) : g_bytes_new (frame->data, frame->size);
  else
    *value = get_value (self, &local_error);

  MP_TORTURE_POINT ("connection-taken");
  mp_frame_clear (frame);
  frame->kind = 0;
  if (local_error == NULL)
    return TRUE;

  if (is_protocol_error (local_error))
    end_input (self, g_error_copy (local_error));
  g_propagate_error (error, local_error);
  return FALSE;
}

/* The next message is longer than the call wants it to be: it stays, or goes with the error. */
static void
refuse_length (MpConnection *self,
               MpOp         *op,
               GError      **error)
{
  guint64 length = self->frame.size;
  GVariantDict details;

  if (op->fills)
    {
      if (!mp_connection_take (self, NULL, &op->bytes, error))
        return;
      g_set_error (error, MP_ERROR, MP_ERROR_BUFFER_TOO_SHORT,
                   "The message is of %" G_GUINT64_FORMAT " bytes; the buffer has room for %" G_GUINT64_FORMAT,
                   length, op->max_length);
      mp_error_take_bytes (*error, g_steal_pointer (&op->bytes));
      return;
    }

  g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
               "The next message is of %" G_GUINT64_FORMAT " bytes, not at most %" G_GUINT64_FORMAT "; it stays there",
               length, op->max_length);
  g_variant_dict_init (&details, NULL);
  g_variant_dict_insert (&details, "length", "t", length);
  mp_error_attach_details (*error, g_variant_dict_end (&details));
}

static void
take_for (MpConnection  *self,
          MpOp          *op,
          GError       **error)
{
  if (op->bounded && self->frame.size > op->max_length)
    {
      refuse_length (self, op, error);
    }
  else if (op->fills)
    {
      op->length = self->frame.size;
      if (op->length > 0)
        memcpy (op->buffer, self->frame.data, op->length);
      mp_frame_clear (&self->frame);
      self->frame.kind = 0;
    }
  else
    {
      mp_connection_take (self, op->kind & MP_MESSAGE_VALUE ? &op->value : NULL,
                          op->kind & MP_MESSAGE_BYTES ? &op->bytes : NULL, error);
    }
}

/* Gives the next message to a call that waits for one. */
static void
fill_op (MpConnection  *self,
         MpOp          *op,
         GError       **error)
{
  if (op->polls)
    return;

  if (mp_connection_suits (self, op->kind))
    take_for (self, op, error);
  else
    g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE,
                 self->frame.kind == MP_MESSAGE_BYTES ? "The next message holds bytes, not a value; it stays there"
                                                      : "The next message holds a value, not bytes; it stays there");
}

static void
deliver (MpConnection *self,
         MpOp         *op,
         GQueue       *finished)
{
  g_autoptr(GError) error = NULL;

  fill_op (self, op, &error);
  finish_op (self, &self->receivers, op, error, finished);
}

static void
pump_input (MpConnection *self,
            GQueue       *finished)
{
  while (self->receivers.head != NULL && mp_connection_look (self))
    {
      if (self->frame.kind != 0)
        deliver (self, self->receivers.head->data, finished);
      else
        fail_receivers (self, self->in_error, finished);
    }

  if (self->in_error != NULL && is_protocol_error (self->in_error))
    mp_connection_shut (self, finished);
}

static void
queue_message (MpConnection *self,
               MpOp         *op)
{
  MpPiece piece;

  if (op->kind == MP_MESSAGE_VALUE)
    {
      mp_wire_queue_value (self->wire, op->kind, 0, NULL, 0, &op->encoded);
    }
  else
    {
      piece.data = g_bytes_get_data (op->bytes, &piece.size);
      piece.bytes = op->bytes;
      mp_wire_queue (self->wire, op->kind, 0, &piece, 1, NULL, 0);
    }

  op->end = mp_wire_get_queued (self->wire);
  MP_TORTURE_POINT ("connection-queued");
}

static void
hand_to_wire (MpConnection *self,
              MpOp         *op)
{
  queue_message (self, op);
  g_queue_unlink (&self->senders, &op->link);
  g_queue_push_tail_link (&self->in_wire, &op->link);
  op->state = MP_OP_IN_WIRE;
}

/* Whether the message goes to the wire by itself: one that may be taken back again, or refused for its descriptors. */
static gboolean
goes_alone (MpOp *op)
{
  return op->blocking || op->flushes || (op->has_encoded && op->encoded.fds != NULL);
}

static void
fill_wire (MpConnection *self,
           GQueue       *finished)
{
  while (self->senders.head != NULL)
    {
      MpOp *op = self->senders.head->data;
      gboolean alone = goes_alone (op);

      if (alone && mp_wire_get_pending (self->wire) > 0)
        return;
      if (op->flushes)
        {
          finish_op (self, &self->senders, op, NULL, finished);
          continue;
        }
      hand_to_wire (self, op);
      if (alone || mp_wire_get_pending (self->wire) >= GATHER_SIZE)
        return;
    }
}

/* A message that the system refuses as a whole (for its descriptors: too many in flight) harms no other. */
static void
output_failed (MpConnection *self,
               GError       *error,
               GQueue       *finished)
{
  finish_sent (self, finished);
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE) && self->in_wire.length == 1 &&
      mp_wire_last_untouched (self->wire))
    {
      mp_wire_unqueue_last (self->wire);
      fail_ops (self, &self->in_wire, error, finished);
      g_error_free (error);
      return;
    }

  self->out_error = error;
  mp_wire_drop_output (self->wire);
  fail_ops (self, &self->in_wire, error, finished);
  fail_ops (self, &self->senders, error, finished);
}

static void
pump_output (MpConnection *self,
             GQueue       *finished)
{
  GError *error = NULL;

  while (self->wire != NULL && !self->closed && self->out_error == NULL)
    {
      if (mp_wire_get_pending (self->wire) == 0)
        fill_wire (self, finished);
      if (mp_wire_get_pending (self->wire) == 0)
        break;

      if (!mp_wire_flush (self->wire, &error))
        output_failed (self, g_steal_pointer (&error), finished);
      else
        finish_sent (self, finished);
      if (self->wire != NULL && mp_wire_get_pending (self->wire) > 0)
        break;
    }

  if (self->in_wire.head == NULL)
    self->lingering = FALSE;
}

void
mp_connection_pump (MpConnection *self,
                    GQueue       *finished)
{
  pump_output (self, finished);
  pump_input (self, finished);
  mp_connection_update_watches (self);
}

/* Somebody waits for a message, and perhaps no thread does so but when there are calls. */
static gboolean
has_async_receiver (MpConnection *self)
{
  return self->receivers.head != NULL && !((MpOp *) self->receivers.head->data)->blocking;
}

/* Nothing is in the wire. */
static void
begin_send (MpConnection *self,
            MpOp         *op,
            GQueue       *finished)
{
  GError *error = NULL;
  gboolean sent;

  queue_message (self, op);
  sent = mp_wire_flush (self->wire, &error) && mp_wire_get_pending (self->wire) == 0;
  if (!sent)
    {
      g_queue_push_tail_link (&self->in_wire, &op->link);
      op->state = MP_OP_IN_WIRE;
    }
  if (error != NULL)
    output_failed (self, error, finished);
  if (!sent || has_async_receiver (self))
    mp_connection_pump (self, finished);
}

/* Nobody else waits for a message. */
static void
begin_receive (MpConnection *self,
               MpOp         *op,
               GQueue       *finished)
{
  gboolean found = mp_connection_look (self);

  if (found && self->frame.kind != 0)
    {
      fill_op (self, op, &op->error);
    }
  else
    {
      g_queue_push_tail_link (&self->receivers, &op->link);
      op->state = MP_OP_QUEUED;
    }

  if (self->in_error != NULL)
    mp_connection_pump (self, finished);
  else
    mp_connection_update_watches (self);
}

void
mp_connection_begin (MpConnection *self,
                     MpOp         *op,
                     GQueue       *finished)
{
  gboolean idle = self->wire != NULL && self->senders.head == NULL && self->in_wire.head == NULL;

  if (idle && op->sends && !op->flushes && mp_wire_get_pending (self->wire) == 0)
    {
      begin_send (self, op, finished);
    }
  else if (idle && !op->sends && self->receivers.head == NULL)
    {
      begin_receive (self, op, finished);
    }
  else
    {
      g_queue_push_tail_link (op->sends ? &self->senders : &self->receivers, &op->link);
      op->state = MP_OP_QUEUED;
      mp_connection_pump (self, finished);
    }
}

/* The call goes before its message has left wholly: what the wire still needs of it lives on. */
static void
leave_behind (MpConnection *self,
              MpOp         *op)
{
  MpOp *rest;

  if (op->borrowed)
    {
      mp_wire_own_bytes (self->wire, op->bytes);
      g_clear_pointer (&op->bytes, g_bytes_unref);
    }

  rest = g_new (MpOp, 1);
  *rest = *op;
  op->has_encoded = FALSE;
  op->bytes = NULL;
  rest->blocking = FALSE;
  rest->state = MP_OP_IN_WIRE;
  rest->link = (GList) { rest, NULL, NULL };
  g_atomic_ref_count_init (&rest->ref_count);
  mp_home_init (&rest->home);
  g_queue_push_tail_link (&self->in_wire, &rest->link);
  self->lingering = TRUE;
}

gboolean
mp_connection_take_back (MpConnection *self,
                         MpOp         *op)
{
  if (op->state == MP_OP_QUEUED)
    {
      g_queue_unlink (op->sends ? &self->senders : &self->receivers, &op->link);
      op->state = MP_OP_IDLE;
      return TRUE;
    }
  if (op->state == MP_OP_IDLE)
    return FALSE;

  /* A blocking call's message is alone in the wire, so it is the last one. */
  g_queue_unlink (&self->in_wire, &op->link);
  op->state = MP_OP_IDLE;
  if (mp_wire_last_untouched (self->wire))
    {
      mp_wire_unqueue_last (self->wire);
      return TRUE;
    }

  leave_behind (self, op);
  MP_TORTURE_POINT ("connection-left-behind");
  mp_connection_update_watches (self);
  return FALSE;
}

GIOCondition
mp_connection_get_wanted (MpConnection *self)
{
  GIOCondition wanted = 0;

  if (self->wire == NULL || self->closed)
    return 0;
  if (self->in_error == NULL && self->frame.kind == 0 && (self->started || self->receivers.head != NULL))
    wanted |= G_IO_IN;
  if (self->out_error == NULL && (mp_wire_get_pending (self->wire) > 0 || self->senders.head != NULL))
    wanted |= G_IO_OUT;
  return wanted;
}
