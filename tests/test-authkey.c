/* test-authkey.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The key of a process, and how those that it starts come to have it. */

#include "config.h"

#include "process-test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static GBytes *
recv_bytes (MpConnection *connection)
{
  g_autoptr(GError) error = NULL;
  GBytes *bytes = mp_connection_recv_bytes (connection, LONG, NULL, &error);

  g_assert_no_error (error);
  return bytes;
}

static MpProcess *tell_key_new (gboolean       nested,
                                MpContext     *context,
                                MpConnection **connection);

/* Sends its key, that of a process of its own, and that of a worker, and waits for a word. */
static GVariant *
tell_key (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, 0);
  g_autoptr(MpShareable) object = mp_shareable_from_variant (handle, error);
  g_autoptr(GBytes) key = mp_get_authkey ();
  g_autoptr(GBytes) current = NULL;
  g_autoptr(GVariant) word = NULL;
  gboolean nested;

  g_variant_get_child (args, 1, "b", &nested);
  g_object_get (mp_process_get_current (), "authkey", &current, NULL);
  if (object == NULL || !g_bytes_equal (key, current) ||
      !mp_connection_send_bytes (MP_CONNECTION (object), key, LONG, NULL, error))
    return NULL;

  if (nested)
    {
      g_autoptr(MpConnection) connection = NULL;
      g_autoptr(MpProcess) process = tell_key_new (FALSE, NULL, &connection);
      g_autoptr(GBytes) other = NULL;

      if (!mp_process_start (process, LONG, NULL, error))
        return NULL;
      other = recv_bytes (connection);
      give_word (connection);
      if (!mp_process_join (process, LONG, NULL, error) ||
          !mp_connection_send_bytes (MP_CONNECTION (object), other, LONG, NULL, error))
        return NULL;
    }

  word = mp_connection_recv (MP_CONNECTION (object), LONG, NULL, error);
  return word != NULL ? g_variant_new_tuple (NULL, 0) : NULL;
}

static MpProcess *
tell_key_new (gboolean       nested,
              MpContext     *context,
              MpConnection **connection)
{
  g_autoptr(MpConnection) far = NULL;
  g_autoptr(GVariant) handle = NULL;
  g_autoptr(GError) error = NULL;
  MpProcess *process;

  mp_pipe_new (TRUE, connection, &far, &error);
  g_assert_no_error (error);
  handle = mp_shareable_to_variant (MP_SHAREABLE (far));
  process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (tell_key),
                          "args", g_variant_new ("(@hb)", handle, nested), "context", context, NULL);
  g_object_set_data_full (G_OBJECT (process), "far", g_steal_pointer (&far), g_object_unref);
  return process;
}

static gboolean
has (GBytes     *haystack,
     const char *needle,
     gsize       size)
{
  gsize n;
  const char *data = g_bytes_get_data (haystack, &n);

  return memmem (data, n, needle, size) != NULL;
}

/* Whether @key can be seen from outside, as it is or written down in some way. */
static gboolean
is_seen (int     pid,
         GBytes *key)
{
  static const char *const files[] = { "environ", "cmdline", "comm" };
  gsize size;
  const guint8 *data = g_bytes_get_data (key, &size);
  g_autofree char *base64 = g_base64_encode (data, size);
  g_autoptr(GString) hex = g_string_new (NULL);
  gboolean seen = FALSE;
  gsize i;

  for (i = 0; i < size; i++)
    g_string_append_printf (hex, "%02x", data[i]);
  for (i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_strdup_printf ("/proc/%d/%s", pid, files[i]);
      g_autoptr(GBytes) bytes = NULL;
      char *contents;
      gsize length;

      g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
      bytes = g_bytes_new_take (contents, length);
      seen |= has (bytes, (const char *) data, size) || has (bytes, hex->str, hex->len) ||
              has (bytes, base64, strlen (base64) - 2);
    }
  return seen;
}

static void
check_process (MpProcess    *process,
               MpConnection *connection,
               GBytes       *expected)
{
  g_autoptr(GBytes) own = NULL;
  g_autoptr(GBytes) grandchild = NULL;
  g_autoptr(GBytes) property = NULL;
  g_autoptr(GBytes) visible = g_bytes_new_static ("MP_TEST_TO_BE_SEEN=yes", 22);

  start (process);
  own = recv_bytes (connection);
  grandchild = recv_bytes (connection);
  g_assert_true (g_bytes_equal (own, expected));
  g_assert_true (g_bytes_equal (grandchild, expected));
  property = mp_process_dup_authkey (process);
  g_assert_true (g_bytes_equal (property, expected));
  g_assert_false (is_seen (mp_process_get_pid (process), expected));
  if (method == MP_START_METHOD_SPAWN)
    g_assert_true (is_seen (mp_process_get_pid (process), visible));
  give_word (connection);
  join (process);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
}

