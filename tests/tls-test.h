/* tls-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of TLS have in common: certificates, made anew by the program openssl, which are valid or are not. */
#pragma once

#include <mp-glib/mp-glib.h>

#include <glib/gstdio.h>

static char *certificates_directory;

static inline gboolean
skip (void)
{
  if (certificates_directory == NULL)
    g_test_skip ("GIO's TLS or the program openssl is not there");
  return certificates_directory == NULL;
}

static inline char *
certificate_path (const char *name)
{
  return g_build_filename (certificates_directory, name, NULL);
}

static inline void
run_openssl (const char *arguments)
{
  g_autofree char *command = g_strconcat ("openssl ", arguments, NULL);
  g_auto(GStrv) argv = g_strsplit (command, " ", -1);
  g_autofree char *errors = NULL;
  g_autoptr(GError) error = NULL;
  int status = 0;

  g_spawn_sync (certificates_directory, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &errors, &status, &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("%s: %s", command, errors);
}

static inline void
make_authority (const char *name)
{
  g_autofree char *arguments = NULL;

  arguments = g_strdup_printf ("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
                               "-subj /CN=%s -keyout %s.key -out %s.pem", name, name, name);
  run_openssl (arguments);
}

/* For the name localhost and the address 127.0.0.1, unless @extension says otherwise. */
static inline void
make_certificate (const char *name,
                  const char *authority,
                  const char *subject,
                  int         days)
{
  g_autofree char *extension = g_strconcat (certificates_directory, "/", name, ".ext", NULL);
  g_autofree char *text = g_strdup_printf ("subjectAltName=%s\n", subject);
  g_autofree char *request = NULL, *sign = NULL;

  g_assert_true (g_file_set_contents (extension, text, -1, NULL));
  request = g_strdup_printf ("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=%s -keyout %s.key "
                             "-out %s.csr", name, name, name);
  sign = g_strdup_printf ("x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days %d -extfile %s.ext "
                          "-out %s.pem", name, authority, authority, days, name, name);
  run_openssl (request);
  run_openssl (sign);
}

/* FALSE: this machine has no TLS to be tested, and the tests are to be skipped. */
static inline gboolean
certificates_make (void)
{
  g_autofree char *program = g_find_program_in_path ("openssl");

  if (program == NULL || !g_tls_backend_supports_tls (g_tls_backend_get_default ()))
    return FALSE;

  certificates_directory = g_dir_make_tmp ("mp-tls-XXXXXX", NULL);
  make_authority ("authority");
  make_authority ("stranger");
  make_certificate ("server", "authority", "DNS:localhost,IP:127.0.0.1", 30);
  make_certificate ("elsewhere", "authority", "DNS:elsewhere.example", 30);
  make_certificate ("expired", "authority", "DNS:localhost,IP:127.0.0.1", -1);
  make_certificate ("strange", "stranger", "DNS:localhost,IP:127.0.0.1", 30);
  make_certificate ("client", "authority", "DNS:client.example", 30);
  return TRUE;
}

static inline void
certificates_remove (void)
{
  GDir *directory;
  const char *name;

  if (certificates_directory == NULL)
    return;

  directory = g_dir_open (certificates_directory, 0, NULL);
  while ((name = g_dir_read_name (directory)) != NULL)
    {
      g_autofree char *path = certificate_path (name);

      g_unlink (path);
    }
  g_dir_close (directory);
  g_rmdir (certificates_directory);
  g_clear_pointer (&certificates_directory, g_free);
}

static inline GTlsCertificate *
load_certificate (const char *name)
{
  g_autofree char *certificate_file = g_strconcat (certificates_directory, "/", name, ".pem", NULL);
  g_autofree char *key_file = g_strconcat (certificates_directory, "/", name, ".key", NULL);
  g_autoptr(GError) error = NULL;
  GTlsCertificate *certificate = g_tls_certificate_new_from_files (certificate_file, key_file, &error);

  g_assert_no_error (error);
  return certificate;
}

static inline GTlsDatabase *
load_authority (const char *name)
{
  g_autofree char *path = g_strconcat (certificates_directory, "/", name, ".pem", NULL);
  g_autoptr(GError) error = NULL;
  GTlsDatabase *database = g_tls_file_database_new (path, &error);

  g_assert_no_error (error);
  return database;
}
