/* test-sandbox.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "instrument-test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A system that refuses the younger system calls, as the filters of containers do, and every file to be made. This
 * program is started again with "--inside MODE METHOD", puts the filter on itself, which its workers inherit, and does
 * the library's work there. */

#define TIMEOUT (30 * G_USEC_PER_SEC)
#define SKIPPED 77

#ifndef CLONE_PIDFD
# define CLONE_PIDFD 0x00001000
#endif

typedef enum
{
  MODE_ENOSYS,       /* all are refused, as by an old kernel */
  MODE_EPERM,        /* all are refused, as by an old filter */
  MODE_CLONE_ONLY,   /* a pidfd is not given by clone(), but by pidfd_open() */
} Mode;

static const char * const mode_names[] = { "enosys", "eperm", "clone-only" };

/* The low half of an argument. */
#define ARGUMENT(n) (offsetof (struct seccomp_data, args[n]) + (G_BYTE_ORDER == G_BIG_ENDIAN ? 4 : 0))

#define MAX_RULES 64

typedef struct
{
  struct sock_filter code[MAX_RULES];
  guint              n;
} Filter;

static void
filter_add (Filter  *filter,
            guint16  code,
            guint32  k,
            guint8   jt,
            guint8   jf)
{
  g_assert_cmpuint (filter->n, <, MAX_RULES);
  filter->code[filter->n++] = (struct sock_filter) { code, jt, jf, k };
}

static void
refuse (Filter *filter,
        long    number,
        int     error)
{
  filter_add (filter, BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr), 0, 0);
  filter_add (filter, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
  filter_add (filter, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error, 0, 0);
}

static void
refuse_flag (Filter *filter,
             long    number,
             guint   argument,
             guint32 flag,
             int     error)
{
  filter_add (filter, BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr), 0, 0);
  filter_add (filter, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3);
  filter_add (filter, BPF_LD | BPF_W | BPF_ABS, ARGUMENT (argument), 0, 0);
  filter_add (filter, BPF_JMP | BPF_JSET | BPF_K, flag, 0, 1);
  filter_add (filter, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error, 0, 0);
}

static gboolean
put_filter (Mode mode)
{
  int error = mode == MODE_ENOSYS ? ENOSYS : EPERM;
  struct sock_fprog program;
  Filter filter = { .n = 0 };

  refuse_flag (&filter, SYS_clone, 0, CLONE_PIDFD, error);
  refuse_flag (&filter, SYS_openat, 2, O_CREAT, EROFS);
  if (mode != MODE_CLONE_ONLY)
    {
      /* By number where the headers of the oldest system have no name. */
      refuse (&filter, 424 /* pidfd_send_signal */, error);
      refuse (&filter, 434 /* pidfd_open */, error);
      refuse (&filter, 435 /* clone3 */, error);
      refuse (&filter, 436 /* close_range */, error);
      refuse (&filter, 441 /* epoll_pwait2 */, error);
      refuse (&filter, 449 /* futex_waitv */, error);
    }
  filter_add (&filter, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);

  program.len = filter.n;
  program.filter = filter.code;
  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/* What this process and its workers can do: no use to test fallbacks that are not taken. */
static void
check_filter (Mode mode)
{
  int error = mode == MODE_ENOSYS ? ENOSYS : EPERM;
  int pidfd = -1;

  g_assert_cmpint (syscall (SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL), ==, -1);
  g_assert_cmpint (errno, ==, error);
  g_assert_cmpint (open ("/tmp/mp-glib-sandbox", O_CREAT | O_RDWR, 0600), ==, -1);
  g_assert_cmpint (errno, ==, EROFS);
  pidfd = mp_platform_pidfd_open (getpid ());
  if (mode == MODE_CLONE_ONLY)
    g_assert_cmpint (pidfd, >=, 0);
  else
    {
      g_assert_cmpint (pidfd, ==, -1);
      g_assert_cmpint (errno, ==, error);
      g_assert_cmpint (syscall (436, 1000, 1000, 0), ==, -1);
      g_assert_cmpint (errno, ==, error);
    }
  mp_fd_close (&pidfd);
}

static void
check_descriptors (void)
{
  int low = dup (0), high = fcntl (0, F_DUPFD, 200);

  mp_fd_cloexec_from (low + 1);
  g_assert_cmpint (fcntl (low, F_GETFD), ==, 0);
  g_assert_cmpint (fcntl (high, F_GETFD), ==, FD_CLOEXEC);
  mp_fd_close (&low);
  mp_fd_close (&high);
}

static void
check_poll (void)
{
  int epfd = mp_poll_new ();
  gint64 begin = g_get_monotonic_time ();
  MpPollEvent event;

  g_assert_cmpint (mp_poll_wait (epfd, &event, 1, 1500), ==, 0);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 1500);
  mp_fd_close (&epfd);
}

/* Looks until it has ended, since there may be nothing to wait for. */
static int
wait_end (pid_t pid,
          int   pidfd)
{
  int status = G_MAXINT;
  MpReap reap;

  while ((reap = mp_platform_reap (pid, pidfd, &status)) == MP_REAP_RUNNING)
    g_thread_yield ();
  g_assert_cmpint (reap, ==, MP_REAP_EXITED);
  return status;
}

