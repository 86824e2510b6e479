/* mp-process-worker.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-invocation-private.h"
#include "mp-glib/process/mp-process-private.h"
#include "mp-glib/process/mp-worker-private.h"

/* This process as an MpProcess, what stands for its parent, and what a process does when it is a worker. */

static GMutex lock;                /* these three */
static MpProcess *current;         /* (owned) (nullable): made when it is asked for, or to be run */
static MpProcess *parent;          /* (owned) (nullable): made when it is asked for */
static guint n_children;           /* numbers given so far */

/* A g_object_new() passes through here on its way: the objects that stand for what runs take no number. */
static GPrivate being_made = G_PRIVATE_INIT (NULL);

MpProcessKind
mp_process_kind_being_made (void)
{
  return GPOINTER_TO_INT (g_private_get (&being_made));
}

static MpProcess *
make_object (MpProcessKind  kind,
             const char    *type_name,
             GVariant      *properties,
             GError       **error)
{
  MpProcess *object = NULL;

  g_private_set (&being_made, GINT_TO_POINTER (kind));
  if (type_name != NULL)
    object = mp_process_make (type_name, properties, error);
  else
    object = g_object_new (MP_TYPE_PROCESS, NULL);
  g_private_set (&being_made, NULL);

  return object;
}

static gboolean
lookup_flag (const MpWorker *worker,
             const char     *key)
{
  gboolean flag = FALSE;

  return worker->setup != NULL && g_variant_lookup (worker->setup, key, "b", &flag) && flag;
}

gboolean
mp_process_current_is_daemon (void)
{
  MpWorker *worker = mp_worker_get ();

  return worker != NULL && lookup_flag (worker, "daemon");
}

/* With the lock held. */
static MpProcess *
ensure_current (void)
{
  MpWorker *worker = mp_worker_get ();
  GArray *identity = NULL;

  if (current != NULL)
    return current;

  identity = g_array_new (FALSE, FALSE, sizeof (guint));
  if (worker != NULL && worker->role == MP_ROLE_POOL_WORKER)
    {
      guint number = worker->number + 1;

      g_array_append_val (identity, number);
    }
  current = make_object (MP_PROCESS_SELF, NULL, NULL, NULL);
  mp_process_set_up (current, worker != NULL ? worker->name : "MainProcess",
                     mp_process_current_is_daemon (), identity, NULL, NULL);

  return current;
}

/**
 * mp_process_get_current:
 *
 * Gives the object that stands for the calling process.
 *
 * In a worker that is an object of the class and with the name of the one that its owner started. In the program itself
 * it is called "MainProcess". It cannot be started, joined or signalled.
 *
 * Returns: (transfer none): the current process
 *
 * Since: 0.1
 */
MpProcess *
mp_process_get_current (void)
{
  MpProcess *self = NULL;

  g_mutex_lock (&lock);
  self = ensure_current ();
  g_mutex_unlock (&lock);

  return self;
}

GArray *
mp_process_next_identity (void)
{
  GArray *identity = NULL;

  g_mutex_lock (&lock);
  identity = g_array_copy (mp_process_get_core (ensure_current ())->identity);
  n_children++;
  g_array_append_val (identity, n_children);
  g_mutex_unlock (&lock);

  return identity;
}

/* A descriptor that is readable once the owner is gone: its pidfd, if it surely is the owner's: the socket, whose other
 * end the owner holds, still was whole after that was opened. Else the socket itself. */
static int
make_parent_sentinel (MpWorker *worker,
                      int       pid)
{
  int wire_fd = mp_wire_get_fd (worker->wire);
  GPollFD poll_fd = { .fd = wire_fd, .events = 0 };
  int pidfd = pid > 0 ? mp_platform_pidfd_open (pid) : -1;

  if (pidfd >= 0 && mp_poll_fds (&poll_fd, 1, 0) == 0)
    return pidfd;
  mp_fd_close (&pidfd);

  return mp_fd_dup (wire_fd);
}

/* With the lock held. */
static MpProcess *
ensure_parent (MpWorker *worker)
{
  const char *name = NULL;
  int pid = 0;

  if (parent != NULL)
    return parent;

  if (worker->setup == NULL || !g_variant_lookup (worker->setup, "parent-name", "&s", &name))
    name = "MainProcess";
  if (worker->setup != NULL)
    g_variant_lookup (worker->setup, "parent-pid", "i", &pid);
  parent = make_object (MP_PROCESS_PARENT, NULL, NULL, NULL);
  mp_process_set_up (parent, name, FALSE, NULL, NULL, NULL);
  mp_process_core_watch_parent (mp_process_get_core (parent), parent, pid, make_parent_sentinel (worker, pid));

  return parent;
}

/**
 * mp_process_get_parent:
 *
 * Gives an object that stands for the process that started this one.
 *
 * It has a name, a pid and a sentinel, tells whether it is alive, and can be joined. It cannot be signalled, and how it
 * ends is not known.
 *
 * Returns: (transfer none) (nullable): the owner of this worker, `NULL` in the program itself
 *
 * Since: 0.1
 */
MpProcess *
mp_process_get_parent (void)
{
  MpWorker *worker = mp_worker_get ();
  MpProcess *self = NULL;

  if (worker == NULL)
    return NULL;

  g_mutex_lock (&lock);
  self = ensure_parent (worker);
  g_mutex_unlock (&lock);

  return self;
}

void
mp_process_reset_after_fork (void)
{
  /* What these point to belongs to the process that forked; in this one it just stays where it is. */
  current = NULL;
  parent = NULL;
  n_children = 0;
  mp_process_core_reset_after_fork ();
  mp_active_children_reset_after_fork ();
}

