/* torture-listener.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/channel/mp-client.h"
#include "mp-glib/channel/mp-listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* MpListener and mp_client_connect(), with a key: two children listen, at a path and at a port of TCP, and answer; the
 * others connect, ask, and go. Whoever is killed, at whatever point: what comes is whole, and the answer to what was
 * asked; nobody waits for the dead; the next listener has the place of one that was killed; and nobody is told that his
 * key is wrong. */

enum { BROKEN_NOTHING, BROKEN_ANSWER, BROKEN_KEY };

#define N_PLACES   2
#define PATIENCE   (200 * G_TIME_SPAN_MILLISECOND)
#define MAX_LENGTH 100000

typedef struct
{
  guint64 n_answered;
  guint64 n_refused;     /* nobody was there, or went meanwhile */
  guint64 n_listeners;
  guint64 n_gone;        /* clients that listeners were told of */
} Figures;

typedef struct
{
  guint64 asker;
  guint64 number;
  guint64 sum;           /* of what follows */
} Lead;

static Figures *figures;
static char    *folder;
static char    *places[N_PLACES];

/* A child's own. */
static MpListener *listener;
static guint64     n_asked;

static guint
find_port (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl (INADDR_LOOPBACK) } };
  socklen_t size = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (bind (fd, (struct sockaddr *) &address, size) < 0 || getsockname (fd, (struct sockaddr *) &address, &size) < 0)
    g_error ("torture: no port: %s", g_strerror (errno));
  close (fd);
  return ntohs (address.sin_port);
}

static char *
get_folder (pid_t conductor)
{
  return g_strdup_printf ("%s/mp-torture-listener-%d", g_get_tmp_dir (), conductor);
}

static void
setup (void)
{
  figures = torture_alloc (sizeof *figures);
  folder = get_folder (getpid ());
  if (g_mkdir (folder, 0700) < 0)
    g_error ("torture: %s: %s", folder, g_strerror (errno));
  places[0] = g_strdup_printf ("unix:%s/place", folder);
  places[1] = g_strdup_printf ("tcp:127.0.0.1:%u", find_port ());
}

static GBytes *
get_key (gboolean right)
{
  return g_bytes_new_static (right ? "the key" : "no key!", 7);
}

static void
begin (void)
{
  g_main_context_push_thread_default (g_main_context_new ());
}

/* Messages */

static guint64
sum_up (const guint8 *data,
        gsize         size,
        guint64       sum)
{
  for (gsize i = 0; i < size; i++)
    sum = sum * 31 + data[i];
  return sum;
}

static GBytes *
make_message (guint64 asker,
              guint64 number)
{
  guint length = torture_random (20) == 0 ? torture_random (MAX_LENGTH) : torture_random (100);
  guint8 *data = g_malloc (sizeof (Lead) + length);
  Lead lead = { asker, number, 0 };

  for (guint i = 0; i < length; i++)
    data[sizeof lead + i] = (guint8) (number * 17 + i * 7);
  lead.sum = sum_up (data + sizeof lead, length, asker + number);
  memcpy (data, &lead, sizeof lead);
  return g_bytes_new_take (data, sizeof lead + length);
}

static Lead
read_message (GBytes *bytes)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  gboolean whole = size >= sizeof (Lead);
  Lead lead = { 0 };

  if (whole)
    {
      memcpy (&lead, data, sizeof lead);
      whole = sum_up (data + sizeof lead, size - sizeof lead, lead.asker + lead.number) == lead.sum;
    }
  torture_check (whole, "listener: a message of %" G_GSIZE_FORMAT " bytes is torn", size);
  return lead;
}

