#include <mp-glib/mp-glib.h>

static GVariant *
render (GVariant  *page,
        gpointer   user_data,
        GError   **error)
{
  mp_invocation_report (mp_invocation_get_current (), 0.5, NULL);
  return g_variant_ref (page);
}

static void
show_progress (MpFuture *future,
               double    fraction,
               GVariant *value,
               gpointer  bar)
{
  *(double *) bar = fraction;
}

int
main (void)
{
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *page = g_variant_new_int32 (7);
  double fraction = 0;
  gpointer bar = &fraction;

  mp_init ();
  pool = mp_pool_new (1);
  {
    @README@
  }
  g_assert_no_error (error);
  result = mp_future_get (future, -1, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int32 (result), ==, 7);
  g_assert_cmpfloat (fraction, >=, 0.5);
  return 0;
}
