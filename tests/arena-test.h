/* arena-test.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-file-lock-private.h"
#include "mp-glib/platform/mp-futex-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Processes that share an arena, for tests of it: children by fork(), with a socket between the two. */

#define WHAT       "slot"
#define STATE_TYPE "(ttuuq)"

typedef struct
{
  pid_t pid;
  int   socket;
} Peer;

typedef void (* PeerFunc) (int socket);

/* Valgrind takes for lost what the compiler has dropped in a branch that does not return; a kill it does not look at. */
static inline void
leave (void)
{
  if (g_getenv ("MP_TESTS_SLOW") != NULL)
    raise (SIGKILL);
  _exit (0);
}

static inline Peer
peer_start (PeerFunc func)
{
  Peer peer;
  int pair[2];

  g_assert_no_errno (mp_socket_pair (pair, 0));
  peer.socket = pair[0];
  peer.pid = fork ();
  g_assert_no_errno (peer.pid);
  if (peer.pid == 0)
    {
      close (pair[0]);
      func (pair[1]);
      leave ();
    }
  close (pair[1]);
  return peer;
}

static inline int
wait_status (pid_t pid)
{
  int status;

  while (waitpid (pid, &status, 0) != pid)
    g_assert_cmpint (errno, ==, EINTR);
  return status;
}

/* It has to end well by itself. */
static inline void
wait_well (pid_t pid)
{
  int status = wait_status (pid);

  if (g_getenv ("MP_TESTS_SLOW") == NULL || !WIFSIGNALED (status) || WTERMSIG (status) != SIGKILL)
    g_assert_cmpint (status, ==, 0);
}

static inline void
peer_join (Peer *peer)
{
  wait_well (peer->pid);
  mp_fd_close (&peer->socket);
}

static inline void
peer_kill (Peer *peer)
{
  int status;

  kill (peer->pid, SIGKILL);
  status = wait_status (peer->pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  mp_fd_close (&peer->socket);
}

/* Runs @func in a process of its own: with no arena but those that are held here, and with limits of its own. */
static inline void
run_apart (PeerFunc func)
{
  Peer peer = peer_start (func);

  peer_join (&peer);
}

static inline void
tell (int     socket,
      guint64 word)
{
  g_assert_cmpint (send (socket, &word, sizeof word, MSG_NOSIGNAL), ==, sizeof word);
}

static inline guint64
hear (int socket)
{
  guint64 word = G_MAXUINT64;

  g_assert_cmpint (recv (socket, &word, sizeof word, MSG_WAITALL), ==, sizeof word);
  return word;
}

/* The other side has closed it, or is dead. */
static inline void
hear_end (int socket)
{
  guint64 word;

  g_assert_cmpint (recv (socket, &word, sizeof word, MSG_WAITALL), ==, 0);
}

/* A state and its descriptors, as a message of values brings them. */
typedef struct
{
  guint64 id[2];
  guint32 index;
  guint32 generation;
  guint32 kind;
  guint32 n_fds;
} Packet;

static inline void
close_fds (int   *fds,
           guint  n)
{
  while (n > 0)
    mp_fd_close (&fds[--n]);
}

static inline GVariant *
packet_get_state (const Packet *packet)
{
  return g_variant_ref_sink (g_variant_new (STATE_TYPE, packet->id[0], packet->id[1], packet->index,
                                            packet->generation, (guint16) packet->kind));
}

static inline void
packet_fill (Packet   *packet,
             GVariant *state)
{
  guint16 kind;

  g_variant_get (state, STATE_TYPE, &packet->id[0], &packet->id[1], &packet->index, &packet->generation, &kind);
  packet->kind = kind;
}

static inline void
send_packet (int           socket,
             const Packet *packet,
             const int    *fds,
             guint         n_fds)
{
  struct iovec iov = { (gpointer) packet, sizeof *packet };

  g_assert_cmpint (mp_socket_send (socket, &iov, 1, fds, n_fds, TRUE), ==, sizeof *packet);
}

static inline void
send_slot (int              socket,
           const MpSlotRef *ref)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) state = mp_slot_describe (ref, fds, WHAT, &error);
  Packet packet = { { 0 } };

  g_assert_no_error (error);
  packet_fill (&packet, state);
  packet.n_fds = fds->len;
  send_packet (socket, &packet, (const int *) (gpointer) fds->data, fds->len);
  close_fds ((int *) (gpointer) fds->data, fds->len);
}

static inline gboolean
receive_slot (int         socket,
              MpSlotRef  *ref,
              GError    **error)
{
  g_autoptr(GVariant) state = NULL;
  int fds[MP_SOCKET_MAX_FDS];
  gboolean truncated, good;
  guint n_fds = 0;
  Packet packet;

  g_assert_cmpint (mp_socket_recv (socket, &packet, sizeof packet, fds, &n_fds, &truncated, TRUE), ==, sizeof packet);
  g_assert_cmpuint (n_fds, ==, packet.n_fds);
  state = packet_get_state (&packet);
  good = mp_slot_adopt (ref, MP_SLOT_TEST, state, fds, n_fds, WHAT, error);
  close_fds (fds, n_fds);
  return good;
}

static inline void
make_slot (MpSlotRef *ref,
           gboolean   isolated)
{
  g_autoptr(GError) error = NULL;

  mp_slot_new (ref, MP_SLOT_TEST, 0, isolated, WHAT, &error);
  g_assert_no_error (error);
}

static inline void
get_slot (int        socket,
          MpSlotRef *ref)
{
  g_autoptr(GError) error = NULL;

  receive_slot (socket, ref, &error);
  g_assert_no_error (error);
}

/* Holds until it is told to let go, or killed. */
static inline void
hold_one (int socket)
{
  MpSlotRef ref;

  get_slot (socket, &ref);
  tell (socket, 0);
  hear (socket);
  mp_slot_clear (&ref);
  tell (socket, 0);
  hear (socket);
}

/* Whether the maker hands this slot out again, before fresh ones. */
static inline gboolean
is_used_again (guint32 index)
{
  MpSlotRef refs[64];
  gboolean found = FALSE;
  guint n = 0;

  do
    {
      g_assert_cmpuint (n, <, G_N_ELEMENTS (refs));
      make_slot (&refs[n], FALSE);
      found = refs[n].index == index;
    }
  while (!found && refs[n++].generation != 1);
  if (found)
    n++;
  while (n > 0)
    mp_slot_clear (&refs[--n]);
  return found;
}
