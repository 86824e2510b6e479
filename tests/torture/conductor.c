/* conductor.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "torture-private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The conductor: starts children, kills them, sees that the others go on. It has one thread, and uses the
 * primitive itself only to look and at the end. */

#define TICK_US          500
#define QUIET_US         500000
#define EXCUSED_WAKES    5
#define FORGOTTEN_US     80000    /* a slice is 100 ms */
/* After one kill in so many nobody else is killed until all survivors have gone on: by themselves, or beside the
 * next child, which may have inherited something of the dead one's. */
#define ONE_ALONE_IN     200
#define ONE_WATCHED_IN   200
/* A child that is ready to run but does not get to, or has to wait in a system call for the system's own work, is not
 * hung: it gets longer. */
#define BUSY_FACTOR      8

typedef struct
{
  pid_t   pid;               /* 0: none */
  gint64  kill_at;           /* at random, or when its point does not come */
  gboolean is_spared;        /* while it makes no progress: whether it hangs is to be seen */
  guint64 progress;          /* as last seen */
  gint64  progress_at;
  gint64  recovers_since;    /* 0, or when another was killed after which it has made no progress yet */
} Child;

typedef struct
{
  const TorturePrimitive *primitive;
  TortureOptions          options;
  Child         children[TORTURE_N_CHILDREN];
  guint64       next_serial;
  enum { FREE, WATCHED, ALONE } truce;   /* alone: the survivors have to do without the next child */
  gint64        last_tick;
  gint64        limit_us;
  /* Points that this primitive is to reach. */
  guint         points[TORTURE_MAX_POINTS];
  guint         n_points;
  guint64       hits[TORTURE_MAX_POINTS];
  guint         kills[TORTURE_MAX_POINTS];
  guint         n_kills_at_points;
  guint         n_kills_at_random;
  guint         n_fds;       /* of the conductor, before the first child */
  gint64        longest_recovery;
  MpArenaCounts counts;
} Conductor;

/* Between 0 and @max, each magnitude as likely as any other. */
static gint64
random_magnitude (gint64 max)
{
  gint64 bits = g_bit_storage (max);
  gint64 value = (gint64) 1 << torture_random (bits);

  value += torture_random (value);
  return MIN (value - 1, max);
}

static void
add_counts (MpArenaCounts       *sum,
            const MpArenaCounts *counts)
{
  const guint *from = (const guint *) counts;
  guint *to = (guint *) sum;

  for (gsize i = 0; i < sizeof (MpArenaCounts) / sizeof (guint); i++)
    to[i] += from[i];
}

/* Children */

G_NORETURN static void
run_child (const TorturePrimitive *primitive,
           TortureRow             *row,
           pid_t                   conductor)
{
  sigset_t none;

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (getppid () != conductor)
    _exit (1);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  setpriority (PRIO_PROCESS, 0, 5);   /* the conductor comes first */
  memset (&mp_arena_counts, 0, sizeof mp_arena_counts);

  if (primitive->begin != NULL)
    primitive->begin ();
  for (;;)
    {
      primitive->step ();
      __atomic_store_n (&row->progress, row->progress + 1, __ATOMIC_RELAXED);
      row->counts = mp_arena_counts;
    }
}

/* The least killed at of a few, so that those that are rare come into their own. */
static int
choose_target (Conductor *self)
{
  guint best = self->points[torture_random (self->n_points)];

  for (guint i = 0; i < 3; i++)
    {
      guint other = self->points[torture_random (self->n_points)];

      if (self->kills[other] < self->kills[best])
        best = other;
    }
  return best;
}

static void
plan (Conductor  *self,
      guint       index,
      TortureRow *row,
      gint64      now)
{
  gboolean at_point = self->n_points > 0 && torture_random (3) != 0;
  /* The first child lives longer: there is always one that has seen others die. */
  gint64 length = (index == 0 ? 16 : 1) * MAX (1, self->primitive->span);

  row->died_at = -1;
  row->target = at_point ? choose_target (self) : -1;
  row->skip = random_magnitude (at_point ? 64 * length : 1);
  row->patience = at_point ? 100 * length + random_magnitude (2000 * length) : G_MAXINT64;
  self->children[index].is_spared = at_point && torture_random (20) == 0;
  self->children[index].kill_at = now + (at_point ? 5000 : random_magnitude (8000)) * length;
}

