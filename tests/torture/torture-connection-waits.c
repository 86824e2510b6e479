/* torture-connection-waits.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "waits.h"

#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"
#include "mp-glib/platform/mp-spin-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* MpConnection, whose readers wait blocking: by the word of the memory that they share with the other end, then by the
 * socket, where the other end rings. Two callers send numbered messages, now one, now many, and wait for the answers;
 * two answerers wait for messages, some of them with another thread beside that waits too, or is called back, or only
 * looks. Callers hand their ends to each other, and have another thread send beside, or the other caller, who has a copy
 * of the end for a while; answerers take theirs out and in again.
 *
 * A message that is there is got by who waits for it, once, in order and whole. The end comes when nobody can send any
 * more, and after all that had left. While nobody is killed who waits wakes by nothing but being woken. */

typedef enum { FOUND_IT, FOUND_NOTHING, FOUND_THE_END } Found;

#define N_LINES      2
#define MAX_ENDS     16
#define QUIET_DOZE   100000   /* more than WAITS_QUIET_WAIT; not where what a guest sends by the socket waits as long */
#define N_REMEMBERED 8        /* sessions of a line that are under way, and more */

typedef struct
{
  guint64 n_sessions;
  guint64 accepted;                  /* the last one */
  /* session << 32 | the last message that the kernel or the ring has as a whole; how many answers */
  guint64 left[N_REMEMBERED][WAITS_N_WRITERS];
  guint64 answers[N_REMEMBERED];
  guint64 n_received;                /* by the answerer */
  guint64 n_answers, n_ends, n_handed, n_guests;
} Line;

/* What travels with an end. */
typedef struct
{
  guint64      session;
  guint32      which;      /* the line */
  guint32      is_guest;   /* a copy, that sends only */
  guint32      to_send;    /* guest: so many more */
  guint32      was_copied;
  guint32      n_sent[WAITS_N_WRITERS];
  guint32      n_answers;
  WaitsNumbers answered[WAITS_N_WRITERS];
} State;

typedef struct
{
  State         state;
  MpConnection *connection;
} End;

typedef struct
{
  State   state;
  guint32 size;       /* of the handle, encoded; 0: the descriptor is a copy */
  guint32 padding;
  guint8  data[1024 - sizeof (State) - 8];
} Parcel;

static Line *lines;
static int   meeting[N_LINES][2];   /* new sessions, from the callers to the answerers */
static int   exchange[2];           /* ends, between the callers */

/* A child's own. */
static guint which;
static End   ends[MAX_ENDS];
static guint n_ends;

/* An answerer's, who has one end at a time. */
static GMutex        mutex;
static MpConnection *connection;
static guint64       session;
static WaitsNumbers  numbers[WAITS_N_WRITERS];   /* under the mutex, as is … */
static guint32       n_answered;                 /* … this */
static GThread      *companion;
static gboolean      is_over;                    /* atomic */

static void
setup (void)
{
  mp_connection_ensure_kind ();
  lines = torture_alloc (N_LINES * sizeof (Line));
  for (guint i = 0; i < N_LINES; i++)
    if (mp_socket_pair (meeting[i], 0) < 0)
      g_error ("torture: no socket: %s", g_strerror (errno));
  if (mp_socket_pair (exchange, 0) < 0)
    g_error ("torture: no socket: %s", g_strerror (errno));
}

static void
begin (void)
{
  which = torture_get_child () % N_LINES;
  g_main_context_push_thread_default (g_main_context_new ());
  if (torture_random (3) != 0)
    mp_spin_set_for_testing (FALSE);
}

static void
remember (guint64 *word,
          guint64  of,
          guint32  number)
{
  __atomic_store_n (word, of << 32 | number, __ATOMIC_SEQ_CST);
}

/* 0: nothing is known of it. */
static guint32
recall (guint64 *word,
        guint64  of)
{
  guint64 found = torture_look_at (word);

  return found >> 32 == of ? (guint32) found : 0;
}

static guint64 *
get_left (guint   line,
          guint64 of,
          guint   writer)
{
  return &lines[line].left[of % N_REMEMBERED][writer];
}

static guint64 *
get_answers (guint   line,
             guint64 of)
{
  return &lines[line].answers[of % N_REMEMBERED];
}

static gint64
choose_wait (void)
{
  if (torture_is_quiet ())
    return WAITS_QUIET_WAIT;
  return torture_random (5) == 0 ? torture_random (3000) : WAITS_LONG_WAIT;
}

/* The caller */

