/* test-pool-models.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "items-test.h"

/* Lists as input. */

/* What stands for a GtkStringObject, or for an object with a value. */
#define TEST_TYPE_ITEM (test_item_get_type ())
G_DECLARE_FINAL_TYPE (TestItem, test_item, TEST, ITEM, GObject)

struct _TestItem
{
  GObject   parent_instance;
  char     *string;
  GVariant *variant;
};

G_DEFINE_FINAL_TYPE (TestItem, test_item, G_TYPE_OBJECT)

enum { PROP_0, PROP_STRING, PROP_VARIANT };

static void
test_item_set_property (GObject *object, guint prop_id, const GValue *value, GParamSpec *pspec)
{
  if (prop_id == PROP_STRING)
    TEST_ITEM (object)->string = g_value_dup_string (value);
  else
    TEST_ITEM (object)->variant = g_value_dup_variant (value);
}

static void
test_item_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  if (prop_id == PROP_STRING)
    g_value_set_string (value, TEST_ITEM (object)->string);
  else
    g_value_set_variant (value, TEST_ITEM (object)->variant);
}

static void
test_item_finalize (GObject *object)
{
  g_free (TEST_ITEM (object)->string);
  g_clear_pointer (&TEST_ITEM (object)->variant, g_variant_unref);
  G_OBJECT_CLASS (test_item_parent_class)->finalize (object);
}

static void
test_item_class_init (TestItemClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = test_item_set_property;
  object_class->get_property = test_item_get_property;
  object_class->finalize = test_item_finalize;
  g_object_class_install_property (object_class, PROP_STRING,
                                   g_param_spec_string ("string", NULL, NULL, NULL, G_PARAM_READWRITE));
  g_object_class_install_property (object_class, PROP_VARIANT,
                                   g_param_spec_variant ("variant", NULL, NULL, G_VARIANT_TYPE_ANY, NULL, G_PARAM_READWRITE));
}

static void
test_item_init (TestItem *self)
{
}

static void
add_text (GListStore *store, const char *text)
{
  g_autoptr(GObject) item = g_object_new (TEST_TYPE_ITEM, "string", text, NULL);

  g_list_store_append (store, item);
}

static TestItem *
number_new (int x)
{
  return g_object_new (TEST_TYPE_ITEM, "variant", g_variant_new_int32 (x), NULL);
}

static void
insert_number (GListStore *store, guint position, int x)
{
  g_autoptr(TestItem) item = number_new (x);

  g_list_store_insert (store, position, item);
}

static GListStore *
numbers_new (int n)
{
  GListStore *store = g_list_store_new (TEST_TYPE_ITEM);

  for (int i = 0; i < n; i++)
    insert_number (store, i, i);
  return store;
}

static MpResultIter *
iterate_list (MpPool *pool, const char *function, GListStore *store, guint chunk_size)
{
  return iterate (pool, function, mp_items_new_for_model (G_LIST_MODEL (store), NULL, NULL, NULL), chunk_size, TRUE);
}

static void
test_values (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GListStore) texts = g_list_store_new (TEST_TYPE_ITEM);
  g_autoptr(GListStore) numbers = numbers_new (1000);
  g_autoptr(GListStore) empty = g_list_store_new (TEST_TYPE_ITEM);

  add_text (texts, "eins");
  add_text (texts, "");
  add_text (texts, "drei – 3");
  for (guint chunk_size = 0; chunk_size < 5; chunk_size++)
    {
      g_autoptr(MpItems) items = mp_items_new_for_model (G_LIST_MODEL (texts), NULL, NULL, NULL);
      g_autoptr(MpItems) others = mp_items_new_for_model (G_LIST_MODEL (numbers), NULL, NULL, NULL);
      g_autoptr(GVariant) expected = g_variant_new_parsed ("['eins', '', 'drei – 3']");
      g_autoptr(MpResultIter) nothing = iterate_list (pool, MP_FUNCTION (echo), empty, chunk_size);
      g_autoptr(GVariant) result = NULL, squares = NULL;
      g_autoptr(GError) error = NULL;

      result = mp_pool_map_with (pool, MP_FUNCTION (echo), items, chunk_size, NULL, LONG, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpvariant (result, expected);
      squares = mp_pool_map_with (pool, MP_FUNCTION (square), others, chunk_size, NULL, LONG, NULL, &error);
      g_assert_no_error (error);
      check_squares (squares, 1000);
      expect_end (nothing);
    }
  finish (pool);
}

static GVariant *
double_number (GObject *item, gpointer user_data, GError **error)
{
  int x = g_variant_get_int32 (TEST_ITEM (item)->variant);

  if (x == *(int *) user_data)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED_HANDLED, "not %d", x);
      return NULL;
    }
  if (x == *(int *) user_data + 1)
    return NULL;
  return g_variant_new_int32 (2 * x);
}

