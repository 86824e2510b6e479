/* mp-pool-start.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

#include <signal.h>
#include <string.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"

/* Workers come and go: which are started, how often that is tried, and when a pool gives up. */

/* Starts that may fail one after another before the pool gives up. Those who are killed from outside are no proof
 * against the program: they have more. */
#define MAX_HARD_FAILURES 3
#define MAX_SOFT_FAILURES 32
#define MAX_TRIES         5
#define FIRST_DELAY_US    (20 * 1000)
#define MAX_DELAY_US      (2 * G_USEC_PER_SEC)
/* A worker that has lived this long was in order. */
#define PROOF_US          G_USEC_PER_SEC

static guint
count_working (MpPoolCore *self)
{
  guint n = 0;

  for (guint i = 0; i < self->n_workers; i++)
    n += self->workers[i] != NULL && self->workers[i]->state == MP_WORKER_READY;
  return n;
}

static void
restart_cb (gpointer data)
{
  MpPoolCore *self = data;

  self->restart_timer = NULL;
  mp_pool_core_ensure_workers (self);
}

static void
restart_later (MpPoolCore *self,
               guint       n_failures)
{
  gint64 delay = FIRST_DELAY_US << MIN (n_failures, 8);

  if (self->restart_timer == NULL)
    self->restart_timer = mp_hub_add_timer (g_get_monotonic_time () + MIN (delay, MAX_DELAY_US), restart_cb, self);
}

static gboolean
is_shortage (const GError *error)
{
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BUSY);
}

/* What another try cannot change. */
static gboolean
is_hopeless (const GError *error)
{
  return g_error_matches (error, MP_ERROR, MP_ERROR_NOT_INITIALIZED) ||
         g_error_matches (error, MP_ERROR, MP_ERROR_UNSAFE_FORK) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

/* A start came to nothing: try again now, later, or not at all. @killed: somebody else ended it. */
static void
start_failed (MpPoolCore   *self,
              const GError *error,
              GVariant     *details,
              gboolean      killed)
{
  guint n_working = count_working (self);

  if (is_shortage (error))
    {
      self->n_tried++;
      if (n_working > 0 || self->n_tried < MAX_TRIES)
        restart_later (self, self->n_tried);
      else
        mp_pool_core_fail (self, error, details);
      return;
    }

  if (killed)
    self->n_soft++;
  else
    self->n_hard++;
  if (!self->ever_ready && is_hopeless (error))
    mp_pool_core_fail (self, error, details);
  else if (self->n_hard < MAX_HARD_FAILURES && self->n_soft < MAX_SOFT_FAILURES)
    mp_pool_core_ensure_workers (self);
  else if (n_working > 0)
    restart_later (self, self->n_hard + self->n_soft / 8);
  else
    mp_pool_core_fail (self, error, details);
}

gboolean
mp_pool_core_wants_workers (MpPoolCore *self)
{
  if (self->failure != NULL || self->mp_context == NULL)
    return FALSE;

  return self->state == MP_POOL_OPEN || (self->state == MP_POOL_CLOSED && self->first_job != NULL);
}

void
mp_pool_core_ensure_workers (MpPoolCore *self)
{
  guint n_missing = mp_pool_size_n_missing (self);

  for (guint i = 0; i < self->n_workers && n_missing > 0 && self->restart_timer == NULL; i++)
    {
      g_autoptr(GError) error = NULL;
      MpPoolWorker *worker = NULL;

      if (self->workers[i] != NULL)
        continue;
      if (!mp_pool_size_may_start (self))
        return;
      worker = mp_pool_worker_start (self, i, &error);
      if (worker == NULL)
        {
          start_failed (self, error, NULL, FALSE);
          return;
        }
      self->workers[i] = worker;
      self->n_live++;
      n_missing--;
      mp_pool_view_changed (self);
    }
}

/* Whether it was ended from outside: this worker, or the one that had to show first that the program works. */
static gboolean
was_killed (MpPoolWorker *worker,
            const GError *start_error)
{
  g_autoptr(GVariant) details = NULL;
  int status = mp_pool_worker_get_exit_status (worker);
  int signum = status < 0 && status > -NSIG ? -status : 0;

  if (worker->pid == 0 && start_error != NULL)
    details = mp_error_dup_details (start_error);
  if (details != NULL)
    g_variant_lookup (details, "signal", "i", &signum);
  /* One that hangs at its start was killed, too, but by us. */
  if (start_error != NULL && strstr (start_error->message, "killed by signal") == NULL)
    return FALSE;

  return signum == SIGKILL || signum == SIGTERM;
}

void
mp_pool_core_worker_ended (MpPoolCore   *self,
                           MpPoolWorker *worker,
                           const GError *start_error,
                           GVariant     *details)
{
  gboolean killed = was_killed (worker, start_error);
  gint64 lived = worker->ready_time > 0 ? g_get_monotonic_time () - worker->ready_time : 0;

  mp_tally_worker_ended (worker);
  self->workers[worker->number] = NULL;
  self->n_live--;

  if (mp_pool_core_wants_workers (self))
    {
      g_autoptr(GError) idle_error = NULL;

      if (start_error == NULL && worker->n_answered == 0 && lived < PROOF_US && worker->reason == NULL)
        {
          g_autofree char *end = mp_pool_worker_describe_with_end (worker);

          idle_error = g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "pool: %s before it did anything", end);
          start_error = idle_error;
        }
      if (start_error != NULL)
        start_failed (self, start_error, details, killed);
      else
        mp_pool_core_ensure_workers (self);
    }
  mp_pool_core_dispatch (self);
  mp_pool_core_check_end (self);
}
