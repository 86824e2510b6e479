/* test-pool-life.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-size-test.h"

#include <sys/mman.h>

#include "mp-glib/platform/mp-process-control-private.h"

/* How long workers live: while there is work, up to an age, to a size; and how fast they follow each other. */

#define MIB (1024 * 1024)

static void
turn_for (gint64 us)
{
  gint64 end = g_get_monotonic_time () + us;

  while (g_get_monotonic_time () < end)
    g_main_context_iteration (NULL, FALSE);
}

/* Nobody until there is something, nobody again after that: 0 → 1 → 0 → 1. */
static void
test_from_nothing (void)
{
  MpPool *pool = elastic_pool (3, 0, 1000);
  Events events;

  events_init (&events, pool);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (events.n_started, ==, 0);
  for (guint i = 1; i <= 5; i++)
    {
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
      events_await_exits (&events, i);
      g_assert_cmpuint (events.n_started, ==, i);
      g_assert_cmpint (events.last_status, ==, 0);
    }
  g_assert_cmpuint (events_count (&events, "idle"), ==, 5);
  finish (pool);
  events_clear (&events);
}

static void
test_minimum (void)
{
  MpPool *pool = elastic_pool (3, 1, 1000);
  Events events;
  int pid = 0;

  events_init (&events, pool);
  while (events.n_started == 0)
    g_main_context_iteration (NULL, TRUE);
  check_n_at_work (pool, 3);
  g_assert_cmpuint (events.n_started, ==, 3);
  events_await_exits (&events, 2);
  g_assert_cmpuint (events_count (&events, "idle"), ==, 2);
  pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);
  turn_for (20 * 1000);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), ==, pid);
  g_assert_cmpuint (events.n_started, ==, 3);
  g_assert_cmpuint (events.n_exited, ==, 2);

  /* Another minimum takes effect at once, either way. */
  g_object_set (pool, "min-workers", 3, NULL);
  while (events.n_started < 5)
    g_main_context_iteration (NULL, TRUE);
  g_object_set (pool, "min-workers", 0, NULL);
  events_await_exits (&events, 5);
  g_assert_cmpuint (events_count (&events, "idle"), ==, 5);
  finish (pool);
  events_clear (&events);
}

/* As many as there are tasks, and no more; the timeout does not end who is at work. */
static void
test_demand (void)
{
  MpPool *pool = elastic_pool (4, 0, 1000);
  Held held[2];
  Events events;

  events_init (&events, pool);
  for (int i = 0; i < 2; i++)
    held_begin (&held[i], pool);
  turn_for (20 * 1000);
  g_assert_cmpuint (events.n_started, ==, 2);
  g_assert_cmpuint (events.n_exited, ==, 0);
  for (int i = 0; i < 2; i++)
    held_end (&held[i]);
  events_await_exits (&events, 2);
  finish (pool);
  events_clear (&events);
}

/* From its last task on, not from its start. */
static void
test_last_task (void)
{
  const gint64 timeout = 50 * 1000;
  MpPool *pool = elastic_pool (1, 0, timeout);
  gint64 first = g_get_monotonic_time (), last = first;
  Events events;

  events_init (&events, pool);
  while (last < first + 2 * timeout)
    {
      last = g_get_monotonic_time ();
      apply_int (pool, MP_FUNCTION (tell_pid), NULL);
    }
  events_await_exits (&events, events.n_exited + 1);
  g_assert_cmpint (g_get_monotonic_time (), >=, last + timeout);
  finish (pool);
  events_clear (&events);
}

/* Set later it counts from then; unset, all come back. */
static void
test_set_later (void)
{
  MpPool *pool = mp_pool_new (3);
  Events events;

  events_init (&events, pool);
  check_n_at_work (pool, 3);
  g_object_set (pool, "idle-timeout-us", (gint64) 0, NULL);
  events_await_exits (&events, 3);
  g_assert_cmpuint (events_count (&events, "idle"), ==, 3);
  g_object_set (pool, "idle-timeout-us", (gint64) -1, NULL);
  while (events.n_started < 6)
    g_main_context_iteration (NULL, TRUE);
  finish (pool);
  events_clear (&events);
}

