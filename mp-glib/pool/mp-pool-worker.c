/* mp-pool-worker.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

#include <errno.h>
#include <string.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/process/mp-init.h"
#include "mp-glib/process/mp-process.h"
#include "mp-glib/process/mp-serve-private.h"

/* One worker as its owner sees it: what it was sent and has not answered, and what follows from its answers and from
 * its end. All with the hub's lock held. */

#define RING(index) ((index) % MP_POOL_WINDOW)

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

static guint64
board_started (MpPoolWorker *self)
{
  return __atomic_load_n (&self->board->state, __ATOMIC_ACQUIRE) >> 1;
}

/* What is in flight. */

static MpUnit *
flight_first (MpPoolWorker *self)
{
  return &self->flight[self->first];
}

static MpUnit
flight_pop (MpPoolWorker *self)
{
  MpUnit unit = self->flight[self->first];

  self->first = RING (self->first + 1);
  self->n_flight--;
  self->first_seq++;
  self->flight_bytes -= unit.size;

  return unit;
}

gboolean
mp_pool_worker_has_room (MpPoolWorker *self,
                         guint64       size)
{
  if (self->state != MP_WORKER_READY || self->n_revoked > 0 || self->n_left == 0 || self->n_flight == MP_POOL_WINDOW)
    return FALSE;

  return self->n_flight == 0 || self->flight_bytes + size <= MP_POOL_WINDOW_BYTES ||
         (self->n_flight == 1 && self->flight_bytes + size <= MP_POOL_AHEAD_BYTES);
}

gboolean
mp_pool_worker_is_idle (MpPoolWorker *self)
{
  return self->state == MP_WORKER_READY && self->n_flight == 0 && self->n_left > 0;
}

void
mp_pool_worker_flush (MpPoolWorker *self)
{
  self->dirty = FALSE;
  if (self->n_flight == 1 && flight_first (self)->job != NULL)
    mp_pool_busy_prepare (self, flight_first (self)->job);
  mp_child_flush (self->child);
}

static void
define_function (MpPoolWorker *self,
                 guint32       function)
{
  const char *name = g_ptr_array_index (self->core->function_names, function);
  guint old = self->defined->len;
  MpPiece piece = { name, strlen (name), NULL };

  if (function < old && self->defined->data[function])
    return;

  if (function >= old)
    {
      g_byte_array_set_size (self->defined, self->core->function_names->len);
      memset (self->defined->data + old, 0, self->defined->len - old);
    }
  self->defined->data[function] = 1;
  mp_wire_queue (mp_child_get_wire (self->child), MP_FRAME_DEFINE, function, &piece, 1, NULL, 0);
}

/* Arguments that hold objects were encoded when they came; their descriptors are wanted again if this worker dies. */
gboolean
mp_pool_queue_encoded (MpWire            *wire,
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
  mp_wire_queue (wire, MP_FRAME_TASK, 0, pieces, encoded->n_pieces + 1, (const int *) fds->data, fds->len);

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
    return mp_map_queue_chunk (job->map, unit->chunk, wire, lead, error);
  if (job->encoded != NULL)
    return mp_pool_queue_encoded (wire, lead, job->encoded, error);
  if (mp_plain_queue (wire, MP_FRAME_TASK, lead, sizeof *lead, job->value))
    return TRUE;

  if (!mp_value_encode (job->value, &encoded, error))
    return FALSE;
  mp_wire_queue_value (wire, MP_FRAME_TASK, 0, lead, sizeof *lead, &encoded);
  mp_encoded_clear (&encoded);

  return TRUE;
}

static gboolean
send_unit (MpPoolWorker  *self,
           const MpUnit  *unit,
           guint32        flags,
           GError       **error)
{
  MpTaskLead lead = { self->first_seq + self->n_flight, unit->job->function, flags };

  define_function (self, lead.function);
  if (!queue_task (mp_child_get_wire (self->child), unit, &lead, error))
    return FALSE;

  self->flight[RING (self->first + self->n_flight)] = *unit;
  self->flight[RING (self->first + self->n_flight)].sent_us = g_get_monotonic_time ();
  self->n_flight++;
  self->flight_bytes += unit->size;
  self->dirty = TRUE;

  return TRUE;
}

void
mp_pool_worker_send (MpPoolWorker *self,
                     const MpUnit *unit)
{
  MpAnswer answer = { NULL };
  guint32 flags = 0;

  if (unit->job->map != NULL)
    flags = MP_TASK_CHUNK | (unit->job->imap != NULL ? MP_TASK_PER_ITEM : 0);

  if (!send_unit (self, unit, flags, &answer.error))
    mp_pool_core_unit_ended (self->core, unit, &answer);
  else if (self->n_left != G_MAXUINT)
    self->n_left--;
}