static void
check_spawn (Mode mode)
{
  static const char * const argv[] = { "sh", "-c", "exit 3", NULL };
  static const char * const cat_argv[] = { "sh", "-c", "cat", NULL };
  static const char * const envp[] = { "PATH=/usr/bin:/bin", NULL };
  MpSpawn spawn = { .path = "/bin/sh", .exe_fd = -1, .argv = argv, .envp = envp, .cwd_fd = -1,
                    .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 };
  int in[2], pidfd;
  pid_t pid;

  pid = mp_platform_spawn (&spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_cmpint (pidfd >= 0, ==, mode == MODE_CLONE_ONLY);
  g_assert_cmpint (wait_end (pid, pidfd), ==, 3);
  mp_fd_close (&pidfd);

  g_assert_no_errno (mp_fd_pipe (in));
  spawn.argv = cat_argv;
  spawn.stdin_fd = in[0];
  pid = mp_platform_spawn (&spawn, &pidfd);
  g_assert_no_errno (pid);
  g_assert_no_errno (mp_platform_signal (pid, pidfd, SIGTERM));
  g_assert_cmpint (wait_end (pid, pidfd), ==, -SIGTERM);
  mp_fd_close (&pidfd);
  mp_fd_close (&in[0]);
  mp_fd_close (&in[1]);

  spawn.stdin_fd = -1;
  spawn.path = "/nonexistent";
  g_assert_cmpint (mp_platform_spawn (&spawn, &pidfd), ==, -1);
  g_assert_cmpint (errno, ==, ENOENT);
}

static GVariant *
square (GVariant  *args,
        gpointer   user_data,
        GError   **error)
{
  gint32 x = g_variant_get_int32 (args);

  return g_variant_new_int32 (x * x);
}

static GVariant *
die (GVariant  *args,
     gpointer   user_data,
     GError   **error)
{
  kill (getpid (), SIGKILL);
  return NULL;
}

static GVariant *
quit (GVariant  *args,
      gpointer   user_data,
      GError   **error)
{
  exit (g_variant_get_int32 (args));
}

static void
check_pool (MpContext *context)
{
  g_autoptr(MpPool) pool = mp_pool_new_full (2, NULL, NULL, 0, context);
  g_autoptr(GVariant) results = NULL;
  g_autoptr(GVariant) none = NULL;
  g_autoptr(GVariant) after = NULL;
  g_autoptr(GError) error = NULL;
  GVariantBuilder items;
  gint32 i;

  g_variant_builder_init (&items, G_VARIANT_TYPE ("ai"));
  for (i = 0; i < 1000; i++)
    g_variant_builder_add (&items, "i", i);
  results = mp_pool_map (pool, MP_FUNCTION (square), g_variant_builder_end (&items), 7, TIMEOUT, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (results), ==, 1000);

  /* One death is one failure, also when nothing but the socket tells of it. */
  none = mp_pool_apply (pool, MP_FUNCTION (die), g_variant_new_int32 (0), TIMEOUT, NULL, &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  g_assert_null (none);
  g_clear_error (&error);
  after = mp_pool_apply (pool, MP_FUNCTION (square), g_variant_new_int32 (12), TIMEOUT, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (after);

  mp_pool_close (pool);
  g_assert_true (mp_pool_join (pool, TIMEOUT, NULL, &error));
  g_assert_no_error (error);
}

static void
check_process (MpContext *context)
{
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (quit),
                                               "args", g_variant_new_int32 (7), "context", context, NULL);
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_process_start (process, TIMEOUT, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (mp_process_join (process, TIMEOUT, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 7);
}

static int
inside (Mode          mode,
        MpStartMethod method)
{
  g_autoptr(MpContext) context = NULL;
  gboolean allowed = put_filter (mode);

  mp_init ();
  if (!allowed)
    return SKIPPED;

  check_filter (mode);
  check_descriptors ();
  check_poll ();
  check_spawn (mode);
  context = mp_context_new (method);
  check_pool (context);
  check_process (context);
  return 0;
}

typedef struct
{
  Mode          mode;
  MpStartMethod method;
} Case;

static void
test_sandbox (gconstpointer data)
{
  const Case *test = data;
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *method = g_strdup_printf ("%d", test->method);
  char *argv[] = { program, (char *) "--inside", (char *) mode_names[test->mode], method, NULL };
  g_autoptr(GError) error = NULL;
  int status;

  if (is_under_valgrind ())
    {
      g_test_skip ("valgrind does not survive filters");
      return;
    }
  g_spawn_sync (NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  if (WIFEXITED (status) && WEXITSTATUS (status) == SKIPPED)
    {
      g_test_skip ("no filter can be set here");
      return;
    }
  g_spawn_check_wait_status (status, &error);
  g_assert_no_error (error);
}

static Case cases[] = {
  { MODE_ENOSYS, MP_START_METHOD_SPAWN },
  { MODE_ENOSYS, MP_START_METHOD_FORKSERVER },
  { MODE_ENOSYS, MP_START_METHOD_FORK },
  { MODE_EPERM, MP_START_METHOD_SPAWN },
  { MODE_EPERM, MP_START_METHOD_FORKSERVER },
  { MODE_EPERM, MP_START_METHOD_FORK },
  { MODE_CLONE_ONLY, MP_START_METHOD_SPAWN },
  { MODE_CLONE_ONLY, MP_START_METHOD_FORKSERVER },
  { MODE_CLONE_ONLY, MP_START_METHOD_FORK },
};

int
main (int   argc,
      char *argv[])
{
  static const char * const method_names[] = { "auto", "spawn", "forkserver", "fork" };
  guint i;

  if (argc == 4 && g_str_equal (argv[1], "--inside"))
    {
      Mode mode = MODE_ENOSYS;

      while (!g_str_equal (mode_names[mode], argv[2]))
        mode++;
      return inside (mode, atoi (argv[3]));
    }

  g_test_init (&argc, &argv, NULL);
  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strdup_printf ("/sandbox/%s/%s", mode_names[cases[i].mode],
                                               method_names[cases[i].method]);

      g_test_add_data_func (path, &cases[i], test_sandbox);
    }
  return g_test_run ();
}
