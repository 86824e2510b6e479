/* mp-listener-clients.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-listener-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>

/* Clients from their connect() to the end of their handshakes. All in the thread that drives the core. */

/* Taken in at once, before others have their turn. */
#define MAX_NEW 64

/* Signals of failures that are kept for a context that does not run: a flood of bad clients must not fill memory. */
#define MAX_FAILURES 64

/* When there are no descriptors left, or no memory in the kernel, it is tried again after this time. */
#define RETRY_US 100000

typedef struct
{
  MpListenerCore *core;    /* (owned) */
  GError         *error;   /* (owned) */
} Failure;

/* Failures. */

static char *
describe_client (MpListenerClient *client)
{
  g_autoptr(GSocketAddress) address = g_socket_address_new_from_native (&client->address, client->address_size);
  int pid;

  if (address != NULL && G_IS_INET_SOCKET_ADDRESS (address))
    return g_socket_connectable_to_string (G_SOCKET_CONNECTABLE (address));

  pid = mp_socket_peer_pid (client->handshake.fd);
  return pid > 0 ? g_strdup_printf ("process %d", pid) : g_strdup ("a process");
}

static void
failure_free (gpointer data)
{
  Failure *self = data;

  g_error_free (self->error);
  mp_listener_core_unref (self->core);
  g_free (self);
}

static void
tell_failure_cb (gpointer data)
{
  Failure *self = data;
  g_autoptr(MpListener) listener = g_weak_ref_get (&self->core->listener);
  gboolean closed;

  mp_hub_lock ();
  self->core->n_failures--;
  closed = self->core->closed;
  mp_hub_unlock ();

  if (listener != NULL && !closed)
    mp_listener_tell_failed (listener, self->error);
}

/* Takes @error. */
static void
post_failure (MpListenerCore *core,
              GError         *error)
{
  Failure *failure = NULL;

  mp_hub_lock ();
  if (core->n_failures < MAX_FAILURES && !core->closed)
    {
      core->n_failures++;
      failure = g_new (Failure, 1);
      failure->core = mp_listener_core_ref (core);
      failure->error = g_steal_pointer (&error);
      mp_hub_post (core->context, core, tell_failure_cb, failure, failure_free);
    }
  mp_hub_unlock ();

  g_clear_error (&error);
}

/* That it goes on without them is tried now and then. */
static void
wait_for_fds (MpListenerCore *core,
              int             code)
{
  gboolean told = core->shortage_is_told;

  core->retry_at = g_get_monotonic_time () + RETRY_US;
  core->shortage_is_told = TRUE;
  if (!told)
    post_failure (core, g_error_new (G_IO_ERROR, g_io_error_from_errno (code),
                                     "listener: cannot take in the clients that wait: %s; it is tried again",
                                     g_strerror (code)));
}

/* Clients in their handshakes. */

static void
forget_client (MpListenerCore   *core,
               MpListenerClient *client)
{
  if (client->condition != 0)
    mp_poll_remove (core->poll_fd, client->watched_fd);
  client->condition = 0;
  mp_listener_tls_forget (client);

  mp_hub_lock ();
  g_queue_unlink (&core->stalled, &client->stall_link);
  g_queue_unlink (&core->due, &client->due_link);
  mp_hub_unlock ();
  /* Its descriptor may be what the next one waits for. */
  core->retry_at = -1;
}

/* Takes @error, and the client. */
static void
send_away (MpListenerCore   *core,
           MpListenerClient *client,
           GError           *error)
{
  g_autofree char *who = describe_client (client);

  forget_client (core, client);
  mp_listener_client_free (client);
  g_prefix_error (&error, "listener: %s: ", who);
  post_failure (core, error);
}

/* How far it has come. What is there beside TLS only one can send who knows the key. */
static guint
count_steps (MpListenerClient *client)
{
  MpHandshake *handshake = &client->handshake;
  guint n = handshake->auth != NULL ? mp_auth_get_n_taken (handshake->auth) : 0;

  if (handshake->tls != NULL && !mp_tls_is_at_gate (handshake->tls))
    n += handshake->is_secure ? 3 : mp_tls_is_under_way (handshake->tls) ? 2 : 1;
  return n;
}

/* The others have to go before it now. When the program came back to its clients after the deadline only, that was not
 * the client's fault. */
static void
note_progress (MpListenerCore   *core,
               MpListenerClient *client,
               gint64            now)
{
  gboolean late = client->due <= now;

  client->n_steps = count_steps (client);
  client->stalled_since = now;
  if (late)
    client->due = now + core->handshake_timeout_us;

  mp_hub_lock ();
  g_queue_unlink (&core->stalled, &client->stall_link);
  g_queue_push_tail_link (&core->stalled, &client->stall_link);
  if (late)
    {
      g_queue_unlink (&core->due, &client->due_link);
      g_queue_push_tail_link (&core->due, &client->due_link);
    }
  mp_hub_unlock ();
}

