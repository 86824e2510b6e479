/* mp-listener-core.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-listener-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include <errno.h>
#include <unistd.h>

/* What the epoll set gives back, beside the addresses of clients. */
enum { TOKEN_SOCKET = 1, TOKEN_TIMER, TOKEN_READY };

#define N_EVENTS  64   /* taken at once */
#define MAX_TURNS 8    /* before others have theirs */

/* Clients whose signal has not come yet: then the others wait in the socket's backlog. */
#define MAX_READY 16

/* A driver does nothing that lasts. */
#define CLOSE_WAIT_US G_USEC_PER_SEC

MpListenerCore *
mp_listener_core_new (void)
{
  MpListenerCore *core = g_new0 (MpListenerCore, 1);

  g_atomic_ref_count_init (&core->ref_count);
  g_weak_ref_init (&core->listener, NULL);
  core->file = (MpSocketFile) MP_SOCKET_FILE_INIT;
  core->directory = (MpSocketDirectory) MP_SOCKET_DIRECTORY_INIT;
  core->fd = core->poll_fd = core->timer_fd = core->ready_fd = -1;
  core->armed_for = core->retry_at = -1;
  core->closed = TRUE;   /* until it listens */
  return core;
}

MpListenerCore *
mp_listener_core_ref (MpListenerCore *core)
{
  g_atomic_ref_count_inc (&core->ref_count);
  return core;
}

void
mp_listener_core_unref (MpListenerCore *core)
{
  if (!g_atomic_ref_count_dec (&core->ref_count))
    return;

  /* Who closes it has seen to all else. */
  g_weak_ref_clear (&core->listener);
  g_clear_pointer (&core->context, g_main_context_unref);
  g_clear_pointer (&core->authkey, g_bytes_unref);
  g_clear_object (&core->tls_certificate);
  g_clear_object (&core->tls_database);
  g_free (core);
}

void
mp_listener_client_free (MpListenerClient *client)
{
  mp_handshake_clear (&client->handshake);
  g_free (client);
}

/* The descriptors. */

static gboolean
make_descriptors (MpListenerCore *core)
{
  core->poll_fd = mp_poll_new ();
  core->timer_fd = mp_timer_new ();
  core->ready_fd = mp_fd_eventfd ();
  core->condition = G_IO_IN;
  core->armed_for = -1;
  core->ready_is_told = FALSE;
  core->pid = getpid ();

  return core->poll_fd >= 0 && core->timer_fd >= 0 && core->ready_fd >= 0 &&
         mp_poll_add (core->poll_fd, core->fd, core->condition, TOKEN_SOCKET) == 0 &&
         mp_poll_add (core->poll_fd, core->timer_fd, G_IO_IN, TOKEN_TIMER) == 0 &&
         mp_poll_add (core->poll_fd, core->ready_fd, G_IO_IN, TOKEN_READY) == 0;
}

static void
close_descriptors (MpListenerCore *core)
{
  mp_fd_close (&core->poll_fd);
  mp_fd_close (&core->timer_fd);
  mp_fd_close (&core->ready_fd);
}

gboolean
mp_listener_core_listen (MpListenerCore  *core,
                         int              fd,
                         GError         **error)
{
  core->fd = fd;
  MP_TORTURE_POINT ("listener-listens");
  if (make_descriptors (core) && mp_hub_try_prepare ("listener", error))
    {
      core->closed = FALSE;
      return TRUE;
    }

  if (error == NULL || *error == NULL)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "listener: cannot wait for clients: %s",
                 g_strerror (errno));
  mp_socket_file_remove (&core->file);
  mp_socket_directory_remove (&core->directory);
  mp_fd_close (&core->fd);
  close_descriptors (core);
  return FALSE;
}

/* Those who are ready, and those who want them. */

/* One that is cancelled is about to be told so. */
static MpListenerAccept *
find_accept (MpListenerCore *core)
{
  GList *link;

  for (link = core->accepts.head; link != NULL; link = link->next)
    if (!g_cancellable_is_cancelled (((MpListenerAccept *) link->data)->cancellable))
      return link->data;
  return NULL;
}

