/* mp-elements-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-shareable-private.h"

G_BEGIN_DECLS

/* Elements of one type in shared memory, as GVariant lays out an array of them: what values and arrays have in common.
 *
 * One value of up to 32 bytes lies in the state of a slot of an arena, whose cell is not used; all else in a memory
 * file of its own, of exactly that size, which nobody can make smaller or larger.
 *
 * Elements that are one number are read and written whole, by one instruction; others byte by byte, so that they can be
 * seen half written: for those there is the lock. What is read may have been written by a process that is broken or
 * hostile, at any moment: it is copied out, and what GVariant calls normal is made of the copy: truth values of 0 and
 * 1, nothing between the members of a tuple. */

#define MP_ELEMENTS_IN_SLOT  32u
#define MP_ELEMENTS_MAX_TYPE 4096u   /* characters */

typedef struct
{
  gatomicrefcount ref_count;
  GVariantType *type;        /* (owned) of an element */
  guint8       *data;
  gsize         n;
  gsize         size;        /* of one */
  char          number;      /* its type if it is one number or truth value, else 0 */
  guint8       *marks;       /* (owned) (nullable): what to see to in each byte of one; NULL: nothing */
  char         *format;      /* (owned) (nullable): the bindings' own note */
  int           fd;          /* (owned) -1: in a slot */
  MpSlotRef     slot;        /* (owned) */
} MpElements;

/* Zeros. @what: "value", "array", for messages: INVALID_ARGUMENT for a type that is not of fixed size and for no
 * elements, TOO_LARGE. */
MpElements *mp_elements_new      (const GVariantType  *type,
                                  gsize                n,
                                  const char          *format,
                                  gboolean             is_one,
                                  gboolean             isolated,
                                  const char          *what,
                                  GError             **error);
MpElements *mp_elements_ref      (MpElements          *self);
void        mp_elements_unref    (MpElements          *self);   /* NULL is none */
gboolean    mp_elements_get_isolated (MpElements      *self);

/* With the lock that goes with them (nullable). */
GVariant   *mp_elements_describe (MpElements          *self,
                                  MpShareable         *lock,
                                  GArray              *fds,
                                  const char          *what,
                                  GError             **error);
MpElements *mp_elements_adopt    (MpShareable        **lock,    /* (out) (nullable) */
                                  gboolean             is_one,
                                  GVariant            *state,
                                  int                 *fds,
                                  guint                n_fds,
                                  const char          *what,
                                  GError             **error);
/* What may be a lock of elements. */
gboolean    mp_elements_is_lock  (gpointer             object);

/* There is memory, and this process has its part in it. */
static inline gboolean
mp_elements_is_usable (const MpElements *self)
{
  return self != NULL && (self->slot.arena == NULL || MP_ARENA_SELF (self->slot.arena) != 0);
}

/* The operations. @index, and start and n of slices, are bounded. @what: "array get item". @self may be NULL: @reason
 * says why. */
typedef struct
{
  MpElements   *elements;
  const GError *reason;     /* (nullable) */
  const char   *what;
  gsize         index;
} MpElementsPlace;

/* Of usable elements, in bounds, FALSE sets @error. */
gboolean    mp_elements_check    (const MpElementsPlace *place,
                                  GError             **error);
gboolean    mp_elements_check_slice (const MpElementsPlace *place,
                                  gsize                n,
                                  GError             **error);

GVariant   *mp_elements_get      (const MpElementsPlace *place,
                                  GError             **error);
gboolean    mp_elements_set      (const MpElementsPlace *place,
                                  GVariant            *value,
                                  GError             **error);
GVariant   *mp_elements_get_slice (const MpElementsPlace *place,
                                  gsize                n,
                                  GError             **error);
gboolean    mp_elements_set_slice (const MpElementsPlace *place,
                                  GVariant            *array,
                                  GError             **error);
GVariant   *mp_elements_exchange (const MpElementsPlace *place,
                                  GVariant            *value,
                                  GError             **error);
