/* test-ring-faults.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rings between processes that are killed, stopped, forked, or kept from a system call. */
#include "config.h"

#include "ring-test.h"

#include "mp-glib/platform/mp-barrier-private.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Written by a process that is killed, read by its parent. */
typedef struct
{
  guint64 started;   /* records that it began to write or read */
  guint64 done;      /* that it has written, or read and found whole */
  guint64 n_silent;  /* readers since @done was last written */
  guint32 is_ready;
} Notes;

typedef struct
{
  Notes  *notes;
  MpRing *ring;      /* of which no end is held here */
  MpRing *held[2];   /* by end: so that a child still knows its parent's, for those who look for leaks */
} Case;

typedef void (* Child) (Case *self);

static guint
scale (guint n)
{
  return g_getenv ("MP_TESTS_SLOW") != NULL ? MAX (1, n / 20) : n;
}

static void
case_open (Case *self,
           gsize size)
{
  g_autoptr(GError) error = NULL;

  self->notes = mmap (NULL, sizeof *self->notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (self->notes != MAP_FAILED);
  self->ring = mp_ring_new (size, &error);
  g_assert_no_error (error);
}

static void
case_clear (Case *self)
{
  mp_ring_free (self->ring);
  munmap (self->notes, sizeof *self->notes);
}

static MpRing *
case_open_end (Case      *self,
               MpRingEnd  end)
{
  self->held[end] = open_end (mp_ring_get_fd (self->ring), end);
  return self->held[end];
}

static pid_t
start (Case  *self,
       Child  child)
{
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      child (self);
      _exit (0);
    }
  return pid;
}

static void
reap_killed (pid_t pid)
{
  int status;

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status));
  g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
}

static void
reap_good (pid_t pid)
{
  int status;

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

static void
note (guint64 *word,
      guint64  value)
{
  __atomic_store_n (word, value, __ATOMIC_SEQ_CST);
}

static guint64
read_note (guint64 *word)
{
  return __atomic_load_n (word, __ATOMIC_SEQ_CST);
}

static void
say_ready (Case *self)
{
  __atomic_store_n (&self->notes->is_ready, 1, __ATOMIC_SEQ_CST);
}

static void
wait_until_ready (Case *self)
{
  while (__atomic_exchange_n (&self->notes->is_ready, 0, __ATOMIC_SEQ_CST) == 0)
    g_thread_yield ();
}

static void
kill_self (void)
{
  raise (SIGKILL);
}

/* The other one, which sleeps on the ring. */
static void
wait_for_peer_to_sleep (MpRing *ring)
{
  while (__atomic_load_n (&ring->other->sleep, __ATOMIC_ACQUIRE) != MP_RING_ON_WORD)
    g_thread_yield ();
}

static void
write_all_of_it (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);

  say_ready (self);
  write_stream (writer, 0, self->notes->started);
  mp_ring_free (writer);
}

static void
read_all_of_it (Case *self)
{
  MpRing *reader = case_open_end (self, MP_RING_READER);

  say_ready (self);
  read_stream (reader, 0, self->notes->started);
  mp_ring_free (reader);
}

static void
test_processes (void)
{
  static const gsize sizes[] = { 4096, 1 << 16, 1 << 20 };
  guint i, end;

  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      for (end = 0; end < 2; end++)
        {
          guint64 n = scale (30000);
          MpRing *ring;
          Case self;
          pid_t pid;

          case_open (&self, sizes[i]);
          self.notes->started = n;
          ring = case_open_end (&self, end);   /* first, so that nobody finds it gone */
          pid = start (&self, end == MP_RING_READER ? write_all_of_it : read_all_of_it);
          wait_until_ready (&self);
          if (end == MP_RING_READER)
            read_stream (ring, 0, n);
          else
            write_stream (ring, 0, n);
          reap_good (pid);
          mp_ring_free (ring);
          case_clear (&self);
        }
    }
}

/* Until it is killed. */
static void
write_for_ever (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);
  guint64 number;

  say_ready (self);
  for (number = self->notes->done;; number++)
    {
      note (&self->notes->started, number + 1);
      write_stream (writer, number, number + 1);
      note (&self->notes->done, number + 1);
    }
}

/* Up to the time that the other takes to fill the ring and fall asleep. */
static void
spin_at_random (void)
{
  volatile guint n = g_test_rand_int_range (0, g_test_rand_bit () ? 1000 : 30000);

  while (n > 0)
    n--;
}

