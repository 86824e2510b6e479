/* mp-shared-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-shared-memory-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/memory/mp-memory-kinds-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define KIND       "shared-memory"
#define STATE_TYPE "ms"   /* its name */

/**
 * MpSharedMemory:
 *
 * Memory that several processes have at once.
 *
 * It has no name unless one is asked for, and travels to other processes inside of values, see [iface@Mp.Shareable]. It
 * lives as long as any process has it, and not longer, whoever dies.
 *
 * ```c
 * g_autoptr(MpSharedMemory) memory = mp_shared_memory_new (1 << 20, &error);
 * double *numbers = mp_shared_memory_get_data (memory, NULL);
 * g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (memory));
 *
 * numbers[0] = 0.5;
 * mp_pool_apply (pool, MP_FUNCTION (sum), handle, -1, NULL, &error);
 * ```
 *
 * All of it is reserved when it is made, so that to use it later cannot fail. Who wants more than there is, or than the
 * limit of a control group leaves, gets `MP_ERROR_TOO_LARGE`. It can grow, and never shrink. Nothing in it is guarded: who
 * writes while others read uses a [class@Mp.Lock], or atomic operations.
 *
 * ## Names
 *
 * With [ctor@Mp.SharedMemory.new_named] it has a name, by which any process of the same user finds it: programs made with
 * other libraries, too, as it is what `shm_open()` finds, and CPython's `multiprocessing.shared_memory.SharedMemory`. Such
 * memory lives until its name is taken away and nobody has it any more. Its owner takes the name away, see
 * [property@Mp.SharedMemory:owner]; when the owner is killed by a signal, nobody does, and the name stays. CPython up to
 * version 3.12 takes away at its end the names of all that it attached to.
 *
 * Whoever can open named memory could make it smaller. A process that then uses its pointer, or the bytes of
 * [method@Mp.SharedMemory.get_bytes], ends by a signal; [method@Mp.SharedMemory.read] and
 * [method@Mp.SharedMemory.write] give an error. It is therefore not [method@Mp.Shareable.get_isolated].
 *
 * It may be used in any thread.
 *
 * Since: 0.1
 */

/* A piece of address space. */
typedef struct
{
  gatomicrefcount ref_count;
  guint8         *address;   /* (owned) */
  gsize           size;
  gboolean        writable;
} Mapping;

struct _MpSharedMemory
{
  GObject          parent_instance;

  char            *name;      /* (nullable) */
  MpFileId         id;
  pthread_mutex_t  lock;      /* guards what follows */
  int              fd;        /* (owned); -1: closed */
  Mapping         *mapping;   /* (owned) (nullable): the newest */
  GPtrArray       *older;     /* (owned) (nullable) of Mapping: pointers into these have been given away */
};

enum { PROP_0, PROP_NAME, PROP_SIZE, PROP_OWNER, N_PROPS };
static GParamSpec *props[N_PROPS];

static void mp_shared_memory_shareable_init (MpShareableInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpSharedMemory, mp_shared_memory, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_shared_memory_shareable_init))

static Mapping *
mapping_ref (Mapping *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
mapping_unref (gpointer data)
{
  Mapping *self = data;

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  mp_fd_unmap (self->address, self->size);
  g_free (self);
}

static gboolean
set_closed (const char  *what,
            GError     **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "%s: it is closed", what);
  return FALSE;
}

static MpSharedMemory *
new_taking (int         fd,
            const char *name)
{
  MpSharedMemory *self = g_object_new (MP_TYPE_SHARED_MEMORY, NULL);

  self->fd = fd;
  self->id = mp_named_memory_get_id (fd);
  self->name = g_strdup (name);
  return self;
}

/* All of the file that there is now, mapped; with the lock held. The mapping may be larger, when somebody has made a named
 * one smaller. NULL: @error. */
