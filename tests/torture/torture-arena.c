/* torture-arena.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/platform/mp-file-lock-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Arenas: slots are made by each child in an arena of its own, and by the conductor, which lives on, in
 * another; each carries a tag. They are inherited by fork(), handed over by socket, also to children that are
 * not yet born, and dropped. As long as anybody refers to a slot it keeps its tag, whether its maker lives or
 * not: it has not become another one. When all are dropped, all come back. */

enum { BROKEN_NOTHING, BROKEN_USE_AFTER_DROP, BROKEN_LOST_ON_THE_WAY, BROKEN_LEAK };

#define MAX_HELD       96
#define N_OF_CONDUCTOR 48
#define MAX_SENT       4
#define MAX_INDEX      64     /* that a participant of the conductor's arena may get: there are far fewer at a time */
#define WHAT           "slot"

/* A slot that this process refers to. */
typedef struct
{
  MpSlotRef ref;
  guint64   tag;
} Held;

/* What is sent beside the descriptors. */
typedef struct
{
  guint64 tag;
  guint32 size;       /* of the state */
  guint32 n_fds;
  guint8  state[48];
} Sent;

typedef struct
{
  guint64 n_made;
  guint64 n_sent;
  guint64 n_received;
  guint64 n_forks;
  guint   highest_index;
} Data;

static Data *data;
static int   sockets[TORTURE_N_CHILDREN][2];   /* to write to, and to read from: each child has one */

static Held    held[MAX_HELD];
static guint   n_held;
static guint32 n_tags;

/* The conductor's. */
static guint32 n_conductor_slots;   /* the highest that it was given, plus 1 */

static MpSlotRef *leaked;

static void
check_tag (const Held *one)
{
  guint64 tag = __atomic_load_n (&one->ref.slot->state[0][0], __ATOMIC_SEQ_CST);
  guint32 generation = __atomic_load_n (&one->ref.slot->generation, __ATOMIC_SEQ_CST);

  torture_check (tag == one->tag && generation == one->ref.generation,
                 "slot %u, generation %u: has become another one, generation %u", one->ref.index, one->ref.generation,
                 generation);
}

static void
hold (const MpSlotRef *ref,
      guint64          tag)
{
  g_assert_cmpuint (n_held, <, MAX_HELD);
  held[n_held++] = (Held) { *ref, tag };
}

static void
drop (guint i)
{
  check_tag (&held[i]);
  if (torture_broken == BROKEN_LEAK && torture_get_child () < 0 && torture_random (2) == 0)
    leaked = g_memdup2 (&held[i].ref, sizeof held[i].ref);
  else if (torture_broken == BROKEN_USE_AFTER_DROP && torture_get_child () >= 0 && n_held > 1)
    {
      /* Goes on using what it has dropped. */
      Held kept = held[i];

      mp_slot_clear (&held[i].ref);
      g_usleep (torture_random (1000));
      check_tag (&kept);
    }
  else
    mp_slot_clear (&held[i].ref);
  held[i] = held[--n_held];
}

static void
make (gboolean isolated)
{
  g_autoptr(GError) error = NULL;
  guint64 tag = torture_get_serial () << 32 | ++n_tags;
  MpSlotRef ref;

  if (!mp_slot_new (&ref, MP_SLOT_TEST, 0, isolated, WHAT, &error))
    {
      torture_violation ("make: %s", error->message);
      return;
    }
  torture_check (ref.slot->word == 0 && ref.slot->state[0][0] == 0, "make: the slot is not empty");
  __atomic_store_n (&ref.slot->state[0][0], tag, __ATOMIC_SEQ_CST);
  hold (&ref, tag);
  if (torture_get_child () < 0)
    n_conductor_slots = MAX (n_conductor_slots, ref.index + 1);
  __atomic_fetch_add (&data->n_made, 1, __ATOMIC_RELAXED);
}

static void
setup (void)
{
  data = torture_alloc (sizeof *data);
  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    if (socketpair (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets[i]) < 0)
      g_error ("socketpair: %s", g_strerror (errno));
  while (n_held < N_OF_CONDUCTOR)
    make (FALSE);
}

