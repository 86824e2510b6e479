/* mp-list-layout.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-list-layout-private.h"

#include "mp-glib/base/mp-error.h"

#include <stdio.h>
#include <string.h>

#define WORD        8u
#define FORMAT_SIZE 8u

#define FORMAT_INTEGER "q"
#define FORMAT_DOUBLE  "d"
#define FORMAT_BOOLEAN "xxxxxxx?"
#define FORMAT_NOTHING "xxxxxx?x"
#define BOOLEAN_PLACE  7   /* of the byte, as the format says */

typedef enum
{
  CODE_NUMBER,
  CODE_TEXT,
  CODE_BYTES,
  CODE_NOTHING,
} Code;

/* A value as it lies in its place. */
typedef struct
{
  Code          code;
  char          format[FORMAT_SIZE + 1];   /* of numbers and nothing; texts and bytes have that of their place */
  guint8        word[WORD];                /* of numbers and nothing */
  const guint8 *bytes;                     /* of texts and bytes: (nullable): borrowed from @value */
  gsize         n_bytes;
  GVariant     *value;                     /* (owned) */
} Item;

static void
item_clear (Item *item)
{
  g_clear_pointer (&item->value, g_variant_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Item, item_clear)

/* The value inside of variants and maybes: (transfer full) (nullable): NULL for nothing. */
static GVariant *
unwrap (GVariant *value)
{
  GVariant *inner = g_variant_ref (value);

  while (inner != NULL && (g_variant_is_of_type (inner, G_VARIANT_TYPE_VARIANT) ||
                           g_variant_is_of_type (inner, G_VARIANT_TYPE_MAYBE)))
    {
      GVariant *outer = inner;

      inner = g_variant_n_children (outer) > 0 ? g_variant_get_child_value (outer, 0) : NULL;
      g_variant_unref (outer);
    }
  if (inner != NULL && g_variant_is_of_type (inner, G_VARIANT_TYPE_UNIT))
    g_clear_pointer (&inner, g_variant_unref);
  return inner;
}

static void
item_set_word (Item          *item,
               Code           code,
               const char    *format,
               gconstpointer  word)
{
  item->code = code;
  g_strlcpy (item->format, format, sizeof item->format);
  memcpy (item->word, word, WORD);
}

static gboolean
item_set_bytes (Item          *item,
                Code           code,
                gconstpointer  bytes,
                gsize          n_bytes,
                GError       **error)
{
  item->code = code;
  item->bytes = bytes;
  item->n_bytes = n_bytes;
  if (n_bytes > 0 && item->bytes[n_bytes - 1] == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "%" G_GSIZE_FORMAT " bytes that end in NUL: a list does not keep NULs at the end", n_bytes);
      return FALSE;
    }
  return TRUE;
}

static gboolean
item_set_integer (Item      *item,
                  GVariant  *value,
                  GError   **error)
{
  gint64 number;

  switch (g_variant_classify (value))
    {
    case G_VARIANT_CLASS_BYTE:
      number = g_variant_get_byte (value);
      break;
    case G_VARIANT_CLASS_INT16:
      number = g_variant_get_int16 (value);
      break;
    case G_VARIANT_CLASS_UINT16:
      number = g_variant_get_uint16 (value);
      break;
    case G_VARIANT_CLASS_INT32:
      number = g_variant_get_int32 (value);
      break;
    case G_VARIANT_CLASS_UINT32:
      number = g_variant_get_uint32 (value);
      break;
    case G_VARIANT_CLASS_INT64:
      number = g_variant_get_int64 (value);
      break;
    default:
      if (g_variant_get_uint64 (value) > G_MAXINT64)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                       "%" G_GUINT64_FORMAT ": an integer of a list has 64 bits and a sign",
                       g_variant_get_uint64 (value));
          return FALSE;
        }
      number = g_variant_get_uint64 (value);
    }

  item_set_word (item, CODE_NUMBER, FORMAT_INTEGER, &number);
  return TRUE;
}

