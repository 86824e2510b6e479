/* fuzz-wire-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bytes from a peer into a wire with rings, by ring and socket in turn. The input is portions: a byte, odd for the ring, a
 * byte of length, so many bytes. Frames must come out whole and within bounds; the rest must be an error, and stay one. */

#include "config.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <string.h>
#include <unistd.h>

#define MAX_LENGTH ((guint64) 1 << 16)
#define RING_SIZE  16384

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static MpRing *
make_ring (MpRingEnd   own,
           MpRing    **other)
{
  MpRing *ring = mp_ring_new (RING_SIZE, NULL);

  g_assert_nonnull (ring);
  *other = mp_ring_adopt (mp_fd_dup (mp_ring_get_fd (ring)), NULL);
  g_assert_true (mp_ring_take_end (ring, own, NULL));
  g_assert_true (mp_ring_take_end (*other, !own, NULL));
  return ring;
}

static volatile guint8 sum;   /* so that all is read */

/* FALSE: the peer is to be cut off, or is at its end. */
static gboolean
take_all (MpWire *wire)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  gssize n;

  do
    {
      n = mp_wire_fill (wire, FALSE, NULL);
      while (mp_wire_next (wire, &frame, &error))
        {
          g_assert_cmpuint (frame.kind, !=, 0);
          g_assert_cmpuint (frame.size, <=, MAX_LENGTH);
          for (gsize i = 0; i < frame.size; i++)
            sum += frame.data[i];
          mp_frame_clear (&frame);
        }
    }
  while (n > 0 && error == NULL);
  if (error == NULL)
    return n == 0;

  g_assert_true (error->domain == MP_ERROR);
  g_clear_error (&error);
  g_assert_false (mp_wire_next (wire, &frame, &error));
  g_assert_nonnull (error);
  return FALSE;
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  static const MpFrameHeader begin = { 0, 0, MP_WIRE_RINGS, 0 };
  struct iovec iov = { (gpointer) &begin, sizeof begin };
  MpRing *in, *out, *writer, *reader;
  gboolean goes_on = TRUE;
  MpWire *wire;
  int fds[2];

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  wire = mp_wire_new (fds[1], MAX_LENGTH);
  in = make_ring (MP_RING_READER, &writer);
  out = make_ring (MP_RING_WRITER, &reader);
  mp_wire_take_rings (wire, in, out);
  g_assert_cmpint (mp_socket_send (fds[0], &iov, 1, NULL, 0, FALSE), ==, sizeof begin);

  while (goes_on && size >= 2)
    {
      gsize n = MIN (data[1], size - 2);

      iov = (struct iovec) { (gpointer) (data + 2), n };
      if ((data[0] & 1) != 0)
        mp_ring_try_write (writer, data + 2, n, NULL);
      else if (n > 0 && mp_socket_send (fds[0], &iov, 1, NULL, 0, FALSE) < 0)
        break;
      goes_on = take_all (wire);
      data += 2 + n;
      size -= 2 + n;
    }
  close (fds[0]);
  if (goes_on)
    while (take_all (wire))
      ;
  mp_wire_free (wire);
  mp_ring_free (writer);
  mp_ring_free (reader);
  return 0;
}