static Mapping *
look (MpSharedMemory  *self,
      const char      *what,
      gsize           *size,
      GError         **error)
{
  g_autoptr(GError) reason = NULL;
  Mapping *mapping;
  gboolean writable;
  gpointer address;
  gint64 now;

  *size = 0;
  if (self->fd < 0)
    {
      set_closed (what, error);
      return NULL;
    }
  now = mp_memory_file_get_size (self->fd);
  if (now <= 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: somebody has made it empty", what);
      return NULL;
    }

  *size = now;
  if (self->mapping != NULL && self->mapping->size >= (guint64) now)
    return self->mapping;

  /* Whoever made it larger may have done so without reserving. */
  if (mp_memory_file_get_reserved (self->fd) < (guint64) now && !mp_memory_reserve (self->fd, 0, now, &reason))
    address = NULL;
  else
    address = mp_memory_map (self->fd, now, &writable, &reason);
  if (address == NULL)
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&reason), "%s: ", what);
      return NULL;
    }

  mapping = g_new (Mapping, 1);
  *mapping = (Mapping) { .address = address, .size = now, .writable = writable };
  g_atomic_ref_count_init (&mapping->ref_count);
  if (self->mapping != NULL && self->older == NULL)
    self->older = g_ptr_array_new_with_free_func (mapping_unref);
  if (self->mapping != NULL)
    g_ptr_array_add (self->older, self->mapping);
  return self->mapping = mapping;
}

static GVariant *
mp_shared_memory_describe (MpShareable  *shareable,
                           GArray       *fds,
                           GError      **error)
{
  MpSharedMemory *self = MP_SHARED_MEMORY (shareable);
  int fd, saved_errno;

  pthread_mutex_lock (&self->lock);
  fd = self->fd >= 0 ? mp_fd_dup (self->fd) : -1;
  saved_errno = self->fd >= 0 ? errno : 0;
  pthread_mutex_unlock (&self->lock);

  if (fd < 0)
    {
      if (saved_errno == 0)
        set_closed ("Cannot send shared memory", error);
      else
        g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot send shared memory: %s",
                     g_strerror (saved_errno));
      return NULL;
    }

  g_array_append_val (fds, fd);
  return g_variant_ref_sink (g_variant_new (STATE_TYPE, self->name));
}

/* A file of a tmpfs, which has a name that anybody may open. */
static gboolean
adopt_named (int       fd,
             GError  **error)
{
  gint64 size = mp_memory_file_get_size (fd);

  if (size <= 0 || mp_memory_file_get_seals (fd) < 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "it is none");
      return FALSE;
    }
  return mp_memory_file_get_reserved (fd) >= (guint64) size || mp_memory_reserve (fd, 0, size, error);
}

static MpShareable *
mp_shared_memory_adopt (GVariant  *state,
                        int       *fds,
                        guint      n_fds,
                        GError   **error)
{
  g_autofree char *checked = NULL;
  const char *name = NULL;
  gboolean ok;

  if (n_fds != 1 || !g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received shared memory that is none");
      return NULL;
    }

  g_variant_get (state, "m&s", &name);
  if (name != NULL)
    checked = mp_shared_memory_names_check (name, "Received shared memory", NULL);
  if (name != NULL && g_strcmp0 (checked, name) != 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received shared memory that is none: its name");
      return NULL;
    }

  ok = name != NULL ? adopt_named (fds[0], error) : mp_memory_adopt (fds[0], 1, G_MAXINT64, TRUE, NULL, error);
  if (!ok)
    {
      g_prefix_error (error, "Received shared memory: ");
      return NULL;
    }
  return MP_SHAREABLE (new_taking (g_steal_fd (&fds[0]), name));
}

static gboolean
mp_shared_memory_get_isolated (MpShareable *shareable)
{
  return MP_SHARED_MEMORY (shareable)->name == NULL;
}

static void
mp_shared_memory_shareable_init (MpShareableInterface *iface)
{
  iface->kind = KIND;
  iface->describe = mp_shared_memory_describe;
  iface->get_isolated = mp_shared_memory_get_isolated;
}

void
mp_shared_memory_ensure_kind (void)
{
  static gsize done;

  if (g_once_init_enter (&done))
    {
      mp_shareable_register_kind (KIND, mp_shared_memory_adopt);
      g_once_init_leave (&done, 1);
    }
}

