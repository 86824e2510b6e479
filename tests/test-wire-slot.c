/* test-wire-slot.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The short way of a wire's bytes: through shared memory while the reader waits busily. */

typedef struct
{
  MpWire     *out, *in;
  MpWireSlot *slot;
} Line;

static Line
line_open (void)
{
  Line line;
  int fds[2];

  line.slot = mmap (NULL, sizeof (MpWireSlot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (line.slot != MAP_FAILED);
  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  line.out = mp_wire_new (fds[0], G_MAXINT64);
  line.in = mp_wire_new (fds[1], G_MAXINT64);
  mp_wire_set_slots (line.out, NULL, line.slot);
  mp_wire_set_slots (line.in, line.slot, NULL);
  return line;
}

static void
line_clear (Line *line)
{
  g_clear_pointer (&line->out, mp_wire_free);
  g_clear_pointer (&line->in, mp_wire_free);
  munmap (line->slot, sizeof (MpWireSlot));
}

static void
send_number (MpWire  *wire,
             guint32  number,
             gsize    size)
{
  g_autoptr(GError) error = NULL;
  guint8 *place = mp_wire_queue_short (wire, 7, number, size);

  memset (place, number & 0xff, size);
  g_assert_true (mp_wire_flush (wire, &error));
  g_assert_no_error (error);
}

static void
check_frame (MpFrame *frame,
             guint32  number,
             gsize    size)
{
  g_assert_cmpuint (frame->tag, ==, number);
  g_assert_cmpuint (frame->size, ==, size);
  for (gsize i = 0; i < size; i++)
    g_assert_cmpuint (frame->data[i], ==, number & 0xff);
  mp_frame_clear (frame);
}

static void
expect_number (MpWire  *wire,
               guint32  number,
               gsize    size)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;

  g_assert_cmpint (mp_wire_fill (wire, FALSE, &error), >, 0);
  g_assert_true (mp_wire_next (wire, &frame, &error));
  check_frame (&frame, number, size);
}

static int
bytes_in_socket (MpWire *wire)
{
  int n = -1;

  g_assert_cmpint (ioctl (mp_wire_get_fd (wire), FIONREAD, &n), ==, 0);
  return n;
}

static void
test_carries (void)
{
  Line line = line_open ();

  for (guint i = 0; i < 1000; i++)
    {
      gsize size = i % (MP_WIRE_SLOT_SIZE - 23);

      g_assert_true (mp_wire_open_slot (line.in));
      g_assert_true (mp_wire_slot_is_open (line.in));
      send_number (line.out, i, size);
      g_assert_cmpint (bytes_in_socket (line.in), ==, 0);
      g_assert_cmpuint (mp_wire_get_pending (line.out), ==, 0);
      g_assert_false (mp_wire_slot_is_open (line.in));
      g_assert_true (mp_wire_close_slot (line.in));
      expect_number (line.in, i, size);
      g_assert_false (mp_wire_close_slot (line.in));
    }
  line_clear (&line);
}

/* What does not fit, brings a descriptor, or comes when nobody looks, goes by the socket. */
static void
test_refused (void)
{
  Line line = line_open ();
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  int fd = mp_fd_open_null ();

  g_assert_true (mp_wire_open_slot (line.in));
  send_number (line.out, 1, MP_WIRE_SLOT_SIZE - 8);
  g_assert_false (mp_wire_slot_is_open (line.in));
  g_assert_true (mp_wire_close_slot (line.in));
  g_assert_cmpint (bytes_in_socket (line.in), >, MP_WIRE_SLOT_SIZE);
  expect_number (line.in, 1, MP_WIRE_SLOT_SIZE - 8);

  g_assert_true (mp_wire_open_slot (line.in));
  mp_wire_queue (line.out, 7, 2, NULL, 0, &fd, 1);
  g_assert_true (mp_wire_flush (line.out, &error));
  g_assert_true (mp_wire_close_slot (line.in));
  g_assert_cmpint (mp_wire_fill (line.in, FALSE, &error), >, 0);
  g_assert_true (mp_wire_next (line.in, &frame, &error));
  g_assert_cmpuint (frame.n_fds, ==, 1);
  mp_frame_clear (&frame);

  g_assert_true (mp_wire_open_slot (line.in));
  g_assert_false (mp_wire_close_slot (line.in));
  send_number (line.out, 3, 8);
  g_assert_cmpint (bytes_in_socket (line.in), ==, 24);
  expect_number (line.in, 3, 8);
  line_clear (&line);
}

/* Neither way overtakes the other. */
static void
test_order (void)
{
  Line line = line_open ();

  send_number (line.out, 1, 8);
  g_assert_false (mp_wire_open_slot (line.in));
  send_number (line.out, 2, 8);
  g_assert_cmpint (bytes_in_socket (line.in), ==, 48);
  expect_number (line.in, 1, 8);
  g_assert_false (mp_wire_open_slot (line.in));   /* the second one lies in the buffer */
  {
    MpFrame frame;

    g_assert_true (mp_wire_next (line.in, &frame, NULL));
    check_frame (&frame, 2, 8);
  }

  /* In the slot first, then in the socket: so they are read. */
  g_assert_true (mp_wire_open_slot (line.in));
  send_number (line.out, 3, 8);
  send_number (line.out, 4, 8);
  g_assert_cmpint (bytes_in_socket (line.in), ==, 24);
  expect_number (line.in, 3, 8);
  g_assert_false (mp_wire_open_slot (line.in));
  expect_number (line.in, 4, 8);
  g_assert_true (mp_wire_open_slot (line.in));
  g_assert_false (mp_wire_close_slot (line.in));
  line_clear (&line);
}

static void
test_nonsense (void)
{
  const guint32 sizes[] = { 0, MP_WIRE_SLOT_SIZE + 1, G_MAXUINT32 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      Line line = line_open ();
      g_autoptr(GError) error = NULL;
      MpFrame frame;

      g_assert_true (mp_wire_open_slot (line.in));
      line.slot->size = sizes[i];
      line.slot->state = 2;
      g_assert_true (mp_wire_close_slot (line.in));
      g_assert_cmpint (mp_wire_fill (line.in, FALSE, &error), ==, -1);
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      g_clear_error (&error);
      g_assert_false (mp_wire_next (line.in, &frame, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      line_clear (&line);
    }
}

/* A writer that fills a slot which is not open is not heard. */
static void
test_uninvited (void)
{
  Line line = line_open ();

  line.slot->size = 24;
  line.slot->state = 2;
  g_assert_cmpint (mp_wire_fill (line.in, FALSE, NULL), ==, 0);
  line_clear (&line);
}

/* Who reads does not listen at the same time: what comes by the slot after a look at it could be overtaken. */
static void
test_read_ends (void)
{
  Line line = line_open ();

  g_assert_true (mp_wire_open_slot (line.in));
  g_assert_cmpint (mp_wire_fill (line.in, FALSE, NULL), ==, 0);
  g_assert_false (mp_wire_slot_is_open (line.in));
  g_assert_false (mp_wire_close_slot (line.in));
  send_number (line.out, 1, 8);
  send_number (line.out, 2, 8);
  g_assert_cmpint (bytes_in_socket (line.in), ==, 48);
  expect_number (line.in, 1, 8);
  line_clear (&line);
}

/* What lies in the slot is not forgotten when it is opened again. */
static void
test_opened_twice (void)
{
  Line line = line_open ();

  g_assert_true (mp_wire_open_slot (line.in));
  send_number (line.out, 1, 8);
  g_assert_false (mp_wire_open_slot (line.in));
  g_assert_true (mp_wire_close_slot (line.in));
  expect_number (line.in, 1, 8);
  line_clear (&line);
}

/* A writer that has refused the slot and fills it later, when there is no room for it, is not heard either. */
static void
test_refused_and_filled (void)
{
  Line line = line_open ();
  MpFrameHeader head = { 60000, 0, 7, 0 };

  g_assert_true (mp_wire_open_slot (line.in));
  line.slot->state = 0;
  g_assert_cmpint (write (mp_wire_get_fd (line.out), &head, sizeof head), ==, sizeof head);
  g_assert_cmpint (mp_wire_fill (line.in, FALSE, NULL), ==, sizeof head);
  line.slot->size = MP_WIRE_SLOT_SIZE;
  line.slot->state = 2;
  g_assert_cmpint (mp_wire_fill (line.in, FALSE, NULL), ==, 0);
  line_clear (&line);
}

/* What was put there is there, whole, when its writer is gone. */
static void
test_death (void)
{
  Line line = line_open ();
  g_autoptr(GError) error = NULL;
  pid_t pid;
  int status = 0;

  g_assert_true (mp_wire_open_slot (line.in));
  pid = fork ();
  if (pid == 0)
    {
      send_number (line.out, 9, 100);
      raise (SIGKILL);
    }
  g_clear_pointer (&line.out, mp_wire_free);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status));

  g_assert_true (mp_wire_close_slot (line.in));
  expect_number (line.in, 9, 100);
  g_assert_cmpint (mp_wire_fill (line.in, FALSE, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  line_clear (&line);
}

#define N_RACING 200000

static gsize
racing_size (guint32 number)
{
  return number * 2654435761u % (MP_WIRE_SLOT_SIZE + 40);
}

static gpointer
race_thread (gpointer data)
{
  MpWire *wire = data;

  for (guint32 i = 0; i < N_RACING; i++)
    {
      send_number (wire, i, racing_size (i));
      while (mp_wire_get_pending (wire) > 0)
        {
          g_thread_yield ();
          g_assert_true (mp_wire_flush (wire, NULL));
        }
      if (i % 7 == 0)
        g_thread_yield ();
    }
  return NULL;
}

/* Both sides at once: every frame comes, once, in its order. */
static void
test_race (void)
{
  Line line = line_open ();
  g_autoptr(GThread) thread = g_thread_new ("writer", race_thread, line.out);
  guint32 next = 0;

  while (next < N_RACING)
    {
      g_autoptr(GError) error = NULL;
      MpFrame frame;
      guint n_looks = next % 5;

      while (mp_wire_next (line.in, &frame, &error))
        {
          check_frame (&frame, next, racing_size (next));
          next++;
        }
      g_assert_no_error (error);
      if (mp_wire_open_slot (line.in))
        {
          while (mp_wire_slot_is_open (line.in) && n_looks-- > 0)
            g_thread_yield ();
          mp_wire_close_slot (line.in);
        }
      g_assert_cmpint (mp_wire_fill (line.in, FALSE, &error), >=, 0);
      g_assert_no_error (error);
    }
  g_thread_join (g_steal_pointer (&thread));
  line_clear (&line);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/wire-slot/carries", test_carries);
  g_test_add_func ("/wire-slot/refused", test_refused);
  g_test_add_func ("/wire-slot/order", test_order);
  g_test_add_func ("/wire-slot/nonsense", test_nonsense);
  g_test_add_func ("/wire-slot/uninvited", test_uninvited);
  g_test_add_func ("/wire-slot/read-ends", test_read_ends);
  g_test_add_func ("/wire-slot/opened-twice", test_opened_twice);
  g_test_add_func ("/wire-slot/refused-and-filled", test_refused_and_filled);
  g_test_add_func ("/wire-slot/death", test_death);
  g_test_add_func ("/wire-slot/race", test_race);

  return g_test_run ();
}
