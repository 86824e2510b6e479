/* mp-auth.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-auth-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-state-private.h"
#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/platform/mp-random-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define CHALLENGE      "#CHALLENGE#"
#define WELCOME        "#WELCOME#"
#define FAILURE        "#FAILURE#"
#define PREFIX         "{sha256}"
#define N_RANDOM       40
#define N_CHALLENGE    (sizeof PREFIX - 1 + N_RANDOM)
#define N_OLD          20     /* bytes of a challenge in the old form */
#define N_HEAD         4
#define MAX_DIGEST     64

typedef struct
{
  const char    *prefix;
  GChecksumType  type;
  gsize          size;
} Digest;

/* Those that a challenge may ask for, beside MD5: CPython's, as far as GLib has them. */
static const Digest digests[] =
{
  { PREFIX, G_CHECKSUM_SHA256, 32 },
  { "{sha384}", G_CHECKSUM_SHA384, 48 },
};
static const Digest md5 = { "{md5}", G_CHECKSUM_MD5, 16 };
static const Digest old_md5 = { "", G_CHECKSUM_MD5, 16 };

typedef enum
{
  AWAITS_RESPONSE,
  AWAITS_CHALLENGE,
  AWAITS_WELCOME,
  DONE,
  FAILED,
} State;

struct _MpAuth
{
  MpAuthRole role;
  State      state;
  gboolean   allow_md5;
  GBytes    *key;                     /* (owned) */
  GError    *error;                   /* (owned) (nullable): of FAILED */
  GList      link;                    /* in all_delivered of its role, from the challenge on */
  gboolean   delivered;
  guint8     challenge[N_CHALLENGE];  /* what was delivered */
  guint8     out[N_HEAD + MP_AUTH_MAX_MESSAGE];
  gsize      out_start;
  gsize      out_end;
  guint8     in[N_HEAD + MP_AUTH_MAX_MESSAGE];
  gsize      n_in;
  guint      n_taken;
};

/* A peer that does not know the key could have our challenge answered by ourselves, were it to challenge us with it: on
 * the same connection, or on another one at the same time. Ends of the two roles may well meet in one process. */
static pthread_mutex_t delivered_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static GQueue all_delivered[2];       /* under the lock */

/* The copy of a process has the queues, whole, and the lock, which nobody has. The hub's lock first, as other handlers
 * that were installed after these may have it. */
static void
before_fork (void)
{
  mp_hub_lock ();
  pthread_mutex_lock (&delivered_lock);
}

/* In the copy the hub's lock is anew already, and refuses this; but so its count is right. */
static void
after_fork (void)
{
  pthread_mutex_unlock (&delivered_lock);
  mp_hub_release ();
}

static void
watch_forks (void)
{
  mp_hub_watch_forks ();
  pthread_atfork (before_fork, after_fork, after_fork);
}

static gboolean
fail (MpAuth      *self,
      GError     **error,
      int          code,
      const char  *format,
      ...) G_GNUC_PRINTF (4, 5);

static gboolean
fail (MpAuth      *self,
      GError     **error,
      int          code,
      const char  *format,
      ...)
{
  va_list args;

  va_start (args, format);
  self->error = g_error_new_valist (MP_ERROR, code, format, args);
  va_end (args);
  self->state = FAILED;
  g_propagate_error (error, g_error_copy (self->error));
  return FALSE;
}

static gboolean
starts_with (const guint8 *data,
             gsize         size,
             const char   *prefix)
{
  return size >= strlen (prefix) && memcmp (data, prefix, strlen (prefix)) == 0;
}

/* In a time that does not tell where they differ. */
static gboolean
equal_secretly (const guint8 *a,
                const guint8 *b,
                gsize         size)
{
  volatile guint8 difference = 0;
  gsize i;

  for (i = 0; i < size; i++)
    difference |= a[i] ^ b[i];
  return difference == 0;
}

static void
compute (MpAuth       *self,
         const Digest *digest,
         const guint8 *data,
         gsize         size,
         guint8        result[MAX_DIGEST])
{
  gsize n_key, n_result = MAX_DIGEST;
  const guint8 *key = g_bytes_get_data (self->key, &n_key);
  GHmac *hmac = g_hmac_new (digest->type, key, n_key);

  g_hmac_update (hmac, data, size);
  g_hmac_get_digest (hmac, result, &n_result);
  g_hmac_unref (hmac);
  g_assert (n_result == digest->size);
}

