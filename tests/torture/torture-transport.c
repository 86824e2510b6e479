/* torture-transport.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* The way of a pool's tasks: owners send numbered tasks to workers over wires with rings, and workers answer, as a pool
 * and its workers do. Each task comes to one end, over any number of deaths on both sides: its result, whole, or the
 * death of the worker that had begun it; what was not begun is given to the next, and nothing is begun twice. */

enum { BROKEN_NOTHING, BROKEN_NO_BELL, BROKEN_LATE_RESULT, BROKEN_TWICE };

#define N_LINES    (TORTURE_N_CHILDREN / 2)
#define RING_SIZE  8192
#define WINDOW     64
#define N_TASKS    (1u << 16)
#define MAX_LENGTH 20000
#define STOP       G_GUINT64_CONSTANT (1)
#define DAWDLE_MS  1000
#define KIND_TASK    1
#define KIND_RESULT  2
#define KIND_NOT_RUN 3

/* What is known of a task that is not long ago, as told by who does it. */
typedef struct
{
  guint64 number;
  guint32 n_begun;
  guint32 is_answered;   /* the worker has handed over its result */
} Task;

typedef struct
{
  guint64 n_given;
  guint64 n_sessions;
  guint64 n_results;
  guint64 n_died;
  guint64 n_again;
  guint64 n_taken_back;
  Task    tasks[N_TASKS];
} Line;

/* As MpBoard. */
typedef struct
{
  guint64 state;
} Board;

typedef struct
{
  guint64 seq;
  guint64 number;
  guint32 length;
  guint32 sum;
} Lead;

static Line *all_lines;
static int   meeting[N_LINES][2];   /* new sessions, from workers to owners */

/* A child's own. */
static Line    *line;
static guint    which;
static gboolean is_owner;
static MpWire  *wire;
static Board   *board;
static guint8   filling[MAX_LENGTH];

/* An owner's. */
static guint64  flight[WINDOW];
static guint    n_flight;
static guint    n_revoked;
static guint64  first_seq;
static GQueue   again = G_QUEUE_INIT;   /* numbers */

static Task *
task_of (guint64 number)
{
  return &line->tasks[number % N_TASKS];
}

static void
setup (void)
{
  all_lines = torture_alloc (N_LINES * sizeof (Line));
  for (guint i = 0; i < N_LINES; i++)
    if (mp_socket_pair (meeting[i], 0) < 0)
      g_error ("torture: no socket: %s", g_strerror (errno));
}

static void
begin (void)
{
  guint child = torture_get_child ();

  which = child / 2 % N_LINES;
  line = &all_lines[which];
  is_owner = child % 2 == 0;
}

static void
end_session (void)
{
  g_clear_pointer (&wire, mp_wire_free);
  mp_fd_unmap (board, sizeof (Board));
  board = NULL;
}

static void
fail (const char   *what,
      const GError *error)
{
  torture_violation ("%s: %s: %s", is_owner ? "owner" : "worker", what, error != NULL ? error->message : "?");
}

static MpRing *
take_ring (int       fd,
           MpRingEnd end)
{
  g_autoptr(GError) error = NULL;
  MpRing *ring = mp_ring_adopt (fd, &error);

  if (ring == NULL || !mp_ring_take_end (ring, end, &error))
    g_error ("torture: ring: %s", error->message);
  mp_ring_close_fd (ring);
  return ring;
}

static guint32
sum_up (const Lead *lead)
{
  guint32 sum = (guint32) lead->number * 2654435761u + lead->length;

  for (guint i = 0; i < lead->length; i++)
    sum = sum * 31 + filling[i];
  return sum;
}

/* Most are small; some must go by the socket. */
static void
fill_in (Lead *lead)
{
  guint chance = torture_random (100);

  lead->length = chance == 0 ? torture_random (MAX_LENGTH) : chance < 10 ? torture_random (1500) : torture_random (80);
  for (guint i = 0; i < lead->length; i++)
    filling[i] = (guint8) (lead->number * 17 + i * 7);
  lead->sum = sum_up (lead);
}

static void
queue (guint16     kind,
       const Lead *lead)
{
  guint8 *place;

  if (lead->length > 16000)
    {
      g_autoptr(GBytes) bytes = g_bytes_new (filling, lead->length);
      MpPiece pieces[2] = { { lead, sizeof *lead, NULL }, { g_bytes_get_data (bytes, NULL), lead->length, bytes } };

      mp_wire_queue (wire, kind, 0, pieces, 2, NULL, 0);
      return;
    }
  place = mp_wire_queue_short (wire, kind, 0, sizeof *lead + lead->length);
  memcpy (place, lead, sizeof *lead);
  memcpy (place + sizeof *lead, filling, lead->length);
}

