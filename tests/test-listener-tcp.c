/* test-listener-tcp.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Listeners and clients over TCP, where machines vanish, firewalls refuse, and a close can be a reset. */

#include "config.h"

#include "instrument-test.h"
#include "listener-test.h"
#include "tls-test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SKIPPED 77

typedef struct
{
  MpListener   *listener;
  MpConnection *here;    /* the listener's */
  MpConnection *there;   /* the client's */
} Couple;

typedef struct
{
  const char   *address;
  gboolean      tls;
  MpConnection *connection;
} Caller;

static gpointer
call_thread (gpointer data)
{
  Caller *self = data;
  g_autoptr(GTlsDatabase) database = self->tls ? load_authority ("authority") : NULL;
  g_autoptr(MpClientOptions) options = g_object_new (MP_TYPE_CLIENT_OPTIONS, "tls", self->tls, "tls-database",
                                                     database, NULL);
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(GError) error = NULL;

  g_main_context_push_thread_default (context);
  self->connection = mp_client_connect_to (self->address, options, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
couple_open (Couple   *couple,
             gboolean  tls)
{
  g_autoptr(GTlsCertificate) certificate = tls ? load_certificate ("server") : NULL;
  Caller caller = { .tls = tls };
  g_autoptr(GError) error = NULL;
  GThread *thread;

  couple->listener = g_initable_new (MP_TYPE_LISTENER, NULL, &error, "address", "tcp:127.0.0.1:0", "tls-certificate",
                                     certificate, NULL);
  g_assert_no_error (error);
  caller.address = mp_listener_get_address (couple->listener);
  thread = g_thread_new ("caller", call_thread, &caller);
  couple->here = accept_ok (couple->listener);
  g_thread_join (thread);
  couple->there = caller.connection;
}

static void
couple_clear (Couple *couple)
{
  g_clear_object (&couple->here);
  g_clear_object (&couple->there);
  g_clear_object (&couple->listener);
}

static int
get_socket (MpConnection *connection)
{
  return mp_wire_get_fd (connection->wire);
}

static int
get_option (int fd,
            int level,
            int name)
{
  socklen_t size = sizeof (int);
  int value = -1;

  g_assert_cmpint (getsockopt (fd, level, name, &value, &size), ==, 0);
  return value;
}

static void
check_keep_alive (MpConnection *connection)
{
  int fd = get_socket (connection);

  g_assert_cmpint (get_option (fd, SOL_SOCKET, SO_KEEPALIVE), ==, 1);
  g_assert_cmpint (get_option (fd, IPPROTO_TCP, TCP_KEEPIDLE), ==, 60);
  g_assert_cmpint (get_option (fd, IPPROTO_TCP, TCP_KEEPINTVL), ==, 10);
  g_assert_cmpint (get_option (fd, IPPROTO_TCP, TCP_KEEPCNT), ==, 6);
}

static void
test_keep_alive (void)
{
  Couple couple;

  couple_open (&couple, FALSE);
  check_keep_alive (couple.here);
  check_keep_alive (couple.there);
  couple_clear (&couple);
}

/* In a process of its own, which ends with 0. */
static void
run_apart (void (*func) (void))
{
  int status;
  pid_t pid;

  if (UNDER_THREAD_SANITIZER)
    {
      g_test_skip ("the copy has threads of its own, which the thread sanitizer does not let it have");
      return;
    }

  pid = fork ();
  if (pid == 0)
    {
      alarm (60);
      func ();
      _exit (0);
    }

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  if (WIFEXITED (status) && WEXITSTATUS (status) == SKIPPED)
    g_test_skip ("not to be had here");
  else
    g_assert_cmpint (status, ==, 0);
}

/* A machine of its own, as far as its network goes, which is up or down. */
static void
set_network (gboolean up)
{
  struct ifreq request = { .ifr_name = "lo", .ifr_flags = up ? IFF_UP : 0 };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  if (ioctl (fd, SIOCSIFFLAGS, &request) < 0)
    _exit (SKIPPED);
  close (fd);
}

static void
make_network (void)
{
  if (unshare (CLONE_NEWNET) < 0 && unshare (CLONE_NEWUSER | CLONE_NEWNET) < 0)
    _exit (SKIPPED);
  set_network (TRUE);
}

static void
hurry (MpConnection *connection)
{
  const int one = 1;
  int fd = get_socket (connection);

  g_assert_cmpint (setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof one), ==, 0);
  g_assert_cmpint (setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof one), ==, 0);
  g_assert_cmpint (setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &one, sizeof one), ==, 0);
}

