/* mp-listener-tls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-listener-private.h"

#include "mp-glib/platform/mp-socket-private.h"

/* TLS of a listener's clients: GIO has a thread for each handshake that is under way, so there are few at once. The
 * others wait, and who holds up a turn that another one wants has to go. */

#define MAX_UNDER_WAY 8

/* More than a few times the way to the other side of the world and back; less when there are so many that the last of
 * them would wait for its turn for longer than half of PATIENCE_US. Who has said its first words keeps its place for
 * the whole: it is to have had a turn before it is sent away for another one. */
#define TURN_MAX_US G_USEC_PER_SEC
#define TURN_MIN_US 50000
#define PATIENCE_US (4 * G_USEC_PER_SEC)

/* While turns end without a handshake, who has heard the listener's words and says nothing has half as long with each
 * round of them, but for this and some ways there and back. Its own delays the listener holds against nobody. */
#define SILENCE_MIN_US 100000
#define N_ROUND_TRIPS  4
#define MAX_ROUNDS     4

/* The system's times are coarse. */
#define TIMES_SLACK_US 10000

static gboolean
has_private_key (GTlsCertificate *certificate)
{
  g_autoptr(GByteArray) key = NULL;
  g_autofree char *uri = NULL;

  g_object_get (certificate, "private-key", &key, "private-key-pkcs11-uri", &uri, NULL);
  return key != NULL || uri != NULL;
}

gboolean
mp_listener_tls_check (MpListenerCore  *core,
                       GError         **error)
{
  if (core->tls_certificate == NULL && core->tls_database == NULL)
    return TRUE;
  if (core->tls_certificate != NULL && has_private_key (core->tls_certificate))
    return mp_tls_check_support (error);

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "listener: TLS needs a certificate (tls-certificate) with its private key");
  return FALSE;
}

gboolean
mp_listener_tls_check_address (MpListenerCore  *core,
                               GSocketAddress  *address,
                               GError         **error)
{
  if (core->tls_certificate == NULL || (address != NULL && G_IS_INET_SOCKET_ADDRESS (address)))
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "listener: TLS is for TCP only");
  return FALSE;
}

void
mp_listener_tls_begin (MpListenerCore   *core,
                       MpListenerClient *client)
{
  MpTlsSettings settings = { TRUE, core->tls_certificate, core->tls_database, NULL };

  if (core->tls_certificate != NULL)
    mp_handshake_use_tls (&client->handshake, &settings);
}

void
mp_listener_tls_prepare (MpListenerCore   *core,
                         MpListenerClient *client)
{
  client->handshake.may_begin = core->tls_under_way.length < MAX_UNDER_WAY;
}

void
mp_listener_tls_note (MpListenerCore   *core,
                      MpListenerClient *client)
{
  MpTls *tls = client->handshake.tls;
  GQueue *queue = NULL;

  if (client->handshake.is_secure || core->tls_waiting.length == 0)
    core->tls_n_stalled = 0;
  if (tls != NULL && mp_tls_is_under_way (tls))
    queue = &core->tls_under_way;
  else if (tls != NULL && client->handshake.wait_fd < 0)
    queue = &core->tls_waiting;
  if (queue == client->tls_queue)
    return;

  mp_listener_tls_forget (client);
  client->tls_queue = queue;
  if (queue == NULL)
    return;

  client->tls_link.data = client;
  client->tls_since = g_get_monotonic_time ();
  g_queue_push_tail_link (queue, &client->tls_link);
}

void
mp_listener_tls_forget (MpListenerClient *client)
{
  if (client->tls_queue != NULL)
    g_queue_unlink (client->tls_queue, &client->tls_link);
  client->tls_queue = NULL;
}

static gboolean
is_crowded (MpListenerCore *core)
{
  return core->tls_under_way.length >= MAX_UNDER_WAY && core->tls_waiting.length > 0;
}

MpListenerClient *
mp_listener_tls_get_next (MpListenerCore *core)
{
  return core->tls_waiting.head != NULL && !is_crowded (core) ? core->tls_waiting.head->data : NULL;
}

static gint64
get_patience (MpListenerCore *core)
{
  return MIN (PATIENCE_US, core->handshake_timeout_us / 2);
}

gint64
mp_listener_tls_get_patience (MpListenerCore   *core,
                              MpListenerClient *client)
{
  return client->tls_queue != NULL ? MAX (get_patience (core), MP_LISTENER_STALL_GRACE_US)
                                   : MP_LISTENER_STALL_GRACE_US;
}

/* When its turn is over. */
static gint64
get_turn_end (MpListenerCore   *core,
              MpListenerClient *client,
              gint64            turn)
{
  guint rounds = MIN (core->tls_n_stalled / MAX_UNDER_WAY, MAX_ROUNDS);
  gint64 end = client->tls_since + turn;
  MpSocketTimes times;

  if (rounds == 0 || !mp_socket_get_times (mp_tls_get_fd (client->handshake.tls), &times) ||
      times.sent <= client->tls_since - TIMES_SLACK_US)
    return end;

  turn = MAX (turn >> rounds, SILENCE_MIN_US) + N_ROUND_TRIPS * times.round_trip;
  return MIN (end, MAX (MAX (times.sent, times.received), client->tls_since) + turn);
}

/* NULL: nobody has to go. */
static MpListenerClient *
find_next_to_go (MpListenerCore *core,
                 gint64         *due)
{
  MpListenerClient *chosen = NULL;
  gint64 turn;
  GList *link;

  if (!is_crowded (core))
    return NULL;

  *due = G_MAXINT64;
  turn = CLAMP (get_patience (core) / 2 * MAX_UNDER_WAY / core->tls_waiting.length, TURN_MIN_US, TURN_MAX_US);
  for (link = core->tls_under_way.head; link != NULL; link = link->next)
    {
      gint64 end = get_turn_end (core, link->data, turn);

      if (end >= *due)
        continue;
      chosen = link->data;
      *due = end;
    }
  return chosen;
}

MpListenerClient *
mp_listener_tls_get_stalled (MpListenerCore *core)
{
  gint64 due;
  MpListenerClient *client = find_next_to_go (core, &due);

  if (client == NULL || due > g_get_monotonic_time ())
    return NULL;

  core->tls_n_stalled++;
  return client;
}

gint64
mp_listener_tls_get_due (MpListenerCore *core)
{
  gint64 due;

  return find_next_to_go (core, &due) != NULL ? due : -1;
}
