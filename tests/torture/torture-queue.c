/* torture-queue.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/queue/mp-queue-private.h"

#include <string.h>

/* MpQueue: two put, two get, one of them by callbacks. Each item has a number, and a table says what has become of it:
 * it is got once, and only after it was put; what has been put is got, unless somebody was killed while getting. */

#define N_PRODUCERS 2
#define N_STATES    (1u << 20)
#define MAX_ITEMS   64
#define MAX_PENDING 3
#define BIG         (1600 << 10)

enum { BROKEN_NOTHING, BROKEN_LOSES, BROKEN_TWICE };
enum { NOTHING, BEGUN, PUT, GOT };

typedef struct
{
  guint64 states[N_STATES];       /* number << 2 | state */
  guint64 next;
  guint64 n_put;
  guint64 n_got;
  guint64 n_async;
  guint64 n_closed;
  guint64 n_full;
  guint64 n_missing;
  guint64 n_may_miss;
  guint64 n_getting[TORTURE_N_CHILDREN];
  guint64 lives[N_PRODUCERS];     /* who it is */
  guint64 uses[N_PRODUCERS];
  guint64 is_big;
} Data;

static Data    *data;
static MpQueue *queue;

/* A child's own. */
static GMainContext *context;
static guint         n_pending;
static guint8       *content;

static void
add (guint64 *number,
     gint64   n)
{
  __atomic_fetch_add (number, n, __ATOMIC_SEQ_CST);
}

static void
setup (void)
{
  data = torture_alloc (sizeof *data);
  queue = mp_queue_new (MAX_ITEMS, 0);
}

static void
begin (void)
{
  int self = torture_get_child ();

  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  content = g_malloc (BIG);
  /* What the one before was about to get is with it. */
  add (&data->n_may_miss, torture_look_at (&data->n_getting[self]));
  __atomic_store_n (&data->n_getting[self], 0, __ATOMIC_SEQ_CST);
  if (self < N_PRODUCERS)
    __atomic_store_n (&data->lives[self], torture_get_serial (), __ATOMIC_SEQ_CST);
}

/* What an item has in it. */
static gsize
fill (guint64 number)
{
  gsize size = 16 + torture_random (torture_random (4) == 0 ? 3000 : 60);

  if (torture_look_at (&data->is_big))
    size = 16 + torture_random (BIG - 16);
  memset (content, (int) (number & 0xff), size);
  memcpy (content, &number, 8);
  memcpy (content + 8, &size, 8);
  return size;
}

static void
got (GBytes   *bytes,
     gboolean  is_async)
{
  gsize size = 0, said = 0;
  const guint8 *bytes_data = g_bytes_get_data (bytes, &size);
  guint64 number = 0, before = 0;

  if (size >= 16)
    {
      memcpy (&number, bytes_data, 8);
      memcpy (&said, bytes_data + 8, 8);
    }
  torture_check (size >= 16 && said == size, "queue: an item of %" G_GSIZE_FORMAT " bytes that says %" G_GSIZE_FORMAT,
                 size, said);
  for (gsize i = 16; i < size; i += 1 + torture_random (64))
    if (bytes_data[i] != (number & 0xff))
      {
        torture_violation ("queue: a torn item");
        break;
      }

  before = __atomic_exchange_n (&data->states[number % N_STATES], number << 2 | GOT, __ATOMIC_SEQ_CST);
  torture_check (before >> 2 == number && ((before & 3) == BEGUN || (before & 3) == PUT),
                 "queue: item %" G_GUINT64_FORMAT " %s", number,
                 before == (number << 2 | GOT) ? "was got twice" : "was not put");
  add (&data->n_got, 1);
  if (is_async)
    add (&data->n_async, 1);
}

/* A getter was told that nobody can put any more: then no one who could has lived through the call. */
static void
check_closed (const guint64 lives[N_PRODUCERS])
{
  guint64 uses[N_PRODUCERS];

  add (&data->n_closed, 1);
  for (guint i = 0; i < N_PRODUCERS; i++)
    uses[i] = torture_look_at (&data->uses[i]);
  g_usleep (2000);
  for (guint i = 0; i < N_PRODUCERS; i++)
    {
      guint64 now = torture_look_at (&data->uses[i]);

      torture_check (lives[i] == 0 || now == uses[i] || torture_look_at (&data->lives[i]) != lives[i],
                     "queue: closed, and one that puts lives");
    }
}

static void
get_lives (guint64 lives[N_PRODUCERS])
{
  for (guint i = 0; i < N_PRODUCERS; i++)
    lives[i] = torture_look_at (&data->lives[i]);
}

static void
get_blocking (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = NULL;
  guint64 *n_getting = &data->n_getting[torture_get_child ()];
  guint64 lives[N_PRODUCERS];
  guint how = torture_random (8);

  get_lives (lives);
  add (n_getting, 1);
  if (how == 0)
    bytes = mp_queue_try_get_bytes (queue, &error);
  else
    bytes = mp_queue_get_bytes (queue, how == 1 ? (gint64) torture_random (300) : -1, NULL, &error);
  if (bytes != NULL)
    got (bytes, FALSE);
  add (n_getting, -1);

  if (bytes != NULL)
    return;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    check_closed (lives);
  else if (!(how == 0 && g_error_matches (error, MP_ERROR, MP_ERROR_EMPTY)) &&
           !(how == 1 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)))
    torture_violation ("queue get: %s", error->message);
}

