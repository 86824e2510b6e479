/* mp-serve-results.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-serve-private.h"

#include <string.h>

#include "mp-glib/base/mp-error-private.h"

/* The results of a chunk as they come from the function. Those of one fixed size are copied side by side into a block
 * that is used again for the next chunk; as soon as one is of another type all are kept as values. */

/* A block larger than this is given back after its chunk. */
#define KEEP_BLOCK (16 * 1024 * 1024)

void
mp_results_begin (MpResults *self,
                  gsize      n_items,
                  gboolean   per_item)
{
  self->n_items = n_items;
  self->per_item = per_item;
  self->n = 0;
  self->n_failed = 0;
  self->raw_size = 0;
}

static void
begin_raw (MpResults *self,
           GVariant  *value)
{
  gsize size = g_variant_get_size (value);

  if (size == 0 || strlen (g_variant_get_type_string (value)) >= MP_CODEC_MAX_TYPE ||
      !mp_plain_type_is_fixed (g_variant_get_type (value)) || self->n_items > G_MAXSSIZE / size)
    return;
  if (self->block_size < self->n_items * size)
    {
      guint8 *block = g_try_realloc (self->block, self->n_items * size);

      if (block == NULL)
        return;
      self->block = block;
      self->block_size = self->n_items * size;
    }
  g_free (self->raw_type);
  self->raw_type = g_strdup (g_variant_get_type_string (value));
  self->raw_plain = strchr ("ynqiuxtd", self->raw_type[0]) != NULL;
  self->raw_size = size;
  self->first = g_variant_ref_sink (value);
  self->type = g_variant_get_type (value);
}

/* Its bytes, as they may travel, in their place. */
static void
store_raw (MpResults *self,
           GVariant  *value)
{
  guint8 *place = self->block + self->n * self->raw_size;
  g_autoptr(GVariant) normal = NULL;
  gconstpointer data = NULL;

  if (!self->raw_plain && !g_variant_is_normal_form (value))
    value = normal = g_variant_get_normal_form (value);
  data = g_variant_get_data (value);
  if (data == NULL)
    memset (place, 0, self->raw_size);
  else if (self->raw_size == 8)
    memcpy (place, data, 8);
  else if (self->raw_size == 4)
    memcpy (place, data, 4);
  else
    memcpy (place, data, self->raw_size);
}

static void
end_raw (MpResults *self)
{
  for (gsize i = 0; i < self->n; i++)
    {
      gconstpointer data = self->block + i * self->raw_size;
      g_autoptr(GBytes) bytes = g_bytes_new (data, self->raw_size);
      GVariant *value = g_variant_new_from_bytes (G_VARIANT_TYPE (self->raw_type), bytes, TRUE);

      g_ptr_array_add (self->values, g_variant_ref_sink (value));
    }
  self->raw_size = 0;
}

static void
add_slowly (MpResults *self,
            GVariant  *value)
{
  if (self->values == NULL)
    self->values = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  if (self->raw_size > 0)
    end_raw (self);
  g_ptr_array_add (self->values, value);
  self->n++;
}

void
mp_results_add (MpResults *self,
                GVariant  *value)
{
  if (self->n == 0)
    {
      /* It is kept for its type: a reference more than the one that is given back below. */
      value = g_variant_take_ref (value);
      begin_raw (self, value);
    }
  if (self->raw_size == 0 ||
      (g_variant_get_type (value) != self->type && !g_variant_type_equal (g_variant_get_type (value), self->type)))
    {
      add_slowly (self, g_variant_take_ref (value));
      return;
    }
  /* A floating one goes as any other. */
  store_raw (self, value);
  g_variant_unref (value);
  self->n++;
}

void
mp_results_add_error (MpResults *self,
                      GVariant  *error)
{
  if (self->failed == NULL)
    self->failed = g_array_new (FALSE, FALSE, sizeof (gsize));
  g_array_set_size (self->failed, self->n_failed);
  g_array_append_val (self->failed, self->n);
  self->n_failed++;
  add_slowly (self, error);
}

void
mp_results_drop (MpResults *self)
{
  if (self->values != NULL)
    g_ptr_array_set_size (self->values, 0);
  g_clear_pointer (&self->first, g_variant_unref);
  self->raw_size = 0;
  self->n = self->n_items = 0;
  if (self->block_size > KEEP_BLOCK)
    {
      g_clear_pointer (&self->block, g_free);
      self->block_size = 0;
    }
}

