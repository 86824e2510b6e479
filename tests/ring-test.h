/* ring-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of rings have in common. */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/arena/mp-ring-state-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONG_TIME  (60 * G_USEC_PER_SEC)
#define MAX_RECORD 2048

typedef struct
{
  MpRing *reader;
  MpRing *writer;
} Ends;

static inline MpRing *
open_end (int       fd,
          MpRingEnd end)
{
  g_autoptr(GError) error = NULL;
  MpRing *ring = mp_ring_adopt (mp_fd_dup (fd), &error);

  g_assert_no_error (error);
  g_assert_true (mp_ring_take_end (ring, end, &error));
  g_assert_no_error (error);
  return ring;
}

/* Both, each with a mapping of its own. Takes @ring. */
static inline void
ends_open_of (Ends   *ends,
              MpRing *ring)
{
  ends->reader = open_end (mp_ring_get_fd (ring), MP_RING_READER);
  ends->writer = open_end (mp_ring_get_fd (ring), MP_RING_WRITER);
  mp_ring_free (ring);
}

static inline void
ends_open (Ends *ends,
           gsize size)
{
  g_autoptr(GError) error = NULL;
  MpRing *ring = mp_ring_new (size, &error);

  g_assert_no_error (error);
  ends_open_of (ends, ring);
}

static inline void
ends_clear (Ends *ends)
{
  mp_ring_free (ends->reader);
  mp_ring_free (ends->writer);
}

/* Another one in the place of the one that has the end. */
static inline void
reopen (Ends      *ends,
        MpRingEnd  end)
{
  MpRing **ring = end == MP_RING_READER ? &ends->reader : &ends->writer;
  int fd = mp_fd_dup (mp_ring_get_fd (*ring));

  mp_ring_free (*ring);
  *ring = open_end (fd, end);
  mp_fd_close (&fd);
}

/* The bytes of the record @number. */
static inline void
make_record (guint8 *data,
             gsize   size,
             guint64 number)
{
  guint64 state = (number + 1) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  gsize i;

  for (i = 0; i < size; i++)
    {
      data[i] = state >> 56;
      state = state * G_GUINT64_CONSTANT (6364136223846793005) + 1442695040888963407;
    }
}

static inline gboolean
try_write_record (MpRing  *ring,
                  gsize    size,
                  guint64  number)
{
  g_autoptr(GError) error = NULL;
  guint8 data[MAX_RECORD] = { 0 };
  gboolean written;

  make_record (data, size, number);
  written = mp_ring_try_write (ring, data, size, &error);
  g_assert_no_error (error);
  return written;
}

static inline void
write_record (MpRing  *ring,
              gsize    size,
              guint64  number)
{
  g_assert_true (try_write_record (ring, size, number));
}

static inline void
refuse_record (MpRing *ring,
               gsize   size)
{
  g_assert_false (try_write_record (ring, size, 0));
}

/* FALSE: there is none. */
static inline gboolean
try_read_record (MpRing  *ring,
                 gsize    size,
                 guint64  number)
{
  g_autoptr(GError) error = NULL;
  guint8 data[MAX_RECORD], expected[MAX_RECORD];
  gsize n;

  if (!mp_ring_try_read (ring, data, sizeof data, &n, &error))
    {
      g_assert_no_error (error);
      g_assert_cmpuint (n, ==, 0);
      return FALSE;
    }
  make_record (expected, size, number);
  g_assert_cmpmem (data, n, expected, size);
  return TRUE;
}

static inline void
read_record (MpRing  *ring,
             gsize    size,
             guint64  number)
{
  g_assert_true (try_read_record (ring, size, number));
}

static inline void
read_nothing (MpRing *ring)
{
  g_assert_false (try_read_record (ring, 0, 0));
}

static inline void
read_fails (MpRing *ring)
{
  g_autoptr(GError) error = NULL;
  guint8 data[MAX_RECORD];
  gsize n;

  g_assert_false (mp_ring_try_read (ring, data, sizeof data, &n, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
}

/* With records of one size, until it is full; how many. */
static inline guint
fill (MpRing *ring,
      gsize   size)
{
  guint n = 0;

  while (try_write_record (ring, size, n))
    n++;
  return n;
}

static inline guint
drain_from (MpRing *ring,
            gsize   size,
            guint   first)
{
  guint n = 0;

  while (try_read_record (ring, size, first + n))
    n++;
  return n;
}

static inline guint
drain (MpRing *ring,
       gsize   size)
{
  return drain_from (ring, size, 0);
}

static inline void
wait_ok (MpRing *ring,
         gsize   room)
{
  g_autoptr(GError) error = NULL;

  gboolean done = mp_ring_wait (ring, room, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (done);
}

static inline void
wait_fails (MpRing       *ring,
            gsize         room,
            gint64        timeout_us,
            GCancellable *cancellable,
            GQuark        domain,
            int           code)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_ring_wait (ring, room, timeout_us, cancellable, &error));
  g_assert_error (error, domain, code);
}

/* Until the one that has this end sleeps on its word. */
static inline void
wait_for_sleep (MpRing *ring)
{
  while (__atomic_load_n (&ring->own->sleep, __ATOMIC_ACQUIRE) != MP_RING_ON_WORD)
    g_thread_yield ();
}

/* Many records, of all sizes, waited for on both sides. */
static inline gsize
get_size (guint64 number)
{
  return number * 7919 % (number % 16 == 0 ? MAX_RECORD + 1 : 100);
}

static inline void
write_stream (MpRing  *ring,
              guint64  first,
              guint64  end)
{
  for (; first < end; first++)
    while (!try_write_record (ring, get_size (first), first))
      wait_ok (ring, get_size (first));
}

static inline void
read_stream (MpRing  *ring,
             guint64  first,
             guint64  end)
{
  for (; first < end; first++)
    while (!try_read_record (ring, get_size (first), first))
      wait_ok (ring, 0);
}
