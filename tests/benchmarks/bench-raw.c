/* bench-raw.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gio/gio.h>

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* What the kernel alone, or GVariant alone, makes of the works of bench-pool.c: `bench-raw MODE [ARGUMENT …]`. */

#define N_WORKERS 2
#define MESSAGE_SIZE 64

static void
die (const char *what)
{
  g_error ("%s: %s", what, g_strerror (errno));
}

static void
write_all (int fd, const char *data, gsize size)
{
  while (size > 0)
    {
      gssize n = send (fd, data, size, MSG_NOSIGNAL);

      if (n <= 0)
        die ("send");
      data += n;
      size -= n;
    }
}

static gboolean
read_all (int fd, char *data, gsize size)
{
  while (size > 0)
    {
      gssize n = recv (fd, data, size, 0);

      if (n < 0)
        die ("recv");
      if (n == 0)
        return FALSE;
      data += n;
      size -= n;
    }
  return TRUE;
}

/* Forks a child that has @peer; the other end is returned. */
static int
fork_peer (void (*serve) (int fd, gpointer data), gpointer data, pid_t *pid)
{
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
    die ("socketpair");
  fflush (NULL);
  *pid = fork ();
  if (*pid < 0)
    die ("fork");
  if (*pid == 0)
    {
      close (fds[0]);
      serve (fds[1], data);
      _exit (0);
    }
  close (fds[1]);
  return fds[0];
}

/* The bound that GVariant sets: for each item an argument and a result are made, and the result is stored in its place
 * of a serialised array; all on both CPUs, with nothing sent. */
static void
serve_items (int fd, gpointer data)
{
  gsize n = *(gsize *) data;
  g_autofree gint64 *numbers = g_new (gint64, n);
  g_autofree gint64 *results = g_new (gint64, n);
  g_autoptr(GVariant) items = NULL;
  char byte;

  for (gsize i = 0; i < n; i++)
    numbers[i] = i;
  items = g_variant_ref_sink (g_variant_new_fixed_array (G_VARIANT_TYPE_INT64, numbers, n, sizeof (gint64)));

  while (read_all (fd, &byte, 1))
    {
      for (gsize i = 0; i < n; i++)
        {
          g_autoptr(GVariant) item = g_variant_get_child_value (items, i);
          gint64 x = g_variant_get_int64 (item);
          g_autoptr(GVariant) result = g_variant_ref_sink (g_variant_new_int64 (x * x));

          g_variant_store (result, results + i);
        }
      write_all (fd, &byte, 1);
    }
}

/* The same for a whole-chunk function: arrays of plain numbers through a socket and back. */
static void
serve_arrays (int fd, gpointer data)
{
  gsize n = *(gsize *) data;
  g_autofree gint64 *numbers = g_new (gint64, n);

  while (read_all (fd, (char *) numbers, n * sizeof (gint64)))
    {
      for (gsize i = 0; i < n; i++)
        numbers[i] *= numbers[i];
      write_all (fd, (const char *) numbers, n * sizeof (gint64));
    }
}

static void
bench_bound (gsize n, guint repeats)
{
  gsize half = n / N_WORKERS;
  int fds[N_WORKERS];
  pid_t pids[N_WORKERS];
  char byte = 0;

  for (guint i = 0; i < N_WORKERS; i++)
    fds[i] = fork_peer (serve_items, &half, &pids[i]);

  for (guint r = 0; r <= repeats; r++)
    {
      gint64 start = bench_now ();

      for (guint i = 0; i < N_WORKERS; i++)
        write_all (fds[i], &byte, 1);
      for (guint i = 0; i < N_WORKERS; i++)
        read_all (fds[i], &byte, 1);
      if (r > 0)
        bench_rate ("items/s", n, bench_now () - start);
    }
}

