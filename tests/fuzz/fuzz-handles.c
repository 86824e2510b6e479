/* fuzz-handles.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Values that bring objects along. A message of real objects of every kind is damaged in a few places, and its
 * descriptors are lost, swapped, or others than they were; or the bytes are the input's own. What comes of it are
 * objects that can be looked at and sent on, or an error; and no descriptor is left behind.
 *
 * The first byte of the input chooses, and how many of the next ones are foreign descriptors. */

#include "config.h"

#include "mp-glib/mp-glib.h"
#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_OBJECTS 6
#define MAX_FOREIGN 8

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

typedef struct
{
  const guint8 *data;
  gsize         size;
} Entropy;

static GPtrArray *objects;   /* of every kind */

static guint
take (Entropy *self,
      guint    bound)
{
  if (self->size == 0)
    return 0;
  self->size--;
  return *self->data++ % bound;
}

static void
add (gpointer object)
{
  g_ptr_array_add (objects, object);
}

static void
add_connections (void)
{
  MpConnection *first, *second;

  g_assert_true (mp_pipe_new (TRUE, &first, &second, NULL));
  add (first);
  add (second);
  g_assert_true (mp_pipe_new (FALSE, &first, &second, NULL));
  add (first);
  add (second);
}

static void
make_objects (void)
{
  MpLock *lock = g_object_new (MP_TYPE_LOCK, "isolated", TRUE, NULL);

  objects = g_ptr_array_new ();
  add_connections ();
  add (mp_descriptor_new_take (mp_fd_open_null (), NULL));
  add (lock);
  add (mp_lock_new ());
  add (mp_rlock_new ());
  add (mp_event_new ());
  add (mp_semaphore_new (3));
  add (mp_condition_new (MP_SHAREABLE (lock)));
  add (mp_condition_new (NULL));
  add (mp_barrier_new (2));
  add (mp_queue_new (10, 0));
  add (mp_queue_new_full (0, 100, TRUE));
  add (mp_simple_queue_new ());
  add (mp_joinable_queue_new (0, 0));
  add (mp_value_new (G_VARIANT_TYPE_INT32, NULL, NULL));
  add (mp_array_new (G_VARIANT_TYPE_DOUBLE, 100, NULL));
  add (mp_shared_memory_new (10000, NULL));
  add (mp_shareable_list_new (g_variant_new_parsed ("[<'a'>, <int64 5>, <1.5>]"), NULL));
  for (guint i = 0; i < objects->len; i++)
    g_assert_true (MP_IS_SHAREABLE (objects->pdata[i]));
}

/* What a peer might send for something else. */
static int
make_foreign (Entropy *entropy)
{
  int fds[2] = { -1, -1 };
  int fd;

  switch (take (entropy, 10))
    {
    case 0:
      return mp_fd_eventfd ();
    case 1:
      return mp_fd_memory_file ("fuzz", 1 << take (entropy, 20));
    case 2:   /* one that may shrink */
      fd = memfd_create ("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
      g_assert_cmpint (ftruncate (fd, take (entropy, 256) * 100), ==, 0);
      return fd;
    case 3:
      g_assert_cmpint (mp_socket_pair (fds, 0), ==, 0);
      close (fds[1]);
      return fds[0];
    case 4:
      g_assert_cmpint (mp_fd_pipe (fds), ==, 0);
      close (fds[take (entropy, 2)]);
      return fcntl (fds[0], F_GETFD) >= 0 ? fds[0] : fds[1];
    case 5:
      return open ("/", O_PATH | O_CLOEXEC);
    case 6:
      return open ("/proc/self/status", O_RDONLY | O_CLOEXEC);
    case 7:
      return epoll_create1 (EPOLL_CLOEXEC);
    case 8:
      return open ("/dev/zero", O_RDWR | O_CLOEXEC);
    default:
      return mp_fd_open_null ();
    }
}

static GArray *
make_foreigners (Entropy *entropy)
{
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (int));

  for (guint n = take (entropy, MAX_FOREIGN + 1); n > 0; n--)
    {
      int fd = make_foreign (entropy);

      g_assert_cmpint (fd, >=, 0);
      g_array_append_val (fds, fd);
    }
  return fds;
}

static void
close_all (GArray *fds)
{
  for (guint i = 0; i < fds->len; i++)
    mp_fd_close (&g_array_index (fds, int, i));
  g_array_unref (fds);
}

