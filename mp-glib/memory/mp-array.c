/* mp-array.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-array.h"

#include "mp-glib/memory/mp-memory-kinds-private.h"
#include "mp-glib/memory/mp-typed-memory-private.h"
#include "mp-glib/sync/mp-rlock.h"

/**
 * MpArray:
 *
 * An array that processes share.
 *
 * As Python's `multiprocessing.Array`: a number of elements that is fixed at its making, of any type of GVariant that
 * has a fixed size: `b`, `y`, `n`, `q`, `i`, `u`, `x`, `t`, `d`, and tuples of them such as `(id)`.
 *
 * ```c
 * g_autoptr(MpArray) array = mp_array_new (G_VARIANT_TYPE_DOUBLE, 1000, &error);
 * double *numbers = mp_typed_memory_get_data (MP_TYPED_MEMORY (array), NULL);
 * ```
 *
 * An array travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable],
 * and is the same array there, with the same lock; its elements are not copied. It lives while any process has it,
 * whoever made it. Its memory is a file without a name, for which each process has a descriptor, and is taken at its
 * making, or not at all: a later access does not fail.
 *
 * ## Locks
 *
 * Each array has a lock of its own, unless it was made with another one, or without. Nothing here takes it: a single
 * number is always read and written whole, and [method@Mp.Array.add_int], [method@Mp.Array.add_double],
 * [method@Mp.Array.exchange] and [method@Mp.Array.compare_exchange] are one step each, which needs no lock. For
 * everything else, such as slices, or elements that are tuples, those who take part acquire the lock first:
 *
 * ```c
 * MpRLock *lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (array)));
 * ```
 *
 * When a process dies while it holds the lock, the next one finds it abandoned: see [method@Mp.RLock.is_abandoned].
 *
 * ## Threads
 *
 * An array may be used in any thread, and in several at once.
 *
 * Since: 0.1
 */
struct _MpArray
{
  MpTypedMemory parent_instance;
};

G_DEFINE_FINAL_TYPE (MpArray, mp_array, MP_TYPE_TYPED_MEMORY)

/* Set by the class. */
static GType array_type;

/* One that may be looked into, without the call that MP_IS_ARRAY() is, since some nanoseconds are much here. */
static inline gboolean
is_plain (MpArray *self)
{
  return self != NULL && ((GTypeInstance *) self)->g_class != NULL && G_OBJECT_TYPE (self) == array_type;
}

static inline MpElements *
get_elements (MpArray *self)
{
  return self->parent_instance.elements;
}

static MpShareable *
mp_array_adopt (GVariant  *state,
                int       *fds,
                guint      n_fds,
                GError   **error)
{
  return mp_typed_memory_adopt (MP_TYPE_ARRAY, state, fds, n_fds, error);
}

MP_SHAREABLE_DEFINE_KIND (mp_array, "array", mp_array_adopt)

static void
mp_array_class_init (MpArrayClass *klass)
{
  MpTypedMemoryClass *memory_class = (MpTypedMemoryClass *) klass;

  array_type = G_OBJECT_CLASS_TYPE (klass);
  memory_class->kind = "array";
  memory_class->is_one = FALSE;
}

static void
mp_array_init (MpArray *self)
{
}

/**
 * mp_array_new:
 * @type: the type of an element, of fixed size
 * @n_items: how many elements, at least 1
 * @error: return location for an error
 *
 * Makes an array of zeros, with a lock of its own.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @type is not of fixed size, or @n_items is 0; `MP_ERROR_TOO_LARGE` when
 * there is no memory for so many; `MP_ERROR_FAILED` or another one with the reason, such as that there is no
 * descriptor for it.
 *
 * Returns: (transfer full): an array
 *
 * Since: 0.1
 */
MpArray *
mp_array_new (const GVariantType  *type,
              gsize                n_items,
              GError             **error)
{
  g_autoptr(MpRLock) lock = mp_rlock_new ();

  return mp_array_new_full (type, n_items, MP_SHAREABLE (lock), error);
}

