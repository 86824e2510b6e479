/* test-hub-missing.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "hub-test.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors that the kernel does not take into an epoll set: it has no memory, or its user watches too many. */

static int  refused_error;   /* 0: nothing is refused */
static guint n_refused;

int
epoll_ctl (int                 epfd,
           int                 operation,
           int                 fd,
           struct epoll_event *event)
{
  if (operation == EPOLL_CTL_ADD && refused_error != 0)
    {
      n_refused++;
      errno = refused_error;
      return -1;
    }
  return syscall (SYS_epoll_ctl, epfd, operation, fd, event);
}

static void
refuse (int error)
{
  refused_error = error;
  n_refused = 0;
}

typedef struct
{
  Source *source;
  int     n_bytes;
} Wanted;

static gboolean
has_bytes (gpointer data)
{
  Wanted *wanted = data;

  return wanted->source->n_bytes >= wanted->n_bytes;
}

static void
wait_for_bytes (Source *source,
                int     n)
{
  Wanted wanted = { source, n };
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_hub_wait (NULL, has_bytes, &wanted, "test", LONG, NULL, &error));
  g_assert_no_error (error);
}

static void
change (Source       *source,
        GIOCondition  condition)
{
  mp_hub_lock ();
  mp_hub_modify_watch (source->watch, condition);
  mp_hub_unlock ();
}

static void
test_refused (gconstpointer data)
{
  g_auto(Source) source;

  refuse (GPOINTER_TO_INT (data));
  source_init (&source);
  g_assert_cmpuint (n_refused, ==, 1);
  source_write (&source);
  wait_for_bytes (&source, 1);
  g_assert_cmpuint (n_refused, >, 1);

  change (&source, 0);
  source_write (&source);
  change (&source, G_IO_IN);
  wait_for_bytes (&source, 2);
  change (&source, G_IO_IN | G_IO_PRI);
  source_write (&source);
  wait_for_bytes (&source, 3);
}

/* From when there is room it is watched as any other, and nothing goes on looking. */
static void
test_room_again (void)
{
  g_auto(Source) source, other;

  refuse (ENOSPC);
  source_init (&source);
  source_init (&other);
  source_write (&source);
  wait_for_bytes (&source, 1);
  refuse (0);
  source_write (&other);
  wait_for_bytes (&other, 1);
  source_write (&source);
  wait_for_bytes (&source, 2);

  refuse (ENOSPC);
  source_write (&source);
  wait_for_bytes (&source, 3);
  source_write (&other);
  wait_for_bytes (&other, 2);
  g_assert_cmpuint (n_refused, ==, 0);
}

static void
remove_other (gpointer data)
{
  Source *other = data;

  g_clear_pointer (&other->watch, mp_hub_remove_watch);
}

static void
test_removed (void)
{
  g_auto(Source) source, other;

  refuse (ENOMEM);
  source_init (&source);
  source_init (&other);
  source.func = remove_other;
  source.data = &other;
  source_write (&source);
  source_write (&other);
  wait_for_bytes (&source, 1);
  source_write (&source);
  wait_for_bytes (&source, 2);
  g_assert_cmpint (other.n_bytes, <=, 1);   /* it may have been the first */
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  mp_hub_prepare ();

  g_test_add_data_func ("/hub/missing/no-memory", GINT_TO_POINTER (ENOMEM), test_refused);
  g_test_add_data_func ("/hub/missing/too-many", GINT_TO_POINTER (ENOSPC), test_refused);
  g_test_add_func ("/hub/missing/room-again", test_room_again);
  g_test_add_func ("/hub/missing/removed", test_removed);

  return g_test_run ();
}
