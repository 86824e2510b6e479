/* mp-random-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bytes that nobody can guess, from the kernel: for keys and challenges. FALSE sets errno, and there are none then. */
gboolean mp_random_bytes (gpointer data,
                          gsize    size);

G_END_DECLS
