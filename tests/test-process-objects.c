/* test-process-objects.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process-test.h"

/* Processes as objects: their signals and lifetime, the list of them, and subclasses. */

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
exit_with (GVariant *args, gpointer user_data, GError **error)
{
  exit (g_variant_get_int32 (args));
}

static GVariant *
hang (GVariant *args, gpointer user_data, GError **error)
{
  while (TRUE)
    pause ();
  return NULL;
}

static GVariant *
print_lines (GVariant *args, gpointer user_data, GError **error)
{
  printf ("one\ntwo\n");
  fflush (stdout);
  fprintf (stderr, "three\n");
  printf ("fo\xffur\nno end");
  return g_variant_new_tuple (NULL, 0);
}

/* A subclass, with a property of every kind that travels and one that does not. */

typedef enum { FRUIT_APPLE = 3, FRUIT_PEAR = 5 } Fruit;
static GType fruit_get_type (void);
G_DEFINE_ENUM_TYPE (Fruit, fruit,
                    G_DEFINE_ENUM_VALUE (FRUIT_APPLE, "apple"),
                    G_DEFINE_ENUM_VALUE (FRUIT_PEAR, "pear"))

enum
{
  JOB_0, JOB_BOOLEAN, JOB_UCHAR, JOB_INT, JOB_UINT, JOB_INT64, JOB_UINT64, JOB_DOUBLE, JOB_STRING, JOB_NO_STRING,
  JOB_STRV, JOB_VARIANT, JOB_ENUM, JOB_BYTES, JOB_CONNECTION, JOB_OBJECT, JOB_READ_ONLY, N_JOB
};

#define TEST_TYPE_JOB (test_job_get_type ())
G_DECLARE_DERIVABLE_TYPE (TestJob, test_job, TEST, JOB, MpProcess)

struct _TestJobClass
{
  MpProcessClass parent_class;
};

typedef struct
{
  GValue values[N_JOB];
} TestJobPrivate;

G_DEFINE_TYPE_WITH_PRIVATE (TestJob, test_job, MP_TYPE_PROCESS)

static GParamSpec *job_props[N_JOB];

static gboolean
test_job_run (MpProcess *process, GError **error)
{
  g_autofree char *string = NULL;
  g_autofree char *no_string = NULL;
  g_auto(GStrv) strv = NULL;
  g_autoptr(GVariant) variant = NULL;
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GObject) connection = NULL;
  g_autoptr(GObject) object = NULL;
  gboolean boolean;
  guchar byte;
  int number, fruit;
  guint unsigned_number;
  gint64 long_number;
  guint64 long_unsigned;
  double real;

  g_assert_true (mp_process_get_current () == process);
  g_object_get (process, "boolean", &boolean, "uchar", &byte, "int", &number, "uint", &unsigned_number,
                "int64", &long_number, "uint64", &long_unsigned, "double", &real, "string", &string,
                "no-string", &no_string, "strv", &strv, "variant", &variant, "enum", &fruit, "bytes", &bytes,
                "connection", &connection, "object", &object, NULL);
  g_assert_null (no_string);
  g_assert_null (object);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 3);
  return mp_connection_send (MP_CONNECTION (connection),
                             g_variant_new ("(byiuxtdsasvs)", boolean, byte, number, unsigned_number, long_number,
                                            long_unsigned, real, string, NULL, variant,
                                            fruit == FRUIT_PEAR && g_strv_length (strv) == 2 ? strv[1] : "?"),
                             LONG, NULL, error);
}

static void
test_job_set_property (GObject *object, guint prop_id, const GValue *value, GParamSpec *pspec)
{
  TestJobPrivate *priv = test_job_get_instance_private (TEST_JOB (object));

  if (!G_IS_VALUE (&priv->values[prop_id]))
    g_value_init (&priv->values[prop_id], pspec->value_type);
  g_value_copy (value, &priv->values[prop_id]);
}

static void
test_job_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  TestJobPrivate *priv = test_job_get_instance_private (TEST_JOB (object));

  if (G_IS_VALUE (&priv->values[prop_id]))
    g_value_copy (&priv->values[prop_id], value);
}

static void
test_job_finalize (GObject *object)
{
  TestJobPrivate *priv = test_job_get_instance_private (TEST_JOB (object));

  for (guint i = 0; i < N_JOB; i++)
    if (G_IS_VALUE (&priv->values[i]))
      g_value_unset (&priv->values[i]);
  G_OBJECT_CLASS (test_job_parent_class)->finalize (object);
}