static void
start_child (Conductor *self,
             guint      index)
{
  TortureRow *row = &torture_shared->rows[index];
  Child *child = &self->children[index];
  gint64 now = g_get_monotonic_time ();
  guint64 serial = ++self->next_serial;
  pid_t conductor = getpid ();

  /* Who is looking whether the last child of this row lives must never see it revived. */
  __atomic_store_n (&row->life, serial << 1, __ATOMIC_SEQ_CST);
  row->progress = 0;
  memset (&row->counts, 0, sizeof row->counts);
  memset (row->hits, 0, sizeof row->hits);
  plan (self, index, row, now);

  child->pid = torture_fork (index, serial);
  if (child->pid == 0)
    run_child (self->primitive, row, conductor);
  if (child->pid < 0)
    g_error ("torture: fork: %s", g_strerror (errno));
  child->progress = 0;
  child->progress_at = now;
  child->recovers_since = self->truce != FREE ? now : 0;
}

static void
kill_child (Conductor *self,
            guint      index)
{
  if ((__atomic_fetch_or (&torture_shared->rows[index].life, 1, __ATOMIC_SEQ_CST) & 1) == 0)
    __atomic_fetch_add (&torture_shared->n_deaths, 1, __ATOMIC_SEQ_CST);
  kill (self->children[index].pid, SIGKILL);
}

static void
add_up (Conductor        *self,
        const TortureRow *row)
{
  for (guint i = 0; i < TORTURE_MAX_POINTS; i++)
    self->hits[i] += row->hits[i];
  add_counts (&self->counts, &row->counts);
}

static void
count_death (Conductor *self,
             guint      index,
             int        status)
{
  TortureRow *row = &torture_shared->rows[index];

  if (!WIFSIGNALED (status) || WTERMSIG (status) != SIGKILL)
    torture_violation ("child %" G_GUINT64_FORMAT " ended by itself: %s %d", row->life >> 1,
                       WIFSIGNALED (status) ? "signal" : "status",
                       WIFSIGNALED (status) ? WTERMSIG (status) : WEXITSTATUS (status));
  else if (row->died_at >= 0)
    {
      self->n_kills_at_points++;
      self->kills[row->died_at]++;
    }
  else
    self->n_kills_at_random++;

  add_up (self, row);
  __atomic_fetch_or (&row->life, 1, __ATOMIC_SEQ_CST);
}

/* Whether it takes its turn: not asleep. */
static char
get_run_state (pid_t pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", (int) pid);
  g_autofree char *text = NULL;
  const char *end;

  if (!g_file_get_contents (path, &text, NULL, NULL) || (end = strrchr (text, ')')) == NULL || end[1] == '\0')
    return '?';
  return end[2];
}

static void
report_hang (Conductor *self,
             guint      index,
             gint64     waited)
{
  Child *child = &self->children[index];
  char state = get_run_state (child->pid);

  if ((state == 'R' || state == 'D') && waited < self->limit_us * BUSY_FACTOR)
    return;
  /* Killed for it already, or about to be gone: it is no hang of its own. */
  if (state == 'Z')
    return;

  torture_violation ("child %" G_GUINT64_FORMAT " (%s) made no progress for %.1f s (state %c)",
                     torture_shared->rows[index].life >> 1, child->progress == 0 ? "new" : "running", waited / 1e6,
                     state);
  if (g_getenv ("MP_TORTURE_STOP") != NULL)
    {
      /* For a debugger. */
      for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
        if (self->children[i].pid != 0)
          kill (self->children[i].pid, SIGSTOP);
      g_printerr ("torture: hung: process %d\n", (int) child->pid);
      pause ();
    }
  kill_child (self, index);
}

static void
set_truce (Conductor *self,
           guint      truce)
{
  self->truce = truce;
  __atomic_store_n (&torture_shared->truce, truce != FREE, __ATOMIC_SEQ_CST);
}