/* @item is all zero, and has to be cleared in any case. */
static gboolean
item_init (Item      *item,
           GVariant  *value,
           GError   **error)
{
  guint8 word[WORD] = { 0 };
  const char *text;
  gconstpointer bytes;
  gsize n_bytes;
  double number;

  item->value = unwrap (value);
  if (item->value == NULL)
    {
      item_set_word (item, CODE_NOTHING, FORMAT_NOTHING, word);
      return TRUE;
    }

  switch (g_variant_get_type_string (item->value)[0])
    {
    case 'y': case 'n': case 'q': case 'i': case 'u': case 'x': case 't':
      return item_set_integer (item, item->value, error);
    case 'd':
      number = g_variant_get_double (item->value);
      item_set_word (item, CODE_NUMBER, FORMAT_DOUBLE, &number);
      return TRUE;
    case 'b':
      word[BOOLEAN_PLACE] = g_variant_get_boolean (item->value);
      item_set_word (item, CODE_NUMBER, FORMAT_BOOLEAN, word);
      return TRUE;
    case 's':
      text = g_variant_get_string (item->value, &n_bytes);
      return item_set_bytes (item, CODE_TEXT, text, n_bytes, error);
    case 'a':
      if (!g_variant_is_of_type (item->value, G_VARIANT_TYPE_BYTESTRING))
        break;
      bytes = g_variant_get_fixed_array (item->value, &n_bytes, 1);
      return item_set_bytes (item, CODE_BYTES, bytes, n_bytes, error);
    default:
      break;
    }

  g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE,
               "a value of type %s: a list has integers, doubles, booleans, texts, bytes and nothing",
               g_variant_get_type_string (item->value));
  return FALSE;
}

/* As CPython does it: room for one more byte at least, or in a text for one more character if each had one byte; but
 * for all that there are. 0: there is no such place. */
static gsize
item_get_place (const Item *item)
{
  gsize n_bytes = item->code == CODE_TEXT || item->code == CODE_BYTES ? item->n_bytes : 0;
  gsize n = item->code == CODE_TEXT ? (gsize) g_utf8_strlen ((const char *) item->bytes, n_bytes) : n_bytes;

  if (n_bytes > MP_LIST_MAX_PLACE)
    return 0;
  return MIN (WORD * MAX (n / WORD + 1, (n_bytes + WORD - 1) / WORD), MP_LIST_MAX_PLACE);
}

static gboolean
check_length (const Item  *item,
              GError     **error)
{
  if (item_get_place (item) > 0)
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "%" G_GSIZE_FORMAT " bytes: an item of a list has at most %u", item->n_bytes, MP_LIST_MAX_PLACE);
  return FALSE;
}

/* Of one that somebody else made, as much as a format can tell. */
static gsize
get_place (const MpListLayout *layout,
           gsize               index)
{
  return MIN (layout->offsets[index + 1] - layout->offsets[index], MP_LIST_MAX_PLACE);
}

G_STATIC_ASSERT (FORMAT_SIZE == WORD);

/* Numbers and formats have to be seen whole. They are aligned unless somebody else made the list in a strange way. */
static void
load_word (gpointer      word,
           const guint8 *place)
{
  if (((gsize) place & (WORD - 1)) == 0)
    {
      guint64 loaded = __atomic_load_n ((const guint64 *) (const void *) place, __ATOMIC_RELAXED);

      memcpy (word, &loaded, WORD);
    }
  else
    memcpy (word, place, WORD);
}

static void
store_word (guint8        *place,
            gconstpointer  word)
{
  if (((gsize) place & (WORD - 1)) == 0)
    {
      guint64 stored;

      memcpy (&stored, word, WORD);
      __atomic_store_n ((guint64 *) (void *) place, stored, __ATOMIC_RELAXED);
    }
  else
    memcpy (place, word, WORD);
}

