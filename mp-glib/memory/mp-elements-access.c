/* mp-elements-access.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-elements-private.h"

#include "mp-glib/base/mp-error.h"

#include <string.h>

/* Checks. */

static gboolean
check_usable (const MpElementsPlace  *place,
              GError                **error)
{
  if (mp_elements_is_usable (place->elements))
    return TRUE;

  if (place->reason != NULL)
    g_set_error (error, place->reason->domain, place->reason->code, "%s: %s", place->what, place->reason->message);
  else
    g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: this process was forked when there was no room for it beside "
                 "the others that share the memory", place->what);
  return FALSE;
}

gboolean
mp_elements_check (const MpElementsPlace  *place,
                   GError                **error)
{
  if (!check_usable (place, error))
    return FALSE;
  if (place->index < place->elements->n)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "%s: index %" G_GSIZE_FORMAT " is not below %" G_GSIZE_FORMAT ", the number of elements", place->what,
               place->index, place->elements->n);
  return FALSE;
}

gboolean
mp_elements_check_slice (const MpElementsPlace  *place,
                         gsize                   n,
                         GError                **error)
{
  if (!check_usable (place, error))
    return FALSE;
  if (place->index <= place->elements->n && n <= place->elements->n - place->index)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "%s: %" G_GSIZE_FORMAT " elements from %" G_GSIZE_FORMAT " on are not all among the %" G_GSIZE_FORMAT
               " that there are", place->what, n, place->index, place->elements->n);
  return FALSE;
}

static gboolean
check_type (const MpElementsPlace  *place,
            const GVariantType     *wanted,
            GVariant               *value,
            GError                **error)
{
  g_autofree char *name = NULL;

  if (g_variant_is_of_type (value, wanted))
    return TRUE;

  name = g_variant_type_dup_string (wanted);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: a value of the type %s is wanted, not %s",
               place->what, name, g_variant_get_type_string (value));
  return FALSE;
}

/* FALSE: @kinds is not for these elements. */
static gboolean
check_number (const MpElementsPlace  *place,
              const char             *kinds,
              GError                **error)
{
  g_autofree char *name = NULL;

  if (!mp_elements_check (place, error))
    return FALSE;
  if (place->elements->number != 0 && strchr (kinds, place->elements->number) != NULL)
    return TRUE;

  name = g_variant_type_dup_string (place->elements->type);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: not for the type %s, but for those in “%s”",
               place->what, name, kinds);
  return FALSE;
}

/* Bytes. */

static gpointer
get_place (const MpElementsPlace *place)
{
  return place->elements->data + place->index * place->elements->size;
}

/* Makes of a copy what GVariant calls normal. */
static void
normalize (const MpElements *self,
           guint8           *bytes,
           gsize             n)
{
  if (self->marks == NULL)
    return;

  for (; n > 0; n--, bytes += self->size)
    for (gsize i = 0; i < self->size; i++)
      if (self->marks[i] != 0)
        bytes[i] = self->marks[i] == 1 && bytes[i] != 0;
}

/* One element, out of the memory and into it. */

static void
load (const MpElements *self,
      gpointer          copy,
      gpointer          source)
{
  if (self->number == 0)
    memcpy (copy, source, self->size);
  else if (self->size == 8)
    *(guint64 *) copy = __atomic_load_n ((guint64 *) source, __ATOMIC_ACQUIRE);
  else if (self->size == 4)
    *(guint32 *) copy = __atomic_load_n ((guint32 *) source, __ATOMIC_ACQUIRE);
  else if (self->size == 2)
    *(guint16 *) copy = __atomic_load_n ((guint16 *) source, __ATOMIC_ACQUIRE);
  else
    *(guint8 *) copy = __atomic_load_n ((guint8 *) source, __ATOMIC_ACQUIRE);
  normalize (self, copy, 1);
}

