/* mp-context.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-context-private.h"

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/mp-enum-types.h"
#include "mp-glib/process/mp-fork-client-private.h"
#include "mp-glib/process/mp-worker-private.h"

#include <unistd.h>

#define DEFAULT_BOOT_TIMEOUT (30 * G_TIME_SPAN_SECOND)

/**
 * MpContext:
 *
 * How processes are started.
 *
 * A context says by which method ([property@Mp.Context:start-method]) and from what program
 * ([property@Mp.Context:worker-argv]) its processes are made, what they load before they are ready
 * ([property@Mp.Context:preload]) and where their error output goes ([property@Mp.Context:stderr]). Pools and processes
 * take one at construction; without it they use the default one, see [func@Mp.Context.get_default].
 *
 * A property that is changed counts for processes started from then on. A context with the start method *forkserver*
 * has one server, which is started with the first process that needs it, again when it dies, and anew when a property
 * has changed.
 *
 * ## Start methods
 *
 * - *spawn*: the program's own command line is run again, up to [func@Mp.init]. Safe everywhere.
 * - *forkserver*: one spawned copy of the program, which came as far as [func@Mp.init] and has a single thread,
 *   forks each process. Takes half a millisecond; processes share what was loaded before.
 * - *fork*: this process forks itself. Only while it has a single thread, else starting fails with
 *   `MP_ERROR_UNSAFE_FORK` and the names of the threads. (GLib has a thread of its own from the first asynchronous call
 *   on, of whatever object.) Nothing but files is preloaded: what this process has loaded is there.
 * - *auto*: forkserver where it is safe, else spawn.
 *
 * Thread-safe.
 *
 * Since: 0.1
 */
struct _MpContext
{
  GObject     parent_instance;

  MpSettings *settings;   /* (owned) under the hub's lock; the settings themselves do not change */
};

