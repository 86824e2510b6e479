/* test-descriptor.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Descriptors that go to other processes, or come from there. */

static MpDescriptor *
descriptor_of (GVariant *handle)
{
  g_autoptr(GError) error = NULL;
  MpShareable *object = mp_shareable_from_variant (handle, &error);

  g_assert_no_error (error);
  g_assert_true (MP_IS_DESCRIPTOR (object));
  return MP_DESCRIPTOR (object);
}

/* Takes @fd. */
static MpDescriptor *
take (int fd)
{
  g_autoptr(GError) error = NULL;
  MpDescriptor *descriptor = mp_descriptor_new_take (fd, &error);

  g_assert_no_error (error);
  return descriptor;
}

static void
make_pipe (int            *reading,
           MpDescriptor  **writing)
{
  int fds[2];

  g_assert_cmpint (mp_fd_pipe (fds), ==, 0);
  *reading = fds[0];
  *writing = take (fds[1]);
}

static gboolean
is_cloexec (int fd)
{
  return (fcntl (fd, F_GETFD) & FD_CLOEXEC) != 0;
}

/* One that is free now. */
static int
get_free_fd (void)
{
  int fd = mp_fd_open_null ();

  close (fd);
  return fd;
}

static void
check_same_file (int a,
                 int b)
{
  struct stat stat_a, stat_b;

  g_assert_cmpint (fstat (a, &stat_a), ==, 0);
  g_assert_cmpint (fstat (b, &stat_b), ==, 0);
  g_assert_true (stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino);
}

/* Reads to the end: nobody has the other one any more. */
static void
check_text (int         fd,
            const char *text)
{
  char data[100];
  gsize size = 0;
  gssize n;

  while ((n = read (fd, data + size, sizeof data - size - 1)) > 0)
    size += n;
  g_assert_cmpint (n, ==, 0);
  data[size] = 0;
  g_assert_cmpstr (data, ==, text);
  close (fd);
}

static void
test_new (void)
{
  g_autoptr(GError) error = NULL;
  int fd = open ("/proc/self/status", O_RDONLY);
  MpDescriptor *descriptor = mp_descriptor_new (fd, &error);
  int own, copy;

  g_assert_no_error (error);
  own = mp_descriptor_get_fd (descriptor);
  g_assert_cmpint (own, >, 2);
  g_assert_cmpint (own, !=, fd);
  g_assert_true (is_cloexec (own));
  check_same_file (own, fd);
  close (fd);

  copy = mp_descriptor_dup_fd (descriptor, &error);
  g_assert_no_error (error);
  g_assert_true (is_cloexec (copy));
  check_same_file (own, copy);
  close (copy);
  g_assert_false (mp_descriptor_is_closed (descriptor));
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (descriptor)));

  g_assert_finalize_object (descriptor);
  g_assert_cmpint (fcntl (own, F_GETFD), ==, -1);
}

static void
test_take (void)
{
  int fd = open ("/proc/self/status", O_RDONLY);
  MpDescriptor *descriptor = take (fd);

  g_assert_cmpint (mp_descriptor_get_fd (descriptor), ==, fd);
  g_assert_true (is_cloexec (fd));
  g_assert_cmpint (mp_descriptor_steal_fd (descriptor), ==, fd);
  g_assert_cmpint (mp_descriptor_steal_fd (descriptor), ==, -1);
  g_assert_cmpint (mp_descriptor_get_fd (descriptor), ==, -1);
  g_assert_true (mp_descriptor_is_closed (descriptor));
  g_assert_finalize_object (descriptor);
  g_assert_cmpint (fcntl (fd, F_GETFD), >=, 0);

  descriptor = take (fd);
  mp_descriptor_close (descriptor);
  mp_descriptor_close (descriptor);
  g_assert_true (mp_descriptor_is_closed (descriptor));
  g_assert_cmpint (fcntl (fd, F_GETFD), ==, -1);
  g_object_unref (descriptor);
}

