/* test-wire.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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
  wires->out = mp_wire_new (fds[0], G_MAXINT64);
  wires->in = mp_wire_new (fds[1], G_MAXINT64);
}

static void
wires_clear (Wires *wires)
{
  g_clear_pointer (&wires->out, mp_wire_free);
  g_clear_pointer (&wires->in, mp_wire_free);
}

static void
queue_bytes (MpWire       *wire,
             guint32       tag,
             const guint8 *data,
             gsize         size,
             gboolean      lent)
{
  g_autoptr(GBytes) bytes = lent ? g_bytes_new (data, size) : NULL;
  MpPiece pieces[2] = { { data, size, NULL }, { data, 5, NULL } };

  if (lent)
    pieces[0] = (MpPiece) { g_bytes_get_data (bytes, NULL), size, bytes };
  mp_wire_queue (wire, 7, tag, pieces, 2, NULL, 0);
}

static void
flush_ok (MpWire *wire)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_wire_flush (wire, &error));
  g_assert_no_error (error);
}

/* The next frame, with the peer's help. */
static void
next_ok (Wires   *wires,
         MpFrame *frame)
{
  g_autoptr(GError) error = NULL;

  while (!mp_wire_next (wires->in, frame, &error))
    {
      g_assert_no_error (error);
      if (wires->out != NULL)
        flush_ok (wires->out);
      g_assert_cmpint (mp_wire_fill (wires->in, FALSE, &error), >=, 0);
      g_assert_no_error (error);
    }
}

static void
test_sizes (void)
{
  static const gsize sizes[] = { 0, 1, 7, 8, 9, 100, 4096, 16383, 16384, 16385, 65500, 65515, 65516, 65520, 65521,
                                 65536, 100001, 1 << 20, (1 << 20) + 3, 5000001 };
  g_autofree guint8 *data = g_malloc (6000000);
  MpFrame frame;
  Wires wires;
  gsize i;

  for (i = 0; i < 6000000; i++)
    data[i] = i ^ (i >> 8);

  wires_open (&wires);
  for (i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    queue_bytes (wires.out, i, data + i, sizes[i / 2], i % 2);
  for (i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    {
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.kind, ==, 7);
      g_assert_cmpuint (frame.tag, ==, i);
      g_assert_cmpuint (GPOINTER_TO_SIZE (frame.data) % 8, ==, 0);
      g_assert_cmpuint (frame.size, ==, sizes[i / 2] + 5);
      g_assert_true (memcmp (frame.data, data + i, sizes[i / 2]) == 0);
      g_assert_true (memcmp (frame.data + sizes[i / 2], data + i, 5) == 0);
      g_assert_true ((frame.bytes != NULL) == (frame.size + 16 > 65536));
      mp_frame_clear (&frame);
    }
  g_assert_cmpuint (mp_wire_get_pending (wires.out), ==, 0);
  g_assert_true (mp_wire_is_idle (wires.in) && mp_wire_is_idle (wires.out));

  /* What is to be filled in is aligned, whatever was queued before it. */
  queue_bytes (wires.out, 1, data, 20003, TRUE);
  g_assert_cmpuint (GPOINTER_TO_SIZE (mp_wire_queue_short (wires.out, 1, 1, 0)) % 8, ==, 0);
  wires_clear (&wires);
}

/* A stream in small bits: whole frames only, each at its time. */
static void
test_bits (void)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  guint8 bytes[200];
  guint64 *place;
  int fds[2];
  gssize n;
  MpWire *out, *in;
  guint i, n_frames = 0;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  out = mp_wire_new (fds[0], G_MAXINT64);
  place = mp_wire_queue_short (out, 3, 1, 8);
  *place = 11;
  place = mp_wire_queue_short (out, 4, 2, 0);
  place = mp_wire_queue_short (out, 5, 3, 12);
  place[0] = 33;
  flush_ok (out);
  n = read (fds[1], bytes, sizeof bytes);
  g_assert_cmpint (n, ==, 24 + 16 + 32);

  in = mp_wire_new (fds[1], G_MAXINT64);
  for (i = 0; i < n; i++)
    {
      g_assert_cmpint (write (fds[0], bytes + i, 1), ==, 1);
      g_assert_cmpint (mp_wire_fill (in, TRUE, &error), ==, 1);
      g_assert_cmpint (mp_wire_has_frame (in), ==, i == 23 || i == 39 || i == 71);
      while (mp_wire_next (in, &frame, &error))
        {
          n_frames++;
          g_assert_cmpuint (frame.kind, ==, n_frames + 2);
          g_assert_cmpuint (frame.tag, ==, n_frames);
          g_assert_cmpuint (frame.size, ==, n_frames == 1 ? 8 : n_frames == 2 ? 0 : 12);
          mp_frame_clear (&frame);
        }
      g_assert_no_error (error);
    }
  g_assert_cmpuint (n_frames, ==, 3);
  mp_wire_free (out);
  g_assert_cmpint (mp_wire_fill (in, TRUE, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_true (mp_wire_at_end (in));
  mp_wire_free (in);
}

/* Frames that are there are read after the peer has gone; a frame cut off is not there. */
static void
test_end (void)
{
  g_autofree guint8 *data = g_malloc0 (300000);
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  Wires wires;

  wires_open (&wires);
  queue_bytes (wires.out, 1, data, 10, FALSE);
  queue_bytes (wires.out, 2, data, 70000, FALSE);
  queue_bytes (wires.out, 3, data, 300000, TRUE);
  flush_ok (wires.out);
  g_assert_cmpuint (mp_wire_get_pending (wires.out), >, 0);
  g_clear_pointer (&wires.out, mp_wire_free);

  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 1);
  mp_frame_clear (&frame);
  g_assert_false (mp_wire_at_end (wires.in));
  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 2);
  mp_frame_clear (&frame);
  while (mp_wire_fill (wires.in, TRUE, &error) > 0)
    g_assert_false (mp_wire_next (wires.in, &frame, NULL));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_true (mp_wire_at_end (wires.in));
  wires_clear (&wires);
}

