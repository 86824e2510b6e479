/* mp-process-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-process-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"

#include <unistd.h>

/* A process as one of the objects of a wait. Its end is what the hub has seen of it, which the wait turns: so that it can
 * be joined at once then, and needs no descriptor of its own. */

static MpWaitState
mp_process_wait_look (MpWaitable    *waitable,
                      MpWaitSpot    *spot,
                      GIOCondition   condition,
                      GError       **error)
{
  MpProcessCore *core = mp_process_get_core (MP_PROCESS (waitable));
  MpProcessState state;
  gboolean closed;

  if (core->owner_pid != getpid ())
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NOT_OWNER, "wait: only the process %d, which made it, may wait for a process",
                   core->owner_pid);
      return MP_WAIT_FAILED;
    }
  if (core->kind == MP_PROCESS_SELF)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "wait: the current process cannot wait for itself");
      return MP_WAIT_FAILED;
    }

  mp_hub_lock ();
  state = core->state;
  closed = core->closed;
  mp_hub_unlock ();

  if (closed || state >= MP_PROCESS_ENDED)
    return MP_WAIT_READY;
  if (state != MP_PROCESS_NEW)
    return MP_WAIT_NOT_YET;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED, "wait: a process has not been started");
  return MP_WAIT_FAILED;
}

static gboolean
mp_process_wait_arm (MpWaitable  *waitable,
                     MpWaitSpot  *spot,
                     GError     **error)
{
  MpProcessCore *core = mp_process_get_core (MP_PROCESS (waitable));

  mp_hub_lock ();
  core->spots = g_slist_prepend (core->spots, spot);
  mp_hub_unlock ();
  return TRUE;
}

static void
mp_process_wait_disarm (MpWaitable *waitable,
                        MpWaitSpot *spot)
{
  MpProcessCore *core = mp_process_get_core (MP_PROCESS (waitable));

  mp_hub_lock ();
  core->spots = g_slist_remove (core->spots, spot);
  mp_hub_unlock ();
}

static gconstpointer
mp_process_wait_get_owner (MpWaitable *waitable)
{
  return mp_process_get_core (MP_PROCESS (waitable));
}

void
mp_process_waitable_init (MpWaitableInterface *iface)
{
  iface->look = mp_process_wait_look;
  iface->arm = mp_process_wait_arm;
  iface->disarm = mp_process_wait_disarm;
  iface->get_owner = mp_process_wait_get_owner;
}

void
mp_process_core_tell_spots (MpProcessCore *self)
{
  for (GSList *link = self->spots; link != NULL; link = link->next)
    mp_wait_spot_tell (link->data);
}
