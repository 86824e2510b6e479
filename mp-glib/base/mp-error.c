/* mp-error.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-error-private.h"

#include <pthread.h>
#include <string.h>

/**
 * MpError:
 * @MP_ERROR_FAILED: something failed for which there is no code of its own
 * @MP_ERROR_EMPTY: there is nothing to take at this moment
 * @MP_ERROR_FULL: there is no room at this moment
 * @MP_ERROR_WORKER_DIED: the process that ran the function ended before it was done
 * @MP_ERROR_WORKER_START: a process could not be started, or ended before it was ready
 * @MP_ERROR_REMOTE: a function in another process failed with an error of a domain that this process does not know
 * @MP_ERROR_NOT_INITIALIZED: the program started a process without a call of [func@Mp.init] before
 * @MP_ERROR_NO_SUCH_FUNCTION: the worker knows no function of that name
 * @MP_ERROR_AUTHENTICATION: the other side could not show that it knows the key
 * @MP_ERROR_BUFFER_TOO_SHORT: a message is longer than the buffer given for it
 * @MP_ERROR_TOO_LARGE: a value, or a part of it, is larger than the bound that is set for it
 * @MP_ERROR_BROKEN_BARRIER: a party of the barrier died or gave up
 * @MP_ERROR_NOT_OWNER: the caller does not hold what it wants to give back
 * @MP_ERROR_NO_RESULT: a function returned neither a value nor an error
 * @MP_ERROR_INVALID_TYPE: a value is not of the type that is wanted
 * @MP_ERROR_PROTOCOL: the other process sent what it should not have sent
 * @MP_ERROR_UNSAFE_FORK: this process has several threads, and cannot be forked safely
 * @MP_ERROR_INTERRUPTED: the language that made the blocking call has something more urgent to do
 *
 * Errors of this library for which GIO has no code.
 *
 * A call that runs out of time gives `G_IO_ERROR_TIMED_OUT`, a cancelled one `G_IO_ERROR_CANCELLED`, one on a closed
 * object `G_IO_ERROR_CLOSED`.
 *
 * Since: 0.1
 */

/* Bounds of what is remembered, and of what is believed. */
#define MAX_REMEMBERED    256
#define MAX_DETAILS       ((gsize) 1 << 20)   /* bytes, of one error */
#define MAX_ALL_DETAILS   ((gsize) 8 << 20)
#define MAX_MESSAGE       ((gsize) 65536)
#define MAX_DOMAIN        128
#define MAX_NEW_DOMAINS   256

#define ERROR_TYPE        "(sisa{sv})"

/* A GError that went through a binding is another GError afterwards, so details hang on its text. */
typedef struct
{
  GQuark    domain;
  int       code;
  char     *message;
  GVariant *details;
  GList     link;      /* in `order` */
} Remembered;

/* Guards all of these; nothing of the user's is freed while it is held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *table;    /* (owned) set of Remembered */
static GQueue order;         /* oldest first */
static gsize all_details;    /* bytes */
static guint n_new_domains;

void
mp_error_before_fork (void)
{
  pthread_mutex_lock (&lock);
}

void
mp_error_after_fork (void)
{
  pthread_mutex_unlock (&lock);
}

/* What an error of this domain has in front of it, as an extended one of GLib: not found by its text, because two
 * messages that were too long have the same. */
typedef struct
{
  GBytes *bytes;   /* (owned) (nullable) */
} Extension;

static Extension *
get_extension (const GError *error)
{
  const gsize alignment = 2 * sizeof (gsize);

  return (Extension *) (gpointer) ((guint8 *) error - ((sizeof (Extension) + alignment - 1) & -alignment));
}

static void
error_init (GError *error)
{
  get_extension (error)->bytes = NULL;
}

static void
error_copy (const GError *source,
            GError       *copy)
{
  GBytes *bytes = get_extension (source)->bytes;

  get_extension (copy)->bytes = bytes != NULL ? g_bytes_ref (bytes) : NULL;
}

static void
error_clear (GError *error)
{
  g_clear_pointer (&get_extension (error)->bytes, g_bytes_unref);
}

/**
 * mp_error_quark:
 *
 * Gives the domain of [error@Mp.Error].
 *
 * To be called by a program that makes errors of this domain without the macro `MP_ERROR`, which does it, before it
 * makes the first.
 *
 * Returns: the quark
 *
 * Since: 0.1
 */
GQuark
mp_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark))
    g_once_init_leave (&quark, g_error_domain_register_static ("mp-error-quark", sizeof (Extension), error_init,
                                                               error_copy, error_clear));
  return quark;
}

