/* torture-joinable-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/queue/mp-joinable-queue.h"

/* MpJoinableQueue: two children put items, of all sizes, and put back what the dead have left; the others get and finish them.
 * Each item is got by one child at a time, comes back until it is finished, and never after that; none is lost. */

#define N_PRODUCERS 2
#define MAX_ITEMS   (1u << 22)
#define MAX_WAITING 40
#define MAX_HELD    4
#define MAX_SIZE    3000
#define LONG_SIZE   400000   /* more than the first ring of the tape has */

enum { BROKEN_NOTHING, BROKEN_PUT, BROKEN_FINISH };

enum { PUT_BEGUN = 1, PUT = 2, FINISH_BEGUN = 4, FINISHED = 8 };

typedef struct
{
  TortureWitness witness;   /* who has got it */
  guint32        flags;     /* atomic */
} Item;

/* In shared memory. */
typedef struct
{
  guint64 n_items;
  guint64 n_got;
  guint64 n_finished;
  guint64 n_put_back;
  guint64 n_joined;
  Item    items[MAX_ITEMS];
} Data;

static Data            *data;
static MpJoinableQueue *queue;

/* A child's own: what it has got, the first one first. */
static guint64 held[MAX_HELD];
static guint   n_held;

static guint32
get_flags (guint64 id)
{
  return __atomic_load_n (&data->items[id].flags, __ATOMIC_SEQ_CST);
}

static void
set_flag (guint64 id,
          guint32 flag)
{
  __atomic_fetch_or (&data->items[id].flags, flag, __ATOMIC_SEQ_CST);
}

static void
joinable_setup (void)
{
  data = torture_alloc (sizeof *data);
  queue = mp_joinable_queue_new (0, 0);
}

/* Items. */

static void
put_one (void)
{
  g_autoptr(GError) error = NULL;
  gsize size = torture_random (60) == 0 ? LONG_SIZE : sizeof (guint64) + torture_random (MAX_SIZE);
  g_autofree guint8 *content = g_malloc (size);
  guint64 id = __atomic_fetch_add (&data->n_items, 1, __ATOMIC_SEQ_CST);

  if (id >= MAX_ITEMS)
    return;
  memset (content, (int) id, size);
  memcpy (content, &id, sizeof id);
  set_flag (id, PUT_BEGUN);
  if (torture_broken != BROKEN_PUT || id % 16 != 0)
    mp_queue_put_data (MP_QUEUE (queue), content, size, -1, NULL, &error);
  torture_check (error == NULL, "joinable put: %s", error->message);
  set_flag (id, PUT);
}

/* The number of the item that was got. */
static guint64
open_item (GBytes *bytes)
{
  gsize size;
  const guint8 *content = g_bytes_get_data (bytes, &size);
  guint64 id = G_MAXUINT64;

  if (size >= sizeof id)
    memcpy (&id, content, sizeof id);
  if (id >= MAX_ITEMS || (get_flags (id) & PUT_BEGUN) == 0)
    {
      torture_violation ("joinable: got what nobody has put");
      return G_MAXUINT64;
    }
  for (gsize i = sizeof id; i < size; i++)
    if (content[i] != (guint8) id)
      {
        torture_violation ("joinable: byte %" G_GSIZE_FORMAT " of an item is wrong", i);
        break;
      }
  torture_check ((get_flags (id) & FINISHED) == 0, "joinable: an item was got that is finished");
  return id;
}

static void
finish_first (void)
{
  g_autoptr(GError) error = NULL;
  guint64 id = held[0];

  n_held--;
  memmove (held, held + 1, n_held * sizeof held[0]);
  set_flag (id, FINISH_BEGUN);
  torture_try_leave (&data->items[id].witness);
  if ((torture_broken != BROKEN_FINISH || id % 16 != 0) && !mp_joinable_queue_task_done (queue, &error))
    torture_violation ("joinable task_done: %s", error->message);
  set_flag (id, FINISHED);
  torture_count (&data->n_finished);
}

