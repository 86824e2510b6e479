/* mp-queue-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-queue-private.h"

#include "mp-glib/arena/mp-async-private.h"
#include "mp-glib/arena/mp-cell-private.h"
#include "mp-glib/base/mp-hub-private.h"

#include <errno.h>
#include <unistd.h>

/* A queue as one of the objects of a wait. As asynchronous calls are, it is looked after by the thread of mp-async, which
 * takes nothing. It stands in line with those that get, behind those that were there before: what they leave is for it. */

typedef struct
{
  MpQueue     *queue;       /* of the wait, which holds it */
  MpWaitSpot  *spot;
  gint64       settled_us;  /* when the dead were last looked for */
  int          pid;
  MpAsyncWait *wait;        /* (nullable): the hub's lock */
} Armed;

static gboolean
has_ended (MpQueue *self)
{
  return !mp_queue_may_get_more (self);
}

static gboolean
try_cb (const MpSlotRef *ref,
        gpointer         data)
{
  Armed *self = data;
  gint64 now;

  if (!mp_sync_is_usable (&self->queue->get_side.sync) || !mp_tape_is_empty (self->queue->tape))
    return TRUE;

  now = g_get_monotonic_time ();
  if (now - self->settled_us >= MP_CELL_SLICE_US)
    {
      self->settled_us = now;
      if (has_ended (self->queue))
        return TRUE;
    }
  return mp_sync_must_look_again (&self->queue->get_side.sync, NULL);
}

static void
done_cb (gpointer data)
{
  Armed *self = data;

  self->wait = NULL;
  mp_wait_spot_tell (self->spot);
}

static gboolean
is_done (gpointer data)
{
  return ((Armed *) data)->wait == NULL;
}

/* FALSE sets @error. */
static gboolean
stand_in_line (Armed   *self,
               GError **error)
{
  int saved_errno;
  gboolean ok;

  mp_hub_lock ();
  if (self->wait == NULL)
    self->wait = mp_async_add (&self->queue->get_side.sync.slot, try_cb, done_cb, self);
  saved_errno = errno;
  ok = self->wait != NULL;
  mp_hub_unlock ();

  if (!ok)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "wait: cannot start a thread to wait: %s",
                 g_strerror (saved_errno));
  return ok;
}

static MpWaitState
mp_queue_wait_look (MpWaitable    *waitable,
                    MpWaitSpot    *spot,
                    GIOCondition   condition,
                    GError       **error)
{
  MpQueue *self = MP_QUEUE (waitable);

  /* To get from it does not block, but fails. */
  if (!mp_sync_is_usable (&self->get_side.sync))
    return MP_WAIT_READY;
  mp_queue_mark (self, MP_QUEUE_GETS);
  if (!mp_tape_is_empty (self->tape) || has_ended (self))
    return MP_WAIT_READY;

  /* Anew, when somebody else has got what was told of. */
  return spot->armed == NULL || stand_in_line (spot->armed, error) ? MP_WAIT_NOT_YET : MP_WAIT_FAILED;
}

static gboolean
mp_queue_wait_arm (MpWaitable  *waitable,
                   MpWaitSpot  *spot,
                   GError     **error)
{
  Armed *self = g_new0 (Armed, 1);

  self->queue = MP_QUEUE (waitable);
  self->spot = spot;
  self->pid = getpid ();
  spot->armed = self;
  return TRUE;
}

static void
mp_queue_wait_disarm (MpWaitable *waitable,
                      MpWaitSpot *spot)
{
  Armed *self = g_steal_pointer (&spot->armed);
  gboolean is_over;

  mp_hub_lock ();
  if (self->wait != NULL && mp_async_cancel (self->wait))
    self->wait = NULL;
  is_over = self->wait == NULL;
  mp_hub_unlock ();

  /* The thread is about to tell; in a forked child there is none. */
  while (!is_over && self->pid == getpid ())
    is_over = mp_hub_wait (self, is_done, self, "wait", -1, NULL, NULL);
  g_free (self);
}

void
mp_queue_waitable_init (MpWaitableInterface *iface)
{
  iface->look = mp_queue_wait_look;
  iface->arm = mp_queue_wait_arm;
  iface->disarm = mp_queue_wait_disarm;
}
