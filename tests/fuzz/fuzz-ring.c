/* fuzz-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The memory of a ring, as a peer may have made and may go on changing it. The input: a byte of what to do (see
 * below), then what says something in the ring's first page, as it is laid out there but without what lies between,
 * then its data from the start. Records must come out within bounds, writes must stay within the ring; the rest must
 * be an error. */

#include "config.h"

#include "mp-glib/arena/mp-ring-state-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <string.h>

#define SIZE MP_RING_MIN_SIZE

/* Of the first byte. */
#define AS_WRITER  1
#define IN_BATCH   2
#define IS_LONGER  4   /* the file, than it should be */
#define IS_MOVING  8   /* the peer's position, between two calls, by what the data say */
#define IS_SHORT   16  /* the buffer */

typedef struct
{
  guint64 magic;
  guint64 size;
  struct
  {
    guint64 position;
    guint32 sleep;
    guint32 need;
  } sides[2];
} Said;

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static MpRingHeader *
make_memory (int         fd,
             gsize       file_size,
             const Said *said)
{
  MpRingHeader *header = mp_fd_map_memory_file (fd, file_size);
  guint i;

  g_assert_nonnull (header);
  header->magic = said->magic;
  header->size = said->size;
  for (i = 0; i < 2; i++)
    {
      header->sides[i].position = said->sides[i].position;
      header->sides[i].sleep = said->sides[i].sleep;
      header->sides[i].need = said->sides[i].need;
    }
  return header;
}

/* One record read, or written. FALSE: no more. */
static gboolean
step (MpRing *ring,
      int     flags,
      guint   number)
{
  g_autoptr(GError) error = NULL;
  guint8 buffer[SIZE / 2];
  gsize n = sizeof buffer;
  gboolean done;

  if ((flags & AS_WRITER) != 0)
    {
      memset (buffer, number, sizeof buffer);
      done = mp_ring_try_write (ring, buffer, number * 37 % sizeof buffer, &error);
    }
  else
    {
      n = SIZE;
      done = mp_ring_try_read (ring, buffer, (flags & IS_SHORT) != 0 ? 64 : sizeof buffer, &n, &error);
      g_assert_cmpuint (n, <=, sizeof buffer);
    }

  g_assert_cmpuint (mp_ring_available (ring), <=, SIZE);
  if (error != NULL)
    {
      g_assert_false (done);
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
    }
  return done;
}

static void
use (MpRing       *ring,
     MpRingHeader *header,
     int           flags)
{
  g_autoptr(GError) error = NULL;
  guint i;

  if ((flags & IN_BATCH) != 0)
    mp_ring_begin_batch (ring);
  for (i = 0; i < 2 * SIZE / 8 && step (ring, flags, i); i++)
    if ((flags & IS_MOVING) != 0)
      header->sides[(flags & AS_WRITER) == 0].position += ((guint8 *) header)[MP_RING_HEADER + i % SIZE] * 8;

  if (mp_ring_going_to_sleep (ring))
    mp_ring_awake (ring);
  mp_ring_peer_sleeps (ring);
  mp_ring_end_batch (ring);
  /* Nobody has the other end. */
  if (!mp_ring_wait (ring, 8, 0, NULL, &error))
    g_assert_true (g_error_matches (error, MP_ERROR, MP_ERROR_PROTOCOL) ||
                   g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED));
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autoptr(GError) error = NULL;
  MpRingHeader *header;
  gsize file_size;
  MpRing *ring;
  int flags, fd;
  Said said;

  if (size < 1 + sizeof said)
    return 0;

  flags = data[0];
  memcpy (&said, data + 1, sizeof said);
  data += 1 + sizeof said;
  size = MIN (size - 1 - sizeof said, SIZE);

  file_size = MP_RING_HEADER + SIZE + ((flags & IS_LONGER) != 0 ? SIZE / 2 : 0);
  fd = mp_fd_memory_file ("fuzz-ring", file_size);
  g_assert_cmpint (fd, >=, 0);
  header = make_memory (fd, file_size, &said);
  memcpy ((guint8 *) header + MP_RING_HEADER, data, size);

  ring = mp_ring_adopt (fd, &error);
  if (ring != NULL)
    {
      g_assert_cmpuint (mp_ring_get_size (ring), ==, SIZE);
      if (mp_ring_take_end (ring, (flags & AS_WRITER) != 0 ? MP_RING_WRITER : MP_RING_READER, &error))
        use (ring, header, flags);
      mp_ring_free (ring);
    }
  if (error != NULL)
    g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);

  mp_fd_unmap (header, file_size);
  return 0;
}
