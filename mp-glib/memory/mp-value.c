/* mp-value.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-value.h"

#include "mp-glib/memory/mp-memory-kinds-private.h"
#include "mp-glib/memory/mp-typed-memory-private.h"
#include "mp-glib/sync/mp-rlock.h"

/**
 * MpValue:
 *
 * A value that processes share.
 *
 * As Python's `multiprocessing.Value`: one number, or a tuple of numbers, of any type of GVariant that has a fixed
 * size: `b`, `y`, `n`, `q`, `i`, `u`, `x`, `t`, `d`, and tuples of them such as `(id)`.
 *
 * ```c
 * g_autoptr(MpValue) counter = mp_value_new (G_VARIANT_TYPE_INT64, NULL, &error);
 *
 * mp_value_add_int (counter, 1, NULL);
 * ```
 *
 * A value travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable], and
 * is the same value there, with the same lock. It lives while any process has it, whoever made it. One of up to 32
 * bytes costs neither a descriptor nor memory but for 64 bytes that are shared, and another 64 for its lock.
 *
 * ## Locks
 *
 * Each value has a lock of its own, unless it was made with another one, or without. Nothing here takes it: a single
 * number is always read and written whole, and [method@Mp.Value.add_int], [method@Mp.Value.add_double],
 * [method@Mp.Value.exchange] and [method@Mp.Value.compare_exchange] are one step each, which needs no lock. For
 * everything else, such as to set one value from another, or a tuple, those who take part acquire the lock first:
 *
 * ```c
 * MpRLock *lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (value)));
 * ```
 *
 * When a process dies while it holds the lock, the next one finds it abandoned: see [method@Mp.RLock.is_abandoned].
 *
 * ## Threads
 *
 * A value may be used in any thread, and in several at once.
 *
 * Since: 0.1
 */
struct _MpValue
{
  MpTypedMemory parent_instance;
};

G_DEFINE_FINAL_TYPE (MpValue, mp_value, MP_TYPE_TYPED_MEMORY)

/* Set by the class. */
static GType value_type;

/* One that may be looked into, without the call that MP_IS_VALUE() is, since some nanoseconds are much here. */
static inline gboolean
is_plain (MpValue *self)
{
  return self != NULL && ((GTypeInstance *) self)->g_class != NULL && G_OBJECT_TYPE (self) == value_type;
}

static inline MpElements *
get_elements (MpValue *self)
{
  return self->parent_instance.elements;
}

static MpShareable *
mp_value_adopt (GVariant  *state,
                int       *fds,
                guint      n_fds,
                GError   **error)
{
  return mp_typed_memory_adopt (MP_TYPE_VALUE, state, fds, n_fds, error);
}

MP_SHAREABLE_DEFINE_KIND (mp_value, "value", mp_value_adopt)

static void
mp_value_class_init (MpValueClass *klass)
{
  MpTypedMemoryClass *memory_class = (MpTypedMemoryClass *) klass;

  value_type = G_OBJECT_CLASS_TYPE (klass);
  memory_class->kind = "value";
  memory_class->is_one = TRUE;
}

static void
mp_value_init (MpValue *self)
{
}

/**
 * mp_value_new:
 * @type: the type, of fixed size
 * @initial: (nullable): what it is to be, of that type; `NULL` for zeros; sunk if floating
 * @error: return location for an error
 *
 * Makes a value with a lock of its own.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @type is not of fixed size, or @initial is of another type;
 * `MP_ERROR_TOO_LARGE` or `MP_ERROR_FULL` when there is no memory for it; `MP_ERROR_FAILED` with the reason, such as
 * that there is no descriptor for it.
 *
 * Returns: (transfer full): a value
 *
 * Since: 0.1
 */
MpValue *
mp_value_new (const GVariantType  *type,
              GVariant            *initial,
              GError             **error)
{
  g_autoptr(MpRLock) lock = mp_rlock_new ();

  return mp_value_new_full (type, initial, MP_SHAREABLE (lock), FALSE, error);
}

/**
 * mp_value_new_full:
 * @type: the type, of fixed size
 * @initial: (nullable): what it is to be, of that type; `NULL` for zeros; sunk if floating
 * @lock: (nullable): a [class@Mp.Lock] or [class@Mp.RLock] that goes with it; several values may have the same one
 * @isolated: see [property@Mp.TypedMemory:isolated]
 * @error: return location for an error
 *
 * Makes a value with another one's lock, or without a lock.
 *
 * The errors are those of [ctor@Mp.Value.new].
 *
 * Returns: (transfer full): a value
 *
 * Since: 0.1
 */
