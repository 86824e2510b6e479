/* test-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "ring-test.h"

#include "mp-glib/base/mp-event-loop.h"

#include <fcntl.h>

static void
test_sizes (void)
{
  g_autoptr(GError) error = NULL;
  MpRing *ring;
  gsize size;

  for (size = 0; size <= 3 * 4096; size += 1000)
    {
      ring = mp_ring_new (size, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (mp_ring_get_size (ring), ==, size <= 4096 ? 4096 : size <= 8192 ? 8192 : 16384);
      mp_ring_free (ring);
    }

  ring = mp_ring_new ((gsize) MP_RING_MAX_SIZE + 1, &error);
  g_assert_null (ring);
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
}

/* Every size that a record can have. */
static void
test_records (void)
{
  Ends ends;
  gsize size;

  ends_open (&ends, 4096);
  for (size = 0; size <= 2048; size++)
    {
      write_record (ends.writer, size, size);
      read_record (ends.reader, size, size);
    }
  read_nothing (ends.reader);
  ends_clear (&ends);
}

static void
test_wrap (void)
{
  static const gsize sizes[] = { 0, 1, 7, 8, 9, 63, 64, 100, 1000, 2040, 2047, 2048 };
  Ends ends;
  guint at, i;

  ends_open (&ends, 4096);
  for (at = 0; at < 4096; at += 8)
    {
      for (i = 0; i < G_N_ELEMENTS (sizes); i++)
        {
          /* From everywhere in the ring: records of 8 bytes bring it there. */
          while (ends.writer->position % 4096 != at)
            {
              write_record (ends.writer, 0, 0);
              read_record (ends.reader, 0, 0);
            }
          write_record (ends.writer, sizes[i], at);
          read_record (ends.reader, sizes[i], at);
        }
    }
  ends_clear (&ends);
}

/* Positions only grow; they pass the highest number of 32 bits, and of 64. */
static void
test_far_positions (void)
{
  static const guint64 starts[] = { G_MAXUINT32 - 4095, G_MAXUINT64 - 4095 };
  guint i, n;

  for (i = 0; i < G_N_ELEMENTS (starts); i++)
    {
      g_autoptr(GError) error = NULL;
      MpRing *made = mp_ring_new (4096, &error);
      Ends ends;

      g_assert_no_error (error);
      made->header->sides[0].position = made->header->sides[1].position = starts[i];
      ends_open_of (&ends, made);
      for (n = 0; n < 1000; n++)
        {
          write_record (ends.writer, n, n);
          read_record (ends.reader, n, n);
        }
      fill (ends.writer, 24);
      g_assert_cmpuint (drain (ends.reader, 24), ==, 4096 / 32);
      ends_clear (&ends);
    }
}

static void
test_full (void)
{
  g_autoptr(GError) error = NULL;
  Ends ends;

  ends_open (&ends, 4096);
  g_assert_cmpuint (fill (ends.writer, 56), ==, 4096 / 64);
  g_assert_false (mp_ring_try_write (ends.writer, "", 0, &error));
  g_assert_no_error (error);
  read_record (ends.reader, 56, 0);
  write_record (ends.writer, 56, 64);
  refuse_record (ends.writer, 0);
  g_assert_cmpuint (drain_from (ends.reader, 56, 1), ==, 4096 / 64);
  read_nothing (ends.reader);
  ends_clear (&ends);
}

/* What the reader has read after a place, as its writer sees it. */
static void
test_passed (void)
{
  guint64 before;
  Ends ends;

  ends_open (&ends, 4096);
  write_record (ends.writer, 56, 0);
  read_record (ends.reader, 56, 0);
  before = mp_ring_get_position (ends.writer);
  g_assert_cmpuint (before, ==, 64);
  g_assert_cmpuint (mp_ring_get_position (ends.reader), ==, before);
  write_record (ends.writer, 56, 1);
  write_record (ends.writer, 56, 2);
  g_assert_false (mp_ring_peer_has_passed (ends.writer, before));
  read_record (ends.reader, 56, 1);
  g_assert_true (mp_ring_peer_has_passed (ends.writer, before));
  g_assert_false (mp_ring_peer_has_passed (ends.writer, before + 64));
  g_assert_false (mp_ring_peer_has_passed (ends.reader, 0));
  ends_clear (&ends);
}

