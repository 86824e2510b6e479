/* test-address.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/channel/mp-address-private.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

#define PATH_107 "/" "0123456789012345678901234567890123456789012345678901234567890123456789" \
                 "012345678901234567890123456789012345"

static GSocketConnectable *
parse_ok (const char     *text,
          MpAddressFlags  flags)
{
  g_autoptr(GError) error = NULL;
  GSocketConnectable *address = mp_address_parse (text, flags, &error);

  g_assert_no_error (error);
  g_assert_nonnull (address);
  return address;
}

/* Text to address and back: the same, or @canonical. */
static void
check_text (const char *text,
            const char *canonical,
            GType       type)
{
  MpAddressFlags flags = MP_ADDRESS_FLAGS_LISTEN | MP_ADDRESS_FLAGS_ALLOW_ABSTRACT;
  g_autoptr(GSocketConnectable) address = parse_ok (text, flags);
  g_autofree char *back = mp_address_to_string (address);
  g_autoptr(GSocketConnectable) again = parse_ok (back, flags);
  g_autofree char *back_again = mp_address_to_string (again);
  g_autoptr(GError) error = NULL;

  g_assert_true (g_type_is_a (G_OBJECT_TYPE (address), type));
  g_assert_cmpstr (back, ==, canonical != NULL ? canonical : text);
  g_assert_cmpstr (back_again, ==, back);
  g_assert_true (mp_address_check (address, flags, &error));
  g_assert_no_error (error);
}

static void
test_forms (void)
{
  GType unix_type = G_TYPE_UNIX_SOCKET_ADDRESS, inet = G_TYPE_INET_SOCKET_ADDRESS, network = G_TYPE_NETWORK_ADDRESS;

  check_text ("unix:/run/x", NULL, unix_type);
  check_text ("/run/x", "unix:/run/x", unix_type);
  check_text ("./x", "unix:./x", unix_type);
  check_text ("unix:x", NULL, unix_type);
  check_text ("unix:tcp:a:1", NULL, unix_type);
  check_text ("unix:/with space:and\377byte", NULL, unix_type);
  check_text (PATH_107, "unix:" PATH_107, unix_type);
  check_text ("unix-abstract:name", NULL, unix_type);
  check_text ("unix-abstract:/name", NULL, unix_type);
  check_text ("tcp:127.0.0.1:80", NULL, inet);
  check_text ("tcp:0.0.0.0:0", NULL, inet);
  check_text ("tcp:[::1]:65535", NULL, inet);
  check_text ("tcp:[::]:1", NULL, inet);
  check_text ("tcp:[0:0:0:0:0:0:0:1]:00080", "tcp:[::1]:80", inet);
  check_text ("tcp:localhost:5000", NULL, network);
  check_text ("tcp:a-b_c.example:5000", NULL, network);
  check_text ("tcp:bücher.example:5000", NULL, network);
  check_text ("tcp:1.2.3:5", NULL, network);
}

static void
test_contents (void)
{
  g_autoptr(GSocketConnectable) path = parse_ok ("/a/b", MP_ADDRESS_FLAGS_NONE);
  g_autoptr(GSocketConnectable) abstract = parse_ok ("unix-abstract:ab", MP_ADDRESS_FLAGS_ALLOW_ABSTRACT);
  g_autoptr(GSocketConnectable) six = parse_ok ("tcp:[fe80::1%1]:7", MP_ADDRESS_FLAGS_NONE);
  g_autoptr(GSocketConnectable) name = parse_ok ("tcp:localhost:7", MP_ADDRESS_FLAGS_NONE);
  g_autofree char *text = mp_address_to_string (six);

  g_assert_cmpstr (g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (path)), ==, "/a/b");
  g_assert_cmpint (g_unix_socket_address_get_address_type (G_UNIX_SOCKET_ADDRESS (abstract)), ==,
                   G_UNIX_SOCKET_ADDRESS_ABSTRACT);
  g_assert_cmpint (g_socket_address_get_family (G_SOCKET_ADDRESS (six)), ==, G_SOCKET_FAMILY_IPV6);
  g_assert_cmpuint (g_inet_socket_address_get_scope_id (G_INET_SOCKET_ADDRESS (six)), ==, 1);
  g_assert_cmpstr (text, ==, "tcp:[fe80::1%1]:7");
  g_assert_cmpstr (g_network_address_get_hostname (G_NETWORK_ADDRESS (name)), ==, "localhost");
  g_assert_cmpuint (g_network_address_get_port (G_NETWORK_ADDRESS (name)), ==, 7);
}

static void
check_bad (const char     *text,
           MpAddressFlags  flags,
           int             code,
           const char     *what)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_address_parse (text, flags, &error));
  g_assert_error (error, G_IO_ERROR, code);
  g_assert_true (g_str_has_prefix (error->message, "address: "));
  if (strstr (error->message, what) == NULL)
    g_error ("%s: \"%s\" has no \"%s\"", text, error->message, what);
}

