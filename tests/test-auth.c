/* test-auth.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

/* With CPython at the other end: interop/test-channel.c. */

#define KEY "a key that nobody knows"

static MpAuth *
auth_new (MpAuthRole  role,
          const char *key,
          gboolean    allow_md5)
{
  g_autoptr(GBytes) bytes = g_bytes_new (key, strlen (key));
  g_autoptr(GError) error = NULL;
  MpAuth *self = mp_auth_new (role, bytes, allow_md5, &error);

  g_assert_no_error (error);
  return self;
}

static GBytes *
take_out (MpAuth     *auth,
          const char *prefix,
          gsize       size)
{
  GBytes *message = mp_auth_dup_message (auth);

  g_assert_nonnull (message);
  g_assert_cmpuint (g_bytes_get_size (message), ==, size);
  g_assert_cmpmem (g_bytes_get_data (message, NULL), strlen (prefix), prefix, strlen (prefix));
  g_assert_null (mp_auth_dup_message (auth));
  return message;
}

static void
put_in (MpAuth *auth,
        GBytes *message)
{
  g_autoptr(GError) error = NULL;

  mp_auth_take_message (auth, g_bytes_get_data (message, NULL), g_bytes_get_size (message), &error);
  g_assert_no_error (error);
}

/* It fails, and stays so. @what: in the error's text. */
static void
put_bad (MpAuth       *auth,
         gconstpointer data,
         gsize         size,
         int           code,
         const char   *what)
{
  g_autoptr(GBytes) failure = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GError) again = NULL;

  g_assert_false (mp_auth_take_message (auth, data, size, &error));
  g_assert_error (error, MP_ERROR, code);
  if (strstr (error->message, what) == NULL)
    g_error ("\"%s\" has no \"%s\"", error->message, what);
  g_assert_null (strstr (error->message, KEY));
  g_assert_false (mp_auth_is_done (auth));

  failure = mp_auth_dup_message (auth);
  g_assert_false (mp_auth_take_message (auth, (const guint8 *) "#WELCOME#", 9, &again));
  g_assert_error (again, MP_ERROR, code);
  g_assert_false (mp_auth_is_done (auth));
}

/* All messages of a whole exchange, with their forms. */
static void
test_messages (void)
{
  g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, FALSE);
  g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, KEY, FALSE);
  MpAuth *ends[2] = { listener, client };
  guint i;

  g_assert_null (mp_auth_dup_message (client));
  for (i = 0; i < 2; i++)
    {
      g_autoptr(GBytes) challenge = take_out (ends[i], "#CHALLENGE#{sha256}", 11 + 8 + 40);
      g_autoptr(GBytes) answer = NULL;
      g_autoptr(GBytes) welcome = NULL;

      g_assert_false (mp_auth_is_done (listener) || mp_auth_is_done (client));
      put_in (ends[1 - i], challenge);
      answer = take_out (ends[1 - i], "{sha256}", 8 + 32);
      put_in (ends[i], answer);
      welcome = take_out (ends[i], "#WELCOME#", 9);
      put_in (ends[1 - i], welcome);
    }
  g_assert_true (mp_auth_is_done (listener) && mp_auth_is_done (client));
  g_assert_null (mp_auth_dup_message (listener));
  g_assert_null (mp_auth_dup_message (client));
}

static void
test_halves (void)
{
  g_autoptr(MpAuth) one = auth_new (MP_AUTH_DELIVER, KEY, FALSE);
  g_autoptr(MpAuth) other = auth_new (MP_AUTH_ANSWER, KEY, FALSE);
  g_autoptr(GBytes) challenge = take_out (one, "#CHALLENGE#{sha256}", 59);
  g_autoptr(GBytes) answer = NULL;
  g_autoptr(GBytes) welcome = NULL;

  put_in (other, challenge);
  answer = take_out (other, "{sha256}", 40);
  put_in (one, answer);
  g_assert_false (mp_auth_is_done (one));
  welcome = take_out (one, "#WELCOME#", 9);
  g_assert_true (mp_auth_is_done (one));
  g_assert_false (mp_auth_is_done (other));
  put_in (other, welcome);
  g_assert_true (mp_auth_is_done (other));
}

