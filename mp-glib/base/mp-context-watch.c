/* mp-context-watch.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-context-watch-private.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include <pthread.h>

/* Functions called before other sources of the context have their turn. */
#define MAX_PER_TURN 128

/* The source of one main context, and the epoll set that it polls. */
typedef struct
{
  GSource       source;
  GMainContext *context;
  int           epfd;       /* -1: there was no descriptor left for it */
  gpointer      tag;        /* (nullable): of that */
  guint         n_forks;    /* when it was made */
  GQueue        watches;    /* of MpContextWatch */
  GQueue        ready;      /* those whose turn it is */
  int           n_ready;    /* of these, atomic: GLib looks without the lock */
  guint         n_polled;   /* watches that the source polls by themselves */
  GHashTable   *by_fd;      /* (owned): those in the epoll set */
} Set;

struct _MpContextWatch
{
  guint               n_refs;    /* its owner's, and that of the thread that runs the function */
  Set                *set;       /* (owned) */
  GWeakRef            object;
  MpContextWatchFunc  func;
  int                 fd;
  GIOCondition        wanted;
  GIOCondition        armed;     /* what is looked for: perhaps more than is wanted, until that is found */
  gpointer            tag;       /* (nullable): the source polls it by itself, because the set does not have it */
  gboolean            removed;
  gboolean            queued;
  gboolean            found;     /* for what the descriptor has */
  gboolean            now;       /* for something else; while it is running, to be queued again */
  gboolean            running;
  gboolean            parked;    /* its descriptor was ready then, and is not looked at until that is over */
  GList               link;
  GList               ready_link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *sets;      /* (nullable): GMainContext → Set, not owned; the lock's */
static int         n_forks;   /* atomic */

static void
watch_unref (MpContextWatch *self)
{
  if (--self->n_refs > 0)
    return;

  g_source_unref ((GSource *) self->set);
  g_weak_ref_clear (&self->object);
  g_free (self);
}

/* The source polls what cannot be in the set. */
static void
poll_alone (MpContextWatch *self,
            GIOCondition    condition)
{
  GSource *source = (GSource *) self->set;

  if (condition == 0)
    {
      g_source_remove_unix_fd (source, g_steal_pointer (&self->tag));
      self->set->n_polled--;
    }
  else if (self->tag == NULL)
    {
      self->tag = g_source_add_unix_fd (source, self->fd, condition);
      self->set->n_polled++;
    }
  else
    {
      g_source_modify_unix_fd (source, self->tag, condition);
    }
}

/* FALSE: the set does not have it, and cannot. */
static gboolean
poll_in_set (MpContextWatch *self,
             GIOCondition    condition)
{
  Set *set = self->set;

  if (set->epfd < 0 || self->tag != NULL)
    return FALSE;
  if (self->armed != 0 && condition != 0 && mp_poll_modify (set->epfd, self->fd, condition, self->fd) == 0)
    return TRUE;

  if (self->armed != 0)
    {
      mp_poll_remove (set->epfd, self->fd);
      g_hash_table_remove (set->by_fd, GINT_TO_POINTER (self->fd));
      self->armed = 0;
    }
  if (condition != 0)
    {
      if (mp_poll_add (set->epfd, self->fd, condition, self->fd) < 0)
        return FALSE;
      g_hash_table_insert (set->by_fd, GINT_TO_POINTER (self->fd), self);
    }
  return TRUE;
}

static void
arm (MpContextWatch *self,
     GIOCondition    condition)
{
  if (condition == self->armed)
    return;

  if (!poll_in_set (self, condition))
    poll_alone (self, condition);
  self->armed = condition;
}

/* Who has the context comes by itself: it looks at the number before it sleeps. */
static void
enqueue (MpContextWatch *self)
{
  Set *set = self->set;

  if (self->running || self->queued)
    return;

  self->queued = TRUE;
  g_queue_push_tail_link (&set->ready, &self->ready_link);
  if (g_atomic_int_add (&set->n_ready, 1) == 0 && !g_main_context_is_owner (set->context))
    g_main_context_wakeup (set->context);
}

static void
dequeue (MpContextWatch *self)
{
  if (!self->queued)
    return;

  self->queued = FALSE;
  g_queue_unlink (&self->set->ready, &self->ready_link);
  g_atomic_int_add (&self->set->n_ready, -1);
}

static void
note (MpContextWatch *self,
      GIOCondition    condition)
{
  if (self->running)
    {
      self->parked = TRUE;
      arm (self, 0);
    }
  else if (self->wanted == 0 || (condition & (self->wanted | G_IO_ERR | G_IO_HUP | G_IO_NVAL)) == 0)
    {
      arm (self, self->wanted);
    }
  else
    {
      self->found = TRUE;
      enqueue (self);
    }
}

static void
collect (Set *set)
{
  MpPollEvent events[MAX_PER_TURN];
  int n = set->epfd >= 0 ? mp_poll_wait (set->epfd, events, MAX_PER_TURN, 0) : 0;
  GList *link, *next;

  for (int i = 0; i < n; i++)
    {
      MpContextWatch *watch = g_hash_table_lookup (set->by_fd, GINT_TO_POINTER ((int) events[i].data));

      if (watch != NULL)
        note (watch, events[i].condition);
    }

  for (link = set->n_polled > 0 ? set->watches.head : NULL; link != NULL; link = next)
    {
      MpContextWatch *watch = link->data;
      GIOCondition condition = watch->tag != NULL ? g_source_query_unix_fd ((GSource *) set, watch->tag) : 0;

      next = link->next;
      if (condition != 0)
        note (watch, condition);
    }
}

static void
open_set (Set *set)
{
  set->n_forks = g_atomic_int_get (&n_forks);
  set->epfd = mp_poll_new ();
  set->tag = set->epfd >= 0 ? g_source_add_unix_fd ((GSource *) set, set->epfd, G_IO_IN) : NULL;
}

/* What is done to an epoll set by one process is done to it in its copies, too: so those begin anew. */
static void
refresh (Set *set)
{
  GList *link;

  if (G_LIKELY (set->n_forks == (guint) g_atomic_int_get (&n_forks) || g_source_is_destroyed ((GSource *) set)))
    return;

  if (set->tag != NULL)
    g_source_remove_unix_fd ((GSource *) set, g_steal_pointer (&set->tag));
  mp_fd_close (&set->epfd);
  g_hash_table_remove_all (set->by_fd);
  open_set (set);
  for (link = set->watches.head; link != NULL; link = link->next)
    {
      MpContextWatch *watch = link->data;

      if (watch->tag != NULL || watch->parked)
        continue;
      watch->armed = 0;
      arm (watch, watch->wanted);
    }
}

static void
run_first (Set *set)
{
  MpContextWatch *watch = set->ready.head->data;
  gpointer object;

  dequeue (watch);
  watch->found = watch->now = FALSE;
  watch->running = TRUE;
  watch->n_refs++;
  pthread_mutex_unlock (&lock);

  /* Without the lock: a binding may take its own one when there is a reference more. */
  object = g_weak_ref_get (&watch->object);
  if (object != NULL)
    {
      watch->func (object, set->context);
      g_object_unref (object);
    }

  pthread_mutex_lock (&lock);
  refresh (set);   /* it may have forked */
  watch->running = FALSE;
  if (!watch->removed)
    {
      if (watch->parked)
        arm (watch, watch->wanted);
      if (watch->now)
        enqueue (watch);
      watch->parked = FALSE;
    }
  watch_unref (watch);
}

static gboolean
set_prepare (GSource *source,
             int     *timeout)
{
  Set *set = (Set *) source;

  if (G_UNLIKELY (set->n_forks != (guint) g_atomic_int_get (&n_forks)))
    {
      pthread_mutex_lock (&lock);
      refresh (set);
      pthread_mutex_unlock (&lock);
    }
  *timeout = -1;
  return g_atomic_int_get (&set->n_ready) > 0;
}

static gboolean
set_check (GSource *source)
{
  return g_atomic_int_get (&((Set *) source)->n_ready) > 0;
}

static gboolean
set_dispatch (GSource     *source,
              GSourceFunc  callback,
              gpointer     user_data)
{
  Set *set = (Set *) source;
  guint n;

  pthread_mutex_lock (&lock);
  refresh (set);
  /* Also when there is enough to do: else those that always have something would keep all others out. */
  collect (set);
  for (n = MIN (set->ready.length, MAX_PER_TURN); n > 0 && set->ready.head != NULL; n--)
    run_first (set);
  pthread_mutex_unlock (&lock);

  return G_SOURCE_CONTINUE;
}

static void
set_finalize (GSource *source)
{
  g_hash_table_unref (((Set *) source)->by_fd);
}

static GSourceFuncs set_funcs = {
  .prepare = set_prepare,
  .check = set_check,
  .dispatch = set_dispatch,
  .finalize = set_finalize,
};

/* With a reference. */
static Set *
set_ref (GMainContext *context)
{
  Set *set = sets != NULL ? g_hash_table_lookup (sets, context) : NULL;

  if (set != NULL)
    return (Set *) g_source_ref ((GSource *) set);

  set = (Set *) g_source_new (&set_funcs, sizeof (Set));
  set->context = context;
  set->by_fd = g_hash_table_new (NULL, NULL);
  g_source_set_static_name ((GSource *) set, "mp-glib connections");
  /* A function may iterate the context until something comes that belongs to another watch. */
  g_source_set_can_recurse ((GSource *) set, TRUE);
  open_set (set);
  g_source_attach ((GSource *) set, context);

  if (sets == NULL)
    sets = g_hash_table_new (NULL, NULL);
  g_hash_table_insert (sets, context, set);
  return set;
}

static void
set_close (Set *set)
{
  g_hash_table_remove (sets, set->context);
  g_source_destroy ((GSource *) set);
  mp_fd_close (&set->epfd);
}

MpContextWatch *
mp_context_watch_new (GMainContext       *context,
                      GObject            *object,
                      MpContextWatchFunc  func)
{
  MpContextWatch *self = g_new0 (MpContextWatch, 1);

  self->n_refs = 1;
  self->func = func;
  self->fd = -1;
  self->link.data = self->ready_link.data = self;
  g_weak_ref_init (&self->object, object);

  pthread_mutex_lock (&lock);
  self->set = set_ref (context);
  g_queue_push_tail_link (&self->set->watches, &self->link);
  pthread_mutex_unlock (&lock);
  return self;
}

void
mp_context_watch_set (MpContextWatch *self,
                      int             fd,
                      GIOCondition    condition,
                      gboolean        now)
{
  pthread_mutex_lock (&lock);
  refresh (self->set);
  self->wanted = condition;
  if (fd >= 0)
    self->fd = fd;
  /* What is no longer wanted often is again soon; when it comes before that, it is looked for no more. */
  if (fd < 0)
    arm (self, 0);
  else if ((self->armed & condition) != condition && !self->parked)
    arm (self, condition);
  self->now = now;
  if (now)
    enqueue (self);
  else if (!self->found)
    dequeue (self);
  pthread_mutex_unlock (&lock);
}

void
mp_context_watch_free (MpContextWatch *self)
{
  pthread_mutex_lock (&lock);
  refresh (self->set);
  arm (self, 0);
  dequeue (self);
  self->removed = TRUE;
  g_queue_unlink (&self->set->watches, &self->link);
  if (self->set->watches.length == 0)
    set_close (self->set);
  watch_unref (self);
  pthread_mutex_unlock (&lock);
}

void
mp_context_watch_before_fork (void)
{
  pthread_mutex_lock (&lock);
}

void
mp_context_watch_after_fork (gboolean is_copy)
{
  if (is_copy)
    g_atomic_int_inc (&n_forks);
  pthread_mutex_unlock (&lock);
}
