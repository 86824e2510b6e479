/* test-arena-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "arena-test.h"
#include "mp-glib/arena/mp-arena-parts-private.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* What comes from another process, and is not what it should be. All of it is done to a copy of a good message: a file
 * with the same bytes, and the state. */

#define N_SLOTS        64u
#define N_PARTICIPANTS 128u

typedef struct
{
  MpArenaHeader header;
  gsize         size;
  int           seals;
  gboolean      is_leased;   /* to be opened for writing by nobody else, at first */
  Packet        packet;
  guint         n_fds;
} Message;

typedef struct
{
  const char *name;
  void     (* spoil) (Message *message);
  const char *complaint;   /* NULL: it is accepted */
} Fault;

static void spoil_nothing      (Message *m) { }
static void spoil_seal         (Message *m) { m->seals = 0; }
static void spoil_seal_only_grow (Message *m) { m->seals = F_SEAL_GROW; }
static void spoil_lease        (Message *m) { m->is_leased = TRUE; }
static void spoil_writable     (Message *m) { m->seals |= F_SEAL_FUTURE_WRITE; }
static void spoil_empty        (Message *m) { m->size = 0; }
static void spoil_header_only  (Message *m) { m->size = 40; }
static void spoil_small        (Message *m) { m->size -= MP_ARENA_PAGE; }
static void spoil_large        (Message *m) { m->size += MP_ARENA_PAGE; }
static void spoil_magic        (Message *m) { m->header.magic ^= 1; }
static void spoil_version      (Message *m) { m->header.version++; }
static void spoil_id           (Message *m) { m->header.id[1]++; }
static void spoil_no_slots     (Message *m) { m->header.n_slots = 0; }
static void spoil_odd_slots    (Message *m) { m->header.n_slots = 63; }
static void spoil_more_slots   (Message *m) { m->header.n_slots *= 2; }
static void spoil_all_slots    (Message *m) { m->header.n_slots = G_MAXUINT32 & ~63u; }
static void spoil_nobody       (Message *m) { m->header.n_participants = 1; }
static void spoil_fewer_people (Message *m) { m->header.n_participants /= 2; }
static void spoil_all_people   (Message *m) { m->header.n_participants = G_MAXUINT32; }
static void spoil_index        (Message *m) { m->packet.index = N_SLOTS; }
static void spoil_far_index    (Message *m) { m->packet.index = G_MAXUINT32; }
static void spoil_older        (Message *m) { m->packet.generation--; }
static void spoil_younger      (Message *m) { m->packet.generation++; }
static void spoil_unused       (Message *m) { m->packet.index = 5; }
static void spoil_generation_0 (Message *m) { m->packet.index = 5; m->packet.generation = 0; }
static void spoil_kind         (Message *m) { m->packet.kind = MP_SLOT_LOCK; }
static void spoil_no_fds       (Message *m) { m->n_fds = 0; }
static void spoil_two_fds      (Message *m) { m->n_fds = 2; }
/* These two are words that change: whatever is in them, it is bounded. */
static void spoil_used         (Message *m) { m->header.n_participants_used = G_MAXUINT32; }
static void spoil_slots_used   (Message *m) { m->header.n_slots_used = G_MAXUINT32; }

#define MALFORMED "Received a malformed slot: "

