/* mp-hub-wait.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/base/mp-hub-state-private.h"
#include "mp-glib/platform/mp-deadline-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>

/* A sleeper that got no descriptor of its own looks again after this time. */
#define BLIND_SLEEP_US 20000

/* One blocking call. Of all that sleep at one time, one is the leader and waits in epoll_wait(); the others wait for
 * their own eventfd, and are woken when what they wait for has come (whoever changes something asks their done()
 * functions) or when the leader goes. So a lone thread makes one system call for each time that it is woken. */
typedef struct
{
  MpHubSleeper  sleeper;
  gint64        deadline;         /* -1: none */
  GCancellable *cancellable;      /* (nullable) */
  GPollFD       cancel_fd;        /* an eventfd of its own; fd -1: not made, or none */
  gulong        cancel_id;        /* of the handler that writes to it; 0: none */
  GPollFD       interrupt_fd;
  gboolean      interrupted;
  int           error;            /* errno of waiting itself */
  gboolean      prepared;         /* cancel_fd is there, if there is to be one */
  GPollFD      *fds;              /* (nullable): the caller's, see mp_hub_wait_for_fds() */
  guint         n_fds;
  gboolean      found;            /* there is something at one of them */
  guint         epoch;            /* the hub's at the beginning */
} Wait;

static __thread int interrupt_fd = -1;

int
mp_hub_get_interrupt_fd (void)
{
  return interrupt_fd;
}

int
mp_hub_set_interrupt_fd (int fd)
{
  int previous = interrupt_fd;

  interrupt_fd = fd >= 0 ? fd : -1;
  return previous;
}

static void
kick (MpHubSleeper *sleeper)
{
  sleeper->kicked = TRUE;
  if (sleeper == mp_hub.leader)
    mp_fd_signal (mp_hub.kick_fd);
  else if (sleeper->event_fd >= 0)
    mp_fd_signal (sleeper->event_fd);
}

void
mp_hub_wake_sleepers (void)
{
  MpHubSleeper *first = mp_hub.sleepers.head != NULL ? mp_hub.sleepers.head->data : NULL;
  gboolean any_kicked = FALSE;
  GList *link;

  for (link = mp_hub.sleepers.head; link != NULL; link = link->next)
    {
      MpHubSleeper *sleeper = link->data;

      if (!sleeper->kicked && (sleeper->wanted || sleeper->done (sleeper->data)))
        kick (sleeper);
      any_kicked |= sleeper->kicked;
    }

  /* Somebody must wait for the kernel's events. One who has been woken sees to it when it sleeps again or goes. */
  if (first != NULL && mp_hub.leader == NULL && !any_kicked)
    kick (first);
}

void
mp_hub_forget_sleepers (void)
{
  g_queue_init (&mp_hub.sleepers);
  mp_hub.leader = NULL;
  interrupt_fd = -1;
}

/* Waits for @fd and for the caller's own reasons to stop. TRUE when @fd is readable. */
static gboolean
poll_with_reasons (Wait   *wait,
                   int     fd,
                   gint64  timeout_us)
{
  GPollFD own[MP_HUB_N_OWN_FDS];
  GPollFD *fds = wait->fds != NULL ? wait->fds : own;
  guint n_fds = wait->fds != NULL ? wait->n_fds : G_N_ELEMENTS (own);
  guint i;

  /* poll() passes over negative numbers. */
  fds[0] = (GPollFD) { fd, G_IO_IN, 0 };
  fds[1] = wait->cancel_fd;
  fds[2] = wait->interrupt_fd;
  if (mp_poll_fds (fds, n_fds, timeout_us) < 0)
    {
      wait->error = errno;
      for (i = 0; i < n_fds; i++)
        fds[i].revents = 0;
    }
  for (i = MP_HUB_N_OWN_FDS; i < n_fds && !wait->found; i++)
    wait->found = fds[i].revents != 0;
  if (wait->cancel_fd.fd >= 0 && fds[1].revents != 0)
    mp_fd_clear_signal (wait->cancel_fd.fd);
  wait->interrupted = wait->interrupt_fd.fd >= 0 && fds[2].revents != 0;
  return fds[0].revents != 0;
}