void
mp_pool_worker_take_back (MpPoolWorker *self)
{
  guint64 started = __atomic_fetch_or (&self->board->state, MP_BOARD_STOP, __ATOMIC_ACQ_REL) >> 1;

  /* From the last to the first, so that they stand at the front of the queue in their order. */
  for (guint i = self->n_flight; i > 0; i--)
    {
      MpUnit *unit = &self->flight[RING (self->first + i - 1)];

      if (self->first_seq + i - 1 <= started)
        break;
      mp_pool_core_give_back (self->core, unit);
      unit->job = NULL;
      self->n_revoked++;
      if (self->n_left != G_MAXUINT)
        self->n_left++;
    }
  if (self->n_revoked == 0)
    __atomic_and_fetch (&self->board->state, ~MP_BOARD_STOP, __ATOMIC_ACQ_REL);
}

/* Ends. */

void
mp_pool_worker_tell_end (MpPoolWorker *self,
                         const char   *reason)
{
  gboolean booting = self->state == MP_WORKER_STARTING;

  if (self->state == MP_WORKER_ENDING)
    return;

  self->state = MP_WORKER_ENDING;
  self->reason = reason;
  if (booting)
    {
      mp_child_end (self->child, 0);
      return;
    }
  mp_wire_queue (mp_child_get_wire (self->child), MP_FRAME_END, 0, NULL, 0, NULL, 0);
  mp_pool_worker_flush (self);
}

