/* test-pool-lists.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pool-test.h"

/* A pool's workers and tasks as lists. */

/* What somebody who only hears of changes believes to be in a list. */
typedef struct
{
  GPtrArray *items;       /* (element-type GObject) */
  guint      n_changes;
} Mirror;

static void
changed_cb (GListModel *list, guint position, guint n_removed, guint n_added, gpointer user_data)
{
  Mirror *mirror = user_data;

  mirror->n_changes++;
  g_assert_cmpuint (position + n_removed, <=, mirror->items->len);
  if (n_removed > 0)
    g_ptr_array_remove_range (mirror->items, position, n_removed);
  for (guint i = 0; i < n_added; i++)
    g_ptr_array_insert (mirror->items, position + i, g_list_model_get_item (list, position + i));

  g_assert_cmpuint (mirror->items->len, ==, g_list_model_get_n_items (list));
  for (guint i = 0; i < mirror->items->len; i++)
    {
      g_autoptr(GObject) item = g_list_model_get_item (list, i);

      g_assert_true (item == g_ptr_array_index (mirror->items, i));
    }
}

static Mirror *
mirror_new (GListModel *list)
{
  Mirror *mirror = g_new0 (Mirror, 1);

  mirror->items = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < g_list_model_get_n_items (list); i++)
    g_ptr_array_add (mirror->items, g_list_model_get_item (list, i));
  g_signal_connect (list, "items-changed", G_CALLBACK (changed_cb), mirror);
  return mirror;
}

static void
mirror_free (Mirror *mirror, GListModel *list)
{
  g_signal_handlers_disconnect_by_data (list, mirror);
  g_ptr_array_unref (mirror->items);
  g_free (mirror);
}

static MpWorkerInfo *
get_worker (GListModel *workers, guint position)
{
  g_autoptr(MpWorkerInfo) info = g_list_model_get_item (workers, position);

  g_assert_true (MP_IS_WORKER_INFO (info));
  return info;
}

static void
await_state (MpWorkerInfo *info, MpWorkerState state)
{
  while (mp_worker_info_get_state (info) != state)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_workers (void)
{
  MpPool *pool = mp_pool_new (2);
  GListModel *workers = mp_pool_get_workers (pool);
  Mirror *mirror = mirror_new (workers);
  Gate gate = gate_new ();
  g_autoptr(MpTaskOptions) options = mp_task_options_new ();
  g_autoptr(MpFuture) future = NULL;
  MpWorkerInfo *busy = NULL;
  gint64 began = 0;

  g_assert_true (g_list_model_get_item_type (workers) == MP_TYPE_WORKER_INFO);
  g_assert_cmpuint (g_list_model_get_n_items (workers), ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      MpWorkerInfo *info = get_worker (workers, i);

      await_state (info, MP_WORKER_STATE_IDLE);
      g_assert_cmpuint (mp_worker_info_get_number (info), ==, i);
      g_assert_cmpint (mp_worker_info_get_pid (info), >, 0);
      g_assert_true (g_str_has_prefix (mp_worker_info_get_name (info), "Worker-"));
      g_assert_null (mp_worker_info_get_current_task (info));
      g_assert_cmpuint (mp_worker_info_get_n_tasks_done (info), ==, 0);
      g_assert_cmpint (mp_worker_info_get_start_time (info), <=, g_get_monotonic_time ());
      g_assert_cmpint (mp_worker_info_get_task_start_time (info), ==, -1);
      g_assert_cmpint (mp_worker_info_get_busy_time (info), ==, 0);
    }
  g_assert_cmpuint (mirror->n_changes, ==, 0);

  mp_task_options_set_name (options, "the gate");
  future = mp_pool_submit_with (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate), options, NULL);
  gate_await (&gate);
  while (busy == NULL)
    {
      for (guint i = 0; i < 2; i++)
        if (mp_worker_info_get_state (get_worker (workers, i)) == MP_WORKER_STATE_RUNNING)
          busy = get_worker (workers, i);
      g_main_context_iteration (NULL, busy == NULL);
    }
  g_assert_cmpstr (mp_worker_info_get_current_task (busy), ==, "the gate");
  began = mp_worker_info_get_task_start_time (busy);
  g_assert_cmpint (began, >=, mp_worker_info_get_start_time (busy));
  g_assert_cmpint (began, <=, g_get_monotonic_time ());

  gate_open (&gate);
  g_assert_cmpint (get_int (future), ==, mp_worker_info_get_pid (busy));
  await_state (busy, MP_WORKER_STATE_IDLE);
  g_assert_null (mp_worker_info_get_current_task (busy));
  g_assert_cmpuint (mp_worker_info_get_n_tasks_done (busy), ==, 1);
  g_assert_cmpint (mp_worker_info_get_busy_time (busy), >, 0);
  g_assert_cmpint (mp_worker_info_get_busy_time (busy), <=, g_get_monotonic_time () - began);
  mirror_free (mirror, workers);
  gate_clear (&gate);
  finish (pool);
}

