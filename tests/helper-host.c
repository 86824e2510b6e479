/* helper-host.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A host program with habits of its own: `helper-host HABIT METHOD`. It prints what it finds changed; nothing, and
 * status 0, is what is expected. */

#define LONG (60 * G_USEC_PER_SEC)

static volatile sig_atomic_t n_reaped;

static GVariant *
work (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_int32 (g_variant_get_int32 (args) + 1);
}

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_tuple (NULL, 0);
}

static GVariant *
sit (GVariant *args, gpointer user_data, GError **error)
{
  while (TRUE)
    pause ();
  return NULL;
}

/* What of a process anybody could disturb. */

static void
add_dispositions (GString *text)
{
  for (int signum = 1; signum < NSIG; signum++)
    {
      struct sigaction action;

      if (sigaction (signum, NULL, &action) == 0)
        g_string_append_printf (text, "signal %d: %p %x\n", signum, (void *) action.sa_handler, action.sa_flags);
    }
}

static void
add_mask (GString *text)
{
  sigset_t mask;

  sigprocmask (SIG_SETMASK, NULL, &mask);
  g_string_append (text, "blocked:");
  for (int signum = 1; signum < NSIG; signum++)
    if (sigismember (&mask, signum) == 1)
      g_string_append_printf (text, " %d", signum);
  g_string_append_c (text, '\n');
}

static void
add_surroundings (GString *text)
{
  g_autofree char *cwd = g_get_current_dir ();
  mode_t mask = umask (0);

  umask (mask);
  g_string_append_printf (text, "umask %o\ncwd %s\n", mask, cwd);
  for (char **variable = environ; *variable != NULL; variable++)
    g_string_append_printf (text, "%s\n", *variable);
}

static void
add_threads (GString *text)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  g_string_append_printf (text, "%u threads\n", n);
}

/* Those of the library's own that stay are few, and made once: they are there from the first use on. */
static void
add_fds (GString *text)
{
  for (int fd = 0; fd < 1024; fd++)
    {
      g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
      g_autofree char *target = g_file_read_link (path, NULL);

      if (target != NULL)
        g_string_append_printf (text, "fd %d %s\n", fd, target);
    }
}

static char *
take_stock (gboolean with_fds)
{
  GString *text = g_string_new (NULL);

  add_dispositions (text);
  add_mask (text);
  add_surroundings (text);
  add_threads (text);
  if (with_fds)
    add_fds (text);
  return g_string_free (text, FALSE);
}

static gboolean
compare_stock (const char *when, const char *before, gboolean with_fds)
{
  g_autofree char *after = take_stock (with_fds);

  if (strcmp (before, after) == 0)
    return TRUE;
  printf ("%s\n--- before\n%s--- after\n%s", when, before, after);
  return FALSE;
}

/* Uses of the library, each with its end. */

static gboolean
use_process (MpContext *context, int *status)
{
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (nothing), "context", context,
                                               NULL);
  g_autoptr(GError) error = NULL;

  if (!mp_process_start (process, LONG, NULL, &error) || !mp_process_join (process, LONG, NULL, &error))
    {
      printf ("process: %s\n", error->message);
      return FALSE;
    }
  *status = mp_process_get_exit_status (process);
  return TRUE;
}

static gboolean
use_pool (MpContext *context)
{
  g_autoptr(MpPool) pool = mp_pool_new_full (2, NULL, NULL, 0, context);
  g_autoptr(GError) error = NULL;

  for (int i = 0; i < 5; i++)
    {
      g_autoptr(GVariant) result = mp_pool_apply (pool, MP_FUNCTION (work), g_variant_new_int32 (i), LONG, NULL,
                                                  &error);

      if (result == NULL || g_variant_get_int32 (result) != i + 1)
        {
          printf ("pool: %s\n", error != NULL ? error->message : "wrong result");
          return FALSE;
        }
    }
  mp_pool_close (pool);
  if (mp_pool_join (pool, LONG, NULL, &error))
    return TRUE;
  printf ("pool: %s\n", error->message);
  return FALSE;
}

static gboolean
use_all (MpContext *context)
{
  int status;

  return use_process (context, &status) && use_pool (context);
}

static void
note_cb (int signum)
{
}

/* Everything is as it was before, but for the signals that a host has set: those too. */
static int
be_particular (MpContext *context)
{
  g_autofree char *before = NULL;
  g_autofree char *with_fds = NULL;

  signal (SIGUSR1, note_cb);
  signal (SIGPIPE, SIG_DFL);
  umask (027);
  before = take_stock (FALSE);
  if (!use_all (context) || !compare_stock ("after the first use", before, FALSE))
    return 1;
  with_fds = take_stock (TRUE);
  for (int i = 0; i < 3; i++)
    if (!use_all (context))
      return 1;
  return compare_stock ("after more of the same", with_fds, TRUE) ? 0 : 1;
}

static void
reap_cb (int signum)
{
  int saved = errno;

  while (waitpid (-1, NULL, WNOHANG) > 0)
    n_reaped++;
  errno = saved;
}

