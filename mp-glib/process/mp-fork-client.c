/* mp-fork-client.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-fork-client-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-child-impl-private.h"
#include "mp-glib/process/mp-process.h"
#include "mp-glib/process/mp-worker-private.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

struct _MpForkClient
{
  int         ref_count;
  MpSettings *settings;    /* (nullable) borrowed: those that it belongs to, as long as they know it */
  MpChild    *server;      /* (owned) (nullable): NULL when it has ended */
  gboolean    ready;
  GQueue      pending;     /* (element-type MpChild) borrowed: wait until the server is ready */
  GHashTable *requests;    /* (element-type guint32 MpChild) borrowed: asked for, not answered; NULL: given up since */
  GHashTable *children;    /* (element-type pid MpChild) borrowed: alive */
  guint32     last_request;
};

MpForkClient *
mp_fork_client_ref (MpForkClient *self)
{
  self->ref_count++;
  return self;
}

void
mp_fork_client_unref (MpForkClient *self)
{
  if (--self->ref_count > 0)
    return;
  g_clear_pointer (&self->server, mp_child_unref);
  g_hash_table_unref (self->requests);
  g_hash_table_unref (self->children);
  g_free (self);
}

gboolean
mp_fork_client_is_alive (MpForkClient *self)
{
  return self->server != NULL;
}

static void
send_request (MpForkClient *self, MpChild *child)
{
  MpForkLead lead = { 0, 0 };
  MpPiece piece = { &lead, sizeof lead, NULL };
  int *ends[] = { &child->ends.socket, &child->ends.lifeline, &child->ends.stderr_fd, &child->ends.stdout_fd };
  const guint32 flags[] = { 0, MP_FORK_LIFELINE, MP_FORK_STDERR, MP_FORK_STDOUT };
  int fds[G_N_ELEMENTS (ends)];
  guint n_fds = 0;

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    if (*ends[i] >= 0)
      {
        lead.flags |= flags[i];
        fds[n_fds++] = *ends[i];
        *ends[i] = -1;   /* the wire closes it once it is sent */
      }
  if (child->own_group)
    lead.flags |= MP_FORK_OWN_GROUP;
  child->state = MP_CHILD_BOOTING;
  child->request = ++self->last_request;
  g_hash_table_insert (self->requests, GUINT_TO_POINTER (child->request), child);
  mp_wire_queue (mp_child_get_wire (self->server), MP_FRAME_FORK, child->request, &piece, 1, fds, n_fds);
  mp_child_flush (self->server);
  mp_child_start_boot_timer (child);
}

static void
on_server_ready (MpChild *server, gpointer data)
{
  MpForkClient *self = data;
  MpChild *child;

  self->ready = TRUE;
  if (self->settings != NULL)
    {
      self->settings->proven = TRUE;
      g_strfreev (self->settings->preloaded);
      self->settings->preloaded = g_strdupv (server->settings->preloaded);
    }
  while ((child = g_queue_pop_head (&self->pending)) != NULL)
    send_request (self, child);
}

static gboolean
cut_off (MpForkClient *self)
{
  mp_child_cut_off (self->server, g_error_new_literal (MP_ERROR, MP_ERROR_PROTOCOL,
                                                       "the fork server sent a bad frame"));
  return FALSE;
}

/* The child that an answer is for; NULL: it was given up. FALSE: nothing of the kind was asked for, the server has been
 * cut off. */
static gboolean
take_request (MpForkClient *self, MpFrame *frame, MpChild **child)
{
  if (g_hash_table_steal_extended (self->requests, GUINT_TO_POINTER (frame->tag), NULL, (gpointer *) child))
    return TRUE;
  return cut_off (self);
}

/* Two numbers: a pid, and what goes with it. FALSE: it has been cut off. */
static gboolean
read_pair (MpForkClient *self, MpFrame *frame, int pair[2])
{
  if (frame->size == 2 * sizeof (gint32))
    {
      memcpy (pair, frame->data, frame->size);
      if (pair[0] > 1 && pair[0] != getpid ())
        return TRUE;
    }
  return cut_off (self);
}