static void
mp_shared_memory_get_property (GObject    *object,
                               guint       prop_id,
                               GValue     *value,
                               GParamSpec *pspec)
{
  MpSharedMemory *self = MP_SHARED_MEMORY (object);

  switch (prop_id)
    {
    case PROP_NAME:
      g_value_set_string (value, self->name);
      break;
    case PROP_SIZE:
      g_value_set_uint64 (value, mp_shared_memory_get_size (self));
      break;
    case PROP_OWNER:
      g_value_set_boolean (value, mp_shared_memory_get_owner (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_shared_memory_set_property (GObject      *object,
                               guint         prop_id,
                               const GValue *value,
                               GParamSpec   *pspec)
{
  switch (prop_id)
    {
    case PROP_OWNER:
      mp_shared_memory_set_owner (MP_SHARED_MEMORY (object), g_value_get_boolean (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_shared_memory_finalize (GObject *object)
{
  MpSharedMemory *self = MP_SHARED_MEMORY (object);

  mp_shared_memory_close (self);
  pthread_mutex_destroy (&self->lock);
  g_free (self->name);

  G_OBJECT_CLASS (mp_shared_memory_parent_class)->finalize (object);
}

static void
mp_shared_memory_class_init (MpSharedMemoryClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_shared_memory_get_property;
  object_class->set_property = mp_shared_memory_set_property;
  object_class->finalize = mp_shared_memory_finalize;

  /**
   * MpSharedMemory:name: (getter get_name)
   *
   * The name by which any process of the same user finds it, without a `/` in front.
   *
   * Since: 0.1
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  /**
   * MpSharedMemory:size: (getter get_size)
   *
   * How many bytes it has; 0 when it is closed.
   *
   * It changes without notification.
   *
   * Since: 0.1
   */
  props[PROP_SIZE] = g_param_spec_uint64 ("size", NULL, NULL, 0, G_MAXUINT64, 0,
                                          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  /**
   * MpSharedMemory:owner: (getter get_owner) (setter set_owner)
   *
   * Whether its name goes with this object.
   *
   * `TRUE` for what this process has made with a name, until that is changed: when the object is closed or freed, and when
   * the process exits, the name is taken away. A fork of the process is not the owner. Memory without a name has none.
   *
   * Since: 0.1
   */
  props[PROP_OWNER] = g_param_spec_boolean ("owner", NULL, NULL, FALSE,
                                            G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_shared_memory_init (MpSharedMemory *self)
{
  pthread_mutex_init (&self->lock, NULL);
  self->fd = -1;
}

/**
 * mp_shared_memory_new:
 * @size: how many bytes, not 0
 * @error: return location for an error
 *
 * Makes shared memory without a name, of zeros.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @size is 0; `MP_ERROR_TOO_LARGE` when there is not so much memory, or a limit
 * leaves less; `MP_ERROR_FAILED` and `G_IO_ERROR_TOO_MANY_OPEN_FILES` with the reason.
 *
 * Returns: (transfer full): shared memory
 *
 * Since: 0.1
 */
MpSharedMemory *
mp_shared_memory_new (gsize    size,
                      GError **error)
{
  int fd;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (size == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "shared memory creation: its size is 0");
      return NULL;
    }

  fd = mp_memory_create ("mp-shared-memory", size, TRUE, error);
  if (fd < 0)
    {
      g_prefix_error (error, "shared memory creation: ");
      return NULL;
    }
  return new_taking (fd, NULL);
}

/**
 * mp_shared_memory_new_named:
 * @name: (nullable): the name, of 1 to 255 characters but `/`; `NULL` to have one made up
 * @size: how many bytes, not 0
 * @error: return location for an error
 *
 * Makes shared memory with a name, of zeros, for this user only. This process is its owner.
 *
 * Nobody finds the name before the memory is whole.
 *
 * Errors: those of [ctor@Mp.SharedMemory.new], `G_IO_ERROR_EXISTS`, `G_IO_ERROR_INVALID_ARGUMENT` when @name cannot be a
 * name, and `G_IO_ERROR_NOT_SUPPORTED` when there is no `/dev/shm`.
 *
 * Returns: (transfer full): shared memory
 *
 * Since: 0.1
 */
MpSharedMemory *
mp_shared_memory_new_named (const char  *name,
                            gsize        size,
                            GError     **error)
{
  g_autofree char *own = NULL;
  MpSharedMemory *self;
  int fd;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (size == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "shared memory creation: its size is 0");
      return NULL;
    }
  if (name != NULL && (own = mp_shared_memory_names_check (name, "shared memory creation", error)) == NULL)
    return NULL;

  fd = mp_shared_memory_names_create (&own, size, error);
  if (fd < 0)
    return NULL;

  self = new_taking (fd, own);
  mp_shared_memory_names_own (self, self->id, own);
  MP_TORTURE_POINT ("shm-owned");
  return self;
}

/**
 * mp_shared_memory_attach: (constructor)
 * @name: a name
 * @error: return location for an error
 *
 * Finds shared memory by its name. This process is not its owner.
 *
 * Errors: `G_IO_ERROR_NOT_FOUND`; `G_IO_ERROR_INVALID_ARGUMENT` when @name cannot be a name, or what has it is not shared
 * memory or is empty; `G_IO_ERROR_PERMISSION_DENIED`; `G_IO_ERROR_NOT_SUPPORTED` when there is no `/dev/shm`;
 * `MP_ERROR_TOO_LARGE` when its maker did not reserve it, and there is not so much memory.
 *
 * Returns: (transfer full): shared memory
 *
 * Since: 0.1
 */
MpSharedMemory *
mp_shared_memory_attach (const char  *name,
                         GError     **error)
{
  static const char what[] = "shared memory attach";
  g_autoptr(GError) reason = NULL;
  g_autofree char *own = NULL;
  int fd;

  g_return_val_if_fail (name != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  own = mp_shared_memory_names_check (name, what, error);
  if (own == NULL)
    return NULL;
  fd = mp_shared_memory_names_open (own, error);
  if (fd < 0)
    return NULL;

  if (adopt_named (fd, &reason))
    return new_taking (fd, own);

  if (g_error_matches (reason, MP_ERROR, MP_ERROR_PROTOCOL))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 "%s: what has the name “%s” is no memory, or is empty", what, own);
  else
    g_propagate_prefixed_error (error, g_steal_pointer (&reason), "%s: ", what);
  mp_fd_close (&fd);
  return NULL;
}

/**
 * mp_shared_memory_get_name: (get-property name)
 * @self: shared memory
 *
 * Gets its name, without a `/` in front.
 *
 * Returns: (nullable) (transfer none): the name; `NULL` when it has none
 *
 * Since: 0.1
 */
const char *
mp_shared_memory_get_name (MpSharedMemory *self)
{
  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), NULL);

  return self->name;
}

/**
 * mp_shared_memory_get_size: (get-property size)
 * @self: shared memory
 *
 * Gets how many bytes it has now, whoever made it grow.
 *
 * Returns: the size; 0 when it is closed
 *
 * Since: 0.1
 */
gsize
mp_shared_memory_get_size (MpSharedMemory *self)
{
  gint64 size;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), 0);

  pthread_mutex_lock (&self->lock);
  size = self->fd >= 0 ? mp_memory_file_get_size (self->fd) : 0;
  pthread_mutex_unlock (&self->lock);
  return MAX (size, 0);
}

/**
 * mp_shared_memory_get_owner: (get-property owner)
 * @self: shared memory
 *
 * Gets whether its name goes with this object.
 *
 * Returns: whether this object is the owner
 *
 * Since: 0.1
 */
gboolean
mp_shared_memory_get_owner (MpSharedMemory *self)
{
  gboolean owner;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), FALSE);

  pthread_mutex_lock (&self->lock);
  owner = self->fd >= 0 && mp_shared_memory_names_is_own (self);
  pthread_mutex_unlock (&self->lock);
  return owner;
}

/**
 * mp_shared_memory_set_owner: (set-property owner)
 * @self: shared memory
 * @owner: whether its name is to go with this object
 *
 * Sets whether its name goes with this object.
 *
 * To hand the name on to another process, or to leave it behind. There is no owner of what has no name or is closed.
 *
 * Since: 0.1
 */
void
mp_shared_memory_set_owner (MpSharedMemory *self,
                            gboolean        owner)
{
  gboolean changed = FALSE;

  g_return_if_fail (MP_IS_SHARED_MEMORY (self));

  pthread_mutex_lock (&self->lock);
  if (self->fd >= 0 && self->name != NULL && mp_shared_memory_names_is_own (self) != !!owner)
    {
      changed = TRUE;
      if (owner)
        mp_shared_memory_names_own (self, self->id, self->name);
      else
        mp_shared_memory_names_disown (self);
    }
  pthread_mutex_unlock (&self->lock);

  if (changed)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_OWNER]);
}

/**
 * mp_shared_memory_get_seals:
 * @self: shared memory
 *
 * Gets what can be done with it no more.
 *
 * Returns: the seals
 *
 * Since: 0.1
 */
MpSealFlags
mp_shared_memory_get_seals (MpSharedMemory *self)
{
  int seals;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), MP_SEAL_FLAGS_NONE);

  pthread_mutex_lock (&self->lock);
  seals = self->fd >= 0 ? mp_memory_file_get_seals (self->fd) : 0;
  pthread_mutex_unlock (&self->lock);
  if (seals < 0)
    return MP_SEAL_FLAGS_NONE;
  return ((seals & MP_MEMORY_SEAL_GROW) != 0 ? MP_SEAL_FLAGS_GROW : 0) |
         ((seals & MP_MEMORY_SEAL_WRITE) != 0 ? MP_SEAL_FLAGS_WRITE : 0);
}