/**
 * mp_array_new_full:
 * @type: the type of an element, of fixed size
 * @n_items: how many elements, at least 1
 * @lock: (nullable): a [class@Mp.Lock] or [class@Mp.RLock] that goes with it; several arrays may have the same one
 * @error: return location for an error
 *
 * Makes an array of zeros, with another one's lock, or without a lock.
 *
 * Without a lock, or with one that is [property@Mp.SyncObject:isolated], it may be sent to a process that is not one
 * of this program's own workers. The errors are those of [ctor@Mp.Array.new].
 *
 * Returns: (transfer full): an array
 *
 * Since: 0.1
 */
MpArray *
mp_array_new_full (const GVariantType  *type,
                   gsize                n_items,
                   MpShareable         *lock,
                   GError             **error)
{
  g_autofree char *type_string = NULL;

  g_return_val_if_fail (type != NULL, NULL);
  g_return_val_if_fail (lock == NULL || mp_elements_is_lock (lock), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  type_string = g_variant_type_dup_string (type);
  return mp_typed_memory_check_new (g_object_new (MP_TYPE_ARRAY, "type-string", type_string, "n-items",
                                                  (guint64) n_items, "lock", lock, NULL), error);
}

/**
 * mp_array_new_from_variant:
 * @array: an array of elements of fixed size, at least one; sunk if floating
 * @error: return location for an error
 *
 * Makes an array with these elements, and a lock of its own.
 *
 * The errors are those of [ctor@Mp.Array.new], and `G_IO_ERROR_INVALID_ARGUMENT` when @array is none.
 *
 * Returns: (transfer full): an array
 *
 * Since: 0.1
 */
MpArray *
mp_array_new_from_variant (GVariant  *array,
                           GError   **error)
{
  g_autoptr(GVariant) own = NULL;
  g_autoptr(MpArray) self = NULL;

  g_return_val_if_fail (array != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  own = g_variant_ref_sink (array);
  if (!g_variant_is_of_type (own, G_VARIANT_TYPE_ARRAY))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "array: a value of the type %s is none",
                   g_variant_get_type_string (own));
      return NULL;
    }
  self = mp_array_new (g_variant_type_element (g_variant_get_type (own)), g_variant_n_children (own), error);
  if (self == NULL || !mp_array_set_slice (self, 0, own, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * mp_array_get_length:
 * @self: an array
 *
 * Gets how many elements the array has.
 *
 * Returns: the number of elements; 0 when there is no memory for them
 *
 * Since: 0.1
 */
gsize
mp_array_get_length (MpArray *self)
{
  g_return_val_if_fail (MP_IS_ARRAY (self), 0);

  return get_elements (self) != NULL ? get_elements (self)->n : 0;
}

/**
 * mp_array_get_item:
 * @self: an array
 * @index: which element, from 0
 * @error: return location for an error
 *
 * Gets the element.
 *
 * A number is read whole. Of other types a part may be old and another new while somebody else sets it: there hold the
 * lock.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range; `MP_ERROR_FAILED` or another one with the reason
 * when there is no memory for it.
 *
 * Returns: (transfer full): a copy
 *
 * Since: 0.1
 */
GVariant *
mp_array_get_item (MpArray  *self,
                   gsize     index,
                   GError  **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_ARRAY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  place = mp_typed_memory_get_place (self, "array get item", index);
  return mp_elements_get (&place, error);
}

/**
 * mp_array_set_item:
 * @self: an array
 * @index: which element, from 0
 * @value: what it is to be, of its type; sunk if floating
 * @error: return location for an error
 *
 * Sets the element.
 *
 * A number is written whole. Of other types others may see a part before the rest: there hold the lock.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, or @value is of another type; `MP_ERROR_FAILED`
 * or another one with the reason when there is no memory for it.
 *
 * Returns: whether it was set
 *
 * Since: 0.1
 */
gboolean
mp_array_set_item (MpArray   *self,
                   gsize      index,
                   GVariant  *value,
                   GError   **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_ARRAY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);
  g_return_val_if_fail (value != NULL, FALSE);

  place = mp_typed_memory_get_place (self, "array set item", index);
  return mp_elements_set (&place, value, error);
}

/**
 * mp_array_get_slice:
 * @self: an array
 * @start: the first element, from 0
 * @n_items: how many; 0 is none
 * @error: return location for an error
 *
 * Gets some elements, or all of them, at once.
 *
 * While others write there hold the lock.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when they are not all in the array; `MP_ERROR_TOO_LARGE` when there is no
 * memory for the copy; `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: (transfer full): a copy, an array
 *
 * Since: 0.1
 */
GVariant *
mp_array_get_slice (MpArray  *self,
                    gsize     start,
                    gsize     n_items,
                    GError  **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_ARRAY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  place = mp_typed_memory_get_place (self, "array get slice", start);
  return mp_elements_get_slice (&place, n_items, error);
}

/**
 * mp_array_set_slice:
 * @self: an array
 * @start: the first element, from 0
 * @array: an array of elements; sunk if floating
 * @error: return location for an error
 *
 * Sets some elements, or all of them, at once.
 *
 * All or nothing: with an error none is changed. While others read or write there hold the lock.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when they are not all in the array, or are of another type; `MP_ERROR_FAILED`
 * or another one with the reason when there is no memory for it.
 *
 * Returns: whether they were set
 *
 * Since: 0.1
 */
gboolean
mp_array_set_slice (MpArray   *self,
                    gsize      start,
                    GVariant  *array,
                    GError   **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_ARRAY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  place = mp_typed_memory_get_place (self, "array set slice", start);
  return mp_elements_set_slice (&place, array, error);
}

/**
 * mp_array_get_int:
 * @self: an array
 * @index: which element, from 0
 * @error: return location for an error
 *
 * Gets the element of an integer type: `y`, `n`, `q`, `i`, `u`, `x` or `t`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for a type that is no integer, or a number of
 * type `t` that is too large; `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: the number
 *
 * Since: 0.1
 */
gint64
mp_array_get_int (MpArray  *self,
                  gsize     index,
                  GError  **error)
{
  MpElementsPlace place;
  gint64 number = 0;

  if (G_LIKELY (is_plain (self) && mp_elements_get_quickly (get_elements (self), index, &number)))
    return number;

  g_return_val_if_fail (MP_IS_ARRAY (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "array get int", index);
  return mp_elements_get_int_slowly (&place, error);
}

/**
 * mp_array_set_int:
 * @self: an array
 * @index: which element, from 0
 * @number: what it is to be
 * @error: return location for an error
 *
 * Sets the element of an integer type: `y`, `n`, `q`, `i`, `u`, `x` or `t`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for a type that is no integer, or has no such
 * number; `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: whether it was set
 *
 * Since: 0.1
 */
gboolean
mp_array_set_int (MpArray  *self,
                  gsize     index,
                  gint64    number,
                  GError  **error)
{
  MpElementsPlace place;

  if (G_LIKELY (is_plain (self) && mp_elements_set_quickly (get_elements (self), index, number)))
    return TRUE;

  g_return_val_if_fail (MP_IS_ARRAY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  place = mp_typed_memory_get_place (self, "array set int", index);
  return mp_elements_set_int_slowly (&place, number, error);
}

/**
 * mp_array_add_int:
 * @self: an array
 * @index: which element, from 0
 * @delta: what is added; it may be negative
 * @error: return location for an error
 *
 * Adds to the element of an integer type, in one step: `y`, `n`, `q`, `i`, `u`, `x` or `t`.
 *
 * No lock is needed: what any number of threads and processes add at the same time is all there at the end, whoever is
 * killed. What gets too large or too small for the type begins anew at its other end.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for a type that is no integer;
 * `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: what it was before; as a signed number, also for `t`
 *
 * Since: 0.1
 */
gint64
mp_array_add_int (MpArray  *self,
                  gsize     index,
                  gint64    delta,
                  GError  **error)
{
  MpElementsPlace place;
  gint64 before = 0;

  if (G_LIKELY (is_plain (self) && mp_elements_add_quickly (get_elements (self), index, delta, &before)))
    return before;

  g_return_val_if_fail (MP_IS_ARRAY (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "array add", index);
  return mp_elements_add_int_slowly (&place, delta, error);
}

/**
 * mp_array_get_double:
 * @self: an array
 * @index: which element, from 0
 * @error: return location for an error
 *
 * Gets the element of type `d`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for another type; `MP_ERROR_FAILED` or
 * another one with the reason when there is no memory for it.
 *
 * Returns: the number
 *
 * Since: 0.1
 */
double
mp_array_get_double (MpArray  *self,
                     gsize     index,
                     GError  **error)
{
  MpElementsPlace place;
  double number = 0;

  if (G_LIKELY (is_plain (self) && mp_elements_get_double_quickly (get_elements (self), index, &number)))
    return number;

  g_return_val_if_fail (MP_IS_ARRAY (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "array get double", index);
  return mp_elements_get_double_slowly (&place, error);
}

/**
 * mp_array_set_double:
 * @self: an array
 * @index: which element, from 0
 * @number: what it is to be
 * @error: return location for an error
 *
 * Sets the element of type `d`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for another type; `MP_ERROR_FAILED` or
 * another one with the reason when there is no memory for it.
 *
 * Returns: whether it was set
 *
 * Since: 0.1
 */
gboolean
mp_array_set_double (MpArray  *self,
                     gsize     index,
                     double    number,
                     GError  **error)
{
  MpElementsPlace place;

  if (G_LIKELY (is_plain (self) && mp_elements_set_double_quickly (get_elements (self), index, number)))
    return TRUE;

  g_return_val_if_fail (MP_IS_ARRAY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  place = mp_typed_memory_get_place (self, "array set double", index);
  return mp_elements_set_double_slowly (&place, number, error);
}

/**
 * mp_array_add_double:
 * @self: an array
 * @index: which element, from 0
 * @delta: what is added
 * @error: return location for an error
 *
 * Adds to the element of type `d`, in one step.
 *
 * No lock is needed: see [method@Mp.Array.add_int].
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for another type; `MP_ERROR_FAILED` or
 * another one with the reason when there is no memory for it.
 *
 * Returns: what it was before
 *
 * Since: 0.1
 */
double
mp_array_add_double (MpArray  *self,
                     gsize     index,
                     double    delta,
                     GError  **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_ARRAY (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "array add double", index);
  return mp_elements_add_double_slowly (&place, delta, error);
}

/**
 * mp_array_exchange:
 * @self: an array
 * @index: which element, from 0
 * @value: what it is to be, of its type; sunk if floating
 * @error: return location for an error
 *
 * Sets the element and gets what it was, in one step.
 *
 * No lock is needed. For numbers and truth values: `y`, `b`, `n`, `q`, `i`, `u`, `x`, `t`, `d`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for another type, or when @value is of
 * another one; `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: (transfer full): what it was
 *
 * Since: 0.1
 */
GVariant *
mp_array_exchange (MpArray   *self,
                   gsize      index,
                   GVariant  *value,
                   GError   **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_ARRAY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);
  g_return_val_if_fail (value != NULL, NULL);

  place = mp_typed_memory_get_place (self, "array exchange", index);
  return mp_elements_exchange (&place, value, error);
}

/**
 * mp_array_compare_exchange:
 * @self: an array
 * @index: which element, from 0
 * @expected: what it has to be; sunk if floating
 * @desired: what it is to be; sunk if floating
 * @swapped: (out) (optional): whether it was @expected, and is @desired now
 * @error: return location for an error
 *
 * Sets the element if it is what it is expected to be, in one step.
 *
 * No lock is needed. For numbers and truth values: `y`, `b`, `n`, `q`, `i`, `u`, `x`, `t`, `d`; those of type `d` are
 * compared by their bits, so that 0 is not -0 here, and what is not a number can be expected.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @index is out of range, and for another type, or when @expected or
 * @desired are of another one; `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: `TRUE` when there was no error
 *
 * Since: 0.1
 */
gboolean
mp_array_compare_exchange (MpArray   *self,
                           gsize      index,
                           GVariant  *expected,
                           GVariant  *desired,
                           gboolean  *swapped,
                           GError   **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_ARRAY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);
  g_return_val_if_fail (expected != NULL && desired != NULL, FALSE);

  place = mp_typed_memory_get_place (self, "array compare and exchange", index);
  return mp_elements_compare_exchange (&place, expected, desired, swapped, error);
}
