/* test-callback-copy.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Blocking calls whose callbacks fork: each goes on in the process that made it, and fails in the copy. */

#include "config.h"

#include "connection-test.h"
#include "pool-test.h"

#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/channel/mp-listener-private.h"

#include <sys/socket.h>
#include <sys/wait.h>

typedef struct
{
  MpListener   *listener;     /* (nullable): its parent, when the copy has ended, makes a client, … */
  MpConnection *client;       /* (owned) (nullable): … this; the copy … */
  gboolean      accepts;      /* … looks for one in the callback */
  MpConnection *other;        /* (nullable): or sends there */
  pid_t         pid;          /* 0: the copy; -1: not yet */
} Forks;

static MpConnection *
make_client (MpListener *listener)
{
  g_autoptr(GError) error = NULL;
  MpConnection *client = mp_client_connect_to (mp_listener_get_address (listener), NULL, LONG, NULL, &error);

  g_assert_no_error (error);
  return client;
}

static void
fork_now (Forks *self)
{
  if (self->pid != -1)
    return;

  self->pid = fork ();
  g_assert_cmpint (self->pid, >=, 0);
  if (self->pid > 0)
    {
      assert_copy_ended_well (self->pid);
      if (self->other != NULL)
        send_ok (self->other, g_variant_new_int32 (1));
      if (self->listener != NULL)
        self->client = make_client (self->listener);
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
  first = make_client (listener);
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

/* Another thread of the parent waits there, too, and the copy has other threads, whose stacks lie where that one's was. */
typedef struct
{
  Forks         forks;
  MpConnection *second;       /* (owned): client, of the parent */
  GThread      *threads[8];   /* of the copy */
  int           n_filled;     /* atomic */
  int           is_over;      /* atomic */
} Stacks;

static gpointer
fill_stack (gpointer data)
{
  Stacks *self = data;
  volatile guint8 stack[200000];

  memset ((guint8 *) stack, 0xa5, sizeof stack);
  g_atomic_int_inc (&self->n_filled);
  while (!g_atomic_int_get (&self->is_over))
    g_usleep (1000);
  for (gsize i = 0; i < sizeof stack; i++)
    g_assert_cmpuint (stack[i], ==, 0xa5);
  return NULL;
}

static void
forking_with_threads_cb (GObject      *source,
                         GAsyncResult *result,
                         gpointer      user_data)
{
  Stacks *self = user_data;

  fork_now (&self->forks);
  if (self->forks.pid != 0)
    {
      self->second = make_client (self->forks.listener);
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (self->threads); i++)
    self->threads[i] = g_thread_new ("stack", fill_stack, self);
  while ((guint) g_atomic_int_get (&self->n_filled) != G_N_ELEMENTS (self->threads))
    g_usleep (1000);
}

static gpointer
accept_thread (gpointer data)
{
  return mp_listener_accept (data, LONG, NULL, NULL);
}

static void
test_accept_in_threads (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpListener) listener = mp_listener_new (NULL, NULL, &error);
  g_autoptr(MpConnection) first = NULL;
  g_autoptr(MpConnection) accepted = NULL;
  g_autoptr(MpConnection) accepted_beside = NULL;
  Stacks stacks = { .forks = { .listener = listener, .pid = -1 } };
  GThread *thread;

  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("The thread sanitizer knows no threads of a copy");
      return;
    }

  g_assert_no_error (error);
  g_assert_true (g_main_context_acquire (NULL));   /* the callback is for this thread */
  mp_listener_accept_async (listener, NULL, forking_with_threads_cb, &stacks);
  thread = g_thread_new ("accept", accept_thread, listener);
  for (guint n = 0; n != 2;)
    {
      mp_hub_lock ();
      n = mp_listener_get_core (listener)->accepts.length;
      mp_hub_unlock ();
      g_thread_yield ();
    }

  first = make_client (listener);
  accepted = mp_listener_accept (listener, LONG, NULL, &error);
  if (stacks.forks.pid == 0)
    {
      g_atomic_int_set (&stacks.is_over, TRUE);
      for (guint i = 0; i < G_N_ELEMENTS (stacks.threads); i++)
        g_thread_join (stacks.threads[i]);
    }
  check_copy (&stacks.forks, accepted == NULL, error);
  g_assert_no_error (error);
  g_assert_cmpint (stacks.forks.pid, >, 0);
  accepted_beside = g_thread_join (thread);
  g_assert_nonnull (accepted_beside);
  g_main_context_release (NULL);
  g_object_unref (stacks.forks.client);
  g_object_unref (stacks.second);
}

/* Waits for many. What has come by the time the callback forks: nothing, a part of a message, a whole one, or one that
 * somebody has looked at, of which the wait was told. Few objects are polled; many, woken for nothing several times,
 * are in an epoll set. */

typedef enum { NOTHING, A_PART, ALL, IS_TOLD } Come;

#define MANY 100

typedef struct
{
  Forks      forks;
  Come       come;
  GPtrArray *waitables, *others;
  guint      n_steps;         /* callbacks before the one that forks */
  guint      n_sets;          /* epoll sets before the wait */
} Chain;

static guint
count_epoll_sets (void)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  const char *name;
  guint n = 0;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc/self/fd", name, NULL);
      g_autofree char *target = g_file_read_link (path, NULL);

      n += target != NULL && strstr (target, "[eventpoll]") != NULL;
    }
  return n;
}

static void
send_part (MpConnection *connection)
{
  g_assert_cmpint (send (mp_wire_get_fd (connection->wire), "", 1, MSG_NOSIGNAL), ==, 1);
}

static void chain_cb (GObject *source, GAsyncResult *result, gpointer user_data);