/**
 * mp_shared_memory_is_closed:
 * @self: shared memory
 *
 * Gets whether [method@Mp.SharedMemory.close] was called.
 *
 * Returns: whether it is closed
 *
 * Since: 0.1
 */
gboolean
mp_shared_memory_is_closed (MpSharedMemory *self)
{
  gboolean closed;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), TRUE);

  pthread_mutex_lock (&self->lock);
  closed = self->fd < 0;
  pthread_mutex_unlock (&self->lock);
  return closed;
}

/**
 * mp_shared_memory_get_data:
 * @self: shared memory
 * @size: (out) (optional): how many bytes there are
 *
 * Gets the memory itself, to read and, unless it is sealed, to write.
 *
 * The pointer is good until the object is closed or freed, or sealed against writing. When the memory has grown, the next
 * call gives another pointer, and both are good; what is at the old one is the beginning of what is at the new one. Others
 * read and write the same memory at the same time.
 *
 * In Python the pointer is a number; use [method@Mp.SharedMemory.read] in other languages.
 *
 * Returns: (nullable) (transfer none): the memory; `NULL` when it is closed, or there is no room for it in this process
 *
 * Since: 0.1
 */
gpointer
mp_shared_memory_get_data (MpSharedMemory *self,
                           gsize          *size)
{
  Mapping *mapping;
  gpointer data;
  gsize now;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), NULL);

  pthread_mutex_lock (&self->lock);
  mapping = look (self, "", &now, NULL);
  data = mapping != NULL ? mapping->address : NULL;
  pthread_mutex_unlock (&self->lock);

  if (size != NULL)
    *size = data != NULL ? now : 0;
  return data;
}

