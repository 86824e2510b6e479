/* mp-pool-map.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-control-private.h"

#include <string.h>

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-serve-private.h"

/* Items are cut into chunks when a worker has room for one, and the results of chunks put together.
 *
 * Where all items have one size, a chunk is a slice of the items' own bytes, and where all results have one size, they
 * go straight to their place in one block: no GVariant is made for an item, nor for a chunk. */

/* Of a chunk whose size is left to the pool: what stays in a processor's cache on its way from copy to copy. */
#define CHUNK_BYTES (128 * 1024)

/* Frames up to this size are written where the wire gathers short ones. */
#define SHORT_CHUNK 2048

struct _MpMap
{
  gsize               n_items, chunk_size, n_chunks;
  gsize               next;          /* chunk to be cut next */
  gsize               n_ended;
  GVariant           *items;         /* the job's value */
  const GVariantType *empty_type;    /* of the result when there are no items */
  MpFeed             *feed;          /* (owned) (nullable) what makes the chunks of items that come one by one */

  /* Items of one size. */
  gsize               item_size;     /* 0: they go the long way */
  const guint8       *data;
  GBytes             *bytes;         /* (owned) (nullable) */
  guint8             *head;          /* (owned) (nullable) what precedes the bytes of each chunk */
  gsize               n_head;

  /* Chunks of items that hold objects, encoded when the call was made. */
  MpEncoded         **encoded;       /* (owned) (nullable) (array zero-terminated=1) */

  /* Results of one size, each in its place, … */
  guint8             *raw;           /* (owned) (nullable) */
  gsize               raw_size;
  gsize               raw_room;      /* items that it can take */
  char               *raw_type;      /* (owned) (nullable) that of the array */
  gsize               n_raw_type;
  gboolean            raw_plain;     /* any bytes are a value */
  /* … or by chunks. A chunk that has none here is in @raw. */
  GVariant          **slots;         /* (owned) (nullable) (array length=n_chunks) */
  guint8             *wrapped;       /* (owned) (nullable) (array length=n_chunks) */
  gsize               n_slots;       /* both can take */

  /* The failing chunk with the lowest number. */
  guint64             error_chunk;
  GError             *error;         /* (owned) (nullable) */
  GVariant           *details;       /* (owned) (nullable) */
};

static gsize
first_of (MpMap   *self,
          guint64  chunk)
{
  return chunk * self->chunk_size;
}

static gsize
length_of (MpMap   *self,
           guint64  chunk)
{
  return MIN (self->chunk_size, self->n_items - first_of (self, chunk));
}

/* Items that hold objects: one for each chunk, NULL behind the last. */
static void
free_encoded (gpointer data)
{
  MpEncoded **encoded = data;

  for (gsize i = 0; encoded[i] != NULL; i++)
    {
      mp_encoded_clear (encoded[i]);
      g_free (encoded[i]);
    }
  g_free (encoded);
}

void
mp_map_free (MpMap *self)
{
  for (gsize i = 0; self->slots != NULL && i < self->n_chunks; i++)
    if (self->slots[i] != NULL)
      g_variant_unref (self->slots[i]);
  g_clear_pointer (&self->feed, mp_feed_free);
  g_clear_pointer (&self->encoded, free_encoded);
  g_free (self->slots);
  g_free (self->wrapped);
  g_free (self->raw);
  g_free (self->raw_type);
  g_free (self->head);
  g_clear_pointer (&self->bytes, g_bytes_unref);
  g_clear_error (&self->error);
  g_clear_pointer (&self->details, g_variant_unref);
  g_free (self);
}

/* When all is answered. */
void
mp_map_drop_items (MpJob *job)
{
  MpMap *self = job->map;

  if (self->bytes != NULL)
    mp_job_drop (job, (GDestroyNotify) g_bytes_unref, g_steal_pointer (&self->bytes));
  if (self->encoded != NULL)
    mp_job_drop (job, free_encoded, g_steal_pointer (&self->encoded));
  self->items = NULL;
  self->data = NULL;
}

gsize
mp_map_get_n_items (MpMap *self)
{
  return self->n_items;
}

gsize
mp_map_get_chunk_size (MpMap *self)
{
  return self->chunk_size;
}

