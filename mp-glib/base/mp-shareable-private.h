/* mp-shareable-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/base/mp-shareable.h"

G_BEGIN_DECLS

/* Most descriptors beside one message. */
#define MP_MAX_FDS 1012

struct _MpShareableInterface
{
  GTypeInterface parent_iface;

  /*< private >*/
  /* Name of the kind on the wire, static: "connection". */
  const char  *kind;
  /* The same, for classes that share an implementation: when @kind is NULL. */
  const char *(* get_kind) (MpShareable *self);

  /* What the other side needs: a state value (any type, no handles in it; returned full, not floating) and descriptors
   * appended to @fds: (element-type int): DUPLICATES (CLOEXEC) that the caller closes. */
  GVariant    *(* describe) (MpShareable  *self,
                             GArray       *fds,
                             GError      **error);

  gboolean     (* get_isolated) (MpShareable *self);
  /* (nullable) static: how to have one that is, where that is not by a property "isolated". */
  const char  *isolated_how;
};

/* Makes the object from what describe() gave in another process: untrusted, to be checked. Takes ownership of the
 * descriptors in every case (sets those it keeps to -1; the caller closes the others). */
typedef MpShareable *(* MpShareableAdopt) (GVariant  *state,
                                           int       *fds,
                                           guint      n_fds,
                                           GError   **error);

/* Name of the kind on the wire. */
const char  *mp_shareable_get_kind       (MpShareable      *self);

/* Objects that this thread receives come from a process that is not trusted as our own workers are: what leads there
 * again is to know it. In pairs; the result of begin() is given to end(). */
gboolean     mp_shareable_begin_foreign  (gboolean          foreign);
void         mp_shareable_end_foreign    (gboolean          outer);
gboolean     mp_shareable_is_foreign     (void);

/* Once per kind, before the first value can arrive: mp_wire_new() sees to it for all kinds. @kind: static. */
void         mp_shareable_register_kind (const char       *kind,
                                         MpShareableAdopt  adopt);
MpShareableAdopt mp_shareable_find_kind (const char       *kind);

/* The definition of t_n_ensure_kind(), which does that. */
#define MP_SHAREABLE_DEFINE_KIND(t_n, name, adopt) \
  void \
  t_n##_ensure_kind (void) \
  { \
    static gsize done; \
    if (g_once_init_enter (&done)) \
      { \
        mp_shareable_register_kind (name, adopt); \
        g_once_init_leave (&done, 1); \
      } \
  }

/* An object as a part of a message or of another object's state, such as the lock of a condition: (suv): kind, number of its
 * descriptors, state; returned full, not floating. @fds: of the whole message, as describe() has it: what comes later in
 * a message may rely on descriptors of what comes earlier, so the parts are adopted in the order in which they were described. */
GVariant    *mp_shareable_describe_within (MpShareable   *inner,
                                         GArray          *fds,
                                         GError         **error);
/* The other way round: (transfer full). @fds: from its own first one on; @used: how many are its own. Descriptors as
 * MpShareableAdopt has them. What kind of an object it is, is the sender's choice: to be looked at. */
MpShareable *mp_shareable_adopt_within  (GVariant         *described,
                                         int              *fds,
                                         guint             n_fds,
                                         guint            *used,
                                         GError          **error);

/* Number → object of this process. (transfer full) or NULL with an error naming the number. */
MpShareable *mp_shareable_lookup        (gint32            handle,
                                         GError          **error);
/* The number of @self, made at first use; it stands for @self while that lives. */
gint32       mp_shareable_get_handle    (MpShareable      *self);

/* While a function runs whose result is sent when it has returned: the objects that it makes handles of in this thread live
 * until the end. In pairs; @keep stays where it is between them. */
typedef struct _MpShareableKeep MpShareableKeep;
struct _MpShareableKeep
{
  GPtrArray       *objects;   /* (owned) (nullable) */
  MpShareableKeep *outer;
};

void         mp_shareable_keep_begin   (MpShareableKeep  *keep);
void         mp_shareable_keep_end     (MpShareableKeep  *keep);

/* For the hub: nobody is at what this file keeps while the process is forked. */
void         mp_shareable_before_fork  (void);
void         mp_shareable_after_fork   (void);

G_END_DECLS