/* A writer is killed at random moments: all that it knows to have written arrives, at most one record more, all
 * whole; and the next one goes on. */
static void
test_writer_killed (void)
{
  guint n_died = mp_arena_counts.n_ring_peer_died;
  guint round, n_rounds = scale (200), n_cut = 0;
  guint64 number = 0;
  MpRing *reader;
  Case self;

  case_open (&self, 4096);
  reader = case_open_end (&self, MP_RING_READER);
  for (round = 0; round < n_rounds; round++)
    {
      pid_t pid = start (&self, write_for_ever);
      guint64 end = number + g_test_rand_int_range (0, 500);

      wait_until_ready (&self);
      read_stream (reader, number, end);
      number = end;
      spin_at_random ();
      kill (pid, SIGKILL);
      reap_killed (pid);

      while (try_read_record (reader, get_size (number), number))
        number++;
      wait_fails (reader, 0, -1, NULL, G_IO_ERROR, G_IO_ERROR_CLOSED);
      g_assert_cmpuint (number, >=, read_note (&self.notes->done));
      g_assert_cmpuint (number, <=, read_note (&self.notes->started));
      n_cut += read_note (&self.notes->done) != read_note (&self.notes->started);
      note (&self.notes->done, number);
    }
  g_assert_cmpuint (mp_arena_counts.n_ring_peer_died, ==, n_died + n_rounds);
  g_test_message ("%u records, %u of %u writers killed in one", (guint) number, n_cut, n_rounds);
  mp_ring_free (reader);
  case_clear (&self);
}

/* Goes on after those before, each of which may have read one more than it could say. */
static void
read_for_ever (Case *self)
{
  MpRing *reader = case_open_end (self, MP_RING_READER);
  guint64 number = self->notes->done;
  guint8 data[MAX_RECORD], expected[MAX_RECORD];
  guint64 n_unsaid = self->notes->n_silent;

  note (&self->notes->n_silent, n_unsaid + 1);
  say_ready (self);
  for (;; number++)
    {
      g_autoptr(GError) error = NULL;
      gsize size;

      note (&self->notes->started, number + 1);
      while (!mp_ring_try_read (reader, data, sizeof data, &size, &error))
        {
          g_assert_no_error (error);
          wait_ok (reader, 0);
        }
      make_record (expected, get_size (number), number);
      for (; n_unsaid > 0 && (size != get_size (number) || memcmp (data, expected, size) != 0); n_unsaid--)
        {
          number++;
          make_record (expected, get_size (number), number);
        }
      g_assert_cmpmem (data, size, expected, get_size (number));
      n_unsaid = 0;
      note (&self->notes->done, number + 1);
      note (&self->notes->n_silent, 1);
    }
}

static void
test_reader_killed (void)
{
  guint round, n_rounds = scale (200), n_cut = 0;
  guint64 number = 0;
  MpRing *writer;
  Case self;

  case_open (&self, 4096);
  writer = case_open_end (&self, MP_RING_WRITER);
  for (round = 0; round < n_rounds; round++)
    {
      g_autoptr(GError) error = NULL;
      pid_t pid = start (&self, read_for_ever);
      guint64 end = number + g_test_rand_int_range (0, 100);

      wait_until_ready (&self);
      write_stream (writer, number, end);
      number = end;
      spin_at_random ();
      kill (pid, SIGKILL);
      reap_killed (pid);

      /* As long as there is room, nobody needs to read. */
      while (try_write_record (writer, get_size (number), number))
        number++;
      g_assert_false (mp_ring_wait (writer, get_size (number), -1, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
      g_assert_cmpuint (number, >=, read_note (&self.notes->done));
      n_cut += read_note (&self.notes->done) != read_note (&self.notes->started);
    }
  g_test_message ("%u records, %u of %u readers killed in one", (guint) number, n_cut, n_rounds);
  mp_ring_free (writer);
  case_clear (&self);
}

static void
die_in_record (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);

  *(guint64 *) (gpointer) writer->data = MP_RING_RECORD_WORD (0, 100);
  memset (writer->data + 8, 0x55, 50);
  kill_self ();
}

static void
die_in_batch (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);

  mp_ring_begin_batch (writer);
  fill (writer, 100);
  kill_self ();
}

