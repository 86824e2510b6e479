/* test-client.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clients of CPython's own listeners, with each version of it that there is. */

#include "config.h"

#include "mp-glib/mp-glib.h"
#include "messages.h"
#include "pythons.h"

#include <glib/gstdio.h>
#include <sys/mman.h>

#define BEYOND ((gsize) 0x80000005)

static Peer peer;
static char *folder;

typedef struct
{
  const Python *python;
  gboolean      tcp;
} Case;

/* A listener there; its address as text. @key: (nullable) */
static char *
listen_there (gboolean    tcp,
              const char *key)
{
  g_autofree char *authkey = key != NULL ? g_strdup_printf ("b'%s'", key) : g_strdup ("None");
  g_autofree char *port = NULL;
  static guint n;

  if (!tcp)
    {
      char *path = g_strdup_printf ("%s/%u", folder, n++);

      peer_do (&peer, "l = Listener('%s', authkey=%s)", path, authkey);
      return path;
    }

  peer_do (&peer, "l = Listener(('127.0.0.1', 0), authkey=%s)", authkey);
  port = peer_ask (&peer, "l.address[1]");
  return g_strconcat ("tcp:127.0.0.1:", port, NULL);
}

static MpClientOptions *
make_options (const char *key,
              gboolean    allow_md5)
{
  g_autoptr(GBytes) bytes = key != NULL ? g_bytes_new (key, strlen (key)) : NULL;

  return g_object_new (MP_TYPE_CLIENT_OPTIONS, "authkey", bytes, "allow-md5", allow_md5, NULL);
}

static MpConnection *
connect_to (const char *address,
            const char *key,
            gboolean    allow_md5,
            GError    **error)
{
  g_autoptr(MpClientOptions) options = make_options (key, allow_md5);

  return mp_client_connect_to (address, options, LONG_TIME, NULL, error);
}

/* A connection; its other end is "c" there. */
static MpConnection *
connect_ok (gboolean    tcp,
            const char *key,
            gboolean    allow_md5)
{
  g_autofree char *address = listen_there (tcp, key);
  g_autoptr(GError) error = NULL;
  g_autofree char *answer = NULL;
  MpConnection *connection;

  peer_tell (&peer, "c = l.accept(); l.close()");
  connection = connect_to (address, key, allow_md5, &error);
  g_assert_no_error (error);
  answer = peer_hear (&peer);
  g_assert_cmpstr (answer, ==, "-");
  return connection;
}

static void
test_messages (gconstpointer data)
{
  const Case *test = data;
  gboolean md5 = test->python->minor < 12;
  MpConnection *connection;

  peer_start_with (&peer, test->python->path);
  connection = connect_ok (test->tcp, NULL, FALSE);
  check_messages (&peer, connection);
  g_assert_finalize_object (connection);
  connection = connect_ok (test->tcp, "the key", md5);
  check_messages (&peer, connection);
  g_assert_finalize_object (connection);
  peer_end (&peer);
}

static void
check_refused (gboolean    tcp,
               const char *key,
               gboolean    allow_md5,
               int         code,
               const char *what,
               const char *theirs)
{
  g_autofree char *address = listen_there (tcp, "the key");
  g_autoptr(GError) error = NULL;
  g_autofree char *answer = NULL;

  peer_tell (&peer, "c = l.accept()");
  g_assert_null (connect_to (address, key, allow_md5, &error));
  g_assert_error (error, MP_ERROR, code);
  if (strstr (error->message, what) == NULL || strstr (error->message, address) == NULL)
    g_error ("\"%s\" has no \"%s\"", error->message, what);
  answer = peer_hear (&peer);
  if (!g_str_has_prefix (answer, theirs))
    g_error ("\"%s\" instead of \"%s\"", answer, theirs);
  peer_do (&peer, "l.close()");
}

static void
test_refused (gconstpointer data)
{
  const Case *test = data;
  gboolean md5 = test->python->minor < 12;

  peer_start_with (&peer, test->python->path);
  check_refused (test->tcp, "another", md5, MP_ERROR_AUTHENTICATION, "refused our key", "!AuthenticationError");
  if (md5)
    check_refused (test->tcp, "the key", FALSE, MP_ERROR_AUTHENTICATION, "allow-md5", "!");
  peer_end (&peer);
}

