/* test-memory-hostile.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory that a stranger hands over: whatever he does to it, before or later, nobody here dies of it, and none is taken
 * for him. */
#include "config.h"

#include "connection-test.h"

#include "mp-glib/base/mp-codec-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/channel/mp-connection-private.h"
#include "mp-glib/memory/mp-shared-memory-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB  (G_GINT64_CONSTANT (1) << 20)
#define HUGE (MIB << 20)

/* A process that this one does not trust. It sends as if both were of one program, so that nothing here holds it to
 * anything, and then does what it is told by bytes. */
typedef struct
{
  pid_t         pid;
  MpConnection *connection;
} Stranger;

typedef void (* StrangerFunc) (MpConnection *connection);

static Stranger
stranger_start (StrangerFunc func)
{
  Stranger self = { 0, NULL };
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  self.pid = fork ();
  g_assert_no_errno (self.pid);
  if (self.pid == 0)
    {
      close (fds[0]);
      func (mp_connection_new_taking (fds[1], MP_CONNECTION_DUPLEX, MIB));
      _exit (0);
    }
  close (fds[1]);
  self.connection = mp_connection_new_taking (fds[0], MP_CONNECTION_DUPLEX | MP_CONNECTION_FOREIGN, MIB);
  return self;
}

static void
stranger_end (Stranger *self)
{
  int status = -1;

  g_object_unref (self->connection);
  g_assert_no_errno (kill (self->pid, SIGKILL));
  g_assert_cmpint (waitpid (self->pid, &status, 0), ==, self->pid);
}

static void
say (MpConnection *connection)
{
  g_autoptr(GBytes) bytes = g_bytes_new_static ("!", 1);
  g_autoptr(GError) error = NULL;

  g_assert_true (mp_connection_send_bytes (connection, bytes, LONG_TIME, NULL, &error));
  g_assert_no_error (error);
}

static void
hear (MpConnection *connection)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (bytes);
}

/* Of the stranger, who is ended in it at last. */
static void
obey (MpConnection *connection)
{
  g_autoptr(GBytes) bytes = mp_connection_recv_bytes (connection, LONG_TIME, NULL, NULL);

  if (bytes == NULL)
    _exit (0);
}

