/* mp-client-options.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-client-options.h"

#include "mp-glib/channel/mp-connection-private.h"

/**
 * MpClientOptions:
 *
 * How a client connects, and what its connection is like.
 *
 * A call of [func@Mp.client_connect] copies what it needs: the same options may be used for any number of calls, and
 * changing them later changes nothing of what has been begun.
 *
 * It is not thread-safe.
 *
 * Since: 0.1
 */
struct _MpClientOptions
{
  GObject   parent_instance;

  GBytes   *authkey;          /* (owned) (nullable) */
  gboolean  allow_md5;
  gboolean  allow_abstract;
  guint64   max_message_size;
  gboolean  tls;
  GTlsCertificate *tls_certificate;       /* (owned) (nullable) */
  GTlsDatabase *tls_database;             /* (owned) (nullable) */
  GSocketConnectable *server_identity;    /* (owned) (nullable) */
};

enum
{
  PROP_0, PROP_AUTHKEY, PROP_ALLOW_MD5, PROP_ALLOW_ABSTRACT, PROP_MAX_MESSAGE_SIZE, PROP_TLS, PROP_TLS_CERTIFICATE,
  PROP_TLS_DATABASE, PROP_SERVER_IDENTITY, N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (MpClientOptions, mp_client_options, G_TYPE_OBJECT)

static void
mp_client_options_finalize (GObject *object)
{
  MpClientOptions *self = MP_CLIENT_OPTIONS (object);

  g_clear_pointer (&self->authkey, g_bytes_unref);
  g_clear_object (&self->tls_certificate);
  g_clear_object (&self->tls_database);
  g_clear_object (&self->server_identity);

  G_OBJECT_CLASS (mp_client_options_parent_class)->finalize (object);
}

static void
mp_client_options_get_property (GObject    *object,
                                guint       prop_id,
                                GValue     *value,
                                GParamSpec *pspec)
{
  MpClientOptions *self = MP_CLIENT_OPTIONS (object);

  switch (prop_id)
    {
    case PROP_AUTHKEY:
      g_value_set_boxed (value, self->authkey);
      break;
    case PROP_ALLOW_MD5:
      g_value_set_boolean (value, self->allow_md5);
      break;
    case PROP_ALLOW_ABSTRACT:
      g_value_set_boolean (value, self->allow_abstract);
      break;
    case PROP_MAX_MESSAGE_SIZE:
      g_value_set_uint64 (value, self->max_message_size);
      break;
    case PROP_TLS:
      g_value_set_boolean (value, self->tls);
      break;
    case PROP_TLS_CERTIFICATE:
      g_value_set_object (value, self->tls_certificate);
      break;
    case PROP_TLS_DATABASE:
      g_value_set_object (value, self->tls_database);
      break;
    case PROP_SERVER_IDENTITY:
      g_value_set_object (value, self->server_identity);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_client_options_set_property (GObject      *object,
                                guint         prop_id,
                                const GValue *value,
                                GParamSpec   *pspec)
{
  MpClientOptions *self = MP_CLIENT_OPTIONS (object);

  switch (prop_id)
    {
    case PROP_AUTHKEY:
      mp_client_options_set_authkey (self, g_value_get_boxed (value));
      break;
    case PROP_ALLOW_MD5:
      mp_client_options_set_allow_md5 (self, g_value_get_boolean (value));
      break;
    case PROP_ALLOW_ABSTRACT:
      mp_client_options_set_allow_abstract (self, g_value_get_boolean (value));
      break;
    case PROP_MAX_MESSAGE_SIZE:
      mp_client_options_set_max_message_size (self, g_value_get_uint64 (value));
      break;
    case PROP_TLS:
      mp_client_options_set_tls (self, g_value_get_boolean (value));
      break;
    case PROP_TLS_CERTIFICATE:
      mp_client_options_set_tls_certificate (self, g_value_get_object (value));
      break;
    case PROP_TLS_DATABASE:
      mp_client_options_set_tls_database (self, g_value_get_object (value));
      break;
    case PROP_SERVER_IDENTITY:
      mp_client_options_set_server_identity (self, g_value_get_object (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

#define PARAM_FLAGS (G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS)

static void
make_tls_properties (void)
{
  /**
   * MpClientOptions:tls: (getter get_tls) (setter set_tls)
   *
   * Whether the connection is encrypted, by GIO's TLS; `FALSE` at first.
   *
   * It goes with addresses of TCP, and a listener that has a [property@Mp.Listener:tls-certificate]. Keys are shown
   * within. At least TLS 1.3 is needed. The connection stays in its process: it cannot be sent to another one.
   *
   * Since: 0.1
   */
  props[PROP_TLS] = g_param_spec_boolean ("tls", NULL, NULL, FALSE, PARAM_FLAGS);

  /**
   * MpClientOptions:tls-certificate: (getter get_tls_certificate) (setter set_tls_certificate)
   *
   * The client's certificate, with its private key, for a listener that wants one; `NULL`, as at first, for none.
   *
   * Since: 0.1
   */
  props[PROP_TLS_CERTIFICATE] = g_param_spec_object ("tls-certificate", NULL, NULL, G_TYPE_TLS_CERTIFICATE,
                                                     PARAM_FLAGS);

  /**
   * MpClientOptions:tls-database: (getter get_tls_database) (setter set_tls_database)
   *
   * Whom to trust to have signed the listener's certificate; `NULL`, as at first, for those that the system trusts.
   *
   * A [iface@Gio.TlsFileDatabase] of the certificate itself trusts that one alone.
   *
   * Since: 0.1
   */
  props[PROP_TLS_DATABASE] = g_param_spec_object ("tls-database", NULL, NULL, G_TYPE_TLS_DATABASE, PARAM_FLAGS);

  /**
   * MpClientOptions:server-identity: (getter get_server_identity) (setter set_server_identity)
   *
   * Whom the listener's certificate must name; `NULL`, as at first, for the address that is connected to.
   *
   * A [class@Gio.NetworkAddress], say; its port has no meaning.
   *
   * Since: 0.1
   */
  props[PROP_SERVER_IDENTITY] = g_param_spec_object ("server-identity", NULL, NULL, G_TYPE_SOCKET_CONNECTABLE,
                                                     PARAM_FLAGS);
}

static void
mp_client_options_class_init (MpClientOptionsClass *klass)
{
  const GParamFlags flags = PARAM_FLAGS;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = mp_client_options_finalize;
  object_class->get_property = mp_client_options_get_property;
  object_class->set_property = mp_client_options_set_property;

  /**
   * MpClientOptions:authkey: (getter get_authkey) (setter set_authkey)
   *
   * The key that both sides show each other to have; `NULL`, as at first, for none.
   *
   * The key itself never leaves the process. A listener that asks for one, and a client that has none, or the other way
   * round, do not come together: the first message is then not what is expected.
   *
   * Since: 0.1
   */
  props[PROP_AUTHKEY] = g_param_spec_boxed ("authkey", NULL, NULL, G_TYPE_BYTES, flags);

  /**
   * MpClientOptions:allow-md5: (getter get_allow_md5) (setter set_allow_md5)
   *
   * Whether keys may be shown with MD5; `FALSE` at first.
   *
   * CPython before version 3.12 knows nothing else. Who can change what is on its way could make two sides that know
   * better use it, so it has to be asked for.
   *
   * Since: 0.1
   */
  props[PROP_ALLOW_MD5] = g_param_spec_boolean ("allow-md5", NULL, NULL, FALSE, flags);

  /**
   * MpClientOptions:allow-abstract: (getter get_allow_abstract) (setter set_allow_abstract)
   *
   * Whether the address may be one of Linux's abstract namespace; `FALSE` at first.
   *
   * There are no permissions there: whoever is first has the name.
   *
   * Since: 0.1
   */
  props[PROP_ALLOW_ABSTRACT] = g_param_spec_boolean ("allow-abstract", NULL, NULL, FALSE, flags);

  /**
   * MpClientOptions:max-message-size: (getter get_max_message_size) (setter set_max_message_size)
   *
   * [property@Mp.Connection:max-message-size] of the connection; 64 MiB at first.
   *
   * Since: 0.1
   */
  props[PROP_MAX_MESSAGE_SIZE] = g_param_spec_uint64 ("max-message-size", NULL, NULL, 0, G_MAXINT64, MP_STREAM_MAX_SIZE,
                                                      flags);

  make_tls_properties ();
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
set_flag (MpClientOptions *self,
          gboolean        *flag,
          gboolean         value,
          guint            prop_id)
{
  value = !!value;
  if (*flag == value)
    return;

  *flag = value;
  g_object_notify_by_pspec (G_OBJECT (self), props[prop_id]);
}

static void
mp_client_options_init (MpClientOptions *self)
{
  self->max_message_size = MP_STREAM_MAX_SIZE;
}

/**
 * mp_client_options_new:
 *
 * Makes options that change nothing.
 *
 * Returns: (transfer full): the options
 *
 * Since: 0.1
 */
MpClientOptions *
mp_client_options_new (void)
{
  return g_object_new (MP_TYPE_CLIENT_OPTIONS, NULL);
}

/**
 * mp_client_options_get_authkey: (get-property authkey)
 * @self: options
 *
 * Gets the key that both sides show each other to have.
 *
 * See [property@Mp.ClientOptions:authkey].
 *
 * Returns: (transfer none) (nullable): the key
 *
 * Since: 0.1
 */
GBytes *
mp_client_options_get_authkey (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), NULL);

  return self->authkey;
}

/**
 * mp_client_options_set_authkey: (set-property authkey)
 * @self: options
 * @authkey: (nullable): the key
 *
 * Sets [property@Mp.ClientOptions:authkey].
 *
 * Since: 0.1
 */
void
mp_client_options_set_authkey (MpClientOptions *self,
                               GBytes          *authkey)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));

  if (self->authkey == authkey)
    return;

  if (authkey != NULL)
    g_bytes_ref (authkey);
  g_clear_pointer (&self->authkey, g_bytes_unref);
  self->authkey = authkey;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_AUTHKEY]);
}

/**
 * mp_client_options_get_allow_md5: (get-property allow-md5)
 * @self: options
 *
 * Gets whether keys may be shown with MD5.
 *
 * See [property@Mp.ClientOptions:allow-md5].
 *
 * Returns: whether they may
 *
 * Since: 0.1
 */
gboolean
mp_client_options_get_allow_md5 (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), FALSE);

  return self->allow_md5;
}

