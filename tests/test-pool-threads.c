/* test-pool-threads.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"
#include "instrument-test.h"

#include <sys/wait.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/base/mp-shareable-private.h"

/* Several threads, with main contexts of their own: what a call was given is freed where the call was made, whichever
 * thread is the one that sees the end of the task. */

typedef struct _Home Home;
typedef void (* CallFunc) (Home *self);

/* A thread that makes calls in a context of its own. */
struct _Home
{
  CallFunc      call;
  MpPool       *pool;
  Gate          gate;
  GMainContext *context;
  GThread      *thread;
  GAsyncQueue  *words;       /* from it, and to it */
  GAsyncQueue  *orders;
  GObject      *result;      /* (owned) (nullable): a future or an iterator */
  int           n_made, n_freed, n_astray;   /* atomic */
};

typedef struct
{
  Home *home;
  char *data;
} Block;

static void
block_free (gpointer data)
{
  Block *block = data;

  if (g_thread_self () != block->home->thread && !g_main_context_is_owner (block->home->context))
    g_atomic_int_inc (&block->home->n_astray);
  g_atomic_int_inc (&block->home->n_freed);
  g_free (block->data);
  g_free (block);
}

/* The value again, in memory that the user frees. Floating. */
static GVariant *
own (Home *self, GVariant *value)
{
  g_autoptr(GVariant) sunk = g_variant_ref_sink (value);
  gsize size = g_variant_get_size (sunk);
  Block *block = g_new (Block, 1);
  g_autoptr(GBytes) bytes = NULL;

  block->home = self;
  block->data = g_malloc (size);
  g_variant_store (sunk, block->data);
  bytes = g_bytes_new_with_free_func (block->data, size, block_free, block);
  g_atomic_int_inc (&self->n_made);
  return g_variant_new_from_bytes (g_variant_get_type (sunk), bytes, FALSE);
}

static GVariant *
make_bytes (gsize size)
{
  g_autofree char *data = g_malloc0 (size);

  return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, data, size, 1);
}

static gpointer
home_thread (gpointer data)
{
  Home *self = data;

  g_main_context_push_thread_default (self->context);
  self->call (self);
  g_async_queue_push (self->words, self);

  /* It has the context, and does nothing with it until it is told to. */
  g_async_queue_pop (self->orders);
  while (g_atomic_int_get (&self->n_freed) < self->n_made)
    g_main_context_iteration (self->context, TRUE);
  g_main_context_pop_thread_default (self->context);
  return NULL;
}

static void
home_begin (Home *self, guint n_workers, CallFunc call)
{
  *self = (Home) { call, mp_pool_new (n_workers), gate_new (), };
  self->context = g_main_context_new ();
  self->words = g_async_queue_new ();
  self->orders = g_async_queue_new ();
  self->thread = g_thread_new ("home", home_thread, self);
  g_async_queue_pop (self->words);
}

/* All tasks have ended, by what this thread did. */
static void
home_end (Home *self)
{
  g_autoptr(GThread) thread = self->thread;

  g_assert_cmpint (self->n_made, >, 0);
  g_assert_cmpint (g_atomic_int_get (&self->n_astray), ==, 0);
  g_async_queue_push (self->orders, self);
  g_thread_join (g_steal_pointer (&thread));
  g_assert_cmpint (self->n_astray, ==, 0);

  g_clear_object (&self->result);
  g_clear_object (&self->pool);
  gate_clear (&self->gate);
  g_main_context_unref (self->context);
  g_async_queue_unref (self->words);
  g_async_queue_unref (self->orders);
}

static void
await_result (Home *self)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_future_wait (MP_FUTURE (self->result), LONG, NULL, &error));
  g_assert_no_error (error);
}

static void
end_pool (Home *self)
{
  g_autoptr(GError) error = NULL;

  mp_pool_join (self->pool, LONG, NULL, &error);
  g_assert_no_error (error);
}

static void
call_small (Home *self)
{
  self->result = G_OBJECT (submit (self->pool, MP_FUNCTION (echo), own (self, make_bytes (100))));
}