/* One message, from two parts. There is room: none is pending, and ours are all short. */
static void
put_message (MpAuth       *self,
             const char   *first,
             const guint8 *rest,
             gsize         n_rest)
{
  gsize n_first = strlen (first);
  guint8 head[MP_STREAM_MAX_HEAD];

  g_assert (self->out_start == self->out_end && n_first + n_rest <= MP_AUTH_MAX_MESSAGE);

  mp_stream_put_head (head, n_first + n_rest);
  memcpy (self->out, head, N_HEAD);
  memcpy (self->out + N_HEAD, first, n_first);
  if (n_rest > 0)
    memcpy (self->out + N_HEAD + n_first, rest, n_rest);
  self->out_start = 0;
  self->out_end = N_HEAD + n_first + n_rest;
}

static gboolean
deliver_challenge (MpAuth  *self,
                   GError **error)
{
  memcpy (self->challenge, PREFIX, sizeof PREFIX - 1);
  if (!mp_random_bytes (self->challenge + sizeof PREFIX - 1, N_RANDOM))
    return fail (self, error, MP_ERROR_FAILED, "authentication: cannot make a challenge: %s", g_strerror (errno));

  if (self->role == MP_AUTH_LISTENER || self->role == MP_AUTH_CLIENT)
    {
      pthread_mutex_lock (&delivered_lock);
      g_queue_push_tail_link (&all_delivered[self->role], &self->link);
      pthread_mutex_unlock (&delivered_lock);
    }
  self->delivered = TRUE;
  self->state = AWAITS_RESPONSE;
  put_message (self, CHALLENGE, self->challenge, sizeof self->challenge);
  return TRUE;
}

static gboolean
is_own_challenge (MpAuth       *self,
                  const guint8 *data,
                  gsize         size)
{
  gboolean found = FALSE;
  GList *link;

  if (size != N_CHALLENGE)
    return FALSE;
  if (self->role != MP_AUTH_LISTENER && self->role != MP_AUTH_CLIENT)
    return FALSE;

  pthread_mutex_lock (&delivered_lock);
  for (link = all_delivered[self->role].head; link != NULL && !found; link = link->next)
    found = memcmp (((MpAuth *) link->data)->challenge, data, size) == 0;
  pthread_mutex_unlock (&delivered_lock);
  return found;
}

