/* mp-handshake-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/channel/mp-connection.h"
#include "mp-glib/channel/mp-tls-private.h"

G_BEGIN_DECLS

/* What happens between a socket that is connected and a connection that may be used: TLS, and within that the keys.
 * Never blocks; not thread-safe. Who has one waits for its condition, or its deadline, and calls step() then; there may
 * be any number of them side by side. */

typedef enum
{
  MP_HANDSHAKE_WAITS,    /* for condition, until deadline */
  MP_HANDSHAKE_DONE,
  MP_HANDSHAKE_FAILED,   /* to be cleared: the peer gets nothing more */
} MpHandshakeState;

typedef struct
{
  int           fd;          /* (owned), by @tls when there is one; -1: none */
  MpTls        *tls;         /* (owned) (nullable) */
  gboolean      is_secure;   /* the handshake of @tls is over */
  gboolean      may_begin;   /* set by who has it: @tls may use a thread of GIO's, see there; TRUE at first */
  MpAuth       *auth;        /* (owned) (nullable): without a key there is nothing to do */
  int           wait_fd;     /* what to wait for, valid after a step; -1: for may_begin … */
  GIOCondition  condition;   /* … or that this is so */
  gint64        deadline;    /* in g_get_monotonic_time() terms; -1: none */
} MpHandshake;

/* Takes @fd, in any case. @role: LISTENER or CLIENT. @key: (nullable). FALSE: an empty key, or the system refused. */
gboolean         mp_handshake_init   (MpHandshake  *self,
                                      int           fd,
                                      MpAuthRole    role,
                                      GBytes       *key,
                                      gboolean      allow_md5,
                                      gint64        deadline,
                                      GError      **error);
/* Before the first step; @fd is of a family of IP. */
void             mp_handshake_use_tls (MpHandshake *self,
                                      const MpTlsSettings *settings);
void             mp_handshake_clear  (MpHandshake  *self);

/* @error: set when the result is FAILED; G_IO_ERROR_TIMED_OUT after the deadline, and what
 * mp_tls_handshake() and mp_auth_run() give. */
MpHandshakeState mp_handshake_step   (MpHandshake  *self,
                                      GError      **error);
/* Of one that is done: the connection, in the caller's thread-default main context. (transfer full) */
MpConnection    *mp_handshake_finish (MpHandshake  *self,
                                      guint64       max_message_size);

G_END_DECLS
