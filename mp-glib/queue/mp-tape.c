/* mp-tape.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-tape-joinable-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-memory-file-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MAGIC   G_GUINT64_CONSTANT (0x657061545170674d)
#define VERSION 1u

#define PARTICIPANTS_OFFSET 4096u
#define RINGS_OFFSET (PARTICIPANTS_OFFSET + MP_ARENA_N_PARTICIPANTS * sizeof (guint64))

/* Of a lane that changes all the time. */
#define MAX_READS 1000

guint64
mp_tape_ring_offset (guint ring)
{
  guint64 offset = RINGS_OFFSET;

  for (guint i = 0; i < ring; i++)
    offset += mp_tape_ring_size (i);
  return offset;
}

/* More is not to be mapped where addresses are short. */
static guint
most_rings (void)
{
  return sizeof (gsize) > 4 ? MP_TAPE_MAX_RINGS : 5;
}

/* What a new tape has, and one that was received. NULL sets errno. */
static MpTape *
map_tape (int   fd,
          guint n_rings)
{
  MpTape *self = g_new0 (MpTape, 1);

  self->fd = -1;
  self->header = mp_fd_map_part (fd, 0, RINGS_OFFSET + mp_tape_ring_size (0));
  if (self->header == NULL)
    {
      int saved_errno = errno;

      g_free (self);
      errno = saved_errno;
      return NULL;
    }

  self->participants = (gpointer) ((guint8 *) self->header + PARTICIPANTS_OFFSET);
  self->rings[0] = (guint8 *) self->header + RINGS_OFFSET;
  self->n_rings = n_rings;
  return self;
}

static void
set_no_memory (const char  *what,
               GError     **error)
{
  g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: no shared memory: %s", what, g_strerror (errno));
}

MpTape *
mp_tape_new (guint        flags,
             guint        max_items,
             guint64      max_bytes,
             const char  *what,
             GError     **error)
{
  guint n_rings = most_rings ();
  MpTape *self = NULL;
  int fd = mp_fd_memory_file ("mp-queue", mp_tape_ring_offset (n_rings));

  /* The size of files may be limited. */
  while (fd < 0 && (errno == EFBIG || errno == ENOMEM || errno == EINVAL) && n_rings > 1)
    fd = mp_fd_memory_file ("mp-queue", mp_tape_ring_offset (--n_rings));
  if (fd >= 0)
    self = map_tape (fd, n_rings);
  if (self == NULL)
    {
      set_no_memory (what, error);
      mp_fd_close (&fd);
      return NULL;
    }

  self->fd = fd;
  self->header->magic = MAGIC;
  self->header->version = VERSION;
  self->header->flags = self->flags = flags;
  self->header->n_rings = n_rings;
  self->header->max_items = self->max_items = max_items;
  self->header->max_bytes = self->max_bytes = max_bytes;
  return self;
}

static gboolean
set_malformed (const char  *what,
               const char  *fault,
               GError     **error)
{
  g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: %s", what, fault);
  return FALSE;
}

/* @header: a copy of what is constant; what is in the memory later does not matter any more. */
static gboolean
check_header (int            fd,
              guint          flags,
              MpTapeHeader  *header,
              const char    *what,
              GError       **error)
{
  gint64 size = mp_memory_file_get_size (fd);

  if (!mp_fd_is_sealed (fd))
    return set_malformed (what, "it comes without sealed memory", error);
  if (size < (gint64) mp_tape_ring_offset (1) ||
      pread (fd, header, sizeof *header, 0) != sizeof *header)
    return set_malformed (what, "its memory is too small", error);
  if (header->magic != MAGIC)
    return set_malformed (what, "its memory is something else", error);
  if (header->version != VERSION)
    return set_malformed (what, "its memory is of another version of this library", error);
  if (header->flags != flags)
    return set_malformed (what, "its memory is that of a queue of another kind", error);
  if (header->n_rings == 0 || header->n_rings > most_rings ())
    return set_malformed (what, "the parts of its memory", error);
  if ((guint64) size != mp_tape_ring_offset (header->n_rings))
    return set_malformed (what, "the size of its memory", error);

  return TRUE;
}

MpTape *
mp_tape_adopt (int          fd,
               guint        flags,
               const char  *what,
               GError     **error)
{
  MpTapeHeader header;
  MpTape *self = NULL;

  if (!check_header (fd, flags, &header, what, error))
    return NULL;
  self = map_tape (fd, header.n_rings);
  if (self == NULL)
    {
      set_no_memory (what, error);
      return NULL;
    }

  self->fd = fd;
  self->flags = flags;
  self->max_items = header.max_items;
  self->max_bytes = header.max_bytes;
  return self;
}

