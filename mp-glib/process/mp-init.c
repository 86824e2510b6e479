/* mp-init.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-init-private.h"

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/memory/mp-shared-memory-private.h"
#include "mp-glib/platform/mp-barrier-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-boot-private.h"
#include "mp-glib/process/mp-worker-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MP_CPU_COUNT_VARIABLE "MP_CPU_COUNT"

/* A function given by a binding. The last one given counts. */
typedef struct
{
  GCallback       func;
  gpointer        user_data;
  GDestroyNotify  notify;
} Hook;

static Hook fork_hook;   /* MpForkFunc */
static Hook boot_hook;   /* MpFunc */
static Hook exit_hook;   /* MpExitFunc */
static guint cpu_budget;
static const guint32 *shared_cpu_budget;   /* where the owner writes another */
static gboolean forking;

static void
hook_set (Hook *hook, GCallback func, gpointer user_data, GDestroyNotify notify)
{
  Hook old = *hook;

  hook->func = func;
  hook->user_data = user_data;
  hook->notify = notify;
  if (old.notify != NULL)
    old.notify (old.user_data);
}

/* Why this is no place for mp_init(); NULL when it is one. A worker must come to it before the program does what only
 * the program itself is to do. */
static const char *
check_place (void)
{
  MpBoot *boot = mp_boot_get ();

  /* The owner would have two workers on one socket, and know of one that is about to end. */
  if (boot->mark == MP_MARK_WORKER && boot->pid != getpid ())
    return "the program has forked since it was started; a worker must not, before mp_init()";
  if (g_main_depth () > 0)
    return "it was called from a main loop; call it at the top of main";
  if (g_application_get_default () != NULL)
    return "it was called after the application object was made; call it at the top of main";
  return NULL;
}

/* @anywhere: where workers do not come to this place through the program itself, any will do there. */
static int
init (gboolean anywhere)
{
  MpBoot *boot = mp_boot_get ();
  g_autoptr(GError) error = NULL;

  if (boot->initialized)
    return -1;

  boot->refused = anywhere && boot->mark != MP_MARK_WORKER ? NULL : check_place ();
  if (boot->refused != NULL)
    {
      if (boot->mark == MP_MARK_WORKER)
        {
          error = g_error_new (MP_ERROR, MP_ERROR_NOT_INITIALIZED, "mp_init(): %s", boot->refused);
          mp_boot_send_error (error);
        }
      g_critical ("mp_init(): %s", boot->refused);
      return boot->mark == MP_MARK_WORKER ? EXIT_FAILURE : -1;
    }

  boot->initialized = TRUE;
  mp_boot_capture ();
  mp_barrier_join_early ();
  if (boot->mark != MP_MARK_WORKER)
    {
      /* Now, and not in the midst of the program's work: without it nothing of this library works. */
      mp_hub_prepare ();
      return -1;
    }

  mp_platform_mark_unblock ();
  return mp_worker_run (mp_boot_get_wire (), FALSE);
}

/**
 * mp_init:
 *
 * Makes a program able to start workers.
 *
 * It stands near the top of `main`, after the functions that workers are to know have been registered, and before the
 * program makes its application object, opens its windows or starts threads. In the program itself it returns at once.
 *
 * A worker is this same program, run again: there `mp_init()` serves until the owner needs the worker no more, and then
 * ends the process. It never returns.
 *
 * It is an error, told as a critical message and by every later attempt to start something, to call it while a main
 * loop runs or after the default [class@Gio.Application] was made. Calling it again does nothing.
 *
 * A program that forks by itself, with `fork()`, has processes and pools of its own in the copy; those that it had
 * belong to the parent, and calls on them fail there with `MP_ERROR_NOT_OWNER`. When it forks in a callback of a
 * blocking call, that goes on in the parent. In the copy it fails with `G_IO_ERROR_BUSY`, unless it is done, when it is
 * one of a process, a pool, a future or a listener, or [func@Mp.wait]; those of connections, locks, queues and the like,
 * which both processes may use, go on there, too.
 *
 * What the library shares between threads is at rest while the process is forked, but for two things that it cannot see
 * to: a [class@Mp.Connection] with which another thread is busy for half a second without a pause must not be used in the
 * copy, and GLib's own locks may be held there by a thread that has vanished, as in every program with threads that
 * forks and does not go on to `exec()`.
 *
 * Since: 0.1
 */
