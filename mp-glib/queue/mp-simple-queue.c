/* mp-simple-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/queue/mp-simple-queue.h"

#include "mp-glib/queue/mp-queue-private.h"

/**
 * MpSimpleQueue:
 *
 * A queue without bounds: there is always room.
 *
 * As Python's `multiprocessing.SimpleQueue`. All that can be done with it is what can be done with a [class@Mp.Queue],
 * whose `put` never waits here.
 *
 * Since: 0.1
 */
struct _MpSimpleQueue
{
  MpQueue parent_instance;
};

static const MpQueueKind simple_kind = { "simple queue", MP_SLOT_QUEUE, 0 };

G_DEFINE_FINAL_TYPE (MpSimpleQueue, mp_simple_queue, MP_TYPE_QUEUE)
MP_QUEUE_DEFINE_KIND (mp_simple_queue, MP_TYPE_SIMPLE_QUEUE, simple_kind)

static void
mp_simple_queue_class_init (MpSimpleQueueClass *klass)
{
  klass->parent_class.kind = &simple_kind;
}

static void
mp_simple_queue_init (MpSimpleQueue *self)
{
}

/**
 * mp_simple_queue_new:
 *
 * Makes a queue without bounds.
 *
 * Returns: (transfer full): a queue
 *
 * Since: 0.1
 */
MpSimpleQueue *
mp_simple_queue_new (void)
{
  return g_object_new (MP_TYPE_SIMPLE_QUEUE, NULL);
}
