#include <mp-glib/mp-glib.h>

static GVariant *
square (GVariant  *item,
        gpointer   user_data,
        GError   **error)
{
  return g_variant_new_int64 ((gint64) g_variant_get_int32 (item) * g_variant_get_int32 (item));
}

@README | until items =@
int
main (void)
{
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(MpItems) items = NULL;
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *value = NULL;
  int n = 999999000;
  int n_results = 0;

  mp_init ();
  pool = mp_pool_new (2);

#define rest() (g_variant_unref (value), n_results++)
  @README | from items =@

  g_assert_no_error (error);
  g_assert_cmpint (n_results, ==, 1000);
  return 0;
}
