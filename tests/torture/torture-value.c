/* torture-value.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/memory/mp-array.h"
#include "mp-glib/memory/mp-value.h"
#include "mp-glib/sync/mp-rlock.h"

/* MpValue and MpArray: a value and an element to which all add in one step, and a tuple that is counted up under its lock.
 * What has been added is there, whoever died; and what an owner of the lock left half done is said. */

enum { BROKEN_NOTHING, BROKEN_ADD, BROKEN_LOCK };

#define N_ELEMENTS 7

typedef struct
{
  TortureWitness witness;   /* who has the lock */
  guint64        n_begun;   /* steps of adding */
  guint64        n_done;
  guint64        n_locked;
  guint64        n_told;
} Data;

static Data    *data;
static MpValue *counter;
static MpValue *tuple;
static MpArray *array;

static void
setup (void)
{
  g_autoptr(GError) error = NULL;

  data = torture_alloc (sizeof *data);
  counter = mp_value_new (G_VARIANT_TYPE_INT64, NULL, &error);
  tuple = mp_value_new (G_VARIANT_TYPE ("(xxd)"), NULL, &error);
  array = mp_array_new (G_VARIANT_TYPE_DOUBLE, N_ELEMENTS, &error);
  if (error != NULL)
    g_error ("torture: %s", error->message);
}

static double
sum_elements (void)
{
  double sum = 0;

  for (guint i = 0; i < N_ELEMENTS; i++)
    sum += mp_array_get_double (array, i, NULL);
  return sum;
}

static void
add (void)
{
  g_autoptr(GError) error = NULL;

  torture_count (&data->n_begun);
  if (torture_broken == BROKEN_ADD)
    {
      gint64 seen = mp_value_get_int (counter, NULL);

      MP_TORTURE_POINT ("elements-torn");
      mp_value_set_int (counter, seen + 1, NULL);
    }
  else
    {
      mp_value_add_int (counter, 1, &error);
    }
  mp_array_add_double (array, torture_random (N_ELEMENTS), 0.5, &error);
  torture_count (&data->n_done);
  if (error != NULL)
    torture_violation ("value add: %s", error->message);
}

static void
get_tuple (gint64 *first,
           gint64 *second,
           double *half)
{
  g_autoptr(GVariant) now = mp_value_get (tuple, NULL);

  g_variant_get (now, "(xxd)", first, second, half);
}

static void
count_up (MpRLock *lock)
{
  TortureFound found = torture_enter (&data->witness, "value");
  gint64 first = 0;
  gint64 second = 0;
  double half = 0;

  get_tuple (&first, &second, &half);
  if (mp_rlock_is_abandoned (lock))
    {
      torture_count (&data->n_told);
      second = first;
      mp_rlock_mark_consistent (lock, NULL);
    }
  else
    {
      torture_check (found != TORTURE_FOUND_DEAD, "value: the lock's owner died, and this is not said");
      torture_check (first == second && half == first * 0.5, "value: %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT " and %g",
                     first, second, half);
    }
  /* In two steps, which only a death can part. */
  mp_value_set (tuple, g_variant_new ("(xxd)", first + 1, second, half), NULL);
  MP_TORTURE_POINT ("elements-half-set");
  mp_value_set (tuple, g_variant_new ("(xxd)", first + 1, first + 1, (first + 1) * 0.5), NULL);
  torture_count (&data->n_locked);
  torture_linger ();
  torture_leave (&data->witness, "value");
}

static void
step (void)
{
  MpRLock *lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (tuple)));
  g_autoptr(GError) error = NULL;

  for (guint i = torture_random (20); i > 0; i--)
    add ();
  if (torture_broken == BROKEN_LOCK)
    {
      count_up (lock);
      return;
    }
  if (!mp_rlock_acquire (lock, -1, NULL, &error))
    {
      torture_violation ("value: its lock: %s", error->message);
      return;
    }
  count_up (lock);
  mp_rlock_release (lock, NULL);
  torture_pause ();
}

/* What is done is there, and no more than was begun. */
static void
check (void)
{
  guint64 done = torture_look_at (&data->n_done);
  guint64 number = mp_value_get_int (counter, NULL);
  double sum = sum_elements ();
  guint64 begun = torture_look_at (&data->n_begun);

  torture_check (number >= done, "value: %" G_GUINT64_FORMAT " after %" G_GUINT64_FORMAT, number, done);
  torture_check (number <= begun, "value: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, number, begun);
  torture_check (sum * 2 >= done && sum * 2 <= begun, "array: %g after %" G_GUINT64_FORMAT, sum * 2, done);
}

static void
finish (void)
{
  MpRLock *lock = MP_RLOCK (mp_typed_memory_get_lock (MP_TYPED_MEMORY (tuple)));
  g_autoptr(GError) error = NULL;

  check ();
  torture_check (mp_rlock_acquire (lock, G_USEC_PER_SEC, NULL, &error), "value: its lock at the end");
  mp_rlock_release (lock, NULL);
  g_clear_object (&counter);
  g_clear_object (&tuple);
  g_clear_object (&array);
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " adds, %" G_GUINT64_FORMAT " under the lock, %" G_GUINT64_FORMAT
                          " times left half done; ", data->n_done, data->n_locked, data->n_told);
}

static const char *const points[] = { "elements-", "!elements-torn", "cell-", "!cell-watchers", NULL };
static const char *const variants[] = { "no-step", "no-lock", NULL };

const TorturePrimitive torture_value = {
  "value", points, variants, setup, NULL, step, check, finish, figures,
};
