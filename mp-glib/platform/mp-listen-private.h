/* mp-listen-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/socket.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Stream sockets that listen, and the files of those of this machine. All results: -1 sets errno. Nothing blocks. */

/* Where a socket is in the file system. */
typedef struct
{
  int   directory;   /* -1: nowhere; of the directory, which may be moved, or be relative to one that is left */
  char *name;        /* (owned) (nullable): in there */
  dev_t device;
  ino_t inode;
  pid_t owner;       /* the process that made it: its forked copies leave it alone */
} MpSocketFile;

#define MP_SOCKET_FILE_INIT { -1, NULL, 0, 0, 0 }

/* Listens at @path, which is at most 107 bytes long, with a file of mode 0600 from its first moment on, whatever the
 * umask, and which is not there before the socket listens. EADDRINUSE: somebody listens there; EEXIST: there is
 * something that is no socket. A socket that nobody listens at any more is replaced. */
int  mp_listen_at_path      (const char             *path,
                             int                     backlog,
                             MpSocketFile           *file);
/* That nobody listens at @path. -1: EADDRINUSE; in doubt (no permission to connect, another kind of socket) somebody
 * does. */
int  mp_listen_check_dead   (const char             *path);
/* Removes the file if it is still the one that was made. Does not close the socket: who tries whether somebody listens
 * there finds nothing, or somebody. */
void mp_socket_file_remove  (MpSocketFile           *file);

/* Listens at an address that is no path. SO_REUSEADDR, mp_socket_keep_alive(); that for all addresses of IPv6 takes those
 * of IPv4 too. */
int  mp_listen_at           (const struct sockaddr  *address,
                             socklen_t               size,
                             int                     backlog);

/* The next one that has connected, CLOEXEC, with its address, and in blocking mode. EAGAIN: none now. Errors that
 * belong to one that has gone meanwhile are passed over, unless they come again and again. */
int  mp_listen_accept       (int                     fd,
                             struct sockaddr_storage *address,
                             socklen_t              *size);

G_END_DECLS