static void
test_inherited (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(MpProcess) process = tell_key_new (TRUE, get_context (), &connection);
  g_autoptr(GBytes) key = mp_get_authkey ();

  g_assert_cmpuint (g_bytes_get_size (key), ==, 32);
  check_process (process, connection, key);
}

static void
count_cb (guint *n)
{
  ++*n;
}

static void
test_own (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(MpProcess) process = tell_key_new (TRUE, get_context (), &connection);
  g_autoptr(GBytes) key = g_bytes_new_static ("a key of its own", 16);
  g_autoptr(GBytes) ours = mp_get_authkey ();
  g_autoptr(GBytes) after = NULL;
  guint n_told = 0;

  g_signal_connect_swapped (process, "notify::authkey", G_CALLBACK (count_cb), &n_told);
  mp_process_set_authkey (process, key);
  g_assert_cmpuint (n_told, ==, 1);
  check_process (process, connection, key);
  after = mp_get_authkey ();
  g_assert_true (g_bytes_equal (ours, after));
}

/* What counts is the key at the start, and stays. */
static void
test_set (void)
{
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(MpProcess) process = tell_key_new (TRUE, get_context (), &connection);
  g_autoptr(GBytes) before = mp_get_authkey ();
  g_autoptr(GBytes) key = g_bytes_new_static ("another key of ours", 19);
  g_autoptr(GBytes) got = NULL;

  mp_set_authkey (key);
  check_process (process, connection, key);
  g_object_set (mp_process_get_current (), "authkey", before, NULL);
  got = mp_process_dup_authkey (process);
  g_assert_true (g_bytes_equal (got, key));
  g_clear_pointer (&got, g_bytes_unref);
  got = mp_get_authkey ();
  g_assert_true (g_bytes_equal (got, before));
}

static GVariant *
get_key (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GBytes) key = mp_get_authkey ();

  return g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, key, TRUE);
}

static void
test_pool (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpPool) pool = mp_pool_new_full (1, NULL, NULL, 0, get_context ());
  g_autoptr(GBytes) key = mp_get_authkey ();
  g_autoptr(GBytes) got = NULL;
  g_autoptr(GVariant) value = NULL;

  value = mp_pool_apply (pool, MP_FUNCTION (get_key), NULL, LONG, NULL, &error);
  g_assert_no_error (error);
  got = g_variant_get_data_as_bytes (value);
  g_assert_true (g_bytes_equal (got, key));
  mp_pool_terminate (pool);
  mp_pool_join (pool, LONG, NULL, &error);
  g_assert_no_error (error);
}

static gpointer
set_and_get (gpointer data)
{
  g_autoptr(GBytes) one = g_bytes_new_static ("one of two keys", 15);
  g_autoptr(GBytes) two = g_bytes_new_static ("the other key", 13);

  while (!g_atomic_int_get ((gint *) data))
    {
      g_autoptr(GBytes) key = NULL;

      mp_set_authkey (one);
      mp_set_authkey (two);
      key = mp_get_authkey ();
      g_assert_true (g_bytes_equal (key, one) || g_bytes_equal (key, two));
    }
  return NULL;
}

/* A program that forks by itself while another thread is at it. */
static void
test_fork (void)
{
  g_autoptr(GBytes) before = mp_get_authkey ();
  GThread *thread;
  gint done = 0;
  guint i;

  thread = g_thread_new ("keys", set_and_get, &done);
  for (i = 0; i < (is_slow () ? 10 : 200); i++)
    {
      int status;
      pid_t pid = fork ();

      if (pid == 0)
        {
          alarm (60);
          /* Not by an exit: valgrind would count what the other thread had in hand. */
          if (g_bytes_get_size (mp_get_authkey ()) > 0)
            kill (getpid (), SIGKILL);
          _exit (1);
        }
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
    }
  g_atomic_int_set (&done, 1);
  g_thread_join (thread);
  mp_set_authkey (before);
}

static const ProcessTest tests[] =
{
  TEST (inherited),
  TEST (own),
  TEST (set),
  TEST_NO_FORK (pool),
  TEST_NO_FORK (fork),
};

int
main (int argc, char **argv)
{
  g_setenv ("MP_TEST_TO_BE_SEEN", "yes", TRUE);
  mp_init ();

  g_test_init (&argc, &argv, NULL);
  add_tests ("/authkey", tests, G_N_ELEMENTS (tests));

  return g_test_run ();
}
