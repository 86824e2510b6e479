/* test-tape-joinable.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "arena-test.h"
#include "mp-glib/base/mp-spare-private.h"
#include "mp-glib/queue/mp-tape-joinable-private.h"

#include <mp-glib/mp-glib.h>

/* A tape beside a plain list that says what must be on it. One owner is this process, the others are dead from the beginning;
 * what counts the records again is called at any time, as after a death. */

#define N_DEAD 3

typedef enum { WAITING, TAKEN, BACK, FINISHED } State;

typedef struct
{
  guint64 size;
  MpOwner owner;
  guint64 turn;     /* when it was taken */
  State   state;
} Entry;

typedef struct
{
  MpSlotRef      slot;
  MpTape        *tape;
  MpTapeSearched searched[2];   /* of two objects of this process */
  MpOwner        self;
  GArray        *entries;       /* (element-type Entry) */
  guint          first;         /* that is not finished */
  guint          head;          /* the next one that nobody has got */
  guint64        turn;
  guint8        *content;
} Model;

#define MAX_SIZE (9u << 20)     /* more than the second ring has */

static Entry *
get_entry (Model *model,
           guint  i)
{
  return &g_array_index (model->entries, Entry, i);
}

static void
model_init (Model *model)
{
  g_autoptr(GError) error = NULL;

  *model = (Model) { .entries = g_array_new (FALSE, FALSE, sizeof (Entry)), .content = g_malloc (MAX_SIZE) };
  mp_slot_new (&model->slot, MP_SLOT_TEST, 0, FALSE, "test", &error);
  g_assert_no_error (error);
  model->self = mp_arena_get_self (model->slot.arena);
  model->tape = mp_tape_new (MP_TAPE_JOINABLE, 0, 0, "test", &error);
  g_assert_no_error (error);
}

static void
model_clear (Model *model)
{
  mp_tape_free (model->tape);
  mp_slot_clear (&model->slot);
  g_array_unref (model->entries);
  g_free (model->content);
}

static void
put (Model   *model,
     guint64  size)
{
  Entry entry = { .size = size, .state = WAITING };
  MpTapeItem item = { .kind = MP_TAPE_BYTES, .data = model->content, .size = size };
  guint64 n_got = 0, number = model->entries->len;
  g_autoptr(GError) error = NULL;

  memset (model->content, (int) number, size);
  memcpy (model->content, &number, MIN (size, sizeof number));
  g_assert_cmpint (mp_tape_put (model->tape, &item, &n_got, &error), ==, MP_TAPE_DONE);
  g_assert_no_error (error);
  g_array_append_val (model->entries, entry);
}

/* The next one to be got: what was put back, else at the head. */
static guint
find_next (Model *model)
{
  for (guint i = model->first; i < model->head; i++)
    if (get_entry (model, i)->state == BACK)
      return i;
  return model->head;
}

static void
take (Model   *model,
      MpOwner  owner)
{
  guint next = find_next (model);
  g_autofree MpTapeTaken *taken = g_new0 (MpTapeTaken, 1);
  g_autoptr(GError) error = NULL;
  MpTapeResult result = mp_tape_take (model->tape, owner, taken, &error);
  Entry *entry = NULL;
  guint64 number = 0;
  const guint8 *content;

  g_assert_no_error (error);
  if (next == model->entries->len)
    {
      g_assert_cmpint (result, ==, MP_TAPE_NOT_NOW);
      return;
    }

  g_assert_cmpint (result, ==, MP_TAPE_DONE);
  entry = get_entry (model, next);
  g_assert_cmpuint (taken->record.size, ==, entry->size);
  content = (const guint8 *) (taken->data != NULL ? taken->data : taken->words);
  memcpy (&number, content, sizeof number);
  g_assert_cmpuint (number, ==, next);
  g_assert_cmpuint (content[entry->size - 1], ==, entry->size > sizeof number ? (guint8) next : content[entry->size - 1]);
  g_clear_pointer (&taken->data, mp_spare_free);
  *entry = (Entry) { entry->size, owner, ++model->turn, TAKEN };
  if (next == model->head)
    model->head++;
}

static void
see_to_finished (Model *model)
{
  while (model->first < model->head && get_entry (model, model->first)->state == FINISHED)
    model->first++;
}

