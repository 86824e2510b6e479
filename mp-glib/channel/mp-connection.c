/* mp-connection.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-barrier-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <sys/socket.h>

#define KIND               "connection"
#define STATE_TYPE         "(ut)"   /* MpConnectionFlags, max-message-size */
#define ALL_FLAGS          (MP_CONNECTION_DUPLEX | MP_CONNECTION_STREAM | MP_CONNECTION_FOREIGN | \
                            MP_CONNECTION_NO_HANDLES | MP_CONNECTION_NO_LANES)
/* Beside those: */
#define LANE_IN_USE        (1u << 31)   /* what comes next is in the ring, which is the second descriptor */
#define HAS_WRITERS        (1u << 30)   /* the last descriptor is the page that says who sends */
#define SEND_BUFFER        (1 << 20)
#define DEFAULT_MAX_SIZE   (G_GUINT64_CONSTANT (1) << 32)

/**
 * MpConnection:
 *
 * One end of a channel between two processes, or two threads, that carries messages.
 *
 * A message is a [struct@GLib.Variant] or a [struct@GLib.Bytes]. It arrives as a whole or not at all, and in order.
 * [func@Mp.pipe_new] makes the two ends; an end travels to another process as a part of a function's arguments or of a
 * message, see [iface@Mp.Shareable], and is the other process's then: close this one's, because two processes that read
 * from one end take the halves of each other's messages. What two processes send from one end arrives whole while it is
 * short; and what one sends when the other has sent, because a lock or a message told it so, arrives after that, unless
 * they have the same end by `fork()` alone.
 *
 * ```c
 * g_autoptr(MpConnection) parent = NULL, child = NULL;
 *
 * mp_pipe_new (TRUE, &parent, &child, &error);
 * mp_connection_send (parent, g_variant_new_string ("hello"), -1, NULL, &error);
 * value = mp_connection_recv (child, 5 * G_USEC_PER_SEC, NULL, &error);
 * ```
 *
 * There are three ways to receive: [method@Mp.Connection.recv] blocks, [method@Mp.Connection.recv_async] gives one
 * message to a callback, and after [method@Mp.Connection.start] each message comes as a signal. What blocks takes a
 * time in microseconds, -1 for ever and 0 not at all.
 *
 * When all that have the other end have closed it or are gone, what they had sent can still be received; after that
 * `G_IO_ERROR_CLOSED` says that the stream has ended, and [signal@Mp.Connection::closed] does to who gets signals.
 *
 * ## In the middle of a message
 *
 * A message arrives whole or not at all, whatever ends a call. A sending call whose time is over, or that is cancelled,
 * before the first byte of its message has left takes the message back. From the first byte on the message counts as
 * sent: the call succeeds, and the library completes the message, with whatever call comes next on this connection, a
 * receiving one too, or by itself while the main context runs in which the connection was made; what is left of it
 * is kept in memory until then, and messages behind it wait. So the connection stays usable, however long the other
 * side does not read. Only [method@Mp.Connection.close] does not wait for it, and says that it was lost; the other side
 * sees the end of the stream and nothing of the message then.
 *
 * A receiving call that ends in the middle of a message leaves what has come in for the next one. When the other side
 * is killed in the middle of a message, that is the end of the stream (`G_IO_ERROR_CLOSED`) after the last whole
 * message; who sends to it gets `G_IO_ERROR_BROKEN_PIPE`.
 *
 * ## How much is held
 *
 * While a message is not taken nothing more is read, beyond the 64 KiB or less that came in along with it: a slow
 * handler of [signal@Mp.Connection::message] slows down the other side, whose sending calls wait when the socket is
 * full. Memory for a large message is taken as it arrives, up to [property@Mp.Connection:max-message-size].
 *
 * A message may have up to 1012 descriptors beside it, for the objects in it; an end of a pipe takes up to three of
 * them, and as many in each process that has it. Descriptors that come with no message that names them are closed, and the other side is cut off. When this process can open no more files, the message is
 * lost with `G_IO_ERROR_TOO_MANY_OPEN_FILES`, when it has no room for an object with `MP_ERROR_FAILED` or
 * `MP_ERROR_FULL`, and the next one is right.
 *
 * Messages from the other side are not trusted: what is no message ends the connection with `MP_ERROR_PROTOCOL`.
 *
 * ## Listeners and clients
 *
 * A connection that came from a [class@Mp.Listener] or from [func@Mp.client_connect] leads to a program that may be
 * anything, CPython's `multiprocessing.connection` for instance: [property@Mp.Connection:foreign] is `TRUE`, wherever
 * it is handed on to. All messages are bytes there, and [method@Mp.Connection.recv_bytes] gives any of them;
 * [method@Mp.Connection.recv] takes those that begin as values of this library do, and leaves others. Of objects only
 * those that were made isolated ([method@Mp.Shareable.get_isolated]) can be sent, and over TCP none: what is refused is
 * refused with the whole value, before any of it has left.
 *
 * That another machine has vanished, without power or behind a cable that was pulled, no stream says. When an end over
 * TCP of a listener or a client has heard nothing for a minute, the system asks the other one's, and when that gives no
 * answer for another minute, this is the end of the stream. Messages on their way it repeats for longer, about a quarter
 * of an hour as a rule. An end that is there and does not read is never given up.
 *
 * A connection may be used in several threads at once. Signals come in the main context that was the thread-default one
 * when it was made.
 *
 * Since: 0.1
 */