static void
got_cb (GObject      *source_object,
        GAsyncResult *result,
        gpointer      user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_queue_get_bytes_finish (queue, result, &error);

  n_pending--;
  if (bytes != NULL)
    got (bytes, TRUE);
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    add (&data->n_closed, 1);
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || user_data == NULL)
    torture_violation ("queue get_async: %s", error->message);
  add (&data->n_getting[torture_get_child ()], -1);
}

static void
get_async (void)
{
  guint before = 0, wanted = torture_random (8) == 0 ? MAX_PENDING : 1;

  while (n_pending < wanted)
    {
      g_autoptr(GCancellable) cancellable = torture_random (8) == 0 ? g_cancellable_new () : NULL;

      add (&data->n_getting[torture_get_child ()], 1);
      n_pending++;
      mp_queue_get_bytes_async (queue, cancellable, got_cb, cancellable != NULL ? data : NULL);
      if (cancellable != NULL)
        g_cancellable_cancel (cancellable);
    }
  before = n_pending;
  while (n_pending == before)
    g_main_context_iteration (context, TRUE);
}

/* Those that get are perhaps gone: so one that finds no room for long gets something itself. */
static void
put (void)
{
  guint64 number = __atomic_add_fetch (&data->next, 1, __ATOMIC_SEQ_CST);
  guint64 *state = &data->states[number % N_STATES];
  guint64 before = __atomic_exchange_n (state, number << 2 | BEGUN, __ATOMIC_SEQ_CST);
  g_autoptr(GError) error = NULL;
  gsize size = fill (number);
  guint64 begun = number << 2 | BEGUN;

  if (before != 0 && (before & 3) == PUT)
    add (&data->n_missing, 1);
  if (torture_random (100) == 0)
    __atomic_store_n (&data->is_big, torture_random (8) == 0, __ATOMIC_SEQ_CST);
  while (torture_broken != BROKEN_LOSES && !mp_queue_put_data (queue, content, size, 50000, NULL, &error))
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        torture_violation ("queue put: %s", error->message);
      g_clear_error (&error);
      add (&data->n_full, 1);
      get_blocking ();
    }
  if (torture_broken == BROKEN_TWICE)
    mp_queue_put_data (queue, content, size, 0, NULL, NULL);
  __atomic_compare_exchange_n (state, &begun, number << 2 | PUT, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  add (&data->n_put, 1);
  add (&data->uses[torture_get_child ()], 1);
}

static void
step (void)
{
  int self = torture_get_child ();

  if (self < N_PRODUCERS)
    put ();
  else if (self == TORTURE_N_CHILDREN - 1 && torture_broken == BROKEN_NOTHING)
    get_async ();
  else
    get_blocking ();
  /* So that something piles up, and all rings are used. */
  if (self >= N_PRODUCERS && torture_look_at (&data->is_big) && mp_queue_get_length (queue) < MAX_ITEMS / 2)
    g_usleep (torture_random (1000));
  /* In bursts there is one for each. */
  torture_pause ();
}

static void
check (void)
{
  guint length = mp_queue_get_length (queue);

  torture_check (length <= MAX_ITEMS, "queue: has %u items, and is for %u", length, MAX_ITEMS);
}

static void
finish (void)
{
  g_autoptr(GError) error = NULL;
  guint64 may_miss = data->n_may_miss, missing = data->n_missing;

  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    may_miss += data->n_getting[i];
  for (;;)
    {
      g_autoptr(GBytes) bytes = mp_queue_try_get_bytes (queue, &error);

      if (bytes == NULL)
        break;
      got (bytes, FALSE);
    }
  torture_check (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED), "queue: at the end: %s", error->message);
  torture_check (mp_queue_get_length (queue) == 0, "queue: %u items at the end", mp_queue_get_length (queue));
  for (guint i = 0; i < N_STATES; i++)
    missing += (data->states[i] & 3) == PUT;
  torture_check (missing <= may_miss, "queue: %" G_GUINT64_FORMAT " items are missing, and %" G_GUINT64_FORMAT
                 " can have gone with who got them", missing, may_miss);
  data->n_missing = missing;
  g_clear_object (&queue);
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " put, %" G_GUINT64_FORMAT " got, %" G_GUINT64_FORMAT
                          " of them by callbacks, %" G_GUINT64_FORMAT " gone with who got them, %" G_GUINT64_FORMAT
                          " times closed, %" G_GUINT64_FORMAT " times full; ", data->n_put, data->n_got, data->n_async,
                          data->n_missing, data->n_closed, data->n_full);
}

static const char *const points[] = {
  "tape-", "!tape-taken", "!tape-retaking", "!tape-word", "queue-", "sync-notice", "sync-hint", "cell-",
  "!cell-state", NULL
};
static const char *const variants[] = { "loses", "twice", NULL };

const TorturePrimitive torture_queue = {
  "queue", points, variants, setup, begin, step, check, finish, figures, .n_movers = N_PRODUCERS,
};
