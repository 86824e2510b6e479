/* mp-connection-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-context-watch-private.h"
#include "mp-glib/base/mp-home-private.h"
#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/channel/mp-connection.h"
#include "mp-glib/channel/mp-tls-private.h"
#include "mp-glib/platform/mp-spin-private.h"

#include <pthread.h>

G_BEGIN_DECLS

/* Of a message of a listener's or a client's connection, at first. */
#define MP_STREAM_MAX_SIZE (G_GUINT64_CONSTANT (64) << 20)

/* Makes connections known to the codec. mp_wire_new() calls it. */
void mp_connection_ensure_kind (void);

/* The rest is for mp-connection*.c: the class, its blocking calls, its asynchronous ones, and between them the engine,
 * which moves messages between calls and wire. */

/* Frames of a connection. More kinds may come; one that is not known ends the connection. */
typedef enum
{
  MP_MESSAGE_VALUE = 1,
  MP_MESSAGE_BYTES = 2,
  MP_MESSAGE_ANY = 3,     /* of a call: what comes */
} MpMessageKind;

/* What a connection is from its constructor on. */
typedef enum
{
  MP_CONNECTION_READABLE   = 1 << 0,
  MP_CONNECTION_WRITABLE   = 1 << 1,
  MP_CONNECTION_DUPLEX     = MP_CONNECTION_READABLE | MP_CONNECTION_WRITABLE,
  MP_CONNECTION_STREAM     = 1 << 2,   /* CPython's framing, see MP_STREAM_KIND: messages are bytes, also as values */
  MP_CONNECTION_FOREIGN    = 1 << 3,   /* the other end is no worker of ours: only isolated objects go there */
  MP_CONNECTION_NO_HANDLES = 1 << 4,   /* nor those, because it is no socket of this machine */
  MP_CONNECTION_NO_LANES   = 1 << 5,   /* nothing is known of who has made the socket: see mp-wire-lane.c */
} MpConnectionFlags;

typedef enum
{
  MP_OP_IDLE,       /* in no queue: not yet, or done */
  MP_OP_QUEUED,     /* nothing has happened yet: may be taken back */
  MP_OP_IN_WIRE,    /* a message that was handed to the wire */
} MpOpState;

/* A main context that watches the socket: for the calls that were made in it, and, if it is the connection's own, for
 * signals and for what is left to be sent. */
typedef struct
{
  GMainContext   *context;   /* (owned) */
  MpContextWatch *watch;     /* (owned) */
  guint           n_ops;
} MpConnectionWatch;

/* One call under way. That of a blocking call lies on its stack. */
typedef struct
{
  GList            link;
  MpOpState        state;
  MpMessageKind    kind;
  gboolean         sends;
  gboolean         blocking;
  gboolean         polls;         /* takes nothing: is done when there is something */
  gboolean         flushes;       /* sends nothing: is done when nothing is in the wire */
  gboolean         bounded;       /* takes no message of more bytes than … */
  guint64          max_length;
  gboolean         fills;         /* … but all that fit are put into the caller's memory: */
  guint8          *buffer;
  gsize            length;        /* that they were */
  pthread_t        thread;        /* of a blocking call */
  gboolean         borrowed;      /* @bytes lie in the caller's memory, which is there while the call lasts */

  gboolean         has_encoded;
  MpEncoded        encoded;       /* to be sent, kind VALUE */
  GBytes          *bytes;         /* (owned): to be sent, or received */
  guint64          end;           /* where the message ends in the wire, once it is there */
  GVariant        *value;         /* (owned): received */
  GError          *error;         /* (owned) */

  gatomicrefcount  ref_count;     /* of an asynchronous call: */
  MpHome           home;          /* where it was made, and is freed */
  GTask           *task;          /* (owned) (nullable): NULL for a message whose call has gone before it had left */
  GAsyncReadyCallback callback;   /* of the task, which was made without: a blocking call may run it, too */
  gpointer         user_data;
  GMainContext    *posts;         /* (owned) (nullable): the hub's reference to the task's context */
  GSource         *cancel_source; /* (owned) (nullable) */
  MpConnectionWatch *watch;       /* (nullable): of the task's context, while in a queue */
} MpOp;

/* A thread that sleeps in a blocking call, or a wait for several objects. */
typedef struct
{
  GList       link;
  int         event_fd;   /* -1: none to be had, so it looks again by itself */
  MpWaitSpot *spot;       /* (nullable): instead */
} MpSleeper;