/* What was not committed does not exist. */
static void
test_dies_in_record (void)
{
  static const Child children[] = { die_in_record, die_in_batch };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (children); i++)
    {
      guint n_died = mp_arena_counts.n_ring_peer_died;
      Case self;
      Ends ends;

      case_open (&self, 4096);
      ends.reader = case_open_end (&self, MP_RING_READER);
      reap_killed (start (&self, children[i]));
      read_nothing (ends.reader);
      wait_fails (ends.reader, 0, -1, NULL, G_IO_ERROR, G_IO_ERROR_CLOSED);
      g_assert_cmpuint (mp_arena_counts.n_ring_peer_died, ==, n_died + 1);

      ends.writer = case_open_end (&self, MP_RING_WRITER);
      read_nothing (ends.reader);
      write_record (ends.writer, 200, 1);
      read_record (ends.reader, 200, 1);
      read_nothing (ends.reader);
      ends_clear (&ends);
      case_clear (&self);
    }
}

static void
write_and_die_before_waking (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);

  say_ready (self);
  mp_ring_begin_batch (writer);
  write_record (writer, 10, 1);
  wait_for_peer_to_sleep (writer);
  __atomic_store_n (&writer->own->position, writer->position, __ATOMIC_SEQ_CST);
  kill_self ();
}

static void
die_while_peer_sleeps (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);

  say_ready (self);
  wait_for_peer_to_sleep (writer);
  kill_self ();
}

static void
read_and_die_before_waking (Case *self)
{
  MpRing *reader = case_open_end (self, MP_RING_READER);

  say_ready (self);
  mp_ring_begin_batch (reader);
  wait_for_peer_to_sleep (reader);
  g_assert_cmpuint (drain (reader, 56), ==, 64);
  __atomic_store_n (&reader->own->position, reader->position, __ATOMIC_SEQ_CST);
  kill_self ();
}

/* Sleepers whose wakers are gone: within a second. */
static void
test_dies_before_waking (void)
{
  gint64 most = g_getenv ("MP_TESTS_SLOW") != NULL ? LONG_TIME : G_USEC_PER_SEC;
  gint64 begin;
  MpRing *ring;
  Case self;
  pid_t pid;
  guint i;

  for (i = 0; i < 3; i++)
    {
      static const Child children[] = { write_and_die_before_waking, die_while_peer_sleeps,
                                        read_and_die_before_waking };

      case_open (&self, 4096);
      ring = case_open_end (&self, i < 2 ? MP_RING_READER : MP_RING_WRITER);
      if (i == 2)
        fill (ring, 56);
      pid = start (&self, children[i]);
      wait_until_ready (&self);
      begin = g_get_monotonic_time ();
      if (i == 1)
        wait_fails (ring, 0, -1, NULL, G_IO_ERROR, G_IO_ERROR_CLOSED);
      else
        wait_ok (ring, 0);
      g_assert_cmpint (g_get_monotonic_time () - begin, <, most);
      if (i == 0)
        read_record (ring, 10, 1);
      else if (i == 2)
        g_assert_cmpuint (fill (ring, 56), ==, 64);
      reap_killed (pid);
      mp_ring_free (ring);
      case_clear (&self);
    }
}

static void
stop_and_write (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);

  raise (SIGSTOP);
  write_record (writer, 20, 1);
  mp_ring_free (writer);
}

static gpointer
cancel_sleeper (gpointer data)
{
  gpointer *both = data;

  wait_for_sleep (both[0]);
  g_cancellable_cancel (both[1]);
  return NULL;
}

