/* mp-process-values.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/process/mp-process-private.h"

/* How the object of a subclass gets to its worker: its type's name and those of its properties that have a GVariant
 * form. What can be NULL travels as a maybe. */

/* NULL: values of this type stay at home. */
static const char *
get_variant_type (GType type)
{
  if (type == G_TYPE_BYTES)
    return "may";
  if (type == G_TYPE_STRV)
    return "mas";
  if (g_type_is_a (type, MP_TYPE_SHAREABLE))
    return "mh";

  switch (G_TYPE_FUNDAMENTAL (type))
    {
    case G_TYPE_BOOLEAN: return "b";
    case G_TYPE_UCHAR:   return "y";
    case G_TYPE_CHAR:    return "n";
    case G_TYPE_INT:
    case G_TYPE_ENUM:    return "i";
    case G_TYPE_UINT:
    case G_TYPE_FLAGS:   return "u";
    case G_TYPE_LONG:
    case G_TYPE_INT64:   return "x";
    case G_TYPE_ULONG:
    case G_TYPE_UINT64:  return "t";
    case G_TYPE_FLOAT:
    case G_TYPE_DOUBLE:  return "d";
    case G_TYPE_STRING:  return "ms";
    case G_TYPE_VARIANT: return "mv";
    default:             return NULL;
    }
}

/* Those that classes below MpProcess have added. */
static gboolean
can_travel (GParamSpec *pspec)
{
  return (pspec->flags & G_PARAM_READABLE) != 0 && (pspec->flags & G_PARAM_WRITABLE) != 0 &&
         !g_type_is_a (MP_TYPE_PROCESS, pspec->owner_type) && get_variant_type (pspec->value_type) != NULL;
}

/* Those that can be NULL. Floating. */
static GVariant *
pack_pointer (const GValue *value)
{
  GType type = G_VALUE_TYPE (value);
  g_autoptr(GVariant) handle = NULL;
  GVariant *inner = NULL;

  if (type == G_TYPE_BYTES && g_value_get_boxed (value) != NULL)
    inner = g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, g_value_get_boxed (value), TRUE);
  else if (type == G_TYPE_STRV && g_value_get_boxed (value) != NULL)
    inner = g_variant_new_strv (g_value_get_boxed (value), -1);
  else if (g_type_is_a (type, MP_TYPE_SHAREABLE) && g_value_get_object (value) != NULL)
    inner = handle = mp_shareable_to_variant (g_value_get_object (value));
  else if (G_VALUE_HOLDS_STRING (value) && g_value_get_string (value) != NULL)
    inner = g_variant_new_string (g_value_get_string (value));
  else if (G_VALUE_HOLDS_VARIANT (value) && g_value_get_variant (value) != NULL)
    inner = g_variant_new_variant (g_value_get_variant (value));

  return g_variant_new_maybe (G_VARIANT_TYPE (get_variant_type (type) + 1), inner);
}

static GVariant *
pack_value (const GValue *value)
{
  switch (G_TYPE_FUNDAMENTAL (G_VALUE_TYPE (value)))
    {
    case G_TYPE_BOOLEAN: return g_variant_new_boolean (g_value_get_boolean (value));
    case G_TYPE_UCHAR:   return g_variant_new_byte (g_value_get_uchar (value));
    case G_TYPE_CHAR:    return g_variant_new_int16 (g_value_get_schar (value));
    case G_TYPE_INT:     return g_variant_new_int32 (g_value_get_int (value));
    case G_TYPE_ENUM:    return g_variant_new_int32 (g_value_get_enum (value));
    case G_TYPE_UINT:    return g_variant_new_uint32 (g_value_get_uint (value));
    case G_TYPE_FLAGS:   return g_variant_new_uint32 (g_value_get_flags (value));
    case G_TYPE_LONG:    return g_variant_new_int64 (g_value_get_long (value));
    case G_TYPE_INT64:   return g_variant_new_int64 (g_value_get_int64 (value));
    case G_TYPE_ULONG:   return g_variant_new_uint64 (g_value_get_ulong (value));
    case G_TYPE_UINT64:  return g_variant_new_uint64 (g_value_get_uint64 (value));
    case G_TYPE_FLOAT:   return g_variant_new_double (g_value_get_float (value));
    case G_TYPE_DOUBLE:  return g_variant_new_double (g_value_get_double (value));
    default:             return pack_pointer (value);
    }
}

GVariant *
mp_process_pack_properties (MpProcess  *self,
                            GError    **error)
{
  g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree GParamSpec **pspecs = NULL;
  guint n_pspecs = 0;

  pspecs = g_object_class_list_properties (G_OBJECT_GET_CLASS (self), &n_pspecs);
  for (guint i = 0; i < n_pspecs; i++)
    {
      g_auto(GValue) value = G_VALUE_INIT;

      if (!can_travel (pspecs[i]))
        continue;
      g_object_get_property (G_OBJECT (self), pspecs[i]->name, &value);
      if (G_VALUE_HOLDS_STRING (&value) && g_value_get_string (&value) != NULL &&
          !g_utf8_validate (g_value_get_string (&value), -1, NULL))
        {
          g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "property “%s” of %s is not UTF-8",
                       pspecs[i]->name, G_OBJECT_TYPE_NAME (self));
          return NULL;
        }
      g_variant_builder_add (&builder, "{sv}", pspecs[i]->name, pack_value (&value));
    }

  return g_variant_builder_end (&builder);
}

