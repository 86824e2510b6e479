/* test-shareable-list.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-shareable-private.h"
#include "pool-test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static MpShareableList *
make_list (const char *values)
{
  g_autoptr(GError) error = NULL;
  MpShareableList *list = mp_shareable_list_new (g_variant_new_parsed (values), &error);

  g_assert_no_error (error);
  return list;
}

static void
assert_item (MpShareableList *list,
             gsize            index,
             const char      *expected)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_shareable_list_get_item (list, index, &error);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  g_assert_false (g_variant_is_floating (value));
  text = g_variant_print (value, TRUE);
  g_assert_cmpstr (text, ==, expected);
}

static void
assert_format (MpShareableList *list,
               gsize            index,
               const char      *expected)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *format = mp_shareable_list_dup_format (list, index, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (format, ==, expected);
}

static void
set_item (MpShareableList *list,
          gsize            index,
          GVariant        *value)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_shareable_list_set_item (list, index, value, &error));
  g_assert_no_error (error);
}

static void
refuse_item (MpShareableList *list,
             gsize            index,
             GVariant        *value,
             GQuark           domain,
             int              code,
             const char      *pattern)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_shareable_list_set_item (list, index, value, &error));
  g_assert_error (error, domain, code);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("%s", error->message);
}

static void
test_values (void)
{
  g_autoptr(MpShareableList) list =
    make_list ("[<-1>, <uint16 65535>, <byte 7>, <int64 -9223372036854775808>, <uint64 9223372036854775807>, <-0.0>, "
               "<true>, <false>, <'größe'>, <@ay [1, 0, 255]>, <@mv nothing>, <()>, <@ms 'inside'>, <<'twice'>>, <''>, "
               "<@ay []>]");
  const char *expected[] = {
    "int64 -1", "int64 65535", "int64 7", "int64 -9223372036854775808", "int64 9223372036854775807", "-0.0", "true",
    "false", "'größe'", "[byte 0x01, 0x00, 0xff]", "@mv nothing", "@mv nothing", "'inside'", "'twice'", "''", "@ay []",
  };
  const char *formats[] = {
    "q", "q", "q", "q", "q", "d", "xxxxxxx?", "xxxxxxx?", "8s", "8s", "xxxxxx?x", "xxxxxx?x", "8s", "8s", "8s", "8s",
  };
  g_autoptr(GVariant) values = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_cmpuint (mp_shareable_list_get_length (list), ==, G_N_ELEMENTS (expected));
  for (gsize i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      assert_item (list, i, expected[i]);
      assert_format (list, i, formats[i]);
    }
  values = mp_shareable_list_dup_values (list, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (g_variant_get_type_string (values), ==, "av");
  g_assert_cmpuint (g_variant_n_children (values), ==, G_N_ELEMENTS (expected));
}

/* Their places are as long as CPython makes them. */
static void
test_places (void)
{
  static const struct { guint length; const char *format; } places[] = {
    { 0, "8s" }, { 7, "8s" }, { 8, "16s" }, { 15, "16s" }, { 16, "24s" }, { 99990, "99992s" }, { 9999991, "9999992s" },
    { 9999992, "9999992s" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *text = g_strnfill (places[i].length, 'x');
      g_autoptr(GError) error = NULL;
      g_autoptr(MpShareableList) list = mp_shareable_list_new (g_variant_new ("(sx)", text, G_MAXINT64), &error);
      g_autoptr(GVariant) value = NULL;

      g_assert_no_error (error);
      assert_format (list, 0, places[i].format);
      value = mp_shareable_list_get_item (list, 0, &error);
      g_assert_cmpstr (g_variant_get_string (value, NULL), ==, text);
      assert_item (list, 1, "int64 9223372036854775807");
    }
}

/* CPython counts the characters of a text: that has to do, where it does. */
static void
test_places_of_texts (void)
{
  static const struct { const char *text, *format; } places[] = {
    { "encodés", "8s" }, { "äöüß", "8s" }, { "äöüßx", "16s" }, { "äöüßäöüß", "16s" }, { "12345678", "16s" }, { "€€€", "16s" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(MpShareableList) list = mp_shareable_list_new (g_variant_new ("(sx)", places[i].text, G_MAXINT64), &error);
      g_autoptr(GVariant) value = NULL;

      g_assert_no_error (error);
      assert_format (list, 0, places[i].format);
      value = mp_shareable_list_get_item (list, 0, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (g_variant_get_string (value, NULL), ==, places[i].text);
      assert_item (list, 1, "int64 9223372036854775807");
    }
}

static void
test_containers (void)
{
  g_autoptr(MpShareableList) tuple = make_list ("(1, 'two', 3.0)");
  g_autoptr(MpShareableList) array = make_list ("['one', 'two']");
  g_autoptr(MpShareableList) empty = make_list ("@av []");
  g_autoptr(MpShareableList) unit = make_list ("()");
  g_autoptr(GVariant) values = mp_shareable_list_dup_values (empty, NULL);

  assert_item (tuple, 1, "'two'");
  assert_item (array, 1, "'two'");
  g_assert_cmpuint (mp_shareable_list_get_length (unit), ==, 0);
  g_assert_cmpuint (g_variant_n_children (values), ==, 0);
  g_assert_cmpint (mp_shareable_list_count (empty, g_variant_new_int32 (0), NULL), ==, 0);
}

static void
test_set (void)
{
  g_autoptr(MpShareableList) list = make_list ("(1, 'text', true)");

  set_item (list, 0, g_variant_new_string ("12345678"));
  assert_item (list, 0, "'12345678'");
  assert_format (list, 0, "8s");
  set_item (list, 0, g_variant_new_parsed ("@mv nothing"));
  assert_item (list, 0, "@mv nothing");
  set_item (list, 0, g_variant_new_double (0.1));
  assert_item (list, 0, "0.10000000000000001");
  set_item (list, 1, g_variant_new_parsed ("@ay [0xc3]"));
  assert_item (list, 1, "[byte 0xc3]");
  set_item (list, 1, g_variant_new_string ("äöüß"));
  assert_item (list, 1, "'äöüß'");
  set_item (list, 1, g_variant_new_string ("a"));
  assert_item (list, 1, "'a'");
  set_item (list, 1, g_variant_new_boolean (TRUE));
  assert_item (list, 1, "true");
  assert_item (list, 0, "0.10000000000000001");
  assert_item (list, 2, "true");
}

static void
test_refused (void)
{
  g_autoptr(MpShareableList) list = make_list ("('eins', 2)");

  refuse_item (list, 2, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "list set item: index 2 is out of range, there are 2 items");
  refuse_item (list, G_MAXSIZE, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "*out of range*");
  refuse_item (list, 0, g_variant_new_string ("123456789"), MP_ERROR, MP_ERROR_TOO_LARGE,
               "list set item: 9 bytes: the item has room for 8");
  refuse_item (list, 0, g_variant_new_string ("größere"), MP_ERROR, MP_ERROR_TOO_LARGE, "*9 bytes*room for 8");
  refuse_item (list, 0, g_variant_new_parsed ("@ay [1, 0]"), G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "*end in NUL*");
  refuse_item (list, 0, g_variant_new_uint64 (G_MAXUINT64), G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "*64 bits*");
  refuse_item (list, 0, g_variant_new_parsed ("{'a': 1}"), MP_ERROR, MP_ERROR_INVALID_TYPE, "*type a{si}*");
  refuse_item (list, 0, g_variant_new_parsed ("[1]"), MP_ERROR, MP_ERROR_INVALID_TYPE, "*type ai*");
  refuse_item (list, 0, g_variant_new_object_path ("/"), MP_ERROR, MP_ERROR_INVALID_TYPE, "*type o*");
  refuse_item (list, 0, g_variant_new_handle (0), MP_ERROR, MP_ERROR_INVALID_TYPE, "*type h*");
  assert_item (list, 0, "'eins'");
  assert_item (list, 1, "int64 2");
  g_assert_null (mp_shareable_list_get_item (list, 2, NULL));
  g_assert_null (mp_shareable_list_dup_format (list, 2, NULL));
}

static void
test_not_made (void)
{
  static const struct { const char *values; GQuark (* domain) (void); int code; const char *pattern; } cases[] = {
    { "5", mp_error_quark, MP_ERROR_INVALID_TYPE, "list creation: a value of type i is no array and no tuple" },
    { "'text'", mp_error_quark, MP_ERROR_INVALID_TYPE, "*type s is no array*" },
    { "[<1>, <[1, 2]>]", mp_error_quark, MP_ERROR_INVALID_TYPE, "list creation: item 1: a value of type ai*" },
    { "{'a': 1}", mp_error_quark, MP_ERROR_INVALID_TYPE, "*item 0: a value of type {si}*" },
    { "(1, uint64 9223372036854775808)", g_io_error_quark, G_IO_ERROR_INVALID_ARGUMENT, "*item 1: 92233720*" },
    { "(@ay [0],)", g_io_error_quark, G_IO_ERROR_INVALID_ARGUMENT, "*item 0: 1 bytes that end in NUL*" },
  };
  g_autofree char *text = g_strnfill (9999993, 'x');
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_null (mp_shareable_list_new (g_variant_new_parsed (cases[i].values), &error));
      g_assert_error (error, cases[i].domain (), cases[i].code);
      if (!g_pattern_match_simple (cases[i].pattern, error->message))
        g_error ("%s", error->message);
      g_clear_error (&error);
    }
  g_assert_null (mp_shareable_list_new (g_variant_new ("(s)", text), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
}

static gssize
count (MpShareableList *list,
       const char      *value)
{
  g_autoptr(GError) error = NULL;
  gssize n = mp_shareable_list_count (list, g_variant_new_parsed (value), &error);

  g_assert_no_error (error);
  return n;
}

static void
test_find (void)
{
  g_autoptr(MpShareableList) list =
    make_list ("(1, 1.0, true, 'one', @ay [111], @mv nothing, int64 9007199254740993, 9007199254740992.0, 0.0, -0.0)");
  g_autoptr(GError) error = NULL;

  g_assert_cmpint (count (list, "byte 1"), ==, 3);
  g_assert_cmpint (count (list, "true"), ==, 3);
  g_assert_cmpint (count (list, "1.0"), ==, 3);
  g_assert_cmpint (count (list, "false"), ==, 2);
  g_assert_cmpint (count (list, "int64 9007199254740993"), ==, 1);
  g_assert_cmpint (count (list, "9007199254740992.0"), ==, 1);
  g_assert_cmpint (count (list, "()"), ==, 1);
  g_assert_cmpint (count (list, "'one'"), ==, 1);
  g_assert_cmpint (count (list, "@as []"), ==, 0);

  g_assert_cmpint (mp_shareable_list_index (list, g_variant_new_parsed ("-0.0"), &error), ==, 8);
  g_assert_cmpint (mp_shareable_list_index (list, g_variant_new_parsed ("@ay [111]"), &error), ==, 4);
  g_assert_no_error (error);
  g_assert_cmpint (mp_shareable_list_index (list, g_variant_new_parsed ("'two'"), &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_cmpint (mp_shareable_list_index (list, g_variant_new_parsed ("@as []"), &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

static void
test_named (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpShareableList) list =
    mp_shareable_list_new_named (g_variant_new ("(sx)", "text", G_MININT64), NULL, &error);
  g_autoptr(MpShareableList) again = NULL;
  const char *name;

  g_assert_no_error (error);
  name = mp_shared_memory_get_name (mp_shareable_list_get_memory (list));
  g_assert_true (g_str_has_prefix (name, "psm_"));
  again = mp_shareable_list_attach (name, &error);
  g_assert_no_error (error);
  set_item (again, 0, g_variant_new_string ("changed"));
  assert_item (list, 0, "'changed'");
  assert_item (again, 1, "int64 -9223372036854775808");

  g_assert_null (mp_shareable_list_new_named (g_variant_new ("()"), name, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_true (mp_shared_memory_unlink (mp_shareable_list_get_memory (list), &error));
  g_assert_null (mp_shareable_list_attach (name, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  assert_item (again, 0, "'changed'");
}

static void
test_memory (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpShareableList) list = make_list ("(1, 2)");
  MpSharedMemory *memory = mp_shareable_list_get_memory (list);
  g_autoptr(MpShareableList) again = mp_shareable_list_new_for_memory (memory, &error);
  g_autoptr(MpSharedMemory) small = NULL;
  gint64 *words;
  gsize size;

  g_assert_no_error (error);
  g_assert_true (mp_shareable_list_get_memory (again) == memory);
  set_item (again, 1, g_variant_new_int32 (5));
  assert_item (list, 1, "int64 5");

  /* 8 for the length, 3 × 8 for the offsets, 2 × 8 for the items; then the formats. */
  words = mp_shared_memory_get_data (memory, &size);
  g_assert_cmpuint (size, ==, 8 * (1 + 3 + 2 + 2) + 2);
  memcpy (&words[6], "16s", 4);
  g_assert_null (mp_shareable_list_get_item (list, 0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_clear_error (&error);
  g_assert_null (mp_shareable_list_dup_values (list, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_clear_error (&error);
  g_assert_cmpint (mp_shareable_list_count (list, g_variant_new_int32 (1), &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_clear_error (&error);
  set_item (list, 0, g_variant_new_int32 (3));
  assert_item (list, 0, "int64 3");

  /* Where things lie is looked at once. */
  words[0] = G_MAXINT64;
  words[2] = -8;
  assert_item (list, 1, "int64 5");
  g_assert_null (mp_shareable_list_new_for_memory (memory, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_clear_error (&error);

  mp_shared_memory_close (memory);
  g_assert_null (mp_shareable_list_get_item (list, 0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  refuse_item (list, 0, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_CLOSED, "*closed*");
  g_assert_null (mp_shareable_list_new_for_memory (memory, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);

  small = mp_shared_memory_new (15, &error);
  g_assert_null (mp_shareable_list_new_for_memory (small, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
}

static void
test_sealed (void)
{
  g_autoptr(MpShareableList) list = make_list ("('text', 2)");
  g_autoptr(GError) error = NULL;

  mp_shared_memory_seal (mp_shareable_list_get_memory (list), MP_SEAL_FLAGS_WRITE, &error);
  g_assert_no_error (error);
  refuse_item (list, 0, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_READ_ONLY, "*sealed*");
  assert_item (list, 0, "'text'");
}

static void
test_properties (void)
{
  g_autoptr(MpShareableList) list = make_list ("(1, 2, 3)");
  g_autoptr(MpSharedMemory) memory = NULL;
  guint64 length = 0;
  gboolean isolated = FALSE;

  g_object_get (list, "length", &length, "memory", &memory, "isolated", &isolated, NULL);
  g_assert_cmpuint (length, ==, 3);
  g_assert_true (memory == mp_shareable_list_get_memory (list));
  g_assert_true (isolated && mp_shareable_get_isolated (MP_SHAREABLE (list)));
}

static void
test_manager (void)
{
  g_autoptr(MpSharedMemoryManager) manager = mp_shared_memory_manager_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(MpShareableList) list =
    mp_shared_memory_manager_create_list (manager, g_variant_new_parsed ("(1, 'two')"), &error);

  g_assert_no_error (error);
  assert_item (list, 1, "'two'");
  g_assert_null (mp_shared_memory_manager_create_list (manager, g_variant_new_int32 (1), &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);

  mp_shared_memory_manager_shutdown (manager);
  refuse_item (list, 0, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_CLOSED, "*closed*");
  g_assert_null (mp_shared_memory_manager_create_list (manager, g_variant_new ("()"), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* Only what has a name can be made smaller. */
static void
test_smaller (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpShareableList) list =
    mp_shareable_list_new_named (g_variant_new ("(xs)", (gint64) 1, "text"), NULL, &error);
  int fd;

  g_assert_no_error (error);
  fd = mp_shared_memory_dup_fd (mp_shareable_list_get_memory (list), &error);
  g_assert_no_error (error);
  g_assert_cmpint (ftruncate (fd, 16), ==, 0);
  refuse_item (list, 0, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "*has 16 bytes*");
  g_assert_null (mp_shareable_list_get_item (list, 0, NULL));
  close (fd);
}

static void
refuse_state (GVariant   *state,
              GArray     *fds,
              const char *pattern)
{
  MpShareableAdopt adopt = mp_shareable_find_kind ("shareable-list");
  g_autoptr(GVariant) sunk = g_variant_ref_sink (state);
  g_autoptr(GError) error = NULL;

  g_assert_null (adopt (sunk, (int *) (gpointer) fds->data, fds->len, &error));
  if (error == NULL || !g_pattern_match_simple (pattern, error->message))
    g_error ("%s", error != NULL ? error->message : "no error");
  for (guint i = 0; i < fds->len; i++)
    if (g_array_index (fds, int, i) >= 0)
      close (g_array_index (fds, int, i));
  g_array_set_size (fds, 0);
}

/* What another process may say to be a list. */
static void
test_adopt (void)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(MpShareableList) list = make_list ("(1, 2)");
  g_autoptr(GError) error = NULL;
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_new (100, &error);
  g_autoptr(GVariant) of_memory = NULL, of_nothing = NULL, of_connection = NULL;
  Gate gate = gate_new ();
  int none = -1;

  g_assert_no_error (error);
  refuse_state (g_variant_new_string ("list"), fds, "*malformed*");
  of_memory = mp_shareable_describe_within (MP_SHAREABLE (mp_shareable_list_get_memory (list)), fds, &error);
  g_assert_no_error (error);
  g_array_append_val (fds, none);
  refuse_state (of_memory, fds, "*a list that is none*");
  refuse_state (of_memory, fds, "*descriptors are missing*");
  of_connection = mp_shareable_describe_within (MP_SHAREABLE (gate.far), fds, &error);
  g_assert_no_error (error);
  refuse_state (of_connection, fds, "*a list that is none*");

  memset (mp_shared_memory_get_data (memory, NULL), 1, 100);
  of_nothing = mp_shareable_describe_within (MP_SHAREABLE (memory), fds, &error);
  g_assert_no_error (error);
  refuse_state (of_nothing, fds, "*damaged*");
  gate_clear (&gate);
}

/* One that only its maker can write: he would not be told that others die of it. */
static void
test_adopt_read_only (void)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(MpShareableList) list = make_list ("(1, 2)");
  g_autoptr(GVariant) described = NULL;
  g_autoptr(MpShareable) received = NULL;
  g_autoptr(GError) error = NULL;

  described = mp_shareable_describe_within (MP_SHAREABLE (mp_shareable_list_get_memory (list)), fds, &error);
  g_assert_no_error (error);
  g_assert_cmpint (fcntl (g_array_index (fds, int, 0), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), ==, 0);
  received = mp_shareable_find_kind ("shareable-list") (described, (int *) (gpointer) fds->data, 1, &error);
  g_assert_no_error (error);
  refuse_item (MP_SHAREABLE_LIST (received), 0, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_READ_ONLY, "*sealed*");
  assert_item (MP_SHAREABLE_LIST (received), 0, "int64 1");
}

/* There is memory, but no room for it among the addresses. */
static void
test_no_addresses (void)
{
  g_autofree char *text = g_strnfill (4000000, 'x');
  g_autoptr(GVariant) values = g_variant_ref_sink (g_variant_new ("(ssssssss)", text, text, text, text, text, text, text,
                                                                  text));
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      g_autofree char *pages = NULL;
      struct rlimit limit = { 0, RLIM_INFINITY };
      g_autoptr(GError) error = NULL;

      g_file_get_contents ("/proc/self/statm", &pages, NULL, NULL);
      limit.rlim_cur = g_ascii_strtoull (pages, NULL, 10) * sysconf (_SC_PAGESIZE) + 4000000;
      (void) setrlimit (RLIMIT_AS, &limit);
      _exit (mp_shareable_list_new (values, &error) == NULL &&
             g_error_matches (error, MP_ERROR, MP_ERROR_TOO_LARGE) ? 0 : 1);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

/* Doubles the first item and gives the list back. */
static GVariant *
double_first (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpShareable) object = mp_shareable_from_variant (args, error);
  g_autoptr(GVariant) value = NULL;

  if (object == NULL)
    return NULL;
  value = mp_shareable_list_get_item (MP_SHAREABLE_LIST (object), 0, error);
  if (value == NULL || !mp_shareable_list_set_item (MP_SHAREABLE_LIST (object), 0,
                                                    g_variant_new_int64 (2 * g_variant_get_int64 (value)), error))
    return NULL;
  return mp_shareable_to_variant (object);
}

static void
test_travel (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(MpShareableList) list = make_list ("(21, 'text')");
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (list));
  g_autoptr(GVariant) result = NULL;
  g_autoptr(MpShareable) back = NULL;
  g_autoptr(GError) error = NULL;

  result = mp_pool_apply (pool, MP_FUNCTION (double_first), handle, LONG, NULL, &error);
  g_assert_no_error (error);
  assert_item (list, 0, "int64 42");
  back = mp_shareable_from_variant (result, &error);
  g_assert_no_error (error);
  set_item (MP_SHAREABLE_LIST (back), 1, g_variant_new_string ("back"));
  assert_item (list, 1, "'back'");
  mp_pool_terminate (pool);
}

static void
test_fork (void)
{
  g_autoptr(MpShareableList) list = make_list ("(1, 'text')");
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      set_item (list, 0, g_variant_new_string ("child"));
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  assert_item (list, 0, "'child'");
}

/* An item that was being written is a value or an error, and can be set again; the others are as they were. */
static void
test_killed (void)
{
  g_autoptr(MpShareableList) list = make_list ("('before', 'a text that is longer than a number', 5)");
  g_autoptr(MpSharedMemory) ready = mp_shared_memory_new (8, NULL);
  volatile guint8 *word = mp_shared_memory_get_data (ready, NULL);

  for (int round = 0; round < 50; round++)
    {
      g_autoptr(GVariant) value = NULL;
      g_autoptr(GError) error = NULL;
      int status;
      pid_t pid = fork ();

      if (pid == 0)
        for (int i = 0;; i++)
          {
            set_item (list, 1, g_variant_new_string (i % 3 == 0 ? "größer" : "a text that is longer than a number"));
            set_item (list, 1, g_variant_new_int64 (i));
            *word = 1;
          }
      while (*word == 0)
        g_thread_yield ();
      *word = 0;
      kill (pid, SIGKILL);
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      g_assert_true (WIFSIGNALED (status));

      value = mp_shareable_list_get_item (list, 1, &error);
      if (value == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
      set_item (list, 1, g_variant_new_string ("a text that is longer than a number"));
      assert_item (list, 0, "'before'");
      assert_item (list, 1, "'a text that is longer than a number'");
      assert_item (list, 2, "int64 5");
    }
}

static void
test_without_memory (void)
{
  g_autoptr(MpShareableList) list = g_object_new (MP_TYPE_SHAREABLE_LIST, NULL);
  g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (list));
  g_autoptr(GError) error = NULL;
  Gate gate = gate_new ();

  g_assert_null (mp_shareable_list_get_memory (list));
  g_assert_cmpuint (mp_shareable_list_get_length (list), ==, 0);
  refuse_item (list, 0, g_variant_new_int32 (0), G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "*out of range*");
  g_assert_cmpint (mp_shareable_list_count (list, g_variant_new_int32 (0), &error), ==, 0);
  g_assert_false (mp_connection_send (gate.near, handle, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  gate_clear (&gate);
}

static gpointer
write_numbers (gpointer data)
{
  /* Halves that differ would show one that was read in the middle of a write. */
  for (gint64 i = 0; i < 20000; i++)
    set_item (data, 0, g_variant_new_int64 (i | i << 32));
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr(MpShareableList) list = make_list ("(0, 'text')");
  GThread *writer = g_thread_new ("writer", write_numbers, list);
  gint64 last = 0;

  while (last != (19999 | G_GINT64_CONSTANT (19999) << 32))
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_shareable_list_get_item (list, 0, &error);

      g_assert_no_error (error);
      last = g_variant_get_int64 (value);
      g_assert_cmpint (last & G_MAXINT32, ==, last >> 32);
    }
  g_thread_join (writer);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/shareable-list/values", test_values);
  g_test_add_func ("/shareable-list/places", test_places);
  g_test_add_func ("/shareable-list/places-of-texts", test_places_of_texts);
  g_test_add_func ("/shareable-list/containers", test_containers);
  g_test_add_func ("/shareable-list/set", test_set);
  g_test_add_func ("/shareable-list/refused", test_refused);
  g_test_add_func ("/shareable-list/not-made", test_not_made);
  g_test_add_func ("/shareable-list/find", test_find);
  g_test_add_func ("/shareable-list/named", test_named);
  g_test_add_func ("/shareable-list/memory", test_memory);
  g_test_add_func ("/shareable-list/sealed", test_sealed);
  g_test_add_func ("/shareable-list/properties", test_properties);
  g_test_add_func ("/shareable-list/manager", test_manager);
  g_test_add_func ("/shareable-list/smaller", test_smaller);
  g_test_add_func ("/shareable-list/adopt", test_adopt);
  g_test_add_func ("/shareable-list/adopt-read-only", test_adopt_read_only);
  g_test_add_func ("/shareable-list/no-addresses", test_no_addresses);
  g_test_add_func ("/shareable-list/travel", test_travel);
  g_test_add_func ("/shareable-list/fork", test_fork);
  g_test_add_func ("/shareable-list/killed", test_killed);
  g_test_add_func ("/shareable-list/without-memory", test_without_memory);
  g_test_add_func ("/shareable-list/threads", test_threads);

  return g_test_run ();
}