static void
test_bad (void)
{
  static const char *const rows[][2] =
    {
      { "", "no form" },
      { "name", "no form" },
      { "TCP:localhost:1", "no form" },
      { "tcp", "no form" },
      { "\\\\.\\pipe\\x", "no form" },
      { "unix:", "empty" },
      { "unix-abstract:", "empty" },
      { PATH_107 "x", "108 bytes" },
      { "unix:" PATH_107 "x", "108 bytes" },
      { "tcp:", "port is missing" },
      { "tcp:localhost", "port is missing" },
      { "tcp:[::1]", "port is missing" },
      { "tcp::5000", "host is missing" },
      { "tcp:localhost:", "port is no number" },
      { "tcp:localhost:-1", "port is no number" },
      { "tcp:localhost:+1", "port is no number" },
      { "tcp:localhost: 1", "port is no number" },
      { "tcp:localhost:1 ", "port is no number" },
      { "tcp:localhost:0x10", "port is no number" },
      { "tcp:localhost:65536", "port is no number" },
      { "tcp:localhost:18446744073709551617", "port is no number" },
      { "tcp:localhost:000001", "port is no number" },
      { "tcp:localhost:http", "port is no number" },
      { "tcp:::1:5000", "in brackets" },
      { "tcp:a:b:1", "in brackets" },
      { "tcp:[]:1", "only an IPv6" },
      { "tcp:[localhost]:1", "only an IPv6" },
      { "tcp:[127.0.0.1]:1", "only an IPv6" },
      { "tcp:[::1:1", "in brackets" },
      { "tcp:[::g]:1", "no IPv6 address" },
      { "tcp:[::1]x:1", "in brackets" },
      { "tcp:[::1%nowhere9]:1", "no IPv6 address" },
      { "tcp:a b:1", "does not belong" },
      { "tcp:a/b:1", "does not belong" },
      { "tcp:user@host:1", "does not belong" },
      { "tcp:a%b:1", "does not belong" },
      { "tcp:a\nb:1", "does not belong" },
      { "tcp:-a:1", "begins with" },
      { "tcp:.a:1", "begins with" },
      { "tcp:\377:1", "UTF-8" },
    };
  g_autofree char *host = g_strnfill (256, 'a');
  g_autofree char *long_host = g_strdup_printf ("tcp:%s:1", host);
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (rows); i++)
    check_bad (rows[i][0], MP_ADDRESS_FLAGS_LISTEN | MP_ADDRESS_FLAGS_ALLOW_ABSTRACT, G_IO_ERROR_INVALID_ARGUMENT,
               rows[i][1]);
  check_bad (long_host, MP_ADDRESS_FLAGS_NONE, G_IO_ERROR_INVALID_ARGUMENT, "255 bytes");
  check_bad ("tcp:localhost:0", MP_ADDRESS_FLAGS_NONE, G_IO_ERROR_INVALID_ARGUMENT, "no port 0");
  check_bad ("unix-abstract:x", MP_ADDRESS_FLAGS_LISTEN, G_IO_ERROR_PERMISSION_DENIED, "allow-abstract");
}

/* Those that were made elsewhere. */
static void
test_check (void)
{
  g_autoptr(GSocketAddress) path = g_unix_socket_address_new ("/x");
  g_autoptr(GSocketAddress) empty = g_unix_socket_address_new ("");
  g_autoptr(GSocketAddress) nameless = g_unix_socket_address_new_with_type ("", 0, G_UNIX_SOCKET_ADDRESS_ANONYMOUS);
  g_autoptr(GSocketAddress) padded =
    g_unix_socket_address_new_with_type ("x", 1, G_UNIX_SOCKET_ADDRESS_ABSTRACT_PADDED);
  g_autoptr(GSocketConnectable) service = g_network_service_new ("x", "tcp", "example.org");
  g_autoptr(GError) error = NULL;
  g_autofree char *text = mp_address_to_string (service);

  g_assert_true (mp_address_check (G_SOCKET_CONNECTABLE (path), MP_ADDRESS_FLAGS_NONE, NULL));
  g_assert_true (mp_address_check (service, MP_ADDRESS_FLAGS_NONE, NULL));
  g_assert_true (mp_address_check (G_SOCKET_CONNECTABLE (padded), MP_ADDRESS_FLAGS_ALLOW_ABSTRACT, NULL));
  g_assert_false (mp_address_check (G_SOCKET_CONNECTABLE (padded), MP_ADDRESS_FLAGS_NONE, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  g_assert_false (mp_address_check (G_SOCKET_CONNECTABLE (empty), MP_ADDRESS_FLAGS_NONE, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (mp_address_check (G_SOCKET_CONNECTABLE (nameless), MP_ADDRESS_FLAGS_NONE, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_nonnull (text);
}

static void
test_pair (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GSocketConnectable) six = mp_address_new_tcp ("::1", 5, MP_ADDRESS_FLAGS_NONE, &error);
  g_autofree char *text = mp_address_to_string (six);

  g_assert_cmpstr (text, ==, "tcp:[::1]:5");
  g_assert_null (mp_address_new_tcp ("localhost", 65536, MP_ADDRESS_FLAGS_LISTEN, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (mp_address_new_tcp ("[::1]", 5, MP_ADDRESS_FLAGS_LISTEN, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/address/forms", test_forms);
  g_test_add_func ("/address/contents", test_contents);
  g_test_add_func ("/address/bad", test_bad);
  g_test_add_func ("/address/check", test_check);
  g_test_add_func ("/address/pair", test_pair);

  return g_test_run ();
}
