/* test-child.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "child-test.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-worker-private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The owner's side of a process, below MpProcess and MpPool: what its callbacks are told, in which order, and that it
 * ends whatever happens. */

static void
assert_no_process (int pid)
{
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_assert_cmpint (errno, ==, ESRCH);
}

/* What children do */

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
sit_and_ignore (GVariant *args, gpointer user_data, GError **error)
{
  signal (SIGTERM, SIG_IGN);
  return sit (NULL, NULL, NULL);
}

static GVariant *
write_much (GVariant *args, gpointer user_data, GError **error)
{
  for (int i = 0; i < 20000; i++)
    fprintf (stderr, "line %d\n", i);
  return g_variant_new_tuple (NULL, 0);
}

/* Less than a pipe holds. */
static GVariant *
write_some (GVariant *args, gpointer user_data, GError **error)
{
  for (int i = 0; i < 5000; i++)
    fprintf (stderr, "line %d\n", i);
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
fail (GVariant *args, gpointer user_data, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "as it was told to");
  return NULL;
}

static GVariant *
send_nonsense (GVariant *args, gpointer user_data, GError **error)
{
  char nonsense[64];

  memset (nonsense, 0x5a, sizeof nonsense);
  if (write (mp_wire_get_fd (mp_worker_get ()->wire), nonsense, sizeof nonsense) < 0)
    abort ();
  return sit (NULL, NULL, NULL);
}

static GVariant *
send_ready_again (GVariant *args, gpointer user_data, GError **error)
{
  mp_wire_queue_short (mp_worker_get ()->wire, MP_FRAME_READY, 0, 8);
  mp_wire_flush_blocking (mp_worker_get ()->wire, NULL);
  return sit (NULL, NULL, NULL);
}

static GVariant *
close_wire (GVariant *args, gpointer user_data, GError **error)
{
  close (mp_wire_get_fd (mp_worker_get ()->wire));
  return sit (NULL, NULL, NULL);
}

/* Leaves a child of its own behind that holds all its descriptors. */
static GVariant *
leave_heir (GVariant *args, gpointer user_data, GError **error)
{
  int pid = fork ();

  if (pid == 0)
    {
      alarm (5);
      while (TRUE)
        pause ();
    }
  fprintf (stderr, "%d\n", pid);
  _exit (7);
}

/* Tests */

static void
test_order (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  Watched watched;
  int pid;

  watched_start (&watched, context, MP_FUNCTION (nothing));
  wait_until (&watched, is_ended);
  g_assert_cmpstr (watched.order->str, ==, "sre");
  g_assert_no_error (watched.error);
  g_assert_cmpint (get_status (&watched), ==, 0);
  pid = mp_child_get_pid (watched.child);
  assert_no_process (pid);
  watched_clear (&watched);

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, MP_FUNCTION (fail));
  wait_until (&watched, is_ended);
  g_string_replace (watched.order, "l", "", 0);   /* when lines come is nobody's promise, but before the end */
  g_assert_cmpstr (watched.order->str, ==, "srfe");
  g_assert_cmpuint (watched.n_frames, ==, 1);
  g_assert_no_error (watched.error);
  g_assert_cmpint (get_status (&watched), ==, 1);
  watched_clear (&watched);
}

/* All that it wrote comes before its end, however late it is read. */
static void
test_everything_is_read (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  Watched watched;

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, MP_FUNCTION (write_much));
  wait_until (&watched, is_ended);
  g_assert_cmpuint (watched.n_lines, ==, 20000);
  watched_clear (&watched);
}

static void
test_details (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(GVariant) details = NULL;
  g_autofree char *end = NULL;
  g_autofree const char **lines = NULL;
  const char *name = NULL;
  Watched watched;
  int value = 0;

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, MP_FUNCTION (sit));
  wait_until (&watched, has_line);
  mp_hub_lock ();
  g_assert_cmpint (mp_child_get_exit_status (watched.child), ==, MP_EXIT_STATUS_RUNNING);
  g_assert_true (mp_child_signal (watched.child, SIGQUIT, NULL));
  mp_hub_unlock ();
  wait_until (&watched, is_ended);
  g_assert_no_error (watched.error);

  mp_hub_lock ();
  details = mp_child_dup_details (watched.child);
  end = mp_child_describe_end (watched.child);
  mp_hub_unlock ();
  g_assert_cmpstr (end, ==, "was killed by signal 3 (SIGQUIT)");
  g_assert_true (g_variant_lookup (details, "worker", "&s", &name));
  g_assert_cmpstr (name, ==, "Child");
  g_assert_true (g_variant_lookup (details, "signal", "i", &value));
  g_assert_cmpint (value, ==, SIGQUIT);
  g_assert_true (g_variant_lookup (details, "exit-status", "i", &value));
  g_assert_cmpint (value, ==, -SIGQUIT);
  g_assert_true (g_variant_lookup (details, "pid", "i", &value));
  g_assert_cmpint (value, ==, mp_child_get_pid (watched.child));
  g_assert_true (g_variant_lookup (details, "stderr", "^a&s", &lines));
  g_assert_cmpstr (lines[0], ==, "I sit");
  watched_clear (&watched);
}

