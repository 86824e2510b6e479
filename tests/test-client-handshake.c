/* test-client-handshake.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clients, and what the other side does once it has taken the connection. */

#include "config.h"

#include "client-test.h"

#include <signal.h>
#include <sys/wait.h>

typedef struct
{
  Server       *server;
  const char   *key;
  MpConnection *connection;   /* what came of it … */
  GError       *error;        /* … or why nothing did */
} Other;

static gpointer
shake_hands (gpointer data)
{
  Other *other = data;

  other->connection = server_shake_hands (other->server, other->key, &other->error);
  return NULL;
}

static void
test_keys (gconstpointer data)
{
  gboolean tcp = GPOINTER_TO_INT (data);
  g_autoptr(MpClientOptions) options = options_with_key ("the key");
  g_autoptr(GError) error = NULL;
  MpConnection *client;
  Server server;
  Other other = { &server, "the key", NULL, NULL };
  GThread *thread;

  server_open (&server, tcp ? AF_INET : AF_UNIX, 5);
  thread = g_thread_new ("other", shake_hands, &other);
  client = connect_ok (server.address, options);
  g_thread_join (thread);
  g_assert_no_error (other.error);
  send_ok (client, g_variant_new_int32 (1));
  recv_ok (other.connection, "1");
  g_assert_finalize_object (client);
  g_assert_finalize_object (other.connection);

  other.key = "another";
  other.connection = NULL;
  thread = g_thread_new ("other", shake_hands, &other);
  g_assert_null (mp_client_connect_to (server.address, options, LONG_TIME, NULL, &error));
  g_thread_join (thread);
  g_assert_error (error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_assert_nonnull (strstr (error->message, server.address));
  g_assert_null (strstr (error->message, "the key"));
  g_assert_error (other.error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_clear_error (&other.error);
  server_close (&server);
}

static void
test_empty_key (void)
{
  g_autoptr(MpClientOptions) options = options_with_key ("");
  g_autoptr(GError) error = NULL;
  Server server;

  server_open (&server, AF_UNIX, 5);
  g_assert_null (mp_client_connect_to (server.address, options, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  server_close (&server);
}

/* One that takes the connection and says nothing: time, cancellable, interruption. */
static gpointer
cancel (gpointer data)
{
  Server *server = ((gpointer *) data)[0];
  int fd = server_accept (server);

  g_cancellable_cancel (((gpointer *) data)[1]);
  return GINT_TO_POINTER (fd);
}

static void
test_silence (void)
{
  g_autoptr(MpClientOptions) options = options_with_key ("the key");
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  gpointer data[2];
  GThread *thread;
  Server server;
  int fds[2];

  server_open (&server, AF_UNIX, 5);
  g_assert_null (mp_client_connect_to (server.address, options, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, server.address));
  g_clear_error (&error);
  close (server_accept (&server));
  g_assert_null (mp_client_connect_to (server.address, options, 10000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  close (server_accept (&server));

  data[0] = &server;
  data[1] = cancellable;
  thread = g_thread_new ("cancel", cancel, data);
  g_assert_null (mp_client_connect_to (server.address, options, -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  close (GPOINTER_TO_INT (g_thread_join (thread)));
  g_assert_null (mp_client_connect_to (server.address, options, -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  g_cancellable_reset (cancellable);
  mp_client_connect_to_async (server.address, options, cancellable, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  close (server_accept (&server));
  g_assert_null (result);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_client_connect_to_finish (result, &error));
  g_assert_true (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ||
                 g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED));
  g_clear_error (&error);

  g_assert_cmpint (pipe (fds), ==, 0);
  g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
  mp_set_interrupt_fd (fds[0]);
  g_assert_null (mp_client_connect_to (server.address, options, -1, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);
  mp_set_interrupt_fd (-1);
  close (fds[0]);
  close (fds[1]);
  server_close (&server);
}

/* A process that listens, takes a client, sends @n bytes of @data, and is killed, or ends. */
static pid_t
start_rude (Server       *server,
            gconstpointer data,
            gsize         n,
            gboolean      dies)
{
  pid_t pid = fork ();
  int fd;

  if (pid != 0)
    return pid;

  fd = accept (server->fd, NULL, NULL);
  if (fd < 0 || write (fd, data, n) != (gssize) n)
    _exit (1);
  if (dies)
    kill (getpid (), SIGKILL);
  for (;;)
    pause ();
}

static void
check_rude (gconstpointer data,
            gsize         n,
            gboolean      dies,
            GQuark        domain,
            int           code)
{
  g_autoptr(MpClientOptions) options = options_with_key ("the key");
  g_autoptr(GError) error = NULL;
  Server server;
  pid_t pid;

  server_open (&server, AF_UNIX, 5);
  pid = start_rude (&server, data, n, dies);
  g_assert_null (mp_client_connect_to (server.address, options, LONG_TIME, NULL, &error));
  g_assert_error (error, domain, code);
  kill (pid, SIGKILL);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  server_close (&server);
}

static void
test_rude (void)
{
  static const char hello[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
  static const guint8 large[] = { 0, 0, 2, 0, '#' };
  static const guint8 short_challenge[] = "\0\0\0\x0e#CHALLENGE#abc";
  static const guint8 half[] = "\0\0\0\x3b#CHALL";

  check_rude (hello, sizeof hello - 1, FALSE, MP_ERROR, MP_ERROR_PROTOCOL);
  check_rude (large, sizeof large, FALSE, MP_ERROR, MP_ERROR_PROTOCOL);
  check_rude (short_challenge, sizeof short_challenge - 1, FALSE, MP_ERROR, MP_ERROR_AUTHENTICATION);
  check_rude ("", 0, TRUE, G_IO_ERROR, G_IO_ERROR_CLOSED);
  check_rude (half, 2, TRUE, G_IO_ERROR, G_IO_ERROR_CLOSED);
  check_rude (half, sizeof half - 1, TRUE, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* Somebody's own kind of address. */
typedef struct
{
  GSocketAddressEnumerator parent_instance;
  GSocketAddress          *addresses[3];   /* (owned) (nullable) */
  guint                    next;
  gboolean                 stalls;
  gboolean                 goes_on;        /* with the first one */
} Addresses;

typedef GSocketAddressEnumeratorClass AddressesClass;

typedef struct
{
  GObject    parent_instance;
  Addresses *addresses;   /* (owned): for one enumeration */
} Place;

typedef GObjectClass PlaceClass;

static GType addresses_get_type (void);
static GType place_get_type (void);
static void place_connectable_init (GSocketConnectableIface *iface);

G_DEFINE_TYPE (Addresses, addresses, G_TYPE_SOCKET_ADDRESS_ENUMERATOR)
G_DEFINE_TYPE_WITH_CODE (Place, place, G_TYPE_OBJECT,
                         G_IMPLEMENT_INTERFACE (G_TYPE_SOCKET_CONNECTABLE, place_connectable_init))

static gboolean
look_up_cancelled_cb (GCancellable *cancellable,
                      gpointer      user_data)
{
  g_task_return_error_if_cancelled (user_data);
  return G_SOURCE_REMOVE;
}

static void
addresses_next_async (GSocketAddressEnumerator *enumerator,
                      GCancellable             *cancellable,
                      GAsyncReadyCallback       callback,
                      gpointer                  user_data)
{
  Addresses *self = (Addresses *) enumerator;
  g_autoptr(GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr(GSource) source = NULL;

  if (!self->stalls)
    {
      GSocketAddress *address = self->addresses[self->next];

      if (address != NULL && !self->goes_on)
        self->next++;
      g_task_return_pointer (task, address != NULL ? g_object_ref (address) : NULL, g_object_unref);
      return;
    }

  source = g_cancellable_source_new (cancellable);
  g_task_attach_source (task, source, G_SOURCE_FUNC (look_up_cancelled_cb));
}

static GSocketAddress *
addresses_next_finish (GSocketAddressEnumerator  *enumerator,
                       GAsyncResult              *result,
                       GError                   **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
addresses_finalize (GObject *object)
{
  Addresses *self = (Addresses *) object;
  guint i;

  for (i = 0; i < G_N_ELEMENTS (self->addresses); i++)
    g_clear_object (&self->addresses[i]);
  G_OBJECT_CLASS (addresses_parent_class)->finalize (object);
}

static void
addresses_class_init (AddressesClass *klass)
{
  klass->next_async = addresses_next_async;
  klass->next_finish = addresses_next_finish;
  G_OBJECT_CLASS (klass)->finalize = addresses_finalize;
}

static void
addresses_init (Addresses *self)
{
}

static GSocketAddressEnumerator *
place_enumerate (GSocketConnectable *connectable)
{
  return g_object_ref (G_SOCKET_ADDRESS_ENUMERATOR (((Place *) connectable)->addresses));
}

static void
place_connectable_init (GSocketConnectableIface *iface)
{
  iface->enumerate = place_enumerate;
}

static void
place_finalize (GObject *object)
{
  g_clear_object (&((Place *) object)->addresses);
  G_OBJECT_CLASS (place_parent_class)->finalize (object);
}

static void
place_class_init (PlaceClass *klass)
{
  klass->finalize = place_finalize;
}

static void
place_init (Place *self)
{
  self->addresses = g_object_new (addresses_get_type (), NULL);
}

static Place *
place_new (const char *first,
           const char *second,
           gboolean    stalls)
{
  Place *self = g_object_new (place_get_type (), NULL);

  if (first != NULL)
    self->addresses->addresses[0] = g_unix_socket_address_new (first);
  if (second != NULL)
    self->addresses->addresses[1] = g_unix_socket_address_new (second);
  self->addresses->stalls = stalls;
  return self;
}

static void
test_several_addresses (void)
{
  g_autofree char *missing = g_strconcat (server_folder, "/missing", NULL);
  g_autofree char *missing_too = g_strconcat (server_folder, "/missing-too", NULL);
  g_autoptr(GError) error = NULL;
  MpConnection *client;
  Server server;
  Place *place;

  server_open (&server, AF_UNIX, 5);
  place = place_new (missing, server.path, FALSE);
  client = mp_client_connect (G_SOCKET_CONNECTABLE (place), NULL, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_finalize_object (client);
  g_assert_finalize_object (place);

  place = place_new (missing, missing_too, FALSE);
  g_assert_null (mp_client_connect (G_SOCKET_CONNECTABLE (place), NULL, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, missing_too));
  g_clear_error (&error);
  g_assert_finalize_object (place);

  place = place_new (NULL, NULL, FALSE);
  g_assert_null (mp_client_connect (G_SOCKET_CONNECTABLE (place), NULL, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_finalize_object (place);
  server_close (&server);
}

/* A look-up ends with the call, and leaves nothing behind. */
static void
test_look_up (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  Place *place = place_new (NULL, NULL, TRUE);

  g_assert_null (mp_client_connect (G_SOCKET_CONNECTABLE (place), NULL, 10000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  mp_client_connect_async (G_SOCKET_CONNECTABLE (place), NULL, cancellable, keep_result_cb, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (mp_client_connect_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_clear_object (&result);
  g_assert_finalize_object (place);
}

/* A name whose addresses never come to an end, and none of which can be had. */
static void
test_endless (void)
{
  g_autofree char *missing = g_strconcat (server_folder, "/missing", NULL);
  g_autoptr(GError) error = NULL;
  Place *place = place_new (missing, NULL, FALSE);

  place->addresses->goes_on = TRUE;
  g_assert_null (mp_client_connect (G_SOCKET_CONNECTABLE (place), NULL, 10000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_finalize_object (place);
}

int
main (int   argc,
      char *argv[])
{
  int status;

  g_test_init (&argc, &argv, NULL);
  server_folder = g_dir_make_tmp ("mp-client-XXXXXX", NULL);

  g_test_add_data_func ("/client/handshake/keys/unix", GINT_TO_POINTER (FALSE), test_keys);
  g_test_add_data_func ("/client/handshake/keys/tcp", GINT_TO_POINTER (TRUE), test_keys);
  g_test_add_func ("/client/handshake/empty-key", test_empty_key);
  g_test_add_func ("/client/handshake/silence", test_silence);
  g_test_add_func ("/client/handshake/rude", test_rude);
  g_test_add_func ("/client/several-addresses", test_several_addresses);
  g_test_add_func ("/client/look-up", test_look_up);
  g_test_add_func ("/client/endless", test_endless);

  status = g_test_run ();
  g_rmdir (server_folder);
  g_free (server_folder);
  return status;
}
