/* mp-auth-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* How the two ends of a new connection show each other that they have the same key, in CPython's way: messages in the
 * framing of mp_wire_new_stream(), at most MP_AUTH_MAX_MESSAGE bytes each.
 *
 *   one end    "#CHALLENGE#" and a challenge: "{sha256}" and 40 random bytes
 *   the other  "{sha256}" and HMAC-SHA256 (key, the challenge with its prefix)
 *   the first  "#WELCOME#" or "#FAILURE#"
 *
 * and then the same the other way round; the listener challenges first. CPython before 3.12 has HMAC-MD5 and no prefix:
 * its challenge is 20 random bytes, its answer, to any challenge, the 16 bytes of the digest.
 *
 * A machine that does no I/O of its own but in mp_auth_run(), never blocks, and knows no time: who uses it has a
 * deadline. Not thread-safe. The first error is the last: the connection is to be closed then, once what is pending,
 * which may be the news of the failure, has been tried to be sent. All errors of the peer's making are
 * MP_ERROR_AUTHENTICATION or MP_ERROR_PROTOCOL, and hold nothing that is secret. */

#define MP_AUTH_MAX_MESSAGE 256

typedef enum
{
  MP_AUTH_LISTENER,     /* challenges, then answers */
  MP_AUTH_CLIENT,       /* answers, then challenges */
  MP_AUTH_DELIVER,      /* only challenges: CPython's deliver_challenge() */
  MP_AUTH_ANSWER,       /* only answers: its answer_challenge() */
} MpAuthRole;

typedef struct _MpAuth MpAuth;

/* @key: not empty. @allow_md5: the old form is accepted, and given. */
MpAuth       *mp_auth_new          (MpAuthRole      role,
                                    GBytes         *key,
                                    gboolean        allow_md5,
                                    GError        **error);
void          mp_auth_free         (MpAuth         *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpAuth, mp_auth_free)

/* Both ends have shown what they know, and nothing is pending. */
gboolean      mp_auth_is_done      (MpAuth         *self);
/* How many of the peer's messages were as they should be. */
guint         mp_auth_get_n_taken  (MpAuth         *self);

/* By messages, for who has a connection already. */

/* The next one to send; NULL: none now. */
GBytes       *mp_auth_dup_message  (MpAuth         *self);
/* One that has come. */
gboolean      mp_auth_take_message (MpAuth         *self,
                                    const guint8   *data,
                                    gsize           size,
                                    GError        **error);

/* By bytes of the stream; these do the framing. Not to be mixed with the others. */

/* What is to be sent; NULL: nothing now. Valid until the next call. */
const guint8 *mp_auth_get_pending  (MpAuth         *self,
                                    gsize          *size);
void          mp_auth_sent         (MpAuth         *self,
                                    gsize           n);
/* How many bytes may be read now: never one that belongs to what comes after. 0: none, because all is done, has failed,
 * or waits for what is pending. */
gsize         mp_auth_get_wanted   (MpAuth         *self);
/* @size bytes that have come, at most as many as were wanted. */
gboolean      mp_auth_feed         (MpAuth         *self,
                                    const guint8   *data,
                                    gsize           size,
                                    GError        **error);

/* Sends and reads what @fd, a stream socket, takes and has. TRUE: done. FALSE without error: to be called again when it
 * is @condition. Errors beside those above: G_IO_ERROR_CLOSED, the other end is; those of the system. */
gboolean      mp_auth_run          (MpAuth         *self,
                                    int             fd,
                                    GIOCondition   *condition,
                                    GError        **error);

G_END_DECLS
