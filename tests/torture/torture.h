/* torture.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/arena/mp-arena-private.h"
#include "mp-glib/arena/mp-torture-private.h"

#include <sys/types.h>

G_BEGIN_DECLS

/* Torture: a conductor forks a few children that use one primitive without pause, kills them with SIGKILL at
 * instrumented points (MP_TORTURE_POINT() in the library) and at random moments, starts others instead, and
 * has the invariants of the primitive checked, by the children at each step and by itself after each kill. No
 * child may be without progress for a second, whoever was killed.
 *
 * A primitive is a table of functions. Its state is static variables in its file, and memory that the
 * conductor and all children share, from torture_alloc(). */
typedef struct
{
  const char        *name;
  /* How the names of those points begin that it is to reach, and, after a '!', of those that it is not:
   * { "cell-", "!cell-watchers", NULL } */
  const char *const *points;
  const char *const *broken;           /* (nullable) names of variants with a fault, which must be caught */
  void            (* setup)   (void);  /* in the conductor, before the first child */
  void            (* begin)   (void);  /* (nullable) in each child */
  void            (* step)    (void);  /* in each child, again and again: one use; it is progress when it returns */
  void            (* check)   (void);  /* (nullable) in the conductor after each kill, while other children run */
  void            (* finish)  (void);  /* (nullable) in the conductor, when all children are gone: the last state */
  void            (* figures) (GString *line);  /* (nullable) what else there is to say */
  /* The first so many children are those without whom the others cannot go on: one of them is always there. 0: none is. */
  guint              n_movers;
  void            (* sweep)   (pid_t conductor); /* (nullable) when that is gone too: what outlives all processes */
  /* So many times longer than others' are its children's lives: what they do takes time. 0: as others'. */
  guint              span;
} TorturePrimitive;

extern const TorturePrimitive torture_self, torture_arena, torture_cell, torture_lock, torture_ring, torture_transport;
extern const TorturePrimitive torture_memory, torture_connection, torture_connection_waits, torture_listener;
extern const TorturePrimitive torture_semaphore, torture_event, torture_rlock, torture_condition, torture_barrier;
extern const TorturePrimitive torture_queue, torture_joinable_queue, torture_value;

#define TORTURE_N_CHILDREN 4

/* Which faulty variant runs: 1 is the first in `broken`, 0 is none. */
extern guint torture_broken;

/* Memory that is shared with all children, zeros; in setup. */
gpointer torture_alloc     (gsize       size);
/* [0, n), in any thread */
guint    torture_random    (guint       n);
/* The number of this child among those that are alive: 0 … TORTURE_N_CHILDREN - 1; -1 in the conductor. */
int      torture_get_child (void);
/* A number that no other child ever has, from 1; 0 is the conductor's. */
guint64  torture_get_serial (void);
/* How many children have been killed, or are about to be. */
guint    torture_count_deaths (void);
/* Whether one of these is not known to be gone yet. */
gboolean torture_is_anybody_dying (void);
/* While nobody is killed it is watched whether somebody is not woken. */
gboolean torture_is_quiet  (void);
/* These do something then only. Within a use, so that others have to wait for its end: */
void     torture_linger    (void);
/* Between two uses: */
void     torture_pause     (void);
void     torture_violation (const char *format, ...) G_GNUC_PRINTF (1, 2);
#define torture_check(condition, ...) \
  G_STMT_START { \
    if (!(condition)) \
      torture_violation (__VA_ARGS__); \
  } G_STMT_END

/* Numbers in that memory, to which several children add. */
static inline void
torture_count (guint64 *number)
{
  __atomic_fetch_add (number, 1, __ATOMIC_SEQ_CST);
}

static inline guint64
torture_look_at (guint64 *number)
{
  return __atomic_load_n (number, __ATOMIC_SEQ_CST);
}

/* A witness of mutual exclusion, made of nothing of the library: who is inside. Entering finds a violation when
 * a child that is alive is inside. */
typedef guint64 TortureWitness;

typedef enum
{
  TORTURE_FOUND_NOBODY,
  TORTURE_FOUND_DEAD,    /* somebody was killed inside */
  TORTURE_FOUND_ALIVE,   /* a violation, and reported */
} TortureFound;

TortureFound torture_enter (TortureWitness *witness,
                            const char     *what);
void         torture_leave (TortureWitness *witness,
                            const char     *what);
/* For several witnesses, of which somebody can have any: FALSE when a child that is alive has it. One that is about to
 * die counts as dead, and may therefore find, when it leaves, that somebody else has come. */
gboolean     torture_try_enter (TortureWitness *witness);
void         torture_try_leave (TortureWitness *witness);

G_END_DECLS
