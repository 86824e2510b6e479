#include <mp-glib/mp-glib.h>

static GVariant *
check (GVariant  *name,
       gpointer   user_data,
       GError   **error)
{
  return g_variant_ref (name);
}

static guint n_shown;

static void
show_result (MpFuture *future)
{
  g_assert_true (mp_future_is_ready (future));
  n_shown++;
}

int
main (void)
{
  const char *files[] = { "a", "b", "c" };
  const guint n_files = G_N_ELEMENTS (files);
  g_autoptr(MpPool) pool = NULL;

  mp_init ();
  pool = mp_pool_new (2);
  {
    @README@
  }
  g_assert_cmpuint (n_shown, ==, n_files);
  return 0;
}