gsize
mp_map_get_n_chunks (MpMap *self)
{
  return self->n_chunks;
}

gsize
mp_map_get_n_ended (MpMap *self)
{
  return self->n_ended;
}

void
mp_map_count_ended (MpMap *self)
{
  self->n_ended++;
}

gsize
mp_map_get_chunk_length (MpMap   *self,
                         guint64  chunk)
{
  return length_of (self, chunk);
}

guint64
mp_map_take_chunk (MpMap *self)
{
  return self->next++;
}

GVariant *
mp_map_ref_items (MpMap   *self,
                  guint64  chunk,
                  gsize   *first,
                  gsize   *n_items)
{
  if (self->feed != NULL)
    {
      GVariant *value = mp_feed_get_chunk (self->feed, chunk);

      *first = 0;
      *n_items = g_variant_n_children (value);
      return g_variant_ref (value);
    }
  *first = first_of (self, chunk);
  *n_items = length_of (self, chunk);

  return g_variant_ref (self->items);
}

/* Making one. */

static GVariant *
make_chunk (MpMap   *self,
            guint64  chunk)
{
  gsize first = first_of (self, chunk), n = length_of (self, chunk);
  const GVariantType *type = NULL;
  GVariant **children = NULL;
  GVariant *value = NULL;

  if (self->feed != NULL)
    return g_variant_ref (mp_feed_get_chunk (self->feed, chunk));

  type = g_variant_type_element (g_variant_get_type (self->items));
  children = g_new (GVariant *, n);
  for (gsize i = 0; i < n; i++)
    children[i] = g_variant_get_child_value (self->items, first + i);
  value = g_variant_ref_sink (g_variant_new_array (type, children, n));
  for (gsize i = 0; i < n; i++)
    g_variant_unref (children[i]);
  g_free (children);

  return value;
}

static gboolean
stop_at_handle (gint32   *handle,
                gpointer  user_data)
{
  *(gboolean *) user_data = TRUE;
  return FALSE;
}