/**
 * mp_client_options_set_allow_md5: (set-property allow-md5)
 * @self: options
 * @allow_md5: whether they may
 *
 * Sets [property@Mp.ClientOptions:allow-md5].
 *
 * Since: 0.1
 */
void
mp_client_options_set_allow_md5 (MpClientOptions *self,
                                 gboolean         allow_md5)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));

  set_flag (self, &self->allow_md5, allow_md5, PROP_ALLOW_MD5);
}

/**
 * mp_client_options_get_allow_abstract: (get-property allow-abstract)
 * @self: options
 *
 * Gets whether the address may be one of Linux's abstract namespace.
 *
 * See [property@Mp.ClientOptions:allow-abstract].
 *
 * Returns: whether it may
 *
 * Since: 0.1
 */
gboolean
mp_client_options_get_allow_abstract (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), FALSE);

  return self->allow_abstract;
}

/**
 * mp_client_options_set_allow_abstract: (set-property allow-abstract)
 * @self: options
 * @allow_abstract: whether it may
 *
 * Sets [property@Mp.ClientOptions:allow-abstract].
 *
 * Since: 0.1
 */
void
mp_client_options_set_allow_abstract (MpClientOptions *self,
                                      gboolean         allow_abstract)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));

  set_flag (self, &self->allow_abstract, allow_abstract, PROP_ALLOW_ABSTRACT);
}

