/* mp-connection-copy.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

/* The copy of a process that fork() makes has its connections, and of its threads only one. What the others were about is
 * not the copy's: it would give messages to calls that nobody waits for, keep the socket for polls that never end, and
 * write for the second time what its parent still sends. That is put right when the copy first uses a connection. */

int mp_connection_n_forks;   /* atomic: that led to this process */

static void
count_fork (void)
{
  mp_connection_n_forks++;
}

void
mp_connection_watch_forks (MpConnection *self)
{
  static gsize done;

  if (g_once_init_enter (&done))
    {
      pthread_atfork (NULL, NULL, count_fork);
      g_once_init_leave (&done, 1);
    }
  self->copy = g_atomic_int_get (&mp_connection_n_forks);
}

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

void
mp_connection_begin_copy (MpConnection *self)
{
  self->copy = g_atomic_int_get (&mp_connection_n_forks);
  drop_calls (&self->receivers);
  drop_calls (&self->senders);
  drop_calls (&self->in_wire);
  self->n_polling = 0;
  if (self->wire != NULL)
    mp_wire_begin_copy (self->wire);
  self->has_parents_output = self->wire != NULL && mp_wire_get_pending (self->wire) > 0;
}