void
mp_error_take_bytes (GError *error,
                     GBytes *bytes)
{
  g_return_if_fail (error->domain == MP_ERROR);

  error_clear (error);
  get_extension (error)->bytes = bytes;
}

/**
 * mp_error_dup_message_bytes:
 * @error: an error that this library gave
 *
 * Gets the message that an error carries.
 *
 * That is so for `MP_ERROR_BUFFER_TOO_SHORT` of [method@Mp.Connection.recv_bytes_into]: the message is whole, and
 * nowhere else. It goes with the error and its copies, but not through a language binding that makes an exception of
 * its own of the error.
 *
 * May be called in any thread.
 *
 * Returns: (transfer full) (nullable): the message, or `NULL` if there is none
 *
 * Since: 0.1
 */
GBytes *
mp_error_dup_message_bytes (const GError *error)
{
  GBytes *bytes;

  g_return_val_if_fail (error != NULL, NULL);

  if (error->domain != MP_ERROR)
    return NULL;
  bytes = get_extension (error)->bytes;
  return bytes != NULL ? g_bytes_ref (bytes) : NULL;
}

static guint
remembered_hash (gconstpointer key)
{
  const Remembered *self = key;

  return g_str_hash (self->message) ^ self->domain * 31 ^ (guint) self->code;
}

static gboolean
remembered_equal (gconstpointer a,
                  gconstpointer b)
{
  const Remembered *one = a, *two = b;

  return one->domain == two->domain && one->code == two->code && strcmp (one->message, two->message) == 0;
}

static void
remembered_free (gpointer data)
{
  Remembered *self = data;

  g_variant_unref (self->details);
  g_free (self->message);
  g_free (self);
}

/* With the lock. Takes it out of everything, not freed. */
static Remembered *
forget (Remembered *self)
{
  g_hash_table_steal (table, self);
  g_queue_unlink (&order, &self->link);
  all_details -= g_variant_get_size (self->details);
  return self;
}

/* The details as bytes of their own: a part of a received message would keep the whole message, and its objects. */
static GVariant *
copy_details (GVariant *details)
{
  gsize size = g_variant_get_size (details);
  g_autoptr(GBytes) bytes = g_bytes_new_take (g_malloc (MAX (size, 1)), size);

  g_variant_store (details, (gpointer) g_bytes_get_data (bytes, NULL));
  return g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE_VARDICT, bytes,
                                                       g_variant_is_normal_form (details)));
}

/**
 * mp_error_dup_details:
 * @error: an error that this library gave
 *
 * Gets what more is known of an error than its message.
 *
 * An error that happened in another process comes with a dictionary, whose keys are all optional: `type` (`s`, the name
 * of the exception's type), `traceback` (`s`), `function` (`s`), `worker` (`s`, name of the process), `pid` (`i`),
 * `exit-status` (`i`, as [method@Mp.Process.get_exit_status] has it), `signal` (`i`), `stderr` (`as`, the last lines),
 * `log` (`as`, the last records). `MP_ERROR_TOO_LARGE` of [method@Mp.Connection.recv_bytes_full] has `length` (`t`).
 *
 * The library remembers the dictionaries of the last few hundred errors by their domain, code and message, so this
 * works as well for an error that was copied, or that went through a language binding.
 *
 * May be called in any thread.
 *
 * Returns: (transfer full) (nullable): a dictionary of type `a{sv}`, or `NULL` if nothing more is known
 *
 * Since: 0.1
 */
GVariant *
mp_error_dup_details (const GError *error)
{
  Remembered key = { 0 };
  Remembered *found = NULL;
  GVariant *details = NULL;

  g_return_val_if_fail (error != NULL, NULL);

  key.domain = error->domain;
  key.code = error->code;
  key.message = error->message;

  pthread_mutex_lock (&lock);
  if (table != NULL)
    found = g_hash_table_lookup (table, &key);
  if (found != NULL)
    details = g_variant_ref (found->details);
  pthread_mutex_unlock (&lock);

  return details;
}