static gboolean
may_be_copied (guint64 of)
{
  return of % 3 == 0;
}

/* Long ones go by the socket; where two processes send only what is short arrives whole. */
static void
send_next (End   *end,
           guint  writer)
{
  State *state = &end->state;
  gboolean is_long = !may_be_copied (state->session) && torture_random (200) == 0;
  guint32 length = torture_random (is_long ? WAITS_MAX_LENGTH : 150);
  WaitsLead lead = { state->session, state->n_sent[writer] + 1, writer, length, 0 };
  gint64 timeout_us = !torture_is_quiet () && torture_random (10) == 0 ? torture_random (200) : WAITS_LONG_WAIT;
  gboolean ok = torture_broken == WAITS_BROKEN_LOSES && torture_random (50) == 0;

  if (!ok)
    ok = waits_send_lead (end->connection, &lead, timeout_us);
  if (torture_broken == WAITS_BROKEN_TWICE && torture_random (50) == 0)
    waits_send_lead (end->connection, &lead, timeout_us);
  if (!ok)
    return;
  state->n_sent[writer]++;
  if (waits_has_all_left (end->connection))
    remember (get_left (state->which, state->session, writer), state->session, state->n_sent[writer]);
}

static gpointer
send_beside (gpointer data)
{
  guint n = 1 + torture_random (8);

  for (guint i = 0; i < n; i++)
    {
      send_next (data, WAITS_HELPER);
      waits_make_gap ();
    }
  return NULL;
}

static void
drop_end (guint i)
{
  mp_connection_close (ends[i].connection, NULL);
  g_object_unref (ends[i].connection);
  ends[i] = ends[--n_ends];
}

static void
add_end (const State  *state,
         MpConnection *with)
{
  if (n_ends == MAX_ENDS)
    {
      g_object_unref (with);
      return;
    }
  ends[n_ends].state = *state;
  ends[n_ends++].connection = with;
}

static gboolean
has_own_end (void)
{
  for (guint i = 0; i < n_ends; i++)
    if (ends[i].state.which == which && !ends[i].state.is_guest)
      return TRUE;
  return FALSE;
}

static void
offer_session (void)
{
  guint64 number = __atomic_add_fetch (&lines[which].n_sessions, 1, __ATOMIC_SEQ_CST);
  struct iovec iov = { &number, sizeof number };
  State state = { .session = number, .which = which };
  int pair[2];

  if (mp_socket_pair (pair, 0) < 0)
    g_error ("torture: no socket: %s", g_strerror (errno));
  if (mp_socket_send (meeting[which][0], &iov, 1, &pair[1], 1, FALSE) == sizeof number)
    add_end (&state, mp_connection_new_taking (pair[0], MP_CONNECTION_DUPLEX, 2 * WAITS_MAX_LENGTH));
  else
    mp_fd_close (&pair[0]);
  mp_fd_close (&pair[1]);
}

/* To the other caller, or to this one again: whoever looks first. */
static gboolean
send_parcel (Parcel    *parcel,
             const int *fds,
             guint      n_fds)
{
  struct iovec iov = { parcel, sizeof *parcel };

  return mp_socket_send (exchange[0], &iov, 1, fds, n_fds, FALSE) == sizeof *parcel;
}

static void
hand_on (guint i)
{
  Parcel parcel = { .state = ends[i].state };
  MpEncoded encoded;

  if (!waits_encode_end (ends[i].connection, &encoded))
    return;
  parcel.size = waits_flatten (&encoded, parcel.data, sizeof parcel.data);
  if (send_parcel (&parcel, (const int *) (gpointer) encoded.fds->data, encoded.fds->len))
    {
      torture_count (&lines[which].n_handed);
      drop_end (i);
    }
  mp_encoded_clear (&encoded);
}

static void
invite (End *end)
{
  Parcel parcel = { .state = end->state };
  int fd = mp_wire_get_fd (end->connection->wire);

  if (end->state.was_copied || !may_be_copied (end->state.session))
    return;
  parcel.state.is_guest = TRUE;
  parcel.state.to_send = 1 + torture_random (100);
  if (send_parcel (&parcel, &fd, 1))
    end->state.was_copied = TRUE;
}