static void
call_large (Home *self)
{
  self->result = G_OBJECT (submit (self->pool, MP_FUNCTION (echo), own (self, make_bytes (100000))));
}

static void
call_with_object (Home *self)
{
  self->result = G_OBJECT (submit (self->pool, MP_FUNCTION (tell_pid),
                                   own (self, g_variant_new ("(@h@ay)", gate_handle (&self->gate),
                                                             make_bytes (100000)))));
}

static void
call_map (Home *self)
{
  self->result = G_OBJECT (mp_pool_submit_map (self->pool, MP_FUNCTION (square), own (self, make_ints (30000)), 0,
                                               NULL));
}

static void
call_map_with_objects (Home *self)
{
  GVariantBuilder items = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(hs)"));

  for (guint i = 0; i < 4; i++)
    g_variant_builder_add (&items, "(@hs)", gate_handle (&self->gate), i == 3 ? "x" : "yyy");
  self->result = G_OBJECT (mp_pool_submit_map (self->pool, MP_FUNCTION (tell_pid),
                                               own (self, g_variant_builder_end (&items)), 1, NULL));
}

/* Its results differ in type, so that they are put together without the lock. */
static GVariant *
vary (GVariant *args, gpointer user_data, GError **error)
{
  gint32 x = g_variant_get_int32 (args);

  return x % 2 == 0 ? g_variant_new_int32 (x) : g_variant_new_string ("odd");
}

static void
call_varied_map (Home *self)
{
  self->result = G_OBJECT (mp_pool_submit_map (self->pool, MP_FUNCTION (vary), own (self, make_ints (1000)), 0, NULL));
}

/* What nobody keeps a future of. */
static void
call_and_forget (Home *self)
{
  for (guint i = 0; i < 50; i++)
    g_object_unref (submit (self->pool, MP_FUNCTION (echo), own (self, make_bytes (i % 5 == 0 ? 50000 : 50))));
}

static void
call_imap (Home *self)
{
  self->result = G_OBJECT (mp_pool_imap (self->pool, MP_FUNCTION (square), own (self, make_ints (1000)), 3, NULL));
}

static void
test_futures (gconstpointer data)
{
  Home home;

  home_begin (&home, 2, (CallFunc) data);
  await_result (&home);
  home_end (&home);
}

static void
test_forgotten (void)
{
  Home home;

  home_begin (&home, 2, call_and_forget);
  mp_pool_close (home.pool);
  end_pool (&home);
  home_end (&home);
}

static void
test_imap (void)
{
  g_autoptr(GError) error = NULL;
  Home home;
  guint n = 0;

  home_begin (&home, 2, call_imap);
  for (;;)
    {
      g_autoptr(GVariant) value = mp_result_iter_next (MP_RESULT_ITER (home.result), LONG, NULL, &error);

      g_assert_no_error (error);
      if (value == NULL)
        break;
      n++;
    }
  g_assert_cmpuint (n, ==, 1000);
  home_end (&home);
}

/* The worker is at the gate and reads nothing: the second task fills its socket, a part of it is still to be sent. */
static void
call_behind_gate (Home *self)
{
  self->result = G_OBJECT (submit (self->pool, MP_FUNCTION (wait_at_gate), gate_handle (&self->gate)));
  for (guint i = 0; i < 3; i++)
    g_object_unref (submit (self->pool, MP_FUNCTION (echo), own (self, make_bytes (900000))));
}

static void
test_terminated (void)
{
  Home home;

  home_begin (&home, 1, call_behind_gate);
  gate_await (&home.gate);
  mp_pool_terminate (home.pool);
  end_pool (&home);
  home_end (&home);
}

static void
test_dropped (void)
{
  Home home;

  home_begin (&home, 1, call_behind_gate);
  gate_await (&home.gate);
  g_assert_finalize_object (g_steal_pointer (&home.pool));
  home_end (&home);
}

