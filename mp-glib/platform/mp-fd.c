/* mp-fd.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Younger than the oldest kernel headers that this is built with. */
#ifndef MFD_NOEXEC_SEAL
# define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef CLOSE_RANGE_CLOEXEC
# define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef SYS_close_range
# define SYS_close_range 436
#endif

/* As getdents64() writes it; glibc has no such declaration. */
typedef struct
{
  guint64 ino;
  gint64  off;
  guint16 reclen;
  guint8  type;
  char    name[];
} DirectoryEntry;

int
mp_fd_dup (int fd)
{
  return fcntl (fd, F_DUPFD_CLOEXEC, 3);
}

int
mp_fd_lift (int fd)
{
  int lifted;

  if (fd < 0 || fd > 2)
    return fd;

  lifted = mp_fd_dup (fd);
  mp_fd_close (&fd);
  return lifted;
}

void
mp_fd_close (int *fd)
{
  int saved_errno = errno;

  if (*fd >= 0)
    close (*fd);
  *fd = -1;
  errno = saved_errno;
}

int
mp_fd_lift_pair (int fds[2])
{
  for (int i = 0; i < 2; i++)
    {
      fds[i] = mp_fd_lift (fds[i]);
      if (fds[i] < 0)
        {
          mp_fd_close (&fds[0]);
          mp_fd_close (&fds[1]);
          return -1;
        }
    }
  return 0;
}

int
mp_fd_pipe (int fds[2])
{
  return pipe2 (fds, O_CLOEXEC) == 0 ? mp_fd_lift_pair (fds) : -1;
}

