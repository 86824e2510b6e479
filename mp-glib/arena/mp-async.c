/* mp-async.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-async-private.h"

#include "mp-glib/arena/mp-cell-private.h"
#include "mp-glib/base/mp-hub-state-private.h"
#include "mp-glib/platform/mp-futex-private.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Slots are told apart by their index modulo this, in doorbells. */
#define N_BUCKETS 64

/* All slots are looked at every slice, for owners that have died and bells that were not rung; when they are so many that
 * this takes its time, less often, so that it stays a small part of a CPU. */
#define SWEEP_SHARE  50
#define MAX_SLICE_US (5 * MP_CELL_SLICE_US)

typedef struct _Ground Ground;
typedef struct _Line   Line;

struct _MpAsyncWait
{
  GList        link;        /* of its line, or of those that have won */
  Line        *line;        /* NULL: has won */
  guint        epoch;
  MpAsyncTry   try_func;
  MpAsyncDone  done_func;
  gpointer     data;
};

/* The waits for one slot, the first one first. */
struct _Line
{
  Ground   *ground;
  MpSlotRef ref;            /* borrowed: of the waits */
  GQueue    waits;
  GList     bucket_link;
  GList     due_link;
  gboolean  is_due;
  gboolean  is_unordered;   /* all are tried, not only the first one */
};

