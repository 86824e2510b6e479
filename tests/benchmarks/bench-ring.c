/* bench-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

#include "mp-glib/arena/mp-ring-private.h"
#include "mp-glib/platform/mp-fd-private.h"

/* mp-glib's ring, records of one size one way between two processes on two CPUs: `bench-ring ring SIZE`. */

#define RING_SIZE (1 << 20)
#define N_BYTES   (G_GUINT64_CONSTANT (1) << 28)
#define N_REPEATS 5

static void
die (const GError *error)
{
  g_error ("%s", error->message);
}

static MpRing *
take_end (MpRing *ring, MpRingEnd end)
{
  GError *error = NULL;

  if (!mp_ring_take_end (ring, end, &error))
    die (error);
  return ring;
}

static void
wait_for (MpRing *ring, gsize room)
{
  GError *error = NULL;

  if (!mp_ring_wait (ring, room, -1, NULL, &error))
    die (error);
}

static void
write_records (MpRing *ring, const char *data, gsize size, guint64 n)
{
  GError *error = NULL;

  for (; n > 0; n--)
    while (!mp_ring_try_write (ring, data, size, &error))
      {
        if (error != NULL)
          die (error);
        wait_for (ring, size);
      }
}

static void
read_records (MpRing *ring, char *buffer, gsize size, guint64 n)
{
  GError *error = NULL;
  gsize got;

  for (; n > 0; n--)
    {
      while (!mp_ring_try_read (ring, buffer, size, &got, &error))
        {
          if (error != NULL)
            die (error);
          wait_for (ring, 0);
        }
      g_assert (got == size);
    }
}

static void
serve (MpRing *there, MpRing *back, int ready, gsize size, guint64 n)
{
  g_autofree char *buffer = g_malloc0 (size);
  char done = 1;

  bench_pin (1);
  take_end (there, MP_RING_READER);
  take_end (back, MP_RING_WRITER);
  mp_fd_write_quietly (ready, &done, 1);
  for (guint i = 0; i <= N_REPEATS; i++)
    {
      read_records (there, buffer, size, n);
      write_records (back, &done, 1, 1);
    }
}

static void
bench (gsize size)
{
  g_autofree char *data = g_malloc0 (size);
  guint64 n = N_BYTES / size;
  MpRing *there, *back;
  GError *error = NULL;
  int ready[2];
  char done;

  there = mp_ring_new (RING_SIZE, &error);
  back = there != NULL ? mp_ring_new (1, &error) : NULL;
  if (back == NULL)
    die (error);
  if (mp_fd_pipe (ready) < 0)
    g_error ("no pipe");
  /* First, so that the child finds somebody there; as a forked one it has no part in them. */
  take_end (there, MP_RING_WRITER);
  take_end (back, MP_RING_READER);
  if (fork () == 0)
    {
      serve (there, back, ready[1], size, n);
      _exit (0);
    }

  bench_pin (0);
  if (read (ready[0], &done, 1) != 1)
    g_error ("no reader");
  for (guint i = 0; i <= N_REPEATS; i++)
    {
      gint64 start = bench_now ();

      write_records (there, data, size, n);
      read_records (back, &done, 1, 1);
      if (i > 0)
        bench_rate ("records/s", n, bench_now () - start);
    }
  wait (NULL);
  mp_ring_free (there);
  mp_ring_free (back);
}

int
main (int argc, char **argv)
{
  if (argc != 3)
    {
      fprintf (stderr, "Usage: %s ring SIZE\n", argv[0]);
      return 2;
    }

  bench (strtoul (argv[2], NULL, 10));
  return 0;
}
