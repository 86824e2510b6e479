/* mp-pool-local.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-local-private.h"
#include "mp-glib/pool/mp-pool-control-private.h"

#include <unistd.h>

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-serve-private.h"

struct _MpLocalRun
{
  int                     ref_count;   /* one while it is at work */
  const MpInvocationHost *host;
  gboolean                running;     /* this very thread is in mp_local_run_task() */
  MpResults               results;

  /* The task in hand. */
  MpLocalTask            *task;        /* (nullable) borrowed */
  MpLocalDone             done;
  gpointer                data;
  const MpFunction       *function;
  gint64                  started_us;
  MpInvocationTask        asked;       /* what the function may ask of it */
  GVariant               *args;        /* (owned) (nullable): those of a function that is called once */
  gboolean                by_item, boxed;
  gsize                   position;    /* in the chunk */

  /* The call in hand. */
  gboolean                pending;     /* its answer is awaited */
  GVariant               *value;       /* (owned) (nullable) */
  GError                 *error;       /* (owned) (nullable) */
  GVariant               *details;     /* (owned) (nullable) */
};

/* Tasks. */

MpLocalTask *
mp_local_task_new (MpPoolCore       *core,
                   const MpUnit     *unit,
                   const MpTaskLead *lead)
{
  MpLocalTask *self = g_slice_new0 (MpLocalTask);

  self->lead = *lead;
  self->job = mp_job_ref (unit->job);
  self->function = g_ptr_array_index (core->function_names, lead->function);
  if (unit->job->map != NULL)
    self->value = mp_map_ref_items (unit->job->map, unit->chunk, &self->first, &self->n_items);
  else
    self->value = g_variant_ref (unit->job->value);

  return self;
}

void
mp_local_task_free (MpLocalTask *self)
{
  mp_job_drop (self->job, (GDestroyNotify) g_variant_unref, self->value);
  mp_job_unref_locked (self->job);
  g_slice_free (MpLocalTask, self);
}

gboolean
mp_local_task_is_async (MpLocalTask *self)
{
  const MpFunction *function = mp_function_find (self->function, NULL);

  return function != NULL && function->async_func != NULL;
}

gboolean
mp_local_begin (MpBoard *board,
                guint64  seq)
{
  guint64 state = __atomic_load_n (&board->state, __ATOMIC_ACQUIRE);

  __atomic_store_n (&board->started_us, g_get_monotonic_time (), __ATOMIC_RELAXED);
  do
    {
      if ((state & MP_BOARD_STOP) != 0)
        return FALSE;
    }
  while (!__atomic_compare_exchange_n (&board->state, &state, seq << 1, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));

  return TRUE;
}

/* Nobody hears of it. The value may be one that the caller gave. */
static void
drop_answer (MpLocalTask *task,
             MpAnswer    *answer)
{
  if (answer->value != NULL)
    mp_job_drop (task->job, (GDestroyNotify) g_variant_unref, g_steal_pointer (&answer->value));
  mp_answer_clear (answer);
}

void
mp_local_answered (MpPoolWorker       *worker,
                   MpLocalTask        *task,
                   const MpResultLead *lead,
                   MpAnswer           *answer)
{
  if (worker == NULL || !mp_pool_worker_expects (worker, lead))
    {
      /* It was given up, and its task has had its end. */
      drop_answer (task, answer);
    }
  else if (worker->initializing)
    {
      mp_pool_worker_initialized (worker, answer);
    }
  else
    {
      MpUnit unit = mp_pool_worker_pop_answered (worker, lead);

      if (unit.job == NULL || unit.job->done)
        drop_answer (task, answer);
      if (unit.job != NULL)
        mp_pool_core_unit_ended (worker->core, &unit, answer);
      mp_pool_worker_answers_through (worker);
    }
  mp_local_task_free (task);
}

