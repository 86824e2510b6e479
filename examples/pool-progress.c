/* pool-progress.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A bar shows how far a pool is, and a long piece of work is called off. The main loop is free all the time: in a window
 * the bar is a widget, and a button cancels. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

typedef struct
{
  GMainLoop    *loop;
  GCancellable *cancellable;
  int           n_tenths;    /* drawn */
  int           enough;      /* tenths after which the user loses patience; 0: never */
} Window;

/* In a block of a thousand numbers. */
static GVariant *
count_primes (GVariant  *block,
              gpointer   user_data,
              GError   **error)
{
  int first = 1000 * g_variant_get_int32 (block), n = 0;

  for (int x = MAX (first, 2); x < first + 1000; x++)
    {
      int divisor = 2;

      while (divisor * divisor <= x && x % divisor != 0)
        divisor++;
      n += divisor * divisor > x;
    }
  return g_variant_new_int32 (n);
}

static void
draw (MpPool *pool,
      Window *window)
{
  double fraction = 0;

  g_object_get (pool, "fraction", &fraction, NULL);
  while (window->n_tenths < (int) (10 * fraction) && !g_cancellable_is_cancelled (window->cancellable))
    {
      window->n_tenths++;
      printf ("[%.*s%.*s] %3d %%\n", window->n_tenths, "##########", 10 - window->n_tenths, "..........",
              10 * window->n_tenths);
      if (window->n_tenths == window->enough)
        g_cancellable_cancel (window->cancellable);
    }
}

static void
fraction_cb (MpPool     *pool,
             GParamSpec *pspec,
             gpointer    user_data)
{
  draw (pool, user_data);
}

static void
counted_cb (GObject      *pool,
            GAsyncResult *result,
            gpointer      user_data)
{
  Window *window = user_data;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) counts = mp_pool_map_finish (MP_POOL (pool), result, &error);
  int n = 0;

  draw (MP_POOL (pool), window);
  for (gsize i = 0; counts != NULL && i < g_variant_n_children (counts); i++)
    {
      g_autoptr(GVariant) count = g_variant_get_child_value (counts, i);

      n += g_variant_get_int32 (count);
    }
  if (counts != NULL)
    printf ("%d primes\n", n);
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    printf ("cancelled\n");
  else
    printf ("failed: %s\n", error->message);
  g_main_loop_quit (window->loop);
}

static void
count (MpPool *pool,
       int     n_blocks,
       int     enough)
{
  Window window = { g_main_loop_new (NULL, FALSE), g_cancellable_new (), 0, enough };
  g_autofree gint32 *blocks = g_new (gint32, n_blocks);
  gulong handler = g_signal_connect (pool, "notify::fraction", G_CALLBACK (fraction_cb), &window);

  for (int i = 0; i < n_blocks; i++)
    blocks[i] = i;
  mp_pool_map_async (pool, MP_FUNCTION (count_primes),
                     g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, blocks, n_blocks, sizeof (gint32)), 1,
                     window.cancellable, counted_cb, &window);
  g_main_loop_run (window.loop);

  g_signal_handler_disconnect (pool, handler);
  g_object_unref (window.cancellable);
  g_main_loop_unref (window.loop);
}

int
main (void)
{
  g_autoptr(MpPool) pool = NULL;

  mp_init ();

  pool = mp_pool_new (2);
  count (pool, 100, 0);
  count (pool, 5000, 1);

  return EXIT_SUCCESS;
}
