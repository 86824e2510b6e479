/* torture.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture-private.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a child does of the harness: it dies at its point, dawdles at others, and reports what it finds. */

TortureShared *torture_shared;
guint          torture_broken;

/* Who this process is. A process that a child forks is none of the suite's: it does not die at points. */
static int     self_row = -1;
static guint64 self_serial;
static int     next_row = -1;      /* what the next fork() of the conductor makes */
static guint64 next_serial;
static gboolean is_bystander;

static const char *point_names[TORTURE_MAX_POINTS];
static guint       n_point_names;

/* The linker's, around the section of MP_TORTURE_POINT(). */
extern MpTorturePoint *__start_mp_torture_points[] __attribute__ ((visibility ("hidden")));
extern MpTorturePoint *__stop_mp_torture_points[] __attribute__ ((visibility ("hidden")));

static int
compare_points (gconstpointer a,
                gconstpointer b)
{
  return strcmp ((*(MpTorturePoint *const *) a)->name, (*(MpTorturePoint *const *) b)->name);
}

guint
torture_number_points (void)
{
  gsize n_points = __stop_mp_torture_points - __start_mp_torture_points;
  g_autofree MpTorturePoint **sorted = g_memdup2 (__start_mp_torture_points, n_points * sizeof (MpTorturePoint *));

  qsort (sorted, n_points, sizeof (MpTorturePoint *), compare_points);
  for (gsize i = 0; i < n_points; i++)
    {
      MpTorturePoint *point = sorted[i];

      /* An inline function of a header has a copy of its points in each file that uses it. */
      if (n_point_names == 0 || strcmp (point_names[n_point_names - 1], point->name) != 0)
        {
          g_assert_cmpuint (n_point_names, <, TORTURE_MAX_POINTS);
          point_names[n_point_names++] = point->name;
        }
      point->number = n_point_names - 1;
    }
  return n_point_names;
}

const char *
torture_get_point_name (guint number)
{
  return number < n_point_names ? point_names[number] : "?";
}

/* Longer than a slice: who is not woken sleeps until that ends, and finds it free. */
#define BURST_US 125000

static void
forked (void)
{
  is_bystander = next_row < 0;
  self_row = next_row;
  self_serial = next_serial;
  next_row = -1;
}

void
torture_init (guint64 seed)
{
  torture_shared = torture_alloc (sizeof (TortureShared));
  torture_shared->seed = seed;
  /* The first to be registered runs first in the child: the library's own handlers have points too. */
  pthread_atfork (NULL, NULL, forked);
}

pid_t
torture_fork (guint   row,
              guint64 serial)
{
  pid_t pid;

  next_row = row;
  next_serial = serial;
  pid = fork ();
  if (pid != 0)
    next_row = -1;
  return pid;
}

int
torture_get_child (void)
{
  return self_row;
}

guint64
torture_get_serial (void)
{
  return self_serial;
}

guint
torture_count_deaths (void)
{
  return __atomic_load_n (&torture_shared->n_deaths, __ATOMIC_SEQ_CST);
}

gboolean
torture_is_anybody_dying (void)
{
  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    if ((__atomic_load_n (&torture_shared->rows[i].life, __ATOMIC_SEQ_CST) & 1) != 0)
      return TRUE;
  return FALSE;
}

gboolean
torture_is_quiet (void)
{
  return __atomic_load_n (&torture_shared->quiet, __ATOMIC_RELAXED);
}

void
torture_linger (void)
{
  if (torture_is_quiet ())
    g_usleep (300);
}

void
torture_pause (void)
{
  TortureRow *row = &torture_shared->rows[self_row];

  if (!__atomic_load_n (&torture_shared->quiet, __ATOMIC_RELAXED))
    return;
  __atomic_store_n (&row->is_pausing, TRUE, __ATOMIC_SEQ_CST);
  if (__atomic_load_n (&torture_shared->in_bursts, __ATOMIC_RELAXED))
    g_usleep (BURST_US - g_get_monotonic_time () % BURST_US);
  else
    g_usleep (500);
  __atomic_store_n (&row->is_pausing, FALSE, __ATOMIC_SEQ_CST);
}

gpointer
torture_alloc (gsize size)
{
  gpointer memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  if (memory == MAP_FAILED)
    g_error ("torture: no memory");
  return memory;
}

guint
torture_random (guint n)
{
  static _Thread_local guint64 state;
  static _Thread_local guint64 serial;

  /* A child begins with its parent's memory: it must not do the same as its brother. */
  if (state == 0 || serial != self_serial)
    {
      serial = self_serial;
      state = (torture_shared->seed + 1) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
      state ^= (serial + 1) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
      state ^= (guint64) (gettid () - getpid ()) << 40;
      state |= 1;
    }
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (state >> 24) % n;
}

