/* lock-counter.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Four processes count in one file, which without a lock would miss some. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <mp-glib/mp-glib.h>

#define N_PROCESSES 4
#define N_ITERATIONS 1000

static GVariant *
increment_counter (GVariant  *args,
                   gpointer   user_data,
                   GError   **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 1);
  g_autoptr(MpLock) lock = MP_LOCK (mp_shareable_from_variant (handle, error));
  const char *path;
  int fd;

  if (lock == NULL)
    return NULL;

  g_variant_get_child (args, 0, "^&ay", &path);
  fd = g_open (path, O_RDWR | O_CLOEXEC, 0);
  for (int i = 0; i < N_ITERATIONS; i++)
    {
      gint64 value = 0;

      if (!mp_lock_acquire (lock, -1, NULL, error))
        break;
      if (pread (fd, &value, sizeof value, 0) == sizeof value)
        {
          value++;
          if (pwrite (fd, &value, sizeof value, 0) != sizeof value)
            g_warning ("%s: cannot be written", path);
        }
      mp_lock_release (lock, NULL);
    }
  close (fd);

  return *error == NULL ? g_variant_new ("()") : NULL;
}

static gboolean
run (const char  *path,
     GError     **error)
{
  g_autoptr(GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(MpLock) lock = mp_lock_new ();

  for (int i = 0; i < N_PROCESSES; i++)
    {
      g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (lock));

      g_ptr_array_add (processes, mp_process_new (MP_FUNCTION (increment_counter),
                                                  g_variant_new ("(^ay@h)", path, handle)));
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

int
main (void)
{
  g_autofree char *path = NULL;
  g_autoptr(GError) error = NULL;
  gint64 value = 0;
  int fd;

  mp_init ();

  fd = g_file_open_tmp ("counter-XXXXXX", &path, &error);
  if (fd < 0 || write (fd, &value, sizeof value) != sizeof value || !run (path, &error))
    {
      fprintf (stderr, "%s\n", error != NULL ? error->message : "cannot write");
      return EXIT_FAILURE;
    }
  if (pread (fd, &value, sizeof value, 0) == sizeof value)
    printf ("Final counter value: %" G_GINT64_FORMAT "\n", value);
  close (fd);
  g_unlink (path);

  return EXIT_SUCCESS;
}
