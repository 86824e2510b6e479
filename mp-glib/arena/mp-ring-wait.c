/* mp-ring-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/arena/mp-ring-state-private.h"
#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-barrier-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-futex-private.h"
#include "mp-glib/platform/mp-poll-private.h"

/* A sleep is no longer than this: then the other end may have died, or have died between its last store and waking
 * us. */
#define SLICE_US 100000

/* Looks before sleeping, with so many pauses (of some 25 ns) between them: at most 25 or 50 µs, the cost of being
 * woken. */
#define MIN_SPIN 16
#define MAX_SPIN 128
#define READER_PAUSES 8
#define WRITER_PAUSES 16

#if defined (__x86_64__) || defined (__i386__)
# define RELAX() __builtin_ia32_pause ()
#elif defined (__aarch64__)
# define RELAX() __asm__ volatile ("yield" ::: "memory")
#else
# define RELAX() __asm__ volatile ("" ::: "memory")
#endif

typedef struct
{
  MpRing       *ring;
  gsize         need;          /* bytes to be read, or room for them */
  gint64        deadline;      /* -1: none */
  GCancellable *cancellable;   /* (nullable) */
  gulong        handler;
  guint32       bell;          /* private: not 0 once @cancellable was cancelled */
  int           interrupt_fd;
} Wait;

/* A writer that sleeps is not woken for less than a quarter of the ring, nor for less than it needs; the reader's
 * view of what was written may be old, as long as that one sleeps it is not. */
static gboolean
is_enough_for_peer (MpRing *self)
{
  gsize need, used;

  if (self->end == MP_RING_WRITER)
    return TRUE;

  need = __atomic_load_n (&self->other->need, __ATOMIC_RELAXED);
  used = __atomic_load_n (&self->other->position, __ATOMIC_RELAXED) - self->published;
  return used == 0 || (used <= self->size && self->size - used >= MAX (need, self->size / 4));
}

/* How the other end sleeps, after all that this one has published. */
static MpRingSleep
get_peer_sleep (MpRing *self)
{
  guint32 sleep = __atomic_load_n (&self->other->sleep, __ATOMIC_RELAXED);

  if (sleep == MP_RING_UNSURE)
    {
      __atomic_store_n (&self->own->position, self->published, __ATOMIC_SEQ_CST);
      sleep = __atomic_load_n (&self->other->sleep, __ATOMIC_SEQ_CST);
    }
  return sleep;
}

/* TRUE: it slept so, and is ours to wake. Until it says otherwise nobody knows how it falls asleep. */
static gboolean
end_peer_sleep (MpRing      *self,
                MpRingSleep  sleep)
{
  guint32 expected = sleep;

  return is_enough_for_peer (self) &&
         __atomic_compare_exchange_n (&self->other->sleep, &expected, MP_RING_UNSURE, FALSE,
                                      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void
mp_ring_see_peer (MpRing *self)
{
  if (get_peer_sleep (self) != MP_RING_ON_WORD || !end_peer_sleep (self, MP_RING_ON_WORD))
    return;

  MP_TORTURE_POINT ("ring-sleep-ended");
  mp_futex_wake (&self->other->sleep, 1, FALSE);
}

gboolean
mp_ring_peer_sleeps (MpRing *self)
{
  if (self->end == MP_RING_NO_END)
    return FALSE;

  if (self->published != self->position)
    mp_ring_publish (self);
  return get_peer_sleep (self) == MP_RING_ON_BELL && end_peer_sleep (self, MP_RING_ON_BELL);
}

/* Says so first, then the caller looks. */
static void
announce_sleep (MpRing      *self,
                gsize        need,
                MpRingSleep  sleep)
{
  MP_TORTURE_POINT ("ring-sleep-due");
  __atomic_store_n (&self->own->need, (guint32) need, __ATOMIC_RELAXED);
  __atomic_store_n (&self->own->sleep, sleep, __ATOMIC_SEQ_CST);
  MP_TORTURE_POINT ("ring-sleep-announced");
  if (self->awake == MP_RING_AWAKE && !mp_barrier_run ())
    self->awake = MP_RING_UNSURE;
}

static gboolean
fall_asleep (MpRing      *self,
             MpRingSleep  sleep)
{
  gsize need;

  if (self->end == MP_RING_NO_END || self->broken)
    return FALSE;

  mp_ring_publish (self);
  need = self->end == MP_RING_READER ? 8 : self->need;
  announce_sleep (self, need, sleep);
  if (mp_ring_look (self) && mp_ring_available (self) < need)
    return TRUE;

  mp_ring_awake (self);
  return FALSE;
}

gboolean
mp_ring_going_to_sleep (MpRing *self)
{
  return fall_asleep (self, MP_RING_ON_BELL);
}

gboolean
mp_ring_going_to_doze (MpRing      *self,
                       MpFutexWait *wait)
{
  if (!fall_asleep (self, MP_RING_ON_WORD))
    return FALSE;

  *wait = (MpFutexWait) { &self->own->sleep, MP_RING_ON_WORD, FALSE };
  return TRUE;
}

void
mp_ring_rouse (MpRing *self)
{
  if (self->end != MP_RING_NO_END)
    mp_futex_wake (&self->own->sleep, 1, FALSE);
}

void
mp_ring_awake (MpRing *self)
{
  if (self->end != MP_RING_NO_END)
    __atomic_store_n (&self->own->sleep, self->awake, __ATOMIC_RELAXED);
}

void
mp_ring_sleeps_often (MpRing *self)
{
  gboolean was_sure = self->awake == MP_RING_AWAKE;

  self->awake = MP_RING_UNSURE;
  mp_ring_awake (self);
  /* The other may just have seen it as it was. */
  if (was_sure)
    mp_barrier_run ();
}

/* The other end is often just about to come. It is left some time between two looks, for each takes the cache line
 * from it; a writer goes on when there is a quarter of the ring, as if it had slept. */
static gboolean
spin (MpRing *self,
      gsize   need)
{
  gsize enough = self->end == MP_RING_READER ? need : MAX (need, self->size / 4);
  guint n_pauses = self->end == MP_RING_READER ? READER_PAUSES : WRITER_PAUSES;
  guint i, j;

  self->spin = CLAMP (self->spin, MIN_SPIN, MAX_SPIN);
  for (i = 0; i < self->spin; i++)
    {
      for (j = 0; j < n_pauses; j++)
        RELAX ();
      if (!mp_ring_look (self))
        return FALSE;
      if (mp_ring_available (self) >= enough)
        {
          self->spin *= 2;
          return TRUE;
        }
    }
  self->spin /= 2;
  return FALSE;
}

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      data)
{
  guint32 *bell = data;

  (void) cancellable;
  __atomic_store_n (bell, 1, __ATOMIC_SEQ_CST);
  mp_futex_wake (bell, 1, TRUE);
}

static gboolean
is_interrupted (Wait *wait)
{
  GPollFD fd = { wait->interrupt_fd, G_IO_IN, 0 };

  return wait->interrupt_fd >= 0 && mp_poll_fds (&fd, 1, 0) > 0 && fd.revents != 0;
}

/* TRUE: there is enough, or @error is set. */
static gboolean
look (Wait    *wait,
      GError **error)
{
  if (mp_ring_look (wait->ring))
    return mp_ring_available (wait->ring) >= wait->need;
  mp_ring_break (wait->ring, "the other end's position does not fit", error);
  return TRUE;
}

/* What it has published before it went counts. TRUE: stop waiting, with @error or without. */
static gboolean
peer_is_gone (Wait    *wait,
              GError **error)
{
  MpRing *self = wait->ring;
  const char *how = "has let go of it";
  guint32 hold;

  if (mp_ring_peer_is_alive (self))
    return FALSE;
  if (look (wait, error))
    return TRUE;

  hold = __atomic_load_n (&self->other->hold, __ATOMIC_ACQUIRE);
  if (hold == MP_RING_NEVER_TAKEN)
    how = "was never there";
  else if (hold == MP_RING_TAKEN)
    {
      __atomic_fetch_add (&mp_arena_counts.n_ring_peer_died, 1, __ATOMIC_RELAXED);
      how = "has died";
    }
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "ring wait: its %s %s",
               self->end == MP_RING_READER ? "writer" : "reader", how);
  return TRUE;
}