/* Those of the arguments' rules: what holds objects is encoded at the call. */
static gboolean
encode_handles (MpMap   *self,
                GError **error)
{
  const GVariantType *type = g_variant_get_type (self->items);
  gboolean found = FALSE;

  if (!mp_type_may_hold_handles (type))
    return TRUE;
  if (((guintptr) g_variant_get_data (self->items) & 7) == 0)
    mp_value_check (type, g_variant_get_data (self->items), g_variant_get_size (self->items), stop_at_handle, &found);
  else
    found = self->n_items > 0;
  if (!found)
    return TRUE;

  self->encoded = g_new0 (MpEncoded *, self->n_chunks + 1);
  for (gsize i = 0; i < self->n_chunks; i++)
    {
      g_autoptr(GVariant) value = make_chunk (self, i);

      self->encoded[i] = g_new0 (MpEncoded, 1);
      if (!mp_value_encode (value, self->encoded[i], error))
        {
          g_clear_pointer (&self->encoded[i], g_free);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
is_normal (GVariant *value)
{
  gconstpointer data = g_variant_get_data (value);

  if (((guintptr) data & 7) == 0)
    return mp_value_check (g_variant_get_type (value), data, g_variant_get_size (value), NULL, NULL);
  return g_variant_is_normal_form (value);
}

static void
prepare_slices (MpMap *self)
{
  const char *type = g_variant_get_type_string (self->items);
  gsize n_type = strlen (type);
  MpValueHead head = { n_type, 0, 0 };
  g_autoptr(GVariant) first = NULL;

  if (self->n_items == 0 || self->encoded != NULL || n_type > MP_CODEC_MAX_TYPE)
    return;
  first = g_variant_get_child_value (self->items, 0);
  if (g_variant_get_size (self->items) != self->n_items * g_variant_get_size (first) || !is_normal (self->items))
    return;

  self->item_size = g_variant_get_size (first);
  self->bytes = g_variant_get_data_as_bytes (self->items);
  self->data = g_bytes_get_data (self->bytes, NULL);
  self->n_head = sizeof (MpTaskLead) + sizeof head + mp_pad8 (n_type + 1);
  self->head = g_malloc0 (self->n_head);
  memcpy (self->head + sizeof (MpTaskLead), &head, sizeof head);
  memcpy (self->head + sizeof (MpTaskLead) + sizeof head, type, n_type);
}

/* What an empty map gives: the declared type, where it is known here. */
static const GVariantType *
find_empty_type (const char *name)
{
  const MpFunction *function = mp_function_find (name, NULL);
  g_autofree char *type = NULL;

  if (function == NULL || function->result_type == NULL || !g_variant_type_is_definite (function->result_type))
    return G_VARIANT_TYPE ("av");
  if ((function->flags & MP_FUNCTION_FLAGS_CHUNK) != 0)
    return g_variant_type_is_array (function->result_type) ? function->result_type : G_VARIANT_TYPE ("av");

  type = g_strdup_printf ("a%.*s", (int) g_variant_type_get_string_length (function->result_type),
                          g_variant_type_peek_string (function->result_type));
  return G_VARIANT_TYPE (g_intern_string (type));
}

static gsize
default_chunk_size (MpPoolCore *core,
                    GVariant   *items,
                    gsize       n_items)
{
  gsize n_shares = 4 * (gsize) mp_pool_size_get (core);
  gsize n_most = n_items > 0 ? CHUNK_BYTES / MAX (1, g_variant_get_size (items) / n_items) : 1;

  return MIN ((n_items + n_shares - 1) / n_shares, MAX (1, n_most));
}

MpJob *
mp_job_new_map (MpPoolCore  *core,
                MpJobKind    kind,
                const char  *function,
                GVariant    *items,
                guint        chunk_size,
                GError     **error)
{
  MpMap *self = NULL;
  MpJob *job = NULL;
  gsize size = 0;

  if (core->is_local)
    items = mp_value_hold (items, error);
  else
    g_variant_ref_sink (items);
  if (items == NULL)
    return NULL;
  if (!g_variant_is_of_type (items, G_VARIANT_TYPE_ARRAY))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "pool: the items have type “%s”, which is no array",
                   g_variant_get_type_string (items));
      g_variant_unref (items);
      return NULL;
    }
  if (!mp_function_check_args (function, items, TRUE, error))
    {
      g_variant_unref (items);
      return NULL;
    }

  job = mp_job_new (core, kind);
  self = job->map = g_new0 (MpMap, 1);
  self->items = job->value = items;
  self->n_items = g_variant_n_children (items);
  if (chunk_size == 0 && kind == MP_JOB_MAP)
    chunk_size = default_chunk_size (core, items, self->n_items);
  self->chunk_size = MAX (1, chunk_size);
  self->n_chunks = self->n_items / self->chunk_size + (self->n_items % self->chunk_size != 0);
  self->error_chunk = G_MAXUINT64;
  if (self->n_items == 0)
    self->empty_type = find_empty_type (function);

  /* Serialises a tree here, and not under the lock. */
  g_variant_get_data (items);
  size = g_variant_get_size (items);
  job->size = self->n_chunks > 0 ? size / self->n_chunks : 0;
  if (core->is_local)
    return job;
  if (!encode_handles (self, error))
    {
      mp_job_unref (job);
      return NULL;
    }
  if (mp_plain_type_is_fixed (g_variant_type_element (g_variant_get_type (items))))
    prepare_slices (self);

  return job;
}

/* One whose items come later. */
MpJob *
mp_job_new_fed_map (MpPoolCore *core,
                    MpJobKind   kind,
                    const char *function,
                    MpFeed     *feed,
                    gsize       chunk_size)
{
  MpJob *job = mp_job_new (core, kind);
  MpMap *self = job->map = g_new0 (MpMap, 1);

  self->feed = job->feed = feed;
  self->chunk_size = chunk_size;
  self->error_chunk = G_MAXUINT64;
  self->empty_type = find_empty_type (function);

  return job;
}

/* All chunks before it have the full size. */
void
mp_map_add_chunk (MpMap *self,
                  gsize  n_items)
{
  gsize n_slots = self->n_slots;

  self->n_items += n_items;
  self->n_chunks++;
  if (self->raw != NULL && self->n_items > self->raw_room)
    {
      self->raw_room = MAX (self->n_items, 2 * self->raw_room);
      self->raw = g_realloc_n (self->raw, self->raw_room, self->raw_size);
    }
  if (self->slots != NULL && self->n_chunks > n_slots)
    {
      self->n_slots = MAX (self->n_chunks, 2 * n_slots);
      self->slots = g_renew (GVariant *, self->slots, self->n_slots);
      self->wrapped = g_renew (guint8, self->wrapped, self->n_slots);
      memset (self->slots + n_slots, 0, (self->n_slots - n_slots) * sizeof (GVariant *));
      memset (self->wrapped + n_slots, 0, self->n_slots - n_slots);
    }
}

/* Sending. */

static void
queue_slice (MpJob            *job,
             guint64           chunk,
             MpWire           *wire,
             const MpTaskLead *lead)
{
  static const guint64 zeros = 0;
  MpMap *self = job->map;
  gsize n_body = length_of (self, chunk) * self->item_size;
  const guint8 *body = self->data + first_of (self, chunk) * self->item_size;
  gsize total = self->n_head + mp_pad8 (n_body);
  MpPiece pieces[3] = { { self->head, self->n_head, NULL },
                        { body, n_body, self->bytes },
                        { &zeros, mp_pad8 (n_body) - n_body, NULL } };

  memcpy (self->head, lead, sizeof *lead);
  ((MpValueHead *) (gpointer) (self->head + sizeof *lead))->n_body = n_body;
  if (total <= SHORT_CHUNK)
    {
      guint8 *place = mp_wire_queue_short (wire, MP_FRAME_TASK, 0, total);

      memcpy (place, self->head, self->n_head);
      memset (place + total - 8, 0, 8);
      memcpy (place + self->n_head, body, n_body);
      return;
    }
  mp_job_lend (job, pieces, 2);
  mp_wire_queue (wire, MP_FRAME_TASK, 0, pieces, pieces[2].size > 0 ? 3 : 2, NULL, 0);
  mp_job_lent (pieces, 2);
}

gboolean
mp_map_queue_chunk (MpJob       *job,
                    guint64      chunk,
                    MpWire      *wire,
                    MpTaskLead  *lead,
                    GError     **error)
{
  MpMap *self = job->map;
  g_autoptr(GVariant) value = NULL;
  MpEncoded encoded;

  if (self->item_size > 0)
    {
      queue_slice (job, chunk, wire, lead);
      return TRUE;
    }
  if (self->encoded != NULL)
    return mp_pool_queue_encoded (job, wire, lead, self->encoded[chunk], error);
  if (self->feed != NULL && mp_feed_get_encoded (self->feed, chunk) != NULL)
    return mp_pool_queue_encoded (job, wire, lead, mp_feed_get_encoded (self->feed, chunk), error);

  value = make_chunk (self, chunk);
  if (!mp_value_encode (value, &encoded, error))
    return FALSE;
  mp_job_lend (job, encoded.pieces, encoded.n_pieces);
  mp_wire_queue_value (wire, MP_FRAME_TASK, 0, lead, sizeof *lead, &encoded);
  mp_job_lent (encoded.pieces, encoded.n_pieces);
  mp_encoded_clear (&encoded);

  return TRUE;
}

/* Results. */

gboolean
mp_map_store_raw (MpMap        *self,
                  guint64       chunk,
                  const guint8 *data,
                  gsize         size)
{
  const MpValueHead *head = (const MpValueHead *) (gconstpointer) data;
  gsize offset = sizeof *head + mp_pad8 (self->n_raw_type + 1);
  gsize n_body = length_of (self, chunk) * self->raw_size;

  if (self->raw == NULL || size < offset || head->n_type != self->n_raw_type || head->n_handles != 0 ||
      head->n_body != n_body || size - offset < n_body ||
      memcmp (data + sizeof *head, self->raw_type, self->n_raw_type + 1) != 0)
    return FALSE;
  if (!self->raw_plain && !mp_value_check (G_VARIANT_TYPE (self->raw_type), data + offset, n_body, NULL, NULL))
    return FALSE;

  memcpy (self->raw + first_of (self, chunk) * self->raw_size, data + offset, n_body);
  return TRUE;
}

static gboolean
begin_raw (MpMap    *self,
           GVariant *value)
{
  const GVariantType *type = g_variant_get_type (value);
  const GVariantType *element = g_variant_type_element (type);
  gsize n = g_variant_n_children (value), raw_size = 0;

  if (self->raw != NULL || self->slots != NULL || !mp_plain_type_is_fixed (element) || mp_type_may_hold_handles (type))
    return FALSE;

  raw_size = g_variant_get_size (value) / n;
  if (raw_size == 0 || self->n_items > G_MAXSSIZE / raw_size)
    return FALSE;
  self->raw = g_try_malloc (self->n_items * raw_size);
  if (self->raw == NULL)
    return FALSE;

  self->raw_size = raw_size;
  self->raw_room = self->n_items;
  self->raw_type = g_variant_type_dup_string (type);
  self->n_raw_type = strlen (self->raw_type);
  self->raw_plain = self->n_raw_type == 2 && strchr ("ynqiuxtd", self->raw_type[1]) != NULL;

  return TRUE;
}

/* Of several that are decoded at one time the first one has begun it. */
static gboolean
is_raw (MpMap    *self,
        GVariant *value)
{
  return self->raw != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE (self->raw_type)) &&
         g_variant_get_size (value) == g_variant_n_children (value) * self->raw_size;
}

