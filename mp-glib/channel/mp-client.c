/* mp-client.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-client.h"

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/channel/mp-address-private.h"
#include "mp-glib/channel/mp-connector-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>

/* Clients of listeners. A blocking call turns a context of its own, so that there is one way of doing it. */

/* A look-up that was stopped tells so at once, or belongs to an address of the user's that does not listen. */
#define LOOK_UP_END_US (G_USEC_PER_SEC / 2)

/* A main context without descriptors would end the program. */
static gboolean
check_descriptors (GError **error)
{
  int fd = mp_fd_eventfd ();
  int saved_errno = errno;

  if (fd >= 0)
    {
      mp_fd_close (&fd);
      return mp_hub_try_prepare ("Cannot connect", error);
    }

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot connect: %s", g_strerror (saved_errno));
  return FALSE;
}

static gboolean
wake_cb (gpointer user_data)
{
  return G_SOURCE_CONTINUE;
}

/* It has a reference to all that is around it. */
static void
end_look_up (MpConnector  *connector,
             GMainContext *context)
{
  gint64 deadline = g_get_monotonic_time () + LOOK_UP_END_US;
  g_autoptr(GSource) source = NULL;

  if (!mp_connector_is_busy (connector))
    return;

  source = g_timeout_source_new (LOOK_UP_END_US / 1000);
  g_source_set_callback (source, wake_cb, NULL, NULL);
  g_source_attach (source, context);
  while (mp_connector_is_busy (connector) && g_get_monotonic_time () < deadline)
    g_main_context_iteration (context, TRUE);
  g_source_destroy (source);
}

/**
 * mp_client_connect:
 * @address: where a listener is
 * @options: (nullable): how to connect; `NULL` for [class@Mp.ClientOptions] as they are at first
 * @timeout_us: microseconds that all of it may take, -1 for ever, 0 for what is done without waiting
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Connects to a listener: [class@Mp.Listener], or one of CPython's `multiprocessing.connection`.
 *
 * @address is a [class@Gio.UnixSocketAddress], a [class@Gio.InetSocketAddress], or something with a name that is looked
 * up, such as a [class@Gio.NetworkAddress]; the addresses of a name are tried one after the other. When the listener has
 * taken the connection, both sides show each other that they have the key, if the options have one. A listener that does
 * this for one client after the other, as CPython's does, may take its time.
 *
 * Messages are framed as CPython does it, see [class@Mp.Listener]. The other side is not one of this program's workers:
 * only objects that are [method@Mp.Shareable.get_isolated] can be sent there, and none over TCP; no message that
 * arrives may be larger than [property@Mp.ClientOptions:max-message-size].
 *
 * A call that ends in time, or is cancelled, takes the client back; but a connection that the system has made for a
 * listener that was busy elsewhere stays in its queue, as for any socket: it may accept it later, and receives the end
 * of the stream from it, or, with a key, tells of a client that has gone.
 *
 * May be called in any thread. Signals of the connection come in the main context that is the thread-default one here.
 *
 * Errors: `G_IO_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`, `G_IO_ERROR_CONNECTION_REFUSED` when nobody listens there,
 * `G_IO_ERROR_NOT_FOUND` when there is no such socket, those of the look-up (`G_RESOLVER_ERROR`) and of the system, of
 * the last address that was tried; `G_IO_ERROR_PERMISSION_DENIED` also for an abstract address that is not allowed;
 * `G_IO_ERROR_INVALID_ARGUMENT` for a key that is empty, and TLS where it is not TCP; `MP_ERROR_AUTHENTICATION` when the
 * keys are not the same; `MP_ERROR_PROTOCOL` when the other side does something else than to authenticate;
 * `G_IO_ERROR_CLOSED` when it goes meanwhile; `MP_ERROR_INTERRUPTED`.
 *
 * With [property@Mp.ClientOptions:tls] also `G_TLS_ERROR_BAD_CERTIFICATE`, for a certificate of the listener's that is
 * refused, and why; `G_TLS_ERROR_NOT_TLS`, and others of `G_TLS_ERROR`, when the listener does something else;
 * `G_IO_ERROR_NOT_SUPPORTED` when GIO has no backend for TLS. A listener that refuses the client's certificate just
 * goes: `G_IO_ERROR_CLOSED`, when the client first receives something.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 0.1
 */
MpConnection *
mp_client_connect (GSocketConnectable  *address,
                   MpClientOptions     *options,
                   gint64               timeout_us,
                   GCancellable        *cancellable,
                   GError             **error)
{
  g_autoptr(GMainContext) context = NULL;
  MpConnector *connector;
  MpConnection *connection;

  g_return_val_if_fail (G_IS_SOCKET_CONNECTABLE (address), NULL);
  g_return_val_if_fail (options == NULL || MP_IS_CLIENT_OPTIONS (options), NULL);

  if (!check_descriptors (error))
    return NULL;

  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  connector = mp_connector_new (address, options, mp_deadline_after (timeout_us), cancellable, NULL);
  while (!mp_connector_is_done (connector))
    g_main_context_iteration (context, TRUE);
  end_look_up (connector, context);
  g_main_context_pop_thread_default (context);

  connection = mp_connector_finish (connector, error);
  mp_connector_unref (connector);
  return connection;
}

