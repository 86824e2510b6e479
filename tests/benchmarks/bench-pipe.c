/* bench-pipe.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <mp-glib/mp-glib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"
#include "mp-glib/platform/mp-spin-private.h"

/* Messages through a pipe between two processes: `bench-pipe pingpong one|two [blocking]`, 8 bytes there and back, both
 * on one CPU or each on its own, with the short busy wait or without; `bench-pipe messages SIZE` and `bench-pipe variants`, one way, on two CPUs; `bench-pipe memory
 * SIZE`: what receiving takes beyond the message. */

#define N_REPEATS    5
#define N_WARM_UP    300
#define N_PINGPONG   20000
#define MESSAGE_SIZE 8

static MpConnection *connection;   /* this process's end */

static void
check (gboolean success, GError *error)
{
  if (!success)
    g_error ("%s", error->message);
}

static void
send_message (GBytes *bytes)
{
  GError *error = NULL;

  check (mp_connection_send_bytes (connection, bytes, -1, NULL, &error), error);
}

static void
receive_message (gsize size)
{
  GError *error = NULL;
  GBytes *bytes = mp_connection_recv_bytes (connection, -1, NULL, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    _exit (0);   /* all is measured */
  check (bytes != NULL, error);
  if (g_bytes_get_size (bytes) != size)
    g_error ("wrong size");
  g_bytes_unref (bytes);
}

static void
receive_value (void)
{
  GError *error = NULL;
  GVariant *value = mp_connection_recv (connection, -1, NULL, &error);
  const char *text;
  double number;
  int index;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    _exit (0);
  check (value != NULL, error);
  g_variant_get (value, "(i&sd)", &index, &text, &number);
  if (strcmp (text, "hello world") != 0)
    g_error ("wrong value");
  g_variant_unref (value);
}

/* TRUE in the other process. */
static gboolean
fork_peer (int own_cpu, int peer_cpu)
{
  g_autoptr(MpConnection) other = NULL;
  GError *error = NULL;
  gboolean is_peer;

  check (mp_pipe_new (TRUE, &connection, &other, &error), error);
  is_peer = fork () == 0;
  bench_pin (is_peer ? peer_cpu : own_cpu);
  if (is_peer)
    {
      MpConnection *mine = g_steal_pointer (&other);

      other = connection;
      connection = mine;
    }
  return is_peer;
}

static void
bench_pingpong (gboolean same_cpu)
{
  guint64 data = 1;
  g_autoptr(GBytes) bytes = g_bytes_new (&data, MESSAGE_SIZE);
  g_autofree gint64 *times = g_new (gint64, N_PINGPONG);

  G_STATIC_ASSERT (sizeof data == MESSAGE_SIZE);
  if (fork_peer (0, same_cpu ? 0 : 1))
    {
      for (;;)
        {
          receive_message (MESSAGE_SIZE);
          send_message (bytes);
        }
    }

  for (int i = -N_WARM_UP; i < N_PINGPONG; i++)
    {
      gint64 start = bench_now ();

      send_message (bytes);
      receive_message (MESSAGE_SIZE);
      if (i >= 0)
        times[i] = bench_now () - start;
    }
  bench_quantiles (times, N_PINGPONG);
}

static gsize
count_messages (gsize size)
{
  return CLAMP (((gsize) 1 << 30) / MAX (size, 1), 8, 300000);
}

/* @size 0: values. */
static void
bench_messages (gsize size)
{
  g_autofree guint8 *data = g_malloc0 (size + 1);
  g_autoptr(GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr(GBytes) done = g_bytes_new_static ("", 1);
  gsize n = count_messages (size);

  memset (data, 0x5a, size);
  if (fork_peer (0, 1))
    for (;;)
      {
        for (gsize i = 0; i < n; i++)
          {
            if (size > 0)
              receive_message (size);
            else
              receive_value ();
          }
        send_message (done);
      }

  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start = bench_now ();
      GError *error = NULL;

      for (gsize i = 0; i < n; i++)
        {
          if (size > 0)
            send_message (bytes);
          else
            check (mp_connection_send (connection, g_variant_new ("(isd)", 7, "hello world", 0.5), -1, NULL, &error),
                   error);
        }
      receive_message (1);
      if (repeat > 0)
        bench_rate ("messages/s", n, bench_now () - start);
    }
}

static void
bench_memory (gsize size)
{
  if (fork_peer (0, 1))
    {
      g_autoptr(GBytes) bytes = g_bytes_new_take (g_malloc0 (size), size);

      for (guint i = 0; i <= N_REPEATS; i++)
        {
          receive_message (1);
          send_message (bytes);
        }
      receive_message (1);
      _exit (0);
    }

  for (guint i = 0; i <= N_REPEATS; i++)
    {
      g_autoptr(GBytes) go = g_bytes_new_static ("", 1);
      double before = bench_begin_peak ();

      send_message (go);
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

  if (argc >= 4 && strcmp (argv[3], "blocking") == 0)
    mp_spin_set_for_testing (FALSE);
  if (strcmp (work, "pingpong") == 0)
    bench_pingpong (strcmp (argument, "one") == 0);
  else if (strcmp (work, "messages") == 0)
    bench_messages (strtoul (argument, NULL, 10));
  else if (strcmp (work, "variants") == 0)
    bench_messages (0);
  else if (strcmp (work, "memory") == 0)
    bench_memory (strtoul (argument, NULL, 10));
  else
    {
      fprintf (stderr, "Usage: %s pingpong one|two [blocking], messages SIZE, variants, memory SIZE\n", argv[0]);
      return 2;
    }

  mp_connection_close (connection, NULL);
  return 0;
}
