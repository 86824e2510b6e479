/* mp-child.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/platform/mp-socket-private.h"
#include "mp-glib/process/mp-boot-private.h"
#include "mp-glib/process/mp-fork-client-private.h"
#include "mp-glib/process/mp-process.h"
#include "mp-glib/process/mp-worker-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A pool's worker that has closed its socket is of no use: it has this long to end by itself. */
#define CLOSED_GRACE G_TIME_SPAN_SECOND
/* How many are read from one child before others have their turn. */
#define MAX_FRAMES 128

static GQueue all_children = G_QUEUE_INIT;   /* (element-type MpChild) borrowed; the hub's lock */

static void read_on (MpChild *self);
static void watch_wire (MpChild *self);

static void
free_settings (gpointer data)
{
  mp_settings_unref (data);
}

static void
child_free (MpChild *self)
{
  g_clear_pointer (&self->wire, mp_wire_free);
  g_clear_error (&self->error);
  g_clear_pointer (&self->sentinels, g_array_unref);
  g_clear_pointer (&self->fork_client, mp_fork_client_unref);
  mp_stream_clear (&self->err);
  mp_stream_clear (&self->out);
  g_queue_clear_full (&self->logs, g_free);
  if (self->context != NULL)
    mp_hub_unref_context (self->context);
  /* Holds the context's boot data, which is the user's. */
  mp_hub_run_unlocked (free_settings, self->settings);
  g_free (self->name);
  g_free (self);
}

MpChild *
mp_child_ref (MpChild *self)
{
  self->ref_count++;
  return self;
}

void
mp_child_unref (MpChild *self)
{
  if (--self->ref_count == 0)
    child_free (self);
}

void
mp_child_forget (MpChild *self)
{
  self->funcs = (MpChildFuncs) { NULL };
  self->data = NULL;
}

MpWire *
mp_child_get_wire (MpChild *self)
{
  return self->wire;
}

MpChildState
mp_child_get_state (MpChild *self)
{
  return self->state;
}

int
mp_child_get_pid (MpChild *self)
{
  return self->pid;
}

int
mp_child_get_exit_status (MpChild *self)
{
  return self->state == MP_CHILD_ENDED ? self->exit_status : MP_EXIT_STATUS_RUNNING;
}

static gboolean
set_errno_error (GError **error, const char *what)
{
  int saved = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "%s: %s", what, g_strerror (saved));
  return FALSE;
}

static gboolean
open_ends (MpChild *self, const MpChildConfig *config, GError **error)
{
  int pair[2] = { -1, -1 };

  if (mp_socket_pair (pair, 0) < 0)
    return set_errno_error (error, "cannot make the socket of a worker");
  self->ends.socket = pair[1];
  self->wire = mp_wire_new (pair[0], MP_MAX_BOOT_FRAME);
  if (!config->detached)
    {
      if (mp_platform_lifeline_new (&self->ends.lifeline, &self->lifeline) < 0)
        return set_errno_error (error, "cannot make the life-line of a worker");
      mp_platform_lifeline_register (self->lifeline);
    }
  if (!mp_stream_open (&self->err, &self->ends.stderr_fd, error))
    return FALSE;
  if (config->capture_output && !mp_stream_open (&self->out, &self->ends.stdout_fd, error))
    return FALSE;
  return TRUE;
}

void
mp_child_close_ends (MpChild *self)
{
  mp_fd_close (&self->ends.socket);
  mp_fd_close (&self->ends.lifeline);
  mp_fd_close (&self->ends.stderr_fd);
  mp_fd_close (&self->ends.stdout_fd);
}

static void
close_lifeline (MpChild *self)
{
  if (self->lifeline < 0)
    return;
  mp_platform_lifeline_unregister (self->lifeline);
  mp_fd_close (&self->lifeline);
}

