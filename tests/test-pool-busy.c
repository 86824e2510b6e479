/* test-pool-busy.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <signal.h>
#include <sys/wait.h>

#include "mp-glib/pool/mp-pool-private.h"

/* One call at a time: both sides wait busily for a moment, and small things go through shared memory. */

static gint32
call (MpPool *pool,
      gint32  x)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (x), LONG, NULL, &error);

  g_assert_no_error (error);
  return g_variant_get_int32 (value);
}

static gboolean
is_busy (MpPool *pool)
{
  gboolean busy = FALSE;

  mp_hub_lock ();
  busy = mp_pool_get_core (pool)->spin.credit > 0;
  mp_hub_unlock ();
  return busy;
}

/* Calls until that has paid: at once, unless the machine has other work for its CPUs. */
static void
become_busy (MpPool *pool)
{
  gint32 x = 0;

  do
    {
      g_assert_cmpint (call (pool, x), ==, x * x);
      x = (x + 1) % 1000;
    }
  while (!is_busy (pool));
}

static void
test_pays (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);

  become_busy (pool);
  for (gint32 x = 0; x < 20000; x++)
    g_assert_cmpint (call (pool, x), ==, x * x);
}

/* Results that fit the slot, and such that do not, in turn. */
static void
test_sizes (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);

  become_busy (pool);
  for (gsize size = 0; size < 2000; size++)
    {
      g_autoptr(GError) error = NULL;
      g_autofree char *text = g_strnfill (size * 17 % 1100, 'a' + size % 26);
      g_autoptr(GVariant) value = mp_pool_apply (pool, MP_FUNCTION (echo), g_variant_new_string (text), LONG, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (g_variant_get_string (value, NULL), ==, text);
    }
}

static GVariant *
die_sometimes (GVariant *args, gpointer user_data, GError **error)
{
  gint32 x = g_variant_get_int32 (args);

  if (x % 50 == 49)
    raise (SIGKILL);
  return g_variant_new_int32 (x + 1);
}

static void
test_deaths (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);

  become_busy (pool);
  for (gint32 x = 0; x < 1000; x++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_pool_apply (pool, MP_FUNCTION (die_sometimes), g_variant_new_int32 (x), LONG, NULL,
                                                 &error);

      if (x % 50 == 49)
        {
          g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
          g_assert_null (value);
        }
      else
        {
          g_assert_no_error (error);
          g_assert_cmpint (g_variant_get_int32 (value), ==, x + 1);
        }
    }
}

/* More want to run than there are CPUs: whoever looks busily keeps the others from it, and himself from being woken. */
static void
test_load (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  guint n_hogs = 2 * mp_get_n_usable_cpus ();
  g_autofree int *hogs = g_new (int, n_hogs);
  gint64 end = g_get_monotonic_time () + LONG;

  become_busy (pool);
  for (guint i = 0; i < n_hogs; i++)
    {
      hogs[i] = fork ();
      if (hogs[i] == 0)
        for (gint64 x = 0; g_get_monotonic_time () < end; x++)
          ;
    }
  do
    g_assert_cmpint (call (pool, 3), ==, 9);
  while (is_busy (pool) && g_get_monotonic_time () < end);
  g_assert_false (is_busy (pool));
  for (guint i = 0; i < n_hogs; i++)
    {
      kill (hogs[i], SIGKILL);
      g_assert_cmpint (waitpid (hogs[i], NULL, 0), ==, hogs[i]);
    }
  /* When they are gone it pays again. */
  become_busy (pool);
}

static gpointer
call_thread (gpointer data)
{
  for (gint32 x = 0; x < 5000; x++)
    g_assert_cmpint (call (data, x), ==, x * x);
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);
  GThread *threads[3];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("caller", call_thread, pool);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

/* A worker that is stopped in the moment in which it looks: the call ends by its timeout, and the next one is answered. */
static void
test_stopped (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) pid = mp_pool_apply (pool, MP_FUNCTION (tell_pid), NULL, LONG, NULL, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < 50; i++)
    {
      g_autoptr(GVariant) value = NULL;

      become_busy (pool);
      g_assert_cmpint (kill (g_variant_get_int32 (pid), SIGSTOP), ==, 0);
      value = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (3), 2000, NULL, &error);
      g_assert_cmpint (kill (g_variant_get_int32 (pid), SIGCONT), ==, 0);
      /* The signal may have come too late. */
      if (value == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_clear_error (&error);
      g_assert_cmpint (call (pool, 4), ==, 16);
    }
}

static void
test_cancelled (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;

  become_busy (pool);
  g_cancellable_cancel (cancellable);
  value = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (3), LONG, cancellable, &error);
  if (value == NULL)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (call (pool, 4), ==, 16);
}

/* Who does not wait at all does not look either: the answer still comes, and the pool to its end. */
static void
test_no_wait (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;

  become_busy (pool);
  value = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (3), 0, NULL, &error);
  if (value == NULL)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  mp_pool_close (pool);
  g_assert_true (mp_pool_join (pool, 10 * G_USEC_PER_SEC, NULL, &error));
  g_assert_no_error (error);
}

static void
told_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  *(gboolean *) data = TRUE;
}

/* Calls that find their answers while they look busily do not keep others from theirs. */
static void
test_others (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);

  become_busy (pool);
  for (guint i = 0; i < 50; i++)
    {
      gint64 end = g_get_monotonic_time () + G_USEC_PER_SEC / 5;
      gboolean told = FALSE;

      mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL, told_cb, &told);
      while (!told && g_get_monotonic_time () < end)
        g_assert_cmpint (call (pool, 2), ==, 4);
      g_assert_true (told);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/pool-busy/pays", test_pays);
  g_test_add_func ("/pool-busy/sizes", test_sizes);
  g_test_add_func ("/pool-busy/deaths", test_deaths);
  g_test_add_func ("/pool-busy/load", test_load);
  g_test_add_func ("/pool-busy/threads", test_threads);
  g_test_add_func ("/pool-busy/stopped", test_stopped);
  g_test_add_func ("/pool-busy/cancelled", test_cancelled);
  g_test_add_func ("/pool-busy/no-wait", test_no_wait);
  g_test_add_func ("/pool-busy/others", test_others);

  return g_test_run ();
}
