/* test-value.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"
#include "memory-test.h"

#include <math.h>

static MpValue *value;   /* of the test that runs: children made by fork() have it as well */

static void
test_types (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (samples); i++)
    {
      g_autoptr(GVariant) sample = parse (samples[i]);
      const GVariantType *type = g_variant_get_type (sample);
      g_autoptr(GError) error = NULL;
      g_autoptr(MpValue) zero = mp_value_new (type, NULL, &error);
      g_autoptr(MpValue) own = mp_value_new (type, sample, &error);
      g_autoptr(GVariant) first = NULL;
      g_autoptr(GVariant) got = NULL;
      g_autoptr(GVariant) normal = NULL;
      gsize size = 0;

      g_assert_no_error (error);
      first = mp_value_get (zero, &error);
      g_assert_true (g_variant_is_normal_form (first));
      g_assert_cmpstr (mp_typed_memory_get_type_string (MP_TYPED_MEMORY (own)), ==, g_variant_get_type_string (sample));
      got = mp_value_get (own, &error);
      g_assert_no_error (error);
      check_variant (got, sample);
      g_assert_true (mp_value_set (zero, got, &error));
      normal = mp_value_get (zero, &error);
      check_variant (normal, sample);
      g_assert_nonnull (mp_typed_memory_get_data (MP_TYPED_MEMORY (own), &size));
      g_assert_cmpuint (mp_typed_memory_get_address (MP_TYPED_MEMORY (own)), ==,
                        (guintptr) mp_typed_memory_get_data (MP_TYPED_MEMORY (own), NULL));
      g_assert_cmpuint (size, ==, g_variant_get_size (sample));
      g_assert_cmpuint (mp_typed_memory_get_item_size (MP_TYPED_MEMORY (own)), ==, size);
      g_assert_cmpmem (mp_typed_memory_get_data (MP_TYPED_MEMORY (own), NULL), size, g_variant_get_data (got), size);
    }
}

static void
test_refused_types (void)
{
  static const char *const types[] = { "s", "ai", "v", "mi", "h", "(ih)", "(is)", "*", "(i*)", "r", "?", "{sv}", "a{ii}" };
  g_autofree char *many = g_strnfill (5000, 'y');
  g_autofree char *too_long = g_strdup_printf ("(%s)", many);
  g_autoptr(GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_assert_null (mp_value_new (G_VARIANT_TYPE (types[i]), NULL, &error));
      check_invalid (error);
    }
  g_assert_null (mp_value_new (G_VARIANT_TYPE (too_long), NULL, &error));
  check_invalid (error);
  g_assert_null (mp_value_new (G_VARIANT_TYPE_INT32, g_variant_new_double (1), &error));
  check_invalid (error);
}

/* What a binding makes by its properties tells the reason at each operation. */
static void
test_by_properties (void)
{
  g_autoptr(MpSemaphore) semaphore = mp_semaphore_new (1);
  g_autoptr(MpValue) none = g_object_new (MP_TYPE_VALUE, NULL);
  g_autoptr(MpValue) wrong = g_object_new (MP_TYPE_VALUE, "type-string", "ii", NULL);
  g_autoptr(MpValue) two = g_object_new (MP_TYPE_VALUE, "type-string", "i", "n-items", G_GUINT64_CONSTANT (2), NULL);
  g_autoptr(MpValue) locked = g_object_new (MP_TYPE_VALUE, "type-string", "i", "lock", semaphore, NULL);
  g_autoptr(MpValue) noted = g_object_new (MP_TYPE_VALUE, "type-string", "y", "format", "c", NULL);
  MpValue *bad[] = { none, wrong, two, locked };
  g_autofree char *type = NULL;
  g_autoptr(GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));

      g_assert_null (mp_value_get (bad[i], &error));
      check_invalid (error);
      g_assert_false (mp_value_set (bad[i], g_variant_new_int32 (1), &error));
      check_invalid (error);
      g_assert_cmpint (mp_value_add_int (bad[i], 1, &error), ==, 0);
      check_invalid (error);
      g_assert_null (mp_typed_memory_get_bytes (MP_TYPED_MEMORY (bad[i]), &error));
      check_invalid (error);
      g_assert_null (mp_typed_memory_get_data (MP_TYPED_MEMORY (bad[i]), NULL));
      g_assert_null (MP_SHAREABLE_GET_IFACE (bad[i])->describe (MP_SHAREABLE (bad[i]), fds, &error));
      check_invalid (error);
    }
  g_object_get (noted, "type-string", &type, NULL);
  g_assert_cmpstr (type, ==, "y");
  g_assert_cmpstr (mp_typed_memory_get_format (MP_TYPED_MEMORY (noted)), ==, "c");
  g_assert_null (mp_typed_memory_get_lock (MP_TYPED_MEMORY (noted)));
}

