/* test-pool-priority.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* What is more urgent begins first, also before what was sent ahead. */

static GVariant *
count_up (GVariant *args, gpointer user_data, GError **error)
{
  static int n;

  return g_variant_new_int32 (n++);
}

static GVariant *
count_item (GVariant *args, gpointer user_data, GError **error)
{
  return count_up (args, user_data, error);
}

static MpFuture *
submit_urgent (MpPool *pool, int priority)
{
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  g_autoptr(GError) error = NULL;
  MpFuture *future = NULL;

  mp_task_options_set_priority (options, priority);
  future = mp_pool_submit_with (pool, MP_FUNCTION (count_up), NULL, options, &error);
  g_assert_no_error (error);
  return future;
}

static void
test_order (void)
{
  static const int priorities[] = { 0, 0, -1, 0, 5, 9, 5, -1, 0, G_MAXINT, G_MININT };
  static const int places[] = { 4, 5, 8, 6, 2, 1, 3, 9, 7, 0, 10 };
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  MpFuture *futures[G_N_ELEMENTS (priorities)];
  g_autoptr(MpFuture) busy = NULL;

  expect_short (pool);
  busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  gate_await (&gate);
  for (guint i = 0; i < G_N_ELEMENTS (priorities); i++)
    futures[i] = submit_urgent (pool, priorities[i]);
  gate_open (&gate);
  for (guint i = 0; i < G_N_ELEMENTS (priorities); i++)
    {
      g_assert_cmpint (get_int (futures[i]), ==, places[i]);
      g_object_unref (futures[i]);
    }
  finish (pool);
  gate_clear (&gate);
}

/* The rest of a map stands back; of more units than fit into what is sent ahead, too. */
static void
test_before_map (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(MpFuture) busy = NULL;
  g_autoptr(MpFuture) map = NULL;
  MpFuture *futures[200];
  g_autoptr(GVariant) numbers = NULL;

  expect_short (pool);
  busy = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  map = mp_pool_submit_map (pool, MP_FUNCTION (count_item), make_ints (1000), 1, &error);
  g_assert_no_error (error);
  gate_await (&gate);
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    futures[i] = submit_urgent (pool, 1);
  gate_open (&gate);
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    {
      g_assert_cmpint (get_int (futures[i]), ==, i);
      g_object_unref (futures[i]);
    }
  numbers = mp_future_get (map, LONG, NULL, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 1000; i++)
    {
      g_autoptr(GVariant) number = g_variant_get_child_value (numbers, i);

      g_assert_cmpint (g_variant_get_int32 (number), ==, 200 + i);
    }
  finish (pool);
  gate_clear (&gate);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/pool-priority/order", test_order);
  g_test_add_func ("/pool-priority/before-map", test_before_map);

  return g_test_run ();
}
