/* test-pool-deaths.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* What becomes of tasks when workers die, in each phase of a task's way through the rings, and what workers do while nobody
 * reads their answers. */

#define N_MARKS 16384

/* How often each task was begun: a file that the workers map. */
typedef struct
{
  char   *directory;
  char   *path;
  guint8 *marks;
} Marks;

static guint8 *
map_marks (const char *path)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  gpointer memory;

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, N_MARKS), ==, 0);
  memory = mmap (NULL, N_MARKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  g_assert_true (memory != MAP_FAILED);
  close (fd);
  return memory;
}

static Marks
marks_new (void)
{
  Marks self = { g_dir_make_tmp ("mp-pool-XXXXXX", NULL) };

  self.path = g_build_filename (self.directory, "marks", NULL);
  self.marks = map_marks (self.path);
  return self;
}

static void
marks_clear (Marks *self)
{
  munmap (self->marks, N_MARKS);
  g_assert_cmpint (unlink (self->path), ==, 0);
  g_assert_cmpint (rmdir (self->directory), ==, 0);
  g_free (self->path);
  g_free (self->directory);
}

static guint
marks_get (Marks *self, guint i)
{
  return __atomic_load_n (&self->marks[i], __ATOMIC_SEQ_CST);
}

static guint
marks_count (Marks *self)
{
  guint n = 0;

  for (guint i = 0; i < N_MARKS; i++)
    n += marks_get (self, i);
  return n;
}

/* What the workers do: (path, number, bytes of the result, whether to die). */
static GVariant *
mark (GVariant *args, gpointer user_data, GError **error)
{
  static guint8 *marks;
  const char *path = NULL;
  guint number = 0, size = 0;
  gboolean dies = FALSE;
  g_autofree guint8 *bytes = NULL;

  g_variant_get (args, "(&suub)", &path, &number, &size, &dies);
  if (marks == NULL)
    marks = map_marks (path);
  __atomic_fetch_add (&marks[number], 1, __ATOMIC_SEQ_CST);
  if (dies)
    raise (SIGKILL);
  if (size == 0)
    return g_variant_new_uint32 (number * number);
  bytes = g_malloc (size);
  memset (bytes, number & 0xff, size);
  return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, bytes, size, 1);
}

static MpFuture *
submit_mark (MpPool *pool, Marks *marks, guint number, guint size, gboolean dies)
{
  return submit (pool, MP_FUNCTION (mark), g_variant_new ("(suub)", marks->path, number, size, dies));
}

static void
check_number (MpFuture *future, guint number)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_future_get (future, LONG, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_get_uint32 (value), ==, number * number);
}

static void
check_died (MpFuture *future)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_future_get (future, LONG, NULL, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
}

/* A thousand deaths one after another, while others work: each of those dies with its worker, no other task does. */
static void
test_thousand (void)
{
  const guint n_deaths = 1000, n_tasks = 4 * n_deaths;
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);
  MpPool *pool = mp_pool_new (2);
  Marks marks = marks_new ();

  expect_short (pool);
  for (guint i = 0; i < n_tasks; i++)
    g_ptr_array_add (futures, submit_mark (pool, &marks, i, 0, i % 4 == 2));
  for (guint i = 0; i < n_tasks; i++)
    if (i % 4 == 2)
      check_died (futures->pdata[i]);
    else
      check_number (futures->pdata[i], i);
  for (guint i = 0; i < n_tasks; i++)
    g_assert_cmpuint (marks_get (&marks, i), ==, 1);
  finish (pool);
  marks_clear (&marks);
}

/* Sent to a worker that has not read it: it runs in another, once. */
static void
test_before_call (void)
{
  MpPool *pool = mp_pool_new (1);
  Marks marks = marks_new ();

  for (guint i = 0; i < 20; i++)
    {
      g_autoptr(MpFuture) first = NULL, second = NULL;
      int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);

      expect_short (pool);
      kill (pid, SIGSTOP);
      first = submit_mark (pool, &marks, 2 * i, 0, FALSE);
      second = submit_mark (pool, &marks, 2 * i + 1, 0, FALSE);
      kill (pid, SIGKILL);
      check_number (first, 2 * i);
      check_number (second, 2 * i + 1);
      g_assert_cmpuint (marks_get (&marks, 2 * i), ==, 1);
      g_assert_cmpuint (marks_get (&marks, 2 * i + 1), ==, 1);
    }
  finish (pool);
  marks_clear (&marks);
}

/* Handed over, and not read by anybody when the worker dies: it counts. */
static void
test_after_commit (void)
{
  static const guint sizes[] = { 0, 100, 20000, 100000 };
  MpPool *pool = mp_pool_new (1);
  Marks marks = marks_new ();

  for (guint i = 0; i < 5 * G_N_ELEMENTS (sizes); i++)
    {
      Gate gate = gate_new ();
      guint size = sizes[i % G_N_ELEMENTS (sizes)];
      g_autoptr(MpFuture) done = NULL, running = NULL, waiting = NULL;
      g_autoptr(GVariant) value = NULL;
      g_autoptr(GError) error = NULL;
      int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);

      expect_short (pool);
      done = submit_mark (pool, &marks, 2 * i, size, FALSE);
      running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
      waiting = submit_mark (pool, &marks, 2 * i + 1, 0, FALSE);
      /* It goes to the gate after the first result is on its way; nobody turns the hub here. */
      g_assert_cmpint (gate_await_in_thread (&gate), ==, pid);
      kill (pid, SIGKILL);

      value = mp_future_get (done, LONG, NULL, &error);
      g_assert_no_error (error);
      if (size == 0)
        g_assert_cmpuint (g_variant_get_uint32 (value), ==, 4 * i * i);
      else
        g_assert_cmpuint (g_variant_n_children (value), ==, size);
      check_died (running);
      check_number (waiting, 2 * i + 1);
      g_assert_cmpuint (marks_get (&marks, 2 * i), ==, 1);
      g_assert_cmpuint (marks_get (&marks, 2 * i + 1), ==, 1);
      gate_clear (&gate);
    }
  finish (pool);
  marks_clear (&marks);
}