/* Objects that came: to be looked at, and to be sent on. */
static void
use (GVariant *value)
{
  g_autoptr(GPtrArray) arrived = mp_value_dup_objects (value);
  MpEncoded encoded;

  g_free (g_variant_print (value, TRUE));
  for (guint i = 0; arrived != NULL && i < arrived->len; i++)
    {
      MpShareable *object = arrived->pdata[i];

      mp_shareable_get_isolated (object);
      if (MP_IS_LOCK (object))
        mp_lock_is_locked (MP_LOCK (object));
      else if (MP_IS_QUEUE (object))
        mp_queue_get_length (MP_QUEUE (object));
      else if (MP_IS_SHARED_MEMORY (object))
        mp_shared_memory_get_size (MP_SHARED_MEMORY (object));
      else if (MP_IS_DESCRIPTOR (object))
        g_assert_cmpint (fcntl (mp_descriptor_get_fd (MP_DESCRIPTOR (object)), F_GETFD), >=, 0);
    }
  if (mp_value_encode (value, &encoded, NULL))
    mp_encoded_clear (&encoded);
}

static void
decode (const guint8 *data,
        gsize         size,
        GArray       *fds)
{
  g_autoptr(GBytes) bytes = g_bytes_new (data, size);
  g_autoptr(GError) error = NULL;
  GVariant *value = NULL;
  gsize used = 0;

  value = mp_value_decode (bytes, g_bytes_get_data (bytes, NULL), size, &used, (int *) (gpointer) fds->data, fds->len,
                           &error);
  g_assert_true ((value == NULL) == (error != NULL));
  if (value == NULL)
    return;

  g_assert_cmpuint (used, <=, size);
  use (value);
  g_variant_unref (value);
}

static GVariant *
make_value (Entropy *entropy)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("(sav)"));
  g_variant_builder_add (&builder, "s", "objects");
  g_variant_builder_open (&builder, G_VARIANT_TYPE ("av"));
  for (guint n = 1 + take (entropy, MAX_OBJECTS); n > 0; n--)
    {
      g_autoptr(GVariant) handle = mp_shareable_to_variant (objects->pdata[take (entropy, objects->len)]);

      g_variant_builder_add (&builder, "v", handle);
    }
  g_variant_builder_close (&builder);
  return g_variant_builder_end (&builder);
}

static void
damage_bytes (Entropy    *entropy,
              GByteArray *bytes)
{
  for (guint n = take (entropy, 5); n > 0 && bytes->len > 0; n--)
    {
      guint place = (take (entropy, 256) * 256 + take (entropy, 256)) % bytes->len;

      switch (take (entropy, 6))
        {
        case 0:
          g_byte_array_set_size (bytes, place);
          break;
        case 1:
          bytes->data[place] = take (entropy, 256);
          break;
        case 2:
          bytes->data[place] += 1;
          break;
        case 3:
          memset (bytes->data + place, 0, MIN (8, bytes->len - place));
          break;
        default:
          bytes->data[place] ^= 1 << take (entropy, 8);
        }
    }
}

/* Fewer, in another order, or others. */
static void
damage_fds (Entropy *entropy,
            GArray  *fds,
            GArray  *foreign)
{
  for (guint n = take (entropy, 4); n > 0 && fds->len > 0; n--)
    {
      int *numbers = (int *) (gpointer) fds->data;
      guint place = take (entropy, fds->len);
      int swapped = numbers[place];

      switch (take (entropy, 3))
        {
        case 0:
          mp_fd_close (&numbers[place]);
          g_array_remove_index (fds, place);
          break;
        case 1:
          numbers[place] = numbers[0];
          numbers[0] = swapped;
          break;
        default:
          if (foreign->len == 0)
            break;
          mp_fd_close (&numbers[place]);
          numbers[place] = g_array_index (foreign, int, 0);
          g_array_remove_index (foreign, 0);
        }
    }
}

static void
run_built (Entropy *entropy,
           GArray  *foreign)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new ();
  MpEncoded encoded;

  if (!mp_value_encode (make_value (entropy), &encoded, NULL))
    g_assert_not_reached ();
  for (guint i = 0; i < encoded.n_pieces; i++)
    g_byte_array_append (bytes, encoded.pieces[i].data, encoded.pieces[i].size);

  damage_bytes (entropy, bytes);
  if (encoded.fds == NULL)
    encoded.fds = g_array_new (FALSE, FALSE, sizeof (int));
  damage_fds (entropy, encoded.fds, foreign);
  decode (bytes->data, bytes->len, encoded.fds);
  mp_encoded_clear (&encoded);
}

static int
get_free_fd (void)
{
  int fd = mp_fd_open_null ();

  close (fd);
  return fd;
}

static void
run (const guint8 *data,
     gsize         size)
{
  Entropy entropy = { data, size };
  guint choice = take (&entropy, 4);
  GArray *foreign = make_foreigners (&entropy);

  if (choice == 0)
    decode (entropy.data, entropy.size, foreign);
  else
    run_built (&entropy, foreign);
  close_all (foreign);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  int first;

  if (objects == NULL)
    {
      make_objects ();
      /* What this process has for itself from the first one on stays. */
      for (guint i = 0; i < objects->len; i++)
        run ((const guint8[]) { 1, 0, 0, i }, 4);
    }

  first = get_free_fd ();
  run (data, size);
  g_assert_cmpint (get_free_fd (), ==, first);
  return 0;
}
