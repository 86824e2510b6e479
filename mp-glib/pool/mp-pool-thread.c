/* mp-pool-thread.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-local-private.h"

#include <pthread.h>

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-futex-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-process.h"

/* Workers that are threads. Tasks go to an inbox, answers come by an outbox, and a descriptor wakes the owner, who hears of
 * them as of those of a process: a thread of this file never takes the hub's lock, and runs nothing of the user's but the
 * functions that it is asked to run.
 *
 * A thread cannot be killed. One that does not end when it has to is given up: its worker is gone for the pool, which starts
 * another; the thread goes when its function returns. */

/* The answer to a task, or, without that, how far one is. */
typedef struct
{
  MpLocalTask  *task;     /* (owned) (nullable) */
  MpResultLead  lead;
  MpAnswer      answer;   /* (owned) */
  double        fraction;
} Reply;

typedef struct _MpThreadWorker MpThreadWorker;

/* Lives until it is over and its owner has heard of that. */
typedef struct
{
  int               ref_count;   /* atomic: one is the thread's, one its watch's, one its worker's */
  MpInvocationHost  host;
  char             *name;        /* (owned) */
  MpBoard           board;

  /* Under the hub's lock. */
  MpThreadWorker   *worker;      /* (nullable): NULL when it is not told of anything any more */
  GThread          *thread;      /* (owned) (nullable): until it has been joined */
  MpWatch          *watch;
  int               fd;          /* an eventfd: something is in the outbox */
  GQueue            unsent;      /* (element-type MpLocalTask): until the next flush */

  /* The thread's own. */
  MpLocalRun       *run;
  MpLocalTask      *task;        /* (nullable): in hand */

  pthread_mutex_t   mutex;       /* not GLib's: the thread sanitizer sees this one */
  pthread_cond_t    cond;        /* (mutex): something is in the inbox */
  GQueue            inbox;       /* (mutex) (element-type MpLocalTask) */
  GQueue            outbox;      /* (mutex) (element-type Reply) */
  gboolean          sleeps;      /* (mutex): the thread waits for more */
  gboolean          told;        /* (mutex): the descriptor is readable, or will be */
  gboolean          busy;        /* (mutex): is in a function */
  gboolean          ready;       /* (mutex): has begun to take tasks */
  gboolean          end;         /* (mutex): no more will come */
  gboolean          over;        /* (mutex): will say nothing more */
} Thread;

struct _MpThreadWorker
{
  MpPoolWorker  worker;
  Thread       *thread;        /* (owned) */
  MpTimer      *deadline;      /* (nullable): when it is given up */
  gboolean      given_up;
  gboolean      started;       /* its worker was told of it */
};

static void thread_over (gpointer data);

/* Of this thread. Also notices that a function has ended it. */
static GPrivate own_thread = G_PRIVATE_INIT (thread_over);

static MpThreadWorker *
thread_worker (MpPoolWorker *worker)
{
  return (MpThreadWorker *) worker;
}

static void
thread_unref (Thread *self)
{
  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;

  g_clear_pointer (&self->host.context, g_main_context_unref);
  mp_fd_close (&self->fd);
  pthread_mutex_destroy (&self->mutex);
  pthread_cond_destroy (&self->cond);
  g_free (self->name);
  g_free (self);
}

/* In the thread. */

/* With the mutex held. */
static void
tell_owner (Thread *self)
{
  if (self->told)
    return;
  self->told = TRUE;
  mp_fd_signal (self->fd);
}

static void
put_reply (Thread             *self,
           const MpResultLead *lead,
           MpAnswer           *answer)
{
  Reply *reply = g_new0 (Reply, 1);

  reply->task = g_steal_pointer (&self->task);
  reply->lead = *lead;
  reply->answer = *answer;
  *answer = (MpAnswer) { NULL };
  pthread_mutex_lock (&self->mutex);
  self->busy = FALSE;
  g_queue_push_tail (&self->outbox, reply);
  tell_owner (self);
  pthread_mutex_unlock (&self->mutex);
}