/* Of connections that this thread receives: no stranger says how much memory there is for his messages. */
static __thread guint64 most_here = G_MAXINT64;

enum { PROP_0, PROP_READABLE, PROP_WRITABLE, PROP_CLOSED, PROP_FOREIGN, PROP_MAX_MESSAGE_SIZE,
       PROP_PEER_CERTIFICATE, N_PROPS };
static GParamSpec *props[N_PROPS];

enum { SIGNAL_MESSAGE, SIGNAL_MESSAGE_BYTES, SIGNAL_CLOSED, N_SIGNALS };
static guint signals[N_SIGNALS];

static void mp_connection_shareable_init (MpShareableInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpConnection, mp_connection, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_connection_shareable_init)
                               G_IMPLEMENT_INTERFACE (MP_TYPE_WAITABLE, mp_connection_waitable_init))

/* Busy: a part of a message is in this process, and would be missing in the other. */
static gboolean
check_idle (MpConnection  *self,
            GError       **error)
{
  if (self->closed)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "Cannot send a connection that is closed");
      return FALSE;
    }
  if (mp_wire_is_over_io (self->wire))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                   "Cannot send a connection with TLS: its keys belong to this process");
      return FALSE;
    }
  if (self->started || self->frame.kind != 0 || !mp_wire_is_idle (self->wire) ||
      self->receivers.head != NULL || self->senders.head != NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY,
                   "Cannot send a connection that is in use here: it is started, has calls under way, or holds a "
                   "message that was not received or sent wholly");
      return FALSE;
    }

  return TRUE;
}

static gboolean
append_copy (GArray  *fds,
             int      fd,
             GError **error)
{
  int copy = mp_fd_dup (fd);

  if (copy < 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot send a connection: %s",
                   g_strerror (saved_errno));
      return FALSE;
    }

  g_array_append_val (fds, copy);
  return TRUE;
}

static GVariant *
mp_connection_describe (MpShareable  *shareable,
                        GArray       *fds,
                        GError      **error)
{
  MpConnection *self = MP_CONNECTION (shareable);
  guint n_before = fds->len;
  GVariant *state = NULL;
  gboolean in_use = FALSE, ok;
  guint32 word;
  int ring_fd = -1;

  pthread_mutex_lock (&self->lock);
  ok = check_idle (self, error) && mp_wire_leave_lanes (self->wire, &ring_fd, &in_use, error) &&
       append_copy (fds, mp_wire_get_fd (self->wire), error);
  word = self->flags | (in_use ? LANE_IN_USE : 0);
  if (ok)
    self->is_alone = FALSE;
  if (ok && ring_fd >= 0)
    {
      int taken = g_steal_fd (&ring_fd);

      g_array_append_val (fds, taken);
    }
  if (ok && (self->flags & MP_CONNECTION_WRITABLE) && !(self->flags & (MP_CONNECTION_STREAM | MP_CONNECTION_NO_LANES)))
    {
      int writers_fd = mp_wire_share_writers (self->wire, error);

      ok = writers_fd >= 0 && append_copy (fds, writers_fd, error);
      word |= HAS_WRITERS;
    }
  if (ok)
    state = g_variant_ref_sink (g_variant_new (STATE_TYPE, word, self->max_size));
  pthread_mutex_unlock (&self->lock);

  mp_fd_close (&ring_fd);
  while (!ok && fds->len > n_before)
    {
      mp_fd_close (&g_array_index (fds, int, fds->len - 1));
      g_array_set_size (fds, fds->len - 1);
    }
  return state;
}

