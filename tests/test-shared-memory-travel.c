/* test-shared-memory-travel.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <dirent.h>
#include <string.h>
#include <sys/wait.h>

/* Shared memory that goes to other processes, and comes back. */

#define MIB ((gsize) 1 << 20)

static MpSharedMemory *
memory_of (GVariant  *handle,
           GError   **error)
{
  MpShareable *object = mp_shareable_from_variant (handle, error);

  g_assert_true (object == NULL || MP_IS_SHARED_MEMORY (object));
  return (MpSharedMemory *) object;
}

static GVariant *
handle_of (MpSharedMemory *memory)
{
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (memory));

  return g_variant_new_handle (g_variant_get_handle (handle));
}

static MpSharedMemory *
make (const char *name,
      gsize       size)
{
  g_autoptr(GError) error = NULL;
  MpSharedMemory *memory = name != NULL ? mp_shared_memory_new_named (name, size, &error) : mp_shared_memory_new (size, &error);

  g_assert_no_error (error);
  return memory;
}

static gboolean
exists (const char *name)
{
  g_autofree char *path = g_build_filename ("/dev/shm", name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static guint
count_fds (void)
{
  DIR *dir = opendir ("/proc/self/fd");
  guint n = 0;

  while (readdir (dir) != NULL)
    n++;
  closedir (dir);
  return n;
}

/* Functions of workers. */

/* Adds 1 to the first and the last byte; tells the size, and whether it is the owner. */
static GVariant *
touch (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpSharedMemory) memory = memory_of (args, error);
  guint8 *data;
  gsize size;

  if (memory == NULL)
    return NULL;
  data = mp_shared_memory_get_data (memory, &size);
  data[0]++;
  data[size - 1]++;
  return g_variant_new ("(tb)", (guint64) size, mp_shared_memory_get_owner (memory));
}

static GVariant *
double_size (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpSharedMemory) memory = memory_of (args, error);
  gsize size;

  if (memory == NULL || !mp_shared_memory_grow (memory, 2 * mp_shared_memory_get_size (memory), error))
    return NULL;
  strcpy ((char *) mp_shared_memory_get_data (memory, &size) + size - 4, "end");
  return g_variant_new_uint64 (size);
}

static GVariant *
make_one (GVariant *args, gpointer user_data, GError **error)
{
  static MpSharedMemory *kept;   /* until its owner ends, or is killed */
  const char *name = g_variant_get_string (args, NULL);
  g_autoptr(GBytes) text = g_bytes_new_static ("made", 5);
  g_autoptr(MpSharedMemory) memory = NULL;

  if (*name != '\0')
    memory = mp_shared_memory_new_named (name, MIB, error);
  else
    memory = mp_shared_memory_new (MIB, error);
  if (memory == NULL || !mp_shared_memory_write (memory, 0, text, error))
    return NULL;
  if (*name != '\0')
    g_set_object (&kept, memory);
  return mp_shareable_to_variant (MP_SHAREABLE (memory));
}

static GVariant *
touch_and_die (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) result = touch (args, NULL, error);

  g_assert_nonnull (result);
  raise (SIGKILL);
  return NULL;
}

/* Tests. */

static void
check_touched (MpSharedMemory *memory,
               guint8          times)
{
  gsize size;
  const guint8 *data = mp_shared_memory_get_data (memory, &size);

  g_assert_nonnull (data);
  g_assert_cmpuint (data[0], ==, times);
  g_assert_cmpuint (data[size - 1], ==, times);
}

static void
touch_in (MpPool         *pool,
          MpSharedMemory *memory)
{
  g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (touch), handle_of (memory));
  guint64 size;
  gboolean owner;

  g_variant_get (result, "(tb)", &size, &owner);
  g_assert_cmpuint (size, ==, mp_shared_memory_get_size (memory));
  g_assert_false (owner);
}

static void
test_pool (void)
{
  g_autofree char *name = g_strdup_printf ("mp-test-pool-%d", getpid ());
  MpPool *pool = mp_pool_new (1);
  guint i, n_fds;

  for (i = 0; i < 2; i++)
    {
      MpSharedMemory *memory = make (i == 0 ? NULL : name, 5000);

      touch_in (pool, memory);
      n_fds = count_fds ();
      touch_in (pool, memory);
      touch_in (pool, memory);
      g_assert_cmpuint (count_fds (), ==, n_fds);
      check_touched (memory, 3);
      /* The other process had the name, and leaves it. */
      g_assert_cmpint (exists (name), ==, i == 1);
      g_assert_finalize_object (memory);
    }
  g_assert_false (exists (name));
  finish (pool);
}

