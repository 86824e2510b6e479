/* mp-fork-server.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-worker-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-boot-private.h"
#include "mp-glib/process/mp-child-impl-private.h"
#include "mp-glib/process/mp-init-private.h"
#include "mp-glib/process/mp-process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Without pidfds: how often to look for children that have ended (µs). */
#define LOOK_INTERVAL (20 * G_TIME_SPAN_MILLISECOND)

typedef struct
{
  int pid;
  int pidfd;   /* -1: none */
} Served;

typedef struct
{
  MpWorker *worker;
  GArray   *children;      /* (element-type Served) */
  GArray   *pollfds;       /* (element-type GPollFD): the wire, then one for each child */
  gboolean  no_pidfds;
  gboolean  ending;        /* no more will be asked for */
  int       owner_group;   /* whose terminal signals its children share */
} Server;

static void
queue_pair (Server *self, MpFrameKind kind, guint32 tag, int first, int second, int fd)
{
  const gint32 pair[2] = { first, second };
  MpPiece piece = { pair, sizeof pair, NULL };

  mp_wire_queue (self->worker->wire, kind, tag, &piece, 1, &fd, fd >= 0 ? 1 : 0);
}

static void
queue_failure (Server *self, guint32 tag, GError *error)
{
  g_autoptr(GVariant) value = mp_error_to_variant (error, NULL);
  MpEncoded encoded;

  if (mp_value_encode (value, &encoded, NULL))
    {
      mp_wire_queue_value (self->worker->wire, MP_FRAME_FORK_FAILED, tag, NULL, 0, &encoded);
      mp_encoded_clear (&encoded);
    }
  g_error_free (error);
}

/* The child: lets go of all that is the server's, then begins anew. */
static void
become_worker (Server *self, MpFrame *frame, const MpForkedEnds *ends)
{
  MpForkedEnds own = *ends;

  for (guint i = 0; i < frame->n_fds; i++)
    frame->fds[i] = -1;
  close (mp_wire_get_fd (self->worker->wire));
  if (mp_boot_get ()->lifeline >= 0)
    close (mp_boot_get ()->lifeline);
  for (guint i = 0; i < self->children->len; i++)
    if (g_array_index (self->children, Served, i).pidfd >= 0)
      close (g_array_index (self->children, Served, i).pidfd);
  mp_worker_run_forked (&own);
}

/* The descriptors beside a request, as its lead tells them. FALSE: they do not agree. */
static gboolean
read_ends (Server *self, MpFrame *frame, MpForkedEnds *ends)
{
  const guint32 flags[] = { MP_FORK_LIFELINE, MP_FORK_STDERR, MP_FORK_STDOUT };
  int *places[] = { &ends->lifeline, &ends->stderr_fd, &ends->stdout_fd };
  MpForkLead lead;
  guint n = 0;

  *ends = (MpForkedEnds) { -1, -1, -1, -1, -1 };
  if (frame->size != sizeof lead || frame->n_fds == 0)
    return FALSE;
  memcpy (&lead, frame->data, sizeof lead);
  ends->socket = frame->fds[n++];
  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    if ((lead.flags & flags[i]) != 0)
      {
        if (n == frame->n_fds)
          return FALSE;
        *places[i] = frame->fds[n++];
      }
  ends->group = (lead.flags & MP_FORK_OWN_GROUP) != 0 ? 0 : self->owner_group;
  return n == frame->n_fds;
}

static void
add_child (Server *self, guint32 tag, int pid)
{
  Served child = { pid, mp_platform_pidfd_open (pid) };

  self->no_pidfds |= child.pidfd < 0;
  g_array_append_val (self->children, child);
  queue_pair (self, MP_FRAME_FORKED, tag, pid, 0, child.pidfd >= 0 ? mp_fd_dup (child.pidfd) : -1);
}