static void
give_up_after (Home *self, gsize size)
{
  g_autoptr(GError) error = NULL;

  expect_short (self->pool);
  self->result = G_OBJECT (submit (self->pool, MP_FUNCTION (wait_at_gate), gate_handle (&self->gate)));
  while (!mp_connection_poll (self->gate.near, 0, NULL, NULL))
    mp_future_is_ready (MP_FUTURE (self->result));
  g_assert_null (mp_pool_apply (self->pool, MP_FUNCTION (echo), own (self, make_bytes (size)), 1000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void
call_and_give_up (Home *self)
{
  give_up_after (self, 70000);
}

/* More than the socket takes. */
static void
call_and_give_up_large (Home *self)
{
  give_up_after (self, 900000);
}

/* The task that its caller has given up is taken back from the worker; its argument is the caller's to free. */
static void
test_given_up (gconstpointer data)
{
  Home home;

  home_begin (&home, 1, (CallFunc) data);
  gate_await_in_thread (&home.gate);
  gate_open (&home.gate);
  mp_pool_close (home.pool);
  end_pool (&home);
  home_end (&home);
}

static void
count_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, NULL);

  g_assert_nonnull (value);
}

/* Threads that turn the hub for each other. */

static void
call_often (Home *self)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);

  for (guint i = 0; i < 300; i++)
    {
      gsize size = i % 3 == 0 ? 40000 : 40;
      G_GNUC_UNUSED g_autoptr(GVariant) value = apply (self->pool, MP_FUNCTION (echo), own (self, make_bytes (size)));

      g_object_unref (submit (pool, MP_FUNCTION (echo), own (self, make_bytes (100))));
      mp_pool_apply_async (pool, MP_FUNCTION (echo), own (self, make_bytes (100)), NULL, count_cb, NULL);
    }
  mp_pool_close (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
}

static gpointer
often_thread (gpointer data)
{
  Home *self = data;

  self->thread = g_thread_self ();
  g_main_context_push_thread_default (self->context);
  call_often (self);
  while (g_atomic_int_get (&self->n_freed) < self->n_made)
    g_main_context_iteration (self->context, TRUE);
  g_main_context_pop_thread_default (self->context);
  return NULL;
}

static void
test_together (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);
  Home homes[3] = { { NULL } };
  GThread *threads[G_N_ELEMENTS (homes)];

  for (guint i = 0; i < G_N_ELEMENTS (homes); i++)
    {
      homes[i].pool = pool;
      homes[i].context = g_main_context_new ();
      threads[i] = g_thread_new ("home", often_thread, &homes[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (homes); i++)
    {
      g_thread_join (threads[i]);
      g_assert_cmpint (homes[i].n_astray, ==, 0);
      g_main_context_unref (homes[i].context);
    }
}

/* A thread without a context of its own, whose call belongs to the main one: that is nobody's now. */

static gpointer
plain_thread (gpointer data)
{
  Home *self = data;

  call_small (self);
  return NULL;
}

static void
test_main_context (void)
{
  Home home = { NULL };
  GThread *thread = NULL;

  home.pool = mp_pool_new (1);
  home.context = g_main_context_default ();
  thread = home.thread = g_thread_new ("plain", plain_thread, &home);
  g_thread_join (thread);
  home.thread = NULL;
  await_result (&home);
  g_assert_cmpint (home.n_freed, ==, 1);
  g_assert_cmpint (home.n_astray, ==, 0);
  g_object_unref (home.result);
  finish (home.pool);
}

/* The program forks by itself at whatever instant, and its copy, in which the other threads have vanished, uses the
 * library. It uses little of GLib, whose own locks a vanished thread may hold: so this runs in a program of its own,
 * where memory is not GLib's. */

#define N_FORKS 300

static int enough;   /* atomic */

static gpointer
call_until_enough (gpointer data)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);

  while (!g_atomic_int_get (&enough))
    g_variant_unref (apply (pool, MP_FUNCTION (echo), g_variant_new_int32 (1)));
  finish (g_steal_pointer (&pool));
  return NULL;
}

