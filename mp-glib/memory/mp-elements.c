/* mp-elements.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-elements-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/sync/mp-lock.h"
#include "mp-glib/sync/mp-rlock.h"

#include <errno.h>
#include <string.h>

/* How elements are described: how many descriptors are their own, type, number, note, where they are (the state of a
 * slot, or nothing: in the descriptor), their lock as an object within (nothing: none). */
#define STATE_TYPE "(ustsvv)"

#define MAX_FORMAT 256u   /* characters */

enum { PLAIN, TRUTH, PADDING };

/* Types. */

static gsize
get_basic_size (char kind)
{
  switch (kind)
    {
    case 'y': case 'b':
      return 1;
    case 'n': case 'q':
      return 2;
    case 'i': case 'u':
      return 4;
    case 'x': case 't': case 'd':
      return 8;
    default:
      return 0;
    }
}

/* Of a fixed size, and without handles, which mean something in one process only. */
static gboolean
is_fixed (const GVariantType *type)
{
  const GVariantType *member = NULL;

  if (g_variant_type_is_basic (type))
    return get_basic_size (*g_variant_type_peek_string (type)) > 0;
  if (*g_variant_type_peek_string (type) == '{')
    return is_fixed (g_variant_type_key (type)) && is_fixed (g_variant_type_value (type));
  if (!g_variant_type_is_tuple (type) || !g_variant_type_is_definite (type))
    return FALSE;
  for (member = g_variant_type_first (type); member != NULL; member = g_variant_type_next (member))
    if (!is_fixed (member))
      return FALSE;
  return TRUE;
}

static gsize
get_alignment (const GVariantType *type)
{
  const GVariantType *member = NULL;
  gsize alignment = 1;

  if (g_variant_type_is_basic (type))
    return get_basic_size (*g_variant_type_peek_string (type));
  for (member = g_variant_type_first (type); member != NULL; member = g_variant_type_next (member))
    {
      /* Not in MAX(), which would ask twice, at each depth. */
      gsize own = get_alignment (member);

      alignment = MAX (alignment, own);
    }
  return alignment;
}

static void
pad (GByteArray *marks,
     gsize       alignment)
{
  const guint8 mark = PADDING;

  while (marks->len % alignment != 0)
    g_byte_array_append (marks, &mark, 1);
}

static void
lay_out (GByteArray         *marks,
         const GVariantType *type)
{
  const GVariantType *member = NULL;
  gsize alignment = get_alignment (type);
  const guint8 padding = PADDING;
  guint begin = 0;

  pad (marks, alignment);
  begin = marks->len;
  if (g_variant_type_is_basic (type))
    {
      const guint8 mark = *g_variant_type_peek_string (type) == 'b' ? TRUTH : PLAIN;

      for (gsize i = 0; i < alignment; i++)
        g_byte_array_append (marks, &mark, 1);
      return;
    }
  for (member = g_variant_type_first (type); member != NULL; member = g_variant_type_next (member))
    lay_out (marks, member);
  pad (marks, alignment);
  /* The empty tuple has a byte all the same. */
  if (marks->len == begin)
    g_byte_array_append (marks, &padding, 1);
}

static gboolean
check_type (const GVariantType  *type,
            const char          *what,
            GError             **error)
{
  if (g_variant_type_get_string_length (type) > MP_ELEMENTS_MAX_TYPE)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: its type has more than %u characters", what,
                   MP_ELEMENTS_MAX_TYPE);
      return FALSE;
    }
  if (!is_fixed (type))
    {
      g_autofree char *name = g_variant_type_dup_string (type);

      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "%s: the type %s is not of a fixed size that means the same in every process", what, name);
      return FALSE;
    }
  return TRUE;
}

/* Memory. */

static MpElements *
make (const GVariantType *type,
      gsize               n,
      const char         *format)
{
  g_autoptr(GByteArray) marks = g_byte_array_new ();
  MpElements *self = g_new0 (MpElements, 1);
  gboolean is_plain = TRUE;

  lay_out (marks, type);
  for (guint i = 0; i < marks->len; i++)
    is_plain &= marks->data[i] == PLAIN;

  g_atomic_ref_count_init (&self->ref_count);
  self->type = g_variant_type_copy (type);
  self->n = n;
  self->size = marks->len;
  self->number = g_variant_type_is_basic (type) ? *g_variant_type_peek_string (type) : 0;
  if (!is_plain)
    self->marks = g_memdup2 (marks->data, marks->len);
  self->format = g_strdup (format);
  self->fd = -1;
  return self;
}

