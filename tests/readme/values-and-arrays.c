#include <mp-glib/mp-glib.h>

int
main (void)
{
  g_autoptr(GError) error = NULL;

  mp_init ();
  {
    @README@

    g_assert_no_error (error);
    numbers[999] = 0.5;
    g_assert_cmpfloat (numbers[0], ==, 0);
  }
  return 0;
}
