/* mp-preload.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-worker-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/process/mp-init-private.h"

#include <gmodule.h>
#include <string.h>

typedef gboolean (* ModuleInit) (GError **error);

/* A URI is the name of a module in JavaScript. */
static gboolean
is_file (const char *name)
{
  if (strstr (name, "://") != NULL)
    return FALSE;

  return strchr (name, '/') != NULL || g_str_has_suffix (name, "." G_MODULE_SUFFIX);
}

static gboolean
load_module (const char *name, GError **error)
{
  g_autoptr(GError) cause = NULL;
  gpointer symbol = NULL;
  GModule *module = g_module_open (name, G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);

  if (module == NULL)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_WORKER_START, "cannot preload “%s”: %s", name, g_module_error ());
      return FALSE;
    }
  /* Functions of it may be called as long as the process lives. */
  g_module_make_resident (module);
  if (!g_module_symbol (module, "mp_module_init", &symbol) || symbol == NULL || ((ModuleInit) symbol) (&cause))
    return TRUE;
  g_set_error (error, MP_ERROR, MP_ERROR_WORKER_START, "cannot preload “%s”: %s", name,
               cause != NULL ? cause->message : "its mp_module_init() failed");
  return FALSE;
}

/* The binding's part: also without names, since the boot data may mean work. */
static gboolean
load_names (GVariant *setup, GPtrArray *names, GPtrArray *loaded, GError **error)
{
  g_autoptr(GVariant) boot_data = g_variant_lookup_value (setup, "boot-data", NULL);
  g_auto(GStrv) result = NULL;

  g_ptr_array_add (names, NULL);
  result = mp_init_call_boot_func (boot_data, (const char * const *) names->pdata, error);
  if (result == NULL)
    return FALSE;
  for (char **name = result; *name != NULL; name++)
    g_ptr_array_add (loaded, g_strdup (*name));
  return TRUE;
}

char **
mp_worker_preload (GVariant  *setup,
                   GError   **error)
{
  g_autoptr(GPtrArray) loaded = g_ptr_array_new_with_free_func (g_free);
  g_autoptr(GPtrArray) names = g_ptr_array_new ();
  g_autofree const char **preload = NULL;
  /* A process forked from its owner has there what the language has loaded. */
  gboolean has_boot_func = mp_init_has_boot_func ();
  gboolean forked = mp_worker_get ()->forked;

  g_variant_lookup (setup, "preload", "^a&s", &preload);
  for (const char **name = preload; name != NULL && *name != NULL; name++)
    {
      if (has_boot_func && !is_file (*name))
        {
          g_ptr_array_add (names, (gpointer) *name);
          continue;
        }
      if (!load_module (*name, error))
        return NULL;
      g_ptr_array_add (loaded, g_strdup (*name));
    }
  if (has_boot_func && !forked && !load_names (setup, names, loaded, error))
    return NULL;
  g_ptr_array_add (loaded, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&loaded), FALSE);
}
