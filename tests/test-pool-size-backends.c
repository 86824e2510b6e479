/* test-pool-size-backends.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-size-test.h"

/* The same rules of size where workers are threads, or nothing but places in the caller. */

typedef struct
{
  const char *name;
  MpBackend   backend;
} Kind;

static const Kind kinds[] = {
  { "processes", MP_BACKEND_PROCESSES },
  { "threads", MP_BACKEND_THREADS },
  { "inline", MP_BACKEND_INLINE },
};

static MpPool *
new_pool (const Kind *kind, guint n_workers, gint64 idle_timeout_us)
{
  return g_object_new (MP_TYPE_POOL, "backend", kind->backend, "n-workers", n_workers,
                       "idle-timeout-us", idle_timeout_us, NULL);
}

static void
check_work (MpPool *pool)
{
  g_autoptr(GVariant) squares = map (pool, MP_FUNCTION (square), make_ints (500), 3);

  check_squares (squares, 500);
}

static void
await_started (Events *events, guint n)
{
  while (events->n_started < n)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_grow_and_shrink (gconstpointer data)
{
  MpPool *pool = new_pool (data, 1, -1);
  Events events;

  events_init (&events, pool);
  await_started (&events, 1);
  check_work (pool);
  mp_pool_set_n_workers (pool, 4);
  await_started (&events, 4);
  check_work (pool);
  mp_pool_set_n_workers (pool, 1);
  events_await_exits (&events, 3);
  g_assert_cmpuint (events_count (&events, "shrunk"), ==, 3);
  check_work (pool);
  g_assert_cmpuint (events.n_started, ==, 4);
  finish (pool);
  events_clear (&events);
}

static void
test_thrash (gconstpointer data)
{
  MpPool *pool = new_pool (data, 2, -1);

  for (int i = 0; i < 40; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(MpResultIter) iter = mp_pool_imap (pool, MP_FUNCTION (square), make_ints (50), 1, &error);

      g_assert_no_error (error);
      mp_pool_set_n_workers (pool, 1 + i % 5);
      for (int j = 0; j < 50; j++)
        {
          g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

          g_assert_no_error (error);
          g_assert_cmpint (g_variant_get_int32 (value), ==, j * j);
          if (j % 11 == 0)
            mp_pool_set_n_workers (pool, 1 + j / 11 % 4);
        }
    }
  finish (pool);
}

static void
test_idle (gconstpointer data)
{
  MpPool *pool = new_pool (data, 3, 1000);
  Events events;

  events_init (&events, pool);
  for (guint i = 0; i < 3; i++)
    {
      check_work (pool);
      while (events.n_exited < events.n_started || events.n_started <= i)
        g_main_context_iteration (NULL, TRUE);
    }
  g_assert_cmpuint (events_count (&events, "idle"), ==, events.n_exited);
  finish (pool);
  events_clear (&events);
}

static void
test_age (gconstpointer data)
{
  MpPool *pool = new_pool (data, 2, -1);
  Events events;

  events_init (&events, pool);
  g_object_set (pool, "worker-max-age-us", (gint64) 1000, "worker-max-growth", (guint64) 1 << 40, NULL);
  events_await_exits (&events, 4);
  g_assert_cmpuint (events_count (&events, "too old"), ==, events.n_exited);
  check_work (pool);
  finish (pool);
  events_clear (&events);
}

static void
test_rate (gconstpointer data)
{
  const Kind *kind = data;
  MpPool *pool = g_object_new (MP_TYPE_POOL, "backend", kind->backend, "n-workers", 1, "tasks-per-worker", 1,
                               "max-start-rate", 50.0, NULL);
  gint64 start = g_get_monotonic_time ();

  for (int i = 0; i < 60; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 9 * G_USEC_PER_SEC / 50);
  finish (pool);
}

static void
add (const char *name, void (* func) (gconstpointer data))
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *path = g_strdup_printf ("/pool-size-backends/%s/%s", kinds[i].name, name);

      g_test_add_data_func (path, &kinds[i], func);
    }
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  add ("grow-and-shrink", test_grow_and_shrink);
  add ("thrash", test_thrash);
  add ("idle", test_idle);
  add ("age", test_age);
  add ("rate", test_rate);
  return g_test_run ();
}