static void
store (const MpElements *self,
       gpointer          target,
       gconstpointer     copy)
{
  if (self->number == 0)
    memcpy (target, copy, self->size);
  else if (self->size == 8)
    __atomic_store_n ((guint64 *) target, *(const guint64 *) copy, __ATOMIC_RELEASE);
  else if (self->size == 4)
    __atomic_store_n ((guint32 *) target, *(const guint32 *) copy, __ATOMIC_RELEASE);
  else if (self->size == 2)
    __atomic_store_n ((guint16 *) target, *(const guint16 *) copy, __ATOMIC_RELEASE);
  else
    __atomic_store_n ((guint8 *) target, *(const guint8 *) copy, __ATOMIC_RELEASE);
}

/* Takes @bytes, normal ones. */
static GVariant *
make_variant (const GVariantType *type,
              gpointer            bytes,
              gsize               size)
{
  return g_variant_ref_sink (g_variant_new_from_data (type, bytes, size, TRUE, g_free, bytes));
}

/* Of a type that was checked. What is not normal is so afterwards. */
static void
get_value_bytes (const MpElements *self,
                 GVariant         *value,
                 gpointer          bytes,
                 gsize             n)
{
  if (g_variant_get_size (value) == n * self->size)
    g_variant_store (value, bytes);
  else
    memset (bytes, 0, n * self->size);
  normalize (self, bytes, n);
}

GVariant *
mp_elements_get (const MpElementsPlace  *place,
                 GError                **error)
{
  gpointer bytes = NULL;

  if (!mp_elements_check (place, error))
    return NULL;

  bytes = g_malloc (place->elements->size);
  load (place->elements, bytes, get_place (place));
  return make_variant (place->elements->type, bytes, place->elements->size);
}

/* 8-aligned room for one element, mostly on the stack. */
typedef struct
{
  guint64  small[4];
  gpointer bytes;
} Room;

static gpointer
room_begin (Room *room,
            gsize size)
{
  room->bytes = size <= sizeof room->small ? room->small : g_malloc (size);
  return room->bytes;
}

static void
room_end (Room *room)
{
  if (room->bytes != room->small)
    g_free (room->bytes);
}

gboolean
mp_elements_set (const MpElementsPlace  *place,
                 GVariant               *value,
                 GError                **error)
{
  g_autoptr(GVariant) own = g_variant_ref_sink (value);
  Room room;

  if (!mp_elements_check (place, error) || !check_type (place, place->elements->type, own, error))
    return FALSE;

  get_value_bytes (place->elements, own, room_begin (&room, place->elements->size), 1);
  store (place->elements, get_place (place), room.bytes);
  room_end (&room);
  return TRUE;
}

GVariant *
mp_elements_get_slice (const MpElementsPlace  *place,
                       gsize                   n,
                       GError                **error)
{
  g_autoptr(GVariantType) type = NULL;
  gpointer bytes = NULL;
  gsize size = 0;

  if (!mp_elements_check_slice (place, n, error))
    return NULL;

  size = n * place->elements->size;
  bytes = g_try_malloc (size);
  if (bytes == NULL && size > 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
                   "%s: there is no memory for a copy of %" G_GSIZE_FORMAT " bytes", place->what, size);
      return NULL;
    }
  if (size > 0)
    memcpy (bytes, get_place (place), size);
  normalize (place->elements, bytes, n);
  type = g_variant_type_new_array (place->elements->type);
  return make_variant (type, bytes, size);
}

gboolean
mp_elements_set_slice (const MpElementsPlace  *place,
                       GVariant               *array,
                       GError                **error)
{
  g_autoptr(GVariant) own = g_variant_ref_sink (array);
  g_autoptr(GVariantType) type = NULL;
  gsize n = 0;

  if (!check_usable (place, error))
    return FALSE;
  type = g_variant_type_new_array (place->elements->type);
  if (!check_type (place, type, own, error))
    return FALSE;
  n = g_variant_n_children (own);
  if (!mp_elements_check_slice (place, n, error))
    return FALSE;

  if (n > 0)
    get_value_bytes (place->elements, own, get_place (place), n);
  return TRUE;
}

static void
unref_elements (gpointer data)
{
  mp_elements_unref (data);
}

