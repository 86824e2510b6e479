/* test-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shared memory and lists, with a process of CPython at the other side. */

#include "config.h"

#include "mp-glib/mp-glib.h"
#include "peer.h"

#include <string.h>

static Peer peer;

/* An item as text. */
static char *
print_item (MpShareableList *list,
            gsize            index)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_shareable_list_get_item (list, index, &error);

  g_assert_no_error (error);
  return g_variant_print (value, TRUE);
}

static void
assert_item (MpShareableList *list,
             gsize            index,
             const char      *expected)
{
  g_autofree char *text = print_item (list, index);

  g_assert_cmpstr (text, ==, expected);
}

static void
set_item (MpShareableList *list,
          gsize            index,
          GVariant        *value)
{
  g_autoptr(GError) error = NULL;

  mp_shareable_list_set_item (list, index, value, &error);
  g_assert_no_error (error);
}

static MpShareableList *
attach_list (const char *name)
{
  g_autoptr(GError) error = NULL;
  MpShareableList *list = mp_shareable_list_attach (name, &error);

  g_assert_no_error (error);
  return list;
}

static MpShareableList *
make_list (const char *values)
{
  g_autoptr(GError) error = NULL;
  MpShareableList *list = mp_shareable_list_new_named (g_variant_new_parsed (values), NULL, &error);

  g_assert_no_error (error);
  return list;
}

static const char *
get_name (MpShareableList *list)
{
  return mp_shared_memory_get_name (mp_shareable_list_get_memory (list));
}

static void
unlink_memory (MpSharedMemory *memory)
{
  g_autoptr(GError) error = NULL;

  mp_shared_memory_unlink (memory, &error);
  g_assert_no_error (error);
}

static void
test_memory_ours (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpSharedMemory) memory = mp_shared_memory_new_named (NULL, 5000, &error);
  const char *name;
  guint8 *data;
  gsize size;

  g_assert_no_error (error);
  name = mp_shared_memory_get_name (memory);
  data = mp_shared_memory_get_data (memory, &size);
  g_assert_cmpuint (size, ==, 5000);
  memcpy (data, "from C", 6);

  peer_do (&peer, "m = attach('%s')", name);
  peer_assert (&peer, "5000", "m.size");
  peer_assert (&peer, "b'from C\\x00'", "bytes(m.buf[:7])");
  peer_do (&peer, "m.buf[4999] = 77");
  g_assert_cmpint (data[4999], ==, 77);
  peer_assert_error (&peer, "FileExistsError", "SharedMemory('%s', True, 10)", name);

  unlink_memory (memory);
  peer_assert (&peer, "b'f'", "bytes(m.buf[:1])");
  peer_do (&peer, "m.close()");
  peer_assert_error (&peer, "FileNotFoundError", "attach('%s')", name);
}

