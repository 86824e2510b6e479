/* test-callback-copy.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Blocking calls whose callbacks fork: each goes on in the process that made it, and fails in the copy. */

#include "config.h"

#include "connection-test.h"
#include "pool-test.h"

#include "mp-glib/channel/mp-listener-private.h"

#include <sys/wait.h>

typedef struct
{
  MpListener   *listener;     /* (nullable): its parent, when the copy has ended, makes a client, … */
  MpConnection *client;       /* (owned) (nullable): … this; the copy … */
  gboolean      accepts;      /* … looks for one in the callback */
  MpConnection *other;        /* (nullable): or sends there; with … */
  MpConnection *near;         /* (nullable): … the other end, before it forks, and looks at what has come */
  pid_t         pid;          /* 0: the copy; -1: not yet */
} Forks;

static void
fork_now (Forks *self)
{
  if (self->pid != -1)
    return;
  if (self->near != NULL)
    {
      send_ok (self->other, g_variant_new_int32 (1));
      g_assert_true (mp_connection_poll (self->near, 0, NULL, NULL));
    }

  self->pid = fork ();
  g_assert_cmpint (self->pid, >=, 0);
  if (self->pid > 0)
    {
      assert_copy_ended_well (self->pid);
      if (self->other != NULL && self->near == NULL)
        send_ok (self->other, g_variant_new_int32 (1));
      if (self->listener != NULL)
        self->client = mp_client_connect_to (mp_listener_get_address (self->listener), NULL, LONG, NULL, NULL);
      return;
    }

  alarm (20);
  if (self->accepts)
    g_assert_null (mp_listener_accept (self->listener, 0, NULL, NULL));
}

static void
forking_cb (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  fork_now (user_data);
}

static void
forking_progress_cb (MpFuture *future,
             double    fraction,
             GVariant *value,
             gpointer  user_data)
{
  fork_now (user_data);
}

/* In the copy: ends it. */
static void
check_copy (const Forks  *self,
            gboolean      failed,
            const GError *error)
{
  if (self->pid != 0)
    return;

  g_assert_true (failed);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, "a callback forked this process"));
  copy_end (TRUE);
}

static void
try_accept (gboolean accepts)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpListener) listener = mp_listener_new (NULL, NULL, &error);
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) accepted = NULL;
  Forks forks = { .listener = listener, .accepts = accepts, .pid = -1 };

  g_assert_no_error (error);
  mp_listener_accept_async (listener, NULL, forking_cb, &forks);
  first = mp_client_connect_to (mp_listener_get_address (listener), NULL, LONG, NULL, &error);
  g_assert_no_error (error);
  accepted = mp_listener_accept (listener, LONG, NULL, &error);
  if (forks.pid == 0)
    g_assert_cmpuint (mp_listener_get_core (listener)->accepts.length, ==, 0);
  check_copy (&forks, accepted == NULL, error);
  g_assert_no_error (error);
  g_assert_nonnull (accepted);
  g_assert_nonnull (forks.client);
  g_object_unref (forks.client);
}

static void
test_accept (void)
{
  try_accept (FALSE);
}

static void
test_accept_in_callback (void)
{
  try_accept (TRUE);
}

static void
try_wait (guint    n,
          gboolean comes_before)
{
  g_autoptr(GPtrArray) waitables = g_ptr_array_new ();
  g_autoptr(GPtrArray) others = g_ptr_array_new ();
  g_autoptr(GPtrArray) ready = NULL;
  g_autoptr(GError) error = NULL;
  Forks forks = { .pid = -1 };

  for (guint i = 0; i < n; i++)
    {
      MpConnection *near = NULL, *far = NULL;

      g_assert_true (mp_pipe_new (TRUE, &near, &far, &error));
      g_ptr_array_add (waitables, near);
      g_ptr_array_add (others, far);
    }
  forks.other = others->pdata[0];
  forks.near = comes_before ? waitables->pdata[0] : NULL;
  /* What is waited for already is no message for others. */
  mp_connection_recv_async (waitables->pdata[n - 1], NULL, forking_cb, &forks);
  send_ok (others->pdata[n - 1], g_variant_new_int32 (2));

  ready = mp_wait ((MpWaitable * const *) waitables->pdata, n, LONG, NULL, &error);
  check_copy (&forks, ready == NULL, error);
  g_assert_no_error (error);
  g_assert_cmpint (forks.pid, >, 0);
  g_assert_cmpuint (ready->len, ==, 1);
  g_assert_true (ready->pdata[0] == waitables->pdata[0]);

  g_ptr_array_set_free_func (waitables, g_object_unref);
  g_ptr_array_set_free_func (others, g_object_unref);
}

