/* connection-kinds-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connections of each kind, and what their messages are in the socket. */
#pragma once

#include "connection-test.h"

#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum
{
  KIND_PIPE,     /* our own framing */
  KIND_STREAM,   /* CPython's */
  KIND_TCP,
  N_KINDS,
} Kind;

static inline void
kind_make_fds (Kind kind,
               int  fds[2])
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl (INADDR_LOOPBACK) } };
  socklen_t length = sizeof address;
  int listener;

  if (kind != KIND_TCP)
    {
      g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
      return;
    }

  listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (listener, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listener, 1), ==, 0);
  g_assert_cmpint (getsockname (listener, (struct sockaddr *) &address, &length), ==, 0);
  fds[0] = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (connect (fds[0], (struct sockaddr *) &address, sizeof address), ==, 0);
  fds[1] = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (fds[1], >=, 0);
  close (listener);
}

static inline MpConnection *
kind_connect (Kind kind,
              int  fd)
{
  return kind == KIND_PIPE ? mp_connection_new_from_fd (fd, NULL)
                           : mp_connection_new_stream (fd, MP_CONNECTION_DUPLEX, G_GUINT64_CONSTANT (1) << 32);
}

static inline void
kind_open (Kind  kind,
           Pipe *pipe)
{
  int fds[2];

  kind_make_fds (kind, fds);
  pipe->first = kind_connect (kind, fds[0]);
  pipe->second = kind_connect (kind, fds[1]);
}

/* What a message of bytes is in the socket. */
static inline void
kind_append_frame (Kind        kind,
                   GByteArray *array,
                   GBytes     *bytes)
{
  static const guint8 zeros[8] = { 0 };
  gsize size = g_bytes_get_size (bytes);
  const MpFrameHeader header = { size, 0, MP_MESSAGE_BYTES, 0 };
  guint8 head[MP_STREAM_MAX_HEAD];

  if (kind == KIND_PIPE)
    g_byte_array_append (array, (const guint8 *) &header, sizeof header);
  else
    g_byte_array_append (array, head, mp_stream_put_head (head, size));
  g_byte_array_append (array, g_bytes_get_data (bytes, NULL), size);
  if (kind == KIND_PIPE)
    g_byte_array_append (array, zeros, (8 - size % 8) % 8);
}

static inline void
add_kind_tests (const char    *name,
                GTestDataFunc  func)
{
  static const char *names[] = { "pipe", "stream", "tcp" };
  guint i;

  for (i = 0; i < N_KINDS; i++)
    {
      g_autofree char *path = g_strdup_printf ("%s/%s", name, names[i]);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), func);
    }
}