static void
bench_arrays (gsize n, guint repeats)
{
  gsize chunk = n / (4 * N_WORKERS);
  gsize size = chunk * sizeof (gint64);
  int fds[N_WORKERS];
  pid_t pids[N_WORKERS];
  g_autofree gint64 *items = g_new (gint64, n);

  for (guint i = 0; i < N_WORKERS; i++)
    fds[i] = fork_peer (serve_arrays, &chunk, &pids[i]);
  for (gsize i = 0; i < n; i++)
    items[i] = i;

  for (guint r = 0; r <= repeats; r++)
    {
      g_autofree gint64 *results = g_new (gint64, n);
      gint64 start = bench_now ();

      for (gsize i = 0; i < n; i += N_WORKERS * chunk)
        {
          for (guint w = 0; w < N_WORKERS; w++)
            write_all (fds[w], (const char *) (items + i + w * chunk), size);
          for (guint w = 0; w < N_WORKERS; w++)
            read_all (fds[w], (char *) (results + i + w * chunk), size);
        }
      if (r > 0)
        bench_rate ("items/s", n, bench_now () - start);
    }
}

/* One message, one answer: also what a pool with chunks of one pays when nothing is gathered. */
static void
serve_echo (int fd, gpointer data)
{
  char message[MESSAGE_SIZE];

  bench_pin (*(int *) data);
  while (read_all (fd, message, sizeof message))
    write_all (fd, message, sizeof message);
}

static void
bench_call (const char *cpus)
{
  int peer_cpu = strcmp (cpus, "one") == 0 ? 0 : 1;
  char message[MESSAGE_SIZE] = { 0, };
  guint n_warm_up = 1000, n = 20000;
  g_autofree gint64 *times = g_new (gint64, n);
  pid_t pid;
  int fd = fork_peer (serve_echo, &peer_cpu, &pid);

  bench_pin (0);
  for (guint i = 0; i < n_warm_up + n; i++)
    {
      gint64 start = bench_now ();

      write_all (fd, message, sizeof message);
      read_all (fd, message, sizeof message);
      if (i >= n_warm_up)
        times[i - n_warm_up] = bench_now () - start;
    }
  bench_quantiles (times, n);
}

/* One write for each task, results read as they come: at most so many messages are on their way that nobody blocks. */
static void
serve_window (int fd, gpointer data)
{
  char message[MESSAGE_SIZE];

  while (read_all (fd, message, sizeof message))
    write_all (fd, message, sizeof message);
}

static void
bench_tasks (const char *metric, gsize n, guint repeats)
{
  const gsize window = 64;
  int fds[N_WORKERS];
  pid_t pids[N_WORKERS];
  char message[MESSAGE_SIZE] = { 0, };

  for (guint i = 0; i < N_WORKERS; i++)
    fds[i] = fork_peer (serve_window, NULL, &pids[i]);

  for (guint r = 0; r <= repeats; r++)
    {
      gint64 start = bench_now ();

      for (gsize sent = 0, received = 0; received < n; received++)
        {
          while (sent < n && sent - received < N_WORKERS * window)
            write_all (fds[sent++ % N_WORKERS], message, sizeof message);
          read_all (fds[received % N_WORKERS], message, sizeof message);
        }
      if (r > 0)
        bench_rate (metric, n, bench_now () - start);
    }
}

/* A process that forks on request and reports the end. */
static void
serve_forks (int fd, gpointer data)
{
  char byte;

  while (read_all (fd, &byte, 1))
    {
      pid_t pid = fork ();

      if (pid == 0)
        _exit (0);
      if (pid < 0 || waitpid (pid, NULL, 0) != pid)
        die ("fork");
      write_all (fd, &byte, 1);
    }
}

static void
spawn_and_wait (const char *program)
{
  char mode[] = "nothing";
  char *argv[] = { (char *) program, mode, NULL };
  pid_t pid;

  errno = posix_spawn (&pid, program, NULL, NULL, argv, environ);
  if (errno != 0 || waitpid (pid, NULL, 0) != pid)
    die (program);
}

