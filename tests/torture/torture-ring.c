/* torture-ring.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/arena/mp-ring-private.h"

#include <fcntl.h>
#include <string.h>

/* The ring: whoever has the writer's end writes numbered records, whoever has the reader's end finds every
 * one that was accepted, once, whole and in order, over any number of deaths and take-overs at both ends.
 *
 * A record's number is an epoch, which is how often the writer's end was taken, and its place in that. */

enum { BROKEN_NOTHING, BROKEN_EARLY_PROMISE, BROKEN_TWICE, BROKEN_TORN };

#define RING_SIZE  4096
#define N_EPOCHS   (1u << 20)
#define MAX_RECORD 2000
#define BURST      64

#define NUMBER(epoch, place) ((guint64) (epoch) << 32 | (place))
#define EPOCH(number)        ((guint32) ((number) >> 32))
#define PLACE(number)        ((guint32) (number))
#define NUMBER_FORMAT        "%u/%u"
#define NUMBER_ARGS(number)  EPOCH (number), PLACE (number)

typedef struct
{
  guint32 tried;
  guint32 accepted;
} Epoch;

typedef struct
{
  TortureWitness writer;
  TortureWitness reader;
  guint32        epoch;       /* the writer's */
  guint64        next;        /* the reader's: after the last record that it is known to have got */
  guint32        n_unsaid;    /* more records that it may have got, and died before it said so */
  guint64        batch;       /* `next` as it was when its batch began, which is read at its end; 0: in none */
  guint64        n_records;
  guint64        n_takes[2];
  Epoch          epochs[N_EPOCHS];
} Data;

typedef struct
{
  guint64 number;
  guint32 size;
  guint32 sum;
  guint8  filling[MAX_RECORD];
} Record;

/* Several, so that most children have an end of one. */
#define N_RINGS 2

static Data   *all_data;      /* [N_RINGS] */
static MpRing *made[N_RINGS];

/* A child's own, and the conductor's at the end. */
static Data     *data;
static guint     which;
static MpRing   *ring;
static MpRingEnd end;
static gboolean  has_end;
static gboolean  is_first;    /* the first record after the end was taken */

static void
setup (void)
{
  g_autoptr(GError) error = NULL;

  all_data = torture_alloc (N_RINGS * sizeof (Data));
  for (guint i = 0; i < N_RINGS; i++)
    {
      all_data[i].next = NUMBER (1, 0);
      made[i] = mp_ring_new (RING_SIZE, &error);
      if (made[i] == NULL)
        g_error ("%s", error->message);
    }
}

static void
adopt (void)
{
  g_autoptr(GError) error = NULL;

  ring = mp_ring_adopt (fcntl (mp_ring_get_fd (made[which]), F_DUPFD_CLOEXEC, 3), &error);
  if (ring == NULL)
    g_error ("%s", error->message);
}

static void
begin (void)
{
  which = torture_get_child () / 2 % N_RINGS;
  end = torture_get_child () % 2;
  /* Sometimes there are two for an end, and none for the other. */
  if (torture_random (8) == 0)
    end = !end;
  if (torture_random (8) == 0)
    which = torture_random (N_RINGS);
  data = &all_data[which];
  adopt ();
}

static guint8
fill_byte (guint64 number,
           guint   i)
{
  return (guint8) (number * 31 + (number >> 32) * 17 + i * 7);
}

static guint32
sum_up (const Record *record)
{
  guint32 sum = (guint32) record->number * 2654435761u + record->size;

  for (guint i = 0; i < record->size; i++)
    sum = sum * 31 + record->filling[i];
  return sum;
}

static void
fill (Record  *record,
      guint64  number)
{
  record->number = number;
  /* Small ones mostly; some as large as they may be. */
  record->size = torture_random (50) == 0 ? torture_random (MAX_RECORD - 100) : torture_random (100);
  for (guint i = 0; i < record->size; i++)
    record->filling[i] = fill_byte (number, i);
  record->sum = sum_up (record);
  if (torture_broken == BROKEN_TORN && record->size > 0 && torture_random (1000) == 0)
    record->filling[torture_random (record->size)]++;
}