/* It broke the rules: nothing that it says is heard any more. */
static void
cut_off (MpPoolWorker *self,
         GError       *error)
{
  if (self->cut_off != NULL)
    {
      g_error_free (error);
      return;
    }
  self->cut_off = error;
  self->state = MP_WORKER_ENDING;
  self->reason = "protocol error";
  mp_child_end (self->child, 0);
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
  if (!good && self->number < self->core->n_workers)
    {
      MpPoolWorker *worker = self->core->workers[self->number];

      if (worker != NULL && worker->serial == self->serial)
        cut_off (worker, g_error_copy (answer.error));
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
    cut_off (self, g_error_copy (answer.error));
  mp_pool_core_unit_ended (self->core, unit, &answer);
}

static void
get_to_work (MpPoolWorker *self)
{
  self->state = MP_WORKER_READY;
  self->ready_time = g_get_monotonic_time ();
  self->core->ever_ready = TRUE;
  self->core->n_hard = 0;
  mp_pool_core_dispatch (self->core);
  mp_pool_core_refill (self->core, self);
}

/* The answer to the initializer. */
static void
initializer_answered (MpPoolWorker       *self,
                      const MpResultLead *lead,
                      MpFrame            *frame)
{
  MpAnswer answer = { NULL };
  MpUnit unit = flight_pop (self);

  mp_job_unit_gone (unit.job);
  decode_answer (frame, lead, &answer);
  if (answer.error != NULL)
    {
      g_prefix_error (&answer.error, "pool: the initializer “%s” failed in worker %u: ",
                      mp_pool_core_name_of (self->core, unit.job->function), self->number);
      self->start_error = g_steal_pointer (&answer.error);
      self->start_details = g_steal_pointer (&answer.details);
      mp_pool_worker_tell_end (self, "initializer failed");
    }
  else
    {
      get_to_work (self);
    }
  mp_pool_drop_variant (g_steal_pointer (&answer.value));
  mp_answer_clear (&answer);
}

static void
count_answer (MpPoolWorker *self)
{
  MpPoolCore *core = self->core;

  self->n_answered++;
  core->n_hard = core->n_soft = core->n_tried = 0;
  if (self->n_left == 0 && self->n_flight == 0 && self->state == MP_WORKER_READY)
    mp_pool_worker_tell_end (self, "recycled");
}

static void
not_run (MpPoolWorker *self)
{
  flight_pop (self);
  if (--self->n_revoked == 0)
    __atomic_and_fetch (&self->board->state, ~MP_BOARD_STOP, __ATOMIC_ACQ_REL);
}

static gboolean
check_lead (MpPoolWorker *self,
            MpFrame      *frame,
            MpResultLead *lead)
{
  MpUnit *unit = flight_first (self);

  if (frame->kind != MP_FRAME_RESULT || frame->size < sizeof *lead)
    return FALSE;
  memcpy (lead, frame->data, sizeof *lead);
  if (self->n_flight == 0 || lead->seq != self->first_seq || lead->status > MP_RESULT_NOT_RUN)
    return FALSE;
  if (unit->job == NULL || lead->status == MP_RESULT_NOT_RUN)
    return unit->job == NULL && lead->status == MP_RESULT_NOT_RUN;
  return lead->status != MP_RESULT_PER_ITEM || unit->job->imap != NULL;
}

static void
frame_cb (MpChild  *child,
          MpFrame  *frame,
          gpointer  data)
{
  MpPoolWorker *self = data;
  MpResultLead lead;
  MpUnit unit;

  if (self->cut_off != NULL)
    return;
  if (!check_lead (self, frame, &lead))
    {
      cut_off (self, g_error_new (MP_ERROR, MP_ERROR_PROTOCOL, "pool: worker %u (pid %d) answered what it was not asked",
                                  self->number, self->pid));
      return;
    }
  if (self->initializing)
    {
      self->initializing = FALSE;
      initializer_answered (self, &lead, frame);
      return;
    }
  if (lead.status == MP_RESULT_NOT_RUN)
    {
      not_run (self);
    }
  else
    {
      unit = flight_pop (self);
      count_answer (self);
      settle_unit (self, &unit, &lead, frame);
    }
  if (self->state == MP_WORKER_READY)
    mp_pool_core_refill (self->core, self);
}

/* The process. */

static void
started_cb (MpChild  *child,
            gpointer  data)
{
  MpPoolWorker *self = data;

  self->pid = mp_child_get_pid (child);
  mp_pool_post_started (self->core, self->number, self->pid);
}

static void
ready_cb (MpChild  *child,
          gpointer  data)
{
  MpPoolWorker *self = data;
  MpPoolCore *core = self->core;

  mp_fd_close (&self->board_fd);
  if (self->state != MP_WORKER_STARTING)
    return;

  if (core->init != NULL)
    {
      MpUnit unit = { core->init, 0, core->init->size, 0 };

      self->state = MP_WORKER_INITIALIZING;
      self->initializing = TRUE;
      if (send_unit (self, &unit, MP_TASK_INITIALIZER, &self->start_error))
        {
          core->init->n_out++;
          mp_pool_worker_flush (self);
        }
      else
        {
          self->initializing = FALSE;
          mp_pool_worker_tell_end (self, "initializer failed");
        }
      return;
    }
  get_to_work (self);
}

/* What the one unit that was running ends with. */
static void
fail_running (MpPoolWorker *self,
              const MpUnit *unit,
              GVariant     *details)
{
  MpAnswer answer = { NULL };
  const char *name = mp_pool_core_name_of (self->core, unit->job->function);

  if (self->cut_off != NULL)
    {
      answer.error = g_error_copy (self->cut_off);
    }
  else
    {
      g_autofree char *end = mp_child_describe_end (self->child);

      answer.error = g_error_new (MP_ERROR, MP_ERROR_WORKER_DIED, "function “%s”: worker %u (pid %d) %s while it ran it",
                                  name, self->number, self->pid, end);
    }
  if (details != NULL)
    {
      g_autoptr(GVariantDict) dict = g_variant_dict_new (details);

      g_variant_dict_insert (dict, "function", "s", name);
      answer.details = g_variant_ref_sink (g_variant_dict_end (dict));
      mp_error_attach_details (answer.error, answer.details);
    }
  mp_pool_core_unit_ended (self->core, unit, &answer);
}

/* All that it has answered is in: what is left in flight was not begun, but for the one that the board names. */
static void
settle_flight (MpPoolWorker *self,
               GVariant     *details)
{
  guint64 started = board_started (self);
  MpUnit running = { NULL };

  if (self->n_flight > 0 && started == self->first_seq && flight_first (self)->job != NULL)
    running = flight_pop (self);
  for (guint i = self->n_flight; i > 0; i--)
    {
      MpUnit *unit = &self->flight[RING (self->first + i - 1)];

      if (unit->job != NULL)
        mp_pool_core_give_back (self->core, unit);
    }
  self->n_flight = 0;
  if (running.job != NULL)
    {
      self->n_answered++;
      fail_running (self, &running, details);
    }
}

/* Its wire may have arguments that have not left; it must not be the last to let go of them. */
static void
drop_unsent (MpPoolWorker *self)
{
  if (self->child != NULL && mp_child_get_wire (self->child) != NULL)
    mp_wire_drop_output (mp_child_get_wire (self->child));
}

static void
ended_cb (MpChild      *child,
          const GError *error,
          gpointer      data)
{
  MpPoolWorker *self = data;
  MpPoolCore *core = self->core;
  g_autoptr(GVariant) details = mp_child_dup_details (child);

  /* The end of its unit may make room for another, which must not be sent here any more. */
  self->state = MP_WORKER_ENDING;
  drop_unsent (self);
  if (self->initializing)
    {
      MpUnit unit = flight_pop (self);
      g_autofree char *end = mp_child_describe_end (child);

      if (self->reason == NULL)
        self->start_error = g_error_new (MP_ERROR, MP_ERROR_WORKER_START,
                                         "pool: worker %u (pid %d) %s in the initializer “%s”", self->number, self->pid,
                                         end, mp_pool_core_name_of (core, unit.job->function));
      self->initializing = FALSE;
      mp_job_unit_gone (unit.job);
    }
  if (error != NULL && self->reason == NULL && self->ready_time > 0)
    {
      /* It was ready: then it was cut off below, because its bytes were no frames. */
      self->cut_off = g_error_copy (error);
      self->reason = "protocol error";
    }
  else if (error != NULL && self->start_error == NULL && self->reason == NULL)
    {
      self->start_error = g_error_copy (error);
    }
  settle_flight (self, details);
  if (self->pid != 0)
    mp_pool_post_exited (core, self->number, self->pid, mp_child_get_exit_status (child),
                         self->reason != NULL ? self->reason : self->start_error != NULL ? "did not start" : "died");
  mp_pool_core_worker_ended (core, self, self->start_error,
                             self->start_details != NULL ? self->start_details : details);
  mp_pool_worker_free (self);
}

static void
line_cb (MpChild    *child,
         const char *stream,
         const char *line,
         gpointer    data)
{
}

static const MpChildFuncs child_funcs = { started_cb, ready_cb, frame_cb, line_cb, ended_cb };

static gboolean
make_board (MpPoolWorker  *self,
            GError       **error)
{
  self->board_fd = mp_fd_memory_file ("mp-board", sizeof (MpBoard));
  if (self->board_fd >= 0)
    self->board = mp_fd_map_memory_file (self->board_fd, sizeof (MpBoard));
  if (self->board == NULL)
    {
      int saved = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "pool: memory shared with a worker: %s",
                   g_strerror (saved));
      return FALSE;
    }
  return TRUE;
}

