/* mp-process.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-process.h"

#include <unistd.h>

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-process-private.h"

/**
 * MpProcess:
 *
 * A function, or a subclass's `run`, that is carried out in a process of its own.
 *
 * What runs there is [property@Mp.Process:function], named as for every call of this library, with
 * [property@Mp.Process:args]; what it returns is dropped. It may end its process at any time with `exit()`. The exit
 * status is 0 when the function returned a value and 1 when it set an error: then the error's message is written to the
 * worker's standard error, and the error itself is to be had here from [method@Mp.Process.dup_error].
 *
 * A subclass overrides [vfunc@Mp.Process.run] instead. In the worker an object of that class is made by the name of its
 * type, which must be registered there before [func@Mp.init] (`g_type_ensure()`), and gets those properties that the
 * subclasses of `MpProcess` installed, that can be read and written, and whose type has a `GVariant` form: booleans,
 * numbers, strings, string arrays, enums, flags, `GBytes`, `GVariant`, and objects that are [iface@Mp.Shareable].
 * Others are left as the class made them.
 *
 * ## Ends
 *
 * A process that was started is kept alive by the library until it has ended and `exited` has been emitted: dropping
 * the last reference neither ends it nor stops its signals. It ends when it is done, when it is killed, and within a
 * second when its owner ends in whatever way, unless it is [property@Mp.Process:detached]. (The overrides for Python
 * join those that are no daemons at exit.)
 *
 * ## Threads
 *
 * Its signals, and the callbacks of its asynchronous calls, run in the main context that was thread-default when
 * the object was made, or the call. A blocking call on the object runs those that are due for it, if its thread may
 * acquire that context. Methods may be called from any thread; properties are to be set by one thread, before the
 * start. A forked copy of the owner cannot use it: there calls fail with `MP_ERROR_NOT_OWNER`.
 *
 * Since: 0.1
 */

/**
 * MP_EXIT_STATUS_RUNNING:
 *
 * The exit status of a process that has not been started, or has not ended.
 *
 * Since: 0.1
 */

/**
 * MP_EXIT_STATUS_UNKNOWN:
 *
 * The exit status of a process that has ended while something else took its status: a `waitpid (-1)` or an ignored
 * `SIGCHLD` of the program, or a fork server that was killed.
 *
 * Since: 0.1
 */