/**
 * mp_client_options_get_max_message_size: (get-property max-message-size)
 * @self: options
 *
 * Gets the largest message that the connection is to carry.
 *
 * See [property@Mp.ClientOptions:max-message-size].
 *
 * Returns: bytes
 *
 * Since: 0.1
 */
guint64
mp_client_options_get_max_message_size (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), 0);

  return self->max_message_size;
}

/**
 * mp_client_options_set_max_message_size: (set-property max-message-size)
 * @self: options
 * @max_message_size: bytes
 *
 * Sets [property@Mp.ClientOptions:max-message-size].
 *
 * Since: 0.1
 */
void
mp_client_options_set_max_message_size (MpClientOptions *self,
                                        guint64          max_message_size)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));
  g_return_if_fail (max_message_size <= G_MAXINT64);

  if (self->max_message_size == max_message_size)
    return;

  self->max_message_size = max_message_size;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MAX_MESSAGE_SIZE]);
}

/**
 * mp_client_options_get_tls: (get-property tls)
 * @self: options
 *
 * Gets whether the connection is encrypted.
 *
 * See [property@Mp.ClientOptions:tls].
 *
 * Returns: whether it is
 *
 * Since: 0.1
 */
gboolean
mp_client_options_get_tls (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), FALSE);

  return self->tls;
}

