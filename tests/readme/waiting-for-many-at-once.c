#include <mp-glib/mp-glib.h>

static GVariant *
nothing (GVariant  *args,
         gpointer   user_data,
         GError   **error)
{
  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(MpConnection) other = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(MpQueue) queue = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GBytes) bytes = g_bytes_new_static ("x", 1);
  g_autoptr(GError) error = NULL;

  mp_init ();
  listener = mp_listener_new (NULL, NULL, &error);
  g_assert_no_error (error);
  mp_pipe_new (TRUE, &connection, &other, &error);
  g_assert_no_error (error);
  mp_connection_send_bytes (other, bytes, -1, NULL, &error);
  g_assert_no_error (error);
  queue = mp_queue_new (0, 0);
  process = mp_process_new (MP_FUNCTION (nothing), g_variant_new ("()"));
  mp_process_start (process, -1, NULL, &error);
  g_assert_no_error (error);
  {
    @README@

    g_assert_no_error (error);
    g_assert_cmpuint (ready->len, >=, 1);
    g_assert_true (g_ptr_array_find (ready, connection, NULL));
  }
  return 0;
}
