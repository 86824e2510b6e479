/* fuzz-list.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory that another process says to be a list. Whatever is in it, each item is a value or an error; what was read can
 * be written, and reads the same; and what is written into one item changes no other one. */

#include "config.h"

#include "mp-glib/memory/mp-list-layout-private.h"

#include "mp-glib/base/mp-error.h"

#include <string.h>

#define MAX_ITEMS 64

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static gboolean
is_expected (const GError *error)
{
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA) ||
         g_error_matches (error, MP_ERROR, MP_ERROR_TOO_LARGE);
}

static GVariant *
get_item (const MpListLayout *layout,
          const guint8       *memory,
          gsize               index)
{
  g_autoptr(GError) error = NULL;
  GVariant *value = mp_list_layout_get_item (layout, memory, index, &error);

  g_assert_true ((value == NULL) == is_expected (error));
  if (value != NULL)
    g_assert_true (g_variant_is_normal_form (value));
  return value;
}

/* NaN is equal to nothing, and bytes of a number tell more than it does. */
static void
assert_same (GVariant *a,
             GVariant *b)
{
  if (!g_variant_is_of_type (a, G_VARIANT_TYPE_DOUBLE))
    g_assert_true (mp_list_layout_equal (a, b));
  else
    g_assert_cmpmem (g_variant_get_data (a), 8, g_variant_get_data (b), 8);
}

static void
set_item (const MpListLayout *layout,
          guint8             *memory,
          gsize               index,
          GVariant           *value)
{
  g_autoptr(GVariant) sunk = g_variant_ref_sink (value);
  g_autoptr(GVariant) read = NULL;
  g_autoptr(GError) error = NULL;

  if (!mp_list_layout_set_item (layout, memory, index, sunk, &error))
    {
      g_assert_true (is_expected (error));
      return;
    }
  read = get_item (layout, memory, index);
  g_assert_nonnull (read);
  assert_same (sunk, read);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *memory = g_memdup2 (data, size);
  g_autofree GVariant **values = NULL;
  MpListLayout layout;
  gsize n_items;

  if (!mp_list_layout_read (&layout, memory, size, &error))
    {
      g_assert_true (is_expected (error));
      g_assert_null (layout.offsets);
      return 0;
    }
  g_assert_cmpuint (layout.size, <=, size);

  n_items = MIN (layout.n_items, MAX_ITEMS);
  values = g_new0 (GVariant *, n_items + 1);
  for (gsize i = 0; i < n_items; i++)
    {
      g_autofree char *format = mp_list_layout_dup_format (&layout, memory, i, NULL);

      values[i] = get_item (&layout, memory, i);
      g_assert_true (values[i] == NULL || format != NULL);
      if (values[i] != NULL)
        set_item (&layout, memory, i, values[i]);
    }
  for (gsize i = 0; i < n_items; i += 2)
    {
      set_item (&layout, memory, i, g_variant_new_int64 (-1));
      set_item (&layout, memory, i, g_variant_new_string ("größer"));
      set_item (&layout, memory, i, g_variant_new_boolean (TRUE));
    }
  for (gsize i = 1; i < n_items; i += 2)
    {
      g_autoptr(GVariant) value = get_item (&layout, memory, i);

      g_assert_true ((value == NULL) == (values[i] == NULL));
      if (value != NULL)
        assert_same (values[i], value);
    }

  for (gsize i = 0; i < n_items; i++)
    g_clear_pointer (&values[i], g_variant_unref);
  mp_list_layout_clear (&layout);
  return 0;
}