void
mp_init (void)
{
  int status = init (FALSE);

  if (status >= 0)
    exit (status);
}

/**
 * mp_init_returning:
 *
 * For language bindings: as [func@Mp.init], but does not end a worker itself.
 *
 * When the work of a worker is over it returns the status to exit with, so that the language's runtime can be shut down
 * in its own way. (A worker that was forked never gets here: it ends with the function set by
 * [func@Mp.set_worker_exit_func].)
 *
 * In the program itself it may be called anywhere, also after the application object was made: the command line of its
 * workers ([property@Mp.Context:worker-argv]) is one by which the binding itself comes here, not the program's own.
 *
 * Returns: an exit status in a worker; -1 in the program itself
 *
 * Since: 0.1
 */
int
mp_init_returning (void)
{
  return init (TRUE);
}

/**
 * mp_is_worker:
 *
 * Whether this process was started by the library as a worker.
 *
 * It is known as soon as the library is loaded.
 *
 * Returns: `TRUE` in a worker
 *
 * Since: 0.1
 */
gboolean
mp_is_worker (void)
{
  return mp_boot_get ()->mark == MP_MARK_WORKER;
}

/**
 * mp_worker_dup_boot_data:
 *
 * What the owner's [property@Mp.Context:boot-data] holds.
 *
 * Returns: (transfer full) (nullable): the value; `NULL` if there is none, or this is no worker, or one that has not
 *   come to [func@Mp.init]
 *
 * Since: 0.1
 */
GVariant *
mp_worker_dup_boot_data (void)
{
  MpWorker *worker = mp_worker_get ();

  return worker != NULL && worker->setup != NULL ? g_variant_lookup_value (worker->setup, "boot-data", NULL) : NULL;
}

/**
 * mp_set_fork_func:
 * @func: (scope notified) (closure user_data) (destroy notify) (nullable): forks
 * @user_data: data for @func
 * @notify: frees @user_data
 *
 * For language bindings: sets the function that forks.
 *
 * It is used in place of `fork()` by the start method of that name and in a fork server, so that the language's
 * runtime can do before and after what it must.
 *
 * Since: 0.1
 */
void
mp_set_fork_func (MpForkFunc      func,
                  gpointer        user_data,
                  GDestroyNotify  notify)
{
  hook_set (&fork_hook, G_CALLBACK (func), user_data, notify);
}

/**
 * mp_retire_worker:
 *
 * For language bindings: says that the function of this process has returned without an error, and that it is about to end.
 *
 * It has then dropped all objects that it shares with others, as a [class@Mp.Barrier] wants to know. A process whose end is
 * left to the library does this by itself.
 *
 * Since: 0.1
 */
void
mp_retire_worker (void)
{
  mp_slot_retire_all ();
}

/**
 * mp_set_worker_boot_func:
 * @func: (scope notified) (closure user_data) (destroy notify) (nullable): does the binding's part of a worker's boot
 * @user_data: data for @func
 * @notify: frees @user_data
 *
 * For language bindings: sets a function that is called in a worker before that is ready.
 *
 * Set before [func@Mp.init]. Its argument is an `(mvas)`: the context's [property@Mp.Context:boot-data], and those of
 * its [property@Mp.Context:preload] that are not files. It returns an `as`: what it has loaded of these, or more. If it
 * fails, so does the start of the worker, with the same message. While it runs, no process can be started.
 *
 * A worker that is forked from a fork server does not call it again: what the server loaded is there.
 *
 * Since: 0.1
 */