/* The kernel calls it a reset when the peer has not read all; for who reads it is the end. */
static void
test_reset (void)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  Wires wires;

  wires_open (&wires);
  mp_wire_queue_short (wires.in, 1, 1, 0);
  flush_ok (wires.in);
  mp_wire_queue_short (wires.out, 1, 2, 0);
  flush_ok (wires.out);
  g_clear_pointer (&wires.out, mp_wire_free);
  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 2);
  mp_frame_clear (&frame);
  g_assert_cmpint (mp_wire_fill (wires.in, TRUE, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  wires_clear (&wires);
}

static void
test_peer_gone (void)
{
  g_autoptr(GError) error = NULL;
  Wires wires;

  wires_open (&wires);
  g_clear_pointer (&wires.in, mp_wire_free);
  mp_wire_queue_short (wires.out, 1, 1, 0);
  g_assert_false (mp_wire_flush (wires.out, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  g_clear_error (&error);
  g_assert_false (mp_wire_flush_blocking (wires.out, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  wires_clear (&wires);
}

static void
test_unqueue (void)
{
  g_autofree guint8 *data = g_malloc0 (400000);
  MpFrame frame;
  Wires wires;
  guint i;

  wires_open (&wires);
  g_assert_false (mp_wire_last_untouched (wires.out));
  queue_bytes (wires.out, 1, data, 10, FALSE);
  queue_bytes (wires.out, 2, data, 40000, TRUE);
  g_assert_true (mp_wire_last_untouched (wires.out));
  mp_wire_unqueue_last (wires.out);
  g_assert_false (mp_wire_last_untouched (wires.out));
  queue_bytes (wires.out, 3, data, 20, FALSE);
  flush_ok (wires.out);
  g_assert_false (mp_wire_last_untouched (wires.out));
  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 1);
  mp_frame_clear (&frame);
  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 3);
  mp_frame_clear (&frame);

  /* Behind one that is half sent. */
  queue_bytes (wires.out, 4, data, 400000, FALSE);
  flush_ok (wires.out);
  g_assert_cmpuint (mp_wire_get_pending (wires.out), >, 0);
  g_assert_false (mp_wire_last_untouched (wires.out));
  for (i = 0; i < 3; i++)
    {
      int fd = mp_fd_open_null ();

      mp_wire_queue (wires.out, 7, 5, NULL, 0, &fd, 1);
      g_assert_true (mp_wire_last_untouched (wires.out));
      mp_wire_unqueue_last (wires.out);
    }
  queue_bytes (wires.out, 6, data, 30, TRUE);
  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 4);
  mp_frame_clear (&frame);
  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 6);
  mp_frame_clear (&frame);
  wires_clear (&wires);
}

static ino_t
inode_of (int fd)
{
  struct stat status;

  g_assert_cmpint (fstat (fd, &status), ==, 0);
  return status.st_ino;
}

/* Descriptors that can be told apart. */
static int
new_file (ino_t *inode)
{
  int fd = mp_fd_memory_file ("test", 8);

  g_assert_cmpint (fd, >=, 0);
  *inode = inode_of (fd);
  return fd;
}

static void
test_descriptors (void)
{
  static const guint counts[] = { 1, 0, 2, 253, 254, 600, MP_MAX_FDS, 0, 1 };
  g_autofree guint8 *data = g_malloc0 (100000);
  guint i, j, n_all = 0;
  MpFrame frame;
  Wires wires;

  for (i = 0; i < G_N_ELEMENTS (counts); i++)
    n_all += counts[i];
  if (sysconf (_SC_OPEN_MAX) < 2 * n_all + 100)
    {
      g_test_skip ("not enough descriptors are allowed");
      return;
    }

  wires_open (&wires);
  for (i = 0; i < G_N_ELEMENTS (counts); i++)
    {
      g_autofree int *fds = g_new (int, counts[i] + 1);
      g_autofree ino_t *inodes = g_new (ino_t, counts[i] + 1);
      MpPiece piece = { data, i % 2 == 0 ? 20 : 100000, NULL };

      for (j = 0; j < counts[i]; j++)
        fds[j] = new_file (&inodes[j]);
      mp_wire_queue (wires.out, 7, 2 * i, &piece, 1, fds, counts[i]);
      queue_bytes (wires.out, 2 * i + 1, data, 8, FALSE);

      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.tag, ==, 2 * i);
      g_assert_cmpuint (frame.n_fds, ==, counts[i]);
      g_assert_false (frame.fds_lost);
      for (j = 0; j < counts[i]; j++)
        g_assert_cmpuint (inode_of (frame.fds[j]), ==, inodes[j]);
      mp_frame_clear (&frame);
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.tag, ==, 2 * i + 1);
      g_assert_cmpuint (frame.n_fds, ==, 0);
      mp_frame_clear (&frame);
    }
  wires_clear (&wires);
}