static void
init_stream (MpStream *stream, MpChild *child, const char *name, MpStderr mode)
{
  stream->child = child;
  stream->name = name;
  stream->fd = -1;
  stream->to_lines = mode != MP_STDERR_INHERIT;
  stream->to_owner = mode == MP_STDERR_TEE;
  g_queue_init (&stream->last);
}

MpChild *
mp_child_new (MpSettings           *settings,
              MpStartMethod         method,
              const MpChildConfig  *config,
              const MpChildFuncs   *funcs,
              gpointer              data,
              GError              **error)
{
  MpChild *self = g_new0 (MpChild, 1);
  MpStderr mode = config->capture_output ? MP_STDERR_CAPTURE : settings->stderr_mode;

  self->ref_count = 1;
  self->settings = mp_settings_ref (settings);
  self->method = method;
  self->role = config->role;
  self->name = g_strdup (config->name);
  self->own_group = config->own_group;
  /* The hub's reference: as long as there is a process, that context looks after it, also when the pool is gone. */
  self->context = config->context != NULL ? mp_hub_ref_context (config->context) : NULL;
  self->owner = config->owner;
  self->funcs = *funcs;
  self->data = data;
  self->exit_status = MP_EXIT_STATUS_UNKNOWN;
  self->pidfd = self->lifeline = -1;
  self->ends = (MpChildEnds) { -1, -1, -1, -1 };
  self->link.data = self;
  g_queue_init (&self->logs);
  init_stream (&self->err, self, "stderr", config->role == MP_ROLE_FORK_SERVER ? MP_STDERR_INHERIT : mode);
  init_stream (&self->out, self, "stdout", MP_STDERR_CAPTURE);

  /* SETUP is there before the process is: it need not wait for an answer to its first words. */
  if (!open_ends (self, config, error) || !mp_child_queue_setup (self, config, error))
    {
      mp_child_close_ends (self);
      close_lifeline (self);
      mp_stream_close (&self->err);
      mp_stream_close (&self->out);
      child_free (self);
      return NULL;
    }
  mp_hub_set_forked_func (mp_worker_forked_by_host);
  self->ref_count++;   /* alive, until finish() */
  g_queue_push_tail_link (&all_children, &self->link);
  mp_child_flush (self);
  return self;
}

static gboolean
resolve_method (MpSettings *settings, const char *name, MpStartMethod *method, GError **error)
{
  GError *refusal;

  *method = settings->start_method;
  if (*method == MP_START_METHOD_AUTO)
    *method = settings->no_fork_server ? MP_START_METHOD_SPAWN : MP_START_METHOD_FORKSERVER;
  if (*method != MP_START_METHOD_FORK)
    return TRUE;
  refusal = mp_launch_check_threads (name);
  if (refusal == NULL)
    return TRUE;
  g_propagate_error (error, refusal);
  return FALSE;
}

MpChild *
mp_child_start (MpContext            *context,
                const MpChildConfig  *config,
                const MpChildFuncs   *funcs,
                gpointer              data,
                GError              **error)
{
  MpSettings *settings;
  MpStartMethod method;
  MpChild *self = NULL;

  if (!mp_boot_check_may_start (error))
    return NULL;
  settings = mp_context_dup_settings (context);
  if (resolve_method (settings, config->name, &method, error))
    self = mp_child_new (settings, method, config, funcs, data, error);
  mp_hub_run_unlocked (free_settings, settings);
  if (self != NULL)
    mp_child_dispatch (self);
  return self;
}

void
mp_child_dispatch (MpChild *self)
{
  MpSettings *settings = self->settings;

  switch (self->method)
    {
    case MP_START_METHOD_FORKSERVER:
      mp_fork_client_request (self);
      break;
    case MP_START_METHOD_FORK:
      mp_child_launch_fork (self);
      break;
    case MP_START_METHOD_SPAWN:
    case MP_START_METHOD_AUTO:
    default:
      /* Never several at once into a program that may not know what to do with a worker. */
      if (!settings->proven && settings->prover != NULL && self->role != MP_ROLE_FORK_SERVER)
        {
          g_queue_push_tail (&settings->waiting, self);
          break;
        }
      if (!settings->proven)
        settings->prover = self;
      mp_child_launch_spawn (self);
    }
}

