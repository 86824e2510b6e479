/* mp-wire-lane.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wire-parts-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-spin-private.h"

#include <errno.h>
#include <string.h>

/* A system call for each short message is what a socket cannot do without, and most of its cost. So an end that has
 * sent some puts the next ones into a ring of memory that it shares with the other end.
 *
 * It makes the ring, holds the writer's end of it, and sends its descriptor. Who receives may take the reader's end;
 * that the writer sees in the memory itself, so that no answer needs to be read. It then says in the socket that it
 * goes on in the ring; and in the ring, that it goes on in the socket: for a frame that is long or brings descriptors,
 * or when there is no room. All it sends has one order by that. It goes back when there is room again.
 *
 * What a frame in the socket does while its writer is in the ring is that of another process that has the same end: it
 * is taken as it comes. Only one process holds an end of the ring (mp_ring_take_end()): others, a forked copy of the
 * writer among them, use the socket, and nothing else; where they can know of each other, all do (mp-wire-writers.c).
 * Each of several writers may offer a ring, so the word that one goes on there names it. Who wants to read, and finds
 * that another process holds the reader's end, has the writer go back to the socket. */

#define RING_SIZE     (256 * 1024)
#define MAX_RING_SIZE (1024 * 1024)        /* that is taken from the other end */
#define MAX_RUN       (16 * 1024)          /* bytes of frames that go together */
#define MARK_ROOM     (2 * sizeof (MpFrameHeader))   /* the mark that leads back to the socket, as a record */
#ifdef MP_TORTURE                          /* whose ends do not live long: */
# define MIN_SHORT    4u
#else
# define MIN_SHORT    64u                  /* frames by the socket before a ring is offered … */
#endif
#define MAX_WAITING   8192                 /* more than that while it is not taken: the socket does not hold so many */
#define MAX_OFFERS    4                    /* … which costs memory, and is not done again and again */
#define MAX_LANES     128                  /* in this process, because each takes descriptors */
#define MAX_FRAMES    64                   /* from the ring, before the socket is looked at */
#define MAX_RUNS      64                   /* to a reader of whom it is not known that it lives */
#define MIN_PATIENCE  16                   /* looks for room, a pause between two of them */
#define MAX_PATIENCE  1024

static int n_lanes;   /* atomic */

static gboolean
may_have_another (void)
{
  return g_atomic_int_get (&n_lanes) < MAX_LANES;
}

static MpRing *
count_ring (MpRing *ring)
{
  if (ring != NULL)
    g_atomic_int_inc (&n_lanes);
  return ring;
}

static void
ring_free (MpRing *ring)
{
  g_atomic_int_add (&n_lanes, -1);
  mp_ring_free (ring);
}

void
mp_wire_set_up_lanes (MpWire   *self,
                      gboolean  is_allowed)
{
  g_return_if_fail (!self->in.is_stream && self->ring_in.records.ring == NULL);

  self->lane_in.is_known = TRUE;
  self->lane_in.is_allowed = self->lane_out.is_allowed = is_allowed;
  self->lane_out.at_start = TRUE;
}

/* Output. */

static void
end_lane (MpWireLaneOut *lane)
{
  g_clear_pointer (&lane->ring, ring_free);
  lane->in_use = FALSE;
  lane->n_short = 0;
}

static void
offer_ring (MpWire *self)
{
  MpWireLaneOut *lane = &self->lane_out;

  if (lane->n_short < MIN_SHORT << lane->n_offers || lane->n_offers == MAX_OFFERS || !may_have_another ())
    return;

  lane->n_offers++;
  lane->n_short = 0;
  lane->patience = MAX_PATIENCE;
  lane->ring = count_ring (mp_ring_new (RING_SIZE, NULL));
  if (lane->ring == NULL)
    return;
  if (mp_ring_take_end (lane->ring, MP_RING_WRITER, NULL) &&
      mp_wire_send_word (self, MP_WIRE_LANE_OFFER, 0, mp_ring_get_fd (lane->ring)))
    mp_ring_close_fd (lane->ring);
  else
    end_lane (lane);
  MP_TORTURE_POINT ("wire-lane-offered");
}

