/* mp-process-facts.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-process-control-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/* NULL: it has ended meanwhile. */
static char *
describe_thread (const char *tid)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%s/comm", tid);
  g_autofree char *comm = NULL;

  if (g_file_get_contents (path, &comm, NULL, NULL))
    return g_strdup_printf ("%s (%s)", g_strchomp (comm), tid);
  /* One that has no name for lack of a descriptor is a thread all the same. */
  return access (path, F_OK) == 0 ? g_strdup_printf ("? (%s)", tid) : NULL;
}

gboolean
mp_platform_is_main_thread (void)
{
  static __thread int known;   /* 1: it is; -1: it is not */

  if (G_UNLIKELY (known == 0))
    known = syscall (SYS_gettid) == getpid () ? 1 : -1;
  return known == 1;
}

char **
mp_platform_list_threads (void)
{
  g_autofree char *own_tid = g_strdup_printf ("%ld", syscall (SYS_gettid));
  g_autoptr(GPtrArray) threads = NULL;
  DIR *dir = opendir ("/proc/self/task");
  struct dirent *entry;

  if (dir == NULL)
    return NULL;

  threads = g_ptr_array_new_with_free_func (g_free);
  while ((entry = readdir (dir)) != NULL)
    {
      char *text = NULL;

      if (entry->d_name[0] != '.' && !g_str_equal (entry->d_name, own_tid))
        text = describe_thread (entry->d_name);
      if (text != NULL)
        g_ptr_array_add (threads, text);
    }
  closedir (dir);

  g_ptr_array_add (threads, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&threads), FALSE);
}

guint
mp_platform_count_threads (const char *const *others)
{
  DIR *dir = opendir ("/proc/self/task");
  struct dirent *entry;
  guint n = 0;

  if (dir == NULL)
    return G_MAXUINT;

  while ((entry = readdir (dir)) != NULL)
    {
      g_autofree char *path = g_strdup_printf ("/proc/self/task/%s/comm", entry->d_name);
      g_autofree char *comm = NULL;

      if (entry->d_name[0] == '.')
        continue;
      if (!g_file_get_contents (path, &comm, NULL, NULL) || !g_strv_contains (others, g_strchomp (comm)))
        n++;
    }
  closedir (dir);
  return n;
}

gboolean
mp_platform_is_setuid (void)
{
  return getauxval (AT_SECURE) != 0;
}

char *
mp_platform_exe_path (void)
{
  return g_file_read_link ("/proc/self/exe", NULL);
}

char **
mp_platform_cmdline (void)
{
  g_autoptr(GPtrArray) argv = NULL;
  g_autofree char *text = NULL;
  gsize at = 0, length;

  if (!g_file_get_contents ("/proc/self/cmdline", &text, &length, NULL) || length == 0)
    return NULL;

  argv = g_ptr_array_new_with_free_func (g_free);
  while (at < length)
    {
      g_ptr_array_add (argv, g_strdup (text + at));
      at += strlen (text + at) + 1;
    }
  g_ptr_array_add (argv, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&argv), FALSE);
}

void
mp_platform_set_comm (const char *name)
{
  (void) prctl (PR_SET_NAME, (unsigned long) name, 0, 0, 0);
}

guint64
mp_platform_private_memory (pid_t pid)
{
  char path[sizeof "/proc/2147483647/statm"], text[128];
  guint64 resident = 0, shared = 0;
  ssize_t n;
  int fd;

  g_snprintf (path, sizeof path, "/proc/%d/statm", (int) pid);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  n = read (fd, text, sizeof text - 1);
  close (fd);
  if (n <= 0)
    return 0;

  text[n] = '\0';
  if (sscanf (text, "%*u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &resident, &shared) != 2 || resident < shared)
    return 0;
  return (resident - shared) * (guint64) sysconf (_SC_PAGESIZE);
}

int
mp_platform_mark_signal (void)
{
  return SIGRTMAX - 3;
}

gboolean
mp_platform_mark_is_blocked (void)
{
  sigset_t mask;

  sigemptyset (&mask);
  (void) pthread_sigmask (SIG_BLOCK, NULL, &mask);
  return sigismember (&mask, mp_platform_mark_signal ()) == 1;
}

void
mp_platform_mark_unblock (void)
{
  sigset_t mask;

  sigemptyset (&mask);
  sigaddset (&mask, mp_platform_mark_signal ());
  (void) pthread_sigmask (SIG_UNBLOCK, &mask, NULL);
}

void
mp_platform_reseed (void)
{
  guint32 seed;

  if (getrandom (&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
    seed = (guint32) g_get_monotonic_time () ^ ((guint32) getpid () << 16);
  g_random_set_seed (seed);
}
