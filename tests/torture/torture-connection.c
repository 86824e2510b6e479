/* torture-connection.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/base/mp-descriptor.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* MpConnection, with its own framing and with CPython's: two ends send each other numbered messages, of bytes and
 * values, some with descriptors, some much longer than what the socket holds; with calls that are given up in the
 * middle; in some sessions so many short ones that they go through shared memory. What arrives is whole, in order and
 * once. When an end is killed the other sees the end of the stream, and has got all that had left then. The descriptor
 * for event loops tells of all that is there. */

enum { BROKEN_NOTHING, BROKEN_LOSES, BROKEN_TWICE, BROKEN_SOCKET };

#define N_LINES    (TORTURE_N_CHILDREN / 2)
#define MAX_LENGTH 600000

typedef struct
{
  guint64 n_sessions;
  guint64 n_received;
  guint64 n_given_up;
  guint64 n_ends;
  guint64 left[2];      /* session << 32 | last message of that side that the kernel has as a whole */
} Line;

typedef struct
{
  guint64 session;
  guint32 number;
  guint32 length;       /* of what follows */
  guint32 n_fds;
  guint32 sum;
} Lead;

static Line *all_lines;
static int   meeting[N_LINES][2];   /* new sessions, from those who make them to the others */

/* A child's own. */
static Line         *line;
static guint         which, side;
static GMainContext *context;
static MpConnection *connection;
static gboolean      connection_is_stream;
static gboolean      connection_is_busy;
static guint64       session;
static guint32       n_sent, n_got;
static guint8       *content;

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
  side = child % 2;
  line = &all_lines[which];
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  content = g_malloc (sizeof (Lead) + MAX_LENGTH);
}

/* Sessions */

static void
set_session (int      fd,
             gboolean is_stream,
             guint64  number)
{
  connection = is_stream ? mp_connection_new_stream (fd, MP_CONNECTION_DUPLEX, 2 * MAX_LENGTH)
                         : mp_connection_new_taking (fd, MP_CONNECTION_DUPLEX, 2 * MAX_LENGTH);
  connection_is_stream = is_stream;
  connection_is_busy = number % 2 == 0;
  session = number;
  n_sent = n_got = 0;
}

/* The other's part waits for whoever is the other. */
static void
offer_session (void)
{
  guint64 word[2] = { __atomic_add_fetch (&line->n_sessions, 1, __ATOMIC_SEQ_CST), torture_random (2) };
  struct iovec iov = { word, sizeof word };
  int pair[2];

  if (mp_socket_pair (pair, 0) < 0)
    g_error ("torture: no socket: %s", g_strerror (errno));
  if (mp_socket_send (meeting[which][0], &iov, 1, &pair[1], 1, FALSE) == sizeof word)
    set_session (pair[0], word[1], word[0]);
  else
    mp_fd_close (&pair[0]);
  mp_fd_close (&pair[1]);
}

static void
accept_session (void)
{
  struct pollfd fd = { meeting[which][1], POLLIN, 0 };
  int fds[MP_SOCKET_MAX_FDS];
  gboolean truncated;
  guint n_fds = 0;
  guint64 word[2];

  if (poll (&fd, 1, 20) > 0 &&
      mp_socket_recv (meeting[which][1], word, sizeof word, fds, &n_fds, &truncated, FALSE) == sizeof word &&
      n_fds == 1)
    set_session (fds[0], word[1], word[0]);
}

/* What the other had sent before it died has come. */
static void
end_session (void)
{
  guint64 left = __atomic_load_n (&line->left[1 - side], __ATOMIC_SEQ_CST);

  torture_check (left >> 32 != session || (guint32) left <= n_got,
                 "connection: the end after message %u, and %u had left", n_got, (guint32) left);
  __atomic_fetch_add (&line->n_ends, 1, __ATOMIC_SEQ_CST);
  g_clear_object (&connection);
}

/* Messages */

static guint32
sum_up (const guint8 *data,
        gsize         length,
        guint32       sum)
{
  for (gsize i = 0; i < length; i += length < 1000 ? 1 : 61)
    sum = sum * 31 + data[i];
  return sum;
}

/* In `content`. */
static gsize
make_message (guint32 number,
              guint32 n_fds)
{
  guint chance = torture_random (connection_is_busy ? 3000 : 100);
  Lead lead = { session, number, torture_random (chance == 0 ? MAX_LENGTH : chance < 10 ? 70000 : 200), n_fds, 0 };

  for (guint i = 0; i < lead.length; i++)
    content[sizeof lead + i] = (guint8) (number * 17 + i * 7);
  lead.sum = sum_up (content + sizeof lead, lead.length, number);
  memcpy (content, &lead, sizeof lead);
  return sizeof lead + lead.length;
}

