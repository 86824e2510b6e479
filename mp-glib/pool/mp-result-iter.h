/* mp-result-iter.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_RESULT_ITER (mp_result_iter_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpResultIter, mp_result_iter, MP, RESULT_ITER, GObject)

/* NULL without error: no more. An item that failed gives its error; the next call gives the next item. */
MP_AVAILABLE_IN_ALL
GVariant *mp_result_iter_next         (MpResultIter         *self,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_result_iter_next_async   (MpResultIter         *self,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant *mp_result_iter_next_finish  (MpResultIter         *self,
                                       GAsyncResult         *result,
                                       GError              **error);
/* All results that are there, at least one: a(tbv). */
MP_AVAILABLE_IN_ALL
GVariant *mp_result_iter_next_batch   (MpResultIter         *self,
                                       guint                 max_items,
                                       gint64                timeout_us,
                                       GCancellable         *cancellable,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_result_iter_next_batch_async
                                      (MpResultIter         *self,
                                       guint                 max_items,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant *mp_result_iter_next_batch_finish
                                      (MpResultIter         *self,
                                       GAsyncResult         *result,
                                       GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_result_iter_close        (MpResultIter         *self);
/* Items of the input. */
MP_AVAILABLE_IN_ALL
gsize     mp_result_iter_get_n_items  (MpResultIter         *self);

G_END_DECLS