/* Work comes just as workers go, again and again. */
static void
test_thrash (void)
{
  MpPool *pool = elastic_pool (3, 0, 0);
  Events events;

  events_init (&events, pool);
  for (int i = 0; i < (is_slow () ? 20 : 200); i++)
    {
      g_autoptr(GVariant) squares = map (pool, MP_FUNCTION (square), make_ints (i), 1);

      if (i > 0)
        check_squares (squares, i);
    }
  while (events.n_exited < events.n_started)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (events_count (&events, "idle"), ==, events.n_exited);
  g_test_message ("%u started", events.n_started);
  finish (pool);
  events_clear (&events);
}

/* Of all that the pool has, nothing is done by a worker: it dies idle in a pool that wants none. */
static void
test_death_unwanted (void)
{
  MpPool *pool = elastic_pool (2, 0, LONG);
  Events events;
  int pid = 0;

  events_init (&events, pool);
  pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);
  kill (pid, SIGKILL);
  events_await_exits (&events, 1);
  g_assert_cmpuint (events_count (&events, "died"), ==, 1);
  turn_for (5000);
  g_assert_cmpuint (events.n_started, ==, 1);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), !=, pid);
  finish (pool);
  events_clear (&events);
}

static void
test_age (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 2, "worker-max-age-us", (gint64) 2000, NULL);
  Events events;

  events_init (&events, pool);
  while (events_count (&events, "too old") < 6)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
  g_assert_cmpuint (events_count (&events, "too old"), ==, events.n_exited);
  g_object_set (pool, "worker-max-age-us", (gint64) -1, NULL);
  check_n_at_work (pool, 2);
  finish (pool);
  events_clear (&events);
}

/* Idle workers grow old, too. */
static void
test_age_idle (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 2, "worker-max-age-us", (gint64) 1000, NULL);
  Events events;

  events_init (&events, pool);
  events_await_exits (&events, 6);
  g_assert_cmpuint (events_count (&events, "too old"), ==, events.n_exited);
  finish (pool);
  events_clear (&events);
}

/* What it runs at that age is not disturbed; what stood behind that runs in the next. */
static void
test_age_busy (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 1, "worker-max-age-us", (gint64) 1000, NULL);
  g_autoptr(MpFuture) behind = NULL;
  Events events;
  Held held;

  events_init (&events, pool);
  held_begin (&held, pool);
  behind = submit (pool, MP_FUNCTION (tell_pid), NULL);
  turn_for (10 * 1000);
  g_assert_cmpint (kill (held.pid, 0), ==, 0);
  held_end (&held);
  g_assert_cmpint (get_int (behind), !=, held.pid);
  finish (pool);
  events_clear (&events);
}

/* Even those that are too old as soon as they are ready do something each. */
static void
test_age_zero (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 1, "worker-max-age-us", (gint64) 0, NULL);
  Events events;

  events_init (&events, pool);
  for (int i = 0; i < 5; i++)
    {
      g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));

      g_assert_cmpint (get_int (future), ==, i * i);
    }
  events_await_exits (&events, 1);
  g_assert_cmpuint (events_count (&events, "too old"), ==, events.n_exited);
  finish (pool);
  events_clear (&events);
}

static GVariant *
grow_by (GVariant *args, gpointer user_data, GError **error)
{
  gsize size = (gsize) g_variant_get_int32 (args) * MIB;
  void *memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  memset (memory, 1, size);
  return g_variant_new_int32 (getpid ());
}

static GVariant *
share (GVariant *args, gpointer user_data, GError **error)
{
  gsize size = (gsize) g_variant_get_int32 (args) * MIB;
  void *memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  memset (memory, 1, size);
  return g_variant_new_int32 (getpid ());
}

/* Their own memory grows with that of the program. */
static gboolean
skip_for_instrument (void)
{
  if (!UNDER_THREAD_SANITIZER && !is_under_valgrind ())
    return FALSE;
  g_test_skip ("the instrument takes memory of its own");
  return TRUE;
}