/* A reference to what is mapped of it; NULL: @error. */
static Mapping *
dup_mapping (MpSharedMemory  *self,
             const char      *what,
             gsize           *size,
             GError         **error)
{
  Mapping *mapping;

  pthread_mutex_lock (&self->lock);
  mapping = look (self, what, size, error);
  if (mapping != NULL)
    mapping_ref (mapping);
  pthread_mutex_unlock (&self->lock);
  return mapping;
}

/**
 * mp_shared_memory_get_bytes:
 * @self: shared memory
 * @error: return location for an error
 *
 * Gets the memory itself, of its present size, as bytes that change when somebody writes.
 *
 * They stay when @self is closed or freed. While they live, the memory cannot be sealed against writing.
 *
 * Errors: `G_IO_ERROR_CLOSED`, `MP_ERROR_TOO_LARGE` when there is no room for it in this process.
 *
 * Returns: (transfer full): the memory
 *
 * Since: 0.1
 */
GBytes *
mp_shared_memory_get_bytes (MpSharedMemory  *self,
                            GError         **error)
{
  Mapping *mapping;
  gsize size;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  mapping = dup_mapping (self, "shared memory get bytes", &size, error);
  if (mapping == NULL)
    return NULL;
  return g_bytes_new_with_free_func (mapping->address, size, mapping_unref, mapping);
}