static int
make_file (gint64 size,
           guint  flags,
           guint  seals)
{
  int fd = memfd_create ("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

  g_assert_true (fd >= 0 || flags != 0);
  if (fd >= 0)
    {
      g_assert_no_errno (ftruncate (fd, size));
      g_assert_no_errno (fcntl (fd, F_ADD_SEALS, seals));
    }
  return fd;
}

static void
send_object (MpConnection *connection,
             gpointer      object)
{
  g_autoptr(GVariant) handle = mp_shareable_to_variant (object);

  send_ok (connection, handle);
}

static gpointer
recv_object (MpConnection  *connection,
             GError       **error)
{
  g_autoptr(GVariant) value = mp_connection_recv (connection, LONG_TIME, NULL, error);

  return value != NULL ? mp_shareable_from_variant (value, error) : NULL;
}

/* Shared memory that is another file than it was. */
static MpSharedMemory *
make_memory (int fd)
{
  MpSharedMemory *memory = mp_shared_memory_new (1, NULL);

  mp_fd_close (&memory->fd);
  memory->fd = fd;
  return memory;
}

static void
send_sparse (MpConnection *connection)
{
  send_object (connection, make_memory (make_file (HUGE, 0, F_SEAL_SHRINK)));
  obey (connection);
}

/* Half of what there is would have been taken. */
static void
send_half (MpConnection *connection)
{
  int fd = make_file (256 * MIB, 0, F_SEAL_SHRINK);

  g_assert_no_errno (fallocate (fd, 0, 0, MIB));
  send_object (connection, make_memory (fd));
  obey (connection);
}

static void
check_not_taken (StrangerFunc func)
{
  Stranger stranger = stranger_start (func);
  g_autoptr(GError) error = NULL;

  g_assert_null (recv_object (stranger.connection, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, "is not all there"));
  g_assert_true (mp_connection_is_closed (stranger.connection));
  stranger_end (&stranger);
}

static void
test_sparse (void)
{
  check_not_taken (send_sparse);
  check_not_taken (send_half);
}

static MpSharedMemory *
take_memory (Stranger *stranger)
{
  g_autoptr(GError) error = NULL;
  MpSharedMemory *memory = recv_object (stranger->connection, &error);

  g_assert_no_error (error);
  return memory;
}

static guint64
get_blocks (MpSharedMemory *memory)
{
  struct stat status;

  g_assert_no_errno (fstat (memory->fd, &status));
  return status.st_blocks * 512;
}

static void
send_and_grow (MpConnection *connection)
{
  MpSharedMemory *memory = mp_shared_memory_new (MIB, NULL);

  send_object (connection, memory);
  obey (connection);
  g_assert_no_errno (ftruncate (memory->fd, 64 * MIB));
  say (connection);
  obey (connection);
  g_assert_no_errno (ftruncate (memory->fd, HUGE));
  say (connection);
  obey (connection);
}

/* What he makes larger is not filled here, in this process or in one that got it from here. */
static void
test_grown (void)
{
  Stranger stranger = stranger_start (send_and_grow);
  MpSharedMemory *memory = take_memory (&stranger);
  g_autoptr(MpSharedMemory) handed_on = NULL;
  g_autoptr(GError) error = NULL;
  Pipe pipe;

  pipe_open (&pipe);
  send_object (pipe.first, memory);
  handed_on = recv_object (pipe.second, &error);
  g_assert_no_error (error);
  send_object (pipe.first, memory);

  for (guint i = 0; i < 2; i++)
    {
      say (stranger.connection);
      hear (stranger.connection);
      g_assert_null (mp_shared_memory_get_bytes (memory, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
      g_clear_error (&error);
      g_assert_null (mp_shared_memory_get_data (handed_on, NULL));
      g_assert_cmpuint (get_blocks (memory), ==, MIB);
    }
  /* That was on its way meanwhile. */
  g_assert_null (recv_object (pipe.second, &error));
  g_assert_error (error, MP_ERROR, MP_ERROR_PROTOCOL);
  g_assert_cmpuint (get_blocks (memory), ==, MIB);

  g_object_unref (memory);
  pipe_clear (&pipe);
  stranger_end (&stranger);
}

static void
send_and_punch (MpConnection *connection)
{
  MpSharedMemory *memory = mp_shared_memory_new (MIB, NULL);
  guint8 *data = mp_shared_memory_get_data (memory, NULL);

  memset (data, 'x', MIB);
  send_object (connection, memory);
  obey (connection);
  g_assert_no_errno (fallocate (memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB));
  g_assert_cmpint (ftruncate (memory->fd, 0), ==, -1);
  say (connection);
  obey (connection);
}

/* He may take away what is in it, but not the place. */
static void
test_punched (void)
{
  Stranger stranger = stranger_start (send_and_punch);
  g_autoptr(MpSharedMemory) memory = take_memory (&stranger);
  gsize size = 0;
  guint8 *data = mp_shared_memory_get_data (memory, &size);

  g_assert_cmpuint (size, ==, MIB);
  g_assert_cmpint (data[size - 1], ==, 'x');
  say (stranger.connection);
  hear (stranger.connection);
  for (gsize i = 0; i < size; i += 4096)
    g_assert_cmpint (data[i]++, ==, 0);
  stranger_end (&stranger);
}

/* All kinds of objects. */

static gpointer
make_list (void)
{
  return mp_shareable_list_new (g_variant_new_parsed ("(1, 'two')"), NULL);
}

static gpointer
make_of_kind (guint kind)
{
  switch (kind)
    {
    case 0: return g_object_new (MP_TYPE_LOCK, "isolated", TRUE, NULL);
    case 1: return g_object_new (MP_TYPE_RLOCK, "isolated", TRUE, NULL);
    case 2: return mp_semaphore_new_full (2, TRUE, TRUE);
    case 3: return g_object_new (MP_TYPE_EVENT, "isolated", TRUE, NULL);
    case 4: return g_object_new (MP_TYPE_BARRIER, "parties", 2, "isolated", TRUE, NULL);
    case 5: return g_object_new (MP_TYPE_CONDITION, "isolated", TRUE, NULL);
    case 6: return mp_queue_new_full (5, 0, TRUE);
    case 7: return g_object_new (MP_TYPE_JOINABLE_QUEUE, "isolated", TRUE, NULL);
    case 8: return g_object_new (MP_TYPE_SIMPLE_QUEUE, "isolated", TRUE, NULL);
    case 9: return mp_value_new_full (G_VARIANT_TYPE_INT32, NULL, NULL, TRUE, NULL);
    case 10: return mp_array_new_full (G_VARIANT_TYPE_INT32, 10000, NULL, NULL);
    case 11: return mp_shared_memory_new (100000, NULL);
    case 12: return make_list ();
    default: return NULL;
    }
}

/* Memory with the same in it, but not made as it should be. */
static int
copy_file (int   fd,
           guint flags,
           guint seals)
{
  struct stat status;
  int copy;

  g_assert_no_errno (fstat (fd, &status));
  copy = make_file (flags != 0 ? 2 * MIB : status.st_size, flags, 0);
  if (flags != 0)
    return copy;
  for (off_t at = 0; (at = lseek (fd, at, SEEK_DATA)) >= 0;)
    {
      guint8 part[4096];
      ssize_t n = pread (fd, part, sizeof part, at);

      g_assert_cmpint (n, >, 0);
      g_assert_cmpint (pwrite (copy, part, n, at), ==, n);
      at += n;
    }
  g_assert_no_errno (fcntl (copy, F_ADD_SEALS, seals));
  return copy;
}

static int
reopen (int fd,
        int how)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);

  return open (path, how | O_CLOEXEC);
}

static int
spoil (int   fd,
       guint how)
{
  switch (how)
    {
    case 0: return copy_file (fd, 0, 0);
    case 1: return copy_file (fd, 0, F_SEAL_GROW);
    case 2: return copy_file (fd, 0, F_SEAL_SHRINK | F_SEAL_WRITE);
    case 3: return copy_file (fd, MFD_HUGETLB, F_SEAL_SHRINK);
    case 4: return reopen (fd, O_RDONLY);
    case 5: return reopen (fd, O_PATH);
    case 6: return make_file (HUGE, 0, F_SEAL_SHRINK);
    case 7: return make_file (0, 0, F_SEAL_SHRINK);
    default: return -1;
    }
}

/* @how: G_MAXUINT: as it is. */
static gboolean
receive_spoilt (MpEncoded *encoded,
                guint      which,
                guint      how)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new ();
  g_autoptr(GVariant) value = NULL;
  g_autoptr(GError) error = NULL;
  gboolean outer;
  int fds[8];

  g_assert_cmpuint (encoded->fds->len, <=, G_N_ELEMENTS (fds));
  for (guint i = 0; i < encoded->n_pieces; i++)
    g_byte_array_append (bytes, encoded->pieces[i].data, encoded->pieces[i].size);
  for (guint i = 0; i < encoded->fds->len; i++)
    {
      int fd = g_array_index (encoded->fds, int, i);

      fds[i] = i == which && how != G_MAXUINT ? spoil (fd, how) : mp_fd_dup (fd);
      if (fds[i] < 0)   /* there are no such files here */
        {
          while (i > 0)
            mp_fd_close (&fds[--i]);
          return FALSE;
        }
    }

  outer = mp_shareable_begin_foreign (TRUE);
  value = mp_value_decode (NULL, bytes->data, bytes->len, NULL, fds, encoded->fds->len, &error);
  mp_shareable_end_foreign (outer);
  g_assert_true ((value == NULL) == (error != NULL));
  for (guint i = 0; i < encoded->fds->len; i++)
    mp_fd_close (&fds[i]);
  if (error != NULL)
    g_test_message ("file %u spoilt in the way %d: %s", which, (int) how, error->message);
  return value != NULL;
}