/* What the owner has not read yet is replaced. */
static void
report_cb (double    fraction,
           GVariant *value,
           gpointer  data)
{
  Thread *self = data;
  GVariant *copy = mp_local_copy_report (value);
  guint64 seq = self->task->lead.seq;
  Reply *reply = NULL;

  pthread_mutex_lock (&self->mutex);
  reply = g_queue_peek_tail (&self->outbox);
  if (reply == NULL || reply->task != NULL)
    {
      reply = g_new0 (Reply, 1);
      reply->lead.seq = seq;
      g_queue_push_tail (&self->outbox, reply);
    }
  g_clear_pointer (&reply->answer.value, g_variant_unref);
  reply->answer.value = copy;
  reply->fraction = fraction;
  tell_owner (self);
  pthread_mutex_unlock (&self->mutex);
}

static void
done_cb (const MpResultLead *lead,
         MpAnswer           *answer,
         gpointer            data)
{
  put_reply (data, lead, answer);
}

/* Asynchronous functions run on a main context of the thread's own, from the first one on. */
static void
ensure_context (Thread *self)
{
  GMainContext *context = NULL;

  if (self->host.context != NULL)
    return;
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  pthread_mutex_lock (&self->mutex);
  self->host.context = context;
  pthread_mutex_unlock (&self->mutex);
}

static void
run_task (Thread *self)
{
  if (!mp_local_begin (&self->board, self->task->lead.seq))
    {
      MpResultLead lead = { self->task->lead.seq, MP_RESULT_NOT_RUN };
      MpAnswer answer = { NULL };

      put_reply (self, &lead, &answer);
      return;
    }

  if (mp_local_task_is_async (self->task))
    ensure_context (self);
  mp_local_run_task (self->run, self->task, done_cb, report_cb, self);
  while (self->task != NULL)
    g_main_context_iteration (self->host.context, TRUE);
}

/* With the mutex held. What asynchronous functions have left running goes on meanwhile. */
static void
wait_for_more (Thread *self)
{
  if (self->host.context == NULL)
    {
      self->sleeps = TRUE;
      pthread_cond_wait (&self->cond, &self->mutex);
      self->sleeps = FALSE;
      return;
    }
  pthread_mutex_unlock (&self->mutex);
  g_main_context_iteration (self->host.context, TRUE);
  pthread_mutex_lock (&self->mutex);
}

static gpointer
thread_func (gpointer data)
{
  Thread *self = data;

  g_private_set (&own_thread, self);
  self->run = mp_local_run_new (&self->host);
  pthread_mutex_lock (&self->mutex);
  self->ready = TRUE;
  tell_owner (self);
  while (self->inbox.length > 0 || !self->end)
    {
      self->task = g_queue_pop_head (&self->inbox);
      if (self->task == NULL)
        {
          wait_for_more (self);
          continue;
        }
      self->busy = TRUE;
      pthread_mutex_unlock (&self->mutex);
      run_task (self);
      pthread_mutex_lock (&self->mutex);
    }
  pthread_mutex_unlock (&self->mutex);
  if (self->host.context != NULL)
    g_main_context_pop_thread_default (self->host.context);

  return NULL;
}

/* The last that a thread does, when its work is over or when a function has called g_thread_exit(). */
static void
thread_over (gpointer data)
{
  Thread *self = data;

  mp_local_run_abort (self->run);
  pthread_mutex_lock (&self->mutex);
  self->over = TRUE;
  tell_owner (self);
  pthread_mutex_unlock (&self->mutex);
  thread_unref (self);
}

/* In the owner, with the hub's lock held. */

static void
join_cb (gpointer data)
{
  g_thread_join (data);
}

static void
reply_deliver (Thread *self,
               Reply  *reply)
{
  MpPoolWorker *worker = self->worker != NULL ? &self->worker->worker : NULL;
  MpProgressLead progress = { reply->lead.seq, reply->fraction };

  if (reply->task != NULL)
    mp_local_answered (worker, reply->task, &reply->lead, &reply->answer);
  else if (worker != NULL)
    mp_pool_worker_report (worker, &progress, reply->answer.value);
  mp_answer_clear (&reply->answer);
  g_free (reply);
}

static void
start_worker (Thread *self)
{
  MpThreadWorker *worker = self->worker;

  worker->started = TRUE;
  mp_pool_worker_started (&worker->worker, 0);
  mp_pool_worker_ready (&worker->worker);
}

