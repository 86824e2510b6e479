/* fuzz-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The memory of a queue, as a process may have made and may go on changing it. The input: a byte of what to do (see
 * below), then what says something in the first page, as it is laid out there but without what lies between, then what
 * the first ring begins with. Items must come out within bounds and be values, what is put must stay within the memory;
 * the rest must be an error. */

#include "config.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-memory-file-private.h"
#include "mp-glib/queue/mp-queue-private.h"

#include <string.h>

#define N_RINGS 5
#define N_STEPS 64

/* Of the first byte. */
#define IS_JOINABLE 1
#define PUTS        2
#define RECOVERS    4
#define IS_LONGER   8    /* the file, than it should be */
#define BYTES_ONLY  16
#define IS_MOVING   32   /* what the putters say, between two calls */

typedef struct
{
  guint64    magic;
  guint32    version;
  guint32    flags;
  guint32    n_rings;
  guint32    max_items;
  guint64    max_bytes;
  MpTapeLane put;
  MpTapeLane get;
  MpTapeLane done;
  guint64    tails[N_RINGS];
  guint64    entered[N_RINGS];
  guint64    reserved[N_RINGS];
  guint64    left[N_RINGS];
  guint64    freed[N_RINGS];
} Said;

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

static void
write_header (MpTapeHeader *header,
              const Said   *said)
{
  header->magic = said->magic;
  header->version = said->version;
  header->flags = said->flags;
  header->n_rings = said->n_rings;
  header->max_items = said->max_items;
  header->max_bytes = said->max_bytes;
  header->put = said->put;
  header->get = said->get;
  header->done = said->done;
  memcpy (header->tails, said->tails, sizeof said->tails);
  memcpy (header->entered, said->entered, sizeof said->entered);
  memcpy (header->reserved, said->reserved, sizeof said->reserved);
  memcpy (header->left, said->left, sizeof said->left);
  memcpy (header->freed, said->freed, sizeof said->freed);
}

static void
check_error (const GError *error)
{
  g_assert_true (g_error_matches (error, MP_ERROR, MP_ERROR_PROTOCOL) ||
                 g_error_matches (error, MP_ERROR, MP_ERROR_TOO_LARGE) ||
                 g_error_matches (error, MP_ERROR, MP_ERROR_INVALID_TYPE));
}

static gboolean
get_one (MpTape *tape,
         int     flags)
{
  g_autoptr(GError) error = NULL;
  MpQueueGet get = { .taken = { .bytes_only = (flags & BYTES_ONLY) != 0 } };
  MpTapeResult result = mp_tape_take (tape, 0x10001, &get.taken, &error);

  if (result == MP_TAPE_DONE)
    {
      guint tag = 0;
      g_autoptr(GVariant) value = mp_queue_get_to_value (&get, &tag, &error);

      if (value != NULL)
        g_assert_true (g_variant_is_normal_form (value));
    }
  if (error != NULL)
    check_error (error);
  mp_queue_get_clear (&get);
  return result == MP_TAPE_DONE;
}

static gboolean
put_one (MpTape *tape,
         guint   number)
{
  static const guint8 content[5000] = { 0 };
  const MpTapeItem item = { .kind = MP_TAPE_BYTES, .data = content, .size = number * 377 % sizeof content };
  g_autoptr(GError) error = NULL;
  guint64 n_got = 0;
  MpTapeResult result = MP_TAPE_NOT_NOW;

  if (tape->max_bytes == 0 || item.size <= tape->max_bytes)
    result = mp_tape_put (tape, &item, &n_got, &error);
  if (error != NULL)
    check_error (error);
  return result == MP_TAPE_DONE;
}

static void
use (MpTape       *tape,
     MpTapeHeader *header,
     int           flags)
{
  guint64 n_bytes = 0;

  if ((flags & RECOVERS) != 0)
    mp_tape_recover (tape);
  for (guint i = 0; i < N_STEPS; i++)
    {
      gboolean any = get_one (tape, flags);

      if ((flags & PUTS) != 0)
        any |= put_one (tape, i);
      if ((flags & IS_MOVING) != 0)
        header->put.state[i % 2][i % 3] += ((guint8 *) header)[i * 64] * 16;
      if (!any)
        break;
    }
  mp_tape_count (tape, &n_bytes);
  mp_tape_is_empty (tape);
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  gsize begin = mp_tape_ring_offset (0);
  g_autoptr(GError) error = NULL;
  MpTapeHeader *header = NULL;
  MpTape *tape = NULL;
  int flags, fd;
  Said said;

  if (size < 1 + sizeof said)
    return 0;

  flags = data[0];
  memcpy (&said, data + 1, sizeof said);
  data += 1 + sizeof said;
  size = MIN (size - 1 - sizeof said, mp_tape_ring_size (0));

  fd = mp_fd_memory_file ("fuzz-queue", mp_tape_ring_offset (N_RINGS) + ((flags & IS_LONGER) != 0 ? 4096 : 0));
  g_assert_cmpint (fd, >=, 0);
  header = mp_fd_map_part (fd, 0, mp_tape_ring_offset (1));
  g_assert_nonnull (header);
  write_header (header, &said);
  memcpy ((guint8 *) header + begin, data, size);

  tape = mp_tape_adopt (fd, flags & IS_JOINABLE, "queue", &error);
  if (tape != NULL)
    {
      use (tape, header, flags);
      mp_tape_free (tape);
    }
  else
    {
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      mp_fd_close (&fd);
    }

  mp_fd_unmap (header, mp_tape_ring_offset (1));
  return 0;
}
