/* mp-codec.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-codec-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable-private.h"

#include <string.h>
#include <unistd.h>

#define TABLE_TYPE   "a(suv)"

/* What the handles of a value being encoded stand for. */
typedef struct
{
  GHashTable      *seen;      /* (owned): number of a handle → its index in the table, plus 1 */
  GVariantBuilder  table;
  guint            n_entries;
  GArray          *fds;       /* (owned) (nullable) */
  GError          *error;
  MpEncodeFlags    flags;
} Collector;

/* What the handles of a value being decoded turn into. */
typedef struct
{
  guint32    n_handles;
  GPtrArray *objects;         /* (nullable) of MpShareable: while NULL, indices are only checked */
} Resolver;

/* A body with handles: its objects live as long as any part of the value. */
typedef struct
{
  GPtrArray *objects;
  guint64    data[];
} HeldBody;

static const guint64 zeros = 0;

static void
close_fds (GArray *fds)
{
  guint i;

  for (i = 0; i < fds->len; i++)
    if (g_array_index (fds, int, i) >= 0)
      close (g_array_index (fds, int, i));
  g_array_unref (fds);
}

static gboolean
check_object (Collector   *self,
              MpShareable *object)
{
  const char *kind, *how;

  if (self->flags == MP_ENCODE_ALL ||
      (self->flags == MP_ENCODE_ISOLATED && mp_shareable_get_isolated (object)))
    return TRUE;

  kind = mp_shareable_get_kind (object);
  how = MP_SHAREABLE_GET_IFACE (object)->isolated_how;
  if (self->flags & MP_ENCODE_NO_HANDLES)
    g_set_error (&self->error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                 "Cannot send a value with an object in it (%s): objects stay on their machine, and cross only UNIX "
                 "sockets", kind);
  else
    g_set_error (&self->error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                 "Cannot send a value with an object in it (%s) to a process that is not one of this program's workers: "
                 "it is not isolated, as is %s", kind,
                 how != NULL ? how : "one that is made with the property 'isolated'");
  return FALSE;
}

static gboolean
describe_object (Collector *self,
                 gint32     number)
{
  g_autoptr(MpShareable) object = mp_shareable_lookup (number, &self->error);
  g_autoptr(GVariant) entry = NULL;

  if (object == NULL)
    {
      g_prefix_error (&self->error, "Cannot send a value: ");
      return FALSE;
    }
  if (!check_object (self, object))
    return FALSE;

  entry = mp_shareable_describe_within (object, self->fds, &self->error);
  if (entry == NULL)
    return FALSE;

  if (self->fds->len > MP_MAX_FDS)
    {
      g_set_error (&self->error, MP_ERROR, MP_ERROR_TOO_LARGE,
                   "Cannot send a value: its objects have more than %d descriptors", MP_MAX_FDS);
      return FALSE;
    }

  g_variant_builder_add_value (&self->table, entry);
  self->n_entries++;
  return TRUE;
}

static gboolean
collect_handle (gint32   *handle,
                gpointer  user_data)
{
  Collector *self = user_data;
  gint32 number = *handle;
  guint index;

  if (self->seen == NULL)
    {
      self->seen = g_hash_table_new (NULL, NULL);
      self->fds = g_array_new (FALSE, FALSE, sizeof (int));
      g_variant_builder_init (&self->table, G_VARIANT_TYPE (TABLE_TYPE));
    }

  index = GPOINTER_TO_UINT (g_hash_table_lookup (self->seen, GINT_TO_POINTER (number)));
  if (index == 0)
    {
      if (!describe_object (self, number))
        return FALSE;
      index = self->n_entries;
      g_hash_table_insert (self->seen, GINT_TO_POINTER (number), GUINT_TO_POINTER (index));
    }

  *handle = index - 1;
  return TRUE;
}

static void
collector_clear (Collector *self)
{
  if (self->seen == NULL)
    return;

  g_hash_table_unref (self->seen);
  g_variant_builder_clear (&self->table);
  g_clear_pointer (&self->fds, close_fds);
  g_clear_error (&self->error);
}

static gboolean
note_handle (gint32   *handle,
             gpointer  user_data)
{
  gboolean *found = user_data;

  *found = TRUE;
  return TRUE;
}

static void
add_piece (MpEncoded     *self,
           gconstpointer  data,
           gsize          size,
           GBytes        *bytes)
{
  if (size > 0)
    self->pieces[self->n_pieces++] = (MpPiece) { data, size, bytes };
  self->size += size;
}

