/* mp-serve.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-worker-private.h"

#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/platform/mp-spin-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-invocation-private.h"
#include "mp-glib/process/mp-serve-private.h"

/* A pool's worker at its work: one task after another, in the order in which they came. The result of one is in the ring or
 * the socket before the next is begun; with the number on the board that is how the owner knows, whenever this process dies, which
 * one was running. An asynchronous function has the worker for itself until it has answered. */

#define MAX_FUNCTIONS (1 << 20)

typedef struct
{
  char             *name;       /* (owned) */
  const MpFunction *function;   /* (nullable): not looked for yet, or not there */
} Known;

typedef struct
{
  MpWorker   *worker;
  GPtrArray  *functions;        /* (owned) (element-type Known) (nullable elements), by number */
  gboolean    ended;            /* END has come, or there is nobody to work for */
  int         status;
  MpSpin      spin;

  /* The task in hand. */
  const Known *known;
  MpTaskLead   lead;
  gint64       started_us;
  MpInvocationTask task;
  MpReports    reports;
  GVariant    *args;            /* (owned) (nullable) */
  MpShareableKeep keep;         /* of the objects in its result */
  gboolean     by_item;         /* @args are items, for one call each, of which … */
  gboolean     boxed;
  gsize        position;        /* … this one is next */
  MpResults    results;

  /* An asynchronous call. */
  gboolean     pending;         /* the answer is awaited */
  GVariant    *answer;          /* (owned) (nullable) */
  GError      *answer_error;    /* (owned) (nullable) */
  GVariant    *answer_details;  /* (owned) (nullable) */
} Server;

static void
known_free (gpointer data)
{
  Known *known = data;

  if (known != NULL)
    g_free (known->name);
  g_free (known);
}

/* The owner is gone: there is nobody to tell. */
static void
give_up (Server *self)
{
  self->ended = TRUE;
  self->status = EXIT_FAILURE;
}

static void
ring (Server *self)
{
  if (!mp_wire_ring (self->worker->wire, NULL))
    give_up (self);
}

/* The answer to the task in hand. Its owner wants to be woken only now and then; it writes when, then looks whether there
 * are answers, so here the order is the reverse. */
static void
flush (Server *self)
{
  MpBoard *board = self->worker->board;

  if (!mp_wire_flush_quietly (self->worker->wire, NULL))
    give_up (self);
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  if (board == NULL || __atomic_load_n (&board->wake_at, __ATOMIC_RELAXED) <= self->lead.seq)
    ring (self);
}

/* Answers. */

static MpResultLead
make_lead (Server  *self,
           guint32  status,
           guint32  index)
{
  /* What was told of it and kept goes before. */
  mp_reports_flush (&self->reports);
  return (MpResultLead) { self->lead.seq, status, index, self->started_us, g_get_monotonic_time () - self->started_us };
}

gboolean
mp_serve_queue_value (MpWire        *wire,
                      MpResultLead  *lead,
                      GVariant      *value,
                      GError       **error)
{
  MpEncoded encoded;

  if (mp_plain_queue (wire, MP_FRAME_RESULT, lead, sizeof *lead, value))
    return TRUE;
  if (!mp_value_encode (value, &encoded, error))
    return FALSE;
  mp_wire_queue_value (wire, MP_FRAME_RESULT, 0, lead, sizeof *lead, &encoded);
  mp_encoded_clear (&encoded);

  return TRUE;
}

/* What the function or the binding has said of its error, and what it cannot know. Takes @details. */
static GVariant *
pack_error (Server       *self,
            const GError *error,
            GVariant     *details)
{
  GVariantDict dict;
  g_autoptr(GVariant) all = NULL;

  if (details == NULL)
    details = mp_error_dup_details (error);
  g_variant_dict_init (&dict, details);
  if (details != NULL)
    g_variant_unref (details);
  if (self->known != NULL && !g_variant_dict_contains (&dict, "function"))
    g_variant_dict_insert (&dict, "function", "s", mp_function_display_name (self->known->name));
  if (!g_variant_dict_contains (&dict, "worker"))
    g_variant_dict_insert (&dict, "worker", "s", self->worker->name);
  if (!g_variant_dict_contains (&dict, "pid"))
    g_variant_dict_insert (&dict, "pid", "i", (int) getpid ());
  all = g_variant_ref_sink (g_variant_dict_end (&dict));

  return mp_error_to_variant (error, all);
}

/* Takes @details. */
static void
answer_error (Server       *self,
              const GError *error,
              GVariant     *details,
              gsize         index)
{
  g_autoptr(GVariant) value = pack_error (self, error, details);
  MpResultLead lead = make_lead (self, MP_RESULT_ERROR, MIN (index, G_MAXUINT32));

  mp_serve_queue_value (self->worker->wire, &lead, value, NULL);
  flush (self);
}

