/* mp-process-control-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Making, watching, signalling and outliving processes. */

/* What mp_platform_spawn() runs. Everything is prepared before; the child makes async-signal-safe calls only. */
typedef struct
{
  const char         *path;          /* executed as it is, no search; or NULL: */
  int                 exe_fd;        /* … executed by descriptor (/proc/self/fd), -1 none */
  const char * const *argv;
  const char * const *envp;
  int                 cwd_fd;        /* fchdir() there, -1: stay */
  int                 stdin_fd;      /* put at 0, 1, 2; -1: inherited */
  int                 stdout_fd;
  int                 stderr_fd;
  const int          *keep_fds;      /* descriptors that survive exec under the same numbers (≥ 3) */
  guint               n_keep_fds;
  int                 mark_signal;   /* left blocked in the child's mask, 0 none; all else is unblocked, all handlers
                                      * reset; terminal signals that are ignored (nohup) stay so */
  gboolean            own_group;
} MpSpawn;

/* clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD) on a stack of its own, all signals blocked around it; without CLONE_PIDFD
 * and then pidfd_open() where that fails. @pidfd: -1 when the kernel refuses both. Result: pid, or -1 with errno (that
 * of a failed exec too). */
pid_t     mp_platform_spawn          (const MpSpawn  *spawn,
                                      int            *pidfd);
int       mp_platform_pidfd_open     (pid_t           pid);
/* By @pidfd (≥ 0), else by pid while it is known to be un-reaped. */
int       mp_platform_signal         (pid_t           pid,
                                      int             pidfd,
                                      int             signum);

typedef enum
{
  MP_REAP_RUNNING,
  MP_REAP_EXITED,    /* @status: 0…255, or minus the signal */
  MP_REAP_UNKNOWN,   /* somebody else reaped it, or it is no child of ours */
} MpReap;

MpReap    mp_platform_reap           (pid_t           pid,
                                      int             pidfd,
                                      int            *status);

/* The life-line. The owner keeps the write end; the child arms the read end: SIGKILL by the kernel (F_SETOWN_EX,
 * F_SETSIG, O_ASYNC) as soon as no write end is left; looks once for the race. */
int       mp_platform_lifeline_new   (int            *read_end,
                                      int            *write_end);
gboolean  mp_platform_lifeline_arm   (int             read_end);
/* Write ends that a fork()ed child of the owner's must not keep open: closed there by a pthread_atfork() handler that
 * is installed with the first one. */
void      mp_platform_lifeline_register   (int        write_end);
void      mp_platform_lifeline_unregister (int        write_end);
/* Installs the handlers now: what installs its own later has its turn before them. */
void      mp_platform_lifeline_prepare    (void);

/* Facts about this process. */
char    **mp_platform_list_threads   (void);          /* "name (tid)" of all but the calling one; empty: single-threaded; NULL with errno: they cannot be listed */
gboolean  mp_platform_is_setuid      (void);          /* AT_SECURE */
char     *mp_platform_exe_path       (void);          /* readlink of /proc/self/exe, " (deleted)" kept */
char    **mp_platform_cmdline        (void);          /* /proc/self/cmdline */
void      mp_platform_set_comm       (const char     *name);
/* All, the calling one too, but for those that have one of the names @others; G_MAXUINT: they cannot be listed. */
guint     mp_platform_count_threads  (const char *const *others);
gboolean  mp_platform_is_main_thread (void);         /* the thread that the process began with */
int       mp_platform_mark_signal    (void);          /* SIGRTMAX - 3 */
gboolean  mp_platform_mark_is_blocked (void);
void      mp_platform_mark_unblock   (void);
void      mp_platform_reseed         (void);          /* g_random after a fork, from getrandom() */

/* Tells malloc() not to give back some megabytes that are free: a worker wants as much again for its next task, and
 * would have every page of it faulted in anew. Nothing where malloc() cannot be told. */
void      mp_platform_keep_heap      (void);

/* Bytes of memory of @pid that are resident and its own, without what files or memory objects stand behind; 0: not known. */
guint64   mp_platform_private_memory (pid_t           pid);

/* CPUs. */
guint     mp_platform_count_cpus     (void);          /* online */
guint     mp_platform_usable_cpus    (void);          /* min (affinity, ceil (cgroup v2 or v1 quota)), ≥ 1; read afresh */
/* ceil (quota) by the files under @root ("/"), 0: none. */
guint     mp_platform_cgroup_cpus    (const char     *root);

G_END_DECLS
