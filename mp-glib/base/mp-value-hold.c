/* mp-value-hold.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable-private.h"

#include <string.h>

/* A value that goes to another thread of this process: what the codec does for one that travels, without making other
 * objects of those in it. */

typedef struct
{
  GPtrArray *objects;   /* (owned) (element-type MpShareable) */
  guint64    data[];
} HeldValue;

typedef struct
{
  gboolean   found;
  GPtrArray *objects;   /* NULL: only looks whether there are any */
  GError    *error;
} Finder;

static gboolean
find_object (gint32   *handle,
             gpointer  user_data)
{
  Finder *self = user_data;
  MpShareable *object = NULL;

  self->found = TRUE;
  if (self->objects == NULL)
    return TRUE;

  object = mp_shareable_lookup (*handle, &self->error);
  if (object == NULL)
    return FALSE;
  g_ptr_array_add (self->objects, object);
  return TRUE;
}

static void
held_value_free (gpointer data)
{
  HeldValue *self = data;

  g_ptr_array_unref (self->objects);
  g_free (self);
}

/* Takes @value, which is in normal form. */
static GVariant *
hold_objects (GVariant  *value,
              GError   **error)
{
  gsize size = g_variant_get_size (value);
  HeldValue *held = g_malloc (sizeof *held + size);
  Finder finder = { FALSE, g_ptr_array_new_with_free_func (g_object_unref), NULL };
  GVariant *result = NULL;

  held->objects = finder.objects;
  memcpy (held->data, g_variant_get_data (value), size);
  if (mp_value_check (g_variant_get_type (value), held->data, size, find_object, &finder))
    {
      g_autoptr(GBytes) bytes = g_bytes_new_with_free_func (held->data, size, held_value_free, held);

      result = g_variant_ref_sink (g_variant_new_from_bytes (g_variant_get_type (value), bytes, TRUE));
    }
  else
    {
      held_value_free (held);
      g_propagate_prefixed_error (error, finder.error, "Cannot send a value: ");
    }
  g_variant_unref (value);

  return result;
}

/* Whether it is in normal form; sets @found when it has handles. */
static gboolean
look_at (GVariant *value,
         gboolean *found)
{
  Finder finder = { FALSE, NULL, NULL };
  gsize size = g_variant_get_size (value);
  gconstpointer data = g_variant_get_data (value);
  g_autofree gpointer copy = NULL;
  gboolean normal = FALSE;

  if (data == NULL && size > 0)
    return FALSE;
  if (((guintptr) data & 7) != 0)
    data = copy = g_memdup2 (data, size);
  normal = mp_value_check (g_variant_get_type (value), data, size, find_object, &finder);
  *found = finder.found;

  return normal;
}

GVariant *
mp_value_hold (GVariant  *value,
               GError   **error)
{
  gboolean found = FALSE;

  g_variant_ref_sink (value);
  if (strlen (g_variant_get_type_string (value)) > MP_CODEC_MAX_TYPE)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "Cannot send a value: its type is too long");
      g_variant_unref (value);
      return NULL;
    }
  if (!look_at (value, &found))
    {
      GVariant *normal = g_variant_get_normal_form (value);

      g_variant_unref (value);
      value = normal;
      if (!look_at (value, &found))
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                       "Cannot send a value: it is nested too deeply, or a variant in it has too long a type");
          g_variant_unref (value);
          return NULL;
        }
    }

  return found ? hold_objects (value, error) : value;
}
