/* mp-named-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-memory-file-private.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE (S_IRUSR | S_IWUSR)

static int
open_folder (const char *dir)
{
  return mp_fd_lift (open (dir, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

int
mp_named_memory_new (const char *dir)
{
  return mp_fd_lift (open (dir, O_TMPFILE | O_RDWR | O_CLOEXEC, MODE));
}

gboolean
mp_named_memory_publish (int         fd,
                         const char *dir,
                         const char *name)
{
  char path[sizeof "/proc/self/fd/2147483647"];
  int folder = open_folder (dir);
  int result = -1;

  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  if (folder >= 0)
    result = linkat (AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW);
  mp_fd_close (&folder);
  return result == 0;
}

static int
open_in (const char *dir,
         const char *name,
         int         flags)
{
  int folder = open_folder (dir);
  int fd = -1;

  if (folder >= 0)
    fd = mp_fd_lift (openat (folder, name, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, MODE));
  mp_fd_close (&folder);
  return fd;
}

int
mp_named_memory_create (const char *dir,
                        const char *name)
{
  return open_in (dir, name, O_CREAT | O_EXCL);
}

int
mp_named_memory_open (const char *dir,
                      const char *name)
{
  return open_in (dir, name, 0);
}

MpFileId
mp_named_memory_get_id (int fd)
{
  struct stat status;

  return fstat (fd, &status) == 0 ? (MpFileId) { status.st_dev, status.st_ino } : (MpFileId) { 0, 0 };
}

gboolean
mp_named_memory_unlink (MpFileId    id,
                        const char *dir,
                        const char *name)
{
  int folder = open_folder (dir);
  struct stat status;
  int result = -1;

  if (folder < 0)
    return FALSE;

  if (fstatat (folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_ino != id.ino || status.st_dev != id.dev)
    errno = ENOENT;
  else
    result = unlinkat (folder, name, 0);
  mp_fd_close (&folder);
  return result == 0;
}
