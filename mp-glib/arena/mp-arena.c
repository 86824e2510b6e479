/* mp-arena.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-arena-parts-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"
#include "mp-glib/platform/mp-futex-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC   G_GUINT64_CONSTANT (0x61726570417a6c67)
#define VERSION 2u

/* A default arena is never smaller, whatever the limits. */
#define FEWEST_SLOTS 1024u

MpArenaCounts mp_arena_counts;
GPtrArray *mp_arenas;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static MpArena *default_arena;   /* (owned) (nullable): this process's own */
static guint next_n_slots, next_n_participants;

void
mp_arena_lock (void)
{
  pthread_mutex_lock (&lock);
}

void
mp_arena_unlock (void)
{
  pthread_mutex_unlock (&lock);
}

static gsize
to_pages (gsize size)
{
  return (size + MP_ARENA_PAGE - 1) / MP_ARENA_PAGE * MP_ARENA_PAGE;
}

/* FALSE for counts that no arena has. */
static gboolean
lay_out (guint          n_slots,
         guint          n_participants,
         MpArenaLayout *layout)
{
  if (n_slots == 0 || n_slots > MP_ARENA_N_SLOTS || n_slots % 64 != 0 ||
      n_participants < 2 || n_participants > MP_ARENA_N_PARTICIPANTS)
    return FALSE;

  layout->participants = MP_ARENA_PAGE;
  layout->slots = layout->participants + n_participants * sizeof (MpParticipant);
  layout->rows = layout->slots + (gsize) n_slots * sizeof (MpSlot);
  layout->row_words = n_slots / 64;
  layout->mapped = to_pages (layout->rows + n_participants * layout->row_words * sizeof (guint64));
  layout->holdings_shift = g_bit_storage (MIN (n_slots, MP_ARENA_HOLDINGS_SLOTS) - 1);
  layout->holdings_slots = 1u << layout->holdings_shift;
  layout->holdings_block = to_pages ((gsize) n_participants * layout->holdings_slots * sizeof (guint64));
  layout->n_holdings_blocks = (n_slots + layout->holdings_slots - 1) / layout->holdings_slots;
  layout->size = layout->mapped + layout->n_holdings_blocks * layout->holdings_block;
  return TRUE;
}

MpArena *
mp_arena_find (dev_t         dev,
               ino_t         ino,
               const guint64 id[2])
{
  MpArena *found = mp_arena_find_by_id (id);

  return found != NULL && found->dev == dev && found->ino == ino ? found : NULL;
}

MpArena *
mp_arena_find_by_id (const guint64 id[2])
{
  guint i;

  for (i = 0; mp_arenas != NULL && i < mp_arenas->len; i++)
    {
      MpArena *arena = g_ptr_array_index (mp_arenas, i);

      if (arena->id[0] == id[0] && arena->id[1] == id[1])
        return arena;
    }
  return NULL;
}

/* In a forked child too, where of all allocators only malloc() is sure to work. */
static void
free_arena (MpArena *self)
{
  guint i;

  for (i = 0; self->holds != NULL && i <= (self->n_slots - 1) / MP_ARENA_HOLDS; i++)
    g_free (self->holds[i]);
  g_free (self->holds);
  g_free (self->released);
  mp_fd_close (&self->fd);
  for (i = 0; self->holdings != NULL && i < self->layout.n_holdings_blocks; i++)
    mp_fd_unmap (self->holdings[i], self->layout.holdings_block);
  g_free (self->holdings);
  mp_fd_unmap (self->base, self->layout.mapped);
  g_free (self);
}

/* Maps it, of the counts that it has. The mapping keeps the description by which it was made, also in forked children:
 * so it is another than @fd (taken in every case), whose lock says that this process is alive. NULL sets errno: EINVAL
 * when the file is not sealed. */
static MpArena *
map_arena (int   fd,
           int   map_fd,
           guint n_slots,
           guint n_participants)
{
  MpArena *self = g_new0 (MpArena, 1);
  struct stat status;

  self->fd = fd;
  self->child_fd = -1;
  self->n_slots = n_slots;
  self->n_participants = n_participants;
  lay_out (n_slots, n_participants, &self->layout);
  if (fd >= 0 && map_fd >= 0 && fstat (fd, &status) == 0)
    self->base = mp_fd_map_memory_file (map_fd, self->layout.mapped);
  if (self->base == NULL)
    {
      int saved_errno = errno;

      free_arena (self);
      errno = saved_errno;
      return NULL;
    }

  self->dev = status.st_dev;
  self->ino = status.st_ino;
  self->header = (gpointer) self->base;
  self->participants = (gpointer) (self->base + self->layout.participants);
  self->slots = (gpointer) (self->base + self->layout.slots);
  self->rows = (gpointer) (self->base + self->layout.rows);
  self->holds = g_new0 (guint32 *, (n_slots - 1) / MP_ARENA_HOLDS + 1);
  self->holdings = g_new0 (guint64 *, self->layout.n_holdings_blocks);
  self->ref_count = 1;
  return self;
}

