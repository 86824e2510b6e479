/* mp-socket.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-socket-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* Seconds, see mp_socket_keep_alive(). */
#define KEEP_ALIVE_IDLE     60
#define KEEP_ALIVE_INTERVAL 10
#define KEEP_ALIVE_PROBES   6

#define MAX_DISCARDS 64

typedef union
{
  struct cmsghdr align;
  char           data[CMSG_SPACE (MP_SOCKET_MAX_FDS * sizeof (int))];
} Control;

int
mp_socket_pair (int fds[2],
                int buffer_size)
{
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || mp_fd_lift_pair (fds) < 0)
    return -1;

  /* Only a wish: the system bounds it, and a smaller buffer works too. */
  for (int i = 0; i < 2 && buffer_size > 0; i++)
    (void) setsockopt (fds[i], SOL_SOCKET, SO_SNDBUF, &buffer_size, sizeof buffer_size);

  return 0;
}

/* For a blocking call on a descriptor that somebody else made non-blocking. */
static void
wait_for (int   fd,
          short events)
{
  struct pollfd pollfd = { fd, events, 0 };

  (void) poll (&pollfd, 1, -1);
}

/* That the system has given the other machine up is the end as well; a call's own time being over is something else. */
static gssize
fail (void)
{
  if (errno == ETIMEDOUT || errno == EHOSTUNREACH || errno == ENETUNREACH)
    errno = ECONNRESET;
  return -1;
}

