#include <mp-glib/mp-glib.h>

@README | until while@
static guint64 sum;
static gboolean said;

static void
take_and_unref (GVariant *value)
{
  sum += g_variant_get_uint64 (value);
  g_variant_unref (value);
}

static void
say_that_all_have_put_what_they_had (void)
{
  said = TRUE;
}

int
main (void)
{
  g_autoptr(MpQueue) queue = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GError) error = NULL;
  GVariant *value = NULL;

  mp_init ();
  queue = mp_queue_new (3, 0);
  handle = mp_shareable_to_variant (MP_SHAREABLE (queue));
  process = mp_process_new (MP_FUNCTION (produce), g_variant_new ("(@h)", handle));
  mp_process_start (process, -1, NULL, &error);
  g_assert_no_error (error);

  @README | from while@

  g_assert_true (said);
  g_assert_cmpuint (sum, ==, 45);
  return 0;
}
