/* mp-address-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Addresses of listeners as text:
 *
 *   unix:PATH            a socket in the file system; any path of at most 107 bytes
 *   PATH                 the same, for a path with a slash in it
 *   unix-abstract:NAME   Linux's abstract namespace, where no permissions are
 *   tcp:HOST:PORT        HOST a name, an IPv4 address, or an IPv6 address in brackets; PORT from 0 to 65535
 *
 * Nothing is looked up here. */

typedef enum
{
  MP_ADDRESS_FLAGS_NONE           = 0,
  MP_ADDRESS_FLAGS_ALLOW_ABSTRACT = 1 << 0,
  MP_ADDRESS_FLAGS_LISTEN         = 1 << 1,   /* port 0 stands for any that is free */
} MpAddressFlags;

#define MP_ADDRESS_MAX_PATH 107
#define MP_ADDRESS_MAX_HOST 255

/* A GUnixSocketAddress, a GInetSocketAddress where HOST is a number, a GNetworkAddress where it is a name.
 * G_IO_ERROR_INVALID_ARGUMENT says what is wrong; G_IO_ERROR_PERMISSION_DENIED: abstract and not allowed. */
GSocketConnectable *mp_address_parse     (const char          *text,
                                          MpAddressFlags       flags,
                                          GError             **error);
/* The same for CPython's pair. @host: an IPv6 address without brackets. */
GSocketConnectable *mp_address_new_tcp   (const char          *host,
                                          guint                port,
                                          MpAddressFlags       flags,
                                          GError             **error);
/* Whether one that was made elsewhere may be used. Kinds that are not known here are. */
gboolean            mp_address_check     (GSocketConnectable  *address,
                                          MpAddressFlags       flags,
                                          GError             **error);
/* In the form that mp_address_parse() reads, for those that have one; for others something to be read by humans. */
char               *mp_address_to_string (GSocketConnectable  *address);

G_END_DECLS
