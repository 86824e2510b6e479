/* mp-items.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-items-private.h"

#include "mp-glib/base/mp-home-private.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/process/mp-function-private.h"

/**
 * MpItems:
 *
 * What a function is to be called with, item by item.
 *
 * Items are an array, a list, or what a function gives. Those of a list and of a function are asked for as the pool has room
 * for them, so that input of any length, also one without an end, takes little memory: see [method@Mp.Pool.imap_with] and
 * [method@Mp.Pool.map_with]. They are asked for in the main context that is thread-default where that call is made; where no
 * main loop runs, in the blocking calls on the pool, its iterators and futures. The function must not wait for the call that
 * it gives items to.
 *
 * Each object can be given to one call.
 *
 * A function in JavaScript that gave nothing is asked once more, because that is also how GJS refuses a call.
 *
 * ## Errors
 *
 * An error of the function ends the input. It comes in the place of the item, behind the results of all the items before it.
 * The same is true of an item that the library refuses: one that has not the type that the function is declared to take, or
 * that cannot be sent.
 *
 * ## Lists
 *
 * A list may change while it is read. Each item is read once: what is put in before the place that reading has come to is
 * left out, what is put in behind it is read, and of what is replaced as many count as read as were. The list's end, once it
 * has been seen, is final.
 *
 * Without a function that converts them, objects that travel ([iface@Mp.Shareable]) become handles, others their property
 * `variant` (a [struct@GLib.Variant]) or `string`, such as that of a `GtkStringObject`.
 *
 * Since: 0.1
 */
struct _MpItems
{
  GObject parent_instance;

  GVariant          *array;        /* (owned) (nullable) */
  GListModel        *model;        /* (owned) (nullable) */
  MpItemConvertFunc  convert;      /* (nullable) */
  MpItemFunc         func;         /* (nullable) */
  gpointer           user_data;    /* (owned) */
  GDestroyNotify     notify;       /* (nullable) */
  MpHome             home;         /* where it was made: user_data and model are let go of there */
  int                claimed;      /* atomic */

  /* The context of the call only. */
  guint              position;     /* in the model */
  gulong             handler;      /* on it */
};

G_DEFINE_FINAL_TYPE (MpItems, mp_items, G_TYPE_OBJECT)

/* What belongs to the user, on its way home. */
typedef struct
{
  MpHome          home;
  GVariant       *array;
  GListModel     *model;
  gpointer        user_data;
  GDestroyNotify  notify;
} Estate;

static void
estate_free (gpointer data)
{
  Estate *self = data;

  g_clear_pointer (&self->array, g_variant_unref);
  g_clear_object (&self->model);
  if (self->notify != NULL)
    self->notify (self->user_data);
  mp_home_clear (&self->home);
  g_free (self);
}

static void
mp_items_finalize (GObject *object)
{
  MpItems *self = MP_ITEMS (object);
  Estate *estate = g_new0 (Estate, 1);

  mp_items_release (self);
  *estate = (Estate) { self->home, self->array, self->model, self->user_data, self->notify };
  if (!mp_home_try_free (&estate->home, estate_free, estate))
    {
      mp_hub_lock ();
      mp_hub_post (estate->home.context, NULL, estate_free, estate, NULL);
      mp_hub_unlock ();
    }

  G_OBJECT_CLASS (mp_items_parent_class)->finalize (object);
}

static void
mp_items_class_init (MpItemsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = mp_items_finalize;
}

static void
mp_items_init (MpItems *self)
{
  mp_home_init (&self->home);
}

/**
 * mp_items_new_for_array:
 * @array: an array; a floating reference is taken
 *
 * Makes items of an array.
 *
 * They are taken from it as [method@Mp.Pool.map] does, and asked of nobody.
 *
 * Returns: (transfer full): the items
 *
 * Since: 0.1
 */
MpItems *
mp_items_new_for_array (GVariant *array)
{
  MpItems *self = NULL;

  g_return_val_if_fail (array != NULL, NULL);

  self = g_object_new (MP_TYPE_ITEMS, NULL);
  self->array = g_variant_ref_sink (array);

  return self;
}

/**
 * mp_items_new_for_model:
 * @model: a list
 * @convert: (nullable) (scope notified) (closure user_data) (destroy notify): gives the value that stands for an item
 * @user_data: data for @convert
 * @notify: (nullable): frees @user_data
 *
 * Makes items of the items of a list.
 *
 * @notify is called in the main context that is thread-default now, or in this thread.
 *
 * Returns: (transfer full): the items
 *
 * Since: 0.1
 */