static void
answer_value (Server   *self,
              GVariant *value,
              gboolean  wrapped)
{
  g_autoptr(GError) error = NULL;
  MpResultLead lead = make_lead (self, MP_RESULT_VALUE, wrapped);

  if (mp_serve_queue_value (self->worker->wire, &lead, value, &error))
    flush (self);
  else
    answer_error (self, error, NULL, 0);
}

static void
answer_results (Server *self)
{
  g_autoptr(GError) error = NULL;
  MpResultLead lead = make_lead (self, 0, 0);

  if (mp_results_queue (&self->results, self->worker->wire, &lead, &error))
    flush (self);
  else
    answer_error (self, error, NULL, 0);
}

static void
answer_not_run (Server       *self,
                MpTaskLead   *task)
{
  MpResultLead lead = { task->seq, MP_RESULT_NOT_RUN, 0, 0, 0 };

  memcpy (mp_wire_queue_short (self->worker->wire, MP_FRAME_RESULT, 0, sizeof lead), &lead, sizeof lead);
}

/* Calls. */

static gboolean
check_type (Server              *self,
            const GVariantType  *type,
            GError             **error)
{
  return mp_function_check_argument (self->known->function, type, error);
}

static void
answered_cb (GVariant     *value,
             const GError *error,
             GVariant     *details,
             gpointer      data)
{
  Server *self = data;

  self->pending = FALSE;
  self->answer = value != NULL ? g_variant_ref (value) : NULL;
  self->answer_error = error != NULL ? g_error_copy (error) : NULL;
  self->answer_details = details != NULL ? g_variant_ref (details) : NULL;
}

/* The answer may come at once, or when the main context has turned. */
static void
call_async (Server   *self,
            GVariant *args)
{
  self->pending = TRUE;
  mp_invocation_call_async (self->known->function, args, answered_cb, self);
}

static void
call_sync (Server   *self,
           GVariant *args)
{
  mp_invocation_begin (self->known->function);
  self->answer = mp_function_call (self->known->function, args, &self->answer_error);
  self->answer_details = mp_invocation_end ();
}

static GVariant *
next_item (Server *self)
{
  GVariant *item = g_variant_get_child_value (self->args, self->position);
  GVariant *inner = NULL;

  if (!self->boxed)
    return item;

  inner = g_variant_get_variant (item);
  g_variant_unref (item);
  return inner;
}

/* The way of a synchronous function that takes item by item, and mostly succeeds: for each nothing but the item, the call
 * and the place of its result. Stops at an error. */
static void
run_items (Server *self)
{
  const MpFunction *function = self->known->function;

  mp_invocation_begin (function);
  while (self->position < self->results.n_items)
    {
      GVariant *item = next_item (self);
      GVariant *value = NULL;
      GError *error = NULL;

      if (!self->boxed || check_type (self, g_variant_get_type (item), &error))
        value = mp_function_call_bare (function, item, &error);
      g_variant_unref (item);
      if (value == NULL || error != NULL || function->result_type != NULL)
        value = mp_function_check_call (function, value, error, &self->answer_error);
      if (value == NULL)
        break;
      mp_results_add (&self->results, value);
      self->position++;
      if (G_UNLIKELY (mp_invocation_was_asked_for ()))
        {
          GVariant *details = mp_invocation_end ();

          g_clear_pointer (&details, g_variant_unref);
          mp_invocation_begin (function);
        }
    }
  self->answer_details = mp_invocation_end ();
}

/* Moves an error of the item in hand out of the way. FALSE: the task has ended with it. */
static gboolean
settle_item_error (Server *self)
{
  g_autoptr(GError) error = g_steal_pointer (&self->answer_error);
  GVariant *details = g_steal_pointer (&self->answer_details);

  if (!self->results.per_item)
    {
      answer_error (self, error, details, self->position);
      return FALSE;
    }
  mp_results_add_error (&self->results, pack_error (self, error, details));
  self->position++;
  return TRUE;
}

static void
call_item_async (Server *self)
{
  g_autoptr(GVariant) item = next_item (self);

  if (!self->boxed || check_type (self, g_variant_get_type (item), &self->answer_error))
    call_async (self, item);
}

/* TRUE: all items are through, or the task has ended before. */
static gboolean
continue_items (Server *self)
{
  while (!self->pending)
    {
      if (self->answer_error != NULL)
        {
          if (!settle_item_error (self))
            return TRUE;
        }
      else if (self->answer != NULL)
        {
          mp_results_add (&self->results, g_steal_pointer (&self->answer));
          self->position++;
        }
      g_clear_pointer (&self->answer_details, g_variant_unref);

      if (self->position == self->results.n_items)
        {
          answer_results (self);
          return TRUE;
        }
      if (self->known->function->async_func != NULL)
        call_item_async (self);
      else
        run_items (self);
    }
  return FALSE;
}

