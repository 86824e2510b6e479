/* test-codec-hostile.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Values that were made to take time and memory: to check them takes little of both for each of their bytes, whatever
 * they are made of. */
#include "config.h"

#include "mp-glib/base/mp-codec-private.h"

#include <mp-glib/mp-glib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MIB ((gsize) 1 << 20)

/* Of the type's nodes, for each level of variants, and of what the system does besides. */
#define MEMORY (160 * MIB)

static double
get_seconds (void)
{
  struct timespec now;

  g_assert_no_errno (clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now));
  return now.tv_sec + now.tv_nsec / 1e9;
}

/* The most memory that there has been, from when it was begun. */
static gsize
get_peak (gboolean begin)
{
  g_autofree char *text = NULL;
  const char *line;

  if (begin)
    {
      FILE *file = fopen ("/proc/self/clear_refs", "we");

      g_assert_nonnull (file);
      g_assert_cmpint (fputs ("5", file), >=, 0);
      fclose (file);
    }
  g_assert_true (g_file_get_contents ("/proc/self/status", &text, NULL, NULL));
  line = strstr (text, "VmHWM:");
  g_assert_nonnull (line);
  return g_ascii_strtoull (line + strlen ("VmHWM:"), NULL, 10) << 10;
}

static void
append_padded (GByteArray    *bytes,
               gconstpointer  data,
               gsize          size)
{
  g_byte_array_append (bytes, data, size);
  g_byte_array_set_size (bytes, mp_pad8 (bytes->len));
  memset (bytes->data + bytes->len - (mp_pad8 (size) - size), 0, mp_pad8 (size) - size);
}

static void
check (const char *name,
       const char *type,
       GByteArray *body,
       gboolean    is_value)
{
  MpValueHead head = { .n_type = strlen (type), .n_body = body->len };
  g_autoptr(GByteArray) message = g_byte_array_new ();
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = NULL;
  gsize before, peak;
  double start, seconds;

  append_padded (message, &head, sizeof head);
  append_padded (message, type, head.n_type + 1);
  append_padded (message, body->data, body->len);
  bytes = g_byte_array_free_to_bytes (g_steal_pointer (&message));
  g_byte_array_set_size (body, 0);

  before = get_peak (TRUE);
  start = get_seconds ();
  value = mp_value_decode (bytes, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), NULL, NULL, 0, &error);
  seconds = get_seconds () - start;
  peak = get_peak (FALSE);
  g_test_message ("%s: %" G_GSIZE_FORMAT " bytes: %.3f s, %" G_GSIZE_FORMAT " KiB", name, g_bytes_get_size (bytes),
                  seconds, (peak - before) >> 10);
  g_assert_true ((value != NULL) == is_value);
  if (value == NULL)
    g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    g_assert_cmpfloat (seconds, <, 5);
  g_assert_cmpuint (peak - before, <, MEMORY);
}

static void
append_offsets (GByteArray *body,
                guint32     n,
                guint32     each)
{
  for (guint32 i = 1; i <= n; i++)
    {
      guint32 offset = GUINT32_TO_LE (i * each);

      g_byte_array_append (body, (const guint8 *) &offset, sizeof offset);
    }
}

static void
test_empties (void)
{
  g_autoptr(GByteArray) body = g_byte_array_new ();

  g_byte_array_set_size (body, 16 * MIB);
  memset (body->data, 0, body->len);
  check ("units", "a()", body, TRUE);

  append_offsets (body, 4 * MIB, 0);
  check ("empty arrays", "aas", body, TRUE);

  append_offsets (body, 4 * MIB, 0);
  check ("empty arrays of arrays", "aaa(msmaas)", body, TRUE);
}

/* What is in one thing is in it alone: as many steps for one byte as there are brackets. */
static void
test_wrapped (void)
{
  g_autoptr(GByteArray) body = g_byte_array_new ();
  g_autofree char *open = g_strnfill (120, '('), *close = g_strnfill (120, ')');
  g_autofree char *type = g_strconcat ("a", open, "s", close, NULL);
  guint32 n = 3 * MIB;

  g_byte_array_set_size (body, n);
  memset (body->data, 0, n);
  append_offsets (body, n, 1);
  check ("wrapped strings", type, body, TRUE);

  g_byte_array_set_size (body, 16 * MIB);
  memset (body->data, 1, body->len);
  type[strlen ("a") + strlen (open)] = 'b';
  check ("wrapped truth", type, body, TRUE);
}

static void
test_variants (void)
{
  static const guint8 unit[8] = { 0, 0, '(', ')' };
  g_autoptr(GByteArray) body = g_byte_array_new ();
  guint32 n = MIB;

  /* Their ends are where their types end; the next one begins at a multiple of 8. */
  for (guint32 i = 0; i < n; i++)
    g_byte_array_append (body, unit, i + 1 < n ? 8 : 4);
  for (guint32 i = 0; i < n; i++)
    {
      guint32 offset = GUINT32_TO_LE (i * 8 + 4);

      g_byte_array_append (body, (const guint8 *) &offset, sizeof offset);
    }
  check ("variants", "av", body, TRUE);
}

/* Each with a type that is as long as can be. */
static void
test_long_types (void)
{
  g_autoptr(GByteArray) body = g_byte_array_new ();
  g_autoptr(GString) type = g_string_new ("(va(");

  for (guint i = 0; i < 32000; i++)
    g_string_append (type, "ms");
  g_string_append (type, "))");

  /* A number within, which is at the bottom. */
  g_byte_array_append (body, (const guint8 *) "\0\0y", 3);
  for (guint i = 0; i < 40; i++)
    {
      guint32 end = GUINT32_TO_LE (body->len);
      guint size = body->len < 255 ? 1 : body->len < 65534 ? 2 : 4;

      g_byte_array_append (body, (const guint8 *) &end, size);
      g_byte_array_append (body, (const guint8 *) "", 1);
      g_byte_array_append (body, (const guint8 *) type->str, type->len);
    }
  check ("variants in variants of long types", "v", body, TRUE);

  for (guint i = 0; i < 200; i++)
    {
      g_byte_array_append (body, (const guint8 *) "", 1);
      g_byte_array_append (body, (const guint8 *) type->str, type->len);
    }
  check ("rubbish with long types", "v", body, FALSE);
}

static void
test_rubbish (void)
{
  static const char *const types[] = { "a(sv)", "av", "as", "aav", "a{sv}", "(aavas)", "ams", "ab", "v", "s", "ao" };
  g_autoptr(GByteArray) body = g_byte_array_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_byte_array_set_size (body, 16 * MIB);
      memset (body->data, 0xff, body->len);
      check (types[i], types[i], body, FALSE);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/codec-hostile/empties", test_empties);
  g_test_add_func ("/codec-hostile/wrapped", test_wrapped);
  g_test_add_func ("/codec-hostile/variants", test_variants);
  g_test_add_func ("/codec-hostile/long-types", test_long_types);
  g_test_add_func ("/codec-hostile/rubbish", test_rubbish);

  return g_test_run ();
}