static gpointer
look_up_until_enough (gpointer data)
{
  while (!g_atomic_int_get (&enough))
    g_object_unref (mp_shareable_lookup (GPOINTER_TO_INT (data), NULL));
  return NULL;
}

static gpointer
explain_until_enough (gpointer data)
{
  g_autoptr(GError) error = g_error_new_literal (MP_ERROR, MP_ERROR_FAILED, "known");
  g_autoptr(GVariant) details = g_variant_ref_sink (g_variant_new_parsed ("{'a': <1>}"));

  while (!g_atomic_int_get (&enough))
    mp_error_attach_details (error, details);
  return NULL;
}

static void
be_copy (const GError *error)
{
  alarm (20);
  mp_hub_lock ();
  mp_hub_unlock ();
  /* One that there is not: to get hold of an object takes a lock of GObject's. */
  if (mp_shareable_lookup (G_MAXINT32, NULL) != NULL)
    _exit (1);
  g_variant_unref (mp_error_dup_details (error));
  _exit (0);
}

static int
fork_often (void)
{
  g_autoptr(GError) error = g_error_new_literal (MP_ERROR, MP_ERROR_FAILED, "mine");
  g_autoptr(GVariant) details = g_variant_ref_sink (g_variant_new_parsed ("{'b': <2>}"));
  Gate gate = gate_new ();
  int handle = mp_shareable_get_handle (MP_SHAREABLE (gate.far));
  GThread *threads[4];
  int status = 0;

  mp_error_attach_details (error, details);
  threads[0] = g_thread_new ("calls", call_until_enough, NULL);
  threads[1] = g_thread_new ("calls", call_until_enough, NULL);
  threads[2] = g_thread_new ("looks up", look_up_until_enough, GINT_TO_POINTER (handle));
  threads[3] = g_thread_new ("explains", explain_until_enough, NULL);
  for (guint i = 0; i < N_FORKS && status == 0; i++)
    {
      int pid = fork ();

      if (pid == 0)
        be_copy (error);
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
    }
  g_atomic_int_set (&enough, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  gate_clear (&gate);
  return status == 0 ? 0 : 1;
}

static void
test_fork (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  const char *argv[] = { program, "--fork", NULL };
  g_auto(GStrv) env = g_environ_setenv (g_get_environ (), "G_SLICE", "always-malloc", TRUE);
  g_autoptr(GError) error = NULL;
  int status = -1;

  if (is_under_valgrind () || UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("a copy of a program with several threads is more than the instrument can take");
      return;
    }
  g_spawn_sync (NULL, (char **) argv, env, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
}

int
main (int argc, char **argv)
{
  mp_init ();
  if (argc > 1 && strcmp (argv[1], "--fork") == 0)
    return fork_often ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/pool-threads/small", call_small, test_futures);
  g_test_add_data_func ("/pool-threads/large", call_large, test_futures);
  g_test_add_data_func ("/pool-threads/object", call_with_object, test_futures);
  g_test_add_data_func ("/pool-threads/map", call_map, test_futures);
  g_test_add_data_func ("/pool-threads/map-objects", call_map_with_objects, test_futures);
  g_test_add_data_func ("/pool-threads/map-varied", call_varied_map, test_futures);
  g_test_add_func ("/pool-threads/forgotten", test_forgotten);
  g_test_add_func ("/pool-threads/imap", test_imap);
  g_test_add_func ("/pool-threads/terminated", test_terminated);
  g_test_add_func ("/pool-threads/dropped", test_dropped);
  g_test_add_data_func ("/pool-threads/given-up", call_and_give_up, test_given_up);
  g_test_add_data_func ("/pool-threads/given-up-large", call_and_give_up_large, test_given_up);
  g_test_add_func ("/pool-threads/together", test_together);
  g_test_add_func ("/pool-threads/main-context", test_main_context);

  g_test_add_func ("/pool-threads/fork", test_fork);

  return g_test_run ();
}
