/* test-memory-travel.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"
#include "memory-test.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-memory-file-private.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

/* Values and arrays that go to other processes, and come back. */

static gpointer
object_of (GVariant *handle,
           GType     type)
{
  g_autoptr(GError) error = NULL;
  MpShareable *object = mp_shareable_from_variant (handle, &error);

  g_assert_no_error (error);
  g_assert_true (G_TYPE_CHECK_INSTANCE_TYPE (object, type));
  return object;
}

static gpointer
object_at (GVariant *args,
           gsize     i,
           GType     type)
{
  g_autoptr(GVariant) handle = g_variant_get_child_value (args, i);

  return object_of (handle, type);
}

static GVariant *
handle_of (gpointer object)
{
  return mp_shareable_to_variant (MP_SHAREABLE (object));
}

static gpointer
lock_of (gpointer object)
{
  return mp_typed_memory_get_lock (MP_TYPED_MEMORY (object));
}

/* The same memory, and the same lock. */
static void
check_same (gpointer a,
            gpointer b)
{
  MpTypedMemory *first = a;
  MpTypedMemory *second = b;
  guint8 *data = mp_typed_memory_get_data (first, NULL);
  guint8 *same = mp_typed_memory_get_data (second, NULL);
  guint8 before = data[0];

  g_assert_cmpstr (mp_typed_memory_get_type_string (first), ==, mp_typed_memory_get_type_string (second));
  g_assert_cmpstr (mp_typed_memory_get_format (first), ==, mp_typed_memory_get_format (second));
  g_assert_cmpuint (mp_typed_memory_get_item_size (first), ==, mp_typed_memory_get_item_size (second));
  g_assert_true (mp_shareable_get_isolated (a) == mp_shareable_get_isolated (b));
  data[0] = before ^ 0x55;
  g_assert_cmpuint (same[0], ==, before ^ 0x55);
  same[0] = before;
  g_assert_cmpuint (data[0], ==, before);

  g_assert_true ((lock_of (a) == NULL) == (lock_of (b) == NULL));
  if (lock_of (a) == NULL)
    return;
  g_assert_true (MP_IS_RLOCK (lock_of (a)) == MP_IS_RLOCK (lock_of (b)));
  if (MP_IS_RLOCK (lock_of (a)))
    {
      g_assert_true (mp_rlock_try_acquire (lock_of (a)));
      g_assert_true (mp_rlock_is_locked (lock_of (b)));
      g_assert_true (mp_rlock_release (lock_of (a), NULL));
      g_assert_false (mp_rlock_is_locked (lock_of (b)));
    }
  else
    {
      g_assert_true (mp_lock_try_acquire (lock_of (a)));
      g_assert_false (mp_lock_try_acquire (lock_of (b)));
      g_assert_true (mp_lock_release (lock_of (b), NULL));
    }
}

/* Adds, by the atomic way to the value, under its lock to the array. */
static GVariant *
add_to_both (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpValue) value = object_at (args, 0, MP_TYPE_VALUE);
  g_autoptr(MpArray) array = object_at (args, 1, MP_TYPE_ARRAY);

  for (guint i = 0; i < 1000; i++)
    {
      g_autoptr(MpRLockLocker) locker = mp_rlock_locker_new (MP_RLOCK (lock_of (array)), error);
      double *numbers = mp_typed_memory_get_data (MP_TYPED_MEMORY (array), NULL);

      g_assert_nonnull (locker);
      numbers[i % mp_array_get_length (array)] += 0.5;
      mp_value_add_int (value, 1, error);
    }
  return g_variant_new_int32 (getpid ());
}

static GVariant *
both (MpValue *value,
      MpArray *array)
{
  g_autoptr(GVariant) first = handle_of (value);
  g_autoptr(GVariant) second = handle_of (array);

  return g_variant_new ("(@h@h)", first, second);
}

static void
check_sums (MpValue *value,
            MpArray *array,
            guint    n)
{
  const double *numbers = mp_typed_memory_get_data (MP_TYPED_MEMORY (array), NULL);
  double sum = 0;

  for (gsize i = 0; i < mp_array_get_length (array); i++)
    sum += numbers[i];
  g_assert_cmpfloat (sum, ==, n * 500);
  g_assert_cmpint (mp_value_get_int (value, NULL), ==, n * 1000);
}