enum
{
  PROP_0,
  PROP_START_METHOD,
  PROP_WORKER_ARGV,
  PROP_PRELOAD,
  PROP_STDERR,
  PROP_BOOT_TIMEOUT,
  PROP_BOOT_DATA,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (MpContext, mp_context, G_TYPE_OBJECT)

static MpSettings *default_settings;   /* (owned) (nullable) under the hub's lock, until there is a default context */
static MpContext *default_context;     /* (owned) (nullable) */

static MpSettings *
settings_new (void)
{
  MpSettings *self = g_new0 (MpSettings, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->pid = getpid ();
  self->boot_timeout = DEFAULT_BOOT_TIMEOUT;
  g_queue_init (&self->waiting);
  return self;
}

MpSettings *
mp_settings_copy (MpSettings *from)
{
  MpSettings *self = settings_new ();

  self->start_method = from->start_method;
  self->worker_argv = g_strdupv (from->worker_argv);
  self->preload = g_strdupv (from->preload);
  self->stderr_mode = from->stderr_mode;
  self->boot_timeout = from->boot_timeout;
  self->boot_data = from->boot_data != NULL ? g_variant_ref (from->boot_data) : NULL;
  return self;
}

MpSettings *
mp_settings_ref (MpSettings *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
mp_settings_unref (MpSettings *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  if (self->fork_client != NULL && self->pid == getpid ())
    {
      mp_hub_lock ();
      mp_fork_client_retire (g_steal_pointer (&self->fork_client));
      mp_hub_unlock ();
    }
  g_strfreev (self->worker_argv);
  g_strfreev (self->preload);
  g_strfreev (self->preloaded);
  g_clear_pointer (&self->boot_data, g_variant_unref);
  g_free (self);
}

/* A worker's default: what its owner used, so that processes in processes are made the same way. */
static MpSettings *
settings_new_inherited (void)
{
  MpSettings *self = settings_new ();
  MpWorker *worker = mp_worker_get ();
  guint method = 0, mode = 0;

  if (worker == NULL || worker->setup == NULL)
    return self;
  g_variant_lookup (worker->setup, "start-method", "u", &method);
  g_variant_lookup (worker->setup, "stderr", "u", &mode);
  g_variant_lookup (worker->setup, "argv", "^as", &self->worker_argv);
  self->boot_data = g_variant_lookup_value (worker->setup, "boot-data", NULL);
  self->start_method = method <= MP_START_METHOD_FORK ? (MpStartMethod) method : MP_START_METHOD_AUTO;
  self->stderr_mode = mode <= MP_STDERR_TEE ? (MpStderr) mode : MP_STDERR_INHERIT;
  if (self->worker_argv != NULL && self->worker_argv[0] == NULL)
    g_clear_pointer (&self->worker_argv, g_strfreev);
  return self;
}

/* With the lock held. */
static MpSettings *
ensure_default_settings (void)
{
  if (default_settings == NULL)
    default_settings = settings_new_inherited ();
  else if (default_settings->pid != getpid ())
    default_settings = mp_settings_copy (default_settings);
  return default_settings;
}

/* With the lock held. */
static MpSettings *
peek_settings (MpContext *self)
{
  if (self == NULL || self == default_context)
    return ensure_default_settings ();
  /* An object that came with a fork: its old settings stay, with the children and the server that are its parent's. */
  if (self->settings->pid != getpid ())
    self->settings = mp_settings_copy (self->settings);
  return self->settings;
}

MpSettings *
mp_context_dup_settings (MpContext *context)
{
  return mp_settings_ref (peek_settings (context));
}

static MpSettings *
dup_settings (MpContext *self)
{
  MpSettings *settings;

  mp_hub_lock ();
  settings = mp_context_dup_settings (self);
  mp_hub_unlock ();
  return settings;
}

/* Puts @settings in the place of what the context had. */
static void
take_settings (MpContext *self, MpSettings *settings)
{
  MpSettings **place;
  MpSettings *old;

  mp_hub_lock ();
  place = self != default_context ? &self->settings : &default_settings;
  old = *place;
  *place = settings;
  mp_hub_unlock ();
  g_clear_pointer (&old, mp_settings_unref);
}

/* The settings to be changed and then handed to take_settings(). */
static MpSettings *
begin_change (MpContext *self)
{
  MpSettings *old = dup_settings (self);
  MpSettings *settings = mp_settings_copy (old);

  mp_settings_unref (old);
  return settings;
}

static void
end_change (MpContext *self, MpSettings *settings, guint prop_id)
{
  take_settings (self, settings);
  g_object_notify_by_pspec (G_OBJECT (self), props[prop_id]);
}

static void
mp_context_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  MpSettings *settings = dup_settings (MP_CONTEXT (object));

  switch (prop_id)
    {
    case PROP_START_METHOD:
      g_value_set_enum (value, settings->start_method);
      break;
    case PROP_WORKER_ARGV:
      g_value_set_boxed (value, settings->worker_argv);
      break;
    case PROP_PRELOAD:
      g_value_set_boxed (value, settings->preload);
      break;
    case PROP_STDERR:
      g_value_set_enum (value, settings->stderr_mode);
      break;
    case PROP_BOOT_TIMEOUT:
      g_value_set_int64 (value, settings->boot_timeout);
      break;
    case PROP_BOOT_DATA:
      g_value_set_variant (value, settings->boot_data);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
  mp_settings_unref (settings);
}

static void
mp_context_set_property (GObject *object, guint prop_id, const GValue *value, GParamSpec *pspec)
{
  MpContext *self = MP_CONTEXT (object);
  MpSettings *settings;

  switch (prop_id)
    {
    case PROP_START_METHOD:
      settings = begin_change (self);
      settings->start_method = g_value_get_enum (value);
      take_settings (self, settings);
      break;
    case PROP_WORKER_ARGV:
      mp_context_set_worker_argv (self, g_value_get_boxed (value));
      break;
    case PROP_PRELOAD:
      mp_context_set_preload (self, g_value_get_boxed (value));
      break;
    case PROP_STDERR:
      mp_context_set_stderr (self, g_value_get_enum (value));
      break;
    case PROP_BOOT_TIMEOUT:
      mp_context_set_boot_timeout (self, g_value_get_int64 (value));
      break;
    case PROP_BOOT_DATA:
      mp_context_set_boot_data (self, g_value_get_variant (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_context_finalize (GObject *object)
{
  MpContext *self = MP_CONTEXT (object);

  g_clear_pointer (&self->settings, mp_settings_unref);

  G_OBJECT_CLASS (mp_context_parent_class)->finalize (object);
}

static void
mp_context_class_init (MpContextClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags settable = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = mp_context_get_property;
  object_class->set_property = mp_context_set_property;
  object_class->finalize = mp_context_finalize;

  /**
   * MpContext:start-method: (getter get_start_method)
   *
   * How processes are made.
   *
   * Since: 0.1
   */
  props[PROP_START_METHOD] =
    g_param_spec_enum ("start-method", NULL, NULL, MP_TYPE_START_METHOD, MP_START_METHOD_AUTO,
                       G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  /**
   * MpContext:worker-argv: (getter get_worker_argv) (setter set_worker_argv)
   *
   * Command line of another program to make the processes of; `NULL` for this program's own.
   *
   * Its first element is looked up in `PATH`. The program must come to [func@Mp.init] by itself.
   *
   * Since: 0.1
   */
  props[PROP_WORKER_ARGV] = g_param_spec_boxed ("worker-argv", NULL, NULL, G_TYPE_STRV, settable);
  /**
   * MpContext:preload: (getter get_preload) (setter set_preload)
   *
   * What a process loads before it is ready: files of GModules, and names that the language binding of the worker
   * knows.
   *
   * A module that has a function `gboolean mp_module_init (GError **error)` is asked to do its part, such as
   * registering functions. One that cannot be loaded makes the start fail.
   *
   * Since: 0.1
   */
  props[PROP_PRELOAD] = g_param_spec_boxed ("preload", NULL, NULL, G_TYPE_STRV, settable);
  /**
   * MpContext:stderr: (getter get_stderr) (setter set_stderr)
   *
   * Where the error output of processes goes once they are ready.
   *
   * Since: 0.1
   */
  props[PROP_STDERR] =
    g_param_spec_enum ("stderr", NULL, NULL, MP_TYPE_STDERR, MP_STDERR_INHERIT, settable);
  /**
   * MpContext:boot-timeout: (getter get_boot_timeout) (setter set_boot_timeout)
   *
   * Microseconds that a process has to become ready before it is killed; -1 for no bound.
   *
   * Since: 0.1
   */
  props[PROP_BOOT_TIMEOUT] =
    g_param_spec_int64 ("boot-timeout", NULL, NULL, -1, G_MAXINT64, DEFAULT_BOOT_TIMEOUT, settable);
  /**
   * MpContext:boot-data: (getter dup_boot_data) (setter set_boot_data)
   *
   * For language bindings: a value that a process can ask for before it is ready.
   *
   * Since: 0.1
   */
  props[PROP_BOOT_DATA] =
    g_param_spec_variant ("boot-data", NULL, NULL, G_VARIANT_TYPE_ANY, NULL, settable);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_context_init (MpContext *self)
{
  self->settings = settings_new ();
}

/**
 * mp_context_new:
 * @start_method: how processes are made
 *
 * Makes a context.
 *
 * Returns: (transfer full): a new context
 *
 * Since: 0.1
 */
MpContext *
mp_context_new (MpStartMethod start_method)
{
  return g_object_new (MP_TYPE_CONTEXT, "start-method", start_method, NULL);
}

/**
 * mp_context_get_default:
 *
 * The context of all that is made without one.
 *
 * Its start method is `MP_START_METHOD_AUTO`; in a worker, start method and program are those of the worker's
 * own context. It is the application's, not a library's, to change.
 *
 * Returns: (transfer none): the context
 *
 * Since: 0.1
 */
MpContext *
mp_context_get_default (void)
{
  static gsize once;

  if (g_once_init_enter (&once))
    {
      MpContext *context = g_object_new (MP_TYPE_CONTEXT, NULL);

      g_clear_pointer (&context->settings, mp_settings_unref);
      mp_hub_lock ();
      default_context = context;
      mp_hub_unlock ();
      g_once_init_leave (&once, 1);
    }
  return default_context;
}

/**
 * mp_context_get_start_method: (get-property start-method)
 * @self: a context
 *
 * How processes are made.
 *
 * Returns: the method that was asked for
 *
 * Since: 0.1
 */
MpStartMethod
mp_context_get_start_method (MpContext *self)
{
  MpSettings *settings;
  MpStartMethod method;

  g_return_val_if_fail (MP_IS_CONTEXT (self), MP_START_METHOD_AUTO);

  settings = dup_settings (self);
  method = settings->start_method;
  mp_settings_unref (settings);
  return method;
}

/* The settings keep what was borrowed from them until the next change. */
static const char * const *
borrow_strv (MpContext *self, gsize offset)
{
  const char * const *value;

  mp_hub_lock ();
  value = G_STRUCT_MEMBER (const char * const *, peek_settings (self), offset);
  mp_hub_unlock ();
  return value;
}

/**
 * mp_context_get_worker_argv: (get-property worker-argv)
 * @self: a context
 *
 * The command line of the processes' program.
 *
 * Returns: (transfer none) (nullable) (array zero-terminated=1): the command line, valid until it is changed; `NULL`:
 *   this program's own
 *
 * Since: 0.1
 */
const char * const *
mp_context_get_worker_argv (MpContext *self)
{
  g_return_val_if_fail (MP_IS_CONTEXT (self), NULL);

  return borrow_strv (self, G_STRUCT_OFFSET (MpSettings, worker_argv));
}

/**
 * mp_context_set_worker_argv: (set-property worker-argv)
 * @self: a context
 * @argv: (nullable) (array zero-terminated=1): a command line; `NULL` or an empty one: this program's own
 *
 * Makes processes of another program.
 *
 * Since: 0.1
 */
void
mp_context_set_worker_argv (MpContext          *self,
                            const char * const *argv)
{
  MpSettings *settings;

  g_return_if_fail (MP_IS_CONTEXT (self));

  settings = begin_change (self);
  g_strfreev (settings->worker_argv);
  settings->worker_argv = argv != NULL && argv[0] != NULL ? g_strdupv ((char **) argv) : NULL;
  end_change (self, settings, PROP_WORKER_ARGV);
}

/**
 * mp_context_get_preload: (get-property preload)
 * @self: a context
 *
 * What a process is to load before it is ready.
 *
 * Returns: (transfer none) (nullable) (array zero-terminated=1): names, valid until they are changed
 *
 * Since: 0.1
 */
const char * const *
mp_context_get_preload (MpContext *self)
{
  g_return_val_if_fail (MP_IS_CONTEXT (self), NULL);

  return borrow_strv (self, G_STRUCT_OFFSET (MpSettings, preload));
}

/**
 * mp_context_set_preload: (set-property preload)
 * @self: a context
 * @modules: (nullable) (array zero-terminated=1): files of GModules, and names known to the worker's language binding
 *
 * Says what a process is to load before it is ready.
 *
 * What it did load can be asked for with [method@Mp.Context.dup_preloaded].
 *
 * Since: 0.1
 */
void
mp_context_set_preload (MpContext          *self,
                        const char * const *modules)
{
  MpSettings *settings;

  g_return_if_fail (MP_IS_CONTEXT (self));

  settings = begin_change (self);
  g_strfreev (settings->preload);
  settings->preload = g_strdupv ((char **) modules);
  end_change (self, settings, PROP_PRELOAD);
}

/**
 * mp_context_dup_preloaded:
 * @self: a context
 *
 * What the process, or fork server, that became ready last has loaded.
 *
 * Returns: (transfer full) (nullable) (array zero-terminated=1): names; `NULL` as long as none was ready
 *
 * Since: 0.1
 */
char **
mp_context_dup_preloaded (MpContext *self)
{
  char **preloaded;

  g_return_val_if_fail (MP_IS_CONTEXT (self), NULL);

  mp_hub_lock ();
  preloaded = g_strdupv (peek_settings (self)->preloaded);
  mp_hub_unlock ();
  return preloaded;
}

/**
 * mp_context_get_stderr: (get-property stderr)
 * @self: a context
 *
 * Where the error output of processes goes once they are ready.
 *
 * Returns: the mode
 *
 * Since: 0.1
 */
MpStderr
mp_context_get_stderr (MpContext *self)
{
  MpSettings *settings;
  MpStderr mode;

  g_return_val_if_fail (MP_IS_CONTEXT (self), MP_STDERR_INHERIT);

  settings = dup_settings (self);
  mode = settings->stderr_mode;
  mp_settings_unref (settings);
  return mode;
}

/**
 * mp_context_set_stderr: (set-property stderr)
 * @self: a context
 * @mode: inherit: it is this process's own; capture: its lines come by the signal [signal@Mp.Process::line] and in the
 *   details of errors; tee: both
 *
 * Says where the error output of processes goes once they are ready.
 *
 * Until then it is always captured, for the error of a start that fails, and passed on when the start succeeds.
 *
 * Since: 0.1
 */
void
mp_context_set_stderr (MpContext *self,
                       MpStderr   mode)
{
  MpSettings *settings;

  g_return_if_fail (MP_IS_CONTEXT (self));

  settings = begin_change (self);
  settings->stderr_mode = mode;
  end_change (self, settings, PROP_STDERR);
}

/**
 * mp_context_get_boot_timeout: (get-property boot-timeout)
 * @self: a context
 *
 * How long a process has to become ready.
 *
 * Returns: microseconds, -1 for no bound
 *
 * Since: 0.1
 */
gint64
mp_context_get_boot_timeout (MpContext *self)
{
  MpSettings *settings;
  gint64 timeout;

  g_return_val_if_fail (MP_IS_CONTEXT (self), -1);

  settings = dup_settings (self);
  timeout = settings->boot_timeout;
  mp_settings_unref (settings);
  return timeout;
}

/**
 * mp_context_set_boot_timeout: (set-property boot-timeout)
 * @self: a context
 * @timeout_us: microseconds, -1 for no bound
 *
 * Bounds the time that a process has to become ready.
 *
 * One that takes longer is killed, and its start fails with `MP_ERROR_WORKER_START`.
 *
 * Since: 0.1
 */
void
mp_context_set_boot_timeout (MpContext *self,
                             gint64     timeout_us)
{
  MpSettings *settings;

  g_return_if_fail (MP_IS_CONTEXT (self));
  g_return_if_fail (timeout_us >= -1);

  settings = begin_change (self);
  settings->boot_timeout = timeout_us;
  end_change (self, settings, PROP_BOOT_TIMEOUT);
}

/**
 * mp_context_dup_boot_data: (get-property boot-data)
 * @self: a context
 *
 * For language bindings: what a process can ask for before it is ready.
 *
 * Returns: (transfer full) (nullable): the value
 *
 * Since: 0.1
 */
GVariant *
mp_context_dup_boot_data (MpContext *self)
{
  MpSettings *settings;
  GVariant *value = NULL;

  g_return_val_if_fail (MP_IS_CONTEXT (self), NULL);

  settings = dup_settings (self);
  if (settings->boot_data != NULL)
    value = g_variant_ref (settings->boot_data);
  mp_settings_unref (settings);
  return value;
}

/**
 * mp_context_set_boot_data: (set-property boot-data)
 * @self: a context
 * @boot_data: (nullable): a value, without handles
 *
 * For language bindings: sets what a process can ask for, with [func@Mp.worker_dup_boot_data], before it is ready.
 *
 * Since: 0.1
 */
void
mp_context_set_boot_data (MpContext *self,
                          GVariant  *boot_data)
{
  MpSettings *settings;

  g_return_if_fail (MP_IS_CONTEXT (self));

  settings = begin_change (self);
  g_clear_pointer (&settings->boot_data, g_variant_unref);
  settings->boot_data = boot_data != NULL ? g_variant_ref_sink (boot_data) : NULL;
  end_change (self, settings, PROP_BOOT_DATA);
}

/**
 * mp_context_list_start_methods:
 * @n_methods: (out): how many there are
 *
 * The start methods of this platform, the default first.
 *
 * Returns: (transfer full) (array length=n_methods): the methods
 *
 * Since: 0.1
 */
MpStartMethod *
mp_context_list_start_methods (gsize *n_methods)
{
  static const MpStartMethod methods[] =
    {
      MP_START_METHOD_AUTO,
      MP_START_METHOD_SPAWN,
      MP_START_METHOD_FORKSERVER,
      MP_START_METHOD_FORK,
    };

  g_return_val_if_fail (n_methods != NULL, NULL);

  *n_methods = G_N_ELEMENTS (methods);
  return g_memdup2 (methods, sizeof methods);
}

void
mp_context_reset_after_fork (void)
{
  /* What the owner learnt holds its child processes, which are not this one's. Its memory stays: it is shared with the
   * owner until somebody writes to it. */
  default_settings = NULL;
}