static void
test_grow (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpSharedMemory) memory = make (NULL, MIB);
  char *old = mp_shared_memory_get_data (memory, NULL), *data;
  g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (double_size), handle_of (memory));
  gsize size;

  g_assert_cmpuint (g_variant_get_uint64 (result), ==, 2 * MIB);
  g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, 2 * MIB);
  data = mp_shared_memory_get_data (memory, &size);
  g_assert_cmpuint (size, ==, 2 * MIB);
  g_assert_cmpstr (data + size - 4, ==, "end");
  old[0] = 'o';
  g_assert_cmpint (data[0], ==, 'o');
  finish (pool);
}

static void
test_sealed (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpSharedMemory) memory = make (NULL, MIB);
  g_autoptr(GVariant) back = NULL;
  g_autoptr(MpSharedMemory) same = NULL;
  g_autoptr(GError) error = NULL;

  strcpy (mp_shared_memory_get_data (memory, NULL), "sealed");
  g_assert_true (mp_shared_memory_seal (memory, MP_SEAL_FLAGS_GROW | MP_SEAL_FLAGS_WRITE, &error));
  g_assert_no_error (error);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (double_size), handle_of (memory), LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  back = apply (pool, MP_FUNCTION (echo), handle_of (memory));
  same = memory_of (back, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mp_shared_memory_get_seals (same), ==, MP_SEAL_FLAGS_GROW | MP_SEAL_FLAGS_WRITE);
  g_assert_cmpstr (mp_shared_memory_get_data (same, NULL), ==, "sealed");
  finish (pool);
}

/* While another process can write, nobody can forbid it. */
static void
test_seal_busy (void)
{
  g_autoptr(MpSharedMemory) memory = make (NULL, MIB);
  g_autoptr(GError) error = NULL;
  int wake[2], status;
  char byte;
  pid_t pid;

  g_assert_nonnull (mp_shared_memory_get_data (memory, NULL));
  g_assert_no_errno (pipe (wake));
  pid = fork ();
  if (pid == 0)
    {
      close (wake[1]);
      _exit ((int) read (wake[0], &byte, 1));
    }
  g_assert_false (mp_shared_memory_seal (memory, MP_SEAL_FLAGS_WRITE, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);
  g_assert_cmpuint (mp_shared_memory_get_seals (memory), ==, MP_SEAL_FLAGS_NONE);
  close (wake[0]);
  close (wake[1]);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (mp_shared_memory_seal (memory, MP_SEAL_FLAGS_WRITE, &error));
  g_assert_no_error (error);
}

/* Made by a process that is gone, killed or not. */
static void
test_orphan (void)
{
  g_autofree char *name = g_strdup_printf ("mp-test-orphan-%d", getpid ());
  guint i;

  for (i = 0; i < 3; i++)
    {
      MpPool *pool = mp_pool_new (1);
      int pid = apply_int (pool, MP_FUNCTION (tell_pid), g_variant_new_boolean (FALSE));
      g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (make_one), g_variant_new_string (i == 0 ? "" : name));
      g_autoptr(GError) error = NULL;
      g_autoptr(MpSharedMemory) memory = memory_of (result, &error);

      g_assert_no_error (error);
      g_assert_cmpint (exists (name), ==, i > 0);
      if (i == 2)
        kill (pid, SIGKILL);
      finish (pool);
      g_assert_cmpstr (mp_shared_memory_get_data (memory, NULL), ==, "made");
      g_assert_cmpuint (mp_shared_memory_get_size (memory), ==, MIB);
      /* The owner's normal end takes the name away, its death does not. */
      if (i == 2)
        {
          g_assert_true (exists (name));
          mp_shared_memory_set_owner (memory, TRUE);
          mp_shared_memory_close (memory);
        }
      g_assert_false (exists (name));
    }
}

