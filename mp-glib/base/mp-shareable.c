/* mp-shareable.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-shareable-private.h"

#include "mp-glib/base/mp-error.h"

#include <pthread.h>
#include <string.h>

/**
 * MpShareable:
 *
 * An object that can travel to another process inside a value.
 *
 * What implements this interface, such as [class@Mp.Connection], is the same thing on both sides: what travels is a
 * handle, and the library moves the descriptors that belong to it beside the message. Put
 * [method@Mp.Shareable.to_variant] anywhere into a value that is sent through a connection or given to a function; on
 * the other side [func@Mp.Shareable.from_variant] gives the object.
 *
 * The interface is implemented by the library only.
 *
 * Since: 0.1
 */

#define MAX_KINDS 64

/* Stands for an object as long as that lives. Of its own, and not inside of the table, because a strong reference is
 * taken from it without the lock: in a binding that may wait for the interpreter, whose holder may wait for the lock.
 */
typedef struct
{
  gatomicrefcount ref_count;
  gint            number;     /* atomic */
  GWeakRef        object;
} Handle;

typedef struct
{
  const char       *name;
  MpShareableAdopt  adopt;
} Kind;

/* Guards all of these; no call out of this file is made while it is held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *handles;   /* number → Handle, borrowed: gone before the handle */
static gint last_number;
static Kind kinds[MAX_KINDS];
static guint n_kinds;

static __thread MpShareableKeep *keeping;   /* (nullable): innermost of this thread */

static G_DEFINE_QUARK (mp-shareable-handle, handle)

void
mp_shareable_before_fork (void)
{
  pthread_mutex_lock (&lock);
}

void
mp_shareable_after_fork (void)
{
  pthread_mutex_unlock (&lock);
}

G_DEFINE_INTERFACE (MpShareable, mp_shareable, G_TYPE_OBJECT)

static void
handle_unref (Handle *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_weak_ref_clear (&self->object);
  g_free (self);
}

/* The object is being finalized. */
static void
handle_forget (gpointer data)
{
  Handle *self = data;

  pthread_mutex_lock (&lock);
  g_hash_table_remove (handles, GINT_TO_POINTER (self->number));
  pthread_mutex_unlock (&lock);
  handle_unref (self);
}

static Handle *
handle_new (MpShareable *object)
{
  Handle *self = g_new (Handle, 1);

  g_atomic_ref_count_init (&self->ref_count);
  g_weak_ref_init (&self->object, object);

  pthread_mutex_lock (&lock);
  if (handles == NULL)
    handles = g_hash_table_new (NULL, NULL);
  /* Upwards, so that a number that was kept too long stands for nothing rather than for another object. */
  do
    {
      last_number = last_number % G_MAXINT32 + 1;
    }
  while (g_hash_table_contains (handles, GINT_TO_POINTER (last_number)));
  g_atomic_int_set (&self->number, last_number);
  g_hash_table_insert (handles, GINT_TO_POINTER (last_number), self);
  pthread_mutex_unlock (&lock);

  return self;
}

static void
mp_shareable_default_init (MpShareableInterface *iface)
{
}

void
mp_shareable_keep_begin (MpShareableKeep *keep)
{
  *keep = (MpShareableKeep) { NULL, keeping };
  keeping = keep;
}

void
mp_shareable_keep_end (MpShareableKeep *keep)
{
  g_assert (keeping == keep);
  keeping = keep->outer;
  g_clear_pointer (&keep->objects, g_ptr_array_unref);
}

/**
 * mp_shareable_to_variant:
 * @self: an object that can travel
 *
 * Makes a handle for the object.
 *
 * The handle, a value of type `h`, can be a part of any value that is sent to another process. It holds no reference:
 * the object must live until the value has been sent, submitted or given to a process that is to be started. One that a
 * function makes for its result may be dropped at once: it lives until the result has been sent. A value whose handle stands
 * for nothing any more is refused.
 *
 * May be called in any thread.
 *
 * Returns: (transfer full): the handle
 *
 * Since: 0.1
 */
GVariant *
mp_shareable_to_variant (MpShareable *self)
{
  g_return_val_if_fail (MP_IS_SHAREABLE (self), NULL);

  if (keeping != NULL && keeping->objects == NULL)
    keeping->objects = g_ptr_array_new_with_free_func (g_object_unref);
  if (keeping != NULL)
    g_ptr_array_add (keeping->objects, g_object_ref (self));

  return g_variant_ref_sink (g_variant_new_handle (mp_shareable_get_handle (self)));
}

