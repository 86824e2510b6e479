/* mp-hub.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-context-watch-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-state-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* What the kernel hands back for the hub's own descriptors; a watch has its slot and the slot's generation. */
#define TOKEN_TIMER G_MAXUINT64
#define TOKEN_KICK  (G_MAXUINT64 - 1)

/* Deferred functions that need no memory of their own while they run. */
#define N_DEFERRED_ON_STACK 16

/* Between two looks at descriptors that the kernel has no memory to watch, or of which it watches too many. */
#define LOOK_INTERVAL_US (20 * G_TIME_SPAN_MILLISECOND)

struct _MpWatch
{
  int           fd;
  GIOCondition  condition;   /* 0: not in the epoll set */
  gboolean      is_missing;  /* … and neither is this one, which should be */
  MpWatchFunc   func;
  gpointer      data;
  guint32       slot;
  guint         epoch;
};

/* The generation tells an event of a removed watch, which another thread may have fetched before it was removed, from
 * one of the watch that has its place now. */
typedef struct
{
  MpWatch *watch;            /* (nullable) */
  guint32  generation;
} Slot;

struct _MpTimer
{
  gint64       due;
  guint64      number;       /* equal ones fire in the order in which they were added */
  MpTimerFunc  func;
  gpointer     data;
  guint        index;        /* in the heap */
  guint        epoch;
};

typedef struct
{
  GDestroyNotify func;
  gpointer       data;
} Deferred;

MpHub mp_hub = { .epfd = -1, .timer_fd = -1, .kick_fd = -1, .sleepers = G_QUEUE_INIT };

/* Recursive, because a context is given back both with and without it. */
static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static GArray    *slots;        /* (element-type Slot) */
static GArray    *free_slots;   /* (element-type guint32) */
static int        n_watches;    /* atomic */
static MpTimer   *looks;        /* (nullable): while there are watches that are missing */
static GPtrArray *timers;       /* a heap, the earliest first */
static guint64    n_timers_added;
static gint64     armed_for = -1;

static Deferred  *deferred;
static guint      n_deferred;
static guint      n_deferred_allocated;

/* The program may fork by itself. The copy has the hub's descriptors, and what is done to an epoll set by one process is
 * done to it in both: so the copy begins anew, but not before it uses the hub, since most only go on to exec. */
static gboolean    is_copy;
static MpForkedFunc forked_func;

static void reset_state (void);

static void
take (void)
{
  pthread_mutex_lock (&mutex);
  if (G_UNLIKELY (is_copy))
    {
      reset_state ();
      if (forked_func != NULL)
        forked_func ();
    }
  mp_hub.depth++;
}

void
mp_hub_lock (void)
{
  take ();
}

void
mp_hub_release (void)
{
  mp_hub.depth--;
  pthread_mutex_unlock (&mutex);
}

gboolean
mp_hub_has_deferred (void)
{
  return n_deferred > 0;
}

static void
run_deferred (void)
{
  Deferred on_stack[N_DEFERRED_ON_STACK];
  Deferred *functions = on_stack;
  guint i, n = n_deferred;

  if (n <= N_DEFERRED_ON_STACK)
    memcpy (on_stack, deferred, n * sizeof *deferred);
  else
    {
      functions = g_steal_pointer (&deferred);
      n_deferred_allocated = 0;
    }
  n_deferred = 0;

  mp_hub_release ();
  for (i = 0; i < n; i++)
    functions[i].func (functions[i].data);
  if (functions != on_stack)
    g_free (functions);
}

void
mp_hub_unlock (void)
{
  if (mp_hub.depth == 1 && G_UNLIKELY (n_deferred > 0 || mp_hub.dirty != NULL || mp_hub.sleepers.head != NULL))
    {
      mp_hub_wake_contexts ();
      mp_hub_wake_sleepers ();
      if (n_deferred > 0)
        {
          run_deferred ();
          return;
        }
    }
  mp_hub_release ();
}

void
mp_hub_run_unlocked (GDestroyNotify func,
                     gpointer       data)
{
  if (n_deferred == n_deferred_allocated)
    {
      n_deferred_allocated = MAX (N_DEFERRED_ON_STACK, 2 * n_deferred_allocated);
      deferred = g_renew (Deferred, deferred, n_deferred_allocated);
    }
  deferred[n_deferred].func = func;
  deferred[n_deferred].data = data;
  n_deferred++;
}