static void
test_pool (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) value = mp_value_new (G_VARIANT_TYPE_INT64, NULL, &error);
  g_autoptr(MpArray) array = mp_array_new (G_VARIANT_TYPE_DOUBLE, 7, &error);
  MpPool *pool = mp_pool_new (3);
  MpFuture *futures[12];

  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    futures[i] = submit (pool, MP_FUNCTION (add_to_both), both (value, array));
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    {
      get_int (futures[i]);
      g_object_unref (futures[i]);
    }
  check_sums (value, array, G_N_ELEMENTS (futures));
  finish (pool);
}

static void
test_process (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) value = mp_value_new (G_VARIANT_TYPE_INT64, NULL, &error);
  g_autoptr(MpArray) array = mp_array_new (G_VARIANT_TYPE_DOUBLE, 7, &error);
  g_autoptr(MpProcess) process = mp_process_new (MP_FUNCTION (add_to_both), both (value, array));

  g_assert_true (mp_process_start (process, LONG, NULL, &error));
  g_assert_true (mp_process_join (process, LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
  check_sums (value, array, 1);
}

/* All kinds of them at once, through a connection. */
static void
check_pipe (gpointer *objects,
            gsize     n)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;
  g_autoptr(GPtrArray) handles = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  g_autoptr(GVariant) message = NULL;
  g_autoptr(GError) error = NULL;

  for (gsize i = 0; i < n; i++)
    g_ptr_array_add (handles, handle_of (objects[i]));
  mp_pipe_new (TRUE, &first, &second, &error);
  g_assert_no_error (error);
  mp_connection_send (first, g_variant_new_array (NULL, (GVariant **) handles->pdata, n), LONG, NULL, &error);
  g_assert_no_error (error);
  message = mp_connection_recv (second, LONG, NULL, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < n; i++)
    {
      g_autoptr(GObject) same = object_at (message, i, G_OBJECT_TYPE (objects[i]));

      check_same (objects[i], same);
    }
}

static void
test_pipe (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(MpRLock) isolated = g_object_new (MP_TYPE_RLOCK, "isolated", TRUE, NULL);
  const GVariantType *large = G_VARIANT_TYPE ("(dddddd)");
  gpointer objects[] = {
    mp_value_new (G_VARIANT_TYPE_BYTE, NULL, &error),
    mp_value_new (large, NULL, &error),
    mp_array_new (G_VARIANT_TYPE ("(id)"), 1000, &error),
    mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, MP_SHAREABLE (lock), FALSE, &error),
    mp_array_new_full (G_VARIANT_TYPE_INT32, 1, MP_SHAREABLE (lock), &error),
    mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, NULL, FALSE, &error),
    mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, NULL, TRUE, &error),
    mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, MP_SHAREABLE (isolated), TRUE, &error),
    mp_value_new_full (large, NULL, MP_SHAREABLE (isolated), TRUE, &error),
    mp_array_new_full (G_VARIANT_TYPE_INT32, 3, NULL, &error),
    mp_array_new_full (G_VARIANT_TYPE_INT32, 3, MP_SHAREABLE (isolated), &error),
    g_object_new (MP_TYPE_ARRAY, "type-string", "y", "n-items", G_GUINT64_CONSTANT (3), "format", "c", NULL),
  };

  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (objects); i++)
    check_pipe (&objects[i], 1);
  check_pipe (objects, G_N_ELEMENTS (objects));
  for (gsize i = 0; i < G_N_ELEMENTS (objects); i++)
    g_assert_finalize_object (G_OBJECT (objects[i]));
}

/* Values need no descriptors of their own. */
static void
test_many (void)
{
  gpointer objects[2000];
  g_autoptr(GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (objects); i++)
    objects[i] = mp_value_new (G_VARIANT_TYPE_DOUBLE, NULL, &error);
  g_assert_no_error (error);
  check_pipe (objects, G_N_ELEMENTS (objects));
  for (gsize i = 0; i < G_N_ELEMENTS (objects); i++)
    g_object_unref (objects[i]);
}

static GVariant *
make_both (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpValue) value = mp_value_new (G_VARIANT_TYPE_INT32, g_variant_new_int32 (7), error);
  g_autoptr(MpArray) array = mp_array_new (G_VARIANT_TYPE_BYTE, 100000, error);

  if (value == NULL || array == NULL || !mp_array_set_int (array, 99999, 8, error) ||
      !mp_rlock_acquire (MP_RLOCK (lock_of (array)), LONG, NULL, error))
    return NULL;
  return both (value, array);
}

static GVariant *
die (GVariant *args, gpointer user_data, GError **error)
{
  raise (SIGKILL);
  return NULL;
}