static void
test_job_class_init (TestJobClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  object_class->set_property = test_job_set_property;
  object_class->get_property = test_job_get_property;
  object_class->finalize = test_job_finalize;
  MP_PROCESS_CLASS (klass)->run = test_job_run;

  job_props[JOB_BOOLEAN] = g_param_spec_boolean ("boolean", NULL, NULL, FALSE, flags);
  job_props[JOB_UCHAR] = g_param_spec_uchar ("uchar", NULL, NULL, 0, 255, 0, flags);
  job_props[JOB_INT] = g_param_spec_int ("int", NULL, NULL, G_MININT, G_MAXINT, 0, flags | G_PARAM_CONSTRUCT_ONLY);
  job_props[JOB_UINT] = g_param_spec_uint ("uint", NULL, NULL, 0, G_MAXUINT, 0, flags);
  job_props[JOB_INT64] = g_param_spec_int64 ("int64", NULL, NULL, G_MININT64, G_MAXINT64, 0, flags);
  job_props[JOB_UINT64] = g_param_spec_uint64 ("uint64", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  job_props[JOB_DOUBLE] = g_param_spec_double ("double", NULL, NULL, -G_MAXDOUBLE, G_MAXDOUBLE, 0, flags);
  job_props[JOB_STRING] = g_param_spec_string ("string", NULL, NULL, NULL, flags);
  job_props[JOB_NO_STRING] = g_param_spec_string ("no-string", NULL, NULL, NULL, flags);
  job_props[JOB_STRV] = g_param_spec_boxed ("strv", NULL, NULL, G_TYPE_STRV, flags);
  job_props[JOB_VARIANT] = g_param_spec_variant ("variant", NULL, NULL, G_VARIANT_TYPE_ANY, NULL, flags);
  job_props[JOB_ENUM] = g_param_spec_enum ("enum", NULL, NULL, fruit_get_type (), FRUIT_APPLE, flags);
  job_props[JOB_BYTES] = g_param_spec_boxed ("bytes", NULL, NULL, G_TYPE_BYTES, flags);
  job_props[JOB_CONNECTION] = g_param_spec_object ("connection", NULL, NULL, MP_TYPE_CONNECTION, flags);
  job_props[JOB_OBJECT] = g_param_spec_object ("object", NULL, NULL, G_TYPE_OBJECT, flags);
  job_props[JOB_READ_ONLY] = g_param_spec_int ("read-only", NULL, NULL, 0, 1, 0,
                                               G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_JOB, job_props);
}

static void
test_job_init (TestJob *self)
{
}

/* A class that the workers have never heard of: its type is registered in the test itself only. */
#define TEST_TYPE_STRANGER (test_stranger_get_type ())
G_DECLARE_FINAL_TYPE (TestStranger, test_stranger, TEST, STRANGER, MpProcess)

struct _TestStranger
{
  MpProcess parent_instance;
};

G_DEFINE_FINAL_TYPE (TestStranger, test_stranger, MP_TYPE_PROCESS)

static gboolean
test_stranger_run (MpProcess *process, GError **error)
{
  return FALSE;
}

static void
test_stranger_class_init (TestStrangerClass *klass)
{
  MP_PROCESS_CLASS (klass)->run = test_stranger_run;
}

static void
test_stranger_init (TestStranger *self)
{
}

/* The tests. */

/* What happened to an object, in a word for each thing. */
typedef struct
{
  GString  *words;
  GThread  *thread;
  gboolean  exited;
} Events;

static void
started_cb (MpProcess *process, Events *events)
{
  g_assert_true (g_thread_self () == events->thread);
  g_assert_cmpint (mp_process_get_pid (process), >, 0);
  g_string_append (events->words, "started ");
}

static void
line_cb (MpProcess *process, const char *stream, const char *text, Events *events)
{
  g_assert_true (g_thread_self () == events->thread);
  g_string_append_printf (events->words, "%s:%s ", stream, text);
}

static void
exited_cb (MpProcess *process, int status, Events *events)
{
  g_assert_true (g_thread_self () == events->thread);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, status);
  g_string_append_printf (events->words, "exited:%d ", status);
  events->exited = TRUE;
}

static void
notify_cb (MpProcess *process, GParamSpec *pspec, Events *events)
{
  g_assert_true (g_thread_self () == events->thread);
  g_string_append_printf (events->words, "(%s) ", pspec->name);
}

static void
events_listen (Events *events, MpProcess *process)
{
  events->words = g_string_new (NULL);
  events->thread = g_thread_self ();
  events->exited = FALSE;
  g_signal_connect (process, "started", G_CALLBACK (started_cb), events);
  g_signal_connect (process, "line", G_CALLBACK (line_cb), events);
  g_signal_connect (process, "exited", G_CALLBACK (exited_cb), events);
}

