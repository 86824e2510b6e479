/* test-connection-isolated.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a process that is no worker of ours may be sent: of each kind of object, those that are isolated. */

#include "config.h"

#include "connection-test.h"

#include "mp-glib/channel/mp-connection-private.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef gpointer (* Make) (gboolean isolated);

typedef struct
{
  const char *kind;
  Make        make;
  const char *how;        /* (nullable): what the refusal says of those that are isolated */
  gboolean    always;     /* there are no others */
} Kind;

static gpointer
make_lock (gboolean isolated)
{
  return g_object_new (MP_TYPE_LOCK, "isolated", isolated, NULL);
}

static gpointer
make_rlock (gboolean isolated)
{
  return g_object_new (MP_TYPE_RLOCK, "isolated", isolated, NULL);
}

static gpointer
make_semaphore (gboolean isolated)
{
  return mp_semaphore_new_full (2, TRUE, isolated);
}

static gpointer
make_bounded_semaphore (gboolean isolated)
{
  return g_object_new (MP_TYPE_BOUNDED_SEMAPHORE, "value", 2, "isolated", isolated, NULL);
}

static gpointer
make_event (gboolean isolated)
{
  return g_object_new (MP_TYPE_EVENT, "isolated", isolated, NULL);
}

static gpointer
make_barrier (gboolean isolated)
{
  return g_object_new (MP_TYPE_BARRIER, "parties", 2, "isolated", isolated, NULL);
}

static gpointer
make_condition (gboolean isolated)
{
  return g_object_new (MP_TYPE_CONDITION, "isolated", isolated, NULL);
}

/* Isolated itself, but its lock may not be. */
static gpointer
make_condition_of_lock (gboolean isolated)
{
  g_autoptr(MpLock) lock = make_lock (isolated);

  return g_object_new (MP_TYPE_CONDITION, "isolated", TRUE, "lock", lock, NULL);
}

static gpointer
make_queue (gboolean isolated)
{
  return mp_queue_new_full (5, 0, isolated);
}

static gpointer
make_joinable_queue (gboolean isolated)
{
  return g_object_new (MP_TYPE_JOINABLE_QUEUE, "isolated", isolated, NULL);
}

static gpointer
make_simple_queue (gboolean isolated)
{
  return g_object_new (MP_TYPE_SIMPLE_QUEUE, "isolated", isolated, NULL);
}

static gpointer
make_value (gboolean isolated)
{
  return mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, NULL, isolated, NULL);
}

static gpointer
make_value_with_lock (gboolean isolated)
{
  g_autoptr(MpLock) lock = make_lock (isolated);

  return mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, MP_SHAREABLE (lock), TRUE, NULL);
}

static gpointer
make_array_with_lock (gboolean isolated)
{
  g_autoptr(MpLock) lock = make_lock (isolated);

  return mp_array_new_full (G_VARIANT_TYPE_INT32, 10, MP_SHAREABLE (lock), NULL);
}

static gpointer
make_array (gboolean isolated)
{
  return mp_array_new_full (G_VARIANT_TYPE_INT32, 10, NULL, NULL);
}

static gpointer
make_memory (gboolean isolated)
{
  g_autofree char *name = g_strdup_printf ("mp-test-isolated-%d", getpid ());
  g_autoptr(GError) error = NULL;
  MpSharedMemory *memory = isolated ? mp_shared_memory_new (100, &error)
                                    : mp_shared_memory_new_named (name, 100, &error);

  g_assert_no_error (error);
  return memory;
}

static gpointer
make_list (gboolean isolated)
{
  g_autoptr(GVariant) values = g_variant_ref_sink (g_variant_new_parsed ("(1, 'two')"));
  g_autofree char *name = g_strdup_printf ("mp-test-isolated-list-%d", getpid ());
  g_autoptr(GError) error = NULL;
  MpShareableList *list = isolated ? mp_shareable_list_new (values, &error)
                                   : mp_shareable_list_new_named (values, name, &error);

  g_assert_no_error (error);
  return list;
}

static gpointer
make_descriptor (gboolean isolated)
{
  return mp_descriptor_new_take (open ("/dev/null", O_RDONLY | O_CLOEXEC), NULL);
}

