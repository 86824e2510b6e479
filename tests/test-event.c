/* test-event.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lock-test.h"

static MpEvent *event;   /* of the test that runs: children made by fork() have it as well */

static void
set (void)
{
  g_autoptr(GError) error = NULL;

  mp_event_set (event, &error);
  g_assert_no_error (error);
}

static void
clear (void)
{
  g_autoptr(GError) error = NULL;

  mp_event_clear (event, &error);
  g_assert_no_error (error);
}

static void
await (void)
{
  g_autoptr(GError) error = NULL;

  mp_event_wait (event, LONG, NULL, &error);
  g_assert_no_error (error);
}

static void
test_flag (void)
{
  g_autoptr(MpEvent) own = event = mp_event_new ();
  g_autoptr(GError) error = NULL;

  g_assert_false (mp_event_is_set (own));
  g_assert_false (mp_event_wait (own, 0, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpstr (error->message, ==, "event wait: timed out");
  set ();
  set ();
  g_assert_true (mp_event_is_set (own));
  await ();
  clear ();
  g_assert_false (mp_event_is_set (own));
}

static void
wait_once (int socket)
{
  end_with_parent ();
  tell (socket, get_tid ());
  await ();
  tell (socket, 1);
}

/* All of them, also those that run only after it was cleared again. */
static void
test_set_and_clear (void)
{
  G_GNUC_UNUSED g_autoptr(MpEvent) own = event = mp_event_new ();
  Peer peers[3];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    {
      peers[i] = peer_start (wait_once);
      await_asleep (peers[i].pid, hear (peers[i].socket));
    }
  set ();
  clear ();
  for (i = 0; i < G_N_ELEMENTS (peers); i++)
    {
      g_assert_cmpuint (hear (peers[i].socket), ==, 1);
      peer_join (&peers[i]);
    }
}

static void
set_again_and_again (int socket)
{
  end_with_parent ();
  tell (socket, 1);
  for (;;)
    {
      set ();
      clear ();
    }
}

/* Whenever one that changes it is killed, the others go on. */
static void
test_killed (void)
{
  g_autoptr(MpEvent) own = event = mp_event_new ();

  for (guint i = 0; i < 100; i++)
    {
      Peer peer = peer_start (set_again_and_again);

      hear (peer.socket);
      await ();
      peer_kill (&peer);
      clear ();
      g_assert_false (mp_event_is_set (own));
      set ();
      await ();
      clear ();
    }
}

static void
set_once (int socket)
{
  set ();
}

static void
test_async (void)
{
  g_autoptr(MpEvent) own = event = mp_event_new ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) first = NULL;
  g_autoptr(GAsyncResult) second = NULL;
  g_autoptr(GAsyncResult) third = NULL;
  g_autoptr(GError) error = NULL;

  mp_event_wait_async (own, NULL, result_cb, &first);
  mp_event_wait_async (own, cancellable, result_cb, &second);
  mp_event_wait_async (own, NULL, result_cb, &third);
  g_cancellable_cancel (cancellable);
  await_result (&second);
  g_assert_false (mp_event_wait_finish (own, second, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  run_apart (set_once);
  clear ();
  await_result (&first);
  await_result (&third);
  g_assert_true (mp_event_wait_finish (own, first, &error));
  g_assert_true (mp_event_wait_finish (own, third, &error));
  g_assert_no_error (error);
  g_assert_false (mp_event_is_set (own));
}

static MpEvent *answer;

static void
answer_pings (int socket)
{
  end_with_parent ();
  for (guint i = 0; i < 2000; i++)
    {
      await ();
      clear ();
      mp_event_set (answer, NULL);
    }
}

static void
test_ping_pong (void)
{
  G_GNUC_UNUSED g_autoptr(MpEvent) own = event = mp_event_new ();
  g_autoptr(MpEvent) other = answer = mp_event_new ();
  Peer peer = peer_start (answer_pings);

  for (guint i = 0; i < 2000; i++)
    {
      g_autoptr(GError) error = NULL;

      set ();
      mp_event_wait (other, LONG, NULL, &error);
      g_assert_no_error (error);
      mp_event_clear (other, NULL);
    }
  peer_join (&peer);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  mp_init ();

  g_test_add_func ("/event/flag", test_flag);
  g_test_add_func ("/event/set-and-clear", test_set_and_clear);
  g_test_add_func ("/event/killed", test_killed);
  g_test_add_func ("/event/async", test_async);
  g_test_add_func ("/event/ping-pong", test_ping_pong);

  return g_test_run ();
}