/* It lives: there the timeout and the cancellable end the wait. */
static void
test_stopped (void)
{
  g_autoptr(GCancellable) cancellable = NULL;
  GThread *thread;
  MpRing *reader;
  Case self;
  pid_t pid;
  int status;

  case_open (&self, 4096);
  reader = case_open_end (&self, MP_RING_READER);
  pid = start (&self, stop_and_write);
  cancellable = g_cancellable_new ();
  g_assert_cmpint (waitpid (pid, &status, WUNTRACED), ==, pid);
  g_assert_true (WIFSTOPPED (status));

  g_assert_true (mp_ring_peer_is_alive (reader));
  wait_fails (reader, 0, 250000, NULL, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  thread = g_thread_new ("canceller", cancel_sleeper, (gpointer[]) { reader, cancellable });
  wait_fails (reader, 0, -1, cancellable, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);

  kill (pid, SIGCONT);
  wait_ok (reader, 0);
  read_record (reader, 20, 1);
  reap_good (pid);
  mp_ring_free (reader);
  case_clear (&self);
}

/* Its own child, which lives on, has no part in the end. */
static void
fork_and_die (Case *self)
{
  MpRing *writer = case_open_end (self, MP_RING_WRITER);
  g_autoptr(GError) none = NULL;
  MpRing *other = mp_ring_new (4096, &none);
  pid_t pid;

  g_assert_no_error (none);
  g_assert_true (mp_ring_take_end (other, MP_RING_WRITER, NULL));
  write_record (writer, 1, 1);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      g_autoptr(GError) error = NULL;

      g_assert_false (mp_ring_try_write (writer, "", 0, &error));
      g_assert_error (error, MP_ERROR, MP_ERROR_NOT_OWNER);
      g_clear_error (&error);
      wait_fails (writer, 0, -1, NULL, MP_ERROR, MP_ERROR_NOT_OWNER);
      g_assert_false (mp_ring_peer_is_alive (writer));
      mp_ring_end_batch (writer);
      /* As good as any other: but for what its parent holds. */
      g_assert_false (mp_ring_take_end (writer, MP_RING_WRITER, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
      g_assert_true (mp_ring_take_end (other, MP_RING_READER, NULL));
      mp_ring_free (other);
      mp_ring_free (writer);
      note (&self->notes->done, getpid ());
      say_ready (self);
      for (;;)
        pause ();
    }
  wait_until_ready (self);
  kill_self ();
}

static void
test_forked (void)
{
  pid_t grandchild;
  Case self;
  Ends ends;

  case_open (&self, 4096);
  ends.reader = case_open_end (&self, MP_RING_READER);
  reap_killed (start (&self, fork_and_die));
  grandchild = read_note (&self.notes->done);
  g_assert_cmpint (kill (grandchild, 0), ==, 0);

  read_record (ends.reader, 1, 1);
  wait_fails (ends.reader, 0, -1, NULL, G_IO_ERROR, G_IO_ERROR_CLOSED);
  ends.writer = case_open_end (&self, MP_RING_WRITER);
  write_record (ends.writer, 2, 2);
  read_record (ends.reader, 2, 2);
  kill (grandchild, SIGKILL);
  ends_clear (&ends);
  case_clear (&self);
}

/* From here on this process has no membarrier(). */
static gboolean
forbid_barriers (void)
{
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { G_N_ELEMENTS (filter), filter };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static void
forbid_and_answer (Case *self)
{
  MpRing *ring;

  if (!forbid_barriers ())
    _exit (77);
  g_assert_false (mp_barrier_run ());
  ring = case_open_end (self, self->notes->done);
  g_assert_cmpint (ring->awake, ==, MP_RING_UNSURE);
  g_assert_true (ring->keeps_order);
  say_ready (self);
  if (self->notes->done == MP_RING_READER)
    read_stream (ring, 0, self->notes->started);
  else
    write_stream (ring, 0, self->notes->started);
  mp_ring_free (ring);
}

static void
test_without_barriers (void)
{
  guint end;

  for (end = 0; end < 2; end++)
    {
      guint64 n = scale (30000);
      MpRing *ring;
      Case self;
      pid_t pid;

      case_open (&self, 4096);
      self.notes->started = n;
      self.notes->done = end;
      ring = case_open_end (&self, !end);
      pid = start (&self, forbid_and_answer);
      wait_until_ready (&self);
      if (end == MP_RING_READER)
        write_stream (ring, 0, n);
      else
        read_stream (ring, 0, n);
      reap_good (pid);
      mp_ring_free (ring);
      case_clear (&self);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ring-faults/processes", test_processes);
  g_test_add_func ("/ring-faults/writer-killed", test_writer_killed);
  g_test_add_func ("/ring-faults/reader-killed", test_reader_killed);
  g_test_add_func ("/ring-faults/dies-in-record", test_dies_in_record);
  g_test_add_func ("/ring-faults/dies-before-waking", test_dies_before_waking);
  g_test_add_func ("/ring-faults/stopped", test_stopped);
  g_test_add_func ("/ring-faults/forked", test_forked);
  g_test_add_func ("/ring-faults/without-barriers", test_without_barriers);
  return g_test_run ();
}