static void
on_forked (MpForkClient *self, MpFrame *frame)
{
  MpChild *child;
  int pidfd = -1;
  int pair[2];

  if (!read_pair (self, frame, pair) || !take_request (self, frame, &child))
    return;
  if (frame->n_fds > 0)
    pidfd = frame->fds[0];
  if (child == NULL)
    {
      mp_platform_signal (pair[0], pidfd, SIGKILL);   /* it was given up */
      return;
    }
  if (frame->n_fds > 0)
    frame->fds[0] = -1;
  g_hash_table_insert (self->children, GINT_TO_POINTER (pair[0]), child);
  mp_child_launched (child, pair[0], pidfd);
}

static void
on_fork_failed (MpForkClient *self, MpFrame *frame)
{
  g_autoptr(GVariant) value = mp_frame_get_value (frame, 0, NULL, NULL);
  g_autoptr(GError) cause = NULL;
  MpChild *child;

  if (value == NULL)
    cut_off (self);
  if (value == NULL || !take_request (self, frame, &child) || child == NULL)
    return;
  cause = mp_error_from_variant (value, NULL);
  mp_child_launch_failed (child, g_error_new (MP_ERROR, g_error_matches (cause, MP_ERROR, MP_ERROR_UNSAFE_FORK)
                                                          ? MP_ERROR_UNSAFE_FORK : MP_ERROR_WORKER_START,
                                              "%s could not be forked: %s", child->name, cause->message));
}

static void
on_exited (MpForkClient *self, MpFrame *frame)
{
  MpChild *child;
  int pair[2];

  if (!read_pair (self, frame, pair))
    return;
  child = g_hash_table_lookup (self->children, GINT_TO_POINTER (pair[0]));
  g_hash_table_remove (self->children, GINT_TO_POINTER (pair[0]));
  if (child != NULL)
    mp_child_process_ended (child, pair[1] > -NSIG && pair[1] <= 255 ? pair[1] : MP_EXIT_STATUS_UNKNOWN);
}

static void
on_server_frame (MpChild *server, MpFrame *frame, gpointer data)
{
  MpForkClient *self = data;

  mp_fork_client_ref (self);
  if (frame->kind == MP_FRAME_FORKED)
    on_forked (self, frame);
  else if (frame->kind == MP_FRAME_FORK_FAILED)
    on_fork_failed (self, frame);
  else if (frame->kind == MP_FRAME_EXITED)
    on_exited (self, frame);
  mp_fork_client_unref (self);
}

/* AUTO means: by a fork server where that is safe. */
static gboolean
fall_back (MpForkClient *self, const GError *error)
{
  MpSettings *settings = self->settings;
  MpChild *child;

  if (settings == NULL || settings->start_method != MP_START_METHOD_AUTO ||
      !g_error_matches (error, MP_ERROR, MP_ERROR_UNSAFE_FORK))
    return FALSE;
  settings->no_fork_server = TRUE;
  settings->proven = TRUE;   /* it came to mp_init() */
  while ((child = g_queue_pop_head (&self->pending)) != NULL)
    {
      g_clear_pointer (&child->fork_client, mp_fork_client_unref);
      child->method = MP_START_METHOD_SPAWN;
      mp_child_dispatch (child);
    }
  return TRUE;
}

static void
fail_request (MpChild *server, MpChild *child, const GError *error)
{
  g_autoptr(GVariant) details = NULL;
  g_autofree char *end = NULL;
  GError *own;

  if (error != NULL)
    {
      mp_child_launch_failed (child, g_error_copy (error));
      return;
    }
  end = mp_child_describe_end (server);
  own = g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "%s could not be started: the fork server %s", child->name, end);
  /* Those of the server: a kill from outside is no proof against the program. */
  details = mp_child_dup_details (server);
  mp_error_attach_details (own, details);
  mp_child_launch_failed (child, own);
}

