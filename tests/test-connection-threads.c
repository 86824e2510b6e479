/* test-connection-threads.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "connection-test.h"
#include "instrument-test.h"

#include <pthread.h>

/* One connection, several threads, and callbacks in the middle of blocking calls. */

static gpointer
recv_thread (gpointer data)
{
  GError *error = NULL;
  GVariant *value = mp_connection_recv (data, -1, NULL, &error);
  gint64 number = value != NULL ? g_variant_get_int32 (value) : -error->code;

  g_clear_pointer (&value, g_variant_unref);
  g_clear_error (&error);
  return GINT_TO_POINTER (number);
}

static void
test_threads (void)
{
  GThread *threads[8];
  gint64 sum = 0;
  guint i;
  Pipe pipe;

  pipe_open (&pipe);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("receiver", recv_thread, pipe.first);
  for (i = 0; i < G_N_ELEMENTS (threads) / 2; i++)
    send_ok (pipe.second, g_variant_new_int32 (100 + i));

  /* Half of them get a message, whoever read it from the socket; close() wakes the others. */
  while (mp_connection_poll (pipe.first, 0, NULL, NULL))
    g_thread_yield ();
  mp_connection_close (pipe.first, NULL);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    sum += GPOINTER_TO_INT (g_thread_join (threads[i]));
  g_assert_cmpint (sum, ==, 100 + 101 + 102 + 103 - 4 * G_IO_ERROR_CLOSED);
  pipe_clear (&pipe);
}

static gpointer
answer_thread (gpointer data)
{
  g_autoptr(GVariant) value = NULL;

  while ((value = mp_connection_recv (data, -1, NULL, NULL)) != NULL)
    {
      send_ok (data, value);
      g_clear_pointer (&value, g_variant_unref);
    }
  return NULL;
}

/* Each message goes to the first who waits, whoever reads it, also when that one is not asleep yet: and then it is the
 * last for now. */
static void
test_in_turn (void)
{
  const guint n_rounds = is_slow () ? 500 : 20000;
  GThread *threads[3];
  guint i;
  Pipe pipe;

  pipe_open (&pipe);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("answerer", answer_thread, pipe.first);
  for (i = 0; i < n_rounds; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = NULL;

      send_ok (pipe.second, g_variant_new_int32 (i));
      value = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpint (g_variant_get_int32 (value), ==, i);
    }
  mp_connection_close (pipe.second, NULL);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  pipe_clear (&pipe);
}

static void
send_again_cb (GObject      *object,
               GAsyncResult *result,
               gpointer      user_data)
{
  if (mp_connection_send_finish (MP_CONNECTION (object), result, NULL) && !g_atomic_int_get ((int *) user_data))
    mp_connection_send_async (MP_CONNECTION (object), g_variant_new_int32 (1), NULL, send_again_cb, user_data);
}

static gpointer
drain_thread (gpointer data)
{
  GVariant *value;

  while ((value = mp_connection_recv (data, -1, NULL, NULL)) != NULL)
    g_variant_unref (value);
  return NULL;
}

static gpointer
guard_thread (gpointer data)
{
  int *stop = data;
  gint64 end = g_get_monotonic_time () + LONG_TIME;

  while (!g_atomic_int_get (stop) && g_get_monotonic_time () < end)
    g_usleep (1000);
  g_assert_true (g_atomic_int_get (stop));
  return NULL;
}

