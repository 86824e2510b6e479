/* test-wire-stream.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The framing of CPython's connections. What CPython itself makes of it: interop/test-channel.c. */

#define BEYOND ((gsize) 0x80000005)

typedef struct
{
  MpWire *out;
  MpWire *in;
} Wires;

static void
wires_open (Wires *wires)
{
  int fds[2];

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  wires->out = mp_wire_new_stream (fds[0], G_MAXINT64);
  wires->in = mp_wire_new_stream (fds[1], G_MAXINT64);
  g_assert_true (mp_wire_is_stream (wires->in));
}

static void
wires_clear (Wires *wires)
{
  mp_wire_free (wires->out);
  mp_wire_free (wires->in);
}

static void
next_ok (Wires   *wires,
         MpFrame *frame)
{
  g_autoptr(GError) error = NULL;

  while (!mp_wire_next (wires->in, frame, &error))
    {
      g_assert_no_error (error);
      g_assert_true (mp_wire_flush (wires->out, &error));
      g_assert_no_error (error);
      g_assert_cmpint (mp_wire_fill (wires->in, FALSE, &error), >=, 0);
      g_assert_no_error (error);
    }
  g_assert_cmpuint (frame->kind, ==, MP_STREAM_KIND);
}

static void
queue_bytes (MpWire        *wire,
             gconstpointer  data,
             gsize          size,
             gboolean       lent)
{
  g_autoptr(GBytes) bytes = lent ? g_bytes_new (data, size) : NULL;
  MpPiece piece = { lent ? g_bytes_get_data (bytes, NULL) : data, size, bytes };

  mp_wire_queue (wire, MP_STREAM_KIND, 0, &piece, 1, NULL, 0);
}

static void
queue_value (MpWire   *wire,
             GVariant *value)
{
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;

  mp_value_encode (value, &encoded, &error);
  g_assert_no_error (error);
  mp_wire_queue_value (wire, MP_STREAM_KIND, 0, NULL, 0, &encoded);
  mp_encoded_clear (&encoded);
}

