/* connection-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Receives from several processes whatever comes first. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_PROCESSES 4

static GVariant *
count (GVariant  *args,
       gpointer   user_data,
       GError   **error)
{
  g_autoptr(MpShareable) connection = mp_shareable_from_variant (args, error);
  const char *name = mp_process_get_name (mp_process_get_current ());

  for (int i = 0; i < 3 && connection != NULL; i++)
    if (!mp_connection_send (MP_CONNECTION (connection), g_variant_new ("(is)", i, name), -1, NULL, error))
      return NULL;

  return connection != NULL ? g_variant_new ("()") : NULL;
}

/* A process that counts, and the end of a pipe where that can be heard. */
static MpConnection *
start_counting (int          number,
                MpProcess  **process,
                GError     **error)
{
  g_autofree char *name = g_strdup_printf ("process %d", number);
  g_autoptr(MpConnection) reader = NULL, writer = NULL;
  g_autoptr(GVariant) handle = NULL;

  if (!mp_pipe_new (FALSE, &reader, &writer, error))
    return NULL;

  handle = mp_shareable_to_variant (MP_SHAREABLE (writer));
  *process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (count), "args", handle, "name", name, NULL);
  if (!mp_process_start (*process, -1, NULL, error))
    return NULL;

  /* Here the writer goes: while anybody has it, the end of the stream is not seen. */
  return g_steal_pointer (&reader);
}

static gboolean
print_message (MpConnection  *reader,
               gboolean      *end,
               GError       **error)
{
  g_autoptr(GError) own = NULL;
  g_autoptr(GVariant) message = mp_connection_recv (reader, -1, NULL, &own);
  const char *name;
  int number;

  *end = g_error_matches (own, G_IO_ERROR, G_IO_ERROR_CLOSED);
  if (*end)
    return TRUE;
  if (message == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&own));
      return FALSE;
    }

  g_variant_get (message, "(i&s)", &number, &name);
  printf ("%d %s\n", number, name);
  return TRUE;
}

static gboolean
hear_all (GPtrArray  *readers,
          GError    **error)
{
  while (readers->len > 0)
    {
      g_autoptr(GPtrArray) ready = mp_wait ((MpWaitable **) readers->pdata, readers->len, -1, NULL, error);

      if (ready == NULL)
        return FALSE;
      for (guint i = 0; i < ready->len; i++)
        {
          gboolean end = FALSE;

          if (!print_message (ready->pdata[i], &end, error))
            return FALSE;
          if (end)
            g_ptr_array_remove (readers, ready->pdata[i]);
        }
    }
  return TRUE;
}

int
main (void)
{
  g_autoptr(GPtrArray) readers = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GError) error = NULL;

  mp_init ();

  for (int i = 0; i < N_PROCESSES && error == NULL; i++)
    {
      MpProcess *process = NULL;
      MpConnection *reader = start_counting (i, &process, &error);

      if (reader != NULL)
        g_ptr_array_add (readers, reader);
      if (process != NULL)
        g_ptr_array_add (processes, process);
    }

  if (error != NULL || !hear_all (readers, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  return EXIT_SUCCESS;
}
