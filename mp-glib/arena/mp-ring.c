/* mp-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-ring-state-private.h"
#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-state-private.h"
#include "mp-glib/platform/mp-barrier-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

/* How the two ends keep from each other's way: each has the position that only it writes on a cache line of its own,
 * and remembers what it last saw of the other's, so that it touches the other's line only when that is used up: a
 * writer once in a round of the ring, a reader once for each burst. The bytes of a record are written before the
 * position that publishes them (release) and read after it (acquire).
 *
 * Nobody is woken who does not sleep. The one who sleeps says so, then looks once more; the other stores its
 * position, then looks whether somebody sleeps; one of them must see the other. In a processor that store may come
 * after the look, unless there is a fence, which for records of 64 bytes is ten times dearer than all the rest; so
 * the one who sleeps sees to it for both (mp_barrier_run()). Where that is not to be had, each side says so, and the
 * order is kept at each step. */

G_STATIC_ASSERT (MP_RING_READER == 0 && MP_RING_WRITER == 1);

/* Rings that hold an end: a forked child must let go of the locks, which are its parent's. */
static GQueue held = G_QUEUE_INIT;
static pthread_mutex_t held_mutex = PTHREAD_MUTEX_INITIALIZER;

/* The hub's lock first: who has that may come here. */
static void
prepare_fork (void)
{
  mp_hub_lock ();
  pthread_mutex_lock (&held_mutex);
}

static void
fork_in_parent (void)
{
  pthread_mutex_unlock (&held_mutex);
  mp_hub_release ();
}

/* Async-signal-safe, as the parent may have had other threads. */
static void
fork_in_child (void)
{
  GList *link;

  while ((link = g_queue_pop_head_link (&held)) != NULL)
    {
      MpRing *self = link->data;

      mp_fd_close (&self->lock_fd);
      self->end = MP_RING_NO_END;
    }
  pthread_mutex_unlock (&held_mutex);
  /* It is anew already, and refuses this; but so the count and the thread sanitizer are right. */
  mp_hub_release ();
}

void
mp_ring_watch_forks (void)
{
  static gsize watched;

  if (g_once_init_enter (&watched))
    {
      mp_hub_watch_forks ();
      pthread_atfork (prepare_fork, fork_in_parent, fork_in_child);
      g_once_init_leave (&watched, 1);
    }
}

static MpRing *
map_ring (int      fd,
          gsize    size,
          GError **error)
{
  MpRingHeader *header = NULL;
  struct stat status;
  MpRing *self;

  if (fstat (fd, &status) == 0)
    header = mp_fd_map_memory_file (fd, MP_RING_HEADER + size);
  if (header == NULL)
    {
      int saved_errno = errno;

      if (saved_errno == EINVAL)
        g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "ring: its memory is not sealed");
      else
        g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                     "ring: cannot map its memory: %s", g_strerror (saved_errno));
      mp_fd_close (&fd);
      return NULL;
    }

  self = g_new0 (MpRing, 1);
  self->header = header;
  self->data = (guint8 *) header + MP_RING_HEADER;
  self->size = size;
  self->end = MP_RING_NO_END;
  self->fd = fd;
  self->id = (guint32) status.st_ino;
  self->lock_fd = -1;
  self->link.data = self;
  return self;
}

MpRing *
mp_ring_new (gsize    size,
             GError **error)
{
  MpRing *self;
  gsize rounded = MP_RING_MIN_SIZE;
  int fd;

  if (size > MP_RING_MAX_SIZE)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "ring: %" G_GSIZE_FORMAT " bytes are too large", size);
      return NULL;
    }

  while (rounded < size)
    rounded *= 2;
  fd = mp_fd_memory_file ("mp-ring", MP_RING_HEADER + rounded);
  if (fd < 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "ring: cannot make its memory: %s", g_strerror (saved_errno));
      return NULL;
    }

  self = map_ring (fd, rounded, error);
  if (self != NULL)
    {
      self->header->size = rounded;
      self->header->magic = MP_RING_MAGIC;
    }
  return self;
}

static gboolean
is_ring_size (gint64 size)
{
  return size >= MP_RING_MIN_SIZE && size <= MP_RING_MAX_SIZE && (size & (size - 1)) == 0;
}

static gboolean
positions_fit (const guint64 positions[2],
               gsize         size)
{
  return (positions[0] & 7) == 0 && (positions[1] & 7) == 0 &&
         positions[MP_RING_WRITER] - positions[MP_RING_READER] <= size;
}