static GVariant *
take_value (MpFrame *frame)
{
  g_autoptr(GError) error = NULL;
  GVariant *value;
  gsize used;

  g_assert_true (frame->is_value);
  g_assert_cmpuint (GPOINTER_TO_SIZE (frame->data) % 8, ==, 0);
  value = mp_frame_get_value (frame, MP_STREAM_MAGIC_SIZE, &used, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (used, ==, frame->size - MP_STREAM_MAGIC_SIZE);
  mp_frame_clear (frame);
  return value;
}

static void
check_head (guint64     length,
            const char *expected)
{
  guint8 head[MP_STREAM_MAX_HEAD];
  guint size = mp_stream_put_head (head, length);
  g_autoptr(GString) text = g_string_new (NULL);
  guint64 found = 0;
  guint i;

  for (i = 0; i < size; i++)
    g_string_append_printf (text, "%02x", head[i]);
  g_assert_cmpstr (text->str, ==, expected);
  for (i = 0; i < size; i++)
    g_assert_cmpuint (mp_stream_get_head (head, i, &found), ==, 0);
  g_assert_cmpuint (mp_stream_get_head (head, size, &found), ==, size);
  g_assert_cmpuint (found, ==, length);
}

static void
test_head (void)
{
  static const guint8 negative[][4] = { { 0x80, 0, 0, 0 }, { 255, 255, 255, 254 }, { 0xff, 0, 0, 1 } };
  static const guint8 needless[] = { 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 7 };
  guint64 length = 0;
  gsize i;

  check_head (0, "00000000");
  check_head (1, "00000001");
  check_head (0x01020304, "01020304");
  check_head (0x7fffffff, "7fffffff");
  check_head (G_GUINT64_CONSTANT (0x80000000), "ffffffff0000000080000000");
  check_head (G_GUINT64_CONSTANT (0xffffffff), "ffffffff00000000ffffffff");
  check_head (G_GUINT64_CONSTANT (0x0102030405060708), "ffffffff0102030405060708");
  check_head (G_MAXUINT64, "ffffffffffffffffffffffff");

  for (i = 0; i < G_N_ELEMENTS (negative); i++)
    g_assert_cmpuint (mp_stream_get_head (negative[i], 4, &length), ==, G_MAXUINT);
  g_assert_cmpuint (mp_stream_get_head (needless, sizeof needless, &length), ==, MP_STREAM_MAX_HEAD);
  g_assert_cmpuint (length, ==, 7);
}

static void
test_sizes (void)
{
  static const gsize sizes[] = { 0, 1, 3, 4, 5, 7, 8, 9, 100, 4096, 16383, 16384, 16385, 65500, 65515, 65516, 65519,
                                 65520, 65521, 65524, 65527, 65528, 65529, 65532, 65533, 65536, 65537, 100001, 1 << 20,
                                 (1 << 20) + 3, 5000001 };
  g_autofree guint8 *data = g_malloc (6000000);
  MpFrame frame;
  Wires wires;
  gsize i;

  for (i = 0; i < 6000000; i++)
    data[i] = i ^ (i >> 8);

  wires_open (&wires);
  for (i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    queue_bytes (wires.out, data + i, sizes[i / 2], i % 2);
  for (i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    {
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.size, ==, sizes[i / 2]);
      g_assert_true (memcmp (frame.data, data + i, sizes[i / 2]) == 0);
      g_assert_false (frame.is_value);
      g_assert_true ((frame.bytes != NULL) == (frame.size + 4 + 4 > 65536));
      mp_frame_clear (&frame);
    }
  g_assert_cmpuint (mp_wire_get_pending (wires.out), ==, 0);
  g_assert_true (mp_wire_is_idle (wires.in) && mp_wire_is_idle (wires.out));
  wires_clear (&wires);
}

/* Byte for byte. */
static void
test_bits (void)
{
  static const guint8 bytes[] = { 0, 0, 0, 3, 'a', 'b', 'c',  0, 0, 0, 0,
                                  255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 1, 'd' };
  static const char *const expected[] = { "abc", "", "d" };
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *got = g_malloc (sizeof bytes);
  MpFrame frame;
  int fds[2];
  MpWire *wire;
  guint i, n_frames = 0;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  wire = mp_wire_new_stream (fds[1], G_MAXINT64);
  for (i = 0; i < sizeof bytes; i++)
    {
      g_assert_cmpint (write (fds[0], bytes + i, 1), ==, 1);
      g_assert_cmpint (mp_wire_fill (wire, TRUE, &error), ==, 1);
      g_assert_cmpint (mp_wire_has_frame (wire), ==, i == 6 || i == 10 || i == 23);
      while (mp_wire_next (wire, &frame, &error))
        {
          g_assert_cmpmem (frame.data, frame.size, expected[n_frames], strlen (expected[n_frames]));
          n_frames++;
          mp_frame_clear (&frame);
        }
      g_assert_no_error (error);
    }
  g_assert_cmpuint (n_frames, ==, 3);

  /* And out. */
  queue_bytes (wire, "abc", 3, FALSE);
  queue_bytes (wire, NULL, 0, FALSE);
  g_assert_true (mp_wire_flush (wire, NULL));
  g_assert_cmpint (read (fds[0], got, sizeof bytes), ==, 11);
  g_assert_cmpmem (got, 11, bytes, 11);

  /* The end, and in the midst of a head. */
  g_assert_cmpint (write (fds[0], bytes, 3), ==, 3);
  close (fds[0]);
  g_assert_cmpint (mp_wire_fill (wire, TRUE, &error), ==, 3);
  g_assert_cmpint (mp_wire_fill (wire, TRUE, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_true (mp_wire_at_end (wire));
  mp_wire_free (wire);
}

/* A message beyond 2 GiB is begun and not sent: memory that nobody has written to takes no room. */
static void
test_beyond (void)
{
  gpointer data = mmap (NULL, BEYOND, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  static const guint8 head[] = { 255, 255, 255, 255, 0, 0, 0, 0, 0x80, 0, 0, 5 };
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GError) error = NULL;
  guint8 got[sizeof head];
  int fds[2];
  MpPiece piece;
  MpFrame frame;
  MpWire *wire, *in;

  if (data == MAP_FAILED)
    {
      g_test_skip ("no room for 2 GiB of nothing");
      return;
    }

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  wire = mp_wire_new_stream (fds[1], G_MAXINT64);
  bytes = g_bytes_new_static (data, BEYOND);
  piece = (MpPiece) { data, BEYOND, bytes };
  mp_wire_queue (wire, MP_STREAM_KIND, 0, &piece, 1, NULL, 0);
  g_assert_cmpuint (mp_wire_get_pending (wire), ==, sizeof head + BEYOND);
  g_assert_true (mp_wire_flush (wire, &error));
  g_assert_cmpint (recv (fds[0], got, sizeof got, MSG_PEEK), ==, sizeof got);
  g_assert_cmpmem (got, sizeof got, head, sizeof head);
  mp_wire_free (wire);

  /* And received: what has come is there, the rest is not. */
  in = mp_wire_new_stream (fds[0], G_MAXINT64);
  g_assert_false (mp_wire_next (in, &frame, &error));
  while (mp_wire_fill (in, FALSE, &error) > 0)
    g_assert_false (mp_wire_next (in, &frame, NULL));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_wire_free (in);
  munmap (data, BEYOND);
}

static void
check_broken (const guint8 *data,
              gsize         size,
              guint64       max_length,
              int           code)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GError) again = NULL;
  MpFrame frame;
  int fds[2];
  MpWire *in;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  in = mp_wire_new_stream (fds[1], max_length);
  g_assert_cmpint (write (fds[0], data, size), ==, size);
  while (error == NULL)
    {
      if (mp_wire_next (in, &frame, &error))
        mp_frame_clear (&frame);
      else if (error == NULL)
        mp_wire_fill (in, FALSE, &error);
    }
  g_assert_error (error, MP_ERROR, code);
  g_assert_true (mp_wire_has_frame (in));
  g_assert_false (mp_wire_next (in, &frame, &again));
  g_assert_error (again, MP_ERROR, code);
  close (fds[0]);
  mp_wire_free (in);
}

static void
test_broken (void)
{
  static const guint8 negative[] = { 0xff, 0xff, 0xff, 0xfe };
  static const guint8 nine[] = { 0, 0, 0, 9, '1', '2' };
  static const guint8 long_nine[] = { 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 9 };
  static const guint8 endless[] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };

  check_broken (negative, sizeof negative, G_MAXINT64, MP_ERROR_PROTOCOL);
  check_broken (nine, sizeof nine, 8, MP_ERROR_TOO_LARGE);
  check_broken (long_nine, sizeof long_nine, 8, MP_ERROR_TOO_LARGE);
  check_broken (endless, sizeof endless, G_MAXINT64, MP_ERROR_TOO_LARGE);
  check_broken (endless, sizeof endless, G_MAXUINT64, MP_ERROR_TOO_LARGE);
}

/* Descriptors with bytes that they do not belong to, and unasked with those that they would. */
static void
test_strays (void)
{
  static const guint8 frames[] = { 0, 0, 0, 1, 'a', 0, 0, 0, 1, 'b' };
  g_autoptr(GError) error = NULL;
  int null_fd = mp_fd_open_null ();
  struct iovec iov = { (gpointer) frames, 1 };
  MpFrame frame;
  int fds[2];
  MpWire *in;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  in = mp_wire_new_stream (fds[1], G_MAXINT64);
  g_assert_cmpint (mp_socket_send (fds[0], &iov, 1, &null_fd, 1, TRUE), ==, 1);
  g_assert_cmpint (write (fds[0], frames + 1, 4), ==, 4);
  g_assert_cmpint (mp_wire_fill (in, TRUE, NULL), ==, 1);
  g_assert_cmpint (mp_wire_fill (in, TRUE, NULL), ==, 4);
  g_assert_true (mp_wire_next (in, &frame, NULL));
  g_assert_cmpuint (frame.n_fds, ==, 1);
  mp_frame_clear (&frame);

  iov.iov_len = 5;
  g_assert_cmpint (mp_socket_send (fds[0], &iov, 1, &null_fd, 1, TRUE), ==, 5);
  g_assert_cmpint (write (fds[0], frames + 5, 5), ==, 5);
  g_assert_cmpint (mp_wire_fill (in, TRUE, NULL), ==, 5);
  g_assert_true (mp_wire_next (in, &frame, NULL));
  g_assert_cmpuint (frame.n_fds, ==, 0);
  mp_frame_clear (&frame);
  g_assert_cmpint (mp_wire_fill (in, TRUE, &error), ==, -1);
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_false (mp_wire_next (in, &frame, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  close (null_fd);
  close (fds[0]);
  mp_wire_free (in);
}

static void
test_values (void)
{
  MpFrame frame;
  Wires wires;
  guint i;

  wires_open (&wires);
  for (i = 0; i < 70; i++)
    {
      queue_bytes (wires.out, "0123456789", i % 11, FALSE);
      queue_value (wires.out, g_variant_new ("(isd)", i, "text", 0.5));
    }
  for (i = 0; i < 70; i++)
    {
      g_autoptr(GVariant) value = NULL;
      g_autoptr(GVariant) expected = g_variant_ref_sink (g_variant_new ("(isd)", i, "text", 0.5));

      next_ok (&wires, &frame);
      g_assert_cmpmem (frame.data, frame.size, "0123456789", i % 11);
      g_assert_false (frame.is_value);
      mp_frame_clear (&frame);
      next_ok (&wires, &frame);
      value = take_value (&frame);
      g_assert_cmpvariant (value, expected);
    }

  /* Large ones, of several pieces. */
  for (i = 60000; i < 200000; i += 1001)
    {
      g_autofree char *text = g_strnfill (i, 'x');
      g_autoptr(GVariant) value = NULL;
      const char *got;

      queue_bytes (wires.out, "0123456789", i % 11, FALSE);
      queue_value (wires.out, g_variant_new ("(ss)", "x", text));
      next_ok (&wires, &frame);
      mp_frame_clear (&frame);
      next_ok (&wires, &frame);
      value = take_value (&frame);
      g_variant_get (value, "(&s&s)", NULL, &got);
      g_assert_cmpstr (got, ==, text);
    }
  wires_clear (&wires);
}

static ino_t
inode_of (int fd)
{
  struct stat status;

  g_assert_cmpint (fstat (fd, &status), ==, 0);
  return status.st_ino;
}

static void
test_descriptors (void)
{
  static const guint counts[] = { 1, 0, 2, 64, 252, 253, 254, 506, 507, 600, MP_MAX_FDS, 0, 1, 1, 1 };
  g_autofree guint8 *data = g_malloc0 (100000);
  guint i, j;
  MpFrame frame;
  Wires wires;

  if (sysconf (_SC_OPEN_MAX) < 3 * MP_MAX_FDS)
    {
      g_test_skip ("not enough descriptors are allowed");
      return;
    }

  wires_open (&wires);
  for (i = 0; i < G_N_ELEMENTS (counts); i++)
    {
      g_autofree int *fds = g_new (int, counts[i] + 1);
      g_autofree ino_t *inodes = g_new (ino_t, counts[i] + 1);
      MpPiece piece = { data, i % 3 == 0 ? 0 : i % 3 == 1 ? 21 : 100000, NULL };

      for (j = 0; j < counts[i]; j++)
        {
          fds[j] = mp_fd_memory_file ("test", 8);
          inodes[j] = inode_of (fds[j]);
        }
      queue_bytes (wires.out, data, 3, FALSE);
      mp_wire_queue (wires.out, MP_STREAM_KIND, 0, &piece, 1, fds, counts[i]);
      queue_bytes (wires.out, data, 5, FALSE);

      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.size, ==, 3);
      g_assert_cmpuint (frame.n_fds, ==, 0);
      mp_frame_clear (&frame);
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.size, ==, piece.size);
      g_assert_cmpuint (frame.n_fds, ==, counts[i]);
      g_assert_false (frame.fds_lost);
      for (j = 0; j < counts[i]; j++)
        g_assert_cmpuint (inode_of (frame.fds[j]), ==, inodes[j]);
      mp_frame_clear (&frame);
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.size, ==, 5);
      g_assert_cmpuint (frame.n_fds, ==, 0);
      mp_frame_clear (&frame);
    }
  wires_clear (&wires);
}

