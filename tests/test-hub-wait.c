/* test-hub-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "hub-test.h"
#include "mp-glib/base/mp-event-loop.h"

/* Waits: what ends them, whose callbacks they run, and what several threads do that wait at one time. */

static void
test_wait_owner_only (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  int a, b;

  post (context, &b, "b");
  post (context, &a, "a");
  mp_hub_wait (&a, not_yet, NULL, "test", 0, NULL, NULL);
  assert_notes ("a");
  while (g_main_context_iteration (context, FALSE))
    ;
  assert_notes ("b");
  mp_hub_unref_context (context);
}

/* The callbacks that belong to what ends the wait have run when it returns. */
static void
test_wait_tells_first (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  g_auto(Source) source;

  source_init (&source);
  source.func = post_on_byte;
  source.data = &source;
  source_write (&source);
  g_assert_true (mp_hub_wait (&source, is_positive, &source.n_bytes, "test", LONG, NULL, NULL));
  assert_notes ("told");
  mp_hub_unref_context (context);
}

static void
test_wait_timeout (void)
{
  g_autoptr(GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();

  g_assert_false (mp_hub_wait (NULL, not_yet, NULL, "test", 3000, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpstr (error->message, ==, "test: timed out");
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 3000);
}

/* A thread that does @func when the main one is asleep in the kernel. */
typedef struct
{
  void  (* func) (gpointer data);
  gpointer data;
  char     stat[64];   /* of the thread to fall asleep */
} Later;

static gpointer
later_thread (gpointer data)
{
  Later *later = data;
  g_autofree char *text = NULL;

  /* "… (comm) S …": asleep. With the leader's and the follower's kind of sleep alike. */
  do
    {
      g_clear_pointer (&text, g_free);
      g_assert_true (g_file_get_contents (later->stat, &text, NULL, NULL));
      g_thread_yield ();
    }
  while (strrchr (text, ')')[2] != 'S');

  later->func (later->data);
  return NULL;
}

static GThread *
do_later (Later    *later,
          void   (* func) (gpointer data),
          gpointer  data)
{
  later->func = func;
  later->data = data;
  g_snprintf (later->stat, sizeof later->stat, "/proc/self/task/%d/stat", (int) gettid ());
  return g_thread_new ("later", later_thread, later);
}

static void
test_wait_cancel (void)
{
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  Later later;
  GThread *thread;
  int yes = 1;

  thread = do_later (&later, (void (*) (gpointer)) g_cancellable_cancel, cancellable);
  g_assert_false (mp_hub_wait (NULL, not_yet, NULL, "test", LONG, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (error->message, ==, "test: cancelled");
  g_thread_join (thread);

  /* What is there already is given all the same. */
  g_assert_true (mp_hub_wait (NULL, is_positive, &yes, "test", -1, cancellable, NULL));
}

static void
write_one (gpointer data)
{
  g_assert_cmpint (write (*(int *) data, "x", 1), ==, 1);
}

static void
test_wait_interrupt (void)
{
  g_autoptr(GError) error = NULL;
  int fds[2], round;
  char byte;

  g_assert_no_errno (mp_fd_pipe (fds));
  g_assert_cmpint (mp_set_interrupt_fd (fds[0]), ==, -1);
  g_assert_cmpint (mp_set_interrupt_fd (fds[0]), ==, fds[0]);
  for (round = 0; round < 2; round++)
    {
      Later later;
      GThread *thread = do_later (&later, write_one, &fds[1]);

      g_assert_false (mp_hub_wait (NULL, not_yet, NULL, "test", -1, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);
      g_clear_error (&error);
      g_thread_join (thread);

      /* Nothing was read from it. */
      g_assert_false (mp_hub_wait (NULL, not_yet, NULL, "test", 0, NULL, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_INTERRUPTED);
      g_clear_error (&error);
      g_assert_cmpint (read (fds[0], &byte, 1), ==, 1);
    }
  turn_once ();
  g_assert_cmpint (mp_set_interrupt_fd (-1), ==, fds[0]);
  mp_fd_close (&fds[0]);
  mp_fd_close (&fds[1]);
}

/* The leader is woken by a thread that changes something itself, without any descriptor; and that leaves nothing ready. */
static void
test_wait_changed (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  Later later;
  GThread *thread;
  int yes = 0;

  thread = do_later (&later, set_one, &yes);
  g_assert_true (mp_hub_wait (NULL, is_positive, &yes, "test", LONG, NULL, NULL));
  g_thread_join (thread);
  g_assert_false (g_main_context_pending (context));
  mp_hub_unref_context (context);
}

typedef struct
{
  Source *source;
  int     done;        /* bytes after which it is over */
  GThread *thread;
  int     n_asked;     /* atomic: its done() was called */
} Waiter;

static gboolean
waiter_is_done (gpointer data)
{
  Waiter *waiter = data;

  g_atomic_int_inc (&waiter->n_asked);
  return waiter->source->n_bytes >= waiter->done;
}

static gpointer
waiter_thread (gpointer data)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_hub_wait (data, waiter_is_done, data, "waiter", LONG, NULL, &error));
  g_assert_no_error (error);
  return NULL;
}

/* Several threads wait; whoever takes the byte, all that it ends are woken, and somebody goes on waiting for the next. */
static void
test_wait_threads (void)
{
  Waiter waiters[6];
  g_auto(Source) source;
  guint i;

  source_init (&source);
  for (i = 0; i < G_N_ELEMENTS (waiters); i++)
    {
      waiters[i] = (Waiter) { &source, i / 2 + 1, NULL, 0 };
      waiters[i].thread = g_thread_new ("waiter", waiter_thread, &waiters[i]);
      while (g_atomic_int_get (&waiters[i].n_asked) == 0)
        g_thread_yield ();
    }
  for (i = 0; i < G_N_ELEMENTS (waiters); i += 2)
    {
      source_write (&source);
      g_thread_join (waiters[i].thread);
      g_thread_join (waiters[i + 1].thread);
    }
  g_assert_cmpint (source.n_bytes, ==, 3);
}

typedef struct
{
  GCancellable *cancellable;
  int           n_asked;     /* atomic */
} Leader;

static gboolean
leader_is_done (gpointer data)
{
  g_atomic_int_inc (&((Leader *) data)->n_asked);
  return FALSE;
}

static gpointer
leader_thread (gpointer data)
{
  Leader *leader = data;

  g_assert_false (mp_hub_wait (NULL, leader_is_done, leader, "leader", LONG, leader->cancellable, NULL));
  return NULL;
}

typedef struct
{
  Leader  *leader;
  GThread *thread;
  Source  *source;
} HandOver;

/* With the main thread asleep as the leader's follower. */
static void
leader_goes (gpointer data)
{
  HandOver *self = data;

  g_cancellable_cancel (self->leader->cancellable);
  g_thread_join (self->thread);
  source_write (self->source);
}

/* The leader goes away empty-handed: another takes its place. */
static void
test_wait_hand_over (void)
{
  Leader leader = { g_cancellable_new (), 0 };
  HandOver hand_over = { &leader, NULL, NULL };
  g_auto(Source) source;
  GThread *thread;
  Later later;

  source_init (&source);
  hand_over.source = &source;
  hand_over.thread = g_thread_new ("leader", leader_thread, &leader);
  /* Asked a second time when it has its descriptor for the cancellable, and keeps the lock until it sleeps. */
  while (g_atomic_int_get (&leader.n_asked) < 2)
    g_thread_yield ();
  thread = do_later (&later, leader_goes, &hand_over);
  g_assert_true (mp_hub_wait (NULL, is_positive, &source.n_bytes, "test", LONG, NULL, NULL));
  g_thread_join (thread);
  g_object_unref (leader.cancellable);
}

typedef struct
{
  GMainContext *context;
  GMainLoop    *loop;
  GThread      *thread;
} LoopThread;

static gpointer
loop_thread (gpointer data)
{
  LoopThread *self = data;

  g_main_context_push_thread_default (self->context);
  g_main_loop_run (self->loop);
  g_main_context_pop_thread_default (self->context);
  return NULL;
}

static gboolean
quit_cb (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

typedef struct
{
  GThread *ran_in;
  GThread *freed_in;
  int      done;     /* hub's lock */
} Where;

static void
where_cb (gpointer data)
{
  Where *where = data;

  where->ran_in = g_thread_self ();
}

static void
where_free (gpointer data)
{
  Where *where = data;

  where->freed_in = g_thread_self ();
  set_one (&where->done);
}

/* A context that another thread runs: the callback comes there, whoever waits here. */
static void
test_wait_foreign_context (void)
{
  LoopThread loop;
  GMainContext *context;
  Where where = { NULL, NULL, 0 };

  loop.context = g_main_context_new ();
  loop.loop = g_main_loop_new (loop.context, FALSE);
  loop.thread = g_thread_new ("loop", loop_thread, &loop);
  while (!g_main_loop_is_running (loop.loop))
    g_thread_yield ();

  context = mp_hub_ref_context (loop.context);
  mp_hub_lock ();
  mp_hub_post (context, &where, where_cb, &where, where_free);
  mp_hub_unlock ();
  g_assert_true (mp_hub_wait (&where, is_positive, &where.done, "test", LONG, NULL, NULL));
  g_assert_true (where.ran_in == loop.thread);
  g_assert_true (where.freed_in == loop.thread);
  mp_hub_unref_context (context);

  g_main_context_invoke (loop.context, quit_cb, loop.loop);
  g_thread_join (loop.thread);
  g_main_loop_unref (loop.loop);
  g_main_context_unref (loop.context);
}

static void
default_cb (gpointer data)
{
  g_autoptr(GMainContext) context = g_main_context_ref_thread_default ();

  g_assert_true (context == data);
  g_assert_true (g_main_context_is_owner (context));
  g_string_append (notes, "in");
}

/* A context of this thread's that is not pushed now is so while its callbacks run. */
static void
test_wait_own_context (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  GMainContext *used = mp_hub_ref_context (context);

  mp_hub_lock ();
  mp_hub_post (used, used, default_cb, context, NULL);
  mp_hub_unlock ();
  mp_hub_wait (used, not_yet, NULL, "test", 0, NULL, NULL);
  assert_notes ("in");
  mp_hub_unref_context (used);
}

/* Four threads send a byte each through a pipe, wait for it, and have a callback of it, all at once, while a fifth runs
 * a main loop. */
#define N_ROUNDS 2000

typedef struct
{
  Source        source;
  GMainContext *context;
  int           round;
  int           n_told;
} Player;

static void
player_told (gpointer data)
{
  Player *player = data;

  player->n_told++;
}

static void
player_on_byte (gpointer data)
{
  Player *player = data;

  mp_hub_post (player->context, player, player_told, player, NULL);
}

static gboolean
player_is_done (gpointer data)
{
  Player *player = data;

  return player->source.n_bytes >= player->round;
}

static gpointer
player_thread (gpointer data)
{
  Player *player = data;

  player->context = mp_hub_ref_context (player->context);
  source_init (&player->source);
  player->source.func = player_on_byte;
  player->source.data = player;
  for (player->round = 1; player->round <= N_ROUNDS; )
    {
      source_write (&player->source);
      g_assert_true (mp_hub_wait (player, player_is_done, player, "player", LONG, NULL, NULL));
      g_assert_cmpint (player->n_told, ==, player->round);
      mp_hub_lock ();
      player->round++;
      mp_hub_unlock ();
    }
  source_clear (&player->source);
  mp_hub_unref_context (player->context);
  return NULL;
}

static void
test_stress (void)
{
  Player players[4];
  GThread *threads[4];
  LoopThread loop;
  GMainContext *context;
  guint i;

  loop.context = g_main_context_new ();
  loop.loop = g_main_loop_new (loop.context, FALSE);
  context = mp_hub_ref_context (loop.context);
  loop.thread = g_thread_new ("loop", loop_thread, &loop);
  for (i = 0; i < G_N_ELEMENTS (players); i++)
    {
      memset (&players[i], 0, sizeof players[i]);
      players[i].context = g_main_context_new ();
      threads[i] = g_thread_new ("player", player_thread, &players[i]);
    }
  for (i = 0; i < G_N_ELEMENTS (players); i++)
    {
      g_thread_join (threads[i]);
      g_main_context_unref (players[i].context);
    }
  g_main_context_invoke (loop.context, quit_cb, loop.loop);
  g_thread_join (loop.thread);
  g_main_loop_unref (loop.loop);
  mp_hub_unref_context (context);
  g_main_context_unref (loop.context);
}

int
main (int   argc,
      char *argv[])
{
  int result;

  g_test_init (&argc, &argv, NULL);
  notes = g_string_new (NULL);

  g_test_add_func ("/hub-wait/owner-only", test_wait_owner_only);
  g_test_add_func ("/hub-wait/tells-first", test_wait_tells_first);
  g_test_add_func ("/hub-wait/timeout", test_wait_timeout);
  g_test_add_func ("/hub-wait/cancel", test_wait_cancel);
  g_test_add_func ("/hub-wait/interrupt", test_wait_interrupt);
  g_test_add_func ("/hub-wait/changed", test_wait_changed);
  g_test_add_func ("/hub-wait/threads", test_wait_threads);
  g_test_add_func ("/hub-wait/hand-over", test_wait_hand_over);
  g_test_add_func ("/hub-wait/foreign-context", test_wait_foreign_context);
  g_test_add_func ("/hub-wait/own-context", test_wait_own_context);
  g_test_add_func ("/hub-wait/stress", test_stress);

  result = g_test_run ();
  g_string_free (notes, TRUE);
  return result;
}
