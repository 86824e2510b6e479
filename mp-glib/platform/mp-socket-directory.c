/* mp-socket-directory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-socket-directory-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-listen-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Whose directory it is says a lock on it, which the kernel drops with the last process that has it: there is no moment
 * at which a living listener's can be taken for one that was left. That nobody can connect there is asked nevertheless,
 * for a system or a sandbox without such locks. */

#define PREFIX       "mp-listener-"
#define SOCKET       "socket"
#define LETTERS      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"   /* mkdtemp()'s … */
#define N_RANDOM     6                                                                  /* … for each X */
#define MAX_ATTEMPTS 32
#define MAX_LOOKS    10000   /* at names: where there are more they are left */
#define MAX_SOCKETS  16      /* in one directory */
#define OLD_S        60      /* a process that was stopped for so long between two of its steps has lost */

static gboolean
is_dead_socket (int                directory,
                const char        *name,
                const struct stat *found)
{
  char path[sizeof ((struct sockaddr_un *) 0)->sun_path];
  int length = snprintf (path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
  struct stat there;

  /* Without /proc nothing would be there, which is no sign of death. */
  return length < (int) sizeof path && S_ISSOCK (found->st_mode) && found->st_uid == geteuid () &&
         lstat (path, &there) == 0 && there.st_dev == found->st_dev && there.st_ino == found->st_ino &&
         mp_listen_check_dead (path) == 0;
}

/* Of a directory that is read by another descriptor. */
static DIR *
open_to_read (int directory)
{
  int fd = mp_fd_lift (openat (directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR *stream = fd >= 0 ? fdopendir (fd) : NULL;

  if (stream == NULL)
    mp_fd_close (&fd);
  return stream;
}

static gboolean
is_dot (const char *name)
{
  return strcmp (name, ".") == 0 || strcmp (name, "..") == 0;
}

/* FALSE: there is something else, or somebody. */
static gboolean
remove_sockets (int directory)
{
  char names[MAX_SOCKETS][sizeof SOCKET + 1 + MP_SOCKET_NEAR_N_RANDOM];
  DIR *stream = open_to_read (directory);
  struct dirent *entry;
  struct stat found;
  gboolean ok = stream != NULL;
  guint n = 0, i;

  while (ok && (entry = readdir (stream)) != NULL)
    {
      if (is_dot (entry->d_name))
        continue;
      ok = n < MAX_SOCKETS && strncmp (entry->d_name, SOCKET, strlen (SOCKET)) == 0 &&
           strlen (entry->d_name) < sizeof names[0] &&
           fstatat (directory, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           is_dead_socket (directory, entry->d_name, &found);
      if (ok)
        g_strlcpy (names[n++], entry->d_name, sizeof names[0]);
    }
  if (stream != NULL)
    closedir (stream);

  for (i = 0; ok && i < n; i++)
    unlinkat (directory, names[i], 0);
  return ok;
}

static void
remove_if_left (int         parent,
                const char *name)
{
  int fd = mp_fd_lift (openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat found;

  if (fd >= 0 && fstat (fd, &found) == 0 && found.st_uid == geteuid () && (found.st_mode & 07777) == 0700 &&
      flock (fd, LOCK_EX | LOCK_NB) == 0 && remove_sockets (fd))
    unlinkat (parent, name, AT_REMOVEDIR);
  mp_fd_close (&fd);
}

static gboolean
is_random (const char *text,
           gsize       length,
           const char *letters)
{
  return strlen (text) == length && strspn (text, letters) == length;
}

static void
remove_left_ones (const char *parent)
{
  DIR *stream = opendir (parent);
  struct dirent *entry;
  guint i;

  if (stream == NULL)
    return;

  for (i = 0; i < MAX_LOOKS && (entry = readdir (stream)) != NULL; i++)
    if (g_str_has_prefix (entry->d_name, PREFIX) && is_random (entry->d_name + strlen (PREFIX), N_RANDOM, LETTERS))
      remove_if_left (dirfd (stream), entry->d_name);
  closedir (stream);
}

/* 0: done; 1: somebody has taken it for one that was left. */
static int
lock (MpSocketDirectory *self)
{
  struct stat made, there;

  self->lock = mp_fd_lift (open (self->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (self->lock < 0)
    return errno == ENOENT ? 1 : -1;
  if (flock (self->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
    return 1;

  return fstat (self->lock, &made) == 0 && lstat (self->path, &there) == 0 &&
         made.st_dev == there.st_dev && made.st_ino == there.st_ino ? 0 : 1;
}

int
mp_socket_directory_make (MpSocketDirectory *self)
{
  int result = 1, saved_errno;
  guint i;

  remove_left_ones (g_get_tmp_dir ());
  for (i = 0; i < MAX_ATTEMPTS && result > 0; i++)
    {
      mp_socket_directory_remove (self);
      self->path = g_build_filename (g_get_tmp_dir (), PREFIX "XXXXXX", NULL);
      if (g_mkdtemp (self->path) == NULL)
        {
          g_clear_pointer (&self->path, g_free);
          return -1;
        }
      self->owner = getpid ();
      result = lock (self);
    }
  if (result == 0)
    return 0;

  saved_errno = result < 0 ? errno : EBUSY;
  mp_socket_directory_remove (self);
  errno = saved_errno;
  return -1;
}

void
mp_socket_directory_remove (MpSocketDirectory *self)
{
  if (self->path != NULL && self->owner == getpid ())
    rmdir (self->path);
  g_clear_pointer (&self->path, g_free);
  mp_fd_close (&self->lock);
}

void
mp_socket_directory_tidy (int         directory,
                          const char *name)
{
  DIR *stream = open_to_read (directory);
  gsize length = strlen (name);
  struct dirent *entry;
  struct stat found;
  guint i;

  if (stream == NULL)
    return;

  for (i = 0; i < MAX_LOOKS && (entry = readdir (stream)) != NULL; i++)
    if (strncmp (entry->d_name, name, length) == 0 && entry->d_name[length] == '.' &&
        is_random (entry->d_name + length + 1, MP_SOCKET_NEAR_N_RANDOM, MP_SOCKET_NEAR_LETTERS) &&
        fstatat (directory, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
        (found.st_mode & 07777) == 0600 && found.st_mtime < time (NULL) - OLD_S &&
        is_dead_socket (directory, entry->d_name, &found))
      unlinkat (directory, entry->d_name, 0);
  closedir (stream);
}