static void
take_parcels (void)
{
  Parcel parcel __attribute__ ((aligned (8)));
  int fds[MP_SOCKET_MAX_FDS];
  gboolean truncated;
  guint n_fds = 0;
  MpConnection *taken;

  while (n_ends < MAX_ENDS &&
         mp_socket_recv (exchange[1], &parcel, sizeof parcel, fds, &n_fds, &truncated, FALSE) == sizeof parcel)
    {
      if (n_fds == 0)
        continue;
      if (parcel.size == 0)
        {
          taken = mp_connection_new_taking (g_steal_fd (&fds[0]), MP_CONNECTION_DUPLEX, 2 * WAITS_MAX_LENGTH);
          torture_count (&lines[which].n_guests);
        }
      else
        taken = waits_decode_end (parcel.data, parcel.size, fds, n_fds);
      for (guint i = 0; i < n_fds; i++)
        if (fds[i] >= 0)
          mp_fd_close (&fds[i]);
      if (taken != NULL)
        add_end (&parcel.state, taken);
      n_fds = 0;
    }
}

static Found
take_answer (End    *end,
             gint64  timeout_us)
{
  State *state = &end->state;
  guint32 before = recall (get_answers (state->which, state->session), state->session);
  gboolean ended = FALSE;
  g_autoptr(GBytes) bytes = waits_receive (end->connection, timeout_us, &ended);
  WaitsLead lead;

  if (bytes != NULL)
    {
      if (waits_unpack (bytes, state->session, &lead))
        torture_check (lead.number <= state->n_sent[lead.writer] &&
                       waits_mark (&state->answered[lead.writer], lead.number),
                       "connection: an answer to %u of writer %u, who has sent %u; all to %u came before", lead.number,
                       lead.writer, state->n_sent[lead.writer], state->answered[lead.writer].base);
      state->n_answers++;
      torture_count (&lines[which].n_answers);
      return FOUND_IT;
    }
  if (!ended)
    {
      torture_check (before <= state->n_answers, "connection: answer %u of %u was there, and was not got",
                     state->n_answers + 1, before);
      return FOUND_NOTHING;
    }

  before = recall (get_answers (state->which, state->session), state->session);
  torture_check (before <= state->n_answers, "connection: the end after answer %u, and %u had left", state->n_answers,
                 before);
  torture_count (&lines[which].n_ends);
  return FOUND_THE_END;
}

static guint
count_unanswered (const State *state)
{
  return state->n_sent[WAITS_MAIN] + state->n_sent[WAITS_HELPER] - state->n_answers;
}

/* FALSE: it is over with it. */
static gboolean
call_guest (End *end)
{
  guint n = 1 + torture_random (4);

  for (guint i = 0; i < n && end->state.to_send > 0; i++, end->state.to_send--)
    {
      send_next (end, WAITS_GUEST);
      waits_make_gap ();
    }
  return end->state.to_send > 0;
}

static gboolean
call (End *end)
{
  State *state = &end->state;
  guint n = torture_random (3) == 0 ? 1 + torture_random (30) : 1;
  GThread *helper = NULL;
  Found found;

  if (state->is_guest)
    return call_guest (end);
  if (torture_random (12) == 0)
    helper = g_thread_new ("helper", send_beside, end);
  for (guint i = 0; i < n; i++)
    {
      send_next (end, WAITS_MAIN);
      waits_make_gap ();
    }
  g_clear_pointer (&helper, g_thread_join);
  if (torture_random (300) == 0)
    return TRUE;   /* before the answers have come, it may be handed on */
  /* One of the messages may have had no time; who has gone shows in the end. */
  do
    found = take_answer (end, count_unanswered (state) > 0 ? choose_wait () : 0);
  while (count_unanswered (state) > 0 && (found == FOUND_IT || (found == FOUND_NOTHING && !torture_is_quiet ())));
  return found != FOUND_THE_END;
}

/* Nobody has accepted it yet; nor has he died with it. */
static gboolean
is_waiting (const End *end)
{
  return torture_look_at (&lines[end->state.which].accepted) < end->state.session &&
         !mp_connection_poll (end->connection, 0, NULL, NULL);
}

static void
step_as_caller (void)
{
  gboolean is_idle = TRUE;

  take_parcels ();
  if (!has_own_end ())
    offer_session ();
  for (guint i = n_ends; i-- > 0;)
    {
      if (is_waiting (&ends[i]))
        continue;
      is_idle = FALSE;
      if (!call (&ends[i]))
        drop_end (i);
      else if (ends[i].state.is_guest)
        continue;
      else if (torture_random (100) == 0)
        hand_on (i);
      else if (torture_random (60) == 0)
        invite (&ends[i]);
      else if (torture_random (600) == 0)
        drop_end (i);
    }
  if (is_idle)
    g_usleep (500);
}

/* The answerer */