static void
store_value (MpMap    *self,
             guint64   chunk,
             GVariant *value,
             gboolean  wrapped)
{
  if (!wrapped && (is_raw (self, value) || begin_raw (self, value)))
    {
      memcpy (self->raw + first_of (self, chunk) * self->raw_size, g_variant_get_data (value), g_variant_get_size (value));
      mp_pool_drop_variant (value);
      return;
    }
  if (self->slots == NULL)
    {
      self->n_slots = self->n_chunks;
      self->slots = g_new0 (GVariant *, self->n_slots);
      self->wrapped = g_new0 (guint8, self->n_slots);
    }
  self->slots[chunk] = value;
  self->wrapped[chunk] = wrapped;
}

gboolean
mp_map_check_answer (MpMap    *self,
                     guint64   chunk,
                     MpAnswer *answer)
{
  GVariant *value = answer->value;
  const GVariantType *type = NULL;

  if (answer->error != NULL)
    return FALSE;

  type = answer->per_item ? G_VARIANT_TYPE ("a(bv)") : answer->wrapped ? G_VARIANT_TYPE ("av") : G_VARIANT_TYPE_ARRAY;
  if (g_variant_is_of_type (value, type) && g_variant_n_children (value) == length_of (self, chunk))
    return TRUE;

  answer->error = g_error_new (MP_ERROR, MP_ERROR_PROTOCOL,
                               "pool: a worker answered a chunk of %" G_GSIZE_FORMAT " items with a value of type “%s”",
                               length_of (self, chunk), g_variant_get_type_string (value));
  mp_pool_drop_variant (g_steal_pointer (&answer->value));
  return FALSE;
}