static gboolean
is_stream_socket (int fd)
{
  return mp_socket_stream_family (fd) == AF_UNIX && mp_socket_peer_pid (fd) >= 0;
}

/* What is said of a connection that has come is bounded by what its socket is. */
static gboolean
check_socket (int               fd,
              MpConnectionFlags flags)
{
  if ((flags & ~ALL_FLAGS) != 0)
    return FALSE;
  if (flags & MP_CONNECTION_STREAM)
    return (flags & MP_CONNECTION_FOREIGN) != 0 && mp_socket_stream_family (fd) >= 0;

  return (flags & MP_CONNECTION_NO_HANDLES) == 0 && is_stream_socket (fd);
}

guint64
mp_connection_bound_received (guint64 max_size)
{
  guint64 outer = most_here;

  most_here = max_size;
  return outer;
}

static MpShareable *
mp_connection_adopt (GVariant  *state,
                     int       *fds,
                     guint      n_fds,
                     GError   **error)
{
  MpConnectionFlags flags = 0;
  guint64 max_size = 0;
  guint32 word = 0;
  gboolean ok = n_fds >= 1 && n_fds <= 3 && g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE));
  gboolean has_writers = FALSE, has_ring = FALSE;
  MpConnection *self;

  if (ok)
    {
      g_variant_get (state, STATE_TYPE, &word, &max_size);
      flags = word & ~(LANE_IN_USE | HAS_WRITERS);
      has_writers = (word & HAS_WRITERS) != 0;
      has_ring = n_fds == (has_writers ? 3 : 2);
      ok = check_socket (fds[0], flags) && n_fds == 1u + has_ring + has_writers &&
           (has_ring || (word & LANE_IN_USE) == 0) && (n_fds == 1 || (flags & MP_CONNECTION_STREAM) == 0);
    }
  if (!ok)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a connection that is none");
      return NULL;
    }

  if (mp_shareable_is_foreign ())
    flags |= MP_CONNECTION_FOREIGN;
  max_size = MIN (max_size, most_here);
  if (flags & MP_CONNECTION_STREAM)
    return MP_SHAREABLE (mp_connection_new_stream (g_steal_fd (&fds[0]), flags & MP_CONNECTION_DUPLEX, max_size));

  self = mp_connection_new_taking (g_steal_fd (&fds[0]), flags, max_size);
  if ((has_ring && !mp_wire_take_lane (self->wire, g_steal_fd (&fds[1]), (word & LANE_IN_USE) != 0, error)) ||
      (has_writers && !mp_wire_take_writers (self->wire, g_steal_fd (&fds[n_fds - 1]), error)))
    g_clear_object (&self);
  return (MpShareable *) self;
}

static gboolean
mp_connection_get_isolated (MpShareable *shareable)
{
  return TRUE;
}

static void
mp_connection_shareable_init (MpShareableInterface *iface)
{
  iface->kind = KIND;
  iface->describe = mp_connection_describe;
  iface->get_isolated = mp_connection_get_isolated;
}

MP_SHAREABLE_DEFINE_KIND (mp_connection, KIND, mp_connection_adopt)

