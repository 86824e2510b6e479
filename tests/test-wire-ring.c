/* test-wire-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/arena/mp-ring-state-private.h"
#include "mp-glib/channel/mp-wire-parts-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The short way of a wire's frames: through rings, with the socket for what does not go there. */

#define RING_SIZE 16384
#define KIND      7

typedef struct
{
  MpWire *left, *right;
} Line;

static MpRing *
make_ring (MpRing **other)
{
  g_autoptr(GError) error = NULL;
  MpRing *ring = mp_ring_new (RING_SIZE, &error);

  g_assert_no_error (error);
  *other = mp_ring_adopt (mp_fd_dup (mp_ring_get_fd (ring)), &error);
  g_assert_no_error (error);
  g_assert_true (mp_ring_take_end (ring, MP_RING_WRITER, &error));
  g_assert_true (mp_ring_take_end (*other, MP_RING_READER, &error));
  mp_ring_close_fd (ring);
  mp_ring_close_fd (*other);
  return ring;
}

/* Both have rings, and use none yet. */
static Line
line_open (void)
{
  Line line;
  MpRing *to_right, *from_left, *to_left, *from_right;
  int fds[2];

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  line.left = mp_wire_new (fds[0], G_MAXINT64);
  line.right = mp_wire_new (fds[1], G_MAXINT64);
  to_right = make_ring (&from_left);
  to_left = make_ring (&from_right);
  mp_wire_take_rings (line.left, from_right, to_right);
  mp_wire_take_rings (line.right, from_left, to_left);
  return line;
}

static void
line_clear (Line *line)
{
  g_clear_pointer (&line->left, mp_wire_free);
  g_clear_pointer (&line->right, mp_wire_free);
}

static void
flush (MpWire *wire)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_wire_flush (wire, &error));
  g_assert_no_error (error);
}

static void
queue_number (MpWire  *wire,
              guint32  number,
              gsize    size)
{
  memset (mp_wire_queue_short (wire, KIND, number, size), number & 0xff, size);
}

/* With a piece that stays where it is. */
static void
queue_large (MpWire  *wire,
             guint32  number,
             gsize    size)
{
  g_autofree guint8 *data = g_malloc (size);
  g_autoptr(GBytes) bytes = NULL;
  MpPiece piece;

  memset (data, number & 0xff, size);
  bytes = g_bytes_new_take (g_steal_pointer (&data), size);
  piece = (MpPiece) { g_bytes_get_data (bytes, NULL), size, bytes };
  mp_wire_queue (wire, KIND, number, &piece, 1, NULL, 0);
}

static void
check_frame (MpFrame *frame,
             guint32  number,
             gsize    size)
{
  g_assert_cmpuint (frame->kind, ==, KIND);
  g_assert_cmpuint (frame->tag, ==, number);
  g_assert_cmpuint (frame->size, ==, size);
  for (gsize i = 0; i < size; i++)
    g_assert_cmpuint (frame->data[i], ==, number & 0xff);
  mp_frame_clear (frame);
}

static void
read_number (MpWire   *wire,
             gboolean  block,
             guint32   number,
             gsize     size)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;

  while (!mp_wire_next (wire, &frame, &error))
    {
      g_assert_no_error (error);
      g_assert_cmpint (mp_wire_fill (wire, block, &error), >, 0);
    }
  check_frame (&frame, number, size);
}

static int
bytes_in_socket (MpWire *wire)
{
  int n = -1;

  g_assert_cmpint (ioctl (mp_wire_get_fd (wire), FIONREAD, &n), ==, 0);
  return n;
}

/* From now on the left one's frames go through its ring. */
static void
begin (Line *line)
{
  mp_wire_use_ring (line->left);
  queue_number (line->left, 1, 8);
  flush (line->left);
  read_number (line->right, FALSE, 1, 8);
  g_assert_true (mp_wire_has_ring (line->right));
}

/* What was queued before goes by the socket, and comes first. */
static void
test_order_of_begin (void)
{
  Line line = line_open ();

  queue_number (line.left, 5, 100);
  queue_large (line.left, 6, 100000);
  mp_wire_use_ring (line.left);
  queue_number (line.left, 7, 3);
  g_assert_true (mp_wire_waits_for_socket (line.left));
  flush (line.left);
  g_assert_false (mp_wire_has_ring (line.right));
  read_number (line.right, FALSE, 5, 100);
  read_number (line.right, FALSE, 6, 100000);
  read_number (line.right, FALSE, 7, 3);
  line_clear (&line);
}

