/* test-connection-blob.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The calls of bindings: bytes of another language's values, and whatever comes. */

#include "config.h"

#include "connection-test.h"

#define VALUES 1
#define BYTES  2
#define ANY    3
#define BLOB   3   /* of what comes */

static const gsize sizes[] = { 0, 1, 4095, 4096, 4097, 65536, 3000001 };

static void
send_blob_ok (MpConnection *connection,
              const char   *tag,
              const guint8 *data,
              gsize         size)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_connection_send_blob (connection, tag, data, size, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
}

/* What comes is @expected, in one of the two ways; its kind. */
static guint
take (MpConnection *connection,
      guint         kinds,
      const guint8 *expected,
      gsize         n_expected)
{
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *data = NULL;
  const guint8 *found;
  guint kind;
  gsize size;

  data = mp_connection_recv_blob (connection, kinds, "tag", LONG_TIME, NULL, &size, &kind, &value, &error);
  g_assert_no_error (error);
  found = data;
  if (value != NULL)
    found = g_variant_get_fixed_array (value, &size, 1);
  g_assert_cmpmem (found, size, expected, n_expected);
  return kind;
}

typedef struct
{
  MpConnection *connection;
  const guint8 *data;
  gsize         size;
} Job;

static gpointer
send_both_thread (gpointer user_data)
{
  Job *job = user_data;
  g_autoptr(GError) error = NULL;

  send_blob_ok (job->connection, "tag", job->data, job->size);
  mp_connection_send_data (job->connection, job->data, job->size, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  send_blob_ok (job->connection, "tag", job->data, job->size);
  return NULL;
}

static void
test_sizes (void)
{
  g_autoptr(GBytes) all = make_large (sizes[G_N_ELEMENTS (sizes) - 1]);
  const guint8 *data = g_bytes_get_data (all, NULL);
  Pipe pipe;
  guint i;

  pipe_open (&pipe);
  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      Job job = { pipe.first, data, sizes[i] };
      GThread *thread = g_thread_new ("send", send_both_thread, &job);

      g_assert_cmpuint (take (pipe.second, VALUES, data, sizes[i]), ==, BLOB);
      g_assert_cmpuint (take (pipe.second, BYTES, data, sizes[i]), ==, BYTES);
      g_assert_cmpuint (take (pipe.second, ANY, data, sizes[i]), ==, BLOB);
      g_thread_join (thread);
    }
  pipe_clear (&pipe);
}

/* What is no blob of the tag, or more than its bytes, is a value. */
static void
test_values (void)
{
  GVariant *part = g_variant_new_int32 (5);
  g_autoptr(GBytes) bytes = g_bytes_new_static ("abc", 3);
  g_autoptr(GError) error = NULL;
  GVariant *values[] = {
    g_variant_new_int32 (7),
    mp_blob_new ("other", "", bytes, NULL, 0),
    mp_blob_new ("tag", "text", bytes, NULL, 0),
    mp_blob_new ("tag", "", bytes, &part, 1),
  };
  Pipe pipe;
  guint i, kind;
  gsize size;

  pipe_open (&pipe);
  for (i = 0; i < G_N_ELEMENTS (values); i++)
    {
      g_autoptr(GVariant) sent = g_variant_take_ref (values[i]);
      g_autoptr(GVariant) value = NULL;

      send_ok (pipe.first, sent);
      g_assert_null (mp_connection_recv_blob (pipe.second, ANY, "tag", LONG_TIME, NULL, &size, &kind, &value, &error));
      g_assert_no_error (error);
      g_assert_cmpuint (kind, ==, VALUES);
      g_assert_cmpuint (size, ==, 0);
      g_assert_true (g_variant_equal (value, sent));
    }

  send_blob_ok (pipe.first, "tag", (const guint8 *) "abc", 3);
  recv_ok (pipe.second, "('tag', '', [0x61, 0x62, 0x63], [])");
  pipe_clear (&pipe);
}

static void
test_unwanted (void)
{
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  guint kind = 9;
  gsize size = 9;
  Pipe pipe;

  pipe_open (&pipe);

  /* Nothing there is no error when nobody wants to wait. */
  g_assert_null (mp_connection_recv_blob (pipe.second, ANY, "tag", 0, NULL, &size, &kind, &value, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (kind, ==, 0);
  g_assert_cmpuint (size, ==, 0);
  g_assert_null (mp_connection_recv_blob (pipe.second, ANY, "tag", 1000, NULL, &size, &kind, &value, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  /* What is not wanted stays. */
  send_blob_ok (pipe.first, "tag", (const guint8 *) "abc", 3);
  g_assert_null (mp_connection_recv_blob (pipe.second, BYTES, "tag", 0, NULL, &size, &kind, &value, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);
  g_assert_cmpuint (take (pipe.second, VALUES, (const guint8 *) "abc", 3), ==, BLOB);

  mp_connection_close (pipe.first, NULL);
  g_assert_null (mp_connection_recv_blob (pipe.second, ANY, "tag", 0, NULL, &size, &kind, &value, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/connection-blob/sizes", test_sizes);
  g_test_add_func ("/connection-blob/values", test_values);
  g_test_add_func ("/connection-blob/unwanted", test_unwanted);

  return g_test_run ();
}
