/* mp-sync-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-holdings-private.h"
#include "mp-glib/platform/mp-spin-private.h"

G_BEGIN_DECLS

/* What the objects of this floor have in common: a place in shared memory, and ways to wait for it to change.
 *
 * A kind says what is to be done in a function (MpSyncTry) that is called with the slot's cell held, and looks, changes
 * and says whether that was it. Those for whom it was not sleep on the slot's `sequence`: its lowest bit says that
 * somebody sleeps, the next ones count those who came to sleep, the upper ones changes. Who changes what others wait for calls mp_sync_change() under the cell, and
 * mp_sync_tell() without. The bit is taken away by one who has woken fewer than there might be, and only if nobody has
 * come meanwhile. */

/* How long one waits for a cell that others have for some stores only, unless they were stopped just then. */
#define MP_SYNC_ENTER_US (20 * 1000)

typedef struct
{
  const char *kind;          /* static: "semaphore" */
  MpSlotKind  slot_kind;
  gboolean    has_holdings;
  guint16     flags;         /* of a fresh slot */
  gboolean    is_atomic;     /* each change is one atomic store: its functions are called without the cell */
} MpSyncKind;

typedef struct _MpSync MpSync;

/* What a kind waits for that others change without the cell of its slot: they say it by mp_sync_notice(). */
typedef struct
{
  /* Whether it is worth to try again. After the mark of one who waits, so that either it sees what was changed, or the one
   * who changes it the mark. @data: that of the try. Without the cell. */
  gboolean (* look)    (MpSync *self, gpointer data);
  /* What a dead owner of the cell left undone, with it. */
  void     (* recover) (MpSync *self);
} MpSyncAcross;

struct _MpSync
{
  const MpSyncKind *kind;
  MpSlotRef         slot;      /* constant after the construction */
  GError           *error;     /* (owned) (nullable): why there is no slot */
  gboolean          isolated;  /* as asked for, before init() */
  int               n_pending; /* atomic: asynchronous calls that wait */
  MpSpin            spin;      /* of blocking calls; races in it do no harm */
  gint64            settled_us;/* atomic: when a blocking call last looked for the dead */
  const MpSyncAcross *across;  /* (nullable) */
  guint32          *hint;      /* with @across: in shared memory: not 0 when perhaps somebody waits. Apart from the slot, so
                                * that who asks it all the time does not take that away from those who use it. */
};

/* @adopted: (nullable) a slot, taken; else a fresh one is made. */
void      mp_sync_init         (MpSync            *self,
                                const MpSyncKind  *kind,
                                MpSlotRef         *adopted);
void      mp_sync_clear        (MpSync            *self);
/* One whose memory was refused, and one in a fork that has no part in it, can do nothing. */
gboolean  mp_sync_is_usable    (MpSync            *self);
gboolean  mp_sync_set_unusable (MpSync            *self,
                                const char        *what,
                                GError           **error);
gboolean  mp_sync_is_isolated  (MpSync            *self);
GVariant *mp_sync_describe     (MpSync            *self,
                                GArray            *fds,
                                GError           **error);

/* The cell, for the time of some stores. FALSE sets @error: NULL stands for no wish to know. */
gboolean  mp_sync_enter        (MpSync            *self,
                                gconstpointer      owner,
                                const char        *what,
                                gint64             timeout_us,
                                GCancellable      *cancellable,
                                GError           **error);
void      mp_sync_leave        (MpSync            *self);
/* After the cell was taken in another way: what its last owner left undone. */
void      mp_sync_see_to       (MpSync            *self);
/* In between. What it returns is for tell(). */
guint32   mp_sync_change       (MpSync            *self);
/* Wakes @n sleepers of all processes, and rings all who wait asynchronously. */
void      mp_sync_tell         (MpSync            *self,
                                guint32            change,
                                int                n);

/* By who has not its cell, after it has changed what is looked for, in sequentially consistent order. */
void      mp_sync_notice_slowly (MpSync           *self,
                                int                n);

static inline void
mp_sync_notice (MpSync *self,
                int     n)
{
  if (G_UNLIKELY (__atomic_load_n (self->hint, __ATOMIC_SEQ_CST) != 0))
    mp_sync_notice_slowly (self, n);
}

typedef enum
{
  MP_SYNC_DONE,
  MP_SYNC_NOT_YET,
  MP_SYNC_FAILED,   /* sets the error */
} MpSyncStep;

/* With the cell held (unless the kind is_atomic); never sleeps, calls nothing that could come back. Now and then @settle is TRUE: it is time to look
 * for processes that have died. A change of what others wait for: *@wake is set to how many of them are to be woken. */