MpElements *
mp_elements_ref (MpElements *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
mp_elements_unref (MpElements *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->ref_count))
    return;

  if (self->slot.arena != NULL)
    mp_slot_clear (&self->slot);
  else if (self->data != NULL)
    mp_fd_unmap (self->data, self->n * self->size);
  mp_fd_close (&self->fd);
  g_variant_type_free (self->type);
  g_free (self->marks);
  g_free (self->format);
  g_free (self);
}

/* FALSE also for no elements. */
static gboolean
measure (MpElements  *self,
         gsize       *size,
         const char  *what,
         GError     **error)
{
  if (self->n == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: it needs an element at least", what);
      return FALSE;
    }
  if (__builtin_mul_overflow (self->n, self->size, size) || *size > G_MAXSSIZE)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
                   "%s: %" G_GSIZE_FORMAT " elements of %" G_GSIZE_FORMAT " bytes are more than there can be", what,
                   self->n, self->size);
      return FALSE;
    }
  return TRUE;
}

static gboolean
map (MpElements  *self,
     gsize        size,
     GError     **error)
{
  gboolean is_writable = FALSE;

  self->data = mp_memory_map (self->fd, size, &is_writable, error);
  if (self->data == NULL || is_writable)
    return self->data != NULL;

  g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "its memory cannot be written");
  return FALSE;
}

static gboolean
make_memory (MpElements  *self,
             gboolean     is_one,
             gboolean     isolated,
             const char  *what,
             GError     **error)
{
  const char *name = is_one ? "mp-value" : "mp-array";
  gsize size = 0;

  if (!measure (self, &size, what, error))
    return FALSE;

  if (is_one && size <= MP_ELEMENTS_IN_SLOT)
    {
      if (!mp_slot_new (&self->slot, MP_SLOT_VALUE, 0, isolated, what, error))
        return FALSE;
      self->data = (guint8 *) self->slot.slot->state;
      return TRUE;
    }

  self->fd = mp_memory_create (name, size, TRUE, error);
  if (self->fd >= 0 && mp_memory_seal (self->fd, MP_MEMORY_SEAL_GROW | MP_MEMORY_SEAL_SEAL, error) &&
      map (self, size, error))
    return TRUE;

  g_prefix_error (error, "%s: ", what);
  return FALSE;
}

MpElements *
mp_elements_new (const GVariantType  *type,
                 gsize                n,
                 const char          *format,
                 gboolean             is_one,
                 gboolean             isolated,
                 const char          *what,
                 GError             **error)
{
  MpElements *self = NULL;

  if (!check_type (type, what, error))
    return NULL;
  if (format != NULL && (strlen (format) > MAX_FORMAT || !g_utf8_validate (format, -1, NULL)))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "%s: its format has more than %u bytes, or is not UTF-8", what, MAX_FORMAT);
      return NULL;
    }

  self = make (type, n, format);
  if (make_memory (self, is_one, isolated, what, error))
    return self;

  mp_elements_unref (self);
  return NULL;
}

gboolean
mp_elements_get_isolated (MpElements *self)
{
  return self->slot.arena == NULL || mp_slot_is_isolated (&self->slot);
}

/* Travel. */

gboolean
mp_elements_is_lock (gpointer object)
{
  return MP_IS_LOCK (object) || MP_IS_RLOCK (object);
}

/* (transfer full) */
static GVariant *
describe_place (MpElements  *self,
                GArray      *fds,
                const char  *what,
                GError     **error)
{
  int fd = -1;

  if (self->slot.arena != NULL)
    return mp_slot_describe (&self->slot, fds, what, error);

  fd = mp_fd_dup (self->fd);
  if (fd < 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: cannot be sent: %s", what, g_strerror (errno));
      return NULL;
    }
  g_array_append_val (fds, fd);
  return g_variant_ref_sink (g_variant_new_tuple (NULL, 0));
}