void
mp_results_clear (MpResults *self)
{
  g_clear_pointer (&self->values, g_ptr_array_unref);
  g_clear_pointer (&self->first, g_variant_unref);
  g_clear_pointer (&self->failed, g_array_unref);
  g_clear_pointer (&self->block, g_free);
  g_clear_pointer (&self->raw_type, g_free);
}

/* The block itself is sent: it must have left before it is used again. */
static void
queue_raw (MpResults    *self,
           MpWire       *wire,
           MpResultLead *lead)
{
  static const guint64 zeros = 0;
  gsize n_type = strlen (self->raw_type) + 1;
  gsize n_body = self->n * self->raw_size;
  MpValueHead head = { n_type, 0, n_body };
  gsize n_start = sizeof *lead + sizeof head + mp_pad8 (n_type + 1);
  g_autofree guint8 *start = g_malloc0 (n_start);
  g_autoptr(GBytes) bytes = g_bytes_new_static (self->block, n_body);
  MpPiece pieces[3] = { { start, n_start, NULL },
                        { self->block, n_body, bytes },
                        { &zeros, mp_pad8 (n_body) - n_body, NULL } };

  lead->status = MP_RESULT_VALUE;
  lead->index = 0;
  memcpy (start, lead, sizeof *lead);
  memcpy (start + sizeof *lead, &head, sizeof head);
  start[sizeof *lead + sizeof head] = 'a';
  memcpy (start + sizeof *lead + sizeof head + 1, self->raw_type, n_type - 1);
  mp_wire_queue (wire, MP_FRAME_RESULT, 0, pieces, pieces[2].size > 0 ? 3 : 2, NULL, 0);
}

static gboolean
is_uniform (GPtrArray *values)
{
  const GVariantType *type = g_variant_get_type (g_ptr_array_index (values, 0));

  for (guint i = 1; i < values->len; i++)
    if (!g_variant_type_equal (g_variant_get_type (g_ptr_array_index (values, i)), type))
      return FALSE;
  return TRUE;
}

static GVariant *
make_outcomes (MpResults *self)
{
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(bv)"));
  gsize next = 0;

  for (guint i = 0; i < self->values->len; i++)
    {
      gboolean failed = next < self->n_failed && g_array_index (self->failed, gsize, next) == i;

      next += failed;
      g_variant_builder_add (&builder, "(bv)", !failed, g_ptr_array_index (self->values, i));
    }
  return g_variant_builder_end (&builder);
}

static GVariant *
make_array (MpResults    *self,
            MpResultLead *lead)
{
  GVariant **values = (GVariant **) self->values->pdata;
  GVariantBuilder builder;

  if (is_uniform (self->values))
    return g_variant_new_array (g_variant_get_type (values[0]), values, self->values->len);

  lead->index = 1;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("av"));
  for (guint i = 0; i < self->values->len; i++)
    g_variant_builder_add (&builder, "v", values[i]);
  return g_variant_builder_end (&builder);
}

/* Of those that are no block. */
static GVariant *
make_value (MpResults    *self,
            MpResultLead *lead)
{
  lead->status = self->n_failed > 0 ? MP_RESULT_PER_ITEM : MP_RESULT_VALUE;
  lead->index = 0;
  return g_variant_ref_sink (self->n_failed > 0 ? make_outcomes (self) : make_array (self, lead));
}

GVariant *
mp_results_take (MpResults    *self,
                 MpResultLead *lead)
{
  g_autofree char *type = NULL;
  g_autoptr(GBytes) bytes = NULL;

  if (self->raw_size == 0)
    return make_value (self, lead);

  lead->status = MP_RESULT_VALUE;
  lead->index = 0;
  type = g_strconcat ("a", self->raw_type, NULL);
  bytes = g_bytes_new (self->block, self->n * self->raw_size);
  return g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, TRUE));
}

gboolean
mp_results_queue (MpResults     *self,
                  MpWire        *wire,
                  MpResultLead  *lead,
                  GError       **error)
{
  g_autoptr(GVariant) value = NULL;

  if (self->raw_size > 0)
    {
      queue_raw (self, wire, lead);
      return TRUE;
    }

  value = make_value (self, lead);
  return mp_serve_queue_value (wire, lead, value, error);
}