/* The answer of a function that was called once for the whole task. */
static void
settle_call (Server *self)
{
  g_autoptr(GVariant) value = g_steal_pointer (&self->answer);
  g_autoptr(GError) error = g_steal_pointer (&self->answer_error);
  GVariant *details = g_steal_pointer (&self->answer_details);
  gboolean is_chunk = (self->lead.flags & MP_TASK_CHUNK) != 0;

  if ((self->lead.flags & MP_TASK_INITIALIZER) != 0 && g_error_matches (error, MP_ERROR, MP_ERROR_NO_RESULT))
    {
      g_clear_error (&error);
      value = g_variant_ref_sink (g_variant_new_tuple (NULL, 0));
    }
  if (error == NULL && is_chunk)
    error = mp_function_check_chunk (self->known->function, value, g_variant_n_children (self->args));

  if (error != NULL)
    {
      answer_error (self, error, g_steal_pointer (&details), 0);
      return;
    }
  g_clear_pointer (&details, g_variant_unref);
  answer_value (self, value, is_chunk && g_variant_is_of_type (value, G_VARIANT_TYPE ("av")));
}

static void
drop_task (Server *self)
{
  mp_results_drop (&self->results);
  g_clear_pointer (&self->args, g_variant_unref);
  g_clear_pointer (&self->answer, g_variant_unref);
  g_clear_error (&self->answer_error);
  g_clear_pointer (&self->answer_details, g_variant_unref);
  self->known = NULL;
  mp_shareable_keep_end (&self->keep);
}

/* Goes on with the task in hand as far as that goes. */
static void
continue_task (Server *self)
{
  if (self->pending)
    return;
  if (self->by_item)
    {
      if (!continue_items (self))
        return;
    }
  else
    {
      settle_call (self);
    }
  drop_task (self);
}

/* Tasks. */

static const Known *
find_function (Server   *self,
               guint32   number,
               GError  **error)
{
  Known *known = number < self->functions->len ? g_ptr_array_index (self->functions, number) : NULL;

  if (known == NULL)
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "a task for a function that has no name");
      return NULL;
    }
  self->known = known;
  if (known->function == NULL)
    known->function = mp_function_find (known->name, error);
  return known->function != NULL ? known : NULL;
}

static gboolean
prepare_task (Server   *self,
              MpFrame  *frame,
              GError  **error)
{
  gboolean is_chunk = (self->lead.flags & MP_TASK_CHUNK) != 0;
  const GVariantType *type = NULL;
  const MpFunction *function = NULL;

  if (find_function (self, self->lead.function, error) == NULL)
    return FALSE;
  function = self->known->function;
  self->args = mp_plain_take (frame->data + sizeof (MpTaskLead), frame->size - sizeof (MpTaskLead));
  if (self->args == NULL)
    self->args = mp_frame_get_value (frame, sizeof (MpTaskLead), NULL, error);
  if (self->args == NULL)
    return FALSE;

  type = g_variant_get_type (self->args);
  if (is_chunk && !g_variant_type_is_array (type))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "a chunk that is no array");
      return FALSE;
    }
  self->by_item = is_chunk && (function->flags & MP_FUNCTION_FLAGS_CHUNK) == 0;
  self->boxed = self->by_item && g_variant_type_equal (type, G_VARIANT_TYPE ("av"));
  if (!self->by_item)
    return check_type (self, type, error);

  mp_results_begin (&self->results, g_variant_n_children (self->args), (self->lead.flags & MP_TASK_PER_ITEM) != 0);
  self->position = 0;
  return self->boxed || check_type (self, g_variant_type_element (type), error);
}

/* FALSE: the owner has taken the task back. */
static gboolean
begin_task (Server  *self,
            guint64  seq)
{
  MpBoard *board = self->worker->board;
  guint64 state = 0;

  self->started_us = g_get_monotonic_time ();
  if (board == NULL)
    return TRUE;

  __atomic_store_n (&board->started_us, self->started_us, __ATOMIC_RELAXED);
  state = __atomic_load_n (&board->state, __ATOMIC_ACQUIRE);
  do
    {
      if ((state & MP_BOARD_STOP) != 0)
        return FALSE;
    }
  while (!__atomic_compare_exchange_n (&board->state, &state, seq << 1, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));

  return TRUE;
}

