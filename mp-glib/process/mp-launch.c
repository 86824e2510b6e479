/* mp-launch.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-boot-private.h"
#include "mp-glib/process/mp-init-private.h"
#include "mp-glib/process/mp-worker-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static GError *
make_unlisted_error (const char *who)
{
  int saved = errno;
  gboolean shortage = saved == EMFILE || saved == ENFILE || saved == ENOMEM;

  return g_error_new (shortage ? G_IO_ERROR : MP_ERROR,
                      shortage ? (int) g_io_error_from_errno (saved) : (int) MP_ERROR_UNSAFE_FORK,
                      "%s%sa process with more than one thread cannot be forked safely, and those of this one cannot be "
                      "listed: %s", who != NULL ? who : "", who != NULL ? ": " : "", g_strerror (saved));
}

GError *
mp_launch_check_threads (const char *who)
{
  g_auto(GStrv) threads = mp_platform_list_threads ();
  g_autofree char *names = NULL;

  if (threads == NULL)
    return make_unlisted_error (who);
  if (threads[0] == NULL)
    return NULL;
  names = g_strjoinv (", ", threads);
  return g_error_new (MP_ERROR, MP_ERROR_UNSAFE_FORK,
                      "%s%sa process with more than one thread cannot be forked safely; the others: %s",
                      who != NULL ? who : "", who != NULL ? ": " : "", names);
}

/* What to execute and how it is told: this program's own command line, or the context's. */
typedef struct
{
  char        *path;      /* (owned) */
  char       **argv;      /* borrowed */
  char       **envp;      /* (owned) */
  int          cwd_fd;    /* borrowed */
  const char  *problem;   /* (nullable) static */
} Command;

static void
command_init (Command *command, MpChild *child)
{
  MpBoot *boot = mp_boot_get ();
  g_autofree char *mark = NULL;

  *command = (Command) { .cwd_fd = -1 };
  if (child->settings->worker_argv != NULL)
    {
      command->argv = child->settings->worker_argv;
      command->path = g_find_program_in_path (command->argv[0]);
      command->problem = command->path == NULL ? "there is no such program" : NULL;
    }
  else
    {
      command->argv = boot->argv;
      command->path = g_strdup (mp_boot_get_exe ());
      command->cwd_fd = boot->cwd_fd;
      command->problem = boot->argv == NULL || boot->argv[0] == NULL ? "its own command line is not known" : NULL;
    }
  mark = g_strdup_printf ("%d:%d:%d", child->ends.socket, (int) getpid (), child->ends.lifeline);
  command->envp = g_environ_setenv (g_get_environ (), MP_WORKER_VARIABLE, mark, TRUE);
}

static void
command_clear (Command *command)
{
  g_free (command->path);
  g_strfreev (command->envp);
}

static void
fail_spawn (MpChild *self, Command *command, const char *why)
{
  const char *program = command->path != NULL ? command->path : command->argv != NULL ? command->argv[0] : "?";

  mp_child_launch_failed (self, g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "%s could not be started: %s: %s",
                                             self->name, program, why));
}

void
mp_child_launch_spawn (MpChild *self)
{
  int keep[2];
  MpSpawn spawn = { .exe_fd = -1, .stdout_fd = self->ends.stdout_fd, .stderr_fd = self->ends.stderr_fd };
  Command command;
  int null_fd = mp_fd_open_null ();
  int pidfd = -1;
  pid_t pid = -1;
  int saved;

  command_init (&command, self);
  keep[spawn.n_keep_fds++] = self->ends.socket;
  if (self->ends.lifeline >= 0)
    keep[spawn.n_keep_fds++] = self->ends.lifeline;
  spawn.path = command.path;
  spawn.argv = (const char * const *) command.argv;
  spawn.envp = (const char * const *) command.envp;
  spawn.cwd_fd = command.cwd_fd;
  spawn.stdin_fd = null_fd;
  spawn.keep_fds = keep;
  spawn.mark_signal = mp_platform_mark_signal ();
  spawn.own_group = self->own_group;
  if (command.problem == NULL)
    pid = mp_platform_spawn (&spawn, &pidfd);
  saved = errno;
  mp_fd_close (&null_fd);
  if (pid < 0)
    {
      fail_spawn (self, &command, command.problem != NULL ? command.problem : g_strerror (saved));
    }
  else
    {
      mp_child_launched (self, pid, pidfd);
      mp_child_start_boot_timer (self);
    }
  command_clear (&command);
}

/* fork(): when nobody holds the lock any more. */

static void
become_worker (MpChild *self)
{
  MpForkedEnds ends = {
    .socket = self->ends.socket,
    .lifeline = self->ends.lifeline,
    .stdout_fd = self->ends.stdout_fd,
    .stderr_fd = self->ends.stderr_fd,
    .group = self->own_group ? 0 : -1,
  };

  self->ends = (MpChildEnds) { -1, -1, -1, -1 };
  mp_child_close_all_after_fork ();
  mp_worker_run_forked (&ends);
}

static void
fork_unlocked (gpointer data)
{
  MpChild *self = data;
  GError *error = NULL;
  int pid = -1;
  gboolean called_off;

  mp_hub_lock ();
  called_off = self->process_ended;
  mp_hub_unlock ();
  /* A thread may have been started since the question was asked first. */
  if (!called_off)
    error = mp_launch_check_threads (self->name);
  if (!called_off && error == NULL)
    {
      pid = mp_init_fork ();
      if (pid == 0)
        become_worker (self);
      if (pid < 0)
        error = g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "%s could not be forked: %s", self->name,
                             g_strerror (errno));
    }
  mp_hub_lock ();
  if (error != NULL)
    {
      mp_child_launch_failed (self, error);
    }
  else if (pid > 0)
    {
      mp_child_launched (self, pid, mp_platform_pidfd_open (pid));
      mp_child_start_boot_timer (self);
    }
  mp_child_unref (self);
  mp_hub_unlock ();
}

void
mp_child_launch_fork (MpChild *self)
{
  mp_hub_run_unlocked (fork_unlocked, mp_child_ref (self));
}