/* What a death of the other side looks like, or nobody's having come there yet. */
static gboolean
is_of_death (const GError *error)
{
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

/* Listeners */

static void
failed_cb (MpListener *self,
           GError     *error,
           gpointer    user_data)
{
  torture_check (is_of_death (error), "listener: %s", error->message);
  torture_count (&figures->n_gone);
}

static void
answer (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(MpConnection) connection = mp_listener_accept (listener, 20000, NULL, &error);
  g_autoptr(GBytes) question = NULL, reply = NULL;
  Lead lead;

  if (connection != NULL)
    question = mp_connection_recv_bytes (connection, PATIENCE, NULL, &error);
  if (question != NULL)
    {
      lead = read_message (question);
      reply = make_message (lead.asker, lead.number + (torture_broken == BROKEN_ANSWER && torture_random (50) == 0));
      mp_connection_send_bytes (connection, reply, PATIENCE, NULL, &error);
    }
  if (error != NULL)
    torture_check (is_of_death (error), "listener: %s", error->message);
}

static void
listen_there (const char *place)
{
  g_autoptr(GBytes) key = get_key (TRUE);
  g_autoptr(GError) error = NULL;

  listener = mp_listener_new (place, key, &error);
  if (listener != NULL)
    {
      g_signal_connect (listener, "client-failed", G_CALLBACK (failed_cb), NULL);
      torture_count (&figures->n_listeners);
      return;
    }
  /* The one before is not gone altogether. */
  torture_check (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE), "listener: %s", error->message);
}

/* Clients */

static void
ask (const char *place)
{
  gboolean right = torture_broken != BROKEN_KEY || torture_random (50) != 0;
  g_autoptr(GBytes) key = get_key (right);
  g_autoptr(MpClientOptions) options = mp_client_options_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(MpConnection) connection = NULL;
  g_autoptr(GBytes) question = NULL, reply = NULL;
  guint64 number = ++n_asked * 2;
  Lead lead;

  mp_client_options_set_authkey (options, key);
  connection = mp_client_connect_to (place, options, PATIENCE, NULL, &error);
  question = make_message (torture_get_serial (), number);
  if (connection != NULL && mp_connection_send_bytes (connection, question, PATIENCE, NULL, &error))
    reply = mp_connection_recv_bytes (connection, PATIENCE, NULL, &error);
  if (reply == NULL)
    {
      torture_check (is_of_death (error), "client: %s", error->message);
      torture_count (&figures->n_refused);
      return;
    }

  lead = read_message (reply);
  torture_check (lead.asker == torture_get_serial () && lead.number == number,
                 "client: asked %" G_GUINT64_FORMAT " and has the answer to %" G_GUINT64_FORMAT, number, lead.number);
  torture_count (&figures->n_answered);
}

static void
step (void)
{
  guint child = torture_get_child ();

  if (child >= N_PLACES)
    ask (places[torture_random (N_PLACES)]);
  else if (listener == NULL)
    listen_there (places[child]);
  else if (torture_random (200) == 0)
    g_clear_object (&listener);
  else
    answer ();
  torture_pause ();
}

/* Beside the place there is nothing but what was killed between two steps of its making, at most. */
static void
finish (void)
{
  g_autoptr(GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    torture_check (g_str_equal (name, "place") || (g_str_has_prefix (name, "place.") && strlen (name) == 12),
                   "listener: there is a file %s", name);
  torture_check (figures->n_answered > 0, "listener: nobody was answered");
}

static void
sweep (pid_t conductor)
{
  g_autofree char *path = get_folder (conductor);

  while (g_rmdir (path) < 0 && errno != ENOENT)
    {
      g_autoptr(GDir) dir = g_dir_open (path, 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *file = g_build_filename (path, name, NULL);

          g_unlink (file);
        }
    }
}

static void
add_figures (GString *line)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT " answered, %" G_GUINT64_FORMAT " not, by %" G_GUINT64_FORMAT
                          " listeners, who were told of %" G_GUINT64_FORMAT " clients that went; ",
                          figures->n_answered, figures->n_refused, figures->n_listeners, figures->n_gone);
}

const TorturePrimitive torture_listener = {
  "listener",
  (const char *const[]) { "listener-", "client-", "auth-", NULL },
  (const char *const[]) { "answers another question", "another key", NULL },
  setup,
  begin,
  step,
  NULL,
  finish,
  add_figures,
  0,
  sweep,
};