static void
test_kinds (void)
{
  GObject *object;
  Pipe pipe;

  pipe_open (&pipe);   /* from then on the kinds are known */
  for (guint kind = 0; (object = make_of_kind (kind)) != NULL; kind++)
    {
      GVariant *handle = mp_shareable_to_variant (MP_SHAREABLE (object));
      g_autoptr(GError) error = NULL;
      MpEncoded encoded;

      g_test_message ("%s", G_OBJECT_TYPE_NAME (object));
      g_assert_true (mp_value_encode (handle, &encoded, &error));
      g_assert_no_error (error);
      g_variant_unref (handle);
      /* Else memory that is here already would be taken for that which came. */
      g_object_unref (object);

      for (guint which = 0; which < encoded.fds->len; which++)
        for (guint how = 0; how < 8; how++)
          /* What is for reading only may be opened anew; shared memory may be sealed. */
          if (receive_spoilt (&encoded, which, how))
            g_assert_true (how == 4 || (how == 2 && kind >= 11));
      g_assert_true (receive_spoilt (&encoded, 0, G_MAXUINT));
      mp_encoded_clear (&encoded);
    }
  pipe_clear (&pipe);
}

static void
send_pipe (MpConnection *connection)
{
  Pipe pipe;

  pipe_open (&pipe);
  send_object (connection, pipe.first);
  obey (connection);
}

/* Who sends the end of a pipe does not say how large his messages may be. */
static void
test_message_size (void)
{
  Stranger stranger = stranger_start (send_pipe);
  g_autoptr(GError) error = NULL;
  g_autoptr(MpConnection) received = recv_object (stranger.connection, &error);
  guint64 size = 0;

  g_assert_no_error (error);
  g_object_get (received, "max-message-size", &size, NULL);
  g_assert_cmpuint (size, ==, MIB);
  g_object_set (received, "max-message-size", 2 * MIB, NULL);
  stranger_end (&stranger);
}

int
main (int   argc,
      char *argv[])
{
  mp_init ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/memory-hostile/sparse", test_sparse);
  g_test_add_func ("/memory-hostile/grown", test_grown);
  g_test_add_func ("/memory-hostile/punched", test_punched);
  g_test_add_func ("/memory-hostile/kinds", test_kinds);
  g_test_add_func ("/memory-hostile/message-size", test_message_size);

  return g_test_run ();
}
