/* tls-ends-test.h — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of the machine below listeners and clients with TLS have in common: two ends of a connection over the
 * loopback device. */
#pragma once

#include "connection-kinds-test.h"
#include "tls-test.h"

#include "mp-glib/channel/mp-tls-private.h"
#include "mp-glib/platform/mp-poll-private.h"

typedef struct
{
  const char *server;            /* names of certificates; NULL: none */
  const char *server_trusts;
  const char *client;
  const char *client_trusts;
  const char *identity;
} Setup;

static const Setup usual = { "server", NULL, NULL, "authority", "localhost" };

typedef struct
{
  MpTls  *server;
  MpTls  *client;
  GError *server_error;
  GError *client_error;
} Ends;

static inline MpTls *
make_server (int          fd,
             const Setup *setup)
{
  g_autoptr(GTlsCertificate) certificate = load_certificate (setup->server);
  g_autoptr(GTlsDatabase) database = setup->server_trusts != NULL ? load_authority (setup->server_trusts) : NULL;
  MpTlsSettings settings = { TRUE, certificate, database, NULL };

  return mp_tls_new (fd, &settings);
}

static inline MpTls *
make_client (int          fd,
             const Setup *setup)
{
  g_autoptr(GTlsCertificate) certificate = setup->client != NULL ? load_certificate (setup->client) : NULL;
  g_autoptr(GTlsDatabase) database = load_authority (setup->client_trusts);
  g_autoptr(GSocketConnectable) identity = g_network_address_new (setup->identity, 0);
  MpTlsSettings settings = { FALSE, certificate, database, identity };

  return mp_tls_new (fd, &settings);
}

/* Takes both as far as they come. */
static inline void
shake_hands (Ends *ends)
{
  gboolean server_done = FALSE, client_done = FALSE;

  while (!(server_done || ends->server_error != NULL) || !(client_done || ends->client_error != NULL))
    {
      GPollFD fds[2] = { { -1, 0, 0 }, { -1, 0, 0 } };
      GIOCondition condition = 0;

      if (!server_done && ends->server_error == NULL)
        server_done = mp_tls_handshake (ends->server, TRUE, &fds[0].fd, &condition, &ends->server_error);
      fds[0].events = condition;
      if (!client_done && ends->client_error == NULL)
        client_done = mp_tls_handshake (ends->client, TRUE, &fds[1].fd, &condition, &ends->client_error);
      fds[1].events = condition;
      if (ends->server_error != NULL)
        g_clear_pointer (&ends->server, mp_tls_free);
      if (ends->client_error != NULL)
        g_clear_pointer (&ends->client, mp_tls_free);

      if (fds[0].fd >= 0 || fds[1].fd >= 0)
        g_assert_cmpint (mp_poll_fds (fds, 2, LONG_TIME), >, 0);
    }
}

static inline Ends
ends_open (const Setup *setup)
{
  Ends ends = { NULL };
  int fds[2];

  kind_make_fds (KIND_TCP, fds);
  ends.server = make_server (fds[0], setup);
  ends.client = make_client (fds[1], setup);
  shake_hands (&ends);
  return ends;
}

static inline void
ends_clear (Ends *ends)
{
  mp_tls_free (ends->server);
  mp_tls_free (ends->client);
  g_clear_error (&ends->server_error);
  g_clear_error (&ends->client_error);
}