GBytes *
mp_elements_get_bytes (const MpElementsPlace  *place,
                       GError                **error)
{
  MpElements *self = place->elements;

  if (!check_usable (place, error))
    return NULL;
  return g_bytes_new_with_free_func (self->data, self->n * self->size, unref_elements, mp_elements_ref (self));
}

/* One instruction. */

#define ALL_KINDS     "ybnqiuxtd"
#define INTEGER_KINDS "ynqiuxt"

GVariant *
mp_elements_exchange (const MpElementsPlace  *place,
                      GVariant               *value,
                      GError                **error)
{
  g_autoptr(GVariant) own = g_variant_ref_sink (value);
  guint64 bytes = 0;
  gpointer at = NULL;

  if (!check_number (place, ALL_KINDS, error) || !check_type (place, place->elements->type, own, error))
    return NULL;

  at = get_place (place);
  get_value_bytes (place->elements, own, &bytes, 1);
  if (place->elements->size == 8)
    bytes = __atomic_exchange_n ((guint64 *) at, bytes, __ATOMIC_SEQ_CST);
  else if (place->elements->size == 4)
    *(guint32 *) &bytes = __atomic_exchange_n ((guint32 *) at, *(guint32 *) &bytes, __ATOMIC_SEQ_CST);
  else if (place->elements->size == 2)
    *(guint16 *) &bytes = __atomic_exchange_n ((guint16 *) at, *(guint16 *) &bytes, __ATOMIC_SEQ_CST);
  else
    *(guint8 *) &bytes = __atomic_exchange_n ((guint8 *) at, *(guint8 *) &bytes, __ATOMIC_SEQ_CST);
  normalize (place->elements, (guint8 *) &bytes, 1);

  return make_variant (place->elements->type, g_memdup2 (&bytes, place->elements->size), place->elements->size);
}

