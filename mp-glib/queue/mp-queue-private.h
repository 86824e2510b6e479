/* mp-queue-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/queue/mp-queue.h"
#include "mp-glib/queue/mp-tape-private.h"
#include "mp-glib/sync/mp-sync-private.h"

G_BEGIN_DECLS

/* A queue is a slot of an arena, by which it is known who has it, and a tape (mp-tape-private.h), in whose memory are
 * the cells of its two sides, each with those who wait for it. A class sets in its class_init klass->kind, and has
 * MP_QUEUE_DEFINE_KIND() once in its file. */

typedef struct
{
  const char *kind;          /* static: "queue" */
  MpSlotKind  slot_kind;
  guint       tape_flags;
} MpQueueKind;

typedef struct
{
  MpSync   sync;             /* its slot is on the tape */
  MpQueue *queue;
} MpQueueSide;

typedef struct _MpQueueReceiver MpQueueReceiver;

struct _MpQueue
{
  GObject          parent_instance;

  MpSlotRef        slot;
  MpTape          *tape;        /* (owned) (nullable): constant after the construction */
  GError          *error;       /* (owned) (nullable): why there is none */
  guint            max_items;   /* as asked for, until there is a tape */
  guint64          max_bytes;
  gboolean         isolated;
  MpQueueSide      put_side;
  MpQueueSide      get_side;
  MpQueueSide      join_side;   /* MpJoinableQueue's */
  MpQueueReceiver *receiver;    /* (nullable): between start() and stop(): the hub's lock */
};

static inline const MpQueueKind *
mp_queue_get_kind (MpQueue *self)
{
  return ((MpQueueClass *) G_OBJECT_GET_CLASS (self))->kind;
}

static inline MpQueue *
mp_queue_of_side (MpSync *side)
{
  return ((MpQueueSide *) side)->queue;
}

static inline gboolean
mp_queue_is_bounded (MpQueue *self)
{
  return self->tape->max_items > 0 || self->tape->max_bytes > 0;
}

MpShareable *mp_queue_adopt        (GType                type,
                                    const MpQueueKind   *kind,
                                    GVariant            *state,
                                    int                 *fds,
                                    guint                n_fds,
                                    GError             **error);

