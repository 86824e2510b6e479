/* test-pool-size.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-size-test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>

/* A pool that grows and shrinks while it works. */

static void
count_cb (GObject *object, GParamSpec *pspec, gpointer user_data)
{
  (*(guint *) user_data)++;
}

static void
test_grow (void)
{
  MpPool *pool = mp_pool_new (1);
  guint n_told = 0, n_workers = 0;
  Events events;

  events_init (&events, pool);
  g_signal_connect (pool, "notify::n-workers", G_CALLBACK (count_cb), &n_told);
  check_n_at_work (pool, 1);
  mp_pool_set_n_workers (pool, 3);
  g_assert_cmpuint (n_told, ==, 1);
  mp_pool_set_n_workers (pool, 3);
  g_assert_cmpuint (n_told, ==, 1);
  g_assert_cmpuint (mp_pool_get_n_workers (pool), ==, 3);
  g_object_get (pool, "n-workers", &n_workers, NULL);
  g_assert_cmpuint (n_workers, ==, 3);
  check_n_at_work (pool, 3);
  g_assert_cmpuint (events.n_started, ==, 3);
  g_assert_cmpuint (events.n_exited, ==, 0);
  finish (pool);
  events_clear (&events);
}

/* What waits already gets the new ones. */
static void
test_grow_under_load (void)
{
  MpPool *pool = mp_pool_new (1);
  Held held[3];

  for (int i = 0; i < 3; i++)
    held_submit (&held[i], pool);
  held_await (&held[0]);
  g_object_set (pool, "n-workers", 3, NULL);
  for (int i = 1; i < 3; i++)
    held_await (&held[i]);
  for (int i = 0; i < 3; i++)
    held_end (&held[i]);
  finish (pool);
}

static void
test_shrink_idle (void)
{
  MpPool *pool = mp_pool_new (3);
  Events events;

  events_init (&events, pool);
  check_n_at_work (pool, 3);
  mp_pool_set_n_workers (pool, 1);
  events_await_exits (&events, 2);
  g_assert_cmpuint (events_count (&events, "shrunk"), ==, 2);
  g_assert_cmpint (events.last_status, ==, 0);
  check_n_at_work (pool, 1);
  for (int i = 0; i < 100; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
  g_assert_cmpuint (events.n_started, ==, 3);
  g_assert_cmpuint (events.n_exited, ==, 2);
  finish (pool);
  events_clear (&events);
}

/* An idle one goes, and not the busy ones. */
static void
test_shrink_idle_first (void)
{
  MpPool *pool = mp_pool_new (3);
  Held held[2];
  Events events;

  events_init (&events, pool);
  check_n_at_work (pool, 3);
  for (int i = 0; i < 2; i++)
    held_begin (&held[i], pool);
  mp_pool_set_n_workers (pool, 2);
  events_await_exits (&events, 1);
  for (int i = 0; i < 2; i++)
    {
      g_assert_cmpint (kill (held[i].pid, 0), ==, 0);
      held_end (&held[i]);
    }
  check_n_at_work (pool, 2);
  g_assert_cmpuint (events.n_exited, ==, 1);
  finish (pool);
  events_clear (&events);
}

/* All are busy and have more to do: one ends after its task, what stood behind it runs in the other. */
static void
test_shrink_busy (void)
{
  MpPool *pool = mp_pool_new (2);
  Held held[2];
  MpFuture *behind[40];
  Events events;

  events_init (&events, pool);
  for (int i = 0; i < 2; i++)
    held_begin (&held[i], pool);
  for (int i = 0; i < 40; i++)
    behind[i] = submit (pool, MP_FUNCTION (tell_pid), NULL);
  mp_pool_set_n_workers (pool, 1);
  for (int i = 0; i < 2; i++)
    held_end (&held[i]);
  events_await_exits (&events, 1);
  g_assert_cmpuint (events_count (&events, "shrunk"), ==, 1);
  g_assert_cmpint (events.last_status, ==, 0);
  for (int i = 0; i < 40; i++)
    {
      int pid = get_int (behind[i]);

      g_assert_true (pid == held[0].pid || pid == held[1].pid);
      g_assert_cmpint (pid, ==, get_int (behind[0]));
    }
  for (int i = 0; i < 40; i++)
    g_object_unref (behind[i]);
  g_assert_cmpuint (events.n_started, ==, 2);
  finish (pool);
  events_clear (&events);
}

/* Wanted again before its task is through: it stays. */
static void
test_call_back (void)
{
  MpPool *pool = mp_pool_new (2);
  Held held[2];
  Events events;

  events_init (&events, pool);
  for (int i = 0; i < 2; i++)
    held_begin (&held[i], pool);
  for (int i = 0; i < 10; i++)
    {
      mp_pool_set_n_workers (pool, 1);
      mp_pool_set_n_workers (pool, 2);
    }
  for (int i = 0; i < 2; i++)
    held_end (&held[i]);
  check_n_at_work (pool, 2);
  g_assert_cmpuint (events.n_started, ==, 2);
  g_assert_cmpuint (events.n_exited, ==, 0);
  finish (pool);
  events_clear (&events);
}

static void
test_shrink_at_start (void)
{
  MpPool *pool = mp_pool_new (6);
  Events events;

  events_init (&events, pool);
  mp_pool_set_n_workers (pool, 1);
  check_n_at_work (pool, 1);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (7)), ==, 49);
  while (events.n_exited + 1 < events.n_started)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (events_count (&events, "shrunk"), ==, events.n_exited);
  mp_pool_set_n_workers (pool, 2);
  check_n_at_work (pool, 2);
  finish (pool);
  events_clear (&events);
}