static void
test_worker_replaced (void)
{
  MpPool *pool = mp_pool_new (2);
  GListModel *workers = mp_pool_get_workers (pool);
  Mirror *mirror = mirror_new (workers);
  g_autoptr(MpWorkerInfo) first = g_object_ref (get_worker (workers, 0));
  g_autofree char *name = g_strdup (mp_worker_info_get_name (first));

  await_state (first, MP_WORKER_STATE_IDLE);
  kill (mp_worker_info_get_pid (first), SIGKILL);
  await_state (first, MP_WORKER_STATE_ENDED);
  while (g_list_model_get_n_items (workers) < 2 ||
         mp_worker_info_get_state (get_worker (workers, 0)) != MP_WORKER_STATE_IDLE)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (get_worker (workers, 0) != first);
  g_assert_cmpuint (mp_worker_info_get_number (get_worker (workers, 0)), ==, 0);
  g_assert_cmpstr (mp_worker_info_get_name (get_worker (workers, 0)), !=, name);
  g_assert_cmpuint (mp_worker_info_get_number (get_worker (workers, 1)), ==, 1);

  /* All of them go with the pool. */
  mp_pool_close (pool);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  while (g_list_model_get_n_items (workers) > 0)
    g_main_context_iteration (NULL, TRUE);
  mirror_free (mirror, workers);
  g_assert_finalize_object (pool);
}

static void
test_tasks (void)
{
  MpPool *pool = mp_pool_new (1);
  GListModel *tasks = mp_pool_get_tasks (pool);
  Mirror *mirror = mirror_new (tasks);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) before = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  g_autoptr(MpFuture) after = NULL;
  g_autoptr(MpFuture) of_apply = NULL;
  GAsyncResult *result = NULL;
  guint place = 0;

  gate_await (&gate);
  g_assert_cmpuint (g_list_model_get_n_items (tasks), ==, 0);
  g_assert_false (mp_pool_get_list_tasks (pool));
  mp_pool_set_list_tasks (pool, TRUE);
  g_assert_true (mp_pool_get_list_tasks (pool));
  after = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (2));
  mp_pool_apply_async (pool, MP_FUNCTION (square), g_variant_new_int32 (3), NULL, result_cb, &result);
  while (g_list_model_get_n_items (tasks) < 3)
    g_main_context_iteration (NULL, TRUE);
  for (MpFuture *expected[] = { before, after, NULL }; expected[place] != NULL; place++)
    {
      g_autoptr(MpFuture) item = g_list_model_get_item (tasks, place);

      g_assert_true (item == expected[place]);
    }
  of_apply = g_list_model_get_item (tasks, 2);
  g_assert_cmpint (mp_future_get_state (of_apply), ==, MP_FUTURE_STATE_QUEUED);
  g_assert_null (g_list_model_get_item (tasks, 3));

  gate_open (&gate);
  while (g_list_model_get_n_items (tasks) > 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (get_int (of_apply), ==, 9);
  g_assert_nonnull (result);
  g_clear_object (&result);
  mirror_free (mirror, tasks);
  gate_clear (&gate);
  finish (pool);
}

