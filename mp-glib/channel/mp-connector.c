/* mp-connector.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connector-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-hub-private.h"
#include "mp-glib/channel/mp-address-private.h"
#include "mp-glib/channel/mp-handshake-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-socket-private.h"

#include <errno.h>
#include <glib-unix.h>

/* The system lets nobody wait for room in the queue of a local listener but by blocking, so that is tried again. */
#define FIRST_RETRY_US 500
#define LAST_RETRY_US  20000

/* After what is ready: a call that does not wait gets as far as it can. */
#define PRIORITY_OF_TIME (G_PRIORITY_DEFAULT + 10)

/* There may be something ready all the time: this long after its time it is over nevertheless. */
#define LATEST_US 100000

typedef enum
{
  SOURCE_BEGIN,
  SOURCE_TIME,
  SOURCE_LATEST_TIME,
  SOURCE_CANCELLED,
  SOURCE_INTERRUPT,
  SOURCE_FD,
  SOURCE_RETRY,
  N_SOURCES
} Source;

struct _MpConnector
{
  gatomicrefcount           ref_count;
  GMainContext             *context;      /* (owned): all that follows happens there */
  GTask                    *task;         /* (owned) (nullable) */
  GSocketConnectable       *connectable;  /* (owned) */
  GSocketAddressEnumerator *enumerator;   /* (owned) (nullable) */
  GSocketAddress           *address;      /* (owned) (nullable): in hand */
  GCancellable             *cancellable;  /* (owned) (nullable): the caller's */
  gulong                    cancel_id;    /* 0: not connected to it */
  GCancellable             *stop;         /* (owned): ends a look-up */
  gboolean                  looking_up;
  gint64                    deadline;     /* -1: none */
  gint64                    retry_us;

  GBytes                   *key;          /* (owned) (nullable) */
  gboolean                  allow_md5;
  gboolean                  with_tls;
  GTlsCertificate          *certificate;  /* (owned) (nullable) */
  GTlsDatabase             *database;     /* (owned) (nullable) */
  GSocketConnectable       *identity;     /* (owned) (nullable) */
  MpAddressFlags            flags;
  guint64                   max_message_size;

  MpHandshake               handshake;    /* has the socket */
  gboolean                  shaking_hands;
  GSource                  *sources[N_SOURCES];   /* (owned) (nullable) */
  gboolean                  done;
  GError                   *error;        /* (owned) (nullable): before the end, of the last address that failed */
};

static void try_next (MpConnector *self);

static MpConnector *
mp_connector_ref (MpConnector *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
mp_connector_unref (MpConnector *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  mp_handshake_clear (&self->handshake);
  g_clear_object (&self->task);
  g_clear_object (&self->enumerator);
  g_clear_object (&self->address);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->stop);
  g_clear_object (&self->connectable);
  g_clear_object (&self->certificate);
  g_clear_object (&self->database);
  g_clear_object (&self->identity);
  g_clear_pointer (&self->key, g_bytes_unref);
  g_clear_error (&self->error);
  g_main_context_unref (self->context);
  g_free (self);
}

static void
clear_source (MpConnector *self,
              Source       which)
{
  if (self->sources[which] == NULL)
    return;

  g_source_destroy (self->sources[which]);
  g_clear_pointer (&self->sources[which], g_source_unref);
}

/* Takes @source, which has a reference to the connector while it lives. */
static void
set_source (MpConnector *self,
            Source       which,
            GSource     *source,
            GSourceFunc  func)
{
  clear_source (self, which);
  g_source_set_static_name (source, "MpConnector");
  g_source_set_callback (source, func, mp_connector_ref (self), (GDestroyNotify) mp_connector_unref);
  self->sources[which] = source;
  g_source_attach (source, self->context);
}

static gboolean
dispatch_time (GSource     *source,
               GSourceFunc  callback,
               gpointer     user_data)
{
  return callback (user_data);
}

static GSourceFuncs time_funcs = { NULL, NULL, dispatch_time, NULL, NULL, NULL };

static GSource *
new_time_source (gint64 due,
                 int    priority)
{
  GSource *source = g_source_new (&time_funcs, sizeof (GSource));

  g_source_set_ready_time (source, due);
  g_source_set_priority (source, priority);
  return source;
}

