/* test-hub.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "hub-test.h"
#include "mp-glib/base/mp-event-loop.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Watches, timers, posts and contexts of the hub; the waits have tests of their own. */

static void
test_watch (void)
{
  g_auto(Source) source;
  g_autoptr(GError) error = NULL;

  source_init (&source);
  turn_once ();
  g_assert_cmpint (source.n_calls, ==, 0);
  source_write (&source);
  g_assert_true (mp_hub_wait (NULL, is_positive, &source.n_bytes, "test", LONG, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (source.n_bytes, ==, 1);
  turn_once ();
  g_assert_cmpint (source.n_calls, ==, 1);
}

static void
remove_both (gpointer data)
{
  Source *sources = data;
  int i;

  for (i = 0; i < 2; i++)
    g_clear_pointer (&sources[i].watch, mp_hub_remove_watch);
}

/* Both are ready in one batch; the first to be called removes itself and the other. */
static void
test_watch_removed_in_batch (void)
{
  Source sources[2];
  int i;

  for (i = 0; i < 2; i++)
    {
      source_init (&sources[i]);
      sources[i].func = remove_both;
      sources[i].data = sources;
      source_write (&sources[i]);
    }
  turn_once ();
  g_assert_cmpint (sources[0].n_calls + sources[1].n_calls, ==, 1);
  turn_once ();
  g_assert_cmpint (sources[0].n_calls + sources[1].n_calls, ==, 1);
  for (i = 0; i < 2; i++)
    source_clear (&sources[i]);
}

static void
replace_both (gpointer data)
{
  Source *sources = data;
  int i;

  /* In the places of those that are gone, where their events still point to. */
  remove_both (sources);
  for (i = 2; i < 4; i++)
    source_init (&sources[i]);
}

static void
test_watch_replaced_in_batch (void)
{
  Source sources[4];
  int i;

  for (i = 0; i < 2; i++)
    {
      source_init (&sources[i]);
      sources[i].func = replace_both;
      sources[i].data = sources;
      source_write (&sources[i]);
    }
  turn_once ();
  g_assert_cmpint (sources[0].n_calls + sources[1].n_calls, ==, 1);
  g_assert_cmpint (sources[2].n_calls + sources[3].n_calls, ==, 0);
  for (i = 0; i < 4; i++)
    source_clear (&sources[i]);
}

static void
test_watch_asleep (void)
{
  g_auto(Source) source;

  source_init (&source);
  mp_hub_lock ();
  mp_hub_modify_watch (source.watch, 0);
  mp_hub_unlock ();
  source_write (&source);
  mp_fd_close (&source.fds[1]);
  turn_once ();                      /* neither the byte nor the end is told */
  g_assert_cmpint (source.n_calls, ==, 0);
  mp_hub_lock ();
  mp_hub_modify_watch (source.watch, G_IO_IN);
  mp_hub_unlock ();
  turn_once ();
  g_assert_cmpint (source.n_bytes, ==, 1);
}

static void
test_timer_order (void)
{
  g_autoptr(GRand) rand = g_rand_new_with_seed (1);
  gint64 now = g_get_monotonic_time ();
  MpTimer *removed[64];
  int order[8], i, fired = 0;
  static const char *names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

  for (i = 0; i < 8; i++)
    order[i] = i;
  for (i = 7; i > 0; i--)
    {
      int j = g_rand_int_range (rand, 0, i + 1), other = order[i];

      order[i] = order[j];
      order[j] = other;
    }

  mp_hub_lock ();
  for (i = 0; i < 64; i++)
    {
      removed[i] = mp_hub_add_timer (now + g_rand_int_range (rand, 0, 3000), note_cb, (gpointer) "!");
      if (i % 8 == 0)
        mp_hub_add_timer (now + 100 * order[i / 8], note_cb, (gpointer) names[order[i / 8]]);
    }
  for (i = 0; i < 64; i++)
    mp_hub_remove_timer (removed[i]);
  mp_hub_add_timer (now + 4000, (MpTimerFunc) g_atomic_int_inc, &fired);
  mp_hub_unlock ();

  g_assert_true (mp_hub_wait (NULL, is_positive, &fired, "test", LONG, NULL, NULL));
  g_assert_cmpint (g_get_monotonic_time () - now, >=, 4000);
  assert_notes ("abcdefgh");
}

static void
again_cb (gpointer data)
{
  int *n = data;

  (*n)++;
  mp_hub_add_timer (0, again_cb, n);
}

static gboolean
is_three (gpointer data)
{
  return *(int *) data == 3;
}

/* One that is always due does not keep the hub to itself. */
static void
test_timer_again (void)
{
  g_autoptr(GError) error = NULL;
  int n = 0;

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, 0);   /* because the timer stays */
      g_test_trap_assert_passed ();
      return;
    }

  mp_hub_lock ();
  mp_hub_add_timer (0, again_cb, &n);
  mp_hub_unlock ();
  g_assert_true (mp_hub_wait (NULL, is_three, &n, "test", LONG, NULL, &error));
  g_assert_no_error (error);
}