void
mp_set_worker_boot_func (MpFunc          func,
                         gpointer        user_data,
                         GDestroyNotify  notify)
{
  hook_set (&boot_hook, G_CALLBACK (func), user_data, notify);
}

/**
 * mp_set_worker_exit_func:
 * @func: (scope notified) (closure user_data) (destroy notify) (nullable): called before a forked worker ends
 * @user_data: data for @func
 * @notify: frees @user_data
 *
 * For language bindings: sets a function that is called last in a worker that was forked.
 *
 * Such a worker ends by `_exit()`, without the handlers of the process that it was forked from; the function is where
 * a language writes out what it has buffered.
 *
 * Since: 0.1
 */
void
mp_set_worker_exit_func (MpExitFunc      func,
                         gpointer        user_data,
                         GDestroyNotify  notify)
{
  hook_set (&exit_hook, G_CALLBACK (func), user_data, notify);
}

/**
 * mp_get_n_cpus:
 *
 * The number of CPUs of this machine.
 *
 * Returns: the number of CPUs that are online
 *
 * Since: 0.1
 */
guint
mp_get_n_cpus (void)
{
  return mp_platform_count_cpus ();
}

/**
 * mp_get_n_usable_cpus:
 *
 * The number of CPUs that this process may use: how many workers are worth having.
 *
 * It is the value of the environment variable `MP_CPU_COUNT` where that is a positive number, else what scheduler
 * affinity and the quota of the control group leave. In a worker it is at most the share that its owner gave it, so
 * that pools in workers of pools do not multiply. It is looked up afresh at each call.
 *
 * Returns: a number of CPUs, at least 1
 *
 * Since: 0.1
 */
guint
mp_get_n_usable_cpus (void)
{
  const char *text = g_getenv (MP_CPU_COUNT_VARIABLE);
  guint64 value = 0;
  guint n_cpus, budget;

  if (text != NULL && g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT, &value, NULL))
    n_cpus = (guint) value;
  else
    n_cpus = mp_platform_usable_cpus ();
  budget = mp_init_get_cpu_budget ();
  return budget > 0 ? MIN (n_cpus, budget) : n_cpus;
}

int
mp_init_fork (void)
{
  int pid;

  fflush (NULL);
  forking = TRUE;
  if (fork_hook.func != NULL)
    pid = ((MpForkFunc) fork_hook.func) (fork_hook.user_data);
  else
    pid = fork ();
  forking = FALSE;
  return pid;
}

gboolean
mp_init_is_forking (void)
{
  return forking;
}

gboolean
mp_init_has_boot_func (void)
{
  return boot_hook.func != NULL;
}

char **
mp_init_call_boot_func (GVariant            *boot_data,
                        const char * const  *preload,
                        GError             **error)
{
  g_autoptr(GVariant) args = NULL;
  g_autoptr(GVariant) result = NULL;
  MpFunction function = {
    .name = "boot function",
    .func = (MpFunc) boot_hook.func,
    .user_data = boot_hook.user_data,
    .result_type = G_VARIANT_TYPE_STRING_ARRAY,
  };

  args = g_variant_ref_sink (g_variant_new ("(mv^as)", boot_data, preload));
  result = mp_function_call (&function, args, error);
  return result != NULL ? g_variant_dup_strv (result, NULL) : NULL;
}

void
mp_init_exit_forked (int status)
{
  if (exit_hook.func != NULL)
    ((MpExitFunc) exit_hook.func) (status, exit_hook.user_data);
  fflush (NULL);
  mp_shared_memory_names_leave ();
  _exit (status);
}

void
mp_init_set_cpu_budget (guint          n_cpus,
                        const guint32 *shared)
{
  cpu_budget = n_cpus;
  shared_cpu_budget = shared;
}

guint
mp_init_get_cpu_budget (void)
{
  guint n_cpus = shared_cpu_budget != NULL ? __atomic_load_n (shared_cpu_budget, __ATOMIC_RELAXED) : 0;

  return n_cpus > 0 ? n_cpus : cpu_budget;
}