/* Of the chunks' results one array: of their type when they all have one, else of variants. */

static gboolean
is_uniform (MpMap *self)
{
  const GVariantType *type = self->raw == NULL ? g_variant_get_type (self->slots[0]) : NULL;

  if (type == NULL)
    return FALSE;
  for (gsize i = 0; i < self->n_chunks; i++)
    if (self->wrapped[i] || !g_variant_type_equal (type, g_variant_get_type (self->slots[i])))
      return FALSE;
  return TRUE;
}

static void
add_chunk (MpMap      *self,
           gsize       chunk,
           gboolean    uniform,
           GVariant  **place)
{
  gsize n = length_of (self, chunk);

  for (gsize i = 0; i < n; i++)
    {
      GVariant *child = NULL;

      if (self->slots[chunk] != NULL)
        {
          child = g_variant_get_child_value (self->slots[chunk], i);
        }
      else
        {
          g_autoptr(GBytes) bytes = g_bytes_new (self->raw + (first_of (self, chunk) + i) * self->raw_size, self->raw_size);

          child = g_variant_ref_sink (g_variant_new_from_bytes (g_variant_type_element (G_VARIANT_TYPE (self->raw_type)),
                                                                bytes, TRUE));
        }
      if (!uniform && !self->wrapped[chunk])
        {
          GVariant *inner = child;

          child = g_variant_ref_sink (g_variant_new_variant (inner));
          g_variant_unref (inner);
        }
      place[i] = child;
    }
  g_clear_pointer (&self->slots[chunk], g_variant_unref);
}