static void
add_padded (MpEncoded     *self,
            gconstpointer  data,
            gsize          size,
            GBytes        *bytes)
{
  add_piece (self, data, size, bytes);
  add_piece (self, &zeros, mp_pad8 (size) - size, NULL);
}

/* The table of what the handles stand for, behind the body. */
static void
add_table (MpEncoded   *self,
           MpValueHead *header,
           Collector   *collector)
{
  g_autoptr(GVariant) table = g_variant_ref_sink (g_variant_builder_end (&collector->table));

  header->n_handles = collector->n_entries;
  self->fds = g_steal_pointer (&collector->fds);
  self->table = g_variant_get_data_as_bytes (table);
  self->n_table = g_bytes_get_size (self->table);
  add_piece (self, &self->n_table, sizeof self->n_table, NULL);
  add_padded (self, g_bytes_get_data (self->table, NULL), self->n_table, NULL);
}

/* A body that fits into the head beside its type: serialised, checked and patched right there. */
static gboolean
encode_short (MpEncoded *self,
              guint8    *head,
              gsize      head_size,
              gsize      n_body,
              Collector *collector)
{
  MpValueHead *header = (MpValueHead *) (gpointer) head;

  if (n_body > 0)
    {
      memset (head + head_size + (n_body & ~(gsize) 7), 0, mp_pad8 (n_body) - (n_body & ~(gsize) 7));
      g_variant_store (self->value, head + head_size);
    }

  if (!mp_value_check_string ((char *) head + sizeof (MpValueHead), header->n_type, head + head_size, n_body,
                              collect_handle, collector))
    return FALSE;

  add_piece (self, head, head_size + mp_pad8 (n_body), NULL);
  return TRUE;
}

static gboolean
encode_long (MpEncoded  *self,
             guint8     *head,
             gsize       head_size,
             gsize       n_body,
             Collector  *collector)
{
  const GVariantType *type = g_variant_get_type (self->value);
  gconstpointer data = g_variant_get_data (self->value);
  gboolean found = FALSE;

  if ((data == NULL && n_body > 0) || !mp_value_check (type, data, n_body, note_handle, &found))
    return FALSE;

  if (found)
    {
      gpointer copy = g_memdup2 (data, n_body);

      self->body = g_bytes_new_take (copy, n_body);
      if (!mp_value_check (type, copy, n_body, collect_handle, collector))
        return FALSE;
      data = copy;
    }
  else if (n_body >= MP_PIECE_MIN_REFERENCE)
    {
      self->body = g_variant_get_data_as_bytes (self->value);
      data = g_bytes_get_data (self->body, NULL);
    }

  add_piece (self, head, head_size, NULL);
  add_padded (self, data, n_body, self->body);
  return TRUE;
}

/* FALSE without error in @collector: the value is not in normal form. */
static gboolean
encode_value (MpEncoded  *self,
              const char *type,
              gsize       n_type,
              Collector  *collector)
{
  gsize head_size = sizeof (MpValueHead) + mp_pad8 (n_type + 1);
  gsize n_body = g_variant_get_size (self->value);
  guint8 *head = (guint8 *) self->head;
  MpValueHead *header;
  gboolean ok;

  if (head_size > sizeof self->head)
    head = self->long_head = g_malloc (head_size);

  header = (MpValueHead *) (gpointer) head;
  *header = (MpValueHead) { n_type, 0, n_body };
  memset (head + head_size - 8, 0, 8);
  memcpy (head + sizeof (MpValueHead), type, n_type);

  if (self->long_head == NULL && n_body <= sizeof self->head - head_size)
    ok = encode_short (self, head, head_size, n_body, collector);
  else
    ok = encode_long (self, head, head_size, n_body, collector);

  if (ok && collector->seen != NULL)
    add_table (self, header, collector);
  return ok;
}

static void
encoded_init (MpEncoded *self,
              GVariant  *value)
{
  self->n_pieces = 0;
  self->size = 0;
  self->long_head = NULL;
  self->value = value;
  self->body = NULL;
  self->table = NULL;
  self->fds = NULL;
}

gboolean
mp_value_encode (GVariant   *value,
                 MpEncoded  *encoded,
                 GError    **error)
{
  return mp_value_encode_for (value, MP_ENCODE_ALL, encoded, error);
}