/* More than a worker was allowed is noticed after the task, however soon that came after the last look. */
static void
test_growth (void)
{
  MpPool *pool = NULL;
  Events events;
  int pid;

  if (skip_for_instrument ())
    return;
  pool = g_object_new (MP_TYPE_POOL, "n-workers", 1, "worker-max-growth", (guint64) 48 * MIB,
                       "initializer", MP_FUNCTION (grow_by), "initializer-args", g_variant_new_int32 (64), NULL);
  events_init (&events, pool);
  pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);
  for (int i = 0; i < 4; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (grow_by), g_variant_new_int32 (4)), ==, pid);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (share), g_variant_new_int32 (64)), ==, pid);
  turn_for (250 * 1000);
  g_assert_cmpuint (events.n_exited, ==, 0);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (grow_by), g_variant_new_int32 (40)), ==, pid);
  events_await_exits (&events, 1);
  g_assert_cmpstr (events.reasons->pdata[0], ==, "too large");
  g_assert_cmpint (events.last_status, ==, 0);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), !=, pid);
  finish (pool);
  events_clear (&events);
}

/* What it was when the bound was set counts. */
static void
test_growth_later (void)
{
  MpPool *pool = NULL;
  Events events;
  int pid;

  if (skip_for_instrument ())
    return;
  pool = mp_pool_new (1);
  events_init (&events, pool);
  pid = apply_int (pool, MP_FUNCTION (grow_by), g_variant_new_int32 (64));
  g_object_set (pool, "worker-max-growth", (guint64) 32 * MIB, NULL);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (grow_by), g_variant_new_int32 (1)), ==, pid);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (grow_by), g_variant_new_int32 (64)), ==, pid);
  events_await_exits (&events, 1);
  g_assert_cmpstr (events.reasons->pdata[0], ==, "too large");
  finish (pool);
  events_clear (&events);
}

static void
test_private_memory (void)
{
  guint64 before = mp_platform_private_memory (getpid ()), after;
  void *memory = NULL;

  if (skip_for_instrument ())
    return;
  g_assert_cmpuint (before, >, 0);
  memory = mmap (NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset (memory, 1, 32 * MIB);
  after = mp_platform_private_memory (getpid ());
  g_assert_cmpuint (after, >, before + 30 * MIB);
  munmap (memory, 32 * MIB);
  memory = mmap (NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset (memory, 1, 32 * MIB);
  g_assert_cmpuint (mp_platform_private_memory (getpid ()), <, before + 16 * MIB);
  munmap (memory, 32 * MIB);
  g_assert_cmpuint (mp_platform_private_memory (-1), ==, 0);
}

/* As many at once as a second gives, then one after the other; nothing is lost. */
static void
test_rate (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 2, "tasks-per-worker", 1, "max-start-rate", 20.0, NULL);
  gint64 start = g_get_monotonic_time ();
  Events events;

  events_init (&events, pool);
  for (int i = 0; i < 30; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
  /* Of 30 starts 20 were allowed at once. */
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 9 * G_USEC_PER_SEC / 20);
  finish (pool);
  events_clear (&events);
}

/* The bound is set and lifted while they wait for it. */
static void
test_rate_lifted (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 3, "max-start-rate", 0.001, NULL);
  Held held[2];
  Events events;

  events_init (&events, pool);
  check_n_at_work (pool, 1);
  turn_for (5000);
  g_assert_cmpuint (events.n_started, ==, 1);
  g_object_set (pool, "max-start-rate", 0.0, NULL);
  check_n_at_work (pool, 3);
  finish (pool);
  events_clear (&events);

  /* And in one that follows its work. */
  pool = elastic_pool (3, 0, LONG);
  g_object_set (pool, "max-start-rate", 0.001, NULL);
  held_begin (&held[0], pool);
  held_submit (&held[1], pool);
  turn_for (5000);
  gate_open (&held[0].gate);
  g_assert_cmpint (get_int (held[0].future), ==, held[0].pid);
  held_clear (&held[0]);
  held_await (&held[1]);
  held_end (&held[1]);
  g_object_set (pool, "max-start-rate", 0.0, NULL);
  check_n_at_work (pool, 3);
  finish (pool);

  pool = g_object_new (MP_TYPE_POOL, "n-workers", 3, "max-start-rate", 0.001, NULL);
  mp_pool_terminate (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  g_assert_finalize_object (pool);
}

static GVariant *
crash (GVariant *args, gpointer user_data, GError **error)
{
  kill (getpid (), SIGKILL);
  return NULL;
}

/* Workers that die and die: each death is one task's, the next worker comes when it may. */
static void
test_rate_of_deaths (void)
{
  MpPool *pool = g_object_new (MP_TYPE_POOL, "n-workers", 1, "max-start-rate", 50.0, NULL);
  gint64 start = g_get_monotonic_time ();

  for (int i = 0; i < 70; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_pool_apply (pool, MP_FUNCTION (crash), NULL, LONG, NULL, &error);

      g_assert_null (value);
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
    }
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 19 * G_USEC_PER_SEC / 50);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (5)), ==, 25);
  finish (pool);
}

