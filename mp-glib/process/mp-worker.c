/* mp-worker.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-worker-private.h"

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/channel/mp-authkey.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-boot-private.h"
#include "mp-glib/process/mp-child-impl-private.h"
#include "mp-glib/process/mp-init-private.h"
#include "mp-glib/process/mp-process-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static MpWorker *current;   /* (owned) (nullable) */

MpWorker *
mp_worker_get (void)
{
  return current;
}

static gboolean
send_value (MpWorker *self, MpFrameKind kind, GVariant *value)
{
  MpEncoded encoded;

  if (!mp_value_encode (value, &encoded, NULL))
    return FALSE;
  mp_wire_queue_value (self->wire, kind, 0, NULL, 0, &encoded);
  mp_encoded_clear (&encoded);
  return mp_wire_flush_blocking (self->wire, NULL);
}

static void
send_hello (MpWorker *self)
{
  g_auto(GStrv) threads = mp_platform_list_threads ();
  const char * const unknown[] = { "unknown", NULL };
  GVariantDict dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "pid", "i", (int) getpid ());
  g_variant_dict_insert (&dict, "version", "u", (guint) MP_PROTOCOL_VERSION);
  g_variant_dict_insert (&dict, "threads", "^as", threads != NULL ? (const char * const *) threads : unknown);
  send_value (self, MP_FRAME_HELLO, g_variant_dict_end (&dict));
}

static void
send_ready (MpWorker *self)
{
  const char * const none[] = { NULL };
  GVariantDict dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "pid", "i", (int) getpid ());
  g_variant_dict_insert (&dict, "preloaded", "^as",
                         self->preloaded != NULL ? (const char * const *) self->preloaded : none);
  send_value (self, MP_FRAME_READY, g_variant_dict_end (&dict));
}

/* What to do has been there since before this process was. FALSE: the owner has gone, or does not speak as one. */
static gboolean
receive_setup (MpWorker *self, MpFrame *frame)
{
  g_autoptr(GError) error = NULL;

  while (!mp_wire_next (self->wire, frame, &error))
    if (error != NULL || mp_wire_fill (self->wire, TRUE, NULL) < 0)
      return FALSE;
  if (frame->kind == MP_FRAME_SETUP)
    self->setup = mp_frame_get_value (frame, 0, NULL, NULL);
  return self->setup != NULL && g_variant_is_of_type (self->setup, G_VARIANT_TYPE_VARDICT);
}

static gboolean
adopt_ring (MpRing **ring, int *fd, MpRingEnd end)
{
  *ring = mp_ring_adopt (g_steal_fd (fd), NULL);
  if (*ring == NULL || !mp_ring_take_end (*ring, end, NULL))
    return FALSE;
  mp_ring_close_fd (*ring);
  return TRUE;
}

/* FALSE: some have not come, or are of no use. */
static gboolean
take_descriptors (MpWorker *self, MpFrame *frame, int *stderr_fd, GError **error)
{
  g_autofree const char **names = NULL;
  gboolean good = !frame->fds_lost;
  MpRing *in = NULL, *out = NULL;

  if (!g_variant_lookup (self->setup, "fds", "^a&s", &names))
    return TRUE;
  for (guint i = 0; i < frame->n_fds && names[i] != NULL; i++)
    {
      if (strcmp (names[i], "stderr") == 0 && *stderr_fd < 0)
        *stderr_fd = g_steal_fd (&frame->fds[i]);
      else if (strcmp (names[i], "board") == 0 && self->board == NULL)
        {
          self->board = mp_fd_map_memory_file (frame->fds[i], sizeof (MpBoard));
          good = good && self->board != NULL;
        }
      else if (strcmp (names[i], "to-worker") == 0 && in == NULL)
        good = adopt_ring (&in, &frame->fds[i], MP_RING_READER) && good;
      else if (strcmp (names[i], "to-owner") == 0 && out == NULL)
        good = adopt_ring (&out, &frame->fds[i], MP_RING_WRITER) && good;
    }
  if (in != NULL && out != NULL && good)
    {
      mp_wire_take_rings (self->wire, in, out);
      self->has_rings = TRUE;
    }
  else
    {
      good = good && in == NULL && out == NULL;
      g_clear_pointer (&in, mp_ring_free);
      g_clear_pointer (&out, mp_ring_free);
    }
  if (!good)
    g_set_error_literal (error, MP_ERROR, MP_ERROR_WORKER_START,
                         "it could not take the descriptors that were sent to it");
  return good;
}

static void
take_key (GVariant *setup)
{
  g_autoptr(GVariant) value = g_variant_lookup_value (setup, "authkey", G_VARIANT_TYPE_BYTESTRING);
  g_autoptr(GBytes) key = value != NULL ? g_variant_get_data_as_bytes (value) : NULL;

  if (key != NULL && g_bytes_get_size (key) > 0)
    mp_set_authkey (key);
}

