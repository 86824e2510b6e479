/* mp-tape-get.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-tape-joinable-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/base/mp-spare-private.h"

#include <errno.h>
#include <string.h>

/* The getting side of a tape, with its cell. */

#define LONG ((gsize) 16 << 20)

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

static MpTapeResult
set_damaged (GError **error)
{
  g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "its memory is damaged");
  return MP_TAPE_ERROR;
}

/* @place: a sound ring. FALSE: there is no sound record. */
static gboolean
read_record (MpTape            *self,
             MpTapePlace        place,
             const MpTapeState *end,
             MpTapeRecord      *record,
             guint8            *ring_address,
             guint64           *whole)
{
  guint ring = MP_TAPE_RING (place);
  guint64 size = mp_tape_ring_size (ring), position = MP_TAPE_POSITION (place), offset = position & (size - 1);
  guint64 most = size - offset;

  if (position % sizeof *record != 0)
    return FALSE;
  /* The last one ends where the putters are. */
  if (MP_TAPE_RING (end->place) == ring && MP_TAPE_POSITION (end->place) > position)
    most = MIN (most, MP_TAPE_POSITION (end->place) - position);
  if (most < sizeof *record)
    return FALSE;

  memcpy (record, ring_address + offset, sizeof *record);
  if (record->magic != MP_TAPE_MAGIC)
    return FALSE;
  if (record->kind == MP_TAPE_JUMP)
    return TRUE;
  if (record->kind != MP_TAPE_BYTES && record->kind != MP_TAPE_VALUE)
    return FALSE;
  *whole = mp_tape_record_size (self->flags, record);
  if (*whole > most || record->size > most - *whole)
    return FALSE;
  *whole = (*whole + record->size + 15) / 16 * 16;
  return *whole <= most;
}

MpTapeResult
mp_tape_find (MpTape             *self,
              MpTapePlace        *place,
              const MpTapeState  *end,
              MpTapeRecord       *record,
              MpTapePlace        *next,
              MpTapePlace        *left,
              GError            **error)
{
  *left = 0;
  /* A ring ends, another one begins, and that begins with a record. */
  for (guint i = 0; i < 4; i++)
    {
      guint ring = MP_TAPE_RING (*place);
      guint64 whole = 0;
      guint8 *address = NULL;

      if (*place == end->place)
        return MP_TAPE_NOT_NOW;
      if (!mp_tape_is_sound (self, *place))
        break;
      address = mp_tape_get_ring (self, ring, error);
      if (address == NULL)
        return MP_TAPE_ERROR;
      if (!read_record (self, *place, end, record, address, &whole))
        break;
      if (record->kind != MP_TAPE_JUMP)
        {
          *next = *place + whole;
          return MP_TAPE_DONE;
        }

      if (MP_TAPE_RING (record->size) != ring)
        {
          if (*left != 0)
            break;
          *left = *place + sizeof *record;
        }
      *place = record->size;
    }
  return set_damaged (error);
}

guint64 *
mp_tape_get_word (MpTape      *self,
                  MpTapePlace  place)
{
  guint ring = MP_TAPE_RING (place);

  return (guint64 *) (gpointer) (self->rings[ring] + mp_tape_get_offset (ring, place) +
                                 sizeof (MpTapeRecord));
}

void
mp_tape_leave (MpTape      *self,
               MpTapePlace  left)
{
  if (left == 0)
    return;

  store (&self->header->left[MP_TAPE_RING (left)], MP_TAPE_POSITION (left));
  MP_TORTURE_POINT ("tape-left");
}

/* Nobody is in it. */
static void
free_ring (MpTape  *self,
           guint    ring,
           guint64  position)
{
  if (ring > 0)
    mp_memory_file_punch (self->fd, mp_tape_ring_offset (ring), mp_tape_ring_size (ring));
  MP_TORTURE_POINT ("tape-ring-punched");
  store (&self->header->freed[ring], position);
  MP_TORTURE_POINT ("tape-ring-freed");
}

/* First without memory, then free: from then on it is written to again. */
static void
free_chunks (MpTape  *self,
             guint    ring,
             guint64  position)
{
  guint64 size = mp_tape_ring_size (ring), offset = mp_tape_ring_offset (ring);
  guint64 begin = MAX (load (&self->header->freed[ring]), load (&self->header->entered[ring]));
  guint64 end = position & ~(MP_TAPE_CHUNK - 1);

  if (end <= begin || end - begin > size)
    return;
  while (begin < end)
    {
      guint64 part = MIN (end - begin, size - (begin & (size - 1)));

      mp_memory_file_punch (self->fd, offset + (begin & (size - 1)), part);
      begin += part;
    }
  MP_TORTURE_POINT ("tape-chunk-punched");
  store (&self->header->freed[ring], end);
  MP_TORTURE_POINT ("tape-chunk-freed");
}

void
mp_tape_give_back (MpTape      *self,
                   MpTapePlace  to,
                   MpTapePlace  left)
{
  if (left != 0)
    free_ring (self, MP_TAPE_RING (left), MP_TAPE_POSITION (left));
  if (MP_TAPE_RING (to) >= MP_TAPE_FIRST_COLD && mp_tape_is_sound (self, to))
    free_chunks (self, MP_TAPE_RING (to), MP_TAPE_POSITION (to));
}

