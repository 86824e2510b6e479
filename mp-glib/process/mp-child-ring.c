/* mp-child-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>

/* The rings of a child's wire, as its owner makes them. */

/* The descriptor to be sent is the only one that this process keeps of the ring's memory. */
static MpRing *
make_ring (gsize       size,
           MpRingEnd   end,
           int        *fd,
           GError    **error)
{
  MpRing *ring = mp_ring_new (size, error);

  if (ring == NULL || !mp_ring_take_end (ring, end, error))
    {
      g_clear_pointer (&ring, mp_ring_free);
      return NULL;
    }

  *fd = mp_fd_dup (mp_ring_get_fd (ring));
  if (*fd < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot share a ring with a worker: %s",
                   g_strerror (errno));
      g_clear_pointer (&ring, mp_ring_free);
      return NULL;
    }
  mp_ring_close_fd (ring);
  return ring;
}

gboolean
mp_child_make_rings (MpChild  *self,
                     gsize     size,
                     int       fds[2],
                     GError  **error)
{
  MpRing *to_worker, *to_owner;

  fds[0] = fds[1] = -1;
  to_worker = make_ring (size, MP_RING_WRITER, &fds[0], error);
  if (to_worker == NULL)
    return FALSE;
  to_owner = make_ring (size, MP_RING_READER, &fds[1], error);
  if (to_owner == NULL)
    {
      mp_ring_free (to_worker);
      return FALSE;
    }

  mp_wire_take_rings (self->wire, to_owner, to_worker);
  self->has_rings = TRUE;
  return TRUE;
}
