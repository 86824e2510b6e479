/* mp-connection-copy.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/arena/mp-ring-private.h"

/* The copy of a process that fork() makes has its connections, and of its threads only one. What the others were about is
 * not the copy's: it would give messages to calls that nobody waits for, keep the socket for polls that never end, and
 * write for the second time what its parent still sends. That is put right at once: those calls are on the stacks of
 * threads, which the next threads of the copy get. And no thread is in the midst of a change meanwhile, whose lock the
 * copy would find taken for ever. */

/* Who has a connection's lock for longer than this, or waits with it for what the handlers of a fork have, is not waited
 * for: the copy cannot use that connection. */
#define MAX_WAIT_US  (500 * G_TIME_SPAN_MILLISECOND)
#define RETRY_US     20
/* The thread sanitizer ends a program of which one thread has more than 64 locks. */
#if defined (__SANITIZE_THREAD__)
# define MAX_HELD 32
#elif defined (__has_feature)
# if __has_feature (thread_sanitizer)
#  define MAX_HELD 32
# endif
#endif
#ifndef MAX_HELD
# define MAX_HELD G_MAXUINT
#endif

int mp_connection_n_forks;    /* atomic: that led to this process */
int mp_connection_n_copies;   /* atomic: of this process, or that led to it */
int mp_connection_n_forking;  /* atomic: threads that are about to fork */

static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER;       /* one thread at a time; before all others */
static pthread_mutex_t connections_lock = PTHREAD_MUTEX_INITIALIZER;   /* after those of connections */
static GQueue connections = G_QUEUE_INIT;

/* The blocking calls of threads that are not here. One of this thread's own is there when its callbacks forked. */
static void
drop_calls (GQueue *ops)
{
  GList *link, *next;

  for (link = ops->head; link != NULL; link = next)
    {
      MpOp *op = link->data;

      next = link->next;
      if (op->blocking && !pthread_equal (op->thread, pthread_self ()))
        g_queue_unlink (ops, link);
    }
}

/* Of this thread. They see it when the callback that forked returns. */
static void
fail_calls (GQueue       *ops,
            const GError *error)
{
  GList *link, *next;

  for (link = ops->head; link != NULL; link = next)
    {
      MpOp *op = link->data;

      next = link->next;
      if (!op->blocking)
        continue;
      g_queue_unlink (ops, link);
      op->state = MP_OP_IDLE;
      op->error = g_error_copy (error);
    }
}

/* This thread does not sleep. What waits as an object of mp_wait() is not on a stack, and may be its own. */
static void
drop_sleepers (GQueue *sleepers)
{
  GList *link, *next;

  for (link = sleepers->head; link != NULL; link = next)
    {
      MpSleeper *sleeper = link->data;

      next = link->next;
      if (sleeper->spot == NULL)
        g_queue_unlink (sleepers, link);
    }
}

static void
begin_copy (MpConnection *self)
{
  drop_calls (&self->receivers);
  drop_calls (&self->senders);
  drop_calls (&self->in_wire);
  drop_sleepers (&self->sleepers);
  self->n_polling = 0;
  if (self->wire != NULL)
    mp_wire_begin_copy (self->wire);
  if (self->wire == NULL || mp_wire_get_pending (self->wire) == 0 || self->out_error != NULL)
    return;

  self->has_parents_output = TRUE;
  self->out_error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_BUSY,
                                         "This process was forked while a message was being sent: the other one sends it");
  fail_calls (&self->in_wire, self->out_error);
  fail_calls (&self->senders, self->out_error);
}

static gboolean
hold_all (void)
{
  gboolean all = TRUE;
  guint n = 0;
  GList *link;

  for (link = connections.head; link != NULL && n < MAX_HELD; link = link->next, n++)
    {
      MpConnection *self = link->data;

      if (!self->is_held)
        self->is_held = pthread_mutex_trylock (&self->lock) == 0;
      all &= self->is_held;
    }
  return all;
}

/* Who has a lock may be about to make a connection. */
static void
before_fork (void)
{
  gint64 until;

  g_atomic_int_inc (&mp_connection_n_forking);
  pthread_mutex_lock (&forking);
  until = g_get_monotonic_time () + MAX_WAIT_US;
  pthread_mutex_lock (&connections_lock);
  while (!hold_all () && g_get_monotonic_time () < until)
    {
      pthread_mutex_unlock (&connections_lock);
      g_usleep (RETRY_US);
      pthread_mutex_lock (&connections_lock);
    }
}

static void
let_go (gboolean is_copy)
{
  GList *link;

  for (link = connections.head; link != NULL; link = link->next)
    {
      MpConnection *self = link->data;

      if (!self->is_held)
        continue;
      if (is_copy)
        begin_copy (self);
      self->is_held = FALSE;
      pthread_mutex_unlock (&self->lock);
    }
  pthread_mutex_unlock (&connections_lock);
  pthread_mutex_unlock (&forking);
}

void
mp_connection_let_fork (void)
{
  pthread_mutex_lock (&forking);
  pthread_mutex_unlock (&forking);
}

static void
after_fork_in_parent (void)
{
  g_atomic_int_inc (&mp_connection_n_copies);
  g_atomic_int_add (&mp_connection_n_forking, -1);
  let_go (FALSE);
}

static void
after_fork_in_child (void)
{
  g_atomic_int_inc (&mp_connection_n_forks);
  g_atomic_int_inc (&mp_connection_n_copies);
  g_atomic_int_set (&mp_connection_n_forking, 0);
  let_go (TRUE);
}

void
mp_connection_watch_forks (MpConnection *self)
{
  static gsize done;

  if (g_once_init_enter (&done))
    {
      mp_ring_watch_forks ();
      pthread_atfork (before_fork, after_fork_in_parent, after_fork_in_child);
      g_once_init_leave (&done, 1);
    }

  self->link = (GList) { self, NULL, NULL };
  pthread_mutex_lock (&connections_lock);
  g_queue_push_tail_link (&connections, &self->link);
  pthread_mutex_unlock (&connections_lock);
}

void
mp_connection_unwatch_forks (MpConnection *self)
{
  pthread_mutex_lock (&self->lock);
  pthread_mutex_lock (&connections_lock);
  g_queue_unlink (&connections, &self->link);
  pthread_mutex_unlock (&connections_lock);
  pthread_mutex_unlock (&self->lock);
}