static void
bench_start (const char *method, const char *mebibytes)
{
  gboolean spawn = strcmp (method, "spawn") == 0;
  pid_t pid;
  int fd = fork_peer (serve_forks, NULL, &pid);
  G_GNUC_UNUSED g_autofree char *ballast = bench_ballast (atoi (mebibytes));
  guint n = spawn ? 100 : 500;
  char byte = 0;

  for (guint r = 0; r < 4; r++)
    {
      gint64 start = bench_now ();

      for (guint i = 0; i < n; i++)
        {
          if (spawn)
            spawn_and_wait ("/proc/self/exe");
          else
            {
              write_all (fd, &byte, 1);
              read_all (fd, &byte, 1);
            }
        }
      if (r > 0)
        bench_rate ("starts/s", n, bench_now () - start);
    }
}

/* A big message: written, read into memory that is used again, answered with eight bytes. */
static void
serve_big (int fd, gpointer data)
{
  gsize size = *(gsize *) data;
  g_autofree char *memory = bench_ballast (size >> 20);

  while (read_all (fd, memory, size))
    write_all (fd, (const char *) &size, sizeof size);
}

static void
bench_big (gsize size)
{
  pid_t pid;
  int fd = fork_peer (serve_big, &size, &pid);
  g_autofree char *memory = bench_ballast (size >> 20);
  int buffer = 1 << 20;

  if (setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) < 0)
    die ("setsockopt");
  for (guint i = 0; i < 6; i++)
    {
      gint64 start = bench_now ();
      gsize answer;

      write_all (fd, memory, size);
      read_all (fd, (char *) &answer, sizeof answer);
      if (i > 0)
        bench_report ("ms", (bench_now () - start) / 1e6);
    }
}

/* The same, in memory that both have, of which only the size is sent. */
static void
serve_shared (int fd, gpointer data)
{
  const char *memory = data;
  gsize size;

  while (read_all (fd, (char *) &size, sizeof size))
    if (memory[0] == memory[size - 1])
      write_all (fd, (const char *) &size, sizeof size);
}

static void
bench_shared (gsize size)
{
  char *memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  gsize answer;
  pid_t pid;
  int fd;

  if (memory == MAP_FAILED)
    die ("mmap");
  memset (memory, 0x5a, size);
  fd = fork_peer (serve_shared, memory, &pid);
  for (guint i = 0; i < 201; i++)
    {
      gint64 start = bench_now ();

      write_all (fd, (const char *) &size, sizeof size);
      read_all (fd, (char *) &answer, sizeof answer);
      if (i > 0)
        bench_report ("ms", (bench_now () - start) / 1e6);
    }
  munmap (memory, size);
}

static void
bench_idle (void)
{
  int cpu = 0, pids[N_WORKERS];

  for (guint i = 0; i < N_WORKERS; i++)
    fork_peer (serve_echo, &cpu, &pids[i]);
  bench_idle_cost (pids, N_WORKERS);
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";

  if (strcmp (mode, "nothing") == 0)
    return 0;
  else if (strcmp (mode, "map") == 0)
    bench_bound (1000000, 5);
  else if (strcmp (mode, "chunk") == 0)
    bench_arrays (1000000, 20);
  else if (strcmp (mode, "chunk1") == 0)
    bench_tasks ("items/s", 100000, 3);
  else if (strcmp (mode, "submit") == 0)
    bench_tasks ("tasks/s", 100000, 3);
  else if (strcmp (mode, "call") == 0 && argc > 2)
    bench_call (argv[2]);
  else if (strcmp (mode, "start") == 0 && argc > 3)
    bench_start (argv[2], argv[3]);
  else if (strcmp (mode, "big") == 0)
    bench_big (100 << 20);
  else if (strcmp (mode, "shared") == 0)
    bench_shared (100 << 20);
  else if (strcmp (mode, "idle") == 0)
    bench_idle ();
  else
    {
      fprintf (stderr, "Usage: %s map|chunk|chunk1|submit|call one/two|start METHOD MIB|big|shared|idle\n", argv[0]);
      return 2;
    }

  return 0;
}
