/* memory-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/mp-glib.h"

#include "mp-glib/memory/mp-typed-memory-private.h"

/* What the tests of values and arrays share. */

/* Values of every kind of type: the greatest and the least, and what lies between. */
G_GNUC_UNUSED static const char *const samples[] = {
  "true", "byte 0x00", "byte 0xff", "int16 -32768", "int16 32767", "uint16 65535", "-2147483648", "2147483647",
  "uint32 4294967295", "int64 -9223372036854775808", "int64 9223372036854775807", "uint64 18446744073709551615", "0.5",
  "-1e300", "(1, 2.5)", "(byte 0x07, int64 -3, true)", "(true, (int16 7, uint64 9), byte 0x01)", "()", "((), 3)",
  "{7, 2.0}", "(1, 2, 3, 4, 5, 6, 7, 8)", "(1, 2, 3, 4, 5, 6, 7, 8, 9)", "(0.5, 0.25, 1e9, 2e9, 3e9)",
};

static inline GVariant *
parse (const char *text)
{
  g_autoptr(GError) error = NULL;
  GVariant *value = g_variant_parse (NULL, text, NULL, NULL, &error);

  g_assert_no_error (error);
  return value;
}

static inline void
check_variant (GVariant *value,
               GVariant *expected)
{
  g_assert_nonnull (value);
  if (!g_variant_equal (value, expected))
    {
      g_autofree char *got = g_variant_print (value, TRUE);
      g_autofree char *wanted = g_variant_print (expected, TRUE);

      g_error ("got %s instead of %s", got, wanted);
    }
  g_assert_true (g_variant_is_normal_form (value));
}

/* Checks an error and clears it. */
#define check_refused(error, domain, code) \
  G_STMT_START { \
    g_assert_error (error, domain, code); \
    g_test_message ("%s", error->message); \
    g_clear_error (&error); \
  } G_STMT_END
#define check_invalid(error) check_refused (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT)