/* What is queued begins with a whole frame, and all before it has left. */
static void
enter_lane (MpWire *self)
{
  MpWireLaneOut *lane = &self->lane_out;

  if (lane->ring == NULL)
    offer_ring (self);
  else if (!mp_ring_has_end (lane->ring) || mp_ring_peer_has_left (lane->ring))
    end_lane (lane);
  else if (mp_ring_peer_has_come (lane->ring) && mp_ring_has_room (lane->ring, mp_ring_get_size (lane->ring) / 2))
    {
      if (!mp_ring_peer_is_alive (lane->ring))
        end_lane (lane);
      else
        lane->in_use = mp_wire_send_word (self, MP_WIRE_LANE_GO, mp_ring_get_id (lane->ring), -1);
      lane->n_runs = 0;
      MP_TORTURE_POINT ("wire-lane-entered");
    }
  else if (!mp_ring_peer_has_come (lane->ring) && lane->n_short > MAX_WAITING)
    end_lane (lane);   /* it was not wanted */
}

/* There is always room for the mark. */
static void
leave_lane (MpWire *self)
{
  MpWireLaneOut *lane = &self->lane_out;
  MpFrameHeader mark = { 0, 0, MP_WIRE_LANE_END, 0 };

  MP_TORTURE_POINT ("wire-lane-leaving");
  if (mp_ring_has_end (lane->ring))
    mp_ring_try_write (lane->ring, &mark, sizeof mark, NULL);
  lane->in_use = FALSE;
  MP_TORTURE_POINT ("wire-lane-left");
}

/* The one who reads is often just about to make some. */
static gboolean
wait_for_room (MpWireLaneOut *lane,
               gsize          needed)
{
  gsize enough = MAX (needed, mp_ring_get_size (lane->ring) / 8);
  guint i;

  for (i = 0; i < lane->patience; i++)
    {
      if (mp_ring_has_room (lane->ring, enough))
        {
          lane->patience = MIN (2 * lane->patience, MAX_PATIENCE);
          return TRUE;
        }
      mp_spin_pause ();
    }
  lane->patience = MAX (lane->patience / 2, MIN_PATIENCE);
  return FALSE;
}

/* One that was killed while it was awake shows by nothing else; the socket knows whether another process goes on with
 * its end. */
static gboolean
has_reader (MpWireLaneOut *lane)
{
  if (++lane->n_runs < MAX_RUNS)
    return TRUE;

  lane->n_runs = 0;
  return mp_ring_peer_is_alive (lane->ring);
}

/* FALSE: from here on it goes by the socket. */
static gboolean
write_run (MpWire *self)
{
  MpWireLaneOut *lane = &self->lane_out;
  MpWireOutput *out = &self->out;
  gsize run = mp_wire_measure_run (out, MAX_RUN);
  gsize needed = run + 2 * sizeof (guint64) + MARK_ROOM;

  if (run == 0 || mp_ring_peer_has_left (lane->ring) || !has_reader (lane) ||
      (!mp_ring_has_room (lane->ring, needed) && !wait_for_room (lane, needed)) ||
      !mp_ring_try_write (lane->ring, out->buffer + out->start, run, NULL))
    return FALSE;

  MP_TORTURE_POINT ("wire-lane-written");
  mp_wire_output_consume (out, run);
  return TRUE;
}

/* @before: the ring's position before what was written now. Who has read some of that, and then went, need not be woken;
 * it has arrived. */