/* For who asks what is thread-default: a thread that turns a context need not have made it so. */
static void
tell_task (MpConnector *self)
{
  g_autoptr(GTask) task = g_steal_pointer (&self->task);
  g_autoptr(GError) error = NULL;
  MpConnection *connection;

  if (task == NULL)
    return;

  g_main_context_push_thread_default (self->context);
  connection = mp_connector_finish (self, &error);
  g_main_context_pop_thread_default (self->context);
  if (connection != NULL)
    g_task_return_pointer (task, connection, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/* Takes @error (nullable). */
static void
complete (MpConnector *self,
          GError      *error)
{
  guint i;

  if (self->done)
    {
      g_clear_error (&error);
      return;
    }

  mp_connector_ref (self);
  self->done = TRUE;
  g_clear_error (&self->error);
  self->error = error;
  if (self->cancel_id != 0)
    g_cancellable_disconnect (self->cancellable, self->cancel_id);
  self->cancel_id = 0;
  for (i = 0; i < N_SOURCES; i++)
    clear_source (self, i);
  g_cancellable_cancel (self->stop);
  tell_task (self);
  mp_connector_unref (self);
}

/* Takes @error, and says in it where to. */
static void
fail (MpConnector *self,
      GError      *error)
{
  g_autofree char *name = mp_address_to_string (self->address != NULL ? G_SOCKET_CONNECTABLE (self->address)
                                                                      : self->connectable);

  g_prefix_error (&error, "Cannot connect to %s: ", name);
  complete (self, error);
}

static gboolean
time_over_cb (gpointer user_data)
{
  fail (user_data, g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "timed out"));
  return G_SOURCE_REMOVE;
}

static gboolean
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  fail (user_data, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled"));
  return G_SOURCE_REMOVE;
}

static gboolean
woken_cb (gpointer user_data)
{
  MpConnector *self = user_data;

  if (g_cancellable_is_cancelled (self->cancellable))
    cancelled_cb (self->cancellable, self);
  return G_SOURCE_REMOVE;
}

static void
wake_source_cb (GCancellable *cancellable,
                gpointer      user_data)
{
  g_source_set_ready_time (user_data, 0);
}

/* A blocking call is not made by a handler of this cancellable, which is cancelled then; so it can wait for one that runs
 * in another thread. A GCancellableSource of that moment would be lost for good. */
static void
watch_cancellable (MpConnector *self)
{
  GSource *source;

  if (self->task != NULL)
    {
      set_source (self, SOURCE_CANCELLED, g_cancellable_source_new (self->cancellable), G_SOURCE_FUNC (cancelled_cb));
      return;
    }

  source = new_time_source (-1, G_PRIORITY_DEFAULT);
  set_source (self, SOURCE_CANCELLED, source, woken_cb);
  self->cancel_id = g_cancellable_connect (self->cancellable, G_CALLBACK (wake_source_cb), g_source_ref (source),
                                           (GDestroyNotify) g_source_unref);
}

static gboolean
interrupted_cb (int          fd,
                GIOCondition condition,
                gpointer     user_data)
{
  fail (user_data, g_error_new (MP_ERROR, MP_ERROR_INTERRUPTED, "interrupted by a signal"));
  return G_SOURCE_REMOVE;
}

/* This address is not to be had; there may be others. */
static void
address_failed (MpConnector *self,
                int          error_number)
{
  g_autofree char *name = mp_address_to_string (G_SOCKET_CONNECTABLE (self->address));

  clear_source (self, SOURCE_FD);
  mp_handshake_clear (&self->handshake);
  g_clear_error (&self->error);
  g_set_error (&self->error, G_IO_ERROR, g_io_error_from_errno (error_number), "Cannot connect to %s: %s", name,
               g_strerror (error_number));
  try_next (self);
}

static gboolean fd_ready_cb (int          fd,
                             GIOCondition condition,
                             gpointer     user_data);

static void
wait_for_fd (MpConnector  *self,
             int           fd,
             GIOCondition  condition)
{
  set_source (self, SOURCE_FD, g_unix_fd_source_new (fd, condition), G_SOURCE_FUNC (fd_ready_cb));
}

static void
shake_hands (MpConnector *self)
{
  GError *error = NULL;

  switch (mp_handshake_step (&self->handshake, &error))
    {
    case MP_HANDSHAKE_DONE:
      MP_TORTURE_POINT ("client-shook-hands");
      complete (self, NULL);
      break;
    case MP_HANDSHAKE_WAITS:
      wait_for_fd (self, self->handshake.wait_fd, self->handshake.condition);
      break;
    default:
      fail (self, error);
      break;
    }
}

/* Whom the certificate must name: who was asked for, unless that is said apart. */
static GSocketConnectable *
get_identity (MpConnector *self)
{
  if (self->identity != NULL)
    return self->identity;
  if (G_IS_NETWORK_ADDRESS (self->connectable) || G_IS_NETWORK_SERVICE (self->connectable))
    return self->connectable;
  return G_SOCKET_CONNECTABLE (self->address);
}

static void
use_tls (MpConnector *self)
{
  MpTlsSettings settings = { FALSE, self->certificate, self->database, get_identity (self) };

  mp_handshake_use_tls (&self->handshake, &settings);
}

static void
connected (MpConnector *self)
{
  GError *error = NULL;

  MP_TORTURE_POINT ("client-connected");
  mp_socket_set_blocking (self->handshake.fd);
  if (!mp_handshake_init (&self->handshake, self->handshake.fd, MP_AUTH_CLIENT, self->key, self->allow_md5, -1, &error))
    {
      fail (self, error);
      return;
    }

  if (self->with_tls)
    use_tls (self);
  self->shaking_hands = TRUE;
  shake_hands (self);
}

static gboolean
fd_ready_cb (int          fd,
             GIOCondition condition,
             gpointer     user_data)
{
  MpConnector *self = user_data;

  if (self->shaking_hands)
    shake_hands (self);
  else if (mp_socket_take_error (fd) < 0)
    address_failed (self, errno);
  else
    connected (self);
  return G_SOURCE_CONTINUE;   /* or has been replaced */
}

static gboolean retry_cb (gpointer user_data);

static void
try_address (MpConnector *self)
{
  guint8 native[256];
  gssize size = g_socket_address_get_native_size (self->address);
  GError *error = NULL;

  if (size > (gssize) sizeof native || !g_socket_address_to_native (self->address, native, sizeof native, &error) ||
      !mp_address_check (G_SOCKET_CONNECTABLE (self->address), self->flags, &error))
    {
      if (error == NULL)
        error = g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "an address of this kind is not supported");
      fail (self, error);
      return;
    }
  if (self->with_tls && !G_IS_INET_SOCKET_ADDRESS (self->address))
    {
      fail (self, g_error_new (G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "TLS is for TCP only"));
      return;
    }

  self->handshake.fd = mp_socket_new (g_socket_address_get_family (self->address));
  if (self->handshake.fd >= 0 && mp_socket_connect (self->handshake.fd, native, size) == 0)
    {
      connected (self);
      return;
    }

  if (self->handshake.fd >= 0 && errno == EINPROGRESS)
    wait_for_fd (self, self->handshake.fd, G_IO_OUT);
  else if (self->handshake.fd >= 0 && errno == EAGAIN)
    {
      mp_fd_close (&self->handshake.fd);
      set_source (self, SOURCE_RETRY, new_time_source (g_get_monotonic_time () + self->retry_us, G_PRIORITY_DEFAULT),
                  retry_cb);
      self->retry_us = MIN (2 * self->retry_us, LAST_RETRY_US);
    }
  else
    address_failed (self, errno);
}

