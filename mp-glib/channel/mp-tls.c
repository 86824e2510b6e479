/* mp-tls.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-tls-private.h"

#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define RECORD_HEAD      5        /* kind, two bytes of version, two of length */
#define RECORD_HANDSHAKE 22
#define RECORD_MAX       16384    /* of what the other end gets in one piece */
#define SPARE_FDS        3        /* a main context ends the program when there is none for it */

typedef enum
{
  AT_GATE,        /* a server that waits for the client's first words */
  READY,          /* may begin */
  UNDER_WAY,
  OPEN,
  FAILED,
} State;

struct _MpTls
{
  MpWireIO           io;
  State              state;
  pid_t              pid;            /* of the process whose session this is */
  int                fd;             /* own until @base has it */
  gboolean           is_server;
  GTlsCertificate   *certificate;    /* (owned) (nullable) */
  GTlsDatabase      *database;       /* (owned) (nullable) */
  GSocketConnectable *identity;      /* (owned) (nullable) */

  GIOStream         *base;           /* (owned) (nullable) */
  GIOStream         *tls;            /* (owned) (nullable) */
  GMainContext      *context;        /* (owned) (nullable): while UNDER_WAY */
  int                context_fd;
  gboolean           lacks_fds;      /* READY, and there are no descriptors to begin with */
  MpWatch           *watch;          /* (nullable): of context_fd, with the hub's lock: of a server given up */
  gboolean           finished;       /* what came of it is in … */
  GError            *error;          /* (owned) (nullable) */

  guint8            *record;         /* (owned) (nullable): offered to GIO, which has to be offered the same again */
  gsize              untaken;
  gboolean           may_have_more;
  gboolean           was_heard;      /* the other end has sent something since the handshake */
};

/* Contexts wait here for the next handshake: to make one can end the program, see SPARE_FDS. And handshakes that were
 * given up, until their threads have ended. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   /* not a GMutex, which the thread sanitizer does not see */
static GQueue idle_contexts = G_QUEUE_INIT;
static GQueue given_up = G_QUEUE_INIT;

/* This process is the copy of one that has had handshakes: GLib counts on threads that are not here. */
static gboolean is_copy;

static void
before_fork (void)
{
  pthread_mutex_lock (&lock);
}

static void
after_fork_in_parent (void)
{
  pthread_mutex_unlock (&lock);
}

/* Their descriptors are those of the parent's, and what was given up waits for its threads. */
static void
after_fork_in_child (void)
{
  g_queue_init (&idle_contexts);
  g_queue_init (&given_up);
  is_copy = TRUE;
  pthread_mutex_unlock (&lock);
}

static gboolean
prepare_for_forks (GError **error)
{
  static gsize done;

  if (g_once_init_enter (&done))
    {
      pthread_atfork (before_fork, after_fork_in_parent, after_fork_in_child);
      g_once_init_leave (&done, 1);
    }
  if (!is_copy)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "TLS: this process was forked from one that uses it, and "
               "has not got GIO's threads");
  return FALSE;
}

gboolean
mp_tls_check_support (GError **error)
{
  if (g_tls_backend_supports_tls (g_tls_backend_get_default ()))
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
               "TLS: GIO has no backend for it here; the package is called glib-networking");
  return FALSE;
}

static gboolean
check_spare_fds (GError **error)
{
  int fds[SPARE_FDS];
  gboolean ok = TRUE;
  guint i;

  for (i = 0; i < SPARE_FDS; i++)
    {
      fds[i] = mp_fd_eventfd ();
      ok &= fds[i] >= 0;
    }
  for (i = 0; i < SPARE_FDS; i++)
    mp_fd_close (&fds[i]);

  if (!ok)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES, "TLS: this process can open no more files");
  return ok;
}

/* FALSE without error: a server, which has time, lacks descriptors. */
static gboolean
take_context (MpTls   *self,
              GError **error)
{
  GMainContext *context;

  pthread_mutex_lock (&lock);
  context = g_queue_pop_head (&idle_contexts);
  pthread_mutex_unlock (&lock);

  self->lacks_fds = FALSE;
  if (context == NULL && !check_spare_fds (self->is_server ? NULL : error))
    {
      self->lacks_fds = self->is_server;
      return FALSE;
    }

  self->context = context != NULL ? context : g_main_context_new_with_flags (G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING);
  return TRUE;
}

static void
give_context (GMainContext *context)
{
  pthread_mutex_lock (&lock);
  g_queue_push_head (&idle_contexts, context);
  pthread_mutex_unlock (&lock);
}

