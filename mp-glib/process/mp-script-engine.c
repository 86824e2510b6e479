/* mp-script-engine.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-function-private.h"

#include <gmodule.h>

/* GJS collects garbage in steps, takes them when JavaScript runs, and refuses to be called from C between two steps of
 * the last phase ("Attempting to run a JS callback during garbage collection"). A worker whose program does nothing but
 * be called would be refused from then on for ever. So a call that was refused is made again after the collection has
 * been brought to its end; and one is made now and then before GJS begins one of its own, which costs about a
 * hundredth of the time of so many calls. */
#define CALLS_PER_COLLECTION 32768

typedef struct
{
  gpointer (* get_current) (void);
  void     (* collect)     (gpointer context);
} Engine;

static Engine *
find_engine (void)
{
  static Engine engine;
  static gsize found;

  if (g_once_init_enter (&found))
    {
      GModule *program = g_module_open (NULL, G_MODULE_BIND_LAZY);

      if (program == NULL ||
          !g_module_symbol (program, "gjs_context_get_current", (gpointer *) &engine.get_current) ||
          !g_module_symbol (program, "gjs_context_gc", (gpointer *) &engine.collect))
        engine = (Engine) { NULL, NULL };
      g_clear_pointer (&program, g_module_close);
      g_once_init_leave (&found, 1);
    }
  return engine.collect != NULL ? &engine : NULL;
}

gboolean
mp_script_collect (void)
{
  Engine *engine = find_engine ();
  gpointer context = engine != NULL ? engine->get_current () : NULL;

  if (context == NULL)
    return FALSE;
  engine->collect (context);
  return TRUE;
}

gboolean
mp_script_is_here (void)
{
  Engine *engine = find_engine ();

  return engine != NULL && engine->get_current () != NULL;
}

void
mp_script_count_call (void)
{
  static __thread guint n_calls;

  if (G_UNLIKELY (++n_calls % CALLS_PER_COLLECTION == 0))
    mp_script_collect ();
}