static gboolean
retry_cb (gpointer user_data)
{
  MpConnector *self = user_data;

  clear_source (self, SOURCE_RETRY);
  try_address (self);
  return G_SOURCE_REMOVE;
}

static void
looked_up_cb (GObject      *object,
              GAsyncResult *result,
              gpointer      user_data)
{
  MpConnector *self = user_data;
  GError *error = NULL;
  GSocketAddress *address;

  address = g_socket_address_enumerator_next_finish (G_SOCKET_ADDRESS_ENUMERATOR (object), result, &error);
  self->looking_up = FALSE;
  if (self->done)
    {
      g_clear_object (&address);
      g_clear_error (&error);
    }
  else if (address != NULL)
    {
      g_clear_object (&self->address);
      self->address = address;
      self->retry_us = FIRST_RETRY_US;
      try_address (self);
    }
  else if (self->error != NULL)
    {
      g_clear_error (&error);
      complete (self, g_steal_pointer (&self->error));
    }
  else
    {
      g_clear_object (&self->address);
      fail (self, error != NULL ? error : g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "there is no address"));
    }
  mp_connector_unref (self);
}

static void
try_next (MpConnector *self)
{
  self->looking_up = TRUE;
  g_main_context_push_thread_default (self->context);
  if (self->enumerator == NULL)
    self->enumerator = g_socket_connectable_enumerate (self->connectable);
  g_socket_address_enumerator_next_async (self->enumerator, self->stop, looked_up_cb, mp_connector_ref (self));
  g_main_context_pop_thread_default (self->context);
}

