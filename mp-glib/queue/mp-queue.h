/* mp-queue.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

#define MP_TYPE_QUEUE (mp_queue_get_type ())

typedef struct _MpQueue MpQueue;
typedef struct _MpQueueClass MpQueueClass;

/**
 * MpQueueClass:
 *
 * The class of [class@Mp.Queue], from which only the library derives.
 *
 * Since: 0.1
 */
struct _MpQueueClass
{
  /*< private >*/
  GObjectClass  parent_class;
  gconstpointer kind;
};

MP_AVAILABLE_IN_ALL
GType     mp_queue_get_type         (void) G_GNUC_CONST;
MP_AVAILABLE_IN_ALL
MpQueue  *mp_queue_new              (guint                 max_items,
                                     guint64               max_bytes) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpQueue  *mp_queue_new_full         (guint                 max_items,
                                     guint64               max_bytes,
                                     gboolean              isolated) G_GNUC_WARN_UNUSED_RESULT;

/* GVariants. */
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_put              (MpQueue              *self,
                                     GVariant             *value,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_try_put          (MpQueue              *self,
                                     GVariant             *value,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_queue_put_async        (MpQueue              *self,
                                     GVariant             *value,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_put_finish       (MpQueue              *self,
                                     GAsyncResult         *result,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
GVariant *mp_queue_get              (MpQueue              *self,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
GVariant *mp_queue_try_get          (MpQueue              *self,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_queue_get_async        (MpQueue              *self,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant *mp_queue_get_finish       (MpQueue              *self,
                                     GAsyncResult         *result,
                                     GError              **error);

/* Plain bytes. */
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_put_bytes        (MpQueue              *self,
                                     GBytes               *bytes,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_try_put_bytes    (MpQueue              *self,
                                     GBytes               *bytes,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_queue_put_bytes_async  (MpQueue              *self,
                                     GBytes               *bytes,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_put_bytes_finish (MpQueue              *self,
                                     GAsyncResult         *result,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
GBytes   *mp_queue_get_bytes        (MpQueue              *self,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
GBytes   *mp_queue_try_get_bytes    (MpQueue              *self,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_queue_get_bytes_async  (MpQueue              *self,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
MP_AVAILABLE_IN_ALL
GBytes   *mp_queue_get_bytes_finish (MpQueue              *self,
                                     GAsyncResult         *result,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_put_data         (MpQueue              *self,
                                     const guint8         *data,
                                     gsize                 n_data,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_get_bytes_into   (MpQueue              *self,
                                     gpointer              buffer,
                                     gsize                 size,
                                     gsize                *length,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);

/* For bindings: bytes with a number that says what reads them, 1 to 65535; 0 for plain bytes and GVariants. */
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_put_tagged       (MpQueue              *self,
                                     const guint8         *data,
                                     gsize                 n_data,
                                     guint                 tag,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_queue_put_tagged_async (MpQueue              *self,
                                     const guint8         *data,
                                     gsize                 n_data,
                                     guint                 tag,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_put_tagged_finish (MpQueue             *self,
                                     GAsyncResult         *result,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
GVariant *mp_queue_get_tagged       (MpQueue              *self,
                                     guint                *tag,
                                     gint64                timeout_us,
                                     GCancellable         *cancellable,
                                     GError              **error);
MP_AVAILABLE_IN_ALL
void      mp_queue_get_tagged_async (MpQueue              *self,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
MP_AVAILABLE_IN_ALL
GVariant *mp_queue_get_tagged_finish (MpQueue             *self,
                                     GAsyncResult         *result,
                                     guint                *tag,
                                     GError              **error);

MP_AVAILABLE_IN_ALL
guint     mp_queue_get_length       (MpQueue              *self);
MP_AVAILABLE_IN_ALL
guint64   mp_queue_get_n_bytes      (MpQueue              *self);
MP_AVAILABLE_IN_ALL
guint     mp_queue_get_max_items    (MpQueue              *self);
MP_AVAILABLE_IN_ALL
guint64   mp_queue_get_max_bytes    (MpQueue              *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_is_empty         (MpQueue              *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_is_full          (MpQueue              *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_is_closed        (MpQueue              *self);
MP_AVAILABLE_IN_ALL
gboolean  mp_queue_close            (MpQueue              *self,
                                     GError              **error);

/* Items as signals. */
MP_AVAILABLE_IN_ALL
void      mp_queue_start            (MpQueue              *self);
MP_AVAILABLE_IN_ALL
void      mp_queue_stop             (MpQueue              *self);

static inline gboolean
MP_IS_QUEUE (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_TYPE (ptr, MP_TYPE_QUEUE);
}

static inline MpQueue *
MP_QUEUE (gpointer ptr)
{
  return G_TYPE_CHECK_INSTANCE_CAST (ptr, MP_TYPE_QUEUE, MpQueue);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MpQueue, g_object_unref)

G_END_DECLS