static void
vanish (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = NULL;
  Couple couple;

  make_network ();
  couple_open (&couple, FALSE);
  hurry (couple.here);
  hurry (couple.there);
  set_network (FALSE);

  /* Not TIMED_OUT, which would be a reason to try again. */
  bytes = mp_connection_recv_bytes (couple.here, LONG_TIME, NULL, &error);
  g_assert_null (bytes);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  while (mp_connection_send (couple.there, g_variant_new_string ("?"), LONG_TIME, NULL, &error))
    g_usleep (10000);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
}

/* The other machine says nothing any more, not even that it ends. */
static void
test_vanish (void)
{
  run_apart (vanish);
}

static void
forbid_accept (void)
{
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_accept4, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { G_N_ELEMENTS (filter), filter };

  if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
    _exit (SKIPPED);
}

static void
be_refused (void)
{
  g_autoptr(MpListener) listener = listen_ok ("tcp:127.0.0.1:0", NULL);
  g_autoptr(GPtrArray) failures = watch_failures (listener);
  gint64 cpu_time;

  dial_listener (listener);
  forbid_accept ();
  cpu_time = get_cpu_time ();
  assert_accept_fails (listener, G_USEC_PER_SEC, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (get_cpu_time () - cpu_time, <, 200000);
  g_assert_cmpuint (failures->len, ==, 1);
  g_assert_error ((GError *) failures->pdata[0], G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
}

/* Something on this machine lets no client in: that is told once, and tried now and then. */
static void
test_refused (void)
{
  run_apart (be_refused);
}

static void
wait_readable (int fd)
{
  struct pollfd polled = { fd, POLLIN, 0 };

  g_assert_cmpint (poll (&polled, 1, 60000), ==, 1);
}

/* Who closes with something unread would reset the connection, and what is on its way would be lost. */
static void
test_unread (gconstpointer data)
{
  gboolean tls = data != NULL;
  g_autoptr(GBytes) large = make_large (1 << 20), got = NULL;
  g_autoptr(GError) error = NULL;
  Couple couple;

  if (tls && skip ())
    return;

  couple_open (&couple, tls);
  send_ok (couple.here, g_variant_new_string ("nobody reads this"));
  wait_readable (get_socket (couple.there));
  g_assert_true (mp_connection_send_bytes (couple.there, large, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (mp_connection_close (couple.there, &error));
  g_assert_no_error (error);

  got = mp_connection_recv_bytes (couple.here, LONG_TIME, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (got, large));
  g_assert_null (mp_connection_recv_bytes (couple.here, LONG_TIME, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  couple_clear (&couple);
}

/* The other process that has the connection still wants what is unread. */
static void
test_unread_forked (void)
{
  g_autoptr(GError) error = NULL;
  Couple couple;
  int status, ends[2];
  char byte;
  pid_t pid;

  g_assert_cmpint (pipe (ends), ==, 0);
  couple_open (&couple, FALSE);
  send_ok (couple.here, g_variant_new_string ("for the child"));
  wait_readable (get_socket (couple.there));
  pid = fork ();
  if (pid == 0)
    {
      /* When the parent has closed it. */
      close (ends[1]);
      g_assert_cmpint (read (ends[0], &byte, 1), ==, 0);
      recv_ok (couple.there, "'for the child'");
      _exit (0);
    }

  g_assert_true (mp_connection_close (couple.there, &error));
  g_assert_no_error (error);
  close (ends[1]);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  close (ends[0]);
  couple_clear (&couple);
}

int
main (int   argc,
      char *argv[])
{
  int status;

  mp_init ();
  g_test_init (&argc, &argv, NULL);
  certificates_make ();

  g_test_add_func ("/listener/tcp/keep-alive", test_keep_alive);
  g_test_add_func ("/listener/tcp/vanish", test_vanish);
  g_test_add_func ("/listener/tcp/refused", test_refused);
  g_test_add_data_func ("/listener/tcp/unread", NULL, test_unread);
  g_test_add_data_func ("/listener/tcp/unread-tls", "tls", test_unread);
  g_test_add_func ("/listener/tcp/unread-forked", test_unread_forked);

  status = g_test_run ();
  certificates_remove ();
  return status;
}
