/* mp-boot.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-boot-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-process-control-private.h"
#include "mp-glib/platform/mp-socket-private.h"
#include "mp-glib/process/mp-protocol-private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static MpBoot boot = { .fd = -1, .lifeline = -1, .cwd_fd = -1 };

MpBoot *
mp_boot_get (void)
{
  return &boot;
}

/* One number of MP_WORKER, from @min up, which @end follows. */
static gboolean
parse_number (const char **at, char end, int min, int *number)
{
  char *rest = NULL;
  gint64 value;

  if (**at != '-' && !g_ascii_isdigit (**at))
    return FALSE;
  value = g_ascii_strtoll (*at, &rest, 10);
  if (rest == *at || *rest != end || value < min || value > G_MAXINT)
    return FALSE;
  *number = (int) value;
  *at = rest + (end != '\0');
  return TRUE;
}

static gboolean
parse_mark (const char *text, int *fd, int *owner, int *lifeline)
{
  return parse_number (&text, ':', 3, fd) && parse_number (&text, ':', 1, owner) &&
         parse_number (&text, '\0', -1, lifeline);
}

static gboolean
is_pipe (int fd)
{
  struct stat st;

  return fd >= 3 && fstat (fd, &st) == 0 && S_ISFIFO (st.st_mode);
}

static void
set_cloexec (int fd)
{
  int flags = fcntl (fd, F_GETFD);

  if (flags >= 0)
    fcntl (fd, F_SETFD, flags | FD_CLOEXEC);
}

/* Why a process that bears a mark is no worker; NULL when it is one. */
static const char *
check_mark (const char *text)
{
  int fd, owner, lifeline;

  if (text == NULL)
    return "its environment was lost on the way (set-uid, sudo, env -i …)";
  if (!parse_mark (text, &fd, &owner, &lifeline))
    return "its variable " MP_WORKER_VARIABLE " is malformed";
  if (mp_platform_is_setuid ())
    return "the program is set-uid or has file capabilities";
  if (mp_socket_peer_pid (fd) != owner)
    return "the socket that its variable " MP_WORKER_VARIABLE " names is not its owner's";

  /* The descriptors are ours from here, whatever else is wrong: they must not reach programs that this one starts, and
   * whoever it is must not outlive the owner. Arming kills this process when the owner has gone already. */
  boot.fd = fd;
  set_cloexec (fd);
  if (is_pipe (lifeline))
    {
      boot.lifeline = lifeline;
      set_cloexec (lifeline);
      mp_platform_lifeline_arm (lifeline);
    }
  if (getppid () != owner)
    return "it was started by way of another process (a wrapper that forks)";
  return NULL;
}

typedef struct
{
  MpFrameHeader header;
  guint32       pid;
  guint32       zero;
} LoadedFrame;

static void
send_loaded (void)
{
  LoadedFrame frame = {
    .header = { .length = 8, .tag = MP_PROTOCOL_VERSION, .kind = MP_FRAME_LOADED },
    .pid = (guint32) getpid (),
  };
  struct iovec piece = { &frame, sizeof frame };

  /* First on an empty socket: taken whole or not at all. Without an owner there is nobody to tell. */
  (void) mp_socket_send (boot.fd, &piece, 1, NULL, 0, FALSE);
}

/* At load: nothing but noticing that this is a worker. The blocked signal stays until mp_init(), so that a program
 * which executes itself anew on the way there is still known. */
static void __attribute__ ((constructor))
mp_boot_load (void)
{
  const char *text = getenv (MP_WORKER_VARIABLE);
  g_autoptr(GError) error = NULL;

  if (text == NULL && !mp_platform_mark_is_blocked ())
    return;

  boot.taint = check_mark (text);
  boot.mark = boot.taint == NULL ? MP_MARK_WORKER : MP_MARK_TAINTED;
  boot.booting = boot.mark == MP_MARK_WORKER;
  if (text != NULL)
    unsetenv (MP_WORKER_VARIABLE);
  if (boot.fd < 0)
    return;
  if (boot.taint == NULL)
    {
      boot.pid = getpid ();
      send_loaded ();
    }
  else
    {
      error = g_error_new (MP_ERROR, MP_ERROR_WORKER_START, "this process cannot be a worker: %s", boot.taint);
      mp_boot_send_error (error);
    }
}

MpWire *
mp_boot_get_wire (void)
{
  if (boot.wire == NULL && boot.fd >= 0)
    boot.wire = mp_wire_new (g_steal_fd (&boot.fd), MP_MAX_FRAME);
  return boot.wire;
}

void
mp_boot_send_error (const GError *error)
{
  MpWire *wire = mp_boot_get_wire ();
  g_autoptr(GVariant) details = mp_error_dup_details (error);
  g_autoptr(GVariant) value = mp_error_to_variant (error, details);
  MpEncoded encoded;

  if (wire == NULL || !mp_value_encode (value, &encoded, NULL))
    return;
  mp_wire_queue_value (wire, MP_FRAME_BOOT_ERROR, 0, NULL, 0, &encoded);
  mp_encoded_clear (&encoded);
  mp_wire_flush_blocking (wire, NULL);
}

void
mp_boot_capture (void)
{
  struct stat st;

  if (boot.exe != NULL)
    return;
  boot.exe = mp_platform_exe_path ();
  boot.argv = mp_platform_cmdline ();
  boot.cwd_fd = mp_fd_lift (open (".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  /* Not of /proc/self/exe, which names the tool when the program runs under one (valgrind). */
  if (boot.exe != NULL && stat (boot.exe, &st) == 0)
    {
      boot.exe_device = st.st_dev;
      boot.exe_inode = st.st_ino;
    }
}

const char *
mp_boot_get_exe (void)
{
  struct stat st;

  if (boot.exe_inode != 0 && stat (boot.exe, &st) == 0 && st.st_dev == boot.exe_device && st.st_ino == boot.exe_inode)
    return boot.exe;
  return "/proc/self/exe";
}

gboolean
mp_boot_check_may_start (GError **error)
{
  g_autoptr(GError) refusal = NULL;

  if (mp_platform_is_setuid ())
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                           "a program that is set-uid or has file capabilities cannot start workers");
      return FALSE;
    }
  if (boot.mark == MP_MARK_TAINTED)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_WORKER_START,
                   "this process was started as a worker but cannot be one, and may not start others: %s", boot.taint);
      return FALSE;
    }
  if (boot.booting)
    {
      refusal = g_error_new_literal (MP_ERROR, MP_ERROR_NOT_INITIALIZED,
                                     "it asked for processes of its own before mp_init() was done; mp_init() must be "
                                     "called near the top of main, before anything that starts workers");
      mp_boot_send_error (refusal);
      g_propagate_error (error, g_steal_pointer (&refusal));
      return FALSE;
    }
  if (!boot.initialized || boot.refused != NULL)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NOT_INITIALIZED, "mp_init() must be called near the top of main%s%s",
                   boot.refused != NULL ? ": " : " before the first worker is started",
                   boot.refused != NULL ? boot.refused : "");
      return FALSE;
    }
  return TRUE;
}