void
mp_error_attach_details (const GError *error,
                         GVariant     *details)
{
  g_autoptr(GVariant) sunk = g_variant_ref_sink (details);
  g_autoptr(GPtrArray) old = NULL;
  Remembered *self, *same;

  g_return_if_fail (g_variant_is_of_type (sunk, G_VARIANT_TYPE_VARDICT));

  if (g_variant_get_size (sunk) > MAX_DETAILS)
    return;

  old = g_ptr_array_new_with_free_func (remembered_free);
  self = g_new0 (Remembered, 1);
  self->domain = error->domain;
  self->code = error->code;
  self->message = g_strdup (error->message);
  self->details = copy_details (sunk);
  self->link.data = self;

  pthread_mutex_lock (&lock);
  if (table == NULL)
    table = g_hash_table_new (remembered_hash, remembered_equal);
  same = g_hash_table_lookup (table, self);
  if (same != NULL)
    g_ptr_array_add (old, forget (same));
  g_hash_table_add (table, self);
  g_queue_push_tail_link (&order, &self->link);
  all_details += g_variant_get_size (self->details);
  while (order.length > MAX_REMEMBERED || all_details > MAX_ALL_DETAILS)
    g_ptr_array_add (old, forget (g_queue_peek_head (&order)));
  pthread_mutex_unlock (&lock);
}

/**
 * mp_error_set_details:
 * @error: an error
 * @details: a dictionary of type `a{sv}`, sunk if it is floating
 *
 * Remembers what more is known of an error than its message, for [func@Mp.Error.dup_details].
 *
 * This is for language bindings: the details of an error that a function or a process ends with go to the owner beside
 * it. A dictionary of more than 1 MiB is not remembered.
 *
 * May be called in any thread.
 *
 * Since: 0.1
 */
void
mp_error_set_details (const GError *error,
                      GVariant     *details)
{
  g_return_if_fail (error != NULL);
  g_return_if_fail (details != NULL && g_variant_is_of_type (details, G_VARIANT_TYPE_VARDICT));

  mp_error_attach_details (error, details);
}

GVariant *
mp_error_to_variant (const GError *error,
                     GVariant     *details)
{
  g_autoptr(GVariant) own = NULL;
  g_autofree char *message = g_utf8_make_valid (error->message, -1);

  if (details != NULL)
    own = g_variant_ref_sink (details);
  else
    own = mp_error_dup_details (error);
  if (own == NULL)
    own = g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));

  return g_variant_ref_sink (g_variant_new ("(sis@a{sv})", g_quark_to_string (error->domain), error->code, message,
                                            own));
}

/* Names of error domains are words: "g-io-error-quark", "MyApp.Error". */
static gboolean
is_domain_name (const char *name)
{
  const char *pos;

  for (pos = name; *pos != '\0'; pos++)
    if (!g_ascii_isalnum (*pos) && strchr ("-_.:/", *pos) == NULL)
      return FALSE;

  return pos > name && pos - name <= MAX_DOMAIN;
}

/* 0 when it is none. Quarks are never freed, hence the bound. */
static GQuark
find_domain (const char *name)
{
  GQuark quark;
  gboolean room;

  (void) mp_error_quark ();   /* its errors are not made before it is known */
  quark = g_quark_try_string (name);
  if (quark != 0 || !is_domain_name (name))
    return quark;

  pthread_mutex_lock (&lock);
  room = n_new_domains < MAX_NEW_DOMAINS;
  if (room)
    n_new_domains++;
  pthread_mutex_unlock (&lock);

  return room ? g_quark_from_string (name) : 0;
}

/* Cuts a text off between two characters. */
static char *
bound_text (const char *text,
            gsize       max)
{
  const char *end;

  if (strlen (text) <= max)
    return g_strdup (text);

  end = g_utf8_find_prev_char (text, text + max + 1);
  return g_strdup_printf ("%.*s…", (int) (end - text), text);
}

GError *
mp_error_from_variant (GVariant  *variant,
                       GVariant **details)
{
  g_autoptr(GVariant) dict = NULL;
  g_autofree char *message = NULL;
  g_autofree char *name = NULL;
  const char *domain, *text;
  GError *error;
  GQuark quark;
  gint32 code;

  if (details != NULL)
    *details = NULL;

  if (!g_variant_is_of_type (variant, G_VARIANT_TYPE (ERROR_TYPE)))
    return g_error_new (MP_ERROR, MP_ERROR_PROTOCOL, "Received an error that is none: a value of type %.64s",
                        g_variant_get_type_string (variant));

  g_variant_get (variant, "(&si&s@a{sv})", &domain, &code, &text, &dict);
  message = bound_text (text, MAX_MESSAGE);
  quark = find_domain (domain);
  if (quark != 0)
    {
      error = g_error_new_literal (quark, code, message);
    }
  else
    {
      name = bound_text (domain, MAX_DOMAIN);
      error = g_error_new (MP_ERROR, MP_ERROR_REMOTE, "%s: %s", name, message);
    }

  if (g_variant_n_children (dict) > 0)
    {
      mp_error_attach_details (error, dict);
      if (details != NULL)
        *details = g_steal_pointer (&dict);
    }

  return error;
}
