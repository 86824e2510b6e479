/* client-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What clients connect to in tests: plain sockets, and what somebody who listens there does. */
#pragma once

#include "connection-test.h"

#include "mp-glib/channel/mp-auth-private.h"
#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/channel/mp-handshake-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct
{
  int   fd;
  char *address;   /* as text */
  char *path;      /* (nullable) */
} Server;

static char *server_folder;

/* @family: AF_INET6 gives none where that is not to be had. */
static inline gboolean
server_open (Server *server,
             int     family,
             int     backlog)
{
  struct sockaddr_un local = { .sun_family = AF_UNIX };
  struct sockaddr_in inet = { .sin_family = AF_INET, .sin_addr = { htonl (INADDR_LOOPBACK) } };
  struct sockaddr_in6 inet6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
  struct sockaddr *address = (struct sockaddr *) &local;
  socklen_t length = sizeof local;
  static guint n;

  *server = (Server) { -1, NULL, NULL };
  if (family == AF_UNIX)
    {
      server->path = g_strdup_printf ("%s/%u", server_folder, n++);
      g_strlcpy (local.sun_path, server->path, sizeof local.sun_path);
    }
  else
    {
      address = family == AF_INET ? (struct sockaddr *) &inet : (struct sockaddr *) &inet6;
      length = family == AF_INET ? sizeof inet : sizeof inet6;
    }

  server->fd = socket (family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server->fd < 0 || bind (server->fd, address, length) < 0)
    {
      g_assert_cmpint (family, ==, AF_INET6);
      close (server->fd);
      return FALSE;
    }
  g_assert_cmpint (listen (server->fd, backlog), ==, 0);
  g_assert_cmpint (getsockname (server->fd, address, &length), ==, 0);
  if (family == AF_UNIX)
    server->address = g_strconcat ("unix:", server->path, NULL);
  else if (family == AF_INET)
    server->address = g_strdup_printf ("tcp:127.0.0.1:%u", ntohs (inet.sin_port));
  else
    server->address = g_strdup_printf ("tcp:[::1]:%u", ntohs (inet6.sin6_port));
  return TRUE;
}

static inline void
server_close (Server *server)
{
  if (server->fd >= 0)
    close (server->fd);
  if (server->path != NULL)
    g_unlink (server->path);
  g_free (server->path);
  g_free (server->address);
}

static inline int
server_accept (Server *server)
{
  int fd = accept4 (server->fd, NULL, NULL, SOCK_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

/* A connection of the other side, which has the key when one is given; NULL with error. */
static inline MpConnection *
server_shake_hands (Server      *server,
                    const char  *key,
                    GError     **error)
{
  g_autoptr(GBytes) bytes = key != NULL ? g_bytes_new (key, strlen (key)) : NULL;
  MpHandshake handshake;
  MpHandshakeState state;
  gboolean ok = mp_handshake_init (&handshake, server_accept (server), MP_AUTH_LISTENER, bytes, FALSE, -1, NULL);

  g_assert_true (ok);
  while ((state = mp_handshake_step (&handshake, error)) == MP_HANDSHAKE_WAITS)
    {
      struct pollfd polled = { handshake.wait_fd, handshake.condition, 0 };

      g_assert_cmpint (poll (&polled, 1, 30000), ==, 1);
    }
  if (state == MP_HANDSHAKE_DONE)
    return mp_handshake_finish (&handshake, 1 << 20);

  mp_handshake_clear (&handshake);
  return NULL;
}

static inline MpClientOptions *
options_with_key (const char *key)
{
  MpClientOptions *options = mp_client_options_new ();
  g_autoptr(GBytes) bytes = g_bytes_new (key, strlen (key));

  mp_client_options_set_authkey (options, bytes);
  return options;
}

static inline MpConnection *
connect_ok (const char      *address,
            MpClientOptions *options)
{
  g_autoptr(GError) error = NULL;
  MpConnection *connection = mp_client_connect_to (address, options, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  return connection;
}
