/* test-channel.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The framing of connections and their authentication, with CPython's own code at the other side. */

#include "config.h"

#include "mp-glib/mp-glib.h"
#include "peer.h"

#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/channel/mp-wire-private.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BEYOND ((gsize) 0x80000005)
#define MOST   ((gsize) 0x7fffffff)

static Peer peer;
static char *folder;

static struct sockaddr_un
make_address (char **path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  static guint n;

  *path = g_strdup_printf ("%s/%u", folder, n++);
  g_assert_cmpuint (g_strlcpy (address.sun_path, *path, sizeof address.sun_path), <, sizeof address.sun_path);
  return address;
}

/* A connection that CPython's Client has made; it is "c" there. */
static int
get_client (void)
{
  g_autofree char *path = NULL;
  struct sockaddr_un address = make_address (&path);
  int listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int fd;

  g_assert_cmpint (bind (listener, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listener, 1), ==, 0);
  peer_do (&peer, "c = Client('%s')", path);
  fd = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  close (listener);
  g_unlink (path);
  return fd;
}

/* The same from its Listener. */
static int
get_accepted (void)
{
  g_autofree char *path = NULL;
  struct sockaddr_un address = make_address (&path);
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  peer_do (&peer, "l = Listener('%s')", path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  peer_do (&peer, "c = l.accept(); l.close()");
  return fd;
}

static void
next_ok (MpWire  *wire,
         MpFrame *frame)
{
  g_autoptr(GError) error = NULL;

  while (!mp_wire_next (wire, frame, &error))
    {
      g_assert_no_error (error);
      mp_wire_fill (wire, TRUE, &error);
      g_assert_no_error (error);
    }
}

static void
send_all (MpWire        *wire,
          gconstpointer  data,
          gsize          size)
{
  MpPiece piece = { data, size, NULL };
  g_autoptr(GError) error = NULL;

  mp_wire_queue (wire, MP_STREAM_KIND, 0, &piece, 1, NULL, 0);
  mp_wire_flush_blocking (wire, &error);
  g_assert_no_error (error);
}

static void
check_messages (MpWire *wire)
{
  static const gsize sizes[] = { 0, 1, 3, 255, 16384, 16385, 65532, 65536, 100001, 3000001 };
  g_autofree guint8 *data = g_malloc (3000001);
  MpFrame frame;
  gsize i, j;

  for (i = 0; i < 3000001; i++)
    data[i] = i % 251;

  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autofree char *expected = g_strdup_printf ("(%" G_GSIZE_FORMAT ", True)", sizes[i]);
      g_autofree char *line = NULL;
      g_autofree char *answer = NULL;

      peer_do (&peer, "d = (bytes(range(251)) * 12000)[:%" G_GSIZE_FORMAT "]", sizes[i]);
      peer_tell (&peer, "r = c.recv_bytes(); (len(r), r == d)");
      peer_tell (&peer, "(len(r), r == d)");
      send_all (wire, data, sizes[i]);
      answer = peer_hear (&peer);
      g_assert_cmpstr (answer, ==, "-");
      g_clear_pointer (&answer, g_free);
      answer = peer_hear (&peer);
      g_assert_cmpstr (answer, ==, expected);

      /* Three in a row, to be read together. */
      peer_tell (&peer, "c.send_bytes(d); c.send_bytes(b'short'); c.send_bytes(d)");
      for (j = 0; j < 3; j++)
        {
          next_ok (wire, &frame);
          if (j == 1)
            g_assert_cmpmem (frame.data, frame.size, "short", 5);
          else
            g_assert_cmpmem (frame.data, frame.size, data, sizes[i]);
          g_assert_false (frame.is_value);
          mp_frame_clear (&frame);
        }
      line = peer_hear (&peer);
      g_assert_cmpstr (line, ==, "-");
    }

  /* Its objects are bytes to us. */
  peer_do (&peer, "c.send({'a': [1, 2.5, None]})");
  next_ok (wire, &frame);
  g_assert_false (frame.is_value);
  g_assert_cmpuint (frame.data[0], ==, 0x80);
  send_all (wire, frame.data, frame.size);
  mp_frame_clear (&frame);
  peer_assert (&peer, "{'a': [1, 2.5, None]}", "c.recv()");
}

static void
test_client (void)
{
  MpWire *wire = mp_wire_new_stream (get_client (), G_MAXINT64);

  check_messages (wire);
  mp_wire_free (wire);
}

