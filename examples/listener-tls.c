/* listener-tls.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A server and a client who know each other's certificates, which are in the directory that is the argument; see
 * with-certificates.sh. Nobody between them can read what they say. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static GTlsCertificate *
load_certificate (const char  *directory,
                  const char  *name,
                  GError     **error)
{
  g_autofree char *certificate = g_strdup_printf ("%s/%s.pem", directory, name);
  g_autofree char *key = g_strdup_printf ("%s/%s.key", directory, name);

  return g_tls_certificate_new_from_files (certificate, key, error);
}

/* Who trusts that one certificate, and no other. */
static GTlsDatabase *
load_database (const char  *directory,
               const char  *name,
               GError     **error)
{
  g_autofree char *certificate = g_strdup_printf ("%s/%s.pem", directory, name);

  return g_tls_file_database_new (certificate, error);
}

static void
print_peer (const char   *what,
            MpConnection *connection)
{
  g_autoptr(GTlsCertificate) certificate = NULL;
  g_autofree char *name = NULL;

  g_object_get (connection, "peer-certificate", &certificate, NULL);
  name = g_tls_certificate_get_subject_name (certificate);
  printf ("%s %s\n", what, name);
  fflush (stdout);
}

static MpConnection *
connect_to (const char  *address,
            const char  *directory,
            GError     **error)
{
  g_autoptr(MpClientOptions) options = mp_client_options_new ();
  g_autoptr(GBytes) key = g_bytes_new_static ("secret password", 15);
  g_autoptr(GTlsCertificate) certificate = load_certificate (directory, "client", error);
  g_autoptr(GTlsDatabase) database = certificate != NULL ? load_database (directory, "server", error) : NULL;

  if (database == NULL)
    return NULL;

  mp_client_options_set_authkey (options, key);
  mp_client_options_set_tls (options, TRUE);
  mp_client_options_set_tls_certificate (options, certificate);
  mp_client_options_set_tls_database (options, database);
  return mp_client_connect_to (address, options, -1, NULL, error);
}

static GVariant *
client (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GVariant) message = NULL;
  const char *address, *directory;

  g_variant_get (args, "(&s&s)", &address, &directory);
  connection = connect_to (address, directory, error);
  if (connection == NULL)
    return NULL;

  print_peer ("the server is", connection);
  if (!mp_connection_send (connection, g_variant_new_string ("ready"), -1, NULL, error) ||
      (message = mp_connection_recv (connection, -1, NULL, error)) == NULL)
    return NULL;

  printf ("%s\n", g_variant_get_string (message, NULL));
  return g_variant_new ("()");
}

static MpListener *
listen_with (const char  *directory,
             GError     **error)
{
  g_autoptr(GBytes) key = g_bytes_new_static ("secret password", 15);
  g_autoptr(GTlsCertificate) certificate = load_certificate (directory, "server", error);
  g_autoptr(GTlsDatabase) database = certificate != NULL ? load_database (directory, "client", error) : NULL;

  if (database == NULL)
    return NULL;

  return g_initable_new (MP_TYPE_LISTENER, NULL, error, "address", "tcp:localhost:0", "authkey", key,
                         "tls-certificate", certificate, "tls-database", database, NULL);
}

static gboolean
serve (MpListener  *listener,
       MpProcess   *process,
       GError     **error)
{
  g_autoptr(MpConnection) connection = mp_listener_accept (listener, -1, NULL, error);
  g_autoptr(GVariant) ready = connection != NULL ? mp_connection_recv (connection, -1, NULL, error) : NULL;

  if (ready == NULL)
    return FALSE;

  print_peer ("connection accepted from", connection);
  return mp_connection_send (connection, g_variant_new_string ("nobody else has read this"), -1, NULL, error) &&
         mp_process_join (process, -1, NULL, error);
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(MpListener) listener = NULL;
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  if (argc != 2)
    {
      fprintf (stderr, "usage: %s DIRECTORY\n", argv[0]);
      return EXIT_FAILURE;
    }

  listener = listen_with (argv[1], &error);
  if (listener != NULL)
    process = mp_process_new (MP_FUNCTION (client),
                              g_variant_new ("(ss)", mp_listener_get_address (listener), argv[1]));
  if (listener == NULL || !mp_process_start (process, -1, NULL, &error) || !serve (listener, process, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return mp_process_get_exit_status (process);
}
