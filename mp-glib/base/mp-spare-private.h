/* mp-spare-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Memory for payloads that arrive one after another. That of long ones is kept when they go, and is the next one's: the
 * page faults of fresh memory, and malloc() gives what is freed at its end back to the system, take several times as
 * long as to copy what is to lie there. At most MP_SPARE_N pieces of at most MP_SPARE_MAX bytes are kept. From any
 * thread. */
#define MP_SPARE_N   2
#define MP_SPARE_MIN ((gsize) 64 << 10)
#define MP_SPARE_MAX ((gsize) 4 << 20)

/* Aligned as malloc() does; not zeros. NULL: there is no memory. */
gpointer mp_spare_alloc (gsize     size);
/* GDestroyNotify of what mp_spare_alloc() gave. */
void     mp_spare_free  (gpointer  data);

G_END_DECLS