static gboolean
watch_client (MpListenerCore   *core,
              MpListenerClient *client)
{
  int fd = client->handshake.wait_fd;
  GIOCondition wanted = fd >= 0 ? client->handshake.condition : 0;
  int result = 0;

  if (client->condition != 0 && client->watched_fd != fd)
    {
      mp_poll_remove (core->poll_fd, client->watched_fd);
      client->condition = 0;
    }
  if (client->condition == 0 && wanted != 0)
    result = mp_poll_add (core->poll_fd, fd, wanted, GPOINTER_TO_SIZE (client));
  else if (client->condition != wanted)
    result = mp_poll_modify (core->poll_fd, fd, wanted, GPOINTER_TO_SIZE (client));
  if (result == 0)
    {
      client->condition = wanted;
      client->watched_fd = fd;
    }
  return result == 0;
}

void
mp_listener_step_client (MpListenerCore   *core,
                         MpListenerClient *client)
{
  GError *error = NULL;
  MpHandshakeState state;

  mp_listener_tls_prepare (core, client);
  state = mp_handshake_step (&client->handshake, &error);
  mp_listener_tls_note (core, client);
  switch (state)
    {
    case MP_HANDSHAKE_DONE:
      MP_TORTURE_POINT ("listener-shook-hands");
      forget_client (core, client);
      mp_listener_give_client (core, client);
      return;

    case MP_HANDSHAKE_WAITS:
      if (client->handshake.tls != NULL && mp_tls_lacks_fds (client->handshake.tls))
        wait_for_fds (core, EMFILE);
      if (count_steps (client) != client->n_steps)
        note_progress (core, client, g_get_monotonic_time ());
      if (watch_client (core, client))
        return;
      g_set_error (&error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot wait for it: %s", g_strerror (errno));
      break;

    case MP_HANDSHAKE_FAILED:
      break;
    }

  send_away (core, client, error);
}

void
mp_listener_send_away_late_ones (MpListenerCore *core)
{
  gint64 now = g_get_monotonic_time ();
  MpListenerClient *client;

  while (core->due.head != NULL && (client = core->due.head->data)->due <= now)
    send_away (core, client, g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "the handshake timed out"));
}

void
mp_listener_go_on_with_tls (MpListenerCore *core)
{
  MpListenerClient *client;

  while ((client = mp_listener_tls_get_stalled (core)) != NULL)
    send_away (core, client, g_error_new (G_IO_ERROR, G_IO_ERROR_BUSY, "it stalled in its handshake of TLS, and "
                                          "another one wanted its turn"));
  while (core->retry_at < 0 && (client = mp_listener_tls_get_next (core)) != NULL)
    mp_listener_step_client (core, client);
}

/* New ones. */

static void
receive_client (MpListenerCore                *core,
                int                            fd,
                const struct sockaddr_storage *address,
                socklen_t                      size)
{
  MpListenerClient *client = g_new0 (MpListenerClient, 1);
  gint64 now = g_get_monotonic_time ();
  GError *error = NULL;
  gboolean ok;

  client->stall_link.data = client->due_link.data = client;
  client->stalled_since = now;
  client->due = now + core->handshake_timeout_us;
  client->address = *address;
  client->address_size = size;
  ok = mp_handshake_init (&client->handshake, fd, MP_AUTH_LISTENER, core->authkey, core->allow_md5, -1, &error);

  mp_hub_lock ();
  g_queue_push_tail_link (&core->stalled, &client->stall_link);
  g_queue_push_tail_link (&core->due, &client->due_link);
  mp_hub_unlock ();

  if (!ok)
    {
      send_away (core, client, error);
      return;
    }

  mp_listener_tls_begin (core, client);
  mp_listener_step_client (core, client);
}

MpListenerClient *
mp_listener_get_most_stalled (MpListenerCore *core,
                              gint64         *due)
{
  MpListenerClient *chosen = NULL;
  GList *link;

  if (core->stalled.length < core->max_pending)
    return NULL;

  *due = G_MAXINT64;
  for (link = core->stalled.head; link != NULL; link = link->next)
    {
      MpListenerClient *client = link->data;
      gint64 patient_until = client->stalled_since + mp_listener_tls_get_patience (core, client);

      if (patient_until >= *due)
        continue;
      chosen = client;
      *due = patient_until;
    }
  return chosen;
}

/* FALSE: not yet. */
static gboolean
make_room (MpListenerCore *core)
{
  gint64 due;
  MpListenerClient *client = mp_listener_get_most_stalled (core, &due);

  if (client == NULL)
    return TRUE;
  if (due > g_get_monotonic_time ())
    return FALSE;

  send_away (core, client, g_error_new (G_IO_ERROR, G_IO_ERROR_BUSY,
                                        "it stalled, and another one wanted its place (max-pending)"));
  return TRUE;
}

void
mp_listener_receive_clients (MpListenerCore *core)
{
  struct sockaddr_storage address;
  socklen_t size;
  int fd;
  guint i;

  for (i = 0; i < MAX_NEW && core->retry_at < 0 && mp_listener_wants_client (core) && make_room (core); i++)
    {
      fd = mp_listen_accept (core->fd, &address, &size);
      if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
      if (fd < 0)
        {
          wait_for_fds (core, errno);
          return;
        }
      MP_TORTURE_POINT ("listener-accepted");
      core->shortage_is_told = FALSE;
      receive_client (core, fd, &address, size);
    }
}
