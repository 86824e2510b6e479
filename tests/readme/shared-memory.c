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
    g_assert_cmpuint (mp_shareable_list_get_length (list), ==, 3);
  }
  return 0;
}
