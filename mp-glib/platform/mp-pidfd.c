/* mp-pidfd.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
# define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
# define SYS_pidfd_send_signal 424
#endif

/* An enumerator in the C library that knows it, nothing in one that does not. */
#define WAIT_BY_PIDFD ((idtype_t) 3)

int
mp_platform_pidfd_open (pid_t pid)
{
  /* Close-on-exec without being asked. */
  return mp_fd_lift (syscall (SYS_pidfd_open, pid, 0));
}

int
mp_platform_signal (pid_t pid,
                    int   pidfd,
                    int   signum)
{
  if (pidfd >= 0)
    {
      if (syscall (SYS_pidfd_send_signal, pidfd, signum, NULL, 0) == 0)
        return 0;
      /* EPERM too: a filter's word for "no such system call". kill() then has the last word, and since the descriptor
       * did not say ESRCH, the pid is still that of the process. */
      if (errno != ENOSYS && errno != EPERM)
        return -1;
    }

  if (pid <= 0)
    {
      errno = ESRCH;
      return -1;
    }
  return kill (pid, signum);
}

MpReap
mp_platform_reap (pid_t  pid,
                  int    pidfd,
                  int   *status)
{
  siginfo_t info = { 0 };
  int result = -1;

  errno = EINVAL;
  if (pidfd >= 0)
    result = waitid (WAIT_BY_PIDFD, pidfd, &info, WEXITED | WNOHANG);
  /* EINVAL: a kernel that has pidfds but not yet this way to wait for them (before 5.4). */
  if (result < 0 && errno == EINVAL && pid > 0)
    result = waitid (P_PID, pid, &info, WEXITED | WNOHANG);

  if (result < 0)
    return MP_REAP_UNKNOWN;
  if (info.si_pid == 0)
    return MP_REAP_RUNNING;

  *status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  return MP_REAP_EXITED;
}