static void
check_index (MpArena *arena)
{
  guint index = mp_arena_get_index_for_testing (arena);

  torture_check (index != 0 && mp_arena_get_self (arena) != 0, "fork: no place for the child");
  torture_check (index < MAX_INDEX, "fork: index %u: those of the dead do not come back", index);
  if (index > __atomic_load_n (&data->highest_index, __ATOMIC_RELAXED))
    __atomic_store_n (&data->highest_index, index, __ATOMIC_RELAXED);
}

/* A child begins with what the conductor has. */
static void
begin (void)
{
  n_tags = 0;
  check_index (held[0].ref.arena);
}

/* Sending. A message is on its way as long as its receiver takes, and may outlive its sender. */

static gboolean
describe (Sent       *sent,
          const Held *one,
          GArray     *fds)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) state = NULL;
  guint before = fds->len;

  state = mp_slot_describe (&one->ref, fds, WHAT, &error);
  if (state == NULL)
    {
      torture_violation ("describe: %s", error->message);
      return FALSE;
    }
  sent->tag = one->tag;
  sent->size = g_variant_get_size (state);
  sent->n_fds = fds->len - before;
  g_assert_cmpuint (sent->size, <=, sizeof sent->state);
  g_variant_store (state, sent->state);
  return TRUE;
}

static void
close_all (const int *fds,
           guint      n_fds)
{
  for (guint i = 0; i < n_fds; i++)
    close (fds[i]);
}

/* Others of the same memory, without the locks. */
static void
unlock_all (int   *fds,
            guint  n_fds)
{
  for (guint i = 0; i < n_fds; i++)
    {
      int fd = mp_file_lock_reopen (fds[i]);

      close (fds[i]);
      fds[i] = fd;
    }
}

static void
send_some (void)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  Sent sent[MAX_SENT] = { 0 };
  union { struct cmsghdr header; char room[CMSG_SPACE (MAX_SENT * sizeof (int))]; } control;
  guint n = 1 + torture_random (MIN (n_held, MAX_SENT));
  struct iovec vector = { sent, n * sizeof *sent };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

  for (guint i = 0; i < n; i++)
    if (!describe (&sent[i], &held[torture_random (n_held)], fds))
      return;
  if (torture_broken == BROKEN_LOST_ON_THE_WAY)
    unlock_all ((int *) fds->data, fds->len);

  if (fds->len > 0)
    {
      message.msg_control = control.room;
      message.msg_controllen = CMSG_SPACE (fds->len * sizeof (int));
      control.header.cmsg_level = SOL_SOCKET;
      control.header.cmsg_type = SCM_RIGHTS;
      control.header.cmsg_len = CMSG_LEN (fds->len * sizeof (int));
      memcpy (CMSG_DATA (&control.header), fds->data, fds->len * sizeof (int));
    }
  if (sendmsg (sockets[torture_random (TORTURE_N_CHILDREN)][0], &message, MSG_NOSIGNAL) >= 0)
    __atomic_fetch_add (&data->n_sent, n, __ATOMIC_RELAXED);
  close_all ((int *) fds->data, fds->len);
}

/* How many there are, or -1: nothing there. */
static int
receive_message (int   fd,
                 Sent  sent[MAX_SENT],
                 int   fds[MAX_SENT],
                 guint *n_fds)
{
  union { struct cmsghdr header; char room[CMSG_SPACE (MAX_SENT * sizeof (int))]; } control;
  struct iovec vector = { sent, MAX_SENT * sizeof *sent };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.room,
                            .msg_controllen = sizeof control.room };
  struct cmsghdr *header;
  gssize size = recvmsg (fd, &message, MSG_CMSG_CLOEXEC);

  *n_fds = 0;
  if (size < 0)
    return -1;
  header = CMSG_FIRSTHDR (&message);
  if (header != NULL && header->cmsg_type == SCM_RIGHTS)
    {
      *n_fds = (header->cmsg_len - CMSG_LEN (0)) / sizeof (int);
      memcpy (fds, CMSG_DATA (header), *n_fds * sizeof (int));
    }
  return size / sizeof *sent;
}

static void
adopt (const Sent *sent,
       int        *fds)
{
  g_autoptr(GBytes) bytes = g_bytes_new (sent->state, sent->size);
  g_autoptr(GVariant) state = NULL;
  g_autoptr(GError) error = NULL;
  MpSlotRef ref;

  state = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE ("(ttuuq)"), bytes, FALSE));
  if (!mp_slot_adopt (&ref, MP_SLOT_TEST, state, fds, sent->n_fds, WHAT, &error))
    {
      torture_violation ("adopt: %s", error->message);
      return;
    }
  hold (&ref, sent->tag);
  check_tag (&held[n_held - 1]);
  __atomic_fetch_add (&data->n_received, 1, __ATOMIC_RELAXED);
}

