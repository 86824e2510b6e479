/* bench-raw-shared.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-common.h"

/* What bare shared memory makes of the works of bench-lock.c and bench-ring.c: no check, no owner, nobody who may die.
 * `bench-raw-shared lock one/two|ring SIZE|acquire`. */

#define MAX_CPUS   2
#define BATCH      1000
#define DURATION   300000000   /* ns */
#define N_REPEATS  5
#define RING_SIZE  (G_GUINT64_CONSTANT (1) << 20)
#define N_BYTES    (G_GUINT64_CONSTANT (1) << 28)
#define N_ACQUIRES 2000
#define N_WARM_UP  200
#define SETTLE     200000      /* ns */
#define N_SPINS    100
#define LINE       128

#if defined (__x86_64__) || defined (__i386__)
# define RELAX() __builtin_ia32_pause ()
#else
# define RELAX() __asm__ volatile ("" ::: "memory")
#endif

typedef struct
{
  guint32 n_ready;
  guint32 turn;
  guint32 done;
  gint64  released;
  guint64 n_pairs[MAX_CPUS];
  /* A line each for what changes all the time. */
  guint32 mutex __attribute__ ((aligned (LINE)));   /* 0 free, 1 taken, 2 with sleepers */
  guint64 head __attribute__ ((aligned (LINE)));
  guint64 tail __attribute__ ((aligned (LINE)));
  guint8  data[RING_SIZE] __attribute__ ((aligned (LINE)));
} Shared;

static Shared *shared;

static void
die (const char *what)
{
  g_error ("%s: %s", what, g_strerror (errno));
}

