/* mp-child-end.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-fork-client-private.h"
#include "mp-glib/process/mp-process.h"

#include <errno.h>
#include <signal.h>

/* How long a fork server may take to tell how a process ended of which the kernel says that it has. */
#define STATUS_GRACE G_TIME_SPAN_SECOND
/* How long it may take to tell the pid of a process that is not wanted any more. */
#define ANSWER_GRACE G_TIME_SPAN_SECOND
/* Without a pidfd: how often to look, at first and at most (ms). */
#define REAP_DELAY_MIN 2
#define REAP_DELAY_MAX 250
/* Reads of what an ended process left behind: bounded, since another may hold its end open and go on. */
#define MAX_LEFT_READS 4096

/* The first worker of a program has shown that it works, or that it does not. */

static void
fail_waiting (MpSettings *settings, const GError *error)
{
  MpChild *child;

  while ((child = g_queue_pop_head (&settings->waiting)) != NULL)
    mp_child_launch_failed (child, g_error_copy (error));
}

static void
dispatch_waiting (MpSettings *settings)
{
  GQueue waiting = settings->waiting;
  MpChild *child;

  g_queue_init (&settings->waiting);
  while ((child = g_queue_pop_head (&waiting)) != NULL)
    mp_child_dispatch (child);
}

static void
end_proof (MpChild *self, const GError *error)
{
  MpSettings *settings = self->settings;

  if (settings->prover != self)
    return;
  settings->prover = NULL;
  if (error != NULL)
    fail_waiting (settings, error);
  else
    dispatch_waiting (settings);
}

void
mp_child_proven (MpChild *self)
{
  if (self->method != MP_START_METHOD_SPAWN)
    return;
  self->settings->proven = TRUE;
  end_proof (self, NULL);
}

static void
finish (MpChild *self)
{
  GError *error = g_steal_pointer (&self->error);
  gboolean was_ready = self->stage == MP_STAGE_READY;

  if (error == NULL && !was_ready && !self->ended_by_us)
    error = mp_child_make_boot_error (self);
  if (error != NULL)
    mp_child_complete_error (self, &error);

  mp_child_release (self);
  if (self->fork_client != NULL)
    mp_fork_client_drop (self->fork_client, self);
  if (!was_ready)
    end_proof (self, error);

  if (self->funcs.ended != NULL)
    self->funcs.ended (self, error, self->data);
  mp_child_forget (self);
  g_clear_error (&error);
  mp_hub_changed ();
  mp_child_unref (self);   /* it was alive */
}

/* The process */

void
mp_child_process_ended (MpChild *self,
                        int      exit_status)
{
  if (self->state == MP_CHILD_ENDED)
    return;
  mp_child_ref (self);
  self->process_ended = TRUE;
  self->exit_status = exit_status;
  g_clear_pointer (&self->pid_watch, mp_hub_remove_watch);
  mp_child_announce (self);
  for (guint i = 0; i < MAX_LEFT_READS && !self->wire_ended && mp_child_read_wire (self); i++)
    ;
  mp_stream_read (&self->err, TRUE);
  mp_stream_read (&self->out, TRUE);
  if (self->state != MP_CHILD_ENDED)
    finish (self);
  mp_child_unref (self);
}

static void
status_late_cb (gpointer data)
{
  MpChild *self = data;

  self->reap_timer = NULL;
  mp_child_process_ended (self, MP_EXIT_STATUS_UNKNOWN);
}

static void
on_pid (MpWatch *watch, GIOCondition condition, gpointer data)
{
  MpChild *self = data;
  int status;

  if (self->fork_client != NULL && mp_fork_client_is_alive (self->fork_client))
    {
      /* Only its parent knows how it ended, and is about to say so. */
      g_clear_pointer (&self->pid_watch, mp_hub_remove_watch);
      g_clear_pointer (&self->reap_timer, mp_hub_remove_timer);
      self->reap_timer = mp_hub_add_timer (g_get_monotonic_time () + STATUS_GRACE, status_late_cb, self);
      return;
    }
  if (self->fork_client != NULL)
    {
      mp_child_process_ended (self, MP_EXIT_STATUS_UNKNOWN);
      return;
    }
  switch (mp_platform_reap (self->pid, self->pidfd, &status))
    {
    case MP_REAP_EXITED:
      mp_child_process_ended (self, status);
      break;
    case MP_REAP_UNKNOWN:
      mp_child_process_ended (self, MP_EXIT_STATUS_UNKNOWN);
      break;
    case MP_REAP_RUNNING:
    default:
      break;
    }
}

/* Without a pidfd: look again and again, in growing distances, in short ones once the socket is closed. */