/**
 * mp_shared_memory_dup_bytes:
 * @self: shared memory
 * @error: return location for an error
 *
 * Copies all of the memory.
 *
 * Errors: those of [method@Mp.SharedMemory.read].
 *
 * Returns: (transfer full): a copy
 *
 * Since: 0.1
 */
GBytes *
mp_shared_memory_dup_bytes (MpSharedMemory  *self,
                            GError         **error)
{
  gsize size;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  size = mp_shared_memory_get_size (self);
  return mp_shared_memory_read (self, 0, size, error);
}

static gboolean
check_range (const char  *what,
             gsize        size,
             guint64      offset,
             guint64      length,
             GError     **error)
{
  if (offset <= size && length <= size - offset)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "%s: %" G_GUINT64_FORMAT " bytes from %" G_GUINT64_FORMAT " are not all in it: it has %" G_GSIZE_FORMAT,
               what, length, offset, size);
  return FALSE;
}

/* By the file, which somebody may make smaller at any time; with the lock held. */
static gboolean
copy_by_file (int          fd,
              const char  *what,
              gboolean     writes,
              guint8      *buffer,
              guint64      offset,
              gsize        length,
              GError     **error)
{
  while (length > 0)
    {
      gssize n = writes ? pwrite (fd, buffer, length, (off_t) offset) : pread (fd, buffer, length, (off_t) offset);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "%s: %s", what,
                       n < 0 ? g_strerror (errno) : "somebody has made it smaller");
          return FALSE;
        }
      buffer += n;
      offset += n;
      length -= n;
    }
  return TRUE;
}

/* What has a name is copied by its file, the rest from where it is mapped. */
static gboolean
copy (MpSharedMemory  *self,
      const char      *what,
      gboolean         writes,
      gpointer         buffer,
      guint64          offset,
      gsize            length,
      GError         **error)
{
  Mapping *mapping;
  gboolean ok;
  gsize size;

  if (self->name != NULL)
    {
      pthread_mutex_lock (&self->lock);
      ok = look (self, what, &size, error) != NULL && check_range (what, size, offset, length, error) &&
           copy_by_file (self->fd, what, writes, buffer, offset, length, error);
      pthread_mutex_unlock (&self->lock);
      return ok;
    }

  mapping = dup_mapping (self, what, &size, error);
  if (mapping == NULL)
    return FALSE;
  ok = check_range (what, size, offset, length, error);
  if (ok && writes && !mapping->writable)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_READ_ONLY, "%s: it is sealed", what);
      ok = FALSE;
    }
  if (ok && length > 0)
    memcpy (writes ? mapping->address + offset : buffer, writes ? buffer : mapping->address + offset, length);
  mapping_unref (mapping);
  return ok;
}

/**
 * mp_shared_memory_read:
 * @self: shared memory
 * @offset: where to begin
 * @length: how many bytes
 * @error: return location for an error
 *
 * Copies a part of the memory.
 *
 * What others write meanwhile may be in it in part.
 *
 * Errors: `G_IO_ERROR_CLOSED`; `G_IO_ERROR_INVALID_ARGUMENT` when it has not so many bytes; `MP_ERROR_TOO_LARGE` when there
 * is no memory for the copy; `MP_ERROR_FAILED` when somebody has made named memory smaller.
 *
 * Returns: (transfer full): a copy
 *
 * Since: 0.1
 */
GBytes *
mp_shared_memory_read (MpSharedMemory  *self,
                       guint64          offset,
                       gsize            length,
                       GError         **error)
{
  static const char what[] = "shared memory read";
  g_autofree gpointer buffer = NULL;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (mp_shared_memory_is_closed (self))
    {
      set_closed (what, error);
      return NULL;
    }
  if (!check_range (what, mp_shared_memory_get_size (self), offset, length, error))
    return NULL;
  buffer = g_try_malloc (length);
  if (buffer == NULL && length > 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "%s: there is no memory for %" G_GSIZE_FORMAT " bytes", what, length);
      return NULL;
    }

  if (!copy (self, what, FALSE, buffer, offset, length, error))
    return NULL;
  return g_bytes_new_take (g_steal_pointer (&buffer), length);
}

