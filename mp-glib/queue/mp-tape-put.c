/* mp-tape-put.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-tape-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-memory-private.h"

#include <errno.h>
#include <string.h>

/* The putting side of a tape, with its cell. */

/* How much memory each ring takes at a time. */
static const guint64 steps[MP_TAPE_MAX_RINGS] = {
  1 << 16, 1 << 18, 1 << 19, 1 << 21, 1 << 22, 1 << 23, 1 << 24, 1 << 24, 1 << 24,
};

#define JUMP_SIZE sizeof (MpTapeRecord)

/* How much may be taken before it is asked again whether there is as much. */
#define UNCHECKED (G_GUINT64_CONSTANT (16) << 20)

/* The way to where a record goes. */
typedef struct
{
  MpTapePlace from;     /* of a JUMP, if it is not @to */
  MpTapePlace to;
  guint64     entered;  /* of the ring of @to */
} Way;

static guint64
load (const guint64 *word)
{
  return __atomic_load_n (word, __ATOMIC_ACQUIRE);
}

static void
store (guint64 *word,
       guint64  value)
{
  __atomic_store_n (word, value, __ATOMIC_RELEASE);
}

/* @step: a power of two. */
static guint64
round_up (guint64 position,
          guint64 step)
{
  return (position + step - 1) & ~(step - 1);
}

/* Up to where the ring is free, seen from its beginning; @entered: where the putters came into it. */
static guint64
get_freed (MpTape  *self,
           guint    ring,
           guint64  entered)
{
  MpTapePlace seen = self->seen_free.place;
  guint64 freed = MAX (load (&self->header->freed[ring]), entered);

  /* What is given back piece by piece is free only then. */
  if (ring < MP_TAPE_FIRST_COLD && MP_TAPE_RING (seen) == ring)
    freed = MAX (freed, MP_TAPE_POSITION (seen));
  return freed;
}

static void
look_at_getters (MpTape *self)
{
  mp_tape_read (&self->header->get, &self->seen_get);
  if ((self->flags & MP_TAPE_JOINABLE) != 0)
    mp_tape_read (&self->header->done, &self->seen_free);
  else
    self->seen_free = self->seen_get;
}

/* Whether there is room for @need bytes and a JUMP, all of them one after the other. */
static gboolean
fits (MpTape      *self,
      MpTapePlace  place,
      guint64      need,
      Way         *way)
{
  guint ring = MP_TAPE_RING (place);
  guint64 size = mp_tape_ring_size (ring), position = MP_TAPE_POSITION (place), skip = 0;
  guint64 entered = ring > 0 ? load (&self->header->entered[ring]) : 0;
  guint64 freed = get_freed (self, ring, entered);

  if (need > size || position < freed || position - freed > size)
    return FALSE;
  if ((position & (size - 1)) + need > size)
    skip = size - (position & (size - 1));
  if (position - freed + skip + need + JUMP_SIZE > size)
    return FALSE;

  *way = (Way) { place, MP_TAPE_PLACE (ring, position + skip), entered };
  return TRUE;
}

/* Whether a ring in which the putters are not has nothing in it any more. */
static gboolean
is_drained (MpTape *self,
            guint   ring)
{
  guint64 tail = load (&self->header->tails[ring]);

  return MP_TAPE_RING (self->seen_free.place) != ring && load (&self->header->freed[ring]) == tail;
}

static gboolean
jump_to (MpTape      *self,
         MpTapePlace  from,
         guint        ring,
         guint64      need,
         Way         *way)
{
  guint64 size = mp_tape_ring_size (ring), tail = load (&self->header->tails[ring]);

  /* The first one keeps its memory, the others begin anew. */
  way->from = from;
  way->entered = ring > 0 ? round_up (tail, size) : 0;
  way->to = MP_TAPE_PLACE (ring, ring > 0 || (tail & (size - 1)) + need > size ? round_up (tail, size) : tail);
  return TRUE;
}

/* Back to a smaller one, when little is left in this, and what is put now is small: what is left has to be made anew. */
static gboolean
steps_down (MpTape      *self,
            MpTapePlace  place,
            guint64      need,
            Way         *way)
{
  guint now = MP_TAPE_RING (place);
  guint64 behind;

  if (need > mp_tape_ring_size (now - 1) / 16)
    return FALSE;
  look_at_getters (self);
  if (MP_TAPE_RING (self->seen_free.place) != now)
    return FALSE;

  behind = MP_TAPE_POSITION (place) - MP_TAPE_POSITION (self->seen_free.place);
  for (guint ring = 0; ring < now; ring++)
    {
      guint64 size = mp_tape_ring_size (ring);

      if (behind <= size / 4 && need <= size / 16 && is_drained (self, ring))
        return jump_to (self, place, ring, need, way);
    }
  return FALSE;
}