static void
apply_setup (MpWorker *self)
{
  g_autofree char *cwd = NULL;
  g_autofree char *here = g_get_current_dir ();
  guint role = 0, n_cpus = 0;

  g_variant_lookup (self->setup, "role", "u", &role);
  self->role = role <= MP_ROLE_FORK_SERVER ? (MpRole) role : MP_ROLE_PROCESS;
  g_variant_lookup (self->setup, "name", "s", &self->name);
  if (self->name == NULL)
    self->name = g_strdup ("worker");
  g_variant_lookup (self->setup, "number", "u", &self->number);
  g_variant_lookup (self->setup, "cpus", "u", &n_cpus);
  take_key (self->setup);
  mp_init_set_cpu_budget (n_cpus, self->board != NULL ? &self->board->n_cpus : NULL);
  /* The command line had to be run where the owner's was; what follows happens where the owner is now. */
  if (g_variant_lookup (self->setup, "cwd", "^ay", &cwd) && strcmp (cwd, here) != 0 && chdir (cwd) < 0)
    g_debug ("cannot enter the owner's directory “%s”", cwd);
}

/* Executed by descriptor, a process is called "exe" by those who list processes. */
static void
mend_name (void)
{
  g_autofree char *path = mp_platform_exe_path ();
  g_autofree char *name = NULL;
  g_autofree char *comm = NULL;

  if (path == NULL || !g_file_get_contents ("/proc/self/comm", &comm, NULL, NULL) || strcmp (comm, "exe\n") != 0)
    return;
  if (g_str_has_suffix (path, " (deleted)"))
    path[strlen (path) - strlen (" (deleted)")] = '\0';
  name = g_path_get_basename (path);
  mp_platform_set_comm (name);
}

/* From the pipe to the owner's own, once nothing that is printed belongs to the start any more. */
static void
switch_stderr (int *stderr_fd)
{
  if (*stderr_fd < 0)
    return;
  fflush (stderr);
  dup2 (*stderr_fd, STDERR_FILENO);
  mp_fd_close (stderr_fd);
}

static gboolean
get_ready (MpWorker *self, gboolean from_server, GError **error)
{
  GError *refusal;

  if (!from_server)
    {
      self->preloaded = mp_worker_preload (self->setup, error);
      if (self->preloaded == NULL)
        return FALSE;
    }
  if (self->role != MP_ROLE_FORK_SERVER)
    return TRUE;
  refusal = mp_launch_check_threads (NULL);
  if (refusal == NULL)
    return TRUE;
  g_propagate_error (error, refusal);
  return FALSE;
}

static int
serve (MpWorker *self)
{
  switch (self->role)
    {
    case MP_ROLE_POOL_WORKER:
      return mp_worker_serve_tasks (self);
    case MP_ROLE_FORK_SERVER:
      return mp_worker_serve_forks (self);
    case MP_ROLE_PROCESS:
    default:
      return mp_worker_run_process (self);
    }
}

int
mp_worker_run (MpWire   *wire,
               gboolean  forked)
{
  MpWorker *self = g_new0 (MpWorker, 1);
  gboolean from_server = current != NULL && current->role == MP_ROLE_FORK_SERVER;
  g_autoptr(GError) error = NULL;
  MpFrame frame = { 0 };
  int stderr_fd = -1;
  gboolean complete;
  int status;

  self->wire = wire;
  self->forked = forked;
  self->context = forked ? g_main_context_ref_thread_default () : g_main_context_ref (g_main_context_default ());
  if (from_server)
    self->preloaded = g_strdupv (current->preloaded);
  current = self;
  if (!forked)
    send_hello (self);
  if (!receive_setup (self, &frame))
    {
      mp_frame_clear (&frame);
      return EXIT_FAILURE;
    }
  complete = take_descriptors (self, &frame, &stderr_fd, &error);
  mp_frame_clear (&frame);
  apply_setup (self);
  if (!forked)
    mend_name ();
  mp_worker_log_install (self);

  if (!complete || !get_ready (self, from_server, &error))
    {
      mp_boot_send_error (error);
      return EXIT_FAILURE;
    }
  switch_stderr (&stderr_fd);
  mp_boot_get ()->booting = FALSE;
  send_ready (self);
  if (self->has_rings)
    mp_wire_use_ring (self->wire);
  status = serve (self);
  /* What its function was given and has returned from it is done with; one that has failed leaves others waiting. */
  if (status == EXIT_SUCCESS)
    mp_slot_retire_all ();
  mp_worker_log_flush (self);
  mp_wire_flush_blocking (self->wire, NULL);
  return status;
}

static void
put_at (int fd, int number)
{
  if (fd < 0)
    return;
  dup2 (fd, number);
  close (fd);
}

void
mp_worker_forked_by_host (void)
{
  if (mp_init_is_forking ())
    return;
  mp_child_close_all_after_fork ();
  mp_process_reset_after_fork ();
}

void
mp_worker_run_forked (const MpForkedEnds *ends)
{
  MpBoot *boot = mp_boot_get ();
  GMainContext *context;

  mp_hub_reset_after_fork ();
  mp_context_reset_after_fork ();
  mp_process_reset_after_fork ();
  mp_platform_reseed ();
  if (ends->lifeline >= 0)
    mp_platform_lifeline_arm (ends->lifeline);
  if (ends->group >= 0)
    setpgid (0, ends->group);
  put_at (mp_fd_open_null (), STDIN_FILENO);
  put_at (ends->stdout_fd, STDOUT_FILENO);
  put_at (ends->stderr_fd, STDERR_FILENO);

  boot->mark = MP_MARK_WORKER;
  boot->booting = TRUE;
  boot->lifeline = ends->lifeline;
  boot->wire = mp_wire_new (ends->socket, MP_MAX_FRAME);
  /* Never the default context: that is shared with the process it came from, down to the descriptor that wakes it. */
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  g_main_context_unref (context);
  mp_init_exit_forked (mp_worker_run (boot->wire, TRUE));
}
