/* test-connection-bounds.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How much a connection holds: messages, memory, descriptors. */
#include "config.h"

#include "connection-kinds-test.h"
#include "instrument-test.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A handler that takes its time: it is in one message until it is let go. */
typedef struct
{
  GAsyncQueue *words;
  GAsyncQueue *orders;
  int          n_received;   /* atomic */
  gsize        size;
  gboolean     ended;
} Slow;

static void
slow_message_cb (MpConnection *connection,
                 GBytes       *bytes,
                 gpointer      user_data)
{
  Slow *slow = user_data;
  const guint8 *data = g_bytes_get_data (bytes, NULL);

  g_assert_cmpuint (g_bytes_get_size (bytes), ==, slow->size);
  g_assert_cmpuint (*(const guint32 *) (gconstpointer) data, ==, g_atomic_int_get (&slow->n_received));
  if (g_atomic_int_add (&slow->n_received, 1) == 0)
    {
      g_async_queue_push (slow->words, slow);
      g_async_queue_pop (slow->orders);
    }
}

static void
slow_closed_cb (MpConnection *connection,
                GError       *error,
                gpointer      user_data)
{
  g_assert_null (error);
  ((Slow *) user_data)->ended = TRUE;
}

typedef struct
{
  Slow *slow;
  Kind  kind;
  int   fd;
} SlowReader;

static gpointer
slow_reader_thread (gpointer data)
{
  SlowReader *reader = data;
  g_autoptr(GMainContext) context = g_main_context_new ();
  MpConnection *connection;

  g_main_context_push_thread_default (context);
  connection = kind_connect (reader->kind, reader->fd);
  g_signal_connect (connection, "message-bytes", G_CALLBACK (slow_message_cb), reader->slow);
  g_signal_connect (connection, "closed", G_CALLBACK (slow_closed_cb), reader->slow);
  mp_connection_start (connection);
  while (!reader->slow->ended)
    g_main_context_iteration (context, TRUE);
  g_object_unref (connection);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static GBytes *
make_numbered (guint32 number,
               gsize   size)
{
  guint8 *data = g_malloc0 (size);

  memcpy (data, &number, sizeof number);
  return g_bytes_new_take (data, size);
}

/* While a handler is at its message, the other end can send no more than the socket holds, and what one read takes. */
static void
check_back_pressure (Kind  kind,
                     gsize size,
                     gsize max_accepted)
{
  Slow slow = { g_async_queue_new (), g_async_queue_new (), 0, size, FALSE };
  SlowReader reader = { &slow, kind, -1 };
  MpConnection *connection;
  GThread *thread;
  guint n = 0, i;
  int fds[2];

  kind_make_fds (kind, fds);
  connection = kind_connect (kind, fds[0]);
  reader.fd = fds[1];
  thread = g_thread_new ("reader", slow_reader_thread, &reader);
  while (TRUE)
    {
      g_autoptr(GBytes) bytes = make_numbered (n, size);
      g_autoptr(GError) error = NULL;

      if (n == 1)
        g_async_queue_pop (slow.words);   /* the handler has the first */
      if (!mp_connection_send_bytes (connection, bytes, n == 0 ? LONG_TIME : 50000, NULL, &error))
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
          break;
        }
      n++;
      g_assert_cmpuint (n * size, <=, max_accepted);
    }
  g_assert_cmpint (g_atomic_int_get (&slow.n_received), ==, 1);

  g_async_queue_push (slow.orders, &slow);
  for (i = 0; i < 100; i++)
    {
      g_autoptr(GBytes) bytes = make_numbered (n++, size);

      g_assert_true (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, NULL));
    }
  g_assert_true (mp_connection_close (connection, NULL));
  g_thread_join (thread);
  g_assert_cmpint (slow.n_received, ==, n);
  g_object_unref (connection);
  g_async_queue_unref (slow.words);
  g_async_queue_unref (slow.orders);
}

static void
test_back_pressure (gconstpointer data)
{
  Kind kind = GPOINTER_TO_UINT (data);
  /* What the kernel keeps for two sockets, and one read. */
  gsize room = kind == KIND_TCP ? 16 << 20 : 2 << 20;

  check_back_pressure (kind, 100, room);
  check_back_pressure (kind, 65536, room);
  check_back_pressure (kind, 1 << 20, room + (4 << 20));
}

/* Of /proc/self/status, in KiB. */
static gsize
get_memory (const char *what)
{
  g_autofree char *status = NULL;
  const char *line;

  g_assert_true (g_file_get_contents ("/proc/self/status", &status, NULL, NULL));
  line = strstr (status, what);
  g_assert_nonnull (line);
  return g_ascii_strtoull (line + strlen (what) + 1, NULL, 10);
}

