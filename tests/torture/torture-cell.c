/* torture-cell.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/arena/mp-cell-private.h"

/* The cell: two words under it, the second a function of the first. Whoever has the cell finds what was last
 * committed, whole; a commit is seen by everybody or not at all; of who dies with it the next one is told. */

enum { BROKEN_NOTHING, BROKEN_TWO_STORES, BROKEN_NO_WAKE, BROKEN_NO_WORD, BROKEN_NO_CELL };

typedef struct
{
  TortureWitness witness;
  guint64        last;         /* what was committed, as far as one lived to say so */
  gboolean       is_unmarked;  /* somebody was told of a death, and left it at that */
  guint          deaths;       /* at the last mark_consistent(), if nobody was about to die; else 0 */
  guint64        n_told;
} Data;

static Data     *data;
static MpSlotRef ref;

static guint64
hash (guint64 n)
{
  return (n ^ G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
}

static void
setup (void)
{
  g_autoptr(GError) error = NULL;
  guint64 state[2] = { 0, hash (0) };

  data = torture_alloc (sizeof *data);
  if (!mp_slot_new (&ref, MP_SLOT_TEST, 0, FALSE, "cell", &error))
    g_error ("%s", error->message);
  mp_cell_write_state (&ref, state);
}

/* By who does not have it: whole as well, and not older than what was committed before. */
static void
look (void)
{
  guint64 before = __atomic_load_n (&data->last, __ATOMIC_SEQ_CST);
  guint64 state[2];

  mp_cell_read_state (&ref, state);
  torture_check (state[1] == hash (state[0]), "state: %" G_GUINT64_FORMAT " is torn", state[0]);
  torture_check (state[0] >= before, "state: %" G_GUINT64_FORMAT " after %" G_GUINT64_FORMAT, state[0], before);
}

static gboolean
take (void)
{
  static GCancellable *cancellable;
  g_autoptr(GError) error = NULL;
  guint how = torture_random (8);
  gboolean success;

  if (torture_broken == BROKEN_NO_CELL)
    return TRUE;
  if (how == 0)
    {
      MpCellResult result = mp_cell_try_take (&ref);

      torture_check (result != MP_CELL_LOST, "take: this child has no part in the arena");
      return result == MP_CELL_TAKEN || result == MP_CELL_ABANDONED;
    }
  if (how == 1 && cancellable == NULL)
    cancellable = g_cancellable_new ();
  success = mp_cell_take (&ref, &ref, "cell", how == 2 ? (gint64) torture_random (300) : -1,
                          how == 1 ? cancellable : NULL, &error);
  if (!success && (how != 2 || !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)))
    torture_violation ("take: %s", error->message);
  return success;
}

/* Told of a death exactly when there was one. */
static gboolean
check_told (TortureFound found)
{
  gboolean is_told;

  if (torture_broken == BROKEN_NO_WORD)
    mp_cell_mark_consistent (&ref);
  is_told = mp_cell_is_inconsistent (&ref);
  if (!is_told)
    {
      torture_check (found != TORTURE_FOUND_DEAD, "inconsistent: somebody died with it, and this is not said");
      torture_check (!data->is_unmarked, "inconsistent: forgotten before it was marked");
      return FALSE;
    }
  torture_check (data->is_unmarked || data->deaths == 0 || data->deaths != torture_count_deaths (),
                 "inconsistent: nobody has died");
  data->n_told++;
  return TRUE;
}

static void
mark (void)
{
  guint deaths = torture_count_deaths ();

  data->is_unmarked = FALSE;
  data->deaths = torture_is_anybody_dying () ? 0 : deaths;
  torture_check (mp_cell_mark_consistent (&ref), "mark_consistent: not by who has it");
  torture_check (!mp_cell_is_inconsistent (&ref), "mark_consistent: has no effect");
}

static void
commit (const guint64 state[2])
{
  if (torture_broken == BROKEN_TWO_STORES)
    {
      guint64 *words = ref.slot->state[ref.slot->which & 1];

      __atomic_store_n (&words[0], state[0], __ATOMIC_SEQ_CST);
      MP_TORTURE_POINT ("broken-half");
      __atomic_store_n (&words[1], state[1], __ATOMIC_SEQ_CST);
    }
  else
    mp_cell_write_state (&ref, state);
}

static void
give_back (void)
{
  if (torture_broken == BROKEN_NO_WAKE)
    __atomic_fetch_and (&ref.slot->word, MP_CELL_INCONSISTENT, __ATOMIC_SEQ_CST);
  else if (torture_broken != BROKEN_NO_CELL && (torture_random (2) == 0 || !mp_cell_give_back_quickly (&ref)))
    torture_check (mp_cell_give_back (&ref), "give_back: by who has it, and it says nobody has");
}

static void
step (void)
{
  TortureFound found;
  guint64 state[2];

  if (torture_random (8) == 0)
    look ();
  if (!take ())
    return;

  found = torture_enter (&data->witness, "cell");
  mp_cell_read_state (&ref, state);
  torture_check (state[1] == hash (state[0]), "state: %" G_GUINT64_FORMAT " is torn", state[0]);
  if (check_told (found))
    {
      /* One may have died after it had committed, and before it said so. */
      torture_check (state[0] == data->last || state[0] == data->last + 1,
                     "state: %" G_GUINT64_FORMAT ", when %" G_GUINT64_FORMAT " was committed", state[0], data->last);
      data->last = state[0];
      if (torture_random (4) == 0)
        data->is_unmarked = TRUE;
      else
        mark ();
    }
  torture_check (state[0] == data->last, "state: %" G_GUINT64_FORMAT ", when %" G_GUINT64_FORMAT " was committed",
                 state[0], data->last);

  state[0]++;
  state[1] = hash (state[0]);
  commit (state);
  __atomic_store_n (&data->last, state[0], __ATOMIC_SEQ_CST);
  torture_linger ();
  torture_leave (&data->witness, "cell");
  give_back ();
  torture_pause ();
}

/* The conductor can have it too, and all is well. */
static void
finish (void)
{
  g_autoptr(GError) error = NULL;
  guint64 state[2];

  if (!mp_cell_take (&ref, &ref, "cell", G_USEC_PER_SEC, NULL, &error))
    {
      torture_violation ("at the end: %s", error->message);
      return;
    }
  mp_cell_read_state (&ref, state);
  torture_check (state[1] == hash (state[0]), "at the end: %" G_GUINT64_FORMAT " is torn", state[0]);
  torture_check (state[0] == data->last || state[0] == data->last + 1,
                 "at the end: %" G_GUINT64_FORMAT ", when %" G_GUINT64_FORMAT " was committed", state[0], data->last);
  mp_cell_give_back (&ref);
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " commits, %" G_GUINT64_FORMAT " told of a death; ", data->last,
                          data->n_told);
}

static const char *const points[] = { "cell-", "!cell-watchers", NULL };
static const char *const variants[] = { "two-stores", "no-wake", "no-word", "no-cell", NULL };

const TorturePrimitive torture_cell = {
  "cell", points, variants, setup, NULL, step, look, finish, figures,
};