/* The progress of all: how long it took since the last death, and whether somebody hangs. */
static void
observe (Conductor *self,
         gint64     now)
{
  gboolean all_recovered = TRUE;
  gint64 gap = now - self->last_tick;

  self->last_tick = now;
  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    {
      Child *child = &self->children[i];
      guint64 progress = __atomic_load_n (&torture_shared->rows[i].progress, __ATOMIC_RELAXED);

      if (child->pid == 0)
        continue;
      /* When this process was not let run, neither were they, perhaps. */
      if (gap > 50000)
        {
          child->progress_at += gap;
          if (child->recovers_since != 0)
            child->recovers_since += gap;
        }
      if (progress != child->progress)
        {
          if (child->recovers_since != 0)
            self->longest_recovery = MAX (self->longest_recovery, now - child->recovers_since);
          child->recovers_since = 0;
          child->progress = progress;
          child->progress_at = now;
        }
      else if (now - child->progress_at > self->limit_us)
        report_hang (self, i, now - child->progress_at);
      all_recovered &= child->recovers_since == 0;
    }
  if (all_recovered)
    set_truce (self, FREE);
}

static void
child_died (Conductor *self,
            guint      index,
            int        status)
{
  gint64 now = g_get_monotonic_time ();

  self->children[index].pid = 0;
  count_death (self, index, status);
  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    if (self->children[i].recovers_since == 0)
      self->children[i].recovers_since = now;
  if (torture_random (ONE_ALONE_IN) == 0)
    set_truce (self, ALONE);
  else if (torture_random (ONE_WATCHED_IN) == 0)
    set_truce (self, WATCHED);
  if (self->primitive->check != NULL)
    self->primitive->check ();
}

/* Also those that children left behind, which are nobody's else. */
static void
reap (Conductor *self)
{
  int status;
  pid_t pid;

  while ((pid = waitpid (-1, &status, WNOHANG)) > 0)
    for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
      if (self->children[i].pid == pid)
        child_died (self, i, status);
}

/* Waits for a death, for @timeout_us at most. */
static void
wait_for_death (gint64 timeout_us)
{
  struct timespec timeout = { 0, CLAMP (timeout_us, 1, TICK_US) * 1000 };
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGCHLD);
  sigtimedwait (&set, NULL, &timeout);
}

static gboolean
is_any_there (Conductor *self,
              guint      n)
{
  for (guint i = 0; i < n; i++)
    if (self->children[i].pid != 0)
      return TRUE;
  return FALSE;
}

/* Survivors who can go on by themselves have to, in a truce of that kind. */
static void
start_missing (Conductor *self)
{
  gboolean is_held = self->truce == ALONE && is_any_there (self, TORTURE_N_CHILDREN);
  guint n_movers = self->primitive->n_movers;
  gboolean needs_movers = n_movers > 0 && !is_any_there (self, n_movers);

  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    if (self->children[i].pid == 0 && (!is_held || (needs_movers && i < n_movers)))
      start_child (self, i);
}

/* Kills those whose time has come; when the next one's does. */
static gint64
kill_due (Conductor *self,
          gint64     now)
{
  gint64 next = G_MAXINT64;

  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    {
      Child *child = &self->children[i];

      if (child->pid == 0)
        continue;
      if (now >= child->kill_at && self->truce == FREE && !(child->is_spared && now - child->progress_at > 10000))
        kill_child (self, i);
      next = MIN (next, child->kill_at);
    }
  return next;
}

static void
kill_for (Conductor *self,
          guint      n_kills)
{
  guint n_tolerated = self->options.broken != 0 ? 1 : TORTURE_MAX_VIOLATIONS;

  while (self->n_kills_at_points + self->n_kills_at_random < n_kills && torture_shared->n_violations < n_tolerated)
    {
      gint64 now;

      start_missing (self);
      now = g_get_monotonic_time ();
      wait_for_death (kill_due (self, now) - now);
      reap (self);
      observe (self, g_get_monotonic_time ());
    }
}

static guint
sum_lost_wakes (void)
{
  guint sum = 0;

  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    sum += torture_shared->rows[i].counts.n_lost_wakes;
  return sum;
}