static gpointer
make_connection (gboolean isolated)
{
  MpConnection *first, *second;

  g_assert_true (mp_pipe_new (TRUE, &first, &second, NULL));
  g_object_unref (second);
  return first;
}

static const Kind kinds[] =
{
  { "lock", make_lock },
  { "rlock", make_rlock },
  { "semaphore", make_semaphore },
  { "bounded semaphore", make_bounded_semaphore },
  { "event", make_event },
  { "barrier", make_barrier },
  { "condition", make_condition },
  { "condition", make_condition_of_lock },
  { "queue", make_queue },
  { "joinable queue", make_joinable_queue },
  { "simple queue", make_simple_queue },
  { "value", make_value },
  { "value", make_value_with_lock },
  { "array", make_array_with_lock },
  { "array", make_array, NULL, TRUE },
  { "shared-memory", make_memory, "without a name" },
  { "shareable-list", make_list, "without a name" },
  { "descriptor", make_descriptor, NULL, TRUE },
  { "connection", make_connection, NULL, TRUE },
};

static void
check_refused (MpConnection *connection,
               MpConnection *other,
               const Kind   *kind)
{
  g_autoptr(GObject) object = kind->make (FALSE);
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (object));
  g_autofree char *called = g_strdup_printf ("(%s)", kind->kind);
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_shareable_get_isolated (MP_SHAREABLE (object)));
  g_assert_false (mp_connection_send (connection, handle, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  if (strstr (error->message, called) == NULL ||
      strstr (error->message, kind->how != NULL ? kind->how : "'isolated'") == NULL)
    g_error ("\"%s\" of a %s", error->message, kind->kind);
  g_clear_error (&error);
  g_assert_false (mp_connection_poll (other, 0, NULL, &error));
  g_assert_no_error (error);
}

static void
check_sent (MpConnection *connection,
            MpConnection *other,
            const Kind   *kind)
{
  g_autoptr(GObject) object = kind->make (TRUE);
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (object));
  g_autoptr(GVariant) value = NULL;
  g_autoptr(MpShareable) got = NULL;
  g_autoptr(GError) error = NULL;

  send_ok (connection, handle);
  value = mp_connection_recv (other, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  got = mp_shareable_from_variant (value, &error);
  g_assert_no_error (error);
  g_assert_true (G_OBJECT_TYPE (got) == G_OBJECT_TYPE (object));
  g_assert_true (mp_shareable_get_isolated (got));
}

static void
test_kinds (void)
{
  MpConnection *first, *second;
  int fds[2];
  gsize i;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  first = mp_connection_new_stream (fds[0], MP_CONNECTION_DUPLEX, 1 << 20);
  second = mp_connection_new_stream (fds[1], MP_CONNECTION_DUPLEX, 1 << 20);
  for (i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_test_message ("%s", kinds[i].kind);
      if (!kinds[i].always)
        check_refused (first, second, &kinds[i]);
      check_sent (first, second, &kinds[i]);
    }
  g_assert_finalize_object (first);
  g_assert_finalize_object (second);
}

/* The other end of a pipe whose end went to a stranger takes that for one of this program's. */
static void
test_end_of_pipe (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autoptr(GObject) object = kinds[i].make (FALSE);
      g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (object));
      g_autoptr(MpConnection) near = NULL;
      g_autoptr(MpConnection) far = NULL;
      g_autoptr(GError) error = NULL;
      int fds[2];

      if (kinds[i].always)
        continue;
      g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
      near = mp_connection_new_taking (fds[0], MP_CONNECTION_DUPLEX, 1 << 20);
      far = mp_connection_new_taking (fds[1], MP_CONNECTION_DUPLEX | MP_CONNECTION_FOREIGN, 1 << 20);
      send_ok (near, handle);
      g_assert_null (mp_connection_recv (far, LONG_TIME, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      g_assert_nonnull (strstr (error->message, "is not isolated"));
      g_assert_true (mp_connection_is_closed (far));
    }
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-isolated/kinds", test_kinds);
  g_test_add_func ("/connection-isolated/end-of-pipe", test_end_of_pipe);

  return g_test_run ();
}
