/* mp-sync-object-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/sync/mp-sync-object.h"
#include "mp-glib/sync/mp-sync-private.h"

G_BEGIN_DECLS

/* What a class of this floor does, besides its own calls: sets in its class_init klass->kind (MpSyncKind), perhaps begin()
 * (the first state of a fresh slot, before anybody else can have it), and has MP_SYNC_DEFINE_KIND() once in its file. */

struct _MpSyncObject
{
  GObject parent_instance;

  MpSync  sync;
};

/* @property: (nullable) one more, of the construction, an object. */
MpShareable *mp_sync_object_adopt (GType              type,
                                   const MpSyncKind  *kind,
                                   GVariant          *state,
                                   int               *fds,
                                   guint              n_fds,
                                   const char        *property,
                                   gpointer           object,
                                   GError           **error);

#define MP_SYNC_DEFINE_KIND(t_n, TYPE, the_kind) \
  static MpShareable * \
  t_n##_adopt (GVariant *state, int *fds, guint n_fds, GError **error) \
  { \
    return mp_sync_object_adopt (TYPE, &the_kind, state, fds, n_fds, NULL, NULL, error); \
  } \
  MP_SYNC_DEFINE_KIND_ADOPTED (t_n, the_kind)

/* For one that has a t_n_adopt() of its own. */
#define MP_SYNC_DEFINE_KIND_ADOPTED(t_n, the_kind) \
  MP_SHAREABLE_DEFINE_KIND (t_n, the_kind.kind, t_n##_adopt)

/* Makes all of this floor known to the codec. mp_wire_new() calls it. */
void         mp_sync_ensure_kinds (void);

void         mp_lock_ensure_kind      (void);
void         mp_semaphore_ensure_kind (void);
void         mp_bounded_semaphore_ensure_kind (void);
void         mp_condition_ensure_kind (void);
void         mp_event_ensure_kind     (void);
void         mp_rlock_ensure_kind     (void);
void         mp_barrier_ensure_kind   (void);

G_END_DECLS
