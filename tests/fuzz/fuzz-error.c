/* fuzz-error.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An error of another process: a serialised (sisa{sv}), or, if the first byte of the input is odd, any value whose type
 * stands before it. Each becomes some error, whose details are found again, and which can be passed on. */

#include "config.h"

#include "mp-glib/base/mp-error-private.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  const char *type = "(sisa{sv})";
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GVariant) raw = NULL;
  g_autoptr(GVariant) variant = NULL;
  g_autoptr(GVariant) details = NULL;
  g_autoptr(GVariant) remembered = NULL;
  g_autoptr(GVariant) again = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GError) error_again = NULL;
  const guint8 *end;

  if (size == 0)
    return 0;
  if (data[0] % 2 == 1)
    {
      end = memchr (data + 1, 0, size - 1);
      type = (const char *) data + 1;
      if (end == NULL || !g_variant_type_string_is_valid (type) ||
          !g_variant_type_is_definite ((const GVariantType *) type))
        return 0;
      size -= end - data;
      data = end;
    }

  bytes = g_bytes_new (data + 1, size - 1);
  raw = g_variant_ref_sink (g_variant_new_from_bytes ((const GVariantType *) type, bytes, FALSE));
  variant = g_variant_get_normal_form (raw);

  error = mp_error_from_variant (variant, &details);
  g_assert_nonnull (error);
  g_assert_cmpuint (error->domain, !=, 0);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));

  remembered = mp_error_dup_details (error);
  if (details != NULL && remembered != NULL)
    g_assert_true (g_variant_equal (details, remembered));

  again = mp_error_to_variant (error, details);
  error_again = mp_error_from_variant (again, NULL);
  g_assert_cmpuint (error_again->domain, ==, error->domain);
  g_assert_cmpint (error_again->code, ==, error->code);

  return 0;
}