void
mp_tape_recover (MpTape *self)
{
  MpTapeState state;

  mp_tape_read_own (mp_tape_get_free_lane (self), &state);
  for (guint ring = 0; ring < self->n_rings; ring++)
    {
      guint64 left = load (&self->header->left[ring]);

      if (ring != MP_TAPE_RING (state.place) && load (&self->header->freed[ring]) != left)
        free_ring (self, ring, left);
    }
  if ((self->flags & MP_TAPE_JOINABLE) != 0)
    mp_tape_joinable_recover (self);
}

/* Memory for a long content, which says that it is so long: nobody has put it who has not reserved that for it. NULL
 * sets
 * @error. */
static gpointer
make_room (MpTape   *self,
           gsize     size,
           GError  **error)
{
  gpointer data = NULL;

  if (size >= LONG && mp_memory_file_get_reserved (self->fd) < size)
    {
      set_damaged (error);
      return NULL;
    }
  if (size >= LONG && !mp_memory_check_room (size, error))
    return NULL;

  data = mp_spare_alloc (size);
  if (data == NULL)
    g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "there is no memory for an item of %" G_GSIZE_FORMAT " bytes",
                 size);
  return data;
}

/* @content: the size by which it is known how it was written. */
static gboolean
copy (MpTape        *self,
      guint          ring,
      gpointer       to,
      const guint8  *from,
      gsize          size,
      gsize          content,
      GError       **error)
{
  guint64 offset = mp_tape_ring_offset (ring) + (from - self->rings[ring]);

  if (!mp_tape_is_by_file (ring, content))
    {
      if (size > 0)
        memcpy (to, from, size);
      return TRUE;
    }
  if (mp_memory_file_read (self->fd, offset, to, size))
    return TRUE;
  g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "its memory cannot be read: %s", g_strerror (errno));
  return FALSE;
}

/* FALSE sets @error: it stays. */
static gboolean
copy_content (MpTape       *self,
              MpTapePlace   place,
              MpTapeTaken  *taken,
              GError      **error)
{
  guint ring = MP_TAPE_RING (place);
  const guint8 *content = self->rings[ring] + mp_tape_get_offset (ring, place) +
                          mp_tape_record_size (self->flags, &taken->record);
  gsize n_type = mp_tape_type_size (&taken->record), size = taken->record.size;

  if (taken->bytes_only && taken->record.kind == MP_TAPE_VALUE)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "the next item is no bytes, but a value");
      return FALSE;
    }
  if (taken->into != NULL)
    {
      if (size > taken->max_into)
        {
          taken->is_too_long = TRUE;
          g_set_error (error, MP_ERROR, MP_ERROR_BUFFER_TOO_SHORT,
                       "the next item has %" G_GSIZE_FORMAT " bytes, the buffer %" G_GSIZE_FORMAT, size,
                       taken->max_into);
          return FALSE;
        }
      return copy (self, ring, taken->into, content, size, size, error);
    }

  /* One who dies, or waits, with the cell keeps others from it: no more is done here than has to be. */
  if (n_type + size > MP_TAPE_SHORT)
    {
      taken->data = make_room (self, n_type + size, error);
      if (taken->data == NULL)
        return FALSE;
    }
  if (!copy (self, ring, taken->data != NULL ? taken->data : taken->words, content - n_type, n_type + size, size,
             error))
    {
      g_clear_pointer (&taken->data, mp_spare_free);
      return FALSE;
    }
  return TRUE;
}

static MpTapeResult
retake (MpTape       *self,
        MpOwner       owner,
        MpTapeTaken  *taken,
        GError      **error)
{
  MpTapePlace place;

  if (!mp_tape_find_back (self, &place, &taken->record))
    return MP_TAPE_NOT_NOW;
  if (!copy_content (self, place, taken, error))
    return MP_TAPE_ERROR;

  mp_tape_retake (self, place, &taken->record, owner);
  return MP_TAPE_DONE;
}

MpTapeResult
mp_tape_take (MpTape       *self,
              MpOwner       owner,
              MpTapeTaken  *taken,
              GError      **error)
{
  MpTapeHeader *header = self->header;
  MpTapeState state;
  MpTapePlace place, next, left;
  MpTapeResult result;

  /* What was put back comes first. */
  if (G_UNLIKELY (mp_tape_count_back (self, NULL) > 0))
    {
      result = retake (self, owner, taken, error);
      if (result != MP_TAPE_NOT_NOW)
        return result;
    }

  mp_tape_read_own (&header->get, &state);
  if (state.n_items >= self->seen_put.n_items)
    mp_tape_read (&header->put, &self->seen_put);
  if (state.n_items >= self->seen_put.n_items)
    return MP_TAPE_NOT_NOW;

  place = state.place;
  result = mp_tape_find (self, &place, &self->seen_put, &taken->record, &next, &left, error);
  if (result == MP_TAPE_NOT_NOW)
    return set_damaged (error);
  if (result != MP_TAPE_DONE || !copy_content (self, place, taken, error))
    return MP_TAPE_ERROR;
  MP_TORTURE_POINT ("tape-copied");

  state.place = next;
  state.n_items++;
  state.n_bytes += taken->record.size;
  if ((self->flags & MP_TAPE_JOINABLE) != 0)
    {
      __atomic_store_n (mp_tape_get_word (self, place), owner, __ATOMIC_RELEASE);
      MP_TORTURE_POINT ("tape-taken");
      mp_tape_commit (&header->get, &state);
      return MP_TAPE_DONE;
    }

  mp_tape_leave (self, left);
  mp_tape_commit (&header->get, &state);
  mp_tape_give_back (self, next, left);
  return MP_TAPE_DONE;
}
