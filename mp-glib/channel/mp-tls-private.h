/* mp-tls-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-io-private.h"

G_BEGIN_DECLS

/* TLS over a TCP socket, by GIO's backend. A machine that never blocks; not thread-safe: its user's lock guards it.
 * Only TLS 1.3 and later: it knows no renegotiation, with which the other end could have handshakes at any time.
 *
 * GIO does a handshake in a thread of its pool of GTask, one each, for as long as the other end takes; there are no
 * threads before and afterwards. A server begins only when the first words of the client are there as a whole, and its
 * owner says how many may be under way, so that those who come to stall find little to hold. What GIO has to say to
 * whoever began comes by a main context of the handshake's own, of which nobody else knows; its descriptor is that to
 * wait for. */

typedef struct _MpTls MpTls;

typedef struct
{
  gboolean            is_server;
  GTlsCertificate    *certificate;   /* (nullable) for a client: with its private key */
  GTlsDatabase       *database;      /* (nullable): for a client, NULL: the system's; for a server, NULL: clients need
                                      * no certificate */
  GSocketConnectable *identity;      /* for a client: whom the server's certificate must name */
} MpTlsSettings;

/* FALSE with G_IO_ERROR_NOT_SUPPORTED: GIO has no backend here. */
gboolean  mp_tls_check_support   (GError              **error);

/* Takes @fd, connected, of a family of IP. Keeps what it needs of @settings. */
MpTls    *mp_tls_new             (int                   fd,
                                  const MpTlsSettings  *settings);
/* The other end hears that this is the end, if that can be said at once. One in a handshake is given up. */
void      mp_tls_free            (MpTls                *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpTls, mp_tls_free)

/* TRUE: done. FALSE without error: to be called again when @fd is @condition; @fd -1: it waits for @may_begin, which
 * says whether a thread of GIO's may be used now. Errors: G_TLS_ERROR, G_IO_ERROR_CLOSED, those of the system. */
gboolean  mp_tls_handshake       (MpTls                *self,
                                  gboolean              may_begin,
                                  int                  *fd,
                                  GIOCondition         *condition,
                                  GError              **error);
/* A server's client has not said its first words yet. */
gboolean  mp_tls_is_at_gate      (MpTls                *self);
/* A thread of GIO's is at work for it. */
gboolean  mp_tls_is_under_way    (MpTls                *self);
/* A server that has found no descriptors to begin with: it can be tried again. */
gboolean  mp_tls_lacks_fds       (MpTls                *self);

/* After the handshake. */
int       mp_tls_get_fd          (MpTls                *self);
MpWireIO *mp_tls_get_io          (MpTls                *self);   /* the same, for mp_wire_new_stream_over() to take */
GTlsCertificate *mp_tls_dup_peer_certificate (MpTls    *self);   /* NULL: it showed none */

/* Handshakes that were given up and whose threads have not ended yet, after a look. */
guint     mp_tls_sweep           (void);

G_END_DECLS