static void
test_wrong_use (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) number = mp_value_new (G_VARIANT_TYPE_UINT64, g_variant_new_uint64 (G_MAXUINT64), &error);
  g_autoptr(MpValue) real = mp_value_new (G_VARIANT_TYPE_DOUBLE, NULL, &error);
  g_autoptr(MpValue) tuple = mp_value_new (G_VARIANT_TYPE ("(id)"), NULL, &error);
  gboolean swapped = TRUE;

  g_assert_no_error (error);
  g_assert_false (mp_value_set (number, g_variant_new_int64 (1), &error));
  check_invalid (error);
  g_assert_cmpint (mp_value_get_int (number, &error), ==, 0);   /* too large */
  check_invalid (error);
  g_assert_false (mp_value_set_int (number, -1, &error));
  check_invalid (error);
  mp_value_get_double (number, &error);
  check_invalid (error);
  g_assert_false (mp_value_set_double (number, 1, &error));
  check_invalid (error);
  mp_value_add_double (number, 1, &error);
  check_invalid (error);
  mp_value_get_int (real, &error);
  check_invalid (error);
  g_assert_false (mp_value_set_int (real, 1, &error));
  check_invalid (error);
  mp_value_add_int (real, 1, &error);
  check_invalid (error);
  g_assert_null (mp_value_exchange (real, g_variant_new_int32 (1), &error));
  check_invalid (error);
  g_assert_null (mp_value_exchange (tuple, g_variant_new ("(id)", 1, 1.0), &error));
  check_invalid (error);
  g_assert_false (mp_value_compare_exchange (real, g_variant_new_double (0), g_variant_new_int32 (1), &swapped, &error));
  check_invalid (error);
  g_assert_false (swapped);
  g_assert_false (mp_value_compare_exchange (tuple, g_variant_new ("(id)", 0, 0.0), g_variant_new ("(id)", 1, 1.0), NULL,
                                             &error));
  check_invalid (error);
}

static gboolean
fits (char   kind,
      gint64 number)
{
  switch (kind)
    {
    case 'y':
      return number == (guint8) number;
    case 'n':
      return number == (gint16) number;
    case 'q':
      return number == (guint16) number;
    case 'i':
      return number == (gint32) number;
    case 'u':
      return number == (guint32) number;
    case 't':
      return number >= 0;
    default:
      return TRUE;
    }
}

static void
test_integers (void)
{
  static const gint64 numbers[] = {
    0, 1, -1, 127, 128, 255, 256, -128, -129, 32767, 32768, 65535, 65536, -32768, -32769, G_MAXINT32, G_MININT32,
    (gint64) G_MAXINT32 + 1, G_MAXUINT32, (gint64) G_MAXUINT32 + 1, (gint64) G_MININT32 - 1, G_MAXINT64, G_MININT64,
  };

  for (const char *kind = "ynqiuxt"; *kind != 0; kind++)
    {
      const char type[] = { *kind, 0 };
      g_autoptr(GError) error = NULL;
      g_autoptr(MpValue) own = mp_value_new (G_VARIANT_TYPE (type), NULL, &error);

      g_assert_no_error (error);
      for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
        if (fits (*kind, numbers[i]))
          {
            g_assert_true (mp_value_set_int (own, numbers[i], &error));
            g_assert_no_error (error);
            g_assert_cmpint (mp_value_get_int (own, &error), ==, numbers[i]);
            g_assert_no_error (error);
            g_assert_cmpint (mp_value_add_int (own, 1, &error), ==, numbers[i]);
            g_assert_no_error (error);
            g_assert_cmpint (mp_value_add_int (own, -2, &error), !=, numbers[i]);
            mp_value_add_int (own, 1, &error);
            g_assert_cmpint (mp_value_get_int (own, &error), ==, numbers[i]);
          }
        else
          {
            g_assert_false (mp_value_set_int (own, numbers[i], &error));
            check_invalid (error);
          }
    }
}

