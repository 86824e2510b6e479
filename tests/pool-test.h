/* pool-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/mp-glib.h"
#include "mp-glib/pool/mp-pool-private.h"
#include "instrument-test.h"

#include <signal.h>
#include <unistd.h>

/* What the tests of MpPool share. Functions come from here: MP_FUNCTION stands for an entry of the program that includes
 * this. */

#define LONG (60 * G_USEC_PER_SEC)   /* never reached unless something hangs */

G_GNUC_UNUSED static GVariant *
square (GVariant *args, gpointer user_data, GError **error)
{
  guint32 x = g_variant_get_int32 (args);

  return g_variant_new_int32 (x * x);   /* modulo 2³² */
}

G_GNUC_UNUSED static GVariant *
echo (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_ref (args);
}

G_GNUC_UNUSED static GVariant *
tell_pid (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (getpid ());
}

/* A gate: the worker's end of a connection; it says that it has come there, and waits until it is opened. */
G_GNUC_UNUSED static GVariant *
wait_at_gate (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GObject) gate = G_OBJECT (mp_shareable_from_variant (args, error));
  g_autoptr(GVariant) word = NULL;

  if (gate == NULL ||
      !mp_connection_send (MP_CONNECTION (gate), g_variant_new_int32 (getpid ()), LONG, NULL, error))
    return NULL;
  word = mp_connection_recv (MP_CONNECTION (gate), LONG, NULL, error);
  return word != NULL ? g_variant_new_int32 (getpid ()) : NULL;
}

G_GNUC_UNUSED static GVariant *
ignore_sigterm (GVariant *args, gpointer user_data, GError **error)
{
  signal (SIGTERM, SIG_IGN);
  return wait_at_gate (args, user_data, error);
}

typedef struct
{
  MpConnection *near, *far;
} Gate;

G_GNUC_UNUSED static Gate
gate_new (void)
{
  g_autoptr(GError) error = NULL;
  Gate gate = { NULL, NULL };

  mp_pipe_new (TRUE, &gate.near, &gate.far, &error);
  g_assert_no_error (error);
  return gate;
}

/* Floating, as what is made on the spot to be submitted. */
G_GNUC_UNUSED static GVariant *
gate_handle (Gate *gate)
{
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (gate->far));

  return g_variant_new_handle (g_variant_get_handle (handle));
}

/* As if all functions had been measured, and were short: then tasks are sent ahead, also behind one that is at a gate. */
G_GNUC_UNUSED static void
expect_short (MpPool *pool)
{
  MpPoolPace *pace = &mp_pool_get_core (pool)->pace;

  mp_hub_lock ();
  g_array_set_size (pace->functions, 32);
  for (guint i = 0; i < pace->functions->len; i++)
    g_array_index (pace->functions, gint64, i) = 1000;
  mp_hub_unlock ();
}

/* Waits until a function is there; its pid. */
G_GNUC_UNUSED static int
gate_await_in_thread (Gate *gate)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) pid = mp_connection_recv (gate->near, LONG, NULL, &error);

  g_assert_no_error (error);
  return g_variant_get_int32 (pid);
}

/* The same while the main loop turns, without which no worker comes up. */
G_GNUC_UNUSED static int
gate_await (Gate *gate)
{
  while (!mp_connection_poll (gate->near, 1000, NULL, NULL))
    g_main_context_iteration (NULL, FALSE);
  return gate_await_in_thread (gate);
}

G_GNUC_UNUSED static void
gate_open (Gate *gate)
{
  g_autoptr(GError) error = NULL;

  mp_connection_send (gate->near, g_variant_new_string ("go"), LONG, NULL, &error);
  g_assert_no_error (error);
}

G_GNUC_UNUSED static void
gate_clear (Gate *gate)
{
  g_clear_object (&gate->near);
  g_clear_object (&gate->far);
}