static gboolean
ring_bell (MpWire   *self,
           guint64   before,
           GError  **error)
{
  MpWireLaneOut *lane = &self->lane_out;
  g_autoptr(GError) local_error = NULL;

  if (!mp_ring_peer_sleeps (lane->ring))
    return TRUE;

  MP_TORTURE_POINT ("wire-lane-bell-due");
  if (mp_wire_send_bell (self, &local_error))
    return TRUE;
  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE) && mp_ring_peer_has_passed (lane->ring, before))
    {
      end_lane (lane);   /* the next one learns of it by the socket */
      return TRUE;
    }

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

void
mp_wire_quit_lane (MpWire *self)
{
  MpWireLaneOut *lane = &self->lane_out;

  if (lane->in_use)
    leave_lane (self);
  end_lane (lane);
  lane->is_allowed = FALSE;
}

/* The other end does not wait by this ring any more, and may take that of another who has this end. */
void
mp_wire_lanes_clear (MpWire *self)
{
  mp_wire_quit_lane (self);
  g_clear_pointer (&self->lane_out.writers, mp_wire_writers_free);
  g_clear_pointer (&self->lane_in.records.ring, ring_free);
  g_clear_pointer (&self->lane_in.records.record, g_free);
}

gboolean
mp_wire_lane_flush (MpWire  *self,
                    GError **error)
{
  MpWireLaneOut *lane = &self->lane_out;
  guint64 sent = self->out.sent;
  guint64 before;
  gboolean ok, is_short;

  if (self->out.queued == self->out.sent)
    return TRUE;

  if (!lane->in_use && lane->at_start)
    enter_lane (self);
  if (lane->in_use && !mp_ring_has_end (lane->ring))
    end_lane (lane);   /* a forked copy: the ring is the other's */
  before = lane->in_use ? mp_ring_get_position (lane->ring) : 0;
  while (lane->in_use && self->out.queued > self->out.sent)
    if (!write_run (self))
      leave_lane (self);
  if (self->out.queued == self->out.sent)
    {
      ok = ring_bell (self, before, error);
      if (!ok)
        self->out.unheard = sent;
      return ok;
    }

  is_short = lane->at_start && mp_wire_measure_run (&self->out, MAX_RUN) > 0;
  ok = mp_wire_socket_flush (self, G_MAXUINT64, FALSE, error);
  lane->at_start = ok && self->out.queued == self->out.sent;
  if (lane->at_start && is_short)
    lane->n_short++;
  return ok;
}

/* Input. */

/* FALSE: another process reads there, or could but does not: who writes there is led back to the socket, where both get
 * what comes. What is in the ring is the other's. */
static gboolean
take_ring (MpRing  *ring,
           GError **error)
{
  g_autoptr(GError) local_error = NULL;

  if (mp_ring_take_end (ring, MP_RING_READER, &local_error))
    {
      mp_ring_sleeps_often (ring);
      return TRUE;
    }

  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_BUSY))
    mp_ring_dispute_end (ring, MP_RING_READER);
  else
    g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Without it what comes next is not known: @self is broken when it cannot be had. */
static gboolean
hold_ring (MpWire *self)
{
  MpWireLaneIn *lane = &self->lane_in;
  g_autoptr(GError) error = NULL;

  if (mp_ring_has_end (lane->records.ring))
    return TRUE;
  if (take_ring (lane->records.ring, &error))
    return TRUE;
  if (error != NULL && self->in.broken == NULL)
    self->in.broken = g_steal_pointer (&error);
  return FALSE;
}

static gboolean
has_record (MpWire *self)
{
  return hold_ring (self) ? mp_ring_has_record (self->lane_in.records.ring) : self->in.broken != NULL;
}

gboolean
mp_wire_has_lane (MpWire *self)
{
  return self->lane_in.in_use;
}

gboolean
mp_wire_look_at_lane (MpWire *self)
{
  MpWireLaneIn *lane = &self->lane_in;

  return lane->records.start < lane->records.end || (lane->in_use && has_record (self));
}

void
mp_wire_watch_lane (MpWire *self)
{
  if (self->lane_in.in_use)
    mp_wire_records_wake (&self->lane_in.records);
}