/* Its functions for connections that there are already. */
static void
test_challenges (gconstpointer data)
{
  const Case *test = data;
  gboolean md5 = test->python->minor < 12;
  g_autoptr(GBytes) key = g_bytes_new_static ("the key", 7);
  g_autoptr(GBytes) another = g_bytes_new_static ("another", 7);
  g_autoptr(GError) error = NULL;
  g_autofree char *answer = NULL;
  MpConnection *connection;

  peer_start_with (&peer, test->python->path);
  connection = connect_ok (test->tcp, NULL, FALSE);
  peer_tell (&peer, "connection.answer_challenge(c, b'the key')");
  g_assert_true (mp_deliver_challenge (connection, key, md5, LONG_TIME, NULL, &error));
  answer = peer_hear (&peer);
  g_assert_cmpstr (answer, ==, "-");
  g_clear_pointer (&answer, g_free);
  peer_tell (&peer, "connection.deliver_challenge(c, b'the key')");
  g_assert_true (mp_answer_challenge (connection, key, md5, LONG_TIME, NULL, &error));
  answer = peer_hear (&peer);
  g_assert_cmpstr (answer, ==, "-");
  g_clear_pointer (&answer, g_free);

  peer_tell (&peer, "connection.answer_challenge(c, b'the key')");
  g_assert_false (mp_deliver_challenge (connection, another, md5, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  answer = peer_hear (&peer);
  g_assert_true (g_str_has_prefix (answer, "!AuthenticationError"));
  g_assert_finalize_object (connection);
  peer_end (&peer);
}

static void
keep_result_cb (GObject      *object,
                GAsyncResult *result,
                gpointer      user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* Lengths beyond 2 GiB, of memory that nobody has written to, and what is more than was asked for. */
static void
test_beyond (gconstpointer data)
{
  const Case *test = data;
  gpointer memory = mmap (NULL, BEYOND, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree char *answer = NULL;
  MpConnection *connection;

  if (memory == MAP_FAILED)
    {
      g_test_skip ("no room for 2 GiB of nothing");
      return;
    }

  peer_start_with (&peer, test->python->path);
  connection = connect_ok (test->tcp, NULL, FALSE);
  bytes = g_bytes_new_static (memory, BEYOND);
  g_assert_false (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  g_object_set (connection, "max-message-size", G_GUINT64_CONSTANT (1) << 32, NULL);
  mp_connection_send_bytes_async (connection, bytes, NULL, keep_result_cb, &result);
  peer_assert (&peer, "[4, 8, 2147483653]", "announced(c)");
  mp_connection_close (connection, NULL);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_clear_object (&result);
  g_assert_finalize_object (connection);

  connection = connect_ok (test->tcp, NULL, FALSE);
  peer_do (&peer, "m = mmap.mmap(-1, 0x80000005)");
  peer_tell (&peer, "c.send_bytes(memoryview(m)[:0x80000005])");
  g_assert_null (mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_nonnull (strstr (error->message, "2147483653"));
  g_assert_finalize_object (connection);
  answer = peer_hear (&peer);
  g_assert_true (g_str_has_prefix (answer, "!"));
  peer_end (&peer);
  munmap (memory, BEYOND);
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(GArray) pythons = NULL;
  g_autofree Case *cases = NULL;
  g_autoptr(GError) error = NULL;
  int status;
  guint i;

  mp_init ();
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("mp-client-XXXXXX", &error);
  g_assert_no_error (error);

  pythons = pythons_find ();
  cases = g_new (Case, 2 * pythons->len);
  for (i = 0; i < 2 * pythons->len; i++)
    {
      const Python *python = &g_array_index (pythons, Python, i / 2);
      const char *kind = i % 2 ? "tcp" : "unix";
      g_autofree char *prefix = g_strdup_printf ("/interop/client/python3.%d/%s", python->minor, kind);
      g_autofree char *messages = g_strconcat (prefix, "/messages", NULL);
      g_autofree char *refused = g_strconcat (prefix, "/refused", NULL);
      g_autofree char *challenges = g_strconcat (prefix, "/challenges", NULL);
      g_autofree char *beyond = g_strconcat (prefix, "/beyond", NULL);

      cases[i] = (Case) { python, i % 2 };
      g_test_add_data_func (messages, &cases[i], test_messages);
      g_test_add_data_func (refused, &cases[i], test_refused);
      g_test_add_data_func (challenges, &cases[i], test_challenges);
      if (i < 2)
        g_test_add_data_func (beyond, &cases[i], test_beyond);
    }

  status = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  return status;
}