static GVariant *
make_value (gsize   size,
            guint32 number,
            guint32 n_fds)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("(ayah)"));
  g_variant_builder_add_value (&builder, g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, content, size, 1));
  g_variant_builder_open (&builder, G_VARIANT_TYPE ("ah"));
  for (guint i = 0; i < n_fds; i++)
    {
      MpDescriptor *descriptor = mp_descriptor_new_take (mp_fd_memory_file ("number", sizeof number), NULL);

      if (pwrite (mp_descriptor_get_fd (descriptor), &number, sizeof number, 0) != sizeof number)
        g_error ("torture: %s", g_strerror (errno));
      g_variant_builder_add_value (&builder, mp_shareable_to_variant (MP_SHAREABLE (descriptor)));
      g_object_set_data_full (G_OBJECT (connection), i == 0 ? "first" : "second", descriptor, g_object_unref);
    }
  g_variant_builder_close (&builder);
  return g_variant_builder_end (&builder);
}

static gboolean
has_all_left (void)
{
  gboolean all;

  pthread_mutex_lock (&connection->lock);
  all = connection->wire != NULL && mp_wire_get_pending (connection->wire) == 0;
  pthread_mutex_unlock (&connection->lock);
  return all;
}

static gboolean
send_as (guint    how,
         gsize    size,
         gint64   timeout_us,
         GError **error)
{
  g_autoptr(GBytes) bytes = NULL;
  guint32 n_fds;

  switch (how)
    {
    case 0:
      return mp_connection_send_data (connection, content, size, timeout_us, NULL, error);
    case 1:
      bytes = g_bytes_new (content, size);
      return mp_connection_send_bytes_full (connection, bytes, 0, -1, timeout_us, NULL, error);
    default:
      n_fds = ((const Lead *) (gconstpointer) content)->n_fds;
      return mp_connection_send (connection, make_value (size, n_sent + 1, n_fds), timeout_us, NULL, error);
    }
}

/* One more message; one that is taken back has never been. */
static void
send_one (void)
{
  guint how = torture_random (3);
  guint32 n_fds = how == 2 && torture_random (connection_is_busy ? 200 : 8) == 0 ? 1 + torture_random (2) : 0;
  gsize size = make_message (n_sent + 1, n_fds);
  g_autoptr(GError) error = NULL;
  gboolean ok = torture_broken == BROKEN_LOSES && torture_random (50) == 0;

  if (!ok)
    ok = send_as (how, size, torture_random (2) * torture_random (500), &error);
  if (torture_broken == BROKEN_TWICE && torture_random (50) == 0)
    send_as (how, size, 0, NULL);
  if (ok)
    n_sent++;
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    __atomic_fetch_add (&line->n_given_up, 1, __ATOMIC_SEQ_CST);
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE))
    torture_violation ("connection send: %s", error->message);

  if (error == NULL || !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE))
    if (has_all_left ())
      __atomic_store_n (&line->left[side], session << 32 | n_sent, __ATOMIC_SEQ_CST);
}

static void
got (const guint8 *data,
     gsize         size,
     GVariant     *handles)
{
  guint n_handles = handles != NULL ? g_variant_n_children (handles) : 0;
  gboolean whole = size >= sizeof (Lead);
  Lead lead = { 0 };

  if (whole)
    {
      memcpy (&lead, data, sizeof lead);
      whole = lead.length == size - sizeof lead && lead.n_fds == n_handles &&
              sum_up (data + sizeof lead, lead.length, lead.number) == lead.sum;
    }
  torture_check (whole, "connection: a message of %" G_GSIZE_FORMAT " bytes is torn", size);
  torture_check (lead.session == session && lead.number == n_got + 1,
                 "connection: message %u of session %" G_GUINT64_FORMAT " after %u of %" G_GUINT64_FORMAT, lead.number,
                 lead.session, n_got, session);
  n_got = lead.number;
  __atomic_fetch_add (&line->n_received, 1, __ATOMIC_SEQ_CST);

  for (guint i = 0; i < n_handles; i++)
    {
      g_autoptr(GVariant) handle = g_variant_get_child_value (handles, i);
      g_autoptr(MpShareable) object = mp_shareable_from_variant (handle, NULL);
      guint32 number = 0;

      torture_check (MP_IS_DESCRIPTOR (object) &&
                     pread (mp_descriptor_get_fd (MP_DESCRIPTOR (object)), &number, sizeof number, 0) == sizeof number &&
                     number == lead.number, "connection: message %u has the descriptor of %u", lead.number, number);
    }
}

static void
got_bytes (GBytes *bytes)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  got (data, size, NULL);
}

static gboolean
recv_value (gint64   timeout_us,
            GError **error)
{
  g_autoptr(GVariant) value = mp_connection_recv (connection, timeout_us, NULL, error);
  g_autoptr(GVariant) data = NULL;
  g_autoptr(GVariant) handles = NULL;

  if (value == NULL)
    return FALSE;
  if (!g_variant_is_of_type (value, G_VARIANT_TYPE ("(ayah)")))
    {
      torture_violation ("connection: a value of type %s", g_variant_get_type_string (value));
      return TRUE;
    }
  data = g_variant_get_child_value (value, 0);
  handles = g_variant_get_child_value (value, 1);
  got (g_variant_get_data (data), g_variant_get_size (data), handles);
  return TRUE;
}

