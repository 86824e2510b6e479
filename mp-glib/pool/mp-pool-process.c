/* mp-pool-process.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-process-private.h"

#include <errno.h>
#include <string.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"
#include "mp-glib/process/mp-init.h"
#include "mp-glib/process/mp-serve-private.h"

/* Workers that are processes: tasks leave as frames, and answers come as such. All with the hub's lock held. */

/* An answer that is large or brings objects: decoded without the lock. */
typedef struct
{
  MpPoolCore   *core;     /* (owned) */
  MpUnit        unit;
  guint         number, serial;
  MpResultLead  lead;
  MpFrame       frame;    /* (owned) */
  GBytes       *copy;     /* (owned) (nullable) of its payload */
} Parcel;

static MpProcessWorker *
process_of (MpPoolWorker *worker)
{
  return (MpProcessWorker *) worker;
}

MpProcessWorker *
mp_pool_worker_get_process (MpPoolWorker *self)
{
  return self->ops == &mp_pool_process_ops ? process_of (self) : NULL;
}

static void
process_flush (MpPoolWorker *worker)
{
  MpUnit *first = &worker->flight[worker->first];

  if (worker->n_flight == 1 && first->job != NULL)
    mp_pool_busy_prepare (process_of (worker), first->job);
  mp_child_flush (process_of (worker)->child);
}

static void
define_function (MpProcessWorker *self,
                 guint32          function)
{
  MpPoolCore *core = self->worker.core;
  const char *name = g_ptr_array_index (core->function_names, function);
  guint old = self->defined->len;
  MpPiece piece = { name, strlen (name), NULL };

  if (function < old && self->defined->data[function])
    return;

  if (function >= old)
    {
      g_byte_array_set_size (self->defined, core->function_names->len);
      memset (self->defined->data + old, 0, self->defined->len - old);
    }
  self->defined->data[function] = 1;
  mp_wire_queue (mp_child_get_wire (self->child), MP_FRAME_DEFINE, function, &piece, 1, NULL, 0);
}

/* Arguments that hold objects were encoded when they came; their descriptors are wanted again if this worker dies. */
gboolean
mp_pool_queue_encoded (MpJob             *job,
                       MpWire            *wire,
                       const MpTaskLead  *lead,
                       MpEncoded         *encoded,
                       GError           **error)
{
  MpPiece pieces[MP_ENCODED_MAX_PIECES + 1] = { { lead, sizeof *lead, NULL } };
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));

  for (guint i = 0; encoded->fds != NULL && i < encoded->fds->len; i++)
    {
      int fd = mp_fd_dup (g_array_index (encoded->fds, int, i));

      if (fd < 0)
        {
          int saved = errno;

          for (guint j = 0; j < fds->len; j++)
            mp_fd_close (&g_array_index (fds, int, j));
          g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "pool: the descriptors of a task: %s",
                       g_strerror (saved));
          return FALSE;
        }
      g_array_append_val (fds, fd);
    }
  memcpy (pieces + 1, encoded->pieces, encoded->n_pieces * sizeof (MpPiece));
  mp_job_lend (job, pieces, encoded->n_pieces + 1);
  mp_wire_queue (wire, MP_FRAME_TASK, 0, pieces, encoded->n_pieces + 1, (const int *) fds->data, fds->len);
  mp_job_lent (pieces, encoded->n_pieces + 1);

  return TRUE;
}

static gboolean
queue_task (MpWire        *wire,
            const MpUnit  *unit,
            MpTaskLead    *lead,
            GError       **error)
{
  MpJob *job = unit->job;
  MpEncoded encoded;

  if (job->map != NULL)
    return mp_map_queue_chunk (job, unit->chunk, wire, lead, error);
  if (job->encoded != NULL)
    return mp_pool_queue_encoded (job, wire, lead, job->encoded, error);
  if (mp_plain_queue (wire, MP_FRAME_TASK, lead, sizeof *lead, job->value))
    return TRUE;

  if (!mp_value_encode (job->value, &encoded, error))
    return FALSE;
  mp_job_lend (job, encoded.pieces, encoded.n_pieces);
  mp_wire_queue_value (wire, MP_FRAME_TASK, 0, lead, sizeof *lead, &encoded);
  mp_job_lent (encoded.pieces, encoded.n_pieces);
  mp_encoded_clear (&encoded);

  return TRUE;
}

static gboolean
process_send (MpPoolWorker      *worker,
              const MpUnit      *unit,
              const MpTaskLead  *lead,
              GError           **error)
{
  MpTaskLead own = *lead;

  define_function (process_of (worker), lead->function);
  return queue_task (mp_child_get_wire (process_of (worker)->child), unit, &own, error);
}

static void
process_look (MpPoolWorker *worker)
{
  mp_child_look (process_of (worker)->child);
}

static void
process_tell_end (MpPoolWorker *worker)
{
  mp_wire_queue (mp_child_get_wire (process_of (worker)->child), MP_FRAME_END, 0, NULL, 0, NULL, 0);
}

static void
process_end (MpPoolWorker *worker,
             gint64        grace_us)
{
  mp_child_end (process_of (worker)->child, grace_us);
}

