/* mp-worker-info.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

/**
 * MpWorkerState:
 * @MP_WORKER_STATE_STARTING: it is being started
 * @MP_WORKER_STATE_INITIALIZING: it runs the pool's initializer
 * @MP_WORKER_STATE_IDLE: it is ready, and has nothing to do
 * @MP_WORKER_STATE_RUNNING: it runs a task
 * @MP_WORKER_STATE_ENDING: it gets no more tasks, and ends when it has done what it has
 * @MP_WORKER_STATE_ENDED: it is not there any more
 *
 * What a worker of a pool does.
 *
 * Since: 0.1
 */
typedef enum
{
  MP_WORKER_STATE_STARTING,
  MP_WORKER_STATE_INITIALIZING,
  MP_WORKER_STATE_IDLE,
  MP_WORKER_STATE_RUNNING,
  MP_WORKER_STATE_ENDING,
  MP_WORKER_STATE_ENDED,
} MpWorkerState;

#define MP_TYPE_WORKER_INFO (mp_worker_info_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpWorkerInfo, mp_worker_info, MP, WORKER_INFO, GObject)

/* Properties, to be read: number, pid, name, state, current-task, n-tasks-done, start-time, task-start-time, busy-time. */
MP_AVAILABLE_IN_ALL
guint          mp_worker_info_get_number          (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
int            mp_worker_info_get_pid             (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
const char    *mp_worker_info_get_name            (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
MpWorkerState  mp_worker_info_get_state           (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
const char    *mp_worker_info_get_current_task    (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
guint64        mp_worker_info_get_n_tasks_done    (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
gint64         mp_worker_info_get_start_time      (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
gint64         mp_worker_info_get_task_start_time (MpWorkerInfo *self);
MP_AVAILABLE_IN_ALL
gint64         mp_worker_info_get_busy_time       (MpWorkerInfo *self);

G_END_DECLS