static void
test_doubles (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = mp_value_new (G_VARIANT_TYPE_DOUBLE, g_variant_new_double (1.5), &error);
  gboolean swapped = FALSE;

  g_assert_cmpfloat (mp_value_add_double (own, 0.25, &error), ==, 1.5);
  g_assert_cmpfloat (mp_value_get_double (own, &error), ==, 1.75);
  g_assert_true (mp_value_set_double (own, NAN, &error));
  g_assert_true (isnan (mp_value_get_double (own, &error)));
  g_assert_true (mp_value_compare_exchange (own, g_variant_new_double (NAN), g_variant_new_double (0), &swapped, &error));
  g_assert_true (swapped);
  g_assert_true (mp_value_compare_exchange (own, g_variant_new_double (-0.0), g_variant_new_double (1), &swapped, &error));
  g_assert_false (swapped);
  g_assert_no_error (error);
}

static void
test_exchange (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (samples); i++)
    {
      g_autoptr(GVariant) sample = parse (samples[i]);
      g_autoptr(GError) error = NULL;
      g_autoptr(MpValue) own = mp_value_new (g_variant_get_type (sample), NULL, &error);
      g_autoptr(GVariant) zero = mp_value_get (own, &error);
      g_autoptr(GVariant) before = NULL;
      g_autoptr(GVariant) now = NULL;
      gboolean swapped = FALSE;

      if (!g_variant_type_is_basic (g_variant_get_type (sample)))
        continue;
      before = mp_value_exchange (own, sample, &error);
      g_assert_no_error (error);
      check_variant (before, zero);
      g_assert_true (mp_value_compare_exchange (own, sample, zero, &swapped, &error));
      g_assert_true (swapped);
      g_assert_true (mp_value_compare_exchange (own, sample, zero, &swapped, &error));
      g_assert_cmpint (swapped, ==, g_variant_equal (sample, zero));
      g_assert_true (mp_value_compare_exchange (own, zero, sample, NULL, &error));
      now = mp_value_get (own, &error);
      check_variant (now, sample);
    }
}

/* What others leave in memory is a value in normal form for those who read it. */
static void
test_any_bytes (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = mp_value_new (G_VARIANT_TYPE ("(ybx)"), NULL, &error);
  g_autoptr(MpValue) truth = mp_value_new (G_VARIANT_TYPE_BOOLEAN, NULL, &error);
  g_autoptr(GVariant) got = NULL;
  g_autoptr(GVariant) expected = g_variant_ref_sink (g_variant_new ("(ybx)", 0xff, TRUE, (gint64) -1));
  g_autoptr(GVariant) before = NULL;
  gsize size = 0;
  gpointer data = mp_typed_memory_get_data (MP_TYPED_MEMORY (own), &size);

  memset (data, 0xff, size);
  got = mp_value_get (own, &error);
  check_variant (got, expected);
  memset (mp_typed_memory_get_data (MP_TYPED_MEMORY (truth), NULL), 0x80, 1);
  before = mp_value_exchange (truth, g_variant_new_boolean (FALSE), &error);
  g_assert_true (g_variant_is_normal_form (before));
  g_assert_true (g_variant_get_boolean (before));
}

static void
test_locks (void)
{
  g_autoptr(MpLock) lock = mp_lock_new ();
  g_autoptr(MpLock) isolated = mp_lock_new_isolated ();
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = mp_value_new (G_VARIANT_TYPE_INT32, NULL, &error);
  g_autoptr(MpValue) first = mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, MP_SHAREABLE (lock), FALSE, &error);
  g_autoptr(MpValue) second = mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, MP_SHAREABLE (lock), TRUE, &error);
  g_autoptr(MpValue) none = mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, NULL, TRUE, &error);
  g_autoptr(MpValue) alone = mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, MP_SHAREABLE (isolated), TRUE, &error);

  g_assert_no_error (error);
  g_assert_true (MP_IS_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (own))));
  g_assert_true ((gpointer) mp_typed_memory_get_lock (MP_TYPED_MEMORY (first)) == lock);
  g_assert_true ((gpointer) mp_typed_memory_get_lock (MP_TYPED_MEMORY (second)) == lock);
  g_assert_null (mp_typed_memory_get_lock (MP_TYPED_MEMORY (none)));
  g_assert_false (mp_shareable_get_isolated (MP_SHAREABLE (own)));
  g_assert_false (mp_shareable_get_isolated (MP_SHAREABLE (second)));
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (none)));
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (alone)));
}