/* Its wire may have arguments that have not left; it must not be the last to let go of them. */
static void
process_drop_unsent (MpPoolWorker *worker)
{
  MpChild *child = process_of (worker)->child;

  if (child != NULL && mp_child_get_wire (child) != NULL)
    mp_wire_drop_output (mp_child_get_wire (child));
}

static void
process_forget (MpPoolWorker *worker)
{
  if (process_of (worker)->child != NULL)
    mp_child_forget (process_of (worker)->child);
}

static void
process_free (MpPoolWorker *worker)
{
  MpProcessWorker *self = process_of (worker);

  g_clear_pointer (&self->child, mp_child_unref);
  g_byte_array_unref (self->defined);
  mp_fd_close (&self->board_fd);
  mp_fd_unmap (worker->board, sizeof (MpBoard));
  g_free (self);
}

static int
process_get_exit_status (MpPoolWorker *worker)
{
  return mp_child_get_exit_status (process_of (worker)->child);
}

static char *
process_describe_end (MpPoolWorker *worker)
{
  return mp_child_describe_end (process_of (worker)->child);
}

static GVariant *
process_dup_details (MpPoolWorker *worker)
{
  return mp_child_dup_details (process_of (worker)->child);
}

/* Answers. */

/* TRUE: the worker's bytes were in order. */
static gboolean
decode_answer (MpFrame            *frame,
               const MpResultLead *lead,
               MpAnswer           *answer)
{
  g_autoptr(GVariant) value = NULL;
  gsize used = 0;

  if (lead->status == MP_RESULT_VALUE)
    answer->value = mp_plain_take (frame->data + sizeof *lead, frame->size - sizeof *lead);
  if (answer->value != NULL)
    return TRUE;

  value = mp_frame_get_value (frame, sizeof *lead, &used, &answer->error);
  if (value == NULL)
    return !g_error_matches (answer->error, MP_ERROR, MP_ERROR_PROTOCOL);

  answer->plain = ((const MpValueHead *) (gconstpointer) (frame->data + sizeof *lead))->n_handles == 0;
  switch (lead->status)
    {
    case MP_RESULT_VALUE:
      answer->wrapped = lead->index != 0;
      answer->value = g_steal_pointer (&value);
      break;
    case MP_RESULT_PER_ITEM:
      answer->per_item = TRUE;
      answer->value = g_steal_pointer (&value);
      break;
    default:
      answer->error = mp_error_from_variant (value, &answer->details);
    }
  return TRUE;
}

static void
parcel_free (Parcel *self)
{
  mp_frame_clear (&self->frame);
  g_clear_pointer (&self->copy, g_bytes_unref);
  mp_pool_core_unref (self->core);
  g_free (self);
}

static void
open_parcel (gpointer data)
{
  Parcel *self = data;
  MpAnswer answer = { NULL };
  gboolean good = decode_answer (&self->frame, &self->lead, &answer);

  mp_hub_lock ();
  self->core->tally->n_decoding--;
  if (!good && self->number < self->core->n_workers)
    {
      MpPoolWorker *worker = self->core->workers[self->number];

      if (worker != NULL && worker->serial == self->serial)
        mp_pool_worker_cut_off (worker, g_error_copy (answer.error));
    }
  mp_pool_core_unit_ended (self->core, &self->unit, &answer);
  mp_hub_changed ();
  mp_hub_unlock ();

  parcel_free (self);
}

static void
post_parcel (MpPoolWorker       *self,
             const MpUnit       *unit,
             const MpResultLead *lead,
             MpFrame            *frame)
{
  Parcel *parcel = g_new0 (Parcel, 1);

  parcel->core = mp_pool_core_ref (self->core);
  self->core->tally->n_decoding++;
  parcel->unit = *unit;
  parcel->number = self->number;
  parcel->serial = self->serial;
  parcel->lead = *lead;
  parcel->frame = *frame;
  if (frame->bytes == NULL)
    {
      parcel->copy = g_bytes_new (frame->data, frame->size);
      parcel->frame.data = g_bytes_get_data (parcel->copy, NULL);
    }
  frame->bytes = NULL;
  frame->fds = NULL;
  frame->n_fds = 0;
  mp_hub_run_unlocked (open_parcel, parcel);
}

static void
settle_unit (MpPoolWorker       *self,
             const MpUnit       *unit,
             const MpResultLead *lead,
             MpFrame            *frame)
{
  MpAnswer answer = { NULL };

  if (unit->job->map != NULL && unit->job->imap == NULL && !unit->job->done && lead->status == MP_RESULT_VALUE &&
      lead->index == 0 &&
      mp_map_store_raw (unit->job->map, unit->chunk, frame->data + sizeof *lead, frame->size - sizeof *lead))
    {
      mp_tally_unit_ended (self->core, unit->job, FALSE);
      mp_map_unit_ended (unit->job, unit->chunk, NULL);
      mp_job_unit_gone (unit->job);
      if (self->core->first_job == NULL)
        mp_pool_core_check_end (self->core);
      return;
    }
  if (frame->bytes != NULL || frame->n_fds > 0)
    {
      post_parcel (self, unit, lead, frame);
      return;
    }
  if (!decode_answer (frame, lead, &answer))
    mp_pool_worker_cut_off (self, g_error_copy (answer.error));
  mp_pool_core_unit_ended (self->core, unit, &answer);
}

