/* mp-listener.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-listener-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/channel/mp-address-private.h"
#include "mp-glib/channel/mp-connection-private.h"

#define DEFAULT_BACKLOG              128
#define DEFAULT_HANDSHAKE_TIMEOUT_US (10 * G_USEC_PER_SEC)
#define DEFAULT_MAX_PENDING          64

/**
 * MpListener:
 *
 * Waits at an address for other programs, and gives an [class@Mp.Connection] for each that connects.
 *
 * They need not be this program's own workers, and need not have this library: CPython's
 * `multiprocessing.connection.Client` can connect, and so can [func@Mp.client_connect]. Messages are bytes to all; a
 * [struct@GLib.Variant] is for ends that have this library, and may contain only objects that are isolated, see
 * [iface@Mp.Shareable], and over TCP none.
 *
 * ```c
 * g_autoptr(GBytes) key = g_bytes_new_static ("a secret", 8);
 * g_autoptr(MpListener) listener = mp_listener_new ("tcp:127.0.0.1:0", key, &error);
 * g_autoptr(MpConnection) connection = mp_listener_accept (listener, -1, NULL, &error);
 * ```
 *
 * There are three ways to accept: [method@Mp.Listener.accept] blocks, [method@Mp.Listener.accept_async] gives one
 * connection to a callback, and after [method@Mp.Listener.start] each comes as a signal.
 *
 * ## Addresses
 *
 * - `unix:PATH`, or a path with a slash in it: a UNIX socket. Its file has the mode 0600 from its first moment,
 *   whatever the umask: only processes of this user can connect. A file that is there already is replaced if it is a
 *   socket at which nobody listens any more; otherwise there is an error.
 * - `tcp:HOST:PORT`: `HOST` is a name, an IPv4 address, or an IPv6 address in brackets; port 0 stands for one that is
 *   free. `tcp:0.0.0.0:PORT` stands for all addresses of this machine, and `tcp:[::]:PORT` for those of IPv6, too. Of a
 *   name that has several addresses the first that can be had is taken, those of IPv4 before those of IPv6, because
 *   CPython's clients know a name by these alone; it is looked up while the listener is made.
 * - `unix-abstract:NAME`, where no permissions are: only with [property@Mp.Listener:allow-abstract].
 * - `NULL`: a UNIX socket in a directory of its own, which only this user can enter, among the temporary files. One that
 *   a killed process left there goes when this user's next listener of this kind is made.
 *
 * ## Authentication
 *
 * With [property@Mp.Listener:authkey] both sides show that they have the same key, without sending it, as CPython's
 * `authkey` does; the default there since 3.12, SHA-256, is the only digest that is accepted unless
 * [property@Mp.Listener:allow-md5] is set. This keeps strangers out; it encrypts nothing. Without a key whoever
 * can reach the address is let in.
 *
 * Until a client has shown that it has the key, it costs a descriptor and some hundred bytes; it is sent away after
 * [property@Mp.Listener:handshake-timeout-us], or when [property@Mp.Listener:max-pending] others are in the same state,
 * it has been silent for longer than all of them, and a new one wants its place.
 *
 * ## Encryption
 *
 * With [property@Mp.Listener:tls-certificate] all that is sent over TCP is encrypted, by GIO's TLS, of version 1.3 at
 * least; with [property@Mp.Listener:tls-database] clients have to have certificates, too. A key is shown within.
 * Clients set [property@Mp.ClientOptions:tls]. [property@Mp.Connection:peer-certificate] says who is at the other end.
 *
 * GIO uses a thread of its own for each handshake that is under way, never for a connection: at most eight at once for
 * a listener, and none for a client that has not begun. When others want a turn, a client that has been at it for a
 * second has to go, and sooner when they are many, or when all those before it said nothing more: then a tenth of a
 * second and four ways to it and back are enough. One that has begun keeps its place for four seconds, to have had its
 * turn by then. A handshake for which there are no descriptors waits for them.
 *
 * Such a connection belongs to its process: it cannot be sent to another one. The copy of a process that `fork()` makes
 * cannot use it, and, when there have been handshakes of TLS before, can have none of its own: GIO's threads are not in
 * it. That is `G_IO_ERROR_NOT_SUPPORTED`.
 *
 * ## Threads and forks
 *
 * May be used from several threads. A process that was forked has the listener, too, and both may accept from it; the
 * clients in their handshakes are the parent's. Signals come there when it is started there.
 *
 * Since: 0.1
 */