void
mp_tape_free (MpTape *self)
{
  for (guint i = 1; i < self->n_rings; i++)
    mp_fd_unmap (self->rings[i], mp_tape_ring_size (i));
  mp_fd_unmap (self->header, RINGS_OFFSET + mp_tape_ring_size (0));
  mp_fd_close (&self->fd);
  g_free (self);
}

guint8 *
mp_tape_get_ring (MpTape  *self,
                  guint    ring,
                  GError **error)
{
  guint8 *address = __atomic_load_n (&self->rings[ring], __ATOMIC_ACQUIRE);
  guint8 *nothing = NULL;

  if (G_LIKELY (address != NULL))
    return address;

  address = mp_fd_map_part (self->fd, mp_tape_ring_offset (ring), mp_tape_ring_size (ring));
  if (address == NULL)
    {
      g_set_error (error, MP_ERROR, errno == ENOMEM ? MP_ERROR_TOO_LARGE : MP_ERROR_FAILED,
                   "its memory cannot be mapped, of which there are %" G_GUINT64_FORMAT " bytes: %s", mp_tape_ring_size (ring),
                   g_strerror (errno));
      return NULL;
    }
  /* Both sides may come here at once. */
  if (!__atomic_compare_exchange_n (&self->rings[ring], &nothing, address, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    {
      mp_fd_unmap (address, mp_tape_ring_size (ring));
      address = nothing;
    }
  return address;
}

/* Lanes. */

static void
read_copy (const guint64 *copy,
           MpTapeState   *state,
           int            order)
{
  state->place = __atomic_load_n (&copy[0], order);
  state->n_items = __atomic_load_n (&copy[1], order);
  state->n_bytes = __atomic_load_n (&copy[2], order);
}

void
mp_tape_read (const MpTapeLane *lane,
              MpTapeState      *state)
{
  guint64 which = __atomic_load_n (&lane->which, __ATOMIC_ACQUIRE), now;

  /* The copy in force is not written to before the other one is. Who writes without end has bad intentions. */
  for (guint i = 0; i < MAX_READS; i++)
    {
      read_copy (lane->state[which & 1], state, __ATOMIC_ACQUIRE);
      now = __atomic_load_n (&lane->which, __ATOMIC_RELAXED);
      if (now == which)
        return;
      which = __atomic_load_n (&lane->which, __ATOMIC_ACQUIRE);
    }
}

void
mp_tape_read_own (const MpTapeLane *lane,
                  MpTapeState      *state)
{
  read_copy (lane->state[__atomic_load_n (&lane->which, __ATOMIC_ACQUIRE) & 1], state, __ATOMIC_RELAXED);
}

void
mp_tape_commit (MpTapeLane        *lane,
                const MpTapeState *state)
{
  guint64 which = __atomic_load_n (&lane->which, __ATOMIC_RELAXED) + 1;
  guint64 *copy = lane->state[which & 1];

  /* Releasing each: a reader that sees a part of this sees, by `which`, that its copy had gone out of force. */
  __atomic_store_n (&copy[0], state->place, __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("tape-state-place");
  __atomic_store_n (&copy[1], state->n_items, __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("tape-state-items");
  __atomic_store_n (&copy[2], state->n_bytes, __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("tape-state-written");
  __atomic_store_n (&lane->which, which, __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("tape-state-committed");
}

guint
mp_tape_count (const MpTape *self,
               guint64      *n_bytes)
{
  MpTapeState put, before, after;
  guint64 n_back, n_bytes_back = 0;

  mp_tape_read (&self->header->get, &after);
  for (guint i = 0; i < MAX_READS; i++)
    {
      before = after;
      mp_tape_read (&self->header->put, &put);
      mp_tape_read (&self->header->get, &after);
      if (before.n_items == after.n_items)
        break;
    }

  n_back = mp_tape_count_back (self, &n_bytes_back);
  /* What a process with bad intentions says may be anything. */
  if (n_bytes != NULL)
    *n_bytes = (put.n_bytes > before.n_bytes ? put.n_bytes - before.n_bytes : 0) + n_bytes_back;
  return MIN ((put.n_items > before.n_items ? put.n_items - before.n_items : 0) + n_back, G_MAXUINT);
}

gboolean
mp_tape_is_empty (const MpTape *self)
{
  MpTapeState put, get;

  mp_tape_read (&self->header->get, &get);
  mp_tape_read (&self->header->put, &put);
  return put.n_items == get.n_items && mp_tape_count_back (self, NULL) == 0;
}

const MpTapeLane *
mp_tape_get_free_lane (const MpTape *self)
{
  return (self->flags & MP_TAPE_JOINABLE) != 0 ? &self->header->done : &self->header->get;
}
