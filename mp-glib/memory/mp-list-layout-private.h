/* mp-list-layout-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* How the items of a list lie in shared memory: as in CPython's multiprocessing.shared_memory.ShareableList, from 3.9
 * on. Host byte order:
 *
 *   gint64  n_items
 *   gint64  offsets[n_items + 1]   of each item's place in the data area; the last one is where that ends
 *   data area                      a place of 8 bytes or more for each item, whose size never changes
 *   char    formats[n_items][8]    as of Python's struct module, filled up with NULs
 *   gint8   codes[n_items]         0 number, 1 text, 2 bytes, 3 nothing
 *
 * Formats are "q" (gint64), "d" (double), "xxxxxxx?" (a byte 0 or 1, the last one of the place), "xxxxxx?x" (nothing),
 * and "16s" (text or bytes: 16, the size of the place, filled up with NULs; of which therefore none can be at their
 * end).
 *
 * All of it may be changed by other processes at any time, also to what is wrong. What says where things lie is copied
 * when the list is opened, and checked; formats and items are copied each time, and checked then. */

#define MP_LIST_MAX_PLACE 9999992u   /* its format has 8 characters */

typedef struct
{
  gsize  n_items;
  gsize *offsets;   /* (owned): n_items + 1, checked */
  gsize  data;      /* where the data area begins, in the memory */
  gsize  formats;
  gsize  codes;
  gsize  size;      /* of all */
} MpListLayout;

/* Of what lies in @size bytes at @memory. Errors: G_IO_ERROR_INVALID_DATA. */
gboolean  mp_list_layout_read  (MpListLayout       *layout,
                                gconstpointer       memory,
                                gsize               size,
                                GError            **error);
/* Of a list that is to be made of @values, an array or a tuple. Errors: MP_ERROR_INVALID_TYPE,
 * G_IO_ERROR_INVALID_ARGUMENT (a number that is too large, NULs at the end, too many bytes). */
gboolean  mp_list_layout_plan  (MpListLayout       *layout,
                                GVariant           *values,
                                GError            **error);
/* @memory: layout->size bytes, aligned; @values: those it was planned for. */
void      mp_list_layout_write (const MpListLayout *layout,
                                gpointer            memory,
                                GVariant           *values);
void      mp_list_layout_clear (MpListLayout       *layout);

/* (transfer full), not floating: 'x', 'd', 'b', 's', 'ay', or an 'mv' of nothing. Errors: G_IO_ERROR_INVALID_DATA. */
GVariant *mp_list_layout_get_item   (const MpListLayout  *layout,
                                     gconstpointer        memory,
                                     gsize                index,
                                     GError             **error);
/* Errors, which leave the item as it was: MP_ERROR_INVALID_TYPE, G_IO_ERROR_INVALID_ARGUMENT (a number that is too
 * large; NULs at the end), MP_ERROR_TOO_LARGE. */
gboolean  mp_list_layout_set_item   (const MpListLayout  *layout,
                                     gpointer             memory,
                                     gsize                index,
                                     GVariant            *value,
                                     GError             **error);
/* (transfer full). Errors: G_IO_ERROR_INVALID_DATA. */
char     *mp_list_layout_dup_format (const MpListLayout  *layout,
                                     gconstpointer        memory,
                                     gsize                index,
                                     GError             **error);

/* The value that a list would have for @value. Errors: those of set_item(), without those of its place. */
GVariant *mp_list_layout_normalize  (GVariant            *value,
                                     GError             **error);
/* Whether two values that a list has are equal, numbers also when they are of different types. */
gboolean  mp_list_layout_equal      (GVariant            *a,
                                     GVariant            *b);

G_END_DECLS