typedef MpSyncStep (* MpSyncTry) (MpSync    *self,
                                  gboolean   settle,
                                  gpointer   data,
                                  int       *wake,
                                  GError   **error);

/* Until @try says DONE or FAILED. @owner: the object, key of its posts. FALSE also with TIMED_OUT, CANCELLED,
 * MP_ERROR_INTERRUPTED. With @timeout_us 0 the dead are looked for at once. */
gboolean  mp_sync_wait         (MpSync            *self,
                                gconstpointer      owner,
                                const char        *what,
                                MpSyncTry          try_func,
                                gpointer           data,
                                gint64             timeout_us,
                                GCancellable      *cancellable,
                                GError           **error);
/* Once, for what never has to wait but for the cell: fails for nothing else than @try and an object that is not usable.
 * Not with the hub's lock held. */
MpSyncStep mp_sync_do          (MpSync            *self,
                                const char        *what,
                                MpSyncTry          try_func,
                                gpointer           data,
                                GError           **error);

/* For one who waits, after the mark: whether something was changed @across before that was to be seen. */
gboolean   mp_sync_must_look_again (MpSync        *self,
                                gpointer           data);

/* mp_sync_do() after mp_sync_enter(). */
MpSyncStep mp_sync_do_inside   (MpSync            *self,
                                MpSyncTry          try_func,
                                gpointer           data,
                                GError           **error);
/* mp_sync_do() for what has to be done, but need not be by now: a process that was stopped with the cell held does not hold this
 * one up. NOT_YET: it will be done, with a copy of the @size bytes of @data, when it goes on. */
MpSyncStep mp_sync_do_soon     (MpSync            *self,
                                const char        *what,
                                MpSyncTry          try_func,
                                gpointer           data,
                                gsize              size,
                                GError           **error);

/* mp-sync-call.c: the same without blocking. */
typedef struct _MpSyncCall MpSyncCall;

struct _MpSyncCall
{
  MpSync         *sync;
  const char     *what;       /* static: "semaphore acquire" */
  /* Called in any thread; as MpSyncTry, but takes the cell by itself, by try_take_watching. */
  MpSyncStep   (* step)      (MpSyncCall *call, GError **error);
  MpSyncTry       try_func;   /* of mp_sync_call_step() */
  gpointer        data;       /* (owned) (nullable): freed by @free_data, in the context of the call */
  GDestroyNotify  free_data;
  gpointer        owner;      /* whose blocking calls run its posts; at first the source object */
  gboolean        skips_line; /* tried at once, also when others wait already */
  gboolean        unordered;  /* nor does it wait for them later */
  /* It is done, but was cancelled meanwhile: to be undone. At once if that needs no waiting, with the hub's lock held;
   * after FALSE again in the context of the call, before the callback, where it @may_wait; after FALSE the result is given
   * all the same, as without (nullable). */
  gboolean     (* undo)      (MpSyncCall *call, gboolean may_wait);
  /* It was cancelled while it waited: what can be done at once, without waiting, with the hub's lock held (nullable). */
  void         (* withdraw)  (MpSyncCall *call);
  /* In the context of the call, before the callback: what is left to be done, which may change the error (nullable). */
  void         (* end)       (MpSyncCall *call);

  /*< mp-sync-call.c's >*/
  gatomicrefcount      ref_count;
  GTask               *task;        /* (owned) (nullable): until it is delivered */
  GMainContext        *context;     /* (owned) */
  GAsyncReadyCallback  callback;
  gpointer             user_data;
  struct _MpAsyncWait *wait;        /* (nullable): while it waits */
  gulong               cancel_id;
  gboolean             cancelled;
  gboolean             undoes;
  gint64               settled_us;  /* when the dead were last looked for */
  GError              *error;       /* (owned) (nullable): the result, if not success */
};

/* The usual step: the cell, @try_func, the cell back, the others told. */
MpSyncStep  mp_sync_call_step  (MpSyncCall          *call,
                                GError             **error);
/* For undo() and withdraw(): @undo_func, with the call's data, as mp_sync_do() does it. */
gboolean    mp_sync_call_undo  (MpSyncCall          *call,
                                MpSyncTry            undo_func,
                                gboolean             may_wait);
/* A fresh one, zeros but for these. @object: the source, which has @sync in it. */
MpSyncCall *mp_sync_call_new   (gpointer             object,
                                MpSync              *sync,
                                const char          *what,
                                gpointer             source_tag,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data);
/* Takes it. The result is a boolean: g_task_propagate_boolean(). */
void        mp_sync_call_run   (MpSyncCall          *call);

G_END_DECLS
