/* mp-blob.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-blob.h"

#define BLOB_TYPE ((const GVariantType *) "(ssayav)")

/**
 * mp_blob_new:
 * @tag: what reads it: the language and its format
 * @text: the value as text
 * @bytes: (nullable): the value's bytes, not copied
 * @parts: (array length=n_parts) (nullable): the values in it that are `GVariant`s
 * @n_parts: their number
 *
 * Makes the `GVariant` in which a plain value of another language travels.
 *
 * This is for bindings: one blob is far cheaper than a `GVariant` for each number and text in a value. Its type is
 * `(ssayav)`.
 *
 * Returns: (transfer full): the blob, not floating
 *
 * Since: 0.1
 */
GVariant *
mp_blob_new (const char  *tag,
             const char  *text,
             GBytes      *bytes,
             GVariant   **parts,
             gsize        n_parts)
{
  GVariant *children[4], *boxed = NULL;
  g_autofree GVariant **variants = NULL;

  g_return_val_if_fail (tag != NULL, NULL);
  g_return_val_if_fail (text != NULL, NULL);
  g_return_val_if_fail (parts != NULL || n_parts == 0, NULL);

  variants = g_new (GVariant *, n_parts + 1);
  for (gsize i = 0; i < n_parts; i++)
    variants[i] = g_variant_new_variant (parts[i]);
  boxed = g_variant_new_array (G_VARIANT_TYPE_VARIANT, variants, n_parts);

  children[0] = g_variant_new_string (tag);
  children[1] = g_variant_new_string (text);
  if (bytes != NULL)
    children[2] = g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
  else
    children[2] = g_variant_new_array (G_VARIANT_TYPE_BYTE, NULL, 0);
  children[3] = boxed;

  return g_variant_ref_sink (g_variant_new_tuple (children, G_N_ELEMENTS (children)));
}

/**
 * mp_blob_get:
 * @blob: a value
 * @tag: (out) (optional) (transfer none): its tag
 * @text: (out) (optional) (transfer none): its text
 * @bytes: (out) (optional) (transfer full): its bytes
 * @parts: (out) (optional) (transfer full) (array length=n_parts): the values in it that are `GVariant`s
 * @n_parts: (out) (optional): their number
 *
 * Takes apart what [func@Mp.blob_new] made. The texts live as long as @blob.
 *
 * Returns: whether @blob is one; when it is not, all is set to `NULL` and 0
 *
 * Since: 0.1
 */
gboolean
mp_blob_get (GVariant     *blob,
             const char  **tag,
             const char  **text,
             GBytes      **bytes,
             GVariant   ***parts,
             gsize        *n_parts)
{
  g_return_val_if_fail (blob != NULL, FALSE);

  if (tag != NULL)
    *tag = NULL;
  if (text != NULL)
    *text = NULL;
  if (bytes != NULL)
    *bytes = NULL;
  if (parts != NULL)
    *parts = NULL;
  if (n_parts != NULL)
    *n_parts = 0;
  if (!g_variant_is_of_type (blob, BLOB_TYPE))
    return FALSE;

  /* "&s" points into the value's bytes, so that these must be there in one piece first. */
  g_variant_get_data (blob);
  if (tag != NULL)
    g_variant_get_child (blob, 0, "&s", tag);
  if (text != NULL)
    g_variant_get_child (blob, 1, "&s", text);
  if (bytes != NULL)
    {
      g_autoptr(GVariant) child = g_variant_get_child_value (blob, 2);

      *bytes = g_variant_get_data_as_bytes (child);
    }
  if (parts != NULL && n_parts != NULL)
    {
      g_autoptr(GVariant) boxed = g_variant_get_child_value (blob, 3);

      *n_parts = g_variant_n_children (boxed);
      *parts = g_new (GVariant *, *n_parts + 1);
      for (gsize i = 0; i < *n_parts; i++)
        g_variant_get_child (boxed, i, "v", *parts + i);
    }

  return TRUE;
}

/**
 * mp_blob_new_array:
 * @blobs: (array length=n_blobs): values made by [func@Mp.blob_new]
 * @n_blobs: their number
 *
 * Makes the array of many blobs: the items of a map.
 *
 * Returns: (transfer full): the array, not floating
 *
 * Since: 0.1
 */
GVariant *
mp_blob_new_array (GVariant **blobs,
                   gsize      n_blobs)
{
  g_return_val_if_fail (blobs != NULL || n_blobs == 0, NULL);

  return g_variant_ref_sink (g_variant_new_array (BLOB_TYPE, blobs, n_blobs));
}

/**
 * mp_blob_new_bytes:
 * @data: (array length=n_data) (element-type guint8) (nullable): bytes, copied
 * @n_data: their number
 *
 * Makes a `GVariant` of type `ay`.
 *
 * This is for bindings, to which every call and every object in between costs something: it is
 * [ctor@GLib.Bytes.new] and [ctor@GLib.Variant.new_from_bytes] in one.
 *
 * Returns: (transfer full): the value, not floating
 *
 * Since: 0.1
 */
GVariant *
mp_blob_new_bytes (const guint8 *data,
                   gsize         n_data)
{
  g_return_val_if_fail (data != NULL || n_data == 0, NULL);

  return g_variant_ref_sink (g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, data, n_data, 1));
}

/**
 * mp_blob_get_bytes:
 * @value: a value
 * @n_data: (out): the number of bytes
 *
 * The bytes of an `ay`, as long as @value lives; 0 of them when it is something else.
 *
 * Returns: (transfer none) (array length=n_data) (element-type guint8) (nullable): the bytes
 *
 * Since: 0.1
 */
const guint8 *
mp_blob_get_bytes (GVariant *value,
                   gsize    *n_data)
{
  g_return_val_if_fail (value != NULL, NULL);
  g_return_val_if_fail (n_data != NULL, NULL);

  *n_data = 0;
  if (!g_variant_is_of_type (value, G_VARIANT_TYPE_BYTESTRING))
    return NULL;
  return g_variant_get_fixed_array (value, n_data, 1);
}