/**
 * mp_shared_memory_write:
 * @self: shared memory
 * @offset: where to begin
 * @bytes: what to put there
 * @error: return location for an error
 *
 * Writes a part of the memory.
 *
 * Others that read meanwhile may see a part of it.
 *
 * Errors: `G_IO_ERROR_CLOSED`; `G_IO_ERROR_INVALID_ARGUMENT` when it has not so many bytes; `G_IO_ERROR_READ_ONLY` when it
 * is sealed; `MP_ERROR_FAILED` when somebody has made named memory smaller.
 *
 * Returns: whether @bytes were written
 *
 * Since: 0.1
 */
gboolean
mp_shared_memory_write (MpSharedMemory  *self,
                        guint64          offset,
                        GBytes          *bytes,
                        GError         **error)
{
  gconstpointer data;
  gsize size;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), FALSE);
  g_return_val_if_fail (bytes != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  data = g_bytes_get_data (bytes, &size);
  return copy (self, "shared memory write", TRUE, (gpointer) data, offset, size, error);
}

/**
 * mp_shared_memory_dup_fd:
 * @self: shared memory
 * @error: return location for an error
 *
 * Gets a descriptor of the memory's file, for those who map it by other means.
 *
 * It is close-on-exec, and the caller closes it. Where it is mapped for writing, the memory cannot be sealed against that.
 *
 * Errors: `G_IO_ERROR_CLOSED`, `G_IO_ERROR_TOO_MANY_OPEN_FILES`.
 *
 * Returns: a descriptor, -1 after an error
 *
 * Since: 0.1
 */
int
mp_shared_memory_dup_fd (MpSharedMemory  *self,
                         GError         **error)
{
  static const char what[] = "shared memory descriptor";
  gboolean closed;
  int fd, saved_errno;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), -1);
  g_return_val_if_fail (error == NULL || *error == NULL, -1);

  pthread_mutex_lock (&self->lock);
  closed = self->fd < 0;
  fd = closed ? -1 : mp_fd_dup (self->fd);
  saved_errno = errno;
  pthread_mutex_unlock (&self->lock);

  if (closed)
    set_closed (what, error);
  else if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s: %s", what, g_strerror (saved_errno));
  return fd;
}

/**
 * mp_shared_memory_grow:
 * @self: shared memory
 * @size: how many bytes it is to have, not fewer than now
 * @error: return location for an error
 *
 * Makes the memory larger, with zeros, for all who have it.
 *
 * [method@Mp.SharedMemory.get_size] and [method@Mp.SharedMemory.get_data] tell everybody the new size at once. Where
 * several make it larger at the same time, it has the largest size in the end. With an error it is as it was.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when it is larger than @size now, `MP_ERROR_TOO_LARGE` when there is not so much
 * memory, `G_IO_ERROR_PERMISSION_DENIED` when it is sealed, `G_IO_ERROR_CLOSED`.
 *
 * Returns: whether it has at least @size bytes
 *
 * Since: 0.1
 */
