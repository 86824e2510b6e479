/* test-function.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"
#include "mp-glib/platform/mp-elf-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-invocation-private.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names of functions, and calling them. That they mean the same in another process is shown by the tests of processes.
 * */

static GVariant *
square (GVariant *args, gpointer user_data, GError **error)
{
  gint32 x = g_variant_get_int32 (args);

  return g_variant_new_int32 (x * x);
}

static GVariant *
badly (GVariant *args, gpointer user_data, GError **error)
{
  switch (g_variant_get_int32 (args))
    {
    case 0:
      return NULL;
    case 1:
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "not there");
      return NULL;
    case 2:
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "not there, and yet");
      return g_variant_new_int32 (2);
    default:
      return g_variant_new_string ("a text");
    }
}

static void
count_cb (gpointer data)
{
  ++*(int *) data;
}

static void
test_static_names (void)
{
  const char *name = MP_FUNCTION (square);
  const char *other = MP_FUNCTION (badly);
  g_autoptr(GError) error = NULL;
  const MpFunction *function;

  g_assert_true (g_str_has_prefix (name, "@"));
  g_assert_true (g_str_has_suffix (name, ":square"));
  g_assert_cmpstr (name, !=, other);
  g_assert_true (name == g_intern_string (name));
  g_assert_cmpstr (mp_function_display_name (name), ==, "square");
  g_assert_true (mp_function_is_registered (name));
  function = mp_function_find (name, &error);
  g_assert_no_error (error);
  g_assert_true (function->func == square);
  for (int i = 0; i < 2; i++)
    g_assert_true (MP_FUNCTION (square) != NULL);
}

/* The place in a name, in the program and in a library that has no entries at all. */
static char *
name_at (gconstpointer address, gint64 distance, const char *text)
{
  g_autofree char *key = NULL;
  guint64 offset;

  g_assert_true (mp_platform_locate (address, &key, &offset));
  return g_strdup_printf ("@%s+%" G_GINT64_MODIFIER "x:%s", key, offset + distance, text);
}

static void
check_refused (const char *name, const char *text)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_function_find (name, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION);
  g_assert_nonnull (strstr (error->message, text));
}

/* A name from the wire is believed only where an entry says that it is one. */
static void
test_forged_names (void)
{
  static const MpFunctionEntry honest = { MP_FUNCTION_MAGIC, &honest, square, "honest", NULL, NULL, 0 };
  static MpFunctionEntry moved = { MP_FUNCTION_MAGIC, &honest, square, "moved", NULL, NULL, 0 };
  static MpFunctionEntry other = { MP_FUNCTION_MAGIC + 1, &other, square, "other", NULL, NULL, 0 };
  static MpFunctionEntry empty = { MP_FUNCTION_MAGIC, &empty, NULL, "empty", NULL, NULL, 0 };
  const char *malformed[] = { "@", "@:x", "@1234", "@+10:x", "@abc+:x", "@abc+zz:x", "@abc+-1:x",
                              "@abc+11111111111111111111:x" };
  g_autofree char *found = name_at (&honest, 0, "honest");
  g_autofree char *key = NULL;
  g_autofree char *name = NULL;
  guint64 offset;
  gconstpointer places[] = { &moved, &other, &empty, test_forged_names, g_free };
  const char *texts[] = { "moved", "other", "empty", "test_forged_names", "g_free" };

  g_assert_nonnull (mp_function_find (found, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (malformed); i++)
    check_refused (malformed[i], "malformed");
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *forged = name_at (places[i], 0, texts[i]);

      check_refused (forged, "where its name says");
    }
  /* The right place, another name; places beside it; and far outside. */
  name = name_at (&honest, 0, "another");
  check_refused (name, "where its name says");
  for (int distance = 1; distance < 8; distance++)
    {
      g_autofree char *beside = name_at (&honest, distance, "honest");

      check_refused (beside, "where its name says");
    }
  g_assert_true (mp_platform_locate (&honest, &key, &offset));
  for (guint shift = 20; shift < 64; shift++)
    {
      g_autofree char *far = g_strdup_printf ("@%s+%" G_GINT64_MODIFIER "x:honest", key,
                                              offset + (G_GUINT64_CONSTANT (1) << shift));

      check_refused (far, "where its name says");
    }
  check_refused ("@0123456789abcdef+10:x", "not loaded");
}

