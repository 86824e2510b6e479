/* mp-function.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include "mp-glib/base/mp-version-macros.h"
#include "mp-glib/process/mp-invocation.h"

G_BEGIN_DECLS

/**
 * MpFunc:
 * @args: what the caller gave: an item of a list, or all arguments of a call; borrowed
 * @user_data: (closure): data given at registration; `NULL` for a function named by `MP_FUNCTION()`
 * @error: return location for an error
 *
 * A function that other processes can call.
 *
 * It runs in the main thread of a worker. `NULL` without an error is itself an error, `MP_ERROR_NO_RESULT`: a function
 * with nothing to say returns an empty tuple.
 *
 * Returns: (transfer full): the result, which may be floating
 *
 * Since: 0.1
 */
typedef GVariant *(* MpFunc)      (GVariant      *args,
                                   gpointer       user_data,
                                   GError       **error);

/**
 * MpAsyncFunc:
 * @invocation: the call, to be answered once
 * @args: what the caller gave; borrowed
 * @user_data: (closure): data given at registration
 *
 * A function that other processes can call, and that answers later.
 *
 * It runs in the main thread of a worker, which runs its thread-default main context until the answer is there. In a
 * worker that was forked that is a context of its own: attach sources to it
 * (`g_main_context_get_thread_default()`), since `g_idle_add()` and `g_timeout_add()` would use another.
 *
 * Since: 0.1
 */
typedef void      (* MpAsyncFunc) (MpInvocation  *invocation,
                                   GVariant      *args,
                                   gpointer       user_data);

/**
 * MpFunctionFlags:
 * @MP_FUNCTION_FLAGS_NONE: nothing special
 * @MP_FUNCTION_FLAGS_CHUNK: it takes a whole chunk at once: an array in, an array of as many results out
 * @MP_FUNCTION_FLAGS_IDEMPOTENT: to run it twice does no harm: a call that its worker's death interrupted may be begun
 *   again, when its caller allows more than one attempt
 *
 * What a function is declared to be.
 *
 * Since: 0.1
 */
typedef enum
{
  MP_FUNCTION_FLAGS_NONE       = 0,
  MP_FUNCTION_FLAGS_CHUNK      = 1 << 0,
  MP_FUNCTION_FLAGS_IDEMPOTENT = 1 << 1,
} MpFunctionFlags;

MP_AVAILABLE_IN_ALL
gboolean mp_function_register       (const char         *name,
                                     MpFunc              func,
                                     gpointer            user_data,
                                     GDestroyNotify      notify);
MP_AVAILABLE_IN_ALL
gboolean mp_function_register_async (const char         *name,
                                     MpAsyncFunc         func,
                                     gpointer            user_data,
                                     GDestroyNotify      notify);
MP_AVAILABLE_IN_ALL
gboolean mp_function_declare        (const char         *name,
                                     const char         *argument_type,
                                     const char         *result_type,
                                     MpFunctionFlags     flags,
                                     GError            **error);
MP_AVAILABLE_IN_ALL
gboolean mp_function_is_registered  (const char         *name);

#ifndef __GI_SCANNER__

#define MP_FUNCTION_MAGIC G_GUINT64_CONSTANT (0x31636e7566706d7f)

/* What MP_FUNCTION() leaves in the program: found again in a worker by the object's build-id and the entry's offset,
 * and believed only when magic and own address are right. */
typedef struct _MpFunctionEntry MpFunctionEntry;
struct _MpFunctionEntry
{
  guint64                magic;
  const MpFunctionEntry *self;
  MpFunc                 func;
  const char            *name;
  const char            *argument_type;
  const char            *result_type;
  guint                  flags;
};

MP_AVAILABLE_IN_ALL
const char *mp_function_entry_get_name (const MpFunctionEntry *entry);

#define MP_FUNCTION_FULL(function, argument_type, result_type, flags) \
  (G_GNUC_EXTENSION ({ \
    static const MpFunctionEntry _mp_entry __attribute__ ((used, aligned (16))) = \
      { MP_FUNCTION_MAGIC, &_mp_entry, (function), #function, (argument_type), (result_type), (flags) }; \
    mp_function_entry_get_name (&_mp_entry); \
  }))
#define MP_FUNCTION(function) MP_FUNCTION_FULL (function, NULL, NULL, MP_FUNCTION_FLAGS_NONE)
#define MP_CHUNK_FUNCTION(function) MP_FUNCTION_FULL (function, NULL, NULL, MP_FUNCTION_FLAGS_CHUNK)

#endif /* __GI_SCANNER__ */

G_END_DECLS