static void
test_too_large (void)
{
  g_autofree char *data = g_malloc0 (4096);
  g_autoptr(GError) error = NULL;
  Ends ends;

  ends_open (&ends, 4096);
  g_assert_false (mp_ring_try_write (ends.writer, data, 2049, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  g_assert_false (mp_ring_try_write (ends.writer, data, G_MAXSIZE, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  g_assert_false (mp_ring_wait (ends.writer, 2049, -1, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);

  /* It goes on. */
  write_record (ends.writer, 2048, 1);
  read_record (ends.reader, 2048, 1);
  ends_clear (&ends);
}

static void
test_short_buffer (void)
{
  g_autoptr(GError) error = NULL;
  char buffer[100];
  gsize size;
  Ends ends;

  ends_open (&ends, 4096);
  write_record (ends.writer, 100, 3);
  memset (buffer, 0x33, sizeof buffer);
  g_assert_false (mp_ring_try_read (ends.reader, buffer, 99, &size, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, 100);
  g_assert_cmpint (buffer[0], ==, 0x33);
  g_assert_false (mp_ring_try_read (ends.reader, NULL, 0, &size, &error));
  g_assert_cmpuint (size, ==, 100);
  read_record (ends.reader, 100, 3);
  ends_clear (&ends);
}

static void
test_write_batch (void)
{
  Ends ends;

  ends_open (&ends, 4096);
  mp_ring_begin_batch (ends.writer);
  write_record (ends.writer, 10, 0);
  write_record (ends.writer, 10, 1);
  read_nothing (ends.reader);
  mp_ring_end_batch (ends.writer);
  read_record (ends.reader, 10, 0);
  read_record (ends.reader, 10, 1);
  read_nothing (ends.reader);

  /* One that does not fit is published by who waits for room. */
  mp_ring_begin_batch (ends.writer);
  fill (ends.writer, 56);
  read_nothing (ends.reader);
  wait_fails (ends.writer, 56, 0, NULL, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpuint (drain (ends.reader, 56), ==, 4096 / 64);
  mp_ring_end_batch (ends.writer);
  ends_clear (&ends);
}

static void
test_read_batch (void)
{
  Ends ends;

  ends_open (&ends, 4096);
  fill (ends.writer, 56);
  mp_ring_begin_batch (ends.reader);
  g_assert_cmpuint (drain (ends.reader, 56), ==, 4096 / 64);
  refuse_record (ends.writer, 0);
  mp_ring_end_batch (ends.reader);
  g_assert_cmpuint (fill (ends.writer, 56), ==, 4096 / 64);

  /* A reader that goes away in a batch has read it. */
  mp_ring_begin_batch (ends.reader);
  read_record (ends.reader, 56, 0);
  reopen (&ends, MP_RING_READER);
  read_record (ends.reader, 56, 1);
  ends_clear (&ends);
}

static void
test_ends (void)
{
  g_autoptr(GError) error = NULL;
  MpRing *other;
  gsize size;
  Ends ends;

  ends_open (&ends, 4096);
  g_assert_true (mp_ring_peer_is_alive (ends.reader));
  g_assert_true (mp_ring_take_end (ends.reader, MP_RING_READER, &error));
  g_assert_false (mp_ring_take_end (ends.reader, MP_RING_WRITER, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);

  other = mp_ring_adopt (mp_fd_dup (mp_ring_get_fd (ends.reader)), &error);
  g_assert_no_error (error);
  g_assert_false (mp_ring_take_end (other, MP_RING_WRITER, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);

  /* Nothing can be done with a ring of which no end is held, or with the wrong one. */
  g_assert_false (mp_ring_try_write (other, "", 0, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  g_assert_false (mp_ring_try_read (other, NULL, 0, &size, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  wait_fails (other, 0, -1, NULL, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_assert_false (mp_ring_try_write (ends.reader, "", 0, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
  g_clear_error (&error);
  g_assert_false (mp_ring_peer_is_alive (other));
  g_assert_false (mp_ring_going_to_sleep (other));
  g_assert_false (mp_ring_peer_sleeps (other));
  mp_ring_begin_batch (other);
  mp_ring_end_batch (other);
  mp_ring_awake (other);

  mp_ring_free (ends.writer);
  g_assert_false (mp_ring_peer_is_alive (ends.reader));
  g_assert_true (mp_ring_take_end (other, MP_RING_WRITER, &error));
  ends.writer = other;
  write_record (ends.writer, 5, 5);
  read_record (ends.reader, 5, 5);
  ends_clear (&ends);
}

/* What there is stays when an end changes hands, at every position. */
static void
test_take_over (void)
{
  Ends ends;
  guint n;

  ends_open (&ends, 4096);
  write_record (ends.writer, 16, 0);
  for (n = 0; n < 1000; n++)
    {
      write_record (ends.writer, 16, n + 1);
      reopen (&ends, MP_RING_WRITER);
      read_record (ends.reader, 16, n);
      reopen (&ends, MP_RING_READER);
    }
  read_record (ends.reader, 16, n);
  read_nothing (ends.reader);
  ends_clear (&ends);
}

static void
test_wait (void)
{
  g_autoptr(GCancellable) cancelled = g_cancellable_new ();
  gint64 start;
  Ends ends;

  ends_open (&ends, 4096);
  g_cancellable_cancel (cancelled);
  wait_fails (ends.reader, 0, 0, NULL, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  start = g_get_monotonic_time ();
  wait_fails (ends.reader, 0, 20000, NULL, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 20000);
  wait_fails (ends.reader, 0, -1, cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  wait_ok (ends.writer, 2048);

  fill (ends.writer, 56);
  wait_ok (ends.reader, 0);
  wait_fails (ends.writer, 0, 0, NULL, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  wait_fails (ends.writer, 2048, 20000, NULL, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  wait_fails (ends.writer, 0, -1, cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  /* What there is counts more. */
  g_assert_true (mp_ring_wait (ends.reader, 0, 0, cancelled, NULL));
  ends_clear (&ends);
}

static void
test_peer_gone (void)
{
  guint n_died = mp_arena_counts.n_ring_peer_died;
  g_autoptr(GError) error = NULL;
  MpRing *ring;
  Ends ends;

  ring = mp_ring_new (4096, &error);
  g_assert_no_error (error);
  g_assert_true (mp_ring_take_end (ring, MP_RING_READER, &error));
  wait_fails (ring, 0, -1, NULL, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_ring_free (ring);

  ends_open (&ends, 4096);
  write_record (ends.writer, 8, 0);
  g_clear_pointer (&ends.writer, mp_ring_free);
  wait_ok (ends.reader, 0);
  read_record (ends.reader, 8, 0);
  wait_fails (ends.reader, 0, -1, NULL, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_ring_free (ends.reader);

  ends_open (&ends, 4096);
  fill (ends.writer, 56);
  g_clear_pointer (&ends.reader, mp_ring_free);
  wait_fails (ends.writer, 0, -1, NULL, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_ring_free (ends.writer);
  g_assert_cmpuint (mp_arena_counts.n_ring_peer_died, ==, n_died);
}

typedef struct
{
  MpRing       *ring;
  GCancellable *cancellable;
} Canceller;

/* When the other sleeps. */
static gpointer
cancel_sleeper (gpointer data)
{
  Canceller *canceller = data;

  wait_for_sleep (canceller->ring);
  g_cancellable_cancel (canceller->cancellable);
  return NULL;
}

static void
test_cancel (void)
{
  gint64 begin = g_get_monotonic_time ();
  guint n;

  for (n = 0; n < 20; n++)
    {
      g_autoptr(GCancellable) cancellable = g_cancellable_new ();
      Canceller canceller;
      GThread *thread;
      Ends ends;

      ends_open (&ends, 4096);
      if (n % 2 == 0)
        fill (ends.writer, 56);
      canceller = (Canceller) { n % 2 == 0 ? ends.writer : ends.reader, cancellable };
      thread = g_thread_new ("canceller", cancel_sleeper, &canceller);
      wait_fails (canceller.ring, 0, -1, cancellable, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_thread_join (thread);
      ends_clear (&ends);
    }
  /* They were woken, and have not only come to the end of a slice. */
  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    g_assert_cmpint (g_get_monotonic_time () - begin, <, G_USEC_PER_SEC);
}

/* A descriptor that becomes readable when a signal has come, as an interpreter has one. */
static void
test_interrupt (void)
{
  int fd = mp_fd_eventfd ();
  int previous = mp_set_interrupt_fd (fd);
  Ends ends;

  ends_open (&ends, 4096);
  wait_fails (ends.reader, 0, 1000, NULL, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  mp_fd_signal (fd);
  wait_fails (ends.reader, 0, -1, NULL, MP_ERROR, MP_ERROR_INTERRUPTED);
  mp_set_interrupt_fd (previous);
  mp_fd_close (&fd);
  ends_clear (&ends);
}

/* A writer that sleeps is left alone until a quarter of the ring is free, or all that it needs if that is more, or
 * there is nothing left to read. */
static void
test_coalesced (void)
{
  static const struct { guint need, n_reads; } cases[] = { { 64, 16 }, { 1024, 16 }, { 1032, 17 }, { 2056, 33 },
                                                           { G_MAXUINT32, 64 } };
  guint i, n;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guint32 *sleep;
      Ends ends;

      ends_open (&ends, 4096);
      fill (ends.writer, 56);
      ends.writer->own->need = cases[i].need;
      sleep = &ends.writer->own->sleep;
      *sleep = MP_RING_ON_WORD;
      for (n = 1; n <= cases[i].n_reads; n++)
        {
          read_record (ends.reader, 56, n - 1);
          g_assert_cmpuint (*sleep == MP_RING_ON_WORD, ==, n < cases[i].n_reads);
        }
      ends_clear (&ends);
    }
}

static void
test_own_bell (void)
{
  Ends ends;

  ends_open (&ends, 4096);
  g_assert_false (mp_ring_peer_sleeps (ends.writer));
  g_assert_true (mp_ring_going_to_sleep (ends.reader));
  /* Not woken by what is written; and who looks takes the mark. */
  write_record (ends.writer, 1, 1);
  g_assert_true (mp_ring_peer_sleeps (ends.writer));
  g_assert_false (mp_ring_peer_sleeps (ends.writer));
  mp_ring_awake (ends.reader);
  g_assert_false (mp_ring_going_to_sleep (ends.reader));
  read_record (ends.reader, 1, 1);
  g_assert_true (mp_ring_going_to_sleep (ends.reader));
  mp_ring_awake (ends.reader);
  g_assert_false (mp_ring_peer_sleeps (ends.writer));

  g_assert_false (mp_ring_going_to_sleep (ends.writer));
  fill (ends.writer, 56);
  g_assert_true (mp_ring_going_to_sleep (ends.writer));
  read_record (ends.reader, 56, 0);
  g_assert_false (mp_ring_peer_sleeps (ends.reader));
  g_assert_cmpuint (drain_from (ends.reader, 56, 1), ==, 63);
  g_assert_true (mp_ring_peer_sleeps (ends.reader));
  g_assert_false (mp_ring_going_to_sleep (ends.writer));

  /* A batch is published by who asks. */
  g_assert_true (mp_ring_going_to_sleep (ends.reader));
  mp_ring_begin_batch (ends.writer);
  write_record (ends.writer, 1, 1);
  g_assert_true (mp_ring_peer_sleeps (ends.writer));
  read_record (ends.reader, 1, 1);
  mp_ring_end_batch (ends.writer);
  ends_clear (&ends);
}

/* Two threads, each with an end. */
static gpointer
write_stream_in_thread (gpointer data)
{
  write_stream (data, 0, 20000);
  return NULL;
}

static void
test_threads (void)
{
  GThread *thread;
  Ends ends;

  ends_open (&ends, 4096);
  thread = g_thread_new ("writer", write_stream_in_thread, ends.writer);
  read_stream (ends.reader, 0, 20000);
  g_thread_join (thread);
  ends_clear (&ends);
}

/* A ring that a foreign process offers. */
static void
refuse_memory (int fd)
{
  g_autoptr(GError) error = NULL;

  g_assert_cmpint (fd, >=, 0);
  g_assert_null (mp_ring_adopt (fd, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpint (fcntl (fd, F_GETFD), <, 0);
}

static int
make_unsealed (gsize size)
{
  int fd = memfd_create ("unsealed", MFD_CLOEXEC);

  g_assert_cmpint (ftruncate (fd, size), ==, 0);
  return fd;
}

static void
test_foreign (void)
{
  static const gsize sizes[] = { 0, 8, 4096, 4097, 8191, 8193, 3 * 4096, 4096 + 6000 };
  g_autoptr(GError) error = NULL;
  MpRingHeader *header;
  MpRing *ring;
  int fds[2];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    refuse_memory (mp_fd_memory_file ("foreign", sizes[i]));
  refuse_memory (mp_fd_memory_file ("zeros", 8192));
  refuse_memory (make_unsealed (8192));
  refuse_memory (mp_fd_open_null ());
  g_assert_cmpint (mp_fd_pipe (fds), ==, 0);
  refuse_memory (fds[0]);
  mp_fd_close (&fds[1]);

  /* In order but for a size that does not wrap. */
  fds[0] = mp_fd_memory_file ("odd", MP_RING_HEADER + 6000);
  header = mp_fd_map_memory_file (fds[0], MP_RING_HEADER);
  header->magic = MP_RING_MAGIC;
  header->size = 6000;
  mp_fd_unmap (header, MP_RING_HEADER);
  refuse_memory (fds[0]);

  for (i = 0; i < 2; i++)
    {
      ring = mp_ring_new (4096, &error);
      g_assert_no_error (error);
      if (i == 0)
        ring->header->magic++;
      else
        ring->header->size *= 2;
      refuse_memory (mp_fd_dup (mp_ring_get_fd (ring)));
      mp_ring_free (ring);
    }
}

/* @mine, @theirs: positions. Nobody can take an end of such a ring. */
static void
test_damaged_at_start (void)
{
  static const guint64 positions[][2] = { { 0, 4104 }, { 8, 0 }, { 4, 8 }, { 0, 4 }, { 3, 3 }, { 0, G_MAXUINT64 - 7 },
                                          { 1 << 20, 0 }, { G_MAXUINT64 - 7, 8192 } };
  guint i, end;

  for (i = 0; i < G_N_ELEMENTS (positions); i++)
    {
      for (end = 0; end < 2; end++)
        {
          g_autoptr(GError) error = NULL;
          MpRing *ring = mp_ring_new (4096, &error);

          g_assert_no_error (error);
          ring->header->sides[MP_RING_READER].position = positions[i][0];
          ring->header->sides[MP_RING_WRITER].position = positions[i][1];
          g_assert_false (mp_ring_take_end (ring, end, &error));
          g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
          mp_ring_free (ring);
        }
    }
}

static void
test_damaged_writer (void)
{
  /* Added to the position up to which there are 64 bytes to read. */
  static const gint64 steps[] = { 4, 1, -8, -64, -4096, 4096, 4040, G_MAXINT64 - 7, G_MININT64 };
  guint i, n;

  for (i = 0; i < G_N_ELEMENTS (steps); i++)
    {
      Ends ends;

      ends_open (&ends, 4096);
      write_record (ends.writer, 56, 0);
      wait_ok (ends.reader, 0);
      ends.writer->own->position += steps[i];
      read_record (ends.reader, 56, 0);
      for (n = 0; n < 2; n++)
        {
          read_fails (ends.reader);
          wait_fails (ends.reader, 0, -1, NULL, MP_ERROR, MP_ERROR_PROTOCOL);
          ends.writer->own->position -= n == 0 ? steps[i] : 0;   /* too late */
        }
      g_assert_false (mp_ring_going_to_sleep (ends.reader));
      ends_clear (&ends);
    }
}

static void
test_damaged_reader (void)
{
  static const gint64 steps[] = { 4, 1, -8, -4096, 4104, 8192, G_MAXINT64 - 7, G_MININT64 };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (steps); i++)
    {
      g_autoptr(GError) error = NULL;
      Ends ends;

      ends_open (&ends, 4096);
      fill (ends.writer, 56);
      ends.reader->own->position += steps[i];
      if (i % 2 == 0)
        wait_fails (ends.writer, 0, -1, NULL, MP_ERROR, MP_ERROR_PROTOCOL);
      g_assert_false (mp_ring_try_write (ends.writer, "", 0, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      ends_clear (&ends);
    }
}

static void
test_damaged_lengths (void)
{
  static const guint64 flips[] = { 0x8, 0x10, 0x40, 0x800, 0x1000, 0x80000000, G_GUINT64_CONSTANT (1) << 32,
                                   G_GUINT64_CONSTANT (1) << 63, 0xffffffff };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (flips); i++)
    {
      Ends ends;

      ends_open (&ends, 4096);
      write_record (ends.writer, 32, 0);
      *(guint64 *) (gpointer) ends.writer->data ^= i > 0 ? flips[i] : G_GUINT64_CONSTANT (0xffffffff00000000);
      read_fails (ends.reader);
      read_fails (ends.reader);
      ends_clear (&ends);
    }
}

/* What the other end says of its sleep can be anything. */
static void
test_damaged_sleep (void)
{
  static const guint32 words[] = { 0, 1, 2, 3, 4, 99, G_MAXUINT32 };
  guint i, j;

  for (i = 0; i < G_N_ELEMENTS (words); i++)
    {
      for (j = 0; j < G_N_ELEMENTS (words); j++)
        {
          Ends ends;

          ends_open (&ends, 4096);
          ends.reader->own->sleep = ends.writer->own->sleep = words[i];
          ends.reader->own->need = ends.writer->own->need = words[j];
          fill (ends.writer, 56);
          mp_ring_peer_sleeps (ends.writer);
          g_assert_cmpuint (drain (ends.reader, 56), ==, 64);
          mp_ring_peer_sleeps (ends.reader);
          ends_clear (&ends);
        }
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ring/sizes", test_sizes);
  g_test_add_func ("/ring/records", test_records);
  g_test_add_func ("/ring/wrap", test_wrap);
  g_test_add_func ("/ring/far-positions", test_far_positions);
  g_test_add_func ("/ring/full", test_full);
  g_test_add_func ("/ring/passed", test_passed);
  g_test_add_func ("/ring/too-large", test_too_large);
  g_test_add_func ("/ring/short-buffer", test_short_buffer);
  g_test_add_func ("/ring/write-batch", test_write_batch);
  g_test_add_func ("/ring/read-batch", test_read_batch);
  g_test_add_func ("/ring/ends", test_ends);
  g_test_add_func ("/ring/take-over", test_take_over);
  g_test_add_func ("/ring/wait", test_wait);
  g_test_add_func ("/ring/peer-gone", test_peer_gone);
  g_test_add_func ("/ring/cancel", test_cancel);
  g_test_add_func ("/ring/interrupt", test_interrupt);
  g_test_add_func ("/ring/coalesced", test_coalesced);
  g_test_add_func ("/ring/own-bell", test_own_bell);
  g_test_add_func ("/ring/threads", test_threads);
  g_test_add_func ("/ring/foreign", test_foreign);
  g_test_add_func ("/ring/damaged/at-start", test_damaged_at_start);
  g_test_add_func ("/ring/damaged/writer", test_damaged_writer);
  g_test_add_func ("/ring/damaged/reader", test_damaged_reader);
  g_test_add_func ("/ring/damaged/lengths", test_damaged_lengths);
  g_test_add_func ("/ring/damaged/sleep", test_damaged_sleep);
  return g_test_run ();
}
