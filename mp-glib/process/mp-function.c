/* mp-function.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-function-private.h"

#include "mp-glib/base/mp-error-private.h"
#include "mp-glib/platform/mp-elf-private.h"

#include <pthread.h>
#include <string.h>

#define MAX_NAME 1024
#define MAX_NAMES_SHOWN 12

/* A function of the table. Never freed: a name once known stays known. */
typedef struct
{
  MpFunction      function;   /* first: others see only this */
  GDestroyNotify  notify;
  gboolean        callable;   /* else only declared, or looked up in vain */
} Entry;

/* Not a GRWLock: this one is taken while the process is forked, and given back in the copy. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *entries;         /* (lock) (element-type utf8 Entry) keys interned */
static GHashTable *names_of_static; /* (lock) (element-type MpFunctionEntry utf8) of MP_FUNCTION() */
static int any_async;               /* (atomic) */
static const MpFunction *latest;    /* (atomic) (nullable) found last by its own name */

static void
take_lock (void)
{
  pthread_mutex_lock (&lock);
}

static void
unlock_table (void)
{
  pthread_mutex_unlock (&lock);
}

static void
install_handlers (void)
{
  pthread_atfork (take_lock, unlock_table, unlock_table);
}

/* Nothing that takes another lock of this library is done with it. */
static void
lock_table (void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once (&once, install_handlers);
  take_lock ();
}

static gboolean
name_is_sound (const char *name)
{
  gsize length = strnlen (name, MAX_NAME + 1);

  return length > 0 && length <= MAX_NAME && g_utf8_validate (name, length, NULL);
}

/* With the lock held. */
static Entry *
ensure_entry (const char *name)
{
  Entry *entry;

  if (entries == NULL)
    entries = g_hash_table_new (g_str_hash, g_str_equal);
  entry = g_hash_table_lookup (entries, name);
  if (entry == NULL)
    {
      entry = g_new0 (Entry, 1);
      entry->function.name = g_intern_string (name);
      g_hash_table_insert (entries, (gpointer) entry->function.name, entry);
    }
  return entry;
}

/* A type string that lasts, or NULL; FALSE when it is none. */
static gboolean
intern_type (const char *text, const GVariantType **type)
{
  *type = NULL;
  if (text == NULL)
    return TRUE;
  if (!g_variant_type_string_is_valid (text))
    return FALSE;
  *type = (const GVariantType *) g_intern_string (text);
  return TRUE;
}

static gboolean
add_function (const char *name, MpFunc func, MpAsyncFunc async_func, gpointer user_data, GDestroyNotify notify)
{
  Entry *entry;
  gboolean added;

  lock_table ();
  entry = ensure_entry (name);
  added = !entry->callable;
  if (added)
    {
      entry->function.func = func;
      entry->function.async_func = async_func;
      entry->function.user_data = user_data;
      entry->notify = notify;
      entry->callable = TRUE;
    }
  unlock_table ();

  if (added && async_func != NULL)
    g_atomic_int_set (&any_async, TRUE);
  if (!added && notify != NULL)
    notify (user_data);
  return added;
}

/**
 * mp_function_register:
 * @name: a name, at most 1024 bytes of UTF-8, not beginning with `@`
 * @func: (scope notified) (closure user_data) (destroy notify): what it stands for
 * @user_data: data for @func
 * @notify: frees @user_data
 *
 * Gives a function a name by which other processes can call it.
 *
 * Done before [func@Mp.init], so that the program's workers, which run the same lines, know the name as well. A
 * registration lasts as long as the process; @notify is called only when it is refused.
 *
 * In C, `MP_FUNCTION()` names any function without registration.
 *
 * @func is called in the worker's main thread.
 *
 * Returns: `FALSE` when there is a function of this name already, which then stays
 *
 * Since: 0.1
 */