/* Callbacks from the hub rather than from within a call. */

void
mp_child_announce (MpChild *self)
{
  if (self->announced || self->pid == 0)
    return;
  self->announced = TRUE;
  if (self->funcs.started != NULL)
    self->funcs.started (self, self->data);
}

static void
later_cb (gpointer data)
{
  MpChild *self = data;

  self->later_timer = NULL;
  mp_child_ref (self);
  mp_child_announce (self);
  if (self->process_ended && self->state != MP_CHILD_ENDED)
    mp_child_process_ended (self, self->exit_status);
  mp_child_unref (self);
}

static void
call_later (MpChild *self)
{
  if (self->later_timer == NULL)
    self->later_timer = mp_hub_add_timer (g_get_monotonic_time (), later_cb, self);
}

void
mp_child_end_unstarted (MpChild *self,
                        int      exit_status)
{
  g_queue_remove (&self->settings->waiting, self);
  self->exit_status = exit_status;
  self->process_ended = TRUE;
  self->wire_ended = TRUE;
  mp_child_close_ends (self);
  call_later (self);
}

void
mp_child_launched (MpChild *self,
                   int      pid,
                   int      pidfd)
{
  self->pid = pid;
  self->pidfd = pidfd;
  self->state = MP_CHILD_BOOTING;
  mp_child_close_ends (self);
  /* Not before: a forked process may be ready sooner than the server has told its pid. */
  watch_wire (self);
  mp_stream_watch (&self->err);
  mp_stream_watch (&self->out);
  mp_child_watch_pid (self);
  for (int signum = 1; signum < 64; signum++)
    if ((self->pending_signals & (G_GUINT64_CONSTANT (1) << signum)) != 0)
      mp_platform_signal (pid, pidfd, signum);
  self->pending_signals = 0;
  call_later (self);
}

void
mp_child_launch_failed (MpChild *self,
                        GError  *error)
{
  if (self->error == NULL)
    self->error = error;
  else
    g_error_free (error);
  mp_child_end_unstarted (self, self->exit_status);
}

void
mp_child_release (MpChild *self)
{
  self->state = MP_CHILD_ENDED;
  g_queue_unlink (&all_children, &self->link);
  g_clear_pointer (&self->boot_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->kill_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->reap_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->later_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->wire_timer, mp_hub_remove_timer);
  g_clear_pointer (&self->pid_watch, mp_hub_remove_watch);
  g_clear_pointer (&self->wire_watch, mp_hub_remove_watch);
  mp_stream_close (&self->err);
  mp_stream_close (&self->out);
  mp_child_close_ends (self);
  close_lifeline (self);
  mp_fd_close (&self->pidfd);
  for (guint i = 0; self->sentinels != NULL && i < self->sentinels->len; i++)
    mp_fd_close (&g_array_index (self->sentinels, int, i));
}

/* The wire */

/* Frames that are there, some at most. FALSE: the wire has ended. */
static gboolean
take_frames (MpChild *self,
             guint   *n_frames)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;

  while (!self->wire_ended && *n_frames < MAX_FRAMES && mp_wire_next (self->wire, &frame, &error))
    {
      (*n_frames)++;
      mp_child_handle_frame (self, &frame);
      mp_frame_clear (&frame);
    }
  if (error != NULL)
    {
      g_prefix_error (&error, "%s: ", self->name);
      mp_child_cut_off (self, g_steal_pointer (&error));
    }
  return !self->wire_ended;
}

static void
wire_timer_cb (gpointer data)
{
  MpChild *self = data;

  self->wire_timer = NULL;
  mp_child_ref (self);
  read_on (self);
  mp_child_unref (self);
}