void
torture_violation (const char *format,
                   ...)
{
  guint n = __atomic_fetch_add (&torture_shared->n_violations, 1, __ATOMIC_SEQ_CST);

  if (n < TORTURE_MAX_VIOLATIONS)
    {
      char *text = torture_shared->violations[n];
      gsize size = sizeof (torture_shared->violations[n]);
      int length;
      va_list args;

      /* It may be killed before it comes to the text. */
      length = self_row < 0 ? g_snprintf (text, size, "conductor: ")
                            : g_snprintf (text, size, "child %" G_GUINT64_FORMAT ": ", self_serial);
      va_start (args, format);
      g_vsnprintf (text + length, size - length, format, args);
      va_end (args);
    }
}

G_NORETURN static void
die (TortureRow *row,
     guint       number)
{
  __atomic_store_n (&row->died_at, (int) number, __ATOMIC_RELAXED);
  if ((__atomic_fetch_or (&row->life, 1, __ATOMIC_SEQ_CST) & 1) == 0)
    __atomic_fetch_add (&torture_shared->n_deaths, 1, __ATOMIC_SEQ_CST);
  kill (getpid (), SIGKILL);
  for (;;)
    pause ();
}

static void
die_in_turn (TortureRow *row,
             guint       number)
{
  if ((int) number == row->target && __atomic_fetch_sub (&row->skip, 1, __ATOMIC_RELAXED) <= 0)
    die (row, number);
  if (__atomic_fetch_sub (&row->patience, 1, __ATOMIC_RELAXED) <= 0)
    die (row, number);
}

/* What lies between two points is a few instructions: without this others would hardly ever see it half done. */
static void
dawdle (void)
{
  guint n = torture_random (1 << 20);

  if (n == 0 && self_row >= 0)
    g_usleep (150000);   /* longer than any sleep of those who wait: to be slow is not to be dead */
  else if (n < 1 << 10)
    g_usleep (1 + torture_random (200));
  else if (n < 1 << 14)
    sched_yield ();
}

void
mp_torture_point (MpTorturePoint *point)
{
  if (torture_shared == NULL)
    return;
  if (self_row >= 0 && !is_bystander)
    {
      TortureRow *row = &torture_shared->rows[self_row];

      __atomic_fetch_add (&row->hits[point->number], 1, __ATOMIC_RELAXED);
      if (!__atomic_load_n (&torture_shared->truce, __ATOMIC_RELAXED))
        die_in_turn (row, point->number);
    }
  if (!__atomic_load_n (&torture_shared->quiet, __ATOMIC_RELAXED))
    dawdle ();
}

/* As a witness has it: never 0. */
static guint64
encode_self (void)
{
  return self_serial << 8 | (guint) (self_row + 2);
}

static gboolean
is_alive (guint64 who)
{
  guint row = (guint) (who & 0xff) - 2;

  if (row >= TORTURE_N_CHILDREN)
    return TRUE;   /* the conductor */
  return __atomic_load_n (&torture_shared->rows[row].life, __ATOMIC_SEQ_CST) == who >> 8 << 1;
}

TortureFound
torture_enter (TortureWitness *witness,
               const char     *what)
{
  guint64 found = __atomic_exchange_n (witness, encode_self (), __ATOMIC_SEQ_CST);

  if (found == 0)
    return TORTURE_FOUND_NOBODY;
  if (!is_alive (found))
    return TORTURE_FOUND_DEAD;
  torture_violation ("%s: child %" G_GUINT64_FORMAT ", which is alive, has it too", what, found >> 8);
  return TORTURE_FOUND_ALIVE;
}

void
torture_leave (TortureWitness *witness,
               const char     *what)
{
  guint64 who = encode_self ();

  if (!__atomic_compare_exchange_n (witness, &who, 0, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    torture_violation ("%s: child %" G_GUINT64_FORMAT " has come in meanwhile", what, who >> 8);
}

gboolean
torture_try_enter (TortureWitness *witness)
{
  guint64 found = __atomic_load_n (witness, __ATOMIC_SEQ_CST);

  return (found == 0 || !is_alive (found)) &&
         __atomic_compare_exchange_n (witness, &found, encode_self (), FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void
torture_try_leave (TortureWitness *witness)
{
  guint64 who = encode_self ();

  __atomic_compare_exchange_n (witness, &who, 0, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
