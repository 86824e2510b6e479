/* test-spare.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/base/mp-spare-private.h"

#include <string.h>

#define MIDDLE (MP_SPARE_MAX / 4)

/* What an earlier test has left. */
static void
use_up (void)
{
  gpointer pieces[MP_SPARE_N * 2];

  for (guint i = 0; i < MP_SPARE_N * 2; i++)
    pieces[i] = mp_spare_alloc (MIDDLE);
  for (guint i = 0; i < MP_SPARE_N * 2; i++)
    mp_spare_free (pieces[i]);
}

static void
test_again (void)
{
  gpointer first, second, third, fillers[4];

  use_up ();
  first = mp_spare_alloc (MIDDLE);
  second = mp_spare_alloc (MIDDLE);
  g_assert_true (first != second);
  mp_spare_free (first);
  mp_spare_free (second);
  /* What malloc() would give, was it its own again. */
  for (guint i = 0; i < G_N_ELEMENTS (fillers); i++)
    fillers[i] = g_malloc (MIDDLE);
  for (guint i = 0; i < 100; i++)
    {
      third = mp_spare_alloc (MIDDLE - i);
      g_assert_true (third == first || third == second);
      memset (third, 0xff, MIDDLE - i);
      mp_spare_free (third);
    }
  for (guint i = 0; i < G_N_ELEMENTS (fillers); i++)
    g_free (fillers[i]);
}

/* A short one does not hold a long one's memory, nor is a longer one given too little. */
static void
test_sizes (void)
{
  guint8 *piece, *other;

  use_up ();
  piece = mp_spare_alloc (MIDDLE / 8);
  memset (piece, 1, MIDDLE / 8);
  other = mp_spare_alloc (MP_SPARE_MAX);
  memset (other, 2, MP_SPARE_MAX);
  mp_spare_free (piece);
  mp_spare_free (other);
  for (gsize size = 0; size <= MP_SPARE_MAX + 1; size += size < 8 ? 1 : size / 3)
    {
      piece = mp_spare_alloc (size);
      g_assert_cmpuint ((guintptr) piece % 16, ==, 0);
      memset (piece, 3, size);
      mp_spare_free (piece);
    }
  g_assert_null (mp_spare_alloc (G_MAXSIZE));
  g_assert_null (mp_spare_alloc (G_MAXSIZE - 8));
}

static gpointer
use_often (gpointer data)
{
  guint8 mark = GPOINTER_TO_UINT (data);

  for (guint i = 0; i < 50000; i++)
    {
      gsize size = MP_SPARE_MIN + i % 7 * MP_SPARE_MIN;
      guint8 *piece = mp_spare_alloc (size);

      memset (piece, mark, 64);
      memset (piece + size - 64, mark, 64);
      for (guint k = 0; k < 64; k++)
        g_assert_true (piece[k] == mark && piece[size - 1 - k] == mark);
      mp_spare_free (piece);
    }
  return NULL;
}

/* Nobody has what another one has. */
static void
test_threads (void)
{
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("user", use_often, GUINT_TO_POINTER (i + 1));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/spare/again", test_again);
  g_test_add_func ("/spare/sizes", test_sizes);
  g_test_add_func ("/spare/threads", test_threads);

  return g_test_run ();
}