/* Their maker has been killed, with the lock of one of them. */
static void
test_orphans (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (make_both), g_variant_new_int32 (0));
  g_autoptr(MpValue) value = object_at (result, 0, MP_TYPE_VALUE);
  g_autoptr(MpArray) array = object_at (result, 1, MP_TYPE_ARRAY);
  g_autoptr(GVariant) back = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_rlock_try_acquire (lock_of (array)));
  g_assert_null (mp_pool_apply (pool, MP_FUNCTION (die), g_variant_new_int32 (0), LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  g_clear_error (&error);
  g_assert_cmpint (mp_value_add_int (value, 1, &error), ==, 7);
  g_assert_cmpint (mp_array_get_int (array, 99999, &error), ==, 8);
  g_assert_true (mp_rlock_acquire (lock_of (array), LONG, NULL, &error));
  g_assert_true (mp_rlock_is_abandoned (lock_of (array)));
  g_assert_true (mp_rlock_release (lock_of (array), NULL));

  /* They can still travel. */
  back = apply (pool, MP_FUNCTION (echo), both (value, array));
  {
    g_autoptr(MpValue) same_value = object_at (back, 0, MP_TYPE_VALUE);
    g_autoptr(MpArray) same_array = object_at (back, 1, MP_TYPE_ARRAY);

    check_same (value, same_value);
    check_same (array, same_array);
  }
  finish (pool);
}

/* Forgeries. */

typedef struct
{
  const char *kind;
  guint32     n_own;
  const char *type;
  guint64     n;
  const char *format;
  GVariant   *place;
  GVariant   *lock;
  int         fds[3];
  guint       n_fds;
} Forgery;

static MpShareable *
adopt (const Forgery  *forgery,
       GError        **error)
{
  g_autoptr(GVariant) state = g_variant_ref_sink (g_variant_new ("(ustsvv)", forgery->n_own, forgery->type, forgery->n,
                                                                 forgery->format, forgery->place, forgery->lock));
  MpShareable *object = NULL;
  int fds[3];

  for (guint i = 0; i < forgery->n_fds; i++)
    fds[i] = mp_fd_dup (forgery->fds[i]);
  object = mp_shareable_find_kind (forgery->kind) (state, fds, forgery->n_fds, error);
  for (guint i = 0; i < forgery->n_fds; i++)
    mp_fd_close (&fds[i]);
  return object;
}

static void
refuse (Forgery forgery)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (adopt (&forgery, &error));
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
}

#define FORGED(field, wrong) G_STMT_START { Forgery forged = good; forged.field = wrong; refuse (forged); } G_STMT_END

static Forgery
describe (gpointer    object,
          const char *kind)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) state = MP_SHAREABLE_GET_IFACE (object)->describe (object, fds, &error);
  Forgery forgery = { .kind = kind };

  g_assert_no_error (error);
  g_assert_cmpuint (fds->len, <=, 3);
  g_variant_get (state, "(u&st&svv)", &forgery.n_own, NULL, &forgery.n, NULL, &forgery.place, &forgery.lock);
  forgery.type = mp_typed_memory_get_type_string (MP_TYPED_MEMORY (object));
  forgery.format = "";
  forgery.n_fds = fds->len;
  for (guint i = 0; i < fds->len; i++)
    forgery.fds[i] = g_array_index (fds, int, i);
  return forgery;
}

static void
forgery_clear (Forgery *forgery)
{
  g_variant_unref (forgery->place);
  g_variant_unref (forgery->lock);
  for (guint i = 0; i < forgery->n_fds; i++)
    mp_fd_close (&forgery->fds[i]);
}

static GVariant *
describe_alone (gpointer object)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  GVariant *within = mp_shareable_describe_within (object, fds, NULL);

  for (guint i = 0; i < fds->len; i++)
    mp_fd_close (&g_array_index (fds, int, i));
  return within;
}

/* Another file instead of the array's. */
static void
refuse_file (Forgery good,
             int     fd)
{
  g_assert_cmpint (fd, >=, 0);
  FORGED (fds[0], fd);
  mp_fd_close (&fd);
}

static int
make_file (gsize size,
           guint seals)
{
  int fd = memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (ftruncate (fd, size), ==, 0);
  g_assert_cmpint (fcntl (fd, F_ADD_SEALS, seals), ==, 0);
  return fd;
}

