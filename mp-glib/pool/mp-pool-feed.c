/* mp-pool-feed.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-private.h"

#include <string.h>

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/pool/mp-items-private.h"
#include "mp-glib/pool/mp-pool-tally-private.h"
#include "mp-glib/process/mp-function-private.h"

/* Items that come one by one: of a map they are the chunks as it has room for them.
 *
 * The user is asked in posts to the context of the call. What he gave is kept until its chunk has ended. How many chunks
 * there may be ahead is for an imap its own matter (mp-pool-imap.c); a map has two for each worker at first, twice as many
 * whenever its workers have nothing to do. */

#define FIRST_AHEAD  2                    /* chunks for each worker */
#define MAX_AHEAD    64
#define MAX_BYTES    (32 * 1024 * 1024)   /* of all that is not computed yet, when that is more than two for each worker */
#define MODEST_CHUNK 16                   /* of a map whose length is not known */

#define PORTION_US   1000                 /* so long items are gathered before the workers get them */
#define SLICE_US     5000                 /* so long a main loop is kept from other things */

typedef struct
{
  GVariant  *value;      /* (owned) an array, serialised */
  MpEncoded *encoded;    /* (owned) (nullable) when it holds objects */
  gsize      n_items;
  gboolean   holds;      /* the value holds references to objects */
} Chunk;

struct _MpFeed
{
  /* Under the lock. */
  MpItems    *items;     /* (owned) (nullable) until all of them have been read */
  GHashTable *chunks;    /* (owned) number → Chunk: those that have not ended */
  gsize       n_ended;
  gsize       ahead, max_ahead;   /* of a map */
  gboolean    open;      /* more may come */
  gboolean    asking;    /* a post is under way */
  GThread    *reader;    /* (nullable) who is just asking: only compared */

  /* Whoever asks: */
  char       *function;  /* (owned) */
  gboolean    is_local;  /* the workers are in this process */
  GPtrArray  *values;    /* (owned) of the chunk that is being read */
  GPtrArray  *objects;   /* (owned) those that handles in it stand for */
  char       *type;      /* (owned) (nullable) of the last value that was checked */
  gboolean    mixed;     /* values are of several types */
  gboolean    over;      /* there are no more */
  GError     *error;     /* (owned) (nullable) why */
};

static void
chunk_free (gpointer data)
{
  Chunk *self = data;

  if (self->encoded != NULL)
    mp_encoded_clear (self->encoded);
  g_free (self->encoded);
  g_clear_pointer (&self->value, g_variant_unref);
  g_slice_free (Chunk, self);
}

static gsize
choose_chunk_size (MpPoolCore *core,
                   MpJobKind   kind,
                   MpItems    *items,
                   gsize       chunk_size)
{
  gsize n = mp_items_count (items);

  if (chunk_size > 0)
    return chunk_size;
  if (kind != MP_JOB_MAP)
    return 1;
  return n == G_MAXSIZE ? MODEST_CHUNK : MAX (1, (n + 4 * (gsize) mp_pool_size_get (core) - 1) / (4 * mp_pool_size_get (core)));
}

MpJob *
mp_job_new_fed (MpPoolCore  *core,
                MpJobKind    kind,
                const char  *function,
                MpItems     *items,
                guint        chunk_size,
                GError     **error)
{
  MpFeed *self = NULL;
  MpJob *job = NULL;

  if (!mp_items_claim (items, error))
    return NULL;

  self = g_new0 (MpFeed, 1);
  self->items = g_object_ref (items);
  self->chunks = g_hash_table_new_full (NULL, NULL, NULL, chunk_free);
  self->ahead = FIRST_AHEAD * (gsize) mp_pool_size_get (core);
  self->max_ahead = MAX_AHEAD * (gsize) mp_pool_size_get (core);
  self->open = TRUE;
  self->function = g_strdup (function);
  self->is_local = core->is_local;
  self->values = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  self->objects = g_ptr_array_new_with_free_func (g_object_unref);

  job = mp_job_new_fed_map (core, kind, function, self, choose_chunk_size (core, kind, items, chunk_size));
  if (kind != MP_JOB_MAP)
    mp_job_make_imap (job, kind == MP_JOB_IMAP);
  if (mp_items_count (items) != G_MAXSIZE)
    job->n_expected = (mp_items_count (items) + mp_map_get_chunk_size (job->map) - 1) / mp_map_get_chunk_size (job->map);
  return job;
}

