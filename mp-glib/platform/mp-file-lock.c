/* mp-file-lock.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-file-lock-private.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* By hand, as it is called around fork(), where another thread may have been stopped within the C library. */
static void
print_path (char path[32],
            int  fd)
{
  static const char prefix[] = "/proc/self/fd/";
  char digits[12];
  guint n = 0, at = sizeof prefix - 1, i;

  for (i = 0; i < at; i++)
    path[i] = prefix[i];
  do
    {
      digits[n++] = '0' + fd % 10;
      fd /= 10;
    }
  while (fd > 0);
  while (n > 0)
    path[at++] = digits[--n];
  path[at] = '\0';
}

int
mp_file_lock_reopen (int fd)
{
  char path[32];

  if (fd < 0)
    {
      errno = EBADF;
      return -1;
    }
  print_path (path, fd);
  /* Else one who sent it with a lease on it could have us wait for 45 s. */
  return mp_fd_lift (open (path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
}

static struct flock
range (short   type,
       guint64 first,
       guint64 n_bytes)
{
  /* l_pid must be 0, else the kernel refuses it. */
  return (struct flock) { .l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = n_bytes };
}

gboolean
mp_file_lock_take (int      fd,
                   guint64  byte,
                   gboolean exclusive)
{
  struct flock lock = range (exclusive ? F_WRLCK : F_RDLCK, byte, 1);
  int result;

  do
    result = fcntl (fd, F_OFD_SETLK, &lock);
  while (result < 0 && errno == EINTR);
  if (result < 0 && errno == EACCES)
    errno = EAGAIN;
  return result == 0;
}

void
mp_file_lock_drop (int     fd,
                   guint64 byte)
{
  struct flock lock = range (F_UNLCK, byte, 1);

  (void) fcntl (fd, F_OFD_SETLK, &lock);
}

/* When the kernel cannot say, the answer is yes: nothing is then taken from anybody. */
gboolean
mp_file_lock_is_taken (int     fd,
                       guint64 first,
                       guint64 n_bytes)
{
  struct flock lock = range (F_WRLCK, first, n_bytes);

  return fcntl (fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}