/* It outlives the value, whose slot is then somebody else's. */
static void
test_bytes (void)
{
  g_autoptr(GError) error = NULL;
  MpValue *own = mp_value_new (G_VARIANT_TYPE_INT32, g_variant_new_int32 (7), &error);
  g_autoptr(GBytes) bytes = mp_typed_memory_get_bytes (MP_TYPED_MEMORY (own), &error);
  const gint32 *number = g_bytes_get_data (bytes, NULL);

  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 4);
  mp_value_add_int (own, 1, &error);
  g_assert_cmpint (*number, ==, 8);
  g_assert_finalize_object (own);
  for (guint i = 0; i < 100; i++)
    {
      G_GNUC_UNUSED g_autoptr(MpValue) other = mp_value_new (G_VARIANT_TYPE_INT32, g_variant_new_int32 (-1), &error);

      g_assert_cmpint (*number, ==, 8);
    }
}

/* Many at the same time. */

#define N_ADDS (g_getenv ("MP_TESTS_SLOW") == NULL ? 500000u : 2000u)

/* All at once. */
static void
await_start (int socket)
{
  end_with_parent ();
  if (socket >= 0)
    hear (socket);
}

static void
start_all (Peer  *peers,
           guint  n)
{
  while (n > 0)
    tell (peers[--n].socket, 1);
}

static void
add_many (int socket)
{
  await_start (socket);
  for (guint i = 0, n = N_ADDS; i < n; i++)
    mp_value_add_int (value, 3, NULL);
}

static void
test_processes_add (void)
{
  for (const char *kind = "ynqiuxt"; *kind != 0; kind++)
    {
      const char type[] = { *kind, 0 };
      g_autoptr(GError) error = NULL;
      g_autoptr(MpValue) own = value = mp_value_new (G_VARIANT_TYPE (type), NULL, &error);
      g_autoptr(MpValue) sum = mp_value_new (G_VARIANT_TYPE (type), NULL, &error);
      Peer peers[3];

      for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
        peers[i] = peer_start (add_many);
      start_all (peers, G_N_ELEMENTS (peers));
      add_many (-1);
      for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
        peer_join (&peers[i]);
      mp_value_add_int (sum, 4 * 3 * N_ADDS, &error);
      g_assert_cmpint (mp_value_get_int (own, &error), ==, mp_value_get_int (sum, &error));
      g_assert_no_error (error);
    }
}

static void
add_halves (int socket)
{
  await_start (socket);
  for (guint i = 0, n = N_ADDS; i < n; i++)
    mp_value_add_double (value, 0.5, NULL);
}

static gpointer
add_halves_thread (gpointer data)
{
  add_halves (-1);
  return NULL;
}

