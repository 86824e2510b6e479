/* mp-poll.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
# define SYS_epoll_pwait2 441
#endif

/* Most events that one mp_poll_wait() gives. */
#define MAX_EVENTS 128

G_STATIC_ASSERT ((int) G_IO_IN == EPOLLIN && (int) G_IO_PRI == EPOLLPRI && (int) G_IO_OUT == EPOLLOUT);
G_STATIC_ASSERT ((int) G_IO_ERR == EPOLLERR && (int) G_IO_HUP == EPOLLHUP);
G_STATIC_ASSERT (sizeof (GPollFD) == sizeof (struct pollfd));
G_STATIC_ASSERT (G_STRUCT_OFFSET (GPollFD, revents) == G_STRUCT_OFFSET (struct pollfd, revents));

/* What the kernel reads on every architecture. */
typedef struct
{
  gint64 seconds;
  gint64 nanoseconds;
} KernelTime;

/* Set once epoll_pwait2() (5.11) has been refused. */
static int no_epoll_pwait2;

int
mp_poll_new (void)
{
  return mp_fd_lift (epoll_create1 (EPOLL_CLOEXEC));
}

static int
control (int          epfd,
         int          operation,
         int          fd,
         GIOCondition condition,
         guint64      data)
{
  struct epoll_event event = { 0 };

  event.events = condition;
  event.data.u64 = data;
  return epoll_ctl (epfd, operation, fd, &event);
}

int
mp_poll_add (int          epfd,
             int          fd,
             GIOCondition condition,
             guint64      data)
{
  return control (epfd, EPOLL_CTL_ADD, fd, condition, data);
}

int
mp_poll_modify (int          epfd,
                int          fd,
                GIOCondition condition,
                guint64      data)
{
  return control (epfd, EPOLL_CTL_MOD, fd, condition, data);
}

int
mp_poll_remove (int epfd,
                int fd)
{
  return control (epfd, EPOLL_CTL_DEL, fd, 0, 0);
}

/* In whole milliseconds, never early. */
static int
to_milliseconds (gint64 timeout_us)
{
  gint64 ms;

  if (timeout_us < 0)
    return -1;
  ms = timeout_us / 1000 + (timeout_us % 1000 != 0);
  return (int) MIN (ms, G_MAXINT);
}

static int
wait_finely (int                 epfd,
             struct epoll_event *events,
             int                 n_events,
             gint64              timeout_us)
{
  KernelTime time = { timeout_us / G_USEC_PER_SEC, (timeout_us % G_USEC_PER_SEC) * 1000 };
  int n;

  if (g_atomic_int_get (&no_epoll_pwait2) == 0)
    {
      n = syscall (SYS_epoll_pwait2, epfd, events, n_events, &time, NULL, 0);
      if (n >= 0 || (errno != ENOSYS && errno != EPERM))
        return n;
      g_atomic_int_set (&no_epoll_pwait2, 1);
    }

  return epoll_wait (epfd, events, n_events, to_milliseconds (timeout_us));
}

int
mp_poll_wait (int          epfd,
              MpPollEvent *events,
              int          n_events,
              gint64       timeout_us)
{
  struct epoll_event kernel_events[MAX_EVENTS];
  int i, n;

  n_events = MIN (n_events, MAX_EVENTS);
  if (timeout_us > 0)
    n = wait_finely (epfd, kernel_events, n_events, timeout_us);
  else
    n = epoll_wait (epfd, kernel_events, n_events, (int) timeout_us);
  if (n < 0)
    return errno == EINTR ? 0 : -1;

  for (i = 0; i < n; i++)
    {
      events[i].data = kernel_events[i].data.u64;
      events[i].condition = kernel_events[i].events;
    }
  return n;
}

int
mp_poll_fds (GPollFD *fds,
             guint    n_fds,
             gint64   timeout_us)
{
  struct timespec time = { timeout_us / G_USEC_PER_SEC, (timeout_us % G_USEC_PER_SEC) * 1000 };
  int n;

  n = ppoll ((struct pollfd *) fds, n_fds, timeout_us >= 0 ? &time : NULL, NULL);
  if (n < 0 && errno == EINTR)
    {
      guint i;

      for (i = 0; i < n_fds; i++)
        fds[i].revents = 0;
      return 0;
    }
  return n;
}

int
mp_timer_new (void)
{
  return mp_fd_lift (timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

void
mp_timer_set (int    fd,
              gint64 due_us)
{
  struct itimerspec value = { 0 };

  if (due_us >= 0)
    {
      value.it_value.tv_sec = due_us / G_USEC_PER_SEC;
      value.it_value.tv_nsec = (due_us % G_USEC_PER_SEC) * 1000;
      if (due_us == 0)
        value.it_value.tv_nsec = 1;   /* all zeros would disarm */
    }
  (void) timerfd_settime (fd, TFD_TIMER_ABSTIME, &value, NULL);
}

void
mp_timer_clear (int fd)
{
  mp_fd_clear_signal (fd);
}