/* Whether one more may come in: not while nobody wants it, for another process may have the same socket. */
gboolean
mp_listener_wants_client (MpListenerCore *core)
{
  gboolean wants;

  mp_hub_lock ();
  if (core->closed || core->ready.length >= MAX_READY)
    wants = FALSE;
  else
    wants = core->started || find_accept (core) != NULL || (core->looking && core->ready.head == NULL);
  mp_hub_unlock ();

  return wants;
}

static void
end_accept (MpListenerCore   *core,
            MpListenerAccept *op,
            GQueue           *finished)
{
  g_queue_unlink (&core->accepts, &op->link);
  op->queued = FALSE;
  if (op->blocking)
    mp_hub_changed ();
  else
    g_queue_push_tail_link (finished, &op->link);
}

static void
note_accepted (MpListenerCore   *core,
               MpListenerClient *client)
{
  core->last_accepted = client->address;
  core->last_accepted_size = client->address_size;
}

static MpListenerClient *
take_ready (MpListenerCore *core)
{
  GList *link = g_queue_pop_head_link (&core->ready);
  MpListenerClient *client = link != NULL ? link->data : NULL;

  if (client != NULL)
    note_accepted (core, client);
  return client;
}

/* The clients' signals, in the listener's context. */
static void
tell_clients_cb (gpointer data)
{
  MpListenerCore *core = data;
  g_autoptr(MpListener) listener = g_weak_ref_get (&core->listener);
  MpListenerClient *client;
  guint i;

  for (i = 0; i < MAX_READY && listener != NULL; i++)
    {
      g_autoptr(MpConnection) connection = NULL;

      mp_hub_lock ();
      client = core->started && find_accept (core) == NULL ? take_ready (core) : NULL;
      mp_hub_unlock ();
      if (client == NULL)
        break;

      /* A thread that turns a context need not have made it its default one. */
      g_main_context_push_thread_default (core->context);
      connection = mp_handshake_finish (&client->handshake, core->max_message_size);
      g_main_context_pop_thread_default (core->context);
      mp_listener_client_free (client);
      mp_listener_tell_connection (listener, connection);
    }

  mp_hub_lock ();
  core->telling = FALSE;
  mp_hub_unlock ();
  mp_listener_core_drive (core);
}

/* With the lock. */
static void
hand_out (MpListenerCore *core,
          GQueue         *finished)
{
  MpListenerAccept *op;

  while (core->ready.head != NULL && (op = find_accept (core)) != NULL)
    {
      op->client = take_ready (core);
      end_accept (core, op, finished);
    }

  if (core->ready.head != NULL && core->started && !core->telling && !core->closed)
    {
      core->telling = TRUE;
      mp_hub_post (core->context, core, tell_clients_cb, mp_listener_core_ref (core),
                   (GDestroyNotify) mp_listener_core_unref);
    }
}

/* Takes the client. */
void
mp_listener_give_client (MpListenerCore   *core,
                         MpListenerClient *client)
{
  GQueue finished = G_QUEUE_INIT;

  mp_hub_lock ();
  g_queue_push_tail_link (&core->ready, &client->due_link);
  hand_out (core, &finished);
  mp_hub_unlock ();

  mp_listener_finish_accepts (&finished);
}

/* What the descriptors are to wait for. */

static void
update_socket (MpListenerCore *core)
{
  gint64 stalled_due = -1;
  MpListenerClient *most_stalled = mp_listener_get_most_stalled (core, &stalled_due);
  GIOCondition wanted = G_IO_IN;
  gint64 now = g_get_monotonic_time ();
  gint64 due = -1, tls_due = mp_listener_tls_get_due (core);
  gboolean full;

  mp_hub_lock ();
  full = core->started && core->ready.length >= MAX_READY;
  mp_hub_unlock ();

  if (core->due.head != NULL)
    due = ((MpListenerClient *) core->due.head->data)->due;
  if (tls_due >= 0)
    due = MIN (due, tls_due);
  if (core->retry_at >= 0)
    {
      wanted = 0;
      due = due < 0 ? core->retry_at : MIN (due, core->retry_at);
    }
  else if (most_stalled != NULL && stalled_due > now)
    {
      wanted = 0;
      due = MIN (due, stalled_due);
    }
  else if (full)
    {
      wanted = 0;
    }

  if (wanted != core->condition && mp_poll_modify (core->poll_fd, core->fd, wanted, TOKEN_SOCKET) == 0)
    core->condition = wanted;
  if (due != core->armed_for)
    mp_timer_set (core->timer_fd, due);
  core->armed_for = due;
}

