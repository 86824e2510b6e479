/* listener-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of listeners have in common. */
#pragma once

#include "connection-test.h"

#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/channel/mp-connection-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEY "the key"

/* For sockets; empty again at the end. */
static char *folder;

static inline char *
make_path (void)
{
  static guint n;

  return g_strdup_printf ("%s/%u", folder, n++);
}

/* Instead of g_test_run(). */
static inline int
run_in_folder (const char *name)
{
  g_autoptr(GError) error = NULL;
  int status;

  folder = g_dir_make_tmp (name, &error);
  g_assert_no_error (error);
  status = g_test_run ();
  if (g_rmdir (folder) < 0)
    g_error ("%s is not empty", folder);
  g_free (folder);
  return status;
}

/* A client in a thread of its own. */
typedef struct
{
  GThread        *thread;
  GSocketAddress *address;
  const char     *key;         /* (nullable) */
  gboolean        allow_md5;
  MpConnection   *connection;  /* (nullable): when all went well */
  GError         *error;
} Client;

/* Of this process, in microseconds. */
static inline gint64
get_cpu_time (void)
{
  struct timespec spent;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &spent);
  return spent.tv_sec * G_USEC_PER_SEC + spent.tv_nsec / 1000;
}

static inline GBytes *
make_key (const char *key)
{
  return key != NULL ? g_bytes_new (key, strlen (key)) : NULL;
}

static inline int
dial (GSocketAddress *address)
{
  struct sockaddr_storage native;
  g_autoptr(GError) error = NULL;
  int fd;

  g_socket_address_to_native (address, &native, sizeof native, &error);
  g_assert_no_error (error);
  fd = socket (native.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (fd, >=, 0);
  if (connect (fd, (struct sockaddr *) &native, g_socket_address_get_native_size (address)) < 0)
    g_error ("connect: %s", g_strerror (errno));
  return fd;
}

static inline int
dial_listener (MpListener *listener)
{
  return dial (mp_listener_get_socket_address (listener));
}

static inline gboolean
show_key (int          fd,
          const char  *key,
          gboolean     allow_md5,
          GError     **error)
{
  g_autoptr(GBytes) bytes = make_key (key);
  g_autoptr(MpAuth) auth = mp_auth_new (MP_AUTH_CLIENT, bytes, allow_md5, error);
  GIOCondition condition = 0;
  GError *local_error = NULL;
  gboolean ok;

  g_assert_nonnull (auth);
  while (!(ok = mp_auth_run (auth, fd, &condition, &local_error)) && local_error == NULL)
    {
      struct pollfd polled = { fd, condition, 0 };

      g_assert_cmpint (poll (&polled, 1, 60000), ==, 1);
    }
  if (local_error != NULL)
    g_propagate_error (error, local_error);
  return ok;
}

static inline gpointer
client_thread (gpointer data)
{
  Client *self = data;
  g_autoptr(GMainContext) context = g_main_context_new ();
  int fd = dial (self->address);

  g_main_context_push_thread_default (context);
  if (self->key == NULL || show_key (fd, self->key, self->allow_md5, &self->error))
    self->connection = mp_connection_new_stream (fd, MP_CONNECTION_DUPLEX, 1 << 26);
  else
    close (fd);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static inline Client *
client_start (MpListener *listener,
              const char *key,
              gboolean    allow_md5)
{
  Client *self = g_new0 (Client, 1);

  self->address = g_object_ref (mp_listener_get_socket_address (listener));
  self->key = key;
  self->allow_md5 = allow_md5;
  self->thread = g_thread_new ("client", client_thread, self);
  return self;
}

static inline void
client_join (Client *self)
{
  if (self->thread != NULL)
    g_thread_join (g_steal_pointer (&self->thread));
}

static inline void
client_free (Client *self)
{
  client_join (self);
  g_clear_object (&self->connection);
  g_clear_object (&self->address);
  g_clear_error (&self->error);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Client, client_free)

static inline MpListener *
listen_ok (const char *address,
           const char *key)
{
  g_autoptr(GBytes) bytes = make_key (key);
  g_autoptr(GError) error = NULL;
  MpListener *listener = mp_listener_new (address, bytes, &error);

  g_assert_no_error (error);
  g_assert_nonnull (mp_listener_get_address (listener));
  g_assert_cmpint (mp_listener_get_fd (listener), >=, 0);
  return listener;
}

static inline MpConnection *
accept_ok (MpListener *listener)
{
  g_autoptr(GError) error = NULL;
  MpConnection *connection = mp_listener_accept (listener, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  return connection;
}

static inline void
assert_accept_fails (MpListener *listener,
                     gint64      timeout_us,
                     GQuark      domain,
                     int         code)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_listener_accept (listener, timeout_us, NULL, &error));
  g_assert_error (error, domain, code);
}

/* Both ways. */
static inline void
exchange (MpConnection *first,
          MpConnection *second)
{
  send_ok (first, g_variant_new ("(si)", "there", 1));
  recv_ok (second, "('there', 1)");
  send_ok (second, g_variant_new_string ("back"));
  recv_ok (first, "'back'");
}

static inline void
count_cb (MpListener *listener,
          GError     *error,
          gpointer    user_data)
{
  GPtrArray *errors = user_data;

  g_assert_nonnull (error);
  g_ptr_array_add (errors, g_error_copy (error));
}

/* The failures that are told. */
static inline GPtrArray *
watch_failures (MpListener *listener)
{
  GPtrArray *errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);

  g_signal_connect_data (listener, "client-failed", G_CALLBACK (count_cb), g_ptr_array_ref (errors),
                         (GClosureNotify) (void (*) (void)) g_ptr_array_unref, 0);
  return errors;
}

static inline guint
count_files (const char *path)
{
  g_autoptr(GDir) directory = g_dir_open (path, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (directory) != NULL)
    n++;
  return n;
}
