/* test-arena-fork.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "arena-test.h"
#include "instrument-test.h"

#include <sched.h>
#include <sys/resource.h>

/* What becomes of a part in an arena at fork(), exec(), in another namespace and with threads. */

static MpSlotRef forked_ref;   /* what children inherit */

/* A child is seen for itself, and sees its parent's end. */
static int report = -1;

static void
watch_parent (int socket)
{
  g_autoptr(GPtrArray) list = mp_arena_list ();
  MpArena *arena = g_ptr_array_index (list, 0);
  MpOwner parent = hear (socket);

  g_assert_cmpuint (parent, !=, mp_arena_get_self (arena));
  g_assert_true (mp_arena_is_alive (arena, parent));
  tell (socket, mp_arena_get_self (arena));
  hear_end (socket);
  while (mp_arena_is_alive (arena, parent))
    g_thread_yield ();
  tell (report, mp_arena_is_alive (arena, mp_arena_get_self (arena)));
}

static void
be_parent (int socket)
{
  MpSlotRef ref;
  Peer child;

  make_slot (&ref, FALSE);
  report = socket;
  child = peer_start (watch_parent);
  tell (child.socket, mp_arena_get_self (ref.arena));
  g_assert_true (mp_arena_is_alive (ref.arena, hear (child.socket)));
  tell (socket, 0);
  hear (child.socket);
}

static void
test_fork_parent_dies (void)
{
  Peer peer = peer_start (be_parent);

  hear (peer.socket);
  kill (peer.pid, SIGKILL);
  wait_status (peer.pid);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  mp_fd_close (&peer.socket);
}

static void
keep_copy (int socket)
{
  g_assert_cmpuint (mp_arena_get_self (forked_ref.arena), !=, 0);
  tell (socket, 0);
  hear (socket);
  g_assert_cmpuint (forked_ref.slot->generation, ==, forked_ref.generation);
  mp_slot_clear (&forked_ref);
  tell (socket, 0);
  hear (socket);
}

static void
fork_with_slot (int unused)
{
  Peer peers[2];
  guint32 index;
  MpSlotRef own;
  guint i;

  make_slot (&forked_ref, FALSE);
  index = forked_ref.index;
  for (i = 0; i < 2; i++)
    {
      peers[i] = peer_start (keep_copy);
      hear (peers[i].socket);
    }
  mp_slot_clear (&forked_ref);
  g_assert_false (is_used_again (index));
  peer_kill (&peers[0]);
  g_assert_false (is_used_again (index));
  tell (peers[1].socket, 0);
  hear (peers[1].socket);
  g_assert_true (is_used_again (index));

  /* What is new here is no part of the child. */
  make_slot (&own, FALSE);
  peer_kill (&peers[1]);
  mp_slot_clear (&own);
}

static void
test_fork_slots (void)
{
  run_apart (fork_with_slot);
}

/* A forked child's own slots are in an arena of its own: it must not hand out those of its parent's. */
static void
make_own (int socket)
{
  MpSlotRef own;

  make_slot (&own, FALSE);
  g_assert_true (own.arena != forked_ref.arena);
  g_assert_cmpuint (own.index, ==, 0);
  send_slot (socket, &own);
  send_slot (socket, &forked_ref);
  hear (socket);
}

static void
fork_makers (int unused)
{
  MpSlotRef theirs, back;
  Peer peer;

  make_slot (&forked_ref, FALSE);
  peer = peer_start (make_own);
  get_slot (peer.socket, &theirs);
  get_slot (peer.socket, &back);
  g_assert_true (theirs.arena != forked_ref.arena);
  g_assert_true (mp_slot_equal (&back, &forked_ref));
  peer_kill (&peer);
  mp_slot_clear (&theirs);
  mp_slot_clear (&back);
  mp_slot_clear (&forked_ref);
}

static void
test_fork_makers (void)
{
  run_apart (fork_makers);
}

