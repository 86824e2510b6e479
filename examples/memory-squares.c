/* memory-squares.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Four processes fill one piece of memory, each a part of it; nothing is copied. Then one finds it by its name. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_NUMBERS   16
#define N_PROCESSES 4

static GVariant *
square (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);
  g_autoptr(MpSharedMemory) memory = MP_SHARED_MEMORY (mp_shareable_from_variant (handle, error));
  gint64 *numbers;
  int first, n;

  if (memory == NULL)
    return NULL;

  g_variant_get (args, "(@hii)", NULL, &first, &n);
  numbers = mp_shared_memory_get_data (memory, NULL);
  for (int i = first; i < first + n; i++)
    numbers[i] = i * i;
  return g_variant_new ("()");
}

static GVariant *
last (GVariant  *args,
      gpointer   user_data,
      GError   **error)
{
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_attach (g_variant_get_string (args, NULL), error);
  const gint64 *numbers;
  gsize size;

  if (memory == NULL)
    return NULL;

  numbers = mp_shared_memory_get_data (memory, &size);
  printf ("The last one: %" G_GINT64_FORMAT "\n", numbers[size / sizeof *numbers - 1]);
  return g_variant_new ("()");
}

static gboolean
fill (MpSharedMemory  *memory,
      GError         **error)
{
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  int n = N_NUMBERS / N_PROCESSES;

  for (int i = 0; i < N_PROCESSES; i++)
    {
      g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (memory));

      g_ptr_array_add (processes, mp_process_new (MP_FUNCTION (square), g_variant_new ("(@hii)", handle, i * n, n)));
      if (!mp_process_start (processes->pdata[i], -1, NULL, error))
        return FALSE;
    }
  for (guint i = 0; i < processes->len; i++)
    {
      if (!mp_process_join (processes->pdata[i], -1, NULL, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
run (GError **error)
{
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_new_named (NULL, N_NUMBERS * sizeof (gint64), error);
  g_autoptr(MpProcess) process = NULL;
  const gint64 *numbers;

  if (memory == NULL || !fill (memory, error))
    return FALSE;

  numbers = mp_shared_memory_get_data (memory, NULL);
  printf ("Squares:");
  for (int i = 0; i < N_NUMBERS; i++)
    printf (" %" G_GINT64_FORMAT, numbers[i]);
  printf ("\n");
  fflush (stdout);

  process = mp_process_new (MP_FUNCTION (last), g_variant_new_string (mp_shared_memory_get_name (memory)));
  return mp_process_start (process, -1, NULL, error) && mp_process_join (process, -1, NULL, error);
}

int
main (void)
{
  g_autoptr(GError) error = NULL;

  mp_init ();

  if (!run (&error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  return EXIT_SUCCESS;
}