/* TRUE: the end is this child's. */
static gboolean
take_end (void)
{
  g_autoptr(GError) error = NULL;
  const char *name = end == MP_RING_WRITER ? "writer's end" : "reader's end";

  if (has_end)
    return TRUE;
  if (!mp_ring_take_end (ring, end, &error))
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BUSY))
        torture_violation ("%s: %s", name, error->message);
      g_usleep (50 + torture_random (200));
      return FALSE;
    }

  torture_enter (end == MP_RING_WRITER ? &data->writer : &data->reader, name);
  data->n_takes[end]++;
  has_end = TRUE;
  is_first = TRUE;
  if (end == MP_RING_WRITER)
    __atomic_store_n (&data->epoch, data->epoch + 1, __ATOMIC_SEQ_CST);
  g_assert_cmpuint (data->epoch, <, N_EPOCHS);
  return TRUE;
}

/* In order, not by death. */
static void
let_go (void)
{
  torture_leave (end == MP_RING_WRITER ? &data->writer : &data->reader, "end");
  mp_ring_free (ring);
  has_end = FALSE;
  adopt ();
}

static void
wait_for_other (gsize room)
{
  g_autoptr(GError) error = NULL;
  gint64 timeout_us = torture_random (8) == 0 ? (gint64) torture_random (1000) : -1;

  if (mp_ring_wait (ring, room, timeout_us, NULL, &error))
    return;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    g_usleep (50 + torture_random (200));   /* another will come */
  else if (timeout_us < 0 || !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    torture_violation ("wait: %s", error->message);
}

/* The writer */

static gboolean
write_one (Epoch    *epoch,
           gboolean  in_batch,
           gsize    *size)
{
  static Record record;
  g_autoptr(GError) error = NULL;
  guint32 place = epoch->tried;

  if (torture_broken == BROKEN_TWICE && place > 0 && torture_random (1000) == 0)
    fill (&record, NUMBER (data->epoch, place - 1));
  else
    fill (&record, NUMBER (data->epoch, place));
  *size = G_STRUCT_OFFSET (Record, filling) + record.size;

  __atomic_store_n (&epoch->tried, place + 1, __ATOMIC_SEQ_CST);
  if (torture_broken == BROKEN_EARLY_PROMISE)
    {
      epoch->accepted = place + 1;
      MP_TORTURE_POINT ("broken-promise");
    }
  if (mp_ring_try_write (ring, &record, *size, &error))
    {
      if (!in_batch)
        __atomic_store_n (&epoch->accepted, place + 1, __ATOMIC_SEQ_CST);
      return TRUE;
    }
  __atomic_store_n (&epoch->tried, place, __ATOMIC_SEQ_CST);
  if (error != NULL)
    torture_violation ("write: %s", error->message);
  return FALSE;
}

static void
write_some (void)
{
  Epoch *epoch = &data->epochs[data->epoch];
  gboolean in_batch = torture_random (3) == 0;
  guint n = 1 + torture_random (BURST);
  gboolean is_full = FALSE;
  gsize size;

  if (in_batch)
    mp_ring_begin_batch (ring);
  while (n-- > 0 && !is_full)
    is_full = !write_one (epoch, in_batch, &size);
  if (in_batch)
    {
      mp_ring_end_batch (ring);
      __atomic_store_n (&epoch->accepted, epoch->tried, __ATOMIC_SEQ_CST);
    }
  if (is_full)
    wait_for_other (size);
}

/* The reader */

/* How many records there certainly are between @from, included, and @to. */
static guint64
count_between (guint64 from,
               guint64 to)
{
  guint64 n = 0;

  for (guint32 epoch = EPOCH (from); epoch < EPOCH (to); epoch++)
    {
      guint32 accepted = __atomic_load_n (&data->epochs[epoch].accepted, __ATOMIC_SEQ_CST);
      guint32 first = epoch == EPOCH (from) ? PLACE (from) : 0;

      n += accepted > first ? accepted - first : 0;
    }
  return n + PLACE (to) - (EPOCH (from) == EPOCH (to) ? PLACE (from) : 0);
}

/* Whether the record @number can come where @next is the first that may, and @n_excused may be missing. */
static gboolean
can_be (guint64 number,
        guint64 next,
        guint   n_excused)
{
  return number >= next && count_between (next, number) <= n_excused;
}

static void
check_number (guint64 number)
{
  guint64 next = data->next;
  guint n_excused = data->n_unsaid - 1;   /* the last of them is this one */
  gboolean is_right = can_be (number, next, n_excused);

  /* The batch of the reader before had not come to its end. */
  if (!is_right && is_first && data->batch != 0)
    is_right = can_be (number, data->batch, n_excused);

  torture_check (is_right, "read: " NUMBER_FORMAT " instead of " NUMBER_FORMAT "%s; %u of %u of that epoch were "
                 "accepted", NUMBER_ARGS (number), NUMBER_ARGS (next), is_first ? ", by a new reader" : "",
                 data->epochs[EPOCH (next)].accepted, data->epochs[EPOCH (next)].tried);
  torture_check (EPOCH (number) <= __atomic_load_n (&data->epoch, __ATOMIC_SEQ_CST) &&
                 PLACE (number) < __atomic_load_n (&data->epochs[EPOCH (number)].tried, __ATOMIC_SEQ_CST),
                 "read: " NUMBER_FORMAT ", which nobody wrote", NUMBER_ARGS (number));
}

static void
check_record (const Record *record,
              gsize         size)
{
  const gsize before = G_STRUCT_OFFSET (Record, filling);
  gboolean is_whole = size >= before && record->size <= MAX_RECORD && size == before + record->size &&
                      sum_up (record) == record->sum;

  torture_check (is_whole, "read: a record of %" G_GSIZE_FORMAT " bytes, " NUMBER_FORMAT " it says, is torn", size,
                 NUMBER_ARGS (record->number));
  if (is_whole)
    check_number (record->number);
}

/* FALSE: nothing there. */
static gboolean
read_one (void)
{
  static Record record;
  g_autoptr(GError) error = NULL;
  gsize size;

  __atomic_fetch_add (&data->n_unsaid, 1, __ATOMIC_SEQ_CST);
  if (!mp_ring_try_read (ring, &record, sizeof record, &size, &error))
    {
      __atomic_fetch_sub (&data->n_unsaid, 1, __ATOMIC_SEQ_CST);
      if (error != NULL)
        torture_violation ("read: %s", error->message);
      return FALSE;
    }

  check_record (&record, size);
  data->n_records++;
  __atomic_store_n (&data->next, record.number + 1, __ATOMIC_SEQ_CST);
  if (is_first)
    __atomic_store_n (&data->batch, 0, __ATOMIC_SEQ_CST);
  is_first = FALSE;
  __atomic_store_n (&data->n_unsaid, 0, __ATOMIC_SEQ_CST);
  return TRUE;
}

static void
read_some (void)
{
  gboolean in_batch = !is_first && torture_random (3) == 0;
  guint n = 1 + torture_random (BURST);
  gboolean is_empty = FALSE;

  if (in_batch)
    {
      __atomic_store_n (&data->batch, data->next, __ATOMIC_SEQ_CST);
      mp_ring_begin_batch (ring);
    }
  while (n-- > 0 && !is_empty)
    is_empty = !read_one ();
  if (in_batch)
    {
      mp_ring_end_batch (ring);
      __atomic_store_n (&data->batch, 0, __ATOMIC_SEQ_CST);
    }
  if (is_empty)
    wait_for_other (0);
}

static void
step (void)
{
  if (!take_end ())
    return;
  if (end == MP_RING_WRITER)
    write_some ();
  else
    read_some ();
  if (torture_random (2000) == 0)
    let_go ();
}

/* All that was accepted has been read, or is read now. */
static void
finish (void)
{
  end = MP_RING_READER;
  for (which = 0; which < N_RINGS; which++)
    {
      guint64 n_missing;

      data = &all_data[which];
      ring = made[which];
      has_end = FALSE;
      if (!take_end ())
        {
          torture_violation ("at the end: the reader's end is not free");
          return;
        }
      while (read_one ())
        ;
      n_missing = count_between (data->next, NUMBER (data->epoch + 1, 0));
      torture_check (n_missing <= data->n_unsaid, "at the end: %" G_GUINT64_FORMAT " records are missing", n_missing);
      mp_ring_free (ring);
    }
}

static void
figures (GString *line)
{
  guint64 n_records = 0;
  guint64 n_takes[2] = { 0 };

  for (guint i = 0; i < N_RINGS; i++)
    {
      n_records += all_data[i].n_records;
      n_takes[MP_RING_WRITER] += all_data[i].n_takes[MP_RING_WRITER];
      n_takes[MP_RING_READER] += all_data[i].n_takes[MP_RING_READER];
    }
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " records, %" G_GUINT64_FORMAT " writers, %" G_GUINT64_FORMAT
                          " readers; ", n_records, n_takes[MP_RING_WRITER], n_takes[MP_RING_READER]);
}

static const char *const points[] = { "ring-", NULL };
static const char *const variants[] = { "early-promise", "twice", "torn", NULL };

const TorturePrimitive torture_ring = {
  "ring", points, variants, setup, begin, step, NULL, finish, figures,
};
