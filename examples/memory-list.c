/* memory-list.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A list of plain values that another process changes. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
change (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(MpShareableList) list = MP_SHAREABLE_LIST (mp_shareable_from_variant (args, error));
  g_autoptr(GVariant) values = list != NULL ? mp_shareable_list_dup_values (list, error) : NULL;
  g_autoptr(GVariant) first = NULL, third = NULL, fourth = NULL;

  if (values == NULL)
    return NULL;

  g_variant_get_child (values, 0, "v", &first);
  g_variant_get_child (values, 2, "v", &third);
  g_variant_get_child (values, 3, "v", &fourth);
  if (!mp_shareable_list_set_item (list, 0, g_variant_new_int64 (g_variant_get_int64 (first) + 1), error) ||
      !mp_shareable_list_set_item (list, 1, g_variant_new_string ("smaller"), error) ||
      !mp_shareable_list_set_item (list, 2, fourth, error) ||
      !mp_shareable_list_set_item (list, 3, third, error))
    return NULL;
  return g_variant_new ("()");
}

/* As Python shows it. */
static void
print_value (GVariant *value)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    printf (" %" G_GINT64_FORMAT, g_variant_get_int64 (value));
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    printf (" %g", g_variant_get_double (value));
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    printf (" %s", g_variant_get_string (value, NULL));
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    printf (" %s", g_variant_get_boolean (value) ? "True" : "False");
  else
    printf (" None");
}

static gboolean
print_list (const char       *title,
            MpShareableList  *list,
            GError          **error)
{
  printf ("%s:", title);
  for (gsize i = 0; i < mp_shareable_list_get_length (list); i++)
    {
      g_autoptr(GVariant) value = mp_shareable_list_get_item (list, i, error);

      if (value == NULL)
        return FALSE;
      print_value (value);
    }
  printf ("\n");
  return fflush (stdout) == 0;
}

static gboolean
run (GError **error)
{
  g_autoptr(MpShareableList) list =
    mp_shareable_list_new (g_variant_new ("(xsbmvd)", (gint64) 41, "greater", TRUE, NULL, 0.5), error);
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) kept = NULL;
  g_autoptr(GError) refused = NULL;

  if (list == NULL || !print_list ("Before", list, error))
    return FALSE;

  handle = mp_shareable_to_variant (MP_SHAREABLE (list));
  process = mp_process_new (MP_FUNCTION (change), handle);
  if (!mp_process_start (process, -1, NULL, error) || !mp_process_join (process, -1, NULL, error) ||
      !print_list ("After", list, error))
    return FALSE;

  if (!mp_shareable_list_set_item (list, 1, g_variant_new_string ("longer than its place"), &refused) &&
      g_error_matches (refused, MP_ERROR, MP_ERROR_TOO_LARGE))
    {
      kept = mp_shareable_list_get_item (list, 1, error);
      if (kept != NULL)
        printf ("Too long; it is still %s\n", g_variant_get_string (kept, NULL));
    }
  return kept != NULL;
}

int
main (void)
{
  g_autoptr(GError) error = NULL;

  mp_init ();

  if (!run (&error))
    {
      fprintf (stderr, "%s\n", error != NULL ? error->message : "a text is not refused");
      return EXIT_FAILURE;
    }
  return EXIT_SUCCESS;
}
