/* mp-shared-memory-manager.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-shared-memory-manager.h"

#include "mp-glib/memory/mp-shared-memory-private.h"

#include <pthread.h>
#include <unistd.h>

/**
 * MpSharedMemoryManager:
 *
 * Frees all shared memory that it has made, together.
 *
 * [method@Mp.SharedMemoryManager.shutdown], or the end of the object, takes away the names and closes the memory in this
 * process. What another process has of it lives until that process gives it up; nobody else can get it any more. When
 * this process exits, nothing is left either; when it is killed by a signal, memory without a name goes too, and names stay.
 *
 * No process and no thread stands behind it. It may be used in any thread.
 *
 * Since: 0.1
 */
struct _MpSharedMemoryManager
{
  GObject          parent_instance;

  pid_t            pid;        /* whose it is: a fork's copy takes no names away */
  pthread_mutex_t  lock;
  GPtrArray       *memories;   /* (owned) (nullable) of MpSharedMemory: guarded; NULL: shut down */
};

G_DEFINE_FINAL_TYPE (MpSharedMemoryManager, mp_shared_memory_manager, G_TYPE_OBJECT)

static void
mp_shared_memory_manager_finalize (GObject *object)
{
  MpSharedMemoryManager *self = MP_SHARED_MEMORY_MANAGER (object);

  mp_shared_memory_manager_shutdown (self);
  pthread_mutex_destroy (&self->lock);

  G_OBJECT_CLASS (mp_shared_memory_manager_parent_class)->finalize (object);
}

static void
mp_shared_memory_manager_class_init (MpSharedMemoryManagerClass *klass)
{
  mp_shared_memory_watch_forks ();
  G_OBJECT_CLASS (klass)->finalize = mp_shared_memory_manager_finalize;
}

static void
mp_shared_memory_manager_init (MpSharedMemoryManager *self)
{
  pthread_mutex_init (&self->lock, NULL);
  self->pid = getpid ();
  self->memories = g_ptr_array_new_with_free_func (g_object_unref);
}

/**
 * mp_shared_memory_manager_new:
 *
 * Makes a manager.
 *
 * Returns: (transfer full): a manager
 *
 * Since: 0.1
 */
MpSharedMemoryManager *
mp_shared_memory_manager_new (void)
{
  return g_object_new (MP_TYPE_SHARED_MEMORY_MANAGER, NULL);
}

/* Takes @memory (nullable: then @error is set), and gives it back. */
static MpSharedMemory *
keep (MpSharedMemoryManager  *self,
      MpSharedMemory         *memory,
      GError                **error)
{
  g_autoptr(MpSharedMemory) own = memory;

  if (own == NULL || !mp_shared_memory_manager_add (self, own, error))
    return NULL;
  return g_steal_pointer (&own);
}

/**
 * mp_shared_memory_manager_create:
 * @self: a manager
 * @size: how many bytes, not 0
 * @error: return location for an error
 *
 * Makes shared memory without a name.
 *
 * Errors: those of [ctor@Mp.SharedMemory.new], and `G_IO_ERROR_CLOSED` after [method@Mp.SharedMemoryManager.shutdown].
 *
 * Returns: (transfer full): shared memory
 *
 * Since: 0.1
 */