static GVariant *
assemble (MpMap *self)
{
  gboolean uniform = is_uniform (self);
  g_autoptr(GVariantType) element = NULL;
  GVariant **children = NULL;
  GVariant *result = NULL;

  if (uniform && self->n_chunks == 1)
    return g_steal_pointer (&self->slots[0]);

  element = g_variant_type_copy (uniform ? g_variant_type_element (g_variant_get_type (self->slots[0]))
                                         : G_VARIANT_TYPE_VARIANT);
  children = g_new (GVariant *, self->n_items);
  for (gsize i = 0; i < self->n_chunks; i++)
    add_chunk (self, i, uniform, children + first_of (self, i));
  result = g_variant_ref_sink (g_variant_new_array (element, children, self->n_items));
  for (gsize i = 0; i < self->n_items; i++)
    g_variant_unref (children[i]);
  g_free (children);
  /* One block instead of a million values; but objects that came in them live only as long as they do. */
  if (!mp_type_may_hold_handles (element))
    g_variant_get_data (result);

  return result;
}

static void
assemble_cb (gpointer data)
{
  MpJob *job = data;
  g_autoptr(GVariant) result = assemble (job->map);

  mp_hub_lock ();
  if (!job->done)
    mp_job_finish (job, g_steal_pointer (&result), NULL, NULL);
  mp_job_unit_gone (job);
  mp_pool_core_check_end (job->core);
  mp_hub_changed ();
  mp_job_unref_locked (job);
  mp_hub_unlock ();
}

static void
finish (MpJob *job)
{
  MpMap *self = job->map;

  if (self->error != NULL)
    {
      mp_job_finish (job, NULL, g_steal_pointer (&self->error), g_steal_pointer (&self->details));
    }
  else if (self->n_items == 0)
    {
      mp_job_finish (job, g_variant_ref_sink (g_variant_new_array (g_variant_type_element (self->empty_type), NULL, 0)),
                     NULL, NULL);
    }
  else if (self->slots == NULL)
    {
      guint8 *raw = g_steal_pointer (&self->raw);

      mp_job_finish (job, g_variant_ref_sink (g_variant_new_from_data (G_VARIANT_TYPE (self->raw_type), raw,
                                                                       self->n_items * self->raw_size, TRUE, g_free, raw)),
                     NULL, NULL);
    }
  else
    {
      job->n_out++;
      mp_hub_run_unlocked (assemble_cb, mp_job_ref (job));
    }
}

void
mp_map_unit_ended (MpJob    *job,
                   guint64   chunk,
                   MpAnswer *answer)
{
  MpMap *self = job->map;

  mp_job_tell_watches (job);
  if (answer != NULL && mp_map_check_answer (self, chunk, answer))
    {
      if (self->error == NULL)
        store_value (self, chunk, g_steal_pointer (&answer->value), answer->wrapped);
      else
        mp_pool_drop_variant (g_steal_pointer (&answer->value));
    }
  else if (answer != NULL && chunk < self->error_chunk)
    {
      self->error_chunk = chunk;
      g_clear_error (&self->error);
      g_clear_pointer (&self->details, g_variant_unref);
      self->error = g_steal_pointer (&answer->error);
      self->details = g_steal_pointer (&answer->details);
    }

  if (self->n_items > 0)
    self->n_ended++;
  mp_job_progressed (job);
  if (self->feed != NULL)
    mp_feed_chunk_ended (job, chunk);
  else if (self->n_ended == self->n_chunks)
    finish (job);
}

void
mp_map_input_ended (MpJob  *job,
                    GError *error)
{
  MpMap *self = job->map;

  if (self->error == NULL)
    self->error = error;
  else
    g_clear_error (&error);
  finish (job);
}