static void
check_end (MpContext *context, const char *function, gint64 grace, int status)
{
  Watched watched;
  g_autoptr(GError) error = NULL;

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, function);
  wait_until (&watched, has_line);
  mp_hub_lock ();
  mp_child_end (watched.child, grace);
  mp_hub_unlock ();
  wait_until (&watched, is_ended);
  g_assert_cmpint (get_status (&watched), ==, status);
  g_assert_no_error (watched.error);
  mp_hub_lock ();
  g_assert_false (mp_child_signal (watched.child, SIGTERM, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_child_end (watched.child, 0);   /* nothing */
  mp_hub_unlock ();
  watched_clear (&watched);
}

static void
test_end (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));

  check_end (context, MP_FUNCTION (sit), LONG, -SIGTERM);
  check_end (context, MP_FUNCTION (sit), 0, -SIGKILL);
  check_end (context, MP_FUNCTION (sit_and_ignore), 50000, -SIGKILL);
}

/* Ended before it has begun: at once, one turn later, and after it was asked for of a fork server. */
static void
test_end_early (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  Watched watched[3];

  for (guint round = 0; round < 8; round++)
    {
      for (guint i = 0; i < G_N_ELEMENTS (watched); i++)
        {
          watched_start (&watched[i], context, MP_FUNCTION (sit));
          for (guint turn = 0; turn < round; turn++)
            mp_hub_wait (&watched[i], is_ended, &watched[i], "test", 0, NULL, NULL);
          mp_hub_lock ();
          mp_child_end (watched[i].child, round % 2 == 0 ? 0 : LONG);
          g_assert_cmpuint (watched[i].n_ended, ==, 0);
          mp_hub_unlock ();
        }
      for (guint i = 0; i < G_N_ELEMENTS (watched); i++)
        {
          wait_until (&watched[i], is_ended);
          g_assert_no_error (watched[i].error);
          g_assert_cmpuint (watched[i].n_ended, ==, 1);
          g_assert_cmpint (get_status (&watched[i]), <, 0);
          if (mp_child_get_pid (watched[i].child) != 0)
            assert_no_process (mp_child_get_pid (watched[i].child));
          watched_clear (&watched[i]);
        }
    }
}

static void
test_signal_early (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  const int signals[] = { SIGTERM, SIGKILL, SIGINT };

  for (guint i = 0; i < G_N_ELEMENTS (signals); i++)
    {
      Watched watched;

      watched_start (&watched, context, MP_FUNCTION (sit));
      mp_hub_lock ();
      g_assert_true (mp_child_signal (watched.child, signals[i], NULL));
      mp_hub_unlock ();
      wait_until (&watched, is_ended);
      g_assert_no_error (watched.error);
      g_assert_cmpint (get_status (&watched), ==, -signals[i]);
      watched_clear (&watched);
    }
}

/* A child that is ready and then sends what none may: it is killed, and its end says why. */
static void
check_cut_off (MpContext *context, const char *function)
{
  Watched watched;

  watched_start (&watched, context, function);
  wait_until (&watched, is_ended);
  g_assert_cmpuint (watched.n_ready, ==, 1);
  g_assert_error (watched.error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpint (get_status (&watched), ==, -SIGKILL);
  g_test_message ("%s", watched.error->message);
  watched_clear (&watched);
}

static void
test_cut_off (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));

  check_cut_off (context, MP_FUNCTION (send_nonsense));
  check_cut_off (context, MP_FUNCTION (send_ready_again));
}

/* A Process may close what it likes. */
static void
test_closed_wire (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  Watched watched;

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, MP_FUNCTION (close_wire));
  wait_until (&watched, has_line);
  g_assert_cmpuint (watched.n_ended, ==, 0);
  mp_hub_lock ();
  mp_child_end (watched.child, LONG);
  mp_hub_unlock ();
  wait_until (&watched, is_ended);
  g_assert_cmpint (get_status (&watched), ==, -SIGTERM);
  watched_clear (&watched);
}