MpRing *
mp_ring_adopt (int      fd,
               GError **error)
{
  struct stat status = { .st_size = 0 };
  MpRing *self;

  if (fstat (fd, &status) < 0 || !is_ring_size ((gint64) status.st_size - MP_RING_HEADER))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "ring: what was received is not the memory of a ring");
      mp_fd_close (&fd);
      return NULL;
    }

  self = map_ring (fd, status.st_size - MP_RING_HEADER, error);
  if (self == NULL)
    return NULL;

  if (__atomic_load_n (&self->header->magic, __ATOMIC_RELAXED) != MP_RING_MAGIC ||
      __atomic_load_n (&self->header->size, __ATOMIC_RELAXED) != self->size)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "ring: what was received is not the memory of a ring");
      g_clear_pointer (&self, mp_ring_free);
    }
  return self;
}

int
mp_ring_get_fd (MpRing *self)
{
  return self->fd;
}

gsize
mp_ring_get_size (MpRing *self)
{
  return self->size;
}

guint32
mp_ring_get_id (MpRing *self)
{
  return self->id;
}

static gboolean
lock_end (MpRing     *self,
          MpRingEnd   end,
          GError    **error)
{
  int saved_errno;

  self->lock_fd = mp_file_lock_reopen (self->fd);
  if (self->lock_fd >= 0 && mp_file_lock_take (self->lock_fd, end, TRUE))
    return TRUE;

  saved_errno = errno;
  mp_fd_close (&self->lock_fd);
  if (saved_errno == EAGAIN || saved_errno == EACCES)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "ring: another has the %s's end",
                 end == MP_RING_READER ? "reader" : "writer");
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                 "ring: cannot take an end of it: %s", g_strerror (saved_errno));
  return FALSE;
}

/* Whoever had the end before has not written more than its position says, nor read more. */
static gboolean
start_end (MpRing     *self,
           MpRingEnd   end,
           GError    **error)
{
  guint64 positions[2];

  /* Own position is at rest, as nobody else has this end. */
  positions[end] = __atomic_load_n (&self->header->sides[end].position, __ATOMIC_SEQ_CST);
  positions[!end] = __atomic_load_n (&self->header->sides[!end].position, __ATOMIC_SEQ_CST);
  if (!positions_fit (positions, self->size))
    return mp_ring_break (self, "its positions do not fit", error);

  self->position = self->published = positions[end];
  self->peer = positions[!end];
  self->need = 8;
  self->in_batch = FALSE;
  self->own = &self->header->sides[end];
  self->other = &self->header->sides[!end];
  self->end = end;
  self->keeps_order = !mp_barrier_join ();
  self->awake = mp_barrier_run () ? MP_RING_AWAKE : MP_RING_UNSURE;
  __atomic_store_n (&self->own->sleep, self->awake, __ATOMIC_SEQ_CST);
  __atomic_store_n (&self->own->hold, MP_RING_TAKEN, __ATOMIC_RELEASE);
  MP_TORTURE_POINT ("ring-end-taken");
  /* The one before may have died between its last step and waking the other. */
  mp_ring_publish (self);
  return TRUE;
}

gboolean
mp_ring_take_end (MpRing     *self,
                  MpRingEnd   end,
                  GError    **error)
{
  if (self->end != MP_RING_NO_END)
    {
      if (self->end == (int) end)
        return TRUE;
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "ring: its other end is held here");
      return FALSE;
    }

  mp_ring_watch_forks ();
  pthread_mutex_lock (&held_mutex);
  if (lock_end (self, end, error))
    g_queue_push_tail_link (&held, &self->link);
  pthread_mutex_unlock (&held_mutex);
  if (self->lock_fd < 0)
    return FALSE;

  if (!start_end (self, end, error))
    {
      pthread_mutex_lock (&held_mutex);
      g_queue_unlink (&held, &self->link);
      mp_fd_close (&self->lock_fd);
      pthread_mutex_unlock (&held_mutex);
      return FALSE;
    }
  return TRUE;
}

void
mp_ring_dispute_end (MpRing    *self,
                     MpRingEnd  end)
{
  __atomic_store_n (&self->header->sides[end].hold, MP_RING_LET_GO, __ATOMIC_RELEASE);
}

void
mp_ring_close_fd (MpRing *self)
{
  mp_fd_close (&self->fd);
}

