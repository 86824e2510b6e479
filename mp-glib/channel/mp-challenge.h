/* mp-challenge.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include "mp-glib/channel/mp-connection.h"

G_BEGIN_DECLS

MP_AVAILABLE_IN_ALL
gboolean mp_deliver_challenge        (MpConnection         *connection,
                                      GBytes               *authkey,
                                      gboolean              allow_md5,
                                      gint64                timeout_us,
                                      GCancellable         *cancellable,
                                      GError              **error);
MP_AVAILABLE_IN_ALL
void     mp_deliver_challenge_async  (MpConnection         *connection,
                                      GBytes               *authkey,
                                      gboolean              allow_md5,
                                      GCancellable         *cancellable,
                                      GAsyncReadyCallback   callback,
                                      gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean mp_deliver_challenge_finish (GAsyncResult         *result,
                                      GError              **error);
MP_AVAILABLE_IN_ALL
gboolean mp_answer_challenge         (MpConnection         *connection,
                                      GBytes               *authkey,
                                      gboolean              allow_md5,
                                      gint64                timeout_us,
                                      GCancellable         *cancellable,
                                      GError              **error);
MP_AVAILABLE_IN_ALL
void     mp_answer_challenge_async   (MpConnection         *connection,
                                      GBytes               *authkey,
                                      gboolean              allow_md5,
                                      GCancellable         *cancellable,
                                      GAsyncReadyCallback   callback,
                                      gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean mp_answer_challenge_finish  (GAsyncResult         *result,
                                      GError              **error);

G_END_DECLS
