/* mp-pool-backend.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-enum-types.h"
#include "mp-glib/pool/mp-pool-local-private.h"

enum
{
  PROP_BACKEND = MP_POOL_BACKEND_FIRST_PROPERTY,
  PROP_INLINE_SEED,
  PROP_INLINE_DEATH_RATE,
  PROP_INLINE_MAX_DELAY_US,
};

void
mp_pool_backend_begin (MpPoolCore *core)
{
  MpPoolBackend *self = &core->backend;

  switch (self->backend)
    {
    case MP_BACKEND_THREADS:
      core->is_local = TRUE;
      core->worker_ops = &mp_pool_thread_ops;
      break;
    case MP_BACKEND_INLINE:
      core->is_local = TRUE;
      core->worker_ops = &mp_pool_inline_ops;
      core->inline_state = mp_inline_new (core, self->inline_seed, self->inline_death_rate, self->inline_max_delay_us);
      break;
    default:
      core->worker_ops = &mp_pool_process_ops;
    }
}

gboolean
mp_pool_backend_get_property (MpPool *pool,
                              guint   prop_id,
                              GValue *value)
{
  MpPoolBackend *self = &mp_pool_get_core (pool)->backend;

  switch (prop_id)
    {
    case PROP_BACKEND:
      g_value_set_enum (value, self->backend);
      return TRUE;
    case PROP_INLINE_SEED:
      g_value_set_uint64 (value, self->inline_seed);
      return TRUE;
    case PROP_INLINE_DEATH_RATE:
      g_value_set_double (value, self->inline_death_rate);
      return TRUE;
    case PROP_INLINE_MAX_DELAY_US:
      g_value_set_uint64 (value, self->inline_max_delay_us);
      return TRUE;
    default:
      return FALSE;
    }
}

gboolean
mp_pool_backend_set_property (MpPool       *pool,
                              guint         prop_id,
                              const GValue *value)
{
  MpPoolBackend *self = &mp_pool_get_core (pool)->backend;

  switch (prop_id)
    {
    case PROP_BACKEND:
      self->backend = g_value_get_enum (value);
      return TRUE;
    case PROP_INLINE_SEED:
      self->inline_seed = g_value_get_uint64 (value);
      return TRUE;
    case PROP_INLINE_DEATH_RATE:
      self->inline_death_rate = g_value_get_double (value);
      return TRUE;
    case PROP_INLINE_MAX_DELAY_US:
      self->inline_max_delay_us = g_value_get_uint64 (value);
      return TRUE;
    default:
      return FALSE;
    }
}

void
mp_pool_backend_install (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  /**
   * MpPool:backend: (getter get_backend)
   *
   * What the workers are.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_BACKEND,
                                   g_param_spec_enum ("backend", NULL, NULL, MP_TYPE_BACKEND, MP_BACKEND_PROCESSES,
                                                      flags));

  /**
   * MpPool:inline-seed:
   *
   * What decides the order, the deaths and the delays of a pool with `MP_BACKEND_INLINE`: with the same seed and the same
   * calls they are the same.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_INLINE_SEED,
                                   g_param_spec_uint64 ("inline-seed", NULL, NULL, 0, G_MAXUINT64, 0, flags));

  /**
   * MpPool:inline-death-rate:
   *
   * Of how many tasks of a pool with `MP_BACKEND_INLINE` the worker dies, from 0 to 1.
   *
   * It dies before the call or after it, and the task ends with `MP_ERROR_WORKER_DIED`, as with a process.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_INLINE_DEATH_RATE,
                                   g_param_spec_double ("inline-death-rate", NULL, NULL, 0, 1, 0, flags));

  /**
   * MpPool:inline-max-delay-us:
   *
   * By how many microseconds at most a task of a pool with `MP_BACKEND_INLINE` begins later than it could.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object_class, PROP_INLINE_MAX_DELAY_US,
                                   g_param_spec_uint64 ("inline-max-delay-us", NULL, NULL, 0, G_MAXUINT32, 0, flags));
}

/**
 * mp_pool_new_for_backend:
 * @backend: what the workers are
 * @n_workers: the number of workers, at most 65536, which larger numbers count as; 0 for the number of usable CPUs
 *
 * Makes a pool of workers of a certain kind.
 *
 * [func@Mp.init] need not have been called for threads and for a pool that runs its tasks in the caller: the functions
 * are those of this process. See [class@Mp.Pool].
 *
 * Returns: (transfer full): a pool
 *
 * Since: 0.1
 */
MpPool *
mp_pool_new_for_backend (MpBackend backend,
                         guint     n_workers)
{
  return g_object_new (MP_TYPE_POOL,
                       "backend", backend,
                       "n-workers", MIN (n_workers, MP_POOL_MAX_WORKERS),
                       NULL);
}

/**
 * mp_pool_get_backend: (get-property backend)
 * @self: a pool
 *
 * What the workers are.
 *
 * Returns: the kind of workers
 *
 * Since: 0.1
 */
MpBackend
mp_pool_get_backend (MpPool *self)
{
  g_return_val_if_fail (MP_IS_POOL (self), MP_BACKEND_PROCESSES);

  return mp_pool_get_core (self)->backend.backend;
}
