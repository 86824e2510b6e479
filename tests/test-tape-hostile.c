/* test-tape-hostile.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "arena-test.h"
#include "mp-glib/base/mp-spare-private.h"
#include "mp-glib/queue/mp-tape-joinable-private.h"

#include <mp-glib/mp-glib.h>
#include <string.h>
#include <unistd.h>

/* What is on a tape was perhaps written by a process that is broken or hostile: nothing of it may lead out of the
 * memory, or to no end. */

#define OWNER 0x10001

static const guint64 numbers[] = {
  16, 1 << 18, G_GUINT64_CONSTANT (1) << 35, (G_GUINT64_CONSTANT (1) << 59) - 16, (G_GUINT64_CONSTANT (1) << 60) - 16,
  G_GUINT64_CONSTANT (1) << 60, G_GUINT64_CONSTANT (7) << 60, G_GUINT64_CONSTANT (9) << 60,
  G_GUINT64_CONSTANT (15) << 60, G_MAXUINT64 - 15,
};

static MpTape *
make_tape (guint flags)
{
  g_autoptr(GError) error = NULL;
  MpTape *tape = mp_tape_new (flags, 0, 0, "test", &error);

  g_assert_no_error (error);
  return tape;
}

static MpTapeResult
put (MpTape   *tape,
     gsize     size,
     GError  **error)
{
  g_autofree char *content = g_malloc0 (size + 1);
  const MpTapeItem item = { .kind = MP_TAPE_BYTES, .data = content, .size = size };
  guint64 n_got = 0;

  return mp_tape_put (tape, &item, &n_got, error);
}

static MpTapeResult
take (MpTape  *tape,
      GError **error)
{
  MpTapeTaken taken = { FALSE };
  MpTapeResult result = mp_tape_take (tape, OWNER, &taken, error);

  g_clear_pointer (&taken.data, mp_spare_free);
  return result;
}

/* Whatever comes of it. */
static void
use (MpTape *tape)
{
  static const gsize sizes[] = { 100, 300 << 10, 3 << 20, 100, 9 << 20 };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr(GError) put_error = NULL, take_error = NULL;

      if (put (tape, sizes[i % G_N_ELEMENTS (sizes)], &put_error) == MP_TAPE_ERROR)
        g_assert_true (put_error->domain == MP_ERROR);
      if (i > 2 && take (tape, &take_error) == MP_TAPE_ERROR)
        g_assert_error (take_error, MP_ERROR, MP_ERROR_PROTOCOL);
    }
  mp_tape_recover (tape);
}

/* Where rings were left. */
static void
test_tails (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    for (guint ring = 0; ring < MP_TAPE_MAX_RINGS; ring++)
      {
        MpTape *tape = make_tape (0);

        tape->header->tails[ring] = tape->header->left[ring] = tape->header->freed[ring] = numbers[i];
        use (tape);
        mp_tape_free (tape);
      }
}

/* Where a lane is. */
static void
test_places (void)
{
  for (guint i = 0; i < 3 * G_N_ELEMENTS (numbers) * (MP_TAPE_MAX_RINGS + 1); i++)
    {
      MpTape *tape = make_tape (MP_TAPE_JOINABLE);
      MpTapeLane *lanes[] = { &tape->header->put, &tape->header->get, &tape->header->done };
      guint n = i / 3;
      guint64 place = MP_TAPE_PLACE (n % (MP_TAPE_MAX_RINGS + 1), 0) + numbers[n / (MP_TAPE_MAX_RINGS + 1)];

      lanes[i % 3]->state[0][0] = lanes[i % 3]->state[1][0] = place;
      /* As if it had come there in an orderly way. */
      tape->header->freed[MP_TAPE_RING (place)] = MP_TAPE_POSITION (place);
      use (tape);
      mp_tape_free (tape);
    }
}

/* A record from which one comes to the next ring by going on. */
static void
test_edge (void)
{
  guint ring = MP_TAPE_MAX_RINGS - 1;
  const MpTapeRecord jump = { .magic = MP_TAPE_MAGIC, .kind = MP_TAPE_JUMP, .size = 0 };
  MpTape *tape = make_tape (0);
  g_autoptr(GError) error = NULL;

  if (tape->n_rings > ring)
    {
      guint8 *address = mp_tape_get_ring (tape, ring, &error);

      g_assert_no_error (error);
      put (tape, 100, &error);
      g_assert_no_error (error);
      tape->header->get.state[0][0] = MP_TAPE_PLACE (ring, MP_TAPE_POSITION (G_MAXUINT64 - 15));
      memcpy (address + mp_tape_ring_size (ring) - sizeof jump, &jump, sizeof jump);
      g_assert_cmpint (take (tape, &error), ==, MP_TAPE_ERROR);
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
    }
  mp_tape_free (tape);
}

/* What was got leads back to where it begins, in one ring or by way of another one. */
static void
check_circle (guint    ring,
              guint64  position)
{
  MpTape *tape = make_tape (MP_TAPE_JOINABLE);
  MpTapeRecord jump = { .magic = MP_TAPE_MAGIC, .kind = MP_TAPE_JUMP, .size = MP_TAPE_PLACE (ring, position) };
  g_autoptr(GError) error = NULL;
  MpSlotRef slot = { NULL };
  MpTapeSearched searched = { 0 };
  MpTapeState state;
  guint8 *other = NULL;

  mp_slot_new (&slot, MP_SLOT_TEST, 0, FALSE, "test", &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpint (put (tape, 16, &error), ==, MP_TAPE_DONE);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpint (take (tape, &error), ==, MP_TAPE_DONE);
  mp_tape_read_own (&tape->header->get, &state);

  /* A record where the second one was, then the JUMP; what is in the other ring is the same. */
  other = mp_tape_get_ring (tape, ring, &error);
  g_assert_no_error (error);
  memcpy (tape->rings[0] + state.place, &jump, sizeof jump);
  if (ring != 0)
    {
      memcpy (other + position, tape->rings[0], state.place);
      jump.size = 0;
      memcpy (other + position + state.place, &jump, sizeof jump);
    }
  state.place = MP_TAPE_PLACE (2, 0);
  mp_tape_commit (&tape->header->get, &state);

  mp_tape_count_abandoned (tape, slot.arena);
  mp_tape_put_back_abandoned (tape, slot.arena);
  mp_tape_recover (tape);
  while (mp_tape_finish (tape, OWNER, &searched))
    ;
  mp_slot_clear (&slot);
  mp_tape_free (tape);
}

static void
test_circle (void)
{
  alarm (60);
  check_circle (0, 0);
  check_circle (1, 0);
  alarm (0);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/tape-hostile/circle", test_circle);
  g_test_add_func ("/tape-hostile/edge", test_edge);
  g_test_add_func ("/tape-hostile/places", test_places);
  g_test_add_func ("/tape-hostile/tails", test_tails);

  return g_test_run ();
}
