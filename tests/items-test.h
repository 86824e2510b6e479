/* items-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-test.h"

/* Input that is counted, for the tests of MpItems. */

typedef struct
{
  int      next, end;      /* what is given */
  int      fail_at;        /* -1: never */
  int      n_asked;        /* calls */
  gboolean asked_after;    /* after the end */
  gboolean freed;
  GThread *thread;
} Count;

G_GNUC_UNUSED static Count
count_to (int end)
{
  return (Count) { 0, end, -1, 0, FALSE, FALSE, g_thread_self () };
}

G_GNUC_UNUSED static GVariant *
count_up (gpointer user_data, GError **error)
{
  Count *self = user_data;

  g_assert_true (self->thread == g_thread_self ());
  g_assert_false (self->freed);
  self->asked_after = self->asked_after || self->next > self->end;
  self->n_asked++;
  if (self->next == self->fail_at)
    {
      self->next = self->end + 1;
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "no %d", self->fail_at);
      return NULL;
    }
  if (self->next >= self->end)
    {
      self->next = self->end + 1;
      return NULL;
    }
  return g_variant_new_int32 (self->next++);
}

G_GNUC_UNUSED static void
count_freed (gpointer user_data)
{
  Count *self = user_data;

  g_assert_true (self->thread == g_thread_self ());
  g_assert_false (self->freed);
  self->freed = TRUE;
}

G_GNUC_UNUSED static MpResultIter *
iterate (MpPool *pool, const char *function, MpItems *items, guint chunk_size, gboolean ordered)
{
  g_autoptr(GError) error = NULL;
  MpResultIter *iter = mp_pool_imap_with (pool, function, items, chunk_size, ordered, NULL, &error);

  g_assert_no_error (error);
  g_object_unref (items);
  return iter;
}

G_GNUC_UNUSED static MpResultIter *
iterate_count (MpPool *pool, const char *function, Count *count, guint chunk_size, gboolean ordered)
{
  return iterate (pool, function, mp_items_new_for_func (count_up, count, count_freed), chunk_size, ordered);
}

G_GNUC_UNUSED static void
expect_end (MpResultIter *iter)
{
  for (int i = 0; i < 2; i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_null (mp_result_iter_next (iter, LONG, NULL, &error));
      g_assert_no_error (error);
    }
}

G_GNUC_UNUSED static int
next_int (MpResultIter *iter)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_result_iter_next (iter, LONG, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (value);
  return g_variant_get_int32 (value);
}

G_GNUC_UNUSED static void
expect_error (MpResultIter *iter, GQuark domain, int code, const char *message)
{
  g_autoptr(GError) error = NULL;

  g_assert_null (mp_result_iter_next (iter, LONG, NULL, &error));
  g_assert_error (error, domain, code);
  if (strstr (error->message, message) == NULL)
    g_error ("“%s” has no “%s”", error->message, message);
}
