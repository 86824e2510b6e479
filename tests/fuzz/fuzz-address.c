/* fuzz-address.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text as an address. The first byte of the input holds the flags. What is read must be within bounds, and be the same
 * when it is written and read again. */

#include "config.h"

#include "mp-glib/channel/mp-address-private.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static void
check_bounds (GSocketConnectable *address,
              MpAddressFlags      flags)
{
  guint port = 1;

  if (G_IS_UNIX_SOCKET_ADDRESS (address))
    {
      gsize length = g_unix_socket_address_get_path_len (G_UNIX_SOCKET_ADDRESS (address));

      g_assert_cmpuint (length, >, 0);
      g_assert_cmpuint (length, <=, MP_ADDRESS_MAX_PATH);
      if (!(flags & MP_ADDRESS_FLAGS_ALLOW_ABSTRACT))
        g_assert_cmpint (g_unix_socket_address_get_address_type (G_UNIX_SOCKET_ADDRESS (address)), ==,
                         G_UNIX_SOCKET_ADDRESS_PATH);
    }
  else if (G_IS_INET_SOCKET_ADDRESS (address))
    {
      port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address));
    }
  else
    {
      g_assert_true (G_IS_NETWORK_ADDRESS (address));
      port = g_network_address_get_port (G_NETWORK_ADDRESS (address));
      g_assert_cmpuint (strlen (g_network_address_get_hostname (G_NETWORK_ADDRESS (address))), <=, MP_ADDRESS_MAX_HOST);
    }

  g_assert_true (port > 0 || (flags & MP_ADDRESS_FLAGS_LISTEN));
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autoptr(GSocketConnectable) address = NULL;
  g_autoptr(GSocketConnectable) again = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree char *text = NULL;
  g_autofree char *written = NULL;
  g_autofree char *written_again = NULL;
  MpAddressFlags flags;

  if (size < 1 || size > 4096)
    return 0;

  flags = data[0] & (MP_ADDRESS_FLAGS_ALLOW_ABSTRACT | MP_ADDRESS_FLAGS_LISTEN);
  text = g_strndup ((const char *) data + 1, size - 1);
  address = mp_address_parse (text, flags, &error);
  if (address == NULL)
    {
      g_assert_cmpuint (error->domain, ==, G_IO_ERROR);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      return 0;
    }

  g_assert_no_error (error);
  check_bounds (address, flags);
  g_assert_true (mp_address_check (address, flags, NULL));
  written = mp_address_to_string (address);
  again = mp_address_parse (written, flags, &error);
  g_assert_no_error (error);
  g_assert_cmpint (G_OBJECT_TYPE (again), ==, G_OBJECT_TYPE (address));
  written_again = mp_address_to_string (again);
  g_assert_cmpstr (written_again, ==, written);

  return 0;
}