gssize
mp_socket_send (int                 fd,
                const struct iovec *iov,
                guint               n_iov,
                const int          *fds,
                guint               n_fds,
                gboolean            block)
{
  struct msghdr message = { 0 };
  Control control;
  gssize n;

  if (n_fds > MP_SOCKET_MAX_FDS)
    {
      errno = EINVAL;
      return -1;
    }

  message.msg_iov = (struct iovec *) iov;
  message.msg_iovlen = n_iov;
  if (n_fds > 0)
    {
      struct cmsghdr *header;

      message.msg_control = control.data;
      message.msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
      memset (control.data, 0, message.msg_controllen);
      header = CMSG_FIRSTHDR (&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN (n_fds * sizeof (int));
      memcpy (CMSG_DATA (header), fds, n_fds * sizeof (int));
    }

  for (;;)
    {
      n = sendmsg (fd, &message, MSG_NOSIGNAL | (block ? 0 : MSG_DONTWAIT));
      if (n >= 0)
        return n;
      if (block && (errno == EAGAIN || errno == EWOULDBLOCK))
        wait_for (fd, POLLOUT);
      else if (errno != EINTR)
        return fail ();
    }
}

/* FALSE: some were lost, as the kernel loses them: the first ones are there. */
static gboolean
take_descriptors (struct msghdr *message,
                  int           *fds,
                  guint         *n_fds)
{
  gboolean lost = FALSE;
  struct cmsghdr *header;

  for (header = CMSG_FIRSTHDR (message); header != NULL; header = CMSG_NXTHDR (message, header))
    {
      guint i, n;

      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        continue;

      /* The kernel never gives more than there is room for, and the room is that of MP_SOCKET_MAX_FDS. */
      n = (header->cmsg_len - CMSG_LEN (0)) / sizeof (int);
      for (i = 0; i < n; i++)
        {
          int fd;

          memcpy (&fd, CMSG_DATA (header) + i * sizeof fd, sizeof fd);
          if (!lost)
            fd = mp_fd_lift (fd);
          lost |= fd < 0;
          if (lost)
            mp_fd_close (&fd);
          else
            fds[(*n_fds)++] = fd;
        }
    }

  return !lost && (message->msg_flags & MSG_CTRUNC) == 0;
}

gssize
mp_socket_recv (int       fd,
                gpointer  data,
                gsize     size,
                int      *fds,
                guint    *n_fds,
                gboolean *truncated,
                gboolean  block)
{
  struct iovec iov = { data, size };
  struct msghdr message = { 0 };
  Control control;
  gssize n;

  *n_fds = 0;
  *truncated = FALSE;

  for (;;)
    {
      message.msg_iov = &iov;
      message.msg_iovlen = 1;
      message.msg_control = control.data;
      message.msg_controllen = sizeof control.data;

      n = recvmsg (fd, &message, MSG_CMSG_CLOEXEC | (block ? 0 : MSG_DONTWAIT));
      if (n >= 0)
        break;
      if (block && (errno == EAGAIN || errno == EWOULDBLOCK))
        wait_for (fd, POLLIN);
      else if (errno != EINTR)
        return fail ();
    }

  *truncated = !take_descriptors (&message, fds, n_fds);

  return n;
}

static int
get_option (int fd,
            int option)
{
  socklen_t length = sizeof (int);
  int value;

  return getsockopt (fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

int
mp_socket_stream_family (int fd)
{
  int family = get_option (fd, SO_DOMAIN);

  if (get_option (fd, SO_TYPE) != SOCK_STREAM || get_option (fd, SO_ACCEPTCONN) != 0 ||
      (family != AF_UNIX && family != AF_INET && family != AF_INET6))
    return -1;
  return family;
}

void
mp_socket_set_no_delay (int fd)
{
  int yes = 1;

  /* Only a wish: one that is reset already refuses it. */
  (void) setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

void
mp_socket_keep_alive (int fd)
{
  static const struct
  {
    int level, name, value;
  } options[] = {
    { SOL_SOCKET, SO_KEEPALIVE, 1 },
    { IPPROTO_TCP, TCP_KEEPIDLE, KEEP_ALIVE_IDLE },
    { IPPROTO_TCP, TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL },
    { IPPROTO_TCP, TCP_KEEPCNT, KEEP_ALIVE_PROBES },
  };
  guint i;

  /* Wishes, too. Not TCP_USER_TIMEOUT: that cuts off who is there and does not read. */
  for (i = 0; i < G_N_ELEMENTS (options); i++)
    (void) setsockopt (fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

gboolean
mp_socket_get_times (int            fd,
                     MpSocketTimes *times)
{
  struct tcp_info info = { 0 };
  socklen_t size = sizeof info;
  gint64 now = g_get_monotonic_time ();

  if (getsockopt (fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || size < sizeof info)
    return FALSE;

  times->sent = now - info.tcpi_last_data_sent * (gint64) 1000;
  times->received = now - info.tcpi_last_data_recv * (gint64) 1000;
  times->round_trip = info.tcpi_rtt;
  return TRUE;
}

int
mp_socket_new (int family)
{
  int fd = mp_fd_lift (socket (family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

  if (fd >= 0 && family != AF_UNIX)
    mp_socket_keep_alive (fd);
  return fd;
}

static gboolean
is_connected_to_itself (int fd)
{
  struct sockaddr_storage own, other;
  socklen_t n_own = sizeof own, n_other = sizeof other;

  return getsockname (fd, (struct sockaddr *) &own, &n_own) == 0 && own.ss_family != AF_UNIX &&
         getpeername (fd, (struct sockaddr *) &other, &n_other) == 0 && n_own == n_other &&
         memcmp (&own, &other, n_own) == 0;
}

static int
check_connected (int fd)
{
  if (!is_connected_to_itself (fd))
    return 0;

  errno = ECONNREFUSED;
  return -1;
}

int
mp_socket_connect (int           fd,
                   gconstpointer address,
                   gsize         size)
{
  int result;

  /* Interrupted, it goes on by itself, or has not begun: that shows when it is asked for again. */
  do
    result = connect (fd, address, size);
  while (result < 0 && errno == EINTR);
  if (result < 0 && errno == EALREADY)
    errno = EINPROGRESS;
  else if (result < 0 && errno == EISCONN)
    result = 0;
  return result < 0 ? result : check_connected (fd);
}

int
mp_socket_take_error (int fd)
{
  int error = get_option (fd, SO_ERROR);

  if (error == 0)
    return check_connected (fd);

  errno = error > 0 ? error : errno;
  return -1;
}

void
mp_socket_set_blocking (int fd)
{
  int flags = fcntl (fd, F_GETFL);

  (void) fcntl (fd, F_SETFL, flags & ~O_NONBLOCK);
}

int
mp_socket_peer_pid (int fd)
{
  struct ucred credentials;
  struct sockaddr_un address;
  socklen_t length = sizeof address;

  /* SO_PEERCRED answers for other families too, with nonsense. */
  if (getsockname (fd, (struct sockaddr *) &address, &length) < 0)
    return -1;
  if (address.sun_family != AF_UNIX)
    {
      errno = EAFNOSUPPORT;
      return -1;
    }

  length = sizeof credentials;
  if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
    return -1;
  if (length != sizeof credentials || credentials.pid <= 0)
    {
      errno = ENOTCONN;
      return -1;
    }

  return credentials.pid;
}

gssize
mp_socket_peek (int      fd,
                gpointer data,
                gsize    size)
{
  gssize n;

  do
    n = recv (fd, data, size, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n;
}

void
mp_socket_discard (int fd)
{
  guint i;

  /* Linux need not be given a place for it. */
  for (i = 0; i < MAX_DISCARDS; i++)
    if (recv (fd, NULL, G_MAXINT32, MSG_TRUNC | MSG_DONTWAIT) <= 0)
      break;
}

void
mp_socket_set_low_water (int fd,
                         int size)
{
  setsockopt (fd, SOL_SOCKET, SO_RCVLOWAT, &size, sizeof size);
}

gboolean
mp_socket_is_hung_up (int fd)
{
  struct pollfd pollfd = { fd, POLLRDHUP, 0 };

  return poll (&pollfd, 1, 0) > 0;
}

gboolean
mp_socket_has_urgent (int fd)
{
  struct pollfd pollfd = { fd, POLLPRI, 0 };

  return poll (&pollfd, 1, 0) > 0 && (pollfd.revents & POLLPRI) != 0;
}

void
mp_socket_shut_down (int fd)
{
  shutdown (fd, SHUT_RDWR);
}