/* A challenge is never the same. */
static void
test_random (void)
{
  g_autoptr(GHashTable) seen = g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref,
                                                      NULL);
  guint i;

  for (i = 0; i < 200; i++)
    {
      g_autoptr(MpAuth) auth = auth_new (MP_AUTH_LISTENER, KEY, FALSE);

      g_assert_true (g_hash_table_add (seen, mp_auth_dup_message (auth)));
    }
}

static void
test_other_key (void)
{
  g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, FALSE);
  g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, KEY "!", FALSE);
  g_autoptr(GBytes) challenge = take_out (listener, "", 59);
  g_autoptr(GBytes) answer = NULL;
  g_autoptr(GBytes) empty = g_bytes_new (NULL, 0);
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) failure = NULL;

  put_in (client, challenge);
  answer = take_out (client, "{sha256}", 40);
  g_assert_false (mp_auth_take_message (listener, g_bytes_get_data (answer, NULL), 40, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_AUTHENTICATION);
  failure = take_out (listener, "#FAILURE#", 9);
  put_bad (client, g_bytes_get_data (failure, NULL), 9, MP_ERROR_AUTHENTICATION, "refused our key");

  g_clear_error (&error);
  g_assert_null (mp_auth_new (MP_AUTH_CLIENT, empty, FALSE, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
}

/* Each single bit counts. */
static void
test_altered (void)
{
  guint i;

  for (i = 0; i < 40 * 8; i++)
    {
      g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, TRUE);
      g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, KEY, TRUE);
      g_autoptr(GBytes) challenge = take_out (listener, "", 59);
      g_autoptr(GBytes) answer = NULL;
      g_autofree guint8 *altered = NULL;

      put_in (client, challenge);
      answer = take_out (client, "", 40);
      altered = g_memdup2 (g_bytes_get_data (answer, NULL), 40);
      altered[i / 8] ^= 1 << i % 8;
      put_bad (listener, altered, 40, MP_ERROR_AUTHENTICATION, i < 64 ? "no form" : "same key");
    }
}

static void
test_rubbish (void)
{
  static const struct
  {
    MpAuthRole  role;
    const char *message;
    gsize       size;
    int         code;
    const char *what;
  } rows[] =
    {
      { MP_AUTH_LISTENER, "", 0, MP_ERROR_AUTHENTICATION, "no form" },
      { MP_AUTH_LISTENER, "#WELCOME#", 9, MP_ERROR_AUTHENTICATION, "no form" },
      { MP_AUTH_LISTENER, "{sha256}", 8, MP_ERROR_AUTHENTICATION, "no form" },
      { MP_AUTH_LISTENER, "{sha256}0123456789abcdef0123456789abcde", 39, MP_ERROR_AUTHENTICATION, "no form" },
      { MP_AUTH_LISTENER, "{sha256}0123456789abcdef0123456789abcdef", 40, MP_ERROR_AUTHENTICATION, "same key" },
      { MP_AUTH_LISTENER, "0123456789abcdef", 16, MP_ERROR_AUTHENTICATION, "allow-md5" },
      { MP_AUTH_LISTENER, NULL, 257, MP_ERROR_PROTOCOL, "257 bytes" },
      { MP_AUTH_CLIENT, "", 0, MP_ERROR_PROTOCOL, "no challenge" },
      { MP_AUTH_CLIENT, "#WELCOME#", 9, MP_ERROR_PROTOCOL, "no challenge" },
      { MP_AUTH_CLIENT, "#CHALLENGE#", 11, MP_ERROR_AUTHENTICATION, "not known here" },
      { MP_AUTH_CLIENT, "#CHALLENGE#{sha256}", 19, MP_ERROR_PROTOCOL, "too short" },
      { MP_AUTH_CLIENT, "#CHALLENGE#{sha256}0123456789012345678", 38, MP_ERROR_PROTOCOL, "too short" },
      { MP_AUTH_CLIENT, "#CHALLENGE#{sha3_256}0123456789012345678901234567890123456789", 61, MP_ERROR_AUTHENTICATION,
        "not known here" },
      { MP_AUTH_CLIENT, "#CHALLENGE#{md5}0123456789012345678901234567890123456789", 56, MP_ERROR_AUTHENTICATION,
        "allow-md5" },
      { MP_AUTH_CLIENT, "#CHALLENGE#01234567890123456789", 31, MP_ERROR_AUTHENTICATION, "allow-md5" },
      { MP_AUTH_CLIENT, "#CHALLENGE#0123456789012345678901234567890123456789", 51, MP_ERROR_AUTHENTICATION,
        "not known here" },
      { MP_AUTH_CLIENT, NULL, 300, MP_ERROR_PROTOCOL, "300 bytes" },
    };
  static const guint8 zeros[400];
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr(MpAuth) auth = auth_new (rows[i].role, KEY, FALSE);
      GBytes *challenge = mp_auth_dup_message (auth);

      g_clear_pointer (&challenge, g_bytes_unref);
      put_bad (auth, rows[i].message != NULL ? (gconstpointer) rows[i].message : zeros, rows[i].size, rows[i].code,
               rows[i].what);
    }
}

