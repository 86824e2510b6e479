/* mp-worker-log.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-worker-private.h"

#include <string.h>
#include <unistd.h>

/* Records of other threads that wait for the main one; more are printed as they would be without us. */
#define MAX_WAITING 256

static GThread *main_thread;
static pid_t worker_pid;                /* a copy that a function has forked must not speak on the socket */
static GMutex mutex;
static GQueue waiting = G_QUEUE_INIT;   /* (mutex) (element-type GVariant): a{ss}, of other threads */
static int n_waiting;                   /* (atomic) */
static gboolean sending;                /* main thread only: a record made by sending one is not sent */

static const char *
level_to_priority (GLogLevelFlags level)
{
  if ((level & G_LOG_LEVEL_ERROR) != 0)
    return "3";
  if ((level & (G_LOG_LEVEL_CRITICAL)) != 0)
    return "3";
  if ((level & G_LOG_LEVEL_WARNING) != 0)
    return "4";
  if ((level & G_LOG_LEVEL_MESSAGE) != 0)
    return "5";
  if ((level & G_LOG_LEVEL_INFO) != 0)
    return "6";
  return "7";
}

static GVariant *
make_record (const char *domain, GLogLevelFlags level, const char *message)
{
  g_autofree char *valid = g_utf8_make_valid (message != NULL ? message : "(NULL)", -1);
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{ss}"));

  g_variant_builder_add (&builder, "{ss}", "PRIORITY", level_to_priority (level));
  if (domain != NULL)
    g_variant_builder_add (&builder, "{ss}", "GLIB_DOMAIN", domain);
  g_variant_builder_add (&builder, "{ss}", "MESSAGE", valid);
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

static void
queue_record (MpWorker *worker, GVariant *record)
{
  MpEncoded encoded;

  if (!mp_value_encode (record, &encoded, NULL))
    return;
  mp_wire_queue_value (worker->wire, MP_FRAME_LOG, 0, NULL, 0, &encoded);
  mp_encoded_clear (&encoded);
}

void
mp_worker_log_flush (MpWorker *self)
{
  GVariant *record;

  if (g_atomic_int_get (&n_waiting) == 0 || sending)
    return;
  sending = TRUE;
  g_mutex_lock (&mutex);
  while ((record = g_queue_pop_head (&waiting)) != NULL)
    {
      g_atomic_int_add (&n_waiting, -1);
      queue_record (self, record);
      g_variant_unref (record);
    }
  g_mutex_unlock (&mutex);
  mp_wire_flush_blocking (self->wire, NULL);
  sending = FALSE;
}

/* FALSE: there are too many already. */
static gboolean
leave_to_main (GVariant *record)
{
  gboolean left;

  g_mutex_lock (&mutex);
  left = waiting.length < MAX_WAITING;
  if (left)
    {
      g_queue_push_tail (&waiting, g_variant_ref (record));
      g_atomic_int_inc (&n_waiting);
    }
  g_mutex_unlock (&mutex);
  return left;
}

static gboolean
send_now (MpWorker *worker, GVariant *record)
{
  gboolean sent;

  if (sending)
    return FALSE;
  mp_worker_log_flush (worker);
  sending = TRUE;
  queue_record (worker, record);
  sent = mp_wire_flush_blocking (worker->wire, NULL);
  sending = FALSE;
  return sent;
}

static void
log_handler (const char *domain, GLogLevelFlags level, const char *message, gpointer user_data)
{
  MpWorker *worker = user_data;
  g_autoptr(GVariant) record = NULL;

  /* What the owner would not show need not travel. */
  if (worker != mp_worker_get () ||
      (g_log_writer_default_would_drop (level & G_LOG_LEVEL_MASK, domain) && (level & G_LOG_FLAG_FATAL) == 0))
    return;
  if ((level & G_LOG_FLAG_RECURSION) == 0 && getpid () == worker_pid)
    {
      record = make_record (domain, level, message);
      if (g_thread_self () == main_thread ? send_now (worker, record)
                                          : (level & G_LOG_FLAG_FATAL) == 0 && leave_to_main (record))
        return;
    }
  /* The owner has gone, or the record is about sending records. */
  g_log_default_handler (domain, level, message, NULL);
}

void
mp_worker_log_install (MpWorker *self)
{
  main_thread = g_thread_self ();
  worker_pid = getpid ();
  sending = FALSE;
  g_queue_init (&waiting);
  g_atomic_int_set (&n_waiting, 0);
  g_log_set_default_handler (log_handler, self);
}