static gboolean
receive (int fd)
{
  Sent sent[MAX_SENT];
  int fds[MAX_SENT];
  guint n_fds;
  guint used = 0;
  int n = receive_message (fd, sent, fds, &n_fds);

  for (int i = 0; i < n && used + sent[i].n_fds <= n_fds; i++)
    {
      adopt (&sent[i], &fds[used]);
      used += sent[i].n_fds;
    }
  close_all (fds, n_fds);
  return n >= 0;
}

/* A fork in a child: who is born has all of it as well, and a place of its own, and goes before long. */
static void
fork_here (void)
{
  guint before = mp_arena_get_index_for_testing (held[0].ref.arena);
  pid_t pid = fork ();
  int status;

  if (pid == 0)
    {
      guint violations = 0;

      check_index (held[0].ref.arena);
      violations += mp_arena_get_index_for_testing (held[0].ref.arena) == before;
      while (n_held > 0)
        drop (n_held - 1);
      _exit (violations);
    }
  if (pid < 0)
    return;
  while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
    ;
  torture_check (WIFEXITED (status) && WEXITSTATUS (status) == 0, "fork: the child has its parent's place");
  __atomic_fetch_add (&data->n_forks, 1, __ATOMIC_RELAXED);
}

static void
step (void)
{
  guint what = torture_random (100);

  if (n_held > MAX_HELD - MAX_SENT - 1 || (what < 30 && n_held > 1))
    drop (torture_random (n_held));
  else if (what < 50)
    make (torture_random (50) == 0);
  else if (what < 70)
    send_some ();
  else if (what < 98)
    receive (sockets[torture_get_child ()][1]);
  else if (torture_random (8) == 0)
    fork_here ();
  for (guint i = 0; i < 8; i++)
    check_tag (&held[torture_random (n_held)]);
}

/* The conductor's slots are others again and again, as far as nobody refers to them any more. */
static void
check (void)
{
  for (guint i = 0; i < 4; i++)
    {
      drop (torture_random (n_held));
      make (FALSE);
      if (torture_random (4) == 0)
        send_some ();
    }
}

/* All that there was is dropped: then as many can be made, and none of them is fresh. */
static void
finish (void)
{
  MpArena *arena = mp_arena_ref (held[0].ref.arena);
  guint32 n = n_conductor_slots;

  torture_check (!mp_file_lock_is_taken (mp_arena_get_fd_for_testing (arena), 0, MP_ARENA_N_PARTICIPANTS),
                 "at the end: a child that is gone has its index");
  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    {
      Sent sent[MAX_SENT];
      int fds[MAX_SENT];
      guint n_fds;

      while (receive_message (sockets[i][1], sent, fds, &n_fds) >= 0)
        close_all (fds, n_fds);
    }
  while (n_held > 0)
    drop (n_held - 1);

  for (guint32 i = 0; i < n; i++)
    {
      g_autoptr(GError) error = NULL;
      MpSlotRef ref;

      if (!mp_slot_new (&ref, MP_SLOT_TEST, 0, FALSE, WHAT, &error))
        g_error ("%s", error->message);
      n_conductor_slots = MAX (n_conductor_slots, ref.index + 1);
    }
  mp_arena_unref (arena);
  torture_check (n_conductor_slots == n, "at the end: %u of %u slots did not come back", n_conductor_slots - n, n);
}

static void
figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " slots made, %" G_GUINT64_FORMAT " sent, %" G_GUINT64_FORMAT
                          " received, %" G_GUINT64_FORMAT " forks, %u of the conductor's, highest index %u; ",
                          data->n_made, data->n_sent, data->n_received, data->n_forks, n_conductor_slots,
                          data->highest_index);
}

static const char *const points[] = { "participant-", "slot-", NULL };
static const char *const variants[] = { "use-after-drop", "lost-on-the-way", "leak", NULL };

const TorturePrimitive torture_arena = {
  "arena", points, variants, setup, begin, step, check, finish, figures,
};