struct _MpListener
{
  GObject            parent_instance;
  MpListenerCore    *core;              /* (owned) */
  MpListenerAddress  where;
};

enum {
  PROP_0, PROP_ADDRESS, PROP_CONNECTABLE, PROP_SOCKET_ADDRESS, PROP_LAST_ACCEPTED, PROP_BACKLOG, PROP_AUTHKEY,
  PROP_ALLOW_MD5, PROP_ALLOW_ABSTRACT, PROP_MAX_MESSAGE_SIZE, PROP_HANDSHAKE_TIMEOUT_US, PROP_MAX_PENDING, PROP_CLOSED,
  PROP_TLS_CERTIFICATE, PROP_TLS_DATABASE, N_PROPS
};
static GParamSpec *props[N_PROPS];

enum { SIGNAL_CONNECTION, SIGNAL_CLIENT_FAILED, N_SIGNALS };
static guint signals[N_SIGNALS];

static void mp_listener_initable_init (GInitableIface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpListener, mp_listener, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_INITABLE, mp_listener_initable_init)
                               G_IMPLEMENT_INTERFACE (MP_TYPE_WAITABLE, mp_listener_waitable_init))

static gboolean
mp_listener_initable_real_init (GInitable     *initable,
                                GCancellable  *cancellable,
                                GError       **error)
{
  MpListener *self = MP_LISTENER (initable);
  MpListenerCore *core = self->core;
  int fd;

  if (core->fd >= 0)
    return TRUE;
  if (core->authkey != NULL && g_bytes_get_size (core->authkey) == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "listener: the key is empty");
      return FALSE;
    }

  if (!mp_listener_tls_check (core, error))
    return FALSE;

  fd = mp_listener_bind (core, &self->where, cancellable, error);
  if (fd < 0 || !mp_listener_core_listen (core, fd, error))
    return FALSE;

  g_free (self->where.address);
  self->where.address = self->where.socket_address != NULL
                        ? mp_address_to_string (G_SOCKET_CONNECTABLE (self->where.socket_address)) : NULL;
  return TRUE;
}

static void
mp_listener_initable_init (GInitableIface *iface)
{
  iface->init = mp_listener_initable_real_init;
}