/* After the answer, what is neither. */
static void
test_no_welcome (void)
{
  static const char *const messages[] = { "", "#WELCOME", "#WELCOME#!", "#FAILURE", "#CHALLENGE#" };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (messages); i++)
    {
      g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, FALSE);
      g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, KEY, FALSE);
      g_autoptr(GBytes) challenge = mp_auth_dup_message (listener);
      g_autoptr(GBytes) answer = NULL;

      put_in (client, challenge);
      answer = mp_auth_dup_message (client);
      put_bad (client, messages[i], strlen (messages[i]), MP_ERROR_PROTOCOL, "neither");
    }
}

/* A peer that has no key lets us answer our own challenge: on the same connection, and on two at once. */
static void
test_reflection (void)
{
  g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, FALSE);
  g_autoptr(MpAuth) helper = auth_new (MP_AUTH_ANSWER, KEY, FALSE);
  g_autoptr(MpAuth) first = auth_new (MP_AUTH_CLIENT, KEY, FALSE);
  g_autoptr(MpAuth) second = auth_new (MP_AUTH_CLIENT, KEY, FALSE);
  g_autoptr(MpAuth) deliverer = auth_new (MP_AUTH_DELIVER, KEY, FALSE);
  g_autoptr(GBytes) challenge = mp_auth_dup_message (listener);
  g_autoptr(GBytes) answer = NULL;
  g_autoptr(GBytes) welcome = NULL;
  g_autoptr(GBytes) other = mp_auth_dup_message (deliverer);
  g_autoptr(GBytes) other_answer = NULL;
  g_autoptr(GBytes) other_welcome = NULL;
  g_autoptr(GBytes) of_first = NULL;

  put_in (helper, challenge);
  answer = mp_auth_dup_message (helper);
  put_in (listener, answer);
  welcome = mp_auth_dup_message (listener);
  put_bad (listener, g_bytes_get_data (challenge, NULL), g_bytes_get_size (challenge), MP_ERROR_AUTHENTICATION,
           "our own challenge");

  /* The first client has come to its own challenge, with which the second one is challenged. */
  put_in (first, other);
  other_answer = mp_auth_dup_message (first);
  put_in (deliverer, other_answer);
  other_welcome = mp_auth_dup_message (deliverer);
  put_in (first, other_welcome);
  of_first = take_out (first, "#CHALLENGE#", 59);
  put_bad (second, g_bytes_get_data (of_first, NULL), g_bytes_get_size (of_first), MP_ERROR_AUTHENTICATION,
           "our own challenge");
}

static GBytes *
hmac (GChecksumType type,
      const char   *prefix,
      gconstpointer data,
      gsize         size)
{
  GHmac *computing = g_hmac_new (type, (const guint8 *) KEY, strlen (KEY));
  guint8 digest[64];
  gsize n = sizeof digest;
  GByteArray *array = g_byte_array_new ();

  g_hmac_update (computing, data, size);
  g_hmac_get_digest (computing, digest, &n);
  g_hmac_unref (computing);
  g_byte_array_append (array, (const guint8 *) prefix, strlen (prefix));
  g_byte_array_append (array, digest, n);
  return g_byte_array_free_to_bytes (array);
}