/* In the context: there nothing runs beside it. */
static gboolean
begin_cb (gpointer user_data)
{
  MpConnector *self = user_data;
  int interrupt_fd = self->task == NULL ? mp_hub_get_interrupt_fd () : -1;

  clear_source (self, SOURCE_BEGIN);
  if (g_cancellable_is_cancelled (self->cancellable))
    return cancelled_cb (self->cancellable, self);

  if (self->cancellable != NULL)
    watch_cancellable (self);
  if (self->deadline >= 0)
    {
      set_source (self, SOURCE_TIME, new_time_source (self->deadline, PRIORITY_OF_TIME), time_over_cb);
      set_source (self, SOURCE_LATEST_TIME, new_time_source (self->deadline + LATEST_US, G_PRIORITY_DEFAULT),
                  time_over_cb);
    }
  if (interrupt_fd >= 0)
    set_source (self, SOURCE_INTERRUPT, g_unix_fd_source_new (interrupt_fd, G_IO_IN), G_SOURCE_FUNC (interrupted_cb));

  try_next (self);
  return G_SOURCE_REMOVE;
}

MpConnector *
mp_connector_new (GSocketConnectable *address,
                  MpClientOptions    *options,
                  gint64              deadline,
                  GCancellable       *cancellable,
                  GTask              *task)
{
  g_autoptr(MpClientOptions) defaults = NULL;
  MpConnector *self = g_new0 (MpConnector, 1);
  GBytes *key;

  if (options == NULL)
    options = defaults = mp_client_options_new ();
  key = mp_client_options_get_authkey (options);

  g_atomic_ref_count_init (&self->ref_count);
  self->context = g_main_context_ref_thread_default ();
  self->task = task;
  self->connectable = g_object_ref (address);
  self->cancellable = cancellable != NULL ? g_object_ref (cancellable) : NULL;
  self->stop = g_cancellable_new ();
  self->deadline = deadline;
  self->key = key != NULL ? g_bytes_ref (key) : NULL;
  self->allow_md5 = mp_client_options_get_allow_md5 (options);
  self->with_tls = mp_client_options_get_tls (options);
  g_set_object (&self->certificate, mp_client_options_get_tls_certificate (options));
  g_set_object (&self->database, mp_client_options_get_tls_database (options));
  g_set_object (&self->identity, mp_client_options_get_server_identity (options));
  self->flags = mp_client_options_get_allow_abstract (options) ? MP_ADDRESS_FLAGS_ALLOW_ABSTRACT : 0;
  self->max_message_size = mp_client_options_get_max_message_size (options);
  self->handshake.fd = -1;

  set_source (self, SOURCE_BEGIN, new_time_source (0, G_PRIORITY_DEFAULT), begin_cb);
  return self;
}

gboolean
mp_connector_is_done (MpConnector *self)
{
  return self->done;
}

gboolean
mp_connector_is_busy (MpConnector *self)
{
  return self->looking_up;
}

MpConnection *
mp_connector_finish (MpConnector  *self,
                     GError      **error)
{
  if (self->error == NULL)
    return mp_handshake_finish (&self->handshake, self->max_message_size);

  g_propagate_error (error, g_steal_pointer (&self->error));
  return NULL;
}