/* Each at its own gate. */
static GVariant *
initialize_at_gate (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, mp_invocation_get_worker_number (mp_invocation_get_current ()));

  return wait_at_gate (handle, user_data, error);
}

/* One whose initializer runs ends after that, and gets no task. */
static void
test_shrink_in_initializer (void)
{
  Gate gates[2] = { gate_new (), gate_new () };
  g_autoptr(GVariant) handles = NULL;
  MpPool *pool = NULL;
  Events events;
  int pids[2];

  handles = g_variant_ref_sink (g_variant_new ("(@h@h)", gate_handle (&gates[0]), gate_handle (&gates[1])));
  pool = mp_pool_new_full (2, MP_FUNCTION (initialize_at_gate), handles, 0, NULL);
  events_init (&events, pool);
  for (int i = 0; i < 2; i++)
    pids[i] = gate_await (&gates[i]);
  mp_pool_set_n_workers (pool, 1);
  for (int i = 1; i >= 0; i--)
    gate_open (&gates[i]);
  events_await_exits (&events, 1);
  g_assert_cmpstr (events.reasons->pdata[0], ==, "shrunk");
  g_assert_cmpint (events.last_status, ==, 0);
  for (int i = 0; i < 20; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), ==, pids[0]);
  g_assert_cmpuint (events.n_started, ==, 2);
  for (int i = 0; i < 2; i++)
    gate_clear (&gates[i]);
  finish (pool);
  events_clear (&events);
}

/* (file, number): the number goes to the file's end. */
static GVariant *
note (GVariant *args, gpointer user_data, GError **error)
{
  const char *path = NULL;
  gint32 number = 0;
  int fd;

  g_variant_get (args, "(&si)", &path, &number);
  fd = open (path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0 || write (fd, &number, sizeof number) != sizeof number)
    g_error ("%s: %s", path, g_strerror (errno));
  close (fd);
  return g_variant_new_int32 (number);
}

/* Each number once. */
static void
check_notes (const char *path, guint n)
{
  g_autofree char *text = NULL;
  g_autofree guint8 *seen = g_new0 (guint8, n);
  g_autoptr(GError) error = NULL;
  gsize size = 0;

  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, n * sizeof (gint32));
  for (guint i = 0; i < n; i++)
    {
      gint32 number;

      memcpy (&number, text + i * sizeof number, sizeof number);
      g_assert_cmpint (number, >=, 0);
      g_assert_cmpint (number, <, n);
      g_assert_cmpuint (seen[number]++, ==, 0);
    }
}

typedef struct
{
  guint next, n_done;
} Load;

