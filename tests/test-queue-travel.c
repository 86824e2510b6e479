/* test-queue-travel.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/queue/mp-queue-private.h"

#include <signal.h>

/* Queues that go to other processes, and come back. */

#define N_ITEMS 500

static MpQueue *
queue_of (GVariant *handle)
{
  g_autoptr(GError) error = NULL;
  MpShareable *object = mp_shareable_from_variant (handle, &error);

  g_assert_no_error (error);
  g_assert_true (MP_IS_QUEUE (object));
  return MP_QUEUE (object);
}

static GVariant *
handle_of (MpQueue *queue)
{
  return mp_shareable_to_variant (MP_SHAREABLE (queue));
}

static GVariant *
produce (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpQueue) queue = queue_of (args);

  for (guint64 i = 0; i < N_ITEMS; i++)
    if (!mp_queue_put (queue, g_variant_new_uint64 (i), LONG, NULL, error))
      return NULL;
  return g_variant_new ("()");
}

/* The sum of what there is. */
static GVariant *
consume (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpQueue) queue = queue_of (args);
  g_autoptr(GError) own = NULL;
  guint64 sum = 0;

  for (;;)
    {
      g_autoptr(GVariant) value = mp_queue_get (queue, LONG, NULL, &own);

      if (value == NULL)
        break;
      sum += g_variant_get_uint64 (value);
    }
  if (!g_error_matches (own, G_IO_ERROR, G_IO_ERROR_CLOSED))
    {
      g_propagate_error (error, g_steal_pointer (&own));
      return NULL;
    }
  return g_variant_new_uint64 (sum);
}

static GVariant *
produce_and_die (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) none = produce (args, user_data, error);

  g_assert_nonnull (none);
  g_variant_ref_sink (none);
  raise (SIGKILL);
  return NULL;
}

static GVariant *
make_queue (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(MpQueue) queue = mp_queue_new (0, 0);

  if (!mp_queue_put (queue, g_variant_new_uint64 (1), LONG, NULL, error) ||
      !mp_queue_put (queue, g_variant_new_uint64 (2), LONG, NULL, error))
    return NULL;
  return handle_of (queue);
}

static guint64
get_number (MpQueue *queue)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_queue_get (queue, LONG, NULL, &error);

  g_assert_no_error (error);
  return g_variant_get_uint64 (value);
}

static void
check_closed (MpQueue *queue)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_queue_get (queue, LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* The same items, whichever object one asks. */
static void
check_same (MpQueue *a,
            MpQueue *b)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_slot_equal (&a->slot, &b->slot));
  g_assert_cmpuint (mp_queue_get_length (a), ==, 0);
  g_assert_true (mp_queue_put (a, g_variant_new_uint64 (7), LONG, NULL, &error));
  g_assert_cmpuint (mp_queue_get_length (b), ==, 1);
  g_assert_cmpuint (get_number (b), ==, 7);
  g_assert_cmpuint (mp_queue_get_length (a), ==, 0);
  g_assert_cmpuint (mp_queue_get_max_items (a), ==, mp_queue_get_max_items (b));
}

/* The last producer is gone when its task has returned: then who gets is told. */
static void
test_pool (void)
{
  g_autoptr(MpQueue) queue = mp_queue_new (10, 0);
  MpPool *pool = mp_pool_new (2);
  g_autoptr(GVariant) handle = handle_of (queue);
  MpFuture *future = submit (pool, MP_FUNCTION (produce), handle);
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < N_ITEMS; i++)
    g_assert_cmpuint (get_number (queue), ==, i);
  result = mp_future_get (future, LONG, NULL, &error);
  g_assert_no_error (error);
  g_object_unref (future);
  check_closed (queue);
  finish (pool);
}

static GVariant *
consume_well (GVariant *args, gpointer user_data, GError **error)
{
  g_autoptr(GVariant) sum = consume (args, user_data, error);

  if (sum == NULL)
    return NULL;
  g_variant_ref_sink (sum);
  g_assert_cmpuint (g_variant_get_uint64 (sum), ==, 2 * N_ITEMS * (N_ITEMS - 1) / 2);
  return g_variant_new ("()");
}

/* In processes that begin at any time: the first one to come ends nothing. */
static void
test_processes (void)
{
  g_autoptr(MpQueue) queue = mp_queue_new (10, 0);
  g_autoptr(GVariant) handle = handle_of (queue);
  MpProcess *processes[3];
  g_autoptr(GError) error = NULL;

  /* Until all are there this one may put. */
  mp_queue_put (queue, g_variant_new_uint64 (0), LONG, NULL, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    {
      processes[i] = mp_process_new (i == 0 ? MP_FUNCTION (consume_well) : MP_FUNCTION (produce), handle);
      g_assert_true (mp_process_start (processes[i], LONG, NULL, &error));
      g_assert_no_error (error);
    }
  g_assert_true (mp_queue_close (queue, &error));
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    {
      g_assert_true (mp_process_join (processes[i], LONG, NULL, &error));
      g_assert_no_error (error);
      g_assert_cmpint (mp_process_get_exit_status (processes[i]), ==, 0);
      g_object_unref (processes[i]);
    }
  g_assert_true (mp_queue_is_empty (queue));
}

static void
test_killed (void)
{
  g_autoptr(MpQueue) queue = mp_queue_new (0, 0);
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GVariant) handle = handle_of (queue);
  MpFuture *future = submit (pool, MP_FUNCTION (produce_and_die), handle);
  g_autoptr(GVariant) none = NULL;
  g_autoptr(GError) error = NULL;

  for (guint i = 0; i < N_ITEMS; i++)
    g_assert_cmpuint (get_number (queue), ==, i);
  none = mp_future_get (future, LONG, NULL, &error);
  g_assert_error (error, MP_ERROR, MP_ERROR_WORKER_DIED);
  g_object_unref (future);
  check_closed (queue);
  finish (pool);
}

