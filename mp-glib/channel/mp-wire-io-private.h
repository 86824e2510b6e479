/* mp-wire-io-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/channel/mp-wire-private.h"

#include <sys/uio.h>

G_BEGIN_DECLS

/* What a stream's bytes go through on their way to its socket and from there; without one they go as they are. Never
 * blocks, and is not thread-safe: its user's lock is the wire's. It has no descriptors beside the bytes.
 *
 * What the socket has to tell is not all there may be: who waits for the socket has to have asked for more until there
 * was nothing. */
typedef struct _MpWireIO MpWireIO;

typedef struct
{
  /* How many of the bytes were taken; 0: none now; -1: error. After 0 the next call offers the same bytes again, and
   * more perhaps. */
  gssize   (* send)          (MpWireIO            *self,
                              const struct iovec  *iov,
                              guint                n_iov,
                              GError             **error);
  /* 0: nothing now, or @at_end. */
  gssize   (* recv)          (MpWireIO            *self,
                              gpointer             data,
                              gsize                size,
                              gboolean            *at_end,
                              GError             **error);
  /* Of those that were offered and not taken, so many may have left. */
  gsize    (* get_untaken)   (MpWireIO            *self);
  /* There may be bytes that the socket does not tell of. */
  gboolean (* may_have_more) (MpWireIO            *self);
  /* Closes the socket. */
  void     (* free)          (MpWireIO            *self);
} MpWireIOFuncs;

struct _MpWireIO
{
  const MpWireIOFuncs *funcs;
};

/* As mp_wire_new_stream(). Takes @io, to which the socket @fd belongs. Not for blocking: neither fill() nor
 * flush_blocking(), and its descriptor cannot be stolen. */
MpWire   *mp_wire_new_stream_over (int             fd,
                                   MpWireIO       *io,
                                   guint64         max_length);
gboolean  mp_wire_is_over_io      (MpWire         *self);
/* Bytes may have come that neither next() has given nor the socket tells of: fill() is worth a try. */
gboolean  mp_wire_may_have_more   (MpWire         *self);

/* As mp_auth_run(). */
gboolean  mp_wire_io_run_auth     (MpWireIO       *self,
                                   MpAuth         *auth,
                                   GIOCondition   *condition,
                                   GError        **error);

G_END_DECLS