/* The descriptor that says that something was attached: all that a context without sources polls. */
static int
get_context_fd (GMainContext *context)
{
  GPollFD fd = { -1, 0, 0 };
  gint priority, timeout;

  if (!g_main_context_acquire (context))
    return -1;
  g_main_context_prepare (context, &priority);
  g_main_context_query (context, G_MAXINT, &timeout, &fd, 1);
  g_main_context_check (context, priority, &fd, 1);
  g_main_context_release (context);
  return fd.fd;
}

/* The copy of a process that was forked has the keys, too: what both said with them would betray them. */
static gboolean
check_process (MpTls   *self,
               GError **error)
{
  if (G_LIKELY (self->pid == getpid ()))
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
               "TLS: the connection belongs to the process that this one was forked from");
  return FALSE;
}

/* The end of the stream without a word of the other end's, also when its machine is not to be reached any more. In the
 * midst of a record it is none for GIO, but something that it cannot read. */
static gboolean
is_cut (MpTls        *self,
        const GError *error)
{
  guint8 byte;

  return g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_EOF) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE) ||
         (error->domain == G_TLS_ERROR && mp_socket_peek (self->fd, &byte, 1) == 0);
}

static gssize
tls_recv (MpWireIO  *io,
          gpointer   data,
          gsize      size,
          gboolean  *at_end,
          GError   **error)
{
  MpTls *self = (MpTls *) io;
  GPollableInputStream *stream = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (self->tls));
  g_autoptr(GError) local_error = NULL;
  gssize n;

  if (!check_process (self, error))
    return -1;

  n = g_pollable_input_stream_read_nonblocking (stream, data, size, NULL, &local_error);
  self->may_have_more = n > 0;
  self->was_heard |= n > 0;
  if (n > 0)
    return n;
  if (n == 0)
    {
      *at_end = TRUE;
      return 0;
    }
  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    return 0;

  if (is_cut (self, local_error))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED,
                 "The other end is gone without a word: its process has ended, or the connection was cut%s",
                 self->was_heard || self->is_server ? "" : ", or it refused the certificate of this end");
  else
    g_set_error (error, local_error->domain, local_error->code, "Cannot receive: TLS: %s", local_error->message);
  return -1;
}

/* What is offered has to be offered again as it was when it was not taken, because a part of it may have left. */
static void
fill_record (MpTls              *self,
             const struct iovec *iov,
             guint               n_iov)
{
  guint i;

  if (self->record == NULL)
    self->record = g_malloc (RECORD_MAX);

  for (i = 0; i < n_iov && self->untaken < RECORD_MAX; i++)
    {
      gsize n = MIN (iov[i].iov_len, RECORD_MAX - self->untaken);

      memcpy (self->record + self->untaken, iov[i].iov_base, n);
      self->untaken += n;
    }
}

static gssize
tls_send (MpWireIO            *io,
          const struct iovec  *iov,
          guint                n_iov,
          GError             **error)
{
  MpTls *self = (MpTls *) io;
  GPollableOutputStream *stream = G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (self->tls));
  g_autoptr(GError) local_error = NULL;
  gssize n;

  if (!check_process (self, error))
    return -1;

  if (self->untaken == 0)
    fill_record (self, iov, n_iov);
  n = g_pollable_output_stream_write_nonblocking (stream, self->record, self->untaken, NULL, &local_error);
  if (n > 0)
    {
      self->untaken = 0;
      return n;
    }
  if (n == 0 || g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    return 0;

  if (is_cut (self, local_error) || g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE, "Cannot send: the other end is closed");
  else
    g_set_error (error, local_error->domain, local_error->code, "Cannot send: TLS: %s", local_error->message);
  return -1;
}

static gsize
tls_get_untaken (MpWireIO *io)
{
  return ((MpTls *) io)->untaken;
}

static gboolean
tls_may_have_more (MpWireIO *io)
{
  return ((MpTls *) io)->may_have_more;
}

static void
tls_free (MpWireIO *io)
{
  mp_tls_free ((MpTls *) io);
}

static const MpWireIOFuncs tls_funcs = { tls_send, tls_recv, tls_get_untaken, tls_may_have_more, tls_free };

MpTls *
mp_tls_new (int                  fd,
            const MpTlsSettings *settings)
{
  MpTls *self = g_new0 (MpTls, 1);

  self->io.funcs = &tls_funcs;
  self->state = settings->is_server ? AT_GATE : READY;
  self->pid = getpid ();
  self->fd = fd;
  self->context_fd = -1;
  self->is_server = settings->is_server;
  g_set_object (&self->certificate, settings->certificate);
  g_set_object (&self->database, settings->database);
  g_set_object (&self->identity, settings->identity);
  return self;
}