/**
 * mp_client_options_set_tls: (set-property tls)
 * @self: options
 * @tls: whether it is
 *
 * Sets [property@Mp.ClientOptions:tls].
 *
 * Since: 0.1
 */
void
mp_client_options_set_tls (MpClientOptions *self,
                           gboolean         tls)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));

  set_flag (self, &self->tls, tls, PROP_TLS);
}

/**
 * mp_client_options_get_tls_certificate: (get-property tls-certificate)
 * @self: options
 *
 * Gets the client's certificate.
 *
 * See [property@Mp.ClientOptions:tls-certificate].
 *
 * Returns: (transfer none) (nullable): the certificate
 *
 * Since: 0.1
 */
GTlsCertificate *
mp_client_options_get_tls_certificate (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), NULL);

  return self->tls_certificate;
}

/**
 * mp_client_options_set_tls_certificate: (set-property tls-certificate)
 * @self: options
 * @tls_certificate: (nullable): the certificate
 *
 * Sets [property@Mp.ClientOptions:tls-certificate].
 *
 * Since: 0.1
 */
void
mp_client_options_set_tls_certificate (MpClientOptions *self,
                                       GTlsCertificate *tls_certificate)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));
  g_return_if_fail (tls_certificate == NULL || G_IS_TLS_CERTIFICATE (tls_certificate));

  if (g_set_object (&self->tls_certificate, tls_certificate))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_TLS_CERTIFICATE]);
}

/**
 * mp_client_options_get_tls_database: (get-property tls-database)
 * @self: options
 *
 * Gets whom to trust to have signed the listener's certificate.
 *
 * See [property@Mp.ClientOptions:tls-database].
 *
 * Returns: (transfer none) (nullable): the database
 *
 * Since: 0.1
 */
GTlsDatabase *
mp_client_options_get_tls_database (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), NULL);

  return self->tls_database;
}

/**
 * mp_client_options_set_tls_database: (set-property tls-database)
 * @self: options
 * @tls_database: (nullable): the database
 *
 * Sets [property@Mp.ClientOptions:tls-database].
 *
 * Since: 0.1
 */
void
mp_client_options_set_tls_database (MpClientOptions *self,
                                    GTlsDatabase    *tls_database)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));
  g_return_if_fail (tls_database == NULL || G_IS_TLS_DATABASE (tls_database));

  if (g_set_object (&self->tls_database, tls_database))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_TLS_DATABASE]);
}

/**
 * mp_client_options_get_server_identity: (get-property server-identity)
 * @self: options
 *
 * Gets whom the listener's certificate must name.
 *
 * See [property@Mp.ClientOptions:server-identity].
 *
 * Returns: (transfer none) (nullable): the identity
 *
 * Since: 0.1
 */
GSocketConnectable *
mp_client_options_get_server_identity (MpClientOptions *self)
{
  g_return_val_if_fail (MP_IS_CLIENT_OPTIONS (self), NULL);

  return self->server_identity;
}

/**
 * mp_client_options_set_server_identity: (set-property server-identity)
 * @self: options
 * @server_identity: (nullable): the identity
 *
 * Sets [property@Mp.ClientOptions:server-identity].
 *
 * Since: 0.1
 */
void
mp_client_options_set_server_identity (MpClientOptions    *self,
                                       GSocketConnectable *server_identity)
{
  g_return_if_fail (MP_IS_CLIENT_OPTIONS (self));
  g_return_if_fail (server_identity == NULL || G_IS_SOCKET_CONNECTABLE (server_identity));

  if (g_set_object (&self->server_identity, server_identity))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SERVER_IDENTITY]);
}
