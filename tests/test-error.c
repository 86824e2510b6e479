/* test-error.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/base/mp-error-private.h"

#include <string.h>

static GVariant *
new_details (const char *traceback)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&builder, "{sv}", "traceback", g_variant_new_string (traceback));
  g_variant_builder_add (&builder, "{sv}", "pid", g_variant_new_int32 (7));
  return g_variant_builder_end (&builder);
}

static void
assert_traceback (GVariant   *details,
                  const char *expected)
{
  const char *traceback = NULL;

  g_assert_nonnull (details);
  g_assert_true (g_variant_lookup (details, "traceback", "&s", &traceback));
  g_assert_cmpstr (traceback, ==, expected);
}

static void
test_round_trip (void)
{
  g_autoptr(GError) error = g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no file “%s”", "x");
  g_autoptr(GVariant) variant = mp_error_to_variant (error, NULL);
  g_autoptr(GVariant) details = NULL;
  g_autoptr(GError) again = NULL;

  g_assert_false (g_variant_is_floating (variant));
  g_assert_cmpstr (g_variant_get_type_string (variant), ==, "(sisa{sv})");
  again = mp_error_from_variant (variant, &details);
  g_assert_error (again, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_cmpstr (again->message, ==, "no file “x”");
  g_assert_null (details);
  g_assert_null (mp_error_dup_details (again));
}

static void
test_details (void)
{
  g_autoptr(GError) error = g_error_new (MP_ERROR, MP_ERROR_REMOTE, "details test");
  g_autoptr(GVariant) variant = mp_error_to_variant (error, new_details ("line 1"));
  g_autoptr(GVariant) details = NULL;
  g_autoptr(GVariant) remembered = NULL;
  g_autoptr(GVariant) passed_on = NULL;
  g_autoptr(GError) again = NULL;
  g_autoptr(GError) copy = NULL;
  g_autoptr(GError) other = NULL;

  again = mp_error_from_variant (variant, &details);
  g_assert_error (again, MP_ERROR, MP_ERROR_REMOTE);
  assert_traceback (details, "line 1");

  /* A binding makes another GError of it. */
  copy = g_error_new_literal (again->domain, again->code, again->message);
  remembered = mp_error_dup_details (copy);
  assert_traceback (remembered, "line 1");
  other = g_error_new_literal (again->domain, again->code + 1, again->message);
  g_assert_null (mp_error_dup_details (other));

  /* Passed on to the next process without a word. */
  passed_on = mp_error_to_variant (copy, NULL);
  g_clear_pointer (&details, g_variant_unref);
  g_clear_error (&again);
  again = mp_error_from_variant (passed_on, &details);
  assert_traceback (details, "line 1");
}

static void
test_details_replaced (void)
{
  g_autoptr(GError) error = g_error_new (MP_ERROR, MP_ERROR_FAILED, "replaced test");
  GVariant *details;

  mp_error_attach_details (error, new_details ("old"));
  mp_error_attach_details (error, new_details ("new"));
  details = mp_error_dup_details (error);
  assert_traceback (details, "new");
  g_variant_unref (details);
}

static void
test_details_bounded (void)
{
  g_autoptr(GError) first = g_error_new (MP_ERROR, MP_ERROR_FAILED, "bounded test");
  g_autoptr(GError) large = g_error_new (MP_ERROR, MP_ERROR_FAILED, "large test");
  g_autofree char *text = g_strnfill (2000000, 'x');
  guint i;

  mp_error_attach_details (large, new_details (text));
  g_assert_null (mp_error_dup_details (large));

  mp_error_attach_details (first, new_details ("first"));
  text[900000] = '\0';
  for (i = 0; i < 10; i++)
    {
      g_autoptr(GError) error = g_error_new (MP_ERROR, MP_ERROR_FAILED, "bounded by bytes %u", i);
      g_autoptr(GVariant) details = NULL;

      mp_error_attach_details (error, new_details (text));
      details = mp_error_dup_details (error);
      g_assert_nonnull (details);
    }
  g_assert_null (mp_error_dup_details (first));

  mp_error_attach_details (first, new_details ("first"));
  for (i = 0; i < 300; i++)
    {
      g_autoptr(GError) error = g_error_new (MP_ERROR, MP_ERROR_FAILED, "bounded by number %u", i);

      mp_error_attach_details (error, new_details ("x"));
    }
  g_assert_null (mp_error_dup_details (first));
}

static GError *
from_parts (const char *domain,
            int         code,
            const char *message)
{
  g_autoptr(GVariant) variant = g_variant_ref_sink (g_variant_new ("(sisa{sv})", domain, code, message, NULL));

  return mp_error_from_variant (variant, NULL);
}

static void
test_unknown_domain (void)
{
  g_autoptr(GError) named = from_parts ("a-domain-of-the-worker", 3, "hello");
  g_autoptr(GError) odd = from_parts ("no domain\n", 3, "hello");
  g_autoptr(GError) empty = from_parts ("", 3, "hello");
  g_autoptr(GError) last = NULL;
  guint i;

  g_assert_cmpstr (g_quark_to_string (named->domain), ==, "a-domain-of-the-worker");
  g_assert_cmpint (named->code, ==, 3);
  g_assert_cmpstr (named->message, ==, "hello");
  g_assert_error (odd, MP_ERROR, MP_ERROR_REMOTE);
  g_assert_cmpstr (odd->message, ==, "no domain\n: hello");
  g_assert_error (empty, MP_ERROR, MP_ERROR_REMOTE);

  /* Quarks live for ever: another process cannot make as many as it likes. */
  for (i = 0; i < 1000; i++)
    {
      g_autofree char *domain = g_strdup_printf ("domain-%u", i);

      g_clear_error (&last);
      last = from_parts (domain, i, "hello");
    }
  g_assert_error (last, MP_ERROR, MP_ERROR_REMOTE);
  g_assert_cmpstr (last->message, ==, "domain-999: hello");
}

static void
test_bad (void)
{
  g_autoptr(GVariant) number = g_variant_ref_sink (g_variant_new_int32 (1));
  g_autoptr(GError) not_one = mp_error_from_variant (number, NULL);
  g_autofree char *text = g_strnfill (100000, 'x');
  g_autoptr(GError) bounded = NULL;

  g_assert_error (not_one, MP_ERROR, MP_ERROR_PROTOCOL);

  memcpy (text + 65535, "ü", 2);
  bounded = from_parts ("g-io-error-quark", 0, text);
  g_assert_cmpuint (strlen (bounded->message), ==, 65535 + strlen ("…"));
  g_assert_true (g_utf8_validate (bounded->message, -1, NULL));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/error/round-trip", test_round_trip);
  g_test_add_func ("/error/details", test_details);
  g_test_add_func ("/error/details-replaced", test_details_replaced);
  g_test_add_func ("/error/details-bounded", test_details_bounded);
  g_test_add_func ("/error/unknown-domain", test_unknown_domain);
  g_test_add_func ("/error/bad", test_bad);

  return g_test_run ();
}
