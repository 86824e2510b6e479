/* mp-address.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-address-private.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

static gboolean
set_invalid (GError     **error,
             const char  *format,
             ...) G_GNUC_PRINTF (2, 3);

static gboolean
set_invalid (GError     **error,
             const char  *format,
             ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "address: %s", text);
  return FALSE;
}

static gboolean
check_abstract (MpAddressFlags   flags,
                GError         **error)
{
  if (flags & MP_ADDRESS_FLAGS_ALLOW_ABSTRACT)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
               "address: an abstract one has no permissions: anybody on this machine could connect to it, or be there "
               "first (allow-abstract)");
  return FALSE;
}

static gboolean
check_path (const char  *path,
            GError     **error)
{
  if (*path == 0)
    return set_invalid (error, "the path is empty");
  if (strlen (path) > MP_ADDRESS_MAX_PATH)
    return set_invalid (error, "the path has %" G_GSIZE_FORMAT " bytes; the path of a socket has at most %d",
                        strlen (path), MP_ADDRESS_MAX_PATH);
  return TRUE;
}

static GSocketConnectable *
parse_unix (const char            *path,
            GUnixSocketAddressType type,
            MpAddressFlags         flags,
            GError               **error)
{
  if (!check_path (path, error))
    return NULL;
  if (type == G_UNIX_SOCKET_ADDRESS_ABSTRACT && !check_abstract (flags, error))
    return NULL;

  return G_SOCKET_CONNECTABLE (g_unix_socket_address_new_with_type (path, -1, type));
}

/* A name that a resolver may be asked for: letters of any language, digits, '-', '.' and '_'. */
static gboolean
check_name (const char  *host,
            GError     **error)
{
  const char *place;

  if (!g_utf8_validate (host, -1, NULL))
    return set_invalid (error, "the host's name is not UTF-8");

  for (place = host; *place != 0; place = g_utf8_next_char (place))
    if (!g_ascii_isalnum (*place) && strchr ("-._", *place) == NULL && !g_unichar_isalnum (g_utf8_get_char (place)) &&
        !g_unichar_ismark (g_utf8_get_char (place)))
      return set_invalid (error, "the host's name has a character that does not belong there");

  if (host[0] == '-' || host[0] == '.')
    return set_invalid (error, "the host's name begins with \"%c\"", host[0]);
  return TRUE;
}

GSocketConnectable *
mp_address_new_tcp (const char      *host,
                    guint            port,
                    MpAddressFlags   flags,
                    GError         **error)
{
  GSocketAddress *address;

  if (*host == 0)
    {
      set_invalid (error, "the host is missing: 0.0.0.0 or [::] stand for all addresses of this machine");
      return NULL;
    }
  if (strlen (host) > MP_ADDRESS_MAX_HOST)
    {
      set_invalid (error, "the host's name has more than %d bytes", MP_ADDRESS_MAX_HOST);
      return NULL;
    }
  if (port > G_MAXUINT16 || (port == 0 && !(flags & MP_ADDRESS_FLAGS_LISTEN)))
    {
      set_invalid (error, "there is no port %u to connect to", port);
      return NULL;
    }

  /* Nothing is looked up: it takes numbers only. */
  address = g_inet_socket_address_new_from_string (host, port);
  if (address != NULL)
    return G_SOCKET_CONNECTABLE (address);
  if (strchr (host, ':') != NULL)
    {
      set_invalid (error, "the host is no IPv6 address");
      return NULL;
    }
  return check_name (host, error) ? g_network_address_new (host, port) : NULL;
}

/* Decimal digits and nothing else: what strtoul() takes beside them is no port. */
static gboolean
parse_port (const char  *text,
            guint       *port,
            GError     **error)
{
  guint64 number;

  if (!g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT16, &number, NULL) || strlen (text) > 5)
    return set_invalid (error, "the port is no number from 0 to %d", G_MAXUINT16);

  *port = number;
  return TRUE;
}