/* A copy has what it was copied from, and no more. */
static void
check_child_is_lost (void)
{
  pid_t pid = fork ();
  int status;

  g_assert_no_errno (pid);
  if (pid == 0)
    _exit (mp_arena_get_self (forked_ref.arena) != 0);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

/* No call of the library's may hang or pretend in a child that has no part. */
static void
be_lost (int socket)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  MpSlotRef copy;

  g_assert_cmpuint (mp_arena_get_self (forked_ref.arena), ==, 0);
  check_child_is_lost ();
  g_assert_null (mp_slot_describe (&forked_ref, fds, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "slot: cannot be sent: this process lost its part in it at a fork()");
  g_assert_cmpuint (fds->len, ==, 0);
  g_clear_error (&error);

  g_assert_false (receive_slot (socket, &copy, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_assert_null (copy.arena);
  mp_arena_take_rung (forked_ref.arena);
  g_assert_nonnull (mp_arena_get_doorbell (forked_ref.arena));
  mp_arena_ring (&forked_ref, ~G_GUINT64_CONSTANT (0));
  mp_slot_clear (&forked_ref);

  /* It can have its own. */
  make_slot (&copy, FALSE);
  g_assert_cmpuint (mp_arena_get_self (copy.arena), !=, 0);
  mp_slot_clear (&copy);
  tell (socket, 1);
}

static void
fork_without_room (int unused)
{
  MpOwner self;
  Peer peer;

  mp_arena_set_sizes_for_testing (64, 2);
  make_slot (&forked_ref, FALSE);
  self = mp_arena_get_self (forked_ref.arena);
  peer = peer_start (be_lost);
  send_slot (peer.socket, &forked_ref);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_join (&peer);
  g_assert_true (mp_arena_is_alive (forked_ref.arena, self));
  mp_slot_clear (&forked_ref);
}

static void
test_fork_full (void)
{
  run_apart (fork_without_room);
}

static void
set_limit (int    resource,
           rlim_t value)
{
  struct rlimit limit;

  g_assert_no_errno (getrlimit (resource, &limit));
  limit.rlim_cur = value;
  g_assert_no_errno (setrlimit (resource, &limit));
}

static void
be_lost_without_fds (int socket)
{
  set_limit (RLIMIT_NOFILE, 256);
  be_lost (socket);
}

static void
fork_without_fds (int unused)
{
  Peer peer;
  int pair[2], free_fd;

  make_slot (&forked_ref, FALSE);
  g_assert_no_errno (mp_socket_pair (pair, 0));
  free_fd = dup (0);
  close (free_fd);
  set_limit (RLIMIT_NOFILE, free_fd);
  peer.pid = fork ();
  g_assert_no_errno (peer.pid);
  if (peer.pid == 0)
    {
      close (pair[0]);
      be_lost_without_fds (pair[1]);
      _exit (0);
    }
  set_limit (RLIMIT_NOFILE, 256);
  close (pair[1]);
  peer.socket = pair[0];
  send_slot (peer.socket, &forked_ref);
  g_assert_cmpuint (hear (peer.socket), ==, 1);
  peer_join (&peer);
  mp_slot_clear (&forked_ref);
}

static void
test_fork_no_fds (void)
{
  run_apart (fork_without_fds);
}

/* The process lives on after exec(), but has no part any more. */
static void
become_cat (int socket)
{
  MpSlotRef ref;

  get_slot (socket, &ref);
  tell (socket, mp_arena_get_self (ref.arena));
  hear (socket);
  dup2 (socket, 0);
  dup2 (socket, 1);
  execl ("/bin/cat", "cat", NULL);
}

static void
test_exec (void)
{
  Peer peer = peer_start (become_cat);
  MpSlotRef ref;
  MpOwner other;

  make_slot (&ref, FALSE);
  send_slot (peer.socket, &ref);
  other = hear (peer.socket);
  g_assert_true (mp_arena_is_alive (ref.arena, other));
  tell (peer.socket, 0);
  tell (peer.socket, 12345);
  g_assert_cmpuint (hear (peer.socket), ==, 12345);
  g_assert_no_errno (kill (peer.pid, 0));
  g_assert_false (mp_arena_is_alive (ref.arena, other));
  shutdown (peer.socket, SHUT_WR);
  peer_join (&peer);
  mp_slot_clear (&ref);
}

/* In a namespace of its own, where numbers of processes mean something else. */
static void
be_elsewhere (int socket)
{
  Peer inner;
  MpOwner other;
  MpSlotRef ref;

  if (unshare (CLONE_NEWUSER | CLONE_NEWPID) < 0)
    {
      tell (socket, 0);
      return;
    }
  inner = peer_start (hold_one);
  tell (socket, 1);
  get_slot (socket, &ref);
  send_slot (inner.socket, &ref);
  hear (inner.socket);
  tell (socket, MP_OWNER_INDEX (mp_arena_get_self (ref.arena)));
  other = hear (socket);
  g_assert_true (mp_arena_is_alive (ref.arena, other));
  mp_slot_clear (&ref);
  tell (socket, 0);
  hear (socket);
  peer_kill (&inner);
  tell (socket, 0);
  hear (socket);
}

static void
share_with_namespace (int unused)
{
  Peer peer = peer_start (be_elsewhere);
  MpSlotRef ref;
  guint32 index;

  if (hear (peer.socket) == 0)
    {
      peer_join (&peer);
      _exit (0);
    }
  make_slot (&ref, FALSE);
  index = ref.index;
  send_slot (peer.socket, &ref);
  hear (peer.socket);
  tell (peer.socket, mp_arena_get_self (ref.arena));
  hear (peer.socket);
  mp_slot_clear (&ref);
  g_assert_false (is_used_again (index));
  tell (peer.socket, 0);
  hear (peer.socket);
  g_assert_true (is_used_again (index));
  peer_kill (&peer);
}

static void
test_namespace (void)
{
  pid_t pid = fork ();

  if (pid == 0)
    _exit (unshare (CLONE_NEWUSER | CLONE_NEWPID) < 0);
  if (wait_status (pid) != 0)
    {
      g_test_skip ("no namespace can be made here");
      return;
    }
  run_apart (share_with_namespace);
}

/* Threads that make, send, take and drop at once, while one forks. */
#define N_THREADS 4

static gint stop;

static gpointer
use_much (gpointer data)
{
  guint n = 0;

  while (!g_atomic_int_get (&stop))
    {
      g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
      g_autoptr(GVariant) state = NULL;
      g_autoptr(GError) error = NULL;
      MpSlotRef ref, copy;

      make_slot (&ref, n++ % 16 == 0);
      __atomic_store_n (&ref.slot->state[0][0], GPOINTER_TO_UINT (data), __ATOMIC_SEQ_CST);
      state = mp_slot_describe (&ref, fds, WHAT, &error);
      g_assert_no_error (error);
      mp_slot_clear (&ref);
      mp_slot_adopt (&copy, MP_SLOT_TEST, state, (int *) (gpointer) fds->data, fds->len, WHAT, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (__atomic_load_n (&copy.slot->state[0][0], __ATOMIC_SEQ_CST), ==, GPOINTER_TO_UINT (data));
      close_fds ((int *) (gpointer) fds->data, fds->len);
      mp_slot_clear (&copy);
    }
  return GUINT_TO_POINTER (n);
}

static void
use_threads (int unused)
{
  guint n_forks = g_getenv ("MP_TESTS_SLOW") != NULL ? 5 : 50;
  GThread *threads[N_THREADS];
  MpSlotRef refs[8];
  MpSlotRef ref;
  guint i;

  make_slot (&ref, FALSE);
  for (i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("user", use_much, GUINT_TO_POINTER (i + 1));
  for (i = 0; i < n_forks; i++)
    {
      pid_t pid = fork ();
      int status;

      g_assert_no_errno (pid);
      /* No orderly end: what the other threads had in hand is lost in the child, which a check for leaks would tell. */
      if (pid == 0)
        raise (mp_arena_get_self (ref.arena) != 0 ? SIGKILL : SIGABRT);
      status = wait_status (pid);
      g_assert_true (WIFSIGNALED (status));
      g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
    }
  g_atomic_int_set (&stop, TRUE);
  for (i = 0; i < N_THREADS; i++)
    g_assert_cmpuint (GPOINTER_TO_UINT (g_thread_join (threads[i])), >, 0);

  /* All that they dropped is free. */
  for (i = 0; i < 8; i++)
    {
      make_slot (&refs[i], FALSE);
      g_assert_cmpuint (refs[i].index, <, 4096);
    }
  for (i = 0; i < 8; i++)
    mp_slot_clear (&refs[i]);
  mp_slot_clear (&ref);
}

static void
test_threads (void)
{
  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("it takes the lock that a copy makes anew for the one that its parent had taken");
      return;
    }
  run_apart (use_threads);
}

static gint n_prepared, n_parents, n_children;

static void
prepare_cb (void)
{
  g_autoptr(GPtrArray) list = mp_arena_list ();   /* not under the arena's lock */

  n_prepared += list->len > 0;
}

static void
parent_cb (void)
{
  g_autoptr(GPtrArray) list = mp_arena_list ();

  n_parents += list->len > 0;
}

static void
child_cb (void)
{
  g_autoptr(GPtrArray) list = mp_arena_list ();
  MpArena *arena = g_ptr_array_index (list, 0);

  n_children += mp_arena_get_self (arena) != 0;
}

static void
fork_with_funcs (int unused)
{
  static const MpArenaForkFuncs funcs = { prepare_cb, parent_cb, child_cb };
  MpSlotRef ref;
  pid_t pid;

  make_slot (&ref, FALSE);
  mp_arena_set_fork_funcs (&funcs);
  pid = fork ();
  if (pid == 0)
    _exit (n_prepared == 1 && n_parents == 0 && n_children == 1 ? 0 : 1);
  g_assert_cmpint (wait_status (pid), ==, 0);
  g_assert_cmpint (n_prepared, ==, 1);
  g_assert_cmpint (n_parents, ==, 1);
  g_assert_cmpint (n_children, ==, 0);
  mp_slot_clear (&ref);
}

static void
test_fork_funcs (void)
{
  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("without the functions of asynchronous waits, locks are taken in another order");
      return;
    }
  run_apart (fork_with_funcs);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/arena-fork/exec", test_exec);
  g_test_add_func ("/arena-fork/namespace", test_namespace);
  g_test_add_func ("/arena-fork/parent-dies", test_fork_parent_dies);
  g_test_add_func ("/arena-fork/slots", test_fork_slots);
  g_test_add_func ("/arena-fork/makers", test_fork_makers);
  g_test_add_func ("/arena-fork/full", test_fork_full);
  g_test_add_func ("/arena-fork/no-descriptors", test_fork_no_fds);
  g_test_add_func ("/arena-fork/funcs", test_fork_funcs);
  g_test_add_func ("/arena-fork/threads", test_threads);
  return g_test_run ();
}