static const Fault faults[] = {
  { "none", spoil_nothing, NULL },
  { "participants-used", spoil_used, NULL },
  { "slots-used", spoil_slots_used, NULL },
  { "unsealed", spoil_seal, MALFORMED "it comes without sealed memory" },
  { "wrong-seal", spoil_seal_only_grow, MALFORMED "it comes without sealed memory" },
  { "leased", spoil_lease, "slot: its memory cannot be mapped: Resource temporarily unavailable" },
  { "read-only", spoil_writable, "slot: its memory cannot be mapped: Operation not permitted" },
  { "empty", spoil_empty, MALFORMED "its memory is too small" },
  { "cut-header", spoil_header_only, MALFORMED "its memory is too small" },
  { "too-small", spoil_small, MALFORMED "the size of its memory" },
  { "too-large", spoil_large, MALFORMED "the size of its memory" },
  { "magic", spoil_magic, MALFORMED "its memory is something else" },
  { "version", spoil_version, MALFORMED "its memory is of another version of this library" },
  { "id", spoil_id, MALFORMED "it is in other memory than it says" },
  { "no-slots", spoil_no_slots, MALFORMED "the counts in its memory" },
  { "odd-slots", spoil_odd_slots, MALFORMED "the counts in its memory" },
  { "more-slots", spoil_more_slots, MALFORMED "the size of its memory" },
  { "all-slots", spoil_all_slots, MALFORMED "the counts in its memory" },
  { "nobody", spoil_nobody, MALFORMED "the counts in its memory" },
  { "fewer-participants", spoil_fewer_people, MALFORMED "the size of its memory" },
  { "all-participants", spoil_all_people, MALFORMED "the counts in its memory" },
  { "index", spoil_index, MALFORMED "it is outside of its memory" },
  { "far-index", spoil_far_index, MALFORMED "it is outside of its memory" },
  { "older", spoil_older, MALFORMED "it is gone" },
  { "younger", spoil_younger, MALFORMED "it is gone" },
  { "unused", spoil_unused, MALFORMED "it is gone" },
  { "generation-0", spoil_generation_0, MALFORMED "it is of another kind" },
  { "kind", spoil_kind, MALFORMED "it is of another kind" },
  { "no-descriptor", spoil_no_fds, MALFORMED "it comes without its memory" },
  { "two-descriptors", spoil_two_fds, MALFORMED "it comes without sealed memory" },
};

/* A good one, of the second object of a slot, so that there is an older one. Its maker is gone when it is used. */
static void
make_message (int socket)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  Packet packet = { { 0 } };
  MpSlotRef ref;

  mp_arena_set_sizes_for_testing (N_SLOTS, N_PARTICIPANTS);
  make_slot (&ref, FALSE);
  mp_slot_clear (&ref);
  make_slot (&ref, FALSE);
  g_assert_cmpuint (ref.generation, ==, 2);
  state = mp_slot_describe (&ref, fds, WHAT, &error);
  g_assert_no_error (error);
  packet_fill (&packet, state);
  send_packet (socket, &packet, (const int *) (gpointer) fds->data, fds->len);
}

/* Who opens it for writing is kept waiting, until the kernel takes the lease away. */
static int
lease (int fd)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  int leased = open (path, O_RDONLY | O_CLOEXEC);

  g_assert_no_errno (leased);
  mp_fd_close (&fd);
  signal (SIGIO, SIG_IGN);
  g_assert_no_errno (fcntl (leased, F_SETLEASE, F_RDLCK));
  return leased;
}

