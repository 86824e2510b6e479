/* test-child-setup.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "child-test.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/process/mp-worker-private.h"

#include <stdlib.h>

/* What a child is given by its owner, and what it is not. */

static GVariant *
check_setup (GVariant *args, gpointer user_data, GError **error)
{
  MpWorker *worker = mp_worker_get ();
  gboolean daemon = FALSE;
  int parent = 0;

  g_assert_true (mp_is_worker ());
  g_assert_cmpstr (worker->name, ==, "Named");
  g_assert_cmpuint (worker->number, ==, 5);
  g_assert_cmpuint (mp_get_n_usable_cpus (), ==, 1);
  g_assert_true (g_variant_lookup (worker->setup, "daemon", "b", &daemon) && daemon);
  g_assert_true (g_variant_lookup (worker->setup, "parent-pid", "i", &parent));
  g_assert_cmpint (parent, >, 1);
  g_assert_nonnull (worker->board);
  __atomic_store_n (&worker->board->state, 77, __ATOMIC_RELEASE);
  g_assert_cmpint (getpgrp (), ==, getpid ());
  return g_variant_new_tuple (NULL, 0);
}

static void
test_setup (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  int fd = mp_fd_memory_file ("board", sizeof (MpBoard));
  MpBoard *board = mp_fd_map_memory_file (fd, sizeof (MpBoard));
  MpChildConfig config =
    { .role = MP_ROLE_PROCESS, .name = "Named", .number = 5, .cpu_budget = 1, .daemon = TRUE, .own_group = TRUE,
      .board = fd };
  Watched watched;

  g_assert_nonnull (board);
  watched_start_full (&watched, context, &config, MP_FUNCTION (check_setup));
  wait_until (&watched, is_ended);
  g_assert_no_error (watched.error);
  g_assert_cmpint (get_status (&watched), ==, 0);
  g_assert_cmpuint (__atomic_load_n (&board->state, __ATOMIC_ACQUIRE), ==, 77);
  mp_fd_unmap (board, sizeof (MpBoard));
  close (fd);
  watched_clear (&watched);
}

/* A child holds nothing of its siblings: neither their sockets nor their life-lines. */

static guint n_sockets_before, n_pipes_before;   /* of whoever runs the tests; a forked child has them too */

static void
count_fds (guint *n_sockets, guint *n_pipes)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  const char *name;

  *n_sockets = *n_pipes = 0;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc/self/fd", name, NULL);
      g_autofree char *target = g_file_read_link (path, NULL);

      if (atoi (name) <= STDERR_FILENO || target == NULL)
        continue;
      *n_sockets += g_str_has_prefix (target, "socket:");
      *n_pipes += g_str_has_prefix (target, "pipe:");
    }
}

static GVariant *
check_fds (GVariant *args, gpointer user_data, GError **error)
{
  guint n_sockets, n_pipes;

  count_fds (&n_sockets, &n_pipes);
  g_assert_cmpuint (n_sockets, ==, n_sockets_before + 1);   /* its own */
  g_assert_cmpuint (n_pipes, ==, n_pipes_before + 1);       /* its life-line */
  return g_variant_new_tuple (NULL, 0);
}

static gboolean
no_children (gpointer data)
{
  return mp_child_count () == 0;
}

static void
test_siblings (gconstpointer data)
{
  g_autoptr(MpContext) context = mp_context_new (GPOINTER_TO_INT (data));
  Watched siblings[3];
  Watched watched;

  /* valgrind has descriptors of its own. */
  if (is_slow ())
    {
      g_test_skip ("the descriptors would not only be ours");
      return;
    }
  mp_context_set_stderr (context, MP_STDERR_CAPTURE);
  /* The fork servers of other tests are on their way out. */
  mp_hub_wait (&watched, no_children, NULL, "test", LONG, NULL, NULL);
  if (GPOINTER_TO_INT (data) == MP_START_METHOD_FORK)
    count_fds (&n_sockets_before, &n_pipes_before);
  for (guint i = 0; i < G_N_ELEMENTS (siblings); i++)
    {
      watched_start (&siblings[i], context, MP_FUNCTION (sit));
      wait_until (&siblings[i], has_line);
    }
  watched_start (&watched, context, MP_FUNCTION (check_fds));
  wait_until (&watched, is_ended);
  g_assert_cmpint (get_status (&watched), ==, 0);
  watched_clear (&watched);
  for (guint i = 0; i < G_N_ELEMENTS (siblings); i++)
    {
      mp_hub_lock ();
      mp_child_end (siblings[i].child, 0);
      mp_hub_unlock ();
      wait_until (&siblings[i], is_ended);
      watched_clear (&siblings[i]);
    }
}

int
main (int argc, char **argv)
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  add_for_methods ("/child-setup/setup", test_setup);
  add_for_methods ("/child-setup/siblings", test_siblings);
  return g_test_run ();
}