gboolean
mp_child_read_wire (MpChild *self)
{
  guint n_frames = 0;
  gssize n_read;

  do
    {
      n_read = mp_wire_fill (self->wire, FALSE, NULL);
      if (!take_frames (self, &n_frames))
        return FALSE;
      if (self->funcs.drained != NULL && mp_wire_has_ring (self->wire))
        self->funcs.drained (self, self->data);
    }
  while (n_read > 0 && mp_wire_has_ring (self->wire) && n_frames < MAX_FRAMES);

  if (n_read < 0)
    self->wire_ended = TRUE;
  /* One that answers as fast as it is read must not keep others from being heard. It does not ring: it knows that somebody
   * is awake here. */
  else if (n_frames == MAX_FRAMES && self->wire_timer == NULL)
    self->wire_timer = mp_hub_add_timer (g_get_monotonic_time (), wire_timer_cb, self);
  return n_read > 0;
}

static void
update_wire_watch (MpChild *self)
{
  GIOCondition condition = self->wire_ended ? 0 : G_IO_IN;

  if (!self->wire_broken && mp_wire_waits_for_socket (self->wire))
    condition |= G_IO_OUT;
  /* A condition of none would still report the end, again and again. */
  if (self->wire_ended)
    g_clear_pointer (&self->wire_watch, mp_hub_remove_watch);
  else if (self->wire_watch != NULL)
    mp_hub_modify_watch (self->wire_watch, condition);
}

static void
on_wire_end (MpChild *self)
{
  update_wire_watch (self);
  if (self->pid == 0)
    return;
  if (self->pidfd < 0)
    mp_child_watch_pid (self);
  /* A Process may close what it likes and go on; what is not ready or serves a pool is lost without its socket. */
  if (self->stage != MP_STAGE_READY || self->role != MP_ROLE_PROCESS)
    mp_child_kill_after (self, CLOSED_GRACE);
}

static void
end_reading (MpChild *self)
{
  if (self->state == MP_CHILD_ENDED)
    return;
  if (self->wire_ended)
    on_wire_end (self);
  /* For what there was no room in the ring, there may be now. */
  else if (mp_wire_get_pending (self->wire) > 0)
    mp_child_flush (self);
}

static void
read_on (MpChild *self)
{
  mp_child_read_wire (self);
  end_reading (self);
}

static void
on_wire (MpWatch *watch, GIOCondition condition, gpointer data)
{
  MpChild *self = data;

  mp_child_ref (self);
  mp_child_announce (self);
  if ((condition & G_IO_OUT) != 0)
    mp_child_flush (self);
  if ((condition & ~G_IO_OUT) != 0 && !self->wire_ended)
    read_on (self);
  mp_child_unref (self);
}

gboolean
mp_child_look (MpChild *self)
{
  guint n_frames = 0;

  if (self->wire == NULL || self->wire_ended || !mp_wire_has_ring (self->wire))
    return FALSE;
  if (!mp_wire_look (self->wire))
    return TRUE;

  mp_child_ref (self);
  take_frames (self, &n_frames);
  end_reading (self);
  mp_child_unref (self);
  return n_frames > 0;
}

void
mp_child_stop_looking (MpChild *self)
{
  if (self->wire == NULL || self->wire_ended || mp_wire_sleep (self->wire))
    return;

  mp_child_ref (self);
  read_on (self);
  mp_child_unref (self);
}

static void
watch_wire (MpChild *self)
{
  self->wire_watch = mp_hub_add_watch (mp_wire_get_fd (self->wire), G_IO_IN, on_wire, self);
  update_wire_watch (self);
}

void
mp_child_flush (MpChild *self)
{
  if (self->wire_broken || self->wire == NULL)
    return;
  if (!mp_wire_flush (self->wire, NULL))
    self->wire_broken = TRUE;
  update_wire_watch (self);
}

