/* mp-glib.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#define MP_INSIDE

#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/base/mp-version.h"
#include "mp-glib/base/mp-blob.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-event-loop.h"
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/sync/mp-bounded-semaphore.h"
#include "mp-glib/sync/mp-event.h"
#include "mp-glib/sync/mp-lock.h"
#include "mp-glib/sync/mp-rlock.h"
#include "mp-glib/sync/mp-semaphore.h"
#include "mp-glib/sync/mp-sync-object.h"
#include "mp-glib/memory/mp-shareable-list.h"
#include "mp-glib/memory/mp-shared-memory-manager.h"
#include "mp-glib/memory/mp-shared-memory.h"
#include "mp-glib/queue/mp-queue.h"
#include "mp-glib/channel/mp-connection.h"
#include "mp-glib/process/mp-invocation.h"
#include "mp-glib/process/mp-function.h"
#include "mp-glib/process/mp-init.h"
#include "mp-glib/process/mp-context.h"
#include "mp-glib/process/mp-process.h"
#include "mp-glib/pool/mp-backend.h"
#include "mp-glib/pool/mp-future.h"
#include "mp-glib/pool/mp-future-list.h"
#include "mp-glib/pool/mp-items.h"
#include "mp-glib/pool/mp-result-iter.h"
#include "mp-glib/pool/mp-task-options.h"
#include "mp-glib/pool/mp-worker-info.h"
#include "mp-glib/pool/mp-pool.h"
#include "mp-glib/mp-enum-types.h"

#undef MP_INSIDE