gboolean
mp_function_register (const char     *name,
                      MpFunc          func,
                      gpointer        user_data,
                      GDestroyNotify  notify)
{
  g_return_val_if_fail (name != NULL && name_is_sound (name) && name[0] != '@', FALSE);
  g_return_val_if_fail (func != NULL, FALSE);

  return add_function (name, func, NULL, user_data, notify);
}

/**
 * mp_function_register_async:
 * @name: a name, at most 1024 bytes of UTF-8, not beginning with `@`
 * @func: (scope notified) (closure user_data) (destroy notify): what it stands for
 * @user_data: data for @func
 * @notify: frees @user_data
 *
 * Gives an asynchronous function a name by which other processes can call it.
 *
 * It is given a [class@Mp.Invocation] and answers with that, when it likes; the worker runs its main context meanwhile.
 * For the rest as [func@Mp.function_register].
 *
 * Returns: `FALSE` when there is a function of this name already, which then stays
 *
 * Since: 0.1
 */
gboolean
mp_function_register_async (const char     *name,
                            MpAsyncFunc     func,
                            gpointer        user_data,
                            GDestroyNotify  notify)
{
  g_return_val_if_fail (name != NULL && name_is_sound (name) && name[0] != '@', FALSE);
  g_return_val_if_fail (func != NULL, FALSE);

  return add_function (name, NULL, func, user_data, notify);
}

/**
 * mp_function_declare:
 * @name: the name of a function, which need not be registered in this process
 * @argument_type: (nullable): type string of its arguments
 * @result_type: (nullable): type string of its result
 * @flags: what else there is to know
 * @error: return location for an error
 *
 * Declares the types of a function.
 *
 * Arguments are then checked when a call is submitted, before anything is sent; results where they are made. An
 * indefinite type (`*`, `a*`) checks as far as it says something. With `MP_FUNCTION_FLAGS_CHUNK` the function is called
 * once for a whole chunk of a map: takes an array of arguments and returns an array of as many results; the types
 * declared are then those of the arrays.
 *
 * Returns: `FALSE` with `G_IO_ERROR_INVALID_ARGUMENT` when a type string or the name is not valid
 *
 * Since: 0.1
 */
gboolean
mp_function_declare (const char       *name,
                     const char       *argument_type,
                     const char       *result_type,
                     MpFunctionFlags   flags,
                     GError          **error)
{
  const GVariantType *argument, *result;
  Entry *entry;

  g_return_val_if_fail (name != NULL, FALSE);

  if (!name_is_sound (name))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                           "function declare: a name is 1 to 1024 bytes of UTF-8");
      return FALSE;
    }
  if (!intern_type (argument_type, &argument) || !intern_type (result_type, &result))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "function “%s”: “%s” is no type string",
                   mp_function_display_name (name),
                   argument_type != NULL && !g_variant_type_string_is_valid (argument_type) ? argument_type
                                                                                            : result_type);
      return FALSE;
    }
  lock_table ();
  entry = ensure_entry (name);
  entry->function.argument_type = argument;
  entry->function.result_type = result;
  entry->function.flags = flags;
  unlock_table ();
  return TRUE;
}

static const MpFunction *
lookup (const char *name)
{
  const MpFunction *function = g_atomic_pointer_get (&latest);
  Entry *entry;

  /* The same call again and again: entries stay, and the strings that they are named by never change. */
  if (function != NULL && function->name == name)
    return function;

  lock_table ();
  entry = entries != NULL ? g_hash_table_lookup (entries, name) : NULL;
  unlock_table ();
  if (entry == NULL)
    return NULL;
  if (entry->function.name == name)
    g_atomic_pointer_set (&latest, &entry->function);
  return &entry->function;
}

/**
 * mp_function_is_registered:
 * @name: a name
 *
 * Whether this process has a function of this name.
 *
 * Returns: `TRUE` for a name that was registered, or made by `MP_FUNCTION()` in this process
 *
 * Since: 0.1
 */
gboolean
mp_function_is_registered (const char *name)
{
  const MpFunction *function;

  g_return_val_if_fail (name != NULL, FALSE);

  function = lookup (name);
  return function != NULL && (function->func != NULL || function->async_func != NULL);
}

