/* fuzz-elements.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What describes a value or an array, and its memory, as a peer may have made them. The input: a byte of what to do (see
 * below), the size of the memory file (2 bytes), the number of elements (8 bytes), how long the type is, the type, then
 * what is in the memory. What is adopted must be read as values in normal form, and be written; the rest must be an
 * error. */

#include "config.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/memory/mp-array.h"
#include "mp-glib/memory/mp-typed-memory-private.h"
#include "mp-glib/memory/mp-value.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the first byte. */
#define IS_VALUE     1
#define IS_UNSEALED  2
#define HAS_NO_FD    4
#define SAYS_TWO_FDS 8
#define HAS_LOCK     16    /* none, but a text */
#define IS_IN_SLOT   32    /* a text instead of one */
#define HAS_NOTE     64

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

/* Takes bytes of the input; what it does not have is 0. */
static void
take (const guint8 **data,
      gsize         *size,
      gpointer       to,
      gsize          n)
{
  gsize there = MIN (n, *size);

  memset (to, 0, n);
  if (there > 0)
    memcpy (to, *data, there);
  *data += there;
  *size -= there;
}

static int
make_file (guint8        flags,
           gsize         file_size,
           const guint8 *content,
           gsize         size)
{
  int fd = memfd_create ("fuzz-elements", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, file_size), ==, 0);
  g_assert_cmpint (pwrite (fd, content, MIN (size, file_size), 0), >=, 0);
  if ((flags & IS_UNSEALED) == 0)
    g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  return fd;
}

static void
use_array (MpArray *array)
{
  g_autoptr(GError) error = NULL;
  gsize n = mp_array_get_length (array);
  g_autoptr(GVariant) all = mp_array_get_slice (array, 0, n, &error);
  g_autoptr(GVariant) last = NULL;

  g_assert_no_error (error);
  g_assert_true (g_variant_is_normal_form (all));
  g_assert_cmpuint (g_variant_n_children (all), ==, n);
  last = mp_array_get_item (array, n - 1, &error);
  g_assert_true (g_variant_is_normal_form (last));
  g_assert_true (mp_array_set_item (array, 0, last, &error));
  g_assert_true (mp_array_set_slice (array, 0, all, &error));
  g_assert_null (mp_array_get_item (array, n, NULL));
  mp_array_add_int (array, n - 1, 1, NULL);
  mp_array_add_double (array, n - 1, 1, NULL);
}

static void
use_value (MpValue *value)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) now = mp_value_get (value, &error);
  g_autoptr(GVariant) before = NULL;

  g_assert_no_error (error);
  g_assert_true (g_variant_is_normal_form (now));
  g_assert_true (mp_value_set (value, now, &error));
  before = mp_value_exchange (value, now, NULL);
  g_assert_true (before == NULL || g_variant_equal (before, now));
}

static GVariant *
text_or_nothing (gboolean is_text)
{
  return is_text ? g_variant_new_string ("text") : g_variant_new_tuple (NULL, 0);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  g_autofree char *type = NULL;
  g_autofree char *valid_type = NULL;
  g_autoptr(GVariant) state = NULL;
  g_autoptr(MpShareable) object = NULL;
  g_autoptr(GError) error = NULL;
  guint8 flags = 0;
  guint8 type_length = 0;
  guint16 file_size = 0;
  guint64 n = 0;
  int fds[1] = { -1 };

  take (&data, &size, &flags, 1);
  take (&data, &size, &file_size, 2);
  take (&data, &size, &n, 8);
  take (&data, &size, &type_length, 1);
  type = g_malloc0 (type_length + 1);
  take (&data, &size, type, type_length);
  valid_type = g_utf8_make_valid (type, -1);

  state = g_variant_ref_sink (g_variant_new ("(usts@v@v)", (flags & SAYS_TWO_FDS) != 0 ? 2 : (flags & HAS_NO_FD) == 0,
                                             valid_type, n, (flags & HAS_NOTE) != 0 ? "note" : "",
                                             g_variant_new_variant (text_or_nothing ((flags & IS_IN_SLOT) != 0)),
                                             g_variant_new_variant (text_or_nothing ((flags & HAS_LOCK) != 0))));
  if ((flags & HAS_NO_FD) == 0)
    fds[0] = make_file (flags, file_size, data, size);
  object = mp_typed_memory_adopt ((flags & IS_VALUE) != 0 ? MP_TYPE_VALUE : MP_TYPE_ARRAY, state, fds,
                                  (flags & HAS_NO_FD) == 0, &error);
  mp_fd_close (&fds[0]);

  g_assert_true ((object == NULL) == (error != NULL));
  if (object != NULL && (flags & IS_VALUE) != 0)
    use_value (MP_VALUE (object));
  else if (object != NULL)
    use_array (MP_ARRAY (object));
  return 0;
}