struct _MpConnection
{
  GObject       parent_instance;
  GMainContext *context;        /* (owned): for signals */
  MpConnectionFlags flags;      /* set once, by the constructor, and so is … */
  GTlsCertificate *peer_certificate;   /* … this: (owned) (nullable) */

  pthread_mutex_t lock;         /* all that follows; nothing of the user's runs while it is held. Not a GMutex, which
                                 * the thread sanitizer cannot see */
  MpWire       *wire;           /* (nullable): not there before the constructor is done and after close() */
  guint64       max_size;       /* atomic: it is read without the lock, too */
  gboolean      closed;         /* close() was called, or the peer was cut off */
  MpFrame       frame;          /* the next message, when its kind is not 0: until it is taken nothing more is read */
  GError       *in_error;       /* (owned) (nullable): why no more messages come; CLOSED at the end of the stream */
  GError       *out_error;      /* (owned) (nullable): why none can be sent */
  GQueue        receivers;      /* of MpOp, in the order of the calls */
  GQueue        senders;        /* of MpOp that wait for the wire */
  GQueue        in_wire;        /* of MpOp that wait for the wire to have sent all */
  GQueue        sleepers;       /* of MpSleeper */
  guint         n_told;         /* asynchronous calls whose end was posted */
  MpSpin        spin;           /* of blocking calls that receive */
  gint64        look_due;       /* when one of them has to look into the socket, should others not have done so */
  guint         doze_skip;      /* so many of them are not to sleep by the lane … */
  guint         doze_last_skip; /* … and were not the last time */
  guint         n_polling;      /* threads that have the descriptor in a poll: it is not closed under them */

  GPtrArray    *watches;        /* (owned) of MpConnectionWatch */
  gboolean      started;
  gboolean      lingering;      /* a message whose call has gone is in the wire: the context sees to it */

  /* For event loops of other kinds, see mp_connection_get_fd(); -1 until it is asked for. */
  int           poll_fd;        /* of epoll, with the socket and … */
  int           ready_fd;       /* … an eventfd that is set … */
  gboolean      ready;          /* … while this process holds what a receiving call would give */
  guint         n_forks;        /* when they were made: a copy of this process needs its own */

  /* See mp-connection-copy.c. */
  GList         link;
  gboolean      is_held;        /* by a thread that forks, which alone looks at it */
  gboolean      has_parents_output;   /* in the wire, when the process was forked */

  /* See mp-connection-end.c. */
  gboolean      is_alone;       /* no other process was given the socket, … */
  guint         n_copies;       /* … unless there are more copies of this one than that */
};

/* mp-connection-copy.c. */
extern int mp_connection_n_forks;
extern int mp_connection_n_copies;
extern int mp_connection_n_forking;
void      mp_connection_watch_forks   (MpConnection  *self);   /* when its lock is there, … */
void      mp_connection_unwatch_forks (MpConnection  *self);   /* … and before it goes */
void      mp_connection_let_fork      (void);

/* Of calls that may come one after the other without end: who forks would hardly ever find the lock free. */
static inline void
mp_connection_lock_in_turn (MpConnection *self)
{
  if (G_UNLIKELY (g_atomic_int_get (&mp_connection_n_forking) > 0))
    mp_connection_let_fork ();
  pthread_mutex_lock (&self->lock);
}

/* mp-connection-engine.c. All with the lock held. @finished: gathers calls that are done, for
 * mp_connection_finish_ops(). */
gboolean  mp_connection_check_in     (MpConnection  *self,
                                      GError       **error);
gboolean  mp_connection_check_out    (MpConnection  *self,
                                      GError       **error);
/* Begins a blocking call, which is done at once when nobody is before it and it can be: most are. Else it is in its
 * queue, and what can be moved without blocking has been. */
void      mp_connection_begin        (MpConnection  *self,
                                      MpOp          *op,
                                      GQueue        *finished);
/* Moves what can be moved, without blocking. */
void      mp_connection_pump         (MpConnection  *self,
                                      GQueue        *finished);
/* Looks for a whole message and reads for one. TRUE: self->frame has it, or there is an in_error. */
gboolean  mp_connection_look         (MpConnection  *self);
/* Whether self->frame can be had by a call for such messages. */
gboolean  mp_connection_suits        (MpConnection  *self,
                                      MpMessageKind  kind);
