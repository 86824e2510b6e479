/* mp-spawn.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
# define CLONE_PIDFD 0x00001000
#endif

#if defined (__SANITIZE_THREAD__)
# define WITH_TSAN 1
#elif defined (__has_feature)
# if __has_feature (thread_sanitizer)
#  define WITH_TSAN 1
# endif
#endif

/* Ample for the child, which calls nothing deep; a page below it is left unmapped. */
#define STACK_SIZE (64 * 1024)
#define GUARD_SIZE (64 * 1024)

/* The kernel's number of signals and the size of its sets. */
#define N_SIGNALS 64
#define KERNEL_SIGSET_SIZE (N_SIGNALS / 8)

/* Shared between the caller and the child, also where the child's memory is a copy (thread sanitizer, valgrind). */
typedef struct
{
  const MpSpawn *spawn;
  sigset_t       mask;                    /* the child's */
  gboolean       reset[N_SIGNALS + 1];    /* signals to be put back to their default action */
  char           exe_path[32];
  int            error;                   /* errno of what failed in the child, 0 while nothing has */
} Shared;

/* In the child: bare system calls. It runs in the caller's memory, where the C library (and the wrappers that sanitizers
 * put before it) would note what is done to the child's signals and descriptors as if the caller had done it. */

MP_IN_CHILD static int
child_dup_to (int from,
              int to)
{
  if (from == to)
    return syscall (SYS_fcntl, to, F_SETFD, 0);
  return syscall (SYS_dup3, from, to, 0);
}

MP_IN_CHILD static int
child_set_stdio (const MpSpawn *spawn)
{
  int from[3] = { spawn->stdin_fd, spawn->stdout_fd, spawn->stderr_fd };
  int i;

  /* One of them may lie where another one goes. */
  for (i = 0; i < 3; i++)
    if (from[i] >= 0 && from[i] < 3 && from[i] != i)
      {
        from[i] = syscall (SYS_fcntl, from[i], F_DUPFD_CLOEXEC, 3);
        if (from[i] < 0)
          return -1;
      }

  for (i = 0; i < 3; i++)
    if (from[i] >= 0 && child_dup_to (from[i], i) < 0)
      return -1;
  return 0;
}

MP_IN_CHILD static int
child_set_descriptors (const MpSpawn *spawn)
{
  guint i;

  if (child_set_stdio (spawn) < 0)
    return -1;
  if (spawn->cwd_fd >= 0 && syscall (SYS_fchdir, spawn->cwd_fd) < 0)
    return -1;

  /* Descriptors of the program that are not born close-on-exec must not reach a worker. */
  mp_fd_cloexec_from (3);
  for (i = 0; i < spawn->n_keep_fds; i++)
    if (syscall (SYS_fcntl, spawn->keep_fds[i], F_SETFD, 0) < 0)
      return -1;
  return 0;
}

MP_IN_CHILD static void
child_set_signals (Shared *shared)
{
  /* All zeros is SIG_DFL with no flags in every architecture's layout. */
  guint64 default_action[16] = { 0 };
  int i;

  for (i = 1; i <= N_SIGNALS; i++)
    if (shared->reset[i])
      (void) syscall (SYS_rt_sigaction, i, default_action, NULL, KERNEL_SIGSET_SIZE);

  /* From here a signal sent to the child ends it, as it would after exec. */
  (void) syscall (SYS_rt_sigprocmask, SIG_SETMASK, &shared->mask, NULL, KERNEL_SIGSET_SIZE);
}

MP_IN_CHILD static int
child_exec (Shared *shared)
{
  const MpSpawn *spawn = shared->spawn;

  if (spawn->own_group && syscall (SYS_setpgid, 0, 0) < 0)
    return -1;
  if (child_set_descriptors (spawn) < 0)
    return -1;

  child_set_signals (shared);
  return syscall (SYS_execve, spawn->path != NULL ? spawn->path : shared->exe_path, spawn->argv, spawn->envp);
}

MP_IN_CHILD static int
child_main (void *data)
{
  Shared *shared = data;

  (void) child_exec (shared);
  shared->error = errno;
  for (;;)
    (void) syscall (SYS_exit_group, 127);
  return 127;
}

/* The one place that knows of tools. Thread sanitizer keeps its own book of threads in memory that the child would
 * share: there it runs in a copy. (valgrind makes such a copy of its own accord.) */