static void
noted_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  Load *load = user_data;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_pool_apply_finish (MP_POOL (object), result, &error);

  g_assert_no_error (error);
  g_assert_nonnull (value);
  load->n_done++;
  /* From inside of callbacks, too. */
  if (load->n_done % 64 == 0)
    mp_pool_set_n_workers (MP_POOL (object), 1 + g_test_rand_int_range (0, 5));
}

/* The number changes all the time, and all runs, once. */
static void
test_thrash (void)
{
  const guint n = is_slow () ? 400 : 4000;
  MpPool *pool = mp_pool_new (2);
  g_autofree char *path = NULL;
  g_autoptr(GAsyncResult) mapped = NULL;
  g_autoptr(GVariant) squares = NULL;
  g_autoptr(GError) error = NULL;
  Load load = { 0, 0 };
  Events events;

  close (g_file_open_tmp ("mp-size-XXXXXX", &path, &error));
  g_assert_no_error (error);
  events_init (&events, pool);
  for (guint i = 0; i < n; i++)
    mp_pool_apply_async (pool, MP_FUNCTION (note), g_variant_new ("(si)", path, i), NULL, noted_cb, &load);
  mp_pool_map_async (pool, MP_FUNCTION (square), make_ints (20000), 7, NULL, result_cb, &mapped);
  for (guint i = 0; load.n_done < n || mapped == NULL; i++)
    {
      g_main_context_iteration (NULL, TRUE);
      if (i % 8 == 0)
        mp_pool_set_n_workers (pool, 1 + i / 8 % 6);
    }
  squares = mp_pool_map_finish (pool, mapped, &error);
  g_assert_no_error (error);
  check_squares (squares, 20000);
  check_notes (path, n);
  g_assert_cmpuint (events_count (&events, "shrunk"), >, 0);
  g_assert_cmpuint (events_count (&events, "shrunk"), ==, events.n_exited);
  g_test_message ("%u started, %u ended", events.n_started, events.n_exited);
  g_unlink (path);
  g_clear_object (&mapped);
  finish (pool);
  events_clear (&events);
}

