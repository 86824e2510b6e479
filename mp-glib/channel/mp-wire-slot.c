/* mp-wire-slot.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include <string.h>

G_STATIC_ASSERT (sizeof (MpWireSlot) == 512);

/* CLOSED → OPEN by the reader; OPEN → FILLED or CLOSED by the writer, OPEN → CLOSED by the reader too: one of them wins;
 * FILLED → CLOSED by the reader. Until the next opening the writer leaves all of it alone. */
typedef enum
{
  CLOSED,
  OPEN,
  FILLED,
} SlotState;

static SlotState
get_state (MpWireSlot *slot)
{
  return __atomic_load_n (&slot->state, __ATOMIC_ACQUIRE);
}

static gboolean
move_state (MpWireSlot *slot,
            SlotState   from,
            SlotState   to)
{
  guint32 expected = from;

  return __atomic_compare_exchange_n (&slot->state, &expected, to, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

void
mp_wire_add_sent (MpWire *self,
                  gsize   n_bytes)
{
  self->out.queued += n_bytes;
  self->out.sent += n_bytes;
}

void
mp_wire_set_slots (MpWire     *self,
                   MpWireSlot *in,
                   MpWireSlot *out)
{
  self->in_slot = in;
  self->out_slot = out;
  if (out != NULL)
    __atomic_store_n (&out->written, self->out.queued, __ATOMIC_SEQ_CST);
}

/* The reader. */

gboolean
mp_wire_open_slot (MpWire *self)
{
  MpWireSlot *slot = self->in_slot;

  /* What lies there from the last time is to be read first. */
  if (slot == NULL || self->in.at_eof || !mp_wire_input_is_empty (&self->in) || mp_wire_close_slot (self))
    return FALSE;

  self->listening = TRUE;
  __atomic_store_n (&slot->read, self->in.received, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->state, OPEN, __ATOMIC_SEQ_CST);
  /* A writer that has not seen it open has said before what it sends by the socket. */
  if (__atomic_load_n (&slot->written, __ATOMIC_SEQ_CST) == self->in.received)
    return TRUE;
  mp_wire_close_slot (self);
  return FALSE;
}

gboolean
mp_wire_slot_is_open (MpWire *self)
{
  return self->listening && get_state (self->in_slot) == OPEN;
}

gboolean
mp_wire_close_slot (MpWire *self)
{
  if (!self->listening)
    return FALSE;
  if (get_state (self->in_slot) == FILLED)
    return TRUE;
  if (move_state (self->in_slot, OPEN, CLOSED))
    {
      self->listening = FALSE;
      return FALSE;
    }
  /* Filled just now, or refused: then it is in the socket. */
  self->listening = get_state (self->in_slot) == FILLED;
  return TRUE;
}

gssize
mp_wire_slot_take (MpWire *self,
                   guint8 *place)
{
  MpWireSlot *slot = self->in_slot;
  gsize size = 0;

  /* Closed in any case: the socket is going to be read, and what the writer put here after a look at it would be overtaken
   * by what it sends there next, or lost at the end of the stream. */
  self->listening = FALSE;
  if (__atomic_exchange_n (&slot->state, CLOSED, __ATOMIC_ACQ_REL) != FILLED)
    return 0;

  size = __atomic_load_n (&slot->size, __ATOMIC_RELAXED);
  if (size == 0 || size > MP_WIRE_SLOT_SIZE)
    return -1;
  memcpy (place, slot->data, size);
  return size;
}

/* The writer. */

gboolean
mp_wire_slot_put (MpWire       *self,
                  const guint8 *data,
                  gsize         size)
{
  MpWireSlot *slot = self->out_slot;

  if (size > MP_WIRE_SLOT_SIZE || get_state (slot) != OPEN ||
      __atomic_load_n (&slot->read, __ATOMIC_RELAXED) != self->out.sent)
    return FALSE;

  memcpy (slot->data, data, size);
  slot->size = size;
  __atomic_store_n (&slot->written, self->out.queued, __ATOMIC_RELAXED);
  return move_state (slot, OPEN, FILLED);
}

void
mp_wire_slot_refuse (MpWire *self)
{
  __atomic_store_n (&self->out_slot->written, self->out.queued, __ATOMIC_SEQ_CST);
  if (__atomic_load_n (&self->out_slot->state, __ATOMIC_SEQ_CST) == OPEN)
    move_state (self->out_slot, OPEN, CLOSED);
}