static void
let_go_of_items (gpointer items)
{
  mp_items_release (items);
  g_object_unref (items);
}

void
mp_feed_free (MpFeed *self)
{
  g_clear_pointer (&self->items, let_go_of_items);
  g_hash_table_unref (self->chunks);
  g_ptr_array_unref (self->values);
  g_ptr_array_unref (self->objects);
  g_free (self->function);
  g_free (self->type);
  g_clear_error (&self->error);
  g_free (self);
}

void
mp_feed_stop (MpJob *job)
{
  MpFeed *self = job->feed;

  self->open = FALSE;
  if (self->items != NULL)
    mp_job_drop (job, let_go_of_items, g_steal_pointer (&self->items));
}

void
mp_feed_drop (MpJob *job)
{
  MpFeed *self = job->feed;

  if (g_hash_table_size (self->chunks) > 0)
    {
      mp_job_drop (job, (GDestroyNotify) g_hash_table_unref, self->chunks);
      self->chunks = g_hash_table_new_full (NULL, NULL, NULL, chunk_free);
    }
}

gboolean
mp_feed_is_open (MpFeed *self)
{
  return self->open;
}

gboolean
mp_feed_is_read_by (MpFeed  *self,
                    GThread *thread)
{
  return self->reader == thread;
}

/* Chunks. */

static Chunk *
find_chunk (MpFeed  *self,
            guint64  chunk)
{
  return g_hash_table_lookup (self->chunks, GSIZE_TO_POINTER (chunk));
}

GVariant *
mp_feed_get_chunk (MpFeed  *self,
                   guint64  chunk)
{
  return find_chunk (self, chunk)->value;
}

MpEncoded *
mp_feed_get_encoded (MpFeed  *self,
                     guint64  chunk)
{
  return find_chunk (self, chunk)->encoded;
}

/* Nothing more comes, and all that came has ended. */
static void
finish_if_over (MpJob *job)
{
  MpFeed *self = job->feed;

  if (self->open || job->done || self->n_ended < mp_map_get_n_chunks (job->map))
    return;
  if (job->imap != NULL)
    mp_imap_input_ended (job, g_steal_pointer (&self->error));
  else
    mp_map_input_ended (job, g_steal_pointer (&self->error));
}

void
mp_feed_chunk_ended (MpJob   *job,
                     guint64  number)
{
  MpFeed *self = job->feed;
  Chunk *chunk = find_chunk (self, number);

  self->n_ended++;
  /* The bytes are the library's own; objects are not. */
  if (chunk != NULL && (chunk->encoded != NULL || chunk->holds))
    {
      g_hash_table_steal (self->chunks, GSIZE_TO_POINTER (number));
      mp_job_drop (job, chunk_free, chunk);
    }
  else if (chunk != NULL)
    {
      g_hash_table_remove (self->chunks, GSIZE_TO_POINTER (number));
    }

  if (job->imap == NULL && job->n_ready == 0 && job->n_out <= 1 && !self->asking)
    self->ahead = MIN (2 * self->ahead, self->max_ahead);
  mp_feed_look (job);
  finish_if_over (job);
}

/* How much is wanted. */

static gsize
count_room (MpJob *job,
            gsize *limit)
{
  MpFeed *self = job->feed;
  gsize in_work = mp_map_get_n_chunks (job->map) - self->n_ended;
  gsize held = in_work, ahead = self->ahead;
  gsize by_bytes = MAX (FIRST_AHEAD * (gsize) mp_pool_size_get (job->core), MAX_BYTES / MAX (job->size, 1));

  if (job->done || !self->open)
    return 0;
  if (job->imap != NULL)
    ahead = mp_imap_get_ahead (job, &held);

  *limit = MIN (ahead, by_bytes);
  return MIN (ahead > held ? ahead - held : 0, by_bytes > in_work ? by_bytes - in_work : 0);
}

static void ask_cb (gpointer data);

