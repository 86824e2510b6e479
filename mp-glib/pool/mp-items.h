/* mp-items.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"

G_BEGIN_DECLS

/**
 * MpItemFunc:
 * @user_data: what was given to [ctor@Mp.Items.new_for_func]
 * @error: where to set an error
 *
 * Gives the next item.
 *
 * It is called in the main context of the call that was given the items, or in a blocking call on its pool, and never
 * again when it has given `NULL`.
 *
 * Returns: (transfer full) (nullable): the item, also a floating one; `NULL` without an error when there are no more
 *
 * Since: 0.1
 */
typedef GVariant *(* MpItemFunc)        (gpointer   user_data,
                                         GError   **error);

/**
 * MpItemConvertFunc:
 * @item: an item of the list
 * @user_data: what was given to [ctor@Mp.Items.new_for_model]
 * @error: where to set an error
 *
 * Gives the value that stands for an item of a list.
 *
 * Returns: (transfer full): the value, also a floating one; `NULL` with an error
 *
 * Since: 0.1
 */
typedef GVariant *(* MpItemConvertFunc) (GObject   *item,
                                         gpointer   user_data,
                                         GError   **error);

#define MP_TYPE_ITEMS (mp_items_get_type ())
MP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (MpItems, mp_items, MP, ITEMS, GObject)

MP_AVAILABLE_IN_ALL
MpItems *mp_items_new_for_array (GVariant          *array) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpItems *mp_items_new_for_model (GListModel        *model,
                                 MpItemConvertFunc  convert,
                                 gpointer           user_data,
                                 GDestroyNotify     notify) G_GNUC_WARN_UNUSED_RESULT;
MP_AVAILABLE_IN_ALL
MpItems *mp_items_new_for_func  (MpItemFunc         func,
                                 gpointer           user_data,
                                 GDestroyNotify     notify) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
