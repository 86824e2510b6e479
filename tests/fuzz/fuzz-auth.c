/* fuzz-auth.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bytes from a peer into an authentication. The first byte of the input says which of the roles, whether the old form
 * is allowed, and in what portions the rest comes. The peer does not know the key: it must never be taken for one that
 * does. A "?" stands for what a peer that does would send, so that all states are reached. */

#include "config.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/channel/mp-auth-private.h"

#include <string.h>

typedef struct
{
  MpAuth *auth;
  MpAuth *peer;             /* that knows the key */
  guint   n_genuine;
} Run;

int LLVMFuzzerTestOneInput (const guint8 *data,
                            gsize         size);

/* What is pending goes to the peer that knows the key, if that wants it. */
static void
exchange (Run *run)
{
  const guint8 *data;
  gsize size, part;

  while ((data = mp_auth_get_pending (run->auth, &size)) != NULL)
    {
      part = MIN (size, mp_auth_get_wanted (run->peer));
      mp_auth_feed (run->peer, data, part, NULL);
      mp_auth_sent (run->auth, part > 0 ? part : size);
    }
}

static gboolean
feed (Run          *run,
      const guint8 *data,
      gsize         size,
      GError      **error)
{
  while (size > 0)
    {
      gsize wanted = mp_auth_get_wanted (run->auth);
      gsize part = MIN (wanted, size);

      g_assert_cmpuint (wanted, <=, 4 + MP_AUTH_MAX_MESSAGE);
      if (part == 0)
        return TRUE;
      if (!mp_auth_feed (run->auth, data, part, error))
        return FALSE;
      data += part;
      size -= part;
      exchange (run);
    }
  return TRUE;
}

/* What the peer with the key has to send, if it has anything. */
static gboolean
feed_genuine (Run     *run,
              GError **error)
{
  gboolean ok = TRUE;
  const guint8 *data;
  gsize size;

  while (ok && (data = mp_auth_get_pending (run->peer, &size)) != NULL)
    {
      gsize part = MIN (size, mp_auth_get_wanted (run->auth));

      if (part == 0)
        break;
      ok = mp_auth_feed (run->auth, data, part, error);
      mp_auth_sent (run->peer, part);
      run->n_genuine++;
    }
  exchange (run);
  return ok;
}

int
LLVMFuzzerTestOneInput (const guint8 *data,
                        gsize         size)
{
  static const guint8 key[] = "what the peer does not know";
  static const MpAuthRole roles[] = { MP_AUTH_LISTENER, MP_AUTH_CLIENT, MP_AUTH_DELIVER, MP_AUTH_ANSWER };
  static const MpAuthRole peers[] = { MP_AUTH_CLIENT, MP_AUTH_LISTENER, MP_AUTH_ANSWER, MP_AUTH_DELIVER };
  g_autoptr(GBytes) bytes = g_bytes_new_static (key, sizeof key);
  g_autoptr(GError) error = NULL;
  gboolean ok = TRUE;
  gsize portion, place;
  Run run = { NULL };
  guint kind;

  if (size < 1 || size > 4096)
    return 0;

  kind = data[0] & 3;
  portion = 1 + (data[0] >> 3);
  run.auth = mp_auth_new (roles[kind], bytes, (data[0] & 4) != 0, NULL);
  run.peer = mp_auth_new (peers[kind], bytes, FALSE, NULL);
  exchange (&run);

  for (place = 1; place < size && ok && !mp_auth_is_done (run.auth); )
    {
      if (data[place] == '?')
        {
          ok = feed_genuine (&run, &error);
          place++;
        }
      else
        {
          const guint8 *mark = memchr (data + place, '?', size - place);
          gsize n = MIN (portion, mark != NULL ? (gsize) (mark - data) - place : size - place);

          ok = feed (&run, data + place, n, &error);
          place += n;
        }
    }

  g_assert_true (!mp_auth_is_done (run.auth) || run.n_genuine > 0 || roles[kind] == MP_AUTH_ANSWER);
  if (error != NULL)
    g_assert_true (g_error_matches (error, MP_ERROR, MP_ERROR_PROTOCOL) ||
                   g_error_matches (error, MP_ERROR, MP_ERROR_AUTHENTICATION));
  mp_auth_free (run.auth);
  mp_auth_free (run.peer);

  return 0;
}