static gboolean
find_other_ring (MpTape      *self,
                 MpTapePlace  place,
                 guint64      need,
                 Way         *way)
{
  guint now = MP_TAPE_RING (place);

  for (guint i = 1; i < self->n_rings; i++)
    {
      guint ring = (now + i) % self->n_rings;

      if (need + JUMP_SIZE <= mp_tape_ring_size (ring) && is_drained (self, ring))
        return jump_to (self, place, ring, need, way);
    }
  return FALSE;
}

static gboolean
find_way (MpTape             *self,
          MpTapePlace         place,
          guint64             need,
          Way                *way,
          GError            **error)
{
  if (MP_TAPE_RING (place) > 0 && steps_down (self, place, need, way))
    return TRUE;
  if (fits (self, place, need, way))
    return TRUE;

  look_at_getters (self);
  if (fits (self, place, need, way) || find_other_ring (self, place, need, way))
    return TRUE;

  g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
               "there is no room for %" G_GUINT64_FORMAT " bytes in one piece beside what is in the queue", need);
  return FALSE;
}

static gboolean
reserve_part (MpTape   *self,
              guint     ring,
              guint64   begin,
              guint64   end,
              GError  **error)
{
  guint64 size = mp_tape_ring_size (ring), offset = mp_tape_ring_offset (ring);

  /* Whatever the memory says. */
  if (end > begin && end - begin > size)
    begin = end - size;
  while (begin < end)
    {
      guint64 part = MIN (end - begin, size - (begin & (size - 1)));

      if (!mp_memory_reserve (self->fd, offset + (begin & (size - 1)), part, error))
        return FALSE;
      begin += part;
    }
  return TRUE;
}

static gboolean
check_room (MpTape   *self,
            guint64   need,
            GError  **error)
{
  self->n_unchecked += need;
  if (self->n_unchecked < UNCHECKED)
    return TRUE;
  self->n_unchecked = 0;
  return mp_memory_check_room (MAX (need, UNCHECKED), error);
}

/* Memory for what is about to be written; what is written to the file gets its memory by that. @until: up to where
 * there is some then. */
static gboolean
reserve (MpTape            *self,
         const Way         *way,
         const MpTapeItem  *item,
         guint64            need,
         guint64           *until,
         GError           **error)
{
  guint ring = MP_TAPE_RING (way->to);
  guint64 size = mp_tape_ring_size (ring), position = MP_TAPE_POSITION (way->to);
  guint64 end = position + need + JUMP_SIZE, begin = load (&self->header->reserved[ring]);

  /* Entered anew, they have none. */
  if (ring > 0)
    begin = MAX (begin, way->entered);
  *until = begin;
  if (end <= begin || (ring < MP_TAPE_FIRST_COLD && begin >= way->entered + size))
    return TRUE;
  /* What is skipped there is perhaps much, and nothing. */
  if (ring >= MP_TAPE_FIRST_COLD)
    begin = MAX (begin, position & ~(steps[0] - 1));

  if (mp_tape_is_by_file (ring, item->size))
    {
      *until = end;
      return check_room (self, need, error) &&
             reserve_part (self, ring, begin, MAX (begin, position + need - item->size), error) &&
             reserve_part (self, ring, MAX (begin, position + need), end, error);
    }

  *until = MIN (round_up (end, steps[ring]), get_freed (self, ring, way->entered) + size);
  return reserve_part (self, ring, begin, *until, error);
}

static gboolean
write_jump (MpTape    *self,
            const Way *way,
            GError   **error)
{
  guint from = MP_TAPE_RING (way->from), to = MP_TAPE_RING (way->to);
  guint64 position = MP_TAPE_POSITION (way->from);
  guint8 *address = mp_tape_get_ring (self, from, error);
  const MpTapeRecord record = { .magic = MP_TAPE_MAGIC, .kind = MP_TAPE_JUMP, .size = way->to };

  if (address == NULL)
    return FALSE;
  memcpy (address + mp_tape_get_offset (from, way->from), &record, sizeof record);
  MP_TORTURE_POINT ("tape-jump");
  if (from == to)
    return TRUE;

  store (&self->header->tails[from], position + JUMP_SIZE);
  MP_TORTURE_POINT ("tape-tail");
  store (&self->header->entered[to], way->entered);
  MP_TORTURE_POINT ("tape-entered");
  return TRUE;
}

