/* waits-messages.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "waits.h"

#include "mp-glib/arena/mp-ring-state-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable.h"
#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/channel/mp-wire-parts-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The messages of torture-connection-waits.c, and how they are sent and received. */

gboolean
waits_mark (WaitsNumbers *self,
            guint32       number)
{
  guint32 place = number - self->base - 1;

  if (place >= 64 || (self->seen & (G_GUINT64_CONSTANT (1) << place)) != 0)
    return FALSE;
  self->seen |= G_GUINT64_CONSTANT (1) << place;
  while (self->seen & 1)
    {
      self->seen >>= 1;
      self->base++;
    }
  return TRUE;
}

guint
waits_count_gaps (guint64 seen)
{
  return seen == 0 ? 0 : g_bit_storage (seen) - __builtin_popcountll (seen);
}

void
waits_make_gap (void)
{
  guint chance = torture_random (64);

  if (chance < 12)
    sched_yield ();
  else if (chance < 16)
    g_usleep (torture_random (300));
  else if (chance == 16)
    g_usleep (1000 + torture_random (2000));
  else if (chance == 17 && torture_random (4) == 0)
    g_usleep (11000);
}

gboolean
waits_has_all_left (MpConnection *self)
{
  gboolean all;

  pthread_mutex_lock (&self->lock);
  all = self->wire != NULL && mp_wire_get_pending (self->wire) == 0;
  pthread_mutex_unlock (&self->lock);
  return all;
}

/* How the other end sleeps is overwritten: it is not woken. */
static void
disturb_sleep (MpConnection *self,
               MpRingSleep   sleep)
{
  guint32 expected = sleep;
  MpRing *ring;

  pthread_mutex_lock (&self->lock);
  ring = self->wire != NULL ? self->wire->lane_out.ring : NULL;
  if (ring != NULL && mp_ring_has_end (ring))
    __atomic_compare_exchange_n (&ring->other->sleep, &expected, MP_RING_UNSURE, FALSE, __ATOMIC_SEQ_CST,
                                 __ATOMIC_SEQ_CST);
  pthread_mutex_unlock (&self->lock);
}

gboolean
waits_send_lead (MpConnection *self,
                 WaitsLead    *lead,
                 gint64        timeout_us)
{
  static _Thread_local guint8 content[sizeof (WaitsLead) + WAITS_MAX_LENGTH];
  g_autoptr(GError) error = NULL;

  lead->sum = lead->number;
  for (guint i = 0; i < lead->length; i++)
    {
      content[sizeof *lead + i] = (guint8) (lead->number * 13 + i * 5);
      lead->sum = lead->sum * 31 + content[sizeof *lead + i];
    }
  memcpy (content, lead, sizeof *lead);
  if (torture_broken == WAITS_BROKEN_WORD || torture_broken == WAITS_BROKEN_BELL)
    disturb_sleep (self, torture_broken == WAITS_BROKEN_WORD ? MP_RING_ON_WORD : MP_RING_ON_BELL);

  if (mp_connection_send_data (self, content, sizeof *lead + lead->length, timeout_us, NULL, &error))
    return TRUE;
  torture_check (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE) ||
                 (timeout_us < WAITS_LONG_WAIT && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)),
                 "connection send: %s", error->message);
  return FALSE;
}

/* For how long this thread was ready to run, and did not get to. */
static gint64
get_delay (void)
{
  char text[100];
  int fd = open ("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  gssize n = fd >= 0 ? read (fd, text, sizeof text - 1) : 0;
  guint64 ran = 0, delay = 0;

  mp_fd_close (&fd);
  text[MAX (n, 0)] = '\0';
  return sscanf (text, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &ran, &delay) == 2 ? delay / 1000 : 0;
}

static GBytes *
receive_as (guint         how,
            MpConnection *self,
            gint64        timeout_us,
            gboolean     *ended)
{
  guint8 buffer[sizeof (WaitsLead) + 50];
  g_autoptr(GError) error = NULL;
  GBytes *bytes = NULL;
  gsize length = 0;

  if (how == 0 && mp_connection_recv_bytes_into (self, buffer, sizeof buffer, &length, timeout_us, NULL, &error))
    return g_bytes_new (buffer, length);
  if (how == 1)
    {
      mp_connection_poll (self, timeout_us, NULL, NULL);
      timeout_us = MIN (timeout_us, 1000);   /* another thread may have taken it */
    }
  if (how != 0)
    bytes = mp_connection_recv_bytes (self, timeout_us, NULL, &error);
  else if (g_error_matches (error, MP_ERROR, MP_ERROR_BUFFER_TOO_SHORT))
    bytes = mp_error_dup_message_bytes (error);
  if (bytes != NULL)
    return bytes;

  *ended = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  torture_check (*ended || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
                 g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED), "connection receive: %s", error->message);
  return NULL;
}