static void
check_pipe (MpQueue *queue)
{
  g_autoptr(MpConnection) first = NULL, second = NULL;
  g_autoptr(MpQueue) same = NULL;
  g_autoptr(GVariant) handle = handle_of (queue), message = NULL;
  g_autoptr(GError) error = NULL;

  mp_pipe_new (TRUE, &first, &second, &error);
  g_assert_no_error (error);
  mp_connection_send (first, g_variant_new_variant (handle), LONG, NULL, &error);
  g_assert_no_error (error);
  message = mp_connection_recv (second, LONG, NULL, &error);
  g_assert_no_error (error);
  same = queue_of (message);
  g_assert_true (same != queue);
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (same)) == mp_shareable_get_isolated (MP_SHAREABLE (queue)));
  check_same (queue, same);
  g_clear_pointer (&message, g_variant_unref);
  check_same (same, queue);
}

static void
test_pipe (void)
{
  g_autoptr(MpQueue) queue = mp_queue_new (3, 100), isolated = mp_queue_new_full (0, 0, TRUE);

  g_assert_false (mp_shareable_get_isolated (MP_SHAREABLE (queue)));
  check_pipe (queue);
  g_assert_true (mp_shareable_get_isolated (MP_SHAREABLE (isolated)));
  check_pipe (isolated);
}

/* Who has closed it, and gets it anew, may put again. */
static void
test_anew (void)
{
  g_autoptr(MpQueue) queue = mp_queue_new (0, 0);
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_queue_close (queue, &error));
  g_assert_false (mp_queue_put (queue, g_variant_new_uint64 (1), LONG, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  check_pipe (queue);
}

/* Made by a process that is gone, with what is in it. */
static void
test_orphan (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GVariant) result = apply (pool, MP_FUNCTION (make_queue), g_variant_new ("()")), back = NULL;
  g_autoptr(MpQueue) queue = queue_of (result), same = NULL;
  g_autoptr(GVariant) handle = NULL;

  finish (pool);
  g_assert_cmpuint (mp_queue_get_length (queue), ==, 2);
  g_assert_cmpuint (get_number (queue), ==, 1);
  g_assert_cmpuint (get_number (queue), ==, 2);
  check_closed (queue);

  pool = mp_pool_new (1);
  handle = handle_of (queue);
  back = apply (pool, MP_FUNCTION (echo), handle);
  same = queue_of (back);
  check_same (queue, same);
  finish (pool);
}

static void
check_forged (GVariant   *state,
              const int  *fds,
              guint       n_fds)
{
  MpShareableAdopt adopt = mp_shareable_find_kind ("queue");
  g_autoptr(GError) error = NULL;
  int own[3];

  for (guint i = 0; i < n_fds; i++)
    own[i] = mp_fd_dup (fds[i]);
  g_variant_ref_sink (state);
  g_assert_null (adopt (state, own, n_fds, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_test_message ("%s", error->message);
  for (guint i = 0; i < n_fds; i++)
    mp_fd_close (&own[i]);
  g_variant_unref (state);
}

static void
test_forged (void)
{
  g_autoptr(MpQueue) queue = mp_queue_new (0, 0);
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) state = NULL, slot = NULL;
  g_autoptr(GError) error = NULL;
  int *numbers, other[2];

  mp_queue_ensure_kinds ();
  state = MP_SHAREABLE_GET_IFACE (queue)->describe (MP_SHAREABLE (queue), fds, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (fds->len, ==, 2);
  numbers = (int *) (gpointer) fds->data;
  slot = g_variant_new ("(ubv)", 1, FALSE, g_variant_new ("(t)", (guint64) 1));
  g_variant_ref_sink (slot);

  check_forged (g_variant_new ("(t)", (guint64) 1), numbers, 2);
  check_forged (slot, numbers, 2);
  check_forged (state, numbers, 0);
  check_forged (state, numbers, 1);
  /* The other way round, and with something else. */
  other[0] = numbers[1];
  other[1] = numbers[0];
  check_forged (state, other, 2);
  other[0] = numbers[0];
  other[1] = mp_fd_memory_file ("other", 1 << 20);
  check_forged (state, other, 2);
  mp_fd_close (&other[1]);
  other[1] = mp_fd_open_null ();
  check_forged (state, other, 2);
  mp_fd_close (&other[1]);
  mp_fd_close (&numbers[0]);
  mp_fd_close (&numbers[1]);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/queue-travel/pool", test_pool);
  g_test_add_func ("/queue-travel/processes", test_processes);
  g_test_add_func ("/queue-travel/killed", test_killed);
  g_test_add_func ("/queue-travel/pipe", test_pipe);
  g_test_add_func ("/queue-travel/anew", test_anew);
  g_test_add_func ("/queue-travel/orphan", test_orphan);
  g_test_add_func ("/queue-travel/forged", test_forged);

  return g_test_run ();
}