static int
sleep_as_leader (Wait        *wait,
                 MpPollEvent *events,
                 gint64       timeout_us)
{
  int n;

  if (wait->cancel_fd.fd >= 0 || wait->interrupt_fd.fd >= 0 || wait->fds != NULL)
    {
      if (!poll_with_reasons (wait, mp_hub.epfd, timeout_us))
        return 0;
      timeout_us = 0;
    }

  n = mp_poll_wait (mp_hub.epfd, events, MP_HUB_BATCH, timeout_us);
  if (n < 0)
    wait->error = errno;
  return n;
}

static void
sleep_as_follower (Wait   *wait,
                   gint64  timeout_us)
{
  if (wait->sleeper.event_fd < 0 && (timeout_us < 0 || timeout_us > BLIND_SLEEP_US))
    timeout_us = BLIND_SLEEP_US;
  if (poll_with_reasons (wait, wait->sleeper.event_fd, timeout_us))
    mp_fd_clear_signal (wait->sleeper.event_fd);
}

/* Takes what there is, whoever is the leader. */
static void
look (Wait *wait)
{
  mp_hub_turn ();
  if (wait->interrupt_fd.fd >= 0 || wait->fds != NULL)
    poll_with_reasons (wait, -1, 0);
}

/* Sleeps until something happens, and lets the hub know of it. */
static void
sleep_once (Wait   *wait,
            gint64  timeout_us)
{
  MpHubSleeper *self = &wait->sleeper;
  MpPollEvent events[MP_HUB_BATCH];
  gboolean leads = mp_hub.leader == NULL;
  int n = 0;

  self->kicked = FALSE;
  self->wanted = FALSE;
  self->event_fd = leads ? -1 : mp_fd_get_thread_event ();
  if (leads)
    mp_hub.leader = self;
  mp_hub_wake_contexts ();
  mp_hub_wake_sleepers ();
  g_queue_push_tail_link (&mp_hub.sleepers, &self->link);
  mp_hub_release ();

  if (leads)
    n = sleep_as_leader (wait, events, timeout_us);
  else
    sleep_as_follower (wait, timeout_us);

  mp_hub_lock ();
  g_queue_unlink (&mp_hub.sleepers, &self->link);
  if (leads)
    mp_hub.leader = NULL;
  if (self->kicked && leads)
    mp_fd_clear_signal (mp_hub.kick_fd);
  mp_hub_dispatch_events (events, n);
}

static void
cancelled_cb (GCancellable *cancellable,
              gpointer      user_data)
{
  Wait *wait = user_data;

  mp_fd_signal (wait->cancel_fd.fd);
}

/* Only for a wait that is going to sleep: it makes a descriptor. Without the lock, because handlers of the cancellable,
 * which may call this library, can run under one of its own. Not g_cancellable_make_pollfd(), which ends the program when
 * there are no descriptors left. */
static void
prepare (Wait *wait)
{
  wait->prepared = TRUE;
  mp_hub_unlock ();
  wait->cancel_fd.fd = mp_fd_eventfd ();
  if (wait->cancel_fd.fd >= 0)
    wait->cancel_id = g_cancellable_connect (wait->cancellable, G_CALLBACK (cancelled_cb), wait, NULL);
  mp_hub_lock ();
}

static void
unprepare (Wait *wait)
{
  if (wait->cancel_id != 0)
    g_cancellable_disconnect (wait->cancellable, wait->cancel_id);
  mp_fd_close (&wait->cancel_fd.fd);
}

/* A callback forked, and this is the copy: what is waited for has been asked of the hub by its parent. */
static gboolean
is_copy (Wait *wait)
{
  return wait->epoch != mp_hub.epoch;
}

/* Runs the callbacks that are due, then looks; the two in this order, so that all that belongs to the state which ends
 * the wait has been told when the wait returns. */