gboolean
mp_value_encode_for (GVariant       *value,
                     MpEncodeFlags   flags,
                     MpEncoded      *encoded,
                     GError        **error)
{
  const char *type = g_variant_get_type_string (value);
  gsize n_type = strlen (type);
  guint attempt;

  encoded_init (encoded, g_variant_ref_sink (value));
  if (n_type > MP_CODEC_MAX_TYPE)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
                   "Cannot send a value: its type is %" G_GSIZE_FORMAT " characters long", n_type);
      mp_encoded_clear (encoded);
      return FALSE;
    }

  for (attempt = 0; attempt < 2; attempt++)
    {
      Collector collector = { .flags = flags };
      gboolean ok = encode_value (encoded, type, n_type, &collector);
      GVariant *normal;

      if (!ok && collector.error != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&collector.error));
          collector_clear (&collector);
          mp_encoded_clear (encoded);
          return FALSE;
        }

      collector_clear (&collector);
      if (ok)
        return TRUE;

      /* Made from bytes that nobody had checked. GVariant reads such a value as its normal form, so that is sent. */
      normal = g_variant_get_normal_form (encoded->value);
      mp_encoded_clear (encoded);
      encoded_init (encoded, normal);
      type = g_variant_get_type_string (normal);
    }

  mp_encoded_clear (encoded);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "Cannot send a value: it is nested too deeply, or a variant in it has too long a type");
  return FALSE;
}

static gboolean
add_object (gint32   *handle,
            gpointer  user_data)
{
  GPtrArray *objects = user_data;
  MpShareable *object = mp_shareable_lookup (*handle, NULL);

  if (object != NULL)
    g_ptr_array_add (objects, object);
  return TRUE;
}

GPtrArray *
mp_value_dup_objects (GVariant *value)
{
  const GVariantType *type = g_variant_get_type (value);
  gsize size = g_variant_get_size (value);
  g_autoptr(GPtrArray) objects = NULL;
  g_autofree gpointer copy = NULL;

  if (!mp_type_may_hold_handles (type) || size == 0)
    return NULL;

  objects = g_ptr_array_new_with_free_func (g_object_unref);
  copy = g_malloc (size);
  g_variant_store (value, copy);
  mp_value_check (type, copy, size, add_object, objects);

  return objects->len > 0 ? g_steal_pointer (&objects) : NULL;
}

void
mp_encoded_clear (MpEncoded *encoded)
{
  g_clear_pointer (&encoded->long_head, g_free);
  g_clear_pointer (&encoded->body, g_bytes_unref);
  g_clear_pointer (&encoded->table, g_bytes_unref);
  g_clear_pointer (&encoded->fds, close_fds);
  g_clear_pointer (&encoded->value, g_variant_unref);
}

static gboolean
set_malformed (GError     **error,
               const char  *what)
{
  g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed value: %s", what);
  return FALSE;
}

/* Called twice for each handle of a body: to check, and, once the objects are there, to put their numbers in. */
static gboolean
resolve_handle (gint32   *handle,
                gpointer  user_data)
{
  Resolver *self = user_data;

  if (*handle < 0 || (guint32) *handle >= self->n_handles)
    return FALSE;

  if (self->objects != NULL)
    *handle = mp_shareable_get_handle (g_ptr_array_index (self->objects, *handle));
  return TRUE;
}

static GPtrArray *
adopt_objects (const guint8  *data,
               gsize          size,
               guint32        n_handles,
               int           *fds,
               guint          n_fds,
               GError       **error)
{
  g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GVariant) table = NULL;
  guint i;

  if (!mp_value_check_string (TABLE_TYPE, strlen (TABLE_TYPE), data, size, NULL, NULL))
    {
      set_malformed (error, "its table of objects");
      return NULL;
    }

  bytes = g_bytes_new (data, size);
  table = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (TABLE_TYPE), bytes, TRUE));
  if (g_variant_n_children (table) != n_handles)
    {
      set_malformed (error, "the number of its objects");
      return NULL;
    }

  for (i = 0; i < n_handles; i++)
    {
      g_autoptr(GVariant) entry = g_variant_get_child_value (table, i);
      guint used = 0;
      MpShareable *object = mp_shareable_adopt_within (entry, fds, n_fds, &used, error);

      if (object == NULL)
        return NULL;
      if (used > 0)   /* without descriptors there is no array of them */
        fds += used;
      n_fds -= used;
      g_ptr_array_add (objects, object);
    }

  return g_steal_pointer (&objects);
}

