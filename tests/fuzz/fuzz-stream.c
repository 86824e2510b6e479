/* fuzz-stream.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bytes from a peer into a wire with the framing of CPython's connections. The first byte of the input says in what
 * portions they come, and with which of them a descriptor. What is taken must be what a plain reading of the bytes
 * gives; its values readable, or an error; the rest an error. */

#include "config.h"

#include "portions.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/channel/mp-wire-private.h"

#include <string.h>
#include <unistd.h>

#define MAX_LENGTH ((guint64) 1 << 24)

typedef struct
{
  const guint8 *data;
  gsize         size;
  gsize         place;      /* what was taken so far */
  MpWire       *wire;
} Run;

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

/* By the description of the format, which knows nothing of wires. FALSE: no message begins here. */
static gboolean
read_plainly (Run           *run,
              const guint8 **data,
              gsize         *size)
{
  const guint8 *head = run->data + run->place;
  gsize left = run->size - run->place;
  guint64 length = 0;
  guint i, first = 0, n = 4;

  if (left >= 4 && memcmp (head, "\377\377\377\377", 4) == 0)
    {
      first = 4;
      n = 12;
    }
  if (left < n || (first == 0 && head[0] >= 0x80))
    return FALSE;

  for (i = first; i < n; i++)
    length = length << 8 | head[i];
  if (length > left - n)
    return FALSE;

  *data = head + n;
  *size = length;
  run->place += n + length;
  return TRUE;
}

static void
take_frames (Run     *run,
             GError **error)
{
  GError *local_error = NULL;
  const guint8 *data;
  MpFrame frame;
  gsize size;
  guint i;

  while (mp_wire_next (run->wire, &frame, &local_error))
    {
      g_autoptr(GVariant) value = NULL;
      g_autofree char *text = NULL;

      g_assert_true (read_plainly (run, &data, &size));
      g_assert_cmpmem (frame.data, frame.size, data, size);
      g_assert_cmpuint (frame.kind, ==, MP_STREAM_KIND);
      for (i = 0; i < frame.n_fds; i++)
        g_assert_cmpint (frame.fds[i], >=, 0);

      if (frame.is_value)
        {
          g_assert_cmpuint (GPOINTER_TO_SIZE (frame.data) % 8, ==, 0);
          value = mp_frame_get_value (&frame, MP_STREAM_MAGIC_SIZE, NULL, NULL);
        }
      mp_frame_clear (&frame);
      if (value != NULL)
        text = g_variant_print (value, TRUE);
    }

  if (local_error == NULL)
    return;
  g_assert_cmpuint (local_error->domain, ==, MP_ERROR);
  g_propagate_error (error, local_error);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autoptr(GError) error = NULL;
  Run run = { NULL };
  Portions portions;
  int fds[2];

  if (!portions_init (&portions, data, size))
    return 0;

  run.data = portions.data;
  run.size = portions.size;

  g_assert_cmpint (mp_socket_pair (fds, 1 << 18), ==, 0);
  run.wire = mp_wire_new_stream (fds[1], MAX_LENGTH);
  while (error == NULL && portions_send (&portions, fds[0]))
    while (error == NULL && mp_wire_fill (run.wire, FALSE, &error) > 0)
      if (error == NULL)
        take_frames (&run, &error);

  close (fds[0]);
  while (error == NULL)
    {
      take_frames (&run, &error);
      if (error == NULL)
        mp_wire_fill (run.wire, FALSE, &error);
    }

  /* Whole messages were not passed over, unless something came before that ends all. */
  if (error->domain == G_IO_ERROR)
    g_assert_false (read_plainly (&run, &data, &size));
  mp_wire_free (run.wire);

  return 0;
}
