/* test-wait-processes.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "process-test.h"
#include "wait-test.h"

/* Waiting for processes, and for what they have. */

static void
test_ends (void)
{
  gpointer processes[3];
  MpConnection *words[3];

  for (guint i = 0; i < 3; i++)
    {
      processes[i] = waiting_process_new (&words[i]);
      start (processes[i]);
    }
  assert_ready (processes, 3, 0, "");
  assert_ready (processes, 3, 1, "");
  give_word (words[1]);
  assert_ready (processes, 3, LONG, "1");
  /* It has ended for all that one may ask. */
  g_assert_cmpint (mp_process_get_exit_status (processes[1]), ==, 0);
  give_word (words[0]);
  give_word (words[2]);
  join (processes[0]);
  join (processes[2]);
  assert_ready (processes, 3, LONG, "0 1 2");

  g_assert_true (mp_process_close (processes[2], NULL));
  assert_ready (processes, 3, LONG, "0 1 2");
  for (guint i = 0; i < 3; i++)
    {
      g_object_unref (words[i]);
      g_object_unref (processes[i]);
    }
}

static void
test_not_started (void)
{
  gpointer objects[1] = { process_new (MP_FUNCTION (wait_for_word), NULL) };
  g_autofree char *numbers = NULL;
  g_autoptr(GError) error = NULL;

  numbers = wait_numbers (objects, 1, LONG, NULL, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED);
  g_clear_error (&error);
  g_clear_object (&objects[0]);

  objects[0] = g_object_ref (mp_process_get_current ());
  numbers = wait_numbers (objects, 1, LONG, NULL, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_object_unref (objects[0]);
}

/* What a killed process had: its end of the pipe, and itself. */
static void
test_killed (void)
{
  g_autoptr(GError) error = NULL;
  MpConnection *word = NULL;
  gpointer objects[2];

  objects[0] = waiting_process_new (&word);
  objects[1] = word;
  start (objects[0]);
  /* So that nobody here has the other end. */
  g_object_set_data (objects[0], "far", NULL);
  assert_ready (objects, 2, 0, "");
  mp_process_kill (objects[0], &error);
  g_assert_no_error (error);
  assert_ready (objects, 1, LONG, "0");
  assert_ready (objects + 1, 1, LONG, "0");
  assert_ready (objects, 2, LONG, "0 1");
  g_assert_cmpint (mp_process_get_exit_status (objects[0]), ==, -SIGKILL);
  g_object_unref (objects[0]);
  g_object_unref (objects[1]);
}

static void
exited_cb (MpProcess *process,
           int        exit_status,
           gpointer   user_data)
{
  (*(guint *) user_data)++;
}

/* A script without a main loop. */
static void
test_signals (void)
{
  MpConnection *word = NULL;
  gpointer objects[1];
  guint n_exited = 0;

  objects[0] = waiting_process_new (&word);
  g_signal_connect (objects[0], "exited", G_CALLBACK (exited_cb), &n_exited);
  start (objects[0]);
  give_word (word);
  while (n_exited == 0)
    assert_ready (objects, 1, LONG, "0");
  g_assert_cmpuint (n_exited, ==, 1);
  g_object_unref (word);
  g_object_unref (objects[0]);
}

static GVariant *
put_and_wait (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) first = g_variant_get_child_value (args, 0);
  g_autoptr(GVariant) second = g_variant_get_child_value (args, 1);
  g_autoptr(GObject) queue = G_OBJECT (mp_shareable_from_variant (first, error));

  if (queue == NULL || !mp_queue_put (MP_QUEUE (queue), g_variant_new_string ("item"), LONG, NULL, error))
    return NULL;
  return wait_for_word (second, NULL, error);
}