void
mp_wire_leave_socket (MpWire   *self,
                      gboolean  leave)
{
  self->lane_in.leaves_socket = leave;
}

gboolean
mp_wire_begin_doze (MpWire      *self,
                    MpFutexWait *wait)
{
  MpWireLaneIn *lane = &self->lane_in;

  if (!lane->in_use || lane->dozes || lane->records.start < lane->records.end || !hold_ring (self))
    return FALSE;

  mp_wire_records_wake (&lane->records);
  lane->dozes = mp_ring_going_to_doze (lane->records.ring, wait);
  MP_TORTURE_POINT ("doze-announced");
  return lane->dozes;
}

/* It may be another ring by now. */
void
mp_wire_end_doze (MpWire *self)
{
  MpWireRecords *records = &self->lane_in.records;

  self->lane_in.dozes = FALSE;
  MP_TORTURE_POINT ("doze-ended");
  if (records->ring != NULL && !records->asleep)
    mp_ring_awake (records->ring);
}

gboolean
mp_wire_take_shared (MpWire *self)
{
  gboolean result = self->lane_in.is_shared;

  self->lane_in.is_shared = FALSE;
  return result;
}

void
mp_wire_rouse (MpWire *self)
{
  MpWireRecords *records = &self->lane_in.records;

  if (!self->lane_in.dozes || records->ring == NULL)
    return;
  if (!records->asleep)
    mp_ring_awake (records->ring);
  MP_TORTURE_POINT ("doze-disturbed");
  mp_ring_rouse (records->ring);
}

/* FALSE: there is something. Else whoever writes there will ring; a thread that sleeps by the ring's word would not hear
 * it, and is to look for itself. */
static gboolean
fall_asleep (MpWire *self)
{
  MpWireLaneIn *lane = &self->lane_in;
  gboolean asleep;

  if (!hold_ring (self))
    return self->in.broken == NULL;
  asleep = mp_wire_records_fall_asleep (&lane->records);
  MP_TORTURE_POINT ("wire-lane-asleep");
  if (lane->dozes)
    mp_ring_rouse (lane->records.ring);
  return asleep;
}

gboolean
mp_wire_lane_has_news (MpWire *self)
{
  MpWireLaneIn *lane = &self->lane_in;

  return lane->in_use && (lane->records.start < lane->records.end || !fall_asleep (self));
}

static void
set_ring (MpWire *self,
          MpRing *ring)
{
  MpWireLaneIn *lane = &self->lane_in;

  g_clear_pointer (&lane->records.ring, ring_free);
  lane->records.ring = count_ring (ring);
  if (lane->records.record == NULL)
    lane->records.record = g_malloc (MAX_RUN);
  lane->records.size = MAX_RUN;
}

/* It may still come to be used, or has been: then the word of that is in the socket. */
static gboolean
is_in_hand (MpRing *ring)
{
  return mp_ring_has_end (ring) &&
         ((!mp_ring_peer_has_left (ring) && mp_ring_peer_is_alive (ring)) || mp_ring_has_record (ring));
}

/* Who offers a ring while there is another one is another process with the same end: it does without. */
static gboolean
take_offer (MpWire  *self,
            MpFrame *frame)
{
  MpWireLaneIn *lane = &self->lane_in;
  g_autoptr(GError) error = NULL;
  gboolean lost = frame->fds_lost, one = frame->n_fds == 1;
  int fd = one ? g_steal_fd (&frame->fds[0]) : -1;
  MpRing *ring;

  mp_frame_clear (frame);
  if (lost)
    return TRUE;
  if (!one)
    return mp_wire_set_broken (&self->in, MP_ERROR_PROTOCOL, "an offer of nothing");
  if (!lane->is_allowed || lane->in_use || !may_have_another () ||
      (lane->records.ring != NULL && is_in_hand (lane->records.ring)))
    {
      mp_fd_close (&fd);
      return TRUE;
    }

  ring = mp_ring_adopt (fd, &error);
  if (ring != NULL && mp_ring_get_size (ring) <= MAX_RING_SIZE && mp_ring_take_end (ring, MP_RING_READER, &error))
    {
      mp_ring_sleeps_often (ring);
      set_ring (self, ring);
      MP_TORTURE_POINT ("wire-lane-taken");
      return TRUE;
    }

  g_clear_pointer (&ring, mp_ring_free);
  return error == NULL || !g_error_matches (error, MP_ERROR, MP_ERROR_PROTOCOL) ||
         mp_wire_set_broken (&self->in, MP_ERROR_PROTOCOL, error->message);
}

