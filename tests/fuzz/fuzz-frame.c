/* fuzz-frame.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bytes from a peer into a wire. The first byte of the input says in what portions they come, and with which of them a
 * descriptor. Frames must come out whole and within bounds, their values readable; the rest must be an error. */

#include "config.h"

#include "portions.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/channel/mp-wire-private.h"

#include <unistd.h>

#define MAX_LENGTH ((guint64) 1 << 24)

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static gsize
take_frames (MpWire  *wire,
             GError **error)
{
  GError *local_error = NULL;
  gsize taken = 0;
  MpFrame frame;
  guint i;

  while (mp_wire_next (wire, &frame, &local_error))
    {
      g_autoptr(GVariant) value = NULL;
      g_autofree char *text = NULL;
      gsize used = 0;

      g_assert_cmpuint (frame.kind, !=, 0);
      g_assert_cmpuint (frame.size, <=, MAX_LENGTH);
      g_assert_cmpuint (GPOINTER_TO_SIZE (frame.data) % 8, ==, 0);
      for (i = 0; i < frame.n_fds; i++)
        g_assert_cmpint (frame.fds[i], >=, 0);
      taken += 16 + frame.size;

      value = mp_frame_get_value (&frame, 0, &used, NULL);
      mp_frame_clear (&frame);
      if (value != NULL)
        text = g_variant_print (value, TRUE);
    }

  if (local_error != NULL)
    {
      g_assert_cmpuint (local_error->domain, ==, MP_ERROR);
      g_propagate_error (error, local_error);
    }
  return taken;
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autoptr(GError) error = NULL;
  MpWire *wire;
  Portions portions;
  gsize taken = 0;
  int fds[2];

  if (!portions_init (&portions, data, size))
    return 0;

  g_assert_cmpint (mp_socket_pair (fds, 1 << 18), ==, 0);
  wire = mp_wire_new (fds[1], MAX_LENGTH);
  while (error == NULL && portions_send (&portions, fds[0]))
    while (error == NULL && mp_wire_fill (wire, FALSE, &error) > 0)
      taken += take_frames (wire, error == NULL ? &error : NULL);
  g_assert_cmpuint (taken, <=, portions.sent);

  close (fds[0]);
  while (error == NULL)
    {
      take_frames (wire, &error);
      if (error == NULL)
        mp_wire_fill (wire, FALSE, &error);
    }
  mp_wire_free (wire);

  return 0;
}