MpValue *
mp_value_new_full (const GVariantType  *type,
                   GVariant            *initial,
                   MpShareable         *lock,
                   gboolean             isolated,
                   GError             **error)
{
  g_autoptr(GVariant) own = initial != NULL ? g_variant_ref_sink (initial) : NULL;
  g_autofree char *type_string = NULL;
  g_autoptr(MpValue) self = NULL;

  g_return_val_if_fail (type != NULL, NULL);
  g_return_val_if_fail (lock == NULL || mp_elements_is_lock (lock), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  type_string = g_variant_type_dup_string (type);
  self = mp_typed_memory_check_new (g_object_new (MP_TYPE_VALUE, "type-string", type_string, "lock", lock,
                                                  "isolated", isolated, NULL), error);
  if (self == NULL || (own != NULL && !mp_value_set (self, own, error)))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * mp_value_get:
 * @self: a value
 * @error: return location for an error
 *
 * Gets the value.
 *
 * A number is read whole. Of other types a part may be old and another new while somebody else sets it: there hold the
 * lock.
 *
 * Errors: `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: (transfer full): a copy
 *
 * Since: 0.1
 */
GVariant *
mp_value_get (MpValue  *self,
              GError  **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_VALUE (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  place = mp_typed_memory_get_place (self, "value get", 0);
  return mp_elements_get (&place, error);
}

/**
 * mp_value_set:
 * @self: a value
 * @value: what it is to be, of its type; sunk if floating
 * @error: return location for an error
 *
 * Sets the value.
 *
 * A number is written whole. Of other types others may see a part before the rest: there hold the lock.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @value is of another type; `MP_ERROR_FAILED` or another one with the
 * reason when there is no memory for it.
 *
 * Returns: whether it was set
 *
 * Since: 0.1
 */
gboolean
mp_value_set (MpValue   *self,
              GVariant  *value,
              GError   **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_VALUE (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);
  g_return_val_if_fail (value != NULL, FALSE);

  place = mp_typed_memory_get_place (self, "value set", 0);
  return mp_elements_set (&place, value, error);
}

/**
 * mp_value_get_int:
 * @self: a value
 * @error: return location for an error
 *
 * Gets the value of an integer type: `y`, `n`, `q`, `i`, `u`, `x` or `t`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for a type that is no integer, or a number of type `t` that is too large;
 * `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: the number
 *
 * Since: 0.1
 */
gint64
mp_value_get_int (MpValue  *self,
                  GError  **error)
{
  MpElementsPlace place;
  gint64 number = 0;

  if (G_LIKELY (is_plain (self) && mp_elements_get_quickly (get_elements (self), 0, &number)))
    return number;

  g_return_val_if_fail (MP_IS_VALUE (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "value get int", 0);
  return mp_elements_get_int_slowly (&place, error);
}

/**
 * mp_value_set_int:
 * @self: a value
 * @number: what it is to be
 * @error: return location for an error
 *
 * Sets the value of an integer type: `y`, `n`, `q`, `i`, `u`, `x` or `t`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for a type that is no integer, or has no such number; `MP_ERROR_FAILED` or
 * another one with the reason when there is no memory for it.
 *
 * Returns: whether it was set
 *
 * Since: 0.1
 */
gboolean
mp_value_set_int (MpValue  *self,
                  gint64    number,
                  GError  **error)
{
  MpElementsPlace place;

  if (G_LIKELY (is_plain (self) && mp_elements_set_quickly (get_elements (self), 0, number)))
    return TRUE;

  g_return_val_if_fail (MP_IS_VALUE (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  place = mp_typed_memory_get_place (self, "value set int", 0);
  return mp_elements_set_int_slowly (&place, number, error);
}

/**
 * mp_value_add_int:
 * @self: a value
 * @delta: what is added; it may be negative
 * @error: return location for an error
 *
 * Adds to the value of an integer type, in one step: `y`, `n`, `q`, `i`, `u`, `x` or `t`.
 *
 * No lock is needed: what any number of threads and processes add at the same time is all there at the end, whoever is
 * killed. What gets too large or too small for the type begins anew at its other end.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for a type that is no integer; `MP_ERROR_FAILED` or another one with the
 * reason when there is no memory for it.
 *
 * Returns: what it was before; as a signed number, also for `t`
 *
 * Since: 0.1
 */
gint64
mp_value_add_int (MpValue  *self,
                  gint64    delta,
                  GError  **error)
{
  MpElementsPlace place;
  gint64 before = 0;

  if (G_LIKELY (is_plain (self) && mp_elements_add_quickly (get_elements (self), 0, delta, &before)))
    return before;

  g_return_val_if_fail (MP_IS_VALUE (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "value add", 0);
  return mp_elements_add_int_slowly (&place, delta, error);
}

/**
 * mp_value_get_double:
 * @self: a value
 * @error: return location for an error
 *
 * Gets the value of type `d`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for another type; `MP_ERROR_FAILED` or another one with the reason when there
 * is no memory for it.
 *
 * Returns: the number
 *
 * Since: 0.1
 */
double
mp_value_get_double (MpValue  *self,
                     GError  **error)
{
  MpElementsPlace place;
  double number = 0;

  if (G_LIKELY (is_plain (self) && mp_elements_get_double_quickly (get_elements (self), 0, &number)))
    return number;

  g_return_val_if_fail (MP_IS_VALUE (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "value get double", 0);
  return mp_elements_get_double_slowly (&place, error);
}

/**
 * mp_value_set_double:
 * @self: a value
 * @number: what it is to be
 * @error: return location for an error
 *
 * Sets the value of type `d`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for another type; `MP_ERROR_FAILED` or another one with the reason when there
 * is no memory for it.
 *
 * Returns: whether it was set
 *
 * Since: 0.1
 */
gboolean
mp_value_set_double (MpValue  *self,
                     double    number,
                     GError  **error)
{
  MpElementsPlace place;

  if (G_LIKELY (is_plain (self) && mp_elements_set_double_quickly (get_elements (self), 0, number)))
    return TRUE;

  g_return_val_if_fail (MP_IS_VALUE (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  place = mp_typed_memory_get_place (self, "value set double", 0);
  return mp_elements_set_double_slowly (&place, number, error);
}

/**
 * mp_value_add_double:
 * @self: a value
 * @delta: what is added
 * @error: return location for an error
 *
 * Adds to the value of type `d`, in one step.
 *
 * No lock is needed: see [method@Mp.Value.add_int].
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for another type; `MP_ERROR_FAILED` or another one with the reason when there
 * is no memory for it.
 *
 * Returns: what it was before
 *
 * Since: 0.1
 */
double
mp_value_add_double (MpValue  *self,
                     double    delta,
                     GError  **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_VALUE (self), 0);
  g_return_val_if_fail (error == NULL || *error == NULL, 0);

  place = mp_typed_memory_get_place (self, "value add double", 0);
  return mp_elements_add_double_slowly (&place, delta, error);
}

/**
 * mp_value_exchange:
 * @self: a value
 * @value: what it is to be, of its type; sunk if floating
 * @error: return location for an error
 *
 * Sets the value and gets what it was, in one step.
 *
 * No lock is needed. For numbers and truth values: `y`, `b`, `n`, `q`, `i`, `u`, `x`, `t`, `d`.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for another type, or when @value is of another one; `MP_ERROR_FAILED` or
 * another one with the reason when there is no memory for it.
 *
 * Returns: (transfer full): what it was
 *
 * Since: 0.1
 */
GVariant *
mp_value_exchange (MpValue   *self,
                   GVariant  *value,
                   GError   **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_VALUE (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);
  g_return_val_if_fail (value != NULL, NULL);

  place = mp_typed_memory_get_place (self, "value exchange", 0);
  return mp_elements_exchange (&place, value, error);
}

/**
 * mp_value_compare_exchange:
 * @self: a value
 * @expected: what it has to be; sunk if floating
 * @desired: what it is to be; sunk if floating
 * @swapped: (out) (optional): whether it was @expected, and is @desired now
 * @error: return location for an error
 *
 * Sets the value if it is what it is expected to be, in one step.
 *
 * No lock is needed. For numbers and truth values: `y`, `b`, `n`, `q`, `i`, `u`, `x`, `t`, `d`; those of type `d` are
 * compared by their bits, so that 0 is not -0 here, and what is not a number can be expected.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for another type, or when @expected or @desired are of another one;
 * `MP_ERROR_FAILED` or another one with the reason when there is no memory for it.
 *
 * Returns: `TRUE` when there was no error
 *
 * Since: 0.1
 */
gboolean
mp_value_compare_exchange (MpValue   *self,
                           GVariant  *expected,
                           GVariant  *desired,
                           gboolean  *swapped,
                           GError   **error)
{
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_VALUE (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);
  g_return_val_if_fail (expected != NULL && desired != NULL, FALSE);

  place = mp_typed_memory_get_place (self, "value compare and exchange", 0);
  return mp_elements_compare_exchange (&place, expected, desired, swapped, error);
}