/* Takes self->frame, as what was asked for; both asked for: as what it is. FALSE with error: the message is gone
 * nevertheless, and perhaps the connection too. */
gboolean  mp_connection_take         (MpConnection  *self,
                                      GVariant     **value,
                                      GBytes       **bytes,
                                      GError       **error);
/* Takes back what waits, or what is in the wire and untouched. FALSE: too late, it counts as sent; the call need not
 * wait for it. */
gboolean  mp_connection_take_back    (MpConnection  *self,
                                      MpOp          *op);
void      mp_connection_wake         (MpConnection  *self);
GIOCondition mp_connection_get_wanted (MpConnection *self);
/* Ends all calls and lets go of the socket. FALSE: something that counts as sent was lost. The signal `closed` is still
 * to come if the connection was started, unless the caller stops it. */
gboolean  mp_connection_shut         (MpConnection  *self,
                                      GQueue        *finished);
/* To be called when a thread comes out of its poll. */
void      mp_connection_end_polling  (MpConnection  *self);

/* mp-connection-calls.c. For all of this process: how long a call sleeps by the lane; -1: as ever. */
void      mp_connection_set_doze_for_testing (gint64 time_us);
/* Without the lock. Runs a blocking call, which is to be cleared then. */
gboolean  mp_connection_run_op       (MpConnection  *self,
                                      MpOp          *op,
                                      const char    *what,
                                      gint64         timeout_us,
                                      GCancellable  *cancellable,
                                      GError       **error);

/* Without the lock. */
void      mp_op_clear                (MpOp          *op);
void      mp_op_unref                (MpOp          *op);
gboolean  mp_op_init_send            (MpOp          *op,
                                      MpConnection  *self,
                                      GVariant      *value,
                                      GBytes        *bytes,
                                      GError       **error);

/* mp-connection-ready.c. With the lock. */
void      mp_connection_update_fd      (MpConnection *self);
void      mp_connection_forget_socket  (MpConnection *self);   /* before it is closed */
void      mp_connection_close_fd       (MpConnection *self);

/* mp-connection-async.c */
MpOp     *mp_op_new                    (MpConnection *self,             /* without the lock, as start() */
                                        gboolean      sends,
                                        MpMessageKind kind,
                                        GCancellable *cancellable,
                                        gpointer      source_tag,
                                        const char   *name,
                                        GAsyncReadyCallback callback,
                                        gpointer      user_data);
/* Puts a call into its queue. Takes the reference. @error: (transfer full) (nullable): why it fails at once. */
void      mp_op_start                  (MpOp         *op,
                                        GError       *error);
void      mp_connection_update_watches (MpConnection *self);            /* with the lock */
void      mp_connection_finish_ops     (GQueue       *finished);        /* without */

/* mp-connection-end.c. Of one that has just been made, for a socket that only this process has. */
void      mp_connection_note_alone     (MpConnection *self);
/* With the lock: it is about to be closed. */
void      mp_connection_discard_input  (MpConnection *self);

/* mp-connection-wait.c */
void      mp_connection_waitable_init  (MpWaitableInterface *iface);

/* mp-connection.c. The first two without the lock, in the connection's context. */
void      mp_connection_tell_message   (MpConnection *self,
                                        GVariant     *value,
                                        GBytes       *bytes);
void      mp_connection_tell_closed    (MpConnection *self,
                                        const GError *error);
/* The most that max-message-size may be of connections that this thread receives; gives what it was before. */
guint64   mp_connection_bound_received (guint64      max_size);
MpConnection *mp_connection_new_taking (int               fd,
                                        MpConnectionFlags flags,
                                        guint64           max_size);

/* For listeners and clients: takes @fd, a connected stream socket of any family, which makes this a connection that is
 * STREAM and FOREIGN, and NO_HANDLES unless @fd is an AF_UNIX one. @flags: DUPLEX, or one half of it. */
MpConnection *mp_connection_new_stream (int               fd,
                                        MpConnectionFlags flags,
                                        guint64           max_size);
/* The same with TLS, whose handshake is over. Takes @tls. Stays in this process. */
MpConnection *mp_connection_new_tls    (MpTls            *tls,
                                        guint64           max_size);

G_END_DECLS