static void
go_on_in_ring (MpWire *self)
{
  if (self->lane_in.in_use)
    mp_wire_set_broken (&self->in, MP_ERROR_PROTOCOL, "it is in its ring");
  else
    self->lane_in.in_use = TRUE;
}

/* What the wires say to each other in the socket. FALSE: that is none of it. */
static gboolean
obey (MpWire  *self,
      MpFrame *frame)
{
  MpWireLaneIn *lane = &self->lane_in;

  switch (frame->kind)
    {
    case MP_WIRE_BELL:
      mp_frame_clear (frame);
      return TRUE;
    case MP_WIRE_LANE_OFFER:
      take_offer (self, frame);
      return TRUE;
    case MP_WIRE_LANE_GO:
      mp_frame_clear (frame);
      if (lane->records.ring == NULL)
        mp_wire_set_broken (&self->in, MP_ERROR_PROTOCOL, "there is no ring");
      /* Else one that has gone before it put anything there, and another's ring has come instead. */
      else if (frame->tag == mp_ring_get_id (lane->records.ring))
        go_on_in_ring (self);
      return TRUE;
    default:
      return FALSE;
    }
}

/* Others that have the same end as the writer must be heard although the ring is never empty. What has come by the
 * socket may also be the writer's own, who has left the ring meanwhile: then the word of that stands there before its
 * end as it is now. */
static gboolean
is_turn_of_socket (MpWire *self)
{
  MpWireLaneIn *lane = &self->lane_in;

  if (lane->records.start < lane->records.end)
    return FALSE;
  if (!lane->is_due && lane->n_taken >= MAX_FRAMES)
    {
      lane->n_taken = 0;
      mp_wire_socket_fill (self, FALSE, NULL);   /* the end of the stream will be told of again */
      lane->is_due = mp_wire_has_frame (self);
      if (lane->is_due)
        lane->due = mp_ring_get_written (lane->records.ring);
    }
  if (!lane->is_due || mp_ring_get_position (lane->records.ring) < lane->due)
    return FALSE;

  lane->is_due = FALSE;
  return TRUE;
}

gboolean
mp_wire_lane_next (MpWire   *self,
                   MpFrame  *frame,
                   GError  **error)
{
  MpWireLaneIn *lane = &self->lane_in;

  while (self->in.broken == NULL)
    {
      if (lane->in_use && !is_turn_of_socket (self) &&
          (lane->records.start < lane->records.end ||
           (hold_ring (self) && mp_wire_records_read (&lane->records, &self->in))))
        {
          if (!mp_wire_records_take (&lane->records, &self->in, frame))
            break;
          lane->n_taken++;
          if (G_LIKELY (frame->kind != MP_WIRE_LANE_END))
            return TRUE;
          mp_wire_records_wake (&lane->records);
          lane->in_use = lane->is_due = FALSE;
          if (lane->records.start < lane->records.end)
            mp_wire_set_broken (&self->in, MP_ERROR_PROTOCOL, "it goes on behind its end");
        }
      else
        {
          if (!mp_wire_socket_next (self, frame, error))
            return FALSE;
          if (!obey (self, frame))
            {
              lane->is_shared |= lane->in_use;
              return TRUE;
            }
        }
    }

  mp_wire_report_broken (&self->in, error);
  memset (frame, 0, sizeof *frame);
  return FALSE;
}

