/* mp-handshake-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/channel/mp-connection.h"

G_BEGIN_DECLS

/* What happens between a socket that is connected and a connection that may be used: the keys. Never blocks; not
 * thread-safe. Who has one waits for its condition, or its deadline, and calls step() then; there may be any number of
 * them side by side. */

typedef enum
{
  MP_HANDSHAKE_WAITS,    /* for condition, until deadline */
  MP_HANDSHAKE_DONE,
  MP_HANDSHAKE_FAILED,   /* to be cleared: the peer gets nothing more */
} MpHandshakeState;

typedef struct
{
  int           fd;          /* (owned); -1: none */
  MpAuth       *auth;        /* (owned) (nullable): without a key there is nothing to do */
  GIOCondition  condition;   /* of @fd; valid after a step */
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
void             mp_handshake_clear  (MpHandshake  *self);

/* @error: set when the result is FAILED; G_IO_ERROR_TIMED_OUT after the deadline, and what mp_auth_run() gives. */
MpHandshakeState mp_handshake_step   (MpHandshake  *self,
                                      GError      **error);
/* Of one that is done: the connection, in the caller's thread-default main context. (transfer full) */
MpConnection    *mp_handshake_finish (MpHandshake  *self,
                                      guint64       max_message_size);

G_END_DECLS