/* Enters what a static entry says into the table. */
static void
adopt_static (const char *name, const MpFunctionEntry *from)
{
  const GVariantType *argument = NULL, *result = NULL;
  Entry *entry;

  if (!intern_type (from->argument_type, &argument) || !intern_type (from->result_type, &result))
    g_critical ("function “%s” is declared with a type string that is none", from->name);

  lock_table ();
  entry = ensure_entry (name);
  if (!entry->callable)
    {
      entry->function.func = from->func;
      if (argument != NULL)
        entry->function.argument_type = argument;
      if (result != NULL)
        entry->function.result_type = result;
      entry->function.flags |= from->flags;
      entry->callable = TRUE;
    }
  unlock_table ();
}

/**
 * mp_function_entry_get_name: (skip)
 * @entry: what `MP_FUNCTION()` left in the program
 *
 * The name of a function in C, for `MP_FUNCTION()`.
 *
 * It holds the build-id of the program or library in which the entry lies, and its place there; so it means the same
 * function in every process that has the same program or library loaded, and nothing in any other.
 *
 * Returns: an interned string
 *
 * Since: 0.1
 */
const char *
mp_function_entry_get_name (const MpFunctionEntry *entry)
{
  g_autofree char *key = NULL;
  g_autofree char *text = NULL;
  const char *name;
  guint64 offset;

  g_return_val_if_fail (entry != NULL && entry->magic == MP_FUNCTION_MAGIC && entry->self == entry, NULL);

  lock_table ();
  name = names_of_static != NULL ? g_hash_table_lookup (names_of_static, entry) : NULL;
  unlock_table ();
  if (name != NULL)
    return name;

  if (!mp_platform_locate (entry, &key, &offset))
    g_return_val_if_reached (NULL);
  text = g_strdup_printf ("@%s+%" G_GINT64_MODIFIER "x:%s", key, offset, entry->name);
  name = g_intern_string (text);
  adopt_static (name, entry);
  lock_table ();
  if (names_of_static == NULL)
    names_of_static = g_hash_table_new (NULL, NULL);
  g_hash_table_insert (names_of_static, (gpointer) entry, (gpointer) name);
  unlock_table ();
  return name;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

/* "“a”, “b”, …": what there is, for whoever misspelt a name. */
static char *
list_names (void)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new ();
  GString *text = g_string_new (NULL);
  GHashTableIter iter;
  Entry *entry;

  lock_table ();
  if (entries != NULL)
    {
      g_hash_table_iter_init (&iter, entries);
      while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &entry))
        if (entry->callable && entry->function.name[0] != '@')
          g_ptr_array_add (names, (gpointer) entry->function.name);
    }
  unlock_table ();

  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len && i < MAX_NAMES_SHOWN; i++)
    g_string_append_printf (text, "%s“%s”", i > 0 ? ", " : "", (const char *) names->pdata[i]);
  if (names->len == 0)
    g_string_append (text, "none");
  else if (names->len > MAX_NAMES_SHOWN)
    g_string_append_printf (text, " and %u more", names->len - MAX_NAMES_SHOWN);
  return g_string_free (text, FALSE);
}

/* "@KEY+OFFSET:NAME" in its parts; from another process, so nothing about it is certain. */
static gboolean
parse_static_name (const char *name, char **key, guint64 *offset, const char **text)
{
  const char *colon = strchr (name, ':');
  const char *plus;
  g_autofree char *digits = NULL;

  if (colon == NULL)
    return FALSE;
  plus = g_strrstr_len (name, colon - name, "+");
  if (plus == NULL || plus == name + 1)
    return FALSE;
  digits = g_strndup (plus + 1, colon - plus - 1);
  if (!g_ascii_string_to_unsigned (digits, 16, 0, G_MAXUINT64, offset, NULL))
    return FALSE;
  *key = g_strndup (name + 1, plus - name - 1);
  *text = colon + 1;
  return TRUE;
}