static gboolean
swap (gpointer       at,
      gsize          size,
      gconstpointer  expected,
      gconstpointer  desired)
{
  guint64 seen64 = *(const guint64 *) expected;
  guint32 seen32 = *(const guint32 *) expected;
  guint16 seen16 = *(const guint16 *) expected;
  guint8 seen8 = *(const guint8 *) expected;

  switch (size)
    {
    case 8:
      return __atomic_compare_exchange_n ((guint64 *) at, &seen64, *(const guint64 *) desired, FALSE,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 4:
      return __atomic_compare_exchange_n ((guint32 *) at, &seen32, *(const guint32 *) desired, FALSE,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 2:
      return __atomic_compare_exchange_n ((guint16 *) at, &seen16, *(const guint16 *) desired, FALSE,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    default:
      return __atomic_compare_exchange_n ((guint8 *) at, &seen8, *(const guint8 *) desired, FALSE,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}

gboolean
mp_elements_compare_exchange (const MpElementsPlace  *place,
                              GVariant               *expected,
                              GVariant               *desired,
                              gboolean               *swapped,
                              GError                **error)
{
  g_autoptr(GVariant) own_expected = g_variant_ref_sink (expected);
  g_autoptr(GVariant) own_desired = g_variant_ref_sink (desired);
  gboolean is_done = FALSE;
  guint64 bytes[2] = { 0 };

  if (swapped != NULL)
    *swapped = FALSE;
  if (!check_number (place, ALL_KINDS, error) || !check_type (place, place->elements->type, own_expected, error) ||
      !check_type (place, place->elements->type, own_desired, error))
    return FALSE;

  get_value_bytes (place->elements, own_expected, &bytes[0], 1);
  get_value_bytes (place->elements, own_desired, &bytes[1], 1);
  is_done = swap (get_place (place), place->elements->size, &bytes[0], &bytes[1]);
  if (swapped != NULL)
    *swapped = is_done;
  return TRUE;
}

/* Numbers. */

gint64
mp_elements_get_int_slowly (const MpElementsPlace  *place,
                            GError                **error)
{
  guint64 bytes = 0;

  if (!check_number (place, INTEGER_KINDS, error))
    return 0;

  load (place->elements, &bytes, get_place (place));
  switch (place->elements->number)
    {
    case 'y':
      return *(guint8 *) &bytes;
    case 'n':
      return *(gint16 *) &bytes;
    case 'q':
      return *(guint16 *) &bytes;
    case 'i':
      return *(gint32 *) &bytes;
    case 'u':
      return *(guint32 *) &bytes;
    default:
      break;
    }
  if (place->elements->number == 't' && bytes > G_MAXINT64)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "%s: %" G_GUINT64_FORMAT " is more than a signed number of 64 bits can be", place->what, bytes);
      return 0;
    }
  return (gint64) bytes;
}

static void
get_range (char    kind,
           gint64 *least,
           gint64 *most)
{
  *least = kind == 'n' ? G_MININT16 : kind == 'i' ? G_MININT32 : kind == 'x' ? G_MININT64 : 0;
  *most = kind == 'y' ? G_MAXUINT8 : kind == 'n' ? G_MAXINT16 : kind == 'q' ? G_MAXUINT16 : kind == 'i' ? G_MAXINT32
        : kind == 'u' ? G_MAXUINT32 : G_MAXINT64;
}

gboolean
mp_elements_set_int_slowly (const MpElementsPlace  *place,
                            gint64                  number,
                            GError                **error)
{
  gint64 least = 0;
  gint64 most = 0;
  guint64 bytes = 0;

  if (!check_number (place, INTEGER_KINDS, error))
    return FALSE;
  get_range (place->elements->number, &least, &most);
  if (number < least || number > most)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "%s: %" G_GINT64_FORMAT " is not among the numbers of the type %c", place->what, number,
                   place->elements->number);
      return FALSE;
    }

  if (place->elements->size == 1)
    *(guint8 *) &bytes = number;
  else if (place->elements->size == 2)
    *(guint16 *) &bytes = number;
  else if (place->elements->size == 4)
    *(guint32 *) &bytes = number;
  else
    bytes = number;
  store (place->elements, get_place (place), &bytes);
  return TRUE;
}

gint64
mp_elements_add_int_slowly (const MpElementsPlace  *place,
                            gint64                  delta,
                            GError                **error)
{
  gpointer at = NULL;

  if (!check_number (place, INTEGER_KINDS, error))
    return 0;

  at = get_place (place);
  switch (place->elements->number)
    {
    case 'y':
      return __atomic_fetch_add ((guint8 *) at, (guint8) delta, __ATOMIC_SEQ_CST);
    case 'n':
      return __atomic_fetch_add ((gint16 *) at, (gint16) delta, __ATOMIC_SEQ_CST);
    case 'q':
      return __atomic_fetch_add ((guint16 *) at, (guint16) delta, __ATOMIC_SEQ_CST);
    case 'i':
      return __atomic_fetch_add ((gint32 *) at, (gint32) delta, __ATOMIC_SEQ_CST);
    case 'u':
      return __atomic_fetch_add ((guint32 *) at, (guint32) delta, __ATOMIC_SEQ_CST);
    default:
      return __atomic_fetch_add ((gint64 *) at, delta, __ATOMIC_SEQ_CST);
    }
}

double
mp_elements_get_double_slowly (const MpElementsPlace  *place,
                               GError                **error)
{
  double number = 0;

  if (check_number (place, "d", error))
    mp_elements_get_double_quickly (place->elements, place->index, &number);
  return number;
}

gboolean
mp_elements_set_double_slowly (const MpElementsPlace  *place,
                               double                  number,
                               GError                **error)
{
  return check_number (place, "d", error) &&
         mp_elements_set_double_quickly (place->elements, place->index, number);
}

double
mp_elements_add_double_slowly (const MpElementsPlace  *place,
                               double                  delta,
                               GError                **error)
{
  double *at = NULL;
  double before = 0;
  double after = 0;

  if (!check_number (place, "d", error))
    return 0;

  at = get_place (place);
  __atomic_load (at, &before, __ATOMIC_RELAXED);
  do
    {
      after = before + delta;
      MP_TORTURE_POINT ("elements-add");
    }
  while (!__atomic_compare_exchange (at, &before, &after, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  MP_TORTURE_POINT ("elements-added");
  return before;
}