/* Several frames with descriptors on the way at once. */
static void
test_descriptors_in_a_row (void)
{
  ino_t inodes[20];
  MpFrame frame;
  Wires wires;
  guint i;

  wires_open (&wires);
  for (i = 0; i < G_N_ELEMENTS (inodes); i++)
    {
      int fd = new_file (&inodes[i]);

      queue_bytes (wires.out, 100, (const guint8 *) "abcdefgh", 8, FALSE);
      mp_wire_queue (wires.out, 7, i, NULL, 0, &fd, 1);
    }
  for (i = 0; i < G_N_ELEMENTS (inodes); i++)
    {
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.tag, ==, 100);
      g_assert_cmpuint (frame.n_fds, ==, 0);
      mp_frame_clear (&frame);
      next_ok (&wires, &frame);
      g_assert_cmpuint (frame.tag, ==, i);
      g_assert_cmpuint (frame.n_fds, ==, 1);
      g_assert_cmpuint (inode_of (frame.fds[0]), ==, inodes[i]);
      mp_frame_clear (&frame);
    }
  wires_clear (&wires);
}

static void
send_raw (int           fd,
          gconstpointer data,
          gsize         size,
          guint         n_fds)
{
  struct iovec iov = { (gpointer) data, size };
  int null_fd = mp_fd_open_null ();
  int fds[253];
  guint i;

  for (i = 0; i < n_fds; i++)
    fds[i] = null_fd;
  g_assert_cmpint (mp_socket_send (fd, &iov, 1, fds, n_fds, TRUE), ==, size);
  close (null_fd);
}

/* What a peer sends that does not keep to the rules. @second: (nullable): sent by a call of its own. */
static void
check_broken (const MpFrameHeader *first,
              guint                first_fds,
              const MpFrameHeader *second,
              guint                second_fds)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GError) again = NULL;
  MpFrame frame;
  int fds[2];
  MpWire *in;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  in = mp_wire_new (fds[1], G_MAXINT64);
  send_raw (fds[0], first, sizeof *first, first_fds);
  if (second != NULL)
    send_raw (fds[0], second, sizeof *second, second_fds);
  while (error == NULL)
    {
      if (mp_wire_next (in, &frame, &error))
        mp_frame_clear (&frame);
      else if (error == NULL)
        mp_wire_fill (in, FALSE, &error);
    }
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_true (mp_wire_has_frame (in));
  g_assert_false (mp_wire_next (in, &frame, &again));
  g_assert_error (again, MP_ERROR, MP_ERROR_PROTOCOL);
  close (fds[0]);
  mp_wire_free (in);
}

static void
test_broken (void)
{
  const MpFrameHeader plain = { 0, 0, 1, 0 }, one = { 0, 0, 1, 1 }, two = { 0, 0, 1, 2 };
  const MpFrameHeader no_kind = { 0, 0, 0, 0 }, many = { 0, 0, 1, MP_MAX_FDS + 1 };

  check_broken (&no_kind, 0, NULL, 0);
  check_broken (&many, 1, NULL, 0);
  check_broken (&one, 0, NULL, 0);
  check_broken (&one, 2, NULL, 0);
  check_broken (&two, 1, NULL, 0);
  check_broken (&plain, 1, &plain, 0);
  check_broken (&plain, 253, &one, 1);
}