static gboolean
is_over (Wait     *wait,
         gboolean  looked,
         gboolean *ran)
{
  MpHubSleeper *self = &wait->sleeper;

  *ran = FALSE;
  for (guint i = 0; i < self->n_owners; i++)
    *ran |= mp_hub_run_posts (self->owners[i]) > 0;
  return self->done (self->data) || wait->found || is_copy (wait) ||
         g_cancellable_is_cancelled (wait->cancellable) ||
         wait->interrupted || wait->error != 0 ||
         (looked && mp_deadline_left (wait->deadline) == 0);
}

static void
wait_until_over (Wait *wait)
{
  gboolean looked = FALSE, ran;

  while (!is_over (wait, looked, &ran))
    {
      /* What is to be freed now may change what is waited for. */
      if (mp_hub_has_deferred ())
        {
          mp_hub_unlock ();
          mp_hub_lock ();
        }
      else if (!wait->prepared)
        prepare (wait);
      else
        {
          gint64 timeout_us = ran ? 0 : mp_deadline_left (wait->deadline);

          /* One that cannot be told of its cancelling looks for itself. */
          if (wait->cancellable != NULL && wait->cancel_fd.fd < 0 && (timeout_us < 0 || timeout_us > BLIND_SLEEP_US))
            timeout_us = BLIND_SLEEP_US;
          if (timeout_us == 0)
            look (wait);
          else
            sleep_once (wait, timeout_us);
          looked = TRUE;
        }
    }
}

static gboolean
report (Wait        *wait,
        gboolean     done,
        const char  *what,
        GError     **error)
{
  if (done)
    return TRUE;

  if (wait->error != 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (wait->error),
                 "%s: cannot wait: %s", what, g_strerror (wait->error));
  else if (g_cancellable_is_cancelled (wait->cancellable))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: cancelled", what);
  else if (is_copy (wait))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, MP_HUB_COPIED, what);
  else if (wait->interrupted)
    g_set_error (error, MP_ERROR, MP_ERROR_INTERRUPTED, "%s: interrupted by a signal", what);
  else
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "%s: timed out", what);
  return FALSE;
}

static __thread guint n_waits;   /* of this thread, one in another */

gboolean
mp_hub_is_waiting (void)
{
  return n_waits > 0;
}

gboolean
mp_hub_wait_for_fds (const gconstpointer  *owners,
                     guint                 n_owners,
                     GPollFD              *fds,
                     guint                 n_fds,
                     MpHubDone             done,
                     gpointer              data,
                     const char           *what,
                     gint64                timeout_us,
                     GCancellable         *cancellable,
                     GError              **error)
{
  Wait wait = {
    .sleeper = { .owners = owners, .n_owners = n_owners, .done = done, .data = data, .event_fd = -1 },
    .deadline = mp_deadline_after (timeout_us),
    .cancellable = cancellable,
    .prepared = cancellable == NULL,
    .cancel_fd = { -1, G_IO_IN, 0 },
    .interrupt_fd = { interrupt_fd, G_IO_IN, 0 },
    .fds = fds,
    .n_fds = n_fds,
  };
  gboolean is_done;

  wait.sleeper.link.data = &wait.sleeper;

  mp_hub_lock ();
  g_assert (mp_hub.depth == 1);
  wait.epoch = mp_hub.epoch;
  if (mp_hub_try_ensure ())
    {
      n_waits++;
      wait_until_over (&wait);
      n_waits--;
    }
  else
    wait.error = errno;
  is_done = done (data) || wait.found;
  mp_hub_unlock ();

  unprepare (&wait);
  return report (&wait, is_done, what, error);
}

gboolean
mp_hub_wait_for_owners (const gconstpointer  *owners,
                        guint                 n_owners,
                        MpHubDone             done,
                        gpointer              data,
                        const char           *what,
                        gint64                timeout_us,
                        GCancellable         *cancellable,
                        GError              **error)
{
  return mp_hub_wait_for_fds (owners, n_owners, NULL, 0, done, data, what, timeout_us, cancellable, error);
}

gboolean
mp_hub_wait (gconstpointer   owner,
             MpHubDone       done,
             gpointer        data,
             const char     *what,
             gint64          timeout_us,
             GCancellable   *cancellable,
             GError        **error)
{
  return mp_hub_wait_for_owners (&owner, 1, done, data, what, timeout_us, cancellable, error);
}
