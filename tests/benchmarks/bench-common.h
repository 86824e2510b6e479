/* bench-common.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Nanoseconds of the monotonic clock: the calls measured take less than a microsecond's worth of digits allows. */
gint64 bench_now       (void);
void   bench_pin       (int           cpu);
/* Returns when @n processes have called it for the same word, which is 0 at first. */
void   bench_meet      (guint32      *word,
                        guint32       n);
void   bench_report    (const char   *metric,
                        double        value);
void   bench_rate      (const char   *metric,
                        gsize         n,
                        gint64        nanoseconds);
/* Sorts @times; reports median_us and p99_us. */
void   bench_quantiles (gint64       *times,
                        gsize         n);
/* Memory that is really there: every page touched. */
char  *bench_ballast   (gsize         mebibytes);
/* For each of the processes: proportional memory, and CPU time used during a second of idleness. */
void   bench_idle_cost (const int    *pids,
                        guint         n_pids);
/* KiB: what this process has in memory; from now on its peak is counted anew. */
double bench_begin_peak (void);
/* The peak since then. */
double bench_end_peak  (void);

G_END_DECLS
