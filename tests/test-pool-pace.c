/* test-pool-pace.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <unistd.h>

/* How many tasks are sent ahead, and when answers are told of. */

static guint
get_flight (MpPool *pool, guint number)
{
  MpPoolWorker *worker;
  guint n = 0;

  mp_hub_lock ();
  worker = mp_pool_get_core (pool)->workers[number];
  n = worker != NULL ? worker->n_flight : 0;
  mp_hub_unlock ();
  return n;
}

static void
expect_all (MpPool *pool, gint64 item_ns)
{
  GArray *functions = mp_pool_get_core (pool)->pace.functions;

  mp_hub_lock ();
  for (guint i = 0; i < functions->len; i++)
    g_array_index (functions, gint64, i) = item_ns;
  mp_hub_unlock ();
}

/* One worker that stands at a gate, and so many tasks behind it that take so long, as it seems: how many it has. */
static guint
count_ahead (gint64 item_ns)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  MpFuture *futures[2000];
  guint n_flight;

  expect_short (pool);
  futures[0] = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  gate_await (&gate);
  expect_all (pool, item_ns);
  for (guint i = 1; i < G_N_ELEMENTS (futures); i++)
    futures[i] = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
  n_flight = get_flight (pool, 0);
  gate_open (&gate);
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    {
      guint x = get_int (futures[i]);

      if (i > 0)
        g_assert_cmpuint (x, ==, i * i);
      g_object_unref (futures[i]);
    }
  finish (pool);
  gate_clear (&gate);
  return n_flight;
}

static void
test_ahead (void)
{
  guint n_tiny = count_ahead (100), n_short = count_ahead (20 * 1000);

  g_assert_cmpuint (n_tiny, >=, 64);
  g_assert_cmpuint (n_tiny, <=, MP_POOL_WINDOW);
  g_assert_cmpuint (n_short, >=, 40);
  g_assert_cmpuint (n_short, <=, 60);
  /* The next one, but for what is long, or not known. */
  g_assert_cmpuint (count_ahead (5 * 1000 * 1000), ==, 2);
  g_assert_cmpuint (count_ahead (50 * 1000 * 1000), ==, 1);
  g_assert_cmpuint (count_ahead (0), ==, 1);
}

/* What it learns of tasks that are through. */
static void
test_learns (void)
{
  const char *function = MP_FUNCTION (square);   /* each place where that stands has a name of its own */
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = NULL;
  MpFuture *futures[200];

  for (guint i = 0; i < 20; i++)
    apply_int (pool, function, g_variant_new_int32 (i));
  expect_all (pool, 0);
  for (guint i = 0; i < 20; i++)
    apply_int (pool, function, g_variant_new_int32 (i));
  mp_hub_lock ();
  g_assert_cmpint (g_array_index (mp_pool_get_core (pool)->pace.functions, gint64, 0), >, 0);
  g_assert_cmpint (g_array_index (mp_pool_get_core (pool)->pace.functions, gint64, 0), <, 10 * 1000 * 1000);
  mp_hub_unlock ();

  /* Not behind what is not known itself. */
  busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    futures[i] = submit (pool, function, g_variant_new_int32 (i));
  gate_await (&gate);
  g_assert_cmpuint (get_flight (pool, 0), ==, 1);
  gate_open (&gate);
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    {
      g_assert_cmpint (get_int (futures[i]), ==, i * i);
      g_object_unref (futures[i]);
    }
  get_int (busy);
  finish (pool);
  gate_clear (&gate);
}

/* As a gate, but its arguments go through the ring, as those of the tasks beside it: it stands there until there is such a
 * file. */
static GVariant *
wait_for_file (GVariant *args, gpointer user_data, GError **error)
{
  while (access (g_variant_get_string (args, NULL), F_OK) < 0)
    g_usleep (1000);
  return g_variant_new_int32 (1);
}

/* Answers that a worker did not ring for, because the next task was to be short: it is not, and they come all the same. */
static void
test_quiet (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autofree char *directory = g_dir_make_tmp ("mp-pool-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "go", NULL);
  const guint last = 20;
  MpFuture *futures[300];

  apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
  expect_short (pool);
  futures[0] = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  for (guint i = 1; i < G_N_ELEMENTS (futures); i++)
    futures[i] = i == last ? submit (pool, MP_FUNCTION (wait_for_file), g_variant_new_string (path))
                           : submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
  gate_await (&gate);
  mp_hub_lock ();
  mp_pool_pace_drained (mp_pool_get_core (pool)->workers[0]);
  g_assert_true (mp_pool_get_core (pool)->workers[0]->quiet);
  g_assert_cmpuint (mp_pool_get_core (pool)->workers[0]->board->wake_at, >, last + 2);
  mp_hub_unlock ();

  gate_open (&gate);
  for (guint i = 0; i < last; i++)
    g_assert_cmpint (get_int (futures[i]), >, 0);
  g_assert_false (mp_future_is_ready (futures[last]));
  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    {
      get_int (futures[i]);
      g_object_unref (futures[i]);
    }
  finish (pool);
  gate_clear (&gate);
  g_assert_cmpint (unlink (path), ==, 0);
  g_assert_cmpint (rmdir (directory), ==, 0);
}

/* While others wait, what stands behind a task that takes its time goes to another worker. */
static void
test_relief (void)
{
  MpPool *pool = mp_pool_new (2);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) busy = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) map = NULL;
  MpFuture *behind[10];

  for (guint i = 0; i < 20; i++)
    apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
  expect_short (pool);
  busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  for (guint i = 0; i < G_N_ELEMENTS (behind); i++)
    behind[i] = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
  /* More than is through soon: so there are always some that wait. */
  map = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (300000), 1, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (behind); i++)
    {
      g_assert_cmpint (get_int (behind[i]), ==, i * i);
      g_object_unref (behind[i]);
    }
  g_assert_false (mp_future_is_ready (busy));
  g_assert_false (mp_future_is_ready (map));
  gate_await (&gate);
  gate_open (&gate);
  get_int (busy);
  g_variant_unref (mp_future_get (map, LONG, NULL, &error));
  g_assert_no_error (error);
  finish (pool);
  gate_clear (&gate);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/pool-pace/ahead", test_ahead);
  g_test_add_func ("/pool-pace/learns", test_learns);
  g_test_add_func ("/pool-pace/quiet", test_quiet);
  g_test_add_func ("/pool-pace/relief", test_relief);

  return g_test_run ();
}