static gboolean
read_lead (MpFrame *frame,
           Lead    *lead)
{
  gboolean is_whole = frame->size >= sizeof *lead;

  if (is_whole)
    {
      memcpy (lead, frame->data, sizeof *lead);
      is_whole = lead->length <= MAX_LENGTH && frame->size == sizeof *lead + lead->length;
    }
  if (is_whole)
    {
      memcpy (filling, frame->data + sizeof *lead, lead->length);
      is_whole = sum_up (lead) == lead->sum;
    }
  torture_check (is_whole, "a frame of kind %u and %" G_GSIZE_FORMAT " bytes is torn", frame->kind, frame->size);
  return is_whole;
}

/* For the bell, or the end: until then there is nothing to read. Not for ever, as the other end may have no successor yet;
 * but what is there when it is over must be told of, by one that may dawdle. */
static void
sleep_a_while (void)
{
  struct pollfd fd = { mp_wire_get_fd (wire), POLLIN, 0 };

  if (poll (&fd, 1, 100) != 0 || !mp_wire_look (wire))
    return;
  torture_check (poll (&fd, 1, DAWDLE_MS) != 0, "%s: nobody rings", is_owner ? "owner" : "worker");
}

/* The worker */

/* Makes all, and sends the owner's part to whoever is the owner. */
static void
offer_session (void)
{
  g_autoptr(GError) error = NULL;
  char byte = 0;
  struct iovec iov = { &byte, 1 };
  MpRing *rings[2];
  int pair[2], fds[4];

  if (mp_socket_pair (pair, 0) < 0)
    g_error ("torture: no socket: %s", g_strerror (errno));
  fds[0] = pair[1];
  fds[1] = mp_fd_memory_file ("board", sizeof (Board));
  board = mp_fd_map_memory_file (fds[1], sizeof (Board));
  for (guint i = 0; i < 2; i++)
    {
      MpRing *ring = mp_ring_new (RING_SIZE, &error);

      if (ring == NULL)
        g_error ("torture: %s", error->message);
      fds[2 + i] = mp_fd_dup (mp_ring_get_fd (ring));
      rings[i] = take_ring (mp_fd_dup (fds[2 + i]), i == 0 ? MP_RING_READER : MP_RING_WRITER);
      mp_ring_free (ring);
    }
  wire = mp_wire_new (pair[0], MAX_LENGTH * 2);
  mp_wire_take_rings (wire, rings[0], rings[1]);
  mp_wire_use_ring (wire);
  if (mp_socket_send (meeting[which][0], &iov, 1, fds, 4, FALSE) < 0)
    end_session ();
  for (guint i = 0; i < 4; i++)
    mp_fd_close (&fds[i]);
}

/* FALSE: it was taken back. */
static gboolean
begin_task (const Lead *lead)
{
  guint64 state = __atomic_load_n (&board->state, __ATOMIC_ACQUIRE);

  MP_TORTURE_POINT ("transport-task-read");
  do
    {
      if ((state & STOP) != 0)
        return FALSE;
    }
  while (!__atomic_compare_exchange_n (&board->state, &state, lead->seq << 1, FALSE, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE));
  MP_TORTURE_POINT ("transport-task-begun");
  return TRUE;
}

static void
flush_answer (void)
{
  g_autoptr(GError) error = NULL;
  gboolean ok = mp_wire_flush_quietly (wire, &error);

  /* The bell is for later, or nobody. */
  if (ok && torture_broken != BROKEN_NO_BELL)
    {
      MP_TORTURE_POINT ("transport-answered");
      ok = mp_wire_ring (wire, &error);
    }
  if (!ok)
    end_session ();
}