static void
test_none (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpDescriptor) descriptor = take (mp_fd_open_null ());
  g_autofree char *text = NULL;
  int fd = get_free_fd ();

  g_assert_null (mp_descriptor_new (fd, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  text = g_strdup_printf ("Cannot duplicate descriptor %d: %s", fd, g_strerror (EBADF));
  g_assert_cmpstr (error->message, ==, text);
  g_clear_error (&error);
  g_assert_null (mp_descriptor_new_take (-1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);

  mp_descriptor_close (descriptor);
  g_assert_cmpint (mp_descriptor_dup_fd (descriptor, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* What is read on one side is read on the other one too: it is the same open file. */
static void
test_connection (void)
{
  Gate gate = gate_new ();
  g_autoptr(GError) error = NULL;
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("mp-test-XXXXXX", &path, NULL);
  MpDescriptor *descriptor = take (fd);
  g_autoptr(MpDescriptor) arrived = NULL;
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (descriptor)), message = NULL;
  char byte;

  g_assert_cmpint (write (fd, "abc", 3), ==, 3);
  g_assert_cmpint (lseek (fd, 0, SEEK_SET), ==, 0);
  unlink (path);
  g_assert_true (mp_connection_send (gate.near, g_variant_new ("(s@hv)", "take", handle, handle), LONG, NULL, &error));
  g_assert_no_error (error);
  /* What was sent is on its way, whatever becomes of this one. */
  g_assert_finalize_object (descriptor);

  message = mp_connection_recv (gate.far, LONG, NULL, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 2; i++)
    {
      g_autoptr(GVariant) child = g_variant_get_child_value (message, 1 + i);
      g_autoptr(MpDescriptor) same = descriptor_of (child);

      if (arrived == NULL)
        arrived = g_object_ref (same);
      g_assert_true (same == arrived);
    }
  fd = mp_descriptor_get_fd (arrived);
  g_assert_true (is_cloexec (fd));
  g_assert_cmpint (read (fd, &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, 'a');
  g_clear_pointer (&message, g_variant_unref);
  g_assert_cmpint (read (fd, &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, 'b');
  gate_clear (&gate);
}

/* A socket goes through itself. */
static void
test_connection_own (void)
{
  Gate gate = gate_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(MpDescriptor) descriptor = mp_descriptor_new (mp_connection_get_fd (gate.near), &error), arrived = NULL;
  g_autoptr(GVariant) message = NULL;

  g_assert_no_error (error);
  message = mp_shareable_to_variant (MP_SHAREABLE (descriptor));
  mp_connection_send (gate.near, message, LONG, NULL, &error);
  g_assert_no_error (error);
  g_clear_pointer (&message, g_variant_unref);
  message = mp_connection_recv (gate.far, LONG, NULL, &error);
  g_assert_no_error (error);
  arrived = descriptor_of (message);
  check_same_file (mp_descriptor_get_fd (arrived), mp_descriptor_get_fd (descriptor));
  gate_clear (&gate);
}

static void
check_many (guint n)
{
  Gate gate = gate_new ();
  g_autoptr(GPtrArray) descriptors = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GVariant) message = NULL;
  g_autoptr(GError) error = NULL;
  GVariantBuilder builder;
  int first = get_free_fd ();

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("ah"));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr(GVariant) handle = NULL;

      g_ptr_array_add (descriptors, take (mp_fd_eventfd ()));
      handle = mp_shareable_to_variant (g_ptr_array_index (descriptors, i));
      g_variant_builder_add_value (&builder, handle);
    }
  g_assert_true (mp_connection_send (gate.near, g_variant_builder_end (&builder), LONG, NULL, &error));
  g_assert_no_error (error);
  message = mp_connection_recv (gate.far, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (message), ==, n);

  /* Each is the one that was in its place. */
  for (guint i = 0; i < n; i++)
    {
      g_autoptr(GVariant) handle = g_variant_get_child_value (message, i);
      g_autoptr(MpDescriptor) arrived = descriptor_of (handle);
      guint64 number = i + 1;

      g_assert_cmpint (write (mp_descriptor_get_fd (arrived), &number, sizeof number), ==, sizeof number);
      number = 0;
      g_assert_cmpint (read (mp_descriptor_get_fd (g_ptr_array_index (descriptors, i)), &number, sizeof number), ==,
                       sizeof number);
      g_assert_cmpuint (number, ==, i + 1);
    }
  g_clear_pointer (&message, g_variant_unref);
  g_ptr_array_set_size (descriptors, 0);
  g_assert_cmpint (get_free_fd (), ==, first);
  gate_clear (&gate);
}

static void
test_connection_many (void)
{
  check_many (1);
  check_many (64);
  check_many (253);
  check_many (254);
  check_many (400);
}

/* Nothing is sent, and the connection is as before. */
static void
test_connection_closed (void)
{
  Gate gate = gate_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(MpDescriptor) good = take (mp_fd_open_null ()), descriptor = take (mp_fd_open_null ());
  g_autoptr(GVariant) good_handle = mp_shareable_to_variant (MP_SHAREABLE (good)), message = NULL;
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (descriptor));
  int first = get_free_fd ();

  mp_descriptor_close (descriptor);
  g_assert_false (mp_connection_send (gate.near, g_variant_new ("(@h@h)", good_handle, handle), LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_cmpint (get_free_fd (), <=, first);
  g_assert_true (mp_connection_send (gate.near, g_variant_new_int32 (7), LONG, NULL, &error));
  message = mp_connection_recv (gate.far, LONG, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_variant_get_int32 (message), ==, 7);
  gate_clear (&gate);
}

static GVariant *
write_there (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpDescriptor) descriptor = descriptor_of (args);

  g_assert_cmpint (write (mp_descriptor_get_fd (descriptor), "from there", 10), ==, 10);
  mp_descriptor_close (descriptor);
  return g_variant_new ("()");
}

static void
test_process (void)
{
  g_autoptr(MpDescriptor) writing = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GError) error = NULL;
  int reading;

  make_pipe (&reading, &writing);
  handle = mp_shareable_to_variant (MP_SHAREABLE (writing));
  process = mp_process_new (MP_FUNCTION (write_there), handle);
  g_assert_true (mp_process_start (process, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (mp_process_join (process, LONG, NULL, &error));
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
  g_clear_object (&process);
  mp_descriptor_close (writing);
  check_text (reading, "from there");
}

static void
test_pool (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(MpDescriptor) writing = NULL, back = NULL;
  g_autoptr(GVariant) handle = NULL, result = NULL, nothing = NULL;
  int reading;

  make_pipe (&reading, &writing);
  handle = mp_shareable_to_variant (MP_SHAREABLE (writing));
  nothing = apply (pool, MP_FUNCTION (write_there), handle);
  result = apply (pool, MP_FUNCTION (echo), handle);
  back = descriptor_of (result);
  g_assert_true (back != writing);
  g_assert_cmpint (write (mp_descriptor_get_fd (back), " and back", 9), ==, 9);
  finish (pool);
  mp_descriptor_close (back);
  mp_descriptor_close (writing);
  check_text (reading, "from there and back");
}

static GVariant *
open_status (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpDescriptor) descriptor = take (open ("/proc/self/status", O_RDONLY));

  return mp_shareable_to_variant (MP_SHAREABLE (descriptor));
}

/* One that a worker has opened lives longer than the worker. */
static void
test_pool_result (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (open_status), g_variant_new ("()"));
  g_autoptr(MpDescriptor) descriptor = descriptor_of (result);

  finish (pool);
  g_assert_cmpint (lseek (mp_descriptor_get_fd (descriptor), 0, SEEK_SET), ==, 0);
}

static void
test_queue (void)
{
  g_autoptr(MpQueue) queue = mp_queue_new (0, 0);
  g_autoptr(MpDescriptor) descriptor = take (mp_fd_open_null ());
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (descriptor));
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_queue_put (queue, handle, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_true (mp_queue_is_empty (queue));
}

static void
check_forged (GVariant *state,
              guint     n_fds)
{
  MpShareableAdopt adopt = mp_shareable_find_kind ("descriptor");
  g_autoptr(GError) error = NULL;
  int fds[2];

  g_variant_ref_sink (state);
  for (guint i = 0; i < n_fds; i++)
    fds[i] = mp_fd_open_null ();
  g_assert_null (adopt (state, fds, n_fds, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  /* They stay the caller's. */
  for (guint i = 0; i < n_fds; i++)
    g_assert_cmpint (close (fds[i]), ==, 0);
  g_variant_unref (state);
}

static void
test_forged (void)
{
  Gate gate = gate_new ();   /* makes the kinds known */

  check_forged (g_variant_new ("()"), 0);
  check_forged (g_variant_new ("()"), 2);
  check_forged (g_variant_new ("(i)", 1), 1);
  check_forged (g_variant_new_handle (0), 1);
  gate_clear (&gate);
}

static gpointer
duplicate_often (gpointer data)
{
  for (guint i = 0; i < 1000; i++)
    {
      g_autoptr(GError) error = NULL;
      int fd = mp_descriptor_dup_fd (data, &error);

      if (fd < 0)
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
          return NULL;
        }
      close (fd);
    }
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr(MpDescriptor) descriptor = take (mp_fd_open_null ());
  GThread *threads[3];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("duplicate", duplicate_often, descriptor);
  mp_descriptor_close (descriptor);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/descriptor/new", test_new);
  g_test_add_func ("/descriptor/take", test_take);
  g_test_add_func ("/descriptor/none", test_none);
  g_test_add_func ("/descriptor/connection", test_connection);
  g_test_add_func ("/descriptor/connection/own", test_connection_own);
  g_test_add_func ("/descriptor/connection/many", test_connection_many);
  g_test_add_func ("/descriptor/connection/closed", test_connection_closed);
  g_test_add_func ("/descriptor/process", test_process);
  g_test_add_func ("/descriptor/pool", test_pool);
  g_test_add_func ("/descriptor/pool/result", test_pool_result);
  g_test_add_func ("/descriptor/queue", test_queue);
  g_test_add_func ("/descriptor/forged", test_forged);
  g_test_add_func ("/descriptor/threads", test_threads);

  return g_test_run ();
}
