/* fuzz-arena.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The memory of an arena, and what describes a slot in it, as a peer may have made them. The input: a byte of what to
 * do (see below), the description's fields, the arena's header, the slot, then participants from the first on. What is
 * adopted must be a slot within the memory, and its cell must work whatever is written there; the rest must be an
 * error. */

#include "config.h"

#include "mp-glib/arena/mp-arena-parts-private.h"
#include "mp-glib/arena/mp-cell-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the first byte. */
#define IS_LONGER    1     /* the file, than its counts say */
#define IS_UNSEALED  2
#define HAS_NO_FD    4
#define HAS_TWO_FDS  8
#define IS_LOCKED    16    /* the first three participants are alive */
#define IS_TEXT      32    /* the description is of another type */

/* Files are not made larger than these, whatever the header says. */
#define MAX_SLOTS        1024
#define MAX_PARTICIPANTS 64

typedef struct
{
  guint64 id[2];
  guint32 index;
  guint32 generation;
  guint16 kind;
  guint16 spare[3];
} Said;

typedef struct
{
  guint8 *base;
  gsize   size;
  int     fd;
  int     lock_fd;
} Memory;

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

/* Takes bytes of the input; what it does not have is 0. */
static void
take (const guint8 **data,
      gsize         *size,
      gpointer       to,
      gsize          n)
{
  gsize there = MIN (n, *size);

  memset (to, 0, n);
  if (there > 0)
    memcpy (to, *data, there);
  *data += there;
  *size -= there;
}

static void
memory_open (Memory              *memory,
             int                  flags,
             const MpArenaHeader *header)
{
  guint n_slots = header->n_slots, n_participants = header->n_participants;

  if (n_slots == 0 || n_slots > MAX_SLOTS || n_participants > MAX_PARTICIPANTS)
    {
      n_slots = 64;
      n_participants = 8;
    }
  memory->size = MP_ARENA_PAGE + n_participants * sizeof (MpParticipant) + n_slots * sizeof (MpSlot) +
                 n_participants * (n_slots / 64) * sizeof (guint64);
  memory->size = (memory->size + MP_ARENA_PAGE - 1) / MP_ARENA_PAGE * MP_ARENA_PAGE;
  if ((flags & IS_LONGER) != 0)
    memory->size += MP_ARENA_PAGE;

  if ((flags & IS_UNSEALED) != 0)
    {
      memory->fd = memfd_create ("fuzz-arena", MFD_CLOEXEC);
      g_assert_cmpint (ftruncate (memory->fd, memory->size), ==, 0);
    }
  else
    memory->fd = mp_fd_memory_file ("fuzz-arena", memory->size);
  g_assert_cmpint (memory->fd, >=, 0);
  memory->base = mmap (NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
  g_assert_true (memory->base != MAP_FAILED);
  memory->lock_fd = mp_file_lock_reopen (memory->fd);
  g_assert_cmpint (memory->lock_fd, >=, 0);
}

static void
memory_clear (Memory *memory)
{
  munmap (memory->base, memory->size);
  mp_fd_close (&memory->fd);
  mp_fd_close (&memory->lock_fd);
}

static void
memory_fill (Memory              *memory,
             const MpArenaHeader *header,
             guint32              index,
             const guint8        *data,
             gsize                size)
{
  gsize n_participants = MIN (header->n_participants, MAX_PARTICIPANTS);
  gsize slot = MP_ARENA_PAGE + n_participants * sizeof (MpParticipant) + (gsize) index * sizeof (MpSlot);

  memcpy (memory->base, header, sizeof *header);
  if (slot + sizeof (MpSlot) <= memory->size)
    take (&data, &size, memory->base + slot, sizeof (MpSlot));
  if (n_participants > 1)
    take (&data, &size, memory->base + MP_ARENA_PAGE + sizeof (MpParticipant),
          MIN (size, (n_participants - 1) * sizeof (MpParticipant)));
}

/* Whatever is in it: each answer is one that the others agree with, as nobody else is there. */
static void
use_cell (const MpSlotRef *ref)
{
  const guint64 state[2] = { 1, G_MAXUINT64 };
  g_autoptr(GError) error = NULL;
  guint64 copy[2];

  mp_cell_read_state (ref, copy);
  mp_cell_is_inconsistent (ref);
  mp_arena_is_alive (ref->arena, ref->slot->word >> 16);
  mp_arena_ring (ref, ref->slot->watchers);
  mp_arena_ring (ref, G_MAXUINT64);
  if (!mp_cell_take (ref, ref, "fuzz", 0, NULL, &error))
    {
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_assert_true (mp_cell_is_taken (ref));
      mp_cell_give_back (ref);   /* by whatever process */
      return;
    }

  g_assert_true (mp_cell_is_mine (ref));
  g_assert_true (mp_cell_is_taken (ref));
  mp_cell_write_state (ref, state);
  mp_cell_read_state (ref, copy);
  g_assert_cmpmem (copy, sizeof copy, state, sizeof state);
  g_assert_true (mp_cell_mark_consistent (ref));
  g_assert_false (mp_cell_is_inconsistent (ref));
  g_assert_true (mp_cell_give_back (ref));
  g_assert_false (mp_cell_is_taken (ref));
  g_assert_false (mp_cell_give_back (ref));
}

static void
use (const MpSlotRef *ref,
     const Said      *said)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  MpSlotRef again = { NULL, NULL, 0, 0 };
  guint i;

  g_assert_cmpuint (ref->index, ==, said->index);
  g_assert_cmpuint (ref->generation, ==, said->generation);
  use_cell (ref);

  state = mp_slot_describe (ref, fds, "fuzz", &error);
  g_assert_no_error (error);
  g_assert_true (mp_slot_adopt (&again, said->kind, state, (int *) (gpointer) fds->data, fds->len, "fuzz", &error));
  g_assert_no_error (error);
  g_assert_true (mp_slot_equal (ref, &again));
  mp_slot_clear (&again);
  for (i = 0; i < fds->len; i++)
    mp_fd_close (&g_array_index (fds, int, i));
}