static void
answer (GBytes *bytes)
{
  WaitsLead lead;
  guint n_others = companion != NULL ? 1 : 0;
  gboolean ok;

  if (!waits_unpack (bytes, session, &lead))
    return;
  torture_count (&lines[which].n_received);
  g_mutex_lock (&mutex);
  ok = waits_mark (&numbers[lead.writer], lead.number) && waits_count_gaps (numbers[lead.writer].seen) <= n_others;
  torture_check (ok, "connection: message %u of writer %u, session %" G_GUINT64_FORMAT ", after %u", lead.number,
                 lead.writer, session, numbers[lead.writer].base);
  g_mutex_unlock (&mutex);
  if (lead.writer == WAITS_GUEST)
    return;

  waits_make_gap ();
  lead.length = torture_random (100);
  g_mutex_lock (&mutex);
  if (waits_send_lead (connection, &lead, WAITS_LONG_WAIT))
    {
      n_answered++;
      if (waits_has_all_left (connection))
        remember (get_answers (which, session), session, n_answered);
    }
  g_mutex_unlock (&mutex);
}

static gpointer
receive_beside (gpointer data)
{
  gboolean ended = FALSE;

  while (!ended)
    {
      gint64 timeout_us = torture_random (4) == 0 ? 20000 : torture_random (2000);
      g_autoptr(GBytes) bytes = waits_receive (connection, timeout_us, &ended);

      if (bytes != NULL)
        answer (bytes);
      g_usleep (torture_random (3000));
    }
  return NULL;
}

static void
keep_cb (GObject      *object,
         GAsyncResult *result,
         gpointer      user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static gboolean
is_tired_cb (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

/* Waits for a while, then gives it up. */
static GBytes *
receive_by_callback (GMainContext *context,
                     gboolean     *ended)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GSource) source = g_timeout_source_new (torture_random (20));
  g_autoptr(GError) error = NULL;
  gboolean tired = FALSE;
  GBytes *bytes;

  g_source_set_callback (source, is_tired_cb, &tired, NULL);
  g_source_attach (source, context);
  mp_connection_recv_bytes_async (connection, cancellable, keep_cb, &result);
  while (result == NULL)
    {
      g_main_context_iteration (context, TRUE);
      if (tired)
        g_cancellable_cancel (cancellable);
    }
  g_source_destroy (source);
  bytes = mp_connection_recv_bytes_finish (connection, result, &error);
  *ended = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  return bytes;
}

static gpointer
be_called_back (gpointer data)
{
  GMainContext *context = g_main_context_new ();
  gboolean ended = FALSE;

  g_main_context_push_thread_default (context);
  while (!ended)
    {
      g_autoptr(GBytes) bytes = receive_by_callback (context, &ended);

      if (bytes != NULL)
        answer (bytes);
      g_usleep (torture_random (3000));
    }
  g_main_context_pop_thread_default (context);
  g_main_context_unref (context);
  return NULL;
}

/* Looks once while the other one sleeps by the word, who from then on can only be woken by the bell. Then leaves it to
 * him. */
static void
look_at_sleeper (void)
{
  guint64 n_before = torture_look_at (&lines[which].n_received);

  if (!waits_is_dozing (connection))
    {
      g_usleep (20);
      return;
    }
  mp_connection_poll (connection, 0, NULL, NULL);
  while (torture_look_at (&lines[which].n_received) == n_before && !g_atomic_int_get (&is_over))
    g_usleep (200);
}

static gpointer
look_beside (gpointer data)
{
  while (!g_atomic_int_get (&is_over))
    if (torture_is_quiet () || torture_random (2) == 0)
      look_at_sleeper ();
    else
      {
        mp_connection_poll (connection, torture_random (4) == 0 ? torture_random (500) : 0, NULL, NULL);
        g_usleep (torture_random (1500));
      }
  return NULL;
}

static void
accept_session (void)
{
  static const GThreadFunc kinds[] = { receive_beside, be_called_back, look_beside };
  struct pollfd fd = { meeting[which][1], POLLIN, 0 };
  guint kind = torture_random (2 * G_N_ELEMENTS (kinds));
  int fds[MP_SOCKET_MAX_FDS];
  gboolean truncated;
  guint n_fds = 0;

  if (poll (&fd, 1, 20) <= 0 ||
      mp_socket_recv (meeting[which][1], &session, sizeof session, fds, &n_fds, &truncated, FALSE) != sizeof session ||
      n_fds != 1)
    return;

  connection = mp_connection_new_taking (fds[0], MP_CONNECTION_DUPLEX, 2 * WAITS_MAX_LENGTH);
  memset (numbers, 0, sizeof numbers);
  n_answered = 0;
  is_over = FALSE;
  remember (get_answers (which, session), session, 0);
  __atomic_store_n (&lines[which].accepted, session, __ATOMIC_SEQ_CST);
  if (kind < G_N_ELEMENTS (kinds))
    companion = g_thread_new ("companion", kinds[kind], NULL);
}