void
mp_hub_changed (void)
{
  /* Who sleeps is looked after at every mp_hub_unlock(): that costs nothing while nobody does. */
}

/* A copy has nothing of the other threads but what they have left behind: not in the midst of a change. The locks that
 * are taken under the hub's come after it. */
static void
before_fork (void)
{
  pthread_mutex_lock (&mutex);
  mp_error_before_fork ();
  mp_shareable_before_fork ();
  mp_context_watch_before_fork ();
}

static void
after_fork_in_parent (void)
{
  mp_context_watch_after_fork (FALSE);
  mp_shareable_after_fork ();
  mp_error_after_fork ();
  pthread_mutex_unlock (&mutex);
}

static void
after_fork_in_child (void)
{
  static const pthread_mutex_t fresh = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

  mp_context_watch_after_fork (TRUE);
  mp_shareable_after_fork ();
  mp_error_after_fork ();
  /* The owner that is noted in it is the thread that forked, as the parent calls it: so it is refused, but the thread
   * sanitizer knows then that nobody has it. */
  (void) pthread_mutex_unlock (&mutex);
  mutex = fresh;
  is_copy = TRUE;
}

void
mp_hub_set_forked_func (MpForkedFunc func)
{
  forked_func = func;
}

/* Its own lock sees to it that this is done once, and before the first fork that matters. */
void
mp_hub_watch_forks (void)
{
  static gboolean handler_installed;

  mp_hub_lock ();
  if (!handler_installed)
    {
      /* Whose handlers are installed first comes last before a fork. */
      mp_platform_lifeline_prepare ();
      handler_installed = pthread_atfork (before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    }
  mp_hub_release ();
}

static void
close_descriptors (void)
{
  mp_fd_close (&mp_hub.epfd);
  mp_fd_close (&mp_hub.timer_fd);
  mp_fd_close (&mp_hub.kick_fd);
}

/* FALSE with errno. */
static gboolean
make_descriptors (void)
{
  int saved_errno;

  mp_hub.epfd = mp_poll_new ();
  mp_hub.timer_fd = mp_hub.epfd >= 0 ? mp_timer_new () : -1;
  mp_hub.kick_fd = mp_hub.timer_fd >= 0 ? mp_fd_eventfd () : -1;
  if (mp_hub.kick_fd >= 0 &&
      mp_poll_add (mp_hub.epfd, mp_hub.timer_fd, G_IO_IN, TOKEN_TIMER) == 0 &&
      mp_poll_add (mp_hub.epfd, mp_hub.kick_fd, G_IO_IN, TOKEN_KICK) == 0)
    return TRUE;

  saved_errno = errno;
  close_descriptors ();
  errno = saved_errno;
  return FALSE;
}

gboolean
mp_hub_try_ensure (void)
{
  if (G_LIKELY (mp_hub.epfd >= 0))
    return TRUE;

  mp_hub_watch_forks ();
  if (!make_descriptors ())
    return FALSE;

  if (slots == NULL)
    {
      slots = g_array_new (FALSE, TRUE, sizeof (Slot));
      free_slots = g_array_new (FALSE, FALSE, sizeof (guint32));
      timers = g_ptr_array_new ();
    }
  return TRUE;
}

void
mp_hub_ensure (void)
{
  /* As GLib does for what a main context cannot do without: there is nothing to return an error from. */
  if (!mp_hub_try_ensure ())
    g_error ("Cannot make the descriptors to wait with: %s", g_strerror (errno));
}

void
mp_hub_prepare (void)
{
  mp_hub_lock ();
  mp_hub_ensure ();
  mp_hub_unlock ();
}

gboolean
mp_hub_try_prepare (const char  *what,
                    GError     **error)
{
  int saved_errno = 0;

  mp_hub_lock ();
  if (!mp_hub_try_ensure ())
    saved_errno = errno;
  mp_hub_unlock ();
  if (saved_errno == 0)
    return TRUE;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
               "%s: cannot wait: %s", what, g_strerror (saved_errno));
  return FALSE;
}

static guint64
token_of (MpWatch *watch)
{
  return (guint64) g_array_index (slots, Slot, watch->slot).generation << 32 | watch->slot;
}

static void look_cb (gpointer data);

static void
go_on_looking (void)
{
  if (looks == NULL)
    looks = mp_hub_add_timer (g_get_monotonic_time () + LOOK_INTERVAL_US, look_cb, NULL);
}