static void
finish (Model *model,
        guint  object)
{
  Entry *found = NULL;

  for (guint i = model->first; i < model->head; i++)
    {
      Entry *entry = get_entry (model, i);

      if (entry->state == TAKEN && entry->owner == model->self && (found == NULL || entry->turn < found->turn))
        found = entry;
    }
  g_assert_cmpint (mp_tape_finish (model->tape, model->self, &model->searched[object]), ==, found != NULL);
  if (found != NULL)
    found->state = FINISHED;
  see_to_finished (model);
}

static guint
change_dead (Model *model,
             State  state)
{
  guint n = 0;

  for (guint i = model->first; i < model->head; i++)
    {
      Entry *entry = get_entry (model, i);

      if (entry->state == TAKEN && entry->owner != model->self)
        {
          entry->state = state;
          n++;
        }
    }
  return n;
}

static void
check (Model *model)
{
  guint64 n_unfinished = 0, n_waiting = 0, n_bytes = 0, bytes = G_MAXUINT64;

  for (guint i = model->first; i < model->entries->len; i++)
    {
      Entry *entry = get_entry (model, i);

      n_unfinished += entry->state != FINISHED;
      if (entry->state == WAITING || entry->state == BACK)
        {
          n_waiting++;
          n_bytes += entry->size;
        }
    }
  g_assert_cmpuint (mp_tape_count_unfinished (model->tape), ==, n_unfinished);
  g_assert_cmpuint (mp_tape_count (model->tape, &bytes), ==, n_waiting);
  g_assert_cmpuint (bytes, ==, n_bytes);
  g_assert_cmpint (mp_tape_is_empty (model->tape), ==, n_waiting == 0);
}

static guint64
random_size (void)
{
  switch (g_test_rand_int_range (0, 300))
    {
    case 0:
      return g_test_rand_int_range (1 << 20, MAX_SIZE);
    case 1 ... 20:
      return g_test_rand_int_range (1 << 12, 1 << 18);
    default:
      return g_test_rand_int_range (sizeof (guint64), 200);
    }
}

static void
step (Model *model,
      guint  many)
{
  MpOwner dead = (MpOwner) 0xfffffff0 << 16 | (guint) g_test_rand_int_range (1, 1 + N_DEAD);
  guint n;

  switch (g_test_rand_int_range (0, 40))
    {
    case 0 ... 13:
      if (model->entries->len - model->first < many)
        put (model, random_size ());
      break;
    case 14 ... 22:
      take (model, model->self);
      break;
    case 23 ... 26:
      take (model, dead);
      break;
    case 27 ... 36:
      finish (model, g_test_rand_int_range (0, 2));
      break;
    case 37:
      n = change_dead (model, BACK);
      g_assert_cmpuint (mp_tape_count_abandoned (model->tape, model->slot.arena), ==, n);
      g_assert_cmpuint (mp_tape_put_back_abandoned (model->tape, model->slot.arena), ==, n);
      break;
    case 38:
      n = g_test_rand_int_range (0, 4) == 0 ? change_dead (model, FINISHED) : 0;
      if (n > 0)
        g_assert_cmpuint (mp_tape_finish_abandoned (model->tape, model->slot.arena), ==, n);
      see_to_finished (model);
      break;
    default:
      /* What is counted may be anything, where one has died between a word and the counts of it. */
      model->tape->header->n_back += g_test_rand_int_range (0, 3);
      model->tape->header->n_bytes_back += g_test_rand_int_range (0, 100);
      model->tape->header->n_retaken = g_test_rand_int_range (0, 3);
      mp_tape_recover (model->tape);
      break;
    }
  check (model);
}

static void
test_random (void)
{
  guint n_steps = g_getenv ("MP_TESTS_SLOW") != NULL ? 1000 : 20000;

  for (guint many = 5; many <= 125; many *= 5)
    {
      Model model;

      model_init (&model);
      for (guint i = 0; i < n_steps; i++)
        step (&model, many);

      /* Then all of it comes to an end. */
      change_dead (&model, BACK);
      mp_tape_put_back_abandoned (model.tape, model.slot.arena);
      while (model.head < model.entries->len || find_next (&model) < model.head)
        take (&model, model.self);
      while (model.first < model.head)
        finish (&model, 0);
      check (&model);
      g_assert_cmpuint (mp_tape_count_unfinished (model.tape), ==, 0);
      model_clear (&model);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/tape-joinable/random", test_random);

  return g_test_run ();
}