/* With the lock, at the end of what the driver does. */
static void
update_waiters (MpListenerCore *core)
{
  gboolean demanded = (core->started || find_accept (core) != NULL) && !core->closed;
  gboolean tells = core->ready.head != NULL && !demanded;

  if (core->poll_fd < 0 || core->closed)
    return;

  if (tells != core->ready_is_told && tells)
    mp_fd_signal (core->ready_fd);
  else if (tells != core->ready_is_told)
    mp_fd_clear_signal (core->ready_fd);
  core->ready_is_told = tells;

  if (core->watch != NULL)
    mp_hub_modify_watch (core->watch, demanded ? G_IO_IN : 0);
}

static void
drive_cb (gpointer data)
{
  mp_listener_core_drive (data);
  mp_listener_core_unref (data);
}

/* Under the hub's lock nothing is done but to say so. */
static void
poll_fd_cb (MpWatch      *watch,
            GIOCondition  condition,
            gpointer      data)
{
  MpListenerCore *core = data;

  mp_hub_modify_watch (watch, 0);
  mp_hub_run_unlocked (drive_cb, mp_listener_core_ref (core));
}

/* Driving. */

static void
dispatch (MpListenerCore    *core,
          const MpPollEvent *events,
          int                n)
{
  gboolean new_ones = FALSE;
  int i;

  for (i = 0; i < n; i++)
    switch (events[i].data)
      {
      case TOKEN_SOCKET:
        new_ones = TRUE;
        break;
      case TOKEN_TIMER:
        mp_timer_clear (core->timer_fd);
        core->armed_for = -1;
        core->retry_at = -1;
        new_ones = TRUE;
        break;
      case TOKEN_READY:
        break;
      default:
        mp_listener_step_client (core, GSIZE_TO_POINTER (events[i].data));
      }

  /* After the others: these have been heard when a new one wants the place of one that is silent. */
  if (new_ones)
    mp_listener_receive_clients (core);
}

static void
turn (MpListenerCore *core)
{
  MpPollEvent events[N_EVENTS];
  int n = N_EVENTS;
  guint i;

  for (i = 0; i < MAX_TURNS && n == N_EVENTS; i++)
    {
      n = mp_poll_wait (core->poll_fd, events, N_EVENTS, 0);
      dispatch (core, events, n);
    }
  mp_listener_send_away_late_ones (core);
  mp_listener_go_on_with_tls (core);
  update_socket (core);
}

/* Those who wait are told, and have the descriptor in a set of their own: it is closed when the last of them is
 * gone. */
void
mp_listener_core_release (MpListenerCore *core)
{
  /* While the hub watches them who closes it has not come so far yet. */
  if (core->closed && core->watch == NULL && core->spots == NULL)
    close_descriptors (core);
}

static void
free_links (GQueue *queue)
{
  GList *link;

  while ((link = g_queue_pop_head_link (queue)) != NULL)
    mp_listener_client_free (link->data);
}

/* Takes all that there is, from under the lock. */
static void
tear_down (MpListenerCore *core)
{
  GQueue clients = G_QUEUE_INIT, ready, finished = G_QUEUE_INIT;
  GList *link;

  mp_hub_lock ();
  g_clear_pointer (&core->watch, mp_hub_remove_watch);
  while ((link = core->stalled.head) != NULL)
    {
      MpListenerClient *client = link->data;

      g_queue_unlink (&core->stalled, &client->stall_link);
      g_queue_unlink (&core->due, &client->due_link);
      mp_listener_tls_forget (client);
      g_queue_push_tail_link (&clients, &client->due_link);
    }
  ready = core->ready;
  g_queue_init (&core->ready);
  while (core->accepts.head != NULL)
    {
      MpListenerAccept *op = core->accepts.head->data;

      g_set_error (&op->error, G_IO_ERROR, G_IO_ERROR_CLOSED, "The listener is closed");
      end_accept (core, op, &finished);
    }
  mp_hub_unlock ();

  /* The file first: who looks whether somebody listens there must not find one that is just going. */
  mp_socket_file_remove (&core->file);
  MP_TORTURE_POINT ("listener-removed");
  mp_socket_directory_remove (&core->directory);
  mp_fd_close (&core->fd);
  mp_hub_lock ();
  for (link = core->spots; link != NULL; link = link->next)
    mp_wait_spot_tell (link->data);
  mp_listener_core_release (core);
  mp_hub_unlock ();
  free_links (&clients);
  free_links (&ready);
  mp_listener_finish_accepts (&finished);
}

