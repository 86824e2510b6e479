/* queue-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lock-test.h"

#include "mp-glib/platform/mp-memory-file-private.h"
#include "mp-glib/queue/mp-queue-private.h"

/* What the tests of queues share. Children made by fork() have the queue of the test as well. */

G_GNUC_UNUSED static MpQueue *queue;     /* of the test that runs */

static inline void
put_number (MpQueue *self,
            guint64  number)
{
  g_autoptr(GError) error = NULL;

  mp_queue_put (self, g_variant_new_uint64 (number), LONG, NULL, &error);
  g_assert_no_error (error);
}

static inline guint64
get_number (MpQueue *self)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) value = mp_queue_get (self, LONG, NULL, &error);

  g_assert_no_error (error);
  return g_variant_get_uint64 (value);
}

/* Bytes that tell from which item they are. */
static inline GBytes *
make_bytes (guint64 number,
            gsize   size)
{
  guint8 *data = g_malloc (size + 1);

  for (gsize i = 0; i < size; i++)
    data[i] = (number * 31 + i) % 251;
  return g_bytes_new_take (data, size);
}

static inline void
check_bytes (GBytes  *bytes,
             guint64  number,
             gsize    size)
{
  g_autoptr(GBytes) expected = make_bytes (number, size);

  g_assert_true (g_bytes_equal (bytes, expected));
}

static inline void
put_sized (MpQueue *self,
           guint64  number,
           gsize    size)
{
  g_autoptr(GBytes) bytes = make_bytes (number, size);
  g_autoptr(GError) error = NULL;

  mp_queue_put_bytes (self, bytes, LONG, NULL, &error);
  g_assert_no_error (error);
}

static inline void
get_sized (MpQueue *self,
           guint64  number,
           gsize    size)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_queue_get_bytes (self, LONG, NULL, &error);

  g_assert_no_error (error);
  check_bytes (bytes, number, size);
}

static inline guint64
get_memory (MpQueue *self)
{
  return mp_memory_file_get_reserved (self->tape->fd);
}
