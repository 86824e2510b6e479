#include <mp-glib/mp-glib.h>

static void
repair_the_file (void)
{
  g_assert_not_reached ();
}

static void
append_to_the_file (void)
{
}

@README | until g_autoptr(MpLock)@
int
main (void)
{
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();
  pool = mp_pool_new (2);
  {
    @README | from g_autoptr(MpLock)@

    g_assert_no_error (error);
    g_assert_nonnull (done);
  }
  return 0;
}