/* The most that this process has had goes back to what it has. */
static gboolean
reset_peak (void)
{
  int fd = open ("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  gboolean done = fd >= 0 && write (fd, "5", 1) == 1;

  if (fd >= 0)
    close (fd);
  return done;
}

static gboolean
send_all_and_exit (Kind  kind,
                   int   fds[2],
                   gsize size,
                   guint n)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GBytes) bytes = make_large (size);
  gboolean ok = TRUE;
  guint i;

  close (fds[0]);
  connection = kind_connect (kind, fds[1]);
  for (i = 0; i < n; i++)
    ok = ok && mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, NULL);
  return ok && mp_connection_close (connection, NULL);
}

/* Who receives a large message needs memory for it, and little more; who takes it into memory of its own the same. */
static void
test_memory (gconstpointer data)
{
  const gsize size = (gsize) 64 << 20;
  Kind kind = GPOINTER_TO_UINT (data);
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;
  gsize before, peak;
  int fds[2], status;
  pid_t pid;

  if (is_slow () || UNDER_ADDRESS_SANITIZER)
    {
      g_test_skip ("the instrument has memory of its own");
      return;
    }

  kind_make_fds (kind, fds);
  pid = fork ();
  if (pid == 0)
    _exit (send_all_and_exit (kind, fds, size, 1) ? 0 : 1);

  close (fds[1]);
  connection = kind_connect (kind, fds[0]);
  /* What is used for the first time is there now. */
  g_assert_false (mp_connection_poll (connection, 0, NULL, NULL));
  if (!reset_peak ())
    {
      g_test_skip ("the kernel does not forget the peak");
      kill (pid, SIGKILL);
      waitpid (pid, &status, 0);
      return;
    }
  before = get_memory ("VmRSS:");
  bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);
  peak = get_memory ("VmHWM:");
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, size);
  g_test_message ("%" G_GSIZE_FORMAT " KiB for a message of %" G_GSIZE_FORMAT " KiB", peak - before, size >> 10);
  g_assert_cmpuint (peak - before, <=, (size >> 10) + 1024);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  /* It is given back with the message. */
  g_clear_pointer (&bytes, g_bytes_unref);
  g_assert_cmpuint (get_memory ("VmRSS:"), <=, before + 1024);
}

/* For 64 descriptors and more in one message there must be room in this process: sent, under way and received. */
static gboolean
make_room_for_descriptors (struct rlimit *limit)
{
  struct rlimit high;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, limit), ==, 0);
  high = *limit;
  high.rlim_cur = MIN (high.rlim_max, 8192);
  if (high.rlim_cur < 4096 || !limit_is_real ())
    {
      g_test_skip ("this process may not open so many files");
      return FALSE;
    }
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &high), ==, 0);
  return TRUE;
}

static guint
count_descriptors (void)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* Pipes in which one can write at the one side what comes out at the other: the n-th holds its number. */
static GVariant *
make_descriptors (guint      n,
                  GPtrArray *objects)
{
  GVariantBuilder builder;
  guint i;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("ah"));
  for (i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u", i);
      MpDescriptor *object = mp_descriptor_new_take (mp_fd_memory_file (name, sizeof i), NULL);

      g_assert_cmpint (pwrite (mp_descriptor_get_fd (object), &i, sizeof i, 0), ==, sizeof i);
      g_variant_builder_add_value (&builder, mp_shareable_to_variant (MP_SHAREABLE (object)));
      g_ptr_array_add (objects, object);
    }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

static void
check_descriptors (GVariant *value,
                   guint     n)
{
  guint i, number;

  g_assert_nonnull (value);
  g_assert_cmpuint (g_variant_n_children (value), ==, n);
  for (i = 0; i < n; i++)
    {
      g_autoptr(GVariant) handle = g_variant_get_child_value (value, i);
      g_autoptr(MpDescriptor) object = MP_DESCRIPTOR (mp_shareable_from_variant (handle, NULL));

      g_assert_cmpint (pread (mp_descriptor_get_fd (object), &number, sizeof number, 0), ==, sizeof number);
      g_assert_cmpuint (number, ==, i);
    }
}

static void
test_descriptors (gconstpointer data)
{
  static const guint numbers[] = { 1, 64, 253, 254, 600, 1012 };
  Kind kind = GPOINTER_TO_UINT (data);
  struct rlimit limit;
  guint n_before, i;
  Pipe pipe;

  if (!make_room_for_descriptors (&limit))
    return;

  kind_open (kind, &pipe);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, NULL));
  n_before = count_descriptors ();
  for (i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func (g_object_unref);
      g_autoptr(GVariant) value = make_descriptors (numbers[i], objects);
      g_autoptr(GVariant) received = NULL;
      g_autoptr(GError) error = NULL;

      send_ok (pipe.first, value);
      send_ok (pipe.first, g_variant_new_uint32 (i));
      received = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      check_descriptors (received, numbers[i]);
      g_clear_pointer (&received, g_variant_unref);
      received = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (g_variant_get_uint32 (received), ==, i);
    }

  {
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func (g_object_unref);
    g_autoptr(GVariant) value = make_descriptors (1013, objects);
    g_autoptr(GError) error = NULL;

    g_assert_false (mp_connection_send (pipe.first, value, LONG_TIME, NULL, &error));
    g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  }
  g_assert_cmpuint (count_descriptors (), ==, n_before);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  pipe_clear (&pipe);
}

