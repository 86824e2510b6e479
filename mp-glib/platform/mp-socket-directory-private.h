/* mp-socket-directory-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Directories among the temporary files that have one socket each, and what listeners that were killed have left. */

typedef struct
{
  char  *path;    /* (owned) (nullable) */
  int    lock;    /* -1: none; a descriptor of the directory, which is locked while anybody has it */
  pid_t  owner;   /* the process that made it: its forked copies leave it alone */
} MpSocketDirectory;

#define MP_SOCKET_DIRECTORY_INIT { NULL, -1, 0 }

/* Of mode 0700. Removes those first that a dead process of this user has left. -1 sets errno. */
int  mp_socket_directory_make   (MpSocketDirectory *self);
/* The directory is empty by now, or left lying. */
void mp_socket_directory_remove (MpSocketDirectory *self);

/* Of the names beside a socket's: a dot, and so many of these, of which there are 32. */
#define MP_SOCKET_NEAR_LETTERS  "abcdefghijklmnopqrstuvwxyz234567"
#define MP_SOCKET_NEAR_N_RANDOM 6

/* Removes what mp_listen_at_path() left beside @name in @directory when its process was killed in the midst of it, which
 * was a while ago. */
void mp_socket_directory_tidy   (int                directory,
                                 const char        *name);

G_END_DECLS