static void
test_processes_and_threads_add_doubles (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = value = mp_value_new (G_VARIANT_TYPE_DOUBLE, NULL, &error);
  Peer peers[2] = { peer_start (add_halves), peer_start (add_halves) };
  GThread *threads[2];

  start_all (peers, G_N_ELEMENTS (peers));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("add", add_halves_thread, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_join (&peers[i]);
  g_assert_cmpfloat (mp_value_get_double (own, &error), ==, 4 * N_ADDS / 2);
}

/* By compare and exchange, each step of somebody's; and by exchange, each taken once. */
static void
climb (int socket)
{
  await_start (socket);
  for (guint i = 0; i < N_ADDS / 500;)
    {
      gint64 seen = mp_value_get_int (value, NULL);
      gboolean swapped = FALSE;

      g_assert_true (mp_value_compare_exchange (value, g_variant_new_uint16 (seen), g_variant_new_uint16 (seen + 1), &swapped,
                                                NULL));
      i += swapped;
    }
}

static void
test_processes_compare_exchange (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = value = mp_value_new (G_VARIANT_TYPE_UINT16, NULL, &error);
  Peer peers[3];

  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (climb);
  start_all (peers, G_N_ELEMENTS (peers));
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_join (&peers[i]);
  g_assert_cmpint (mp_value_get_int (own, &error), ==, 3 * (N_ADDS / 500));
}

static void
take_tickets (int socket)
{
  guint64 sum = 0;

  await_start (socket);
  for (guint i = 0; i < N_ADDS / 500; i++)
    {
      g_autoptr(GVariant) before = mp_value_exchange (value, g_variant_new_uint64 (getpid () * 65536ull + i), NULL);

      sum += g_variant_get_uint64 (before);
    }
  for (guint i = 0; i < N_ADDS / 500; i++)
    sum -= getpid () * 65536ull + i;
  tell (socket, sum);
}

static void
test_processes_exchange (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = value = mp_value_new (G_VARIANT_TYPE_UINT64, NULL, &error);
  g_autoptr(GVariant) last = NULL;
  Peer peers[3];
  guint64 sum = 0;

  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (take_tickets);
  start_all (peers, G_N_ELEMENTS (peers));
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    {
      sum += hear (peers[i].socket);
      peer_join (&peers[i]);
    }
  last = mp_value_get (own, &error);
  g_assert_cmpuint (sum + g_variant_get_uint64 (last), ==, 0);
}

static void
add_locked (int socket)
{
  MpRLock *lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (value)));

  await_start (socket);
  for (guint i = 0; i < N_ADDS / 500; i++)
    {
      g_autoptr(MpRLockLocker) locker = mp_rlock_locker_new (lock, NULL);
      g_autoptr(GVariant) seen = mp_value_get (value, NULL);
      double real = 0;
      int number = 0;

      g_assert_nonnull (locker);
      g_variant_get (seen, "(id)", &number, &real);
      g_assert_cmpfloat (real, ==, number * 0.5);
      g_assert_true (mp_value_set (value, g_variant_new ("(id)", number + 1, (number + 1) * 0.5), NULL));
    }
}

static void
test_under_its_lock (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = value = mp_value_new (G_VARIANT_TYPE ("(id)"), NULL, &error);
  g_autoptr(GVariant) last = NULL;
  g_autoptr(GVariant) expected = g_variant_ref_sink (g_variant_new ("(id)", (int) (3 * N_ADDS / 500), 1.5 * N_ADDS / 500));
  Peer peers[3];

  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = peer_start (add_locked);
  start_all (peers, G_N_ELEMENTS (peers));
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peer_join (&peers[i]);
  last = mp_value_get (own, &error);
  check_variant (last, expected);
}

static void
lock_and_die (int socket)
{
  end_with_parent ();
  g_assert_true (mp_rlock_try_acquire (MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (value)))));
  mp_value_set_int (value, 9, NULL);
  tell (socket, 1);
  pause ();
}

static void
test_killed_with_the_lock (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpValue) own = value = mp_value_new (G_VARIANT_TYPE_INT32, NULL, &error);
  MpRLock *lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (own)));
  Peer peer = peer_start (lock_and_die);

  hear (peer.socket);
  g_assert_false (mp_rlock_try_acquire (lock));
  g_assert_cmpint (mp_value_get_int (own, &error), ==, 9);   /* does not wait */
  peer_kill (&peer);
  g_assert_true (mp_rlock_acquire (lock, LONG, NULL, &error));
  g_assert_true (mp_rlock_is_abandoned (lock));
  g_assert_cmpint (mp_value_add_int (own, 1, &error), ==, 9);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/value/types", test_types);
  g_test_add_func ("/value/refused-types", test_refused_types);
  g_test_add_func ("/value/by-properties", test_by_properties);
  g_test_add_func ("/value/wrong-use", test_wrong_use);
  g_test_add_func ("/value/integers", test_integers);
  g_test_add_func ("/value/doubles", test_doubles);
  g_test_add_func ("/value/exchange", test_exchange);
  g_test_add_func ("/value/any-bytes", test_any_bytes);
  g_test_add_func ("/value/locks", test_locks);
  g_test_add_func ("/value/bytes", test_bytes);
  g_test_add_func ("/value/processes-add", test_processes_add);
  g_test_add_func ("/value/processes-and-threads-add-doubles", test_processes_and_threads_add_doubles);
  g_test_add_func ("/value/processes-compare-exchange", test_processes_compare_exchange);
  g_test_add_func ("/value/processes-exchange", test_processes_exchange);
  g_test_add_func ("/value/under-its-lock", test_under_its_lock);
  g_test_add_func ("/value/killed-with-the-lock", test_killed_with_the_lock);

  return g_test_run ();
}
