/* mp-child-boot.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/channel/mp-authkey.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/process/mp-init-private.h"
#include "mp-glib/process/mp-worker-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A worker that has said why it will not work has this long to end by itself. */
#define REFUSAL_GRACE (200 * G_TIME_SPAN_MILLISECOND)
/* A boot timer that fires later than this has not been looked at: the process gets some more time. */
#define LATE_BOOT     (100 * G_TIME_SPAN_MILLISECOND)
#define LEAST_MORE    G_TIME_SPAN_SECOND
#define MOST_MORE     (5 * G_TIME_SPAN_SECOND)
/* What this process takes of a worker's a{sv}. */
#define MAX_PRELOADED 4096

static void
insert_strv (GVariantDict *dict, const char *key, char **strv)
{
  const char * const none[] = { NULL };

  g_variant_dict_insert (dict, key, "^as", strv != NULL ? (const char * const *) strv : none);
}

/* The descriptors that go with SETUP, appended to @fds, and their names: (full). NULL when one is missing: a worker without
 * a board could not tell what it had begun, and that would be run again. */
static GVariant *
collect_fds (MpChild              *self,
             const MpChildConfig  *config,
             int                  *fds,
             guint                *n_fds,
             GError              **error)
{
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);
  gboolean complete = TRUE;
  guint i;

  if (config->board >= 0)
    {
      fds[*n_fds] = mp_fd_dup (config->board);
      g_variant_builder_add (&builder, "s", "board");
      complete = fds[(*n_fds)++] >= 0;
      if (!complete)
        g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot share memory with a worker: %s",
                     g_strerror (errno));
    }
  if (complete && config->ring_size > 0)
    {
      complete = mp_child_make_rings (self, config->ring_size, fds + *n_fds, error);
      g_variant_builder_add (&builder, "s", "to-worker");
      g_variant_builder_add (&builder, "s", "to-owner");
      *n_fds += 2;
    }
  if (!complete)
    {
      for (i = 0; i < *n_fds; i++)
        mp_fd_close (&fds[i]);
      g_variant_builder_clear (&builder);
      return NULL;
    }

  /* There may be none. */
  if (!self->err.to_lines && (fds[*n_fds] = mp_fd_dup (STDERR_FILENO)) >= 0)
    {
      g_variant_builder_add (&builder, "s", "stderr");
      (*n_fds)++;
    }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

static void
insert_key (GVariantDict *dict, GBytes *authkey)
{
  g_autoptr(GBytes) key = authkey != NULL ? g_bytes_ref (authkey) : mp_get_authkey ();

  g_variant_dict_insert_value (dict, "authkey", g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE,
                                                                           g_bytes_get_data (key, NULL),
                                                                           g_bytes_get_size (key), 1));
}

static GVariant *
make_setup (MpChild *self, const MpChildConfig *config, GVariant *fd_names)
{
  MpSettings *settings = self->settings;
  MpWorker *worker = mp_worker_get ();
  g_autofree char *cwd = g_get_current_dir ();
  GVariantDict dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "role", "u", (guint) config->role);
  g_variant_dict_insert (&dict, "name", "s", config->name);
  g_variant_dict_insert (&dict, "number", "u", config->number);
  g_variant_dict_insert (&dict, "cpus", "u", config->cpu_budget > 0 ? config->cpu_budget : mp_init_get_cpu_budget ());
  g_variant_dict_insert (&dict, "daemon", "b", config->daemon);
  g_variant_dict_insert (&dict, "parent-pid", "i", (int) getpid ());
  g_variant_dict_insert (&dict, "parent-name", "s", worker != NULL ? worker->name : "MainProcess");
  g_variant_dict_insert (&dict, "cwd", "^ay", cwd);
  insert_strv (&dict, "preload", settings->preload);
  insert_strv (&dict, "argv", settings->worker_argv);
  if (settings->boot_data != NULL)
    g_variant_dict_insert_value (&dict, "boot-data", settings->boot_data);
  g_variant_dict_insert (&dict, "stderr", "u", (guint) settings->stderr_mode);
  g_variant_dict_insert (&dict, "start-method", "u", (guint) settings->start_method);
  g_variant_dict_insert_value (&dict, "fds", fd_names);
  insert_key (&dict, config->authkey);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

gboolean
mp_child_queue_setup (MpChild              *self,
                      const MpChildConfig  *config,
                      GError              **error)
{
  g_autoptr(GVariant) setup = NULL;
  g_autoptr(GVariant) fd_names = NULL;
  MpEncoded encoded;
  int fds[4];
  guint n_fds = 0;

  fd_names = collect_fds (self, config, fds, &n_fds, error);
  if (fd_names == NULL)
    return FALSE;
  setup = make_setup (self, config, fd_names);
  /* Without handles and of a small type, a value can always be encoded. */
  if (!mp_value_encode (setup, &encoded, NULL))
    g_return_val_if_reached (TRUE);
  mp_wire_queue (self->wire, MP_FRAME_SETUP, 0, encoded.pieces, encoded.n_pieces, fds, n_fds);
  mp_encoded_clear (&encoded);
  return TRUE;
}