static void
test_signals (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (exit_with), g_variant_new_int32 (2));
  g_autoptr(MpProcess) blocking = process_new (MP_FUNCTION (exit_with), g_variant_new_int32 (3));
  g_autoptr(GAsyncResult) result = NULL;
  Events events;

  events_listen (&events, process);
  g_signal_connect (process, "notify", G_CALLBACK (notify_cb), &events);
  mp_process_start_async (process, NULL, result_cb, &result);
  g_assert_cmpstr (events.words->str, ==, "");
  while (!events.exited)
    g_main_context_iteration (NULL, TRUE);
  g_assert_nonnull (result);
  g_assert_cmpstr (events.words->str, ==, "(pid) (alive) started (exit-status) (alive) exited:2 ");
  g_string_free (events.words, TRUE);

  events_listen (&events, blocking);
  start (blocking);
  join (blocking);
  g_assert_cmpstr (events.words->str, ==, "started exited:3 ");
  g_string_free (events.words, TRUE);
}

static gpointer
signals_thread (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(MpProcess) process = NULL;
  Events events;

  g_main_context_push_thread_default (context);
  process = process_new (MP_FUNCTION (exit_with), g_variant_new_int32 (5));
  events_listen (&events, process);
  start (process);
  while (!events.exited)
    g_main_context_iteration (context, TRUE);
  g_assert_cmpstr (events.words->str, ==, "started exited:5 ");
  g_string_free (events.words, TRUE);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* Signals are for the context of construction, whichever thread turns the hub. */
static void
test_signals_in_thread (void)
{
  g_autoptr(MpProcess) other = process_new (MP_FUNCTION (hang), NULL);
  GThread *thread;

  start (other);
  thread = g_thread_new ("signals", signals_thread, NULL);
  /* The main thread turns the hub too. */
  g_assert_false (mp_process_join (other, 50000, NULL, NULL));
  g_thread_join (thread);
  mp_process_kill (other, NULL);
  join (other);
}

static void
test_capture_output (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (print_lines), NULL);
  Events events;

  mp_process_set_capture_output (process, TRUE);
  events_listen (&events, process);
  start (process);
  join (process);
  /* The two streams race with each other. */
  g_assert_true (g_str_has_prefix (events.words->str, "started "));
  g_assert_true (g_str_has_suffix (events.words->str, "exited:0 "));
  g_assert_nonnull (strstr (events.words->str, "stderr:three "));
  g_string_replace (events.words, "stderr:three ", "", 0);
  g_assert_cmpstr (events.words->str, ==,
                   "started stdout:one stdout:two stdout:fo\357\277\275ur stdout:no end exited:0 ");
  g_string_free (events.words, TRUE);
}

/* Nobody keeps it: it runs on, and its end is told. */
static void
test_dropped (void)
{
  g_autoptr(MpConnection) connection = NULL;
  MpProcess *process = waiting_process_new (&connection);
  gpointer weak = process;
  Events events;

  events_listen (&events, process);
  g_object_add_weak_pointer (G_OBJECT (process), &weak);
  start (process);
  g_object_unref (process);
  g_assert_nonnull (weak);
  give_word (connection);
  while (!events.exited)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (weak);
  g_assert_cmpstr (events.words->str, ==, "started exited:0 ");
  g_string_free (events.words, TRUE);
}

static void
drop_in_exited_cb (MpProcess *process, int status, gpointer *slot)
{
  g_clear_object (slot);
}

static void
test_dropped_in_handler (void)
{
  gpointer process = process_new (MP_FUNCTION (nothing), NULL);
  gpointer weak = process;

  g_object_add_weak_pointer (process, &weak);
  g_signal_connect (process, "exited", G_CALLBACK (drop_in_exited_cb), &process);
  start (process);
  while (process != NULL)
    g_main_context_iteration (NULL, TRUE);
  while (weak != NULL)
    g_main_context_iteration (NULL, FALSE);
}

static void
join_in_started_cb (MpProcess *process, Events *events)
{
  join (process);
  g_string_append (events->words, "joined ");
}