GVariant *
mp_local_copy_report (GVariant *value)
{
  g_autoptr(GPtrArray) objects = NULL;
  g_autoptr(GVariant) normal = NULL;
  g_autoptr(GBytes) bytes = NULL;

  if (value == NULL)
    return NULL;
  normal = g_variant_get_normal_form (value);
  objects = mp_value_dup_objects (normal);
  if (objects != NULL)
    {
      g_warning ("what a task tells of its progress cannot hold objects");
      return NULL;
    }
  bytes = g_bytes_new (g_variant_get_data (normal), g_variant_get_size (normal));
  return g_variant_ref_sink (g_variant_new_from_bytes (g_variant_get_type (normal), bytes, TRUE));
}

/* Runs. */

MpLocalRun *
mp_local_run_new (const MpInvocationHost *host)
{
  MpLocalRun *self = g_new0 (MpLocalRun, 1);

  self->ref_count = 1;
  self->host = host;

  return self;
}

static void
drop_call (MpLocalRun *self)
{
  g_clear_pointer (&self->value, g_variant_unref);
  g_clear_error (&self->error);
  g_clear_pointer (&self->details, g_variant_unref);
}

void
mp_local_run_unref (MpLocalRun *self)
{
  if (--self->ref_count > 0)
    return;
  drop_call (self);
  g_clear_pointer (&self->args, g_variant_unref);
  mp_results_drop (&self->results);
  mp_results_clear (&self->results);
  g_free (self);
}

