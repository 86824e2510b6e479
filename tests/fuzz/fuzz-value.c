/* fuzz-value.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * mp_value_check() and g_variant_is_normal_form() must agree on every type and bytes; and nothing that comes through
 * mp_value_decode() may be read differently from what was checked.
 *
 * The first byte of the input chooses: a type string, NUL and bytes as they are; bytes for the decoder; or entropy from
 * which a value is built, serialised and damaged in a few places, or wrapped in so many variants that the limit of
 * nesting is near. */

#include "config.h"

#include "mp-glib/base/mp-codec-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

typedef struct
{
  const guint8 *data;
  gsize         size;
  gsize         budget;   /* values still to be made */
} Entropy;

static guint
take (Entropy *self,
      guint    bound)
{
  if (self->size == 0)
    return 0;
  self->size--;
  return *self->data++ % bound;
}

static void
make_type (Entropy *self,
           GString *type,
           guint    depth)
{
  static const char base[] = "ybnqiuxthdsogv";
  guint n, i;

  switch (depth < 6 ? take (self, 24) : 99)
    {
    case 0: case 1: case 2:
      g_string_append_c (type, 'a');
      make_type (self, type, depth + 1);
      break;
    case 3: case 4:
      g_string_append_c (type, 'm');
      make_type (self, type, depth + 1);
      break;
    case 5: case 6: case 7:
      g_string_append_c (type, '(');
      for (i = 0, n = take (self, 6); i < n; i++)
        make_type (self, type, depth + 1);
      g_string_append_c (type, ')');
      break;
    case 8: case 9:
      g_string_append_c (type, '{');
      g_string_append_c (type, base[take (self, 13)]);
      make_type (self, type, depth + 1);
      g_string_append_c (type, '}');
      break;
    default:
      g_string_append_c (type, base[take (self, 14)]);
    }
}

static GVariant *make_value (Entropy            *self,
                             const GVariantType *type,
                             guint               depth);

static GVariant *
make_variant (Entropy *self,
              guint    depth)
{
  g_autoptr(GString) type = g_string_new (NULL);

  make_type (self, type, depth + 3);
  return g_variant_new_variant (make_value (self, (const GVariantType *) type->str, depth + 1));
}

static GVariant *
make_base (Entropy *self,
           char     kind,
           guint    depth)
{
  static const char * const strings[] = { "", "a", "hello world", "grüße", "exactly8", "a longer text, of two words" };
  static const char * const paths[] = { "/", "/a", "/org/gnome/X_1" };
  static const char * const signatures[] = { "", "i", "a{sv}(ii)", "as" };

  switch (kind)
    {
    case 'b':
      return g_variant_new_boolean (take (self, 2));
    case 'y':
      return g_variant_new_byte (take (self, 256));
    case 'n':
      return g_variant_new_int16 (take (self, 256));
    case 'q':
      return g_variant_new_uint16 (take (self, 256));
    case 'i':
      return g_variant_new_int32 (take (self, 256));
    case 'u':
      return g_variant_new_uint32 (take (self, 256));
    case 'x':
      return g_variant_new_int64 (take (self, 256));
    case 't':
      return g_variant_new_uint64 (take (self, 256));
    case 'h':
      return g_variant_new_handle (take (self, 256));
    case 'd':
      return g_variant_new_double (take (self, 256));
    case 's':
      return g_variant_new_string (strings[take (self, G_N_ELEMENTS (strings))]);
    case 'o':
      return g_variant_new_object_path (paths[take (self, G_N_ELEMENTS (paths))]);
    case 'g':
      return g_variant_new_signature (signatures[take (self, G_N_ELEMENTS (signatures))]);
    default:
      return make_variant (self, depth);
    }
}

static GVariant *
make_value (Entropy            *self,
            const GVariantType *type,
            guint               depth)
{
  const GVariantType *item;
  GVariantBuilder builder;
  guint n;

  if (g_variant_type_is_basic (type) || g_variant_type_is_variant (type))
    return make_base (self, *g_variant_type_peek_string (type), depth);

  g_variant_builder_init (&builder, type);
  if (g_variant_type_is_array (type) || g_variant_type_is_maybe (type))
    {
      n = take (self, g_variant_type_is_maybe (type) ? 2 : take (self, 12) == 11 ? 200 : 4);
      for (; n > 0 && self->budget > 0; n--, self->budget--)
        g_variant_builder_add_value (&builder, make_value (self, g_variant_type_element (type), depth + 1));
    }
  else
    {
      for (item = g_variant_type_first (type); item != NULL; item = g_variant_type_next (item))
        g_variant_builder_add_value (&builder, make_value (self, item, depth + 1));
    }

  return g_variant_builder_end (&builder);
}