/* Those that have ended with their pool are not listed while its workers still run them. */
static void
test_tasks_ended (void)
{
  MpPool *pool = mp_pool_new (1);
  Gate gate = gate_new ();
  g_autoptr(MpFuture) running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));

  gate_await (&gate);
  mp_pool_terminate (pool);
  mp_pool_set_list_tasks (pool, TRUE);
  g_assert_cmpuint (g_list_model_get_n_items (mp_pool_get_tasks (pool)), ==, 0);
  g_assert_cmpint (mp_future_get_state (running), ==, MP_FUTURE_STATE_CANCELLED);
  g_assert_true (mp_pool_join (pool, LONG, NULL, NULL));
  gate_clear (&gate);
  g_assert_finalize_object (pool);
}

/* Listed, not listed, and listed again before anybody has looked. */
static void
test_tasks_off_and_on (void)
{
  MpPool *pool = mp_pool_new (1);
  GListModel *tasks = NULL;
  Mirror *mirror = NULL;
  Gate gate = gate_new ();
  g_autoptr(MpFuture) running = NULL;
  g_autoptr(MpFuture) map = NULL;

  mp_pool_set_list_tasks (pool, TRUE);
  running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  gate_await (&gate);
  tasks = mp_pool_get_tasks (pool);
  g_assert_cmpuint (g_list_model_get_n_items (tasks), ==, 1);
  mirror = mirror_new (tasks);

  g_object_set (pool, "list-tasks", FALSE, NULL);
  map = mp_pool_submit_map (pool, MP_FUNCTION (square), make_ints (10), 1, NULL);
  g_object_set (pool, "list-tasks", TRUE, NULL);
  while (g_list_model_get_n_items (tasks) != 2)
    g_main_context_iteration (NULL, TRUE);
  g_object_set (pool, "list-tasks", FALSE, NULL);
  while (g_list_model_get_n_items (tasks) > 0)
    g_main_context_iteration (NULL, TRUE);

  mp_pool_set_list_tasks (pool, TRUE);
  while (g_list_model_get_n_items (tasks) != 2)
    g_main_context_iteration (NULL, TRUE);
  gate_open (&gate);
  get_int (running);
  while (g_list_model_get_n_items (tasks) > 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_future_is_successful (map));
  mirror_free (mirror, tasks);
  gate_clear (&gate);
  finish (pool);
}

/* Every other one goes from a long list: many gaps at once. */
static void
test_tasks_gaps (void)
{
  MpPool *pool = mp_pool_new (1);
  GListModel *tasks = NULL;
  Mirror *mirror = NULL;
  Gate gate = gate_new ();
  g_autoptr(MpFuture) running = NULL;
  g_autoptr(GPtrArray) futures = g_ptr_array_new_with_free_func (g_object_unref);

  mp_pool_set_list_tasks (pool, TRUE);
  tasks = mp_pool_get_tasks (pool);
  mirror = mirror_new (tasks);
  running = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  for (int i = 0; i < 200; i++)
    g_ptr_array_add (futures, submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i)));
  gate_await (&gate);
  while (g_list_model_get_n_items (tasks) < 201)
    g_main_context_iteration (NULL, TRUE);

  for (int i = 0; i < 200; i += 2)
    g_assert_true (mp_future_cancel (g_ptr_array_index (futures, i)));
  while (g_list_model_get_n_items (tasks) > 101)
    g_main_context_iteration (NULL, TRUE);
  for (int i = 0; i < 100; i++)
    {
      g_autoptr(MpFuture) item = g_list_model_get_item (tasks, i + 1);

      g_assert_true (item == g_ptr_array_index (futures, 2 * i + 1));
    }
  /* A few: told one by one. */
  mirror->n_changes = 0;
  for (int i = 1; i < 20; i += 4)
    g_assert_true (mp_future_cancel (g_ptr_array_index (futures, i)));
  while (g_list_model_get_n_items (tasks) > 96)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (mirror->n_changes, ==, 5);

  gate_open (&gate);
  while (g_list_model_get_n_items (tasks) > 0)
    g_main_context_iteration (NULL, TRUE);
  mirror_free (mirror, tasks);
  gate_clear (&gate);
  finish (pool);
}

