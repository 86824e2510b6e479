/* mp-random.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-random-private.h"

#include <errno.h>
#include <sys/random.h>

gboolean
mp_random_bytes (gpointer data,
                 gsize    size)
{
  guint8 *place = data;

  while (size > 0)
    {
      gssize n = getrandom (place, size, 0);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      place += n;
      size -= n;
    }
  return TRUE;
}
