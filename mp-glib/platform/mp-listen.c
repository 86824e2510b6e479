/* mp-listen.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-listen-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-random-private.h"
#include "mp-glib/platform/mp-socket-directory-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A path is taken in two steps: the socket is bound under a name beside it and listens there, and then that is renamed.
 * So there is no moment at which the path has a socket that does not listen yet, which another listener would take for
 * one that was left behind, and replace. The file gets its mode from the socket, where fchmod() sets it before bind():
 * under the process's umask it could be too wide, and that is not ours to change, not even for a moment. */

#define MODE         0600
#define MAX_ATTEMPTS 32
#define N_SUFFIX     (1 + MP_SOCKET_NEAR_N_RANDOM)

/* One that has been bound beside its place. */
typedef struct
{
  int         fd;
  const char *path;
  MpSocketFile *file;
  char       *near_name;
  char       *near_path;   /* what bind() and connect() take; may lead through the directory's descriptor */
} Newcomer;

static int
open_socket (int family)
{
  return mp_fd_lift (socket (family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static socklen_t
fill_address (struct sockaddr_un *address,
              const char         *path)
{
  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  g_strlcpy (address->sun_path, path, sizeof address->sun_path);
  return sizeof *address;
}

int
mp_listen_check_dead (const char *path)
{
  struct sockaddr_un address;
  socklen_t size = fill_address (&address, path);
  int fd = open_socket (AF_UNIX);
  gboolean alive;

  if (fd < 0)
    return -1;

  alive = connect (fd, (struct sockaddr *) &address, size) == 0 || (errno != ECONNREFUSED && errno != ENOENT);
  mp_fd_close (&fd);
  if (!alive)
    return 0;

  errno = EADDRINUSE;
  return -1;
}

/* -1: ENOENT, or EEXIST for what is no socket. */
static int
look_at (int          directory,
         const char  *name,
         struct stat *found)
{
  if (fstatat (directory, name, found, AT_SYMLINK_NOFOLLOW) < 0)
    return -1;
  if (S_ISSOCK (found->st_mode))
    return 0;

  errno = EEXIST;
  return -1;
}

static int
open_directory (const char *path)
{
  g_autofree char *directory = g_path_get_dirname (path);

  return mp_fd_lift (open (directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static gboolean
choose_near_name (Newcomer *self)
{
  char suffix[N_SUFFIX + 1] = ".";
  guint8 random[N_SUFFIX - 1];
  gsize i;

  if (!mp_random_bytes (random, sizeof random))
    return FALSE;
  for (i = 0; i < sizeof random; i++)
    suffix[i + 1] = MP_SOCKET_NEAR_LETTERS[random[i] % 32];

  g_free (self->near_name);
  g_free (self->near_path);
  if (strlen (self->path) + N_SUFFIX < sizeof ((struct sockaddr_un *) 0)->sun_path)
    {
      self->near_name = g_strconcat (self->file->name, suffix, NULL);
      self->near_path = g_strconcat (self->path, suffix, NULL);
    }
  else
    {
      self->near_name = g_strdup (suffix);
      self->near_path = g_strdup_printf ("/proc/self/fd/%d/%s", self->file->directory, suffix);
    }
  return TRUE;
}

static int
bind_near (Newcomer *self)
{
  struct sockaddr_un address;
  socklen_t size;
  guint i;

  if (fchmod (self->fd, MODE) < 0)
    return -1;

  for (i = 0; i < MAX_ATTEMPTS; i++)
    {
      if (!choose_near_name (self))
        return -1;
      size = fill_address (&address, self->near_path);
      if (bind (self->fd, (struct sockaddr *) &address, size) == 0)
        return 0;
      if (errno != EADDRINUSE)
        break;
    }

  g_clear_pointer (&self->near_name, g_free);
  return -1;
}

static int
listen_near (Newcomer *self,
             int       backlog)
{
  struct stat made;

  if (look_at (self->file->directory, self->near_name, &made) < 0)
    return -1;
  /* An umask that takes from the owner, or a system that does not look at the socket's own mode. Nobody can connect
   * before the socket listens. */
  if ((made.st_mode & 07777) != MODE && fchmodat (self->file->directory, self->near_name, MODE, 0) < 0)
    return -1;

  self->file->device = made.st_dev;
  self->file->inode = made.st_ino;
  return listen (self->fd, backlog);
}

static gboolean
is_refused (int code)
{
  return code == EINVAL || code == ENOSYS || code == EPERM || code == EOPNOTSUPP;
}

/* What renameat2() does not do everywhere. link() does not replace either; where sockets cannot have two names, there
 * is a moment between the look and the deed. */
static int
rename_without_replacing (int         directory,
                          const char *from,
                          const char *to)
{
  struct stat there;

  if (renameat2 (directory, from, directory, to, RENAME_NOREPLACE) == 0)
    return 0;
  if (!is_refused (errno))
    return -1;

  if (linkat (directory, from, directory, to, 0) == 0)
    {
      unlinkat (directory, from, 0);
      return 0;
    }
  if (!is_refused (errno))
    return -1;

  if (fstatat (directory, to, &there, AT_SYMLINK_NOFOLLOW) == 0)
    {
      errno = EEXIST;
      return -1;
    }
  return errno == ENOENT ? renameat (directory, from, directory, to) : -1;
}

/* In the place of @stale, and of no other: two may have found it at the same time, and who is second must not take
 * the first for it. 0: done; 1: it is another one by now. */
static int
replace (int                directory,
         const char        *from,
         const char        *to,
         const struct stat *stale)
{
  struct stat replaced;

  if (renameat2 (directory, from, directory, to, RENAME_EXCHANGE) < 0)
    {
      if (errno == ENOENT)
        return 1;
      if (!is_refused (errno))
        return -1;
      return renameat (directory, from, directory, to);
    }

  if (fstatat (directory, from, &replaced, AT_SYMLINK_NOFOLLOW) == 0 &&
      replaced.st_dev == stale->st_dev && replaced.st_ino == stale->st_ino)
    {
      unlinkat (directory, from, 0);
      return 0;
    }

  if (renameat2 (directory, from, directory, to, RENAME_EXCHANGE) < 0)
    return -1;
  return 1;
}

static int
take_place (Newcomer *self)
{
  int directory = self->file->directory;
  const char *name = self->file->name;
  struct stat there;
  int result;
  guint i;

  for (i = 0; i < MAX_ATTEMPTS; i++)
    {
      if (rename_without_replacing (directory, self->near_name, name) == 0)
        return 0;
      if (errno != EEXIST)
        return -1;
      if (look_at (directory, name, &there) < 0)
        {
          if (errno == ENOENT)
            continue;
          return -1;
        }
      if (mp_listen_check_dead (self->path) < 0)
        return -1;

      result = replace (directory, self->near_name, name, &there);
      if (result <= 0)
        return result;
    }

  errno = EADDRINUSE;
  return -1;
}

/* Before anything is made: all is seen to again when the place is taken. */
static int
check_place (Newcomer *self)
{
  struct stat there;

  if (look_at (self->file->directory, self->file->name, &there) < 0)
    return errno == ENOENT ? 0 : -1;
  return mp_listen_check_dead (self->path);
}

static void
newcomer_clear (Newcomer *self)
{
  g_free (self->near_name);
  g_free (self->near_path);
}

static void
file_clear (MpSocketFile *file)
{
  mp_fd_close (&file->directory);
  g_clear_pointer (&file->name, g_free);
}

static int
give_up (Newcomer *self)
{
  int saved_errno = errno;

  if (self->near_name != NULL)
    unlinkat (self->file->directory, self->near_name, 0);
  mp_fd_close (&self->fd);
  newcomer_clear (self);
  file_clear (self->file);
  errno = saved_errno;
  return -1;
}

int
mp_listen_at_path (const char   *path,
                   int           backlog,
                   MpSocketFile *file)
{
  Newcomer self = { -1, path, file, NULL, NULL };

  *file = (MpSocketFile) { .directory = open_directory (path), .name = g_path_get_basename (path), .owner = getpid () };
  if (file->directory < 0 || check_place (&self) < 0)
    return give_up (&self);
  mp_socket_directory_tidy (file->directory, file->name);

  self.fd = open_socket (AF_UNIX);
  if (self.fd < 0 || bind_near (&self) < 0 || listen_near (&self, backlog) < 0 || take_place (&self) < 0)
    return give_up (&self);

  newcomer_clear (&self);
  return self.fd;
}

void
mp_socket_file_remove (MpSocketFile *file)
{
  struct stat there;

  if (file->directory >= 0 && file->owner == getpid () &&
      fstatat (file->directory, file->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      there.st_dev == file->device && there.st_ino == file->inode)
    unlinkat (file->directory, file->name, 0);
  file_clear (file);
}

int
mp_listen_at (const struct sockaddr *address,
              socklen_t              size,
              int                    backlog)
{
  int fd = open_socket (address->sa_family);
  const int yes = 1, no = 0;
  gboolean ok = fd >= 0;

  if (ok && address->sa_family != AF_UNIX)
    ok = setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0;
  if (ok && address->sa_family != AF_UNIX)
    mp_socket_keep_alive (fd);
  if (ok && address->sa_family == AF_INET6 &&
      IN6_IS_ADDR_UNSPECIFIED (&((const struct sockaddr_in6 *) address)->sin6_addr))
    ok = setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) == 0;
  if (ok)
    ok = bind (fd, address, size) == 0 && listen (fd, backlog) == 0;

  if (!ok)
    mp_fd_close (&fd);
  return fd;
}

/* What Linux hands on of a connection's own errors, see accept(2). */
static gboolean
is_of_one_client (int code)
{
  switch (code)
    {
    case ECONNABORTED:
    case EINTR:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
      return TRUE;
    default:
      return FALSE;
    }
}

int
mp_listen_accept (int                      fd,
                  struct sockaddr_storage *address,
                  socklen_t               *size)
{
  int accepted;
  guint i;

  for (i = 0; i < MAX_ATTEMPTS; i++)
    {
      *size = sizeof *address;
      accepted = accept4 (fd, (struct sockaddr *) address, size, SOCK_CLOEXEC);
      if (accepted >= 0)
        return mp_fd_lift (accepted);
      if (!is_of_one_client (errno))
        return -1;
    }

  /* So many are no accident: who is told this waits for a while, and does not find the socket ready all the time. */
  if (errno == EINTR)
    errno = EAGAIN;
  return -1;
}