static void
mp_listener_get_property (GObject    *object,
                          guint       prop_id,
                          GValue     *value,
                          GParamSpec *pspec)
{
  MpListener *self = MP_LISTENER (object);

  switch (prop_id)
    {
    case PROP_ADDRESS:
      g_value_set_string (value, self->where.address);
      break;
    case PROP_SOCKET_ADDRESS:
      g_value_set_object (value, self->where.socket_address);
      break;
    case PROP_LAST_ACCEPTED:
      g_value_take_object (value, mp_listener_get_last_accepted (self));
      break;
    case PROP_BACKLOG:
      g_value_set_int (value, self->where.backlog);
      break;
    case PROP_AUTHKEY:
      g_value_set_boxed (value, self->core->authkey);
      break;
    case PROP_ALLOW_MD5:
      g_value_set_boolean (value, self->core->allow_md5);
      break;
    case PROP_ALLOW_ABSTRACT:
      g_value_set_boolean (value, self->where.allow_abstract);
      break;
    case PROP_MAX_MESSAGE_SIZE:
      g_value_set_uint64 (value, self->core->max_message_size);
      break;
    case PROP_HANDSHAKE_TIMEOUT_US:
      g_value_set_int64 (value, self->core->handshake_timeout_us);
      break;
    case PROP_MAX_PENDING:
      g_value_set_uint (value, self->core->max_pending);
      break;
    case PROP_TLS_CERTIFICATE:
      g_value_set_object (value, self->core->tls_certificate);
      break;
    case PROP_TLS_DATABASE:
      g_value_set_object (value, self->core->tls_database);
      break;
    case PROP_CLOSED:
      g_value_set_boolean (value, mp_listener_is_closed (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_listener_set_property (GObject      *object,
                          guint         prop_id,
                          const GValue *value,
                          GParamSpec   *pspec)
{
  MpListener *self = MP_LISTENER (object);

  switch (prop_id)
    {
    case PROP_ADDRESS:
      self->where.address = g_value_dup_string (value);
      break;
    case PROP_CONNECTABLE:
      self->where.connectable = g_value_dup_object (value);
      break;
    case PROP_BACKLOG:
      self->where.backlog = g_value_get_int (value);
      break;
    case PROP_AUTHKEY:
      self->core->authkey = g_value_dup_boxed (value);
      break;
    case PROP_ALLOW_MD5:
      self->core->allow_md5 = g_value_get_boolean (value);
      break;
    case PROP_ALLOW_ABSTRACT:
      self->where.allow_abstract = g_value_get_boolean (value);
      break;
    case PROP_MAX_MESSAGE_SIZE:
      self->core->max_message_size = g_value_get_uint64 (value);
      break;
    case PROP_HANDSHAKE_TIMEOUT_US:
      self->core->handshake_timeout_us = g_value_get_int64 (value);
      break;
    case PROP_MAX_PENDING:
      self->core->max_pending = g_value_get_uint (value);
      break;
    case PROP_TLS_CERTIFICATE:
      self->core->tls_certificate = g_value_dup_object (value);
      break;
    case PROP_TLS_DATABASE:
      self->core->tls_database = g_value_dup_object (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_listener_dispose (GObject *object)
{
  mp_listener_core_close (MP_LISTENER (object)->core);

  G_OBJECT_CLASS (mp_listener_parent_class)->dispose (object);
}

static void
mp_listener_finalize (GObject *object)
{
  MpListener *self = MP_LISTENER (object);

  g_clear_pointer (&self->core, mp_listener_core_unref);
  g_clear_object (&self->where.connectable);
  g_clear_object (&self->where.socket_address);
  g_free (self->where.address);

  G_OBJECT_CLASS (mp_listener_parent_class)->finalize (object);
}

static void
install_address_properties (GObjectClass *object_class)
{
  /**
   * MpListener:address:
   *
   * Where it listens, as text.
   *
   * When the listener is made, what is asked for; afterwards what it has got: with the port that was chosen, and with
   * an absolute path. See [class@Mp.Listener] for the forms; for addresses of other kinds it is for humans.
   *
   * Since: 0.1
   */
  props[PROP_ADDRESS] = g_param_spec_string ("address", NULL, NULL, NULL,
                                             G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * MpListener:connectable:
   *
   * The address to listen at, instead of [property@Mp.Listener:address].
   *
   * Since: 0.1
   */
  props[PROP_CONNECTABLE] = g_param_spec_object ("connectable", NULL, NULL, G_TYPE_SOCKET_CONNECTABLE,
                                                 G_PARAM_WRITABLE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * MpListener:socket-address:
   *
   * Where it listens.
   *
   * Since: 0.1
   */
  props[PROP_SOCKET_ADDRESS] = g_param_spec_object ("socket-address", NULL, NULL, G_TYPE_SOCKET_ADDRESS,
                                                    G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  /**
   * MpListener:last-accepted:
   *
   * The address of the client that was accepted last; `NULL` before the first.
   *
   * There is no notification.
   *
   * Since: 0.1
   */
  props[PROP_LAST_ACCEPTED] = g_param_spec_object ("last-accepted", NULL, NULL, G_TYPE_SOCKET_ADDRESS,
                                                   G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  /**
   * MpListener:allow-abstract:
   *
   * Whether the address may be an abstract one of UNIX sockets.
   *
   * Such an address has no permissions: any process of this machine can connect, or listen there first.
   *
   * Since: 0.1
   */
  props[PROP_ALLOW_ABSTRACT] = g_param_spec_boolean ("allow-abstract", NULL, NULL, FALSE, G_PARAM_READWRITE |
                                                     G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  /**
   * MpListener:backlog:
   *
   * How many clients may wait that nobody has accepted yet; the system may have a limit of its own.
   *
   * Since: 0.1
   */
  props[PROP_BACKLOG] = g_param_spec_int ("backlog", NULL, NULL, 1, G_MAXINT, DEFAULT_BACKLOG,
                                          G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
}

static void
install_client_properties (GObjectClass *object_class)
{
  GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  /**
   * MpListener:authkey:
   *
   * The key that clients must have; `NULL`: none is asked for.
   *
   * Since: 0.1
   */
  props[PROP_AUTHKEY] = g_param_spec_boxed ("authkey", NULL, NULL, G_TYPE_BYTES, flags);

  /**
   * MpListener:allow-md5:
   *
   * Whether a client may show that it has the key in the way of CPython before 3.12, with MD5.
   *
   * Whoever hears such a handshake has an easier time guessing the key.
   *
   * Since: 0.1
   */
  props[PROP_ALLOW_MD5] = g_param_spec_boolean ("allow-md5", NULL, NULL, FALSE, flags);

  /**
   * MpListener:max-message-size:
   *
   * What [property@Mp.Connection:max-message-size] of its connections is at first.
   *
   * Since: 0.1
   */
  props[PROP_MAX_MESSAGE_SIZE] = g_param_spec_uint64 ("max-message-size", NULL, NULL, 0, G_MAXINT64, MP_STREAM_MAX_SIZE,
                                                      flags);

  /**
   * MpListener:handshake-timeout-us:
   *
   * How long a handshake may take, in microseconds.
   *
   * A client that has answered in time is not sent away because the program did not come to look at it.
   *
   * Since: 0.1
   */
  props[PROP_HANDSHAKE_TIMEOUT_US] = g_param_spec_int64 ("handshake-timeout-us", NULL, NULL, 1, G_MAXINT64 / 4,
                                                         DEFAULT_HANDSHAKE_TIMEOUT_US, flags);

  /**
   * MpListener:max-pending:
   *
   * How many clients may be in their handshakes at once.
   *
   * When there are as many, the one that has been silent for longest has to go, as soon as it has been silent for a
   * fifth of a second; until then the others wait.
   *
   * Since: 0.1
   */
  props[PROP_MAX_PENDING] = g_param_spec_uint ("max-pending", NULL, NULL, 1, G_MAXUINT16, DEFAULT_MAX_PENDING, flags);

  /**
   * MpListener:closed:
   *
   * Whether [method@Mp.Listener.close] was called. There is no notification.
   *
   * Since: 0.1
   */
  props[PROP_CLOSED] = g_param_spec_boolean ("closed", NULL, NULL, FALSE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
}

static void
install_tls_properties (GObjectClass *object_class)
{
  GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  /**
   * MpListener:tls-certificate:
   *
   * The listener's certificate, with its private key: clients must speak TLS; `NULL`: they must not.
   *
   * For addresses of TCP only. See [class@Mp.Listener].
   *
   * Since: 0.1
   */
  props[PROP_TLS_CERTIFICATE] = g_param_spec_object ("tls-certificate", NULL, NULL, G_TYPE_TLS_CERTIFICATE, flags);

  /**
   * MpListener:tls-database:
   *
   * Whom to trust to have signed certificates of clients: each must have one; `NULL`: they need none.
   *
   * Since: 0.1
   */
  props[PROP_TLS_DATABASE] = g_param_spec_object ("tls-database", NULL, NULL, G_TYPE_TLS_DATABASE, flags);
}

static void
mp_listener_class_init (MpListenerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_listener_get_property;
  object_class->set_property = mp_listener_set_property;
  object_class->dispose = mp_listener_dispose;
  object_class->finalize = mp_listener_finalize;
  install_address_properties (object_class);
  install_client_properties (object_class);
  install_tls_properties (object_class);
  g_object_class_install_properties (object_class, N_PROPS, props);

  /**
   * MpListener::connection:
   * @self: the listener
   * @connection: the connection; who wants it keeps a reference
   *
   * A client has connected, and shown that it has the key.
   *
   * Comes between [method@Mp.Listener.start] and [method@Mp.Listener.stop], in the main context that was the
   * thread-default one when the listener was made. The connection belongs to the same.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CONNECTION] = g_signal_new ("connection", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                             NULL, G_TYPE_NONE, 1, MP_TYPE_CONNECTION);

  /**
   * MpListener::client-failed:
   * @self: the listener
   * @error: what was wrong with it, and who it was
   *
   * A client has been sent away, or has gone, before it was accepted.
   *
   * It harms no other; this is for a log. `MP_ERROR_AUTHENTICATION`, `MP_ERROR_PROTOCOL` and what there is of
   * `G_TLS_ERROR` are of its making, `G_IO_ERROR_CLOSED` says that it has gone, `G_IO_ERROR_TIMED_OUT` and
   * `G_IO_ERROR_BUSY` that it stalled; `G_IO_ERROR_TOO_MANY_OPEN_FILES` is of this process, and comes once until the
   * next client could be received.
   *
   * Comes in the main context that was the thread-default one when the listener was made, while that runs, and in
   * blocking calls of the listener in a thread that may acquire it. When it does not run, some are kept for it, and
   * more are not told.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CLIENT_FAILED] = g_signal_new ("client-failed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                                NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
mp_listener_init (MpListener *self)
{
  self->core = mp_listener_core_new ();
  self->core->context = g_main_context_ref_thread_default ();
  g_weak_ref_set (&self->core->listener, self);
}

/**
 * mp_listener_new:
 * @address: (nullable): where to listen, see [class@Mp.Listener]; `NULL`: a UNIX socket of its own
 * @authkey: (nullable): the key that clients must have
 * @error: return location for an error
 *
 * Listens at an address.
 *
 * For all that can be set beside, TLS too, make one with `g_initable_new()` and properties. If `HOST` is a name, this
 * blocks while that is looked up.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` for an address that is none, or an empty key; `G_IO_ERROR_PERMISSION_DENIED`;
 * `G_IO_ERROR_ADDRESS_IN_USE` when somebody listens there; `G_IO_ERROR_EXISTS` when there is a file that is no socket;
 * those of the resolver and of the system.
 *
 * Returns: (transfer full): the listener
 *
 * Since: 0.1
 */
MpListener *
mp_listener_new (const char  *address,
                 GBytes      *authkey,
                 GError     **error)
{
  return g_initable_new (MP_TYPE_LISTENER, NULL, error, "address", address, "authkey", authkey, NULL);
}

/**
 * mp_listener_new_for_address:
 * @address: where to listen: a [class@Gio.SocketAddress], a [class@Gio.NetworkAddress], …
 * @authkey: (nullable): the key that clients must have
 * @error: return location for an error
 *
 * Listens at an address that is an object.
 *
 * Of one that stands for several the first that can be had is taken, as [class@Mp.Listener] says. All else is as in
 * [ctor@Mp.Listener.new].
 *
 * Returns: (transfer full): the listener
 *
 * Since: 0.1
 */
MpListener *
mp_listener_new_for_address (GSocketConnectable  *address,
                             GBytes              *authkey,
                             GError             **error)
{
  g_return_val_if_fail (G_IS_SOCKET_CONNECTABLE (address), NULL);

  return g_initable_new (MP_TYPE_LISTENER, NULL, error, "connectable", address, "authkey", authkey, NULL);
}

/**
 * mp_listener_get_address:
 * @self: a listener
 *
 * Gets where it listens, as text, see [property@Mp.Listener:address].
 *
 * Returns: (nullable): the address
 *
 * Since: 0.1
 */
const char *
mp_listener_get_address (MpListener *self)
{
  g_return_val_if_fail (MP_IS_LISTENER (self), NULL);

  return self->where.address;
}

/**
 * mp_listener_get_socket_address:
 * @self: a listener
 *
 * Gets where it listens.
 *
 * Returns: (transfer none) (nullable): the address
 *
 * Since: 0.1
 */
GSocketAddress *
mp_listener_get_socket_address (MpListener *self)
{
  g_return_val_if_fail (MP_IS_LISTENER (self), NULL);

  return self->where.socket_address;
}

/**
 * mp_listener_get_last_accepted:
 * @self: a listener
 *
 * Gets the address of the client that was accepted last.
 *
 * That of a UNIX socket says nothing as a rule. With several threads it may be another client's by now.
 *
 * Returns: (transfer full) (nullable): the address; `NULL` before the first client
 *
 * Since: 0.1
 */
GSocketAddress *
mp_listener_get_last_accepted (MpListener *self)
{
  struct sockaddr_storage address;
  socklen_t size;

  g_return_val_if_fail (MP_IS_LISTENER (self), NULL);

  mp_hub_lock ();
  address = self->core->last_accepted;
  size = self->core->last_accepted_size;
  mp_hub_unlock ();

  return size > 0 ? g_socket_address_new_from_native (&address, size) : NULL;
}

MpListenerCore *
mp_listener_get_core (MpListener *self)
{
  return self->core;
}

void
mp_listener_tell_connection (MpListener   *self,
                             MpConnection *connection)
{
  g_signal_emit (self, signals[SIGNAL_CONNECTION], 0, connection);
}

void
mp_listener_tell_failed (MpListener   *self,
                         const GError *error)
{
  g_signal_emit (self, signals[SIGNAL_CLIENT_FAILED], 0, error);
}