/* One that was to go dies of its task: that fails, and its place is not taken again. */
static void
test_shrunk_dies (void)
{
  MpPool *pool = mp_pool_new (1);
  Held held[2];
  Events events;

  events_init (&events, pool);
  mp_pool_set_n_workers (pool, 2);
  for (int i = 0; i < 2; i++)
    held_begin (&held[i], pool);
  mp_pool_set_n_workers (pool, 1);
  for (int i = 0; i < 2; i++)
    kill (held[i].pid, SIGKILL);
  for (int i = 0; i < 2; i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_null (mp_future_get (held[i].future, LONG, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      held_clear (&held[i]);
    }
  events_await_exits (&events, 2);
  g_assert_cmpuint (events_count (&events, "died"), ==, 2);
  check_n_at_work (pool, 1);
  g_assert_cmpuint (events.n_started, ==, 3);
  finish (pool);
  events_clear (&events);
}

static gpointer
set_in_thread (gpointer pool)
{
  mp_pool_set_n_workers (pool, 4);
  return NULL;
}

static void
check_thread_cb (GObject *object, GParamSpec *pspec, gpointer user_data)
{
  GThread **thread = user_data;

  *thread = g_thread_self ();
}

/* The change is told where the pool was made. */
static void
test_other_thread (void)
{
  MpPool *pool = mp_pool_new (1);
  GThread *told = NULL;

  g_signal_connect (pool, "notify::n-workers", G_CALLBACK (check_thread_cb), &told);
  g_thread_join (g_thread_new ("setter", set_in_thread, pool));
  g_assert_null (told);
  g_assert_cmpuint (mp_pool_get_n_workers (pool), ==, 4);
  while (told == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (told == g_thread_self ());
  check_n_at_work (pool, 4);
  finish (pool);
}

static gpointer
thrash_in_thread (gpointer pool)
{
  for (int i = 0; i < 200; i++)
    mp_pool_set_n_workers (pool, 1 + i % 5);
  return NULL;
}

/* Blocking calls here, another number there. */
static void
test_threads (void)
{
  MpPool *pool = mp_pool_new (2);
  GThread *thread = g_thread_new ("setter", thrash_in_thread, pool);

  for (int i = 0; i < 20; i++)
    {
      g_autoptr(GVariant) squares = map (pool, MP_FUNCTION (square), make_ints (200), 1);

      check_squares (squares, 200);
    }
  g_thread_join (thread);
  finish (pool);
}

static void
test_ended (void)
{
  MpPool *pool = mp_pool_new (1);
  Events events;

  events_init (&events, pool);
  check_n_at_work (pool, 1);
  mp_pool_close (pool);
  mp_pool_set_n_workers (pool, 5);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  mp_pool_set_n_workers (pool, 2);
  mp_pool_terminate (pool);
  mp_pool_set_n_workers (pool, 3);
  g_assert_cmpuint (events.n_started, ==, 1);
  g_assert_finalize_object (pool);
  events_clear (&events);

  pool = mp_pool_new (1);
  events_init (&events, pool);
  mp_pool_terminate (pool);
  mp_pool_set_n_workers (pool, 5);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  g_assert_cmpuint (events.n_started, <=, 1);
  g_assert_finalize_object (pool);
  events_clear (&events);
}

/* A closed pool that has still to do may be made larger for that. */
static void
test_grow_closed (void)
{
  MpPool *pool = mp_pool_new (1);
  Held held[2];

  for (int i = 0; i < 2; i++)
    held_submit (&held[i], pool);
  mp_pool_close (pool);
  mp_pool_set_n_workers (pool, 2);
  for (int i = 0; i < 2; i++)
    held_await (&held[i]);
  for (int i = 0; i < 2; i++)
    held_end (&held[i]);
  finish (pool);
}

static GVariant *
tell_usable_cpus (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (mp_get_n_usable_cpus ());
}

/* The size of a pool of its own, which it makes larger than its share; and what a worker of that may use. */
static GVariant *
tell_nested (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpPool) pool = mp_pool_new (0);
  guint n_workers = mp_pool_get_n_workers (pool);
  g_autoptr(GVariant) inner = mp_pool_apply (pool, MP_FUNCTION (tell_usable_cpus), NULL, LONG, NULL, error);

  if (inner == NULL)
    return NULL;
  return g_variant_new_int32 (n_workers * 100 + g_variant_get_int32 (inner));
}

/* 8 CPUs are shared by however many workers there are, also by one that is at work when that changes. */
static void
test_budget (void)
{
  MpPool *pool = mp_pool_new (1);

  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_usable_cpus), NULL), ==, 8);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_nested), NULL), ==, 801);
  mp_pool_set_n_workers (pool, 2);
  for (int i = 0; i < 10; i++)
    g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_usable_cpus), NULL), ==, 4);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_nested), NULL), ==, 401);
  mp_pool_set_n_workers (pool, 16);
  g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_usable_cpus), NULL), ==, 1);
  mp_pool_set_n_workers (pool, 0);
  g_assert_cmpuint (mp_pool_get_n_workers (pool), ==, 8);
  finish (pool);
}

int
main (int argc, char **argv)
{
  /* Of the workers, too: for the shares of them. */
  g_setenv ("MP_CPU_COUNT", "8", TRUE);
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-size/grow", test_grow);
  g_test_add_func ("/pool-size/grow/under-load", test_grow_under_load);
  g_test_add_func ("/pool-size/grow/closed", test_grow_closed);
  g_test_add_func ("/pool-size/shrink/idle", test_shrink_idle);
  g_test_add_func ("/pool-size/shrink/idle-first", test_shrink_idle_first);
  g_test_add_func ("/pool-size/shrink/busy", test_shrink_busy);
  g_test_add_func ("/pool-size/shrink/call-back", test_call_back);
  g_test_add_func ("/pool-size/shrink/at-start", test_shrink_at_start);
  g_test_add_func ("/pool-size/shrink/in-initializer", test_shrink_in_initializer);
  g_test_add_func ("/pool-size/shrink/dies", test_shrunk_dies);
  g_test_add_func ("/pool-size/thrash", test_thrash);
  g_test_add_func ("/pool-size/threads", test_threads);
  g_test_add_func ("/pool-size/threads/other", test_other_thread);
  g_test_add_func ("/pool-size/ended", test_ended);
  g_test_add_func ("/pool-size/budget", test_budget);
  return g_test_run ();
}