/* The forms of other times and sizes. */
static void
test_forms (void)
{
  static const struct
  {
    const char   *challenge;
    GChecksumType type;
    const char   *prefix;
  } rows[] =
    {
      { "01234567890123456789", G_CHECKSUM_MD5, "" },
      { "{md5}0123456789012345678901234567890123456789", G_CHECKSUM_MD5, "{md5}" },
      { "{sha256}01234567890123456789", G_CHECKSUM_SHA256, "{sha256}" },
      { "{sha384}0123456789012345678901234567890123456789", G_CHECKSUM_SHA384, "{sha384}" },
      { "{sha256}567890123456", G_CHECKSUM_MD5, "" },
    };
  g_autoptr(MpAuth) deliverer = auth_new (MP_AUTH_DELIVER, KEY, TRUE);
  g_autoptr(GBytes) challenge = mp_auth_dup_message (deliverer);
  g_autoptr(GBytes) answer = NULL;
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, KEY, TRUE);
      g_autofree char *text = g_strconcat ("#CHALLENGE#", rows[i].challenge, NULL);
      g_autoptr(GBytes) sent = g_bytes_new (text, strlen (text));
      g_autoptr(GBytes) expected = hmac (rows[i].type, rows[i].prefix, rows[i].challenge, strlen (rows[i].challenge));
      g_autoptr(GBytes) got = NULL;

      put_in (client, sent);
      got = mp_auth_dup_message (client);
      g_assert_true (g_bytes_equal (got, expected));
    }

  /* CPython before 3.12 takes all of our challenge for one of its own. */
  answer = hmac (G_CHECKSUM_MD5, "", (const guint8 *) g_bytes_get_data (challenge, NULL) + 11, 48);
  put_in (deliverer, answer);
}

/* Over a socket, in bits of all sizes. */
static void
test_bytes (void)
{
  gsize portion;

  for (portion = 1; portion < 70; portion += 1 + portion / 8)
    {
      g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, FALSE);
      g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, KEY, FALSE);
      MpAuth *ends[2] = { listener, client };
      g_autoptr(GError) error = NULL;
      guint turn = 0;

      while (!mp_auth_is_done (listener) || !mp_auth_is_done (client))
        {
          gsize size;
          const guint8 *data = mp_auth_get_pending (ends[turn % 2], &size);

          g_assert_true (mp_auth_get_wanted (ends[0]) == 0 || mp_auth_get_wanted (ends[1]) == 0);
          if (data == NULL)
            {
              turn++;
              continue;
            }
          size = MIN (MIN (size, portion), mp_auth_get_wanted (ends[1 - turn % 2]));
          g_assert_cmpuint (size, >, 0);
          mp_auth_feed (ends[1 - turn % 2], data, size, &error);
          g_assert_no_error (error);
          mp_auth_sent (ends[turn % 2], size);
        }
      g_assert_cmpuint (mp_auth_get_wanted (listener) + mp_auth_get_wanted (client), ==, 0);
    }
}

static void
run_both (MpAuth  *ends[2],
          int      fds[2],
          GError **errors)
{
  gboolean done[2] = { FALSE, FALSE };

  while (!done[0] || !done[1])
    {
      struct pollfd polled[2] = { { fds[0], 0, 0 }, { fds[1], 0, 0 } };
      guint i;

      for (i = 0; i < 2; i++)
        if (!done[i])
          {
            GIOCondition condition = 0;

            done[i] = mp_auth_run (ends[i], fds[i], &condition, &errors[i]) || errors[i] != NULL;
            polled[i].events = condition;
            if (done[i])
              return;
          }
      g_assert_cmpint (poll (polled, 2, 10000), >, 0);
    }
}

/* What comes behind it is not touched, though it is there before. */
static void
test_run (void)
{
  g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, FALSE);
  g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, KEY, FALSE);
  MpAuth *ends[2] = { listener, client };
  GError *errors[2] = { NULL, NULL };
  GIOCondition condition = 0;
  char text[10];
  int fds[2];

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  run_both (ends, fds, errors);
  g_assert_no_error (errors[1]);
  g_assert_true (mp_auth_is_done (client));
  g_assert_false (mp_auth_is_done (listener));
  g_assert_cmpint (write (fds[1], "behind", 6), ==, 6);
  g_assert_true (mp_auth_run (client, fds[1], &condition, &errors[1]));
  g_assert_true (mp_auth_run (listener, fds[0], &condition, &errors[0]));
  g_assert_true (mp_auth_run (listener, fds[0], &condition, &errors[0]));
  g_assert_cmpint (read (fds[0], text, sizeof text), ==, 6);
  close (fds[0]);
  close (fds[1]);
}