static void
freed (gpointer data)
{
  *(int *) data = -1;
}

static void
test_convert (void)
{
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GListStore) numbers = numbers_new (100);

  for (int bad = 60; bad < 62; bad++)
    {
      int at = bad == 60 ? 60 : 59;
      g_autoptr(MpResultIter) iter = NULL;

      /* Once an error of its own, once nothing at all. */
      if (bad == 61)
        g_list_store_remove (numbers, 59);
      iter = iterate (pool, MP_FUNCTION (echo),
                      mp_items_new_for_model (G_LIST_MODEL (numbers), double_number, &at, freed), 7, TRUE);
      for (int x = 0; x < 60 - (bad == 61); x++)
        g_assert_cmpint (next_int (iter), ==, 2 * x);
      expect_error (iter, G_IO_ERROR, bad == 60 ? G_IO_ERROR_FAILED_HANDLED : G_IO_ERROR_INVALID_ARGUMENT,
                    bad == 60 ? "not 60" : "gave nothing");
      expect_end (iter);
      g_assert_cmpint (at, ==, -1);
    }
  finish (pool);
}

/* An object that says nothing of itself. */
static void
test_unknown (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GListStore) store = g_list_store_new (G_TYPE_OBJECT);
  g_autoptr(GObject) first = g_object_new (TEST_TYPE_ITEM, "string", "a", NULL);
  g_autoptr(GCancellable) second = g_cancellable_new ();
  g_autoptr(MpResultIter) iter = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = NULL;

  g_list_store_append (store, first);
  g_list_store_append (store, second);
  iter = iterate_list (pool, MP_FUNCTION (echo), store, 1);
  value = mp_result_iter_next (iter, LONG, NULL, &error);
  g_assert_no_error (error);
  expect_error (iter, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "GCancellable");
  expect_end (iter);
  finish (pool);
}

/* Objects that travel. */

static GVariant *
greet (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GObject) near = G_OBJECT (mp_shareable_from_variant (args, error));

  if (near == NULL ||
      !mp_connection_send (MP_CONNECTION (near), g_variant_new_int32 (getpid ()), LONG, NULL, error))
    return NULL;
  return g_variant_new_int32 (getpid ());
}

static GVariant *
make_handle (gpointer user_data, GError **error)
{
  GPtrArray *fars = user_data;
  g_autoptr(MpConnection) near = NULL;
  MpConnection *far = NULL;

  if (fars->len == 5)
    return NULL;
  if (!mp_pipe_new (TRUE, &near, &far, error))
    return NULL;
  g_ptr_array_add (fars, far);
  /* The near end is held by the worker alone, once it is there. */
  g_object_set_data_full (G_OBJECT (far), "near", g_object_ref (near), g_object_unref);
  return mp_shareable_to_variant (MP_SHAREABLE (near));
}

static void
test_objects (void)
{
  for (guint chunk_size = 1; chunk_size < 7; chunk_size += 2)
    {
      MpPool *pool = mp_pool_new (2);
      g_autoptr(GListStore) store = g_list_store_new (MP_TYPE_CONNECTION);
      g_autoptr(GPtrArray) fars = g_ptr_array_new_with_free_func (g_object_unref);
      g_autoptr(MpResultIter) iter = NULL;

      for (int i = 0; i < 5; i++)
        {
          g_autoptr(MpConnection) near = NULL;
          MpConnection *far = NULL;
          g_autoptr(GError) error = NULL;

          mp_pipe_new (TRUE, &near, &far, &error);
          g_assert_no_error (error);
          g_list_store_append (store, near);
          g_ptr_array_add (fars, far);
        }
      iter = iterate_list (pool, MP_FUNCTION (greet), store, chunk_size);
      for (guint i = 0; i < 5; i++)
        {
          int pid = next_int (iter);
          g_autoptr(GVariant) word = mp_connection_recv (g_ptr_array_index (fars, i), LONG, NULL, NULL);

          g_assert_cmpint (g_variant_get_int32 (word), ==, pid);
        }
      expect_end (iter);

      /* From a function: they need not live longer than until the next is asked for. */
      g_ptr_array_set_size (fars, 0);
      g_clear_object (&iter);
      iter = iterate (pool, MP_FUNCTION (greet), mp_items_new_for_func (make_handle, fars, NULL), chunk_size, TRUE);
      for (guint i = 0; i < 5; i++)
        {
          int pid = next_int (iter);
          g_autoptr(GVariant) word = mp_connection_recv (g_ptr_array_index (fars, i), LONG, NULL, NULL);

          g_assert_cmpint (g_variant_get_int32 (word), ==, pid);
        }
      expect_end (iter);
      g_clear_object (&iter);
      finish (pool);
    }
}