/* Says farewell if the socket takes that at once: what is written there then is shorter than what makes it writable. */
static void
end_session (MpTls *self)
{
  GPollFD fd = { self->fd, G_IO_OUT, 0 };

  if (self->state == OPEN && self->pid == getpid () && self->untaken == 0 &&
      mp_poll_fds (&fd, 1, 0) > 0 && (fd.revents & (G_IO_OUT | G_IO_ERR | G_IO_HUP)) == G_IO_OUT)
    g_io_stream_close (self->tls, NULL, NULL);
}

static void
free_now (MpTls *self)
{
  if (self->watch != NULL)
    {
      mp_hub_lock ();
      g_clear_pointer (&self->watch, mp_hub_remove_watch);
      mp_hub_unlock ();
    }
  if (self->tls != NULL)
    end_session (self);
  /* First: the other would write there. */
  if (self->base != NULL)
    g_io_stream_close (self->base, NULL, NULL);
  else
    mp_fd_close (&self->fd);
  g_clear_object (&self->tls);
  g_clear_object (&self->base);
  if (self->context != NULL)
    give_context (g_steal_pointer (&self->context));

  g_clear_object (&self->certificate);
  g_clear_object (&self->database);
  g_clear_object (&self->identity);
  g_clear_error (&self->error);
  g_free (self->record);
  g_free (self);
}

/* Lets GIO say what it has to say. TRUE: the handshake is over, and its thread has gone. */
static gboolean
attend (MpTls *self)
{
  while (!self->finished && g_main_context_iteration (self->context, FALSE))
    ;
  return self->finished;
}

/* GIO may ask a database of the user's even now, so not under the lock. */
guint
mp_tls_sweep (void)
{
  GQueue left = G_QUEUE_INIT;
  GQueue queue;
  MpTls *self;
  guint n_left;

  pthread_mutex_lock (&lock);
  queue = given_up;
  g_queue_init (&given_up);
  pthread_mutex_unlock (&lock);
  if (queue.head == NULL)
    return 0;

  while ((self = g_queue_pop_head (&queue)) != NULL)
    if (attend (self))
      free_now (self);
    else
      g_queue_push_tail (&left, self);

  pthread_mutex_lock (&lock);
  while ((self = g_queue_pop_head (&left)) != NULL)
    g_queue_push_tail (&given_up, self);
  n_left = given_up.length;
  pthread_mutex_unlock (&lock);
  return n_left;
}

static void
sweep_cb (gpointer data)
{
  mp_tls_sweep ();
}

static void
has_ended_cb (MpWatch      *watch,
              GIOCondition  condition,
              gpointer      data)
{
  mp_hub_run_unlocked (sweep_cb, NULL);
}

/* Its thread learns of it by the socket. Where there is a listener there is a hub, which tells when it has gone. */
static void
give_up (MpTls *self)
{
  mp_socket_shut_down (self->fd);
  self->state = FAILED;
  if (self->is_server)
    {
      mp_hub_lock ();
      self->watch = mp_hub_add_watch (self->context_fd, G_IO_IN, has_ended_cb, NULL);
      mp_hub_unlock ();
    }

  pthread_mutex_lock (&lock);
  g_queue_push_tail (&given_up, self);
  pthread_mutex_unlock (&lock);
  mp_tls_sweep ();
}

void
mp_tls_free (MpTls *self)
{
  if (self == NULL)
    return;

  if (self->state == UNDER_WAY && self->pid != getpid ())
    return;   /* the thread that has all this is not in this process */
  if (self->state == UNDER_WAY)
    give_up (self);
  else
    free_now (self);
}

gboolean
mp_tls_is_at_gate (MpTls *self)
{
  return self->state == AT_GATE;
}

gboolean
mp_tls_is_under_way (MpTls *self)
{
  return self->state == UNDER_WAY;
}

gboolean
mp_tls_lacks_fds (MpTls *self)
{
  return self->lacks_fds;
}