/* Whether an entry is where a name says. What is there may be anything that the object holds, between its variables
 * too. */
static gboolean __attribute__ ((no_sanitize ("address")))
is_entry (const MpFunctionEntry *entry)
{
  return entry->magic == MP_FUNCTION_MAGIC && entry->self == entry && entry->func != NULL;
}

static gboolean
resolve_static (const char *name, GError **error)
{
  g_autofree char *key = NULL;
  const MpFunctionEntry *entry;
  const char *text;
  gboolean known;
  guint64 offset;

  if (!parse_static_name (name, &key, &offset, &text))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION, "a function's name is malformed");
      return FALSE;
    }
  entry = mp_platform_resolve (key, offset, sizeof *entry, &known);
  if (!known)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION,
                   "no function “%s”: the program or library that it lies in is not loaded in this process, or is "
                   "another build of it", text);
      return FALSE;
    }
  /* An entry is believed only when it says itself that it is one, and where. */
  if (entry == NULL || (guintptr) entry % G_ALIGNOF (MpFunctionEntry) != 0 || !is_entry (entry) ||
      strcmp (entry->name, text) != 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION, "no function “%s” where its name says that it is", text);
      return FALSE;
    }
  adopt_static (name, entry);
  return TRUE;
}

const MpFunction *
mp_function_find (const char  *name,
                  GError     **error)
{
  const MpFunction *function = NULL;
  g_autofree char *known = NULL;

  if (name_is_sound (name))
    {
      function = lookup (name);
      if (function != NULL && (function->func != NULL || function->async_func != NULL))
        return function;
      if (name[0] == '@')
        return resolve_static (name, error) ? lookup (name) : NULL;
      known = list_names ();
      g_set_error (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION,
                   "no function “%s” is registered in the worker (before mp_init()); there are: %s", name, known);
      return NULL;
    }
  g_set_error_literal (error, MP_ERROR, MP_ERROR_NO_SUCH_FUNCTION,
                       "function call: a name is 1 to 1024 bytes of UTF-8");
  return NULL;
}

static void
set_type_error (GError             **error,
                const char          *name,
                const char          *what,
                const GVariantType  *type,
                const GVariantType  *declared)
{
  g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "function “%s”: %s of type “%.*s”, declared as “%.*s”",
               mp_function_display_name (name), what,
               (int) g_variant_type_get_string_length (type), g_variant_type_peek_string (type),
               (int) g_variant_type_get_string_length (declared), g_variant_type_peek_string (declared));
}

/* Items of an array of variants have each a type of their own. */
static gboolean
check_boxed_items (const MpFunction *function, GVariant *items, GError **error)
{
  GVariantIter iter;
  GVariant *item;

  g_variant_iter_init (&iter, items);
  while (g_variant_iter_loop (&iter, "v", &item))
    if (!g_variant_is_of_type (item, function->argument_type))
      {
        set_type_error (error, function->name, "an item", g_variant_get_type (item), function->argument_type);
        g_variant_unref (item);
        return FALSE;
      }
  return TRUE;
}

gboolean
mp_function_check_args (const char  *name,
                        GVariant    *args,
                        gboolean     is_items,
                        GError     **error)
{
  const MpFunction *function = lookup (name);
  const GVariantType *type = g_variant_get_type (args);

  if (function == NULL && !name_is_sound (name))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                           "function call: a name is 1 to 1024 bytes of UTF-8");
      return FALSE;
    }
  if (is_items && !g_variant_type_is_array (type))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "function “%s”: items of type “%s”, which is no array",
                   mp_function_display_name (name), g_variant_get_type_string (args));
      return FALSE;
    }
  if (function == NULL || function->argument_type == NULL)
    return TRUE;
  if (is_items && (function->flags & MP_FUNCTION_FLAGS_CHUNK) == 0)
    {
      type = g_variant_type_element (type);
      if (g_variant_type_equal (type, G_VARIANT_TYPE_VARIANT) &&
          !g_variant_type_is_subtype_of (type, function->argument_type))
        return check_boxed_items (function, args, error);
    }
  if (g_variant_type_is_subtype_of (type, function->argument_type))
    return TRUE;
  set_type_error (error, name, is_items ? "items" : "arguments", type, function->argument_type);
  return FALSE;
}

