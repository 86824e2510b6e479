/* array-negate.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A process changes an array and a value of its parent's. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static gpointer
get_object (GVariant  *args,
            gsize      i,
            GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, i);

  return mp_shareable_from_variant (handle, error);
}

static void
negate_all (MpArray *array)
{
  gint32 *numbers = mp_typed_memory_get_data (MP_TYPED_MEMORY (array), NULL);

  for (gsize i = 0; i < mp_array_get_length (array); i++)
    numbers[i] = -numbers[i];
}

static GVariant *
negate (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(MpArray) array = get_object (args, 0, error);

  if (array == NULL)
    return NULL;

  negate_all (array);
  return g_variant_new ("()");
}

static GVariant *
f (GVariant  *args,
   gpointer   user_data,
   GError   **error)
{
  g_autoptr(MpArray) array = get_object (args, 0, error);
  g_autoptr(MpValue) number = array != NULL ? get_object (args, 1, error) : NULL;

  if (number == NULL)
    return NULL;

  mp_value_set_double (number, 3.1415927, error);
  negate_all (array);
  return g_variant_new ("()");
}

/* Takes @args, if floating. */
static gboolean
run (const char  *function,
     GVariant    *args,
     GError     **error)
{
  g_autoptr(MpProcess) process = mp_process_new (function, args);

  return mp_process_start (process, -1, NULL, error) && mp_process_join (process, -1, NULL, error);
}

static void
show (MpArray *array)
{
  for (gsize i = 0; i < mp_array_get_length (array); i++)
    printf ("%s%" G_GINT64_FORMAT, i == 0 ? "[" : ", ", mp_array_get_int (array, i, NULL));
  printf ("]\n");
  fflush (stdout);
}

static gboolean
show_array (GError **error)
{
  const gint32 numbers[] = { 1, 2, 3, 4, 5 };
  g_autoptr(MpArray) array = mp_array_new_from_variant (g_variant_new_fixed_array (G_VARIANT_TYPE_INT32, numbers,
                                                                                   G_N_ELEMENTS (numbers),
                                                                                   sizeof *numbers), error);
  g_autoptr(GVariant) handle = NULL;

  if (array == NULL)
    return FALSE;

  show (array);
  handle = mp_shareable_to_variant (MP_SHAREABLE (array));
  if (!run (MP_FUNCTION (negate), g_variant_new ("(@h)", handle), error))
    return FALSE;
  show (array);
  return TRUE;
}

static gboolean
show_both (GError **error)
{
  g_autoptr(MpValue) number = mp_value_new (G_VARIANT_TYPE_DOUBLE, NULL, error);
  g_autoptr(MpArray) array = number != NULL ? mp_array_new (G_VARIANT_TYPE_INT32, 10, error) : NULL;
  g_autoptr(GVariant) first = NULL;
  g_autoptr(GVariant) second = NULL;

  if (array == NULL)
    return FALSE;

  for (int i = 0; i < 10; i++)
    mp_array_set_int (array, i, i, NULL);
  first = mp_shareable_to_variant (MP_SHAREABLE (array));
  second = mp_shareable_to_variant (MP_SHAREABLE (number));
  if (!run (MP_FUNCTION (f), g_variant_new ("(@h@h)", first, second), error))
    return FALSE;
  printf ("%.7f\n", mp_value_get_double (number, NULL));
  show (array);
  return TRUE;
}

int
main (void)
{
  g_autoptr(GError) error = NULL;

  mp_init ();

  if (!show_array (&error) || !show_both (&error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  return EXIT_SUCCESS;
}