/* An arena in which there are waits. */
struct _Ground
{
  MpArena  *arena;
  GQueue    buckets[N_BUCKETS];
  guint     n_lines;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;    /* taken after the hub's */
static pthread_cond_t tried = PTHREAD_COND_INITIALIZER;
static GHashTable *lines;        /* (nullable): MpSlot → Line */
static GPtrArray *grounds;       /* (nullable) */
static GQueue due = G_QUEUE_INIT;
static GQueue won = G_QUEUE_INIT;
static MpAsyncWait *being_tried; /* by the thread, without the lock */
static guint n_waits;            /* atomic for readers */

static pthread_t thread;
static gboolean runs;            /* atomic for readers */
static gboolean stops;
static guint32 bell;             /* atomic: this process's own, for the thread */

static gboolean forks;           /* the thread is not to be started now */
static gpointer left_behind;     /* what is the parent's, in sight of a leak checker */

static pthread_mutex_t blocked_lock = PTHREAD_MUTEX_INITIALIZER;
static MpAsyncBlocked *blocked_threads;
static guint epoch;              /* counts forks */

static void
ring_own_bell (void)
{
  __atomic_add_fetch (&bell, 1, __ATOMIC_SEQ_CST);
  mp_futex_wake (&bell, 1, TRUE);
}

static void
make_due (Line *line)
{
  if (!line->is_due)
    g_queue_push_tail_link (&due, &line->due_link);
  line->is_due = TRUE;
}

static void
make_bucket_due (GQueue *bucket)
{
  GList *link;

  for (link = bucket->head; link != NULL; link = link->next)
    make_due (link->data);
}

static Ground *
find_ground (MpArena *arena)
{
  Ground *ground;
  guint i;

  if (grounds == NULL)
    grounds = g_ptr_array_new ();
  for (i = 0; i < grounds->len; i++)
    {
      ground = g_ptr_array_index (grounds, i);
      if (ground->arena == arena)
        return ground;
    }

  ground = g_new0 (Ground, 1);
  ground->arena = mp_arena_ref (arena);
  g_ptr_array_add (grounds, ground);
  return ground;
}

static Line *
find_line (const MpSlotRef *ref)
{
  Line *line;

  if (lines == NULL)
    lines = g_hash_table_new (NULL, NULL);
  line = g_hash_table_lookup (lines, ref->slot);
  if (line != NULL)
    return line;

  line = g_slice_new0 (Line);
  line->ground = find_ground (ref->arena);
  line->ref = *ref;
  line->bucket_link.data = line->due_link.data = line;
  g_queue_push_tail_link (&line->ground->buckets[ref->index % N_BUCKETS], &line->bucket_link);
  line->ground->n_lines++;
  g_hash_table_insert (lines, ref->slot, line);
  return line;
}

/* Frees the line after its last wait, unless the thread is at it. */
static void
drop_line (Line *line)
{
  Ground *ground = line->ground;

  if (line->waits.length > 0)
    return;

  g_hash_table_remove (lines, line->ref.slot);
  if (line->is_due)
    g_queue_unlink (&due, &line->due_link);
  g_queue_unlink (&ground->buckets[line->ref.index % N_BUCKETS], &line->bucket_link);
  g_slice_free (Line, line);
  ground->n_lines--;
}

/* By the thread alone: it sleeps on their memory, without the lock. Whether there were any. */
static gboolean
drop_empty_grounds (void)
{
  gboolean any = FALSE;
  guint i;

  for (i = grounds != NULL ? grounds->len : 0; i-- > 0;)
    {
      Ground *ground = g_ptr_array_index (grounds, i);

      if (ground->n_lines > 0)
        continue;
      g_ptr_array_remove_index_fast (grounds, i);
      mp_arena_unref (ground->arena);
      g_free (ground);
      any = TRUE;
    }
  return any;
}

static void
leave_bit (const MpSlotRef *ref)
{
  guint64 bit = G_GUINT64_CONSTANT (1) << (MP_OWNER_INDEX (MP_ARENA_SELF (ref->arena)) % 64);

  if ((__atomic_load_n (&ref->slot->watchers, __ATOMIC_SEQ_CST) & bit) == 0)
    __atomic_fetch_or (&ref->slot->watchers, bit, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("async-watches");
}

static gboolean
try_first (Line *line)
{
  MpAsyncWait *wait = line->waits.head->data;
  gboolean success;

  /* The bit before the look: who changes the slot from now on rings. */
  being_tried = wait;
  pthread_mutex_unlock (&lock);
  leave_bit (&line->ref);
  success = wait->try_func (&line->ref, wait->data);
  pthread_mutex_lock (&lock);
  being_tried = NULL;
  pthread_cond_broadcast (&tried);

  if (!success)
    return FALSE;

  g_queue_unlink (&line->waits, &wait->link);
  wait->line = NULL;
  g_queue_push_tail_link (&won, &wait->link);
  g_atomic_int_add (&n_waits, -1);
  return TRUE;
}

static void
tell_winners (void)
{
  GQueue told = won;
  GList *link;

  g_queue_init (&won);
  pthread_mutex_unlock (&lock);
  mp_hub_lock ();
  while ((link = g_queue_pop_head_link (&told)) != NULL)
    {
      MpAsyncWait *wait = link->data;

      wait->done_func (wait->data);
      g_slice_free (MpAsyncWait, wait);
    }
  mp_hub_unlock ();
  pthread_mutex_lock (&lock);
}

/* One that has to wait on goes to the end, as others may go from anywhere meanwhile. */
static void
serve_all (Line *line)
{
  for (guint n = line->waits.length; n > 0 && line->waits.length > 0; n--)
    if (!try_first (line))
      g_queue_push_tail_link (&line->waits, g_queue_pop_head_link (&line->waits));
}

static void
serve_due (void)
{
  while (due.length > 0 && !stops)
    {
      Line *line = g_queue_pop_head_link (&due)->data;

      line->is_due = FALSE;
      if (line->is_unordered)
        serve_all (line);
      while (!line->is_unordered && line->waits.length > 0 && try_first (line))
        ;
      drop_line (line);
      if (won.length > 0)
        tell_winners ();
    }
}

static void
take_rung (Ground *ground)
{
  guint64 rung = mp_arena_take_rung (ground->arena);

  while (rung != 0)
    {
      guint bit = __builtin_ctzll (rung);

      make_bucket_due (&ground->buckets[bit]);
      rung &= rung - 1;
    }
}

static void
make_all_due (void)
{
  guint i, k;

  for (i = 0; grounds != NULL && i < grounds->len; i++)
    for (k = 0; k < N_BUCKETS; k++)
      make_bucket_due (&((Ground *) g_ptr_array_index (grounds, i))->buckets[k]);
}

/* What the bells show, before one looks what they rang for. More arenas than can be slept on are had in turns. */
static guint
read_bells (MpFutexWait *bells,
            guint        turn)
{
  guint n = 0, i;

  bells[n++] = (MpFutexWait) { &bell, __atomic_load_n (&bell, __ATOMIC_SEQ_CST), TRUE };
  for (i = 0; grounds != NULL && i < grounds->len && n < MP_FUTEX_MAX_MANY; i++)
    {
      Ground *ground = g_ptr_array_index (grounds, (turn + i) % grounds->len);
      guint32 *doorbell = mp_arena_get_doorbell (ground->arena);

      bells[n++] = (MpFutexWait) { doorbell, __atomic_load_n (doorbell, __ATOMIC_SEQ_CST), FALSE };
    }
  return n;
}

static void
sleep_until (const MpFutexWait *bells,
             guint              n_bells,
             gint64             next_sweep,
             gboolean           has_more)
{
  gint64 timeout_us = -1;

  if (n_bells > 1)
    timeout_us = MAX (0, next_sweep - g_get_monotonic_time ());
  if (has_more)
    timeout_us = MIN (timeout_us, MP_FUTEX_BLIND_US);

  pthread_mutex_unlock (&lock);
  mp_futex_wait_many (bells, n_bells, timeout_us);
  pthread_mutex_lock (&lock);
}

static void *
thread_main (void *unused)
{
  MpFutexWait bells[MP_FUTEX_MAX_MANY];
  gint64 next_sweep = 0;
  guint turn = 0, i;

  pthread_mutex_lock (&lock);
  while (!stops)
    {
      gint64 now = g_get_monotonic_time ();
      gboolean sweeps = now >= next_sweep;
      guint n_bells, n_grounds;

      n_bells = read_bells (bells, turn++);

      for (i = 0; grounds != NULL && i < grounds->len; i++)
        take_rung (g_ptr_array_index (grounds, i));
      if (sweeps)
        make_all_due ();
      serve_due ();
      if (sweeps)
        {
          gint64 duration = g_get_monotonic_time () - now;

          next_sweep = now + CLAMP (SWEEP_SHARE * duration, MP_CELL_SLICE_US, MAX_SLICE_US);
        }

      n_grounds = grounds != NULL ? grounds->len : 0;
      if (!drop_empty_grounds () && !stops)
        sleep_until (bells, n_bells, next_sweep, n_grounds >= MP_FUTEX_MAX_MANY);
    }
  pthread_mutex_unlock (&lock);
  return NULL;
}

/* With the lock held. 0, or an errno. */
static int
start_thread (void)
{
  sigset_t all, before;
  int result;

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  result = pthread_create (&thread, NULL, thread_main, NULL);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  g_atomic_int_set (&runs, result == 0);
  if (runs)
    pthread_setname_np (thread, "mp-async");
  return result;
}

/* Afterwards there is one thread less: not even a copy of it, with what it held, can come to be. It takes the hub's lock,
 * which other threads have when they come here: so it is waited for before that is taken, and that before the rest. */
static void
before_fork (void)
{
  pthread_mutex_lock (&lock);
  while (forks)
    pthread_cond_wait (&tried, &lock);
  forks = TRUE;
  if (runs)
    {
      stops = TRUE;
      ring_own_bell ();
      pthread_mutex_unlock (&lock);
      pthread_join (thread, NULL);
      pthread_mutex_lock (&lock);
      stops = FALSE;
      g_atomic_int_set (&runs, FALSE);
    }
  pthread_mutex_unlock (&lock);

  mp_hub_lock ();
  pthread_mutex_lock (&lock);
  pthread_mutex_lock (&blocked_lock);
}

static void
after_fork_in_parent (void)
{
  int result = n_waits > 0 ? start_thread () : 0;

  if (result != 0)
    g_warning ("Cannot start the thread for asynchronous waits again after a fork: %s", g_strerror (result));
  forks = FALSE;
  pthread_cond_broadcast (&tried);
  pthread_mutex_unlock (&blocked_lock);
  pthread_mutex_unlock (&lock);
  mp_hub_release ();
}

static void
after_fork_in_child (void)
{
  static const pthread_cond_t fresh_cond = PTHREAD_COND_INITIALIZER;

  gpointer *left = g_new (gpointer, 3);

  /* The waits are the parent's. Of all allocators only malloc() works in the copy of a process with threads. */
  left[0] = left_behind;
  left[1] = g_steal_pointer (&lines);
  left[2] = g_steal_pointer (&grounds);
  left_behind = left;
  g_queue_init (&due);
  g_queue_init (&won);
  n_waits = 0;
  blocked_threads = NULL;
  epoch++;

  /* The hub sees to its own lock. */
  forks = FALSE;
  pthread_mutex_unlock (&blocked_lock);
  pthread_mutex_unlock (&lock);
  tried = fresh_cond;
  /* It is anew already, and refuses this; but so the count and the thread sanitizer are right. */
  mp_hub_release ();
}

void
mp_async_watch_forks (void)
{
  static const MpArenaForkFuncs funcs = { before_fork, after_fork_in_parent, after_fork_in_child };

  mp_arena_set_fork_funcs (&funcs);
}

static MpAsyncWait *
add_wait (const MpSlotRef *ref,
          gboolean         unordered,
          MpAsyncTry       try_func,
          MpAsyncDone      done_func,
          gpointer         data)
{
  MpAsyncWait *wait = NULL;
  int result = 0;

  pthread_mutex_lock (&lock);
  if (!runs && !forks)
    result = start_thread ();
  if (result == 0)
    {
      wait = g_slice_new0 (MpAsyncWait);
      wait->link.data = wait;
      wait->epoch = epoch;
      wait->try_func = try_func;
      wait->done_func = done_func;
      wait->data = data;
      wait->line = find_line (ref);
      wait->line->is_unordered = unordered;
      g_queue_push_tail_link (&wait->line->waits, &wait->link);
      g_atomic_int_inc (&n_waits);
      if (wait->line->waits.length == 1 || unordered)
        {
          make_due (wait->line);
          ring_own_bell ();
        }
    }
  pthread_mutex_unlock (&lock);

  errno = result;
  return wait;
}

MpAsyncWait *
mp_async_add (const MpSlotRef *ref,
              MpAsyncTry       try_func,
              MpAsyncDone      done_func,
              gpointer         data)
{
  return add_wait (ref, FALSE, try_func, done_func, data);
}

MpAsyncWait *
mp_async_add_beside (const MpSlotRef *ref,
                     MpAsyncTry       try_func,
                     MpAsyncDone      done_func,
                     gpointer         data)
{
  return add_wait (ref, TRUE, try_func, done_func, data);
}

gboolean
mp_async_cancel (MpAsyncWait *wait)
{
  Line *line;

  /* Its line is where the parent's thread left it. */
  if (wait->epoch != epoch)
    return FALSE;

  pthread_mutex_lock (&lock);
  /* A try never sleeps. */
  while (being_tried == wait)
    pthread_cond_wait (&tried, &lock);

  line = wait->line;
  if (line != NULL)
    {
      gboolean was_first = line->waits.head == &wait->link;

      g_queue_unlink (&line->waits, &wait->link);
      g_atomic_int_add (&n_waits, -1);
      g_slice_free (MpAsyncWait, wait);
      if (was_first && line->waits.length > 0)
        {
          make_due (line);
          ring_own_bell ();
        }
      if (being_tried == NULL || being_tried->line != line)
        drop_line (line);
      if (n_waits == 0)
        ring_own_bell ();
    }
  pthread_mutex_unlock (&lock);
  return line != NULL;
}

guint
mp_async_count (void)
{
  return g_atomic_int_get (&n_waits);
}

gboolean
mp_async_thread_runs (void)
{
  return g_atomic_int_get (&runs);
}

void
mp_async_begin_blocking (MpAsyncBlocked *blocked,
                         gconstpointer   owner)
{
  blocked->owner = owner;
  blocked->previous = NULL;
  __atomic_store_n (&blocked->word, 0, __ATOMIC_SEQ_CST);

  pthread_mutex_lock (&blocked_lock);
  blocked->epoch = epoch;
  blocked->next = blocked_threads;
  if (blocked->next != NULL)
    blocked->next->previous = blocked;
  blocked_threads = blocked;
  pthread_mutex_unlock (&blocked_lock);
}

void
mp_async_end_blocking (MpAsyncBlocked *blocked)
{
  pthread_mutex_lock (&blocked_lock);
  /* A callback that ran meanwhile may have forked: here is the copy, which has forgotten it. */
  if (blocked->epoch == epoch)
    {
      if (blocked->next != NULL)
        blocked->next->previous = blocked->previous;
      if (blocked->previous != NULL)
        blocked->previous->next = blocked->next;
      else
        blocked_threads = blocked->next;
    }
  pthread_mutex_unlock (&blocked_lock);
}

void
mp_async_unblock (MpAsyncBlocked *blocked)
{
  __atomic_add_fetch (&blocked->word, 1, __ATOMIC_SEQ_CST);
  mp_futex_wake (&blocked->word, 1, TRUE);
}

void
mp_async_wake_blocked (gconstpointer owner)
{
  MpAsyncBlocked *blocked;

  pthread_mutex_lock (&blocked_lock);
  for (blocked = blocked_threads; blocked != NULL; blocked = blocked->next)
    if (blocked->owner == owner)
      mp_async_unblock (blocked);
  pthread_mutex_unlock (&blocked_lock);
}
