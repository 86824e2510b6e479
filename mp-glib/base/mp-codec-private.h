/* mp-codec-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* A value as it travels. Layout, all at 8-aligned offsets, host byte order (both ends are on one machine):
 *
 *   guint32 n_type      length of the type string without NUL, 1 .. MP_CODEC_MAX_TYPE
 *   guint32 n_handles   entries of the handle table (0: there is none)
 *   guint64 n_body      bytes of the serialised GVariant
 *   type string, NUL, zeros up to 8
 *   body, zeros up to 8
 *   if n_handles > 0: guint64 n_table, then a serialised a(suv): kind, number of descriptors, state
 *
 * Inside the body every handle ('h') is an index into the table. */

#define MP_CODEC_MAX_TYPE 4096

typedef struct
{
  guint32 n_type;
  guint32 n_handles;
  guint64 n_body;
} MpValueHead;

static inline gsize
mp_pad8 (gsize size)
{
  return (size + 7) & ~(gsize) 7;
}

/* From this size on bytes are sent from where they lie, and a received body stays where it was read to. */
#define MP_PIECE_MIN_REFERENCE 16384

/* A run of bytes to be sent. With @bytes set the data lives in it and may be sent from where it lies; without, it is
 * copied before the call that takes the piece returns. */
typedef struct
{
  gconstpointer  data;
  gsize          size;
  GBytes        *bytes;   /* (nullable) borrowed */
} MpPiece;

#define MP_ENCODED_MAX_PIECES 6

typedef struct
{
  MpPiece    pieces[MP_ENCODED_MAX_PIECES];
  guint      n_pieces;
  gsize      size;        /* of all pieces; a multiple of 8 */
  guint64    head[16];    /* the first piece, when it is short: with a short body the only one */
  guint8    *long_head;   /* (owned) (nullable) */
  GVariant  *value;       /* (owned): keeps the body alive */
  GBytes    *body;        /* (owned) (nullable): set for bodies of 16 KiB and more, and for those with handles */
  guint64    n_table;
  GBytes    *table;       /* (owned) (nullable) */
  GArray    *fds;         /* (owned) (nullable) (element-type int): duplicates, closed by clear() unless stolen */
} MpEncoded;

/* What is refused. */
typedef enum
{
  MP_ENCODE_ALL        = 0,
  MP_ENCODE_ISOLATED   = 1 << 0,   /* objects that are not isolated: G_IO_ERROR_PERMISSION_DENIED */
  MP_ENCODE_NO_HANDLES = 1 << 1,   /* all objects: G_IO_ERROR_NOT_SUPPORTED */
} MpEncodeFlags;

/* @value: sunk if floating. One that is not in normal form is sent as its normal form. Fails for a handle whose object
 * is gone, for too long a type, for too deep a nesting, for too many descriptors; @encoded needs no clear() then. */
gboolean  mp_value_encode (GVariant      *value,
                           MpEncoded     *encoded,
                           GError       **error);
/* The same for a receiver that is not trusted as our own workers are. */
gboolean  mp_value_encode_for (GVariant      *value,
                               MpEncodeFlags  flags,
                               MpEncoded     *encoded,
                               GError       **error);
void      mp_encoded_clear (MpEncoded    *encoded);

/* Reads one value at @data (8-aligned, never shared with another process), at most @size bytes, and says how many it
 * took in @used (a multiple of 8). Everything is checked: lengths, type string, normal form, handle indices, number of
 * descriptors. @bytes: (nullable) when the data lives in it, so that a large body need not be copied.
 * @fds: the value's descriptors; those that its objects took are set to -1; the caller closes the others.
 * Result: (transfer full), not floating; the objects received live as long as any part of it. */
GVariant *mp_value_decode (GBytes        *bytes,
                           const guint8  *data,
                           gsize          size,
                           gsize         *used,
                           int           *fds,
                           guint          n_fds,
                           GError       **error);

/* The verdict of g_variant_is_normal_form(), in constant time for arrays of numbers, without recursion deeper than
 * GVariant's own limit (128). Stricter in one point: the type of a variant's content is at most 64 KiB long. @data is
 * 8-aligned. @handle_func: (nullable) called with each handle's place in @data, may overwrite it when @data is
 * writable; returns FALSE to fail. */
typedef gboolean (* MpHandleFunc) (gint32   *handle,
                                   gpointer  user_data);

gboolean  mp_value_check  (const GVariantType *type,
                           gconstpointer       data,
                           gsize               size,
                           MpHandleFunc        handle_func,
                           gpointer            user_data);

/* The same for a type string of @n_type characters, which is checked as well: one complete, definite type. */
gboolean  mp_value_check_string (const char         *type,
                                 gsize               n_type,
                                 gconstpointer       data,
                                 gsize               size,
                                 MpHandleFunc        handle_func,
                                 gpointer            user_data);

/* References to the objects of this process that @value holds; NULL: to none. */
GPtrArray *mp_value_dup_objects (GVariant         *value);

/* A value for another thread of this process, checked as one that travels: @value (sunk if floating) with a reference, or
 * its normal form. The objects that its handles stand for live as long as any part of the result. NULL with the
 * errors of mp_value_encode(). Without the hub's lock. */
GVariant *mp_value_hold   (GVariant           *value,
                           GError            **error);

/* Whether values of @type can hold handles: 'h' or 'v' in it. */
gboolean  mp_type_may_hold_handles (const GVariantType *type);

G_END_DECLS