static void
store_item (const MpListLayout *layout,
            guint8             *memory,
            gsize               index,
            const Item         *item)
{
  guint8 *place = memory + layout->data + layout->offsets[index];
  gsize size = get_place (layout, index);
  char format[FORMAT_SIZE + 16] = { 0 };

  if (item->code == CODE_TEXT || item->code == CODE_BYTES)
    {
      snprintf (format, sizeof format, "%" G_GSIZE_FORMAT "s", size);
      if (item->n_bytes > 0)
        memcpy (place, item->bytes, item->n_bytes);
      memset (place + item->n_bytes, 0, size - item->n_bytes);
    }
  else
    {
      memcpy (format, item->format, FORMAT_SIZE);
      store_word (place, item->word);
    }
  store_word (memory + layout->formats + index * FORMAT_SIZE, format);
  __atomic_store_n (memory + layout->codes + index, (guint8) item->code, __ATOMIC_RELAXED);
}

G_GNUC_PRINTF (2, 3) static gboolean
damaged (GError     **error,
         const char  *format,
         ...)
{
  g_autofree char *reason = NULL;
  va_list args;

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "the memory holds no list, or a damaged one: %s", reason);
  return FALSE;
}

void
mp_list_layout_clear (MpListLayout *layout)
{
  g_clear_pointer (&layout->offsets, g_free);
}

static void
set_sizes (MpListLayout *layout)
{
  layout->data = WORD * (layout->n_items + 2);
  layout->formats = layout->data + layout->offsets[layout->n_items];
  layout->codes = layout->formats + FORMAT_SIZE * layout->n_items;
  layout->size = layout->codes + layout->n_items;
}

gboolean
mp_list_layout_read (MpListLayout  *layout,
                     gconstpointer  memory,
                     gsize          size,
                     GError       **error)
{
  const guint8 *words = memory;
  gint64 n_items, offset;
  gsize last = 0;
  gsize room;

  *layout = (MpListLayout) { 0 };
  if (size < 2 * WORD)
    return damaged (error, "%" G_GSIZE_FORMAT " bytes are too few", size);
  load_word (&n_items, words);
  /* Of each: its offset, its format and its code. */
  if (n_items < 0 || (guint64) n_items > (size - 2 * WORD) / (WORD + FORMAT_SIZE + 1))
    return damaged (error, "%" G_GINT64_FORMAT " items in %" G_GSIZE_FORMAT " bytes", n_items, size);

  layout->n_items = n_items;
  room = size - 2 * WORD - (WORD + FORMAT_SIZE + 1) * layout->n_items;
  layout->offsets = g_try_new (gsize, layout->n_items + 1);
  if (layout->offsets == NULL)
    return damaged (error, "%" G_GINT64_FORMAT " items are too many", n_items);
  for (gsize i = 0; i <= layout->n_items; i++)
    {
      load_word (&offset, words + WORD * (i + 1));
      if (offset < 0 || (guint64) offset < last || (guint64) offset > room || (i == 0 && offset != 0))
        {
          mp_list_layout_clear (layout);
          return damaged (error, "offset %" G_GINT64_FORMAT " of item %" G_GSIZE_FORMAT, offset, i);
        }
      last = layout->offsets[i] = offset;
    }

  set_sizes (layout);
  return TRUE;
}

gboolean
mp_list_layout_plan (MpListLayout  *layout,
                     GVariant      *values,
                     GError       **error)
{
  *layout = (MpListLayout) { 0 };
  if (!g_variant_is_of_type (values, G_VARIANT_TYPE_ARRAY) && !g_variant_is_of_type (values, G_VARIANT_TYPE_TUPLE))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE,
                   "a value of type %s is no array and no tuple", g_variant_get_type_string (values));
      return FALSE;
    }

  layout->n_items = g_variant_n_children (values);
  layout->offsets = g_new (gsize, layout->n_items + 1);
  layout->offsets[0] = 0;
  for (gsize i = 0; i < layout->n_items; i++)
    {
      g_autoptr(GVariant) value = g_variant_get_child_value (values, i);
      g_auto(Item) item = { 0 };

      if (!item_init (&item, value, error) || !check_length (&item, error))
        {
          g_prefix_error (error, "item %" G_GSIZE_FORMAT ": ", i);
          mp_list_layout_clear (layout);
          return FALSE;
        }
      layout->offsets[i + 1] = layout->offsets[i] + item_get_place (&item);
    }

  set_sizes (layout);
  return TRUE;
}