static void
mp_connection_get_property (GObject    *object,
                            guint       prop_id,
                            GValue     *value,
                            GParamSpec *pspec)
{
  MpConnection *self = MP_CONNECTION (object);

  switch (prop_id)
    {
    case PROP_READABLE:
      g_value_set_boolean (value, (self->flags & MP_CONNECTION_READABLE) != 0);
      break;
    case PROP_WRITABLE:
      g_value_set_boolean (value, (self->flags & MP_CONNECTION_WRITABLE) != 0);
      break;
    case PROP_CLOSED:
      g_value_set_boolean (value, mp_connection_is_closed (self));
      break;
    case PROP_FOREIGN:
      g_value_set_boolean (value, (self->flags & MP_CONNECTION_FOREIGN) != 0);
      break;
    case PROP_PEER_CERTIFICATE:
      g_value_set_object (value, self->peer_certificate);
      break;
    case PROP_MAX_MESSAGE_SIZE:
      pthread_mutex_lock (&self->lock);
      g_value_set_uint64 (value, self->max_size);
      pthread_mutex_unlock (&self->lock);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_connection_set_property (GObject      *object,
                            guint         prop_id,
                            const GValue *value,
                            GParamSpec   *pspec)
{
  MpConnection *self = MP_CONNECTION (object);

  switch (prop_id)
    {
    case PROP_MAX_MESSAGE_SIZE:
      pthread_mutex_lock (&self->lock);
      __atomic_store_n (&self->max_size, g_value_get_uint64 (value), __ATOMIC_RELAXED);
      if (self->wire != NULL)
        mp_wire_set_max_length (self->wire, self->max_size);
      pthread_mutex_unlock (&self->lock);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static gboolean
close_connection (MpConnection *self)
{
  GQueue finished = G_QUEUE_INIT;
  gboolean whole;

  pthread_mutex_lock (&self->lock);
  self->started = FALSE;
  whole = mp_connection_shut (self, &finished);
  g_clear_error (&self->in_error);   /* from now on it is this end that is closed */
  mp_connection_close_fd (self);
  mp_connection_update_watches (self);
  pthread_mutex_unlock (&self->lock);

  mp_connection_finish_ops (&finished);
  return whole;
}

static void
mp_connection_dispose (GObject *object)
{
  close_connection (MP_CONNECTION (object));

  G_OBJECT_CLASS (mp_connection_parent_class)->dispose (object);
}

static void
mp_connection_finalize (GObject *object)
{
  MpConnection *self = MP_CONNECTION (object);

  mp_connection_unwatch_forks (self);
  g_clear_pointer (&self->wire, mp_wire_free);
  g_clear_object (&self->peer_certificate);
  g_clear_pointer (&self->watches, g_ptr_array_unref);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_clear_error (&self->in_error);
  g_clear_error (&self->out_error);
  pthread_mutex_destroy (&self->lock);

  G_OBJECT_CLASS (mp_connection_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  /**
   * MpConnection:readable:
   *
   * Whether this end can receive.
   *
   * Since: 0.1
   */
  props[PROP_READABLE] = g_param_spec_boolean ("readable", NULL, NULL, FALSE, readable);

  /**
   * MpConnection:writable:
   *
   * Whether this end can send.
   *
   * Since: 0.1
   */
  props[PROP_WRITABLE] = g_param_spec_boolean ("writable", NULL, NULL, FALSE, readable);

  /**
   * MpConnection:closed:
   *
   * Whether this end is closed, or the end of the stream has been reached.
   *
   * There is a notification only together with [signal@Mp.Connection::closed].
   *
   * Since: 0.1
   */
  props[PROP_CLOSED] = g_param_spec_boolean ("closed", NULL, NULL, FALSE,
                                             readable | G_PARAM_EXPLICIT_NOTIFY);

  /**
   * MpConnection:foreign:
   *
   * Whether the other end may be a process that is not one of this program's own workers.
   *
   * So are connections of listeners and clients, and those that came through such a one, wherever they are handed on to.
   * Objects are sent there only if they are isolated, and what comes from there is to be taken as what a stranger says.
   *
   * Since: 0.1
   */
  props[PROP_FOREIGN] = g_param_spec_boolean ("foreign", NULL, NULL, FALSE, readable);

  /**
   * MpConnection:max-message-size:
   *
   * The largest message that is sent or received, in bytes.
   *
   * Memory is taken as a message arrives, never on the word of the other side. A message that claims to be larger ends
   * the connection. One that came from a stranger has at first at most what the connection has through which it came.
   *
   * Since: 0.1
   */
  props[PROP_MAX_MESSAGE_SIZE] = g_param_spec_uint64 ("max-message-size", NULL, NULL, 0, G_MAXINT64, DEFAULT_MAX_SIZE,
                                                      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);

  /**
   * MpConnection:peer-certificate:
   *
   * The certificate that the other end has shown, and that was accepted; `NULL` without TLS, and when it has none.
   *
   * Since: 0.1
   */
  props[PROP_PEER_CERTIFICATE] = g_param_spec_object ("peer-certificate", NULL, NULL, G_TYPE_TLS_CERTIFICATE,
                                                      readable);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_connection_class_init (MpConnectionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_connection_get_property;
  object_class->set_property = mp_connection_set_property;
  object_class->dispose = mp_connection_dispose;
  object_class->finalize = mp_connection_finalize;
  install_properties (object_class);

  /**
   * MpConnection::message:
   * @self: the connection
   * @value: the message
   *
   * A value has been received.
   *
   * Comes between [method@Mp.Connection.start] and [method@Mp.Connection.stop], in the main context that was the
   * thread-default one when the connection was made.
   *
   * Since: 0.1
   */
  signals[SIGNAL_MESSAGE] = g_signal_new ("message", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                          G_TYPE_NONE, 1, G_TYPE_VARIANT);

  /**
   * MpConnection::message-bytes:
   * @self: the connection
   * @bytes: the message
   *
   * A message of bytes has been received.
   *
   * Comes when [signal@Mp.Connection::message] comes.
   *
   * Since: 0.1
   */
  signals[SIGNAL_MESSAGE_BYTES] = g_signal_new ("message-bytes", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                                NULL, NULL, G_TYPE_NONE, 1, G_TYPE_BYTES);

  /**
   * MpConnection::closed:
   * @self: the connection
   * @error: (nullable): what the other side did wrong; `NULL` at the end of the stream
   *
   * No more messages will come.
   *
   * Comes once, as the last signal of a started connection, when the other end is closed or did not keep to the
   * protocol. It does not come for [method@Mp.Connection.close] of this end.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CLOSED] = g_signal_new ("closed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                         G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
mp_connection_init (MpConnection *self)
{
  mp_hub_watch_forks ();
  pthread_mutex_init (&self->lock, NULL);
  self->context = g_main_context_ref_thread_default ();
  self->watches = g_ptr_array_new ();
  self->max_size = DEFAULT_MAX_SIZE;
  self->poll_fd = self->ready_fd = -1;
  self->closed = TRUE;   /* until a constructor gives it a socket */
  mp_connection_watch_forks (self);
}

static MpConnection *
new_over_wire (MpWire            *wire,
               MpConnectionFlags  flags,
               guint64            max_size)
{
  MpConnection *self = g_object_new (MP_TYPE_CONNECTION, NULL);

  self->flags = flags;
  self->max_size = max_size;
  self->wire = wire;
  self->closed = FALSE;
  return self;
}

MpConnection *
mp_connection_new_taking (int               fd,
                          MpConnectionFlags flags,
                          guint64           max_size)
{
  MpWire *wire;

  if (flags & MP_CONNECTION_STREAM)
    return new_over_wire (mp_wire_new_stream (fd, max_size), flags, max_size);

  wire = mp_wire_new (fd, max_size);
  mp_wire_set_up_lanes (wire, (flags & (MP_CONNECTION_FOREIGN | MP_CONNECTION_NO_LANES)) == 0);
  return new_over_wire (wire, flags, max_size);
}

MpConnection *
mp_connection_new_tls (MpTls   *tls,
                       guint64  max_size)
{
  GTlsCertificate *certificate = mp_tls_dup_peer_certificate (tls);
  int fd = mp_tls_get_fd (tls);
  MpConnection *self;

  mp_socket_set_no_delay (fd);
  self = new_over_wire (mp_wire_new_stream_over (fd, mp_tls_get_io (tls), max_size),
                        MP_CONNECTION_DUPLEX | MP_CONNECTION_STREAM | MP_CONNECTION_FOREIGN | MP_CONNECTION_NO_HANDLES,
                        max_size);
  self->peer_certificate = certificate;
  return self;
}

MpConnection *
mp_connection_new_stream (int               fd,
                          MpConnectionFlags flags,
                          guint64           max_size)
{
  flags |= MP_CONNECTION_STREAM | MP_CONNECTION_FOREIGN;
  if (mp_socket_stream_family (fd) != AF_UNIX)
    {
      flags |= MP_CONNECTION_NO_HANDLES;
      mp_socket_set_no_delay (fd);
    }
  return mp_connection_new_taking (fd, flags, max_size);
}

void
mp_connection_tell_message (MpConnection *self,
                            GVariant     *value,
                            GBytes       *bytes)
{
  if (value != NULL)
    g_signal_emit (self, signals[SIGNAL_MESSAGE], 0, value);
  else
    g_signal_emit (self, signals[SIGNAL_MESSAGE_BYTES], 0, bytes);
}

void
mp_connection_tell_closed (MpConnection *self,
                           const GError *error)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_CLOSED]);
  g_signal_emit (self, signals[SIGNAL_CLOSED], 0, error);
}

/**
 * mp_pipe_new:
 * @duplex: whether both ends can send and receive
 * @first: (out) (transfer full): one end; if not @duplex, it can only receive
 * @second: (out) (transfer full): the other end; if not @duplex, it can only send
 * @error: return location for an error
 *
 * Makes two connections that are the two ends of one channel.
 *
 * The only errors are those of the system, such as `G_IO_ERROR_TOO_MANY_OPEN_FILES`.
 *
 * Returns: whether the pipe was made
 *
 * Since: 0.1
 */
gboolean
mp_pipe_new (gboolean       duplex,
             MpConnection **first,
             MpConnection **second,
             GError       **error)
{
  int fds[2];

  g_return_val_if_fail (first != NULL && second != NULL, FALSE);

  *first = *second = NULL;
  if (!mp_hub_try_prepare ("Cannot make a pipe", error))
    return FALSE;
  mp_barrier_join_early ();   /* for its lanes */
  if (mp_socket_pair (fds, SEND_BUFFER) < 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot make a pipe: %s",
                   g_strerror (saved_errno));
      return FALSE;
    }

  *first = mp_connection_new_taking (fds[0], duplex ? MP_CONNECTION_DUPLEX : MP_CONNECTION_READABLE, DEFAULT_MAX_SIZE);
  *second = mp_connection_new_taking (fds[1], duplex ? MP_CONNECTION_DUPLEX : MP_CONNECTION_WRITABLE, DEFAULT_MAX_SIZE);
  return TRUE;
}

/**
 * mp_connection_new_from_fd:
 * @fd: a connected stream socket of this machine
 * @error: return location for an error
 *
 * Makes a connection of a socket whose other end is one as well.
 *
 * On success the descriptor belongs to the connection; after an error it is still the caller's. Errors:
 * `G_IO_ERROR_INVALID_ARGUMENT`, when @fd is no connected `AF_UNIX` stream socket; those of the system.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 0.1
 */
MpConnection *
mp_connection_new_from_fd (int      fd,
                           GError **error)
{
  if (!is_stream_socket (fd))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "Cannot make a connection: descriptor %d is no connected local stream socket", fd);
      return NULL;
    }
  if (!mp_hub_try_prepare ("Cannot make a connection", error))
    return NULL;

  return mp_connection_new_taking (fd, MP_CONNECTION_DUPLEX | MP_CONNECTION_NO_LANES, DEFAULT_MAX_SIZE);
}