/* A file of the message's size, with as much of the bytes as go in. */
static int
copy_file (const Message *message,
           const guint8  *bytes)
{
  int fd = memfd_create ("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_no_errno (fd);
  g_assert_no_errno (ftruncate (fd, message->size));
  if (message->size >= MP_ARENA_PAGE)
    g_assert_cmpint (pwrite (fd, bytes, message->size, 0), ==, message->size);
  g_assert_cmpint (pwrite (fd, &message->header, MIN (message->size, sizeof message->header), 0), >=, 0);
  if (message->seals != 0)
    g_assert_no_errno (fcntl (fd, F_ADD_SEALS, message->seals));
  return message->is_leased ? lease (fd) : fd;
}

static void
test_fault (gconstpointer data)
{
  const Fault *fault = data;
  Peer peer = peer_start (make_message);
  Message message = { .seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, .n_fds = 1 };
  g_autoptr(GPtrArray) before = mp_arena_list ();
  g_autoptr(GPtrArray) after = NULL;
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *bytes = NULL;
  int fds[MP_SOCKET_MAX_FDS];
  struct stat status;
  gboolean truncated;
  MpSlotRef ref;
  guint n_fds;
  int code;

  g_assert_cmpint (mp_socket_recv (peer.socket, &message.packet, sizeof message.packet, fds, &n_fds, &truncated, TRUE),
                   ==, sizeof message.packet);
  g_assert_cmpuint (n_fds, ==, 1);
  peer_join (&peer);
  g_assert_no_errno (fstat (fds[0], &status));
  message.size = status.st_size;
  bytes = g_malloc0 (message.size + 2 * MP_ARENA_PAGE);
  g_assert_cmpint (pread (fds[0], bytes, message.size, 0), ==, message.size);
  memcpy (&message.header, bytes, sizeof message.header);
  mp_fd_close (&fds[0]);

  fault->spoil (&message);
  fds[0] = copy_file (&message, bytes);
  fds[1] = mp_fd_dup (fds[0]);
  state = packet_get_state (&message.packet);
  if (mp_slot_adopt (&ref, MP_SLOT_TEST, state, fds, message.n_fds, WHAT, &error))
    {
      Peer child;

      g_assert_no_error (error);
      g_assert_null (fault->complaint);

      /* The counts that cannot be trusted are used here. */
      mp_arena_ring (&ref, ~G_GUINT64_CONSTANT (0));
      child = peer_start (hear_end);
      shutdown (child.socket, SHUT_WR);
      peer_join (&child);
      mp_slot_clear (&ref);
    }
  else
    {
      g_assert_nonnull (fault->complaint);
      g_assert_cmpstr (error->message, ==, fault->complaint);
      code = g_str_has_prefix (fault->complaint, MALFORMED) ? MP_ERROR_PROTOCOL : MP_ERROR_FAILED;
      g_assert_true (g_error_matches (error, MP_ERROR, code));
      g_assert_null (ref.arena);
    }
  close_fds (fds, 2);

  after = mp_arena_list ();
  g_assert_cmpuint (after->len, ==, before->len);
}

static void
refuse (GVariant   *state,   /* (transfer full), or floating */
        int         fd,
        const char *complaint)
{
  g_autoptr(GVariant) owned = g_variant_take_ref (state);
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;

  g_assert_false (mp_slot_adopt (&ref, MP_SLOT_TEST, owned, &fd, fd >= 0, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpstr (error->message, ==, complaint);
  g_assert_null (ref.arena);
}

/* Other states, and other files than memory; a pipe must not be waited for. */
static void
test_foreign (void)
{
  guint64 id = 1;
  int pipe_fds[2], fd;

  refuse (g_variant_new ("(tttuu)", id, id, id, 0, 1), -1, MALFORMED "its state");
  refuse (g_variant_new ("s", "lock"), -1, MALFORMED "its state");
  refuse (g_variant_new ("()"), -1, MALFORMED "its state");
  refuse (g_variant_new (STATE_TYPE, id, id, 0, 1, MP_SLOT_TEST), -1, MALFORMED "it comes without its memory");

  g_assert_no_errno (mp_fd_pipe (pipe_fds));
  refuse (g_variant_new (STATE_TYPE, id, id, 0, 1, MP_SLOT_TEST), pipe_fds[0],
          MALFORMED "it comes without sealed memory");
  close_fds (pipe_fds, 2);
  fd = mp_fd_open_null ();
  refuse (g_variant_new (STATE_TYPE, id, id, 0, 1, MP_SLOT_TEST), fd, MALFORMED "it comes without sealed memory");
  mp_fd_close (&fd);
  fd = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  refuse (g_variant_new (STATE_TYPE, id, id, 0, 1, MP_SLOT_TEST), fd, MALFORMED "it comes without sealed memory");
  mp_fd_close (&fd);
  fd = mp_fd_memory_file ("other", 64);
  refuse (g_variant_new (STATE_TYPE, id, id, 0, 1, MP_SLOT_TEST), fd, MALFORMED "its memory is too small");
  mp_fd_close (&fd);
  fd = mp_fd_memory_file ("other", 8192);
  refuse (g_variant_new (STATE_TYPE, id, id, 0, 1, MP_SLOT_TEST), fd, MALFORMED "its memory is something else");
  mp_fd_close (&fd);
}

/* What a process has itself: an older object of a slot that it still has mapped; a copy of the memory. */
static void
test_own (void)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  MpSlotRef ref, other;
  Packet packet;
  int copy;

  make_slot (&ref, TRUE);
  state = mp_slot_describe (&ref, fds, WHAT, &error);
  g_assert_no_error (error);
  packet_fill (&packet, state);

  packet.generation--;
  refuse (packet_get_state (&packet), -1, MALFORMED "it is of another kind");
  packet.generation += 2;
  refuse (packet_get_state (&packet), -1, MALFORMED "it is gone");
  packet.generation--;
  packet.index = MP_ARENA_ISOLATED_SLOTS;
  refuse (packet_get_state (&packet), g_array_index (fds, int, 0), MALFORMED "it is outside of its memory");
  packet.index = ref.index;

  copy = mp_fd_memory_file ("copy", ref.arena->layout.size);
  g_assert_cmpint (pwrite (copy, ref.arena->base, ref.arena->layout.mapped, 0), ==, ref.arena->layout.mapped);
  refuse (packet_get_state (&packet), copy, MALFORMED "its memory is a copy");
  mp_fd_close (&copy);

  /* None of these has let go of what was held. */
  g_assert_true (mp_slot_adopt (&other, MP_SLOT_TEST, state, NULL, 0, WHAT, &error));
  mp_slot_clear (&other);
  g_assert_cmpuint (ref.slot->generation, ==, ref.generation);
  mp_slot_clear (&ref);
  close_fds ((int *) (gpointer) fds->data, fds->len);
}

static void
hold_or_complain (int socket)
{
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;

  if (receive_slot (socket, &ref, &error))
    tell (socket, 1);
  else
    {
      g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
      g_assert_cmpstr (error->message, ==, "slot: 3 processes share its memory, and it has no room for more");
      tell (socket, 0);
    }
  hear (socket);
}

/* Everybody is there who can be; a death makes room. */
static void
fill_participants (int unused)
{
  Peer peers[4];
  MpSlotRef ref;
  guint i;

  for (i = 0; i < 4; i++)
    peers[i] = peer_start (hold_or_complain);
  mp_arena_set_sizes_for_testing (64, 4);
  make_slot (&ref, FALSE);
  for (i = 0; i < 3; i++)
    {
      send_slot (peers[i].socket, &ref);
      g_assert_cmpuint (hear (peers[i].socket), ==, i < 2);
    }
  peer_kill (&peers[0]);
  send_slot (peers[3].socket, &ref);
  g_assert_cmpuint (hear (peers[3].socket), ==, 1);
  for (i = 1; i < 4; i++)
    peer_kill (&peers[i]);
  mp_slot_clear (&ref);
}

static void
test_full (void)
{
  run_apart (fill_participants);
}

static void
fill_slots (int unused)
{
  g_autoptr(GError) error = NULL;
  MpSlotRef refs[64];
  MpSlotRef one;
  guint i;

  mp_arena_set_sizes_for_testing (64, 4);
  for (i = 0; i < 64; i++)
    make_slot (&refs[i], FALSE);
  g_assert_false (mp_slot_new (&one, MP_SLOT_TEST, 0, FALSE, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FULL);
  g_assert_cmpstr (error->message, ==, "slot: all of the 64 places of this process are in use");
  g_assert_null (one.arena);

  /* The one that is free is found wherever it is. */
  for (i = 0; i < 64; i += 21)
    {
      mp_slot_clear (&refs[i]);
      make_slot (&one, FALSE);
      g_assert_cmpuint (one.index, ==, i);
      refs[i] = one;
    }
  for (i = 0; i < 64; i++)
    mp_slot_clear (&refs[i]);
}

static void
test_slots_full (void)
{
  run_apart (fill_slots);
}

static void
set_limit (int    resource,
           rlim_t value)
{
  struct rlimit limit;

  g_assert_no_errno (getrlimit (resource, &limit));
  limit.rlim_cur = value;
  g_assert_no_errno (setrlimit (resource, &limit));
}

/* Less room than usual: a smaller arena; none: an error, and no SIGXFSZ. */
static void
limit_files (int unused)
{
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;

  set_limit (RLIMIT_FSIZE, 16 * 1024 * 1024);
  make_slot (&ref, FALSE);
  g_assert_cmpuint (ref.arena->n_slots, <, MP_ARENA_N_SLOTS);
  g_assert_cmpuint (ref.arena->n_slots, >=, 1024);
  mp_slot_clear (&ref);

  set_limit (RLIMIT_FSIZE, 4096);
  g_assert_false (mp_slot_new (&ref, MP_SLOT_TEST, 0, TRUE, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "slot: no shared memory: File too large");
}

static void
limit_descriptors (int unused)
{
  g_autoptr(GError) error = NULL;
  int free_fd = dup (0);
  MpSlotRef ref;
  guint i;

  close (free_fd);
  set_limit (RLIMIT_NOFILE, free_fd);
  for (i = 0; i < 2; i++)
    {
      g_assert_false (mp_slot_new (&ref, MP_SLOT_TEST, 0, i == 1, WHAT, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
      g_assert_cmpstr (error->message, ==, "slot: no shared memory: Too many open files");
      g_clear_error (&error);
    }
  set_limit (RLIMIT_NOFILE, free_fd + 1);
  g_assert_false (mp_slot_new (&ref, MP_SLOT_TEST, 0, FALSE, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_clear_error (&error);
  set_limit (RLIMIT_NOFILE, free_fd + 10);
  make_slot (&ref, FALSE);
  mp_slot_clear (&ref);
}

static void
test_limits (void)
{
  run_apart (limit_files);
  run_apart (limit_descriptors);
}

/* Where there is no /proc, it is said. */
static MpSlotRef inherited;
static char *empty_root;

static gboolean
leave_proc (void)
{
  return (unshare (CLONE_NEWUSER) == 0 || geteuid () == 0) && chroot (empty_root) == 0 && chdir ("/") == 0;
}

static void
do_without_proc (int socket)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;

  if (!leave_proc ())
    {
      tell (socket, 0);
      return;
    }
  tell (socket, 1);

  g_assert_false (receive_slot (socket, &ref, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==,
                   "slot: its memory cannot be mapped without /proc/self/fd: No such file or directory");
  g_clear_error (&error);
  g_assert_false (mp_slot_new (&ref, MP_SLOT_TEST, 0, FALSE, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "slot: no shared memory without /proc/self/fd: No such file or directory");
  g_clear_error (&error);

  /* What it had is its own still; it cannot be sent, and not be had by a child. */
  g_assert_cmpuint (mp_arena_get_self (inherited.arena), !=, 0);
  g_assert_null (mp_slot_describe (&inherited, fds, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  g_assert_true (g_str_has_prefix (error->message,
                                   "slot: cannot be sent: its memory cannot be opened without /proc/self/fd: "));
  /* Valgrind does not survive a fork() here. */
  if (g_getenv ("MP_TESTS_SLOW") == NULL)
    {
      pid_t pid = fork ();

      if (pid == 0)
        _exit (mp_arena_get_self (inherited.arena) != 0);
      g_assert_cmpint (wait_status (pid), ==, 0);
    }
  tell (socket, 2);
}

static void
test_no_proc (void)
{
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;
  Peer peer;

  empty_root = g_dir_make_tmp ("mp-glib-XXXXXX", &error);
  g_assert_no_error (error);
  make_slot (&inherited, FALSE);
  peer = peer_start (do_without_proc);
  if (hear (peer.socket) == 0)
    g_test_skip ("no other root can be had here");
  else
    {
      make_slot (&ref, TRUE);
      send_slot (peer.socket, &ref);
      g_assert_cmpuint (hear (peer.socket), ==, 2);
      mp_slot_clear (&ref);
    }
  peer_join (&peer);
  mp_slot_clear (&inherited);
  g_assert_no_errno (rmdir (empty_root));
  g_clear_pointer (&empty_root, g_free);
}

static void
do_nothing (int socket)
{
}

/* Somebody keeps locks that are not his: nothing is had twice for it, and nothing waits. */
static void
lock_all (int unused)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;
  guint i;
  int fd;

  mp_arena_set_sizes_for_testing (64, 4);
  make_slot (&ref, FALSE);
  fd = mp_file_lock_reopen (mp_arena_get_fd_for_testing (ref.arena));
  for (i = 2; i < 4; i++)
    g_assert_true (mp_file_lock_take (fd, i, TRUE));
  for (i = 0; i < 64; i++)
    g_assert_true (mp_file_lock_take (fd, MP_ARENA_SLOT_BYTE + i, TRUE));
  g_assert_null (mp_slot_describe (&ref, fds, WHAT, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_FAILED);
  close_fds ((int *) (gpointer) fds->data, fds->len);
  g_clear_pointer (&fds, g_array_unref);
  g_clear_error (&error);
  run_apart (do_nothing);
  g_assert_true (mp_arena_is_alive (ref.arena, mp_arena_get_self (ref.arena)));
  mp_slot_clear (&ref);
  g_assert_false (is_used_again (0));
  mp_fd_close (&fd);
  g_assert_true (is_used_again (0));
}

static void
test_locked (void)
{
  run_apart (lock_all);
}

int
main (int   argc,
      char *argv[])
{
  guint i;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (faults); i++)
    {
      g_autofree char *path = g_strdup_printf ("/arena-faults/damaged/%s", faults[i].name);

      g_test_add_data_func (path, &faults[i], test_fault);
    }
  g_test_add_func ("/arena-faults/foreign", test_foreign);
  g_test_add_func ("/arena-faults/own", test_own);
  g_test_add_func ("/arena-faults/full", test_full);
  g_test_add_func ("/arena-faults/slots-full", test_slots_full);
  g_test_add_func ("/arena-faults/limits", test_limits);
  g_test_add_func ("/arena-faults/no-proc", test_no_proc);
  g_test_add_func ("/arena-faults/locked", test_locked);
  return g_test_run ();
}