gboolean
mp_shared_memory_grow (MpSharedMemory  *self,
                       gsize            size,
                       GError         **error)
{
  static const char what[] = "shared memory grow";
  g_autoptr(GError) reason = NULL;
  gint64 now;
  int fd;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  pthread_mutex_lock (&self->lock);
  fd = self->fd;
  now = fd >= 0 ? mp_memory_file_get_size (fd) : 0;
  if (fd < 0)
    set_closed (what, &reason);
  else if (size < (guint64) now)
    g_set_error (&reason, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 "%s: it has %" G_GINT64_FORMAT " bytes, and cannot have fewer", what, now);
  else if (!mp_memory_grow (fd, size, &reason))
    g_prefix_error (&reason, "%s: ", what);
  MP_TORTURE_POINT ("shm-grown");
  pthread_mutex_unlock (&self->lock);

  if (reason == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

/* Gives up what is mapped, if nobody else has it; with the lock held. */
static gboolean
drop_mappings (MpSharedMemory *self)
{
  guint i;

  if (self->mapping != NULL && !g_atomic_ref_count_compare (&self->mapping->ref_count, 1))
    return FALSE;
  for (i = 0; self->older != NULL && i < self->older->len; i++)
    if (!g_atomic_ref_count_compare (&((Mapping *) g_ptr_array_index (self->older, i))->ref_count, 1))
      return FALSE;

  g_clear_pointer (&self->mapping, mapping_unref);
  g_clear_pointer (&self->older, g_ptr_array_unref);
  return TRUE;
}

/**
 * mp_shared_memory_seal:
 * @self: shared memory
 * @flags: what is not to be possible any more
 * @error: return location for an error
 *
 * Forbids things, to everybody who has the memory, for ever.
 *
 * A seal against writing ends the pointers of [method@Mp.SharedMemory.get_data]; those that it gives later are for reading
 * only.
 *
 * Errors: `G_IO_ERROR_BUSY` when it is to be sealed against writing and another process uses it, or its bytes are in use
 * here; `G_IO_ERROR_NOT_SUPPORTED` for memory with a name; `G_IO_ERROR_CLOSED`.
 *
 * Returns: whether the memory is sealed
 *
 * Since: 0.1
 */
gboolean
mp_shared_memory_seal (MpSharedMemory  *self,
                       MpSealFlags      flags,
                       GError         **error)
{
  static const char what[] = "shared memory seal";
  g_autoptr(GError) reason = NULL;
  guint seals = 0;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  seals |= (flags & MP_SEAL_FLAGS_GROW) != 0 ? MP_MEMORY_SEAL_GROW : 0;
  seals |= (flags & MP_SEAL_FLAGS_WRITE) != 0 ? MP_MEMORY_SEAL_WRITE : 0;

  pthread_mutex_lock (&self->lock);
  if (self->fd < 0)
    set_closed (what, &reason);
  else if (self->name != NULL)
    g_set_error (&reason, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s: memory with a name cannot be sealed", what);
  else if ((flags & MP_SEAL_FLAGS_WRITE) != 0 && !drop_mappings (self))
    g_set_error (&reason, G_IO_ERROR, G_IO_ERROR_BUSY, "%s: its bytes are in use in this process", what);
  else if (!mp_memory_seal (self->fd, seals, &reason))
    g_prefix_error (&reason, "%s: ", what);
  pthread_mutex_unlock (&self->lock);

  if (reason == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

/**
 * mp_shared_memory_close:
 * @self: shared memory
 *
 * Gives the memory up in this process, and its name if this is the owner. Closing it again does nothing.
 *
 * What is on its way to another process is not affected.
 *
 * Since: 0.1
 */
void
mp_shared_memory_close (MpSharedMemory *self)
{
  Mapping *mapping;
  GPtrArray *older;
  int fd;

  g_return_if_fail (MP_IS_SHARED_MEMORY (self));

  pthread_mutex_lock (&self->lock);
  fd = self->fd;
  self->fd = -1;
  mapping = g_steal_pointer (&self->mapping);
  older = g_steal_pointer (&self->older);
  pthread_mutex_unlock (&self->lock);

  if (fd >= 0 && self->name != NULL && mp_shared_memory_names_disown (self))
    {
      MP_TORTURE_POINT ("shm-disowned");
      mp_shared_memory_names_unlink (self->id, self->name, NULL);
      MP_TORTURE_POINT ("shm-unlinked");
    }
  g_clear_pointer (&mapping, mapping_unref);
  g_clear_pointer (&older, g_ptr_array_unref);
  mp_fd_close (&fd);
}

/**
 * mp_shared_memory_unlink:
 * @self: shared memory
 * @error: return location for an error
 *
 * Takes the name away; nobody can attach to the memory from then on. Who has it keeps it.
 *
 * This may be done after [method@Mp.SharedMemory.close], too. A name that is another memory's by now is left alone.
 *
 * Errors: `G_IO_ERROR_NOT_FOUND` when the name is gone already, `G_IO_ERROR_INVALID_ARGUMENT` when it has none.
 *
 * Returns: whether the name was taken away
 *
 * Since: 0.1
 */
gboolean
mp_shared_memory_unlink (MpSharedMemory  *self,
                         GError         **error)
{
  gboolean ok;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (self->name == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "shared memory unlink: it has no name");
      return FALSE;
    }

  pthread_mutex_lock (&self->lock);
  ok = mp_shared_memory_names_unlink (self->id, self->name, error);
  mp_shared_memory_names_disown (self);
  pthread_mutex_unlock (&self->lock);
  return ok;
}
