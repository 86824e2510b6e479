/* mp-future-waitable.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-future-private.h"

/* A future as one of the objects of a wait: its job tells of its end, and it needs no descriptor. */

typedef struct
{
  MpJobWatch  watch;   /* first: its function has it */
  MpWaitSpot *spot;
} Armed;

static MpWaitState
mp_future_wait_look (MpWaitable    *waitable,
                     MpWaitSpot    *spot,
                     GIOCondition   condition,
                     GError       **error)
{
  MpJob *job = mp_future_get_job (MP_FUTURE (waitable));
  gboolean done;

  mp_hub_lock ();
  done = job->done;
  mp_hub_unlock ();

  if (done)
    return MP_WAIT_READY;
  return mp_pool_core_is_ours (job->core, error) ? MP_WAIT_NOT_YET : MP_WAIT_FAILED;
}

static void
ended_cb (MpJobWatch *watch)
{
  mp_wait_spot_tell (((Armed *) watch)->spot);
}

static gboolean
mp_future_wait_arm (MpWaitable  *waitable,
                    MpWaitSpot  *spot,
                    GError     **error)
{
  Armed *armed = g_new0 (Armed, 1);

  armed->watch.func = ended_cb;
  armed->spot = spot;
  spot->armed = armed;
  mp_hub_lock ();
  mp_job_watch (mp_future_get_job (MP_FUTURE (waitable)), &armed->watch);
  mp_hub_unlock ();
  return TRUE;
}

static void
mp_future_wait_disarm (MpWaitable *waitable,
                       MpWaitSpot *spot)
{
  Armed *armed = g_steal_pointer (&spot->armed);

  mp_hub_lock ();
  mp_job_unwatch (&armed->watch);
  mp_hub_unlock ();
  g_free (armed);
}

static gconstpointer
mp_future_wait_get_owner (MpWaitable *waitable)
{
  return mp_future_get_job (MP_FUTURE (waitable))->core;
}

void
mp_future_waitable_init (MpWaitableInterface *iface)
{
  iface->look = mp_future_wait_look;
  iface->arm = mp_future_wait_arm;
  iface->disarm = mp_future_wait_disarm;
  iface->get_owner = mp_future_wait_get_owner;
}