/* Objects in values, one behind the other on their way. */
static void
test_objects (void)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  Wires wires;
  guint i;

  wires_open (&wires);
  for (i = 0; i < 10; i++)
    {
      g_autoptr(MpSharedMemory) memory = mp_shared_memory_new (100 + i, &error);

      g_assert_no_error (error);
      queue_bytes (wires.out, "12345", i % 6, FALSE);
      queue_value (wires.out, g_variant_new ("(@hs)", mp_shareable_to_variant (MP_SHAREABLE (memory)), "memory"));
    }
  for (i = 0; i < 10; i++)
    {
      g_autoptr(GVariant) value = NULL;
      g_autoptr(GVariant) handle = NULL;
      g_autoptr(MpShareable) memory = NULL;

      next_ok (&wires, &frame);
      mp_frame_clear (&frame);
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.n_fds, ==, 1);
      value = take_value (&frame);
      handle = g_variant_get_child_value (value, 0);
      memory = mp_shareable_from_variant (handle, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (mp_shared_memory_get_size (MP_SHARED_MEMORY (memory)), ==, 100 + i);
    }
  wires_clear (&wires);
}

/* A value taken back leaves nothing, and closes its descriptors. */
static void
test_unqueue (void)
{
  MpFrame frame;
  Wires wires;
  int pair[2];
  char byte;

  wires_open (&wires);
  g_assert_cmpint (mp_fd_pipe (pair), ==, 0);
  queue_bytes (wires.out, "first", 5, FALSE);
  mp_wire_queue (wires.out, MP_STREAM_KIND, 0, NULL, 0, &pair[1], 1);
  g_assert_true (mp_wire_last_untouched (wires.out));
  mp_wire_unqueue_last (wires.out);
  g_assert_cmpint (read (pair[0], &byte, 1), ==, 0);
  close (pair[0]);
  queue_bytes (wires.out, "second", 6, FALSE);
  next_ok (&wires, &frame);
  g_assert_cmpmem (frame.data, frame.size, "first", 5);
  mp_frame_clear (&frame);
  next_ok (&wires, &frame);
  g_assert_cmpmem (frame.data, frame.size, "second", 6);
  mp_frame_clear (&frame);

  /* It stays a stream when what was to be sent is dropped. */
  queue_bytes (wires.out, "third", 5, FALSE);
  mp_wire_drop_output (wires.out);
  queue_bytes (wires.out, "fourth", 6, FALSE);
  next_ok (&wires, &frame);
  g_assert_cmpmem (frame.data, frame.size, "fourth", 6);
  mp_frame_clear (&frame);
  wires_clear (&wires);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wire-stream/head", test_head);
  g_test_add_func ("/wire-stream/sizes", test_sizes);
  g_test_add_func ("/wire-stream/bits", test_bits);
  g_test_add_func ("/wire-stream/beyond", test_beyond);
  g_test_add_func ("/wire-stream/broken", test_broken);
  g_test_add_func ("/wire-stream/strays", test_strays);
  g_test_add_func ("/wire-stream/values", test_values);
  g_test_add_func ("/wire-stream/descriptors", test_descriptors);
  g_test_add_func ("/wire-stream/objects", test_objects);
  g_test_add_func ("/wire-stream/unqueue", test_unqueue);

  return g_test_run ();
}