static GSList *left_behind;   /* (element-type GList): clients of the process that this one was forked from */

static void
leave_behind (GQueue *clients)
{
  GList *link;

  for (link = clients->head; link != NULL; link = link->next)
    mp_fd_close (&((MpListenerClient *) link->data)->handshake.fd);
  if (clients->head != NULL)
    left_behind = g_slist_prepend (left_behind, clients->head);
  g_queue_init (clients);
}

/* A forked copy of the process has the socket, too, and may go on with it; but what is done to the other descriptors is
 * done to those of both, and clients in their handshakes are the parent's. Their structures may have been in the midst
 * of a change: they are left lying, and so are calls of threads that are not there any more. Nobody hears of signals
 * here, because the hub's source is the parent's: so nothing is taken for them. */
static void
begin_anew (MpListenerCore *core)
{
  g_clear_pointer (&core->posts, mp_hub_unref_context);
  core->started = FALSE;
  g_clear_pointer (&core->watch, mp_hub_remove_watch);
  g_queue_init (&core->accepts);
  leave_behind (&core->stalled);
  leave_behind (&core->ready);
  g_queue_init (&core->due);
  g_queue_init (&core->tls_waiting);
  g_queue_init (&core->tls_under_way);
  g_clear_pointer (&core->spots, g_list_free);
  core->telling = core->driving = FALSE;
  core->n_failures = 0;
  core->retry_at = -1;

  close_descriptors (core);
  if (core->fd >= 0 && !make_descriptors (core))
    g_warning ("Cannot wait for clients of a listener: %s", g_strerror (errno));
}

void
mp_listener_core_prepare (MpListenerCore *core)
{
  if (core->pid != getpid () && !core->closed)
    begin_anew (core);
  if (core->watch == NULL && core->poll_fd >= 0 && !core->closed)
    core->watch = mp_hub_add_watch (core->poll_fd, 0, poll_fd_cb, core);
}

void
mp_listener_core_drive (MpListenerCore *core)
{
  GQueue finished = G_QUEUE_INIT;
  gboolean closed;

  mp_hub_lock ();
  mp_listener_core_prepare (core);
  core->again = TRUE;
  if (core->driving)
    {
      mp_hub_unlock ();
      return;
    }

  core->driving = TRUE;
  core->driver = g_thread_self ();
  while (core->again)
    {
      core->again = FALSE;
      hand_out (core, &finished);
      closed = core->closed;
      mp_hub_unlock ();

      mp_listener_finish_accepts (&finished);
      if (closed)
        tear_down (core);
      else
        turn (core);

      mp_hub_lock ();
    }
  core->driving = FALSE;
  core->looking = FALSE;
  update_waiters (core);
  mp_hub_unlock ();
}

void
mp_listener_core_settle (MpListenerCore *core)
{
  if (!core->driving)
    update_waiters (core);
}

void
mp_listener_core_stop (MpListenerCore *core)
{
  GMainContext *posts;

  mp_hub_lock ();
  mp_listener_core_prepare (core);
  core->started = FALSE;
  posts = g_steal_pointer (&core->posts);
  mp_listener_core_settle (core);
  mp_hub_unlock ();

  g_clear_pointer (&posts, mp_hub_unref_context);
}

static gboolean
is_at_rest (gpointer data)
{
  return !((MpListenerCore *) data)->driving;
}

void
mp_listener_core_close (MpListenerCore *core)
{
  gboolean was_closed, is_driver;

  mp_hub_lock ();
  mp_listener_core_prepare (core);
  was_closed = core->closed;
  is_driver = core->driving && core->driver == g_thread_self ();
  core->closed = TRUE;
  mp_hub_unlock ();

  mp_listener_core_stop (core);
  if (was_closed)
    return;

  mp_listener_core_drive (core);
  /* Another thread may be at it: the address can be had by others when this returns. Nothing of the user's runs
   * meanwhile, because no post belongs to this wait. */
  if (!is_driver)
    mp_hub_wait (&core->driver, is_at_rest, core, "listener close", CLOSE_WAIT_US, NULL, NULL);
}