static void
on_server_ended (MpChild *server, const GError *error, gpointer data)
{
  MpForkClient *self = data;
  g_autoptr(GList) requests = g_hash_table_get_values (self->requests);
  g_autoptr(GList) children = g_hash_table_get_values (self->children);
  MpChild *child;

  mp_fork_client_ref (self);
  g_clear_pointer (&self->server, mp_child_unref);
  g_hash_table_remove_all (self->requests);
  g_hash_table_remove_all (self->children);
  if (!fall_back (self, error))
    while ((child = g_queue_pop_head (&self->pending)) != NULL)
      fail_request (server, child, error);
  for (GList *l = requests; l != NULL; l = l->next)
    fail_request (server, l->data, error);
  /* They live on; how they will end, nobody can tell. */
  for (GList *l = children; l != NULL; l = l->next)
    mp_child_lost_reaper (l->data);
  if (self->settings != NULL && self->settings->fork_client == self)
    {
      self->settings->fork_client = NULL;
      mp_fork_client_unref (self);
    }
  mp_fork_client_unref (self);
}

static MpForkClient *
fork_client_new (MpSettings *settings, GError **error)
{
  static const MpChildFuncs funcs = {
    .ready = on_server_ready,
    .frame = on_server_frame,
    .ended = on_server_ended,
  };
  MpChildConfig config = { .role = MP_ROLE_FORK_SERVER, .name = "fork server", .own_group = TRUE, .board = -1 };
  MpWorker *worker = mp_worker_get ();
  MpForkClient *self = g_new0 (MpForkClient, 1);
  MpSettings *copy = mp_settings_copy (settings);

  /* It may outlive every other context. In a forked worker the default one is not this process's own. */
  config.context = worker != NULL ? worker->context : g_main_context_default ();
  self->ref_count = 1;
  self->settings = settings;
  g_queue_init (&self->pending);
  self->requests = g_hash_table_new (NULL, NULL);
  self->children = g_hash_table_new (NULL, NULL);
  /* Its own copy: the settings own their server, and must go when the last process of theirs has. */
  self->server = mp_child_new (copy, MP_START_METHOD_SPAWN, &config, &funcs, self, error);
  mp_hub_run_unlocked ((GDestroyNotify) mp_settings_unref, copy);
  if (self->server != NULL)
    mp_child_dispatch (self->server);
  else
    g_clear_pointer (&self, mp_fork_client_unref);
  return self;
}

void
mp_fork_client_request (MpChild *child)
{
  MpSettings *settings = child->settings;
  GError *error = NULL;

  if (settings->fork_client == NULL)
    settings->fork_client = fork_client_new (settings, &error);
  if (settings->fork_client == NULL)
    {
      mp_child_launch_failed (child, error);
      return;
    }
  child->fork_client = mp_fork_client_ref (settings->fork_client);
  if (child->fork_client->ready)
    send_request (child->fork_client, child);
  else
    g_queue_push_tail (&child->fork_client->pending, child);
}

gboolean
mp_fork_client_cancel (MpForkClient *self,
                       MpChild      *child)
{
  return g_queue_remove (&self->pending, child);
}

void
mp_fork_client_drop (MpForkClient *self,
                     MpChild      *child)
{
  g_queue_remove (&self->pending, child);
  if (child->request != 0 && g_hash_table_contains (self->requests, GUINT_TO_POINTER (child->request)))
    g_hash_table_insert (self->requests, GUINT_TO_POINTER (child->request), NULL);
  if (child->pid != 0 && g_hash_table_lookup (self->children, GINT_TO_POINTER (child->pid)) == child)
    g_hash_table_remove (self->children, GINT_TO_POINTER (child->pid));
}

void
mp_fork_client_retire (MpForkClient *self)
{
  MpChild *server = g_steal_pointer (&self->server);

  self->settings = NULL;
  if (server != NULL)
    {
      mp_child_forget (server);
      mp_wire_queue (mp_child_get_wire (server), MP_FRAME_END, 0, NULL, 0, NULL, 0);
      mp_child_flush (server);
      mp_child_unref (server);
    }
  mp_fork_client_unref (self);
}