static void
get_one (void)
{
  g_autoptr(GError) error = NULL;
  guint how = torture_random (8);
  g_autoptr(GBytes) bytes = NULL;
  guint64 id;

  if (how == 0)
    bytes = mp_queue_try_get_bytes (MP_QUEUE (queue), &error);
  else
    bytes = mp_queue_get_bytes (MP_QUEUE (queue), how == 1 ? (gint64) torture_random (300) : -1, NULL, &error);
  if (bytes == NULL)
    {
      /* For a moment there may be nobody who could put. */
      torture_check (g_error_matches (error, MP_ERROR, MP_ERROR_EMPTY) ||
                     g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED) ||
                     g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT), "joinable get: %s", error->message);
      return;
    }

  id = open_item (bytes);
  if (id == G_MAXUINT64)
    return;
  torture_check (torture_try_enter (&data->items[id].witness), "joinable: an item was got by two");
  torture_count (&data->n_got);
  held[n_held++] = id;
  torture_linger ();
}

static void
join_some_time (void)
{
  g_autoptr(GError) error = NULL;

  if (mp_joinable_queue_join (queue, torture_random (300), NULL, &error))
    {
      torture_check (n_held == 0, "joinable join: all is finished, but %u", n_held);
      torture_count (&data->n_joined);
    }
  else
    {
      torture_check (g_error_matches (error, MP_ERROR, MP_ERROR_WORKER_DIED) ||
                     g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT), "joinable join: %s", error->message);
    }
}

static void
put_back (void)
{
  __atomic_fetch_add (&data->n_put_back, mp_joinable_queue_put_back_abandoned (queue), __ATOMIC_SEQ_CST);
}

static void
joinable_step (void)
{
  if (torture_get_child () < N_PRODUCERS)
    {
      if (torture_random (4) == 0)
        put_back ();
      if (mp_queue_get_length (MP_QUEUE (queue)) < MAX_WAITING)
        put_one ();
    }
  else
    {
      if (torture_random (32) == 0)
        put_back ();
      if (torture_random (16) == 0)
        join_some_time ();
      if (n_held < MAX_HELD && (n_held == 0 || torture_random (2) == 0))
        get_one ();
      else
        finish_first ();
    }
  /* In bursts there is one for each. */
  torture_pause ();
}

static void
joinable_check (void)
{
  torture_check (mp_joinable_queue_get_n_unfinished (queue) <= __atomic_load_n (&data->n_items, __ATOMIC_SEQ_CST),
                 "joinable: more is unfinished than there is");
}

/* What is left is got once more, and then nothing is missing. */
static void
joinable_finish (void)
{
  guint n_items = MIN (data->n_items, MAX_ITEMS), n_left = 0, n_unfinished, n_lost = 0;
  g_autoptr(GError) error = NULL;
  GBytes *bytes;

  put_back ();
  n_unfinished = mp_joinable_queue_get_n_unfinished (queue);
  torture_check (mp_queue_get_length (MP_QUEUE (queue)) == n_unfinished, "joinable: at the end %u items, %u unfinished",
                 mp_queue_get_length (MP_QUEUE (queue)), n_unfinished);
  while ((bytes = mp_queue_try_get_bytes (MP_QUEUE (queue), NULL)) != NULL)
    {
      guint64 id = open_item (bytes);

      g_bytes_unref (bytes);
      n_left++;
      if (id != G_MAXUINT64)
        set_flag (id, FINISH_BEGUN | FINISHED);
      torture_check (mp_joinable_queue_task_done (queue, NULL), "joinable task_done: at the end fails");
    }
  torture_check (n_left == n_unfinished, "joinable: at the end %u items, %u unfinished", n_left, n_unfinished);
  torture_check (mp_joinable_queue_join (queue, 0, NULL, &error), "joinable join: at the end: %s",
                 error != NULL ? error->message : "");
  for (guint i = 0; i < n_items; i++)
    n_lost += (get_flags (i) & (PUT | FINISH_BEGUN)) == PUT;
  torture_check (n_lost == 0, "joinable: %u items are lost", n_lost);
  g_clear_object (&queue);
}

static void
joinable_figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " items put, %" G_GUINT64_FORMAT " times got, %" G_GUINT64_FORMAT
                          " finished, %" G_GUINT64_FORMAT " put back after a death; ", data->n_items, data->n_got,
                          data->n_finished, data->n_put_back);
}

static const char *const joinable_points[] = {
  "tape-", "!tape-chunk", "!tape-long", "sync-", "!sync-watchers", "!sync-notice", "!sync-hint", "cell-", "!cell-state",
  "!cell-watchers", NULL
};
static const char *const joinable_variants[] = { "no-put", "no-finish", NULL };

const TorturePrimitive torture_joinable_queue = {
  "joinable-queue", joinable_points, joinable_variants, joinable_setup, NULL, joinable_step, joinable_check, joinable_finish,
  joinable_figures, N_PRODUCERS,
};