void
mp_child_cut_off (MpChild *self,
                  GError  *error)
{
  self->wire_ended = TRUE;
  if (self->error == NULL)
    self->error = error;
  else
    g_error_free (error);
  update_wire_watch (self);
  mp_child_kill_after (self, 0);
}

int
mp_child_dup_sentinel (MpChild  *self,
                       GError  **error)
{
  int ends[2] = { -1, -1 };
  int fd = -1;

  if (self->pidfd >= 0)
    fd = mp_fd_dup (self->pidfd);
  else if (mp_fd_pipe (ends) == 0)
    {
      fd = ends[0];
      if (self->state == MP_CHILD_ENDED)
        mp_fd_close (&ends[1]);
      else
        {
          if (self->sentinels == NULL)
            self->sentinels = g_array_new (FALSE, FALSE, sizeof (int));
          g_array_append_val (self->sentinels, ends[1]);
        }
    }
  if (fd < 0)
    set_errno_error (error, "cannot make a sentinel");
  return fd;
}

char *
mp_child_describe_end (MpChild *self)
{
  int status = self->exit_status;
  const char *name;

  if (status == MP_EXIT_STATUS_UNKNOWN || status == MP_EXIT_STATUS_RUNNING)
    return g_strdup ("ended, status unknown");
  if (status >= 0)
    return g_strdup_printf ("exited with status %d", status);
  name = sigabbrev_np (-status);
  return name != NULL ? g_strdup_printf ("was killed by signal %d (SIG%s)", -status, name)
                      : g_strdup_printf ("was killed by signal %d", -status);
}

static GVariant *
strings_to_variant (GQueue *strings)
{
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);

  for (GList *l = strings->head; l != NULL; l = l->next)
    g_variant_builder_add (&builder, "s", l->data);
  return g_variant_builder_end (&builder);
}

GVariant *
mp_child_dup_details (MpChild *self)
{
  GVariantDict dict = G_VARIANT_DICT_INIT (NULL);
  int status = self->exit_status;

  g_variant_dict_insert (&dict, "worker", "s", self->name);
  if (self->pid != 0)
    g_variant_dict_insert (&dict, "pid", "i", self->pid);
  if (self->process_ended && status != MP_EXIT_STATUS_UNKNOWN)
    g_variant_dict_insert (&dict, "exit-status", "i", status);
  if (self->process_ended && status < 0 && status > -NSIG)
    g_variant_dict_insert (&dict, "signal", "i", -status);
  if (self->err.last.length > 0)
    g_variant_dict_insert_value (&dict, "stderr", strings_to_variant (&self->err.last));
  if (self->logs.length > 0)
    g_variant_dict_insert_value (&dict, "log", strings_to_variant (&self->logs));
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

guint
mp_child_count (void)
{
  return all_children.length;
}

void
mp_child_close_all_after_fork (void)
{
  int null_fd = mp_fd_open_null ();

  for (GList *l = all_children.head; l != NULL; l = l->next)
    {
      MpChild *child = l->data;

      /* The wire still has this number and may be freed: it must not close another's descriptor then. */
      if (child->wire != NULL && null_fd >= 0)
        dup3 (null_fd, mp_wire_get_fd (child->wire), O_CLOEXEC);
      mp_fd_close (&child->pidfd);
      mp_fd_close (&child->err.fd);
      mp_fd_close (&child->out.fd);
      mp_child_close_ends (child);
      child->lifeline = -1;
      child->state = MP_CHILD_ENDED;
      child->process_ended = child->wire_broken = TRUE;
      child->err.watch = child->out.watch = child->wire_watch = child->pid_watch = NULL;
      child->later_timer = child->boot_timer = child->kill_timer = child->reap_timer = child->wire_timer = NULL;
      mp_child_forget (child);
    }
  g_queue_init (&all_children);
  mp_fd_close (&null_fd);
}