/* In portions, unless the workers have nothing of it any more: many are sent by one write. The unit that just ends counts as
 * one that is out. */
void
mp_feed_look (MpJob *job)
{
  MpFeed *self = job->feed;
  gsize limit = 0, room = 0;

  if (self->asking)
    return;
  room = count_room (job, &limit);
  if (room == 0 || (room < limit / 2 && job->n_out > 1))
    return;
  self->asking = TRUE;
  mp_hub_post (job->home.context, job->core, ask_cb, mp_job_ref (job), (GDestroyNotify) mp_job_unref);
}

/* Asking: without the lock, in the context of the call. */

static gboolean
hold_object (gint32   *handle,
             gpointer  user_data)
{
  MpShareable *object = mp_shareable_lookup (*handle, NULL);

  /* One that is gone is found out when the chunk is encoded. */
  if (object != NULL)
    g_ptr_array_add (user_data, object);
  return TRUE;
}

/* Whoever gives an item need not keep its objects until the chunk is full. */
static void
hold_objects (MpFeed   *self,
              GVariant *value)
{
  if (!mp_type_may_hold_handles (g_variant_get_type (value)))
    return;
  if (((guintptr) g_variant_get_data (value) & 7) == 0)
    mp_value_check (g_variant_get_type (value), g_variant_get_data (value), g_variant_get_size (value), hold_object,
                    self->objects);
}

/* TRUE: it is taken in. */
static gboolean
take_value (MpFeed   *self,
            GVariant *value)
{
  const char *type = NULL;

  while (g_variant_is_of_type (value, G_VARIANT_TYPE_VARIANT))
    {
      GVariant *outer = value;

      value = g_variant_get_variant (outer);
      g_variant_unref (outer);
    }
  type = g_variant_get_type_string (value);
  if (self->type == NULL || strcmp (self->type, type) != 0)
    {
      /* A function of whole chunks is asked with the chunk. */
      if (!mp_function_takes_chunks (self->function) &&
          !mp_function_check_args (self->function, value, FALSE, &self->error))
        {
          g_variant_unref (value);
          return FALSE;
        }
      g_free (self->type);
      self->type = g_strdup (type);
      self->mixed = self->mixed || self->values->len > 0;
    }
  hold_objects (self, value);
  g_ptr_array_add (self->values, value);

  return TRUE;
}

static Chunk *
make_chunk (MpFeed *self)
{
  GVariant **values = (GVariant **) self->values->pdata;
  guint n = self->values->len;
  Chunk *chunk = g_slice_new0 (Chunk);

  chunk->n_items = n;
  if (self->mixed)
    {
      GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("av"));

      for (guint i = 0; i < n; i++)
        g_variant_builder_add (&builder, "v", values[i]);
      chunk->value = g_variant_ref_sink (g_variant_builder_end (&builder));
    }
  else
    {
      chunk->value = g_variant_ref_sink (g_variant_new_array (g_variant_get_type (values[0]), values, n));
    }
  /* Serialised here, and not under the lock. */
  g_variant_get_data (chunk->value);
  chunk->holds = self->is_local && self->objects->len > 0;
  if (self->is_local)
    {
      g_autoptr(GVariant) value = g_steal_pointer (&chunk->value);

      chunk->value = mp_value_hold (value, &self->error);
      if (chunk->value == NULL)
        g_clear_pointer (&chunk, chunk_free);
    }
  else if (self->objects->len > 0 || mp_type_may_hold_handles (g_variant_get_type (chunk->value)))
    {
      chunk->encoded = g_new0 (MpEncoded, 1);
      if (!mp_value_encode (chunk->value, chunk->encoded, &self->error))
        {
          g_clear_pointer (&chunk->encoded, g_free);
          g_clear_pointer (&chunk, chunk_free);
        }
      else if (chunk->encoded->table == NULL)
        {
          mp_encoded_clear (chunk->encoded);
          g_clear_pointer (&chunk->encoded, g_free);
        }
    }
  if (chunk != NULL && mp_function_takes_chunks (self->function) &&
      !mp_function_check_args (self->function, chunk->value, TRUE, &self->error))
    g_clear_pointer (&chunk, chunk_free);

  g_ptr_array_set_size (self->values, 0);
  g_ptr_array_set_size (self->objects, 0);
  self->mixed = FALSE;

  return chunk;
}

