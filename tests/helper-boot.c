/* helper-boot.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/mp-glib.h"
#include "mp-glib/process/mp-boot-private.h"
#include "mp-glib/process/mp-protocol-private.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A program that does, on its way to mp_init(), what the guards are there for: `helper-boot MODE FILE [ARGUMENT …]`.
 * Each time that it comes to main it adds a byte to FILE, so that a test can count how many there were; beyond MOST it
 * ends at once, so that a test that fails is no fork bomb. */

#define MOST 20
#define LONG (60 * G_USEC_PER_SEC)

static char **arguments;

static void
count_me (const char *path)
{
  int fd = open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

  if (fd < 0 || write (fd, "x", 1) != 1 || lseek (fd, 0, SEEK_END) > MOST)
    _exit (99);
  close (fd);
}

static GVariant *
nothing (GVariant *args, gpointer user_data, GError **error)
{
  return g_variant_new_tuple (NULL, 0);
}

/* Tries to start a process, of @argv or of this program; tells how that went. */
static int
start_one (const char * const *argv)
{
  g_autoptr(MpContext) context = mp_context_new (MP_START_METHOD_SPAWN);
  g_autoptr(MpProcess) process = NULL;
  g_autoptr(GError) error = NULL;

  mp_context_set_worker_argv (context, argv);
  process = g_object_new (MP_TYPE_PROCESS, "function", MP_FUNCTION (nothing), "context", context, NULL);
  if (!mp_process_start (process, LONG, NULL, &error) || !mp_process_join (process, LONG, NULL, &error))
    {
      fprintf (stderr, "%s %d: %s\n", g_quark_to_string (error->domain), error->code, error->message);
      return 3;
    }
  printf ("started\n");
  return mp_process_get_exit_status (process);
}

/* Frames that no worker sends. */

static void
send_frame (MpFrameKind kind, guint32 tag, GVariant *value)
{
  MpWire *wire = mp_boot_get_wire ();
  MpEncoded encoded;

  if (wire == NULL)
    return;   /* not started as a worker: goes on, and is seen to */
  if (!mp_value_encode (value, &encoded, NULL))
    abort ();
  mp_wire_queue_value (wire, kind, tag, NULL, 0, &encoded);
  mp_encoded_clear (&encoded);
  mp_wire_flush_blocking (wire, NULL);
}

static void
send_hello (guint version, int pid)
{
  send_frame (MP_FRAME_HELLO, 0, g_variant_new_parsed ("{'pid': <%i>, 'version': <%u>}", pid, version));
}

static void
send_garbage (void)
{
  char garbage[256];

  memset (garbage, 0xa5, sizeof garbage);
  if (write (mp_wire_get_fd (mp_boot_get_wire ()), garbage, sizeof garbage) < 0)
    abort ();
}

static void
send_huge (void)
{
  /* Of a worker that has proved itself it would be taken. */
  MpFrameHeader header = { .length = MP_MAX_BOOT_FRAME + 1, .kind = MP_FRAME_HELLO };

  if (write (mp_wire_get_fd (mp_boot_get_wire ()), &header, sizeof header) < 0)
    abort ();
}

static void
misbehave_on_the_wire (const char *mode)
{
  if (strcmp (mode, "bad-version") == 0)
    send_hello (MP_PROTOCOL_VERSION + 1, getpid ());
  else if (strcmp (mode, "bad-pid") == 0)
    send_hello (MP_PROTOCOL_VERSION, getppid ());
  else if (strcmp (mode, "bad-hello") == 0)
    send_frame (MP_FRAME_HELLO, 0, g_variant_new_string ("hello"));
  else if (strcmp (mode, "bad-ready") == 0)
    send_frame (MP_FRAME_READY, 0, g_variant_new_parsed ("{'pid': <%i>}", (int) getpid ()));
  else if (strcmp (mode, "bad-result") == 0)
    send_frame (MP_FRAME_RESULT, 0, g_variant_new_parsed ("{'pid': <1>}"));
  else if (strcmp (mode, "bad-log") == 0)
    send_frame (MP_FRAME_LOG, 0, g_variant_new_int32 (1));
  else if (strcmp (mode, "bad-exited") == 0)
    send_frame (MP_FRAME_EXITED, 0, g_variant_new_int32 (1));
  else if (strcmp (mode, "bad-kind") == 0)
    send_frame (1000, 0, g_variant_new_int32 (1));
  else if (strcmp (mode, "bad-garbage") == 0)
    send_garbage ();
  else if (strcmp (mode, "bad-length") == 0)
    send_huge ();
  /* Cut off, not merely left alone: it does not end by itself. */
  while (TRUE)
    pause ();
}

static void
init_cb (gpointer loop)
{
  mp_init ();
  g_main_loop_quit (loop);
}

static void
init_in_loop (void)
{
  g_autoptr(GMainLoop) loop = g_main_loop_new (NULL, FALSE);

  g_idle_add_once (init_cb, loop);
  g_main_loop_run (loop);
}

static void
init_after_application (void)
{
  g_autoptr(GApplication) application = g_application_new ("org.example.Boot", G_APPLICATION_NON_UNIQUE);

  g_application_set_default (application);
  mp_init ();
  g_application_set_default (NULL);
}

/* What happens before mp_init(). */
static void
misbehave (const char *mode)
{
  if (strcmp (mode, "exit") == 0)
    {
      fprintf (stderr, "cannot go on\nfor want of a reason\n");
      exit (5);
    }
  if (strcmp (mode, "abort") == 0)
    abort ();
  if (strcmp (mode, "hang") == 0)
    while (TRUE)
      pause ();
  if (strcmp (mode, "start-early") == 0)
    exit (start_one (NULL));
  /* A daemon: its first process ends, or waits for it. */
  if (strcmp (mode, "fork") == 0 && fork () != 0)
    pause ();
  /* Itself again, as a launcher does; the second time it goes on, and would be an ordinary program. */
  if (strcmp (mode, "again") == 0)
    {
      arguments[1] = (char *) "own";
      execv ("/proc/self/exe", arguments);
    }
  if (strcmp (mode, "loop") == 0)
    init_in_loop ();
  if (strcmp (mode, "application") == 0)
    init_after_application ();
  if (g_str_has_prefix (mode, "bad-"))
    misbehave_on_the_wire (mode);
}

int
main (int argc, char **argv)
{
  arguments = argv;
  if (argc < 3)
    return 98;
  count_me (argv[2]);
  misbehave (argv[1]);
  mp_init ();

  /* "own": starts one of what the other arguments say, or of itself. */
  return start_one (argc > 3 ? (const char * const *) argv + 3 : NULL);
}
