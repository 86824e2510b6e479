/* mp-listener-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-handshake-private.h"
#include "mp-glib/channel/mp-listener.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/platform/mp-listen-private.h"
#include "mp-glib/platform/mp-socket-directory-private.h"

G_BEGIN_DECLS

/* For mp-listener*.c: the class, its calls, and the core, which does what there is to do with clients: in whatever
 * thread waits for one, at most one at a time.
 *
 * An epoll descriptor holds all that the core waits for: the socket, those of clients in their handshakes, a timer, and
 * an eventfd that is readable while there is a client that nobody has asked for. So who waits waits for one descriptor:
 * the hub while there is a call under way or signals are wanted, and a foreign event loop. */

/* Of one that has connected. */
typedef struct
{
  MpHandshake   handshake;
  GList         stall_link;    /* while in its handshake: in stalled, … */
  GList         due_link;      /* … and in due; when that is over, in ready */
  gint64        stalled_since; /* its last step was then, or it connected */
  gint64        due;
  guint         n_steps;       /* that it has gone */
  GIOCondition  condition;     /* what the epoll set has of … */
  int           watched_fd;    /* … this; condition 0: it is not there */
  GList         tls_link;      /* in one of the queues of TLS, */
  GQueue       *tls_queue;     /* which is this; NULL: in none */
  gint64        tls_since;     /* it is there */
  socklen_t     address_size;
  struct sockaddr_storage address;
} MpListenerClient;

/* A call under way. That of a blocking call lies on its stack. With the hub's lock, until its end has come. */
typedef struct
{
  GList             link;
  gboolean          blocking;
  gboolean          queued;          /* in accepts of … */
  pid_t             pid;             /* … this process; else its end has come */
  MpListenerClient *client;          /* (owned) (nullable): its end, … */
  GError           *error;           /* (owned) (nullable): … or that */
  GCancellable     *cancellable;     /* (nullable): of the caller, or the task */

  gatomicrefcount   ref_count;       /* of an asynchronous one: */
  struct _MpListenerCore *core;      /* (owned) */
  GTask            *task;            /* (owned) (nullable): until it is completed; made without callback */
  GAsyncReadyCallback callback;
  gpointer          user_data;
  GMainContext     *posts;           /* (owned): the hub's reference to the task's context */
  GSource          *cancel_source;   /* (owned) (nullable) */
} MpListenerAccept;

typedef struct _MpListenerCore
{
  gatomicrefcount ref_count;

  /* Set by the constructor. */
  GWeakRef      listener;
  GMainContext *context;         /* (owned): for signals */
  GBytes       *authkey;         /* (owned) (nullable) */
  GTlsCertificate *tls_certificate;   /* (owned) (nullable): with it, all clients have to do with TLS */
  GTlsDatabase *tls_database;    /* (owned) (nullable): clients need certificates */
  gboolean      allow_md5;
  guint64       max_message_size;
  gint64        handshake_timeout_us;
  guint         max_pending;

  /* With the hub's lock. */
  MpWatch      *watch;           /* (nullable): of poll_fd */
  GQueue        accepts;         /* of MpListenerAccept, in the order of the calls */
  GQueue        ready;           /* of MpListenerClient */
  gboolean      started;
  GMainContext *posts;           /* (owned) (nullable): the hub's reference to context, while started */
  gboolean      telling;         /* signals of clients were posted */
  guint         n_failures;      /* signals of failures that were posted */
  GList        *spots;           /* (element-type MpWaitSpot): of those who wait for several objects */
  gboolean      looking;         /* somebody asks whether there is a client, and takes none */
  gboolean      closed;
  gboolean      driving;         /* a thread is at work: what follows after these is its */
  GThread      *driver;          /* the last one */
  gboolean      again;           /* there may be more to do */
  struct sockaddr_storage last_accepted;
  socklen_t     last_accepted_size;   /* 0: none */

  /* Of the thread that drives, after the constructor. */
  pid_t         pid;             /* the process that the descriptors below were made in */
  int           fd;
  MpSocketFile  file;
  MpSocketDirectory directory;   /* made for the file alone; or there is none */
  int           poll_fd;
  int           timer_fd;
  int           ready_fd;
  GIOCondition  condition;       /* of fd, in the epoll set */
  gboolean      ready_is_told;
  gint64        armed_for;       /* -1: the timer is off */
  gint64        retry_at;        /* no descriptors are left until then; -1: there are */
  gboolean      shortage_is_told;
  GQueue        stalled;         /* of clients in their handshakes, who has been silent for longest first */
  GQueue        due;             /* the same, in the order of their deadlines */
  GQueue        tls_waiting;     /* of those, who want a turn at a handshake of TLS */
  GQueue        tls_under_way;   /* and who have it, for longest first */
  guint         tls_n_stalled;   /* turns that ended without a handshake, since the last that did otherwise */
} MpListenerCore;