static void
keep_cb (GObject      *object,
         GAsyncResult *result,
         gpointer      user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* Given up after a while. */
static GBytes *
recv_by_callback (GError **error)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;

  mp_connection_recv_bytes_async (connection, cancellable, keep_cb, &result);
  for (guint i = 0; i < 3 && result == NULL; i++)
    g_main_context_iteration (context, FALSE);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  return mp_connection_recv_bytes_finish (connection, result, error);
}

static gboolean
recv_as (guint    how,
         gint64   timeout_us,
         GError **error)
{
  static guint8 buffer[sizeof (Lead) + 100];
  g_autoptr(GBytes) bytes = NULL;
  gsize length = 0;

  if (how == 0)
    return recv_value (timeout_us, error);
  if (how == 1)
    {
      if (!mp_connection_recv_bytes_into (connection, buffer, sizeof buffer, &length, timeout_us, NULL, error))
        return FALSE;
      got (buffer, length, NULL);
      return TRUE;
    }

  if (how == 2)
    bytes = recv_by_callback (error);
  else if (how == 3)
    bytes = mp_connection_recv_bytes_full (connection, torture_random (300), timeout_us, NULL, error);
  else
    bytes = mp_connection_recv_bytes (connection, timeout_us, NULL, error);
  if (bytes != NULL)
    got_bytes (bytes);
  return bytes != NULL;
}

/* FALSE: there is nothing now, or nothing more. */
static gboolean
recv_one (gint64 timeout_us)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) carried = NULL;
  /* The bytes of a stream's value can be had as such. */
  guint how = connection_is_stream ? 0 : torture_random (5);

  while (!recv_as (how, timeout_us, &error))
    {
      if (g_error_matches (error, MP_ERROR, MP_ERROR_BUFFER_TOO_SHORT))
        {
          carried = mp_error_dup_message_bytes (error);
          got_bytes (carried);
          return TRUE;
        }
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
        {
          end_session ();
          return FALSE;
        }
      if (g_error_matches (error, MP_ERROR, MP_ERROR_INVALID_TYPE))
        how = how == 0 ? 1 + torture_random (4) : 0;
      else if (g_error_matches (error, MP_ERROR, MP_ERROR_TOO_LARGE))
        how = 4;
      else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
               g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return FALSE;
      else
        torture_violation ("connection receive: %s", error->message);
      g_clear_error (&error);
    }
  return TRUE;
}

/* All that is known to have left can be had, and the descriptor says so. */
static void
check_descriptor (void)
{
  guint64 left = __atomic_load_n (&line->left[1 - side], __ATOMIC_SEQ_CST);
  struct pollfd fd = { -1, POLLIN, 0 };

  fd.fd = torture_broken == BROKEN_SOCKET ? mp_wire_get_fd (connection->wire) : mp_connection_get_fd (connection);
  if (left >> 32 != session || (guint32) left <= n_got)
    return;
  torture_check (poll (&fd, 1, 0) == 1, "connection: message %u is there, and the descriptor says nothing", n_got + 1);
  torture_check (mp_connection_poll (connection, 0, NULL, NULL), "connection: message %u cannot be had", n_got + 1);
}

static void
step (void)
{
  guint n;

  if (connection == NULL)
    {
      if (side == 0)
        offer_session ();
      else
        accept_session ();
    }
  n = 1 + torture_random (connection_is_busy ? 150 : 8);
  for (guint i = 0; connection != NULL && i < n; i++)
    send_one ();
  for (guint i = 0; connection != NULL && i < n + 2; i++)
    {
      check_descriptor ();
      if (!recv_one (i == n ? torture_random (2000) : 0))
        break;
    }
  torture_pause ();
}

static void
figures (GString *text)
{
  Line sum = { 0 };

  for (guint i = 0; i < N_LINES; i++)
    {
      sum.n_sessions += all_lines[i].n_sessions;
      sum.n_received += all_lines[i].n_received;
      sum.n_given_up += all_lines[i].n_given_up;
      sum.n_ends += all_lines[i].n_ends;
    }
  g_string_append_printf (text, "%" G_GUINT64_FORMAT " messages in %" G_GUINT64_FORMAT " sessions, %" G_GUINT64_FORMAT
                          " taken back, %" G_GUINT64_FORMAT " ends seen; ", sum.n_received, sum.n_sessions,
                          sum.n_given_up, sum.n_ends);
}

static const char *const points[] = { "connection-", "wire-sent", "wire-received", "wire-lane-", NULL };
static const char *const variants[] = { "loses", "twice", "socket", NULL };

const TorturePrimitive torture_connection = {
  "connection", points, variants, setup, begin, step, NULL, NULL, figures, .span = 4,
};