/* Lists that are held longer than their pool. */
static void
test_outlive (void)
{
  MpPool *pool = mp_pool_new (1);
  g_autoptr(GListModel) workers = g_object_ref (mp_pool_get_workers (pool));
  g_autoptr(GListModel) tasks = NULL;
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(MpFuture) item = NULL;
  g_autoptr(GError) error = NULL;

  mp_pool_set_list_tasks (pool, TRUE);
  future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));
  tasks = g_object_ref (mp_pool_get_tasks (pool));
  g_assert_finalize_object (pool);
  g_assert_cmpuint (g_list_model_get_n_items (workers), ==, 1);
  g_assert_cmpuint (g_list_model_get_n_items (tasks), ==, 1);
  item = g_list_model_get_item (tasks, 0);
  g_assert_false (mp_future_get (item, LONG, NULL, &error) != NULL);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* With no list that anybody looks at, nothing is kept. */
static void
test_nobody_looks (void)
{
  MpPool *pool = mp_pool_new (2);

  mp_pool_set_list_tasks (pool, TRUE);
  for (int i = 0; i < 1000; i++)
    {
      g_autoptr(MpFuture) future = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (3));

      g_assert_cmpint (get_int (future), ==, 9);
    }
  g_assert_cmpuint (g_list_model_get_n_items (mp_pool_get_tasks (pool)), ==, 0);
  finish (pool);
}

/* Somebody waits for something in the middle of a change: the next one comes when that is over. */
typedef struct
{
  MpPool   *pool;
  Gate      gate;
  MpFuture *future;
} Waiting;

static void
wait_inside_cb (GListModel *list, guint position, guint n_removed, guint n_added, gpointer user_data)
{
  Waiting *waiting = user_data;
  gint64 until = g_get_monotonic_time () + 40000;   /* longer than a frame */

  if (waiting->future != NULL)
    return;
  waiting->future = submit (waiting->pool, MP_FUNCTION (wait_at_gate), gate_handle (&waiting->gate));
  while (g_get_monotonic_time () < until)
    g_assert_cmpint (apply_int (waiting->pool, MP_FUNCTION (square), g_variant_new_int32 (3)), ==, 9);
}

static void
test_wait_inside (void)
{
  MpPool *pool = mp_pool_new (3);
  GListModel *tasks = mp_pool_get_tasks (pool);
  Waiting waiting = { pool, gate_new (), NULL };
  Gate gate = gate_new ();
  Mirror *mirror = NULL;
  G_GNUC_UNUSED g_autoptr(MpFuture) first = NULL;

  g_signal_connect (tasks, "items-changed", G_CALLBACK (wait_inside_cb), &waiting);
  mirror = mirror_new (tasks);
  mp_pool_set_list_tasks (pool, TRUE);
  first = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate));
  while (waiting.future == NULL || mirror->items->len != 2)
    g_main_context_iteration (NULL, TRUE);
  gate_await (&gate);
  gate_open (&gate);
  gate_await (&waiting.gate);
  gate_open (&waiting.gate);
  while (mirror->items->len > 0)
    g_main_context_iteration (NULL, TRUE);
  mirror_free (mirror, tasks);
  g_signal_handlers_disconnect_by_data (tasks, &waiting);
  g_clear_object (&waiting.future);
  gate_clear (&waiting.gate);
  gate_clear (&gate);
  finish (pool);
}

/* Calls that come from elsewhere, with the lists looked at here. */
static gpointer
call_much (gpointer data)
{
  MpPool *pool = data;

  for (int i = 0; i < 300; i++)
    {
      g_autoptr(MpFuture) first = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));
      g_autoptr(MpFuture) second = submit (pool, MP_FUNCTION (square), g_variant_new_int32 (i));

      if (i % 3 == 0)
        mp_future_cancel (second);
      g_assert_cmpint (get_int (first), ==, i * i);
    }
  return NULL;
}

