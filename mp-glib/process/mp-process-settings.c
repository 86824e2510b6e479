/* mp-process-settings.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-process.h"

#include "mp-glib/channel/mp-authkey.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-process-private.h"

/* What a process is set up with, and how that gets to its worker. */

/* What the worker is told: a{sv}, floating. */
static GVariant *
make_run (MpProcess  *self,
          GError    **error)
{
  MpProcessPrivate *priv = mp_process_get_private (self);
  g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GArray *identity = priv->core->identity;

  g_variant_builder_add (&builder, "{sv}", "identity",
                         g_variant_new_fixed_array (G_VARIANT_TYPE_UINT32, identity->data, identity->len,
                                                    sizeof (guint)));
  if (priv->function != NULL)
    {
      g_autoptr(GVariant) none = g_variant_ref_sink (g_variant_new_tuple (NULL, 0));

      if (!mp_function_check_args (priv->function, priv->args != NULL ? priv->args : none, FALSE, error))
        return NULL;
      g_variant_builder_add (&builder, "{sv}", "function", g_variant_new_string (priv->function));
    }
  if (priv->args != NULL)
    g_variant_builder_add (&builder, "{sv}", "args", priv->args);
  if (mp_process_has_own_run (self))
    {
      GVariant *properties = mp_process_pack_properties (self, error);

      if (properties == NULL)
        return NULL;
      g_variant_builder_add (&builder, "{sv}", "type", g_variant_new_string (G_OBJECT_TYPE_NAME (self)));
      g_variant_builder_add (&builder, "{sv}", "properties", properties);
    }

  return g_variant_builder_end (&builder);
}

gboolean
mp_process_launch (MpProcess  *self,
                   GError    **error)
{
  MpProcessPrivate *priv = mp_process_get_private (self);
  g_autoptr(GVariant) run = NULL;
  g_autoptr(GBytes) authkey = mp_process_dup_authkey (self);
  MpChildConfig config =
    {
      .role = MP_ROLE_PROCESS,
      .name = priv->name,
      .daemon = priv->daemon,
      .detached = priv->detached,
      .capture_output = priv->capture_output,
      .own_group = priv->detached,
      .board = -1,
      .authkey = authkey,
      .context = priv->core->context,
      .owner = priv->core,
    };

  run = make_run (self, error);
  if (run == NULL)
    {
      g_prefix_error (error, "process start: ");
      return FALSE;
    }
  g_variant_ref_sink (run);

  if (!mp_process_core_launch (priv->core, self, mp_process_get_context (self), &config, run, error))
    return FALSE;
  g_clear_pointer (&priv->objects, g_ptr_array_unref);
  if (priv->authkey == NULL)
    priv->authkey = g_steal_pointer (&authkey);

  return TRUE;
}

/**
 * mp_process_get_name: (get-property name)
 * @self: a process
 *
 * Gives its name.
 *
 * Returns: (transfer none): the name, until it is set
 *
 * Since: 0.1
 */
const char *
mp_process_get_name (MpProcess *self)
{
  g_return_val_if_fail (MP_IS_PROCESS (self), NULL);

  return mp_process_get_private (self)->name;
}

/**
 * mp_process_set_name: (set-property name)
 * @self: a process
 * @name: a name, in UTF-8
 *
 * Sets its name. After the start the process itself does not learn of it.
 *
 * Since: 0.1
 */
void
mp_process_set_name (MpProcess  *self,
                     const char *name)
{
  MpProcessPrivate *priv = NULL;

  g_return_if_fail (MP_IS_PROCESS (self));
  g_return_if_fail (name != NULL && g_utf8_validate (name, -1, NULL));

  priv = mp_process_get_private (self);
  if (g_strcmp0 (priv->name, name) == 0)
    return;
  g_free (priv->name);
  priv->name = g_strdup (name);
  g_object_notify (G_OBJECT (self), "name");
}

static void
set_flag (MpProcess  *self,
          const char *property,
          gboolean   *flag,
          gboolean    value)
{
  g_return_if_fail (mp_process_is_new (self));

  if (*flag == !!value)
    return;
  *flag = !!value;
  g_object_notify (G_OBJECT (self), property);
}

/**
 * mp_process_get_daemon: (get-property daemon)
 * @self: a process
 *
 * Tells whether it is a daemon in the sense of [property@Mp.Process:daemon].
 *
 * Returns: whether it is
 *
 * Since: 0.1
 */
gboolean
mp_process_get_daemon (MpProcess *self)
{
  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);

  return mp_process_get_private (self)->daemon;
}

/**
 * mp_process_set_daemon: (set-property daemon)
 * @self: a process that has not been started
 * @daemon: whether it is to be a daemon
 *
 * Sets [property@Mp.Process:daemon].
 *
 * Since: 0.1
 */
void
mp_process_set_daemon (MpProcess *self,
                       gboolean   daemon)
{
  g_return_if_fail (MP_IS_PROCESS (self));

  set_flag (self, "daemon", &mp_process_get_private (self)->daemon, daemon);
}