void
mp_ring_free (MpRing *self)
{
  if (self->end != MP_RING_NO_END)
    {
      mp_ring_publish (self);
      __atomic_store_n (&self->own->hold, MP_RING_LET_GO, __ATOMIC_RELEASE);
      pthread_mutex_lock (&held_mutex);
      g_queue_unlink (&held, &self->link);
      /* Not by closing it alone: a child that is about to execute another program may still have it. */
      mp_file_lock_drop (self->lock_fd, self->end);
      mp_fd_close (&self->lock_fd);
      pthread_mutex_unlock (&held_mutex);
    }
  mp_fd_unmap (self->header, MP_RING_HEADER + self->size);
  mp_fd_close (&self->fd);
  g_free (self);
}

gboolean
mp_ring_break (MpRing      *self,
               const char  *what,
               GError     **error)
{
  self->broken = TRUE;
  g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "ring: %s", what);
  return FALSE;
}

gboolean
mp_ring_check (MpRing      *self,
               int          end,
               const char  *what,
               GError     **error)
{
  if (self->end == MP_RING_NO_END || self->end != end)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NOT_OWNER, "%s: this end of the ring is not held here", what);
      return FALSE;
    }
  if (self->broken)
    return mp_ring_break (self, "damaged before", error);
  return TRUE;
}

/* The other end's position only grows, up to what there is for it: one that has done anything else cannot be
 * believed. */
gboolean
mp_ring_look (MpRing *self)
{
  guint64 seen = __atomic_load_n (&self->other->position, __ATOMIC_SEQ_CST);
  guint64 grown = seen - self->peer;
  guint64 most;

  if (self->end == MP_RING_READER)
    most = self->size - (self->peer - self->position);
  else
    most = self->published - self->peer;
  if (G_UNLIKELY ((seen & 7) != 0 || grown > most))
    return FALSE;

  self->peer = seen;
  return TRUE;
}

/* Wraps. */
static inline void
copy_in (MpRing        *self,
         guint64        at,
         gconstpointer  from,
         gsize          size)
{
  gsize offset = at & (self->size - 1);
  gsize n = self->size - offset;

  if (G_LIKELY (size <= n))
    {
      memcpy (self->data + offset, from, size);
      return;
    }
  memcpy (self->data + offset, from, n);
  MP_TORTURE_POINT ("ring-half-written");
  memcpy (self->data, (const guint8 *) from + n, size - n);
}

static inline void
copy_out (MpRing   *self,
          guint64   at,
          gpointer  to,
          gsize     size)
{
  gsize offset = at & (self->size - 1);
  gsize n = self->size - offset;

  if (G_LIKELY (size <= n))
    {
      memcpy (to, self->data + offset, size);
      return;
    }
  memcpy (to, self->data + offset, n);
  memcpy ((guint8 *) to + n, self->data, size - n);
}

/* Words do not wrap: they are aligned, and the ring is a multiple of their size. */
static inline guint64 *
word_at (MpRing  *self,
         guint64  at)
{
  return (gpointer) (self->data + (at & (self->size - 1)));
}

static inline void
publish (MpRing *self)
{
  self->published = self->position;
  if (G_UNLIKELY (self->keeps_order))
    __atomic_store_n (&self->own->position, self->position, __ATOMIC_SEQ_CST);
  else
    {
      __atomic_store_n (&self->own->position, self->position, __ATOMIC_RELEASE);
      __atomic_signal_fence (__ATOMIC_SEQ_CST);   /* for the compiler */
    }
  MP_TORTURE_POINT ("ring-published");
  if (G_UNLIKELY (__atomic_load_n (&self->other->sleep, __ATOMIC_SEQ_CST) != MP_RING_AWAKE))
    mp_ring_see_peer (self);
}

void
mp_ring_publish (MpRing *self)
{
  publish (self);
}

/* Not all of it: too little room, or nothing more to read. TRUE: look again. */
static gboolean
look_again (MpRing   *self,
            gsize     need,
            GError  **error)
{
  if (!mp_ring_look (self))
    return mp_ring_break (self, "the other end's position does not fit", error);
  return mp_ring_available (self) >= need;
}

static gboolean
refuse_size (gsize    size,
             GError **error)
{
  g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
               "ring write: a record of %" G_GSIZE_FORMAT " bytes is more than half of the ring", size);
  return FALSE;
}