static void
test_small (void)
{
  Line line = line_open ();

  begin (&line);
  for (guint i = 0; i < 3000; i++)
    {
      queue_number (line.left, i, i % 1000);
      if (i % 3 == 0)
        queue_number (line.left, i + 1, 0);
      flush (line.left);
      g_assert_cmpuint (mp_wire_get_pending (line.left), ==, 0);
      g_assert_cmpint (bytes_in_socket (line.right), ==, 0);
      g_assert_true (mp_wire_look (line.right));
      read_number (line.right, FALSE, i, i % 1000);
      if (i % 3 == 0)
        read_number (line.right, FALSE, i + 1, 0);
      g_assert_false (mp_wire_look (line.right));
    }
  line_clear (&line);
}

/* What is large, or brings a descriptor, keeps its place. */
static void
test_by_socket (void)
{
  Line line = line_open ();
  g_autoptr(GError) error = NULL;
  struct stat sent, received;
  int fd = mp_fd_open_null ();
  MpPiece piece = { "12345678", 8, NULL };
  MpFrame frame;

  fstat (fd, &sent);
  begin (&line);
  queue_number (line.left, 1, 10);
  queue_large (line.left, 2, 70000);
  queue_number (line.left, 3, 10);
  queue_number (line.left, 4, RING_SIZE);
  mp_wire_queue (line.left, KIND, 5, &piece, 1, &fd, 1);
  queue_number (line.left, 6, 10);
  flush (line.left);
  g_assert_cmpuint (mp_wire_get_pending (line.left), ==, 0);

  read_number (line.right, FALSE, 1, 10);
  read_number (line.right, FALSE, 2, 70000);
  read_number (line.right, FALSE, 3, 10);
  read_number (line.right, FALSE, 4, RING_SIZE);
  while (!mp_wire_next (line.right, &frame, &error))
    g_assert_cmpint (mp_wire_fill (line.right, FALSE, &error), >, 0);
  g_assert_cmpuint (frame.tag, ==, 5);
  g_assert_cmpuint (frame.n_fds, ==, 1);
  fstat (frame.fds[0], &received);
  g_assert_cmpuint (received.st_rdev, ==, sent.st_rdev);
  mp_frame_clear (&frame);
  read_number (line.right, FALSE, 6, 10);
  line_clear (&line);
}

static void
expect_nothing (MpWire *wire)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;

  g_assert_false (mp_wire_next (wire, &frame, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mp_wire_fill (wire, FALSE, &error), ==, 0);
  g_assert_no_error (error);
}

/* One for each sleep, however much is written. */
static void
test_bell (void)
{
  Line line = line_open ();

  begin (&line);
  for (guint i = 0; i < 100; i++)
    {
      expect_nothing (line.right);
      queue_number (line.left, 1, 8);
      flush (line.left);
      g_assert_cmpint (bytes_in_socket (line.right), ==, sizeof (MpFrameHeader));
      queue_number (line.left, 2, 8);
      flush (line.left);
      g_assert_cmpint (bytes_in_socket (line.right), ==, sizeof (MpFrameHeader));
      read_number (line.right, FALSE, 1, 8);
      read_number (line.right, FALSE, 2, 8);

      /* Not before it sleeps again. */
      queue_number (line.left, 3, 8);
      flush (line.left);
      g_assert_cmpint (bytes_in_socket (line.right), ==, sizeof (MpFrameHeader));
      read_number (line.right, FALSE, 3, 8);
      expect_nothing (line.right);
      g_assert_cmpint (bytes_in_socket (line.right), ==, 0);
    }
  line_clear (&line);
}

/* Who looks by itself needs none; nor may it sleep on when something has come. */
static void
test_looks (void)
{
  Line line = line_open ();

  begin (&line);
  expect_nothing (line.right);
  mp_wire_stay_awake (line.right);
  queue_number (line.left, 1, 8);
  flush (line.left);
  g_assert_cmpint (bytes_in_socket (line.right), ==, 0);
  g_assert_false (mp_wire_sleep (line.right));
  read_number (line.right, FALSE, 1, 8);
  g_assert_true (mp_wire_sleep (line.right));
  queue_number (line.left, 2, 8);
  flush (line.left);
  g_assert_cmpint (bytes_in_socket (line.right), ==, sizeof (MpFrameHeader));
  read_number (line.right, FALSE, 2, 8);
  line_clear (&line);
}

/* The writer never waits: it goes on when it is called again. */
static void
test_full (void)
{
  Line line = line_open ();
  guint n_read = 0;

  begin (&line);
  for (guint i = 0; i < 100; i++)
    queue_number (line.left, i, 1000);
  flush (line.left);
  g_assert_cmpuint (mp_wire_get_pending (line.left), >, 0);
  g_assert_false (mp_wire_waits_for_socket (line.left));
  while (mp_wire_get_pending (line.left) > 0)
    {
      read_number (line.right, FALSE, n_read++, 1000);
      flush (line.left);
    }
  while (n_read < 100)
    read_number (line.right, FALSE, n_read++, 1000);
  expect_nothing (line.right);
  line_clear (&line);
}

