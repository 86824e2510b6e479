/* shared-memory-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lock-test.h"

#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/memory/mp-shared-memory-private.h"

/* What the tests of MpSharedMemory share. */

#define MIB ((gsize) 1 << 20)

G_GNUC_UNUSED static MpSharedMemory *
make (gsize size)
{
  g_autoptr(GError) error = NULL;
  MpSharedMemory *memory = mp_shared_memory_new (size, &error);

  g_assert_no_error (error);
  return memory;
}

G_GNUC_UNUSED static MpSharedMemory *
make_named (const char *name,
            gsize       size)
{
  g_autoptr(GError) error = NULL;
  MpSharedMemory *memory = mp_shared_memory_new_named (name, size, &error);

  g_assert_no_error (error);
  return memory;
}

/* A name that no other test has, nor another run of this one. */
G_GNUC_UNUSED static char *
own_name (const char *name)
{
  return g_strdup_printf ("mp-test-%s-%d", name, getpid ());
}

G_GNUC_UNUSED static gboolean
exists (const char *name)
{
  g_autofree char *path = g_build_filename ("/dev/shm", name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

G_GNUC_UNUSED static void
put (MpSharedMemory *memory,
     guint64         offset,
     const char     *text)
{
  g_autoptr(GBytes) bytes = g_bytes_new (text, strlen (text));
  g_autoptr(GError) error = NULL;

  mp_shared_memory_write (memory, offset, bytes, &error);
  g_assert_no_error (error);
}

G_GNUC_UNUSED static void
check (MpSharedMemory *memory,
       guint64         offset,
       const char     *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_shared_memory_read (memory, offset, strlen (text), &error);
  gsize size;
  gconstpointer data;

  g_assert_no_error (error);
  data = g_bytes_get_data (bytes, &size);
  g_assert_cmpmem (data, size, text, strlen (text));
}