MpAuth *
mp_auth_new (MpAuthRole   role,
             GBytes      *key,
             gboolean     allow_md5,
             GError     **error)
{
  g_autoptr(MpAuth) self = NULL;

  if (g_bytes_get_size (key) == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "authentication: the key is empty");
      return NULL;
    }

  pthread_once (&once, watch_forks);
  self = g_new0 (MpAuth, 1);
  self->role = role;
  self->key = g_bytes_ref (key);
  self->allow_md5 = allow_md5;
  self->link.data = self;
  self->state = AWAITS_CHALLENGE;
  if ((role == MP_AUTH_LISTENER || role == MP_AUTH_DELIVER) && !deliver_challenge (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
mp_auth_free (MpAuth *self)
{
  if (self == NULL)
    return;

  if (self->delivered && (self->role == MP_AUTH_LISTENER || self->role == MP_AUTH_CLIENT))
    {
      pthread_mutex_lock (&delivered_lock);
      g_queue_unlink (&all_delivered[self->role], &self->link);
      pthread_mutex_unlock (&delivered_lock);
    }
  g_bytes_unref (self->key);
  g_clear_error (&self->error);
  g_free (self);
}

gboolean
mp_auth_is_done (MpAuth *self)
{
  return self->state == DONE && self->out_start == self->out_end;
}

guint
mp_auth_get_n_taken (MpAuth *self)
{
  return self->n_taken;
}

/* What the messages mean. */

static gboolean
refuse (MpAuth      *self,
        GError     **error,
        const char  *why)
{
  put_message (self, FAILURE, NULL, 0);
  return fail (self, error, MP_ERROR_AUTHENTICATION, "authentication: %s", why);
}

static gboolean
take_response (MpAuth        *self,
               const guint8  *data,
               gsize          size,
               GError       **error)
{
  const Digest *digest = &digests[0];
  guint8 expected[MAX_DIGEST];
  gsize n_prefix = strlen (digest->prefix);

  if (size == old_md5.size)
    {
      if (!self->allow_md5)
        return refuse (self, error, "the other end answered with MD5, as CPython before 3.12 does, which is not "
                                    "allowed (allow-md5)");
      digest = &old_md5;
      n_prefix = 0;
    }
  else if (!starts_with (data, size, digest->prefix) || size != n_prefix + digest->size)
    {
      return refuse (self, error, "the other end's answer is in no form that is known");
    }

  compute (self, digest, self->challenge, sizeof self->challenge, expected);
  if (!equal_secretly (expected, data + n_prefix, digest->size))
    return refuse (self, error, "the other end has not the same key");

  put_message (self, WELCOME, NULL, 0);
  self->state = self->role == MP_AUTH_LISTENER ? AWAITS_CHALLENGE : DONE;
  return TRUE;
}

/* The digest that a challenge asks for. NULL with error. */
static const Digest *
choose_digest (MpAuth        *self,
               const guint8  *data,
               gsize          size,
               GError       **error)
{
  const Digest *chosen = NULL;
  gsize i;

  if (size == N_OLD)
    chosen = &old_md5;
  else if (starts_with (data, size, md5.prefix))
    chosen = &md5;
  for (i = 0; i < G_N_ELEMENTS (digests) && chosen == NULL; i++)
    if (starts_with (data, size, digests[i].prefix))
      chosen = &digests[i];

  if (chosen == NULL)
    fail (self, error, MP_ERROR_AUTHENTICATION,
          "authentication: the other end's challenge asks for a digest that is not known here");
  else if (size - strlen (chosen->prefix) < N_OLD)
    fail (self, error, MP_ERROR_PROTOCOL, "authentication: the other end's challenge is too short");
  else if (chosen->type == G_CHECKSUM_MD5 && !self->allow_md5)
    fail (self, error, MP_ERROR_AUTHENTICATION, "authentication: the other end asks for MD5, as CPython before 3.12 "
                                                "does, which is not allowed (allow-md5)");
  else
    return chosen;
  return NULL;
}

static gboolean
take_challenge (MpAuth        *self,
                const guint8  *data,
                gsize          size,
                GError       **error)
{
  const gsize n_mark = sizeof CHALLENGE - 1;
  guint8 answer[MAX_DIGEST];
  const Digest *digest;

  if (!starts_with (data, size, CHALLENGE))
    return fail (self, error, MP_ERROR_PROTOCOL, "authentication: the other end sent no challenge");
  if (is_own_challenge (self, data + n_mark, size - n_mark))
    return fail (self, error, MP_ERROR_AUTHENTICATION, "authentication: the other end sent our own challenge back");

  digest = choose_digest (self, data + n_mark, size - n_mark, error);
  if (digest == NULL)
    return FALSE;

  compute (self, digest, data + n_mark, size - n_mark, answer);
  put_message (self, digest->prefix, answer, digest->size);
  self->state = AWAITS_WELCOME;
  return TRUE;
}

static gboolean
take_welcome (MpAuth        *self,
              const guint8  *data,
              gsize          size,
              GError       **error)
{
  if (size == sizeof FAILURE - 1 && starts_with (data, size, FAILURE))
    return fail (self, error, MP_ERROR_AUTHENTICATION, "authentication: the other end refused our key");
  if (size != sizeof WELCOME - 1 || !starts_with (data, size, WELCOME))
    return fail (self, error, MP_ERROR_PROTOCOL, "authentication: the other end neither welcomed nor refused us");

  self->state = DONE;
  return self->role != MP_AUTH_CLIENT || deliver_challenge (self, error);
}

static gboolean
understand (MpAuth        *self,
            const guint8  *data,
            gsize          size,
            GError       **error)
{
  if (self->state < DONE && size > MP_AUTH_MAX_MESSAGE)
    return fail (self, error, MP_ERROR_PROTOCOL, "authentication: the other end sent a message of %" G_GSIZE_FORMAT
                 " bytes", size);

  switch (self->state)
    {
    case AWAITS_RESPONSE:
      return take_response (self, data, size, error);
    case AWAITS_CHALLENGE:
      return take_challenge (self, data, size, error);
    case AWAITS_WELCOME:
      return take_welcome (self, data, size, error);
    case FAILED:
      g_propagate_error (error, g_error_copy (self->error));
      return FALSE;
    default:
      g_return_val_if_reached (FALSE);
    }
}

gboolean
mp_auth_take_message (MpAuth        *self,
                      const guint8  *data,
                      gsize          size,
                      GError       **error)
{
  g_return_val_if_fail (self->out_start == self->out_end, FALSE);

  if (!understand (self, data, size, error))
    return FALSE;
  self->n_taken++;
  return TRUE;
}

GBytes *
mp_auth_dup_message (MpAuth *self)
{
  GBytes *message;

  if (self->out_start == self->out_end)
    return NULL;

  g_return_val_if_fail (self->out_start == 0, NULL);
  message = g_bytes_new (self->out + N_HEAD, self->out_end - N_HEAD);
  self->out_end = 0;
  return message;
}

/* Bytes. */

const guint8 *
mp_auth_get_pending (MpAuth *self,
                     gsize  *size)
{
  *size = self->out_end - self->out_start;
  return *size > 0 ? self->out + self->out_start : NULL;
}

void
mp_auth_sent (MpAuth *self,
              gsize   n)
{
  g_return_if_fail (n <= self->out_end - self->out_start);

  self->out_start += n;
}

gsize
mp_auth_get_wanted (MpAuth *self)
{
  guint64 length = 0;

  if (self->state >= DONE || self->out_start < self->out_end)
    return 0;
  if (self->n_in < N_HEAD)
    return N_HEAD - self->n_in;

  /* It was checked when it was there. */
  mp_stream_get_head (self->in, N_HEAD, &length);
  return N_HEAD + length - self->n_in;
}

gboolean
mp_auth_feed (MpAuth        *self,
              const guint8  *data,
              gsize          size,
              GError       **error)
{
  guint64 length = 0;

  if (self->state == FAILED)
    {
      g_propagate_error (error, g_error_copy (self->error));
      return FALSE;
    }
  g_return_val_if_fail (size <= mp_auth_get_wanted (self), FALSE);

  if (size > 0)
    memcpy (self->in + self->n_in, data, size);
  self->n_in += size;
  if (self->n_in < N_HEAD)
    return TRUE;

  if (mp_stream_get_head (self->in, N_HEAD, &length) != N_HEAD || length > MP_AUTH_MAX_MESSAGE)
    return fail (self, error, MP_ERROR_PROTOCOL, "authentication: the other end sent what is no message of at most %d "
                 "bytes", MP_AUTH_MAX_MESSAGE);
  if (self->n_in < N_HEAD + length)
    return TRUE;

  self->n_in = 0;
  return mp_auth_take_message (self, self->in + N_HEAD, length, error);
}

static gboolean
set_system_error (GError     **error,
                  const char  *what)
{
  int saved_errno = errno;

  if (saved_errno == EPIPE || saved_errno == ECONNRESET || saved_errno == ENOTCONN)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "authentication: the other end has closed the connection");
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "authentication: cannot %s: %s", what,
                 g_strerror (saved_errno));
  return FALSE;
}

