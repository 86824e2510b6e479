/* test-codec.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/base/mp-codec-private.h"

#include <string.h>

static GBytes *
encode (GVariant *value)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new ();
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;
  guint i;

  g_assert_true (mp_value_encode (value, &encoded, &error));
  g_assert_no_error (error);
  for (i = 0; i < encoded.n_pieces; i++)
    g_byte_array_append (bytes, encoded.pieces[i].data, encoded.pieces[i].size);
  g_assert_cmpuint (bytes->len, ==, encoded.size);
  g_assert_cmpuint (encoded.size % 8, ==, 0);
  mp_encoded_clear (&encoded);
  return g_byte_array_free_to_bytes (g_steal_pointer (&bytes));
}

static GVariant *
decode (GBytes  *bytes,
        GError **error)
{
  gsize used = 0;
  GVariant *value = mp_value_decode (NULL, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &used, NULL, 0,
                                     error);

  g_assert_true (value == NULL || used == g_bytes_get_size (bytes));
  return value;
}

static void
check_round_trip (GVariant *value)
{
  G_GNUC_UNUSED g_autoptr(GVariant) sunk = g_variant_ref_sink (value);
  g_autoptr(GBytes) bytes = encode (value);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) again = decode (bytes, &error);

  g_assert_no_error (error);
  g_assert_false (g_variant_is_floating (again));
  g_assert_cmpvariant (again, value);
  g_assert_cmpstr (g_variant_get_type_string (again), ==, g_variant_get_type_string (value));
}

static void
test_round_trip (void)
{
  static const char * const texts[] = {
    "true", "byte 0x07", "int16 -1", "uint16 1", "-7", "uint32 7", "int64 7", "uint64 7", "1.5", "''", "'grüße'",
    "objectpath '/a/b'", "signature 'a{sv}'", "()", "@ai []", "[1, 2, 3]", "@as []", "['a', '', 'ccc']",
    "[true, false]", "<1>", "<<<'deep'>>>", "(1, 'two', 3.0)", "{'a': <1>, 'b': <'two'>}", "@mi nothing", "just 5",
    "@mms just nothing", "[(1, byte 2), (3, byte 4)]", "[[['x']], [[]], @aas []]", "({'k': [1, 2]}, [()], <@av []>)",
  };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr(GError) error = NULL;
      GVariant *value = g_variant_parse (NULL, texts[i], NULL, NULL, &error);

      g_assert_no_error (error);
      check_round_trip (value);
      g_variant_unref (value);
    }
}

static void
test_sizes (void)
{
  guint size;

  /* Around the sizes where a value moves from the head into a piece of its own, and from there to be lent. */
  for (size = 0; size < 200; size++)
    {
      g_autofree char *text = g_strnfill (size, 'a' + size % 26);

      check_round_trip (g_variant_new_string (text));
    }
  for (size = MP_PIECE_MIN_REFERENCE - 20; size < MP_PIECE_MIN_REFERENCE + 20; size++)
    {
      g_autofree char *text = g_strnfill (size, 'b');

      check_round_trip (g_variant_new ("(sas)", text, NULL));
    }
}

static void
test_large_is_lent (void)
{
  g_autofree guint8 *data = g_malloc0 (1 << 20);
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GVariant) again = NULL;
  MpEncoded encoded;
  gsize used, n;
  const guint8 *start;
  gboolean lent = FALSE;
  guint i;

  value = g_variant_ref_sink (g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, data, 1 << 20, 1));
  g_assert_true (mp_value_encode (value, &encoded, NULL));
  for (i = 0; i < encoded.n_pieces; i++)
    lent |= encoded.pieces[i].bytes != NULL && encoded.pieces[i].data == g_variant_get_data (value);
  g_assert_true (lent);
  mp_encoded_clear (&encoded);

  bytes = encode (value);
  start = g_bytes_get_data (bytes, &n);
  again = mp_value_decode (bytes, start, n, &used, NULL, 0, NULL);
  g_assert_true ((const guint8 *) g_variant_get_data (again) > start);
  g_assert_true ((const guint8 *) g_variant_get_data (again) < start + n);
}

/* Values made of bytes that nobody checked leave as what GVariant reads in them. */
static void
test_not_normal (void)
{
  static const guint8 truth[] = { 0, 7, 1 };
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GVariant) again = NULL;
  g_autoptr(GVariant) wrong_size = NULL;
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GBytes) empty = g_bytes_new (NULL, 0);
  g_autoptr(GError) error = NULL;

  value = g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE ("ab"), truth, 3, FALSE, NULL, NULL));
  g_assert_false (mp_value_check (G_VARIANT_TYPE ("ab"), truth, 3, NULL, NULL));
  bytes = encode (value);
  again = decode (bytes, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (again), ==, 3);

  wrong_size = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE ("(xxxxxxxxxxxxxxxxxxxx)"), empty, FALSE));
  check_round_trip (wrong_size);
}