/* From here on this process is alive in it. */
static gboolean
join (MpArena    *self,
      const char *what,
      GError    **error)
{
  self->head.self = mp_participant_join (self, self->fd, NULL);
  if (self->head.self == 0)
    {
      if (errno == ENOSPC)
        g_set_error (error, MP_ERROR, MP_ERROR_FULL,
                     "%s: %u processes share its memory, and it has no room for more", what, self->n_participants - 1);
      else
        g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: its memory cannot be locked: %s", what, g_strerror (errno));
      free_arena (self);
      return FALSE;
    }

  mp_participant_watch_forks ();
  if (mp_arenas == NULL)
    mp_arenas = g_ptr_array_new ();
  g_ptr_array_add (mp_arenas, self);
  return TRUE;
}

static void
make_id (guint64 id[2])
{
  guint i;

  if (getentropy (id, 2 * sizeof *id) == 0)
    return;
  for (i = 0; i < 2; i++)
    id[i] = (guint64) g_random_int () << 32 | g_random_int ();
}

/* A file of the size, mapped. NULL sets errno. */
static MpArena *
make_memory (guint n_slots,
             guint n_participants)
{
  MpArenaLayout layout;
  MpArena *self;
  int fd;

  if (!lay_out (n_slots, n_participants, &layout))
    g_assert_not_reached ();
  fd = mp_fd_memory_file ("mp-arena", layout.size);
  if (fd < 0)
    return NULL;

  self = map_arena (mp_file_lock_reopen (fd), fd, n_slots, n_participants);
  mp_fd_close (&fd);
  return self;
}

MpArena *
mp_arena_make (guint        n_slots,
               guint        n_participants,
               gboolean     is_isolated,
               const char  *what,
               GError     **error)
{
  MpArena *self = make_memory (n_slots, n_participants);

  /* Address space, and the size of files, may be limited. */
  while (self == NULL && (errno == ENOMEM || errno == EFBIG) && n_slots > FEWEST_SLOTS)
    {
      n_slots /= 4;
      self = make_memory (n_slots, n_participants);
    }
  if (self == NULL)
    {
      /* Also "no such file or directory": opening it again goes by /proc. */
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: no shared memory%s: %s", what,
                   errno == ENOENT ? " without /proc/self/fd" : "", g_strerror (errno));
      return NULL;
    }

  make_id (self->id);
  self->is_maker = TRUE;
  self->is_isolated = is_isolated;
  *self->header = (MpArenaHeader) {
    .magic = MAGIC, .version = VERSION, .n_slots = n_slots, .n_participants = n_participants,
    .is_isolated = is_isolated, .id = { self->id[0], self->id[1] },
    .n_participants_used = 1,
  };
  return join (self, what, error) ? self : NULL;
}

/* Copies the header once: what is in the memory later does not matter any more. The file is known to be in memory. */
static const char *
read_header (int            fd,
             const guint64  id[2],
             MpArenaHeader *header)
{
  MpArenaLayout layout;
  struct stat status;

  if (pread (fd, header, sizeof *header, 0) != sizeof *header)
    return "its memory is too small";
  if (header->magic != MAGIC)
    return "its memory is something else";
  if (header->version != VERSION)
    return "its memory is of another version of this library";
  if (!lay_out (header->n_slots, header->n_participants, &layout))
    return "the counts in its memory";
  if (fstat (fd, &status) < 0 || status.st_size < 0 || (guint64) status.st_size != layout.size)
    return "the size of its memory";
  if (header->id[0] != id[0] || header->id[1] != id[1])
    return "it is in other memory than it says";
  return NULL;
}

