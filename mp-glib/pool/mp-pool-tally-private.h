/* mp-pool-tally-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-private.h"

G_BEGIN_DECLS

/* What a pool counts and measures of its tasks. All with the hub's lock held; on the way of every task, so that it reads no
 * clock and takes no memory.
 *
 * A task is a unit here, as everywhere: one call, or one chunk of a map. */

/* Times in microseconds. After Gil Tene's HdrHistogram (http://hdrhistogram.org/): below 64 each value has its bucket, from
 * there on each power of two has 32, so that a value is known to a thirty-second of itself at every size. */
#define MP_HISTOGRAM_SUB_BITS  5
#define MP_HISTOGRAM_MAX_BITS  42   /* 50 days; longer ones count as that */
#define MP_HISTOGRAM_N_BUCKETS ((MP_HISTOGRAM_MAX_BITS - MP_HISTOGRAM_SUB_BITS + 1) << MP_HISTOGRAM_SUB_BITS)

typedef struct
{
  guint64 n;
  guint64 total;
  gint64  max;
  guint64 buckets[MP_HISTOGRAM_N_BUCKETS];
} MpHistogram;

void      mp_histogram_add      (MpHistogram        *self,
                                 gint64              value);
/* The middle of the bucket that has the value of which @part (0 to 1) of all are not larger; 0 when there are none. */
gint64    mp_histogram_find     (const MpHistogram  *self,
                                 double              part);

struct _MpTally
{
  guint64      n_left;                /* tasks submitted that have not ended */
  guint64      n_done, n_failed, n_called_off;
  guint64      n_decoding;            /* answered, and being decoded without the lock */
  guint64      n_batch;               /* submitted since there was nothing left */
  guint64      n_expected;            /* of jobs whose items are asked for as there is room: not submitted yet */
  MpHistogram  run, waiting;
  guint64      ready_us;              /* of workers that have ended, how long they were ready */
  gint64       begun_us;              /* in g_get_monotonic_time() terms */
  /* Telling the user: at most once in a frame. */
  gboolean     armed;                 /* the next telling is under way */
  gint64       told_us;               /* when the last one was */
  MpTimer     *timer;                 /* (nullable) */
  /* The list of tasks, mp-task-list.c. Each job listed has a number. */
  gboolean     listing;
  gboolean     list_was_cut;          /* and the list has not seen that yet */
  guint64      last_number;
  guint64      n_listed;              /* the last number that the list has seen */
  GArray      *unlisted;              /* (owned) (element-type guint64) of those the ones that have ended since */
};

typedef struct
{
  guint64 n_queued, n_running, n_done, n_failed, n_called_off;
  double  fraction;
} MpTallyCounts;

MpTally  *mp_tally_new          (void);
void      mp_tally_free         (MpTally            *self);

/* @job has just got its place in the pool's own list. */
void      mp_tally_list         (MpPoolCore         *core,
                                 MpJob              *job);
/* @n_units more of @job. Again, when a job gets more of them later. */
void      mp_tally_add          (MpPoolCore         *core,
                                 MpJob              *job,
                                 guint64             n_units);
/* One unit of a job that has not ended yet: before that is told to the job. */
void      mp_tally_unit_ended   (MpPoolCore         *core,
                                 MpJob              *job,
                                 gboolean            failed);
/* What is left of it will never be done. */
void      mp_tally_job_ended    (MpPoolCore         *core,
                                 MpJob              *job);
/* A call that runs tells how much of it is done. */
void      mp_tally_report       (MpPoolCore         *core,
                                 MpJob              *job,
                                 double              fraction);
/* A worker has answered @unit. */
void      mp_tally_measure      (MpPoolWorker       *worker,
                                 const MpUnit       *unit,
                                 const MpResultLead *lead);
void      mp_tally_worker_ended (MpPoolWorker       *worker);
/* Whether it runs a task of a job that has not ended. */
gboolean  mp_tally_is_running   (MpPoolWorker       *worker);
/* Since when; now, when it is just about to begin. */
gint64    mp_tally_find_start   (MpPoolWorker       *worker,
                                 gint64              now);
void      mp_tally_count        (MpPoolCore         *core,
                                 MpTallyCounts      *counts);
GVariant *mp_tally_describe     (MpPoolCore         *core);   /* floating */

/* mp-pool-view.c: something that a user may look at is different now. */
void      mp_pool_view_changed  (MpPoolCore         *core);
/* The pool is gone. */
void      mp_pool_view_drop     (MpPoolCore         *core);

G_END_DECLS