static void
adopt (Memory     *memory,
       const Said *said,
       int         flags)
{
  int fds[2] = { mp_fd_dup (memory->fd), mp_fd_dup (memory->fd) };
  guint n_fds = (flags & HAS_NO_FD) != 0 ? 0 : (flags & HAS_TWO_FDS) != 0 ? 2 : 1;
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;
  guint i;

  if ((flags & IS_TEXT) != 0)
    state = g_variant_ref_sink (g_variant_new_string ("slot"));
  else
    state = g_variant_ref_sink (g_variant_new ("(ttuuq)", said->id[0], said->id[1], said->index, said->generation,
                                               said->kind));
  for (i = 0; (flags & IS_LOCKED) != 0 && i < 4; i++)
    g_assert_true (mp_file_lock_take (memory->lock_fd, i, TRUE));

  if (mp_slot_adopt (&ref, said->kind, state, fds, n_fds, "fuzz", &error))
    {
      use (&ref, said);
      mp_slot_clear (&ref);
    }
  else
    {
      g_assert_true (g_error_matches (error, MP_ERROR, MP_ERROR_PROTOCOL) ||
                     g_error_matches (error, MP_ERROR, MP_ERROR_FULL));
      g_assert_null (ref.arena);
    }
  for (i = 0; i < 2; i++)
    mp_fd_close (&fds[i]);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  MpArenaHeader header;
  Memory memory;
  Said said;
  int flags;

  if (size < 1)
    return 0;
  flags = *data++;
  size--;
  take (&data, &size, &said, sizeof said);
  take (&data, &size, &header, sizeof header);

  memory_open (&memory, flags, &header);
  memory_fill (&memory, &header, said.index, data, size);
  adopt (&memory, &said, flags);
  memory_clear (&memory);
  return 0;
}