static void
handle_task (Server  *self,
             MpFrame *frame)
{
  MpTaskLead lead;

  if (frame->size < sizeof lead)
    {
      give_up (self);
      return;
    }
  memcpy (&lead, frame->data, sizeof lead);
  if (!begin_task (self, lead.seq))
    {
      answer_not_run (self, &lead);
      return;
    }

  self->lead = lead;
  self->task.seq = lead.seq;
  self->task.deadline = mp_task_deadline (&lead, self->started_us);
  mp_reports_begin (&self->reports, lead.seq);
  mp_shareable_keep_begin (&self->keep);
  if (!prepare_task (self, frame, &self->answer_error))
    {
      g_autoptr(GError) error = g_steal_pointer (&self->answer_error);

      answer_error (self, error, NULL, 0);
      drop_task (self);
      return;
    }
  if (!self->by_item && self->known->function->async_func != NULL)
    call_async (self, self->args);
  else if (!self->by_item)
    call_sync (self, self->args);
  continue_task (self);
}

static void
handle_define (Server  *self,
               MpFrame *frame)
{
  Known *known = NULL;

  if (frame->tag >= MAX_FUNCTIONS || !g_utf8_validate ((const char *) frame->data, frame->size, NULL))
    {
      give_up (self);
      return;
    }
  known = g_new0 (Known, 1);
  known->name = g_strndup ((const char *) frame->data, frame->size);
  if (frame->tag >= self->functions->len)
    g_ptr_array_set_size (self->functions, frame->tag + 1);
  known_free (g_ptr_array_index (self->functions, frame->tag));
  g_ptr_array_index (self->functions, frame->tag) = known;
}

static void
handle_frame (Server  *self,
              MpFrame *frame)
{
  switch (frame->kind)
    {
    case MP_FRAME_TASK:
      handle_task (self, frame);
      break;
    case MP_FRAME_DEFINE:
      handle_define (self, frame);
      break;
    case MP_FRAME_END:
      self->ended = TRUE;
      break;
    default:
      give_up (self);
    }
}

/* Waiting. */

static gboolean
readable_cb (int          fd,
             GIOCondition condition,
             gpointer     data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

/* Turns the main context: for the answer of an asynchronous function, for what such a one has left running while there is
 * no task, and for children of this process. */
static void
wait_turning (Server *self)
{
  GMainContext *context = mp_hub_ref_context (self->worker->context);
  gboolean readable = FALSE;

  if (self->pending)
    {
      while (self->pending)
        g_main_context_iteration (context, TRUE);
      continue_task (self);
    }
  else if (mp_wire_sleep (self->worker->wire))
    {
      GSource *source = g_unix_fd_source_new (mp_wire_get_fd (self->worker->wire), G_IO_IN);

      g_source_set_callback (source, G_SOURCE_FUNC (readable_cb), &readable, NULL);
      g_source_attach (source, context);
      while (!readable)
        g_main_context_iteration (context, TRUE);
      g_source_destroy (source);
      g_source_unref (source);
    }
  mp_hub_unref_context (context);
}

/* For the next task, which often comes as soon as the answer to the last one is there. */
static void
wait_busily (Server *self)
{
  MpWire *wire = self->worker->wire;
  gint64 until = mp_spin_begin (&self->spin);
  gboolean found;

  if (until == 0 || !mp_wire_has_ring (wire))
    return;

  while (!(found = mp_wire_look (wire)) && mp_spin_again (until))
    ;
  mp_spin_end (&self->spin, until, found);
}

static void
wait_for_more (Server *self)
{
  mp_worker_log_flush (self->worker);
  if (mp_wire_get_pending (self->worker->wire) > 0)
    flush (self);
  ring (self);
  if (self->pending)
    {
      /* What has come meanwhile is looked at first. */
      wait_turning (self);
      return;
    }
  if (mp_function_any_async () || mp_child_count () > 0)
    wait_turning (self);
  else
    wait_busily (self);
  if (!self->ended && mp_wire_fill (self->worker->wire, TRUE, NULL) < 0)
    self->ended = TRUE;
}

static void
take_frames (Server *self)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;

  while (!self->ended && !self->pending && mp_wire_next (self->worker->wire, &frame, &error))
    {
      handle_frame (self, &frame);
      mp_frame_clear (&frame);
    }
  if (error != NULL)
    give_up (self);
}

int
mp_worker_serve_tasks (MpWorker *worker)
{
  Server self = { worker };

  mp_platform_keep_heap ();
  mp_reports_init (&self.reports, worker->wire);
  self.task = (MpInvocationTask) { 0, -1, mp_reports_add, &self.reports };
  worker->task = &self.task;
  self.functions = g_ptr_array_new_with_free_func (known_free);
  self.status = EXIT_SUCCESS;
  while (!self.ended)
    {
      take_frames (&self);
      if (!self.ended)
        wait_for_more (&self);
    }
  if (self.known != NULL)
    drop_task (&self);
  mp_results_clear (&self.results);
  mp_reports_clear (&self.reports);
  worker->task = NULL;
  g_ptr_array_unref (self.functions);

  return self.status;
}