static void
test_listener (void)
{
  MpWire *wire = mp_wire_new_stream (get_accepted (), G_MAXINT64);

  check_messages (wire);
  mp_wire_free (wire);
}

/* Ours goes as far as the socket takes it. */
static void
check_announced (gpointer    data,
                 gsize       size,
                 const char *expected)
{
  MpWire *wire = mp_wire_new_stream (get_client (), G_MAXINT64);
  g_autoptr(GBytes) bytes = g_bytes_new_static (data, size);
  MpPiece piece = { data, size, bytes };
  g_autoptr(GError) error = NULL;

  mp_wire_queue (wire, MP_STREAM_KIND, 0, &piece, 1, NULL, 0);
  mp_wire_flush (wire, &error);
  g_assert_no_error (error);
  peer_assert (&peer, expected, "announced(c)");
  mp_wire_free (wire);
}

/* And theirs, until we cut it off. */
static void
check_head (gsize    size,
            gboolean is_long)
{
  int fd = get_client ();
  g_autoptr(GError) error = NULL;
  g_autofree char *line = g_strdup_printf ("c.send_bytes(memoryview(m)[:%" G_GSIZE_FORMAT "])", size);
  g_autofree char *answer = NULL;
  g_autofree char *expected = g_strdup_printf ("of %" G_GSIZE_FORMAT " bytes", size);
  MpFrame frame;
  MpWire *wire;
  guint32 first;

  peer_tell (&peer, line);
  g_assert_cmpint (recv (fd, &first, sizeof first, MSG_PEEK | MSG_WAITALL), ==, sizeof first);
  g_assert_cmpuint (GUINT32_FROM_BE (first), ==, is_long ? G_MAXUINT32 : size);

  wire = mp_wire_new_stream (fd, 64 << 20);
  while (!mp_wire_next (wire, &frame, &error) && error == NULL)
    mp_wire_fill (wire, TRUE, &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_assert_nonnull (strstr (error->message, expected));
  mp_wire_free (wire);
  answer = peer_hear (&peer);
  g_assert_true (g_str_has_prefix (answer, "!BrokenPipeError") || g_str_has_prefix (answer, "!ConnectionResetError"));
}

/* Messages beyond 2 GiB, of memory that nobody has written to, are begun. */
static void
test_beyond (void)
{
  gpointer data = mmap (NULL, BEYOND, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (data == MAP_FAILED)
    {
      g_test_skip ("no room for 2 GiB of nothing");
      return;
    }

  check_announced (data, 5, "[4, 5]");
  check_announced (data, MOST, "[4, 2147483647]");
  check_announced (data, BEYOND, "[4, 8, 2147483653]");
  munmap (data, BEYOND);

  peer_do (&peer, "m = mmap.mmap(-1, 0x80000005)");
  check_head (1000000000, FALSE);
  check_head (MOST, FALSE);
  check_head (MOST + 1, TRUE);
  check_head (BEYOND, TRUE);
  peer_do (&peer, "del m");
}

static void
test_end (void)
{
  static const guint8 half[] = { 0, 0, 0, 9, 'h', 'a', 'l', 'f' };
  MpWire *wire = mp_wire_new_stream (get_client (), G_MAXINT64);
  g_autoptr(GError) error = NULL;
  MpFrame frame;
  int fd;

  peer_do (&peer, "c.send_bytes(b'last'); c.close()");
  next_ok (wire, &frame);
  g_assert_cmpmem (frame.data, frame.size, "last", 4);
  mp_frame_clear (&frame);
  g_assert_cmpint (mp_wire_fill (wire, TRUE, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  mp_wire_free (wire);

  wire = mp_wire_new_stream (get_accepted (), G_MAXINT64);
  send_all (wire, "last", 4);
  mp_wire_free (wire);
  peer_assert (&peer, "b'last'", "c.recv_bytes()");
  peer_assert_error (&peer, "EOFError", "c.recv_bytes()");

  fd = get_client ();
  g_assert_cmpint (write (fd, half, sizeof half), ==, sizeof half);
  close (fd);
  peer_assert_error (&peer, "OSError", "c.recv_bytes()");
}

/* Authentication. @error: of ours, which closes the connection then. */
static gboolean
authenticate (MpAuthRole   role,
              int          fd,
              const char  *key,
              gboolean     allow_md5,
              GError     **error)
{
  g_autoptr(GBytes) bytes = g_bytes_new (key, strlen (key));
  g_autoptr(MpAuth) auth = mp_auth_new (role, bytes, allow_md5, error);
  GIOCondition condition = 0;
  GError *local_error = NULL;
  gboolean ok;

  g_assert_nonnull (auth);
  while (!(ok = mp_auth_run (auth, fd, &condition, &local_error)) && local_error == NULL)
    {
      struct pollfd polled = { fd, condition, 0 };

      g_assert_cmpint (poll (&polled, 1, 20000), ==, 1);
    }
  if (local_error != NULL)
    g_propagate_error (error, local_error);
  return ok;
}

static void
check_authentication (MpAuthRole  role,
                      const char *digest,
                      gboolean    allow_md5,
                      const char *key,
                      int         code,      /* -1: it goes well */
                      const char *theirs)
{
  g_autofree char *line = g_strdup_printf ("as_%s(c, b'the key', '%s')",
                                           role == MP_AUTH_LISTENER ? "client" : "listener", digest);
  int fd = role == MP_AUTH_LISTENER ? get_client () : get_accepted ();
  g_autoptr(GError) error = NULL;
  g_autofree char *answer = NULL;
  MpFrame frame;
  MpWire *wire;

  peer_tell (&peer, line);
  if (!authenticate (role, fd, key, allow_md5, &error))
    {
      close (fd);
      g_assert_error (error, MP_ERROR, code);
      answer = peer_hear (&peer);
      if (!g_str_has_prefix (answer, theirs))
        g_error ("\"%s\" instead of \"%s\"", answer, theirs);
      return;
    }

  g_assert_cmpint (code, ==, -1);
  answer = peer_hear (&peer);
  g_assert_cmpstr (answer, ==, "-");

  /* What comes behind is all there. */
  wire = mp_wire_new_stream (fd, G_MAXINT64);
  send_all (wire, "after", 5);
  peer_do (&peer, "c.send_bytes(c.recv_bytes() + b' all')");
  next_ok (wire, &frame);
  g_assert_cmpmem (frame.data, frame.size, "after all", 9);
  mp_frame_clear (&frame);
  mp_wire_free (wire);
}

static void
test_authentication (void)
{
  check_authentication (MP_AUTH_LISTENER, "sha256", FALSE, "the key", -1, NULL);
  check_authentication (MP_AUTH_CLIENT, "sha256", FALSE, "the key", -1, NULL);
  check_authentication (MP_AUTH_LISTENER, "sha256", FALSE, "another", MP_ERROR_AUTHENTICATION, "!AuthenticationError");
  check_authentication (MP_AUTH_CLIENT, "sha256", FALSE, "another", MP_ERROR_AUTHENTICATION, "!AuthenticationError");
}

/* CPython before 3.12. */
static void
test_authentication_old (void)
{
  check_authentication (MP_AUTH_LISTENER, "", TRUE, "the key", -1, NULL);
  check_authentication (MP_AUTH_CLIENT, "", TRUE, "the key", -1, NULL);
  check_authentication (MP_AUTH_LISTENER, "", TRUE, "another", MP_ERROR_AUTHENTICATION, "!AuthenticationError");
  check_authentication (MP_AUTH_CLIENT, "", TRUE, "another", MP_ERROR_AUTHENTICATION, "!AuthenticationError");
  check_authentication (MP_AUTH_LISTENER, "", FALSE, "the key", MP_ERROR_AUTHENTICATION, "!AuthenticationError");
  check_authentication (MP_AUTH_CLIENT, "", FALSE, "the key", MP_ERROR_AUTHENTICATION, "!EOFError");
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(GError) error = NULL;
  int status;

  mp_init ();
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("mp-channel-XXXXXX", &error);
  g_assert_no_error (error);
  peer_start (&peer);

  g_test_add_func ("/interop/channel/client", test_client);
  g_test_add_func ("/interop/channel/listener", test_listener);
  g_test_add_func ("/interop/channel/beyond", test_beyond);
  g_test_add_func ("/interop/channel/end", test_end);
  g_test_add_func ("/interop/channel/authentication", test_authentication);
  g_test_add_func ("/interop/channel/authentication-old", test_authentication_old);

  status = g_test_run ();
  peer_end (&peer);
  g_rmdir (folder);
  g_free (folder);
  return status;
}