MpItems *
mp_items_new_for_model (GListModel        *model,
                        MpItemConvertFunc  convert,
                        gpointer           user_data,
                        GDestroyNotify     notify)
{
  MpItems *self = NULL;

  g_return_val_if_fail (G_IS_LIST_MODEL (model), NULL);

  self = g_object_new (MP_TYPE_ITEMS, NULL);
  self->model = g_object_ref (model);
  self->convert = convert;
  self->user_data = user_data;
  self->notify = notify;

  return self;
}

/**
 * mp_items_new_for_func:
 * @func: (scope notified) (closure user_data) (destroy notify): gives the next item
 * @user_data: data for @func
 * @notify: (nullable): frees @user_data
 *
 * Makes items that a function gives, one after another.
 *
 * @notify is called in the main context that is thread-default now, or in this thread.
 *
 * Returns: (transfer full): the items
 *
 * Since: 0.1
 */
MpItems *
mp_items_new_for_func (MpItemFunc      func,
                       gpointer        user_data,
                       GDestroyNotify  notify)
{
  MpItems *self = NULL;

  g_return_val_if_fail (func != NULL, NULL);

  self = g_object_new (MP_TYPE_ITEMS, NULL);
  self->func = func;
  self->user_data = user_data;
  self->notify = notify;

  return self;
}

/* Reading. */

static void
items_changed_cb (GListModel *model,
                  guint       position,
                  guint       n_removed,
                  guint       n_added,
                  gpointer    user_data)
{
  MpItems *self = user_data;

  if (position >= self->position)
    return;
  if (position + n_removed <= self->position)
    self->position += n_added - n_removed;
  else
    self->position = position + MIN (n_added, self->position - position);
}

gboolean
mp_items_claim (MpItems  *self,
                GError  **error)
{
  if (!g_atomic_int_compare_and_exchange (&self->claimed, FALSE, TRUE))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "pool: these items were given to another call");
      return FALSE;
    }
  if (self->model != NULL)
    self->handler = g_signal_connect (self->model, "items-changed", G_CALLBACK (items_changed_cb), self);
  return TRUE;
}

void
mp_items_release (MpItems *self)
{
  if (self->handler != 0)
    g_signal_handler_disconnect (self->model, self->handler);
  self->handler = 0;
}

GVariant *
mp_items_get_array (MpItems *self)
{
  return self->array;
}

gsize
mp_items_count (MpItems *self)
{
  return self->model != NULL ? g_list_model_get_n_items (self->model) : G_MAXSIZE;
}

static gboolean
has_property (GObject    *item,
              const char *name,
              GType       type)
{
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (item), name);

  return pspec != NULL && (pspec->flags & G_PARAM_READABLE) != 0 && G_PARAM_SPEC_VALUE_TYPE (pspec) == type;
}

static GVariant *
convert_item (GObject  *item,
              GError  **error)
{
  GVariant *value = NULL;
  g_autofree char *text = NULL;

  if (MP_IS_SHAREABLE (item))
    return mp_shareable_to_variant (MP_SHAREABLE (item));
  if (has_property (item, "variant", G_TYPE_VARIANT))
    g_object_get (item, "variant", &value, NULL);
  if (value != NULL)
    return value;
  if (has_property (item, "string", G_TYPE_STRING))
    g_object_get (item, "string", &text, NULL);
  if (text != NULL && g_utf8_validate (text, -1, NULL))
    return g_variant_new_string (text);

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "pool: an item of type %s cannot be sent without a function that converts it", G_OBJECT_TYPE_NAME (item));
  return NULL;
}

/* GJS refuses a call between two steps of its collection (mp-script-engine.c): as nothing, which would be the end. Then it is
 * made again. */
static GVariant *
ask (MpItems  *self,
     GObject  *item,
     GError  **error)
{
  GVariant *value = NULL;
  gboolean again = TRUE;

  while (TRUE)
    {
      value = item != NULL ? self->convert (item, self->user_data, error) : self->func (self->user_data, error);
      if (value != NULL || *error != NULL || !again || !mp_platform_is_main_thread () || !mp_script_collect ())
        return value;
      again = FALSE;
    }
}

static GVariant *
next_of_model (MpItems  *self,
               GError  **error)
{
  g_autoptr(GObject) item = g_list_model_get_item (self->model, self->position);
  GVariant *value = NULL;

  if (item == NULL)
    return NULL;

  self->position++;
  value = self->convert != NULL ? ask (self, item, error) : convert_item (item, error);
  if (value == NULL && *error == NULL)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "pool: the function that converts items gave nothing");
  return value;
}

GVariant *
mp_items_next (MpItems  *self,
               GError  **error)
{
  GVariant *value = NULL;

  if (mp_platform_is_main_thread ())
    mp_script_count_call ();
  value = self->model != NULL ? next_of_model (self, error) : ask (self, NULL, error);

  return value != NULL ? g_variant_take_ref (value) : NULL;
}
