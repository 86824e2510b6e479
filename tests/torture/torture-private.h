/* torture-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "torture.h"

G_BEGIN_DECLS

/* Between the conductor and the child's side of the harness: what lies in shared memory. */

#define TORTURE_MAX_POINTS     256
#define TORTURE_MAX_VIOLATIONS 8

/* One for each child. */
typedef struct
{
  guint64       life;        /* serial << 1, and the lowest bit when it is about to die */
  guint64       progress;    /* steps, its own to count */
  gboolean      is_pausing;
  MpArenaCounts counts;      /* a copy of the library's, after each step */
  /* The plan for its end, made before it starts. */
  int           target;      /* the number of a point, or -1 */
  gint64        skip;        /* how often it survives that point */
  gint64        patience;    /* how many points it passes before it dies at any: the target may be rare */
  int           died_at;     /* the point, or -1 */
  guint64       hits[TORTURE_MAX_POINTS];
} __attribute__ ((aligned (128))) TortureRow;

typedef struct
{
  guint64    seed;
  guint      n_deaths;
  gboolean   truce;          /* nobody dies at points */
  gboolean   quiet;          /* nor dawdles there, and uses are made to show who is not woken */
  gboolean   in_bursts;      /* all use it at once, then nobody for a while */
  guint      n_violations;
  char       violations[TORTURE_MAX_VIOLATIONS][240];
  TortureRow rows[TORTURE_N_CHILDREN];
} TortureShared;

extern TortureShared *torture_shared;

/* Numbers the points of this program, by name. */
guint       torture_number_points  (void);
const char *torture_get_point_name (guint number);

/* In the conductor. torture_fork() is fork(), where the child is a child of the suite from its first
 * instruction on. */
void        torture_init           (guint64 seed);
pid_t       torture_fork           (guint   row,
                                    guint64 serial);

/* Runs @primitive until there were @n_kills: 0, or 1 if there was a violation (with @broken: if there was none). */
typedef struct
{
  guint64   seed;
  guint     n_kills;
  guint     broken;          /* of the primitive's variants, from 1 */
  gint64    limit_us;        /* that who does not die may be without progress */
  gboolean  every_point;     /* that a point is never reached is an error */
} TortureOptions;

int         torture_conduct        (const TorturePrimitive *primitive,
                                    const TortureOptions   *options);

G_END_DECLS