void
mp_list_layout_write (const MpListLayout *layout,
                      gpointer            memory,
                      GVariant           *values)
{
  guint8 *bytes = memory;

  g_assert (g_variant_n_children (values) == layout->n_items);

  for (gsize i = 0; i <= layout->n_items; i++)
    {
      gint64 offset = layout->offsets[i];

      store_word (bytes + WORD * (i + 1), &offset);
    }
  for (gsize i = 0; i < layout->n_items; i++)
    {
      g_autoptr(GVariant) value = g_variant_get_child_value (values, i);
      g_auto(Item) item = { 0 };

      if (item_init (&item, value, NULL))
        store_item (layout, bytes, i, &item);
    }
  /* Until then it is a list without items. */
  __atomic_store_n ((gint64 *) memory, (gint64) layout->n_items, __ATOMIC_RELEASE);
}

/* The size that a format of texts and bytes tells, or -1. */
static gssize
parse_size (const char *format)
{
  gsize n_digits = strspn (format, "0123456789");

  if (n_digits == 0 || n_digits >= FORMAT_SIZE || strcmp (format + n_digits, "s") != 0)
    return -1;
  return g_ascii_strtoull (format, NULL, 10);
}

char *
mp_list_layout_dup_format (const MpListLayout  *layout,
                           gconstpointer        memory,
                           gsize                index,
                           GError             **error)
{
  char format[FORMAT_SIZE + 1] = { 0 };
  gsize size = get_place (layout, index);
  gssize n_bytes;

  load_word (format, (const guint8 *) memory + layout->formats + index * FORMAT_SIZE);
  n_bytes = parse_size (format);
  if (n_bytes >= 0 && (gsize) n_bytes <= size)
    return g_strdup (format);
  if (size >= WORD && (strcmp (format, FORMAT_INTEGER) == 0 || strcmp (format, FORMAT_DOUBLE) == 0 ||
                       strcmp (format, FORMAT_BOOLEAN) == 0 || strcmp (format, FORMAT_NOTHING) == 0))
    return g_strdup (format);

  if (!g_str_is_ascii (format))
    memcpy (format, "?", 2);
  damaged (error, "item %" G_GSIZE_FORMAT " has format \"%s\" and %" G_GSIZE_FORMAT " bytes", index, format, size);
  return NULL;
}

static GVariant *
load_word_item (const char   *format,
                const guint8 *place)
{
  guint8 word[WORD];

  load_word (word, place);
  if (strcmp (format, FORMAT_INTEGER) == 0)
    {
      gint64 number;

      memcpy (&number, word, WORD);
      return g_variant_new_int64 (number);
    }
  if (strcmp (format, FORMAT_DOUBLE) == 0)
    {
      double number;

      memcpy (&number, word, WORD);
      return g_variant_new_double (number);
    }
  return g_variant_new_boolean (word[BOOLEAN_PLACE] != 0);
}

/* @copy: what lay in its place, with room for a NUL. */
static GVariant *
load_bytes_item (guint8   *copy,
                 gsize     n_bytes,
                 Code      code,
                 gsize     index,
                 GError  **error)
{
  while (n_bytes > 0 && copy[n_bytes - 1] == 0)
    n_bytes--;
  if (code == CODE_BYTES)
    return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, copy, n_bytes, 1);

  if (!g_utf8_validate_len ((const char *) copy, n_bytes, NULL))
    {
      damaged (error, "item %" G_GSIZE_FORMAT " is no text in UTF-8, or one with a NUL in it", index);
      return NULL;
    }
  copy[n_bytes] = 0;
  return g_variant_new_string ((const char *) copy);
}

