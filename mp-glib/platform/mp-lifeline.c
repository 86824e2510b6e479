/* mp-lifeline.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

/* The write ends of this process, for the handlers of fork(). A plain array: the child may not allocate, and nothing
 * here may wait for a lock of GLib's that another thread held at the fork. */
static pthread_mutex_t write_ends_mutex = PTHREAD_MUTEX_INITIALIZER;
static int            *write_ends;
static guint           n_write_ends;
static guint           n_allocated;
static int             null_fd = -1;   /* what takes their place in a child */
static gboolean        handlers_installed;

int
mp_platform_lifeline_new (int *read_end,
                          int *write_end)
{
  int fds[2];

  if (mp_fd_pipe (fds) < 0)
    return -1;

  *read_end = fds[0];
  *write_end = fds[1];
  return 0;
}

gboolean
mp_platform_lifeline_arm (int read_end)
{
  struct f_owner_ex owner = { F_OWNER_PID, getpid () };
  struct pollfd pollfd = { read_end, POLLIN, 0 };
  int flags;

  flags = fcntl (read_end, F_GETFL);
  if (flags < 0 ||
      fcntl (read_end, F_SETOWN_EX, &owner) < 0 ||
      fcntl (read_end, F_SETSIG, SIGKILL) < 0 ||
      fcntl (read_end, F_SETFL, flags | O_ASYNC | O_NONBLOCK) < 0)
    return FALSE;

  /* The owner may have gone before there was anything to notice it. */
  if (poll (&pollfd, 1, 0) > 0 && (pollfd.revents & POLLHUP) != 0)
    kill (getpid (), SIGKILL);

  return TRUE;
}

static void
before_fork (void)
{
  pthread_mutex_lock (&write_ends_mutex);
}

static void
after_fork_in_parent (void)
{
  pthread_mutex_unlock (&write_ends_mutex);
}

static void
after_fork_in_child (void)
{
  guint i;

  /* Replaced, not closed: objects that the child got a copy of still have these numbers, and may close them. */
  for (i = 0; i < n_write_ends; i++)
    if (null_fd < 0 || dup3 (null_fd, write_ends[i], O_CLOEXEC) < 0)
      close (write_ends[i]);
  n_write_ends = 0;
  pthread_mutex_unlock (&write_ends_mutex);
}

/* With the lock. */
static void
install_handlers (void)
{
  if (!handlers_installed)
    handlers_installed = pthread_atfork (before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

void
mp_platform_lifeline_prepare (void)
{
  pthread_mutex_lock (&write_ends_mutex);
  install_handlers ();
  pthread_mutex_unlock (&write_ends_mutex);
}

void
mp_platform_lifeline_register (int write_end)
{
  pthread_mutex_lock (&write_ends_mutex);
  install_handlers ();
  if (null_fd < 0)
    null_fd = mp_fd_open_null ();
  if (n_write_ends == n_allocated)
    {
      n_allocated = MAX (16, 2 * n_allocated);
      write_ends = g_renew (int, write_ends, n_allocated);
    }
  write_ends[n_write_ends++] = write_end;
  pthread_mutex_unlock (&write_ends_mutex);
}

void
mp_platform_lifeline_unregister (int write_end)
{
  guint i;

  pthread_mutex_lock (&write_ends_mutex);
  for (i = 0; i < n_write_ends; i++)
    if (write_ends[i] == write_end)
      {
        write_ends[i] = write_ends[--n_write_ends];
        break;
      }
  pthread_mutex_unlock (&write_ends_mutex);
}
