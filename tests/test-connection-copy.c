/* test-connection-copy.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connections in the copy of a process, forked while other threads use them. */

#include "config.h"

#include "connection-kinds-test.h"
#include "instrument-test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_SIZE (G_GUINT64_CONSTANT (1) << 26)

static gpointer
recv_thread (gpointer data)
{
  recv_ok (data, "2");
  return NULL;
}

/* Until a thread waits in the kernel. */
static void
wait_for_poll (MpConnection *connection)
{
  gboolean polls = FALSE;

  while (!polls)
    {
      pthread_mutex_lock (&connection->lock);
      polls = connection->n_polling > 0;
      pthread_mutex_unlock (&connection->lock);
      g_thread_yield ();
    }
}

/* Gives the copy a connection of its own in the place of one that others have, too. */
static void
take_apart (Pipe *pipe)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  g_assert_cmpint (dup2 (fds[0], mp_wire_get_fd (pipe->first->wire)), >=, 0);
  g_assert_cmpint (dup2 (fds[1], mp_wire_get_fd (pipe->second->wire)), >=, 0);
  close (fds[0]);
  close (fds[1]);
}

/* In the copy, with a connection of its own: it gets what it sends. */
static void
use_apart (Pipe *pipe)
{
  take_apart (pipe);
  send_ok (pipe->first, g_variant_new_int32 (1));
  recv_ok (pipe->second, "1");
}

/* A process of which a thread waits at the second end, or its copy. */
typedef struct
{
  Pipe     pipe;
  GThread *thread;
  pid_t    pid;      /* 0: the copy */
} Beside;

/* TRUE: this is the copy. */
static gboolean
fork_beside (gconstpointer  data,
             Beside        *self)
{
  kind_open (GPOINTER_TO_INT (data), &self->pipe);
  self->thread = g_thread_new ("receiver", recv_thread, self->pipe.second);
  wait_for_poll (self->pipe.second);
  self->pid = fork ();
  if (self->pid == 0)
    alarm (20);
  return self->pid == 0;
}

/* The thread gets what comes after the copy. */
static void
beside_end (Beside *self)
{
  assert_copy_ended_well (self->pid);
  send_ok (self->pipe.first, g_variant_new_int32 (2));
  g_thread_join (self->thread);
  pipe_clear (&self->pipe);
}

/* The copy's calls are not behind those of a thread that it does not have, and it closes what that polls. */
static void
test_receiver (gconstpointer data)
{
  Beside beside;
  int fd;

  if (fork_beside (data, &beside))
    {
      use_apart (&beside.pipe);
      fd = mp_wire_get_fd (beside.pipe.second->wire);
      mp_connection_close (beside.pipe.second, NULL);
      copy_end (fcntl (fd, F_GETFD) == -1);
    }

  beside_end (&beside);
}

/* The threads of the copy have the stacks on which its parent's waited. */
static gpointer
scribble_thread (gpointer data)
{
  volatile guint8 stack[65536];

  for (gsize i = 0; i < sizeof stack; i++)
    stack[i] = 0xa5;
  g_assert_cmpint (pthread_barrier_wait (data), <=, 0);
  return NULL;
}

static void
scribble (void)
{
  GThread *threads[8];
  pthread_barrier_t barrier;

  pthread_barrier_init (&barrier, NULL, G_N_ELEMENTS (threads));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("scribbler", scribble_thread, &barrier);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  pthread_barrier_destroy (&barrier);
}

static void
test_stack (gconstpointer data)
{
  Beside beside;

  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("The thread sanitizer knows no threads of a copy");
      return;
    }

  if (fork_beside (data, &beside))
    {
      scribble ();
      use_apart (&beside.pipe);
      mp_connection_close (beside.pipe.second, NULL);
      copy_end (TRUE);
    }

  beside_end (&beside);
}

/* A wait is not for what a thread of the parent waits for. */
static void
test_wait (gconstpointer data)
{
  g_autoptr(GPtrArray) ready = NULL;
  MpWaitable *waitable;
  Beside beside;

  if (fork_beside (data, &beside))
    {
      take_apart (&beside.pipe);
      send_ok (beside.pipe.first, g_variant_new_int32 (1));
      waitable = MP_WAITABLE (beside.pipe.second);
      ready = mp_wait (&waitable, 1, G_USEC_PER_SEC, NULL, NULL);
      g_assert_cmpuint (ready->len, ==, 1);
      recv_ok (beside.pipe.second, "1");
      copy_end (TRUE);
    }

  beside_end (&beside);
}

typedef struct
{
  MpConnection *connection;
  int           over;   /* atomic */
} Busy;

static gpointer
busy_thread (gpointer data)
{
  Busy *busy = data;

  while (!g_atomic_int_get (&busy->over))
    mp_connection_poll (busy->connection, 0, NULL, NULL);
  return NULL;
}