static void
do_task (const Lead *lead)
{
  static guint64 held;   /* the broken one answers too late */
  Task *task = task_of (lead->number);
  Lead answer = { lead->seq, lead->number };

  if (!begin_task (lead))
    {
      answer.sum = sum_up (&answer);
      queue (KIND_NOT_RUN, &answer);
      flush_answer ();
      return;
    }
  /* Its owner may be long dead, and the place be another task's. */
  if (__atomic_load_n (&task->number, __ATOMIC_SEQ_CST) == lead->number)
    {
      guint32 n_before = __atomic_fetch_add (&task->n_begun, 1, __ATOMIC_SEQ_CST);

      torture_check (n_before == 0, "task %" G_GUINT64_FORMAT " is begun again", lead->number);
    }
  MP_TORTURE_POINT ("transport-task-running");
  fill_in (&answer);
  queue (KIND_RESULT, &answer);
  if (torture_broken == BROKEN_LATE_RESULT && ++held % 3 != 0)
    return;
  flush_answer ();
  if (task->number == lead->number)
    __atomic_store_n (&task->is_answered, TRUE, __ATOMIC_SEQ_CST);
}

static void
work (void)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  Lead lead;
  gssize n = 0;

  if (wire == NULL)
    offer_session ();
  if (wire == NULL)
    {
      g_usleep (1000);
      return;
    }
  if (mp_wire_next (wire, &frame, &error))
    {
      if (read_lead (&frame, &lead))
        do_task (&lead);
      mp_frame_clear (&frame);
    }
  else if (error != NULL)
    {
      fail ("next", error);
      end_session ();
    }
  else if ((torture_broken == BROKEN_NO_BELL || mp_wire_ring (wire, NULL)) &&
           (n = mp_wire_fill (wire, FALSE, &error)) < 0)
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
        fail ("fill", error);
      end_session ();
    }
  else if (n == 0)
    {
      sleep_a_while ();
    }
}

/* The owner */

static void
accept_session (void)
{
  struct pollfd fd = { meeting[which][1], POLLIN, 0 };
  int fds[MP_SOCKET_MAX_FDS];
  gboolean truncated;
  guint n_fds = 0;
  char byte;

  if (poll (&fd, 1, 20) <= 0 ||
      mp_socket_recv (meeting[which][1], &byte, 1, fds, &n_fds, &truncated, FALSE) != 1)
    return;
  if (n_fds != 4)
    {
      torture_violation ("a session of %u descriptors", n_fds);
      return;
    }
  wire = mp_wire_new (fds[0], MAX_LENGTH * 2);
  board = mp_fd_map_memory_file (fds[1], sizeof (Board));
  mp_fd_close (&fds[1]);
  mp_wire_take_rings (wire, take_ring (fds[3], MP_RING_READER), take_ring (fds[2], MP_RING_WRITER));
  mp_wire_use_ring (wire);
  first_seq = 1;
  n_flight = n_revoked = 0;
  line->n_sessions++;
}

static guint64
next_number (void)
{
  guint64 number;
  Task *task;

  if (!g_queue_is_empty (&again))
    return GPOINTER_TO_SIZE (g_queue_pop_head (&again));
  number = __atomic_add_fetch (&line->n_given, 1, __ATOMIC_SEQ_CST);
  task = task_of (number);
  __atomic_store_n (&task->number, 0, __ATOMIC_SEQ_CST);
  task->n_begun = task->is_answered = 0;
  __atomic_store_n (&task->number, number, __ATOMIC_SEQ_CST);
  return number;
}

static void
give_tasks (void)
{
  guint n = torture_random (WINDOW);

  while (n-- > 0 && n_flight < WINDOW && n_revoked == 0)
    {
      Lead lead = { first_seq + n_flight, next_number () };

      fill_in (&lead);
      queue (KIND_TASK, &lead);
      flight[(first_seq + n_flight) % WINDOW] = lead.number;
      n_flight++;
    }
}

/* What it was sent and did not begin, as far as the board tells, is given to another. */
static void
give_again (guint64 seq)
{
  guint64 number = flight[seq % WINDOW];

  torture_check (__atomic_load_n (&task_of (number)->n_begun, __ATOMIC_SEQ_CST) == 0,
                 "task %" G_GUINT64_FORMAT " was begun, and is given again", number);
  g_queue_push_head (&again, GSIZE_TO_POINTER (number));
  flight[seq % WINDOW] = 0;
  line->n_again++;
}

static void
take_back (void)
{
  guint64 started = __atomic_fetch_or (&board->state, STOP, __ATOMIC_ACQ_REL) >> 1;

  for (guint i = n_flight; i > 0 && first_seq + i - 1 > started; i--)
    {
      give_again (first_seq + i - 1);
      n_revoked++;
    }
  line->n_taken_back += n_revoked;
  if (n_revoked == 0)
    __atomic_and_fetch (&board->state, ~STOP, __ATOMIC_ACQ_REL);
}