static void
test_killed (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpSharedMemory) memory = make (NULL, MIB);
  g_autoptr(GError) error = NULL;
  guint n_fds = 0, i;

  for (i = 0; i < 5; i++)
    {
      g_assert_null (mp_pool_apply (pool, MP_FUNCTION (touch_and_die), handle_of (memory), LONG, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      g_clear_error (&error);
      touch_in (pool, memory);
      check_touched (memory, 2 * i + 2);
      if (i == 1)
        n_fds = count_fds ();
    }
  g_assert_cmpuint (count_fds (), ==, n_fds);
  finish (pool);
}

static void
test_process (void)
{
  g_autoptr(MpSharedMemory) memory = make (NULL, MIB);
  g_autoptr(MpContext) context = g_object_new (MP_TYPE_CONTEXT, "start-method", MP_START_METHOD_SPAWN, NULL);
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (touch),
                                               "args", handle_of (memory), "context", context, NULL);
  g_autoptr(GError) error = NULL;

  mp_process_start (process, LONG, NULL, &error);
  g_assert_no_error (error);
  mp_process_join (process, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
  check_touched (memory, 1);
}

static void
test_connection (void)
{
  g_autofree char *name = g_strdup_printf ("mp-test-connection-%d", getpid ());
  guint i;

  for (i = 0; i < 2; i++)
    {
      MpSharedMemory *memory = make (i == 0 ? NULL : name, MIB);
      g_autoptr(MpConnection) first = NULL, second = NULL;
      g_autoptr(GVariant) message = NULL;
      g_autoptr(MpSharedMemory) same = NULL;
      g_autoptr(GError) error = NULL;

      mp_pipe_new (TRUE, &first, &second, &error);
      g_assert_no_error (error);
      strcpy (mp_shared_memory_get_data (memory, NULL), "sent");
      mp_connection_send (first, g_variant_new ("(@hs)", handle_of (memory), "beside"), LONG, NULL, &error);
      g_assert_no_error (error);
      /* On its way nobody has it but the message. */
      g_assert_finalize_object (memory);
      g_assert_false (exists (name));
      message = mp_connection_recv (second, LONG, NULL, &error);
      g_assert_no_error (error);
      {
        g_autoptr(GVariant) handle = g_variant_get_child_value (message, 0);

        same = memory_of (handle, &error);
      }
      g_assert_no_error (error);
      g_assert_cmpstr (mp_shared_memory_get_name (same), ==, i == 0 ? NULL : name);
      g_assert_cmpstr (mp_shared_memory_get_data (same, NULL), ==, "sent");
    }
}

static void
test_closed (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpSharedMemory) memory = make (NULL, MIB);
  g_autoptr(GError) error = NULL;

  mp_shared_memory_close (memory);
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (touch), handle_of (memory), LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  finish (pool);
}

/* As an argument it costs what a handle costs, not what is in it. */
static void
test_large (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_new (100 * MIB, &error);
  gint64 best = G_MAXINT64;
  guint i;

  if (g_error_matches (error, MP_ERROR, MP_ERROR_TOO_LARGE))
    {
      g_test_skip ("there are not 100 MiB of memory");
      finish (pool);
      return;
    }
  g_assert_no_error (error);
  memset (mp_shared_memory_get_data (memory, NULL), 0, 100 * MIB);
  for (i = 0; i < 20; i++)
    {
      gint64 begin = g_get_monotonic_time ();

      touch_in (pool, memory);
      best = MIN (best, g_get_monotonic_time () - begin);
    }
  check_touched (memory, 20);
  g_test_message ("%" G_GINT64_FORMAT " µs", best);
  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    g_assert_cmpint (best, <, 20000);
  finish (pool);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/shared-memory-travel/pool", test_pool);
  g_test_add_func ("/shared-memory-travel/grow", test_grow);
  g_test_add_func ("/shared-memory-travel/sealed", test_sealed);
  g_test_add_func ("/shared-memory-travel/seal-busy", test_seal_busy);
  g_test_add_func ("/shared-memory-travel/orphan", test_orphan);
  g_test_add_func ("/shared-memory-travel/killed", test_killed);
  g_test_add_func ("/shared-memory-travel/process", test_process);
  g_test_add_func ("/shared-memory-travel/connection", test_connection);
  g_test_add_func ("/shared-memory-travel/closed", test_closed);
  g_test_add_func ("/shared-memory-travel/large", test_large);

  return g_test_run ();
}