static void
end_of_thread (Thread *self)
{
  mp_hub_remove_watch (g_steal_pointer (&self->watch));
  /* When it was ended in a function. */
  if (self->task != NULL)
    mp_local_task_free (g_steal_pointer (&self->task));
  g_queue_clear_full (&self->inbox, (GDestroyNotify) mp_local_task_free);
  mp_hub_run_unlocked (join_cb, g_steal_pointer (&self->thread));
  if (self->worker != NULL)
    mp_pool_worker_ended (&self->worker->worker, NULL);
  thread_unref (self);
}

static void
readable_cb (MpWatch      *watch,
             GIOCondition  condition,
             gpointer      data)
{
  Thread *self = data;
  GQueue replies = G_QUEUE_INIT;
  Reply *reply = NULL;
  gboolean ready = FALSE, over = FALSE;

  pthread_mutex_lock (&self->mutex);
  if (self->told)
    mp_fd_clear_signal (self->fd);
  self->told = FALSE;
  replies = self->outbox;
  g_queue_init (&self->outbox);
  ready = self->ready;
  over = self->over;
  pthread_mutex_unlock (&self->mutex);

  if (ready && self->worker != NULL && !self->worker->started)
    start_worker (self);
  while ((reply = g_queue_pop_head (&replies)) != NULL)
    reply_deliver (self, reply);
  if (over)
    end_of_thread (self);
}

static Thread *
thread_new (MpThreadWorker  *worker,
            GError         **error)
{
  Thread *self = g_new0 (Thread, 1);
  GError *own_error = NULL;

  self->ref_count = 3;
  self->worker = worker;
  self->name = g_strdup_printf ("Worker-%u", worker->worker.serial);
  self->host = (MpInvocationHost) { (int) worker->worker.number, self->name, &self->board, NULL };
  g_queue_init (&self->unsent);
  g_queue_init (&self->inbox);
  g_queue_init (&self->outbox);
  pthread_mutex_init (&self->mutex, NULL);
  pthread_cond_init (&self->cond, NULL);
  self->fd = mp_fd_eventfd ();
  if (self->fd < 0)
    g_set_error_literal (&own_error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES, "pool: a descriptor for a thread");
  else
    self->thread = g_thread_try_new (self->name, thread_func, self, &own_error);
  if (self->thread == NULL)
    {
      g_set_error (error, G_IO_ERROR, self->fd < 0 ? G_IO_ERROR_TOO_MANY_OPEN_FILES : G_IO_ERROR_WOULD_BLOCK,
                   "pool: cannot start a thread: %s", own_error->message);
      g_error_free (own_error);
      self->ref_count = 1;
      thread_unref (self);
      return NULL;
    }
  self->watch = mp_hub_add_watch (self->fd, G_IO_IN, readable_cb, self);

  return self;
}

static MpPoolWorker *
thread_worker_start (MpPoolCore  *core,
                     guint        number,
                     GError     **error)
{
  MpThreadWorker *self = g_new0 (MpThreadWorker, 1);

  mp_pool_worker_init (&self->worker, &mp_pool_thread_ops, core, number);
  if (mp_script_is_here ())
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                         "pool: functions of JavaScript cannot run in threads: use processes");
  else
    self->thread = thread_new (self, error);
  if (self->thread == NULL)
    {
      mp_pool_worker_free (&self->worker);
      return NULL;
    }
  self->worker.board = &self->thread->board;

  return &self->worker;
}

static gboolean
thread_worker_send (MpPoolWorker      *worker,
                    const MpUnit      *unit,
                    const MpTaskLead  *lead,
                    GError           **error)
{
  g_queue_push_tail (&thread_worker (worker)->thread->unsent, mp_local_task_new (worker->core, unit, lead));

  return TRUE;
}

/* What runs is not wanted any more. */
static void
tell_task (Thread *self)
{
  guint64 started = __atomic_load_n (&self->board.state, __ATOMIC_ACQUIRE) >> 1;

  __atomic_store_n (&self->board.stopped, started, __ATOMIC_RELEASE);
  __atomic_add_fetch (&self->board.stop_word, 1, __ATOMIC_RELEASE);
  mp_futex_wake (&self->board.stop_word, G_MAXINT, FALSE);
}