/* What it says of itself */

static gboolean
cut_off (MpChild *self, const char *what)
{
  mp_child_cut_off (self, g_error_new (MP_ERROR, MP_ERROR_PROTOCOL, "%s %s", self->name, what));
  return FALSE;
}

static gboolean
refuse (MpChild *self, GError *error)
{
  mp_child_cut_off (self, error);
  return FALSE;
}

static gboolean
check_identity (MpChild *self, guint version, int pid)
{
  if (version != MP_PROTOCOL_VERSION)
    return refuse (self, g_error_new (MP_ERROR, MP_ERROR_WORKER_START,
                                      "%s has loaded another version of the library than this process; was it "
                                      "replaced since?", self->name));
  if (pid != self->pid)
    return refuse (self, g_error_new (MP_ERROR, MP_ERROR_WORKER_START,
                                      "%s says that it is process %d, but process %d was started", self->name, pid,
                                      self->pid));
  return TRUE;
}

static gboolean
handle_loaded (MpChild *self, MpFrame *frame)
{
  guint32 pid;

  if (self->stage != MP_STAGE_NONE || self->method != MP_START_METHOD_SPAWN || frame->size != 2 * sizeof pid)
    return cut_off (self, "sent LOADED at the wrong time");
  memcpy (&pid, frame->data, sizeof pid);
  if (!check_identity (self, frame->tag, (int) pid))
    return FALSE;
  self->stage = MP_STAGE_LOADED;
  return TRUE;
}

static GVariant *
get_dict (MpFrame *frame)
{
  GVariant *value = mp_frame_get_value (frame, 0, NULL, NULL);

  if (value != NULL && !g_variant_is_of_type (value, G_VARIANT_TYPE_VARDICT))
    g_clear_pointer (&value, g_variant_unref);
  return value;
}

static gboolean
handle_hello (MpChild *self, MpFrame *frame)
{
  g_autoptr(GVariant) value = get_dict (frame);
  guint version = 0;
  int pid = 0;

  if (self->stage != MP_STAGE_LOADED || value == NULL ||
      !g_variant_lookup (value, "version", "u", &version) || !g_variant_lookup (value, "pid", "i", &pid))
    return cut_off (self, "sent a bad HELLO");
  if (!check_identity (self, version, pid))
    return FALSE;
  self->stage = MP_STAGE_HELLO;
  return TRUE;
}

static void
keep_preloaded (MpChild *self, GVariant *value)
{
  g_autoptr(GVariant) names = g_variant_lookup_value (value, "preloaded", G_VARIANT_TYPE_STRING_ARRAY);

  if (names == NULL || g_variant_n_children (names) > MAX_PRELOADED || self->method != MP_START_METHOD_SPAWN)
    return;
  g_strfreev (self->settings->preloaded);
  self->settings->preloaded = g_variant_dup_strv (names, NULL);
}

static gboolean
handle_ready (MpChild *self, MpFrame *frame)
{
  g_autoptr(GVariant) value = get_dict (frame);
  MpStage expected = self->method == MP_START_METHOD_SPAWN ? MP_STAGE_HELLO : MP_STAGE_NONE;
  int pid = 0;

  if (self->stage != expected || value == NULL || !g_variant_lookup (value, "pid", "i", &pid))
    return cut_off (self, "sent a bad READY");
  if (!check_identity (self, MP_PROTOCOL_VERSION, pid))
    return FALSE;

  self->stage = MP_STAGE_READY;
  self->state = MP_CHILD_READY;
  g_clear_pointer (&self->boot_timer, mp_hub_remove_timer);
  mp_wire_set_max_length (self->wire, MP_MAX_FRAME);
  keep_preloaded (self, value);
  if (self->has_rings)
    mp_wire_use_ring (self->wire);
  mp_stream_read (&self->err, FALSE);
  mp_stream_release (&self->err);
  mp_child_proven (self);
  if (self->funcs.ready != NULL)
    self->funcs.ready (self, self->data);
  mp_hub_changed ();
  return TRUE;
}

static gboolean
handle_boot_error (MpChild *self, MpFrame *frame)
{
  g_autoptr(GVariant) value = mp_frame_get_value (frame, 0, NULL, NULL);
  g_autoptr(GError) cause = NULL;
  GError *error;

  if (self->state != MP_CHILD_BOOTING || value == NULL)
    return cut_off (self, "sent a bad BOOT_ERROR");
  cause = mp_error_from_variant (value, NULL);
  error = g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "%s could not start: %s", self->name, cause->message);
  if (g_error_matches (cause, MP_ERROR, MP_ERROR_NOT_INITIALIZED) ||
      g_error_matches (cause, MP_ERROR, MP_ERROR_UNSAFE_FORK))
    error->code = cause->code;
  if (self->error == NULL)
    self->error = error;
  else
    g_error_free (error);
  mp_child_kill_after (self, REFUSAL_GRACE);
  return TRUE;
}