static void
futex (guint32 *word, int operation, guint32 value)
{
  syscall (SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void
wait_for (guint32 *word, guint32 value)
{
  while (__atomic_load_n (word, __ATOMIC_SEQ_CST) != value)
    ;
}

/* The third mutex of U. Drepper, "Futexes are tricky", which tries for a while before it sleeps. */
static void
acquire (void)
{
  for (guint i = 0; i < N_SPINS; i++)
    {
      guint32 nobody = 0;

      if (__atomic_compare_exchange_n (&shared->mutex, &nobody, 1, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
      RELAX ();
    }
  while (__atomic_exchange_n (&shared->mutex, 2, __ATOMIC_ACQUIRE) != 0)
    futex (&shared->mutex, FUTEX_WAIT, 2);
}

static void
release (void)
{
  if (__atomic_exchange_n (&shared->mutex, 0, __ATOMIC_RELEASE) == 2)
    futex (&shared->mutex, FUTEX_WAKE, 1);
}

static void
run_pairs (guint number, guint n_cpus)
{
  gint64 end;

  bench_pin (number);
  __atomic_fetch_add (&shared->n_ready, 1, __ATOMIC_SEQ_CST);
  wait_for (&shared->n_ready, n_cpus);
  end = bench_now () + DURATION;
  do
    {
      for (guint i = 0; i < BATCH; i++)
        {
          acquire ();
          release ();
        }
      shared->n_pairs[number] += BATCH;
    }
  while (bench_now () < end);
}

static void
bench_pairs (guint n_cpus)
{
  for (guint i = 0; i <= N_REPEATS; i++)
    {
      guint64 n = 0;
      gint64 start;

      shared->n_ready = 0;
      memset (shared->n_pairs, 0, sizeof shared->n_pairs);
      for (guint number = 1; number < n_cpus; number++)
        if (fork () == 0)
          {
            run_pairs (number, n_cpus);
            _exit (0);
          }
      start = bench_now ();
      run_pairs (0, n_cpus);
      while (wait (NULL) > 0)
        ;
      for (guint number = 0; number < n_cpus; number++)
        n += shared->n_pairs[number];
      if (i > 0)
        bench_rate ("pairs/s", n, bench_now () - start);
    }
}

static void
copy_in (guint64 at, const void *from, gsize size)
{
  gsize offset = at % RING_SIZE, n = MIN (size, RING_SIZE - offset);

  memcpy (shared->data + offset, from, n);
  memcpy (shared->data, (const guint8 *) from + n, size - n);
}

static void
copy_out (guint64 at, void *to, gsize size)
{
  gsize offset = at % RING_SIZE, n = MIN (size, RING_SIZE - offset);

  memcpy (to, shared->data + offset, n);
  memcpy ((guint8 *) to + n, shared->data, size - n);
}

/* Who finds nothing looks again, for ever: no sleep, so no fence to see a sleeper. Not at once, for each look takes the
 * line from the other. */
static guint64
look_again (guint64 *position)
{
  for (guint i = 0; i < 8; i++)
    RELAX ();
  return __atomic_load_n (position, __ATOMIC_ACQUIRE);
}

static void
write_records (const char *data, gsize size, guint64 n)
{
  guint64 head = shared->head, tail = __atomic_load_n (&shared->tail, __ATOMIC_ACQUIRE);
  guint64 length = size;

  for (; n > 0; n--)
    {
      while (RING_SIZE - (head - tail) < sizeof length + size)
        tail = look_again (&shared->tail);
      copy_in (head, &length, sizeof length);
      copy_in (head + sizeof length, data, size);
      head += sizeof length + size;
      __atomic_store_n (&shared->head, head, __ATOMIC_RELEASE);
    }
}

static void
read_records (char *buffer, guint64 n)
{
  guint64 tail = shared->tail, head = __atomic_load_n (&shared->head, __ATOMIC_ACQUIRE);
  guint64 length;

  for (; n > 0; n--)
    {
      while (head == tail)
        head = look_again (&shared->head);
      copy_out (tail, &length, sizeof length);
      copy_out (tail + sizeof length, buffer, length);
      tail += sizeof length + length;
      __atomic_store_n (&shared->tail, tail, __ATOMIC_RELEASE);
    }
}

static void
bench_ring (gsize size)
{
  g_autofree char *data = g_malloc0 (size);
  guint64 n = N_BYTES / size;

  if (fork () == 0)
    {
      bench_pin (1);
      __atomic_store_n (&shared->n_ready, 1, __ATOMIC_SEQ_CST);
      for (guint i = 0; i <= N_REPEATS; i++)
        {
          read_records (data, n);
          __atomic_store_n (&shared->done, i + 1, __ATOMIC_SEQ_CST);
        }
      _exit (0);
    }

  bench_pin (0);
  wait_for (&shared->n_ready, 1);
  for (guint i = 0; i <= N_REPEATS; i++)
    {
      gint64 start = bench_now ();

      write_records (data, size, n);
      wait_for (&shared->done, i + 1);
      if (i > 0)
        bench_rate ("records/s", n, bench_now () - start);
    }
  wait (NULL);
}

/* The shortest way from another process to a main loop without a descriptor shared with it. */
static void *
pass_on (void *data)
{
  int fd = *(int *) data;

  for (guint32 i = 0; i < N_WARM_UP + N_ACQUIRES; i++)
    {
      while (__atomic_load_n (&shared->done, __ATOMIC_SEQ_CST) == i)
        futex (&shared->done, FUTEX_WAIT, i);
      if (eventfd_write (fd, 1) < 0)
        die ("eventfd_write");
    }
  return NULL;
}

static void
serve_wakes (void)
{
  bench_pin (1);
  for (guint32 i = 1; i <= N_WARM_UP + N_ACQUIRES; i++)
    {
      gint64 start;

      wait_for (&shared->turn, i);
      for (start = bench_now (); bench_now () < start + SETTLE;)
        ;
      shared->released = bench_now ();
      __atomic_store_n (&shared->done, i, __ATOMIC_SEQ_CST);
      futex (&shared->done, FUTEX_WAKE, 1);
    }
}

static void
bench_acquire (void)
{
  g_autofree gint64 *times = g_new (gint64, N_ACQUIRES);
  int fd = eventfd (0, EFD_CLOEXEC);
  pthread_t thread;

  if (fork () == 0)
    {
      serve_wakes ();
      _exit (0);
    }
  bench_pin (0);
  if (fd < 0 || pthread_create (&thread, NULL, pass_on, &fd) != 0)
    die ("eventfd");
  for (guint32 i = 1; i <= N_WARM_UP + N_ACQUIRES; i++)
    {
      struct pollfd wait = { fd, POLLIN, 0 };
      eventfd_t count;

      __atomic_store_n (&shared->turn, i, __ATOMIC_SEQ_CST);
      if (poll (&wait, 1, -1) != 1 || eventfd_read (fd, &count) < 0)
        die ("poll");
      if (i > N_WARM_UP)
        times[i - N_WARM_UP - 1] = bench_now () - shared->released;
    }
  pthread_join (thread, NULL);
  wait (NULL);
  close (fd);
  bench_quantiles (times, N_ACQUIRES);
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";

  shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    die ("mmap");

  if (strcmp (mode, "lock") == 0 && argc > 2)
    bench_pairs (strcmp (argv[2], "two") == 0 ? 2 : 1);
  else if (strcmp (mode, "ring") == 0 && argc > 2)
    bench_ring (strtoul (argv[2], NULL, 10));
  else if (strcmp (mode, "acquire") == 0)
    bench_acquire ();
  else
    {
      fprintf (stderr, "Usage: %s lock one/two|ring SIZE|acquire\n", argv[0]);
      return 2;
    }
  return 0;
}
