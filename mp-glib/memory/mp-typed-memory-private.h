/* mp-typed-memory-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/memory/mp-elements-private.h"
#include "mp-glib/memory/mp-typed-memory.h"

G_BEGIN_DECLS

/* What a class of elements does, besides its own calls: sets in its class_init klass->kind, "array", and
 * klass->is_one. */

struct _MpTypedMemory
{
  GObject      parent_instance;

  /* Constant after the construction. */
  MpElements  *elements;      /* (owned) (nullable) */
  MpShareable *lock;          /* (owned) (nullable) */
  GError      *failure;       /* (owned) (nullable): why there are no elements */
  char        *type_string;   /* (owned) (nullable) */
  char        *format;        /* (owned) (nullable) */
  guint64      n_items;       /* as asked for */
  gboolean     isolated;      /* as asked for */
};

MpShareable *mp_typed_memory_adopt     (GType           type,
                                        GVariant       *state,
                                        int            *fds,
                                        guint           n_fds,
                                        GError        **error);
/* For constructors: NULL sets @error, and takes @self. */
gpointer     mp_typed_memory_check_new (gpointer        self,
                                        GError        **error);

static inline MpElementsPlace
mp_typed_memory_get_place (gpointer    self,
                           const char *what,
                           gsize       index)
{
  MpTypedMemory *memory = self;

  return (MpElementsPlace) { memory->elements, memory->failure, what, index };
}

G_END_DECLS
