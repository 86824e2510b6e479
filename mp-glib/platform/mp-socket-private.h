/* mp-socket-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/uio.h>

G_BEGIN_DECLS

/* Stream sockets, with descriptors beside the bytes. All results: -1 sets errno. EINTR is handled; that the other machine
 * is not to be reached any more is ECONNRESET for who sends and receives. */

#define MP_SOCKET_MAX_FDS 253   /* SCM_MAX_FD of Linux: most that one sendmsg() takes */

/* In g_get_monotonic_time() terms, to some milliseconds. */
typedef struct
{
  gint64 sent;         /* bytes, for the last time, or when it was connected */
  gint64 received;
  gint64 round_trip;   /* microseconds to the other end and back */
} MpSocketTimes;

/* A connected AF_UNIX SOCK_STREAM pair, CLOEXEC, blocking mode, with a send buffer of @buffer_size bytes if > 0. */
int     mp_socket_pair      (int                 fds[2],
                             int                 buffer_size);
/* MSG_NOSIGNAL, and MSG_DONTWAIT unless @block. */
gssize  mp_socket_send      (int                 fd,
                             const struct iovec *iov,
                             guint               n_iov,
                             const int          *fds,
                             guint               n_fds,
                             gboolean            block);
/* Up to @size bytes into @data; descriptors received (CLOEXEC) go to @fds (room for MP_SOCKET_MAX_FDS), their number to
 * @n_fds; @truncated: some were lost for want of free descriptors. 0: end of the stream. */
gssize  mp_socket_recv      (int                 fd,
                             gpointer            data,
                             gsize               size,
                             int                *fds,
                             guint              *n_fds,
                             gboolean           *truncated,
                             gboolean            block);
/* AF_UNIX, AF_INET or AF_INET6 of a stream socket that is no listening one; -1: another socket, or none. It need not be
 * connected any more. */
int     mp_socket_stream_family (int              fd);
/* Of a TCP socket: what is sent leaves at once. */
void    mp_socket_set_no_delay (int               fd);
/* Of a TCP socket. FALSE: the system does not say. */
gboolean mp_socket_get_times (int                fd,
                             MpSocketTimes      *times);
/* Of a TCP socket: when the other end has been silent for a minute its system is asked whether it is still there, and
 * when that has not answered for another the connection has come to its end. Those that a listening one accepts have it from it. */
void    mp_socket_keep_alive (int                 fd);
/* For connecting without blocking. A stream socket, CLOEXEC, non-blocking; mp_socket_keep_alive() for families of IP. */
int     mp_socket_new       (int                 family);
/* 0: connected. EINPROGRESS: when it is writable, take_error() tells. EAGAIN: the queue of a local listener is full, and
 * nothing tells when that has changed. A connection of a TCP socket with itself, which the system makes now and then where
 * nobody listens, is ECONNREFUSED. */
int     mp_socket_connect   (int                 fd,
                             gconstpointer       address,
                             gsize               size);
int     mp_socket_take_error (int                fd);
void    mp_socket_set_blocking (int              fd);
/* What has come, which stays there: never blocks; 0: end of the stream. */
gssize  mp_socket_peek      (int                 fd,
                             gpointer            data,
                             gsize               size);
/* Throws away what has come to a TCP socket: never blocks, and does not go on for as long as there comes more. */
void    mp_socket_discard   (int                 fd);
/* It counts as readable when there are @size bytes, or the end; 1 is usual. */
void    mp_socket_set_low_water (int             fd,
                             int                 size);
/* The other end will send no more than what has come. */
gboolean mp_socket_is_hung_up (int               fd);
/* There is urgent data: who reads or looks stops before it. */
gboolean mp_socket_has_urgent  (int               fd);
/* No more in either direction, for all who have it. */
void    mp_socket_shut_down (int                 fd);
/* SO_PEERCRED's pid; -1 when @fd is no connected AF_UNIX socket. */
int     mp_socket_peer_pid  (int                 fd);

G_END_DECLS