MpArena *
mp_arena_adopt (int            fd,
                const guint64  id[2],
                const char    *what,
                GError       **error)
{
  MpArenaHeader header;
  const char *fault;
  MpArena *self;
  int map_fd;

  fault = read_header (fd, id, &header);
  if (fault == NULL && mp_arena_find_by_id (id) != NULL)
    fault = "its memory is a copy";
  if (fault != NULL)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: %s", what, fault);
      return NULL;
    }

  /* The description of the message has the locks of what is on its way. */
  map_fd = mp_file_lock_reopen (fd);
  self = map_arena (map_fd >= 0 ? mp_file_lock_reopen (fd) : -1, map_fd, header.n_slots, header.n_participants);
  mp_fd_close (&map_fd);
  if (self == NULL)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: its memory cannot be mapped%s: %s", what,
                   errno == ENOENT ? " without /proc/self/fd" : "", g_strerror (errno));
      return NULL;
    }

  self->id[0] = id[0];
  self->id[1] = id[1];
  self->is_isolated = header.is_isolated != 0;
  return join (self, what, error) ? self : NULL;
}

MpArena *
mp_arena_get_default (const char  *what,
                      GError     **error)
{
  if (default_arena == NULL)
    default_arena = mp_arena_make (next_n_slots != 0 ? next_n_slots : MP_ARENA_N_SLOTS,
                                   next_n_participants != 0 ? next_n_participants : MP_ARENA_N_PARTICIPANTS,
                                   FALSE, what, error);
  if (default_arena == NULL)
    return NULL;

  default_arena->ref_count++;
  return default_arena;
}

gboolean
mp_arena_is_default (MpArena *self)
{
  return self == default_arena;
}

void
mp_arena_forget_default (void)
{
  MpArena *old = g_steal_pointer (&default_arena);

  if (old != NULL)
    mp_arena_drop (old);
}

void
mp_arena_drop (MpArena *self)
{
  if (--self->ref_count > 0)
    return;

  g_ptr_array_remove_fast (mp_arenas, self);
  mp_participant_leave (self);
  free_arena (self);
}

MpArena *
mp_arena_ref (MpArena *arena)
{
  mp_arena_lock ();
  arena->ref_count++;
  mp_arena_unlock ();
  return arena;
}

void
mp_arena_unref (MpArena *arena)
{
  mp_arena_lock ();
  mp_arena_drop (arena);
  mp_arena_unlock ();
}

GPtrArray *
mp_arena_list (void)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) mp_arena_unref);
  guint i;

  mp_arena_lock ();
  for (i = 0; mp_arenas != NULL && i < mp_arenas->len; i++)
    {
      MpArena *arena = g_ptr_array_index (mp_arenas, i);

      arena->ref_count++;
      g_ptr_array_add (list, arena);
    }
  mp_arena_unlock ();
  return list;
}

guint32 *
mp_arena_get_doorbell (MpArena *arena)
{
  return &arena->participants[MP_OWNER_INDEX (arena->head.self)].doorbell;
}

guint64
mp_arena_take_rung (MpArena *arena)
{
  return __atomic_exchange_n (&arena->participants[MP_OWNER_INDEX (arena->head.self)].rung, 0, __ATOMIC_SEQ_CST);
}

/* Those that are dead are rung like the others: that does not hurt, and to find out would take longer. */
void
mp_arena_ring (const MpSlotRef *ref,
               guint64          watchers)
{
  MpArena *arena = ref->arena;
  guint i, n = MIN (__atomic_load_n (&arena->header->n_participants_used, __ATOMIC_ACQUIRE), arena->n_participants);

  for (i = 1; i < n; i++)
    {
      MpParticipant *participant = &arena->participants[i];

      if ((watchers >> (i % 64) & 1) == 0 || __atomic_load_n (&participant->generation, __ATOMIC_RELAXED) == 0)
        continue;
      __atomic_fetch_or (&participant->rung, G_GUINT64_CONSTANT (1) << (ref->index % 64), __ATOMIC_SEQ_CST);
      MP_TORTURE_POINT ("arena-rung");
      __atomic_fetch_add (&participant->doorbell, 1, __ATOMIC_SEQ_CST);
      MP_TORTURE_POINT ("arena-bell");
      mp_futex_wake (&participant->doorbell, G_MAXINT, FALSE);
    }
}

void
mp_arena_set_sizes_for_testing (guint n_slots,
                                guint n_participants)
{
  mp_arena_lock ();
  next_n_slots = n_slots;
  next_n_participants = n_participants;
  mp_arena_unlock ();
}

guint
mp_arena_get_index_for_testing (MpArena *arena)
{
  return MP_OWNER_INDEX (arena->head.self);
}

int
mp_arena_get_fd_for_testing (MpArena *arena)
{
  return arena->fd;
}
