/* bench-clients.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench-common.h"

/* Many clients of one process, each with a message in a second: what that costs. `bench-clients mp N`: with an
 * MpListener; `bench-clients epoll N`: with bare sockets; `bench-clients load PATH N`: the clients alone, plain sockets
 * with messages as CPython frames them, for a server of another kind. They run until their server has gone. */

#define MESSAGE_SIZE 32
#define SECONDS      4

static guint n_clients;
static guint n_connected;
static gsize n_messages;

static void
connect_client (int fd, const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  while (connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    {
      if (errno != EAGAIN)
        g_error ("connect: %s", g_strerror (errno));
      g_usleep (1000);   /* its backlog is full */
    }
}

static void
run_clients (const char *path)
{
  struct { guint32 length; guint8 data[MESSAGE_SIZE]; } message = { GUINT32_TO_BE (MESSAGE_SIZE), { 0 } };
  int *fds = g_new (int, n_clients);
  struct timespec next;

  for (guint i = 0; i < n_clients; i++)
    {
      fds[i] = socket (AF_UNIX, SOCK_STREAM, 0);
      if (fds[i] < 0)
        g_error ("socket: %s", g_strerror (errno));
      connect_client (fds[i], path);
    }

  clock_gettime (CLOCK_MONOTONIC, &next);
  for (guint i = 0;; i = (i + 1) % n_clients)
    {
      if (send (fds[i], &message, sizeof message, MSG_NOSIGNAL) < 0)
        _exit (0);
      next.tv_nsec += 1000000000 / n_clients;
      if (next.tv_nsec >= 1000000000)
        {
          next.tv_nsec -= 1000000000;
          next.tv_sec++;
        }
      clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}

static gint64
get_cpu_time (void)
{
  struct timespec now;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

static void
report (gint64 cpu_time, double memory)
{
  bench_report ("message_us", cpu_time / 1e3 / n_messages);
  bench_report ("second_us", cpu_time / 1e3 / SECONDS);
  bench_report ("client_kib", memory / n_clients);
}

static void
count_cb (MpConnection *connection, GBytes *bytes, gpointer user_data)
{
  if (g_bytes_get_size (bytes) != MESSAGE_SIZE)
    g_error ("wrong size");
  n_messages++;
}

static void
connection_cb (MpListener *listener, MpConnection *connection, gpointer user_data)
{
  g_ptr_array_add (user_data, g_object_ref (connection));
  g_signal_connect (connection, "message-bytes", G_CALLBACK (count_cb), NULL);
  mp_connection_start (connection);
  n_connected++;
}

static gboolean
time_cb (gpointer user_data)
{
  gboolean *over = user_data;

  *over = TRUE;
  return G_SOURCE_REMOVE;
}

static void
iterate (guint seconds)
{
  gboolean over = FALSE;

  g_timeout_add_seconds_full (G_PRIORITY_HIGH, seconds, time_cb, &over, NULL);
  while (!over)
    g_main_context_iteration (NULL, TRUE);
}

static void
serve (void)
{
  g_autoptr(GPtrArray) connections = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(GError) error = NULL;
  double memory;
  gint64 cpu_time;

  listener = mp_listener_new (NULL, NULL, &error);
  if (listener == NULL)
    g_error ("%s", error->message);
  if (fork () == 0)
    run_clients (mp_listener_get_address (listener) + (g_str_has_prefix (mp_listener_get_address (listener), "unix:")
                                                       ? strlen ("unix:") : 0));

  memory = bench_begin_peak ();
  g_signal_connect (listener, "connection", G_CALLBACK (connection_cb), connections);
  mp_listener_start (listener);
  while (n_connected < n_clients)
    g_main_context_iteration (NULL, TRUE);
  iterate (2);   /* until each has sent one */
  n_messages = 0;
  cpu_time = get_cpu_time ();
  iterate (SECONDS);
  report (get_cpu_time () - cpu_time, bench_end_peak () - memory);
  mp_listener_close (listener);
}

static void
receive (int fd)
{
  guint8 buffer[4 + MESSAGE_SIZE];

  if (recv (fd, buffer, sizeof buffer, MSG_WAITALL) != sizeof buffer)
    g_error ("recv: %s", g_strerror (errno));
  n_messages++;
}

static void
wait_for_events (int epfd, int listener)
{
  struct epoll_event events[64];
  int n = epoll_wait (epfd, events, G_N_ELEMENTS (events), 100);

  for (int i = 0; i < n; i++)
    {
      struct epoll_event event = { .events = EPOLLIN };

      if (events[i].data.fd != listener)
        {
          receive (events[i].data.fd);
          continue;
        }
      event.data.fd = accept (listener, NULL, NULL);
      if (event.data.fd < 0 || epoll_ctl (epfd, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
        g_error ("accept: %s", g_strerror (errno));
      n_connected++;
    }
}

static void
wait_until (int epfd, int listener, gint64 end)
{
  while (bench_now () < end)
    wait_for_events (epfd, listener);
}

static void
serve_by_epoll (void)
{
  g_autofree char *directory = g_dir_make_tmp ("bench-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "socket", NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  struct epoll_event event = { .events = EPOLLIN };
  int listener = socket (AF_UNIX, SOCK_STREAM, 0), epfd = epoll_create1 (0);
  double memory;
  gint64 cpu_time;

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  event.data.fd = listener;
  if (bind (listener, (struct sockaddr *) &address, sizeof address) < 0 || listen (listener, 128) < 0 ||
      epoll_ctl (epfd, EPOLL_CTL_ADD, listener, &event) < 0)
    g_error ("listen: %s", g_strerror (errno));
  if (fork () == 0)
    run_clients (path);

  memory = bench_begin_peak ();
  while (n_connected < n_clients)
    wait_for_events (epfd, listener);
  wait_until (epfd, listener, bench_now () + 2 * G_GINT64_CONSTANT (1000000000));
  n_messages = 0;
  cpu_time = get_cpu_time ();
  wait_until (epfd, listener, bench_now () + SECONDS * G_GINT64_CONSTANT (1000000000));
  report (get_cpu_time () - cpu_time, bench_end_peak () - memory);
  unlink (path);
  rmdir (directory);
}

int
main (int argc, char **argv)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) == 0)
    {
      limit.rlim_cur = limit.rlim_max;
      setrlimit (RLIMIT_NOFILE, &limit);
    }

  n_clients = argc >= 3 ? strtoul (argv[argc - 1], NULL, 10) : 0;
  if (n_clients > 0 && strcmp (argv[1], "mp") == 0)
    serve ();
  else if (n_clients > 0 && strcmp (argv[1], "epoll") == 0)
    serve_by_epoll ();
  else if (n_clients > 0 && strcmp (argv[1], "load") == 0 && argc == 4)
    run_clients (argv[2]);
  else
    {
      fprintf (stderr, "Usage: %s mp|epoll N, load PATH N\n", argv[0]);
      return 2;
    }
  return 0;
}