static void
look_cb (gpointer data)
{
  MpChild *self = data;
  gboolean served = self->fork_client != NULL;
  int status = MP_EXIT_STATUS_UNKNOWN;
  MpReap reap = MP_REAP_RUNNING;

  self->reap_timer = NULL;
  if (!served)
    reap = mp_platform_reap (self->pid, -1, &status);
  else if (!mp_fork_client_is_alive (self->fork_client) && mp_platform_signal (self->pid, -1, 0) < 0)
    reap = MP_REAP_UNKNOWN;
  if (reap != MP_REAP_RUNNING)
    {
      mp_child_process_ended (self, reap == MP_REAP_EXITED ? status : MP_EXIT_STATUS_UNKNOWN);
      return;
    }
  self->reap_delay = MIN (self->reap_delay * 2, REAP_DELAY_MAX);
  self->reap_timer = mp_hub_add_timer (g_get_monotonic_time () + self->reap_delay * 1000, look_cb, self);
}

void
mp_child_watch_pid (MpChild *self)
{
  if (self->pidfd >= 0)
    {
      if (self->pid_watch == NULL)
        self->pid_watch = mp_hub_add_watch (self->pidfd, G_IO_IN, on_pid, self);
      return;
    }
  self->reap_delay = self->wire_ended ? REAP_DELAY_MIN : REAP_DELAY_MAX;
  g_clear_pointer (&self->reap_timer, mp_hub_remove_timer);
  self->reap_timer = mp_hub_add_timer (g_get_monotonic_time () + self->reap_delay * 1000, look_cb, self);
}

void
mp_child_lost_reaper (MpChild *self)
{
  if (self->pid == 0 || self->state == MP_CHILD_ENDED)
    return;
  g_clear_pointer (&self->reap_timer, mp_hub_remove_timer);
  mp_child_watch_pid (self);
}

static void
kill_cb (gpointer data)
{
  MpChild *self = data;

  self->kill_timer = NULL;
  if (self->pid != 0)
    {
      mp_platform_signal (self->pid, self->pidfd, SIGKILL);
      return;
    }
  /* The fork server does not answer. Should there be a process after all, it is cut off with its life-line. */
  mp_fork_client_drop (self->fork_client, self);
  mp_child_end_unstarted (self, -SIGKILL);
}

/* Whether it has no process and will not get one: its end is then on its way. */
static gboolean
call_off (MpChild *self, int signum)
{
  if (self->pid != 0 || self->process_ended)
    return self->process_ended;
  if (self->fork_client != NULL && !mp_fork_client_cancel (self->fork_client, self))
    return FALSE;
  mp_child_end_unstarted (self, -signum);
  return TRUE;
}

void
mp_child_kill_after (MpChild *self,
                     gint64   delay)
{
  if (self->process_ended || call_off (self, SIGKILL))
    return;
  if (self->pid == 0)
    {
      self->pending_signals |= G_GUINT64_CONSTANT (1) << SIGKILL;
      delay = ANSWER_GRACE;
    }
  else if (delay <= 0)
    {
      mp_platform_signal (self->pid, self->pidfd, SIGKILL);
      return;
    }
  g_clear_pointer (&self->kill_timer, mp_hub_remove_timer);
  self->kill_timer = mp_hub_add_timer (g_get_monotonic_time () + delay, kill_cb, self);
}

void
mp_child_end (MpChild *self,
              gint64   grace_us)
{
  if (self->state == MP_CHILD_ENDED || self->process_ended)
    return;
  self->ended_by_us = TRUE;
  if (self->pid == 0 && call_off (self, grace_us > 0 ? SIGTERM : SIGKILL))
    return;
  if (grace_us > 0 && self->pid != 0)
    mp_platform_signal (self->pid, self->pidfd, SIGTERM);
  mp_child_kill_after (self, self->pid != 0 ? grace_us : 0);
}

gboolean
mp_child_signal (MpChild  *self,
                 int       signum,
                 GError  **error)
{
  if (self->state == MP_CHILD_ENDED || self->process_ended)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "%s has ended", self->name);
      return FALSE;
    }
  self->ended_by_us |= self->state != MP_CHILD_READY && signum != 0;
  if (self->pid == 0)
    {
      if (signum != SIGKILL && signum != SIGTERM)
        self->pending_signals |= G_GUINT64_CONSTANT (1) << signum;
      else if (!call_off (self, signum))
        self->pending_signals |= G_GUINT64_CONSTANT (1) << signum;
      return TRUE;
    }
  if (mp_platform_signal (self->pid, self->pidfd, signum) == 0)
    return TRUE;
  if (errno == ESRCH)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "%s has ended", self->name);
  else
      {
      int saved = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "cannot send a signal to %s: %s", self->name,
                   g_strerror (saved));
    }
  return FALSE;
}
