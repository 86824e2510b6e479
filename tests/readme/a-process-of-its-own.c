#include <signal.h>

#include <mp-glib/mp-glib.h>

static GVariant *
watch_folder (GVariant  *args,
              gpointer   user_data,
              GError   **error)
{
  for (;;)
    g_usleep (G_USEC_PER_SEC);
  return NULL;
}

static int status_told;

static void
exited_cb (MpProcess *process,
           int        exit_status,
           gpointer   user_data)
{
  status_told = exit_status;
}

static void
rest (void)
{
}

int
main (void)
{
  g_autoptr(GError) error = NULL;

  mp_init ();
  {
    @README@

    g_assert_cmpint (mp_process_get_exit_status (process), ==, -SIGTERM);
    g_assert_cmpint (status_told, ==, -SIGTERM);
  }
  return 0;
}