static void
held_body_free (gpointer data)
{
  HeldBody *self = data;

  g_ptr_array_unref (self->objects);
  g_free (self);
}

/* The body with the objects' numbers in it. @type is known to be sound, and the body to be normal. */
static GBytes *
hold_body (const GVariantType *type,
           gconstpointer       data,
           gsize               size,
           GPtrArray          *objects)
{
  Resolver resolver = { objects->len, objects };
  HeldBody *held = g_malloc (sizeof *held + size);

  held->objects = g_ptr_array_ref (objects);
  memcpy (held->data, data, size);
  mp_value_check (type, held->data, size, resolve_handle, &resolver);
  return g_bytes_new_with_free_func (held->data, size, held_body_free, held);
}

static gboolean
is_zero (const guint8 *data,
         gsize         size)
{
  guint8 bits = 0;

  while (size > 0)
    bits |= data[--size];
  return bits == 0;
}

/* Takes a run of @length bytes and the zeros up to a multiple of 8; NULL when they are not there. */
static const guint8 *
take_run (const guint8 **data,
          gsize         *size,
          guint64        length)
{
  const guint8 *run = *data;
  gsize padded;

  if (length > *size)
    return NULL;
  padded = mp_pad8 (length);
  if (padded > *size || !is_zero (run + length, padded - length))
    return NULL;

  *data += padded;
  *size -= padded;
  return run;
}

static GBytes *
decode_body_with_handles (const GVariantType  *type,
                          const guint8        *body,
                          const MpValueHead   *header,
                          const guint8       **data,
                          gsize               *size,
                          int                 *fds,
                          guint                n_fds,
                          GError             **error)
{
  g_autoptr(GPtrArray) objects = NULL;
  const guint8 *word = take_run (data, size, sizeof (guint64));
  const guint8 *table = NULL;
  guint64 n_table = 0;

  if (word != NULL)
    {
      memcpy (&n_table, word, sizeof n_table);
      table = take_run (data, size, n_table);
    }
  if (table == NULL)
    {
      set_malformed (error, "the length of its table of objects");
      return NULL;
    }

  objects = adopt_objects (table, n_table, header->n_handles, fds, n_fds, error);
  if (objects == NULL)
    return NULL;

  return hold_body (type, body, header->n_body, objects);
}

static GBytes *
decode_plain_body (GBytes       *bytes,
                   const guint8 *body,
                   gsize         n_body)
{
  const guint8 *start;

  if (bytes == NULL || n_body < MP_PIECE_MIN_REFERENCE)
    return g_bytes_new (body, n_body);

  start = g_bytes_get_data (bytes, NULL);
  return g_bytes_new_from_bytes (bytes, body - start, n_body);
}

GVariant *
mp_value_decode (GBytes        *bytes,
                 const guint8  *data,
                 gsize          size,
                 gsize         *used,
                 int           *fds,
                 guint          n_fds,
                 GError       **error)
{
  const guint8 *start = data;
  g_autoptr(GBytes) owned = NULL;
  const GVariantType *type;
  const guint8 *string, *body;
  Resolver resolver = { 0, NULL };
  MpValueHead header;

  if (size < sizeof (MpValueHead))
    {
      set_malformed (error, "its head is incomplete");
      return NULL;
    }

  memcpy (&header, data, sizeof header);
  data += sizeof (MpValueHead);
  size -= sizeof (MpValueHead);
  resolver.n_handles = header.n_handles;

  if (header.n_type == 0 || header.n_type > MP_CODEC_MAX_TYPE ||
      (string = take_run (&data, &size, header.n_type + 1)) == NULL || string[header.n_type] != 0 ||
      (body = take_run (&data, &size, header.n_body)) == NULL)
    {
      set_malformed (error, "its lengths");
      return NULL;
    }
  if (!mp_value_check_string ((const char *) string, header.n_type, body, header.n_body, resolve_handle, &resolver))
    {
      set_malformed (error, "not in normal form");
      return NULL;
    }

  type = (const GVariantType *) string;
  if (header.n_handles == 0)
    owned = decode_plain_body (bytes, body, header.n_body);
  else
    owned = decode_body_with_handles (type, body, &header, &data, &size, fds, n_fds, error);
  if (owned == NULL)
    return NULL;

  if (used != NULL)
    *used = data - start;
  return g_variant_ref_sink (g_variant_new_from_bytes (type, owned, TRUE));
}