/* Asleep, with nothing to do: the next task finds another. */
static void
test_idle (void)
{
  MpPool *pool = mp_pool_new (1);

  for (int i = 0; i < 20; i++)
    {
      int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);

      kill (pid, SIGKILL);
      /* Sent to the dead one, or to the next. */
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (i)), ==, i * i);
      g_assert_cmpint (apply_int (pool, MP_FUNCTION (tell_pid), NULL), !=, pid);
    }
  finish (pool);
}

static void
kill_starting_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  guint *n_left = user_data;

  if (*n_left > 0)
    {
      (*n_left)--;
      kill (pid, SIGKILL);
    }
}

/* In their start, while tasks wait for them. */
static void
test_boot (void)
{
  MpPool *pool = mp_pool_new (2);
  Marks marks = marks_new ();
  MpFuture *futures[100];
  guint n_left = 8;

  g_signal_connect (pool, "worker-started", G_CALLBACK (kill_starting_cb), &n_left);
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    futures[i] = submit_mark (pool, &marks, i, 0, FALSE);
  /* Which of the two comes first is not known: one that is killed when it is ready may have begun a task. */
  for (guint i = 0; i < G_N_ELEMENTS (futures); i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_future_get (futures[i], LONG, NULL, &error);

      if (value != NULL)
        g_assert_cmpuint (g_variant_get_uint32 (value), ==, i * i);
      else
        g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
      g_assert_cmpuint (marks_get (&marks, i), <=, 1);
      g_object_unref (futures[i]);
    }
  g_assert_cmpuint (n_left, ==, 0);
  finish (pool);
  marks_clear (&marks);
}

static void
wait_for_marks (Marks *marks, guint n)
{
  gint64 end = g_get_monotonic_time () + LONG;

  while (marks_count (marks) < n && g_get_monotonic_time () < end)
    g_usleep (1000);
  g_assert_cmpuint (marks_count (marks), >=, n);
}

/* An owner whose main loop does something else: workers go on with what they were sent. */
static void
test_owner_blocked (void)
{
  const guint n_tasks = 4000;
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);
  MpPool *pool = mp_pool_new (2);
  Marks marks = marks_new ();

  /* Both are up, and what they do is known to be short. */
  for (guint i = 0; i < 20; i++)
    apply_int (pool, MP_FUNCTION (square), g_variant_new_int32 (1));
  expect_short (pool);
  for (guint i = 0; i < n_tasks; i++)
    g_ptr_array_add (futures, submit_mark (pool, &marks, i, 0, FALSE));
  /* Nobody turns the hub here. */
  wait_for_marks (&marks, 2 * 64);
  g_assert_cmpuint (marks_count (&marks), <=, n_tasks);
  for (guint i = 0; i < n_tasks; i++)
    check_number (futures->pdata[i], i);
  for (guint i = 0; i < n_tasks; i++)
    g_assert_cmpuint (marks_get (&marks, i), ==, 1);
  finish (pool);
  marks_clear (&marks);
}

/* More answers than there is room for: the worker waits, also with its life. */
static void
test_no_room (gconstpointer data)
{
  gboolean dies = GPOINTER_TO_INT (data);
  const guint n_tasks = 200, size = 8000;
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);
  MpPool *pool = mp_pool_new (1);
  Marks marks = marks_new ();
  int pid = apply_int (pool, MP_FUNCTION (tell_pid), NULL);
  guint n_died = 0;

  expect_short (pool);
  for (guint i = 0; i < n_tasks; i++)
    g_ptr_array_add (futures, submit_mark (pool, &marks, i, size, FALSE));
  /* So many results fit at most. */
  wait_for_marks (&marks, MP_POOL_RING_SIZE / (size + 100));
  if (dies)
    kill (pid, SIGKILL);
  for (guint i = 0; i < n_tasks; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(GVariant) value = mp_future_get (futures->pdata[i], LONG, NULL, &error);

      g_assert_cmpuint (marks_get (&marks, i), ==, 1);
      if (value == NULL)
        {
          g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
          n_died++;
          continue;
        }
      g_assert_cmpuint (g_variant_get_size (value), ==, size);
      for (guint j = 0; j < size; j++)
        g_assert_cmpuint (((const guint8 *) g_variant_get_data (value))[j], ==, i & 0xff);
    }
  g_assert_cmpuint (n_died, <=, dies);
  finish (pool);
  marks_clear (&marks);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/pool-deaths/thousand", test_thousand);
  g_test_add_func ("/pool-deaths/before-call", test_before_call);
  g_test_add_func ("/pool-deaths/after-commit", test_after_commit);
  g_test_add_func ("/pool-deaths/idle", test_idle);
  g_test_add_func ("/pool-deaths/boot", test_boot);
  g_test_add_func ("/pool-deaths/owner-blocked", test_owner_blocked);
  g_test_add_data_func ("/pool-deaths/no-room/lives", GINT_TO_POINTER (FALSE), test_no_room);
  g_test_add_data_func ("/pool-deaths/no-room/dies", GINT_TO_POINTER (TRUE), test_no_room);

  return g_test_run ();
}
