/* test-shareable.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <mp-glib/mp-glib.h>

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/sync/mp-sync-object-private.h"

#include <string.h>
#include <unistd.h>

/* An object of this test: a number, and two descriptors that stand for what a real one would have. */
#define TEST_TYPE_THING (test_thing_get_type ())
G_DECLARE_FINAL_TYPE (TestThing, test_thing, TEST, THING, GObject)

struct _TestThing
{
  GObject parent_instance;
  int     number;
  int     n_fds;
};

static int n_things;

static void test_thing_shareable_init (MpShareableInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (TestThing, test_thing, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, test_thing_shareable_init))

static GVariant *
test_thing_describe (MpShareable  *shareable,
                     GArray       *fds,
                     GError      **error)
{
  TestThing *self = TEST_THING (shareable);
  int i;

  for (i = 0; i < self->n_fds; i++)
    {
      int fd = mp_fd_open_null ();

      g_array_append_val (fds, fd);
    }
  if (self->number < 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "This thing does not travel");
      return NULL;
    }

  return g_variant_ref_sink (g_variant_new_int32 (self->number));
}

static MpShareable *
test_thing_adopt (GVariant  *state,
                  int       *fds,
                  guint      n_fds,
                  GError   **error)
{
  TestThing *self;

  if (!g_variant_is_of_type (state, G_VARIANT_TYPE_INT32))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "No thing");
      return NULL;
    }

  self = g_object_new (TEST_TYPE_THING, NULL);
  self->number = g_variant_get_int32 (state);
  self->n_fds = n_fds;
  return MP_SHAREABLE (self);
}

static void
test_thing_shareable_init (MpShareableInterface *iface)
{
  iface->kind = "test-thing";
  iface->describe = test_thing_describe;
}

static void
test_thing_finalize (GObject *object)
{
  n_things--;
  G_OBJECT_CLASS (test_thing_parent_class)->finalize (object);
}

static void
test_thing_class_init (TestThingClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = test_thing_finalize;
}

static void
test_thing_init (TestThing *self)
{
  n_things++;
}

static TestThing *
test_thing_new (int number,
                int n_fds)
{
  TestThing *self = g_object_new (TEST_TYPE_THING, NULL);

  self->number = number;
  self->n_fds = n_fds;
  return self;
}

/* Through the codec, as to another process. */
static GVariant *
travel (GVariant  *value,
        GError   **error)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new ();
  MpEncoded encoded;
  GVariant *result;
  gsize used = 0;
  guint i, n_fds;
  int *fds;

  if (!mp_value_encode (value, &encoded, error))
    return NULL;

  for (i = 0; i < encoded.n_pieces; i++)
    g_byte_array_append (bytes, encoded.pieces[i].data, encoded.pieces[i].size);
  g_assert_cmpuint (bytes->len, ==, encoded.size);
  n_fds = encoded.fds != NULL ? encoded.fds->len : 0;
  fds = n_fds > 0 ? (int *) (gpointer) encoded.fds->data : NULL;
  result = mp_value_decode (NULL, bytes->data, bytes->len, &used, fds, n_fds, error);
  g_assert_true (result == NULL || used == bytes->len);
  mp_encoded_clear (&encoded);
  return result;
}

static GVariant *
handle_of (gpointer thing)
{
  return mp_shareable_to_variant (MP_SHAREABLE (thing));
}