/* The other end is told, gone, or sends what it should not. */
static void
test_run_failure (void)
{
  static const guint8 too_long[] = { 0, 0, 1, 1 }, longer[] = { 255, 255, 255, 255 };
  struct
  {
    const guint8 *data;
    gboolean      with_fd;
    GQuark        domain;
    int           code;
  } rows[] =
    {
      { too_long, FALSE, MP_ERROR, MP_ERROR_PROTOCOL },
      { longer, FALSE, MP_ERROR, MP_ERROR_PROTOCOL },
      { too_long, TRUE, MP_ERROR, MP_ERROR_PROTOCOL },
      { NULL, FALSE, G_IO_ERROR, G_IO_ERROR_CLOSED },
    };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr(MpAuth) auth = auth_new (i % 2 ? MP_AUTH_CLIENT : MP_AUTH_LISTENER, KEY, FALSE);
      g_autoptr(GError) error = NULL;
      g_autoptr(GError) again = NULL;
      GIOCondition condition = 0;
      int fds[2];

      g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
      g_assert_false (mp_auth_run (auth, fds[0], &condition, &error));
      g_assert_no_error (error);
      g_assert_cmpint (condition, ==, G_IO_IN);
      if (rows[i].data != NULL)
        {
          struct iovec iov = { (gpointer) rows[i].data, 4 };
          int null_fd = mp_fd_open_null ();

          g_assert_cmpint (mp_socket_send (fds[1], &iov, 1, &null_fd, rows[i].with_fd ? 1 : 0, TRUE), ==, 4);
          close (null_fd);
        }
      else
        {
          close (fds[1]);
        }
      g_assert_false (mp_auth_run (auth, fds[0], &condition, &error));
      g_assert_error (error, rows[i].domain, rows[i].code);
      g_assert_false (mp_auth_run (auth, fds[0], &condition, &again));
      g_assert_error (again, rows[i].domain, rows[i].code);
      close (fds[0]);
      if (rows[i].data != NULL)
        close (fds[1]);
    }
}

static void
test_run_refused (void)
{
  g_autoptr(MpAuth) listener = auth_new (MP_AUTH_LISTENER, KEY, FALSE);
  g_autoptr(MpAuth) client = auth_new (MP_AUTH_CLIENT, "another", FALSE);
  MpAuth *ends[2] = { listener, client };
  GError *errors[2] = { NULL, NULL };
  GIOCondition condition = 0;
  int fds[2];

  g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
  run_both (ends, fds, errors);
  g_assert_error (errors[0], MP_ERROR, MP_ERROR_AUTHENTICATION);
  close (fds[0]);
  g_assert_false (mp_auth_run (client, fds[1], &condition, &errors[1]));
  g_assert_error (errors[1], MP_ERROR, MP_ERROR_AUTHENTICATION);
  g_clear_error (&errors[0]);
  g_clear_error (&errors[1]);
  close (fds[1]);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/auth/messages", test_messages);
  g_test_add_func ("/auth/halves", test_halves);
  g_test_add_func ("/auth/random", test_random);
  g_test_add_func ("/auth/other-key", test_other_key);
  g_test_add_func ("/auth/altered", test_altered);
  g_test_add_func ("/auth/rubbish", test_rubbish);
  g_test_add_func ("/auth/no-welcome", test_no_welcome);
  g_test_add_func ("/auth/reflection", test_reflection);
  g_test_add_func ("/auth/forms", test_forms);
  g_test_add_func ("/auth/bytes", test_bytes);
  g_test_add_func ("/auth/run", test_run);
  g_test_add_func ("/auth/run-failure", test_run_failure);
  g_test_add_func ("/auth/run-refused", test_run_refused);

  return g_test_run ();
}
