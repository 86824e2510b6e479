/* value-counter.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Four processes count in a value that they share: under its own lock, under another one, and in one step each. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

#define N_PROCESSES 4
#define N_ITERATIONS 1000

static gpointer
get_object (GVariant  *args,
            gsize      i,
            GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, i);

  return mp_shareable_from_variant (handle, error);
}

static GVariant *
worker (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(MpValue) counter = get_object (args, 0, error);
  MpRLock *lock;

  if (counter == NULL)
    return NULL;

  lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (counter)));
  for (int i = 0; i < N_ITERATIONS; i++)
    {
      g_autoptr(MpRLockLocker) locker = mp_rlock_locker_new (lock, error);

      if (locker == NULL)
        return NULL;
      mp_value_set_int (counter, mp_value_get_int (counter, NULL) + 1, NULL);
    }
  return g_variant_new ("()");
}

static GVariant *
increment_counter (GVariant  *args,
                   gpointer   user_data,
                   GError   **error)
{
  g_autoptr(MpValue) counter = get_object (args, 0, error);
  g_autoptr(MpLock) lock = counter != NULL ? get_object (args, 1, error) : NULL;

  if (lock == NULL)
    return NULL;

  for (int i = 0; i < N_ITERATIONS; i++)
    {
      g_autoptr(MpLockLocker) locker = mp_lock_locker_new (lock, error);

      if (locker == NULL)
        return NULL;
      mp_value_set_int (counter, mp_value_get_int (counter, NULL) + 1, NULL);
    }
  return g_variant_new ("()");
}

static GVariant *
add (GVariant  *args,
     gpointer   user_data,
     GError   **error)
{
  g_autoptr(MpValue) counter = get_object (args, 0, error);

  if (counter == NULL)
    return NULL;

  for (int i = 0; i < N_ITERATIONS; i++)
    mp_value_add_int (counter, 1, NULL);
  return g_variant_new ("()");
}

/* Runs four of them; the number that there is at the end. */
static gint64
count (const char  *function,
       MpLock      *lock,
       GError     **error)
{
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(MpValue) counter = mp_value_new (G_VARIANT_TYPE_INT32, NULL, error);
  g_autoptr(GVariant) first = NULL;
  g_autoptr(GVariant) second = mp_shareable_to_variant (MP_SHAREABLE (lock));

  if (counter == NULL)
    return -1;

  first = mp_shareable_to_variant (MP_SHAREABLE (counter));
  for (int i = 0; i < N_PROCESSES; i++)
    {
      g_ptr_array_add (processes, mp_process_new (function, g_variant_new ("(@h@h)", first, second)));
      if (!mp_process_start (processes->pdata[i], -1, NULL, error))
        return -1;
    }
  for (guint i = 0; i < processes->len; i++)
    {
      if (!mp_process_join (processes->pdata[i], -1, NULL, error))
        return -1;
    }
  return mp_value_get_int (counter, error);
}

int
main (void)
{
  g_autoptr(MpLock) lock = NULL;
  g_autoptr(GError) error = NULL;
  gint64 numbers[3] = { 0 };

  mp_init ();

  lock = mp_lock_new ();
  numbers[0] = count (MP_FUNCTION (worker), lock, &error);
  if (error == NULL)
    numbers[1] = count (MP_FUNCTION (increment_counter), lock, &error);
  if (error == NULL)
    numbers[2] = count (MP_FUNCTION (add), lock, &error);
  if (error != NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }
  printf ("%" G_GINT64_FORMAT "\n", numbers[0]);
  printf ("Final counter value: %" G_GINT64_FORMAT "\n", numbers[1]);
  printf ("Without a lock: %" G_GINT64_FORMAT "\n", numbers[2]);
  return EXIT_SUCCESS;
}