/* To itself, by the last connection: the message is there, so the callback is due at once. */
static void
next_step (Chain *self)
{
  guint last = self->waitables->len - 1;

  send_ok (self->others->pdata[last], g_variant_new_int32 (2));
  mp_connection_recv_async (self->waitables->pdata[last], NULL, chain_cb, self);
}

static void
chain_cb (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  Chain *self = user_data;

  if (self->n_steps > 0)
    {
      if (--self->n_steps > 0 || self->come == A_PART)
        send_part (self->others->pdata[1 + self->n_steps]);
      else if (self->come == ALL)
        send_ok (self->others->pdata[0], g_variant_new_int32 (1));
      next_step (self);
      return;
    }

  if (self->waitables->len >= MANY)
    g_assert_cmpuint (count_epoll_sets (), >, self->n_sets);
  if (self->come == IS_TOLD)
    {
      send_ok (self->others->pdata[0], g_variant_new_int32 (1));
      g_assert_true (mp_connection_poll (self->waitables->pdata[0], 0, NULL, NULL));
    }
  fork_now (&self->forks);
}

static void
try_wait (guint n,
          Come  come)
{
  g_autoptr(GPtrArray) waitables = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GPtrArray) ready = NULL;
  g_autoptr(GError) error = NULL;
  Chain chain = { { .pid = -1 }, come, waitables, others, n < MANY ? 1 : 10, 0 };

  for (guint i = 0; i < n; i++)
    {
      MpConnection *near = NULL, *far = NULL;

      g_assert_true (mp_pipe_new (TRUE, &near, &far, &error));
      g_ptr_array_add (waitables, near);
      g_ptr_array_add (others, far);
    }
  if (come == NOTHING || come == A_PART)
    chain.forks.other = others->pdata[0];
  next_step (&chain);

  mp_hub_prepare ();
  chain.n_sets = count_epoll_sets ();
  ready = mp_wait ((MpWaitable * const *) waitables->pdata, n, LONG, NULL, &error);
  check_copy (&chain.forks, ready == NULL, error);
  g_assert_no_error (error);
  g_assert_cmpint (chain.forks.pid, >, 0);
  g_assert_cmpuint (ready->len, ==, 1);
  g_assert_true (ready->pdata[0] == waitables->pdata[0]);
}

static void
test_wait (gconstpointer data)
{
  try_wait (8, GPOINTER_TO_INT (data));
}

static void
test_wait_many (gconstpointer data)
{
  try_wait (MANY, GPOINTER_TO_INT (data));
}

/* Before it sleeps it runs what is due already. */
static void
test_wait_due (void)
{
  MpConnection *near[2] = { NULL, NULL }, *far[2] = { NULL, NULL };
  g_autoptr(GPtrArray) nothing = NULL;
  g_autoptr(GPtrArray) ready = NULL;
  g_autoptr(GError) error = NULL;
  Forks forks = { .pid = -1 };

  for (guint i = 0; i < 2; i++)
    g_assert_true (mp_pipe_new (TRUE, &near[i], &far[i], &error));
  forks.other = far[0];
  mp_connection_recv_async (near[1], NULL, forking_cb, &forks);
  send_ok (far[1], g_variant_new_int32 (1));
  nothing = mp_wait ((MpWaitable * const *) near, 2, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (nothing->len, ==, 0);
  g_assert_cmpint (forks.pid, ==, -1);

  ready = mp_wait ((MpWaitable * const *) near, 2, LONG, NULL, &error);
  check_copy (&forks, ready == NULL, error);
  g_assert_no_error (error);
  g_assert_cmpuint (ready->len, ==, 1);
  for (guint i = 0; i < 2; i++)
    {
      g_object_unref (near[i]);
      g_object_unref (far[i]);
    }
}

static GVariant *
report_and_wait (GVariant  *args,
                 gpointer   user_data,
                 GError   **error)
{
  mp_invocation_report (mp_invocation_get_current (), 0.25, NULL);
  return wait_at_gate (args, user_data, error);
}

/* Its progress forks. */
static MpFuture *
submit_forking (MpPool *pool,
                Gate   *gate,
                Forks  *forks)
{
  g_autoptr(GError) error = NULL;
  MpFuture *future = mp_pool_submit (pool, MP_FUNCTION (report_and_wait), gate_handle (gate), &error);

  g_assert_no_error (error);
  g_signal_connect (future, "progress", G_CALLBACK (forking_progress_cb), forks);
  return future;
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

  future = submit_forking (pool, &gate, &forks);
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

  other = submit_forking (pool, &gates[1], &forks);
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
  g_test_add_func ("/callback-copy/accept-in-threads", test_accept_in_threads);
  g_test_add_data_func ("/callback-copy/wait/nothing", GINT_TO_POINTER (NOTHING), test_wait);
  g_test_add_data_func ("/callback-copy/wait/part", GINT_TO_POINTER (A_PART), test_wait);
  g_test_add_data_func ("/callback-copy/wait/told", GINT_TO_POINTER (IS_TOLD), test_wait);
  g_test_add_data_func ("/callback-copy/wait-many/nothing", GINT_TO_POINTER (NOTHING), test_wait_many);
  g_test_add_data_func ("/callback-copy/wait-many/part", GINT_TO_POINTER (A_PART), test_wait_many);
  g_test_add_data_func ("/callback-copy/wait-many/all", GINT_TO_POINTER (ALL), test_wait_many);
  g_test_add_data_func ("/callback-copy/wait-many/told", GINT_TO_POINTER (IS_TOLD), test_wait_many);
  g_test_add_func ("/callback-copy/wait-due", test_wait_due);
  g_test_add_func ("/callback-copy/future", test_future);
  g_test_add_func ("/callback-copy/apply", test_apply);
  g_test_add_func ("/callback-copy/start", test_start);
  return g_test_run ();
}