#define MP_QUEUE_DEFINE_KIND(t_n, TYPE, the_kind) \
  static MpShareable * \
  t_n##_adopt_kind (GVariant *state, int *fds, guint n_fds, GError **error) \
  { \
    return mp_queue_adopt (TYPE, &the_kind, state, fds, n_fds, error); \
  } \
  MP_SHAREABLE_DEFINE_KIND (t_n, the_kind.kind, t_n##_adopt_kind)

/* Makes all of this floor known to the codec. mp_wire_new() calls it. */
void         mp_queue_ensure_kinds (void);

void         mp_queue_ensure_kind  (void);
void         mp_simple_queue_ensure_kind (void);
void         mp_joinable_queue_ensure_kind (void);

/* mp-queue-producers.c: who may put. */
typedef enum
{
  MP_QUEUE_MAKES   = 1 << 0,
  MP_QUEUE_HANDED  = 1 << 1,   /* it came from another process */
  MP_QUEUE_PUTS    = 1 << 2,
  MP_QUEUE_GETS    = 1 << 3,
  MP_QUEUE_CLOSED  = 1 << 4,
} MpQueueMarks;

/* Of this process: adds @mark, without those in @without. What it has now. */
guint        mp_queue_mark_slowly  (MpQueue             *self,
                                    guint                mark,
                                    guint                without);
guint        mp_queue_get_marks    (MpQueue             *self);
void         mp_queue_mark_made    (MpQueue             *self);
void         mp_queue_note_handed  (MpQueue             *self,
                                    gboolean             arrived);
/* Whether a process may still put, or there never was one. With or without a cell; 0.5 µs for each looked at. */
gboolean     mp_queue_may_get_more (MpQueue             *self);

static inline void
mp_queue_mark (MpQueue *self,
               guint    mark)
{
  MpOwner owner = MP_ARENA_SELF (self->slot.arena);
  guint64 entry = __atomic_load_n (&self->tape->participants[MP_OWNER_INDEX (owner)], __ATOMIC_RELAXED);

  if (G_UNLIKELY (entry >> 32 != MP_OWNER_GENERATION (owner) || (entry & mark) != mark))
    mp_queue_mark_slowly (self, mark, 0);
}

/* mp-queue-sides.c: what is put, and what is got, for as long as the call lasts. */
typedef struct
{
  MpTapeItem item;
  guint64    n_got;          /* when there was no room */
  GVariant  *value;          /* (owned) (nullable): has the item's memory */
  GBytes    *bytes;          /* (owned) (nullable): or this */
} MpQueuePut;

typedef struct
{
  MpTapeTaken taken;
  gboolean    settle;        /* it is looked for processes that are gone, each time */
} MpQueueGet;

void         mp_queue_init_sides   (MpQueue             *self);
void         mp_queue_init_side    (MpQueue             *self,
                                    MpQueueSide         *side,
                                    MpSlot              *slot,
                                    guint32             *hint,
                                    const MpSyncAcross  *across);
/* FALSE sets @error. With @keep it lives as long as @put; else it must anyway, unless it is floating. */
gboolean     mp_queue_put_set_value (MpQueuePut         *put,
                                    GVariant            *value,
                                    gboolean             keep,
                                    GError             **error);
void         mp_queue_put_clear    (MpQueuePut          *put);
void         mp_queue_get_clear    (MpQueueGet          *get);
/* @tag: (nullable) */
GVariant    *mp_queue_get_to_value (MpQueueGet          *get,
                                    guint               *tag,
                                    GError             **error);
GBytes      *mp_queue_get_to_bytes (MpQueueGet          *get);

gboolean     mp_queue_run_put      (MpQueue             *self,
                                    MpQueuePut          *put,
                                    gint64               timeout_us,
                                    GCancellable        *cancellable,
                                    GError             **error);
gboolean     mp_queue_try_run_put  (MpQueue             *self,
                                    MpQueuePut          *put,
                                    GError             **error);
gboolean     mp_queue_run_get      (MpQueue             *self,
                                    MpQueueGet          *get,
                                    gint64               timeout_us,
                                    GCancellable        *cancellable,
                                    GError             **error);
gboolean     mp_queue_try_run_get  (MpQueue             *self,
                                    MpQueueGet          *get,
                                    GError             **error);
/* Takes what is in @put, also with @failure (taken), which is then the result. */
void         mp_queue_begin_put    (MpQueue             *self,
                                    MpQueuePut          *put,
                                    GError              *failure,
                                    gpointer             source_tag,
                                    GCancellable        *cancellable,
                                    GAsyncReadyCallback  callback,
                                    gpointer             user_data);
gboolean     mp_queue_end_put      (MpQueue             *self,
                                    GAsyncResult        *result,
                                    GError             **error);
void         mp_queue_begin_get    (MpQueue             *self,
                                    gboolean             bytes_only,
                                    gpointer             source_tag,
                                    GCancellable        *cancellable,
                                    GAsyncReadyCallback  callback,
                                    gpointer             user_data);
/* (transfer full) */
MpQueueGet  *mp_queue_end_get      (MpQueue             *self,
                                    GAsyncResult        *result,
                                    GError             **error);
void         mp_queue_get_free     (MpQueueGet          *get);
/* That no more is put by a process. */
void         mp_queue_tell_getters (MpQueue             *self);

/* mp-queue-wait.c */
void         mp_queue_waitable_init (MpWaitableInterface *iface);

/* mp-queue-receiver.c's, in mp-queue.c. */
void         mp_queue_emit_item    (MpQueue             *self,
                                    GVariant            *value,
                                    guint                tag);
void         mp_queue_emit_closed  (MpQueue             *self,
                                    const GError        *error);

G_END_DECLS