/* Where one listens. */
typedef struct
{
  GSocketConnectable *connectable;      /* (owned) (nullable): asked for */
  char               *address;          /* (owned) (nullable): asked for, then as it is */
  GSocketAddress     *socket_address;   /* (owned) (nullable): as it is */
  int                 backlog;
  gboolean            allow_abstract;
} MpListenerAddress;

/* mp-listener-address.c. The socket, which listens; its file is noted in @core. -1: with error. */
int             mp_listener_bind        (MpListenerCore       *core,
                                         MpListenerAddress    *self,
                                         GCancellable         *cancellable,
                                         GError              **error);

MpListenerCore *mp_listener_core_new    (void);
MpListenerCore *mp_listener_core_ref    (MpListenerCore       *core);
void            mp_listener_core_unref  (MpListenerCore       *core);
/* Takes @fd. Without other descriptors an error. */
gboolean        mp_listener_core_listen (MpListenerCore       *core,
                                         int                   fd,
                                         GError              **error);
/* Does what there is to do, without blocking. Without the hub's lock. */
void            mp_listener_core_drive  (MpListenerCore       *core);
void            mp_listener_core_stop   (MpListenerCore       *core);
void            mp_listener_core_close  (MpListenerCore       *core);
/* With the lock: a call was taken back. */
void            mp_listener_core_settle (MpListenerCore       *core);
/* With the lock, before the descriptors are looked at, and before anything is asked for: in a forked copy of the process
 * they are made anew, and what was asked for in the other one is forgotten. */
void            mp_listener_core_prepare (MpListenerCore      *core);
void            mp_listener_client_free (MpListenerClient     *client);

/* With the lock: closes the descriptors of a closed one that nobody has in a set. */
void            mp_listener_core_release   (MpListenerCore    *core);
/* With or without the lock. */
gboolean        mp_listener_wants_client   (MpListenerCore    *core);
/* Of a client whose handshake is done, which is taken. */
void            mp_listener_give_client    (MpListenerCore    *core,
                                            MpListenerClient  *client);

/* A client is not sent away for a new one before it has been silent for so long: all others that connect at the same
 * time have had their turn by then. */
#define MP_LISTENER_STALL_GRACE_US 200000

/* mp-listener-clients.c. Without the lock, in the thread that drives. */
void            mp_listener_step_client    (MpListenerCore    *core,
                                            MpListenerClient  *client);
void            mp_listener_receive_clients (MpListenerCore   *core);
void            mp_listener_send_away_late_ones (MpListenerCore *core);
/* Handshakes of TLS whose turn has come. */
void            mp_listener_go_on_with_tls (MpListenerCore    *core);
/* The one who has to go next for another, and when; NULL: there is room for more. */
MpListenerClient *mp_listener_get_most_stalled (MpListenerCore *core,
                                            gint64            *due);

/* mp-listener-tls.c. Of the thread that drives, but for the first two, which come before there is any. */
gboolean        mp_listener_tls_check   (MpListenerCore       *core,
                                         GError              **error);
gboolean        mp_listener_tls_check_address (MpListenerCore *core,
                                         GSocketAddress       *address,   /* (nullable): a file of its own */
                                         GError              **error);
void            mp_listener_tls_begin   (MpListenerCore       *core,
                                         MpListenerClient     *client);
/* A step of its handshake is to come; one has come; it is in its handshake no more. */
void            mp_listener_tls_prepare (MpListenerCore       *core,
                                         MpListenerClient     *client);
void            mp_listener_tls_note    (MpListenerCore       *core,
                                         MpListenerClient     *client);
void            mp_listener_tls_forget  (MpListenerClient     *client);
/* For how long it may be silent when another one wants its place. */
gint64          mp_listener_tls_get_patience (MpListenerCore  *core,
                                         MpListenerClient     *client);
/* Who has had its turn for long enough while another wants it, and is to lose it now. */
MpListenerClient *mp_listener_tls_get_stalled (MpListenerCore *core);
/* Whose turn it is to begin. */
MpListenerClient *mp_listener_tls_get_next (MpListenerCore    *core);
/* When the first of these may be otherwise; -1: not by time. */
gint64          mp_listener_tls_get_due (MpListenerCore       *core);

/* mp-listener-calls.c. Without the lock. */
void            mp_listener_finish_accepts (GQueue            *finished);

/* mp-listener.c. Without the lock, in the listener's context. */
void            mp_listener_tell_connection (MpListener       *self,
                                             MpConnection     *connection);
void            mp_listener_tell_failed     (MpListener       *self,
                                             const GError     *error);
MpListenerCore *mp_listener_get_core        (MpListener       *self);

/* mp-listener-wait.c */
void            mp_listener_waitable_init   (MpWaitableInterface *iface);

G_END_DECLS
