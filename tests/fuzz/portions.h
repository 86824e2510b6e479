/* portions.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How the fuzz targets of wires give their input to one: in portions, as from a peer. The first byte of it says how long
 * they are, and whether every other one has a descriptor beside it. */
#pragma once

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#define LONGEST 65536

typedef struct
{
  const guint8 *data;
  gsize         size;
  gsize         sent;
  gsize         portion;
  gboolean      with_fds;
  guint         n_sent;
} Portions;

/* FALSE: it is no input. */
static inline gboolean
portions_init (Portions     *self,
               const guint8 *data,
               gsize         size)
{
  if (size < 1 || size > LONGEST)
    return FALSE;

  *self = (Portions) { .data = data + 1, .size = size - 1, .portion = data[0] & 0x7f, .with_fds = data[0] >= 0x80 };
  if (self->portion == 0)
    self->portion = self->size;
  return TRUE;
}

/* FALSE: all has been sent. */
static inline gboolean
portions_send (Portions *self,
               int       fd)
{
  struct iovec iov = { (gpointer) (self->data + self->sent), MIN (self->portion, self->size - self->sent) };
  int null_fd;

  if (iov.iov_len == 0)
    return FALSE;

  null_fd = self->with_fds && self->n_sent++ % 2 == 0 ? mp_fd_open_null () : -1;
  g_assert_cmpint (mp_socket_send (fd, &iov, 1, &null_fd, null_fd >= 0 ? 1 : 0, TRUE), ==, iov.iov_len);
  mp_fd_close (&null_fd);
  self->sent += iov.iov_len;
  return TRUE;
}