/* A list that changes while it is read. What is read is told by a converter: only then is the place known. */

typedef struct
{
  GListStore *store;
  int         n_read;
  int         change_at, change;
} Changing;

enum { APPEND, PREPEND, REMOVE_READ, REMOVE_NEXT, CLEAR, REPLACE_ALL, SORT, N_CHANGES };

static int
compare_down (gconstpointer a, gconstpointer b, gpointer data)
{
  return g_variant_get_int32 (((const TestItem *) b)->variant) - g_variant_get_int32 (((const TestItem *) a)->variant);
}

static void
change_list (Changing *self)
{
  gpointer items[5] = { NULL };

  switch (self->change)
    {
    case APPEND:
      insert_number (self->store, g_list_model_get_n_items (G_LIST_MODEL (self->store)), 1000);
      break;
    case PREPEND:
      insert_number (self->store, 0, 1000);
      break;
    case REMOVE_READ:
      g_list_store_remove (self->store, 0);
      break;
    case REMOVE_NEXT:
      g_list_store_remove (self->store, self->n_read);
      break;
    case CLEAR:
      g_list_store_remove_all (self->store);
      break;
    case REPLACE_ALL:
      for (int i = 0; i < 5; i++)
        items[i] = number_new (2000 + i);
      g_list_store_splice (self->store, 0, g_list_model_get_n_items (G_LIST_MODEL (self->store)), items, 5);
      for (int i = 0; i < 5; i++)
        g_object_unref (items[i]);
      break;
    default:
      g_list_store_sort (self->store, compare_down, NULL);
    }
}

static GVariant *
read_changing (GObject *item, gpointer user_data, GError **error)
{
  Changing *self = user_data;
  GVariant *value = g_variant_ref (TEST_ITEM (item)->variant);

  if (++self->n_read == self->change_at)
    change_list (self);
  return value;
}

static char *
read_with_change (MpPool *pool, int change, int at)
{
  g_autoptr(GListStore) store = numbers_new (8);
  Changing state = { store, 0, at, change };
  g_autoptr(MpItems) items = mp_items_new_for_model (G_LIST_MODEL (store), read_changing, &state, NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) result = mp_pool_map_with (pool, MP_FUNCTION (echo), items, 2, NULL, LONG, NULL, &error);

  g_assert_no_error (error);
  return g_variant_print (result, FALSE);
}

static void
test_changes (void)
{
  static const char *const expected[N_CHANGES] = {
    [APPEND] = "[0, 1, 2, 3, 4, 5, 6, 7, 1000]",
    [PREPEND] = "[0, 1, 2, 3, 4, 5, 6, 7]",
    [REMOVE_READ] = "[0, 1, 2, 3, 4, 5, 6, 7]",
    [REMOVE_NEXT] = "[0, 1, 2, 4, 5, 6, 7]",
    [CLEAR] = "[0, 1, 2]",
    [REPLACE_ALL] = "[0, 1, 2, 2003, 2004]",
    [SORT] = "[0, 1, 2, 4, 3, 2, 1, 0]",
  };
  MpPool *pool = mp_pool_new (2);

  for (int change = 0; change < N_CHANGES; change++)
    {
      g_autofree char *text = read_with_change (pool, change, 3);

      g_assert_cmpstr (text, ==, expected[change]);
    }
  finish (pool);
}

/* The end of the list is final, and it is let go of. */
static void
test_let_go (void)
{
  MpPool *pool = mp_pool_new (1);
  GListStore *store = numbers_new (10);
  g_autoptr(MpItems) items = mp_items_new_for_model (G_LIST_MODEL (store), NULL, NULL, NULL);
  g_autoptr(MpResultIter) iter = iterate (pool, MP_FUNCTION (square), g_object_ref (items), 1, TRUE);
  g_autoptr(MpResultIter) unread = NULL;

  for (int x = 0; x < 10; x++)
    g_assert_cmpint (next_int (iter), ==, x * x);
  expect_end (iter);
  insert_number (store, 10, 10);
  expect_end (iter);
  g_clear_object (&items);

  unread = iterate_list (pool, MP_FUNCTION (square), store, 1);
  g_assert_cmpint (next_int (unread), ==, 0);
  g_clear_object (&unread);
  finish (pool);
  g_assert_finalize_object (store);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-models/values", test_values);
  g_test_add_func ("/pool-models/convert", test_convert);
  g_test_add_func ("/pool-models/unknown", test_unknown);
  g_test_add_func ("/pool-models/objects", test_objects);
  g_test_add_func ("/pool-models/changes", test_changes);
  g_test_add_func ("/pool-models/let-go", test_let_go);

  return g_test_run ();
}