GBytes *
waits_receive (MpConnection *self,
               gint64        timeout_us,
               gboolean     *ended)
{
  gboolean is_watched = torture_is_quiet () && timeout_us == WAITS_QUIET_WAIT;
  gint64 delay = is_watched ? get_delay () : 0;
  gint64 start = g_get_monotonic_time ();
  GBytes *bytes = receive_as (torture_random (4), self, timeout_us, ended);

  if (is_watched && bytes != NULL && g_get_monotonic_time () - start >= WAITS_QUIET_WAIT &&
      g_get_monotonic_time () - start - (get_delay () - delay) >= WAITS_QUIET_WAIT)
    __atomic_fetch_add (&mp_arena_counts.n_lost_wakes, 1, __ATOMIC_RELAXED);
  return bytes;
}

gboolean
waits_unpack (GBytes    *bytes,
              guint64    of,
              WaitsLead *lead)
{
  gsize size = 0;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  gboolean whole = size >= sizeof *lead;
  guint32 sum;

  if (whole)
    {
      memcpy (lead, data, sizeof *lead);
      whole = lead->length == size - sizeof *lead && lead->writer < WAITS_N_WRITERS;
    }
  if (whole)
    {
      sum = lead->number;
      for (guint i = 0; i < lead->length; i++)
        sum = sum * 31 + data[sizeof *lead + i];
      whole = sum == lead->sum;
    }
  torture_check (whole, "connection: a message of %" G_GSIZE_FORMAT " bytes is torn", size);
  torture_check (!whole || lead->session == of, "connection: a message of session %" G_GUINT64_FORMAT " in session %"
                 G_GUINT64_FORMAT, lead->session, of);
  return whole && lead->session == of;
}

gboolean
waits_is_dozing (MpConnection *self)
{
  gboolean result;

  pthread_mutex_lock (&self->lock);
  result = self->wire != NULL && self->wire->lane_in.dozes;
  pthread_mutex_unlock (&self->lock);
  return result;
}

gboolean
waits_encode_end (MpConnection *self,
                  MpEncoded    *encoded)
{
  g_autoptr(GVariant) handle = g_variant_ref_sink (mp_shareable_to_variant (MP_SHAREABLE (self)));
  g_autoptr(GError) error = NULL;

  if (mp_value_encode (handle, encoded, &error))
    return TRUE;
  torture_check (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BUSY), "connection cannot be sent: %s", error->message);
  return FALSE;
}

gsize
waits_flatten (const MpEncoded *encoded,
               guint8          *data,
               gsize            size)
{
  gsize length = 0;

  for (guint i = 0; i < encoded->n_pieces; i++)
    {
      if (encoded->pieces[i].size > size - length)
        g_error ("torture: a long handle");
      memcpy (data + length, encoded->pieces[i].data, encoded->pieces[i].size);
      length += encoded->pieces[i].size;
    }
  return length;
}

MpConnection *
waits_decode_end (const guint8 *data,
                  gsize         size,
                  int          *fds,
                  guint         n_fds)
{
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  MpShareable *object = NULL;
  gsize used = 0;

  value = mp_value_decode (NULL, data, size, &used, fds, n_fds, &error);
  if (value != NULL)
    object = mp_shareable_from_variant (value, &error);
  torture_check (object != NULL, "connection cannot be received: %s", error->message);
  return (MpConnection *) object;
}