gboolean
mp_ring_try_write (MpRing        *self,
                   gconstpointer  data,
                   gsize          size,
                   GError       **error)
{
  gsize need;

  if (G_UNLIKELY (self->end != MP_RING_WRITER || self->broken))
    return mp_ring_check (self, MP_RING_WRITER, "ring write", error);
  if (G_UNLIKELY (size > self->size / 2))
    return refuse_size (size, error);

  need = MP_RING_RECORD_SIZE (size);
  if (G_UNLIKELY (self->size - (self->position - self->peer) < need) && !look_again (self, need, error))
    {
      self->need = need;
      return FALSE;
    }

  *word_at (self, self->position) = MP_RING_RECORD_WORD (self->position, size);
  MP_TORTURE_POINT ("ring-length-written");
  copy_in (self, self->position + 8, data, size);
  MP_TORTURE_POINT ("ring-record-written");
  self->position += need;
  if (!self->in_batch)
    publish (self);
  return TRUE;
}

gboolean
mp_ring_try_read (MpRing    *self,
                  gpointer   buffer,
                  gsize      buffer_size,
                  gsize     *size,
                  GError   **error)
{
  guint64 word;
  gsize n;

  *size = 0;
  if (G_UNLIKELY (self->end != MP_RING_READER || self->broken))
    return mp_ring_check (self, MP_RING_READER, "ring read", error);
  if (G_UNLIKELY (self->peer == self->position) && !look_again (self, 8, error))
    return FALSE;

  /* Once: the other end can change it at any time. */
  word = __atomic_load_n (word_at (self, self->position), __ATOMIC_RELAXED);
  n = (guint32) word;
  if (G_UNLIKELY (word != MP_RING_RECORD_WORD (self->position, n) || n > self->size / 2 ||
                  MP_RING_RECORD_SIZE (n) > self->peer - self->position))
    return mp_ring_break (self, "a record's length does not fit", error);

  *size = n;
  if (G_UNLIKELY (n > buffer_size))
    return FALSE;

  copy_out (self, self->position + 8, buffer, n);
  MP_TORTURE_POINT ("ring-copied");
  self->position += MP_RING_RECORD_SIZE (n);
  if (!self->in_batch)
    publish (self);
  return TRUE;
}

gboolean
mp_ring_has_record (MpRing *self)
{
  return self->end != MP_RING_READER || self->broken || self->peer != self->position ||
         !mp_ring_look (self) || self->peer != self->position;
}

void
mp_ring_begin_batch (MpRing *self)
{
  self->in_batch = TRUE;
}

void
mp_ring_end_batch (MpRing *self)
{
  self->in_batch = FALSE;
  if (self->published != self->position && self->end != MP_RING_NO_END)
    publish (self);
}

gboolean
mp_ring_peer_is_alive (MpRing *self)
{
  int fd = self->lock_fd >= 0 ? self->lock_fd : self->fd;

  return self->end != MP_RING_NO_END && mp_file_lock_is_taken (fd, !self->end, 1);
}

gboolean
mp_ring_has_end (MpRing *self)
{
  return self->end != MP_RING_NO_END;
}

static guint32
get_peer_hold (MpRing *self)
{
  MpRingSide *other = self->end != MP_RING_NO_END ? self->other : NULL;

  return other != NULL ? __atomic_load_n (&other->hold, __ATOMIC_ACQUIRE) : MP_RING_NEVER_TAKEN;
}

gboolean
mp_ring_peer_has_come (MpRing *self)
{
  return get_peer_hold (self) == MP_RING_TAKEN;
}

gboolean
mp_ring_peer_has_left (MpRing *self)
{
  return get_peer_hold (self) == MP_RING_LET_GO;
}

guint64
mp_ring_get_position (MpRing *self)
{
  return self->position;
}

guint64
mp_ring_get_written (MpRing *self)
{
  if (self->end == MP_RING_READER)
    mp_ring_look (self);   /* what is wrong with it the next reading call says */
  return self->peer;
}

gboolean
mp_ring_peer_has_passed (MpRing  *self,
                         guint64  position)
{
  return self->end == MP_RING_WRITER && mp_ring_look (self) && (gint64) (self->peer - position) > 0;
}

gboolean
mp_ring_has_room (MpRing *self,
                  gsize   room)
{
  return self->end == MP_RING_WRITER && !self->broken &&
         (mp_ring_available (self) >= room || (mp_ring_look (self) && mp_ring_available (self) >= room));
}
