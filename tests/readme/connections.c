#include <mp-glib/mp-glib.h>

static GVariant *
call (GVariant  *args,
      gpointer   user_data,
      GError   **error_)
{
  g_autoptr(GBytes) key = g_bytes_new_static ("secret", 6);
  g_autoptr(GError) error = NULL;
  const char *address = NULL;

  g_variant_get (args, "(&s)", &address);
  {
    @README connections-2 | with "tcp:localhost:6000" -> address@

    g_assert_no_error (error);
    return g_steal_pointer (&answer);
  }
}

int
main (void)
{
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GBytes) key = g_bytes_new_static ("secret", 6);
  g_autoptr(GError) error = NULL;

  mp_init ();
  pool = mp_pool_new (1);
  {
    @README | until g_autoptr(MpConnection) | with :6000 -> :0@
    g_assert_no_error (error);
    future = mp_pool_submit (pool, MP_FUNCTION (call), g_variant_new ("(s)", mp_listener_get_address (listener)), NULL);
    @README | from g_autoptr(MpConnection)@

    result = mp_future_get (future, -1, NULL, &error);
    g_assert_no_error (error);
    g_assert_true (g_variant_is_of_type (result, G_VARIANT_TYPE ("(is)")));
  }
  return 0;
}