/* Waits for the first record of the client, which stays there. FALSE without error: it is not whole yet. */
static gboolean
look_at_gate (MpTls   *self,
              GError **error)
{
  guint8 data[RECORD_HEAD + RECORD_MAX];
  gssize n = mp_socket_peek (self->fd, data, sizeof data);
  gssize wanted = RECORD_HEAD;
  int saved_errno = errno;

  if (n < 0 && (saved_errno == EAGAIN || saved_errno == EWOULDBLOCK))
    return FALSE;
  if (n < 0 && saved_errno != ECONNRESET)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "TLS: cannot receive: %s",
                   g_strerror (saved_errno));
      return FALSE;
    }
  if (n > 0 && (data[0] != RECORD_HANDSHAKE || (n > 1 && data[1] != 3)))
    {
      g_set_error (error, G_TLS_ERROR, G_TLS_ERROR_NOT_TLS, "TLS: the other end does not begin a handshake");
      return FALSE;
    }

  if (n >= RECORD_HEAD)
    wanted = MIN (RECORD_HEAD + (data[3] << 8 | data[4]), (gssize) sizeof data);
  if (n >= wanted)
    {
      mp_socket_set_low_water (self->fd, 1);
      return TRUE;
    }

  /* What TLS has not, and the low water counts without there being a way to look beyond. */
  if (mp_socket_has_urgent (self->fd))
    {
      g_set_error (error, G_TLS_ERROR, G_TLS_ERROR_NOT_TLS, "TLS: the other end sent urgent data");
      return FALSE;
    }

  /* It would be readable all the time. The end of the stream shows nevertheless, and what came before is not enough. */
  mp_socket_set_low_water (self->fd, wanted);
  if (n <= 0 || mp_socket_is_hung_up (self->fd))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "TLS: the other end has closed the connection");
  return FALSE;
}

static void
append_reason (GString              *text,
               GTlsCertificateFlags  flags)
{
  static const struct
  {
    GTlsCertificateFlags flag;
    const char          *reason;
  } reasons[] = {
    { G_TLS_CERTIFICATE_UNKNOWN_CA, "it is signed by nobody who is trusted here" },
    { G_TLS_CERTIFICATE_BAD_IDENTITY, "it is for another name" },
    { G_TLS_CERTIFICATE_NOT_ACTIVATED, "it is not valid yet" },
    { G_TLS_CERTIFICATE_EXPIRED, "it has expired" },
    { G_TLS_CERTIFICATE_REVOKED, "it has been revoked" },
    { G_TLS_CERTIFICATE_INSECURE, "its algorithm is not secure" },
  };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (reasons); i++)
    if (flags & reasons[i].flag)
      g_string_append_printf (text, "%s %s", text->len == 0 ? ":" : ",", reasons[i].reason);
  if (flags != 0 && text->len == 0)
    g_string_append (text, ": it cannot be checked");
}

/* NULL: there is none that is refused. */
static GError *
check_certificate (GTlsConnection *tls)
{
  g_autoptr(GString) reasons = g_string_new (NULL);

  if (g_tls_connection_get_peer_certificate (tls) != NULL)
    append_reason (reasons, g_tls_connection_get_peer_certificate_errors (tls));
  if (reasons->len == 0)
    return NULL;

  return g_error_new (G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, "TLS: the certificate of the other end is refused%s",
                      reasons->str);
}

static GError *
explain (MpTls          *self,
         GTlsConnection *tls,
         const GError   *error)
{
  GError *reason = error->domain == G_TLS_ERROR ? check_certificate (tls) : NULL;

  /* The other end may have gone because of it, or meanwhile. */
  if (reason != NULL)
    return reason;
  if (is_cut (self, error) && !g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_CERTIFICATE_REQUIRED))
    return g_error_new (G_IO_ERROR, G_IO_ERROR_CLOSED, "TLS: the other end has closed the connection in the handshake");

  return g_error_new (error->domain, error->code, "TLS: %s", error->message);
}

static void
handshake_cb (GObject      *object,
              GAsyncResult *result,
              gpointer      user_data)
{
  MpTls *self = user_data;
  GTlsConnection *tls = G_TLS_CONNECTION (object);
  g_autoptr(GError) error = NULL;

  if (!g_tls_connection_handshake_finish (tls, result, &error))
    self->error = explain (self, tls, error);
  else if (g_tls_connection_get_protocol_version (tls) < G_TLS_PROTOCOL_VERSION_TLS_1_3)
    self->error = g_error_new (G_TLS_ERROR, G_TLS_ERROR_HANDSHAKE, "TLS: the other end knows nothing newer than "
                               "TLS 1.2; at least 1.3 is needed");
  else
    /* GIO resumes sessions of this process that were made with other settings, and lets them pass. */
    self->error = check_certificate (tls);

  self->finished = TRUE;
}

/* Of a client, which a server is always asked about. */
static gboolean
accept_certificate_cb (GTlsConnection       *tls,
                       GTlsCertificate      *certificate,
                       GTlsCertificateFlags  errors,
                       gpointer              user_data)
{
  return errors == 0;
}