static void
take_answer (MpFrame *frame)
{
  guint64 number = flight[first_seq % WINDOW];
  Lead lead;

  if (!read_lead (frame, &lead))
    return;
  torture_check (n_flight > 0 && lead.seq == first_seq, "answer %" G_GUINT64_FORMAT " instead of %" G_GUINT64_FORMAT,
                 lead.seq, first_seq);
  torture_check ((frame->kind == KIND_NOT_RUN) == (number == 0) && (number == 0 || number == lead.number),
                 "an answer of kind %u for task %" G_GUINT64_FORMAT ", which is %" G_GUINT64_FORMAT, frame->kind,
                 lead.number, number);
  if (number == 0)
    {
      if (--n_revoked == 0)
        __atomic_and_fetch (&board->state, ~STOP, __ATOMIC_ACQ_REL);
    }
  else
    {
      line->n_results++;
    }
  first_seq++;
  n_flight--;
}

/* FALSE: the wire is at its end. */
static gboolean
read_answers (void)
{
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  gssize n;

  do
    {
      n = mp_wire_fill (wire, FALSE, NULL);
      while (mp_wire_next (wire, &frame, &error))
        {
          take_answer (&frame);
          mp_frame_clear (&frame);
        }
      if (error != NULL)
        fail ("next", error);
    }
  while (n > 0 && error == NULL);
  return n == 0 && error == NULL;
}

/* The worker is dead: all that it has answered is in. */
static void
settle (void)
{
  guint64 started = __atomic_load_n (&board->state, __ATOMIC_ACQUIRE) >> 1;
  guint i = 0;

  if (n_flight > 0 && started == first_seq && flight[first_seq % WINDOW] != 0)
    {
      guint64 number = flight[first_seq % WINDOW];

      i = 1;
      line->n_died++;
      torture_check (!__atomic_load_n (&task_of (number)->is_answered, __ATOMIC_SEQ_CST),
                     "the result of task %" G_GUINT64_FORMAT " was handed over, and is lost", number);
      if (torture_broken == BROKEN_TWICE)
        g_queue_push_head (&again, GSIZE_TO_POINTER (number));
    }
  for (guint j = n_flight; j > i; j--)
    if (flight[(first_seq + j - 1) % WINDOW] != 0)
      give_again (first_seq + j - 1);
  n_flight = n_revoked = 0;
  end_session ();
}

static void
own (void)
{
  if (wire == NULL)
    {
      accept_session ();
      return;
    }
  if (torture_random (50) == 0 && n_revoked == 0 && n_flight > 1)
    take_back ();
  give_tasks ();
  if (!mp_wire_flush (wire, NULL) || !read_answers ())
    {
      while (read_answers () && mp_wire_fill (wire, FALSE, NULL) > 0)
        ;
      settle ();
      return;
    }
    if (n_flight == 0 || mp_wire_get_pending (wire) > 0)
    return;
  sleep_a_while ();
}

static void
step (void)
{
  if (is_owner)
    own ();
  else
    work ();
}

static void
figures (GString *text)
{
  Line sum = { 0 };

  for (guint i = 0; i < N_LINES; i++)
    {
      sum.n_given += all_lines[i].n_given;
      sum.n_results += all_lines[i].n_results;
      sum.n_died += all_lines[i].n_died;
      sum.n_again += all_lines[i].n_again;
      sum.n_taken_back += all_lines[i].n_taken_back;
      sum.n_sessions += all_lines[i].n_sessions;
    }
  g_string_append_printf (text, "%" G_GUINT64_FORMAT " tasks in %" G_GUINT64_FORMAT " sessions, %" G_GUINT64_FORMAT
                          " results, %" G_GUINT64_FORMAT " died while they ran, %" G_GUINT64_FORMAT " given again, %"
                          G_GUINT64_FORMAT " of them taken back; ", sum.n_given, sum.n_sessions, sum.n_results,
                          sum.n_died, sum.n_again, sum.n_taken_back);
}

static const char *const points[] = { "wire-", "transport-", "ring-length-written", "ring-record-written",
                                      "ring-published", "ring-copied", "ring-half-written", "!wire-lane-", NULL };
static const char *const variants[] = { "no-bell", "late-result", "twice", NULL };

const TorturePrimitive torture_transport = {
  "transport", points, variants, setup, begin, step, NULL, NULL, figures,
};