/* TRUE: stop waiting, with @error or without. */
static gboolean
is_over (Wait    *wait,
         GError **error)
{
  if (look (wait, error))
    return TRUE;
  if (peer_is_gone (wait, error))
    return TRUE;

  if (g_cancellable_is_cancelled (wait->cancellable))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "ring wait: cancelled");
  else if (is_interrupted (wait))
    g_set_error (error, MP_ERROR, MP_ERROR_INTERRUPTED, "ring wait: interrupted by a signal");
  else if (mp_deadline_left (wait->deadline) == 0)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "ring wait: timed out");
  else
    return FALSE;
  return TRUE;
}

static void
sleep_once (Wait *wait)
{
  MpFutexWait waits[2] = {
    { &wait->ring->own->sleep, MP_RING_ON_WORD, FALSE },
    { &wait->bell, 0, TRUE },
  };
  gint64 left = mp_deadline_left (wait->deadline);
  gint64 slice = left < 0 ? SLICE_US : MIN (left, SLICE_US);

  if (wait->handler != 0)
    mp_futex_wait_many (waits, 2, slice);
  else
    mp_futex_wait (waits[0].word, waits[0].expected, slice);
}

static void
sleep_until_over (Wait    *wait,
                  GError **error)
{
  MpRing *self = wait->ring;

  gboolean slept = FALSE;

  do
    {
      announce_sleep (self, wait->need, MP_RING_ON_WORD);
      if (is_over (wait, error))
        break;
      sleep_once (wait);
      slept = TRUE;
    }
  while (!look (wait, error));
  mp_ring_awake (self);
  /* It came while this end was about to sleep: looking for a little longer would have been cheaper. */
  if (!slept)
    self->spin = MAX_SPIN;
}

gboolean
mp_ring_wait (MpRing        *self,
              gsize          room,
              gint64         timeout_us,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr(GError) local_error = NULL;
  Wait wait = { self, 8, -1, cancellable, 0, 0, -1 };

  if (!mp_ring_check (self, self->end, "ring wait", error))
    return FALSE;
  if (self->end == MP_RING_WRITER && room > self->size / 2)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
                   "ring wait: room for %" G_GSIZE_FORMAT " bytes is more than half of the ring", room);
      return FALSE;
    }

  if (self->end == MP_RING_WRITER)
    wait.need = MP_RING_RECORD_SIZE (room);
  mp_ring_publish (self);
  if (timeout_us != 0 && spin (self, wait.need))
    return TRUE;

  wait.deadline = mp_deadline_after (timeout_us);
  wait.interrupt_fd = mp_hub_get_interrupt_fd ();
  if (cancellable != NULL && timeout_us != 0)
    wait.handler = g_cancellable_connect (cancellable, G_CALLBACK (cancelled_cb), &wait.bell, NULL);
  sleep_until_over (&wait, &local_error);
  g_cancellable_disconnect (cancellable, wait.handler);

  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}