/* Nothing of it may be an object: those are not taken under the lock. */
static gboolean
take_report (MpPoolWorker *self,
             MpFrame      *frame)
{
  g_autoptr(GVariant) value = NULL;
  MpProgressLead lead;

  if (frame->size < sizeof lead || frame->n_fds > 0)
    return FALSE;
  memcpy (&lead, frame->data, sizeof lead);
  if (frame->size > sizeof lead)
    value = mp_frame_get_value (frame, sizeof lead, NULL, NULL);
  if (frame->size > sizeof lead && value == NULL)
    return FALSE;
  return mp_pool_worker_report (self, &lead, value);
}

static void
frame_cb (MpChild  *child,
          MpFrame  *frame,
          gpointer  data)
{
  MpPoolWorker *self = data;
  MpResultLead lead = { 0, 0, 0 };

  if (self->cut_off != NULL)
    return;
  if (frame->kind == MP_FRAME_RESULT && frame->size >= sizeof lead)
    memcpy (&lead, frame->data, sizeof lead);
  if (frame->kind == MP_FRAME_PROGRESS && take_report (self, frame))
    return;
  if (!mp_pool_worker_expects (self, &lead))
    {
      mp_pool_worker_cut_off (self, g_error_new (MP_ERROR, MP_ERROR_PROTOCOL,
                                                 "pool: worker %u (pid %d) answered what it was not asked", self->number,
                                                 self->pid));
      return;
    }
  if (self->initializing)
    {
      MpAnswer answer = { NULL };

      decode_answer (frame, &lead, &answer);
      mp_pool_worker_initialized (self, &answer);
    }
  else
    {
      MpUnit unit = mp_pool_worker_pop_answered (self, &lead);

      if (unit.job != NULL)
        settle_unit (self, &unit, &lead, frame);
      mp_pool_worker_answers_through (self);
    }
}

/* The process. */

static void
started_cb (MpChild  *child,
            gpointer  data)
{
  mp_pool_worker_started (data, mp_child_get_pid (child));
}

static void
ready_cb (MpChild  *child,
          gpointer  data)
{
  mp_fd_close (&process_of (data)->board_fd);
  mp_pool_worker_ready (data);
}

static void
ended_cb (MpChild      *child,
          const GError *error,
          gpointer      data)
{
  mp_pool_worker_ended (data, error);
}

static void
line_cb (MpChild    *child,
         const char *stream,
         const char *line,
         gpointer    data)
{
}

static void
drained_cb (MpChild  *child,
            gpointer  data)
{
  mp_pool_pace_drained (data);
}

static const MpChildFuncs child_funcs = { started_cb, ready_cb, frame_cb, line_cb, ended_cb, drained_cb };

static gboolean
make_board (MpProcessWorker  *self,
            GError          **error)
{
  self->board_fd = mp_fd_memory_file ("mp-board", sizeof (MpBoard));
  if (self->board_fd >= 0)
    self->worker.board = mp_fd_map_memory_file (self->board_fd, sizeof (MpBoard));
  if (self->worker.board == NULL)
    {
      int saved = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "pool: memory shared with a worker: %s",
                   g_strerror (saved));
      return FALSE;
    }
  return TRUE;
}

static MpPoolWorker *
process_start (MpPoolCore  *core,
               guint        number,
               GError     **error)
{
  MpProcessWorker *self = g_new0 (MpProcessWorker, 1);
  g_autofree char *name = NULL;
  MpChildConfig config = { MP_ROLE_POOL_WORKER };

  mp_pool_worker_init (&self->worker, &mp_pool_process_ops, core, number);
  self->defined = g_byte_array_new ();
  self->board_fd = -1;

  name = g_strdup_printf ("Worker-%u", self->worker.serial);
  config.name = name;
  config.daemon = TRUE;
  config.own_group = TRUE;
  config.number = number;
  config.cpu_budget = mp_pool_size_cpu_budget (core);
  config.context = core->context;
  config.owner = core;
  if (make_board (self, error))
    {
      config.board = self->board_fd;
      config.ring_size = MP_POOL_RING_SIZE;
      self->child = mp_child_start (core->mp_context, &config, &child_funcs, self, error);
    }
  if (self->child == NULL)
    {
      mp_pool_worker_free (&self->worker);
      return NULL;
    }

  return &self->worker;
}

const MpPoolWorkerOps mp_pool_process_ops =
{
  .start = process_start,
  .send = process_send,
  .flush = process_flush,
  .look = process_look,
  .tell_end = process_tell_end,
  .end = process_end,
  .drop_unsent = process_drop_unsent,
  .forget = process_forget,
  .free = process_free,
  .get_exit_status = process_get_exit_status,
  .describe_end = process_describe_end,
  .dup_details = process_dup_details,
};