/* A blocking call in a callback. */
static void
test_join_in_handler (void)
{
  g_autoptr(MpProcess) process = process_new (MP_FUNCTION (nothing), NULL);
  g_autoptr(GAsyncResult) result = NULL;
  Events events;

  events_listen (&events, process);
  g_signal_connect (process, "started", G_CALLBACK (join_in_started_cb), &events);
  mp_process_start_async (process, NULL, result_cb, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (events.words->str, ==, "started exited:0 joined ");
  g_string_free (events.words, TRUE);
}

static void
items_changed_cb (GListModel *list, guint position, guint n_removed, guint n_added, GString *changes)
{
  g_string_append_printf (changes, "%u-%u+%u ", position, n_removed, n_added);
}

static void
test_active_children (void)
{
  MpConnection *connections[3] = { NULL, };
  g_autoptr(GString) changes = g_string_new (NULL);
  GListModel *list = mp_get_active_children ();
  MpProcess *processes[3];

  g_assert_true (g_list_model_get_item_type (list) == MP_TYPE_PROCESS);
  g_assert_cmpuint (g_list_model_get_n_items (list), ==, 0);
  g_signal_connect (list, "items-changed", G_CALLBACK (items_changed_cb), changes);
  for (guint i = 0; i < 3; i++)
    {
      processes[i] = waiting_process_new (&connections[i]);
      start (processes[i]);
      g_assert_true (mp_get_active_children () == list);
      g_assert_cmpuint (g_list_model_get_n_items (list), ==, i + 1);
    }
  give_word (connections[1]);
  join (processes[1]);
  g_assert_cmpuint (g_list_model_get_n_items (list), ==, 2);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr(MpProcess) item = g_list_model_get_item (list, i);

      g_assert_true (item == (i == 0 ? processes[0] : i == 1 ? processes[2] : NULL));
    }

  /* One that ends unobserved stays until somebody turns the hub, and is then removed in the main loop. */
  give_word (connections[0]);
  give_word (connections[2]);
  while (g_list_model_get_n_items (list) > 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (g_str_has_prefix (changes->str, "0-0+1 1-0+1 2-0+1 1-1+0 "));
  g_signal_handlers_disconnect_by_data (list, changes);

  for (guint i = 0; i < 3; i++)
    {
      join (processes[i]);
      g_assert_finalize_object (processes[i]);
      g_object_unref (connections[i]);
    }
}

static void
test_subclass (void)
{
  const char *strv[] = { "one", "two", NULL };
  g_autoptr(MpConnection) near = NULL;
  g_autoptr(MpConnection) far = NULL;
  g_autoptr(GObject) object = g_object_new (G_TYPE_OBJECT, NULL);
  g_autoptr(GBytes) bytes = g_bytes_new ("a\0b", 3);
  g_autoptr(MpProcess) job = NULL;
  g_autoptr(GVariant) answer = NULL;
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;

  mp_pipe_new (TRUE, &near, &far, NULL);
  job = g_object_new (TEST_TYPE_JOB, "context", get_context (), "boolean", TRUE, "uchar", 200, "int", -5,
                      "uint", 4000000000u,
                      "int64", G_MININT64, "uint64", G_MAXUINT64, "double", 0.25, "string", "grün", "strv", strv,
                      "variant", g_variant_new_int16 (-9), "enum", FRUIT_PEAR, "bytes", bytes, "connection", far,
                      "object", object, NULL);
  start (job);
  answer = mp_connection_recv (near, LONG, NULL, &error);
  g_assert_no_error (error);
  text = g_variant_print (answer, TRUE);
  g_assert_cmpstr (text, ==, "(true, byte 0xc8, -5, uint32 4000000000, int64 -9223372036854775808, "
                             "uint64 18446744073709551615, 0.25, 'grün', @as [], <int16 -9>, 'two')");
  join (job);
  g_assert_cmpint (mp_process_get_exit_status (job), ==, 0);
}

static void
test_unknown_class (void)
{
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  process = g_object_new (TEST_TYPE_STRANGER, "context", get_context (), "capture-output", TRUE, NULL);
  start (process);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 1);
  error = mp_process_dup_error (process);
  g_assert_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION);
  g_assert_nonnull (strstr (error->message, "TestStranger"));
}

static const ProcessTest tests[] =
{
  TEST_NO_FORK (signals),
  TEST (capture_output),
  TEST (dropped),
  TEST (dropped_in_handler),
  TEST_NO_FORK (join_in_handler),
  TEST (active_children),
  TEST (subclass),
  TEST_NO_FORK (unknown_class),
  TEST_NO_FORK (signals_in_thread),
};

int
main (int argc, char **argv)
{
  g_type_ensure (TEST_TYPE_JOB);
  mp_init ();

  g_test_init (&argc, &argv, NULL);
  add_tests ("/process-objects", tests, G_N_ELEMENTS (tests));

  return g_test_run ();
}
