/* listener-client.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A server that lets in who knows its key, and a client of it. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GBytes *
get_key (void)
{
  return g_bytes_new_static ("secret password", 15);
}

/* What comes from a server may be anything: it is looked at before it is read. */
static gboolean
print_values (GVariant  *values,
              GError   **error)
{
  const char *perhaps, *text, *type;
  double half;

  if (!g_variant_is_of_type (values, G_VARIANT_TYPE ("(dmssg)")))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "Cannot read a value of type %s",
                   g_variant_get_type_string (values));
      return FALSE;
    }

  g_variant_get (values, "(dm&s&s&g)", &half, &perhaps, &text, &type);
  printf ("[%g, %s, '%s', %s]\n", half, perhaps != NULL ? perhaps : "None", text,
          g_str_equal (type, "d") ? "<class 'float'>" : type);
  return TRUE;
}

static GVariant *
client (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(MpClientOptions) options = mp_client_options_new ();
  g_autoptr(GBytes) key = get_key ();
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GVariant) values = NULL;
  g_autoptr(GBytes) bytes = NULL;
  int numbers[5] = { 0 };
  gsize size;

  mp_client_options_set_authkey (options, key);
  connection = mp_client_connect_to (g_variant_get_string (args, NULL), options, -1, NULL, error);
  if (connection == NULL ||
      (values = mp_connection_recv (connection, -1, NULL, error)) == NULL ||
      !print_values (values, error) ||
      (bytes = mp_connection_recv_bytes (connection, -1, NULL, error)) == NULL)
    return NULL;
  printf ("b'%.*s'\n", (int) g_bytes_get_size (bytes), (const char *) g_bytes_get_data (bytes, NULL));

  if (!mp_connection_recv_bytes_into (connection, (guint8 *) numbers, sizeof numbers, &size, -1, NULL, error))
    return NULL;
  printf ("%" G_GSIZE_FORMAT "\narray('i', [%d, %d, %d, %d, %d])\n", size, numbers[0], numbers[1], numbers[2],
          numbers[3], numbers[4]);

  return g_variant_new ("()");
}

static gboolean
serve (MpListener  *listener,
       GError     **error)
{
  static const int numbers[] = { 42, 1729 };
  g_autoptr(MpConnection) connection = mp_listener_accept (listener, -1, NULL, error);
  g_autoptr(GBytes) hello = g_bytes_new_static ("hello", 5);
  g_autoptr(GSocketAddress) last = NULL;
  g_autofree char *host = NULL;

  if (connection == NULL)
    return FALSE;

  last = mp_listener_get_last_accepted (listener);
  host = g_inet_address_to_string (g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (last)));
  printf ("connection accepted from %s\n", host);
  fflush (stdout);

  return mp_connection_send (connection, g_variant_new ("(dmssg)", 2.25, NULL, "junk", "d"), -1, NULL, error) &&
         mp_connection_send_bytes (connection, hello, -1, NULL, error) &&
         mp_connection_send_data (connection, (const guint8 *) numbers, sizeof numbers, -1, NULL, error);
}

int
main (void)
{
  g_autoptr(GBytes) key = get_key ();
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  listener = mp_listener_new ("tcp:localhost:0", key, &error);
  if (listener == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  process = mp_process_new (MP_FUNCTION (client), g_variant_new_string (mp_listener_get_address (listener)));
  if (!mp_process_start (process, -1, NULL, &error) ||
      !serve (listener, &error) ||
      !mp_process_join (process, -1, NULL, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return mp_process_get_exit_status (process);
}