gboolean    mp_elements_compare_exchange (const MpElementsPlace *place,
                                  GVariant            *expected,
                                  GVariant            *desired,
                                  gboolean            *swapped,
                                  GError             **error);
GBytes     *mp_elements_get_bytes (const MpElementsPlace *place,
                                  GError             **error);

/* The slow halves of what follows: checks, errors, and the rarer types. */
gint64      mp_elements_get_int_slowly (const MpElementsPlace *place,
                                  GError             **error);
gboolean    mp_elements_set_int_slowly (const MpElementsPlace *place,
                                  gint64               number,
                                  GError             **error);
gint64      mp_elements_add_int_slowly (const MpElementsPlace *place,
                                  gint64               delta,
                                  GError             **error);
double      mp_elements_get_double_slowly (const MpElementsPlace *place,
                                  GError             **error);
gboolean    mp_elements_set_double_slowly (const MpElementsPlace *place,
                                  double               number,
                                  GError             **error);
double      mp_elements_add_double_slowly (const MpElementsPlace *place,
                                  double               delta,
                                  GError             **error);

/* The usual types, in the caller: some nanoseconds are much here. FALSE says only that this is not the usual case. */
static inline gboolean
mp_elements_add_quickly (const MpElements *self,
                         gsize             index,
                         gint64            delta,
                         gint64           *before)
{
  if (!mp_elements_is_usable (self) || index >= self->n)
    return FALSE;
  MP_TORTURE_POINT ("elements-add");
  if (self->number == 'x')
    *before = __atomic_fetch_add ((gint64 *) (gpointer) self->data + index, delta, __ATOMIC_SEQ_CST);
  else if (self->number == 'i')
    *before = __atomic_fetch_add ((gint32 *) (gpointer) self->data + index, (gint32) delta, __ATOMIC_SEQ_CST);
  else
    return FALSE;
  MP_TORTURE_POINT ("elements-added");
  return TRUE;
}

static inline gboolean
mp_elements_get_quickly (const MpElements *self,
                         gsize             index,
                         gint64           *number)
{
  if (!mp_elements_is_usable (self) || index >= self->n)
    return FALSE;
  if (self->number == 'x')
    *number = __atomic_load_n ((const gint64 *) (gconstpointer) self->data + index, __ATOMIC_ACQUIRE);
  else if (self->number == 'i')
    *number = __atomic_load_n ((const gint32 *) (gconstpointer) self->data + index, __ATOMIC_ACQUIRE);
  else
    return FALSE;
  return TRUE;
}

static inline gboolean
mp_elements_set_quickly (const MpElements *self,
                         gsize             index,
                         gint64            number)
{
  if (!mp_elements_is_usable (self) || index >= self->n)
    return FALSE;
  if (self->number == 'x')
    __atomic_store_n ((gint64 *) (gpointer) self->data + index, number, __ATOMIC_RELEASE);
  else if (self->number == 'i' && number == (gint32) number)
    __atomic_store_n ((gint32 *) (gpointer) self->data + index, (gint32) number, __ATOMIC_RELEASE);
  else
    return FALSE;
  return TRUE;
}

static inline gboolean
mp_elements_get_double_quickly (const MpElements *self,
                                gsize             index,
                                double           *number)
{
  if (!mp_elements_is_usable (self) || index >= self->n || self->number != 'd')
    return FALSE;
  __atomic_load ((double *) (gpointer) self->data + index, number, __ATOMIC_ACQUIRE);
  return TRUE;
}

static inline gboolean
mp_elements_set_double_quickly (const MpElements *self,
                                gsize             index,
                                double            number)
{
  if (!mp_elements_is_usable (self) || index >= self->n || self->number != 'd')
    return FALSE;
  __atomic_store ((double *) (gpointer) self->data + index, &number, __ATOMIC_RELEASE);
  return TRUE;
}

G_END_DECLS