static gboolean
handle_log (MpChild *self, MpFrame *frame)
{
  g_autoptr(GVariant) value = mp_frame_get_value (frame, 0, NULL, NULL);

  if (value == NULL || !g_variant_is_of_type (value, G_VARIANT_TYPE ("a{ss}")))
    return cut_off (self, "sent a bad log record");
  mp_child_handle_log (self, value);
  return TRUE;
}

gboolean
mp_child_handle_frame (MpChild *self,
                       MpFrame *frame)
{
  gboolean is_server = self->role == MP_ROLE_FORK_SERVER;

  switch ((MpFrameKind) frame->kind)
    {
    case MP_FRAME_LOADED:
      return handle_loaded (self, frame);
    case MP_FRAME_HELLO:
      return handle_hello (self, frame);
    case MP_FRAME_READY:
      return handle_ready (self, frame);
    case MP_FRAME_BOOT_ERROR:
      return handle_boot_error (self, frame);
    case MP_FRAME_LOG:
      return handle_log (self, frame);
    case MP_FRAME_RESULT:
    case MP_FRAME_ERROR:
    case MP_FRAME_PROGRESS:
      if (self->stage != MP_STAGE_READY || is_server)
        return cut_off (self, "answered before it was ready");
      break;
    case MP_FRAME_FORKED:
    case MP_FRAME_FORK_FAILED:
    case MP_FRAME_EXITED:
      if (self->stage != MP_STAGE_READY || !is_server)
        return cut_off (self, "is no fork server, and speaks as one");
      break;
    case MP_FRAME_SETUP:
    case MP_FRAME_RUN:
    case MP_FRAME_DEFINE:
    case MP_FRAME_TASK:
    case MP_FRAME_END:
    case MP_FRAME_FORK:
    default:
      return cut_off (self, "sent a frame of an unknown kind");
    }
  if (self->funcs.frame != NULL)
    self->funcs.frame (self, frame, self->data);
  return !self->wire_ended;
}

/* Time */

static void
boot_timeout_cb (gpointer data)
{
  MpChild *self = data;
  gint64 timeout = self->settings->boot_timeout;
  GError *error;

  self->boot_timer = NULL;
  /* Nobody has turned the hub for a while: what the process said may lie there unread, or it may have waited for us. */
  if (!self->late_boot && g_get_monotonic_time () > self->boot_due + LATE_BOOT)
    {
      self->late_boot = TRUE;
      self->boot_timer = mp_hub_add_timer (g_get_monotonic_time () + CLAMP (timeout, LEAST_MORE, MOST_MORE),
                                           boot_timeout_cb, self);
      return;
    }
  error = g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "%s did not %s within %" G_GINT64_FORMAT " ms (%s)", self->name,
                       self->stage < MP_STAGE_HELLO && self->method == MP_START_METHOD_SPAWN ? "reach mp_init()"
                                                                                              : "get ready",
                       timeout / 1000,
                       self->stage == MP_STAGE_NONE && self->method == MP_START_METHOD_SPAWN
                         ? "it has not loaded the library" : "it has loaded the library");
  mp_child_cut_off (self, error);
}

void
mp_child_start_boot_timer (MpChild *self)
{
  if (self->settings->boot_timeout < 0 || self->boot_timer != NULL)
    return;
  self->boot_due = g_get_monotonic_time () + MIN (self->settings->boot_timeout, G_MAXINT64 / 4);
  self->boot_timer = mp_hub_add_timer (self->boot_due, boot_timeout_cb, self);
}

/* Causes */

GError *
mp_child_make_boot_error (MpChild *self)
{
  g_autofree char *end = mp_child_describe_end (self);
  const char *when = "while it was being set up";

  if (self->method == MP_START_METHOD_SPAWN && self->stage == MP_STAGE_NONE)
    when = "before it loaded the library";
  else if (self->method == MP_START_METHOD_SPAWN && self->stage == MP_STAGE_LOADED)
    when = "before it called mp_init()";
  return g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "%s %s %s", self->name, end, when);
}

void
mp_child_complete_error (MpChild  *self,
                         GError  **error)
{
  g_autoptr(GVariant) details = mp_child_dup_details (self);
  g_autoptr(GVariant) known = mp_error_dup_details (*error);

  /* That of the worker that had to prove the program, for one that only waited for it. */
  if (self->pid == 0 && known != NULL)
    return;
  if (self->stage != MP_STAGE_READY && self->err.last.length > 0)
    {
      GString *text = g_string_new ("; the last it wrote:");

      for (GList *l = self->err.last.head; l != NULL; l = l->next)
        g_string_append_printf (text, "\n  %s", (const char *) l->data);
      g_string_prepend (text, (*error)->message);
      g_free ((*error)->message);
      (*error)->message = g_string_free (text, FALSE);
    }
  mp_error_attach_details (*error, details);
}