/* An asynchronous function's answer, for who waits for it by running its main context. */
typedef struct
{
  gboolean  done;
  gboolean  success;
  GError   *error;   /* (owned) (nullable) */
} Answer;

static void
answered (GVariant     *value,
          const GError *error,
          GVariant     *details,
          gpointer      data)
{
  Answer *answer = data;

  answer->done = TRUE;
  answer->success = value != NULL;
  if (error != NULL)
    answer->error = g_error_copy (error);
  if (error != NULL && details != NULL)
    mp_error_attach_details (error, details);
}

static gboolean
call_async (const MpFunction  *function,
            GVariant          *args,
            GError           **error)
{
  MpWorker *worker = mp_worker_get ();
  GMainContext *context = worker != NULL ? worker->context : NULL;
  Answer answer = { FALSE, };

  mp_invocation_call_async (function, args, answered, &answer);
  while (!answer.done)
    g_main_context_iteration (context, TRUE);
  if (answer.error != NULL)
    g_propagate_error (error, answer.error);

  return answer.success;
}

gboolean
mp_process_call (const MpFunction  *function,
                 GVariant          *args,
                 GError           **error)
{
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GVariant) details = NULL;
  GError *local_error = NULL;

  if (function->async_func != NULL)
    return call_async (function, args, error);
  /* A process that is run inside of a call: there can only be one. */
  if (mp_invocation_get_current () != NULL)
    {
      result = mp_function_call (function, args, error);
      return result != NULL;
    }

  mp_invocation_begin (function);
  result = mp_function_call (function, args, &local_error);
  details = mp_invocation_end ();
  if (local_error != NULL)
    {
      if (details != NULL)
        mp_error_attach_details (local_error, details);
      g_propagate_error (error, local_error);
    }

  return result != NULL;
}

/* What the owner wants, or NULL with or without an error: it wants nothing any more. */
static GVariant *
read_run (MpWire  *wire,
          GError **error)
{
  for (;;)
    {
      MpFrame frame = { 0, };
      GError *local_error = NULL;
      GVariant *run = NULL;
      gsize used = 0;

      if (!mp_wire_next (wire, &frame, &local_error))
        {
          if (local_error != NULL)
            {
              g_propagate_error (error, local_error);
              return NULL;
            }
          if (mp_wire_fill (wire, TRUE, NULL) < 0)
            return NULL;
          continue;
        }

      if (frame.kind == MP_FRAME_RUN)
        run = mp_frame_get_value (&frame, 0, &used, error);
      else if (frame.kind != MP_FRAME_END)
        g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "frame %u came in place of what to run", frame.kind);
      mp_frame_clear (&frame);

      return run;
    }
}

static GArray *
read_identity (GVariant *run)
{
  GArray *identity = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr(GVariant) numbers = g_variant_lookup_value (run, "identity", G_VARIANT_TYPE ("au"));
  gconstpointer data = NULL;
  gsize n = 0;

  if (numbers != NULL)
    data = g_variant_get_fixed_array (numbers, &n, sizeof (guint));
  if (n > 0)
    g_array_append_vals (identity, data, (guint) n);

  return identity;
}

/* Makes the object that runs here. */
static MpProcess *
make_current (MpWorker  *worker,
              GVariant  *run,
              GError   **error)
{
  const char *type_name = NULL;
  const char *function = NULL;
  g_autoptr(GVariant) properties = NULL;
  g_autoptr(GVariant) args = NULL;
  MpProcess *self = NULL;

  if (!g_variant_is_of_type (run, G_VARIANT_TYPE_VARDICT))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "what to run is of the type “%s”",
                   g_variant_get_type_string (run));
      return NULL;
    }
  g_variant_lookup (run, "type", "&s", &type_name);
  g_variant_lookup (run, "function", "&s", &function);
  properties = g_variant_lookup_value (run, "properties", G_VARIANT_TYPE_VARDICT);
  args = g_variant_lookup_value (run, "args", NULL);
  if (type_name != NULL && properties == NULL)
    properties = g_variant_ref_sink (g_variant_new ("a{sv}", NULL));

  self = make_object (MP_PROCESS_SELF, type_name, properties, error);
  if (self == NULL)
    return NULL;
  mp_process_set_up (self, worker->name, mp_process_current_is_daemon (), read_identity (run), function, args);

  g_mutex_lock (&lock);
  if (current == NULL)
    current = g_object_ref (self);
  g_mutex_unlock (&lock);

  return self;
}

/* To a person and to the owner; neither needs to be there. */
static void
report (MpWorker     *worker,
        const GError *error)
{
  g_autoptr(GVariant) details = mp_error_dup_details (error);
  g_autoptr(GVariant) value = mp_error_to_variant (error, details);
  MpEncoded encoded = { 0, };

  fflush (stdout);
  fprintf (stderr, "mp-glib: %s: %s\n", worker->name, error->message);
  fflush (stderr);

  if (!mp_value_encode (value, &encoded, NULL))
    return;
  mp_wire_queue_value (worker->wire, MP_FRAME_ERROR, 0, NULL, 0, &encoded);
  mp_encoded_clear (&encoded);
  mp_wire_flush_blocking (worker->wire, NULL);
}

int
mp_worker_run_process (MpWorker *self)
{
  g_autoptr(GVariant) run = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  run = read_run (self->wire, &error);
  if (run == NULL && error == NULL)
    return EXIT_SUCCESS;
  if (run != NULL)
    process = make_current (self, run, &error);
  if (process != NULL && mp_process_run (process, &error))
    return EXIT_SUCCESS;

  report (self, error);

  return EXIT_FAILURE;
}