MpPoolWorker *
mp_pool_worker_start (MpPoolCore  *core,
                      guint        number,
                      GError     **error)
{
  MpPoolWorker *self = g_new0 (MpPoolWorker, 1);
  g_autofree char *name = NULL;
  MpChildConfig config = { MP_ROLE_POOL_WORKER };

  self->core = core;
  self->number = number;
  self->serial = ++core->serial;
  self->first_seq = 1;
  self->n_left = core->tasks_per_worker > 0 ? core->tasks_per_worker : G_MAXUINT;
  self->defined = g_byte_array_new ();
  self->board_fd = -1;

  name = g_strdup_printf ("Worker-%u", self->serial);
  config.name = name;
  config.daemon = TRUE;
  config.own_group = TRUE;
  config.number = number;
  config.cpu_budget = MAX (1, mp_get_n_usable_cpus () / core->n_workers);
  config.context = core->context;
  config.owner = core;
  if (make_board (self, error))
    {
      config.board = self->board_fd;
      self->child = mp_child_start (core->mp_context, &config, &child_funcs, self, error);
    }
  if (self->child == NULL)
    g_clear_pointer (&self, mp_pool_worker_free);
  else
    mp_wire_set_slots (mp_child_get_wire (self->child), &self->board->to_owner, &self->board->to_worker);

  return self;
}

void
mp_pool_worker_free (MpPoolWorker *self)
{
  drop_unsent (self);
  for (guint i = 0; i < self->n_flight; i++)
    {
      MpUnit *unit = &self->flight[RING (self->first + i)];

      if (unit->job != NULL)
        mp_job_unit_gone (unit->job);
    }
  if (self->child != NULL)
    {
      mp_child_forget (self->child);
      mp_child_unref (self->child);
    }
  g_clear_error (&self->cut_off);
  g_clear_error (&self->start_error);
  g_clear_pointer (&self->start_details, g_variant_unref);
  g_byte_array_unref (self->defined);
  mp_fd_close (&self->board_fd);
  mp_fd_unmap (self->board, sizeof (MpBoard));
  g_free (self);
}
