/* lock-hello.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Only one process at a time prints. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GVariant *
f (GVariant  *args,
   gpointer   user_data,
   GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);
  g_autoptr(MpLock) lock = MP_LOCK (mp_shareable_from_variant (handle, error));
  g_autoptr(MpLockLocker) locker = NULL;
  int i;

  if (lock == NULL)
    return NULL;

  locker = mp_lock_locker_new (lock, error);
  if (locker == NULL)
    return NULL;
  g_variant_get_child (args, 1, "i", &i);
  printf ("hello world %d\n", i);
  fflush (stdout);

  return g_variant_new ("()");
}

int
main (void)
{
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(MpLock) lock = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  lock = mp_lock_new ();
  for (int i = 0; i < 10; i++)
    {
      g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (lock));

      g_ptr_array_add (processes, mp_process_new (MP_FUNCTION (f), g_variant_new ("(@hi)", handle, i)));
      if (!mp_process_start (processes->pdata[i], -1, NULL, &error))
        break;
    }
  for (guint i = 0; i < processes->len && error == NULL; i++)
    mp_process_join (processes->pdata[i], -1, NULL, &error);
  if (error != NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return EXIT_SUCCESS;
}
