/* mp-active-children.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-process.h"

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/process/mp-process-private.h"

/* The list of running children as a GListModel. What it shows is brought up to date in its own main context only: the
 * list of mp-process-core.c, which changes whenever the hub turns in whatever thread, is compared with it. */

#define MP_TYPE_ACTIVE_CHILDREN (mp_active_children_get_type ())
G_DECLARE_FINAL_TYPE (MpActiveChildren, mp_active_children, MP, ACTIVE_CHILDREN, GObject)

struct _MpActiveChildren
{
  GObject       parent_instance;

  GMainContext *context;      /* (owned) with the hub's source on it */
  GPtrArray    *items;        /* (owned) (element-type MpProcess): the context's owner only */
  gboolean      comparing;    /* the same */
  gboolean      again;        /* the same */
};

static MpActiveChildren *model;   /* (owned) (nullable): set once, under the hub's lock */

static GType
get_item_type (GListModel *list)
{
  return MP_TYPE_PROCESS;
}

static guint
get_n_items (GListModel *list)
{
  return MP_ACTIVE_CHILDREN (list)->items->len;
}

static gpointer
get_item (GListModel *list,
          guint       position)
{
  GPtrArray *items = MP_ACTIVE_CHILDREN (list)->items;

  return position < items->len ? g_object_ref (g_ptr_array_index (items, position)) : NULL;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (MpActiveChildren, mp_active_children, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static void
mp_active_children_finalize (GObject *object)
{
  MpActiveChildren *self = MP_ACTIVE_CHILDREN (object);

  g_ptr_array_unref (self->items);
  mp_hub_unref_context (self->context);

  G_OBJECT_CLASS (mp_active_children_parent_class)->finalize (object);
}

static void
mp_active_children_class_init (MpActiveChildrenClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = mp_active_children_finalize;
}

static void
mp_active_children_init (MpActiveChildren *self)
{
  self->context = mp_hub_ref_context (NULL);
  self->items = g_ptr_array_new_with_free_func (g_object_unref);
}

/* Processes end in any order, but new ones come last. */
static void
compare (MpActiveChildren *self)
{
  g_autoptr(GPtrArray) now = mp_process_list_running ();
  guint n_old = 0;
  guint n_added = 0;

  for (guint i = self->items->len; i > 0; i--)
    {
      if (g_ptr_array_find (now, g_ptr_array_index (self->items, i - 1), NULL))
        continue;
      g_ptr_array_remove_index (self->items, i - 1);
      g_list_model_items_changed (G_LIST_MODEL (self), i - 1, 1, 0);
    }

  n_old = self->items->len;
  for (guint i = 0; i < now->len; i++)
    {
      if (g_ptr_array_find (self->items, g_ptr_array_index (now, i), NULL))
        continue;
      g_ptr_array_add (self->items, g_object_ref (g_ptr_array_index (now, i)));
      n_added++;
    }
  if (n_added > 0)
    g_list_model_items_changed (G_LIST_MODEL (self), n_old, 0, n_added);
}

/* In the model's context. A handler of items-changed may bring us here again: then the outer call goes on. */
static void
bring_up_to_date (MpActiveChildren *self)
{
  self->again = TRUE;
  if (self->comparing)
    return;

  self->comparing = TRUE;
  while (self->again)
    {
      self->again = FALSE;
      compare (self);
    }
  self->comparing = FALSE;
}

static void
changed_cb (gpointer data)
{
  bring_up_to_date (data);
}

void
mp_active_children_changed (gconstpointer owner)
{
  /* The model is never freed. */
  if (model != NULL)
    mp_hub_post (model->context, owner, changed_cb, model, NULL);
}

void
mp_active_children_reset_after_fork (void)
{
  model = NULL;
}

/**
 * mp_get_active_children:
 *
 * Gives the processes that this one has started and that have not ended, as a list model of [class@Mp.Process].
 *
 * There is one model. Its changes are made, and `items-changed` is emitted, in the main context that was thread-default
 * at the first call of this function; it is to be used there only. Blocking calls on a process bring it up to date as
 * far as that process is concerned, and so does this function when it is called there. Looking at it awaits and reaps
 * nothing.
 *
 * Returns: (transfer none): the model, which belongs to the library
 *
 * Since: 0.1
 */
GListModel *
mp_get_active_children (void)
{
  MpActiveChildren *self = NULL;
  GMainContext *context = NULL;

  mp_hub_lock ();
  self = model;
  mp_hub_unlock ();

  if (self == NULL)
    {
      g_autoptr(MpActiveChildren) fresh = g_object_new (MP_TYPE_ACTIVE_CHILDREN, NULL);

      mp_hub_lock ();
      if (model == NULL)
        model = g_steal_pointer (&fresh);
      self = model;
      mp_hub_unlock ();
    }

  context = g_main_context_ref_thread_default ();
  if (context == self->context && g_main_context_acquire (context))
    {
      bring_up_to_date (self);
      g_main_context_release (context);
    }
  g_main_context_unref (context);

  return G_LIST_MODEL (self);
}