enum
{
  PROP_0,
  PROP_FUNCTION,
  PROP_ARGS,
  PROP_NAME,
  PROP_CONTEXT,
  PROP_DAEMON,
  PROP_DETACHED,
  PROP_CAPTURE_OUTPUT,
  PROP_AUTHKEY,
  PROP_PID,
  PROP_EXIT_STATUS,
  PROP_ALIVE,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

enum
{
  SIGNAL_STARTED,
  SIGNAL_EXITED,
  SIGNAL_LINE,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

G_DEFINE_TYPE_WITH_CODE (MpProcess, mp_process, G_TYPE_OBJECT,
                         G_ADD_PRIVATE (MpProcess)
                         G_IMPLEMENT_INTERFACE (MP_TYPE_WAITABLE, mp_process_waitable_init))

MpProcessPrivate *
mp_process_get_private (MpProcess *self)
{
  return mp_process_get_instance_private (self);
}

MpProcessCore *
mp_process_get_core (MpProcess *self)
{
  return mp_process_get_private (self)->core;
}

static MpProcessState
get_state (MpProcessCore *core)
{
  MpProcessState state;

  mp_hub_lock ();
  state = core->state;
  mp_hub_unlock ();

  return state;
}

gboolean
mp_process_is_new (MpProcess *self)
{
  return get_state (mp_process_get_core (self)) == MP_PROCESS_NEW;
}

static gboolean
mp_process_real_run (MpProcess  *self,
                     GError    **error)
{
  MpProcessPrivate *priv = mp_process_get_private (self);
  const MpFunction *function = NULL;
  g_autoptr(GVariant) args = NULL;

  if (priv->function == NULL)
    return TRUE;

  function = mp_function_find (priv->function, error);
  if (function == NULL)
    return FALSE;
  args = priv->args != NULL ? g_variant_ref (priv->args) : g_variant_ref_sink (g_variant_new_tuple (NULL, 0));

  return mp_process_call (function, args, error);
}

gboolean
mp_process_has_own_run (MpProcess *self)
{
  return MP_PROCESS_GET_CLASS (self)->run != mp_process_real_run;
}

static void
set_args (MpProcess *self,
          GVariant  *args)
{
  MpProcessPrivate *priv = mp_process_get_private (self);

  g_return_if_fail (mp_process_is_new (self));

  g_clear_pointer (&priv->objects, g_ptr_array_unref);
  g_clear_pointer (&priv->args, g_variant_unref);
  if (args != NULL)
    priv->args = g_variant_ref_sink (args);
  if (args != NULL)
    priv->objects = mp_value_dup_objects (args);
}

static void
set_function (MpProcess  *self,
              const char *function)
{
  g_return_if_fail (mp_process_is_new (self));

  g_free (mp_process_get_private (self)->function);
  mp_process_get_private (self)->function = g_strdup (function);
}

static void
mp_process_set_property (GObject      *object,
                         guint         prop_id,
                         const GValue *value,
                         GParamSpec   *pspec)
{
  MpProcess *self = MP_PROCESS (object);

  switch (prop_id)
    {
    case PROP_FUNCTION:
      set_function (self, g_value_get_string (value));
      break;
    case PROP_ARGS:
      set_args (self, g_value_get_variant (value));
      break;
    case PROP_NAME:
      if (g_value_get_string (value) != NULL)
        mp_process_set_name (self, g_value_get_string (value));
      break;
    case PROP_CONTEXT:
      g_return_if_fail (mp_process_is_new (self));
      g_set_object (&mp_process_get_private (self)->context, g_value_get_object (value));
      break;
    case PROP_DAEMON:
      mp_process_set_daemon (self, g_value_get_boolean (value));
      break;
    case PROP_DETACHED:
      mp_process_set_detached (self, g_value_get_boolean (value));
      break;
    case PROP_CAPTURE_OUTPUT:
      mp_process_set_capture_output (self, g_value_get_boolean (value));
      break;
    case PROP_AUTHKEY:
      mp_process_set_authkey (self, g_value_get_boxed (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_process_get_property (GObject    *object,
                         guint       prop_id,
                         GValue     *value,
                         GParamSpec *pspec)
{
  MpProcess *self = MP_PROCESS (object);
  MpProcessPrivate *priv = mp_process_get_private (self);

  switch (prop_id)
    {
    case PROP_FUNCTION:
      g_value_set_string (value, priv->function);
      break;
    case PROP_ARGS:
      g_value_set_variant (value, priv->args);
      break;
    case PROP_NAME:
      g_value_set_string (value, priv->name);
      break;
    case PROP_CONTEXT:
      g_value_set_object (value, mp_process_get_context (self));
      break;
    case PROP_DAEMON:
      g_value_set_boolean (value, priv->daemon);
      break;
    case PROP_DETACHED:
      g_value_set_boolean (value, priv->detached);
      break;
    case PROP_CAPTURE_OUTPUT:
      g_value_set_boolean (value, priv->capture_output);
      break;
    case PROP_AUTHKEY:
      g_value_take_boxed (value, mp_process_dup_authkey (self));
      break;
    case PROP_PID:
      g_value_set_int (value, mp_process_get_pid (self));
      break;
    case PROP_EXIT_STATUS:
      g_value_set_int (value, mp_process_get_exit_status (self));
      break;
    case PROP_ALIVE:
      g_value_set_boolean (value, mp_process_is_alive (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_process_finalize (GObject *object)
{
  MpProcessPrivate *priv = mp_process_get_private (MP_PROCESS (object));

  g_clear_pointer (&priv->core, mp_process_core_unref);
  g_free (priv->name);
  g_free (priv->function);
  g_clear_pointer (&priv->args, g_variant_unref);
  g_clear_pointer (&priv->objects, g_ptr_array_unref);
  g_clear_object (&priv->context);
  g_clear_pointer (&priv->authkey, g_bytes_unref);

  G_OBJECT_CLASS (mp_process_parent_class)->finalize (object);
}

static void
install_settings (void)
{
  /**
   * MpProcess:function: (getter get_function)
   *
   * The name of the function that the process runs; `NULL`: it does nothing. Set before the start.
   *
   * Since: 0.1
   */
  props[PROP_FUNCTION] = g_param_spec_string ("function", NULL, NULL, NULL,
                                              G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:args:
   *
   * What the function is given; `NULL` stands for an empty tuple. Set before the start. Objects whose handles
   * ([method@Mp.Shareable.to_variant]) are in it must live until the start.
   *
   * Since: 0.1
   */
  props[PROP_ARGS] = g_param_spec_variant ("args", NULL, NULL, G_VARIANT_TYPE_ANY, NULL,
                                           G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:name: (getter get_name) (setter set_name)
   *
   * A name for people, in messages and logs. At first "Process-" and the numbers that lead from the program to this
   * process: "Process-2:1" is the first process made by the second of the program's.
   *
   * Since: 0.1
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL,
                                          G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:context: (getter get_context)
   *
   * How it is started. Set before the start; `NULL` for the default context.
   *
   * Since: 0.1
   */
  props[PROP_CONTEXT] = g_param_spec_object ("context", NULL, NULL, MP_TYPE_CONTEXT,
                                             G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
}

static void
install_more_settings (void)
{
  /**
   * MpProcess:daemon: (getter get_daemon) (setter set_daemon)
   *
   * Whether the owner, at its exit, ends the process rather than wait for it, where it would wait (Python). At
   * first what the current process is. Set before the start.
   *
   * Since: 0.1
   */
  props[PROP_DAEMON] = g_param_spec_boolean ("daemon", NULL, NULL, FALSE,
                                             G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:detached: (getter get_detached) (setter set_detached)
   *
   * Whether the process goes on when its owner ends. It is in a process group of its own. Set before the start.
   *
   * Since: 0.1
   */
  props[PROP_DETACHED] = g_param_spec_boolean ("detached", NULL, NULL, FALSE,
                                               G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:capture-output: (getter get_capture_output) (setter set_capture_output)
   *
   * Whether its standard output and standard error come line by line by [signal@Mp.Process::line] instead of going
   * where the owner's go. Set before the start.
   *
   * Since: 0.1
   */
  props[PROP_CAPTURE_OUTPUT] = g_param_spec_boolean ("capture-output", NULL, NULL, FALSE,
                                                     G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY |
                                                     G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:authkey:
   *
   * The key that [func@Mp.get_authkey] gives in the process. At first, and when set to `NULL`, the one of the process
   * that starts it. Set before the start; of the current process it can be set at any time, which is
   * [func@Mp.set_authkey]. That of the parent is not known: `NULL`.
   *
   * Since: 0.1
   */
  props[PROP_AUTHKEY] = g_param_spec_boxed ("authkey", NULL, NULL, G_TYPE_BYTES,
                                            G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
}

static void
install_facts (void)
{
  /**
   * MpProcess:pid: (getter get_pid)
   *
   * The number of the process, 0 before it is known.
   *
   * Since: 0.1
   */
  props[PROP_PID] = g_param_spec_int ("pid", NULL, NULL, 0, G_MAXINT, 0, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:exit-status: (getter get_exit_status)
   *
   * How it ended; see [method@Mp.Process.get_exit_status].
   *
   * Since: 0.1
   */
  props[PROP_EXIT_STATUS] = g_param_spec_int ("exit-status", NULL, NULL, G_MININT, G_MAXINT, MP_EXIT_STATUS_RUNNING,
                                              G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * MpProcess:alive:
   *
   * Whether it has been started and has not ended.
   *
   * Since: 0.1
   */
  props[PROP_ALIVE] = g_param_spec_boolean ("alive", NULL, NULL, FALSE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
}

static void
mp_process_class_init (MpProcessClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = mp_process_set_property;
  object_class->get_property = mp_process_get_property;
  object_class->finalize = mp_process_finalize;
  klass->run = mp_process_real_run;

  install_settings ();
  install_more_settings ();
  install_facts ();
  g_object_class_install_properties (object_class, N_PROPS, props);

  /**
   * MpProcess::started:
   * @self: the process
   *
   * It has a process id. It is not ready yet: that is when [method@Mp.Process.start] returns.
   *
   * Since: 0.1
   */
  signals[SIGNAL_STARTED] = g_signal_new ("started", MP_TYPE_PROCESS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                          G_TYPE_NONE, 0);
  /**
   * MpProcess::exited:
   * @self: the process
   * @exit_status: as [method@Mp.Process.get_exit_status] gives it
   *
   * It has ended. The last of its signals, and after all [signal@Mp.Process::line]s; not emitted for one that could not
   * even be started.
   *
   * Since: 0.1
   */
  signals[SIGNAL_EXITED] = g_signal_new ("exited", MP_TYPE_PROCESS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                         G_TYPE_NONE, 1, G_TYPE_INT);
  /**
   * MpProcess::line:
   * @self: the process
   * @stream: "stdout" or "stderr"
   * @text: the line, without its end; what is no UTF-8 in it is replaced
   *
   * It has written a line. "stderr" needs [property@Mp.Process:capture-output] or a context that captures
   * ([property@Mp.Context:stderr]), "stdout" the former.
   *
   * Since: 0.1
   */
  signals[SIGNAL_LINE] = g_signal_new ("line", MP_TYPE_PROCESS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                       G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
}

static char *
make_name (GArray *identity)
{
  g_autoptr(GString) name = g_string_new ("Process");

  for (guint i = 0; i < identity->len; i++)
    g_string_append_printf (name, "%c%u", i == 0 ? '-' : ':', g_array_index (identity, guint, i));

  return g_string_free (g_steal_pointer (&name), FALSE);
}

static void
mp_process_init (MpProcess *self)
{
  MpProcessPrivate *priv = mp_process_get_private (self);

  priv->core = mp_process_core_new (mp_process_kind_being_made ());
  if (priv->core->kind != MP_PROCESS_CHILD)
    return;

  priv->core->identity = mp_process_next_identity ();
  priv->name = make_name (priv->core->identity);
  priv->daemon = mp_process_current_is_daemon ();
}

void
mp_process_set_up (MpProcess  *self,
                   const char *name,
                   gboolean    daemon,
                   GArray     *identity,
                   const char *function,
                   GVariant   *args)
{
  MpProcessPrivate *priv = mp_process_get_private (self);

  g_free (priv->name);
  priv->name = g_strdup (name);
  priv->daemon = daemon;
  priv->core->identity = identity;
  priv->core->state = MP_PROCESS_RUNNING;
  g_free (priv->function);
  priv->function = g_strdup (function);
  g_clear_pointer (&priv->args, g_variant_unref);
  if (args != NULL)
    priv->args = g_variant_ref_sink (args);
}

void
mp_process_emit_started (MpProcess *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PID]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_ALIVE]);
  g_signal_emit (self, signals[SIGNAL_STARTED], 0);
}

void
mp_process_emit_line (MpProcess  *self,
                      const char *stream,
                      const char *text)
{
  g_signal_emit (self, signals[SIGNAL_LINE], 0, stream, text);
}

void
mp_process_emit_exited (MpProcess *self,
                        int        exit_status)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_EXIT_STATUS]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_ALIVE]);
  g_signal_emit (self, signals[SIGNAL_EXITED], 0, exit_status);
}

/**
 * mp_process_new:
 * @function: (nullable): the name of a function, from `MP_FUNCTION()` or [func@Mp.function_register]
 * @args: (nullable): what it is given; sunk if floating; `NULL` for an empty tuple
 *
 * Makes a process that will call @function (@args). Nothing is started yet.
 *
 * Returns: (transfer full): a new process
 *
 * Since: 0.1
 */
MpProcess *
mp_process_new (const char *function,
                GVariant   *args)
{
  return g_object_new (MP_TYPE_PROCESS, "function", function, "args", args, NULL);
}

/**
 * mp_process_get_pid: (get-property pid)
 * @self: a process
 *
 * Gives the number of the process. Do not wait for it with `waitpid()` or `g_child_watch_add()`: that would take its
 * exit status away.
 *
 * Returns: the pid, also after its end; 0 before it has been started
 *
 * Since: 0.1
 */
int
mp_process_get_pid (MpProcess *self)
{
  MpProcessCore *core = NULL;
  int pid = 0;

  g_return_val_if_fail (MP_IS_PROCESS (self), 0);

  core = mp_process_get_core (self);
  mp_hub_lock ();
  pid = core->kind == MP_PROCESS_SELF ? getpid () : core->pid;
  mp_hub_unlock ();

  return pid;
}

/* Has what is known of a running child brought up to date. */
static MpProcessState
get_fresh_state (MpProcess *self)
{
  MpProcessCore *core = mp_process_get_core (self);
  MpProcessState state = get_state (core);

  if ((state == MP_PROCESS_STARTING || state == MP_PROCESS_RUNNING) && core->owner_pid == getpid ())
    {
      mp_process_core_refresh ();
      state = get_state (core);
    }

  return state;
}

/**
 * mp_process_get_exit_status: (get-property exit-status)
 * @self: a process
 *
 * Tells how it ended, without waiting and without running any callback.
 *
 * Returns: what it gave to `exit()` (0 after its function returned a value, 1 after that failed), minus the number of
 *   the signal that killed it, [const@Mp.EXIT_STATUS_RUNNING] or [const@Mp.EXIT_STATUS_UNKNOWN]
 *
 * Since: 0.1
 */
int
mp_process_get_exit_status (MpProcess *self)
{
  int exit_status = 0;

  g_return_val_if_fail (MP_IS_PROCESS (self), MP_EXIT_STATUS_RUNNING);

  get_fresh_state (self);
  mp_hub_lock ();
  exit_status = mp_process_get_core (self)->exit_status;
  mp_hub_unlock ();

  return exit_status;
}

/**
 * mp_process_is_alive:
 * @self: a process
 *
 * Tells whether it has been started and has not ended, without waiting and without running any callback.
 *
 * Returns: `TRUE` for a process that runs, and for the current one
 *
 * Since: 0.1
 */
gboolean
mp_process_is_alive (MpProcess *self)
{
  MpProcessState state;

  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);

  if (mp_process_get_core (self)->kind == MP_PROCESS_SELF)
    return mp_process_get_core (self)->owner_pid == getpid ();

  state = get_fresh_state (self);

  return state == MP_PROCESS_STARTING || state == MP_PROCESS_RUNNING;
}

/**
 * mp_process_dup_error:
 * @self: a process
 *
 * Gives the error that its function failed with, or that its start failed with.
 *
 * [func@Mp.Error.dup_details] gives the details: type and traceback of an exception of a binding, last lines of the
 * standard error of a process that did not start.
 *
 * Returns: (transfer full) (nullable): the error, `NULL` when there is none (yet)
 *
 * Since: 0.1
 */
GError *
mp_process_dup_error (MpProcess *self)
{
  MpProcessCore *core = NULL;
  GError *error = NULL;

  g_return_val_if_fail (MP_IS_PROCESS (self), NULL);

  core = mp_process_get_core (self);
  mp_hub_lock ();
  if (core->error != NULL)
    error = g_error_copy (core->error);
  mp_hub_unlock ();

  return error;
}
