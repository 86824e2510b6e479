/* mp-client-options.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_CLIENT_OPTIONS (mp_client_options_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpClientOptions, mp_client_options, MP, CLIENT_OPTIONS, GObject)

/* Properties, all readable and writable: authkey (GBytes, nullable), allow-md5 and allow-abstract (boolean),
 * max-message-size (uint64), tls (boolean), tls-certificate (GTlsCertificate, nullable), tls-database (GTlsDatabase,
 * nullable), server-identity (GSocketConnectable, nullable). */
MP_AVAILABLE_IN_ALL
MpClientOptions    *mp_client_options_new                  (void) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
GBytes             *mp_client_options_get_authkey          (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_authkey          (MpClientOptions *self,
                                                            GBytes          *authkey);
MP_AVAILABLE_IN_ALL
gboolean            mp_client_options_get_allow_md5        (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_allow_md5        (MpClientOptions *self,
                                                            gboolean         allow_md5);
MP_AVAILABLE_IN_ALL
gboolean            mp_client_options_get_allow_abstract   (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_allow_abstract   (MpClientOptions *self,
                                                            gboolean         allow_abstract);
MP_AVAILABLE_IN_ALL
guint64             mp_client_options_get_max_message_size (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_max_message_size (MpClientOptions *self,
                                                            guint64          max_message_size);
MP_AVAILABLE_IN_ALL
gboolean            mp_client_options_get_tls              (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_tls              (MpClientOptions *self,
                                                            gboolean         tls);
MP_AVAILABLE_IN_ALL
GTlsCertificate    *mp_client_options_get_tls_certificate  (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_tls_certificate  (MpClientOptions *self,
                                                            GTlsCertificate *tls_certificate);
MP_AVAILABLE_IN_ALL
GTlsDatabase       *mp_client_options_get_tls_database     (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_tls_database     (MpClientOptions *self,
                                                            GTlsDatabase    *tls_database);
MP_AVAILABLE_IN_ALL
GSocketConnectable *mp_client_options_get_server_identity  (MpClientOptions *self);
MP_AVAILABLE_IN_ALL
void                mp_client_options_set_server_identity  (MpClientOptions    *self,
                                                            GSocketConnectable *server_identity);

G_END_DECLS