static gboolean
all_sleep (Conductor *self)
{
  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    if (get_run_state (self->children[i].pid) != 'S')
      return FALSE;
  return TRUE;
}

/* How many have begun to wait for so long that they can only be woken by the end of a slice. */
static guint
count_forgotten (Conductor *self,
                 gboolean   is_forgotten[TORTURE_N_CHILDREN])
{
  gint64 now = g_get_monotonic_time ();
  guint n = 0;

  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    {
      Child *child = &self->children[i];

      if (__atomic_load_n (&torture_shared->rows[i].is_pausing, __ATOMIC_SEQ_CST))
        child->progress_at = now;
      if (now - child->progress_at < FORGOTTEN_US)
        is_forgotten[i] = FALSE;
      else if (!is_forgotten[i] && all_sleep (self))
        {
          is_forgotten[i] = TRUE;
          n++;
        }
    }
  return n;
}

static guint
watch_for (Conductor *self,
           gint64     length)
{
  gint64 start = g_get_monotonic_time ();
  gboolean is_forgotten[TORTURE_N_CHILDREN] = { FALSE };
  guint n_forgotten = 0;

  while (g_get_monotonic_time () - start < length)
    {
      /* Some were about to die when it became quiet. */
      set_truce (self, WATCHED);
      start_missing (self);
      wait_for_death (TICK_US);
      reap (self);
      observe (self, g_get_monotonic_time ());
      n_forgotten += count_forgotten (self, is_forgotten);
    }
  return n_forgotten;
}

/* Nobody dies for a while: then nobody may hang, and no wake may be lost, which is excused only when its sender was
 * killed. It shows in those who find the cell free when their slice ends, and in those who make no progress until then.
 * (Beside the one who is woken another can find it free at the end of its slice, and a machine can be busy: so there
 * may be a few.) */
static void
be_quiet (Conductor *self)
{
  gint64 length = self->options.broken != 0 ? 2 * QUIET_US : QUIET_US;
  guint n_forgotten;
  guint n_lost;

  set_truce (self, WATCHED);
  __atomic_store_n (&torture_shared->quiet, TRUE, __ATOMIC_SEQ_CST);
  watch_for (self, QUIET_US / 2);
  n_lost = sum_lost_wakes ();
  n_forgotten = watch_for (self, length);
  __atomic_store_n (&torture_shared->in_bursts, TRUE, __ATOMIC_SEQ_CST);
  n_forgotten += watch_for (self, length);

  n_lost = sum_lost_wakes () - n_lost;
  torture_check (n_lost <= EXCUSED_WAKES, "%u wakes were lost within %d ms in which nobody died", n_lost,
                 (int) (length / 500));
  torture_check (n_forgotten <= EXCUSED_WAKES, "%u times one was not woken within %d ms in which nobody died",
                 n_forgotten, (int) (length / 500));
  __atomic_store_n (&torture_shared->quiet, FALSE, __ATOMIC_SEQ_CST);
  set_truce (self, FREE);
}

static void
kill_all (Conductor *self)
{
  for (guint i = 0; i < TORTURE_N_CHILDREN; i++)
    if (self->children[i].pid != 0)
      {
        kill_child (self, i);
        add_up (self, &torture_shared->rows[i]);
        self->children[i].pid = 0;
      }
  while (waitpid (-1, NULL, 0) > 0 || errno == EINTR)
    ;
}