/* The end of a process is its own, not that of whoever holds its descriptors. */
static void
test_heir (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  g_autoptr(GVariant) details = NULL;
  g_autofree const char **lines = NULL;
  Watched watched;

  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, MP_FUNCTION (leave_heir));
  wait_until (&watched, is_ended);
  g_assert_cmpint (get_status (&watched), ==, 7);
  mp_hub_lock ();
  details = mp_child_dup_details (watched.child);
  mp_hub_unlock ();
  g_assert_true (g_variant_lookup (details, "stderr", "^a&s", &lines));
  g_assert_cmpint (kill (atoi (lines[0]), SIGKILL), ==, 0);
  watched_clear (&watched);
}

static gboolean
is_readable (int fd, gint64 timeout)
{
  GPollFD poll_fd = { fd, G_IO_IN, 0 };

  return mp_poll_fds (&poll_fd, 1, timeout) > 0;
}

static void
test_sentinel (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  g_autoptr(GError) error = NULL;
  int sentinels[3];
  int pidfd = mp_platform_pidfd_open (getpid ());
  Watched watched;

  /* Before there is a pid, when it is ready, and when it has ended. */
  watched_start (&watched, context, MP_FUNCTION (sit));
  mp_hub_lock ();
  sentinels[0] = mp_child_dup_sentinel (watched.child, &error);
  mp_hub_unlock ();
  wait_until (&watched, is_ready);
  mp_hub_lock ();
  sentinels[1] = mp_child_dup_sentinel (watched.child, &error);
  mp_hub_unlock ();
  g_assert_false (is_readable (sentinels[0], 0));
  g_assert_false (is_readable (sentinels[1], 0));
  mp_hub_lock ();
  mp_child_end (watched.child, 0);
  mp_hub_unlock ();
  /* Where there are pidfds, it need not be noticed first. */
  if (pidfd >= 0)
    g_assert_true (is_readable (sentinels[1], LONG));
  wait_until (&watched, is_ended);
  g_assert_true (is_readable (sentinels[0], LONG));
  mp_hub_lock ();
  sentinels[2] = mp_child_dup_sentinel (watched.child, &error);
  mp_hub_unlock ();
  g_assert_true (is_readable (sentinels[2], LONG));
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (sentinels); i++)
    close (sentinels[i]);
  mp_fd_close (&pidfd);
  watched_clear (&watched);
}

static gboolean
is_gone (gpointer data)
{
  return kill (*(int *) data, 0) < 0;
}

/* Nobody is told, but it is reaped. */
static void
test_forget (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  g_autoptr(GError) error = NULL;
  Watched watched;
  int pid;

  watched_start (&watched, context, MP_FUNCTION (sit));
  wait_until (&watched, is_ready);
  pid = mp_child_get_pid (watched.child);
  mp_hub_lock ();
  mp_child_forget (watched.child);
  mp_child_end (watched.child, LONG);
  g_clear_pointer (&watched.child, mp_child_unref);
  mp_hub_unlock ();
  mp_hub_wait (&watched, is_gone, &pid, "test", LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (watched.n_ended, ==, 0);
  watched_clear (&watched);
}

/* Waits without turning the hub. */
static gboolean
is_dead_within (Watched *self, gint64 timeout)
{
  gboolean dead;
  int fd;

  mp_hub_lock ();
  fd = mp_child_dup_sentinel (self->child, NULL);
  mp_hub_unlock ();
  g_assert_cmpint (fd, >=, 0);
  dead = is_readable (fd, timeout);
  close (fd);
  return dead;
}

/* Its time to boot is over before anybody has looked: what the process had said by then counts, and what it had written
 * is read to the end. */
static void
test_looked_at_late (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  Watched watched;

  mp_context_set_boot_timeout (context, 1000);
  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, MP_FUNCTION (write_some));
  g_assert_true (is_dead_within (&watched, LONG));
  wait_until (&watched, is_ended);
  g_assert_no_error (watched.error);
  g_assert_cmpuint (watched.n_ready, ==, 1);
  g_assert_cmpuint (watched.n_lines, ==, 5000);
  g_assert_cmpint (get_status (&watched), ==, 0);
  watched_clear (&watched);
}

/* It has written more than a pipe holds, and waited for us: that is not its fault. */
static void
test_waited_for_us (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autofree char *program = g_test_build_filename (G_TEST_BUILT, "helper-program", NULL);
  Watched watched;

  if (is_slow ())
    {
      g_test_skip ("the program would take longer anyway");
      return;
    }
  mp_context_set_worker_argv (context, (const char *[]) { program, "noisy", NULL });
  mp_context_set_boot_timeout (context, 50000);
  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  watched_start (&watched, context, "nothing");
  g_assert_false (is_dead_within (&watched, 200000));
  wait_until (&watched, is_ended);
  g_assert_no_error (watched.error);
  g_assert_cmpuint (watched.n_ready, ==, 1);
  g_assert_cmpuint (watched.n_lines, ==, 20000);
  watched_clear (&watched);
}

