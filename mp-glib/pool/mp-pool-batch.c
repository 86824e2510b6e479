/* mp-pool-batch.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

#include <string.h>

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/process/mp-serve-private.h"

/* An iterator's results, many at once: an a(tbv) with the number of each item, whether it has succeeded, and its result or
 * error.
 *
 * It is written byte by byte, as GVariant stores it: to make it of a GVariant for each item takes several times as long. An
 * element begins at a multiple of 8; number and truth stand at 0 and 8, the variant at 16, and fills the rest. */

#define ERROR_TYPE "(sisa{sv})"

typedef struct
{
  guint8 *data;       /* (owned) (nullable) the elements */
  gsize   size, room;
  gsize  *ends;       /* (owned) (array length=n_items) of each */
  gsize   n_items;
} Writer;

MpBatch *
mp_batch_new (gsize max_items)
{
  MpBatch *self = g_new0 (MpBatch, 1);

  self->max_items = max_items > 0 ? max_items : G_MAXSIZE;
  self->outcomes = g_ptr_array_new_with_free_func ((GDestroyNotify) mp_outcome_free);

  return self;
}

void
mp_batch_free (MpBatch *self)
{
  g_ptr_array_unref (self->outcomes);
  mp_answer_clear (&self->end);
  g_free (self);
}

static void
extend (Writer *self,
        gsize   size)
{
  if (size > self->room)
    {
      self->room = MAX (size, 2 * self->room);
      self->data = g_realloc (self->data, self->room);
    }
  self->size = size;
}

/* The variant: as it is stored already, or with @type as that of a value without one. */
static void
write_item (Writer       *self,
            guint64       number,
            gboolean      succeeded,
            gconstpointer data,
            gsize         size,
            const char   *type)
{
  gsize n_type = type != NULL ? strlen (type) : 0;
  gsize old = self->size, start = mp_pad8 (old);
  guint8 *place = NULL;

  extend (self, start + 16 + size + (type != NULL ? 1 + n_type : 0));
  memset (self->data + old, 0, start + 16 - old);
  place = self->data + start;
  memcpy (place, &number, sizeof number);
  place[8] = succeeded != FALSE;
  if (size > 0 && data != NULL)
    memcpy (place + 16, data, size);
  else
    memset (place + 16, 0, size);
  if (type != NULL)
    {
      place[16 + size] = 0;
      memcpy (place + 17 + size, type, n_type);
    }
  self->ends[self->n_items++] = self->size;
}

static void
write_error (Writer       *self,
             guint64       first,
             gsize         n,
             const GError *error,
             GVariant     *details)
{
  g_autoptr(GVariant) value = mp_error_to_variant (error, details);

  for (gsize i = 0; i < n; i++)
    write_item (self, first + i, FALSE, g_variant_get_data (value), g_variant_get_size (value), ERROR_TYPE);
}

/* Of one that may have failed. */
static void
write_outcome (Writer   *self,
               guint64   number,
               GVariant *pair)
{
  g_autoptr(GVariant) boxed = NULL;
  g_autoptr(GVariant) details = NULL;
  g_autoptr(GError) error = NULL;
  gboolean succeeded = FALSE;

  g_variant_get_child (pair, 0, "b", &succeeded);
  if (succeeded)
    {
      write_item (self, number, TRUE, (const guint8 *) g_variant_get_data (pair) + 8, g_variant_get_size (pair) - 8, NULL);
      return;
    }
  g_variant_get_child (pair, 1, "v", &boxed);
  error = mp_error_from_variant (boxed, &details);
  write_error (self, number, 1, error, details);
}

static void
write_values (Writer          *self,
              const MpOutcome *outcome,
              GVariant        *value)
{
  g_autofree char *type = g_variant_type_dup_string (g_variant_type_element (g_variant_get_type (value)));
  gsize n = g_variant_n_children (value), size = 0;
  const guint8 *data = NULL;

  if (mp_plain_type_is_fixed (G_VARIANT_TYPE (type)))
    {
      data = g_variant_get_data (value);
      size = g_variant_get_size (value) / n;
    }
  for (gsize i = outcome->position; i < outcome->n_items; i++)
    {
      g_autoptr(GVariant) child = NULL;

      if (data != NULL)
        {
          write_item (self, outcome->first + i, TRUE, data + i * size, size, type);
          continue;
        }
      child = g_variant_get_child_value (value, i);
      if (outcome->answer.per_item)
        write_outcome (self, outcome->first + i, child);
      else
        write_item (self, outcome->first + i, TRUE, g_variant_get_data (child), g_variant_get_size (child),
                    outcome->answer.wrapped ? NULL : type);
    }
}

/* The ends of the elements, behind them, in as many bytes each as the whole needs. */
static void
write_ends (Writer *self)
{
  gsize n = self->n_items, body = self->size, width = 8;
  guint8 *place = NULL;

  if (body + n <= G_MAXUINT8)
    width = 1;
  else if (body + 2 * n <= G_MAXUINT16)
    width = 2;
  else if (body + 4 * n <= G_MAXUINT32)
    width = 4;
  extend (self, body + n * width);
  place = self->data + body;
  for (gsize i = 0; i < n; i++, place += width)
    {
      guint64 end = GUINT64_TO_LE (self->ends[i]);

      memcpy (place, &end, width);
    }
}

/* Objects that came in values live as long as the batch. */
typedef struct
{
  guint8    *data;     /* (owned) */
  GPtrArray *values;   /* (owned) */
} Holder;

static void
holder_free (gpointer data)
{
  Holder *self = data;

  g_free (self->data);
  g_ptr_array_unref (self->values);
  g_free (self);
}

GVariant *
mp_batch_pack (MpBatch *self)
{
  Writer writer = { NULL };
  Holder *holder = g_new0 (Holder, 1);
  g_autoptr(GBytes) bytes = NULL;

  writer.ends = g_new (gsize, self->n_items);
  holder->values = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  for (guint i = 0; i < self->outcomes->len; i++)
    {
      MpOutcome *outcome = g_ptr_array_index (self->outcomes, i);
      MpAnswer *answer = &outcome->answer;

      if (answer->error != NULL)
        {
          write_error (&writer, outcome->first + outcome->position, outcome->n_items - outcome->position, answer->error,
                       answer->details);
        }
      else
        {
          g_autoptr(GVariant) value = g_variant_get_normal_form (answer->value);

          write_values (&writer, outcome, value);
          if (!answer->plain)
            g_ptr_array_add (holder->values, g_variant_ref (answer->value));
        }
    }
  write_ends (&writer);
  g_free (writer.ends);
  holder->data = writer.data;
  bytes = g_bytes_new_with_free_func (writer.data, writer.size, holder_free, holder);

  return g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE ("a(tbv)"), bytes, TRUE));
}
