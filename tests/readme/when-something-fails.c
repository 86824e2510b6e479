#include <signal.h>
#include <unistd.h>

#include <mp-glib/mp-glib.h>

static GVariant *
check (GVariant  *args,
       gpointer   user_data,
       GError   **error)
{
  kill (getpid (), SIGKILL);
  return NULL;
}

static gboolean shown;

static void
show_message (const char *message)
{
  g_assert_nonnull (strstr (message, "killed by signal 9 (SIGKILL) while it ran it"));
  shown = TRUE;
}

int
main (void)
{
  g_autoptr(MpPool) pool = NULL;
  g_autoptr(GVariant) args = g_variant_ref_sink (g_variant_new ("()"));
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;

  mp_init ();
  pool = mp_pool_new (1);

  @README@

  g_assert_null (value);
  g_assert_true (shown);
  return 0;
}
