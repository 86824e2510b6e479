/* test-system-calls.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pipes, listeners and clients whose system calls fail, each one once: interrupted, which nobody notices; or for want
 * of memory, buffers or descriptors, which is an error that says so, and after which no message is lost or there twice
 * unless the connection is of no use any more. Nothing hangs. */

#include "config.h"

#include "instrument-test.h"
#include "listener-test.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define N_TRIES 4

typedef struct
{
  const char *call;
  int         error;
} Fault;

static Fault fault;
static int   countdown;       /* atomic: 1: the next such call fails; below, it has */

/* Calls of the library's, which is part of this program; GLib's are let alone. */
extern const char __executable_start[], etext[];

static gboolean
fails (const char    *call,
       gconstpointer  caller)
{
  if ((const char *) caller < __executable_start || (const char *) caller >= etext ||
      g_atomic_int_get (&countdown) <= 0 || strcmp (call, fault.call) != 0 || g_atomic_int_add (&countdown, -1) != 1)
    return FALSE;
  errno = fault.error;
  return TRUE;
}

static gpointer
find_next (gpointer   *place,
           const char *name)
{
  gpointer next = g_atomic_pointer_get (place);

  if (next == NULL)
    {
      next = dlsym (RTLD_NEXT, name);
      g_atomic_pointer_set (place, next);
    }
  return next;
}

#define CALL(type, name, params, args) \
  type name params \
  { \
    static gpointer place; \
    type (* next) params = (type (*) params) find_next (&place, #name); \
    return fails (#name, __builtin_return_address (0)) ? -1 : next args; \
  }

CALL (ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
CALL (ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
CALL (int, epoll_wait, (int fd, struct epoll_event *events, int n, int timeout), (fd, events, n, timeout))
CALL (int, ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
      (fds, n, timeout, mask))
CALL (int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags), (fd, address, size, flags))
CALL (int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
CALL (int, socket, (int family, int type, int protocol), (family, type, protocol))
CALL (int, socketpair, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds))
CALL (int, memfd_create, (const char *name, unsigned int flags), (name, flags))
CALL (int, eventfd, (unsigned int value, int flags), (value, flags))

void *
mmap (void  *address,
      size_t size,
      int    protection,
      int    flags,
      int    fd,
      off_t  offset)
{
  static gpointer place;
  void *(* next) (void *, size_t, int, int, int, off_t) = find_next (&place, "mmap");

  return fails ("mmap", __builtin_return_address (0)) ? MAP_FAILED : next (address, size, protection, flags, fd, offset);
}

/* EINTR is to be noticed by nobody; what else there is, is an error of the call at most. Noted by all threads. */
static guint n_noted;   /* atomic */

static void
note (GError *error)
{
  g_assert_nonnull (error);
  g_assert_false (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT));
  if (fault.error == EINTR)
    g_assert_no_error (error);
  g_atomic_int_inc (&n_noted);
}

static gboolean
send_number_ok (MpConnection *connection,
                guint32       number)
{
  guint i;

  for (i = 0; i < N_TRIES; i++)
    {
      g_autoptr(GError) error = NULL;

      if (mp_connection_send (connection, g_variant_new_uint32 (number), LONG_TIME, NULL, &error))
        return TRUE;
      note (error);
    }
  return FALSE;
}

static gboolean
recv_number_ok (MpConnection *connection,
                guint32       expected)
{
  guint i;

  for (i = 0; i < N_TRIES; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_connection_recv (connection, LONG_TIME, NULL, &error);

      if (value != NULL)
        {
          g_assert_cmpuint (g_variant_get_uint32 (value), ==, expected);
          return TRUE;
        }
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
        return FALSE;
      note (error);
    }
  return FALSE;
}

static gpointer
echo_thread (gpointer data)
{
  g_autoptr(MpConnection) connection = data;
  guint32 number = 0;

  while (recv_number_ok (connection, number) && send_number_ok (connection, number))
    number++;
  mp_connection_close (connection, NULL);
  return NULL;
}

/* As long as it is of use. Takes both. */
static void
converse (MpConnection *connection,
          MpConnection *other,
          guint         n)
{
  GThread *thread = g_thread_new ("echo", echo_thread, other);
  guint32 i;

  for (i = 0; i < n; i++)
    if (!send_number_ok (connection, i) || !recv_number_ok (connection, i))
      break;
  if (i < n)
    g_assert_cmpuint (g_atomic_int_get (&n_noted), >, 0);
  mp_connection_close (connection, NULL);
  g_object_unref (connection);
  g_thread_join (thread);
}

static void
try_pipe (void)
{
  MpConnection *first = NULL, *second;

  while (first == NULL)
    {
      g_autoptr(GError) error = NULL;

      if (!mp_pipe_new (TRUE, &first, &second, &error))
        note (error);
    }
  converse (first, second, 100);   /* so many that shared memory comes into use */
}

/* What this process has no room for is lost, and nothing behind it. */
static void
try_objects (void)
{
  MpConnection *first, *second;
  g_autoptr(GError) error = NULL;
  guint32 i, number;

  if (!mp_pipe_new (TRUE, &first, &second, &error))
    {
      note (error);
      return;
    }
  for (i = 0; i < 5; i++)
    {
      g_autoptr(MpArray) array = mp_array_new (G_VARIANT_TYPE_INT32, 1000, &error);
      g_autoptr(MpQueue) queue = mp_queue_new (0, 0);
      g_autoptr(GVariant) queue_handle = mp_shareable_to_variant (MP_SHAREABLE (queue));
      g_autoptr(GVariant) array_handle = NULL, received = NULL;

      if (array != NULL)
        array_handle = mp_shareable_to_variant (MP_SHAREABLE (array));
      if (array != NULL && mp_connection_send (first, g_variant_new ("(u@h@h)", i, array_handle, queue_handle), LONG_TIME,
                                               NULL, &error))
        received = mp_connection_recv (second, LONG_TIME, NULL, &error);
      if (received != NULL)
        {
          g_variant_get (received, "(uhh)", &number, NULL, NULL);
          g_assert_cmpuint (number, ==, i);
        }
      else
        {
          note (error);
          g_assert_false (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED));
          g_assert_false (g_error_matches (error, MP_ERROR, MP_ERROR_PROTOCOL));
          g_clear_error (&error);
        }
    }
  g_assert_cmpuint (n_noted, <=, 1);
  g_assert_finalize_object (first);
  g_assert_finalize_object (second);
}

static gpointer
connect_thread (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(GBytes) key = make_key (KEY);
  g_autoptr(MpClientOptions) options = g_object_new (MP_TYPE_CLIENT_OPTIONS, "authkey", key, NULL);
  MpConnection *connection = NULL;
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; connection == NULL && i < N_TRIES; i++)
    {
      g_autoptr(GError) error = NULL;

      connection = mp_client_connect_to (data, options, LONG_TIME, NULL, &error);
      if (connection == NULL)
        note (error);
    }
  g_main_context_pop_thread_default (context);
  g_assert_nonnull (connection);
  return connection;
}