static GSocketConnectable *
parse_tcp (const char      *text,
           MpAddressFlags   flags,
           GError         **error)
{
  const char *colon = strrchr (text, ':');
  g_autofree char *host = NULL;
  gboolean bracketed;
  guint port = 0;

  if (colon == NULL || strchr (colon, ']') != NULL)
    {
      set_invalid (error, "the port is missing: tcp:HOST:PORT");
      return NULL;
    }

  bracketed = colon - text >= 2 && text[0] == '[' && colon[-1] == ']';
  host = bracketed ? g_strndup (text + 1, colon - text - 2) : g_strndup (text, colon - text);
  if (!bracketed && strchr (host, ':') != NULL)
    {
      set_invalid (error, "an IPv6 address stands in brackets: tcp:[::1]:PORT");
      return NULL;
    }
  if (bracketed && strchr (host, ':') == NULL)
    {
      set_invalid (error, "only an IPv6 address stands in brackets");
      return NULL;
    }

  return parse_port (colon + 1, &port, error) ? mp_address_new_tcp (host, port, flags, error) : NULL;
}

GSocketConnectable *
mp_address_parse (const char      *text,
                  MpAddressFlags   flags,
                  GError         **error)
{
  if (g_str_has_prefix (text, "tcp:"))
    return parse_tcp (text + strlen ("tcp:"), flags, error);
  if (g_str_has_prefix (text, "unix:"))
    return parse_unix (text + strlen ("unix:"), G_UNIX_SOCKET_ADDRESS_PATH, flags, error);
  if (g_str_has_prefix (text, "unix-abstract:"))
    return parse_unix (text + strlen ("unix-abstract:"), G_UNIX_SOCKET_ADDRESS_ABSTRACT, flags, error);
  if (strchr (text, '/') != NULL)
    return parse_unix (text, G_UNIX_SOCKET_ADDRESS_PATH, flags, error);

  set_invalid (error, "it is in no form that is known: unix:PATH, a path with a slash, or tcp:HOST:PORT");
  return NULL;
}

gboolean
mp_address_check (GSocketConnectable  *address,
                  MpAddressFlags       flags,
                  GError             **error)
{
  GUnixSocketAddress *unix_address;

  if (!G_IS_UNIX_SOCKET_ADDRESS (address))
    return TRUE;

  unix_address = G_UNIX_SOCKET_ADDRESS (address);
  switch (g_unix_socket_address_get_address_type (unix_address))
    {
    case G_UNIX_SOCKET_ADDRESS_PATH:
      return check_path (g_unix_socket_address_get_path (unix_address), error);
    case G_UNIX_SOCKET_ADDRESS_ABSTRACT:
    case G_UNIX_SOCKET_ADDRESS_ABSTRACT_PADDED:
      return check_abstract (flags, error);
    default:
      return set_invalid (error, "it is the address of a socket without a name");
    }
}

static char *
unix_to_string (GUnixSocketAddress *address)
{
  const char *path = g_unix_socket_address_get_path (address);

  switch (g_unix_socket_address_get_address_type (address))
    {
    case G_UNIX_SOCKET_ADDRESS_PATH:
      return g_strconcat ("unix:", path, NULL);
    case G_UNIX_SOCKET_ADDRESS_ABSTRACT:
    case G_UNIX_SOCKET_ADDRESS_ABSTRACT_PADDED:
      return g_strconcat ("unix-abstract:", path, NULL);
    default:
      return g_strdup ("unix:");
    }
}

static char *
tcp_to_string (const char *host,
               guint       port)
{
  gboolean bracketed = strchr (host, ':') != NULL;

  return g_strdup_printf ("tcp:%s%s%s:%u", bracketed ? "[" : "", host, bracketed ? "]" : "", port);
}

static char *
inet_to_string (GInetSocketAddress *address)
{
  GInetAddress *number = g_inet_socket_address_get_address (address);
  g_autofree char *host = g_inet_address_to_string (number);
  gboolean has_scope = g_inet_address_get_family (number) == G_SOCKET_FAMILY_IPV6;
  guint32 scope = has_scope ? g_inet_socket_address_get_scope_id (address) : 0;
  g_autofree char *whole = scope != 0 ? g_strdup_printf ("%s%%%u", host, scope) : g_strdup (host);

  return tcp_to_string (whole, g_inet_socket_address_get_port (address));
}

char *
mp_address_to_string (GSocketConnectable *address)
{
  if (G_IS_UNIX_SOCKET_ADDRESS (address))
    return unix_to_string (G_UNIX_SOCKET_ADDRESS (address));
  if (G_IS_NETWORK_ADDRESS (address))
    return tcp_to_string (g_network_address_get_hostname (G_NETWORK_ADDRESS (address)),
                          g_network_address_get_port (G_NETWORK_ADDRESS (address)));
  if (G_IS_INET_SOCKET_ADDRESS (address))
    return inet_to_string (G_INET_SOCKET_ADDRESS (address));
  return g_socket_connectable_to_string (address);
}
