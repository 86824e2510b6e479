/* mp-function-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/process/mp-function.h"

G_BEGIN_DECLS

/* A function as this process can call it. Lives as long as the process. */
typedef struct
{
  const char         *name;            /* interned */
  MpFunc              func;            /* or */
  MpAsyncFunc         async_func;
  gpointer            user_data;
  const GVariantType *argument_type;   /* (nullable) */
  const GVariantType *result_type;     /* (nullable) */
  MpFunctionFlags     flags;
} MpFunction;

/* In a worker: the function that a name from the wire stands for: registered, or an entry of MP_FUNCTION() that passed
 * range, alignment, magic and self-address checks. Error MP_ERROR_NO_SUCH_FUNCTION naming the function and, for a
 * registered name, the names there are. */
const MpFunction *mp_function_find        (const char        *name,
                                           GError           **error);
/* In the owner, at submission: checks @args (or, with @is_chunk, each of the array) against the declared type where
 * this process knows it; also that @name is a sound name (UTF-8, 1 .. 1024 bytes). */
gboolean          mp_function_check_args  (const char        *name,
                                           GVariant          *args,
                                           gboolean           is_items,
                                           GError           **error);
/* Whether it was declared so in this process. */
gboolean          mp_function_is_idempotent (const char       *name);
gboolean          mp_function_takes_chunks (const char        *name);
/* The text after the last ':' of an MP_FUNCTION name, else the name: for messages. */
const char       *mp_function_display_name (const char       *name);
gboolean          mp_function_any_async   (void);
/* A result (of an asynchronous function, too) against the declared type. */
gboolean          mp_function_check_result (const MpFunction *function,
                                           GVariant          *result,
                                           GError           **error);

/* Arguments, or the type of items, against the declared type, where the function is called. */
gboolean          mp_function_check_argument (const MpFunction    *function,
                                           const GVariantType  *type,
                                           GError             **error);
/* The result of a function that takes a whole chunk: NULL when it is an array of @n_items, else the error (full). */
GError           *mp_function_check_chunk (const MpFunction    *function,
                                           GVariant            *result,
                                           gsize                n_items);

/* Calls a synchronous function and keeps its promises: a result (sunk, full) or an error, never both or none; result
 * type checked. */
GVariant         *mp_function_call        (const MpFunction  *function,
                                           GVariant          *args,
                                           GError           **error);
/* The second half of it, for who has called the function himself. Takes @result (nullable), which may be floating, and
 * @own_error (nullable). */
GVariant         *mp_function_check_call  (const MpFunction  *function,
                                           GVariant          *result,
                                           GError            *own_error,
                                           GError           **error);

/* What the function itself gives, unchecked. */
GVariant         *mp_function_call_bare   (const MpFunction  *function,
                                           GVariant          *args,
                                           GError           **own_error);

/* mp-script-engine.c. Where the program is a script of GJS: brings the collection of its garbage to an end. FALSE: it is
 * none. Both in the thread that runs functions, between two calls. */
gboolean          mp_script_collect       (void);
void              mp_script_count_call    (void);
/* Whether that is so in this thread. Anywhere. */
gboolean          mp_script_is_here       (void);

G_END_DECLS