/* The functions may add and remove watches. */
static void
look_cb (gpointer data)
{
  guint i;

  looks = NULL;
  for (i = 0; i < slots->len; i++)
    {
      MpWatch *watch = g_array_index (slots, Slot, i).watch;
      GPollFD fd;

      if (watch == NULL || !watch->is_missing)
        continue;
      watch->is_missing = mp_poll_add (mp_hub.epfd, watch->fd, watch->condition, token_of (watch)) < 0;
      if (!watch->is_missing)
        continue;

      go_on_looking ();
      fd = (GPollFD) { watch->fd, watch->condition, 0 };
      if (mp_poll_fds (&fd, 1, 0) > 0)
        watch->func (watch, fd.revents, watch->data);
    }
}

static void
watch_failed (MpWatch *watch)
{
  g_warning ("Cannot wait for descriptor %d: %s", watch->fd, g_strerror (errno));
}

MpWatch *
mp_hub_add_watch (int           fd,
                  GIOCondition  condition,
                  MpWatchFunc   func,
                  gpointer      data)
{
  MpWatch *watch = g_slice_new0 (MpWatch);

  mp_hub_ensure ();

  watch->fd = fd;
  watch->func = func;
  watch->data = data;
  watch->epoch = mp_hub.epoch;
  if (free_slots->len > 0)
    {
      watch->slot = g_array_index (free_slots, guint32, free_slots->len - 1);
      g_array_set_size (free_slots, free_slots->len - 1);
    }
  else
    {
      watch->slot = slots->len;
      g_array_set_size (slots, slots->len + 1);
    }
  g_array_index (slots, Slot, watch->slot).watch = watch;
  g_atomic_int_inc (&n_watches);

  mp_hub_modify_watch (watch, condition);
  return watch;
}

gboolean
mp_hub_try_modify_watch (MpWatch      *watch,
                         GIOCondition  condition)
{
  gboolean is_in_set = watch->condition != 0 && !watch->is_missing;
  int result = 0;

  if (condition == watch->condition || watch->epoch != mp_hub.epoch)
    return TRUE;

  /* Waiting for nothing is done outside of the set, which would tell of an end all the same. */
  if (is_in_set && condition == 0)
    result = mp_poll_remove (mp_hub.epfd, watch->fd);
  else if (is_in_set)
    result = mp_poll_modify (mp_hub.epfd, watch->fd, condition, token_of (watch));
  else if (condition != 0)
    result = mp_poll_add (mp_hub.epfd, watch->fd, condition, token_of (watch));

  if (result < 0 && (is_in_set || (errno != ENOMEM && errno != ENOSPC)))
    return FALSE;
  watch->condition = condition;
  watch->is_missing = result < 0;
  if (watch->is_missing)
    go_on_looking ();
  return TRUE;
}

void
mp_hub_modify_watch (MpWatch      *watch,
                     GIOCondition  condition)
{
  if (mp_hub_try_modify_watch (watch, condition))
    return;

  watch_failed (watch);
  watch->condition = condition;
}

void
mp_hub_remove_watch (MpWatch *watch)
{
  if (watch->epoch == mp_hub.epoch)
    {
      Slot *slot = &g_array_index (slots, Slot, watch->slot);

      mp_hub_modify_watch (watch, 0);
      g_atomic_int_add (&n_watches, -1);
      slot->watch = NULL;
      slot->generation++;
      g_array_append_val (free_slots, watch->slot);
    }
  g_slice_free (MpWatch, watch);
}

static gboolean
timer_is_before (MpTimer *a,
                 MpTimer *b)
{
  return a->due != b->due ? a->due < b->due : a->number < b->number;
}

static void
timer_put (MpTimer *timer,
           guint    index)
{
  timers->pdata[index] = timer;
  timer->index = index;
}

static void
timer_sift (MpTimer *timer)
{
  guint index = timer->index;

  while (index > 0 && timer_is_before (timer, timers->pdata[(index - 1) / 2]))
    {
      timer_put (timers->pdata[(index - 1) / 2], index);
      index = (index - 1) / 2;
    }
  for (;;)
    {
      guint child = 2 * index + 1;

      if (child + 1 < timers->len && timer_is_before (timers->pdata[child + 1], timers->pdata[child]))
        child++;
      if (child >= timers->len || !timer_is_before (timers->pdata[child], timer))
        break;
      timer_put (timers->pdata[child], index);
      index = child;
    }
  timer_put (timer, index);
}