/**
 * mp_connection_close:
 * @self: a connection
 * @error: return location for an error
 *
 * Closes this end.
 *
 * Calls under way end with `G_IO_ERROR_CLOSED`, those of other threads too, and no more signals come. Messages that
 * have not been received are dropped. The other side receives what was sent, and then the end of the stream, unless another
 * process has this end as well. To close twice is no error. A connection that is finalized is closed.
 *
 * Over TCP a system drops what is on its way when something comes in after the close, or, in a process that just ends or
 * has been forked meanwhile, was there unread. Who wants to be sure lets the other side send the last message, and
 * receives it.
 *
 * The copy of this process that `fork()` makes closes its own. What this process has begun to send it leaves alone; if
 * that had not left wholly, the copy cannot send by this end (`G_IO_ERROR_BUSY`), in the midst of a message.
 *
 * The connection is closed in any case; the only error is `G_IO_ERROR_PENDING`: a message that counts as sent (see
 * [method@Mp.Connection.send]) had not left wholly, and is lost.
 *
 * Returns: whether nothing was lost
 *
 * Since: 0.1
 */
gboolean
mp_connection_close (MpConnection  *self,
                     GError       **error)
{
  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);

  if (close_connection (self))
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_PENDING,
               "The connection is closed, but its last message had not been sent wholly");
  return FALSE;
}

/**
 * mp_connection_is_closed:
 * @self: a connection
 *
 * Gets whether the connection is closed.
 *
 * It is after [method@Mp.Connection.close], when a receiving call or a signal has told of the end of the stream, and
 * when the other side did not keep to the protocol. That the other side has closed is not noticed before.
 *
 * Returns: whether the connection is closed
 *
 * Since: 0.1
 */
gboolean
mp_connection_is_closed (MpConnection *self)
{
  gboolean closed;

  g_return_val_if_fail (MP_IS_CONNECTION (self), TRUE);

  pthread_mutex_lock (&self->lock);
  closed = self->closed || (self->in_error != NULL && self->frame.kind == 0);
  pthread_mutex_unlock (&self->lock);

  return closed;
}