static GIOStream *
wrap_socket (MpTls   *self,
             GError **error)
{
  g_autoptr(GSocket) socket = g_socket_new_from_fd (self->fd, error);

  return socket != NULL ? G_IO_STREAM (g_socket_connection_factory_create_connection (socket)) : NULL;
}

/* Not by GIO's constructors: a session that is not told from the first whom it trusts reads all that the system trusts,
 * which takes a hundred times as long as the rest. A server without a database trusts nobody. */
static GIOStream *
new_server_session (MpTls   *self,
                    GError **error)
{
  return g_initable_new (g_tls_backend_get_server_connection_type (g_tls_backend_get_default ()), NULL, error,
                         "base-io-stream", self->base, "certificate", self->certificate, "database", self->database,
                         NULL);
}

static GIOStream *
new_client_session (MpTls   *self,
                    GError **error)
{
  if (self->database == NULL)
    return g_tls_client_connection_new (self->base, self->identity, error);
  return g_initable_new (g_tls_backend_get_client_connection_type (g_tls_backend_get_default ()), NULL, error,
                         "base-io-stream", self->base, "server-identity", self->identity, "database", self->database,
                         NULL);
}

static gboolean
make_session (MpTls   *self,
              GError **error)
{
  if (!mp_tls_check_support (error))
    return FALSE;

  if (self->base == NULL)
    self->base = wrap_socket (self, error);
  if (self->base == NULL)
    return FALSE;

  self->tls = self->is_server ? new_server_session (self, error) : new_client_session (self, error);
  if (self->tls == NULL)
    return FALSE;

  if (self->is_server && self->database != NULL)
    {
      g_object_set (self->tls, "authentication-mode", G_TLS_AUTHENTICATION_REQUIRED, NULL);
      g_signal_connect (self->tls, "accept-certificate", G_CALLBACK (accept_certificate_cb), NULL);
    }
  if (!self->is_server && self->certificate != NULL)
    g_tls_connection_set_certificate (G_TLS_CONNECTION (self->tls), self->certificate);
  return TRUE;
}

/* FALSE without error: not yet. */
static gboolean
begin (MpTls   *self,
       GError **error)
{
  if (!prepare_for_forks (error))
    return FALSE;

  if (!take_context (self, error) || !make_session (self, error))
    return FALSE;

  self->context_fd = get_context_fd (self->context);
  g_main_context_push_thread_default (self->context);
  /* Without a cancellable, which would need descriptors: see mp_tls_free(). */
  g_tls_connection_handshake_async (G_TLS_CONNECTION (self->tls), G_PRIORITY_DEFAULT, NULL, handshake_cb, self);
  g_main_context_pop_thread_default (self->context);
  return TRUE;
}

static gboolean
end_handshake (MpTls   *self,
               GError **error)
{
  give_context (g_steal_pointer (&self->context));
  if (self->error != NULL)
    {
      g_propagate_error (error, g_error_copy (self->error));
      return FALSE;
    }

  self->may_have_more = TRUE;
  return TRUE;
}

gboolean
mp_tls_handshake (MpTls         *self,
                  gboolean       may_begin,
                  int           *fd,
                  GIOCondition  *condition,
                  GError       **error)
{
  GError *local_error = NULL;

  mp_tls_sweep ();
  if (self->state == AT_GATE && look_at_gate (self, &local_error))
    self->state = READY;
  if (self->state == READY && may_begin && begin (self, &local_error))
    self->state = UNDER_WAY;
  if (self->state == UNDER_WAY && attend (self) && end_handshake (self, &local_error))
    self->state = OPEN;
  if (local_error != NULL)
    {
      self->state = FAILED;
      g_propagate_error (error, local_error);
    }

  *fd = self->state == AT_GATE ? self->fd : self->state == UNDER_WAY ? self->context_fd : -1;
  *condition = G_IO_IN;
  return self->state == OPEN;
}

int
mp_tls_get_fd (MpTls *self)
{
  return self->fd;
}

MpWireIO *
mp_tls_get_io (MpTls *self)
{
  return &self->io;
}

GTlsCertificate *
mp_tls_dup_peer_certificate (MpTls *self)
{
  GTlsCertificate *certificate;

  certificate = self->state == OPEN ? g_tls_connection_get_peer_certificate (G_TLS_CONNECTION (self->tls)) : NULL;
  return certificate != NULL ? g_object_ref (certificate) : NULL;
}