/* What had left before the end has come. */
static void
end_session (void)
{
  g_atomic_int_set (&is_over, TRUE);
  g_clear_pointer (&companion, g_thread_join);
  for (guint i = 0; i < WAITS_N_WRITERS; i++)
    {
      guint32 left = recall (get_left (which, session, i), session);

      torture_check (left <= numbers[i].base && numbers[i].seen == 0,
                     "connection: the end after message %u of writer %u, and %u had left", numbers[i].base, i, left);
    }
  torture_count (&lines[which].n_ends);
  g_clear_object (&connection);
}

/* Taken out, and in again, as if it had come to another process. */
static void
travel (void)
{
  guint8 data[1024] __attribute__ ((aligned (8)));
  MpEncoded encoded;
  MpConnection *taken;
  gsize size;

  if (!waits_encode_end (connection, &encoded))
    return;
  size = waits_flatten (&encoded, data, sizeof data);
  taken = waits_decode_end (data, size, (int *) (gpointer) encoded.fds->data, encoded.fds->len);
  mp_encoded_clear (&encoded);
  if (taken == NULL)
    return;
  mp_connection_close (connection, NULL);
  g_object_unref (connection);
  connection = taken;
  torture_count (&lines[which].n_handed);
}

/* A message that is there and was not got: which one, or 0. */
static guint32
find_missing (guint *writer)
{
  guint32 missing = 0;

  g_mutex_lock (&mutex);
  for (guint i = 0; i < WAITS_N_WRITERS && missing == 0; i++)
    if (recall (get_left (which, session, i), session) > numbers[i].base)
      {
        missing = numbers[i].base + 1;
        *writer = i;
      }
  g_mutex_unlock (&mutex);
  return missing;
}

static void
step_as_answerer (void)
{
  gboolean ended = FALSE;
  g_autoptr(GBytes) bytes = NULL;
  guint32 missing;
  guint writer = 0;

  if (connection == NULL)
    accept_session ();
  if (connection == NULL)
    return;

  if (companion == NULL && torture_random (100) == 0)
    travel ();
  missing = find_missing (&writer);
  bytes = waits_receive (connection, choose_wait (), &ended);
  if (bytes != NULL)
    answer (bytes);
  else if (ended)
    end_session ();
  else
    torture_check (companion != NULL || missing == 0, "connection: message %u of writer %u was there, and was not got",
                   missing, writer);
}

static void
step (void)
{
  gboolean is_caller = torture_get_child () < N_LINES;
  gboolean has_guests = !is_caller && connection != NULL && may_be_copied (session);

  mp_connection_set_doze_for_testing (torture_is_quiet () && !has_guests ? QUIET_DOZE : -1);
  if (is_caller)
    step_as_caller ();
  else
    step_as_answerer ();
}

static void
figures (GString *text)
{
  Line sum = { 0 };

  for (guint i = 0; i < N_LINES; i++)
    {
      sum.n_sessions += lines[i].n_sessions;
      sum.n_received += lines[i].n_received;
      sum.n_answers += lines[i].n_answers;
      sum.n_ends += lines[i].n_ends;
      sum.n_handed += lines[i].n_handed;
      sum.n_guests += lines[i].n_guests;
    }
  g_string_append_printf (text, "%" G_GUINT64_FORMAT " messages and %" G_GUINT64_FORMAT " answers in %" G_GUINT64_FORMAT
                          " sessions, %" G_GUINT64_FORMAT " ends seen, %" G_GUINT64_FORMAT " handed on, %"
                          G_GUINT64_FORMAT " copied; ", sum.n_received, sum.n_answers, sum.n_sessions, sum.n_ends,
                          sum.n_handed, sum.n_guests);
}

static const char *const points[] = { "wire-lane-", "lane-", "doze-", "ring-sleep-", "ring-published", NULL };
static const char *const variants[] = { "loses", "twice", "word", "bell", NULL };

const TorturePrimitive torture_connection_waits = {
  .name = "connection-waits",
  .points = points,
  .broken = variants,
  .setup = setup,
  .begin = begin,
  .step = step,
  .figures = figures,
  .n_movers = N_LINES,
  .span = 8,
};
