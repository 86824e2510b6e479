/* process-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/mp-glib.h"
#include "instrument-test.h"

#include <signal.h>

/* What the tests of MpProcess share: each runs with every start method. Names of functions come from here: MP_FUNCTION
 * stands for an entry of the program that includes this. */

#define LONG (60 * G_USEC_PER_SEC)   /* never reached unless something hangs */

static MpStartMethod method;   /* of the suite that runs */

/* What a process runs that is done when its owner says so. */
G_GNUC_UNUSED static GVariant *
wait_for_word (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GObject) connection = G_OBJECT (mp_shareable_from_variant (args, error));
  g_autoptr(GVariant) word = NULL;

  if (connection == NULL)
    return NULL;
  word = mp_connection_recv (MP_CONNECTION (connection), LONG, NULL, error);
  return word != NULL ? g_variant_new_tuple (NULL, 0) : NULL;
}

/* One for each method: a context has a fork server of its own. */
G_GNUC_UNUSED static MpContext *
get_context (void)
{
  static MpContext *contexts[MP_START_METHOD_FORK + 1];

  if (contexts[method] == NULL)
    {
      contexts[method] = mp_context_new (method);
      if (is_slow ())
        mp_context_set_boot_timeout (contexts[method], 2 * LONG);
    }
  return contexts[method];
}

G_GNUC_UNUSED static MpProcess *
process_new (const char *function, GVariant *args)
{
  return g_object_new (MP_TYPE_PROCESS, "function", function, "args", args, "context", get_context (), NULL);
}

G_GNUC_UNUSED static void
start (MpProcess *process)
{
  g_autoptr(GError) error = NULL;

  mp_process_start (process, LONG, NULL, &error);
  g_assert_no_error (error);
}

G_GNUC_UNUSED static void
join (MpProcess *process)
{
  g_autoptr(GError) error = NULL;

  mp_process_join (process, LONG, NULL, &error);
  g_assert_no_error (error);
}

G_GNUC_UNUSED static int
run_to_the_end (const char *function, GVariant *args)
{
  g_autoptr(MpProcess) process = process_new (function, args);

  start (process);
  join (process);
  g_assert_false (mp_process_is_alive (process));
  return mp_process_get_exit_status (process);
}

/* A process that waits for a word on the connection that comes back. */
G_GNUC_UNUSED static MpProcess *
waiting_process_new (MpConnection **connection)
{
  g_autoptr(MpConnection) far = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) handle = NULL;
  MpProcess *process = NULL;

  mp_pipe_new (TRUE, connection, &far, &error);
  g_assert_no_error (error);
  handle = mp_shareable_to_variant (MP_SHAREABLE (far));
  process = process_new (MP_FUNCTION (wait_for_word), handle);
  /* What the arguments name lives with them: nobody else has it from here on. */
  return process;
}

G_GNUC_UNUSED static void
give_word (MpConnection *connection)
{
  g_autoptr(GError) error = NULL;

  mp_connection_send (connection, g_variant_new_string ("go"), LONG, NULL, &error);
  g_assert_no_error (error);
}

G_GNUC_UNUSED static void
result_cb (GObject *object, GAsyncResult *result, gpointer user_data)
{
  GAsyncResult **slot = user_data;

  g_assert_null (*slot);
  *slot = g_object_ref (result);
}

typedef struct
{
  const char *name;
  void     (* func) (void);
  gboolean    no_fork;
} ProcessTest;

#define TEST(name) { #name, test_##name, FALSE }
/* A thread is in the way, as one is from the first GTask on, or a forked process cannot know less than this one. */
#define TEST_NO_FORK(name) { #name, test_##name, TRUE }

typedef struct
{
  MpStartMethod method;
  void       (* func) (void);
} ProcessTestRun;

static void
run_test (gconstpointer data)
{
  const ProcessTestRun *run = data;

  method = run->method;
  run->func ();
}

static void
add_tests (const char *prefix, const ProcessTest *tests, guint n_tests)
{
  static const MpStartMethod methods[] = { MP_START_METHOD_FORK, MP_START_METHOD_SPAWN, MP_START_METHOD_FORKSERVER };
  static const char * const suites[] = { "fork", "spawn", "forkserver" };
  static ProcessTestRun runs[100];
  const char *reason = get_reason_not_to_fork ();
  guint n_runs = 0;

  /* A shell that puts us into the background may have it ignored, which a forked process would inherit. */
  signal (SIGINT, SIG_DFL);
  /* Fork comes first, as long as there is one thread. */
  for (guint m = 0; m < G_N_ELEMENTS (methods); m++)
    for (guint i = 0; i < n_tests; i++)
      {
        g_autofree char *name = g_strdelimit (g_strdup (tests[i].name), "_", '-');
        g_autofree char *path = g_strdup_printf ("%s/%s/%s", prefix, suites[m], name);

        if (methods[m] == MP_START_METHOD_FORK && tests[i].no_fork)
          continue;
        if (methods[m] == MP_START_METHOD_FORK && reason != NULL)
          {
            g_test_add_data_func (path, reason, skip_test);
            continue;
          }
        g_assert_cmpuint (n_runs, <, G_N_ELEMENTS (runs));
        runs[n_runs].method = methods[m];
        runs[n_runs].func = tests[i].func;
        g_test_add_data_func (path, &runs[n_runs], run_test);
        n_runs++;
      }
}