/* When nothing is there this end sleeps, as the other sees it, when this returns 0. */
gssize
mp_wire_lane_fill (MpWire  *self,
                   GError **error)
{
  MpWireLaneIn *lane = &self->lane_in;
  g_autoptr(GError) local_error = NULL;
  gssize n;

  if (self->in.broken != NULL)
    return mp_wire_report_broken (&self->in, error);
  if (!lane->in_use)
    return mp_wire_socket_fill (self, FALSE, error);

  mp_wire_records_wake (&lane->records);
  if (mp_wire_look_at_lane (self))
    return 1;
  if (lane->leaves_socket)
    return 0;
  MP_TORTURE_POINT ("wire-lane-looked");
  n = mp_wire_socket_fill (self, FALSE, &local_error);

  /* What the other end has put into the ring it has put there before it went. */
  if (mp_wire_look_at_lane (self))
    return 1;
  if (n < 0)
    g_propagate_error (error, g_steal_pointer (&local_error));
  if (n != 0)
    return n;
  return fall_asleep (self) ? 0 : 1;
}

/* Another process. */

gboolean
mp_wire_leave_lanes (MpWire   *self,
                     int      *fd,
                     gboolean *in_use,
                     GError  **error)
{
  MpWireLaneIn *lane = &self->lane_in;
  MpRing *ring;
  int own;

  mp_wire_quit_lane (self);

  *fd = -1;
  *in_use = lane->in_use;
  if (lane->records.ring == NULL)
    return TRUE;

  mp_wire_records_wake (&lane->records);
  own = mp_fd_dup (mp_ring_get_fd (lane->records.ring));
  *fd = own >= 0 ? mp_fd_dup (own) : -1;
  if (*fd < 0)
    {
      int saved_errno = errno;

      mp_fd_close (&own);
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot send a connection: %s",
                   g_strerror (saved_errno));
      return FALSE;
    }
  ring = mp_ring_adopt (own, error);
  if (ring == NULL)
    {
      mp_fd_close (fd);
      return FALSE;
    }

  /* Its end is free then; should nobody take it, this process does so again. */
  ring_free (lane->records.ring);
  MP_TORTURE_POINT ("lane-let-go");
  lane->records.ring = count_ring (ring);
  return TRUE;
}

int
mp_wire_share_writers (MpWire  *self,
                       GError **error)
{
  MpWireLaneOut *lane = &self->lane_out;

  if (lane->writers == NULL)
    lane->writers = mp_wire_writers_new (error);
  if (lane->writers == NULL)
    return -1;

  mp_wire_writers_release (lane->writers);
  return mp_wire_writers_get_fd (lane->writers);
}

gboolean
mp_wire_take_writers (MpWire  *self,
                      int      fd,
                      GError **error)
{
  self->lane_out.writers = mp_wire_writers_adopt (fd, error);
  return self->lane_out.writers != NULL;
}

void
mp_wire_begin_copy (MpWire *self)
{
  if (self->lane_out.writers != NULL)
    mp_wire_writers_rename (self->lane_out.writers);
  self->lane_in.dozes = FALSE;   /* that was another thread */
}

gboolean
mp_wire_take_lane (MpWire    *self,
                   int        fd,
                   gboolean   in_use,
                   GError   **error)
{
  MpRing *ring = mp_ring_adopt (fd, error);
  g_autoptr(GError) local_error = NULL;

  if (ring == NULL)
    return FALSE;
  if (mp_ring_get_size (ring) > MAX_RING_SIZE)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a connection that is none");
      mp_ring_free (ring);
      return FALSE;
    }

  /* Now, because there may be no descriptor for that when it is needed. */
  if (!take_ring (ring, &local_error) && local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      mp_ring_free (ring);
      return FALSE;
    }

  set_ring (self, ring);
  self->lane_in.in_use = in_use;
  MP_TORTURE_POINT ("lane-taken-over");
  return TRUE;
}