/* What was written is there, also without a bell. */
static void
test_writer_gone (void)
{
  Line line = line_open ();
  g_autoptr(GError) error = NULL;

  begin (&line);
  queue_number (line.left, 1, 8);
  queue_large (line.left, 2, 50000);
  queue_number (line.left, 3, 8);
  flush (line.left);
  g_clear_pointer (&line.left, mp_wire_free);
  read_number (line.right, TRUE, 1, 8);
  read_number (line.right, TRUE, 2, 50000);
  read_number (line.right, TRUE, 3, 8);
  g_assert_cmpint (mp_wire_fill (line.right, TRUE, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  line_clear (&line);
}

/* A worker does: it learns of the end while it waits for room. */
static void
test_reader_gone (void)
{
  Line line = line_open ();
  g_autoptr(GError) error = NULL;

  begin (&line);
  g_clear_pointer (&line.right, mp_wire_free);
  for (guint i = 0; i < 100; i++)
    queue_number (line.left, i, 1000);
  g_assert_false (mp_wire_flush_blocking (line.left, &error));
  g_assert_true (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED) ||
                 g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE));
  line_clear (&line);
}

/* Nonsense. */

static void
write_raw (MpWire              *wire,
           const MpFrameHeader *header,
           gsize                size)
{
  struct iovec iov = { (gpointer) header, size };

  g_assert_cmpint (mp_socket_send (mp_wire_get_fd (wire), &iov, 1, NULL, 0, FALSE), ==, size);
}