static void
handle_fork (Server *self, MpFrame *frame)
{
  MpForkedEnds ends;
  GError *error;
  int pid;

  if (!read_ends (self, frame, &ends))
    {
      queue_failure (self, frame->tag, g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "%s", frame->fds_lost ?
                     "the fork server has no descriptors left" : "a request to fork was malformed"));
      return;
    }
  error = mp_launch_check_threads (NULL);
  if (error != NULL)
    {
      queue_failure (self, frame->tag, error);
      return;
    }
  pid = mp_init_fork ();
  if (pid == 0)
    become_worker (self, frame, &ends);
  if (pid < 0)
    queue_failure (self, frame->tag, g_error_new_literal (MP_ERROR, MP_ERROR_WORKER_START, g_strerror (errno)));
  else
    add_child (self, frame->tag, pid);
}

static void
reap (Server *self)
{
  for (guint i = 0; i < self->children->len;)
    {
      Served *child = &g_array_index (self->children, Served, i);
      int status = MP_EXIT_STATUS_UNKNOWN;

      if (mp_platform_reap (child->pid, child->pidfd, &status) == MP_REAP_RUNNING)
        {
          i++;
          continue;
        }
      queue_pair (self, MP_FRAME_EXITED, 0, child->pid, status, -1);
      mp_fd_close (&child->pidfd);
      g_array_remove_index_fast (self->children, i);
    }
}

/* FALSE: the owner has gone. */
static gboolean
read_requests (Server *self)
{
  gboolean open = mp_wire_fill (self->worker->wire, FALSE, NULL) >= 0;
  g_autoptr(GError) error = NULL;
  MpFrame frame;

  while (mp_wire_next (self->worker->wire, &frame, &error))
    {
      if (frame.kind == MP_FRAME_FORK)
        handle_fork (self, &frame);
      else
        self->ending = TRUE;
      mp_frame_clear (&frame);
      /* Who waits for this one need not wait for the next. */
      if (!mp_wire_flush_blocking (self->worker->wire, NULL))
        return FALSE;
    }
  return open && error == NULL;
}

/* TRUE: a child may have ended. */
static gboolean
wait_for_work (Server *self, gboolean *readable)
{
  GPollFD *fds;

  g_array_set_size (self->pollfds, self->children->len + 1);
  fds = (GPollFD *) self->pollfds->data;
  fds[0] = (GPollFD) { mp_wire_get_fd (self->worker->wire), G_IO_IN, 0 };
  for (guint i = 0; i < self->children->len; i++)
    fds[i + 1] = (GPollFD) { g_array_index (self->children, Served, i).pidfd, G_IO_IN, 0 };
  mp_poll_fds (fds, self->pollfds->len, self->no_pidfds && self->children->len > 0 ? LOOK_INTERVAL : -1);
  *readable = fds[0].revents != 0;
  for (guint i = 1; i < self->pollfds->len; i++)
    if (fds[i].revents != 0)
      return TRUE;
  return self->no_pidfds;
}

int
mp_worker_serve_forks (MpWorker *self)
{
  Server server = { .worker = self, .owner_group = -1 };
  gboolean readable = TRUE;
  int owner = 0;
  int status = EXIT_SUCCESS;

  server.children = g_array_new (FALSE, FALSE, sizeof (Served));
  server.pollfds = g_array_new (FALSE, FALSE, sizeof (GPollFD));
  if (g_variant_lookup (self->setup, "parent-pid", "i", &owner))
    server.owner_group = getpgid (owner);

  /* Frames may have come with SETUP. */
  while (!server.ending || server.children->len > 0)
    {
      if (readable && !read_requests (&server))
        {
          status = EXIT_FAILURE;
          break;
        }
      if (server.ending && server.children->len == 0)
        break;
      if (wait_for_work (&server, &readable))
        {
          reap (&server);
          mp_worker_log_flush (self);
          if (!mp_wire_flush_blocking (self->wire, NULL))
            break;
        }
    }
  g_array_unref (server.children);
  g_array_unref (server.pollfds);
  return status;
}
