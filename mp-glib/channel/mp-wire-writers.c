/* mp-wire-writers.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-random-private.h"

#include <errno.h>

/* What several processes send from one end, one after the other, comes in that order: a socket sees to it, but not one
 * that some go past in their rings (mp-wire-lane.c). The reader cannot put it right, as it does not know which of both
 * was there first. So an end that is given to another process brings a page of memory along that all have who have
 * the end: it says who sends from it. Whoever finds somebody else there says that there are several, before it sends
 * anything; from then on all use the socket, and nothing else. Who has a ring looks before each step into it: what was
 * sent by the socket before that is ahead of the word that the ring is left.
 *
 * A copy of a process that fork() made is one more (mp_wire_begin_copy()). Only where the end was never given away there
 * is no page: what two have by fork() alone has no order between them. */

#define SIZE     4096
#define NOBODY   0u
#define SEVERAL  1u
#define FIRST_ID 2u

struct _MpWireWriters
{
  guint32 *word;   /* in the page: NOBODY, SEVERAL, or the id of who sends */
  guint32  id;
  int      fd;
};

static guint32
make_id (void)
{
  guint32 id = 0;

  if (!mp_random_bytes (&id, sizeof id))
    id = g_random_int ();
  return MAX (id, FIRST_ID);
}

MpWireWriters *
mp_wire_writers_new (GError **error)
{
  int fd = mp_fd_memory_file ("mp-writers", SIZE);

  if (fd >= 0)
    return mp_wire_writers_adopt (fd, error);

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "Cannot send a connection: %s", g_strerror (errno));
  return NULL;
}

MpWireWriters *
mp_wire_writers_adopt (int      fd,
                       GError **error)
{
  gpointer page = mp_fd_map_memory_file (fd, SIZE);
  MpWireWriters *self;

  if (page == NULL)
    {
      int saved_errno = errno;

      if (saved_errno == EINVAL)
        g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a connection that is none");
      else
        g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot map what a connection needs: %s",
                     g_strerror (saved_errno));
      mp_fd_close (&fd);
      return NULL;
    }

  self = g_new (MpWireWriters, 1);
  *self = (MpWireWriters) { page, make_id (), fd };
  return self;
}

int
mp_wire_writers_get_fd (MpWireWriters *self)
{
  return self->fd;
}

gboolean
mp_wire_writers_claim (MpWireWriters *self)
{
  guint32 seen = __atomic_load_n (self->word, __ATOMIC_SEQ_CST);

  if (G_LIKELY (seen == self->id))
    return TRUE;
  if (seen == NOBODY &&
      __atomic_compare_exchange_n (self->word, &seen, self->id, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    return TRUE;
  if (seen != SEVERAL)
    __atomic_store_n (self->word, SEVERAL, __ATOMIC_SEQ_CST);
  return FALSE;
}

void
mp_wire_writers_rename (MpWireWriters *self)
{
  self->id = make_id ();
}

void
mp_wire_writers_release (MpWireWriters *self)
{
  guint32 id = self->id;

  __atomic_compare_exchange_n (self->word, &id, NOBODY, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void
mp_wire_writers_free (MpWireWriters *self)
{
  mp_wire_writers_release (self);
  mp_fd_unmap (self->word, SIZE);
  mp_fd_close (&self->fd);
  g_free (self);
}