/* More descriptors than there is room for: the message is lost, with an error that says why; none of those that did
 * come stays open, and what comes behind it is right. */
static void
test_no_room (gconstpointer data)
{
  Kind kind = GPOINTER_TO_UINT (data);
  g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  struct rlimit limit, low;
  guint n_before;
  Pipe pipe;

  if (!make_room_for_descriptors (&limit))
    return;

  kind_open (kind, &pipe);
  g_assert_false (mp_connection_poll (pipe.second, 0, NULL, NULL));
  value = make_descriptors (600, objects);
  n_before = count_descriptors ();
  send_ok (pipe.first, value);
  send_ok (pipe.first, g_variant_new_string ("behind it"));
  send_ok (pipe.first, g_variant_get_child_value (value, 7));

  /* Room for some, not for all. */
  low = limit;
  low.rlim_cur = n_before + 300;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  g_assert_null (mp_connection_recv (pipe.second, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_clear_error (&error);
  g_assert_false (mp_connection_is_closed (pipe.second));
  recv_ok (pipe.second, "'behind it'");
  {
    g_autoptr(GVariant) handle = mp_connection_recv (pipe.second, LONG_TIME, NULL, &error);
    g_autoptr(MpDescriptor) object = NULL;
    guint number = 0;

    g_assert_no_error (error);
    object = MP_DESCRIPTOR (mp_shareable_from_variant (handle, NULL));
    g_assert_cmpint (pread (mp_descriptor_get_fd (object), &number, sizeof number, 0), ==, sizeof number);
    g_assert_cmpuint (number, ==, 7);
  }
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  g_assert_cmpuint (count_descriptors (), ==, n_before);
  pipe_clear (&pipe);
}

/* Descriptors that nothing asked for are closed at once; the message is right if they were announced, and else the
 * last: whoever sends such is cut off. */
static void
check_unasked (Kind     kind,
               gboolean announced,
               gsize    size,
               gsize    n_before_fds)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GBytes) text = make_large (size);
  g_autoptr(GByteArray) array = g_byte_array_new ();
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;
  struct iovec iov;
  int fds[2], ends[2];
  GPollFD poll_fd;
  guint n_before;

  kind_make_fds (kind, fds);
  connection = kind_connect (kind, fds[0]);
  g_assert_false (mp_connection_poll (connection, 0, NULL, NULL));   /* this thread has what it needs for waiting */
  kind_append_frame (kind, array, text);
  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  if (announced)
    ((MpFrameHeader *) (gpointer) array->data)->n_fds = 1;
  iov = (struct iovec) { array->data, n_before_fds };
  if (n_before_fds > 0)
    g_assert_cmpint (mp_socket_send (fds[1], &iov, 1, NULL, 0, FALSE), ==, n_before_fds);
  iov = (struct iovec) { array->data + n_before_fds, array->len - n_before_fds };
  g_assert_cmpint (mp_socket_send (fds[1], &iov, 1, &ends[1], 1, FALSE), ==, iov.iov_len);
  close (ends[1]);
  n_before = count_descriptors ();

  bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (bytes, text));
  g_assert_cmpuint (count_descriptors (), ==, n_before);
  g_assert_null (mp_connection_recv_bytes (connection, 0, NULL, &error));
  if (announced)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  else
    g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);

  /* Nobody can write any more. */
  poll_fd = (GPollFD) { ends[0], G_IO_IN, 0 };
  g_assert_cmpint (mp_poll_fds (&poll_fd, 1, LONG_TIME), ==, 1);
  close (ends[0]);
  close (fds[1]);
}

static void
test_unasked (void)
{
  check_unasked (KIND_PIPE, TRUE, 4, 0);
  check_unasked (KIND_PIPE, FALSE, 4, 0);
  check_unasked (KIND_PIPE, FALSE, 4, 17);
  check_unasked (KIND_PIPE, FALSE, 80000, 5);
  check_unasked (KIND_STREAM, FALSE, 4, 4);
  check_unasked (KIND_STREAM, FALSE, 80000, 6);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  add_kind_tests ("/connection-bounds/back-pressure", test_back_pressure);
  add_kind_tests ("/connection-bounds/memory", test_memory);
  g_test_add_data_func ("/connection-bounds/descriptors/pipe", GUINT_TO_POINTER (KIND_PIPE), test_descriptors);
  g_test_add_data_func ("/connection-bounds/descriptors/stream", GUINT_TO_POINTER (KIND_STREAM), test_descriptors);
  g_test_add_data_func ("/connection-bounds/no-room/pipe", GUINT_TO_POINTER (KIND_PIPE), test_no_room);
  g_test_add_data_func ("/connection-bounds/no-room/stream", GUINT_TO_POINTER (KIND_STREAM), test_no_room);
  g_test_add_func ("/connection-bounds/unasked", test_unasked);

  return g_test_run ();
}
