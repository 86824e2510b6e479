/* test-arena.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "arena-test.h"
#include "mp-glib/arena/mp-slot-users-private.h"

#include <sys/stat.h>

static MpSlotRef forked_ref;   /* what children inherit */

static void
test_new (void)
{
  g_autoptr(GError) error = NULL;
  MpSlotRef ref, other;
  guint i;

  g_assert_true (mp_slot_new (&ref, MP_SLOT_TEST, 7, FALSE, WHAT, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (ref.slot->kind, ==, MP_SLOT_TEST);
  g_assert_cmpuint (ref.slot->flags, ==, 7);
  g_assert_cmpuint (ref.slot->generation, ==, ref.generation);
  g_assert_cmpuint (ref.generation, !=, 0);
  g_assert_cmpuint (ref.slot->word, ==, 0);
  g_assert_cmpuint ((guintptr) ref.slot % 64, ==, 0);
  g_assert_false (mp_slot_is_isolated (&ref));

  make_slot (&other, FALSE);
  g_assert_true (other.arena == ref.arena);
  g_assert_cmpuint (other.index, !=, ref.index);
  g_assert_false (mp_slot_equal (&ref, &other));
  g_assert_true (mp_slot_equal (&ref, &ref));
  mp_slot_clear (&other);
  g_assert_null (other.arena);
  mp_slot_clear (&other);

  /* What was in it does not come again. */
  memset (&ref.slot->word, 0xff, sizeof ref.slot->word);
  memset (ref.slot->state, 0xff, sizeof ref.slot->state);
  ref.slot->watchers = ref.slot->which = ref.slot->sequence = 1;
  other = ref;
  mp_slot_clear (&ref);
  for (i = 0; i < 3; i++)
    {
      mp_slot_clear (&ref);
      make_slot (&ref, FALSE);
      if (ref.index == other.index)
        break;
    }
  g_assert_cmpuint (ref.index, ==, other.index);
  g_assert_cmpuint (ref.generation, ==, other.generation + 1);
  g_assert_cmpuint (ref.slot->word | ref.slot->watchers | ref.slot->which | ref.slot->sequence, ==, 0);
  g_assert_cmpuint (ref.slot->flags, ==, 0);
  g_assert_cmpuint (ref.slot->state[0][0] | ref.slot->state[0][1], ==, 0);
  g_assert_cmpuint (ref.slot->state[1][0] | ref.slot->state[1][1], ==, 0);
  mp_slot_clear (&ref);
}

static void
test_isolated (void)
{
  MpSlotRef one, two, usual;
  g_autoptr(GPtrArray) before = NULL;
  g_autoptr(GPtrArray) during = NULL;
  g_autoptr(GPtrArray) after = NULL;

  make_slot (&usual, FALSE);
  before = mp_arena_list ();
  make_slot (&one, TRUE);
  make_slot (&two, TRUE);
  during = mp_arena_list ();
  g_assert_true (mp_slot_is_isolated (&one));
  g_assert_true (one.arena != two.arena && one.arena != usual.arena);
  g_assert_cmpuint (during->len, ==, before->len + 2);
  mp_slot_clear (&one);
  mp_slot_clear (&two);
  mp_slot_clear (&usual);
  g_clear_pointer (&during, g_ptr_array_unref);
  after = mp_arena_list ();
  g_assert_cmpuint (after->len, ==, before->len);
}

/* Of several slots in a message the first brings the descriptor. */
static void
test_describe (void)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  MpSlotRef refs[4], copy;
  int *list;
  guint i;

  for (i = 0; i < 4; i++)
    make_slot (&refs[i], i == 3);
  for (i = 0; i < 4; i++)
    {
      g_autoptr(GVariant) state = mp_slot_describe (&refs[i], fds, WHAT, &error);

      g_assert_no_error (error);
      g_assert_false (g_variant_is_floating (state));
      g_assert_cmpuint (fds->len, ==, i == 3 ? 2 : 1);

      list = (int *) (gpointer) fds->data;
      g_assert_true (mp_slot_adopt (&copy, MP_SLOT_TEST, state, i == 3 ? list + 1 : list, i == 0 || i == 3, WHAT,
                                    &error));
      g_assert_no_error (error);
      g_assert_true (mp_slot_equal (&copy, &refs[i]));
      mp_slot_clear (&copy);
    }
  close_fds ((int *) (gpointer) fds->data, fds->len);
  for (i = 0; i < 4; i++)
    mp_slot_clear (&refs[i]);
}

/* Another process: it has nothing of the arena before a slot of it comes, and nothing after. */
static void
use_and_drop (int socket)
{
  guint n_slots = hear (socket), i;
  MpSlotRef ref;

  for (i = 0; i < n_slots; i++)
    {
      g_autoptr(GPtrArray) list = NULL;

      get_slot (socket, &ref);
      list = mp_arena_list ();
      g_assert_cmpuint (list->len, ==, 1);
      __atomic_fetch_add (&ref.slot->state[0][0], 1, __ATOMIC_SEQ_CST);
      tell (socket, mp_arena_get_self (ref.arena));
      hear (socket);
      g_clear_pointer (&list, g_ptr_array_unref);
      mp_slot_clear (&ref);
      list = mp_arena_list ();
      g_assert_cmpuint (list->len, ==, 0);
      tell (socket, 0);
    }
  hear_end (socket);
}

static void
share_elsewhere (int unused)
{
  Peer peer = peer_start (use_and_drop);
  MpOwner peer_self;
  MpSlotRef ref;
  guint32 index;
  guint i;

  tell (peer.socket, 2);
  for (i = 0; i < 2; i++)
    {
      make_slot (&ref, i == 1);
      send_slot (peer.socket, &ref);
      peer_self = hear (peer.socket);
      g_assert_cmpuint (__atomic_load_n (&ref.slot->state[0][0], __ATOMIC_SEQ_CST), ==, 1);
      g_assert_cmpuint (peer_self, !=, mp_arena_get_self (ref.arena));
      g_assert_true (mp_arena_is_alive (ref.arena, peer_self));
      tell (peer.socket, 0);
      hear (peer.socket);
      g_assert_false (mp_arena_is_alive (ref.arena, peer_self));
      index = ref.index;
      mp_slot_clear (&ref);
      if (i == 0)
        g_assert_true (is_used_again (index));
    }
  shutdown (peer.socket, SHUT_WR);
  peer_join (&peer);
}

static void
test_elsewhere (void)
{
  run_apart (share_elsewhere);
}

static void
reuse_after_others (int unused)
{
  guint i;

  for (i = 0; i < 2; i++)
    {
      Peer peer = peer_start (hold_one);
      guint n_before;
      MpSlotRef ref;
      guint32 index;

      make_slot (&ref, FALSE);
      index = ref.index;
      send_slot (peer.socket, &ref);
      hear (peer.socket);
      mp_slot_clear (&ref);
      g_assert_false (is_used_again (index));
      n_before = mp_arena_counts.n_reclaimed;

      if (i == 0)
        {
          tell (peer.socket, 0);
          hear (peer.socket);
          g_assert_true (is_used_again (index));
        }
      peer_kill (&peer);
      g_assert_true (is_used_again (index));
      g_assert_cmpuint (mp_arena_counts.n_reclaimed, >, n_before);
    }
}

static void
test_reuse (void)
{
  run_apart (reuse_after_others);
}

/* Takes the index of a dead one over; what that held is not its own. Leaves, and comes again. */
static void
take_over (int socket)
{
  guint i, n_before = mp_arena_counts.n_indices_reused;
  MpSlotRef ref;

  for (i = 0; i < 2; i++)
    {
      get_slot (socket, &ref);
      tell (socket, mp_arena_get_self (ref.arena));
      hear (socket);
      mp_slot_clear (&ref);
    }
  g_assert_cmpuint (mp_arena_counts.n_indices_reused, ==, n_before + 1);
}

static void
inherit_index (int unused)
{
  Peer before = peer_start (hold_one), after = peer_start (take_over);
  MpOwner first, second;
  MpSlotRef ref, other;
  guint32 index;

  make_slot (&ref, FALSE);
  make_slot (&other, FALSE);
  index = ref.index;
  send_slot (before.socket, &ref);
  hear (before.socket);
  mp_slot_clear (&ref);
  peer_kill (&before);

  send_slot (after.socket, &other);
  first = hear (after.socket);
  g_assert_cmpuint (MP_OWNER_INDEX (first), ==, 2);
  g_assert_cmpuint (MP_OWNER_GENERATION (first), ==, 2);
  g_assert_true (is_used_again (index));
  tell (after.socket, 0);
  send_slot (after.socket, &other);
  second = hear (after.socket);
  g_assert_cmpuint (MP_OWNER_INDEX (second), ==, 2);
  g_assert_cmpuint (MP_OWNER_GENERATION (second), ==, 3);
  tell (after.socket, 0);
  peer_join (&after);
  mp_slot_clear (&other);
}

static void
test_take_over (void)
{
  run_apart (inherit_index);
}

/* Sends on what it got, lets go of it, and ends. */
static void
pass_on (int socket)
{
  MpSlotRef ref;

  get_slot (socket, &ref);
  send_slot (socket, &ref);
  mp_slot_clear (&ref);
}

/* The maker dropped its own; the sender is dead: the slot is in a socket only. */
static void
keep_on_its_way (int unused)
{
  guint i;

  for (i = 0; i < 2; i++)
    {
      Peer peer = peer_start (pass_on);
      MpSlotRef ref, copy;
      guint32 index;

      make_slot (&ref, FALSE);
      index = ref.index;
      ref.slot->state[0][0] = 99;
      send_slot (peer.socket, &ref);
      mp_slot_clear (&ref);
      wait_well (peer.pid);
      g_assert_false (is_used_again (index));

      if (i == 0)
        {
          get_slot (peer.socket, &copy);
          g_assert_cmpuint (copy.index, ==, index);
          g_assert_cmpuint (copy.slot->state[0][0], ==, 99);
          g_assert_false (is_used_again (index));
          mp_slot_clear (&copy);
        }
      /* Else nobody reads it any more: it goes with the socket. */
      mp_fd_close (&peer.socket);
      g_assert_true (is_used_again (index));
    }
}

static void
test_on_its_way (void)
{
  run_apart (keep_on_its_way);
}

/* A slot goes to and fro between two processes, each of which lets go of it as soon as it has sent it, while its maker
 * looks for free ones. Between their rows are those of many dead that had it too: to look at these takes so long that
 * it has often gone from the one row to the other meanwhile. */
#define N_ROUNDS 1000
#define N_DEAD   200

static int ball[2];

static void
hold_inherited (int socket)
{
  hear (socket);
}

static void
catch_and_throw (int socket)
{
  MpArena *arena = mp_arena_ref (forked_ref.arena);   /* so that the index stays */
  MpSlotRef ref;
  guint i;

  mp_slot_clear (&forked_ref);
  tell (socket, 0);
  for (i = 0; i < N_ROUNDS; i++)
    {
      get_slot (ball[1], &ref);
      send_slot (ball[1], &ref);
      mp_slot_clear (&ref);
    }
  mp_arena_unref (arena);
}

static void
throw_and_catch (int socket)
{
  MpArena *arena = mp_arena_ref (forked_ref.arena);
  MpSlotRef ref = forked_ref;
  guint i;

  for (i = 0; i < N_ROUNDS; i++)
    {
      if (i == 1)
        tell (socket, 0);
      send_slot (ball[0], &ref);
      mp_slot_clear (&ref);
      get_slot (ball[0], &ref);
      g_assert_cmpuint (ref.slot->state[0][0], ==, 4711);
    }
  tell (socket, 1);
  hear (socket);
  mp_slot_clear (&ref);
  mp_arena_unref (arena);
}

static void
look_meanwhile (int unused)
{
  g_autoptr(GArray) others = g_array_new (FALSE, FALSE, sizeof (MpSlotRef));
  gboolean is_over = FALSE;
  Peer dead[N_DEAD];
  Peer first, last;
  MpSlotRef ref;
  guint32 index;
  guint i;

  g_assert_no_errno (mp_socket_pair (ball, 0));
  make_slot (&forked_ref, FALSE);
  index = forked_ref.index;
  forked_ref.slot->state[0][0] = 4711;
  first = peer_start (catch_and_throw);
  for (i = 0; i < N_DEAD; i++)
    dead[i] = peer_start (hold_inherited);
  hear (first.socket);
  last = peer_start (throw_and_catch);
  for (i = 0; i < N_DEAD; i++)
    peer_kill (&dead[i]);
  hear (last.socket);
  mp_slot_clear (&forked_ref);

  while (!is_over)
    {
      guint64 word;

      /* Nothing else is free, so that each looks at it. */
      make_slot (&ref, FALSE);
      g_assert_cmpuint (ref.index, !=, index);
      g_array_append_val (others, ref);
      is_over = recv (last.socket, &word, sizeof word, MSG_DONTWAIT) > 0;
    }
  g_test_message ("%u looks", others->len);
  tell (last.socket, 0);
  peer_join (&last);
  peer_join (&first);
  close_fds (ball, 2);
  g_assert_true (is_used_again (index));
  for (i = 0; i < others->len; i++)
    mp_slot_clear (&g_array_index (others, MpSlotRef, i));
}

static void
test_ball (void)
{
  run_apart (look_meanwhile);
}

/* What a process that is gone has made. */
static void
make_and_die (int socket)
{
  MpSlotRef refs[2];

  make_slot (&refs[0], FALSE);
  make_slot (&refs[1], FALSE);
  refs[0].slot->state[1][1] = 5;
  send_slot (socket, &refs[0]);
  send_slot (socket, &refs[1]);
  tell (socket, mp_arena_get_self (refs[0].arena));
  hear (socket);
}

static void
test_maker_dies (void)
{
  Peer peer = peer_start (make_and_die);
  Peer other = peer_start (hold_one);
  MpSlotRef refs[2];
  MpOwner maker;

  get_slot (peer.socket, &refs[0]);
  get_slot (peer.socket, &refs[1]);
  maker = hear (peer.socket);
  g_assert_true (mp_arena_is_alive (refs[0].arena, maker));
  peer_kill (&peer);
  g_assert_false (mp_arena_is_alive (refs[0].arena, maker));
  g_assert_cmpuint (refs[0].slot->state[1][1], ==, 5);

  /* It still travels. */
  send_slot (other.socket, &refs[0]);
  hear (other.socket);
  peer_kill (&other);
  mp_slot_clear (&refs[0]);
  mp_slot_clear (&refs[1]);
}

static void
sit (int socket)
{
  g_autoptr(GPtrArray) list = mp_arena_list ();
  MpArena *arena = g_ptr_array_index (list, 0);

  tell (socket, mp_arena_get_self (arena));
  hear (socket);
}

static void
count_the_living (int unused)
{
  MpOwner first, second, self;
  guint n_before;
  MpSlotRef ref;
  Peer peer;

  make_slot (&ref, FALSE);
  self = mp_arena_get_self (ref.arena);
  g_assert_cmpuint (MP_OWNER_INDEX (self), ==, mp_arena_get_index_for_testing (ref.arena));
  g_assert_true (mp_arena_is_alive (ref.arena, self));
  g_assert_false (mp_arena_is_alive (ref.arena, 0));
  g_assert_false (mp_arena_is_alive (ref.arena, self + (1 << 16)));
  g_assert_false (mp_arena_is_alive (ref.arena, self - (1 << 16)));
  g_assert_false (mp_arena_is_alive (ref.arena, (MpOwner) 1 << 16));
  g_assert_false (mp_arena_is_alive (ref.arena, (MpOwner) 1 << 16 | MP_ARENA_N_PARTICIPANTS));
  g_assert_false (mp_arena_is_alive (ref.arena, ~(MpOwner) 0));

  peer = peer_start (sit);
  first = hear (peer.socket);
  g_assert_cmpuint (MP_OWNER_INDEX (first), !=, MP_OWNER_INDEX (self));
  g_assert_true (mp_arena_is_alive (ref.arena, first));
  peer_kill (&peer);
  g_assert_false (mp_arena_is_alive (ref.arena, first));

  /* The index comes again, and is told from what it was. */
  n_before = mp_arena_counts.n_indices_reused;
  peer = peer_start (sit);
  second = hear (peer.socket);
  g_assert_cmpuint (MP_OWNER_INDEX (second), ==, MP_OWNER_INDEX (first));
  g_assert_cmpuint (MP_OWNER_GENERATION (second), ==, MP_OWNER_GENERATION (first) + 1);
  g_assert_cmpuint (mp_arena_counts.n_indices_reused, ==, n_before + 1);
  g_assert_true (mp_arena_is_alive (ref.arena, second));
  g_assert_false (mp_arena_is_alive (ref.arena, first));

  /* Stopped is not dead. */
  kill (peer.pid, SIGSTOP);
  g_assert_true (mp_arena_is_alive (ref.arena, second));
  kill (peer.pid, SIGCONT);
  peer_kill (&peer);
  mp_slot_clear (&ref);
}

static void
test_alive (void)
{
  run_apart (count_the_living);
}

/* One descriptor, and as much memory as there are slots. */
#define N_MANY 100000

static void
make_many (int unused)
{
  MpSlotRef *refs = g_new (MpSlotRef, N_MANY);
  guint n_before = mp_arena_counts.n_reclaimed;
  struct stat status;
  guint i, n_fds = 0;
  int fd;

  for (i = 0; i < N_MANY; i++)
    make_slot (&refs[i], FALSE);
  for (fd = 0; fd < 1024; fd++)
    n_fds += fstat (fd, &status) == 0 && status.st_size > 64 * 1024 * 1024 && S_ISREG (status.st_mode);
  g_assert_cmpuint (n_fds, ==, 1);

  g_assert_no_errno (fstat (mp_arena_get_fd_for_testing (refs[0].arena), &status));
  g_test_message ("%.1f MiB of shared memory for %u slots", status.st_blocks * 512 / 1048576.0, N_MANY);
  g_assert_cmpint (status.st_blocks * 512, <, N_MANY * 66);
  for (i = 0; i < N_MANY; i++)
    mp_slot_clear (&refs[i]);

  /* And they come again, with no more memory. */
  for (i = 0; i < N_MANY; i++)
    make_slot (&refs[i], FALSE);
  for (i = 0; i < N_MANY; i++)
    {
      g_assert_cmpuint (refs[i].index, <, N_MANY);
      g_assert_cmpuint (refs[i].generation, ==, 2);
    }
  g_assert_cmpuint (mp_arena_counts.n_reclaimed, ==, n_before + N_MANY);
  for (i = 0; i < N_MANY; i++)
    mp_slot_clear (&refs[i]);
  g_free (refs);
}

static void
test_many (void)
{
  run_apart (make_many);
}

/* Rings: a child's bell, by its index modulo 64. */
static void
answer_bell (int socket)
{
  MpSlotRef ref;
  guint32 *bell;
  guint64 rung;

  get_slot (socket, &ref);
  bell = mp_arena_get_doorbell (ref.arena);
  g_assert_cmpuint (mp_arena_take_rung (ref.arena), ==, 0);
  tell (socket, mp_arena_get_self (ref.arena));
  while ((rung = mp_arena_take_rung (ref.arena)) == 0)
    {
      guint32 value = __atomic_load_n (bell, __ATOMIC_SEQ_CST);

      if ((rung = mp_arena_take_rung (ref.arena)) != 0)
        break;
      mp_futex_wait (bell, value, -1);
    }
  g_assert_cmphex (rung, ==, G_GUINT64_CONSTANT (1) << (ref.index % 64));
  g_assert_cmpuint (mp_arena_take_rung (ref.arena), ==, 0);
  mp_slot_clear (&ref);
  tell (socket, rung);
}

static void
test_doorbell (void)
{
  Peer peer = peer_start (answer_bell);
  MpSlotRef ref;
  guint32 *own;
  guint32 before;
  MpOwner other;

  make_slot (&ref, FALSE);
  own = mp_arena_get_doorbell (ref.arena);
  before = *own;
  send_slot (peer.socket, &ref);
  other = hear (peer.socket);
  mp_arena_ring (&ref, ~(G_GUINT64_CONSTANT (1) << (MP_OWNER_INDEX (other) % 64)) &
                       ~(G_GUINT64_CONSTANT (1) << (mp_arena_get_index_for_testing (ref.arena) % 64)));
  g_assert_cmpuint (*own, ==, before);
  mp_arena_ring (&ref, G_GUINT64_CONSTANT (1) << (MP_OWNER_INDEX (other) % 64));
  g_assert_cmphex (hear (peer.socket), ==, G_GUINT64_CONSTANT (1) << (ref.index % 64));
  g_assert_cmpuint (*own, ==, before);
  peer_join (&peer);

  mp_arena_ring (&ref, G_GUINT64_CONSTANT (1) << (mp_arena_get_index_for_testing (ref.arena) % 64));
  g_assert_cmpuint (*own, ==, before + 1);
  g_assert_cmphex (mp_arena_take_rung (ref.arena), ==, G_GUINT64_CONSTANT (1) << (ref.index % 64));
  mp_slot_clear (&ref);
}

/* A process that has a slot twice still has it when it lets go once. */
static void
test_twice (void)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  MpSlotRef ref, again;
  guint index;

  make_slot (&ref, FALSE);
  index = MP_OWNER_INDEX (mp_arena_get_self (ref.arena));
  state = mp_slot_describe (&ref, fds, WHAT, &error);
  g_assert_no_error (error);
  mp_slot_adopt (&again, MP_SLOT_TEST, state, (int *) (gpointer) fds->data, fds->len, WHAT, &error);
  g_assert_no_error (error);
  g_assert_true (again.slot == ref.slot);
  close_fds ((int *) (gpointer) fds->data, fds->len);

  mp_slot_clear (&again);
  g_assert_true (mp_slot_is_held_by (&ref, index));
  mp_slot_clear (&ref);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/arena/new", test_new);
  g_test_add_func ("/arena/isolated", test_isolated);
  g_test_add_func ("/arena/describe", test_describe);
  g_test_add_func ("/arena/twice", test_twice);
  g_test_add_func ("/arena/elsewhere", test_elsewhere);
  g_test_add_func ("/arena/reuse", test_reuse);
  g_test_add_func ("/arena/take-over", test_take_over);
  g_test_add_func ("/arena/on-its-way", test_on_its_way);
  g_test_add_func ("/arena/ball", test_ball);
  g_test_add_func ("/arena/maker-dies", test_maker_dies);
  g_test_add_func ("/arena/alive", test_alive);
  g_test_add_func ("/arena/many", test_many);
  g_test_add_func ("/arena/doorbell", test_doorbell);
  return g_test_run ();
}
