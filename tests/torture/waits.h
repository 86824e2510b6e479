/* waits.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "torture.h"

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/channel/mp-connection.h"

G_BEGIN_DECLS

/* What torture-connection-waits.c has for messages: waits-messages.c. */

#define WAITS_MAX_LENGTH 30000
#define WAITS_LONG_WAIT  (20 * G_USEC_PER_SEC)   /* who waits for as long hangs, and is found before */
#define WAITS_QUIET_WAIT 70000   /* while nobody is killed: who waited for as long, and got something, was not woken */

enum { WAITS_BROKEN_NOTHING, WAITS_BROKEN_LOSES, WAITS_BROKEN_TWICE, WAITS_BROKEN_WORD, WAITS_BROKEN_BELL };

/* Who sends from one end: two threads, and another process. */
enum { WAITS_MAIN, WAITS_HELPER, WAITS_GUEST, WAITS_N_WRITERS };

typedef struct
{
  guint64 session;
  guint32 number;
  guint32 writer;
  guint32 length;     /* of what follows */
  guint32 sum;
} WaitsLead;

/* Numbers that come from 1, each once; those of several threads do not come in order. */
typedef struct
{
  guint32 base;       /* all up to here have come, … */
  guint32 padding;
  guint64 seen;       /* … and of the next ones these */
} WaitsNumbers;

/* FALSE: it was there before, or is far from all others. */
gboolean      waits_mark         (WaitsNumbers    *self,
                                  guint32          number);
/* How many are missing before the last one. */
guint         waits_count_gaps   (guint64          seen);

/* Between two messages: none, or long enough for the other end to fall asleep by the word, or by the socket. */
void          waits_make_gap     (void);
gboolean      waits_has_all_left (MpConnection    *self);
/* Fills in the sum. TRUE: it has left, or will. */
gboolean      waits_send_lead    (MpConnection    *self,
                                  WaitsLead       *lead,
                                  gint64           timeout_us);
/* NULL: there is nothing within that time, or nothing more: @ended. */
GBytes       *waits_receive      (MpConnection    *self,
                                  gint64           timeout_us,
                                  gboolean        *ended);
/* FALSE: it is none of that session. */
gboolean      waits_unpack       (GBytes          *bytes,
                                  guint64          of,
                                  WaitsLead       *lead);
/* Whether a thread sleeps by the word. */
gboolean      waits_is_dozing    (MpConnection    *self);

/* An end that is handed on. FALSE: it is not at rest. */
gboolean      waits_encode_end   (MpConnection    *self,
                                  MpEncoded       *encoded);
gsize         waits_flatten      (const MpEncoded *encoded,
                                  guint8          *data,
                                  gsize            size);
MpConnection *waits_decode_end   (const guint8    *data,
                                  gsize            size,
                                  int             *fds,
                                  guint            n_fds);

G_END_DECLS