#ifdef WITH_TSAN
static pid_t
start_child (char   *stack,
             int     flags,
             Shared *shared,
             int    *pidfd)
{
  pid_t pid;

  pid = syscall (SYS_clone, flags & ~CLONE_VM, NULL, pidfd, NULL, NULL);
  if (pid == 0)
    child_main (shared);
  return pid;
}
#else
static pid_t
start_child (char   *stack,
             int     flags,
             Shared *shared,
             int    *pidfd)
{
  return clone (child_main, stack + GUARD_SIZE + STACK_SIZE, flags, shared, pidfd);
}
#endif

/* A signal that the user or the shell arranged to be ignored (nohup, a job in the background) stays ignored, as it does
 * in every other program started from here. What is ignored by the program for its own ends does not: a worker that
 * inherits an ignored SIGCHLD or SIGPIPE behaves differently from the same program started by hand. */
static gboolean
is_for_inheritance (int signum)
{
  return signum == SIGHUP || signum == SIGINT || signum == SIGQUIT ||
         signum == SIGTSTP || signum == SIGTTIN || signum == SIGTTOU;
}

static void
prepare (Shared        *shared,
         const MpSpawn *spawn)
{
  int i;

  shared->spawn = spawn;
  shared->error = 0;

  for (i = 1; i <= N_SIGNALS; i++)
    {
      struct sigaction action;

      if (i == SIGKILL || i == SIGSTOP || sigaction (i, NULL, &action) < 0)
        continue;
      shared->reset[i] = action.sa_handler != SIG_DFL &&
                         !(action.sa_handler == SIG_IGN && is_for_inheritance (i));
    }

  sigemptyset (&shared->mask);
  if (spawn->mark_signal > 0)
    sigaddset (&shared->mask, spawn->mark_signal);

  if (spawn->path == NULL)
    g_snprintf (shared->exe_path, sizeof shared->exe_path, "/proc/self/fd/%d", spawn->exe_fd);
}

static pid_t
spawn_on (char          *stack,
          Shared        *shared,
          int           *pidfd)
{
  int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
  sigset_t all, old;
  pid_t pid;

  /* No handler of the caller may run in the child, on the caller's memory. By system call, because the C library leaves
   * out those signals that it uses itself. */
  memset (&all, 0xff, sizeof all);
  sigemptyset (&old);
  (void) syscall (SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, KERNEL_SIGSET_SIZE);

  *pidfd = -1;
  pid = start_child (stack, flags | CLONE_PIDFD, shared, pidfd);
  if (pid < 0 && (errno == EPERM || errno == ENOSYS || errno == EINVAL))
    {
      *pidfd = -1;
      pid = start_child (stack, flags, shared, pidfd);
      if (pid > 0)
        *pidfd = -1;   /* where the kernel has put nothing, or (before 5.2) something else */
    }

  (void) syscall (SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, KERNEL_SIGSET_SIZE);
  return pid;
}

static char *
map_stack (void)
{
  char *stack;

  stack = mmap (NULL, GUARD_SIZE + STACK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED)
    return NULL;
  if (mprotect (stack + GUARD_SIZE, STACK_SIZE, PROT_READ | PROT_WRITE) < 0)
    {
      munmap (stack, GUARD_SIZE + STACK_SIZE);
      return NULL;
    }
  return stack;
}

pid_t
mp_platform_spawn (const MpSpawn *spawn,
                   int           *pidfd)
{
  Shared *shared;
  char *stack;
  pid_t pid = -1;
  int error;

  *pidfd = -1;
  stack = map_stack ();
  if (stack == NULL)
    return -1;
  shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    {
      error = errno;
      munmap (stack, GUARD_SIZE + STACK_SIZE);
      errno = error;
      return -1;
    }

  prepare (shared, spawn);
  pid = spawn_on (stack, shared, pidfd);
  error = pid < 0 ? errno : shared->error;
  munmap (shared, sizeof *shared);
  munmap (stack, GUARD_SIZE + STACK_SIZE);

  if (pid > 0 && error != 0)
    {
      while (waitpid (pid, NULL, 0) < 0 && errno == EINTR)
        ;
      mp_fd_close (pidfd);
      pid = -1;
    }
  if (pid < 0)
    {
      errno = error;
      return -1;
    }

  /* The child is ours and not reaped, so its pid means nobody else. */
  *pidfd = *pidfd >= 0 ? mp_fd_lift (*pidfd) : mp_platform_pidfd_open (pid);
  return pid;
}