static void
test_too_deep (void)
{
  g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new_int32 (1));
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;
  guint i;

  for (i = 0; i < 300; i++)
    {
      GVariant *inner = value;

      value = g_variant_ref_sink (g_variant_new_variant (inner));
      g_variant_unref (inner);
      if (i == 100)
        check_round_trip (value);
    }

  g_assert_false (mp_value_encode (value, &encoded, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
}

static void
test_long_type (void)
{
  g_autoptr(GVariant) number = g_variant_ref_sink (g_variant_new_byte (1));
  g_autofree GVariant **members = g_new (GVariant *, MP_CODEC_MAX_TYPE);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;
  MpEncoded encoded;
  guint i;

  for (i = 0; i < MP_CODEC_MAX_TYPE; i++)
    members[i] = number;
  check_round_trip (g_variant_new_tuple (members, MP_CODEC_MAX_TYPE - 2));
  value = g_variant_ref_sink (g_variant_new_tuple (members, MP_CODEC_MAX_TYPE - 1));
  g_assert_false (mp_value_encode (value, &encoded, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);

  /* Inside of a variant there is more room. */
  check_round_trip (g_variant_new_variant (value));
}

/* Every head that lies is refused, and none is read beyond what there is. */
static void
test_malformed (void)
{
  g_autoptr(GVariant) value = g_variant_ref_sink (g_variant_new ("(sv)", "text", g_variant_new_int32 (1)));
  g_autoptr(GBytes) bytes = encode (value);
  gsize size, used, i;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  guint n_refused = 0;

  for (i = 0; i < size; i++)
    {
      g_autofree guint8 *shorter = g_memdup2 (data, i);
      g_autoptr(GError) error = NULL;

      g_assert_null (mp_value_decode (NULL, shorter, i, &used, NULL, 0, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
    }
  for (i = 0; i < 24; i++)
    {
      g_autofree guint8 *copy = g_memdup2 (data, size);
      g_autoptr(GVariant) read = NULL;

      copy[i] ^= 0xff;
      read = mp_value_decode (NULL, copy, size, &used, NULL, 0, NULL);
      n_refused += read == NULL;
    }
  g_assert_cmpuint (n_refused, ==, 24);

  /* A length that becomes small when it is rounded up. */
  for (i = 0; i < 8; i++)
    {
      g_autofree guint8 *copy = g_memdup2 (data, size);

      memset (copy + 8, 0xff, 8);
      copy[8] -= i;
      g_assert_null (mp_value_decode (NULL, copy, size, &used, NULL, 0, NULL));
    }
}

static void
test_check_is_constant (void)
{
  gsize size = 64 << 20;
  g_autofree guint8 *data = g_malloc0 (size);
  gint64 before = g_get_monotonic_time ();
  guint i;

  /* 64 GiB, were each byte looked at. */
  for (i = 0; i < 1000; i++)
    g_assert_true (mp_value_check (G_VARIANT_TYPE ("a(ii)"), data, size, NULL, NULL));
  g_assert_cmpint (g_get_monotonic_time () - before, <, 10 * G_USEC_PER_SEC);

  g_assert_false (mp_value_check (G_VARIANT_TYPE ("ax"), data, size - 4, NULL, NULL));
  g_assert_true (mp_value_check (G_VARIANT_TYPE ("a(ib)"), data, 8 * 1000, NULL, NULL));
  data[7 * 8 + 5] = 1;   /* padding */
  g_assert_false (mp_value_check (G_VARIANT_TYPE ("a(ib)"), data, 8 * 1000, NULL, NULL));
}

/* Many empty tuples of many members: bytes that cost GVariant a thousand steps each. */
static void
test_check_of_empties (void)
{
  g_autoptr(GString) type = g_string_new ("a(");
  gsize n = 1 << 22;
  g_autofree guint32 *data = g_new0 (guint32, n);
  gint64 before;
  guint i;

  for (i = 0; i < 2000; i++)
    g_string_append (type, "ms");
  g_string_append_c (type, ')');

  before = g_get_monotonic_time ();
  mp_value_check_string (type->str, type->len, data, n * 4, NULL, NULL);
  g_assert_true (mp_value_check_string (type->str, type->len, data, 255, NULL, NULL));
  g_assert_cmpint (g_get_monotonic_time () - before, <, 10 * G_USEC_PER_SEC);
}

static void
test_may_hold_handles (void)
{
  g_assert_true (mp_type_may_hold_handles (G_VARIANT_TYPE ("a{sv}")));
  g_assert_true (mp_type_may_hold_handles (G_VARIANT_TYPE ("(ih)")));
  g_assert_false (mp_type_may_hold_handles (G_VARIANT_TYPE ("a(iasd)")));
}

static void
test_blob_bytes (void)
{
  static const guint8 bytes[] = { 0, 1, 255 };
  g_autoptr(GVariant) value = mp_blob_new_bytes (bytes, sizeof bytes);
  g_autoptr(GVariant) empty = mp_blob_new_bytes (NULL, 0);
  g_autoptr(GVariant) other = g_variant_ref_sink (g_variant_new_string ("xyz"));
  gsize n = 9;

  g_assert_false (g_variant_is_floating (value));
  g_assert_cmpstr (g_variant_get_type_string (value), ==, "ay");
  g_assert_cmpmem (mp_blob_get_bytes (value, &n), 3, bytes, sizeof bytes);
  g_assert_cmpuint (n, ==, sizeof bytes);
  mp_blob_get_bytes (empty, &n);
  g_assert_cmpuint (n, ==, 0);
  n = 9;
  g_assert_null (mp_blob_get_bytes (other, &n));
  g_assert_cmpuint (n, ==, 0);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/codec/round-trip", test_round_trip);
  g_test_add_func ("/codec/sizes", test_sizes);
  g_test_add_func ("/codec/large-is-lent", test_large_is_lent);
  g_test_add_func ("/codec/not-normal", test_not_normal);
  g_test_add_func ("/codec/too-deep", test_too_deep);
  g_test_add_func ("/codec/long-type", test_long_type);
  g_test_add_func ("/codec/malformed", test_malformed);
  g_test_add_func ("/codec/check-is-constant", test_check_is_constant);
  g_test_add_func ("/codec/check-of-empties", test_check_of_empties);
  g_test_add_func ("/codec/may-hold-handles", test_may_hold_handles);
  g_test_add_func ("/codec/blob-bytes", test_blob_bytes);

  return g_test_run ();
}
