/* pool-tour.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The ways to give work to a pool, and to wait for it. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mp-glib/mp-glib.h>

static GVariant *
square (GVariant  *item,
        gpointer   user_data,
        GError   **error)
{
  int x = g_variant_get_int32 (item);

  return g_variant_new_int32 (x * x);
}

static GVariant *
get_pid (GVariant  *args,
         gpointer   user_data,
         GError   **error)
{
  return g_variant_new_int32 (getpid ());
}

static GVariant *
sleep_seconds (GVariant  *args,
               gpointer   user_data,
               GError   **error)
{
  g_usleep (g_variant_get_int32 (args) * G_USEC_PER_SEC);

  return g_variant_new ("()");
}

static void
print_squares (MpPool   *pool,
               GVariant *numbers)
{
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GVariant) squares = NULL;
  g_autofree char *text = NULL;
  GVariant *value;
  int sum = 0;

  squares = mp_pool_map (pool, MP_FUNCTION (square), numbers, 0, -1, NULL, NULL);
  text = g_variant_print (squares, FALSE);
  printf ("in order: %s\n", text);

  iter = mp_pool_imap_unordered (pool, MP_FUNCTION (square), numbers, 1, NULL);
  while ((value = mp_result_iter_next (iter, -1, NULL, NULL)) != NULL)
    {
      sum += g_variant_get_int32 (value);
      g_variant_unref (value);
    }
  printf ("in any order, their sum: %d\n", sum);
}

static void
print_futures (MpPool *pool)
{
  g_autoptr(MpFuture) twenty = mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (20), NULL);
  g_autoptr(GVariant) square_of_twenty = mp_future_get (twenty, -1, NULL, NULL);
  g_autoptr(GPtrArray) pids = g_ptr_array_new_with_free_func (g_object_unref);
  guint n_others = 0;

  printf ("submitted: %d\n", g_variant_get_int32 (square_of_twenty));

  for (int i = 0; i < 4; i++)
    g_ptr_array_add (pids, mp_pool_submit (pool, MP_FUNCTION (get_pid), g_variant_new ("()"), NULL));
  for (int i = 0; i < 4; i++)
    {
      g_autoptr(GVariant) pid = mp_future_get (pids->pdata[i], -1, NULL, NULL);

      n_others += g_variant_get_int32 (pid) != getpid ();
    }
  printf ("%u of 4 were run elsewhere\n", n_others);
}

static void
lose_patience (MpPool *pool)
{
  g_autoptr(MpFuture) sleeper = mp_pool_submit (pool, MP_FUNCTION (sleep_seconds), g_variant_new_int32 (10), NULL);
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;

  result = mp_future_get (sleeper, G_USEC_PER_SEC / 5, NULL, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    printf ("We lacked patience and got a timeout\n");
}

int
main (void)
{
  static const int numbers[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) items = NULL;
  g_autoptr(MpFuture) refused = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  items = g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  g_variant_ref_sink (items);
  pool = mp_pool_new (4);

  print_squares (pool, items);
  print_futures (pool);
  lose_patience (pool);
  printf ("For the moment, the pool remains available for more work\n");

  mp_pool_terminate (pool);
  mp_pool_join (pool, -1, NULL, NULL);
  refused = mp_pool_submit (pool, MP_FUNCTION (get_pid), g_variant_new ("()"), &error);
  if (refused == NULL)
    printf ("Now the pool is closed and no longer available\n");

  return EXIT_SUCCESS;
}
