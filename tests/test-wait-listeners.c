/* test-wait-listeners.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "listener-test.h"
#include "wait-test.h"

/* Waiting for listeners, and for those whom they have accepted. */

static gpointer
connect_thread (gpointer data)
{
  g_autoptr(MpClientOptions) options = mp_client_options_new ();
  g_autoptr(GBytes) key = make_key (KEY);
  g_autoptr(GError) error = NULL;
  MpConnection *connection;

  mp_client_options_set_authkey (options, key);
  connection = mp_client_connect_to (data, options, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  return connection;
}

static MpConnection *
accept_at_once (MpListener *listener)
{
  g_autoptr(GError) error = NULL;
  MpConnection *connection = mp_listener_accept (listener, 0, NULL, &error);

  g_assert_no_error (error);
  return connection;
}

/* It is the wait that does the handshake. */
static void
test_client (void)
{
  g_autoptr(MpConnection) ours = NULL;
  g_autoptr(MpConnection) theirs = NULL;
  gpointer objects[1] = { listen_ok (NULL, KEY) };
  GThread *thread;

  assert_ready (objects, 1, 0, "");
  assert_ready (objects, 1, 1, "");
  thread = g_thread_new ("client", connect_thread, (gpointer) mp_listener_get_address (objects[0]));
  assert_ready (objects, 1, LONG_TIME, "0");
  theirs = g_thread_join (thread);
  assert_ready (objects, 1, LONG_TIME, "0");
  ours = accept_at_once (objects[0]);
  assert_ready (objects, 1, 0, "");
  send_ok (theirs, g_variant_new_int32 (1));
  recv_ok (ours, "1");
  g_assert_finalize_object (objects[0]);
}

/* Clients that have not the key, are silent, or go, wake nobody. */
static void
test_bad_clients (void)
{
  g_autoptr(MpConnection) ours = NULL;
  g_autoptr(MpConnection) theirs = NULL;
  gpointer objects[1] = { listen_ok (NULL, KEY) };
  Waiter waiter = { NULL };
  GThread *thread;
  int silent, rude, gone;

  waiter_begin (&waiter, objects, 1);
  silent = dial_listener (objects[0]);
  rude = dial_listener (objects[0]);
  g_assert_cmpint (write (rude, "GET / HTTP/1.0\r\n\r\n", 18), ==, 18);
  gone = dial_listener (objects[0]);
  close (gone);
  thread = g_thread_new ("client", connect_thread, (gpointer) mp_listener_get_address (objects[0]));
  waiter_end (&waiter, "0");
  theirs = g_thread_join (thread);
  ours = accept_at_once (objects[0]);
  g_assert_nonnull (ours);
  assert_ready (objects, 1, 0, "");
  close (silent);
  close (rude);
  g_assert_finalize_object (objects[0]);
}

/* Who waits has its descriptors in hand: they are closed when the last of those is gone. */
static void
test_closed (void)
{
  gpointer objects[1] = { listen_ok (NULL, NULL) };
  Waiter first = { NULL }, second = { NULL };
  guint n;

  /* What is made once has been made. */
  assert_ready (objects, 1, 1, "");
  g_clear_object (&objects[0]);
  n = count_files ("/proc/self/fd");

  objects[0] = listen_ok (NULL, NULL);
  waiter_begin (&first, objects, 1);
  waiter_begin (&second, objects, 1);
  mp_listener_close (objects[0]);
  waiter_end (&first, "0");
  waiter_end (&second, "0");
  assert_ready (objects, 1, 0, "0");
  g_assert_cmpuint (count_files ("/proc/self/fd"), ==, n);
  g_assert_finalize_object (objects[0]);
}

static void
test_closed_async (void)
{
  MpWaitable *objects[1] = { NULL };
  guint n = 0;

  /* What is made once is made in the first round. */
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr(GAsyncResult) result = NULL;
      g_autoptr(GPtrArray) ready = NULL;
      g_autoptr(GError) error = NULL;

      n = count_files ("/proc/self/fd");
      objects[0] = MP_WAITABLE (listen_ok (NULL, NULL));
      mp_wait_async (objects, 1, -1, NULL, keep_result_cb, &result);
      while (g_main_context_iteration (NULL, FALSE))
        ;
      mp_listener_close (MP_LISTENER (objects[0]));
      wait_for_result (&result);
      ready = mp_wait_finish (result, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (ready->len, ==, 1);
      if (i > 0)
        g_assert_cmpuint (count_files ("/proc/self/fd"), ==, n);
      g_clear_pointer (&ready, g_ptr_array_unref);
      g_clear_object (&result);
      g_assert_finalize_object (objects[0]);
    }
}

static gpointer
talk_thread (gpointer data)
{
  g_autoptr(MpConnection) connection = connect_thread (data);

  for (guint i = 0; i < 10; i++)
    {
      g_autofree char *text = g_strdup_printf ("%u", i);

      send_ok (connection, g_variant_new_uint32 (i));
      recv_ok (connection, text);
    }
  return NULL;
}

/* A server of several clients in one loop, as one writes it. */
static void
test_server (void)
{
  const guint n_clients = is_slow () ? 4 : 30;
  g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GPtrArray) threads = g_ptr_array_new ();
  MpListener *listener = listen_ok (NULL, KEY);
  guint n_ended = 0;

  g_ptr_array_add (objects, listener);
  for (guint i = 0; i < n_clients; i++)
    g_ptr_array_add (threads, g_thread_new ("client", talk_thread, (gpointer) mp_listener_get_address (listener)));
  while (n_ended < n_clients)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GPtrArray) ready = mp_wait ((MpWaitable **) objects->pdata, objects->len, LONG_TIME, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (ready->len, >, 0);
      for (guint i = 0; i < ready->len; i++)
        {
          gpointer object = g_ptr_array_index (ready, i);
          g_autoptr(GVariant) value = NULL;

          if (object == listener)
            {
              g_ptr_array_add (objects, accept_at_once (listener));
              continue;
            }
          value = mp_connection_recv (object, 0, NULL, NULL);
          if (value != NULL)
            {
              send_ok (object, value);
              continue;
            }
          g_ptr_array_remove (objects, object);
          n_ended++;
        }
    }
  for (guint i = 0; i < n_clients; i++)
    g_thread_join (g_ptr_array_index (threads, i));
}

static void
test_async (void)
{
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  g_autoptr(MpConnection) theirs = NULL;
  g_autoptr(MpConnection) ours = NULL;
  g_autoptr(GError) error = NULL;
  MpWaitable *objects[1] = { MP_WAITABLE (listen_ok (NULL, KEY)) };
  GThread *thread;

  mp_wait_async (objects, 1, -1, NULL, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  thread = g_thread_new ("client", connect_thread, (gpointer) mp_listener_get_address (MP_LISTENER (objects[0])));
  wait_for_result (&result);
  ready = mp_wait_finish (result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, 1);
  theirs = g_thread_join (thread);
  ours = accept_at_once (MP_LISTENER (objects[0]));
  g_object_unref (objects[0]);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wait-listeners/client", test_client);
  g_test_add_func ("/wait-listeners/bad-clients", test_bad_clients);
  g_test_add_func ("/wait-listeners/closed", test_closed);
  g_test_add_func ("/wait-listeners/closed-async", test_closed_async);
  g_test_add_func ("/wait-listeners/server", test_server);
  g_test_add_func ("/wait-listeners/async", test_async);

  return g_test_run ();
}