/* Log records */

static GVariant *
log_things (GVariant *args, gpointer user_data, GError **error)
{
  /* A forked child has what g_test_init() made of it. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_log ("Other", G_LOG_LEVEL_WARNING, "a warning: %d", 1);
  g_log (NULL, G_LOG_LEVEL_CRITICAL, "something \xff critical");
  g_log ("Other", G_LOG_LEVEL_DEBUG, "nobody asked for this");
  return g_variant_new_tuple (NULL, 0);
}

static gpointer
log_in_thread (gpointer data)
{
  g_log ("Other", G_LOG_LEVEL_MESSAGE, "from a thread");
  return NULL;
}

static GVariant *
log_elsewhere (GVariant *args, gpointer user_data, GError **error)
{
  g_thread_join (g_thread_new ("other", log_in_thread, NULL));
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
log_fatally (GVariant *args, gpointer user_data, GError **error)
{
  g_log ("Other", G_LOG_LEVEL_ERROR, "the end");
  return NULL;
}

static GString *records;

static GLogWriterOutput
keep_record (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  const char *name = NULL, *message = "", *domain = "";

  for (gsize i = 0; i < n_fields; i++)
    {
      if (strcmp (fields[i].key, "MP_PROCESS_NAME") == 0)
        name = fields[i].value;
      else if (strcmp (fields[i].key, "MESSAGE") == 0)
        message = fields[i].value;
      else if (strcmp (fields[i].key, "GLIB_DOMAIN") == 0)
        domain = fields[i].value;
    }
  if (name == NULL)
    return g_log_writer_default (level, fields, n_fields, user_data);
  g_string_append_printf (records, "%d %s %s %s\n", level & G_LOG_LEVEL_MASK, name, domain, message);
  /* g_test_init() has made warnings fatal; those of another process are not. */
  return g_log_writer_default (level, fields, n_fields, user_data);
}

static void
check_log (MpContext *context, const char *function, int status, const char *expected)
{
  MpChildConfig config =
    { .role = MP_ROLE_PROCESS, .name = "Logger", .board = -1, .context = g_main_context_default () };
  GMainContext *attached = mp_hub_ref_context (NULL);
  g_autoptr(GVariant) details = NULL;
  Watched watched;

  g_string_truncate (records, 0);
  config.owner = &watched;
  watched_start_full (&watched, context, &config, function);
  wait_until (&watched, is_ended);
  g_assert_cmpint (get_status (&watched), ==, status);
  g_assert_cmpstr (records->str, ==, expected);
  mp_hub_lock ();
  details = mp_child_dup_details (watched.child);
  mp_hub_unlock ();
  g_assert_true (g_variant_lookup (details, "log", "as", NULL));
  mp_hub_unref_context (attached);
  watched_clear (&watched);
}

static void
test_log (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));

  check_log (context, MP_FUNCTION (log_things), 0,
             "16 Logger Other [Logger] a warning: 1\n8 Logger  [Logger] something \357\277\275 critical\n");
  check_log (context, MP_FUNCTION (log_elsewhere), 0, "32 Logger Other [Logger] from a thread\n");
  check_log (context, MP_FUNCTION (log_fatally), -SIGTRAP, "8 Logger Other [Logger] the end\n");
}

int
main (int argc, char **argv)
{
  mp_init ();
  /* A shell that puts us into the background may have them ignored, and whoever is started would inherit that. */
  signal (SIGINT, SIG_DFL);
  signal (SIGQUIT, SIG_DFL);
  g_test_init (&argc, &argv, NULL);
  records = g_string_new (NULL);
  g_log_set_writer_func (keep_record, NULL, NULL);

  add_for_methods ("/child/order", test_order);
  add_for_methods ("/child/everything-is-read", test_everything_is_read);
  g_test_add_func ("/child/details", test_details);
  add_for_methods ("/child/end", test_end);
  add_for_methods ("/child/end-early", test_end_early);
  add_for_methods ("/child/signal-early", test_signal_early);
  add_for_methods ("/child/cut-off", test_cut_off);
  g_test_add_func ("/child/closed-wire", test_closed_wire);
  add_for_methods ("/child/heir", test_heir);
  add_for_methods ("/child/sentinel", test_sentinel);
  add_for_methods ("/child/forget", test_forget);
  g_test_add_func ("/child/looked-at-late", test_looked_at_late);
  g_test_add_func ("/child/waited-for-us", test_waited_for_us);
  add_for_methods ("/child/log", test_log);
  return g_test_run ();
}