G_GNUC_UNUSED static GVariant *
make_ints (int n)
{
  g_autofree gint32 *numbers = g_new (gint32, n + 1);

  for (int i = 0; i < n; i++)
    numbers[i] = i;
  return g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers, n, sizeof (gint32));
}

G_GNUC_UNUSED static void
check_squares (GVariant *result, int n)
{
  gsize n_result = 0;
  const gint32 *squares;

  g_assert_cmpstr (g_variant_get_type_string (result), ==, "ai");
  squares = g_variant_get_fixed_array (result, &n_result, sizeof (gint32));
  g_assert_cmpuint (n_result, ==, n);
  for (int i = 0; i < n; i++)
    g_assert_cmpuint ((guint32) squares[i], ==, (guint32) i * (guint32) i);
}

/* A blocking call that must succeed. */
G_GNUC_UNUSED static GVariant *
apply (MpPool *pool, const char *function, GVariant *args)
{
  g_autoptr(GError) error = NULL;
  GVariant *result = mp_pool_apply (pool, function, args, LONG, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (result);
  g_assert_false (g_variant_is_floating (result));
  return result;
}

G_GNUC_UNUSED static int
apply_int (MpPool *pool, const char *function, GVariant *args)
{
  g_autoptr(GVariant) result = apply (pool, function, args);

  return g_variant_get_int32 (result);
}

G_GNUC_UNUSED static GVariant *
map (MpPool *pool, const char *function, GVariant *items, guint chunk_size)
{
  g_autoptr(GError) error = NULL;
  GVariant *result = mp_pool_map (pool, function, items, chunk_size, LONG, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (result);
  return result;
}

G_GNUC_UNUSED static MpFuture *
submit (MpPool *pool, const char *function, GVariant *args)
{
  g_autoptr(GError) error = NULL;
  MpFuture *future = mp_pool_submit (pool, function, args, &error);

  g_assert_no_error (error);
  g_assert_nonnull (future);
  return future;
}

G_GNUC_UNUSED static int
get_int (MpFuture *future)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) result = mp_future_get (future, LONG, NULL, &error);

  g_assert_no_error (error);
  return g_variant_get_int32 (result);
}

/* Ends a pool in good order; nothing of it is left. */
G_GNUC_UNUSED static void
finish (MpPool *pool)
{
  g_autoptr(GError) error = NULL;

  mp_pool_close (pool);
  mp_pool_join (pool, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_finalize_object (pool);
}

G_GNUC_UNUSED static void
result_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  GAsyncResult **slot = user_data;

  g_assert_null (*slot);
  *slot = g_object_ref (result);
}

G_GNUC_UNUSED static void
expect_failure (MpPool *pool, GQuark domain, int code, const char *part)
{
  g_autoptr(MpFuture) pending = mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1), NULL);
  g_autoptr(GError) error = NULL, later = NULL;
  g_autoptr(GVariant) value = NULL;

  value = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (1), LONG, NULL, &error);
  g_assert_null (value);
  g_assert_error (error, domain, code);
  if (strstr (error->message, part) == NULL)
    g_error ("“%s” has no “%s”", error->message, part);
  if (pending != NULL)
    {
      g_assert_true (mp_future_is_ready (pending));
      g_assert_false (mp_future_is_successful (pending));
    }
  /* It stays so. */
  g_assert_null (mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1), &later));
  g_assert_error (later, domain, code);
  finish (pool);
}

G_GNUC_UNUSED static guint n_workers_started;   /* workers of a pool_of() */

G_GNUC_UNUSED static void
count_started_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  n_workers_started++;
}

G_GNUC_UNUSED static MpPool *
pool_of (guint n_workers, const char *initializer, MpContext *context)
{
  MpPool *pool = mp_pool_new_full (n_workers, initializer, NULL, 0, context);

  n_workers_started = 0;
  g_signal_connect (pool, "worker-started", G_CALLBACK (count_started_cb), NULL);
  return pool;
}
