/* torture-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/memory/mp-shared-memory-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* MpSharedMemory, with names that stay when their owner is killed, and are taken over then. Whoever finds a name finds
 * whole memory, which never gets smaller, and in which nothing is but what was written. */

#define N_NAMES  3
#define PAGE     4096u
#define N_PAGES  64u        /* at first */
#define MOST     256u

enum { BROKEN_NOTHING, BROKEN_STEPS, BROKEN_SHRINKS };

typedef struct
{
  guint64 n_made;
  guint64 n_found;
  guint64 n_taken_over;
  guint64 n_grown;
  guint64 n_left;
} Data;

static Data *data;
static char *folder;
static char *names[N_NAMES];

static char *
get_folder (pid_t conductor)
{
  return g_strdup_printf ("/dev/shm/mp-torture-%d", (int) conductor);
}

static void
setup (void)
{
  data = torture_alloc (sizeof *data);
  for (guint i = 0; i < N_NAMES; i++)
    names[i] = g_strdup_printf ("memory-%u", i);
  folder = get_folder (getpid ());
  torture_check (g_mkdir (folder, 0700) == 0, "memory: no folder %s", folder);
  mp_shared_memory_names_set_folder_for_testing (folder);
  mp_shared_memory_names_set_by_steps_for_testing (torture_broken == BROKEN_STEPS);
}

/* What each page begins with: nothing, or what it is to. */
static guint64
tag (guint page)
{
  return G_GUINT64_CONSTANT (0x70616765) << 32 | page;
}

/* Writes into all pages that there are, and looks what is there. */
static void
use (MpSharedMemory *memory)
{
  gsize size, least = 0;

  for (guint round = 0; round < 2; round++)
    {
      guint8 *bytes = mp_shared_memory_get_data (memory, &size);

      torture_check (bytes != NULL && size >= N_PAGES * PAGE && size % PAGE == 0 && size >= least,
                     "memory: it has %" G_GSIZE_FORMAT " bytes, and had %" G_GSIZE_FORMAT, size, least);
      if (bytes == NULL)
        return;
      least = size;
      for (guint page = 0; page < size / PAGE; page++)
        {
          guint64 *word = (guint64 *) (gpointer) (bytes + page * PAGE), old = 0;

          if (!__atomic_compare_exchange_n (word, &old, tag (page), FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            torture_check (old == tag (page), "memory: page %u has %" G_GINT64_MODIFIER "x", page, old);
        }
      torture_linger ();
    }
}

/* As one would who knows only the size that it had. */
static void
shrink (const char *name,
        gsize       size)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  (void) !truncate (path, size);
}

static void
grow (MpSharedMemory *memory)
{
  gsize size = mp_shared_memory_get_size (memory) + (1 + torture_random (8)) * PAGE;
  g_autoptr(GError) error = NULL;

  if (size > MOST * PAGE)
    return;
  if (torture_broken == BROKEN_SHRINKS && mp_shared_memory_get_name (memory) != NULL)
    shrink (mp_shared_memory_get_name (memory), N_PAGES * PAGE);
  if (mp_shared_memory_grow (memory, size, &error))
    {
      torture_count (&data->n_grown);
      torture_check (mp_shared_memory_get_size (memory) >= size, "memory: it did not grow");
    }
  /* Somebody else was faster. */
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT))
    torture_violation ("grow: %s", error->message);
}

static void
step_unnamed (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_new (N_PAGES * PAGE, &error);

  if (memory == NULL)
    {
      torture_violation ("memory: %s", error->message);
      return;
    }
  use (memory);
  grow (memory);
  use (memory);
}

/* A name whose owner was killed is there for ever: some of those who find it become its owner. One who is not dead takes the
 * name away as well; who is second finds that. */
static void
step_named (void)
{
  const char *name = names[torture_random (N_NAMES)];
  g_autoptr(GError) error = NULL;
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_new_named (name, N_PAGES * PAGE, &error);

  if (memory != NULL)
    {
      torture_count (&data->n_made);
      torture_check (mp_shared_memory_get_owner (memory), "memory: its maker is not the owner");
    }
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_EXISTS))
    {
      g_clear_error (&error);
      memory = mp_shared_memory_attach (name, &error);
      if (memory == NULL && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
        return;
      if (memory != NULL)
        torture_count (&data->n_found);
      if (memory != NULL && torture_random (4) == 0)
        {
          torture_count (&data->n_taken_over);
          mp_shared_memory_set_owner (memory, TRUE);
        }
    }
  if (memory == NULL)
    {
      torture_violation ("memory “%s”: %s", name, error->message);
      return;
    }

  use (memory);
  grow (memory);
  use (memory);
}

static void
step (void)
{
  if (torture_random (4) == 0)
    step_unnamed ();
  else
    step_named ();
  torture_pause ();
}

/* One of the names is left, or another. */
static void
look_at (const char *name)
{
  g_autoptr(MpSharedMemory) memory = NULL;
  g_autoptr(GError) error = NULL;
  gboolean is_known = FALSE;

  for (guint i = 0; i < N_NAMES; i++)
    is_known |= g_str_equal (name, names[i]);
  torture_check (is_known, "memory: “%s” was left behind", name);
  memory = mp_shared_memory_attach (name, &error);
  if (memory == NULL)
    {
      torture_violation ("memory “%s”: %s", name, error->message);
      return;
    }
  data->n_left++;
  use (memory);
}

/* Nobody is left: nor is anything but whole memory by the names that there were. */
static void
finish (void)
{
  g_autoptr(GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    look_at (name);
}

/* After a violation there may still be children, which end soon, and cannot make anything when the folder is gone. */
static void
sweep (pid_t conductor)
{
  g_autofree char *path = get_folder (conductor);

  while (g_rmdir (path) < 0 && errno != ENOENT)
    {
      g_autoptr(GDir) dir = g_dir_open (path, 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *file = g_build_filename (path, name, NULL);

          g_unlink (file);
        }
    }
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " made, %" G_GUINT64_FORMAT " found, %" G_GUINT64_FORMAT
                          " taken over, grown %" G_GUINT64_FORMAT " times, %" G_GUINT64_FORMAT " left; ", data->n_made,
                          data->n_found, data->n_taken_over, data->n_grown, data->n_left);
}

const TorturePrimitive torture_memory = {
  "memory",
  (const char *const[]) { "shm-", NULL },
  (const char *const[]) { "found before it is whole", "made smaller by who makes it larger", NULL },
  setup,
  NULL,
  step,
  NULL,
  finish,
  figures,
  0,
  sweep,
};
