/* mp-participant.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-arena-parts-private.h"

#include "mp-glib/arena/mp-async-private.h"
#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* Who is alive in an arena, and what a fork() makes of it. */

static MpArenaForkFuncs fork_funcs;   /* set once */

guint64 *
mp_participant_get_row (MpArena *arena,
                        guint    index)
{
  return arena->rows + index * arena->layout.row_words;
}

/* Words of a row beyond which there is nothing: what was never used takes no memory, also not by being read. */
static gsize
count_row_words (MpArena *arena)
{
  guint n_used = __atomic_load_n (&arena->header->n_slots_used, __ATOMIC_ACQUIRE);

  return MIN ((n_used + 63) / 64, arena->layout.row_words);
}

/* The index is this process's, by its lock; what the dead one had is gone with that. */
static MpOwner
settle (MpArena       *arena,
        guint          index,
        const guint64 *row)
{
  MpParticipant *entry = &arena->participants[index];
  guint32 generation = __atomic_load_n (&entry->generation, __ATOMIC_ACQUIRE);
  guint64 *own = mp_participant_get_row (arena, index);
  gsize i, n_words = MAX (count_row_words (arena), (arena->n_held + 63) / 64);
  guint32 n_used;

  if (generation != 0 || row != NULL)
    for (i = 0; i < n_words; i++)
      __atomic_store_n (&own[i], row != NULL ? __atomic_load_n (&row[i], __ATOMIC_RELAXED) : 0, __ATOMIC_RELAXED);
  MP_TORTURE_POINT ("participant-row");

  if (generation != 0 && __atomic_load_n (&entry->pid, __ATOMIC_RELAXED) != 0)
    g_atomic_int_inc (&mp_arena_counts.n_indices_reused);
  __atomic_store_n (&entry->rung, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&entry->pid, (guint32) getpid (), __ATOMIC_RELAXED);
  MP_TORTURE_POINT ("participant-pid");

  generation = generation != G_MAXUINT32 ? generation + 1 : 1;
  __atomic_store_n (&entry->generation, generation, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("participant-generation");

  n_used = __atomic_load_n (&arena->header->n_participants_used, __ATOMIC_RELAXED);
  while (n_used < index + 1 &&
         !__atomic_compare_exchange_n (&arena->header->n_participants_used, &n_used, index + 1, FALSE,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
    ;
  MP_TORTURE_POINT ("participant-there");
  return (MpOwner) generation << 16 | index;
}

MpOwner
mp_participant_join (MpArena       *arena,
                     int            fd,
                     const guint64 *row)
{
  guint i;

  for (i = 1; i < arena->n_participants; i++)
    {
      if (mp_file_lock_take (fd, i, TRUE))
        return settle (arena, i, row);
      if (errno != EAGAIN)
        return 0;
    }
  errno = ENOSPC;
  return 0;
}

void
mp_participant_leave (MpArena *arena)
{
  if (arena->head.self != 0)
    __atomic_store_n (&arena->participants[MP_OWNER_INDEX (arena->head.self)].pid, 0, __ATOMIC_RELAXED);
  arena->head.self = 0;
}

MpOwner
mp_arena_get_self (MpArena *arena)
{
  return MP_ARENA_SELF (arena);
}

gboolean
mp_arena_is_alive (MpArena *arena,
                   MpOwner  owner)
{
  guint index = MP_OWNER_INDEX (owner);

  if (owner == 0 || index == 0 || index >= arena->n_participants)
    return FALSE;
  if (owner == arena->head.self)
    return TRUE;
  if (__atomic_load_n (&arena->participants[index].generation, __ATOMIC_ACQUIRE) != MP_OWNER_GENERATION (owner))
    return FALSE;
  /* An older generation of this process's own index is not seen by its own description, but was told above. */
  return mp_file_lock_is_taken (arena->fd, index, 1);
}

/* A participant for the child, complete before the child is. */
static void
prepare_arena (MpArena *arena)
{
  arena->child_self = 0;
  arena->child_fd = -1;
  if (mp_arena_is_default (arena) && arena->ref_count == 1)
    return;

  arena->child_fd = mp_file_lock_reopen (arena->fd);
  if (arena->child_fd < 0 || arena->head.self == 0)
    return;
  arena->child_self = mp_participant_join (arena, arena->child_fd,
                                           mp_participant_get_row (arena, MP_OWNER_INDEX (arena->head.self)));
  /* The copy of the row is a move: see can_reuse(). */
  __atomic_fetch_add (&arena->header->n_moves, 1, __ATOMIC_SEQ_CST);
}

static void
prepare_cb (void)
{
  guint i;

  if (fork_funcs.prepare != NULL)
    fork_funcs.prepare ();
  mp_arena_lock ();
  for (i = 0; mp_arenas != NULL && i < mp_arenas->len; i++)
    prepare_arena (g_ptr_array_index (mp_arenas, i));
}

static void
parent_cb (void)
{
  guint i;

  for (i = 0; mp_arenas != NULL && i < mp_arenas->len; i++)
    {
      MpArena *arena = g_ptr_array_index (mp_arenas, i);

      mp_fd_close (&arena->child_fd);
    }
  mp_arena_unlock ();
  if (fork_funcs.parent != NULL)
    fork_funcs.parent ();
}

/* The parent's description is closed here: its death must not be hidden by this copy. Without one of its own, the child
 * can tell nobody's state, and has no part in the arena any more. */
static void
child_cb (void)
{
  guint i;

  for (i = 0; mp_arenas != NULL && i < mp_arenas->len; i++)
    {
      MpArena *arena = g_ptr_array_index (mp_arenas, i);

      mp_fd_close (&arena->fd);
      arena->fd = arena->child_fd;
      arena->child_fd = -1;
      arena->head.self = arena->child_self;
      arena->is_maker = FALSE;
      if (arena->head.self != 0)
        __atomic_store_n (&arena->participants[MP_OWNER_INDEX (arena->head.self)].pid, (guint32) getpid (),
                          __ATOMIC_RELAXED);
    }
  mp_arena_forget_default ();
  mp_arena_unlock ();
  if (fork_funcs.child != NULL)
    fork_funcs.child ();
}

void
mp_participant_watch_forks (void)
{
  static gboolean is_watching;

  if (is_watching)
    return;
  mp_async_watch_forks ();
  pthread_atfork (prepare_cb, parent_cb, child_cb);
  is_watching = TRUE;
}

void
mp_arena_set_fork_funcs (const MpArenaForkFuncs *funcs)
{
  fork_funcs = *funcs;
}