static void
test_post_loop (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  int a, b;

  g_assert_true (context == g_main_context_default ());
  g_assert_false (g_main_context_pending (context));
  post (context, &a, "1");
  post (context, &b, "2");
  post (context, &a, "3");
  assert_notes ("");
  while (g_main_context_iteration (context, FALSE))
    ;
  assert_notes ("123");
  mp_hub_unref_context (context);
}

static void
repost_cb (gpointer data)
{
  int *n = data;

  if (++*n < 1000)
    {
      mp_hub_lock ();
      mp_hub_post (g_main_context_default (), data, repost_cb, data, NULL);
      mp_hub_unlock ();
    }
}

static gboolean
stop_cb (gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

/* A post that posts itself again lets the other sources of the context come. */
static void
test_post_fair (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  gboolean stopped = FALSE;
  int n = 0;

  g_timeout_add_full (G_PRIORITY_DEFAULT, 0, stop_cb, &stopped, NULL);
  repost_cb (&n);
  while (!stopped)
    g_main_context_iteration (context, TRUE);
  g_assert_cmpint (n, <, 1000);
  while (n < 1000)
    g_main_context_iteration (context, TRUE);
  mp_hub_unref_context (context);
}

static void
nested_cb (gpointer data)
{
  g_autoptr(GError) error = NULL;

  g_string_append (notes, "[");
  post (g_main_context_default (), data, "4");
  mp_hub_wait (data, not_yet, NULL, "nested", 0, NULL, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_string_append (notes, "]");
}

/* A callback blocks: what is due is run there, in order, and not again afterwards. */
static void
test_post_nested (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  int a, b, round;

  for (round = 0; round < 2; round++)
    {
      post (context, &a, "1");
      mp_hub_lock ();
      mp_hub_post (context, &a, nested_cb, &a, NULL);
      mp_hub_unlock ();
      post (context, &b, "x");
      post (context, &a, "3");
      if (round == 0)
        {
          mp_hub_wait (&a, not_yet, NULL, "outer", 0, NULL, NULL);
          assert_notes ("1[34]");
        }
      while (g_main_context_iteration (context, FALSE))
        ;
      assert_notes (round == 0 ? "x" : "1[34]x");
    }
  mp_hub_unref_context (context);
}

static void
loop_cb (gpointer data)
{
  Source *source = data;

  /* Both what is posted and what the kernel brings come to a loop within a callback. */
  post (g_main_context_default (), source, "2");
  g_string_append (notes, "[");
  while (notes->str[notes->len - 1] != '2')
    g_main_context_iteration (NULL, TRUE);
  source_write (source);
  while (source->n_bytes == 0)
    g_main_context_iteration (NULL, TRUE);
  g_string_append (notes, "]");
}

static void
test_post_nested_loop (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  g_auto(Source) source;

  source_init (&source);
  mp_hub_lock ();
  mp_hub_post (context, &source, loop_cb, &source, NULL);
  mp_hub_unlock ();
  while (source.n_bytes == 0)
    g_main_context_iteration (context, TRUE);
  assert_notes ("[2]");
  mp_hub_unref_context (context);
}

static void
set_flag (gpointer data)
{
  *(gboolean *) data = TRUE;
}

/* What was posted is run though nobody refers to the context any more; then the context goes. */
static void
test_context_last_posts (void)
{
  GMainContext *context = g_main_context_new ();
  GSource *witness = g_idle_source_new ();
  gboolean gone = FALSE;
  int a;

  g_source_set_callback (witness, G_SOURCE_FUNC (stop_cb), &gone, set_flag);
  g_source_set_priority (witness, G_PRIORITY_LOW);
  g_source_attach (witness, context);
  g_source_unref (witness);

  mp_hub_unref_context (mp_hub_ref_context (context));
  post (context, &a, "1");
  post (context, &a, "2");
  while (notes->len == 0)
    g_main_context_iteration (context, TRUE);
  assert_notes ("12");
  g_main_context_unref (context);
  g_assert_true (gone);
}

static gboolean
is_readable (int fd)
{
  GPollFD pollfd = { fd, G_IO_IN, 0 };

  return mp_poll_fds (&pollfd, 1, 0) == 1;
}

static gpointer
post_thread (gpointer data)
{
  post (g_main_context_default (), data, "4");
  return NULL;
}

static void
test_event_loop (void)
{
  g_auto(Source) source;
  int fd = mp_loop_get_fd (), a;

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (mp_loop_get_fd (), ==, fd);
  g_assert_false (is_readable (fd));

  /* From this thread, in which nothing is asleep. */
  post (g_main_context_default (), &a, "1");
  post (g_main_context_default (), &a, "2");
  g_assert_true (is_readable (fd));
  mp_loop_dispatch ();
  assert_notes ("12");
  g_assert_false (is_readable (fd));

  /* What the kernel brings, with a callback. */
  source_init (&source);
  source.func = post_on_byte;
  source.data = &source;
  source_write (&source);
  g_assert_true (is_readable (fd));
  mp_loop_dispatch ();
  assert_notes ("told");
  g_assert_false (is_readable (fd));

  /* From another thread. */
  g_thread_join (g_thread_new ("post", post_thread, &a));
  g_assert_true (is_readable (fd));
  mp_loop_dispatch ();
  assert_notes ("4");

  /* Run by a blocking call instead: at most one call for nothing. */
  post (g_main_context_default (), &a, "5");
  mp_hub_wait (&a, not_yet, NULL, "test", 0, NULL, NULL);
  assert_notes ("5");
  mp_loop_dispatch ();
  g_assert_false (is_readable (fd));
}

static void
test_event_loop_repost (void)
{
  int fd = mp_loop_get_fd (), n = 990, rounds = 0;

  repost_cb (&n);
  while (is_readable (fd))
    {
      mp_loop_dispatch ();
      rounds++;
    }
  g_assert_cmpint (n, ==, 1000);
  g_assert_cmpint (rounds, ==, 9);
}

static void
unlocked_cb (gpointer data)
{
  /* Another thread gets the lock: so this one does not have it. */
  g_thread_join (g_thread_new ("lock", (GThreadFunc) (void (*) (void)) set_one, data));
  g_string_append (notes, "u");
}

static void
test_run_unlocked (void)
{
  int values[40] = { 0 };
  guint i;

  mp_hub_lock ();
  mp_hub_lock ();
  for (i = 0; i < G_N_ELEMENTS (values); i++)
    mp_hub_run_unlocked (unlocked_cb, &values[i]);
  mp_hub_unlock ();
  assert_notes ("");
  mp_hub_unlock ();
  assert_notes ("uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu");
  for (i = 0; i < G_N_ELEMENTS (values); i++)
    g_assert_cmpint (values[i], ==, 1);
}

static void
unlocked_on_byte (gpointer data)
{
  mp_hub_run_unlocked (set_one, data);
}

/* What is freed after a turn may be what ends the wait. */
static void
test_run_unlocked_wait (void)
{
  g_auto(Source) source;
  int yes = 0;

  source_init (&source);
  source.func = unlocked_on_byte;
  source.data = &yes;
  source_write (&source);
  g_assert_true (mp_hub_wait (NULL, is_positive, &yes, "test", LONG, NULL, NULL));
}

static void
task_cb (GObject      *object,
         GAsyncResult *result,
         gpointer      user_data)
{
  g_assert_true (g_task_propagate_boolean (G_TASK (result), NULL));
  g_assert_true (G_IS_CANCELLABLE (object));
  note_cb (user_data);
}

/* Without a main loop: the callback runs, and neither task nor object stays. */
static void
test_post_task (void)
{
  GCancellable *object = g_cancellable_new ();
  GTask *task = g_task_new (object, NULL, NULL, NULL);

  g_task_return_boolean (task, TRUE);
  mp_hub_lock ();
  mp_hub_post_task (task, object, task_cb, (gpointer) "task");
  mp_hub_unlock ();
  mp_hub_wait (object, not_yet, NULL, "test", 0, NULL, NULL);
  assert_notes ("task");
  g_assert_finalize_object (object);
  g_assert_false (g_main_context_pending (NULL));
}

static void
in_forked_child (Source *source)
{
  int yes = 0;

  mp_hub_reset_after_fork ();
  source_clear (source);            /* what the parent had, in a child that frees its copy */
  source_init (source);
  mp_hub_unref_context (g_main_context_ref (g_main_context_default ()));
  mp_hub_lock ();
  mp_hub_add_timer (g_get_monotonic_time () + 1000, (MpTimerFunc) g_atomic_int_inc, &yes);
  mp_hub_unlock ();
  source_write (source);
  if (!mp_hub_wait (NULL, is_positive, &yes, "child", LONG, NULL, NULL) || source->n_bytes != 1)
    _exit (1);
  post (g_main_context_default (), source, "c");
  mp_hub_wait (source, not_yet, NULL, "child", 0, NULL, NULL);
  _exit (g_str_equal (notes->str, "c") ? 0 : 2);
}

/* Of a child that made something of its own before it freed what it has of its parent. */
static void
in_child_with_context (void)
{
  gint64 deadline = g_get_monotonic_time () + LONG;
  GMainContext *context;
  Source source;

  mp_hub_reset_after_fork ();
  context = mp_hub_ref_context (NULL);
  for (int i = 0; i < 2; i++)
    mp_hub_unref_context (g_main_context_ref (context));
  source_init (&source);
  source_write (&source);
  while (source.n_bytes == 0 && g_get_monotonic_time () < deadline)
    g_main_context_iteration (NULL, FALSE);
  source_clear (&source);
  mp_hub_unref_context (context);
  _exit (source.n_bytes == 1 ? 0 : 1);
}

static void
test_fork_context (void)
{
  GMainContext *contexts[] = { mp_hub_ref_context (NULL), mp_hub_ref_context (NULL) };
  int status;
  pid_t pid;

  pid = fork ();
  if (pid == 0)
    in_child_with_context ();
  g_assert_no_errno (pid);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (contexts); i++)
    mp_hub_unref_context (contexts[i]);
}

static void
test_fork (void)
{
  GMainContext *context = mp_hub_ref_context (NULL);
  MpTimer *timer;
  Source source;
  int status;
  pid_t pid;

  source_init (&source);
  mp_hub_lock ();
  timer = mp_hub_add_timer (g_get_monotonic_time () + LONG, set_one, &status);
  mp_hub_unlock ();
  post (context, &source, "p");
  pid = fork ();
  if (pid == 0)
    {
      mp_hub_reset_after_fork ();
      mp_hub_lock ();
      mp_hub_remove_timer (timer);
      mp_hub_unlock ();
      in_forked_child (&source);
    }
  g_assert_no_errno (pid);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  /* The parent has all that it had. */
  source_write (&source);
  g_assert_true (mp_hub_wait (&source, is_positive, &source.n_bytes, "test", LONG, NULL, NULL));
  assert_notes ("p");
  mp_hub_lock ();
  mp_hub_remove_timer (timer);
  mp_hub_unlock ();
  source_clear (&source);
  mp_hub_unref_context (context);
}

int
main (int   argc,
      char *argv[])
{
  int result;

  g_test_init (&argc, &argv, NULL);
  notes = g_string_new (NULL);

  g_test_add_func ("/hub/watch", test_watch);
  g_test_add_func ("/hub/watch/removed-in-batch", test_watch_removed_in_batch);
  g_test_add_func ("/hub/watch/replaced-in-batch", test_watch_replaced_in_batch);
  g_test_add_func ("/hub/watch/asleep", test_watch_asleep);
  g_test_add_func ("/hub/timer/order", test_timer_order);
  g_test_add_func ("/hub/timer/again", test_timer_again);
  g_test_add_func ("/hub/post/loop", test_post_loop);
  g_test_add_func ("/hub/post/fair", test_post_fair);
  g_test_add_func ("/hub/post/nested", test_post_nested);
  g_test_add_func ("/hub/post/nested-loop", test_post_nested_loop);
  g_test_add_func ("/hub/post/task", test_post_task);
  g_test_add_func ("/hub/context/last-posts", test_context_last_posts);
  g_test_add_func ("/hub/run-unlocked", test_run_unlocked);
  g_test_add_func ("/hub/run-unlocked/wait", test_run_unlocked_wait);
  g_test_add_func ("/hub/event-loop", test_event_loop);
  g_test_add_func ("/hub/event-loop/repost", test_event_loop_repost);
  g_test_add_func ("/hub/fork", test_fork);
  g_test_add_func ("/hub/fork-context", test_fork_context);

  result = g_test_run ();
  g_string_free (notes, TRUE);
  return result;
}