static void
test_memory_theirs (void)
{
  g_autofree char *name = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(MpSharedMemory) memory = NULL;
  g_autoptr(MpSharedMemory) again = NULL;
  guint8 *data;
  gsize size;

  peer_do (&peer, "m = SharedMemory(create=True, size=300)");
  peer_do (&peer, "m.buf[:4] = b'Pyth'; m.buf[299] = 9");
  name = peer_ask_text (&peer, "m.name");
  g_assert_null (mp_shared_memory_new_named (name, 10, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_clear_error (&error);

  memory = mp_shared_memory_attach (name, &error);
  g_assert_no_error (error);
  data = mp_shared_memory_get_data (memory, &size);
  g_assert_cmpuint (size, ==, 300);
  g_assert_cmpmem (data, 4, "Pyth", 4);
  g_assert_cmpint (data[299], ==, 9);
  data[100] = 1;
  peer_assert (&peer, "1", "m.buf[100]");

  /* Who has only attached does not unlink. */
  g_clear_object (&memory);
  again = mp_shared_memory_attach (name, &error);
  g_assert_no_error (error);
  g_clear_object (&again);

  peer_do (&peer, "m.unlink()");
  again = mp_shared_memory_attach (name, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

static void
test_list_ours (void)
{
  g_autoptr(MpShareableList) list =
    make_list ("[<int64 -5>, <2.5>, <true>, <false>, <'größe'>, <@ay [0x62, 1]>, <@mv nothing>, <''>, <@ay []>]");

  peer_do (&peer, "l = attach_list('%s')", get_name (list));
  peer_assert (&peer, "[-5, 2.5, True, False, 'größe', b'b\\x01', None, '', b'']", "list(l)");
  peer_assert (&peer, "'qdxxxxxxx?xxxxxxx?8s8sxxxxxx?x8s8s'", "l.format");

  peer_do (&peer, "l[0] = 2**63 - 1; l[1] = None; l[2] = -1.5; l[3] = b'12345678'; l[4] = 'gleich'; l[5] = True");
  peer_do (&peer, "l[6] = 'nothing?'[:7]; l[7] = -2**63; l[8] = b'\\xff\\0\\xff'");
  assert_item (list, 0, "int64 9223372036854775807");
  assert_item (list, 1, "@mv nothing");
  assert_item (list, 2, "-1.5");
  assert_item (list, 3, "[byte 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38]");
  assert_item (list, 4, "'gleich'");
  assert_item (list, 5, "true");
  assert_item (list, 6, "'nothing'");
  assert_item (list, 7, "int64 -9223372036854775808");
  assert_item (list, 8, "[byte 0xff, 0x00, 0xff]");

  set_item (list, 0, g_variant_new_string ("zwölf"));
  set_item (list, 1, g_variant_new_double (-0.125));
  set_item (list, 8, g_variant_new_boolean (FALSE));
  peer_assert (&peer, "('zwölf', -0.125, False)", "l[0], l[1], l[8]");
  peer_do (&peer, "l.shm.close()");
  unlink_memory (mp_shareable_list_get_memory (list));
}

static void
test_list_theirs (void)
{
  g_autoptr(MpShareableList) list = NULL;
  g_autoptr(GVariant) values = NULL;
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;

  peer_do (&peer, "l = ShareableList(['text', b'bytes', 7, 0.25, True, None, 'x' * 16], name='peer-list')");
  list = attach_list ("peer-list");
  g_assert_cmpuint (mp_shareable_list_get_length (list), ==, 7);
  values = mp_shareable_list_dup_values (list, &error);
  g_assert_no_error (error);
  text = g_variant_print (values, FALSE);
  g_assert_cmpstr (text, ==, "[<'text'>, <[byte 0x62, 0x79, 0x74, 0x65, 0x73]>, <int64 7>, <0.25>, <true>, "
                             "<@mv nothing>, <'xxxxxxxxxxxxxxxx'>]");

  set_item (list, 0, g_variant_new_string ("ÄÖÜß"));
  set_item (list, 1, g_variant_new_parsed ("@ay [1, 0, 2]"));
  set_item (list, 2, g_variant_new_string ("12345678"));
  set_item (list, 3, g_variant_new_parsed ("@mv nothing"));
  set_item (list, 4, g_variant_new_int64 (-1));
  set_item (list, 5, g_variant_new_double (0.5));
  set_item (list, 6, g_variant_new_boolean (TRUE));
  peer_assert (&peer, "['ÄÖÜß', b'\\x01\\x00\\x02', '12345678', None, -1, 0.5, True]", "list(l)");

  peer_do (&peer, "l.shm.unlink()");
}

/* What CPython cuts in the middle of a character, or cannot tell from nothing. */
static void
test_list_what_cpython_gets_wrong (void)
{
  g_autoptr(MpShareableList) theirs = NULL;
  g_autoptr(MpShareableList) ours = make_list ("['aäöüßäö']");
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;

  peer_do (&peer, "l = attach_list('%s')", get_name (ours));
  peer_assert (&peer, "'aäöüßäö'", "l[0]");
  peer_do (&peer, "l.shm.close()");
  unlink_memory (mp_shareable_list_get_memory (ours));

  peer_do (&peer, "l = ShareableList(['aäöüßäö', 'a\\0b'], name='peer-wrong')");
  theirs = attach_list ("peer-wrong");
  value = mp_shareable_list_get_item (theirs, 0, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_assert_null (value);
  g_clear_error (&error);
  value = mp_shareable_list_get_item (theirs, 1, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_clear_error (&error);

  g_assert_false (mp_shareable_list_set_item (theirs, 0, g_variant_new_string ("äöüß+"), &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
  g_clear_error (&error);
  set_item (theirs, 0, g_variant_new_string ("äöüß"));
  peer_assert (&peer, "'äöüß'", "l[0]");
  peer_do (&peer, "l.shm.unlink()");
}

/* Memory of CPython that is no list. */
static void
test_list_foreign (void)
{
  g_autoptr(GError) error = NULL;

  peer_do (&peer, "m = SharedMemory('peer-foreign', True, 100); m.buf[:] = b'\\x7f' * 100");
  g_assert_null (mp_shareable_list_attach ("peer-foreign", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  peer_do (&peer, "m.unlink()");
}

int
main (int   argc,
      char *argv[])
{
  int status;

  mp_init ();
  g_test_init (&argc, &argv, NULL);
  peer_start (&peer);

  g_test_add_func ("/interop/memory/ours", test_memory_ours);
  g_test_add_func ("/interop/memory/theirs", test_memory_theirs);
  g_test_add_func ("/interop/list/ours", test_list_ours);
  g_test_add_func ("/interop/list/theirs", test_list_theirs);
  g_test_add_func ("/interop/list/what-cpython-gets-wrong", test_list_what_cpython_gets_wrong);
  g_test_add_func ("/interop/list/foreign", test_list_foreign);

  status = g_test_run ();
  peer_end (&peer);
  return status;
}
