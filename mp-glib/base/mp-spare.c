/* mp-spare.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-spare-private.h"

#include <stddef.h>

typedef struct
{
  gsize capacity;
  _Alignas (max_align_t) guint8 data[];
} Piece;

static Piece *spares[MP_SPARE_N];

static Piece *
exchange (guint  i,
          Piece *piece)
{
  return __atomic_exchange_n (&spares[i], piece, __ATOMIC_ACQ_REL);
}

/* One for a short payload is not to take a long one's memory with it for as long as it lives. */
static gboolean
is_good_for (const Piece *piece,
             gsize        size)
{
  return piece->capacity >= size && piece->capacity / 4 <= size;
}

static gpointer
take_spare (gsize size)
{
  guint i;

  for (i = 0; i < MP_SPARE_N; i++)
    {
      Piece *piece = exchange (i, NULL);

      if (piece != NULL && is_good_for (piece, size))
        return piece->data;
      if (piece != NULL)
        g_free (exchange (i, piece));
    }
  return NULL;
}

gpointer
mp_spare_alloc (gsize size)
{
  gpointer data = size >= MP_SPARE_MIN && size <= MP_SPARE_MAX ? take_spare (size) : NULL;
  Piece *piece = NULL;

  if (data != NULL)
    return data;
  if (size <= G_MAXSIZE - sizeof *piece)
    piece = g_try_malloc (sizeof *piece + size);
  if (piece == NULL)
    return NULL;

  piece->capacity = size;
  return piece->data;
}

void
mp_spare_free (gpointer data)
{
  Piece *piece = (Piece *) ((guint8 *) data - offsetof (Piece, data));
  guint i;

  /* The one that was put there first goes. */
  if (piece->capacity >= MP_SPARE_MIN && piece->capacity <= MP_SPARE_MAX)
    for (i = 0; i < MP_SPARE_N && piece != NULL; i++)
      piece = exchange (i, piece);
  g_free (piece);
}