/* Takes the status of every child: they end all the same, only how is not known. */
static int
be_greedy (MpContext *context)
{
  struct sigaction action = { .sa_handler = reap_cb, .sa_flags = SA_RESTART };
  int status;

  sigaction (SIGCHLD, &action, NULL);
  for (int i = 0; i < 10; i++)
    {
      if (!use_process (context, &status))
        return 1;
      if (status != 0 && status != MP_EXIT_STATUS_UNKNOWN)
        {
          printf ("status %d\n", status);
          return 1;
        }
    }
  return use_pool (context) ? 0 : 1;
}

static int
ignore_children (MpContext *context)
{
  struct sigaction action;
  int status;

  signal (SIGCHLD, SIG_IGN);
  for (int i = 0; i < 10; i++)
    if (!use_process (context, &status))
      return 1;
  if (!use_pool (context))
    return 1;
  sigaction (SIGCHLD, NULL, &action);
  return action.sa_handler == SIG_IGN ? 0 : 1;
}

/* A host that has children of its own keeps their statuses. */
static int
have_children (MpContext *context)
{
  int pids[3];

  for (int i = 0; i < 3; i++)
    {
      pids[i] = fork ();
      if (pids[i] == 0)
        _exit (40 + i);
    }
  if (!use_all (context))
    return 1;
  for (int i = 0; i < 3; i++)
    {
      int status = 0;

      if (waitpid (pids[i], &status, 0) != pids[i] || !WIFEXITED (status) || WEXITSTATUS (status) != 40 + i)
        {
          printf ("child %d was taken\n", i);
          return 1;
        }
    }
  return 0;
}

/* Without standard descriptors the library's own must not take their places. */
static int
have_no_stdio (MpContext *context)
{
  int saved = dup (STDOUT_FILENO);
  gboolean good;

  close (STDIN_FILENO);
  close (STDOUT_FILENO);
  close (STDERR_FILENO);
  good = use_all (context);
  dup2 (saved, STDOUT_FILENO);
  return good ? 0 : 1;
}

/* In a sandbox that does not know, or does not want, what is newer than itself. Inherited by every process. */

#ifndef SYS_pidfd_open
# define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
# define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_clone3
# define SYS_clone3 435
#endif
#ifndef SYS_close_range
# define SYS_close_range 436
#endif
#ifndef SYS_epoll_pwait2
# define SYS_epoll_pwait2 441
#endif

#define REFUSE(number, error) \
  BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
  BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

static gboolean
enter_sandbox (guint error)
{
  struct sock_filter filter[] =
    {
      BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
      REFUSE (SYS_pidfd_open, error),
      REFUSE (SYS_pidfd_send_signal, error),
      REFUSE (SYS_clone3, ENOSYS),   /* what the C library needs to hear to do without */
      REFUSE (SYS_close_range, error),
      REFUSE (SYS_epoll_pwait2, error),
      BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
      BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, args[0])),
      BPF_JUMP (BPF_JMP | BPF_JSET | BPF_K, CLONE_PIDFD, 0, 1),
      BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
  struct sock_fprog program = { G_N_ELEMENTS (filter), filter };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
         syscall (SYS_pidfd_open, getpid (), 0) < 0;
}

/* Ended by a signal, without a descriptor that would tell. */
static gboolean
use_kill (MpContext *context)
{
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (sit), "context", context,
                                               NULL);
  g_autoptr(GError) error = NULL;

  if (mp_process_start (process, LONG, NULL, &error) && mp_process_kill (process, &error) &&
      mp_process_join (process, LONG, NULL, &error))
    return mp_process_get_exit_status (process) == -SIGKILL;
  printf ("kill: %s\n", error->message);
  return FALSE;
}

static int
be_sandboxed (MpContext *context)
{
  return use_all (context) && use_kill (context) ? 0 : 1;
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    int      (* func) (MpContext *context);
  } habits[] =
    {
      { "particular", be_particular },
      { "greedy", be_greedy },
      { "ignore", ignore_children },
      { "children", have_children },
      { "no-stdio", have_no_stdio },
      { "old-kernel", be_sandboxed },
      { "strict-filter", be_sandboxed },
    };
  g_autofree char *before = take_stock (FALSE);
  g_autoptr(MpContext) context = NULL;

  /* Workers inherit it. */
  if (!mp_is_worker () && argc > 1 &&
      ((strcmp (argv[1], "old-kernel") == 0 && !enter_sandbox (ENOSYS)) ||
       (strcmp (argv[1], "strict-filter") == 0 && !enter_sandbox (EPERM))))
    return 77;
  mp_init ();
  if (!compare_stock ("after mp_init()", before, FALSE) || argc < 3)
    return 1;
  context = mp_context_new ((MpStartMethod) atoi (argv[2]));
  for (guint i = 0; i < G_N_ELEMENTS (habits); i++)
    if (strcmp (argv[1], habits[i].name) == 0)
      return habits[i].func (context);
  return 2;
}