static void
test_properties (void)
{
  g_autoptr(MpPool) pool = g_object_new (MP_TYPE_POOL, "n-workers", 2, "min-workers", 1,
                                         "idle-timeout-us", (gint64) 5, "worker-max-age-us", (gint64) 7 * G_USEC_PER_SEC,
                                         "worker-max-growth", (guint64) 11, "max-start-rate", 13.5, NULL);
  guint n_workers, min_workers;
  gint64 idle, age;
  guint64 growth;
  double rate;

  g_object_get (pool, "n-workers", &n_workers, "min-workers", &min_workers, "idle-timeout-us", &idle,
                "worker-max-age-us", &age, "worker-max-growth", &growth, "max-start-rate", &rate, NULL);
  g_assert_cmpuint (n_workers, ==, 2);
  g_assert_cmpuint (min_workers, ==, 1);
  g_assert_cmpint (idle, ==, 5);
  g_assert_cmpint (age, ==, 7 * G_USEC_PER_SEC);
  g_assert_cmpuint (growth, ==, 11);
  g_assert_cmpfloat (rate, ==, 13.5);
  /* None of these overflows. */
  g_object_set (pool, "idle-timeout-us", G_MAXINT64, "worker-max-age-us", G_MAXINT64, "worker-max-growth", G_MAXUINT64,
                "max-start-rate", 1e-300, "min-workers", 65536, NULL);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (4)), ==, 16);
  mp_pool_terminate (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-life/properties", test_properties);
  g_test_add_func ("/pool-life/idle/from-nothing", test_from_nothing);
  g_test_add_func ("/pool-life/idle/minimum", test_minimum);
  g_test_add_func ("/pool-life/idle/demand", test_demand);
  g_test_add_func ("/pool-life/idle/last-task", test_last_task);
  g_test_add_func ("/pool-life/idle/set-later", test_set_later);
  g_test_add_func ("/pool-life/idle/thrash", test_thrash);
  g_test_add_func ("/pool-life/idle/death", test_death_unwanted);
  g_test_add_func ("/pool-life/age", test_age);
  g_test_add_func ("/pool-life/age/idle", test_age_idle);
  g_test_add_func ("/pool-life/age/busy", test_age_busy);
  g_test_add_func ("/pool-life/age/zero", test_age_zero);
  g_test_add_func ("/pool-life/growth", test_growth);
  g_test_add_func ("/pool-life/growth/later", test_growth_later);
  g_test_add_func ("/pool-life/growth/private-memory", test_private_memory);
  g_test_add_func ("/pool-life/rate", test_rate);
  g_test_add_func ("/pool-life/rate/lifted", test_rate_lifted);
  g_test_add_func ("/pool-life/rate/deaths", test_rate_of_deaths);
  return g_test_run ();
}