/* FALSE without error: the socket takes no more now. */
static gboolean
send_pending (MpAuth  *self,
              int      fd,
              GError **error)
{
  struct iovec iov;
  gssize n;

  while ((iov.iov_base = (gpointer) mp_auth_get_pending (self, &iov.iov_len)) != NULL)
    {
      n = mp_socket_send (fd, &iov, 1, NULL, 0, FALSE);
      if (n < 0)
        return errno != EAGAIN && errno != EWOULDBLOCK && set_system_error (error, "send");
      MP_TORTURE_POINT ("auth-sent");
      mp_auth_sent (self, n);
    }
  return TRUE;
}

/* FALSE without error: there is nothing now. */
static gboolean
read_wanted (MpAuth  *self,
             int      fd,
             GError **error)
{
  guint8 data[N_HEAD + MP_AUTH_MAX_MESSAGE];
  int fds[MP_SOCKET_MAX_FDS];
  gsize size = mp_auth_get_wanted (self);
  gboolean truncated;
  guint i, n_fds;
  gssize n;

  n = mp_socket_recv (fd, data, MIN (size, sizeof data), fds, &n_fds, &truncated, FALSE);
  for (i = 0; i < n_fds; i++)
    close (fds[i]);
  if (n_fds > 0 || truncated)
    return fail (self, error, MP_ERROR_PROTOCOL, "authentication: the other end sent descriptors");
  if (n < 0)
    return errno != EAGAIN && errno != EWOULDBLOCK && set_system_error (error, "receive");
  if (n == 0)
    {
      errno = EPIPE;
      return set_system_error (error, "receive");
    }
  return mp_auth_feed (self, data, n, error);
}

gboolean
mp_auth_run (MpAuth        *self,
             int            fd,
             GIOCondition  *condition,
             GError       **error)
{
  gboolean ok = TRUE;

  if (self->state == FAILED)
    {
      g_propagate_error (error, g_error_copy (self->error));
      return FALSE;
    }

  while (ok && !mp_auth_is_done (self))
    {
      *condition = G_IO_OUT;
      ok = send_pending (self, fd, error);
      if (ok && !mp_auth_is_done (self))
        {
          *condition = G_IO_IN;
          ok = read_wanted (self, fd, error);
        }
    }

  /* The news of the failure, if the socket takes it. */
  if (self->state == FAILED)
    send_pending (self, fd, NULL);
  return ok;
}
