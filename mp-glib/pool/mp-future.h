/* mp-future.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

/**
 * MpFutureState:
 * @MP_FUTURE_STATE_QUEUED: no worker has begun it
 * @MP_FUTURE_STATE_RUNNING: a worker is at it
 * @MP_FUTURE_STATE_SUCCEEDED: it has ended with a result
 * @MP_FUTURE_STATE_FAILED: it has ended with an error
 * @MP_FUTURE_STATE_CANCELLED: it has ended with `G_IO_ERROR_CANCELLED`: somebody called it off, or terminated the pool
 *
 * How far a task is. The last three are ends: a future in one of them stays in it.
 *
 * Since: 0.1
 */
typedef enum
{
  MP_FUTURE_STATE_QUEUED,
  MP_FUTURE_STATE_RUNNING,
  MP_FUTURE_STATE_SUCCEEDED,
  MP_FUTURE_STATE_FAILED,
  MP_FUTURE_STATE_CANCELLED,
} MpFutureState;

#define MP_TYPE_FUTURE (mp_future_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpFuture, mp_future, MP, FUTURE, GObject)

MP_AVAILABLE_IN_ALL
double    mp_future_get_fraction      (MpFuture             *self);
MP_AVAILABLE_IN_ALL
GVariant *mp_future_get               (MpFuture             *self,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_future_get_async         (MpFuture             *self,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant *mp_future_get_finish        (MpFuture             *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_wait              (MpFuture             *self,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_future_wait_async        (MpFuture             *self,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_wait_finish       (MpFuture             *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_is_ready          (MpFuture             *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_is_successful     (MpFuture             *self);
MP_AVAILABLE_IN_ALL
GVariant *mp_future_dup_error_details (MpFuture             *self);
MP_AVAILABLE_IN_ALL
MpFutureState mp_future_get_state     (MpFuture             *self);
MP_AVAILABLE_IN_ALL
const char *mp_future_get_function    (MpFuture             *self);
MP_AVAILABLE_IN_ALL
const char *mp_future_get_name        (MpFuture             *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_cancel            (MpFuture             *self);

/* Of several. */
MP_AVAILABLE_IN_ALL
gboolean  mp_future_wait_all          (MpFuture            **futures,
                                       gsize                 n_futures,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_future_wait_all_async    (MpFuture            **futures,
                                       gsize                 n_futures,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_future_wait_all_finish   (GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
MpFuture *mp_future_wait_any          (MpFuture            **futures,
                                       gsize                 n_futures,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_future_wait_any_async    (MpFuture            **futures,
                                       gsize                 n_futures,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
MpFuture *mp_future_wait_any_finish   (GAsyncResult         *result,
                                       GError              **error);

G_END_DECLS