static void
test_places (void)
{
  g_autofree char *key = NULL;
  gboolean known = FALSE;
  guint64 offset;
  char on_stack = 0;

  g_assert_true (mp_platform_locate (test_places, &key, &offset));
  g_assert_true (mp_platform_resolve (key, offset, 1, &known) == (gconstpointer) test_places);
  g_assert_true (known);
  g_assert_null (mp_platform_resolve (key, G_MAXUINT64, 1, &known));
  g_assert_null (mp_platform_resolve (key, offset, G_MAXSIZE, &known));
  g_assert_true (known);
  g_assert_null (mp_platform_resolve ("nothing", 0, 1, &known));
  g_assert_false (known);
  g_clear_pointer (&key, g_free);
  g_assert_false (mp_platform_locate (&on_stack, &key, &offset));
}

static void
test_register (void)
{
  g_autoptr(GError) error = NULL;
  const MpFunction *function;
  int n_freed = 0;

  g_assert_false (mp_function_is_registered ("cube"));
  g_assert_true (mp_function_register ("cube", square, &n_freed, count_cb));
  g_assert_true (mp_function_is_registered ("cube"));
  /* The first one stays. */
  g_assert_false (mp_function_register ("cube", badly, &n_freed, count_cb));
  g_assert_cmpint (n_freed, ==, 1);
  function = mp_function_find ("cube", &error);
  g_assert_no_error (error);
  g_assert_true (function->func == square && function->user_data == &n_freed);

  g_assert_null (mp_function_find ("tesseract", &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION);
  g_assert_nonnull (strstr (error->message, "“tesseract”"));
  g_assert_nonnull (strstr (error->message, "“cube”"));
}

static void
test_bad_names (void)
{
  g_autofree char *longest = g_strnfill (1024, 'x');
  g_autofree char *too_long = g_strnfill (1025, 'x');
  const char *bad[] = { "", "\xff", too_long };
  g_autoptr(GVariant) args = g_variant_ref_sink (g_variant_new_int32 (1));

  g_assert_true (mp_function_register (longest, square, NULL, NULL));
  g_assert_nonnull (mp_function_find (longest, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_false (mp_function_check_args (bad[i], args, FALSE, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_null (mp_function_find (bad[i], &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION);
      g_clear_error (&error);
      g_assert_false (mp_function_declare (bad[i], NULL, NULL, 0, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
      g_test_expect_message ("Mp", G_LOG_LEVEL_CRITICAL, "*name*");
      g_assert_false (mp_function_register (bad[i], square, NULL, NULL));
      g_test_assert_expected_messages ();
    }
  g_test_expect_message ("Mp", G_LOG_LEVEL_CRITICAL, "*'@'*");
  g_assert_false (mp_function_register ("@mine", square, NULL, NULL));
  g_test_assert_expected_messages ();
}

static void
check_args (const char *name, const char *text, gboolean is_items, gboolean expected)
{
  g_autoptr(GVariant) args = g_variant_ref_sink (g_variant_new_parsed (text));
  g_autoptr(GError) error = NULL;

  g_assert_cmpint (mp_function_check_args (name, args, is_items, &error), ==, expected);
  if (expected)
    g_assert_no_error (error);
  else
    g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
}

static void
test_declared_types (void)
{
  const char *named = MP_FUNCTION_FULL (square, "i", "i", MP_FUNCTION_FLAGS_NONE);
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_function_declare ("declared", "i", "s", MP_FUNCTION_FLAGS_NONE, &error));
  g_assert_false (mp_function_is_registered ("declared"));
  check_args ("declared", "1", FALSE, TRUE);
  check_args ("declared", "'x'", FALSE, FALSE);
  check_args ("declared", "[1, 2]", FALSE, FALSE);
  check_args ("declared", "[1, 2]", TRUE, TRUE);
  check_args ("declared", "['a']", TRUE, FALSE);
  check_args ("declared", "1", TRUE, FALSE);
  check_args ("declared", "[<1>, <2>]", TRUE, TRUE);
  check_args ("declared", "[<1>, <'x'>]", TRUE, FALSE);
  check_args ("declared", "@av []", TRUE, TRUE);
  check_args (named, "1", FALSE, TRUE);
  check_args (named, "'x'", FALSE, FALSE);
  check_args ("not declared", "'x'", FALSE, TRUE);

  g_assert_true (mp_function_declare ("indefinite", "a*", NULL, MP_FUNCTION_FLAGS_NONE, &error));
  check_args ("indefinite", "['a']", FALSE, TRUE);
  check_args ("indefinite", "'a'", FALSE, FALSE);

  g_assert_true (mp_function_declare ("chunk", "ai", "ai", MP_FUNCTION_FLAGS_CHUNK, &error));
  check_args ("chunk", "[1, 2]", TRUE, TRUE);
  check_args ("chunk", "['a']", TRUE, FALSE);

  g_assert_false (mp_function_declare ("bad", "no type", NULL, 0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (mp_function_declare ("bad", "i", "{", 0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
}

static GVariant *
call (const char *name, int value, GError **error)
{
  g_autoptr(GVariant) args = g_variant_ref_sink (g_variant_new_int32 (value));
  const MpFunction *function = mp_function_find (name, NULL);

  g_assert_nonnull (function);
  return mp_function_call (function, args, error);
}

static void
test_call (void)
{
  const char *name = MP_FUNCTION_FULL (badly, "i", "i", MP_FUNCTION_FLAGS_NONE);
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;

  result = call (MP_FUNCTION (square), 12, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int32 (result), ==, 144);
  g_assert_false (g_variant_is_floating (result));

  g_assert_null (call (name, 0, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NO_RESULT);
  g_clear_error (&error);
  g_assert_null (call (name, 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (call (name, 2, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (call (name, 3, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
}

/* The running call */

static GVariant *
look_at_invocation (GVariant *args, gpointer user_data, GError **error)
{
  MpInvocation *invocation = mp_invocation_get_current ();

  g_assert_true (MP_IS_INVOCATION (invocation));
  g_assert_true (invocation == mp_invocation_get_current ());
  g_assert_cmpstr (mp_invocation_get_function (invocation), ==, "look_at_invocation");
  g_assert_cmpint (mp_invocation_get_worker_number (invocation), ==, -1);
  mp_invocation_set_error_details (invocation, g_variant_new_parsed ("{'type': <'Oops'>}"));
  return g_variant_new_int32 (0);
}

static void
test_current (void)
{
  g_autoptr(GVariant) args = g_variant_ref_sink (g_variant_new_int32 (0));
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GVariant) details = NULL;
  const MpFunction *function = mp_function_find (MP_FUNCTION (look_at_invocation), NULL);

  g_assert_null (mp_invocation_get_current ());
  mp_invocation_begin (function);
  result = mp_function_call (function, args, NULL);
  details = mp_invocation_end ();
  g_assert_true (g_variant_lookup (details, "type", "&s", NULL));
  g_assert_null (mp_invocation_get_current ());
  mp_invocation_begin (function);
  g_assert_null (mp_invocation_end ());
}

typedef struct
{
  MpInvocation *kept;
  int           n_done;
  int           value;
  GError       *error;
} Asynchronous;

static void
answer_later (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  Asynchronous *state = user_data;

  g_assert_true (mp_invocation_get_current () == invocation);
  state->kept = g_object_ref (invocation);
}

static void
answer_at_once (MpInvocation *invocation, GVariant *args, gpointer user_data)
{
  mp_invocation_return_value (invocation, g_variant_new_int32 (5));
}

static void
done_cb (GVariant *value, const GError *error, GVariant *details, gpointer data)
{
  Asynchronous *state = data;

  g_assert_true ((value == NULL) != (error == NULL));
  state->n_done++;
  if (value != NULL)
    state->value = g_variant_get_int32 (value);
  else
    state->error = g_error_copy (error);
}

static gpointer
answer_in_thread (gpointer data)
{
  g_assert_null (mp_invocation_get_current ());
  mp_invocation_return_value (data, g_variant_new_int32 (8));
  return NULL;
}

static void
begin_async (Asynchronous *state, const char *name)
{
  g_autoptr(GVariant) args = g_variant_ref_sink (g_variant_new_int32 (0));

  g_clear_error (&state->error);
  state->n_done = state->value = 0;
  mp_invocation_call_async (mp_function_find (name, NULL), args, done_cb, state);
}

static void
test_asynchronous (void)
{
  Asynchronous state = { NULL };
  g_autoptr(GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_BUSY, "busy");
  GThread *thread;

  g_assert_false (mp_function_any_async ());
  g_assert_true (mp_function_register_async ("later", answer_later, &state, NULL));
  g_assert_true (mp_function_register_async ("at once", answer_at_once, NULL, NULL));
  g_assert_true (mp_function_declare ("later", NULL, "i", 0, NULL));
  g_assert_true (mp_function_any_async ());

  begin_async (&state, "at once");
  g_assert_cmpint (state.n_done, ==, 1);
  g_assert_cmpint (state.value, ==, 5);

  begin_async (&state, "later");
  g_assert_cmpint (state.n_done, ==, 0);
  g_assert_null (mp_invocation_get_current ());
  mp_invocation_return_error (state.kept, error);
  g_assert_cmpint (state.n_done, ==, 1);
  g_assert_error (state.error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_test_expect_message ("Mp", G_LOG_LEVEL_CRITICAL, "*twice*");
  mp_invocation_return_value (state.kept, g_variant_new_int32 (1));
  g_test_assert_expected_messages ();
  g_assert_finalize_object (g_steal_pointer (&state.kept));
  g_assert_cmpint (state.n_done, ==, 1);

  begin_async (&state, "later");
  mp_invocation_return_value (state.kept, g_variant_new_string ("wrong"));
  g_assert_error (state.error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_object (&state.kept);

  /* Dropped. */
  begin_async (&state, "later");
  g_clear_object (&state.kept);
  g_assert_cmpint (state.n_done, ==, 1);
  g_assert_error (state.error, MP_ERROR, MP_ERROR_NO_RESULT);

  /* From another thread: told in the worker's own. */
  begin_async (&state, "later");
  g_main_context_acquire (NULL);
  thread = g_thread_new ("answers", answer_in_thread, state.kept);
  g_thread_join (thread);
  g_assert_cmpint (state.n_done, ==, 0);
  g_main_context_release (NULL);
  while (state.n_done == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (state.value, ==, 8);
  g_clear_object (&state.kept);
}

static gpointer
register_thread (gpointer data)
{
  for (guint i = 0; !g_atomic_int_get ((int *) data); i++)
    {
      g_autofree char *name = g_strdup_printf ("again-%u", i % 100);

      mp_function_register (name, square, NULL, NULL);
      g_assert_true (mp_function_is_registered (name));
    }
  return NULL;
}

/* A copy of this process has the table, and nobody is at it there, whatever other threads were doing. */
static void
test_fork (void)
{
  int stop = FALSE;
  GThread *thread = g_thread_new ("register", register_thread, &stop);

  for (int i = 0; i < 1000; i++)
    {
      int status = -1;
      pid_t pid = fork ();

      if (pid == 0)
        {
          alarm (10);
          _exit (!mp_function_is_registered (MP_FUNCTION (square)) || mp_function_is_registered ("nowhere"));
        }
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      g_assert_cmpint (status, ==, 0);
    }
  g_atomic_int_set (&stop, TRUE);
  g_thread_join (thread);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/function/static-names", test_static_names);
  g_test_add_func ("/function/forged-names", test_forged_names);
  g_test_add_func ("/function/places", test_places);
  g_test_add_func ("/function/register", test_register);
  g_test_add_func ("/function/bad-names", test_bad_names);
  g_test_add_func ("/function/declared-types", test_declared_types);
  g_test_add_func ("/function/call", test_call);
  g_test_add_func ("/function/current", test_current);
  g_test_add_func ("/function/asynchronous", test_asynchronous);
  g_test_add_func ("/function/fork", test_fork);

  return g_test_run ();
}