static gboolean
unpack_pointer (GVariant  *inner,
                GValue    *value,
                GError   **error)
{
  GType type = G_VALUE_TYPE (value);

  if (type == G_TYPE_BYTES)
    {
      g_value_take_boxed (value, g_variant_get_data_as_bytes (inner));
    }
  else if (type == G_TYPE_STRV)
    {
      g_value_take_boxed (value, g_variant_dup_strv (inner, NULL));
    }
  else if (G_VALUE_HOLDS_STRING (value))
    {
      g_value_set_string (value, g_variant_get_string (inner, NULL));
    }
  else if (G_VALUE_HOLDS_VARIANT (value))
    {
      g_value_take_variant (value, g_variant_get_variant (inner));
    }
  else
    {
      g_autoptr(MpShareable) object = mp_shareable_from_variant (inner, error);

      if (object == NULL)
        return FALSE;
      if (!g_type_is_a (G_OBJECT_TYPE (object), type))
        {
          g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "it is a %s", G_OBJECT_TYPE_NAME (object));
          return FALSE;
        }
      g_value_set_object (value, object);
    }

  return TRUE;
}

/* @value: initialised to the property's type, which @variant is known to fit. */
static gboolean
unpack_value (GVariant  *variant,
              GValue    *value,
              GError   **error)
{
  switch (G_TYPE_FUNDAMENTAL (G_VALUE_TYPE (value)))
    {
    case G_TYPE_BOOLEAN: g_value_set_boolean (value, g_variant_get_boolean (variant)); return TRUE;
    case G_TYPE_UCHAR:   g_value_set_uchar (value, g_variant_get_byte (variant)); return TRUE;
    case G_TYPE_CHAR:    g_value_set_schar (value, (gint8) g_variant_get_int16 (variant)); return TRUE;
    case G_TYPE_INT:     g_value_set_int (value, g_variant_get_int32 (variant)); return TRUE;
    case G_TYPE_ENUM:    g_value_set_enum (value, g_variant_get_int32 (variant)); return TRUE;
    case G_TYPE_UINT:    g_value_set_uint (value, g_variant_get_uint32 (variant)); return TRUE;
    case G_TYPE_FLAGS:   g_value_set_flags (value, g_variant_get_uint32 (variant)); return TRUE;
    case G_TYPE_LONG:    g_value_set_long (value, (glong) g_variant_get_int64 (variant)); return TRUE;
    case G_TYPE_INT64:   g_value_set_int64 (value, g_variant_get_int64 (variant)); return TRUE;
    case G_TYPE_ULONG:   g_value_set_ulong (value, (gulong) g_variant_get_uint64 (variant)); return TRUE;
    case G_TYPE_UINT64:  g_value_set_uint64 (value, g_variant_get_uint64 (variant)); return TRUE;
    case G_TYPE_FLOAT:   g_value_set_float (value, (float) g_variant_get_double (variant)); return TRUE;
    case G_TYPE_DOUBLE:  g_value_set_double (value, g_variant_get_double (variant)); return TRUE;
    default:             break;
    }

  if (g_variant_n_children (variant) > 0)
    {
      g_autoptr(GVariant) inner = g_variant_get_maybe (variant);

      return unpack_pointer (inner, value, error);
    }

  return TRUE;
}

/* One property from outside: there must be one of that name, of a type that fits, and the value within its bounds. */
static gboolean
unpack_property (GObjectClass  *klass,
                 const char    *name,
                 GVariant      *variant,
                 GValue        *value,
                 GError       **error)
{
  GParamSpec *pspec = g_object_class_find_property (klass, name);

  if (pspec == NULL || !can_travel (pspec))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "%s has no property “%s” that can be set",
                   G_OBJECT_CLASS_NAME (klass), name);
      return FALSE;
    }
  if (!g_variant_is_of_type (variant, G_VARIANT_TYPE (get_variant_type (pspec->value_type))))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "property “%s” of %s is not of the type “%s”",
                   name, G_OBJECT_CLASS_NAME (klass), g_variant_get_type_string (variant));
      return FALSE;
    }

  g_value_init (value, pspec->value_type);
  if (!unpack_value (variant, value, error))
    {
      g_prefix_error (error, "property “%s” of %s: ", name, G_OBJECT_CLASS_NAME (klass));
      return FALSE;
    }
  g_param_value_validate (pspec, value);

  return TRUE;
}

MpProcess *
mp_process_make (const char  *type_name,
                 GVariant    *properties,
                 GError     **error)
{
  GType type = g_type_from_name (type_name);
  g_autoptr(GTypeClass) klass = NULL;
  g_autoptr(GPtrArray) names = g_ptr_array_new ();
  g_autoptr(GArray) values = g_array_new (FALSE, TRUE, sizeof (GValue));
  g_autoptr(GVariant) variant = NULL;
  GVariantIter iter;
  const char *name = NULL;

  if (type == G_TYPE_INVALID || !g_type_is_a (type, MP_TYPE_PROCESS) || G_TYPE_IS_ABSTRACT (type))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION,
                   "no class “%s” of processes is registered here: ensure its type before mp_init()", type_name);
      return NULL;
    }

  klass = g_type_class_ref (type);
  g_array_set_clear_func (values, (GDestroyNotify) g_value_unset);
  g_variant_iter_init (&iter, properties);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &variant))
    {
      g_autoptr(GVariant) item = g_steal_pointer (&variant);

      g_ptr_array_add (names, (gpointer) g_intern_string (name));
      g_array_set_size (values, names->len);
      if (!unpack_property (G_OBJECT_CLASS (klass), name, item, &g_array_index (values, GValue, names->len - 1), error))
        return NULL;
    }

  return MP_PROCESS (g_object_new_with_properties (type, names->len, (const char **) names->pdata,
                                                   (const GValue *) (gpointer) values->data));
}
