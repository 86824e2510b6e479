/* mp-pool.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/pool/mp-backend.h"
#include "mp-glib/pool/mp-future.h"
#include "mp-glib/pool/mp-items.h"
#include "mp-glib/pool/mp-result-iter.h"
#include "mp-glib/pool/mp-task-options.h"
#include "mp-glib/process/mp-context.h"

G_BEGIN_DECLS

#define MP_TYPE_POOL (mp_pool_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpPool, mp_pool, MP, POOL, GObject)

/* Properties, set at any time: n-workers (0: usable CPUs), min-workers, idle-timeout-us, worker-max-age-us (-1: none),
 * worker-max-growth, max-start-rate (0: none); construct-only: initializer, initializer-args (variant, nullable),
 * tasks-per-worker (0: no bound), context (MpContext). To be read: n-queued, n-running, n-done, n-failed, fraction,
 * workers, tasks; list-tasks (boolean) decides whether those are there.
 * Signals: worker-started (guint number, int pid), worker-exited (guint number, int pid, int exit_status, const char *reason),
 * task-failed (const char *function, GError *error, GVariant *details). */
MP_AVAILABLE_IN_ALL
MpPool       *mp_pool_new             (guint                 n_workers);
MP_AVAILABLE_IN_ALL
MpPool       *mp_pool_new_full        (guint                 n_workers,
                                       const char           *initializer,
                                       GVariant             *initializer_args,
                                       guint                 tasks_per_worker,
                                       MpContext            *context);
MP_AVAILABLE_IN_ALL
MpPool       *mp_pool_new_for_backend (MpBackend             backend,
                                       guint                 n_workers);
MP_AVAILABLE_IN_ALL
MpBackend     mp_pool_get_backend     (MpPool               *self);
MP_AVAILABLE_IN_ALL
guint         mp_pool_get_n_workers   (MpPool               *self);
MP_AVAILABLE_IN_ALL
void          mp_pool_set_n_workers   (MpPool               *self,
                                       guint                 n_workers);
MP_AVAILABLE_IN_ALL
GListModel   *mp_pool_get_workers     (MpPool               *self);
MP_AVAILABLE_IN_ALL
GListModel   *mp_pool_get_tasks       (MpPool               *self);
MP_AVAILABLE_IN_ALL
gboolean      mp_pool_get_list_tasks  (MpPool               *self);
MP_AVAILABLE_IN_ALL
void          mp_pool_set_list_tasks  (MpPool               *self,
                                       gboolean              list_tasks);
MP_AVAILABLE_IN_ALL
GVariant     *mp_pool_dup_statistics  (MpPool               *self) G_GNUC_WARN_UNUSED_RESULT;

MP_AVAILABLE_IN_ALL
GVariant     *mp_pool_apply           (MpPool               *self,
                                       const char           *function,
                                       GVariant             *args,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_pool_apply_async     (MpPool               *self,
                                       const char           *function,
                                       GVariant             *args,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant     *mp_pool_apply_finish    (MpPool               *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
GVariant     *mp_pool_map             (MpPool               *self,
                                       const char           *function,
                                       GVariant             *items,
                                       guint                 chunk_size,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_pool_map_async       (MpPool               *self,
                                       const char           *function,
                                       GVariant             *items,
                                       guint                 chunk_size,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant     *mp_pool_map_finish      (MpPool               *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_pool_submit          (MpPool               *self,
                                       const char           *function,
                                       GVariant             *args,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_pool_submit_with     (MpPool               *self,
                                       const char           *function,
                                       GVariant             *args,
                                       MpTaskOptions        *options,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_pool_try_submit      (MpPool               *self,
                                       const char           *function,
                                       GVariant             *args,
                                       MpTaskOptions        *options,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_pool_submit_async    (MpPool               *self,
                                       const char           *function,
                                       GVariant             *args,
                                       MpTaskOptions        *options,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_pool_submit_finish   (MpPool               *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
guint         mp_pool_get_max_queued  (MpPool               *self);
MP_AVAILABLE_IN_ALL
void          mp_pool_set_max_queued  (MpPool               *self,
                                       guint                 max_queued);
MP_AVAILABLE_IN_ALL
gboolean      mp_pool_get_needs_drain (MpPool               *self);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_pool_submit_map      (MpPool               *self,
                                       const char           *function,
                                       GVariant             *items,
                                       guint                 chunk_size,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
MpResultIter *mp_pool_imap            (MpPool               *self,
                                       const char           *function,
                                       GVariant             *items,
                                       guint                 chunk_size,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
MpResultIter *mp_pool_imap_unordered  (MpPool               *self,
                                       const char           *function,
                                       GVariant             *items,
                                       guint                 chunk_size,
                                       GError              **error);

/* Items of any kind, asked for as there is room. */
MP_AVAILABLE_IN_ALL
MpResultIter *mp_pool_imap_with       (MpPool               *self,
                                       const char           *function,
                                       MpItems              *items,
                                       guint                 chunk_size,
                                       gboolean              ordered,
                                       MpTaskOptions        *options,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
MpFuture     *mp_pool_submit_map_with (MpPool               *self,
                                       const char           *function,
                                       MpItems              *items,
                                       guint                 chunk_size,
                                       MpTaskOptions        *options,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
GVariant     *mp_pool_map_with        (MpPool               *self,
                                       const char           *function,
                                       MpItems              *items,
                                       guint                 chunk_size,
                                       MpTaskOptions        *options,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_pool_map_with_async  (MpPool               *self,
                                       const char           *function,
                                       MpItems              *items,
                                       guint                 chunk_size,
                                       MpTaskOptions        *options,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant     *mp_pool_map_with_finish (MpPool               *self,
                                       GAsyncResult         *result,
                                       GError              **error);

MP_AVAILABLE_IN_ALL
void          mp_pool_close           (MpPool               *self);
MP_AVAILABLE_IN_ALL
void          mp_pool_terminate       (MpPool               *self);
MP_AVAILABLE_IN_ALL
gboolean      mp_pool_join            (MpPool               *self,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void          mp_pool_join_async      (MpPool               *self,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean      mp_pool_join_finish     (MpPool               *self,
                                       GAsyncResult         *result,
                                       GError              **error);

G_END_DECLS
