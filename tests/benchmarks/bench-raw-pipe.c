/* bench-raw-pipe.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-common.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* What bench-pipe does, with a bare socketpair: a message is its length and its bytes, written by one call. The reader
 * takes what is there into a buffer and looks at each message there; a long one is read to where it stays. */

#define N_REPEATS    5
#define N_WARM_UP    300
#define N_PINGPONG   20000
#define SEND_BUFFER  (1 << 20)
#define BUFFER_SIZE  65536

static int fd;   /* this process's end */
static guint8 buffer[BUFFER_SIZE];
static gsize start, end;

static gboolean
fork_peer (int own_cpu, int peer_cpu)
{
  int fds[2], size = SEND_BUFFER;
  gboolean is_peer;

  if (socketpair (AF_UNIX, SOCK_STREAM, 0, fds) < 0)
    g_error ("socketpair: %s", g_strerror (errno));
  for (int i = 0; i < 2; i++)
    setsockopt (fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  is_peer = fork () == 0;
  bench_pin (is_peer ? peer_cpu : own_cpu);
  fd = fds[is_peer];
  close (fds[!is_peer]);
  return is_peer;
}

static void
send_message (gconstpointer data, guint64 size)
{
  struct iovec iov[2] = { { &size, sizeof size }, { (gpointer) data, size } };
  gsize left = sizeof size + size;

  while (left > 0)
    {
      gssize n = writev (fd, iov, 2);

      if (n <= 0)
        g_error ("writev: %s", g_strerror (errno));
      left -= n;
      for (guint i = 0; i < 2; i++)
        {
          gsize part = MIN ((gsize) n, iov[i].iov_len);

          iov[i].iov_base = (guint8 *) iov[i].iov_base + part;
          iov[i].iov_len -= part;
          n -= part;
        }
    }
}

static gsize
read_some (gpointer place, gsize size)
{
  gssize n = read (fd, place, size);

  if (n <= 0)
    _exit (0);
  return n;
}

static void
fill (gsize needed)
{
  if (end - start >= needed)
    return;
  memmove (buffer, buffer + start, end - start);
  end -= start;
  start = 0;
  while (end < needed)
    end += read_some (buffer + end, sizeof buffer - end);
}

static void
receive_message (guint64 expected)
{
  g_autofree guint8 *data = g_malloc (expected);
  guint64 size;
  gsize part;

  fill (sizeof size);
  memcpy (&size, buffer + start, sizeof size);
  start += sizeof size;
  if (size != expected)
    g_error ("wrong size");
  if (size <= sizeof buffer)
    fill (size);
  part = MIN (size, end - start);
  memcpy (data, buffer + start, part);
  start += part;
  while (part < size)
    part += read_some (data + part, size - part);
}

static void
bench_pingpong (gboolean same_cpu)
{
  g_autofree gint64 *times = g_new (gint64, N_PINGPONG);
  guint64 data = 1;

  if (fork_peer (0, same_cpu ? 0 : 1))
    for (;;)
      {
        read_some (&data, sizeof data);
        if (write (fd, &data, sizeof data) != sizeof data)
          _exit (0);
      }

  for (int i = -N_WARM_UP; i < N_PINGPONG; i++)
    {
      gint64 begin = bench_now ();

      if (write (fd, &data, sizeof data) != sizeof data)
        g_error ("write: %s", g_strerror (errno));
      read_some (&data, sizeof data);
      if (i >= 0)
        times[i] = bench_now () - begin;
    }
  bench_quantiles (times, N_PINGPONG);
}

static void
bench_messages (gsize size)
{
  g_autofree guint8 *data = g_malloc (size);
  gsize n = CLAMP (((gsize) 1 << 30) / MAX (size, 1), 8, 300000);

  memset (data, 0x5a, size);
  if (fork_peer (0, 1))
    for (;;)
      {
        for (gsize i = 0; i < n; i++)
          receive_message (size);
        send_message ("", 1);
      }

  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 begin = bench_now ();

      for (gsize i = 0; i < n; i++)
        send_message (data, size);
      receive_message (1);
      if (repeat > 0)
        bench_rate ("messages/s", n, bench_now () - begin);
    }
}

static void
bench_memory (gsize size)
{
  if (fork_peer (0, 1))
    {
      g_autofree guint8 *data = g_malloc0 (size);

      for (;;)
        {
          receive_message (1);
          send_message (data, size);
        }
    }

  for (guint i = 0; i <= N_REPEATS; i++)
    {
      double before = bench_begin_peak ();

      send_message ("", 1);
      receive_message (size);
      if (i > 0)
        bench_report ("extra_kib", bench_end_peak () - before - size / 1024);
    }
}

int
main (int argc, char **argv)
{
  const char *work = argc >= 2 ? argv[1] : "";
  const char *argument = argc >= 3 ? argv[2] : "";

  if (strcmp (work, "pingpong") == 0)
    bench_pingpong (strcmp (argument, "one") == 0);
  else if (strcmp (work, "messages") == 0)
    bench_messages (strtoul (argument, NULL, 10));
  else if (strcmp (work, "memory") == 0)
    bench_memory (strtoul (argument, NULL, 10));
  else
    {
      fprintf (stderr, "Usage: %s pingpong one|two, messages SIZE, memory SIZE\n", argv[0]);
      return 2;
    }
  return 0;
}
