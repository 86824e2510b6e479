/* mp-elf-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Addresses that mean the same in two processes: an object (the program or a shared library) by its build-id, or, where
 * it has none, by its file's name and size in memory, and the distance from where it was loaded. */

/* The object in which @address lies. @key: (out) (transfer full), free of ':' and '+'. FALSE: in none (closures). */
gboolean      mp_platform_locate   (gconstpointer   address,
                                    char          **key,
                                    guint64        *offset);

/* The way back, untrusted: @size bytes at @offset of the object @key, if they lie whole in one readable segment of it.
 * @known: (out): whether such an object is loaded at all. */
gconstpointer mp_platform_resolve  (const char     *key,
                                    guint64         offset,
                                    gsize           size,
                                    gboolean       *known);

G_END_DECLS