static void
test_queue (void)
{
  g_autoptr(MpConnection) word = NULL;
  g_autoptr(MpConnection) far = NULL;
  g_autoptr(GVariant) first = NULL;
  g_autoptr(GVariant) second = NULL;
  g_autoptr(GVariant) item = NULL;
  g_autoptr(GError) error = NULL;
  gpointer objects[2];

  mp_pipe_new (TRUE, &word, &far, &error);
  g_assert_no_error (error);
  objects[1] = mp_queue_new (0, 0);
  first = mp_shareable_to_variant (objects[1]);
  second = mp_shareable_to_variant (MP_SHAREABLE (far));
  objects[0] = process_new (MP_FUNCTION (put_and_wait), g_variant_new ("(@h@h)", first, second));
  start (objects[0]);
  assert_ready (objects, 2, LONG, "1");
  item = mp_queue_try_get (objects[1], &error);
  g_assert_no_error (error);
  assert_ready (objects, 2, 0, "");

  /* It was the last who could put something. */
  mp_process_kill (objects[0], NULL);
  assert_ready (objects + 1, 1, LONG, "0");
  g_assert_null (mp_queue_try_get (objects[1], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  join (objects[0]);
  g_object_unref (objects[0]);
  g_object_unref (objects[1]);
}

static GVariant *
wait_there (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) first = g_variant_get_child_value (args, 0);
  g_autoptr(GVariant) second = g_variant_get_child_value (args, 1);
  g_autoptr(GObject) queue = G_OBJECT (mp_shareable_from_variant (first, error));
  g_autoptr(GObject) word = G_OBJECT (mp_shareable_from_variant (second, error));
  g_autoptr(GObject) parent = G_OBJECT (g_object_ref (mp_process_get_parent ()));
  g_autofree char *ready = NULL;
  gpointer objects[3] = { queue, parent, word };

  if (queue == NULL || word == NULL)
    return NULL;
  ready = wait_numbers (objects, 3, LONG, NULL, error);
  if (ready == NULL || !mp_connection_send (MP_CONNECTION (word), g_variant_new_string (ready), LONG, NULL, error))
    return NULL;
  return g_variant_new_tuple (NULL, 0);
}

/* In a worker: its queue, its parent and its connection. */
static void
test_in_worker (void)
{
  g_autoptr(MpConnection) word = NULL;
  g_autoptr(MpConnection) far = NULL;
  g_autoptr(MpQueue) queue = mp_queue_new (0, 0);
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) first = NULL;
  g_autoptr(GVariant) second = NULL;
  g_autoptr(GError) error = NULL;

  mp_pipe_new (TRUE, &word, &far, &error);
  g_assert_no_error (error);
  first = mp_shareable_to_variant (MP_SHAREABLE (queue));
  second = mp_shareable_to_variant (MP_SHAREABLE (far));
  process = process_new (MP_FUNCTION (wait_there), g_variant_new ("(@h@h)", first, second));
  start (process);
  mp_queue_put (queue, g_variant_new_string ("item"), LONG, NULL, &error);
  g_assert_no_error (error);
  recv_ok (word, "'0'");
  join (process);
}

static void
test_async (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  g_autoptr(GError) error = NULL;
  MpConnection *word = NULL;
  MpWaitable *objects[1];

  objects[0] = MP_WAITABLE (waiting_process_new (&word));
  start (MP_PROCESS (objects[0]));
  mp_wait_async (objects, 1, -1, NULL, result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  give_word (word);
  wait_for_result (&result);
  ready = mp_wait_finish (result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, 1);
  g_assert_false (mp_process_is_alive (MP_PROCESS (objects[0])));
  g_object_unref (word);
  g_object_unref (objects[0]);
}

/* One that is only about to come. */
static void
test_starting (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  MpConnection *word = NULL;
  gpointer objects[1];

  objects[0] = waiting_process_new (&word);
  mp_process_start_async (objects[0], NULL, result_cb, &result);
  give_word (word);
  assert_ready (objects, 1, LONG, "0");
  g_assert_cmpint (mp_process_get_exit_status (objects[0]), ==, 0);
  wait_for_result (&result);
  g_object_unref (word);
  g_object_unref (objects[0]);
}

static const ProcessTest tests[] =
{
  TEST (ends),
  TEST (not_started),
  TEST (killed),
  TEST (signals),
  TEST_NO_FORK (queue),
  TEST_NO_FORK (in_worker),
  TEST_NO_FORK (async),
  TEST_NO_FORK (starting),
};

int
main (int   argc,
      char *argv[])
{
  mp_init ();

  g_test_init (&argc, &argv, NULL);
  add_tests ("/wait-processes", tests, G_N_ELEMENTS (tests));

  return g_test_run ();
}