/* With the thread's mutex held. */
static void
wake (Thread *self)
{
  if (self->sleeps)
    pthread_cond_signal (&self->cond);
  if (self->host.context != NULL)
    g_main_context_wakeup (self->host.context);
}

static void
thread_worker_flush (MpPoolWorker *worker)
{
  Thread *self = thread_worker (worker)->thread;
  MpLocalTask *task = NULL;

  pthread_mutex_lock (&self->mutex);
  while ((task = g_queue_pop_head (&self->unsent)) != NULL)
    g_queue_push_tail (&self->inbox, task);
  wake (self);
  pthread_mutex_unlock (&self->mutex);
}

static void
thread_worker_tell_end (MpPoolWorker *worker)
{
  Thread *self = thread_worker (worker)->thread;

  pthread_mutex_lock (&self->mutex);
  self->end = TRUE;
  wake (self);
  pthread_mutex_unlock (&self->mutex);
}

static void
forget (MpThreadWorker *self)
{
  if (self->thread != NULL)
    self->thread->worker = NULL;
  g_clear_pointer (&self->deadline, mp_hub_remove_timer);
}

static void
deadline_cb (gpointer data)
{
  MpThreadWorker *self = data;
  gboolean busy = FALSE;

  self->deadline = NULL;
  pthread_mutex_lock (&self->thread->mutex);
  busy = self->thread->busy;
  pthread_mutex_unlock (&self->thread->mutex);
  /* It has returned just now, and is about to end. */
  if (!busy)
    return;
  self->given_up = TRUE;
  forget (self);
  mp_pool_worker_ended (&self->worker, NULL);
}

static void
thread_worker_end (MpPoolWorker *worker,
                   gint64        grace_us)
{
  MpThreadWorker *self = thread_worker (worker);
  Thread *thread = self->thread;
  GQueue dropped = G_QUEUE_INIT;
  gboolean busy = FALSE;

  pthread_mutex_lock (&thread->mutex);
  dropped = thread->inbox;
  g_queue_init (&thread->inbox);
  thread->end = TRUE;
  busy = thread->busy;
  wake (thread);
  pthread_mutex_unlock (&thread->mutex);
  g_queue_clear_full (&dropped, (GDestroyNotify) mp_local_task_free);

  /* One that is in no function ends by itself. */
  if (!busy)
    return;
  tell_task (thread);
  if (thread->worker == NULL)
    return;
  g_clear_pointer (&self->deadline, mp_hub_remove_timer);
  self->deadline = mp_hub_add_timer (g_get_monotonic_time () + grace_us, deadline_cb, self);
}

static void
thread_worker_drop_unsent (MpPoolWorker *worker)
{
  Thread *self = thread_worker (worker)->thread;

  if (self != NULL)
    g_queue_clear_full (&self->unsent, (GDestroyNotify) mp_local_task_free);
}

static void
thread_worker_forget (MpPoolWorker *worker)
{
  forget (thread_worker (worker));
}

static void
thread_worker_free (MpPoolWorker *worker)
{
  g_clear_pointer (&thread_worker (worker)->thread, thread_unref);
  g_free (worker);
}

static gboolean
ended_well (MpThreadWorker *self)
{
  return !self->given_up && self->thread->end;
}

static int
thread_worker_get_exit_status (MpPoolWorker *worker)
{
  return ended_well (thread_worker (worker)) ? 0 : MP_EXIT_STATUS_UNKNOWN;
}

static char *
thread_worker_describe_end (MpPoolWorker *worker)
{
  if (thread_worker (worker)->given_up)
    return g_strdup ("was given up");
  return g_strdup (ended_well (thread_worker (worker)) ? "ended" : "ended its thread");
}

static GVariant *
thread_worker_dup_details (MpPoolWorker *worker)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "worker", "s", thread_worker (worker)->thread->name);

  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

const MpPoolWorkerOps mp_pool_thread_ops =
{
  .start = thread_worker_start,
  .send = thread_worker_send,
  .flush = thread_worker_flush,
  .tell_end = thread_worker_tell_end,
  .end = thread_worker_end,
  .drop_unsent = thread_worker_drop_unsent,
  .forget = thread_worker_forget,
  .free = thread_worker_free,
  .get_exit_status = thread_worker_get_exit_status,
  .describe_end = thread_worker_describe_end,
  .dup_details = thread_worker_dup_details,
};