static void
refuse_both (Forgery good)
{
  g_autofree char *many = g_strnfill (5000, 'y');
  g_autofree char *too_long = g_strdup_printf ("(%s)", many);
  g_autofree char *note = g_strnfill (300, 'n');
  g_autoptr(MpSemaphore) semaphore = mp_semaphore_new (1);
  g_autoptr(GVariant) no_lock = describe_alone (semaphore);
  g_autoptr(GVariant) text = g_variant_ref_sink (g_variant_new_string ("lock"));
  g_autoptr(GError) error = NULL;
  g_autoptr(MpShareable) same = adopt (&good, &error);

  g_assert_no_error (error);
  g_assert_nonnull (same);
  FORGED (type, "s");
  FORGED (type, "ii");
  FORGED (type, "");
  FORGED (type, "h");
  FORGED (type, too_long);
  FORGED (type, "(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)");
  FORGED (n, 0);
  FORGED (n, good.n + 1);
  FORGED (n, G_MAXUINT64);
  FORGED (n, G_MAXUINT64 / 4);
  FORGED (n_own, good.n_fds + 1);
  FORGED (n_own, G_MAXUINT32);
  FORGED (format, note);
  FORGED (place, text);
  FORGED (lock, text);
  FORGED (lock, no_lock);
}

static void
test_forged_array (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpArray) array = mp_array_new (G_VARIANT_TYPE_INT32, 100, &error);
  Forgery good = describe (array, "array");
  int pair[2];

  refuse_both (good);
  FORGED (n, 99);
  FORGED (n, 101);
  FORGED (type, "y");
  FORGED (n_own, 0);
  refuse_file (good, make_file (400, 0));
  refuse_file (good, make_file (400, F_SEAL_GROW));
  refuse_file (good, make_file (399, F_SEAL_SHRINK));
  refuse_file (good, make_file (4000, F_SEAL_SHRINK));
  refuse_file (good, make_file (400, F_SEAL_SHRINK | F_SEAL_WRITE));
  refuse_file (good, mp_fd_open_null ());
  refuse_file (good, open (g_get_tmp_dir (), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  g_assert_cmpint (mp_fd_pipe (pair), ==, 0);
  refuse_file (good, pair[0]);
  mp_fd_close (&pair[1]);
  /* The maker need not have reserved it. */
  {
    Forgery sparse = good;
    g_autoptr(MpShareable) adopted = NULL;
    int fd = make_file (400, F_SEAL_SHRINK);

    sparse.fds[0] = fd;
    adopted = adopt (&sparse, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (mp_memory_file_get_reserved (fd), >, 0);
    g_assert_true (mp_array_set_int (MP_ARRAY (adopted), 99, 1, &error));
    mp_fd_close (&fd);
  }
  forgery_clear (&good);
}

static void
test_forged_value (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) value = mp_value_new (G_VARIANT_TYPE_INT32, NULL, &error);
  g_autoptr(MpValue) isolated = mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, NULL, TRUE, &error);
  g_autoptr(MpArray) array = mp_array_new (G_VARIANT_TYPE_INT32, 2, &error);
  g_autoptr(MpLock) lock = mp_lock_new ();
  Forgery good = describe (value, "value");
  Forgery other = describe (isolated, "value");
  Forgery two = describe (array, "array");
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) slot = MP_SHAREABLE_GET_IFACE (lock)->describe (MP_SHAREABLE (lock), fds, &error);

  refuse_both (good);
  refuse_both (other);
  FORGED (place, slot);   /* the cell of a lock */
  FORGED (type, "(xxxxx)");
  FORGED (fds[0], other.fds[0]);
  /* More than one. */
  two.kind = "value";
  refuse (two);
  mp_fd_close (&g_array_index (fds, int, 0));
  forgery_clear (&good);
  forgery_clear (&other);
  forgery_clear (&two);
}

static void
ensure_kinds (void)
{
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) second = NULL;

  g_assert_true (mp_pipe_new (TRUE, &first, &second, NULL));
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);
  ensure_kinds ();

  g_test_add_func ("/memory-travel/pool", test_pool);
  g_test_add_func ("/memory-travel/process", test_process);
  g_test_add_func ("/memory-travel/pipe", test_pipe);
  g_test_add_func ("/memory-travel/many", test_many);
  g_test_add_func ("/memory-travel/orphans", test_orphans);
  g_test_add_func ("/memory-travel/forged-array", test_forged_array);
  g_test_add_func ("/memory-travel/forged-value", test_forged_value);

  return g_test_run ();
}