static guint
count_fds (void)
{
  g_autoptr(GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* Points and figures */

static void
gather_points (Conductor *self,
               guint      n_all)
{
  for (guint number = 0; number < n_all; number++)
    {
      const char *name = torture_get_point_name (number);
      gboolean is_wanted = self->options.broken != 0 && g_str_has_prefix (name, "broken-");

      for (guint i = 0; self->primitive->points[i] != NULL; i++)
        {
          const char *prefix = self->primitive->points[i];

          if (*prefix == '!' && g_str_has_prefix (name, prefix + 1))
            is_wanted = FALSE;
          else if (g_str_has_prefix (name, prefix))
            is_wanted = TRUE;
        }
      if (is_wanted)
        self->points[self->n_points++] = number;
    }
}

static guint
check_points (Conductor *self)
{
  guint n_missed = 0;

  for (guint i = 0; i < self->n_points; i++)
    if (self->kills[self->points[i]] == 0)
      {
        g_printerr ("%s: point %s: %" G_GUINT64_FORMAT " times reached, never killed at\n", self->primitive->name,
                    torture_get_point_name (self->points[i]), self->hits[self->points[i]]);
        n_missed++;
      }
  return n_missed;
}

static void
print_figures (Conductor *self,
               gint64     duration_us)
{
  g_autoptr(GString) line = g_string_new (NULL);
  guint n_kills = self->n_kills_at_points + self->n_kills_at_random;

  g_string_append_printf (line, "%s: %u kills: %u at points, %u at random; %.0f kills/s; longest recovery %.1f ms; "
                          "abandoned %u, lost wakes %u, slots reused %u, indices reused %u, ring ends dead %u; ",
                          self->primitive->name, n_kills, self->n_kills_at_points, self->n_kills_at_random,
                          n_kills / MAX (duration_us / 1e6, 1e-6), self->longest_recovery / 1e3,
                          self->counts.n_abandoned, self->counts.n_lost_wakes, self->counts.n_reclaimed,
                          self->counts.n_indices_reused, self->counts.n_ring_peer_died);
  if (self->primitive->figures != NULL)
    self->primitive->figures (line);
  g_string_append_printf (line, "%u violations; seed %" G_GUINT64_FORMAT "; at", torture_shared->n_violations,
                          self->options.seed);
  for (guint i = 0; i < self->n_points; i++)
    g_string_append_printf (line, "%s %s %u", i == 0 ? "" : ",", torture_get_point_name (self->points[i]),
                            self->kills[self->points[i]]);
  puts (line->str);
}

static int
judge (Conductor *self)
{
  guint n_violations = torture_shared->n_violations;
  guint n_missed;

  if (self->options.broken != 0)
    {
      printf ("%s, broken: %s: %s: %s\n", self->primitive->name, self->primitive->broken[self->options.broken - 1],
              n_violations > 0 ? "caught" : "NOT CAUGHT", torture_shared->violations[0]);
      return n_violations > 0 ? 0 : 1;
    }

  for (guint i = 0; i < MIN (n_violations, TORTURE_MAX_VIOLATIONS); i++)
    g_printerr ("%s: violation: %s\n", self->primitive->name, torture_shared->violations[i]);
  n_missed = self->options.every_point ? check_points (self) : 0;
  return n_violations > 0 || n_missed > 0 ? 1 : 0;
}

int
torture_conduct (const TorturePrimitive *primitive,
                 const TortureOptions   *options)
{
  Conductor self = { primitive, *options };
  guint n_points = torture_number_points ();
  sigset_t set;
  gint64 start;
  gint64 duration;

  torture_init (options->seed);
  torture_broken = options->broken;
  gather_points (&self, n_points);
  self.limit_us = options->limit_us;
  sigemptyset (&set);
  sigaddset (&set, SIGCHLD);
  sigprocmask (SIG_BLOCK, &set, NULL);
  prctl (PR_SET_CHILD_SUBREAPER, 1);

  primitive->setup ();
  self.n_fds = count_fds ();
  start = self.last_tick = g_get_monotonic_time ();
  kill_for (&self, options->n_kills);
  duration = g_get_monotonic_time () - start;
  if (torture_shared->n_violations == 0)
    {
      be_quiet (&self);
      /* Once more, so that the last state is not that of the peaceful. */
      kill_for (&self, self.n_kills_at_points + self.n_kills_at_random + 2 * TORTURE_N_CHILDREN);
    }
  kill_all (&self);
  torture_check (count_fds () <= self.n_fds, "%u descriptors more than at the start", count_fds () - self.n_fds);
  if (primitive->finish != NULL && torture_shared->n_violations == 0)
    primitive->finish ();

  add_counts (&self.counts, &mp_arena_counts);
  if (options->broken == 0)
    print_figures (&self, duration);
  return judge (&self);
}