static void
timer_take_out (MpTimer *timer)
{
  MpTimer *last = timers->pdata[timers->len - 1];

  g_ptr_array_set_size (timers, timers->len - 1);
  if (last != timer)
    {
      timer_put (last, timer->index);
      timer_sift (last);
    }
}

/* Only ever to an earlier time: to fire once for nothing is cheaper than a system call for each timer removed. */
static void
arm (void)
{
  MpTimer *first = timers->len > 0 ? timers->pdata[0] : NULL;

  if (first != NULL && (armed_for < 0 || first->due < armed_for))
    {
      armed_for = MAX (first->due, 0);
      mp_timer_set (mp_hub.timer_fd, armed_for);
    }
}

MpTimer *
mp_hub_add_timer (gint64       due,
                  MpTimerFunc  func,
                  gpointer     data)
{
  MpTimer *timer = g_slice_new0 (MpTimer);

  mp_hub_ensure ();

  timer->due = due;
  timer->number = ++n_timers_added;
  timer->func = func;
  timer->data = data;
  timer->epoch = mp_hub.epoch;
  timer->index = timers->len;
  g_ptr_array_add (timers, timer);
  timer_sift (timer);
  arm ();
  return timer;
}

void
mp_hub_remove_timer (MpTimer *timer)
{
  if (timer->epoch == mp_hub.epoch)
    timer_take_out (timer);
  g_slice_free (MpTimer, timer);
}

static void
run_timers (void)
{
  gint64 now = g_get_monotonic_time ();
  guint64 last = n_timers_added;

  mp_timer_clear (mp_hub.timer_fd);
  armed_for = -1;

  while (timers->len > 0)
    {
      MpTimer *timer = timers->pdata[0];

      /* One that is added by another, due at once, has its turn next time. */
      if (timer->due > now || timer->number > last)
        break;
      timer_take_out (timer);
      timer->func (timer->data);
      g_slice_free (MpTimer, timer);
    }
  arm ();
}

gboolean
mp_hub_dispatch_events (const MpPollEvent *events,
                        int                n_events)
{
  gboolean timer_due = FALSE, told = FALSE;
  int i;

  for (i = 0; i < n_events; i++)
    {
      guint64 token = events[i].data;
      GIOCondition condition;
      Slot *slot;

      if (token == TOKEN_TIMER)
        timer_due = TRUE;
      if (token == TOKEN_TIMER || token == TOKEN_KICK)
        continue;

      slot = &g_array_index (slots, Slot, (guint32) token);
      if (slot->watch == NULL || slot->generation != token >> 32 || slot->watch->condition == 0)
        continue;
      condition = events[i].condition & (slot->watch->condition | G_IO_ERR | G_IO_HUP);
      if (condition == 0)
        continue;
      told = TRUE;
      slot->watch->func (slot->watch, condition, slot->watch->data);
    }

  /* After the descriptors: what has arrived in time is not late. */
  if (timer_due)
    run_timers ();
  return told || timer_due;
}

gboolean
mp_hub_turn (void)
{
  MpPollEvent events[MP_HUB_BATCH];
  int n;

  mp_hub_ensure ();
  n = mp_poll_wait (mp_hub.epfd, events, MP_HUB_BATCH, 0);
  return mp_hub_dispatch_events (events, n);
}

gboolean
mp_hub_is_watching (void)
{
  return g_atomic_int_get (&n_watches) > 0;
}

static void
reset_state (void)
{
  is_copy = FALSE;
  mp_hub_forget_contexts ();
  mp_hub_forget_sleepers ();

  close_descriptors ();
  mp_hub.depth = 0;
  mp_hub.epoch++;
  n_deferred = 0;
  armed_for = -1;
  g_atomic_int_set (&n_watches, 0);
  if (looks != NULL)
    g_slice_free (MpTimer, g_steal_pointer (&looks));

  /* The watches and timers themselves are still known to those who made them, who may free them. */
  g_clear_pointer (&slots, g_array_unref);
  g_clear_pointer (&free_slots, g_array_unref);
  g_clear_pointer (&timers, g_ptr_array_unref);
}

guint
mp_hub_get_epoch (void)
{
  guint epoch;

  mp_hub_lock ();
  epoch = mp_hub.epoch;
  mp_hub_release ();

  return epoch;
}

void
mp_hub_reset_after_fork (void)
{
  static const pthread_mutex_t fresh = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

  mutex = fresh;
  reset_state ();
}