/* What came before an error is computed, unless it cannot be sent: then that is the error. */
static Chunk *
end_chunk (MpFeed *self)
{
  GError *later = g_steal_pointer (&self->error);
  Chunk *chunk = self->values->len > 0 ? make_chunk (self) : NULL;

  if (self->error != NULL)
    {
      self->over = TRUE;
      g_clear_error (&later);
    }
  else
    {
      self->error = later;
    }
  return chunk;
}

/* Reads on in the chunk that was begun; NULL: it is not full, and time or items are over. */
static Chunk *
read_chunk (MpFeed  *self,
            MpItems *items,
            gsize    chunk_size,
            gint64   until)
{
  while (!self->over && self->values->len < chunk_size)
    {
      GError *error = NULL;
      GVariant *value = mp_items_next (items, &error);

      if (error != NULL)
        {
          g_clear_pointer (&value, g_variant_unref);
          self->error = error;
        }
      self->over = value == NULL || !take_value (self, value);
      if (!self->over && self->values->len < chunk_size && g_get_monotonic_time () >= until)
        return NULL;
    }
  return end_chunk (self);
}

/* With the lock: the workers get what was read; it is left in @portion when nobody wants it any more. */
static void
deliver (MpJob  *job,
         GQueue *portion)
{
  MpFeed *self = job->feed;
  gsize n = portion->length;

  if (job->done)
    return;

  while (!g_queue_is_empty (portion))
    {
      Chunk *chunk = g_queue_pop_head (portion);

      g_hash_table_insert (self->chunks, GSIZE_TO_POINTER (mp_map_get_n_chunks (job->map)), chunk);
      job->size = g_variant_get_size (chunk->value);
      mp_map_add_chunk (job->map, chunk->n_items);
    }
  mp_tally_add (job->core, job, n);
  if (job->imap != NULL)
    mp_imap_allow (job, n);
  mp_pool_core_enqueue (job->core, job, n);
  mp_pool_core_make_way (job->core, job);
  mp_pool_core_dispatch (job->core);

  if (self->over && self->open)
    {
      mp_feed_stop (job);
      finish_if_over (job);
      mp_pool_core_check_end (job->core);
    }
  mp_hub_changed ();
}

/* Asks for up to @n chunks, and hands them over. Without the lock. */
static void
read_portion (MpJob   *job,
              MpItems *items,
              gsize    n,
              gint64   until)
{
  GQueue portion = G_QUEUE_INIT;
  gint64 soon = g_get_monotonic_time () + PORTION_US;
  gsize chunk_size = mp_map_get_chunk_size (job->map);

  while (portion.length < n && !job->feed->over)
    {
      Chunk *chunk = read_chunk (job->feed, items, chunk_size, until);

      if (chunk == NULL)
        break;
      g_queue_push_tail (&portion, chunk);
      if (g_get_monotonic_time () >= MIN (soon, until))
        break;
    }
  mp_hub_lock ();
  deliver (job, &portion);
  mp_hub_unlock ();
  g_queue_clear_full (&portion, chunk_free);
}

static void
ask_cb (gpointer data)
{
  MpJob *job = data;
  MpFeed *self = job->feed;
  gint64 until = g_get_monotonic_time () + SLICE_US;
  MpItems *items = NULL;
  gsize limit = 0, n = 0;

  mp_hub_lock ();
  n = count_room (job, &limit);
  if (n > 0)
    {
      self->reader = g_thread_self ();
      items = self->items;
    }
  mp_hub_unlock ();
  if (items != NULL)
    g_object_ref (items);

  while (n > 0)
    {
      read_portion (job, items, n, until);
      mp_hub_lock ();
      n = g_get_monotonic_time () < until ? count_room (job, &limit) : 0;
      mp_hub_unlock ();
    }
  g_clear_object (&items);

  mp_hub_lock ();
  self->reader = NULL;
  self->asking = FALSE;
  mp_feed_look (job);
  mp_hub_unlock ();
}
