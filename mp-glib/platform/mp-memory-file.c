/* mp-memory-file.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-memory-file-private.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
# define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
# define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* A signal undoes what the kernel had done of a call: by parts of this size, or less when signals come often, it gets on. */
#define PART       (G_GUINT64_CONSTANT (16) << 20)
#define LEAST_PART (G_GUINT64_CONSTANT (64) << 10)

int
mp_memory_file_new (const char *name)
{
  int fd = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

  if (fd < 0 && errno == EINVAL)
    fd = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  fd = mp_fd_lift (fd);
  if (fd >= 0 && fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
    mp_fd_close (&fd);
  return fd;
}

gboolean
mp_memory_file_add_seals (int   fd,
                          guint seals)
{
  int flags = 0;

  flags |= (seals & MP_MEMORY_SEAL_SHRINK) != 0 ? F_SEAL_SHRINK : 0;
  flags |= (seals & MP_MEMORY_SEAL_GROW) != 0 ? F_SEAL_GROW : 0;
  flags |= (seals & MP_MEMORY_SEAL_WRITE) != 0 ? F_SEAL_WRITE : 0;
  flags |= (seals & MP_MEMORY_SEAL_SEAL) != 0 ? F_SEAL_SEAL : 0;
  return fcntl (fd, F_ADD_SEALS, flags) == 0;
}

int
mp_memory_file_get_seals (int fd)
{
  int flags = mp_fd_get_seals (fd), seals = 0;

  if (flags < 0)
    return -1;

  seals |= (flags & F_SEAL_SHRINK) != 0 ? MP_MEMORY_SEAL_SHRINK : 0;
  seals |= (flags & F_SEAL_GROW) != 0 ? MP_MEMORY_SEAL_GROW : 0;
  /* Whoever made the latter may still write where it was mapped before; here nobody can. */
  seals |= (flags & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0 ? MP_MEMORY_SEAL_WRITE : 0;
  seals |= (flags & F_SEAL_SEAL) != 0 ? MP_MEMORY_SEAL_SEAL : 0;
  return seals;
}

gboolean
mp_memory_file_is_writable (int fd)
{
  int flags = fcntl (fd, F_GETFL);

  return flags >= 0 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) == O_RDWR;
}

gint64
mp_memory_file_get_size (int fd)
{
  struct stat status;

  if (fstat (fd, &status) < 0)
    return -1;
  if (!S_ISREG (status.st_mode))
    {
      errno = EINVAL;
      return -1;
    }
  return status.st_size;
}

guint64
mp_memory_file_get_reserved (int fd)
{
  struct stat status;

  return fstat (fd, &status) == 0 && status.st_blocks > 0 ? (guint64) status.st_blocks * 512 : 0;
}

/* The kernel would send SIGXFSZ, which ends a process. */
static gboolean
is_too_long (guint64 offset,
             guint64 length)
{
  struct rlimit limit;

  if (offset > G_MAXINT64 || length > G_MAXINT64 - offset)
    return TRUE;
  return getrlimit (RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < offset + length;
}

gboolean
mp_memory_file_set_size (int     fd,
                         guint64 size)
{
  if (is_too_long (0, size))
    {
      errno = EFBIG;
      return FALSE;
    }
  return ftruncate (fd, (off_t) size) == 0;
}

gboolean
mp_memory_file_reserve (int      fd,
                        guint64  offset,
                        guint64  length,
                        gboolean keep_size)
{
  guint64 part = PART;

  if (is_too_long (offset, length))
    {
      errno = EFBIG;
      return FALSE;
    }

  while (length > 0)
    {
      part = MIN (length, part);
      if (fallocate (fd, keep_size ? FALLOC_FL_KEEP_SIZE : 0, (off_t) offset, (off_t) part) == 0)
        {
          offset += part;
          length -= part;
        }
      else if (errno == EINTR)
        part = MAX (part / 2, LEAST_PART);
      else
        return FALSE;
    }
  return TRUE;
}

gboolean
mp_memory_file_punch (int     fd,
                      guint64 offset,
                      guint64 length)
{
  int result;

  do
    {
      result = fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) length);
    }
  while (result < 0 && errno == EINTR);
  return result == 0;
}

gboolean
mp_memory_file_write (int            fd,
                      guint64        offset,
                      gconstpointer  data,
                      gsize          size)
{
  const guint8 *bytes = data;

  while (size > 0)
    {
      gssize n = pwrite (fd, bytes, size, (off_t) offset);

      if (n < 0 && errno != EINTR)
        return FALSE;
      if (n == 0)
        errno = ENOSPC;
      if (n == 0)
        return FALSE;
      if (n > 0)
        {
          bytes += n;
          offset += n;
          size -= n;
        }
    }
  return TRUE;
}

gboolean
mp_memory_file_read (int      fd,
                     guint64  offset,
                     gpointer data,
                     gsize    size)
{
  guint8 *bytes = data;

  while (size > 0)
    {
      gssize n = pread (fd, bytes, size, (off_t) offset);

      if (n < 0 && errno != EINTR)
        return FALSE;
      if (n == 0)
        errno = EIO;
      if (n == 0)
        return FALSE;
      if (n > 0)
        {
          bytes += n;
          offset += n;
          size -= n;
        }
    }
  return TRUE;
}

guint64
mp_memory_file_get_space (int fd)
{
  struct statvfs status;

  if (fstatvfs (fd, &status) < 0 || status.f_blocks == 0)
    return G_MAXUINT64;
  return (guint64) status.f_bavail * status.f_frsize;
}

gpointer
mp_memory_file_map (int       fd,
                    gsize     size,
                    gboolean *writable)
{
  gpointer address = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

  *writable = address != MAP_FAILED;
  if (address == MAP_FAILED && (errno == EPERM || errno == EACCES))
    address = mmap (NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  /* Older kernels refuse to share what is sealed against writing. It cannot change any more, so private is the same. */
  if (address == MAP_FAILED && (errno == EPERM || errno == EACCES))
    address = mmap (NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  return address != MAP_FAILED ? address : NULL;
}
