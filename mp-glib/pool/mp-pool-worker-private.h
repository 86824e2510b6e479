/* mp-pool-worker-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-private.h"

G_BEGIN_DECLS

/* What a kind of workers is made of: processes, and what stands for them. Included by their files and mp-pool-worker.c
 * only; all else talks to workers by mp-pool-private.h, and does not know what they are. Everything is called, and calls
 * back, with the hub's lock held.
 *
 * A kind has a struct that begins with an MpPoolWorker. It tells what comes of a worker by the functions below, and has a
 * board (mp-protocol-private.h) where the number of a task is stored before the task begins, in memory that both sides
 * see. */
struct _MpPoolWorkerOps
{
  /* What comes of it is told later; NULL with an error: nothing will. */
  MpPoolWorker *(* start)           (MpPoolCore         *core,
                                     guint               number,
                                     GError            **error);
  /* A task is to leave with the next flush; FALSE with an error when it cannot. */
  gboolean      (* send)            (MpPoolWorker       *worker,
                                     const MpUnit       *unit,
                                     const MpTaskLead   *lead,
                                     GError            **error);
  void          (* flush)           (MpPoolWorker       *worker);
  /* (nullable) Takes answers that are there, without a system call. The worker may be gone then. */
  void          (* look)            (MpPoolWorker       *worker);
  /* No more will be sent: it ends when it has answered all. To be flushed. */
  void          (* tell_end)        (MpPoolWorker       *worker);
  /* It ends now: asked to, and after @grace_us forced to; 0: forced at once. */
  void          (* end)             (MpPoolWorker       *worker,
                                     gint64              grace_us);
  /* What has not left lets go of what it holds. */
  void          (* drop_unsent)     (MpPoolWorker       *worker);
  /* Nothing is told of it any more; end() works on. */
  void          (* forget)          (MpPoolWorker       *worker);
  void          (* free)            (MpPoolWorker       *worker);
  /* As MpProcess has it; MP_EXIT_STATUS_RUNNING before its end. */
  int           (* get_exit_status) (MpPoolWorker       *worker);
  /* "was killed by signal 9 (SIGKILL)" (full) */
  char         *(* describe_end)    (MpPoolWorker       *worker);
  /* a{sv} for an error's details (full) (nullable) */
  GVariant     *(* dup_details)     (MpPoolWorker       *worker);
};

extern const MpPoolWorkerOps mp_pool_process_ops;

/* To be called first by ops->start(), on zeros. */
void     mp_pool_worker_init          (MpPoolWorker          *self,
                                       const MpPoolWorkerOps *ops,
                                       MpPoolCore            *core,
                                       guint                  number);

/* What a kind tells, in this order. */
void     mp_pool_worker_started       (MpPoolWorker          *self,
                                       int                    pid);   /* 0: it is none */
void     mp_pool_worker_ready         (MpPoolWorker          *self);
/* An answer has come. FALSE: not one to what was asked; the worker is to be cut off. */
gboolean mp_pool_worker_expects       (MpPoolWorker          *self,
                                       const MpResultLead    *lead);
/* The expected one, of which the unit is taken out of the flight; for a task that was taken back its job is NULL, and
 * nothing is left to do but to be through. Else its end follows: mp_pool_core_unit_ended(). */
MpUnit   mp_pool_worker_pop_answered  (MpPoolWorker          *self,
                                       const MpResultLead    *lead);
/* What its task says of how far it is. FALSE: it has none that could; the worker is to be cut off. @value: (nullable) */
gboolean mp_pool_worker_report        (MpPoolWorker          *self,
                                       const MpProgressLead  *lead,
                                       GVariant              *value);
/* If it is the one to the initializer; takes what @answer has. */
void     mp_pool_worker_initialized   (MpPoolWorker          *self,
                                       MpAnswer              *answer);
void     mp_pool_worker_answers_through (MpPoolWorker        *self);
/* Once, last; frees it. @error: (nullable): why it never was ready, or broke the rules of frames. */
void     mp_pool_worker_ended         (MpPoolWorker          *self,
                                       const GError          *error);
/* It broke the rules: nothing that it says is heard any more. Takes @error. */
void     mp_pool_worker_cut_off       (MpPoolWorker          *self,
                                       GError                *error);

G_END_DECLS