static void
connect_async (GSocketConnectable  *address,
               MpClientOptions     *options,
               GCancellable        *cancellable,
               gpointer             source_tag,
               GAsyncReadyCallback  callback,
               gpointer             user_data,
               GError              *error)
{
  g_autoptr(GTask) task = g_task_new (NULL, cancellable, callback, user_data);

  g_task_set_source_tag (task, source_tag);
  g_task_set_name (task, "client connect");
  /* The result says what happened. */
  g_task_set_check_cancellable (task, FALSE);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    mp_connector_unref (mp_connector_new (address, options, -1, cancellable, g_steal_pointer (&task)));
}

/**
 * mp_client_connect_async:
 * @address: where a listener is
 * @options: (nullable): how to connect; `NULL` for [class@Mp.ClientOptions] as they are at first
 * @cancellable: (nullable): ends it
 * @callback: (scope async) (closure user_data): called when there is a connection, or will be none
 * @user_data: data for @callback
 *
 * Connects to a listener without blocking.
 *
 * @callback runs in the thread-default main context of the caller, and signals of the connection come there. There is no
 * limit of time but @cancellable. All else is as in [func@Mp.client_connect].
 *
 * Since: 0.1
 */
void
mp_client_connect_async (GSocketConnectable  *address,
                         MpClientOptions     *options,
                         GCancellable        *cancellable,
                         GAsyncReadyCallback  callback,
                         gpointer             user_data)
{
  g_return_if_fail (G_IS_SOCKET_CONNECTABLE (address));
  g_return_if_fail (options == NULL || MP_IS_CLIENT_OPTIONS (options));

  connect_async (address, options, cancellable, mp_client_connect_async, callback, user_data, NULL);
}

/**
 * mp_client_connect_finish:
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [func@Mp.client_connect_async] began.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 0.1
 */
MpConnection *
mp_client_connect_finish (GAsyncResult  *result,
                          GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_client_connect_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

static GSocketConnectable *
parse (const char       *address,
       MpClientOptions  *options,
       GError          **error)
{
  MpAddressFlags flags = MP_ADDRESS_FLAGS_NONE;

  if (options != NULL && mp_client_options_get_allow_abstract (options))
    flags |= MP_ADDRESS_FLAGS_ALLOW_ABSTRACT;
  return mp_address_parse (address, flags, error);
}

/**
 * mp_client_connect_to:
 * @address: where a listener is, as text
 * @options: (nullable): how to connect; `NULL` for [class@Mp.ClientOptions] as they are at first
 * @timeout_us: microseconds that all of it may take, -1 for ever, 0 for what is done without waiting
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Connects to a listener whose address is a text.
 *
 * Those are `unix:PATH`, or a path with a slash in it; `tcp:HOST:PORT`, with a name, an IPv4 address or an IPv6 address
 * in brackets; `unix-abstract:NAME`, if the options allow it. What [property@Mp.Listener:address] says is one of them.
 *
 * All else is as in [func@Mp.client_connect]; what is no address is `G_IO_ERROR_INVALID_ARGUMENT`.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 0.1
 */
MpConnection *
mp_client_connect_to (const char       *address,
                      MpClientOptions  *options,
                      gint64            timeout_us,
                      GCancellable     *cancellable,
                      GError          **error)
{
  g_autoptr(GSocketConnectable) connectable = NULL;

  g_return_val_if_fail (address != NULL, NULL);
  g_return_val_if_fail (options == NULL || MP_IS_CLIENT_OPTIONS (options), NULL);

  connectable = parse (address, options, error);
  if (connectable == NULL)
    return NULL;

  return mp_client_connect (connectable, options, timeout_us, cancellable, error);
}

/**
 * mp_client_connect_to_async:
 * @address: where a listener is, as text
 * @options: (nullable): how to connect; `NULL` for [class@Mp.ClientOptions] as they are at first
 * @cancellable: (nullable): ends it
 * @callback: (scope async) (closure user_data): called when there is a connection, or will be none
 * @user_data: data for @callback
 *
 * Connects to a listener whose address is a text, without blocking.
 *
 * See [func@Mp.client_connect_to] and [func@Mp.client_connect_async].
 *
 * Since: 0.1
 */
void
mp_client_connect_to_async (const char          *address,
                            MpClientOptions     *options,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  g_autoptr(GSocketConnectable) connectable = NULL;
  GError *error = NULL;

  g_return_if_fail (address != NULL);
  g_return_if_fail (options == NULL || MP_IS_CLIENT_OPTIONS (options));

  connectable = parse (address, options, &error);
  connect_async (connectable, options, cancellable, mp_client_connect_to_async, callback, user_data, error);
}

/**
 * mp_client_connect_to_finish:
 * @result: what the callback got
 * @error: return location for an error
 *
 * Ends what [func@Mp.client_connect_to_async] began.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 0.1
 */
MpConnection *
mp_client_connect_to_finish (GAsyncResult  *result,
                             GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, mp_client_connect_to_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