GVariant *
mp_elements_describe (MpElements   *self,
                      MpShareable  *lock,
                      GArray       *fds,
                      const char   *what,
                      GError      **error)
{
  g_autofree char *type = g_variant_type_dup_string (self->type);
  g_autoptr(GVariant) place = NULL;
  g_autoptr(GVariant) inner = NULL;
  guint n_before = fds->len;
  guint n_own = 0;

  place = describe_place (self, fds, what, error);
  if (place == NULL)
    return NULL;
  n_own = fds->len - n_before;
  inner = lock != NULL ? mp_shareable_describe_within (lock, fds, error)
                       : g_variant_ref_sink (g_variant_new_tuple (NULL, 0));
  if (inner == NULL)
    return NULL;

  return g_variant_ref_sink (g_variant_new (STATE_TYPE, n_own, type, (guint64) self->n,
                                            self->format != NULL ? self->format : "", place, inner));
}

static MpElements *
refuse (MpElements  *self,
        const char  *what,
        const char  *fault,
        GError     **error)
{
  mp_elements_unref (self);
  g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed %s: %s", what, fault);
  return NULL;
}

/* Takes @self; gives it back with its memory, or not. */
static MpElements *
adopt_place (MpElements  *self,
             gboolean     is_one,
             GVariant    *place,
             int         *fds,
             guint        n_fds,
             const char  *what,
             GError     **error)
{
  gboolean is_file = g_variant_is_of_type (place, G_VARIANT_TYPE_UNIT);
  g_autoptr(GError) fault = NULL;
  gsize size = 0;

  if (!measure (self, &size, what, &fault) || (!is_file && (!is_one || size > MP_ELEMENTS_IN_SLOT)))
    return refuse (self, what, fault != NULL ? fault->message : "it is larger than its memory", error);

  if (!is_file)
    {
      if (mp_slot_adopt (&self->slot, MP_SLOT_VALUE, place, fds, n_fds, what, error))
        {
          self->data = (guint8 *) self->slot.slot->state;
          return self;
        }
      mp_elements_unref (self);
      return NULL;
    }

  if (n_fds != 1)
    return refuse (self, what, "it comes without its memory", error);
  if (!mp_memory_adopt (fds[0], size, size, TRUE, NULL, &fault))
    return refuse (self, what, fault->message, error);
  self->fd = fds[0];
  fds[0] = -1;
  if (map (self, size, &fault))
    return self;
  if (g_error_matches (fault, MP_ERROR, MP_ERROR_PROTOCOL))
    return refuse (self, what, fault->message, error);

  g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: its memory cannot be mapped: %s", what, fault->message);
  mp_elements_unref (self);
  return NULL;
}

static gboolean
adopt_lock (MpShareable **lock,
            GVariant     *inner,
            int          *fds,
            guint         n_fds,
            GError      **error)
{
  guint used = 0;

  if (g_variant_is_of_type (inner, G_VARIANT_TYPE_UNIT))
    return TRUE;

  *lock = mp_shareable_adopt_within (inner, fds, n_fds, &used, error);
  if (*lock == NULL || mp_elements_is_lock (*lock))
    return *lock != NULL;

  g_clear_object (lock);
  g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed object: its lock is none");
  return FALSE;
}

MpElements *
mp_elements_adopt (MpShareable **lock,
                   gboolean      is_one,
                   GVariant     *state,
                   int          *fds,
                   guint         n_fds,
                   const char   *what,
                   GError      **error)
{
  g_autoptr(GVariant) place = NULL;
  g_autoptr(GVariant) inner = NULL;
  MpElements *self = NULL;
  const char *type = NULL;
  const char *format = NULL;
  guint32 n_own = 0;
  guint64 n = 0;

  *lock = NULL;
  if (!g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)))
    return refuse (NULL, what, "its state", error);
  g_variant_get (state, "(u&st&svv)", &n_own, &type, &n, &format, &place, &inner);
  if (n_own > n_fds)
    return refuse (NULL, what, "descriptors are missing", error);
  if (strlen (type) > MP_ELEMENTS_MAX_TYPE || !g_variant_type_string_is_valid (type) ||
      !is_fixed (G_VARIANT_TYPE (type)) || n > G_MAXSIZE || (is_one && n != 1) || strlen (format) > MAX_FORMAT)
    return refuse (NULL, what, "its type", error);

  self = adopt_place (make (G_VARIANT_TYPE (type), n, *format != 0 ? format : NULL), is_one, place, fds, n_own, what,
                      error);
  if (self != NULL && !adopt_lock (lock, inner, fds + n_own, n_fds - n_own, error))
    g_clear_pointer (&self, mp_elements_unref);
  return self;
}