/* Descriptors by the thousand and no frame: they are not hoarded. */
static void
test_hoard (void)
{
  static const guint8 bytes[16] = { 255 };
  g_autoptr(GError) error = NULL;
  int fds[2];
  MpWire *in;
  guint i;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  in = mp_wire_new (fds[1], G_MAXINT64);
  for (i = 0; i < 12; i++)
    {
      send_raw (fds[0], bytes + i, 1, 200);
      if (mp_wire_fill (in, TRUE, &error) < 0)
        break;
    }
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpuint (i, <, 8);
  close (fds[0]);
  mp_wire_free (in);
}

static void
test_no_zeros (void)
{
  const struct { MpFrameHeader header; char data[8]; } frame_data = { { 3, 0, 1, 0 }, "abcd" };
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  int fds[2];
  MpWire *in;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  in = mp_wire_new (fds[1], G_MAXINT64);
  send_raw (fds[0], &frame_data, sizeof frame_data, 0);
  g_assert_cmpint (mp_wire_fill (in, TRUE, NULL), ==, 24);
  g_assert_false (mp_wire_next (in, &frame, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  close (fds[0]);
  mp_wire_free (in);
}

/* Memory is taken as bytes arrive, whatever the head says. */
static void
test_liar (void)
{
  const MpFrameHeader header = { G_GUINT64_CONSTANT (1) << 45, 0, 1, 0 };
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  int fds[2];
  MpWire *in;

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  in = mp_wire_new (fds[1], G_MAXINT64);
  send_raw (fds[0], &header, sizeof header, 0);
  g_assert_cmpint (mp_wire_fill (in, TRUE, NULL), ==, 16);
  g_assert_false (mp_wire_next (in, &frame, &error));
  g_assert_no_error (error);
  send_raw (fds[0], &header, sizeof header, 0);
  g_assert_cmpint (mp_wire_fill (in, TRUE, NULL), ==, 16);
  close (fds[0]);
  g_assert_cmpint (mp_wire_fill (in, TRUE, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_wire_free (in);
}

static void
test_steal (void)
{
  MpFrame frame;
  Wires wires;
  int fd;

  wires_open (&wires);
  mp_wire_queue_short (wires.out, 1, 1, 0);
  flush_ok (wires.out);
  next_ok (&wires, &frame);
  mp_frame_clear (&frame);
  fd = mp_wire_steal_fd (wires.in);
  mp_wire_free (wires.in);
  wires.in = mp_wire_new (fd, G_MAXINT64);
  mp_wire_queue_short (wires.out, 1, 2, 0);
  next_ok (&wires, &frame);
  g_assert_cmpuint (frame.tag, ==, 2);
  mp_frame_clear (&frame);
  wires_clear (&wires);
}

/* Output that never empties, so that its buffer has to move. */
static void
test_backlog (void)
{
  guint64 *place;
  guint32 sent = 0, received = 0;
  MpFrame frame;
  Wires wires;

  wires_open (&wires);
  while (received < 300000)
    {
      while (sent < 300000 && mp_wire_get_pending (wires.out) < 50000)
        {
          place = mp_wire_queue_short (wires.out, 1, sent, 8 + 8 * (sent % 5));
          g_assert_cmpuint (GPOINTER_TO_SIZE (place) % 8, ==, 0);
          memset (place, 0, 8 + 8 * (sent % 5));
          *place = sent++;
          if (sent % 64 == 0)
            flush_ok (wires.out);
        }
      flush_ok (wires.out);
      while (mp_wire_next (wires.in, &frame, NULL))
        {
          g_assert_cmpuint (frame.tag, ==, received);
          g_assert_cmpuint (*(const guint64 *) (gconstpointer) frame.data, ==, received);
          received++;
          mp_frame_clear (&frame);
        }
      mp_wire_fill (wires.in, FALSE, NULL);
    }
  wires_clear (&wires);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wire/sizes", test_sizes);
  g_test_add_func ("/wire/bits", test_bits);
  g_test_add_func ("/wire/end", test_end);
  g_test_add_func ("/wire/reset", test_reset);
  g_test_add_func ("/wire/peer-gone", test_peer_gone);
  g_test_add_func ("/wire/unqueue", test_unqueue);
  g_test_add_func ("/wire/descriptors", test_descriptors);
  g_test_add_func ("/wire/descriptors-in-a-row", test_descriptors_in_a_row);
  g_test_add_func ("/wire/broken", test_broken);
  g_test_add_func ("/wire/hoard", test_hoard);
  g_test_add_func ("/wire/no-zeros", test_no_zeros);
  g_test_add_func ("/wire/liar", test_liar);
  g_test_add_func ("/wire/steal", test_steal);
  g_test_add_func ("/wire/backlog", test_backlog);

  return g_test_run ();
}
