/* mp-bounded-semaphore.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-bounded-semaphore.h"

#include "mp-glib/sync/mp-semaphore-private.h"

/**
 * MpBoundedSemaphore:
 *
 * A semaphore that never has more units than it was made with.
 *
 * As Python's `multiprocessing.BoundedSemaphore`, but it keeps to its bound on every system: a release beyond it fails
 * with `MP_ERROR_NOT_OWNER`. All else is as with [class@Mp.Semaphore].
 *
 * Since: 0.1
 */
struct _MpBoundedSemaphore
{
  MpSemaphore parent_instance;
};

static const MpSyncKind bounded_kind = { "bounded semaphore", MP_SLOT_SEMAPHORE, TRUE, MP_SEMAPHORE_BOUNDED };

G_DEFINE_FINAL_TYPE (MpBoundedSemaphore, mp_bounded_semaphore, MP_TYPE_SEMAPHORE)
MP_SYNC_DEFINE_KIND (mp_bounded_semaphore, MP_TYPE_BOUNDED_SEMAPHORE, bounded_kind)

static void
mp_bounded_semaphore_class_init (MpBoundedSemaphoreClass *klass)
{
  ((MpSyncObjectClass *) klass)->kind = &bounded_kind;
}

static void
mp_bounded_semaphore_init (MpBoundedSemaphore *self)
{
}

/**
 * mp_bounded_semaphore_new:
 * @value: how many units it has, which is also the most that it can have; at most 2147483647
 *
 * Makes a bounded semaphore.
 *
 * Returns: (transfer full): a semaphore
 *
 * Since: 0.1
 */
MpBoundedSemaphore *
mp_bounded_semaphore_new (guint value)
{
  g_return_val_if_fail (value <= MP_SEMAPHORE_MAX, NULL);

  return g_object_new (MP_TYPE_BOUNDED_SEMAPHORE, "value", value, NULL);
}

/**
 * mp_bounded_semaphore_get_maximum:
 * @self: a bounded semaphore
 *
 * Gets the most units that it can have.
 *
 * Returns: the number of units that it was made with
 *
 * Since: 0.1
 */
guint
mp_bounded_semaphore_get_maximum (MpBoundedSemaphore *self)
{
  g_return_val_if_fail (MP_IS_BOUNDED_SEMAPHORE (self), 0);

  return MP_SEMAPHORE_MAXIMUM (mp_semaphore_read (MP_SEMAPHORE (self)));
}
