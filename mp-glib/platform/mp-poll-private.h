/* mp-poll-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* epoll and timerfd behind GIOCondition. Level-triggered. -1 sets errno. */
typedef struct
{
  guint64      data;
  GIOCondition condition;
} MpPollEvent;

int   mp_poll_new      (void);
int   mp_poll_add      (int epfd, int fd, GIOCondition condition, guint64 data);
int   mp_poll_modify   (int epfd, int fd, GIOCondition condition, guint64 data);
int   mp_poll_remove   (int epfd, int fd);
/* @timeout_us: -1 for ever; rounded up, never early. EINTR is returned as 0 events. */
int   mp_poll_wait     (int epfd, MpPollEvent *events, int n_events, gint64 timeout_us);
/* The same for several descriptors without epoll (ppoll); sets revents of each. EINTR: 0. */
int   mp_poll_fds      (GPollFD *fds, guint n_fds, gint64 timeout_us);
int   mp_timer_new     (void);
/* Absolute, g_get_monotonic_time() terms; -1 disarms. */
void  mp_timer_set     (int fd, gint64 due_us);
void  mp_timer_clear   (int fd);   /* reads the expiration */

G_END_DECLS
