/* pool-size-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-test.h"

/* Who came and went in a pool, and why. */
typedef struct
{
  guint      n_started, n_exited;
  GPtrArray *reasons;   /* of those who exited */
  int        last_status;
} Events;

static inline void
events_started_cb (MpPool *pool, guint number, int pid, gpointer user_data)
{
  Events *events = user_data;

  events->n_started++;
}

static inline void
events_exited_cb (MpPool *pool, guint number, int pid, int status, const char *reason, gpointer user_data)
{
  Events *events = user_data;

  events->n_exited++;
  events->last_status = status;
  g_ptr_array_add (events->reasons, g_strdup (reason));
}

static inline void
events_init (Events *events, MpPool *pool)
{
  *events = (Events) { .reasons = g_ptr_array_new_with_free_func (g_free) };
  g_signal_connect (pool, "worker-started", G_CALLBACK (events_started_cb), events);
  g_signal_connect (pool, "worker-exited", G_CALLBACK (events_exited_cb), events);
}

static inline void
events_clear (Events *events)
{
  g_clear_pointer (&events->reasons, g_ptr_array_unref);
}

static inline guint
events_count (Events *events, const char *reason)
{
  guint n = 0;

  for (guint i = 0; i < events->reasons->len; i++)
    n += g_str_equal (events->reasons->pdata[i], reason);
  return n;
}

static inline void
events_await_exits (Events *events, guint n)
{
  while (events->n_exited < n)
    g_main_context_iteration (NULL, TRUE);
}

static inline MpPool *
elastic_pool (guint n_workers, guint min_workers, gint64 idle_timeout_us)
{
  return g_object_new (MP_TYPE_POOL, "n-workers", n_workers, "min-workers", min_workers,
                       "idle-timeout-us", idle_timeout_us, NULL);
}

/* A task that waits until it is told to end. */
typedef struct
{
  Gate      gate;
  MpFuture *future;
  int       pid;
} Held;

static inline void
held_submit (Held *held, MpPool *pool)
{
  held->gate = gate_new ();
  held->future = submit (pool, MP_FUNCTION (wait_at_gate), gate_handle (&held->gate));
}

static inline void
held_await (Held *held)
{
  held->pid = gate_await (&held->gate);
}

static inline void
held_begin (Held *held, MpPool *pool)
{
  held_submit (held, pool);
  held_await (held);
}

static inline void
held_clear (Held *held)
{
  gate_clear (&held->gate);
  g_clear_object (&held->future);
}

static inline void
held_end (Held *held)
{
  gate_open (&held->gate);
  g_assert_cmpint (get_int (held->future), ==, held->pid);
  held_clear (held);
}

/* So many are at work at the same time. */
static inline void
check_n_at_work (MpPool *pool, guint n)
{
  g_autofree Held *held = g_new (Held, n);

  for (guint i = 0; i < n; i++)
    held_submit (&held[i], pool);
  for (guint i = 0; i < n; i++)
    held_await (&held[i]);
  for (guint i = 0; i < n; i++)
    held_end (&held[i]);
}
