/* mp-invocation-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/process/mp-function-private.h"
#include "mp-glib/process/mp-invocation.h"
#include "mp-glib/process/mp-invocation-control-private.h"

G_BEGIN_DECLS

/* For what calls functions in a worker (mp-serve.c, mp-process.c), or in what stands for one: the running call of this
 * thread, as mp_invocation_get_current() shows it. */

/* Whose calls those are. */
typedef struct
{
  int           number;    /* of the worker in its pool; -1: it is in none */
  const char   *name;      /* for messages */
  MpBoard      *board;     /* (nullable) what its owner tells it */
  GMainContext *context;   /* where asynchronous functions run */
  const MpInvocationTask *task;   /* (nullable) what it is at */
} MpInvocationHost;

/* What was running in this thread when a worker that is no process of its own began to call functions there. */
typedef struct
{
  const MpInvocationHost *host;
  const MpFunction       *function;
  MpInvocation           *object;
} MpInvocationOuter;

/* Around the calls of such a worker; a function may make a call that runs another one in the same thread. @host lives until
 * then. Without it calls are those of the process as a worker. */
void      mp_invocation_enter      (const MpInvocationHost *host,
                                    MpInvocationOuter      *outer);
void      mp_invocation_leave      (MpInvocationOuter      *outer);
/* That of this thread. */
MpInvocationHost mp_invocation_get_host (void);

/* Around one or more calls of a synchronous function: costs a store, the object is made only when the function asks for
 * it. end() gives what mp_invocation_set_error_details() was told (nullable, full) and drops the object. */
void      mp_invocation_begin      (const MpFunction  *function);
GVariant *mp_invocation_end        (void);
/* Whether the function has asked for it: what it said there is not to be taken for what the next call says. */
gboolean  mp_invocation_was_asked_for (void);

/* Exactly once, in the main thread, also when the function has answered before it returned. @value (nullable) or @error
 * (nullable) is set, never both or none; the promises of mp_function_call() are kept. */
typedef void (* MpInvocationDone) (GVariant       *value,
                                   const GError   *error,
                                   GVariant       *details,
                                   gpointer        data);

/* Calls an asynchronous function. An invocation that is dropped without an answer answers with an error. */
void      mp_invocation_call_async (const MpFunction  *function,
                                    GVariant          *args,
                                    MpInvocationDone   done,
                                    gpointer           data);

G_END_DECLS