static void
test_handle (void)
{
  TestThing *thing = test_thing_new (1, 0);
  g_autoptr(GVariant) handle = handle_of (thing);
  g_autoptr(GVariant) same = handle_of (thing);
  g_autoptr(GVariant) boxed = g_variant_ref_sink (g_variant_new_variant (handle));
  g_autoptr(GVariant) number = g_variant_ref_sink (g_variant_new_int32 (1));
  g_autoptr(GError) error = NULL;
  MpShareable *found;

  g_assert_false (g_variant_is_floating (handle));
  g_assert_true (g_variant_equal (handle, same));
  found = mp_shareable_from_variant (handle, &error);
  g_assert_no_error (error);
  g_assert_true (TEST_THING (found) == thing);
  g_object_unref (found);
  found = mp_shareable_from_variant (boxed, &error);
  g_assert_true (TEST_THING (found) == thing);
  g_object_unref (found);

  g_assert_null (mp_shareable_from_variant (number, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE);
  g_clear_error (&error);

  /* It stands for the object only while that lives. */
  g_assert_finalize_object (thing);
  g_assert_null (mp_shareable_from_variant (handle, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_true (g_str_has_prefix (error->message, "Cannot get an object: the handle "));
  g_clear_error (&error);
  g_assert_null (travel (handle, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_true (g_str_has_prefix (error->message, "Cannot send a value: the handle "));
}

static void
test_travel (void)
{
  g_autoptr(TestThing) one = test_thing_new (1, 2);
  g_autoptr(TestThing) two = test_thing_new (2, 0);
  g_autoptr(GVariant) handle_one = handle_of (one);
  g_autoptr(GVariant) handle_two = handle_of (two);
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GVariant) arrived = NULL;
  g_autoptr(GVariant) part = NULL;
  g_autoptr(GVariant) box = NULL;
  g_autoptr(GError) error = NULL;
  MpShareable *a, *b, *c;

  value = g_variant_new ("(sv@ah@h)", "things", handle_one,
                         g_variant_new_parsed ("[%@h, %@h]", handle_two, handle_one), handle_two);
  g_variant_ref_sink (value);
  arrived = travel (value, &error);
  g_assert_no_error (error);
  g_assert_cmpint (n_things, ==, 4);   /* each once, however often it is mentioned */

  g_variant_get_child (arrived, 1, "v", &box);
  a = mp_shareable_from_variant (box, NULL);
  g_assert_cmpint (TEST_THING (a)->number, ==, 1);
  g_assert_cmpint (TEST_THING (a)->n_fds, ==, 2);
  g_assert_true (TEST_THING (a) != one);
  g_object_unref (a);

  /* They live as long as any part of the value does. */
  part = g_variant_get_child_value (arrived, 2);
  g_clear_pointer (&arrived, g_variant_unref);
  g_clear_pointer (&box, g_variant_unref);
  g_assert_cmpint (n_things, ==, 4);
  box = g_variant_get_child_value (part, 0);
  b = mp_shareable_from_variant (box, NULL);
  g_assert_cmpint (TEST_THING (b)->number, ==, 2);
  g_clear_pointer (&part, g_variant_unref);
  g_clear_pointer (&box, g_variant_unref);
  g_assert_cmpint (n_things, ==, 3);

  /* What arrived can travel on. */
  part = handle_of (b);
  arrived = travel (part, &error);
  g_assert_no_error (error);
  c = mp_shareable_from_variant (arrived, NULL);
  g_assert_cmpint (TEST_THING (c)->number, ==, 2);
  g_assert_true (c != b);
  g_object_unref (c);
  g_object_unref (b);
}

static void
test_refused (void)
{
  g_autoptr(TestThing) good = test_thing_new (1, 3);
  g_autoptr(TestThing) bad = test_thing_new (-1, 2);
  g_autoptr(TestThing) greedy = test_thing_new (3, MP_MAX_FDS + 1);
  GVariant *handles[3] = { NULL };
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  int before = mp_fd_open_null (), after;
  guint i;

  handles[0] = handle_of (good);
  handles[1] = handle_of (bad);
  value = g_variant_ref_sink (g_variant_new_array (NULL, handles, 2));
  g_assert_null (travel (value, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_clear_error (&error);

  handles[2] = handle_of (greedy);
  if (sysconf (_SC_OPEN_MAX) > MP_MAX_FDS + 100)
    {
      g_assert_null (travel (handles[2], &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_TOO_LARGE);
      g_clear_error (&error);
    }

  /* The duplicates that had been made are closed. */
  after = mp_fd_open_null ();
  g_assert_cmpint (after, ==, before + 1);
  close (after);
  close (before);
  for (i = 0; i < G_N_ELEMENTS (handles); i++)
    g_variant_unref (handles[i]);
}

/* An encoded value with one handle, of which a part is changed. */
static void
check_forged (gsize       offset,
              const char *bytes,
              gsize       n_bytes,
              guint       n_fds)
{
  g_autoptr(TestThing) thing = test_thing_new (1, 1);
  g_autoptr(GVariant) handle = handle_of (thing);
  g_autoptr(GByteArray) data = g_byte_array_new ();
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  MpEncoded encoded;
  gsize used;
  guint i;

  g_assert_true (mp_value_encode (handle, &encoded, NULL));
  for (i = 0; i < encoded.n_pieces; i++)
    g_byte_array_append (data, encoded.pieces[i].data, encoded.pieces[i].size);
  memcpy (data->data + offset, bytes, n_bytes);
  value = mp_value_decode (NULL, data->data, data->len, &used, (int *) (gpointer) encoded.fds->data, n_fds, &error);
  mp_encoded_clear (&encoded);
  g_assert_null (value);
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpint (n_things, ==, 1);
}

static void
test_forged (void)
{
  /* Head 16, type 8, body 8, length of the table 8, then the table, which begins with the kind. */
  check_forged (24, "\1\0\0\0", 4, 1);      /* a handle beyond the table */
  check_forged (24, "\377\377\377\377", 4, 1);
  check_forged (4, "\2\0\0\0", 4, 1);       /* more objects than there are in the table */
  check_forged (32, "\377", 1, 1);          /* the table's length */
  check_forged (40, "test-think", 10, 1);   /* a kind that nobody knows */
  check_forged (0, "", 0, 0);               /* no descriptor beside it */
}

static void
check_within_refused (const char *described,
                      guint       n_fds)
{
  g_autoptr(GVariant) entry = g_variant_ref_sink (g_variant_new_parsed (described));
  g_autoptr(GError) error = NULL;
  guint used = 0;

  g_assert_null (mp_shareable_adopt_within (entry, NULL, n_fds, &used, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpint (n_things, ==, 0);
}

/* Objects inside of another one's state. */
static void
test_within (void)
{
  g_autoptr(TestThing) thing = test_thing_new (7, 2);
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(MpLock) other = mp_lock_new ();
  MpShareable *inner[] = { MP_SHAREABLE (lock), MP_SHAREABLE (thing), MP_SHAREABLE (other) };
  const guint n_own[] = { 1, 2, 0 };   /* the locks lie in the same memory */
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  GVariant *entries[3];
  MpShareable *arrived[3];
  guint at = 0;

  for (guint i = 0; i < G_N_ELEMENTS (inner); i++)
    {
      entries[i] = mp_shareable_describe_within (inner[i], fds, &error);
      g_assert_no_error (error);
      g_assert_false (g_variant_is_floating (entries[i]));
    }
  g_assert_cmpuint (fds->len, ==, 3);
  for (guint i = 0; i < G_N_ELEMENTS (inner); i++)
    {
      guint used = 99;

      arrived[i] = mp_shareable_adopt_within (entries[i], (int *) (gpointer) fds->data + at, fds->len - at, &used, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (used, ==, n_own[i]);
      g_assert_true (G_OBJECT_TYPE (arrived[i]) == G_OBJECT_TYPE (inner[i]) && arrived[i] != inner[i]);
      g_variant_unref (entries[i]);
      at += used;
    }
  g_assert_cmpint (TEST_THING (arrived[1])->number, ==, 7);
  g_assert_true (mp_lock_try_acquire (MP_LOCK (arrived[2])));
  g_assert_true (mp_lock_is_locked (other) && !mp_lock_is_locked (lock));

  for (guint i = 0; i < G_N_ELEMENTS (inner); i++)
    g_object_unref (arrived[i]);
  for (guint i = 0; i < fds->len; i++)
    if (g_array_index (fds, int, i) >= 0)
      close (g_array_index (fds, int, i));
}

static void
test_within_refused (void)
{
  g_autoptr(TestThing) bad = test_thing_new (-1, 0);
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_shareable_describe_within (MP_SHAREABLE (bad), fds, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_clear_object (&bad);

  check_within_refused ("('test-thing', <1>)", 0);
  check_within_refused ("('test-think', uint32 0, <1>)", 0);
  check_within_refused ("('test-thing', uint32 1, <1>)", 0);
  check_within_refused ("('test-thing', uint32 0, <'one'>)", 0);
}

static gpointer
handle_thread (gpointer data)
{
  g_autoptr(GVariant) handle = mp_shareable_to_variant (data);

  return GINT_TO_POINTER (g_variant_get_handle (handle));
}

static void
test_threads (void)
{
  TestThing *thing = test_thing_new (1, 0);
  GThread *threads[4];
  gpointer number, other;
  guint i;

  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("handle", handle_thread, thing);
  number = g_thread_join (threads[0]);
  for (i = 1; i < G_N_ELEMENTS (threads); i++)
    {
      other = g_thread_join (threads[i]);
      g_assert_true (other == number);
    }
  g_assert_finalize_object (thing);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_shareable_register_kind ("test-thing", test_thing_adopt);
  mp_sync_ensure_kinds ();

  g_test_add_func ("/shareable/handle", test_handle);
  g_test_add_func ("/shareable/travel", test_travel);
  g_test_add_func ("/shareable/refused", test_refused);
  g_test_add_func ("/shareable/forged", test_forged);
  g_test_add_func ("/shareable/within", test_within);
  g_test_add_func ("/shareable/within-refused", test_within_refused);
  g_test_add_func ("/shareable/threads", test_threads);

  return g_test_run ();
}