int
mp_fd_eventfd (void)
{
  return mp_fd_lift (eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static void
close_thread_event (gpointer data)
{
  int fd = GPOINTER_TO_INT (data) - 1;

  mp_fd_close (&fd);
}

static GPrivate thread_event_key = G_PRIVATE_INIT (close_thread_event);

/* The eventfd is the other process's too: what wakes the one could be taken by the other. */
static void
forget_thread_event (void)
{
  g_private_replace (&thread_event_key, NULL);
}

int
mp_fd_get_thread_event (void)
{
  static gsize handler_installed;
  int fd = GPOINTER_TO_INT (g_private_get (&thread_event_key)) - 1;

  if (fd >= 0)
    return fd;

  if (g_once_init_enter (&handler_installed))
    {
      pthread_atfork (NULL, NULL, forget_thread_event);
      g_once_init_leave (&handler_installed, 1);
    }
  fd = mp_fd_eventfd ();
  g_private_set (&thread_event_key, GINT_TO_POINTER (fd + 1));
  return fd;
}

void
mp_fd_signal (int fd)
{
  guint64 one = 1;

  /* EAGAIN: the counter is full, so it is readable anyway. */
  while (write (fd, &one, sizeof one) < 0 && errno == EINTR)
    ;
}

void
mp_fd_clear_signal (int fd)
{
  guint64 count;

  while (read (fd, &count, sizeof count) < 0 && errno == EINTR)
    ;
}

/* As the signal's disposition is the program's, it is held off for this thread, and one that came of this write is taken
 * out of what is pending. */
void
mp_fd_write_quietly (int           fd,
                     gconstpointer data,
                     gsize         size)
{
  static const struct timespec no_time = { 0, 0 };
  const guint8 *rest = data;
  sigset_t sigpipe, pending, mask;

  sigemptyset (&sigpipe);
  sigaddset (&sigpipe, SIGPIPE);
  sigpending (&pending);
  pthread_sigmask (SIG_BLOCK, &sigpipe, &mask);
  while (size > 0)
    {
      gssize n = write (fd, rest, size);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EPIPE && !sigismember (&pending, SIGPIPE))
        while (sigtimedwait (&sigpipe, NULL, &no_time) < 0 && errno == EINTR)
          ;
      if (n <= 0)
        break;
      rest += n;
      size -= n;
    }
  pthread_sigmask (SIG_SETMASK, &mask, NULL);
}

int
mp_fd_open_null (void)
{
  return mp_fd_lift (open ("/dev/null", O_RDWR | O_CLOEXEC));
}

/* The kernel would send SIGXFSZ, which ends a process. */
static gboolean
exceeds_limit (gsize size)
{
  struct rlimit limit;

  return getrlimit (RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size;
}

int
mp_fd_memory_file (const char *name,
                   gsize       size)
{
  int fd;

  if (exceeds_limit (size))
    {
      errno = EFBIG;
      return -1;
    }

  fd = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL)
    fd = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  fd = mp_fd_lift (fd);
  if (fd < 0)
    return -1;

  if (ftruncate (fd, size) < 0 || fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
    mp_fd_close (&fd);
  return fd;
}

/* A hole that somebody makes in huge pages is one whose access is a SIGBUS when no page is free: no seal helps. */
int
mp_fd_get_seals (int fd)
{
  struct statfs status;

  if (fstatfs (fd, &status) < 0)
    return -1;
  if (status.f_type == HUGETLBFS_MAGIC)
    {
      errno = EINVAL;
      return -1;
    }
  return fcntl (fd, F_GET_SEALS);
}

/* Without the seal its sender could shrink the file, and the next access here would be a SIGBUS. */
gboolean
mp_fd_is_sealed (int fd)
{
  int seals = mp_fd_get_seals (fd);

  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

gpointer
mp_fd_map_memory_file (int   fd,
                       gsize size)
{
  return mp_fd_map_part (fd, 0, size);
}

gpointer
mp_fd_map_part (int     fd,
                guint64 offset,
                gsize   size)
{
  struct stat status;
  gpointer address;

  if (fstat (fd, &status) < 0)
    return NULL;

  if (!mp_fd_is_sealed (fd) || size == 0 || status.st_size < 0 ||
      (guint64) status.st_size < size || (guint64) status.st_size - size < offset)
    {
      errno = EINVAL;
      return NULL;
    }

  address = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t) offset);
  return address != MAP_FAILED ? address : NULL;
}

void
mp_fd_unmap (gpointer address,
             gsize    size)
{
  if (address != NULL)
    munmap (address, size);
}

gpointer
mp_fd_map_anonymous (gsize size)
{
  gpointer address;

  address = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    return NULL;

  (void) madvise (address, size, MADV_HUGEPAGE);   /* fewer page faults; a kernel without them works too */
  return address;
}

/* Decimal, of a directory entry; -1 for "." and "..". */
MP_IN_CHILD static int
parse_number (const char *text)
{
  int number = 0;

  if (*text == '\0')
    return -1;
  for (; *text != '\0'; text++)
    {
      if (*text < '0' || *text > '9' || number > 100000000)
        return -1;
      number = number * 10 + (*text - '0');
    }
  return number;
}

/* opendir() would allocate. */
MP_IN_CHILD static gboolean
cloexec_listed (int first)
{
  union
  {
    DirectoryEntry entry;
    char           bytes[2048];
  } buffer;
  int dir;
  long n;

  dir = syscall (SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0)
    return FALSE;

  while ((n = syscall (SYS_getdents64, dir, &buffer, sizeof buffer)) > 0)
    {
      long at = 0;

      while (at < n)
        {
          const DirectoryEntry *entry = (gconstpointer) (buffer.bytes + at);
          int fd = parse_number (entry->name);

          if (fd >= first)
            (void) syscall (SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
          at += entry->reclen;
        }
    }

  (void) syscall (SYS_close, dir);
  return n == 0;
}

MP_IN_CHILD void
mp_fd_cloexec_from (int first)
{
  struct rlimit limit;
  int fd, end = 1024;

  if (syscall (SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
    return;
  if (cloexec_listed (first))
    return;

  if (getrlimit (RLIMIT_NOFILE, &limit) == 0)
    end = (int) MIN (limit.rlim_cur, 1 << 20);
  for (fd = first; fd < end; fd++)
    (void) syscall (SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
}