GVariant *
mp_list_layout_get_item (const MpListLayout  *layout,
                         gconstpointer        memory,
                         gsize                index,
                         GError             **error)
{
  g_autofree char *format = mp_list_layout_dup_format (layout, memory, index, error);
  const guint8 *place = (const guint8 *) memory + layout->data + layout->offsets[index];
  guint8 code = __atomic_load_n ((const guint8 *) memory + layout->codes + index, __ATOMIC_RELAXED);
  GVariant *value = NULL;
  gssize n_bytes;

  if (format == NULL)
    return NULL;

  n_bytes = parse_size (format);
  if (n_bytes >= 0 && (code == CODE_TEXT || code == CODE_BYTES))
    {
      g_autofree guint8 *copy = g_malloc (n_bytes + 1);

      memcpy (copy, place, n_bytes);
      value = load_bytes_item (copy, n_bytes, code, index, error);
    }
  else if (n_bytes < 0 && code == CODE_NOTHING && strcmp (format, FORMAT_NOTHING) == 0)
    value = g_variant_new_maybe (G_VARIANT_TYPE_VARIANT, NULL);
  else if (n_bytes < 0 && code == CODE_NUMBER && strcmp (format, FORMAT_NOTHING) != 0)
    value = load_word_item (format, place);
  else
    damaged (error, "item %" G_GSIZE_FORMAT " has format \"%s\" and code %d", index, format, code);

  return value != NULL ? g_variant_ref_sink (value) : NULL;
}

gboolean
mp_list_layout_set_item (const MpListLayout  *layout,
                         gpointer             memory,
                         gsize                index,
                         GVariant            *value,
                         GError             **error)
{
  gsize size = get_place (layout, index);
  g_auto(Item) item = { 0 };
  gsize n_bytes;

  if (!item_init (&item, value, error))
    return FALSE;
  n_bytes = item.code == CODE_TEXT || item.code == CODE_BYTES ? item.n_bytes : WORD;
  if (n_bytes > size)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "%" G_GSIZE_FORMAT " bytes: the item has room for %"
                   G_GSIZE_FORMAT, n_bytes, size);
      return FALSE;
    }

  store_item (layout, memory, index, &item);
  return TRUE;
}

GVariant *
mp_list_layout_normalize (GVariant  *value,
                          GError   **error)
{
  g_auto(Item) item = { 0 };

  if (!item_init (&item, value, error))
    return NULL;
  if (item.code == CODE_NOTHING)
    return g_variant_ref_sink (g_variant_new_maybe (G_VARIANT_TYPE_VARIANT, NULL));
  if (item.code == CODE_NUMBER)
    return g_variant_ref_sink (load_word_item (item.format, item.word));
  return g_steal_pointer (&item.value);
}

/* Exactly: not as an integer rounded to a double. */
static gboolean
integer_equals_double (gint64 integer,
                       double number)
{
  return number >= -0x1p63 && number < 0x1p63 && number == (double) (gint64) number && (gint64) number == integer;
}

static gboolean
get_integer (GVariant *value,
             gint64   *integer)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    *integer = g_variant_get_boolean (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    *integer = g_variant_get_int64 (value);
  else
    return FALSE;
  return TRUE;
}

gboolean
mp_list_layout_equal (GVariant *a,
                      GVariant *b)
{
  gboolean a_is_double = g_variant_is_of_type (a, G_VARIANT_TYPE_DOUBLE);
  gboolean b_is_double = g_variant_is_of_type (b, G_VARIANT_TYPE_DOUBLE);
  gint64 a_integer = 0, b_integer = 0;
  gboolean a_is_integer = get_integer (a, &a_integer);
  gboolean b_is_integer = get_integer (b, &b_integer);

  if (a_is_integer && b_is_integer)
    return a_integer == b_integer;
  if (a_is_integer && b_is_double)
    return integer_equals_double (a_integer, g_variant_get_double (b));
  if (a_is_double && b_is_integer)
    return integer_equals_double (b_integer, g_variant_get_double (a));
  if (a_is_double && b_is_double)
    return g_variant_get_double (a) == g_variant_get_double (b);
  return g_variant_equal (a, b);
}