gboolean
mp_function_takes_chunks (const char *name)
{
  const MpFunction *function = lookup (name);

  return function != NULL && (function->flags & MP_FUNCTION_FLAGS_CHUNK) != 0;
}

gboolean
mp_function_is_idempotent (const char *name)
{
  const MpFunction *function = lookup (name);

  return function != NULL && (function->flags & MP_FUNCTION_FLAGS_IDEMPOTENT) != 0;
}

const char *
mp_function_display_name (const char *name)
{
  const char *colon = name[0] == '@' ? strchr (name, ':') : NULL;

  return colon != NULL ? colon + 1 : name;
}

gboolean
mp_function_any_async (void)
{
  return g_atomic_int_get (&any_async);
}

gboolean
mp_function_check_result (const MpFunction  *function,
                          GVariant          *result,
                          GError           **error)
{
  if (function->result_type == NULL || g_variant_is_of_type (result, function->result_type))
    return TRUE;
  set_type_error (error, function->name, "result", g_variant_get_type (result), function->result_type);
  return FALSE;
}

gboolean
mp_function_check_argument (const MpFunction    *function,
                            const GVariantType  *type,
                            GError             **error)
{
  const GVariantType *wanted = function->argument_type;

  if (wanted == NULL || g_variant_type_is_subtype_of (type, wanted))
    return TRUE;

  g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE, "function “%s” was called with “%.*s”, but takes “%.*s”",
               mp_function_display_name (function->name),
               (int) g_variant_type_get_string_length (type), g_variant_type_peek_string (type),
               (int) g_variant_type_get_string_length (wanted), g_variant_type_peek_string (wanted));
  return FALSE;
}

GError *
mp_function_check_chunk (const MpFunction *function,
                         GVariant         *result,
                         gsize             n_items)
{
  if (g_variant_is_of_type (result, G_VARIANT_TYPE_ARRAY) && g_variant_n_children (result) == n_items)
    return NULL;

  return g_error_new (MP_ERROR, MP_ERROR_INVALID_TYPE,
                      "function “%s” got a chunk of %" G_GSIZE_FORMAT " items, and returned no array of as many",
                      mp_function_display_name (function->name), n_items);
}

GVariant *
mp_function_check_call (const MpFunction  *function,
                        GVariant          *result,
                        GError            *own_error,
                        GError           **error)
{
  if (result != NULL)
    result = g_variant_take_ref (result);
  if (own_error != NULL)
    {
      g_clear_pointer (&result, g_variant_unref);
      g_propagate_error (error, own_error);
    }
  else if (result == NULL)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_NO_RESULT, "function “%s” returned neither a result nor an error",
                   mp_function_display_name (function->name));
    }
  else if (!mp_function_check_result (function, result, error))
    {
      g_clear_pointer (&result, g_variant_unref);
    }
  return result;
}

/* A function in JavaScript always gives one or the other: when there is neither, it was not run. */
GVariant *
mp_function_call_bare (const MpFunction  *function,
                       GVariant          *args,
                       GError           **own_error)
{
  GVariant *result = NULL;

  mp_script_count_call ();
  result = function->func (args, function->user_data, own_error);
  if (G_UNLIKELY (result == NULL && *own_error == NULL) && mp_script_collect ())
    result = function->func (args, function->user_data, own_error);
  return result;
}

GVariant *
mp_function_call (const MpFunction  *function,
                  GVariant          *args,
                  GError           **error)
{
  GError *own_error = NULL;
  GVariant *result = mp_function_call_bare (function, args, &own_error);

  return mp_function_check_call (function, result, own_error, error);
}
