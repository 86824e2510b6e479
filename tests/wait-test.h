/* wait-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection-test.h"
#include "instrument-test.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the tests of mp_wait() share. */

/* Which of @objects are ready, by their numbers. */
static inline char *
wait_numbers (gpointer      *objects,
              gsize          n_objects,
              gint64         timeout_us,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr(GPtrArray) ready = mp_wait ((MpWaitable **) objects, n_objects, timeout_us, cancellable, error);
  GString *text = g_string_new (NULL);
  guint found = 0;

  if (ready == NULL)
    return g_string_free (text, TRUE);

  for (gsize i = 0; i < n_objects && found < ready->len; i++)
    if (g_ptr_array_index (ready, found) == objects[i])
      {
        g_string_append_printf (text, "%s%" G_GSIZE_FORMAT, found > 0 ? " " : "", i);
        found++;
      }
  g_assert_cmpuint (found, ==, ready->len);
  return g_string_free (text, FALSE);
}

static inline void
assert_ready (gpointer   *objects,
              gsize       n_objects,
              gint64      timeout_us,
              const char *expected)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *numbers = wait_numbers (objects, n_objects, timeout_us, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (numbers, ==, expected);
}

/* A thread in a wait. */
typedef struct
{
  gpointer     *objects;
  gsize         n_objects;
  GCancellable *cancellable;
  GError       *error;
  int           tid;       /* atomic */
  GThread      *thread;
} Waiter;

static inline gpointer
waiter_main (gpointer data)
{
  Waiter *self = data;

  g_atomic_int_set (&self->tid, syscall (SYS_gettid));
  return wait_numbers (self->objects, self->n_objects, LONG_TIME, self->cancellable, &self->error);
}

/* Whether it sleeps in a function of the kernel that has @where in its name. */
static inline gboolean
waiter_is_asleep (Waiter     *self,
                  const char *where)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/wchan", g_atomic_int_get (&self->tid));
  g_autofree char *found = NULL;

  return g_file_get_contents (path, &found, NULL, NULL) && strstr (found, where) != NULL;
}

static inline void
waiter_await_asleep (Waiter     *self,
                     const char *where)
{
  while (!waiter_is_asleep (self, where))
    g_thread_yield ();
}

/* Returns when it sleeps. */
static inline void
waiter_begin (Waiter    *self,
              gpointer  *objects,
              gsize      n_objects)
{
  self->objects = objects;
  self->n_objects = n_objects;
  self->thread = g_thread_new ("waiter", waiter_main, self);
  while (g_atomic_int_get (&self->tid) == 0)
    g_thread_yield ();
  waiter_await_asleep (self, "poll");
}

static inline void
waiter_end (Waiter     *self,
            const char *expected)
{
  g_autofree char *numbers = g_thread_join (self->thread);

  g_assert_cmpstr (numbers, ==, expected);
}

static inline guint
count_fds (void)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}