static void
expect_refused (MpWire *wire)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;

  while (!mp_wire_next (wire, &frame, &error) && error == NULL)
    if (mp_wire_fill (wire, FALSE, &error) <= 0)
      break;
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_false (mp_wire_next (wire, &frame, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
}

static void
test_unannounced (void)
{
  Line line = line_open ();
  MpFrameHeader header = { 0, 1, KIND, 0 };

  begin (&line);
  write_raw (line.left, &header, sizeof header);
  expect_refused (line.right);
  line_clear (&line);

  line = line_open ();
  begin (&line);
  header = (MpFrameHeader) { 100000, 1, KIND, 0 };
  write_raw (line.left, &header, sizeof header);
  expect_refused (line.right);
  line_clear (&line);
}

/* Records that are no frames. */
static void
test_bad_records (void)
{
  const struct
  {
    MpFrameHeader header;
    gsize         size;
  } records[] = {
    { { 0, 0, 0, 0 }, 16 },
    { { 0, 0, KIND, 1 }, 16 },
    { { 8, 0, KIND, 0 }, 16 },
    { { G_MAXUINT64, 0, KIND, 0 }, 16 },
    { { G_MAXUINT64 - 20, 0, KIND, 0 }, 16 },
    { { 0, 0, KIND, 0 }, 8 },
    { { 0, 0, KIND, 0 }, 20 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (records); i++)
    {
      Line line;
      MpRing *writer, *reader, *unused, *unused_end;
      g_autoptr(GError) error = NULL;
      guint8 record[24] = { 0 };
      int fds[2];

      g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
      line.left = mp_wire_new (fds[0], G_MAXINT64);
      line.right = mp_wire_new (fds[1], G_MAXINT64);
      writer = make_ring (&reader);
      unused = make_ring (&unused_end);
      mp_wire_take_rings (line.right, reader, unused);
      mp_wire_queue (line.left, MP_WIRE_RINGS, 0, NULL, 0, NULL, 0);
      flush (line.left);
      memcpy (record, &records[i].header, sizeof (MpFrameHeader));
      g_assert_true (mp_ring_try_write (writer, record, records[i].size, &error));
      /* One that is whole may come before. */
      if (records[i].size == 20)
        {
          MpFrame frame;

          g_assert_cmpint (mp_wire_fill (line.right, FALSE, &error), >, 0);
          g_assert_true (mp_wire_next (line.right, &frame, &error));
        }
      expect_refused (line.right);
      mp_ring_free (writer);
      mp_ring_free (unused_end);
      line_clear (&line);
    }
}

/* Without rings these are frames of a kind that their user does not know; with them, only at their time. */
static void
test_unexpected (void)
{
  Line line = line_open ();
  g_autoptr(GError) error = NULL;
  MpFrameHeader header = { 0, 0, MP_WIRE_BELL, 0 };
  MpFrame frame;

  write_raw (line.left, &header, sizeof header);
  g_assert_cmpint (mp_wire_fill (line.right, FALSE, &error), >, 0);
  g_assert_true (mp_wire_next (line.right, &frame, &error));
  g_assert_cmpuint (frame.kind, ==, MP_WIRE_BELL);
  begin (&line);
  header.kind = MP_WIRE_RINGS;
  write_raw (line.left, &header, sizeof header);
  expect_refused (line.right);
  line_clear (&line);
}

/* Two that write, read, fall asleep and ring as fast as they can. */

#define N_RACE 30000

static gsize
race_size (guint32 i)
{
  return i % 997 == 0 ? 40000 : i % 101 == 0 ? 5000 : i % 48;
}

static void
echo_until (MpWire *wire)
{
  for (guint32 i = 0; i < N_RACE; i++)
    {
      g_autoptr(GError) error = NULL;

      read_number (wire, TRUE, i, race_size (i));
      queue_number (wire, i, race_size (i));
      g_assert_true (mp_wire_flush_blocking (wire, &error));
      g_assert_no_error (error);
    }
}

static gpointer
race_thread (gpointer data)
{
  echo_until (data);
  return NULL;
}

static void
test_race (void)
{
  Line line = line_open ();
  g_autoptr(GThread) thread = NULL;
  guint32 n_sent = 0, n_read = 0;

  begin (&line);
  mp_wire_use_ring (line.right);
  flush (line.right);
  thread = g_thread_new ("echo", race_thread, line.right);
  while (n_read < N_RACE)
    {
      guint32 n = MIN (1 + n_sent % 7, N_RACE - n_sent);

      for (guint32 i = 0; i < n; i++, n_sent++)
        queue_number (line.left, n_sent, race_size (n_sent));
      do
        flush (line.left);
      while (mp_wire_get_pending (line.left) > 0 && mp_wire_waits_for_socket (line.left));
      while (n_read < n_sent && (n_sent == N_RACE || n_sent - n_read > 20))
        {
          read_number (line.left, TRUE, n_read, race_size (n_read));
          n_read++;
          flush (line.left);
        }
    }
  g_thread_join (g_steal_pointer (&thread));
  line_clear (&line);
}

/* A frame that leaves by the socket in parts, because that is full, while the reader, which had fallen asleep, empties it:
 * nothing else may get into the midst of it. */

#define N_PARTS 6000

static gpointer
read_parts_thread (gpointer data)
{
  for (guint32 i = 0; i < N_PARTS; i++)
    {
      g_autoptr(GError) error = NULL;
      MpFrame frame;

      while (!mp_wire_next (data, &frame, &error))
        {
          g_assert_no_error (error);
          g_assert_cmpint (mp_wire_fill (data, TRUE, &error), >, 0);
        }
      check_frame (&frame, i, 20000 + i % 7 * 8);
    }
  return NULL;
}

static void
test_in_parts (void)
{
  Line line = line_open ();
  g_autoptr(GThread) thread = NULL;
  int size = 1;

  begin (&line);
  g_assert_cmpint (setsockopt (mp_wire_get_fd (line.left), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), ==, 0);
  thread = g_thread_new ("reader", read_parts_thread, line.right);
  for (guint32 i = 0; i < N_PARTS; i++)
    {
      while (__atomic_load_n (&line.left->ring_out.ring->other->sleep, __ATOMIC_SEQ_CST) != MP_RING_ON_BELL)
        g_thread_yield ();
      queue_large (line.left, i, 20000 + i % 7 * 8);
      do
        flush (line.left);
      while (mp_wire_get_pending (line.left) > 0);
    }
  g_thread_join (g_steal_pointer (&thread));
  line_clear (&line);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire-ring/order-of-begin", test_order_of_begin);
  g_test_add_func ("/wire-ring/small", test_small);
  g_test_add_func ("/wire-ring/by-socket", test_by_socket);
  g_test_add_func ("/wire-ring/bell", test_bell);
  g_test_add_func ("/wire-ring/looks", test_looks);
  g_test_add_func ("/wire-ring/full", test_full);
  g_test_add_func ("/wire-ring/writer-gone", test_writer_gone);
  g_test_add_func ("/wire-ring/reader-gone", test_reader_gone);
  g_test_add_func ("/wire-ring/unannounced", test_unannounced);
  g_test_add_func ("/wire-ring/bad-records", test_bad_records);
  g_test_add_func ("/wire-ring/unexpected", test_unexpected);
  g_test_add_func ("/wire-ring/race", test_race);
  g_test_add_func ("/wire-ring/in-parts", test_in_parts);
  return g_test_run ();
}
