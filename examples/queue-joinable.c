/* queue-joinable.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The program waits until all work is finished, also that of a worker that died. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_ITEMS 10

static MpQueue *
get_queue (GVariant  *args,
           GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);

  return (MpQueue *) mp_shareable_from_variant (handle, error);
}

static GVariant *
worker (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(MpQueue) queue = get_queue (args, error);

  if (queue == NULL)
    return NULL;
  for (;;)
    {
      g_autoptr(GVariant) item = mp_queue_get (queue, -1, NULL, error);

      if (item == NULL)
        return NULL;
      printf ("Working on %d\n", g_variant_get_int32 (item));
      fflush (stdout);
      if (!mp_joinable_queue_task_done (MP_JOINABLE_QUEUE (queue), error))
        return NULL;
    }
}

static GVariant *
unlucky (GVariant  *args,
         gpointer   user_data,
         GError   **error)
{
  g_autoptr(MpQueue) queue = get_queue (args, error);
  g_autoptr(GVariant) item = queue != NULL ? mp_queue_get (queue, -1, NULL, error) : NULL;

  raise (SIGKILL);
  return NULL;
}

static gboolean
work_off (MpJoinableQueue  *queue,
          GError          **error)
{
  g_autoptr(GError) local_error = NULL;

  if (mp_joinable_queue_join (queue, -1, NULL, &local_error))
    return TRUE;
  if (!g_error_matches (local_error, MP_ERROR, MP_ERROR_WORKER_DIED))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  printf ("Abandoned: %u\n", mp_joinable_queue_put_back_abandoned (queue));
  fflush (stdout);

  return mp_joinable_queue_join (queue, -1, NULL, error);
}

int
main (void)
{
  g_autoptr(MpJoinableQueue) queue = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(MpProcess) first = NULL;
  g_autoptr(MpProcess) second = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  queue = mp_joinable_queue_new (0, 0);
  for (int i = 0; i < N_ITEMS && error == NULL; i++)
    mp_queue_put (MP_QUEUE (queue), g_variant_new_int32 (i), -1, NULL, &error);
  handle = mp_shareable_to_variant (MP_SHAREABLE (queue));
  first = mp_process_new (MP_FUNCTION (unlucky), g_variant_new ("(@h)", handle));
  second = mp_process_new (MP_FUNCTION (worker), g_variant_new ("(@h)", handle));
  if (error != NULL ||
      !mp_process_start (first, -1, NULL, &error) ||
      !mp_process_join (first, -1, NULL, &error) ||
      !mp_process_start (second, -1, NULL, &error) ||
      !work_off (queue, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  mp_process_terminate (second, NULL);
  printf ("All work completed\n");

  return EXIT_SUCCESS;
}
