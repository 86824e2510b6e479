/* mp-serve-plain.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-serve-private.h"

#include <string.h>

#define MAX_PLAIN 256   /* bytes of such a value */

gboolean
mp_plain_type_is_fixed (const GVariantType *type)
{
  const char *c = g_variant_type_peek_string (type);

  for (gsize n = g_variant_type_get_string_length (type); n > 0; n--, c++)
    if (strchr ("sogavmhr*?", *c) != NULL)
      return FALSE;
  return TRUE;
}

gboolean
mp_plain_queue (MpWire        *wire,
                guint16        kind,
                gconstpointer  lead,
                gsize          lead_size,
                GVariant      *value)
{
  const char *type = g_variant_get_type_string (value);
  gsize n_type = strlen (type);
  gsize n_body = g_variant_get_size (value);
  gsize n_head = sizeof (MpValueHead) + mp_pad8 (n_type + 1);
  gconstpointer body = NULL;
  guint8 *place = NULL;

  if (n_body == 0 || n_body > MAX_PLAIN || n_type > MAX_PLAIN || type[strcspn (type, "sogavmh")] != '\0')
    return FALSE;
  /* Any bytes are a number; other things have bytes that must be zero. */
  if ((n_type > 1 || type[0] == 'b') && !g_variant_is_normal_form (value))
    return FALSE;
  body = g_variant_get_data (value);
  if (body == NULL)
    return FALSE;

  place = mp_wire_queue_short (wire, kind, 0, lead_size + n_head + mp_pad8 (n_body));
  memcpy (place, lead, lead_size);
  place += lead_size;
  *(MpValueHead *) (gpointer) place = (MpValueHead) { n_type, 0, n_body };
  memset (place + n_head - 8, 0, 8);
  memcpy (place + sizeof (MpValueHead), type, n_type + 1);
  place += n_head;
  memset (place + mp_pad8 (n_body) - 8, 0, 8);
  memcpy (place, body, n_body);

  return TRUE;
}

GVariant *
mp_plain_take (const guint8 *data,
               gsize         size)
{
  const MpValueHead *head = (const MpValueHead *) (gconstpointer) data;
  const guint8 *body = data + sizeof *head + 8;

  if (size < sizeof *head + 16 || head->n_type != 1 || head->n_handles != 0 || data[sizeof *head + 1] != 0)
    return NULL;

  switch (data[sizeof *head])
    {
    case 'i':
      return head->n_body == 4 ? g_variant_take_ref (g_variant_new_int32 (*(const gint32 *) (gconstpointer) body)) : NULL;
    case 'u':
      return head->n_body == 4 ? g_variant_take_ref (g_variant_new_uint32 (*(const guint32 *) (gconstpointer) body)) : NULL;
    case 'x':
      return head->n_body == 8 ? g_variant_take_ref (g_variant_new_int64 (*(const gint64 *) (gconstpointer) body)) : NULL;
    case 't':
      return head->n_body == 8 ? g_variant_take_ref (g_variant_new_uint64 (*(const guint64 *) (gconstpointer) body)) : NULL;
    case 'd':
      return head->n_body == 8 ? g_variant_take_ref (g_variant_new_double (*(const double *) (gconstpointer) body)) : NULL;
    default:
      return NULL;
    }
}
