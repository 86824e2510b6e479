/* mp-listener-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-listener-private.h"

/* A listener as one of the objects of a wait. Its descriptor tells of all that there is to do, and of a client that is
 * there; only that another thread has closed it is told beside. */

static MpWaitState
mp_listener_wait_look (MpWaitable    *waitable,
                       MpWaitSpot    *spot,
                       GIOCondition   condition,
                       GError       **error)
{
  MpListenerCore *core = mp_listener_get_core (MP_LISTENER (waitable));
  MpWaitState state = MP_WAIT_NOT_YET;

  mp_hub_lock ();
  core->looking = TRUE;
  mp_hub_unlock ();
  mp_listener_core_drive (core);

  spot->fd = -1;
  spot->condition = G_IO_IN;
  mp_hub_lock ();
  if (core->closed || core->ready.head != NULL)
    state = MP_WAIT_READY;
  else
    spot->fd = core->poll_fd;
  mp_hub_unlock ();
  return state;
}

static gboolean
mp_listener_wait_arm (MpWaitable  *waitable,
                      MpWaitSpot  *spot,
                      GError     **error)
{
  MpListenerCore *core = mp_listener_get_core (MP_LISTENER (waitable));

  mp_hub_lock ();
  core->spots = g_list_prepend (core->spots, spot);
  mp_hub_unlock ();
  return TRUE;
}

static void
mp_listener_wait_disarm (MpWaitable *waitable,
                         MpWaitSpot *spot)
{
  MpListenerCore *core = mp_listener_get_core (MP_LISTENER (waitable));

  mp_hub_lock ();
  core->spots = g_list_remove (core->spots, spot);
  /* A driver may be at work, and closes them itself. */
  if (!core->driving)
    mp_listener_core_release (core);
  mp_hub_unlock ();
}

static gconstpointer
mp_listener_wait_get_owner (MpWaitable *waitable)
{
  return mp_listener_get_core (MP_LISTENER (waitable));
}

void
mp_listener_waitable_init (MpWaitableInterface *iface)
{
  iface->look = mp_listener_wait_look;
  iface->arm = mp_listener_wait_arm;
  iface->disarm = mp_listener_wait_disarm;
  iface->get_owner = mp_listener_wait_get_owner;
}