/**
 * mp_shareable_from_variant:
 * @variant: a handle: a value of type `h`, or a variant that holds one
 * @error: return location for an error
 *
 * Gives the object that a handle stands for.
 *
 * In a received value the object was made when the value arrived, and lives as long as any part of that value; take it
 * out while you have it.
 *
 * May be called in any thread. Errors: `MP_ERROR_INVALID_TYPE` when @variant is no handle, `G_IO_ERROR_NOT_FOUND` when
 * its object is gone.
 *
 * Returns: (transfer full): the object
 *
 * Since: 0.1
 */
MpShareable *
mp_shareable_from_variant (GVariant  *variant,
                           GError   **error)
{
  g_autoptr(GVariant) inner = NULL;
  MpShareable *object;

  g_return_val_if_fail (variant != NULL, NULL);

  inner = g_variant_ref (variant);
  while (g_variant_is_of_type (inner, G_VARIANT_TYPE_VARIANT))
    {
      GVariant *outer = inner;

      inner = g_variant_get_variant (outer);
      g_variant_unref (outer);
    }

  if (!g_variant_is_of_type (inner, G_VARIANT_TYPE_HANDLE))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_INVALID_TYPE,
                   "Cannot get an object: a value of type %s is not a handle", g_variant_get_type_string (inner));
      return NULL;
    }

  object = mp_shareable_lookup (g_variant_get_handle (inner), error);
  if (object == NULL)
    g_prefix_error (error, "Cannot get an object: ");
  return object;
}

/**
 * mp_shareable_get_isolated:
 * @self: an object that can travel
 *
 * Gets whether the object shares no memory with other objects.
 *
 * Only an isolated object may be sent to a process that is not one of this program's own workers.
 *
 * Returns: whether the object is isolated
 *
 * Since: 0.1
 */
gboolean
mp_shareable_get_isolated (MpShareable *self)
{
  MpShareableInterface *iface;

  g_return_val_if_fail (MP_IS_SHAREABLE (self), FALSE);

  iface = MP_SHAREABLE_GET_IFACE (self);
  return iface->get_isolated != NULL && iface->get_isolated (self);
}

void
mp_shareable_register_kind (const char       *kind,
                            MpShareableAdopt  adopt)
{
  pthread_mutex_lock (&lock);
  g_assert (n_kinds < MAX_KINDS);
  kinds[n_kinds++] = (Kind) { kind, adopt };
  pthread_mutex_unlock (&lock);
}

MpShareableAdopt
mp_shareable_find_kind (const char *kind)
{
  MpShareableAdopt adopt = NULL;
  guint i;

  pthread_mutex_lock (&lock);
  for (i = 0; i < n_kinds && adopt == NULL; i++)
    if (strcmp (kinds[i].name, kind) == 0)
      adopt = kinds[i].adopt;
  pthread_mutex_unlock (&lock);

  return adopt;
}

MpShareable *
mp_shareable_lookup (gint32   number,
                     GError **error)
{
  MpShareable *object = NULL;
  Handle *handle = NULL;

  pthread_mutex_lock (&lock);
  if (handles != NULL)
    handle = g_hash_table_lookup (handles, GINT_TO_POINTER (number));
  if (handle != NULL)
    g_atomic_ref_count_inc (&handle->ref_count);
  pthread_mutex_unlock (&lock);

  if (handle != NULL)
    {
      object = g_weak_ref_get (&handle->object);
      handle_unref (handle);
    }

  if (object == NULL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                 "the handle %d stands for no object of this process, or its object is gone", number);
  return object;
}

gint32
mp_shareable_get_handle (MpShareable *self)
{
  GObject *object = G_OBJECT (self);
  Handle *handle = g_object_get_qdata (object, handle_quark ());

  /* Two threads may come here at once: the first one's handle stays. */
  while (handle == NULL)
    {
      Handle *fresh = handle_new (self);

      if (g_object_replace_qdata (object, handle_quark (), NULL, fresh, handle_forget, NULL))
        handle = fresh;
      else
        {
          handle_forget (fresh);
          handle = g_object_get_qdata (object, handle_quark ());
        }
    }

  return g_atomic_int_get (&handle->number);
}
