/* mp-connection-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

/* A connection as one of the objects of a wait. That polls the socket; what other threads have read from it meanwhile,
 * they tell. */

/* Without a look at the socket, unless there is @condition. */
static gboolean
has_something (MpConnection *self,
               GIOCondition  condition)
{
  /* Those who wait for messages get them first. */
  if (self->receivers.head != NULL)
    return FALSE;
  if (condition != 0 || self->frame.kind != 0 || self->in_error != NULL)
    return mp_connection_look (self);
  return self->wire != NULL && mp_wire_has_news (self->wire) && mp_connection_look (self);
}

static MpWaitState
look (MpConnection  *self,
      MpWaitSpot    *spot,
      GIOCondition   condition,
      GQueue        *finished,
      GError       **error)
{
  MpWaitState state = MP_WAIT_NOT_YET;

  spot->fd = -1;
  /* Also what is to be sent goes on: perhaps that is what the other side waits for. */
  if (condition != 0 || mp_connection_get_wanted (self) != 0)
    mp_connection_pump (self, finished);

  if (self->closed && self->in_error == NULL)
    state = MP_WAIT_READY;
  else if (!mp_connection_check_in (self, error))
    state = MP_WAIT_FAILED;
  else if (has_something (self, condition))
    state = MP_WAIT_READY;
  else if (self->wire != NULL)
    spot->fd = mp_wire_get_fd (self->wire);

  spot->condition = mp_connection_get_wanted (self) | G_IO_IN;
  /* A message that was read shows at the socket no longer. */
  mp_connection_update_watches (self);
  return state;
}

static MpWaitState
mp_connection_wait_look (MpWaitable    *waitable,
                         MpWaitSpot    *spot,
                         GIOCondition   condition,
                         GError       **error)
{
  MpConnection *self = MP_CONNECTION (waitable);
  GQueue finished = G_QUEUE_INIT;
  MpWaitState state;

  pthread_mutex_lock (&self->lock);
  state = look (self, spot, condition, &finished, error);
  pthread_mutex_unlock (&self->lock);

  mp_connection_finish_ops (&finished);
  return state;
}

static gboolean
mp_connection_wait_arm (MpWaitable  *waitable,
                        MpWaitSpot  *spot,
                        GError     **error)
{
  MpConnection *self = MP_CONNECTION (waitable);
  MpSleeper *sleeper = g_new (MpSleeper, 1);

  *sleeper = (MpSleeper) { { sleeper, NULL, NULL }, -1, spot };
  spot->armed = sleeper;

  pthread_mutex_lock (&self->lock);
  g_queue_push_tail_link (&self->sleepers, &sleeper->link);
  self->n_polling++;
  pthread_mutex_unlock (&self->lock);
  return TRUE;
}

static void
mp_connection_wait_disarm (MpWaitable *waitable,
                           MpWaitSpot *spot)
{
  MpConnection *self = MP_CONNECTION (waitable);
  MpSleeper *sleeper = g_steal_pointer (&spot->armed);

  pthread_mutex_lock (&self->lock);
  g_queue_unlink (&self->sleepers, &sleeper->link);
  mp_connection_end_polling (self);
  pthread_mutex_unlock (&self->lock);
  g_free (sleeper);
}

void
mp_connection_waitable_init (MpWaitableInterface *iface)
{
  iface->look = mp_connection_wait_look;
  iface->arm = mp_connection_wait_arm;
  iface->disarm = mp_connection_wait_disarm;
}