MpSharedMemory *
mp_shared_memory_manager_create (MpSharedMemoryManager  *self,
                                 gsize                   size,
                                 GError                **error)
{
  g_return_val_if_fail (MP_IS_SHARED_MEMORY_MANAGER (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  return keep (self, mp_shared_memory_new (size, error), error);
}

/**
 * mp_shared_memory_manager_create_named:
 * @self: a manager
 * @name: (nullable): the name; `NULL` to have one made up
 * @size: how many bytes, not 0
 * @error: return location for an error
 *
 * Makes shared memory with a name.
 *
 * Errors: those of [ctor@Mp.SharedMemory.new_named], and `G_IO_ERROR_CLOSED` after
 * [method@Mp.SharedMemoryManager.shutdown].
 *
 * Returns: (transfer full): shared memory
 *
 * Since: 0.1
 */
MpSharedMemory *
mp_shared_memory_manager_create_named (MpSharedMemoryManager  *self,
                                       const char             *name,
                                       gsize                   size,
                                       GError                **error)
{
  g_return_val_if_fail (MP_IS_SHARED_MEMORY_MANAGER (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  return keep (self, mp_shared_memory_new_named (name, size, error), error);
}

/**
 * mp_shared_memory_manager_create_list:
 * @self: a manager
 * @values: an array or a tuple: the items; sunk if floating
 * @error: return location for an error
 *
 * Makes a list in shared memory without a name.
 *
 * For one with a name make it with [ctor@Mp.ShareableList.new_named], and add its memory.
 *
 * Errors: those of [ctor@Mp.ShareableList.new], and `G_IO_ERROR_CLOSED` after [method@Mp.SharedMemoryManager.shutdown].
 *
 * Returns: (transfer full): a list
 *
 * Since: 0.1
 */
MpShareableList *
mp_shared_memory_manager_create_list (MpSharedMemoryManager  *self,
                                      GVariant               *values,
                                      GError                **error)
{
  g_autoptr(MpShareableList) list = NULL;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY_MANAGER (self), NULL);
  g_return_val_if_fail (values != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  list = mp_shareable_list_new (values, error);
  if (list == NULL || !mp_shared_memory_manager_add (self, mp_shareable_list_get_memory (list), error))
    return NULL;
  return g_steal_pointer (&list);
}

/**
 * mp_shared_memory_manager_add:
 * @self: a manager
 * @memory: shared memory
 * @error: return location for an error
 *
 * Makes @memory one of those that go with the manager, as if it had made it.
 *
 * Errors: `G_IO_ERROR_CLOSED` after [method@Mp.SharedMemoryManager.shutdown].
 *
 * Returns: whether the manager has it
 *
 * Since: 0.1
 */
gboolean
mp_shared_memory_manager_add (MpSharedMemoryManager  *self,
                              MpSharedMemory         *memory,
                              GError                **error)
{
  gboolean ok;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY_MANAGER (self), FALSE);
  g_return_val_if_fail (MP_IS_SHARED_MEMORY (memory), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  mp_shared_memory_lock (&self->lock);
  ok = self->memories != NULL;
  if (ok && !g_ptr_array_find (self->memories, memory, NULL))
    g_ptr_array_add (self->memories, g_object_ref (memory));
  mp_shared_memory_unlock (&self->lock);

  if (!ok)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "shared memory creation: the manager is shut down");
  return ok;
}

/**
 * mp_shared_memory_manager_shutdown:
 * @self: a manager
 *
 * Takes away the names of all that the manager has made, and closes it in this process.
 *
 * Pointers of [method@Mp.SharedMemory.get_data] are not good any more; bytes of [method@Mp.SharedMemory.get_bytes] are.
 * The manager makes nothing from then on. Calling it again does nothing.
 *
 * Since: 0.1
 */
void
mp_shared_memory_manager_shutdown (MpSharedMemoryManager *self)
{
  GPtrArray *memories;
  guint i;

  g_return_if_fail (MP_IS_SHARED_MEMORY_MANAGER (self));

  mp_shared_memory_lock (&self->lock);
  memories = g_steal_pointer (&self->memories);
  mp_shared_memory_unlock (&self->lock);
  if (memories == NULL)
    return;

  for (i = 0; i < memories->len; i++)
    {
      MpSharedMemory *memory = g_ptr_array_index (memories, i);

      if (self->pid == getpid () && mp_shared_memory_get_name (memory) != NULL)
        mp_shared_memory_unlink (memory, NULL);
      mp_shared_memory_close (memory);
    }
  g_ptr_array_unref (memories);
}
