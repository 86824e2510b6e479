/* mp-invocation-control.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-invocation-control-private.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "mp-glib/platform/mp-futex-private.h"

/* A function that asks for its cancellable gets one that is cancelled while it runs: by a thread that sleeps on the boards of
 * all that have asked, is made when the first one does, and touches nothing but cancellables. What runs on a main
 * context is told there. In GJS, where a handler may not run in another thread, a synchronous function sees it when it asks
 * only. */

typedef struct
{
  MpBoard                *board;
  guint64                 seq;
  GCancellable           *cancellable;   /* (owned) */
  GMainContext           *context;       /* (owned) (nullable) where it is to be cancelled; NULL: in the thread that watches */
} Watched;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static GPtrArray *watched;     /* (element-type Watched) */
static guint32 kick;           /* a futex: changes with the list */
static pid_t watcher;          /* the process whose thread it is; a forked copy has none */

static void
watched_free (Watched *self)
{
  g_object_unref (self->cancellable);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_free (self);
}

static gboolean
cancel_cb (gpointer user_data)
{
  g_cancellable_cancel (user_data);
  return G_SOURCE_REMOVE;
}

static void
watched_cancel (Watched *self)
{
  g_autoptr(GSource) source = NULL;

  if (self->context == NULL)
    {
      g_cancellable_cancel (self->cancellable);
      return;
    }
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, cancel_cb, g_object_ref (self->cancellable), g_object_unref);
  g_source_attach (source, self->context);
}

/* Takes out of the list who is to be told; says what to sleep on until there are others. */
static GPtrArray *
gather (MpFutexWait *waits,
        guint       *n_waits)
{
  GPtrArray *told = g_ptr_array_new_with_free_func ((GDestroyNotify) watched_free);

  pthread_mutex_lock (&mutex);
  waits[0] = (MpFutexWait) { &kick, __atomic_load_n (&kick, __ATOMIC_ACQUIRE), TRUE };
  *n_waits = 1;
  for (guint i = watched->len; i > 0; i--)
    {
      Watched *one = g_ptr_array_index (watched, i - 1);
      guint32 word = __atomic_load_n (&one->board->stop_word, __ATOMIC_ACQUIRE);

      if (__atomic_load_n (&one->board->stopped, __ATOMIC_ACQUIRE) == one->seq)
        g_ptr_array_add (told, g_ptr_array_remove_index_fast (watched, i - 1));
      else if (*n_waits < MP_FUTEX_MAX_MANY)
        waits[(*n_waits)++] = (MpFutexWait) { &one->board->stop_word, word, FALSE };
    }
  pthread_mutex_unlock (&mutex);

  return told;
}

static gpointer
watch (gpointer data)
{
  MpFutexWait waits[MP_FUTEX_MAX_MANY];
  guint n_waits = 0;

  for (;;)
    {
      GPtrArray *told = gather (waits, &n_waits);

      g_ptr_array_foreach (told, (GFunc) watched_cancel, NULL);
      if (told->len == 0)
        mp_futex_wait_many (waits, n_waits, n_waits < MP_FUTEX_MAX_MANY ? -1 : MP_FUTEX_BLIND_US);
      g_ptr_array_unref (told);
    }
  return NULL;
}

/* Signals are the program's: its handlers run in threads of its own. */
static void
start_watcher (void)
{
  sigset_t all, old;

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &old);
  g_thread_unref (g_thread_new ("mp-cancel", watch, NULL));
  pthread_sigmask (SIG_SETMASK, &old, NULL);
}

static void
wake_watcher (void)
{
  __atomic_add_fetch (&kick, 1, __ATOMIC_RELEASE);
  mp_futex_wake (&kick, 1, TRUE);
}

void
mp_invocation_watch (const MpInvocationTask *task,
                     MpBoard                *board,
                     GCancellable           *cancellable,
                     GMainContext           *context)
{
  Watched *one = g_new0 (Watched, 1);

  one->board = board;
  one->seq = task->seq;
  one->cancellable = g_object_ref (cancellable);
  one->context = context != NULL ? g_main_context_ref (context) : NULL;

  pthread_mutex_lock (&mutex);
  if (watched == NULL)
    watched = g_ptr_array_new ();
  g_ptr_array_add (watched, one);
  if (watcher != getpid ())
    {
      watcher = getpid ();
      start_watcher ();
    }
  pthread_mutex_unlock (&mutex);
  wake_watcher ();
}

void
mp_invocation_unwatch (GCancellable *cancellable)
{
  Watched *found = NULL;

  pthread_mutex_lock (&mutex);
  for (guint i = 0; watched != NULL && found == NULL && i < watched->len; i++)
    if (((Watched *) g_ptr_array_index (watched, i))->cancellable == cancellable)
      found = g_ptr_array_remove_index_fast (watched, i);
  pthread_mutex_unlock (&mutex);
  if (found != NULL)
    {
      watched_free (found);
      wake_watcher ();
    }
}

gboolean
mp_invocation_task_is_stopped (const MpInvocationTask *task,
                               MpBoard                *board)
{
  return board != NULL && task->seq > 0 && __atomic_load_n (&board->stopped, __ATOMIC_ACQUIRE) == task->seq;
}