static gboolean
write_content (MpTape            *self,
               guint64            offset,
               const MpTapeItem  *item,
               GError           **error)
{
  if (!mp_memory_file_write (self->fd, offset, item->data, item->size))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
                   "there is no memory for an item of %" G_GSIZE_FORMAT " bytes: %s", item->size, g_strerror (errno));
      return FALSE;
    }
  MP_TORTURE_POINT ("tape-long-content");
  return TRUE;
}

static gboolean
write_record (MpTape            *self,
              const MpTapeItem  *item,
              MpTapePlace        place,
              GError           **error)
{
  guint ring = MP_TAPE_RING (place);
  guint8 *address = mp_tape_get_ring (self, ring, error);
  MpTapeRecord record = { .magic = MP_TAPE_MAGIC, .kind = item->kind, .tag = item->tag, .size = item->size };
  gsize n_type = 0;

  if (address == NULL)
    return FALSE;

  address += mp_tape_get_offset (ring, place);
  if (item->kind == MP_TAPE_VALUE)
    record.n_type = item->n_type;
  memcpy (address, &record, sizeof record);
  address += sizeof record;
  if ((self->flags & MP_TAPE_JOINABLE) != 0)
    {
      memset (address, 0, 16);
      address += 16;
    }
  n_type = mp_tape_type_size (&record);
  if (n_type > 0)
    {
      memset (address + n_type - 8, 0, 8);
      memcpy (address, item->type, item->n_type);
    }
  MP_TORTURE_POINT ("tape-record");
  if (mp_tape_is_by_file (ring, item->size))
    return write_content (self, address + n_type - self->rings[ring] + mp_tape_ring_offset (ring), item, error);
  if (item->size > 0)
    memcpy (address + n_type, item->data, item->size);
  MP_TORTURE_POINT ("tape-content");
  return TRUE;
}

/* By what the bounds say. */
static gboolean
is_full (MpTape            *self,
         const MpTapeItem  *item,
         const MpTapeState *state)
{
  return (self->max_items > 0 && state->n_items - self->seen_get.n_items >= self->max_items) ||
         (self->max_bytes > 0 && state->n_bytes - self->seen_get.n_bytes > self->max_bytes - item->size);
}

static MpTapeResult
set_damaged (GError **error)
{
  g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "its memory is damaged");
  return MP_TAPE_ERROR;
}

MpTapeResult
mp_tape_put (MpTape            *self,
             const MpTapeItem  *item,
             guint64           *n_got,
             GError           **error)
{
  MpTapeRecord record = { .kind = item->kind, .n_type = item->n_type };
  MpTapeState state;
  guint64 need, until = 0;
  Way way;

  mp_tape_read_own (&self->header->put, &state);
  if (G_UNLIKELY (!mp_tape_is_sound (self, state.place)))
    return set_damaged (error);
  if (is_full (self, item, &state))
    {
      look_at_getters (self);
      *n_got = self->seen_get.n_items;
      if (is_full (self, item, &state))
        return MP_TAPE_NOT_NOW;
    }

  need = mp_tape_record_size (self->flags, &record);
  if (item->size > mp_tape_ring_size (self->n_rings - 1))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "an item of %" G_GSIZE_FORMAT " bytes is larger than any queue",
                   item->size);
      return MP_TAPE_ERROR;
    }
  need = round_up (need + item->size, sizeof (MpTapeRecord));

  if (!find_way (self, state.place & ~(guint64) 15, need, &way, error))
    return MP_TAPE_ERROR;
  if (G_UNLIKELY (!mp_tape_is_sound (self, way.to)))
    return set_damaged (error);
  if (!reserve (self, &way, item, need, &until, error) || !write_record (self, item, way.to, error) ||
      (way.from != way.to && !write_jump (self, &way, error)))
    return MP_TAPE_ERROR;
  if (G_UNLIKELY (until != load (&self->header->reserved[MP_TAPE_RING (way.to)])))
    {
      store (&self->header->reserved[MP_TAPE_RING (way.to)], until);
      MP_TORTURE_POINT ("tape-reserved");
    }

  state.place = way.to + need;
  state.n_items++;
  state.n_bytes += item->size;
  mp_tape_commit (&self->header->put, &state);
  return MP_TAPE_DONE;
}