/**
 * mp_process_get_detached: (get-property detached)
 * @self: a process
 *
 * Tells whether it goes on when its owner ends.
 *
 * Returns: whether it does
 *
 * Since: 0.1
 */
gboolean
mp_process_get_detached (MpProcess *self)
{
  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);

  return mp_process_get_private (self)->detached;
}

/**
 * mp_process_set_detached: (set-property detached)
 * @self: a process that has not been started
 * @detached: whether it is to go on when its owner ends
 *
 * Sets [property@Mp.Process:detached].
 *
 * Since: 0.1
 */
void
mp_process_set_detached (MpProcess *self,
                         gboolean   detached)
{
  g_return_if_fail (MP_IS_PROCESS (self));

  set_flag (self, "detached", &mp_process_get_private (self)->detached, detached);
}

/**
 * mp_process_get_capture_output: (get-property capture-output)
 * @self: a process
 *
 * Tells whether its output comes by [signal@Mp.Process::line].
 *
 * Returns: whether it does
 *
 * Since: 0.1
 */
gboolean
mp_process_get_capture_output (MpProcess *self)
{
  g_return_val_if_fail (MP_IS_PROCESS (self), FALSE);

  return mp_process_get_private (self)->capture_output;
}

/**
 * mp_process_set_capture_output: (set-property capture-output)
 * @self: a process that has not been started
 * @capture: whether its output is to come by [signal@Mp.Process::line]
 *
 * Sets [property@Mp.Process:capture-output].
 *
 * Since: 0.1
 */
void
mp_process_set_capture_output (MpProcess *self,
                               gboolean   capture)
{
  g_return_if_fail (MP_IS_PROCESS (self));

  set_flag (self, "capture-output", &mp_process_get_private (self)->capture_output, capture);
}

/**
 * mp_process_dup_authkey:
 * @self: a process
 *
 * Gives the key that it has, or is to be started with.
 *
 * See [property@Mp.Process:authkey].
 *
 * Returns: (transfer full) (nullable): the key; `NULL` for [func@Mp.Process.get_parent]
 *
 * Since: 0.1
 */
GBytes *
mp_process_dup_authkey (MpProcess *self)
{
  MpProcessPrivate *priv = NULL;

  g_return_val_if_fail (MP_IS_PROCESS (self), NULL);

  priv = mp_process_get_private (self);
  if (priv->core->kind == MP_PROCESS_PARENT)
    return NULL;

  return priv->authkey != NULL ? g_bytes_ref (priv->authkey) : mp_get_authkey ();
}

/**
 * mp_process_set_authkey:
 * @self: a process that has not been started, or the current one
 * @authkey: (nullable): its key, not empty; `NULL` for that of the process that starts it
 *
 * Sets [property@Mp.Process:authkey].
 *
 * Since: 0.1
 */
void
mp_process_set_authkey (MpProcess *self,
                        GBytes    *authkey)
{
  MpProcessPrivate *priv = NULL;

  g_return_if_fail (MP_IS_PROCESS (self));
  g_return_if_fail (authkey == NULL || g_bytes_get_size (authkey) > 0);

  priv = mp_process_get_private (self);
  if (priv->core->kind == MP_PROCESS_SELF)
    {
      g_return_if_fail (authkey != NULL);
      mp_set_authkey (authkey);
    }
  else
    {
      g_return_if_fail (mp_process_is_new (self));
      g_clear_pointer (&priv->authkey, g_bytes_unref);
      if (authkey != NULL)
        priv->authkey = g_bytes_new (g_bytes_get_data (authkey, NULL), g_bytes_get_size (authkey));
    }
  g_object_notify (G_OBJECT (self), "authkey");
}

/**
 * mp_process_get_function: (get-property function)
 * @self: a process
 *
 * Gives the name of its function.
 *
 * Returns: (transfer none) (nullable): the name
 *
 * Since: 0.1
 */
const char *
mp_process_get_function (MpProcess *self)
{
  g_return_val_if_fail (MP_IS_PROCESS (self), NULL);

  return mp_process_get_private (self)->function;
}

/**
 * mp_process_dup_args:
 * @self: a process
 *
 * Gives what its function gets.
 *
 * Returns: (transfer full) (nullable): the arguments
 *
 * Since: 0.1
 */
GVariant *
mp_process_dup_args (MpProcess *self)
{
  MpProcessPrivate *priv = NULL;

  g_return_val_if_fail (MP_IS_PROCESS (self), NULL);

  priv = mp_process_get_private (self);

  return priv->args != NULL ? g_variant_ref (priv->args) : NULL;
}

/**
 * mp_process_get_context: (get-property context)
 * @self: a process
 *
 * Gives what it is started by.
 *
 * Returns: (transfer none): its context, or the default one
 *
 * Since: 0.1
 */
MpContext *
mp_process_get_context (MpProcess *self)
{
  MpContext *context = NULL;

  g_return_val_if_fail (MP_IS_PROCESS (self), NULL);

  context = mp_process_get_private (self)->context;

  return context != NULL ? context : mp_context_get_default ();
}