static MpListener *
listen_again (const char *address)
{
  g_autoptr(GBytes) key = make_key (KEY);
  MpListener *listener = NULL;

  while (listener == NULL)
    {
      g_autoptr(GError) error = NULL;

      listener = mp_listener_new (address, key, &error);
      if (listener == NULL)
        note (error);
    }
  return listener;
}

static MpConnection *
accept_again (MpListener *listener)
{
  MpConnection *connection = NULL;

  while (connection == NULL)
    {
      g_autoptr(GError) error = NULL;

      connection = mp_listener_accept (listener, LONG_TIME, NULL, &error);
      if (connection == NULL)
        note (error);
    }
  return connection;
}

/* Whose client has failed after it was let in. */
static gboolean
is_left (MpConnection *connection,
         MpConnection *client)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;

  if (g_atomic_int_get (&n_noted) == 0)
    return FALSE;
  if (!mp_connection_send (client, g_variant_new_uint32 (0), LONG_TIME, NULL, NULL))
    return FALSE;
  value = mp_connection_recv (connection, LONG_TIME, NULL, &error);
  return value == NULL && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

static void
try_listener (const char *address)
{
  g_autoptr(MpListener) listener = listen_again (address);
  g_autoptr(MpConnection) connection = NULL;
  MpConnection *client;
  GThread *thread;

  thread = g_thread_new ("client", connect_thread, (gpointer) mp_listener_get_address (listener));
  connection = accept_again (listener);
  client = g_thread_join (thread);
  if (g_atomic_int_get (&n_noted) == 0)
    {
      converse (client, g_steal_pointer (&connection), 5);
      return;
    }

  if (is_left (connection, client))
    {
      g_object_unref (connection);
      connection = accept_again (listener);
      g_assert_false (is_left (connection, client));
    }
  g_object_unref (client);
}

static void
try_local (void)
{
  try_listener (NULL);
}

static void
try_tcp (void)
{
  try_listener ("tcp:127.0.0.1:0");
}

static const Fault faults[] = {
  { "sendmsg", EINTR }, { "sendmsg", ENOBUFS }, { "recvmsg", EINTR },
  { "epoll_wait", EINTR }, { "ppoll", EINTR }, { "ppoll", ENOMEM },
  { "accept4", EINTR }, { "accept4", ECONNABORTED }, { "accept4", EMFILE }, { "accept4", ENOBUFS },
  { "connect", EINTR }, { "connect", ENOMEM }, { "socket", EMFILE }, { "socketpair", EMFILE },
  { "memfd_create", EMFILE }, { "memfd_create", ENOMEM }, { "eventfd", EMFILE },
  { "mmap", ENOMEM },
};

/* Each call fails once: of many, ever fewer. */
static void
test_faults (gconstpointer data)
{
  void (* try) (void) = data;
  guint i, at;

  for (i = 0; i < G_N_ELEMENTS (faults); i++)
    for (at = 1;; at += is_slow () ? 2 * at : 1 + at / 6)
      {
        fault = faults[i];
        n_noted = 0;
        g_atomic_int_set (&countdown, at);
        try ();
        if (g_atomic_int_get (&countdown) > 0)
          break;
      }
  g_atomic_int_set (&countdown, 0);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/system-calls/pipe", try_pipe, test_faults);
  g_test_add_data_func ("/system-calls/objects", try_objects, test_faults);
  g_test_add_data_func ("/system-calls/listener", try_local, test_faults);
  g_test_add_data_func ("/system-calls/listener-tcp", try_tcp, test_faults);

  return g_test_run ();
}
