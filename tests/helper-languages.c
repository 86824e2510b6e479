/* helper-languages.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: helper-languages PROGRAM [ARGUMENT]...
 *
 * An owner in C whose workers are PROGRAM, in another language. That must register the functions `square` (x → x),
 * `describe` ((sax) → s), `fail` (s → raises) and `later` (x → x, asynchronous where the language has that). As the
 * worker of an owner in another language it offers `square`, `describe` and `fail` itself. */

#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
square (GVariant  *item,
        gpointer   user_data,
        GError   **error)
{
  gint64 x;

  if (!g_variant_is_of_type (item, G_VARIANT_TYPE_INT64))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "square: x is wanted, “%s” came", g_variant_get_type_string (item));
      return NULL;
    }
  x = g_variant_get_int64 (item);

  return g_variant_new_int64 (x * x);
}

static GVariant *
describe (GVariant  *args,
          gpointer   user_data,
          GError   **error)
{
  g_autoptr(GVariant) numbers = NULL;
  const char *name;

  g_variant_get (args, "(&s@ax)", &name, &numbers);

  return g_variant_new_take_string (g_strdup_printf ("%s: %" G_GSIZE_FORMAT, name, g_variant_n_children (numbers)));
}

static GVariant *
fail (GVariant  *args,
      gpointer   user_data,
      GError   **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_MOUNTED, "failed in C");

  return NULL;
}

static void
print (const char *what,
       GVariant   *value,
       GError     *error)
{
  g_autofree char *text = value != NULL ? g_variant_print (value, TRUE) : NULL;

  if (value != NULL)
    printf ("%s: %s\n", what, text);
  else
    printf ("%s: %s %d: %s\n", what, g_quark_to_string (error->domain), error->code, error->message);
}

static void
use_pool (MpPool *pool)
{
  static const gint64 numbers[] = { 1, 2, 3, 4, 5 };
  GVariant *items = g_variant_new_fixed_array (G_VARIANT_TYPE_INT64, numbers, G_N_ELEMENTS (numbers), sizeof numbers[0]);
  g_autoptr(GVariant) squares = NULL;
  g_autoptr(GVariant) text = NULL;
  g_autoptr(GVariant) later = NULL;
  g_autoptr(GVariant) failed = NULL;
  g_autoptr(GVariant) details = NULL;
  g_autoptr(GError) error = NULL;
  const char *type = NULL;
  const char *traceback = NULL;

  squares = mp_pool_map (pool, "square", g_variant_ref_sink (items), 2, -1, NULL, &error);
  print ("square", squares, error);
  g_variant_unref (items);
  g_clear_error (&error);

  text = mp_pool_apply (pool, "describe", g_variant_new_parsed ("('numbers', [int64 1, 2])"), -1, NULL, &error);
  print ("describe", text, error);
  g_clear_error (&error);

  later = mp_pool_apply (pool, "later", g_variant_new_int64 (20), -1, NULL, &error);
  print ("later", later, error);
  g_clear_error (&error);

  failed = mp_pool_apply (pool, "fail", g_variant_new_string ("on purpose"), -1, NULL, &error);
  print ("fail", failed, error);
  details = error != NULL ? mp_error_dup_details (error) : NULL;
  if (details != NULL && g_variant_lookup (details, "type", "&s", &type) &&
      g_variant_lookup (details, "traceback", "&s", &traceback))
    printf ("details: %s, traceback of %s\n", type, g_strstr_len (traceback, -1, "fail") != NULL ? "fail" : "nothing");
}

static void
use_process (MpContext *context)
{
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  process = g_object_new (MP_TYPE_PROCESS,
                          "function", "describe",
                          "args", g_variant_new_parsed ("('numbers', [int64 1, 2])"),
                          "context", context,
                          NULL);
  if (!mp_process_start (process, -1, NULL, &error) || !mp_process_join (process, -1, NULL, &error))
    printf ("process: %s\n", error->message);
  else
    printf ("process: %d\n", mp_process_get_exit_status (process));
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(MpContext) context = NULL;
  g_autoptr(MpPool) pool = NULL;

  mp_function_register ("square", square, NULL, NULL);
  mp_function_register ("describe", describe, NULL, NULL);
  mp_function_register ("fail", fail, NULL, NULL);
  mp_init ();

  if (argc < 2)
    return EXIT_FAILURE;

  context = mp_context_new (MP_START_METHOD_AUTO);
  mp_context_set_worker_argv (context, (const char * const *) argv + 1);
  pool = mp_pool_new_full (2, NULL, NULL, 0, context);
  use_pool (pool);
  use_process (context);
  mp_pool_close (pool);

  return mp_pool_join (pool, -1, NULL, NULL) ? EXIT_SUCCESS : EXIT_FAILURE;
}