/* Few objects are polled, many in an epoll set. */
static void
test_wait (gconstpointer data)
{
  try_wait (GPOINTER_TO_UINT (data), FALSE);
}

/* What tells of it is the parent's, and is not taken by the copy. */
static void
test_wait_told (gconstpointer data)
{
  try_wait (GPOINTER_TO_UINT (data), TRUE);
}

static GVariant *
report_and_wait (GVariant  *args,
                 gpointer   user_data,
                 GError   **error)
{
  mp_invocation_report (mp_invocation_get_current (), 0.25, NULL);
  return wait_at_gate (args, user_data, error);
}

/* What the copy gives up goes on for its parent. */
static void
test_future (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (1);
  g_autoptr(MpFuture) future = NULL;
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;
  Gate gate = gate_new ();
  Forks forks = { .pid = -1, .other = gate.near };

  future = mp_pool_submit (pool, MP_FUNCTION (report_and_wait), gate_handle (&gate), &error);
  g_assert_no_error (error);
  g_signal_connect (future, "progress", G_CALLBACK (forking_progress_cb), &forks);
  result = mp_future_get (future, LONG, NULL, &error);
  check_copy (&forks, result == NULL, error);
  g_assert_no_error (error);
  g_assert_cmpint (forks.pid, >, 0);
  g_assert_cmpint (g_variant_get_int32 (result), ==, gate_await (&gate));
  gate_clear (&gate);
}

static GVariant *
wait_uncancelled (GVariant  *args,
                  gpointer   user_data,
                  GError   **error)
{
  g_autoptr(GVariant) pid = wait_at_gate (args, user_data, error);

  return g_variant_new_boolean (pid != NULL && !mp_invocation_is_cancelled (mp_invocation_get_current ()));
}

/* The same with a task that is given up with the call; a callback of another one forks. */
static void
test_apply (void)
{
  g_autoptr(MpPool) pool = mp_pool_new (2);
  g_autoptr(MpFuture) other = NULL;
  g_autoptr(GVariant) result = NULL;
  g_autoptr(GError) error = NULL;
  Gate gates[2] = { gate_new (), gate_new () };
  Forks forks = { .pid = -1, .other = gates[0].near };

  other = mp_pool_submit (pool, MP_FUNCTION (report_and_wait), gate_handle (&gates[1]), &error);
  g_assert_no_error (error);
  g_signal_connect (other, "progress", G_CALLBACK (forking_progress_cb), &forks);
  result = mp_pool_apply (pool, MP_FUNCTION (wait_uncancelled), gate_handle (&gates[0]), LONG, NULL, &error);
  check_copy (&forks, result == NULL, error);
  g_assert_no_error (error);
  g_assert_cmpint (forks.pid, >, 0);
  g_assert_true (g_variant_get_boolean (result));
  gate_await (&gates[0]);

  gate_open (&gates[1]);
  g_assert_true (mp_future_wait (other, LONG, NULL, &error));
  gate_clear (&gates[0]);
  gate_clear (&gates[1]);
}

/* A process that its parent starts. */
static void
test_start (void)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);   /* there is a process at once */
  g_autoptr(MpProcess) process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (square), "args",
                                               g_variant_new_int32 (3), "context", context, NULL);
  g_autoptr(GError) error = NULL;
  Forks forks = { .pid = -1 };
  gboolean ok;

  mp_process_join_async (process, NULL, forking_cb, &forks);
  ok = mp_process_start (process, LONG, NULL, &error);
  check_copy (&forks, !ok, error);
  g_assert_no_error (error);
  g_assert_cmpint (forks.pid, >, 0);
  g_assert_true (mp_process_join (process, LONG, NULL, &error));
  g_assert_cmpint (mp_process_get_exit_status (process), ==, 0);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/callback-copy/accept", test_accept);
  g_test_add_func ("/callback-copy/accept-in-callback", test_accept_in_callback);
  g_test_add_data_func ("/callback-copy/wait", GUINT_TO_POINTER (2), test_wait);
  g_test_add_data_func ("/callback-copy/wait-many", GUINT_TO_POINTER (100), test_wait);
  g_test_add_data_func ("/callback-copy/wait-told", GUINT_TO_POINTER (2), test_wait_told);
  g_test_add_data_func ("/callback-copy/wait-told-many", GUINT_TO_POINTER (100), test_wait_told);
  g_test_add_func ("/callback-copy/future", test_future);
  g_test_add_func ("/callback-copy/apply", test_apply);
  g_test_add_func ("/callback-copy/start", test_start);
  return g_test_run ();
}