static void
look_at_all (GListModel *list)
{
  for (guint i = 0; i < g_list_model_get_n_items (list); i++)
    {
      g_autoptr(GObject) item = g_list_model_get_item (list, i);

      if (MP_IS_FUTURE (item))
        {
          g_assert_cmpstr (mp_future_get_name (MP_FUTURE (item)), ==, "square");
          mp_future_get_state (MP_FUTURE (item));
        }
    }
}

static void
look_cb (GListModel *list, guint position, guint n_removed, guint n_added, gpointer user_data)
{
  look_at_all (list);
}

static void
test_threads (void)
{
  MpPool *pool = mp_pool_new (2);
  GListModel *workers = mp_pool_get_workers (pool), *tasks = mp_pool_get_tasks (pool);
  GThread *threads[2];
  guint64 n_done = 0;

  g_signal_connect (workers, "items-changed", G_CALLBACK (look_cb), NULL);
  g_signal_connect (tasks, "items-changed", G_CALLBACK (look_cb), NULL);
  mp_pool_set_list_tasks (pool, TRUE);
  for (guint i = 0; i < 2; i++)
    threads[i] = g_thread_new ("caller", call_much, pool);
  while (n_done < 2 * 300)
    {
      g_main_context_iteration (NULL, TRUE);
      g_object_get (pool, "n-done", &n_done, NULL);
    }
  for (guint i = 0; i < 2; i++)
    g_thread_join (threads[i]);
  while (g_list_model_get_n_items (tasks) > 0)
    g_main_context_iteration (NULL, TRUE);
  finish (pool);
}

static GVariant *
one_number (gpointer user_data, GError **error)
{
  gboolean *given = user_data;

  if (*given)
    return NULL;
  *given = TRUE;
  return g_variant_new_int32 (7);
}

/* A call whose items are asked for stands where it was made, though its first task comes later than those of others. */
static void
test_tasks_fed (void)
{
  MpPool *pool = mp_pool_new (1);
  GListModel *tasks = NULL;
  Mirror *mirror = NULL;
  Gate gate = gate_new ();
  g_autoptr(GError) error = NULL;
  gboolean given = FALSE;
  g_autoptr(MpItems) items = mp_items_new_for_func (one_number, &given, NULL);
  MpFuture *futures[3];

  mp_pool_set_list_tasks (pool, TRUE);
  tasks = mp_pool_get_tasks (pool);
  mirror = mirror_new (tasks);
  futures[0] = mp_pool_submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&gate), &error);
  futures[1] = mp_pool_submit_map_with (pool, MP_FUNCTION (square), items, 1, NULL, &error);
  futures[2] = mp_pool_submit (pool, MP_FUNCTION (square), g_variant_new_int32 (1), &error);
  g_assert_no_error (error);
  gate_await (&gate);
  while (!given || mirror->n_changes == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (g_list_model_get_n_items (tasks), ==, 3);
  for (guint i = 0; i < 3; i++)
    g_assert_true (g_ptr_array_index (mirror->items, i) == futures[i]);

  gate_open (&gate);
  while (g_list_model_get_n_items (tasks) > 0)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < 3; i++)
    g_object_unref (futures[i]);
  mirror_free (mirror, tasks);
  gate_clear (&gate);
  g_object_unref (pool);
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-lists/workers", test_workers);
  g_test_add_func ("/pool-lists/worker-replaced", test_worker_replaced);
  g_test_add_func ("/pool-lists/tasks", test_tasks);
  g_test_add_func ("/pool-lists/tasks-ended", test_tasks_ended);
  g_test_add_func ("/pool-lists/tasks-off-and-on", test_tasks_off_and_on);
  g_test_add_func ("/pool-lists/tasks-gaps", test_tasks_gaps);
  g_test_add_func ("/pool-lists/tasks-fed", test_tasks_fed);
  g_test_add_func ("/pool-lists/outlive", test_outlive);
  g_test_add_func ("/pool-lists/nobody-looks", test_nobody_looks);
  g_test_add_func ("/pool-lists/wait-inside", test_wait_inside);
  g_test_add_func ("/pool-lists/threads", test_threads);
  return g_test_run ();
}