static gboolean
refuse_handle (gint32   *handle,
               gpointer  user_data)
{
  guint *n_handles = user_data;

  (*n_handles)++;
  return TRUE;
}

static void
compare (const GVariantType *type,
         gconstpointer       data,
         gsize               size)
{
  g_autoptr(GBytes) bytes = g_bytes_new (data, size);
  g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new_from_bytes (type, bytes, FALSE));
  gboolean normal = g_variant_is_normal_form (value);
  gboolean verdict = mp_value_check (type, g_bytes_get_data (bytes, NULL), size, NULL, NULL);
  gboolean verdict_with_handles;
  guint n_handles = 0;

  verdict_with_handles = mp_value_check (type, g_bytes_get_data (bytes, NULL), size, refuse_handle, &n_handles);
  if (verdict != normal || verdict_with_handles != normal)
    g_error ("type %.*s, %" G_GSIZE_FORMAT " bytes: GVariant says %d, mp_value_check() %d and %d",
             (int) g_variant_type_get_string_length (type), g_variant_type_peek_string (type), size, normal, verdict,
             verdict_with_handles);
}

static void
run_built (Entropy entropy)
{
  g_autoptr(GString) type = g_string_new (NULL);
  g_autoptr(GVariant) value = NULL;
  g_autofree guint8 *bytes = NULL;
  gsize size;
  guint n;

  make_type (&entropy, type, 0);
  value = g_variant_ref_sink (make_value (&entropy, (const GVariantType *) type->str, 0));
  size = g_variant_get_size (value);
  bytes = g_malloc (size + 16);
  g_variant_store (value, bytes);
  compare (g_variant_get_type (value), bytes, size);

  for (n = take (&entropy, 4); n > 0; n--)
    {
      guint how = take (&entropy, 8);
      gsize place = size > 0 ? (take (&entropy, 256) * 257 + take (&entropy, 256)) % size : 0;

      if (how == 0 && size > 0)
        size--;
      else if (how == 1)
        bytes[size++] = take (&entropy, 4);
      else if (how == 2 && size > 0)
        bytes[size - 1 - place % MIN (size, 4)] += 1 + take (&entropy, 255);
      else if (size > 0)
        bytes[place] ^= 1 << take (&entropy, 8);
      compare (g_variant_get_type (value), bytes, size);
    }
}

static void
run_nested (Entropy entropy)
{
  g_autoptr(GString) type = g_string_new (NULL);
  g_autoptr(GByteArray) bytes = g_byte_array_new ();
  g_autoptr(GVariant) value = NULL;
  guint n = 110 + take (&entropy, 20);
  guint i;

  make_type (&entropy, type, 0);
  value = g_variant_ref_sink (make_value (&entropy, (const GVariantType *) type->str, 0));
  g_byte_array_set_size (bytes, g_variant_get_size (value));
  g_variant_store (value, bytes->data);
  g_byte_array_append (bytes, (const guint8 *) "", 1);
  g_byte_array_append (bytes, (const guint8 *) type->str, type->len);
  for (i = 0; i < n; i++)
    {
      if (i > 110)
        compare (G_VARIANT_TYPE_VARIANT, bytes->data, bytes->len);
      g_byte_array_append (bytes, (const guint8 *) "\0v", 2);
    }
}

static void
run_raw (const guint8 *data,
         gsize         size)
{
  const guint8 *end = memchr (data, 0, size);

  if (end == NULL || end == data || end - data > 1000 || !g_variant_type_string_is_valid ((const char *) data) ||
      !g_variant_type_is_definite ((const GVariantType *) data))
    return;

  compare ((const GVariantType *) data, end + 1, size - (end + 1 - data));
}

static void
run_decoder (const guint8 *data,
             gsize         size)
{
  g_autoptr(GBytes) bytes = g_bytes_new (data, size);
  g_autoptr(GVariant) value = NULL;
  g_autofree char *text = NULL;
  MpEncoded encoded;
  gsize used;

  value = mp_value_decode (bytes, g_bytes_get_data (bytes, NULL), size, &used, NULL, 0, NULL);
  if (value == NULL)
    return;

  g_assert_cmpuint (used, <=, size);
  g_assert_cmpuint (used % 8, ==, 0);
  text = g_variant_print (value, TRUE);
  if (mp_value_encode (value, &encoded, NULL))
    {
      g_assert_cmpuint (encoded.size, ==, used);
      mp_encoded_clear (&encoded);
    }
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  if (size == 0)
    return 0;

  switch (data[0] % 4)
    {
    case 0:
      run_raw (data + 1, size - 1);
      break;
    case 1:
      run_decoder (data + 1, size - 1);
      break;
    case 3:
      run_nested ((Entropy) { data + 1, size - 1, 400 });
      break;
    default:
      run_built ((Entropy) { data + 1, size - 1, 400 });
    }

  return 0;
}