/* What another thread is in the midst of is not so for ever in the copy. */
static void
test_busy (gconstpointer data)
{
  Pipe pipe;
  Busy busy = { NULL, 0 };
  GThread *thread;
  pid_t pid;

  kind_open (GPOINTER_TO_INT (data), &pipe);
  busy.connection = pipe.second;
  thread = g_thread_new ("busy", busy_thread, &busy);
  for (guint i = 0; i < (is_slow () ? 5 : 100); i++)
    {
      pid = fork ();
      if (pid == 0)
        {
          alarm (20);
          use_apart (&pipe);
          copy_end (TRUE);
        }
      assert_copy_ended_well (pid);
    }

  g_atomic_int_set (&busy.over, TRUE);
  g_thread_join (thread);
  pipe_clear (&pipe);
}

static guint
drain (int fd)
{
  static guint8 buffer[65536];
  guint all = 0;
  gssize n;

  while ((n = recv (fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
    all += n;
  return all;
}

/* What the first end sends has begun to leave, and no more. The descriptor where it would arrive. */
static int
begin_large (gconstpointer   data,
             Pipe           *pipe,
             GBytes         *bytes,
             GAsyncResult  **sent)
{
  kind_open (GPOINTER_TO_INT (data), pipe);
  mp_connection_send_bytes_async (pipe->first, bytes, NULL, keep_result_cb, sent);
  g_assert_cmpuint (mp_wire_get_pending (pipe->first->wire), >, 0);
  return mp_wire_get_fd (pipe->second->wire);
}

/* A copy that closes a connection sends nothing of the message that its parent has begun. */
static void
test_close (gconstpointer data)
{
  g_autoptr(GBytes) bytes = make_large (50000000);
  g_autoptr(GAsyncResult) sent = NULL;
  g_autoptr(GAsyncResult) received = NULL;
  g_autoptr(GBytes) got = NULL;
  g_autoptr(GError) error = NULL;
  Pipe pipe;
  pid_t pid;
  int fd;

  fd = begin_large (data, &pipe, bytes, &sent);
  pid = fork ();
  if (pid == 0)
    {
      alarm (20);
      take_apart (&pipe);
      g_assert_false (mp_connection_close (pipe.first, NULL));
      copy_end (drain (fd) == 0);
    }

  assert_copy_ended_well (pid);
  mp_connection_recv_bytes_async (pipe.second, NULL, keep_result_cb, &received);
  while (sent == NULL || received == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (mp_connection_send_bytes_finish (pipe.first, sent, &error));
  g_assert_no_error (error);
  got = mp_connection_recv_bytes_finish (pipe.second, received, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (got, bytes));
  g_clear_object (&received);
  g_clear_object (&sent);
  pipe_clear (&pipe);
}

/* Nor does one that does something else. */
static void
test_parents_output (gconstpointer data)
{
  g_autoptr(GBytes) bytes = make_large (50000000);
  g_autoptr(GError) error = NULL;
  GAsyncResult *sent = NULL;
  Pipe pipe;
  pid_t pid;
  int fd;

  fd = begin_large (data, &pipe, bytes, &sent);
  pid = fork ();
  if (pid == 0)
    {
      alarm (20);
      take_apart (&pipe);
      g_assert_false (mp_connection_poll (pipe.first, 0, NULL, NULL));
      g_assert_cmpuint (drain (fd), ==, 0);
      g_assert_false (mp_connection_send (pipe.first, g_variant_new_int32 (1), 0, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
      copy_end (drain (fd) == 0);
    }

  assert_copy_ended_well (pid);
  mp_connection_close (pipe.first, NULL);
  while (sent == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_object_unref (sent);
  pipe_clear (&pipe);
}

static void
fork_cb (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  pid_t *pid = data;

  *pid = fork ();
  if (*pid == 0)
    alarm (20);
}

static gpointer
recv_large_thread (gpointer data)
{
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (data, LONG_TIME, NULL, NULL);

  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 50000000);
  return NULL;
}

/* A callback of a blocking call forks: the call goes on in one of the two. */
static void
test_callback (gconstpointer data)
{
  g_autoptr(GBytes) bytes = make_large (50000000);
  g_autoptr(GError) error = NULL;
  GThread *thread;
  Pipe pipe;
  pid_t pid = -1;
  gboolean ok;

  kind_open (GPOINTER_TO_INT (data), &pipe);
  mp_connection_recv_async (pipe.first, NULL, fork_cb, &pid);
  send_ok (pipe.second, g_variant_new_int32 (1));
  thread = g_thread_new ("receiver", recv_large_thread, pipe.second);
  ok = mp_connection_send_bytes (pipe.first, bytes, LONG_TIME, NULL, &error);
  if (pid == 0)
    copy_end (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BUSY));

  g_assert_no_error (error);
  g_assert_true (ok);
  assert_copy_ended_well (pid);
  g_thread_join (thread);
  pipe_clear (&pipe);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  add_kind_tests ("/connection-copy/receiver", test_receiver);
  add_kind_tests ("/connection-copy/stack", test_stack);
  add_kind_tests ("/connection-copy/wait", test_wait);
  add_kind_tests ("/connection-copy/busy", test_busy);
  add_kind_tests ("/connection-copy/close", test_close);
  add_kind_tests ("/connection-copy/parents-output", test_parents_output);
  add_kind_tests ("/connection-copy/callback", test_callback);

  return g_test_run ();
}
