/* event-start.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Three processes get ready, and begin together. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_RUNNERS 3

static GVariant *
run (GVariant  *args,
     gpointer   user_data,
     GError   **error)
{
  g_autoptr(GVariant) ready_handle = g_variant_get_child_value (args, 0);
  g_autoptr(GVariant) start_handle = g_variant_get_child_value (args, 1);
  g_autoptr(MpSemaphore) ready = MP_SEMAPHORE (mp_shareable_from_variant (ready_handle, error));
  g_autoptr(MpEvent) start = NULL;
  int number;

  if (ready == NULL)
    return NULL;
  start = MP_EVENT (mp_shareable_from_variant (start_handle, error));
  if (start == NULL || !mp_semaphore_release (ready, error) || !mp_event_wait (start, -1, NULL, error))
    return NULL;
  g_variant_get_child (args, 2, "i", &number);
  printf ("runner %d runs\n", number);

  return g_variant_new ("()");
}

static gboolean
start_together (MpSemaphore  *ready,
                MpEvent      *start,
                GPtrArray    *runners,
                GError      **error)
{
  for (int i = 0; i < N_RUNNERS; i++)
    {
      g_autoptr(GVariant) ready_handle = mp_shareable_to_variant (MP_SHAREABLE (ready));
      g_autoptr(GVariant) start_handle = mp_shareable_to_variant (MP_SHAREABLE (start));

      g_ptr_array_add (runners, mp_process_new (MP_FUNCTION (run),
                                                g_variant_new ("(@h@hi)", ready_handle, start_handle, i)));
      if (!mp_process_start (runners->pdata[i], -1, NULL, error))
        return FALSE;
    }
  for (int i = 0; i < N_RUNNERS; i++)
    if (!mp_semaphore_acquire (ready, -1, NULL, error))
      return FALSE;
  printf ("all are ready\n");
  fflush (stdout);

  return mp_event_set (start, error);
}

int
main (void)
{
  g_autoptr(GPtrArray) runners = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(MpSemaphore) ready = NULL;
  g_autoptr(MpEvent) start = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  ready = mp_semaphore_new (0);
  start = mp_event_new ();
  if (start_together (ready, start, runners, &error))
    for (guint i = 0; i < runners->len && error == NULL; i++)
      mp_process_join (runners->pdata[i], -1, NULL, &error);
  if (error != NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return EXIT_SUCCESS;
}