/* Callbacks that go on and on do not keep a blocking call from its end. */
static void
test_timeout_among_callbacks (void)
{
  g_autoptr(GError) error = NULL;
  GThread *thread, *guard;
  int stop = FALSE;
  Pipe pipe;

  pipe_open (&pipe);
  thread = g_thread_new ("drain", drain_thread, pipe.second);
  guard = g_thread_new ("guard", guard_thread, &stop);
  mp_connection_send_async (pipe.first, g_variant_new_int32 (1), NULL, send_again_cb, &stop);
  g_assert_null (mp_connection_recv (pipe.first, 20000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_false (mp_connection_poll (pipe.first, 20000, NULL, &error));
  g_assert_no_error (error);
  g_atomic_int_set (&stop, TRUE);
  g_thread_join (guard);
  mp_connection_close (pipe.first, NULL);
  g_thread_join (thread);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  pipe_clear (&pipe);
}

static gpointer
poll_thread (gpointer data)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_connection_poll (data, -1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  return NULL;
}

/* Whether the thread polls already when the connection is closed, or comes too late, it must not wait for ever. */
static void
test_close_wakes_poll (void)
{
  GThread *thread;
  guint i;
  Pipe pipe;

  for (i = 0; i < 50; i++)
    {
      pipe_open (&pipe);
      thread = g_thread_new ("poll", poll_thread, pipe.first);
      if (i % 2 == 1)
        g_assert_false (mp_connection_poll (pipe.first, 1000, NULL, NULL));
      mp_connection_close (pipe.first, NULL);
      g_thread_join (thread);
      pipe_clear (&pipe);
    }
}

/* Asynchronous calls of a context in which nobody iterates: a blocking call runs their callbacks. */
typedef struct
{
  MpConnection   *connection;
  pthread_mutex_t mutex;   /* which the thread sanitizer sees */
  pthread_cond_t  cond;
  gboolean        begun;
  gboolean        closed;
  guint           n_left;
  guint           n_freed;
} Passing;

static void
freed_cb (gpointer data)
{
  g_atomic_int_inc (&((Passing *) data)->n_freed);
}

static void
passed_cb (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  Passing *passing = user_data;
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_connection_send_bytes_finish (MP_CONNECTION (object), result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  passing->n_left--;
}

static gpointer
passing_thread (gpointer data)
{
  static const char byte;
  Passing *passing = data;
  g_autoptr(GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  for (passing->n_left = 0; passing->n_left < 3; passing->n_left++)
    {
      g_autoptr(GBytes) bytes = g_bytes_new_with_free_func (&byte, 1, freed_cb, passing);

      mp_connection_send_bytes_async (passing->connection, bytes, NULL, passed_cb, passing);
    }
  pthread_mutex_lock (&passing->mutex);
  passing->begun = TRUE;
  pthread_cond_signal (&passing->cond);
  while (!passing->closed)
    pthread_cond_wait (&passing->cond, &passing->mutex);
  pthread_mutex_unlock (&passing->mutex);

  g_assert_false (mp_connection_poll (passing->connection, -1, NULL, NULL));
  g_assert_cmpuint (passing->n_left, ==, 0);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* What is left of a call that another thread has ended goes with the callback, and does not wait in the context for
 * somebody to come again. */
static void
test_context_given_up (void)
{
  Passing passing = { .n_left = 0 };
  GThread *thread;
  Pipe pipe;

  pipe_open (&pipe);
  /* So that nothing more leaves. */
  while (mp_connection_send (pipe.first, g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, &passing, sizeof passing, 1),
                             0, NULL, NULL))
    ;
  passing.connection = pipe.first;
  pthread_mutex_init (&passing.mutex, NULL);
  pthread_cond_init (&passing.cond, NULL);
  thread = g_thread_new ("passing", passing_thread, &passing);
  pthread_mutex_lock (&passing.mutex);
  while (!passing.begun)
    pthread_cond_wait (&passing.cond, &passing.mutex);
  mp_connection_close (pipe.first, NULL);
  passing.closed = TRUE;
  pthread_cond_signal (&passing.cond);
  pthread_mutex_unlock (&passing.mutex);

  g_thread_join (thread);
  g_assert_cmpuint (g_atomic_int_get (&passing.n_freed), ==, 3);
  pipe_clear (&pipe);
  pthread_mutex_destroy (&passing.mutex);
  pthread_cond_destroy (&passing.cond);
}

static void
count_down_cb (GObject      *object,
               GAsyncResult *result,
               gpointer      user_data)
{
  (*(guint *) user_data)--;
}

static gpointer
close_thread (gpointer data)
{
  mp_connection_close (data, NULL);
  return NULL;
}

static gboolean
close_cb (gpointer user_data)
{
  g_thread_join (g_thread_new ("close", close_thread, user_data));
  return G_SOURCE_REMOVE;
}

/* A call that another thread ends between the look of the context's sources and their turn: after its callback nobody iterates. */
static void
test_last_callback (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(GSource) source = g_idle_source_new ();
  g_autoptr(GBytes) bytes = g_bytes_new_static ("x", 1);
  guint n_left = 2;
  Pipe pipe;

  g_main_context_push_thread_default (context);
  pipe_open (&pipe);
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, close_cb, pipe.first, NULL);
  g_source_attach (source, context);   /* before that of the library */
  mp_connection_send_bytes_async (pipe.first, bytes, NULL, count_down_cb, &n_left);
  mp_connection_recv_async (pipe.first, NULL, count_down_cb, &n_left);
  while (n_left > 0)
    g_main_context_iteration (context, TRUE);

  g_main_context_pop_thread_default (context);
  pipe_clear (&pipe);
}

/* Who only sends is told of what has come, too. */
static void
test_sender (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GVariant) value = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  mp_connection_recv_async (pipe.first, NULL, keep_result_cb, &result);
  send_ok (pipe.second, g_variant_new_int32 (1));
  send_ok (pipe.first, g_variant_new_int32 (2));
  g_assert_nonnull (result);
  value = mp_connection_recv_finish (pipe.first, result, NULL);
  g_assert_cmpint (g_variant_get_int32 (value), ==, 1);
  g_clear_object (&result);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-threads/receive", test_threads);
  g_test_add_func ("/connection-threads/in-turn", test_in_turn);
  g_test_add_func ("/connection-threads/timeout-among-callbacks", test_timeout_among_callbacks);
  g_test_add_func ("/connection-threads/close-wakes-poll", test_close_wakes_poll);
  g_test_add_func ("/connection-threads/context-given-up", test_context_given_up);
  g_test_add_func ("/connection-threads/last-callback", test_last_callback);
  g_test_add_func ("/connection-threads/sender", test_sender);

  return g_test_run ();
}