/* What the function or the binding has said of its error, and what it cannot know. Takes @details. */
static GVariant *
complete_details (MpLocalRun   *self,
                  const GError *error,
                  GVariant     *details)
{
  GVariantDict dict;

  if (details == NULL)
    details = mp_error_dup_details (error);
  g_variant_dict_init (&dict, details);
  if (details != NULL)
    g_variant_unref (details);
  if (!g_variant_dict_contains (&dict, "function"))
    g_variant_dict_insert (&dict, "function", "s", mp_function_display_name (self->task->function));
  if (!g_variant_dict_contains (&dict, "worker"))
    g_variant_dict_insert (&dict, "worker", "s", self->host->name);
  if (!g_variant_dict_contains (&dict, "pid"))
    g_variant_dict_insert (&dict, "pid", "i", (int) getpid ());

  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* The end of the task. Takes what @answer has. */
static void
settle (MpLocalRun   *self,
        MpResultLead *lead,
        MpAnswer     *answer)
{
  MpLocalDone done = self->done;
  gpointer data = self->data;

  lead->seq = self->task->lead.seq;
  lead->started_us = self->started_us;
  lead->run_us = g_get_monotonic_time () - self->started_us;
  mp_results_drop (&self->results);
  g_clear_pointer (&self->args, g_variant_unref);
  drop_call (self);
  self->task = NULL;
  done (lead, answer, data);
  mp_answer_clear (answer);
}

/* Takes @error and @details. */
static void
settle_error (MpLocalRun *self,
              GError     *error,
              GVariant   *details,
              gsize       index)
{
  MpResultLead lead = { 0, MP_RESULT_ERROR, MIN (index, G_MAXUINT32) };
  MpAnswer answer = { NULL };

  answer.error = error;
  answer.details = complete_details (self, error, details);
  settle (self, &lead, &answer);
}

/* Takes @value. */
static void
settle_value (MpLocalRun   *self,
              MpResultLead *lead,
              GVariant     *value)
{
  MpAnswer answer = { NULL };
  GError *error = NULL;

  answer.value = mp_value_hold (value, &error);
  g_variant_unref (value);
  if (answer.value == NULL)
    {
      settle_error (self, error, NULL, 0);
      return;
    }
  answer.per_item = lead->status == MP_RESULT_PER_ITEM;
  answer.wrapped = !answer.per_item && lead->index != 0;
  settle (self, lead, &answer);
}

/* Calls. */

static gboolean
check_type (MpLocalRun          *self,
            const GVariantType  *type,
            GError             **error)
{
  return mp_function_check_argument (self->function, type, error);
}

static void continue_task (MpLocalRun *self);

static void
answered_cb (GVariant     *value,
             const GError *error,
             GVariant     *details,
             gpointer      data)
{
  MpLocalRun *self = data;

  self->pending = FALSE;
  self->value = value != NULL ? g_variant_ref (value) : NULL;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  self->details = details != NULL ? g_variant_ref (details) : NULL;
  if (!self->running)
    {
      self->ref_count++;
      self->running = TRUE;
      continue_task (self);
      self->running = FALSE;
      mp_local_run_unref (self);
    }
}

static MpInvocationHost
make_host (MpLocalRun *self)
{
  MpInvocationHost host = *self->host;

  host.task = &self->asked;
  return host;
}

static void
call_async (MpLocalRun *self,
            GVariant   *args)
{
  MpInvocationHost host = make_host (self);
  MpInvocationOuter outer;

  self->pending = TRUE;
  mp_invocation_enter (&host, &outer);
  mp_invocation_call_async (self->function, args, answered_cb, self);
  mp_invocation_leave (&outer);
}

static void
call_sync (MpLocalRun *self,
           GVariant   *args)
{
  MpInvocationHost host = make_host (self);
  MpInvocationOuter outer;

  mp_invocation_enter (&host, &outer);
  mp_invocation_begin (self->function);
  self->value = mp_function_call (self->function, args, &self->error);
  self->details = mp_invocation_end ();
  mp_invocation_leave (&outer);
}

static GVariant *
next_item (MpLocalRun *self)
{
  GVariant *item = g_variant_get_child_value (self->task->value, self->task->first + self->position);
  GVariant *inner = NULL;

  if (!self->boxed)
    return item;

  inner = g_variant_get_variant (item);
  g_variant_unref (item);
  return inner;
}

static void
call_item (MpLocalRun *self)
{
  g_autoptr(GVariant) item = next_item (self);

  if (self->boxed && !check_type (self, g_variant_get_type (item), &self->error))
    return;
  if (self->function->async_func != NULL)
    call_async (self, item);
  else
    call_sync (self, item);
}

/* Puts the outcome of an item in its place. FALSE: the task has ended with it. */
static gboolean
settle_item (MpLocalRun *self)
{
  g_autoptr(GError) error = g_steal_pointer (&self->error);
  GVariant *details = g_steal_pointer (&self->details);

  if (error != NULL && !self->results.per_item)
    {
      settle_error (self, g_steal_pointer (&error), details, self->position);
      return FALSE;
    }
  if (error != NULL)
    {
      g_autoptr(GVariant) all = complete_details (self, error, details);

      mp_results_add_error (&self->results, mp_error_to_variant (error, all));
    }
  else
    {
      g_clear_pointer (&details, g_variant_unref);
      mp_results_add (&self->results, g_steal_pointer (&self->value));
    }
  self->position++;

  return TRUE;
}

/* TRUE: all items are through, or the task has ended before. */
static gboolean
continue_items (MpLocalRun *self)
{
  while (!self->pending)
    {
      if ((self->error != NULL || self->value != NULL) && !settle_item (self))
        return TRUE;
      if (self->position == self->results.n_items)
        {
          MpResultLead lead = { 0 };
          GVariant *value = mp_results_take (&self->results, &lead);

          settle_value (self, &lead, value);
          return TRUE;
        }
      call_item (self);
    }
  return FALSE;
}

/* The answer of a function that was called once for the whole task. */
static void
settle_call (MpLocalRun *self)
{
  gboolean is_chunk = (self->task->lead.flags & MP_TASK_CHUNK) != 0;
  MpResultLead lead = { 0, MP_RESULT_VALUE, 0 };
  GVariant *value = g_steal_pointer (&self->value);
  GError *error = g_steal_pointer (&self->error);

  if ((self->task->lead.flags & MP_TASK_INITIALIZER) != 0 && g_error_matches (error, MP_ERROR, MP_ERROR_NO_RESULT))
    {
      g_clear_error (&error);
      value = g_variant_ref_sink (g_variant_new_tuple (NULL, 0));
    }
  if (error == NULL && is_chunk)
    error = mp_function_check_chunk (self->function, value, self->task->n_items);
  if (error != NULL)
    {
      g_clear_pointer (&value, g_variant_unref);
      settle_error (self, error, g_steal_pointer (&self->details), 0);
      return;
    }
  lead.index = is_chunk && g_variant_is_of_type (value, G_VARIANT_TYPE ("av"));
  settle_value (self, &lead, value);
}

static void
continue_task (MpLocalRun *self)
{
  if (self->pending)
    return;
  if (self->by_item)
    continue_items (self);
  else
    settle_call (self);
}

/* A part of an array: of items of one size a part of its bytes. */
static GVariant *
slice (GVariant *items,
       gsize     first,
       gsize     n)
{
  const GVariantType *type = g_variant_get_type (items);
  gsize n_items = g_variant_n_children (items);
  g_autofree GVariant **children = NULL;
  GVariant *result = NULL;

  if (n == n_items)
    return g_variant_ref (items);
  if (mp_plain_type_is_fixed (g_variant_type_element (type)))
    {
      gsize size = g_variant_get_size (items) / n_items;
      g_autoptr(GBytes) all = g_variant_get_data_as_bytes (items);
      g_autoptr(GBytes) bytes = g_bytes_new_from_bytes (all, first * size, n * size);

      return g_variant_ref_sink (g_variant_new_from_bytes (type, bytes, TRUE));
    }

  children = g_new (GVariant *, n);
  for (gsize i = 0; i < n; i++)
    children[i] = g_variant_get_child_value (items, first + i);
  result = g_variant_ref_sink (g_variant_new_array (g_variant_type_element (type), children, n));
  for (gsize i = 0; i < n; i++)
    g_variant_unref (children[i]);

  return result;
}

static gboolean
prepare_task (MpLocalRun  *self,
              GError     **error)
{
  MpLocalTask *task = self->task;
  gboolean is_chunk = (task->lead.flags & MP_TASK_CHUNK) != 0;
  const GVariantType *type = g_variant_get_type (task->value);

  self->function = mp_function_find (task->function, error);
  if (self->function == NULL)
    return FALSE;

  self->position = 0;
  self->by_item = is_chunk && (self->function->flags & MP_FUNCTION_FLAGS_CHUNK) == 0;
  self->boxed = self->by_item && g_variant_type_equal (type, G_VARIANT_TYPE ("av"));
  if (self->by_item)
    {
      mp_results_begin (&self->results, task->n_items, (task->lead.flags & MP_TASK_PER_ITEM) != 0);
      return self->boxed || check_type (self, g_variant_type_element (type), error);
    }

  self->args = is_chunk ? slice (task->value, task->first, task->n_items) : g_variant_ref (task->value);
  return check_type (self, type, error);
}

void
mp_local_run_task (MpLocalRun    *self,
                   MpLocalTask   *task,
                   MpLocalDone    done,
                   MpLocalReport  report,
                   gpointer       data)
{
  MpShareableKeep keep;
  GError *error = NULL;

  g_assert (self->task == NULL && !self->running);
  mp_shareable_keep_begin (&keep);
  self->task = task;
  self->done = done;
  self->data = data;
  self->started_us = g_get_monotonic_time ();
  self->asked = (MpInvocationTask) { task->lead.seq, mp_task_deadline (&task->lead, self->started_us), report, data };
  self->running = TRUE;
  self->ref_count++;
  if (!prepare_task (self, &error))
    {
      settle_error (self, error, NULL, 0);
    }
  else
    {
      if (!self->by_item && self->function->async_func != NULL)
        call_async (self, self->args);
      else if (!self->by_item)
        call_sync (self, self->args);
      continue_task (self);
    }
  self->running = FALSE;
  mp_shareable_keep_end (&keep);
  mp_local_run_unref (self);
}

void
mp_local_run_abort (MpLocalRun *self)
{
  if (self->running)
    {
      GVariant *details = mp_invocation_end ();

      g_clear_pointer (&details, g_variant_unref);
    }
  self->ref_count = 1;
  mp_local_run_unref (self);
}
