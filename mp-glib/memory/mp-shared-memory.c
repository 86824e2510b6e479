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
#define STATE_TYPE "ms"     /* its name */
#define FOREIGN_TYPE "()"   /* it has none, and came from a stranger */

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

enum { PROP_0, PROP_NAME, PROP_SIZE, PROP_OWNER, N_PROPS };
static GParamSpec *props[N_PROPS];

static void mp_shared_memory_shareable_init (MpShareableInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpSharedMemory, mp_shared_memory, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_shared_memory_shareable_init))

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

static GVariant *
mp_shared_memory_describe (MpShareable  *shareable,
                           GArray       *fds,
                           GError      **error)
{
  MpSharedMemory *self = MP_SHARED_MEMORY (shareable);
  int fd, saved_errno;

  mp_shared_memory_lock (&self->lock);
  fd = self->fd >= 0 ? mp_fd_dup (self->fd) : -1;
  saved_errno = self->fd >= 0 ? errno : 0;
  mp_shared_memory_unlock (&self->lock);

  if (fd < 0)
    {
      if (saved_errno == 0)
        mp_shared_memory_set_closed ("Cannot send shared memory", error);
      else
        g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot send shared memory: %s",
                     g_strerror (saved_errno));
      return NULL;
    }

  g_array_append_val (fds, fd);
  if (self->foreign)
    return g_variant_ref_sink (g_variant_new (FOREIGN_TYPE));
  return g_variant_ref_sink (g_variant_new (STATE_TYPE, self->name));
}

/* A file of a tmpfs, which has a name that anybody may open. */
static gboolean
adopt_named (int       fd,
             GError  **error)
{
  gint64 size = mp_memory_file_get_size (fd);

  if (size <= 0 || mp_memory_file_get_seals (fd) < 0 || !mp_memory_file_is_writable (fd))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "it is none");
      return FALSE;
    }
  return mp_memory_complete (fd, size, FALSE, error);
}

static gboolean
adopt_unnamed (int        fd,
               gboolean   foreign,
               GError   **error)
{
  gboolean outer = mp_shareable_begin_foreign (foreign);
  gboolean ok = mp_memory_adopt (fd, 1, G_MAXINT64, TRUE, NULL, error);

  mp_shareable_end_foreign (outer);
  return ok;
}

static MpShareable *
mp_shared_memory_adopt (GVariant  *state,
                        int       *fds,
                        guint      n_fds,
                        GError   **error)
{
  g_autofree char *checked = NULL;
  gboolean foreign = mp_shareable_is_foreign () || g_variant_is_of_type (state, G_VARIANT_TYPE (FOREIGN_TYPE));
  const char *name = NULL;
  MpSharedMemory *self;
  gboolean ok;

  if (n_fds != 1 || !(g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)) ||
                      g_variant_is_of_type (state, G_VARIANT_TYPE (FOREIGN_TYPE))))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received shared memory that is none");
      return NULL;
    }

  if (g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)))
    g_variant_get (state, "m&s", &name);
  if (name != NULL && foreign)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received shared memory that is not isolated: it has a name");
      return NULL;
    }
  if (name != NULL)
    checked = mp_shared_memory_names_check (name, "Received shared memory", NULL);
  if (name != NULL && g_strcmp0 (checked, name) != 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received shared memory that is none: its name");
      return NULL;
    }

  ok = name != NULL ? adopt_named (fds[0], error) : adopt_unnamed (fds[0], foreign, error);
  if (!ok)
    {
      g_prefix_error (error, "Received shared memory: ");
      return NULL;
    }
  self = new_taking (g_steal_fd (&fds[0]), name);
  self->foreign = foreign;
  return MP_SHAREABLE (self);
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
  iface->isolated_how = "memory without a name";
}

MP_SHAREABLE_DEFINE_KIND (mp_shared_memory, KIND, mp_shared_memory_adopt)

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

  mp_shared_memory_watch_forks ();
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
 * @name: (nullable): the name, of 1 to 255 bytes of UTF-8 without a `/`; `NULL` to have one made up
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

  mp_shared_memory_lock (&self->lock);
  size = self->fd >= 0 ? mp_memory_file_get_size (self->fd) : 0;
  mp_shared_memory_unlock (&self->lock);
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

  mp_shared_memory_lock (&self->lock);
  owner = self->fd >= 0 && mp_shared_memory_names_is_own (self);
  mp_shared_memory_unlock (&self->lock);
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

  mp_shared_memory_lock (&self->lock);
  if (self->fd >= 0 && self->name != NULL && mp_shared_memory_names_is_own (self) != !!owner)
    {
      changed = TRUE;
      if (owner)
        mp_shared_memory_names_own (self, self->id, self->name);
      else
        mp_shared_memory_names_disown (self);
    }
  mp_shared_memory_unlock (&self->lock);

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

  mp_shared_memory_lock (&self->lock);
  seals = self->fd >= 0 ? mp_memory_file_get_seals (self->fd) : 0;
  mp_shared_memory_unlock (&self->lock);
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

  mp_shared_memory_lock (&self->lock);
  closed = self->fd < 0;
  mp_shared_memory_unlock (&self->lock);
  return closed;
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

  mp_shared_memory_lock (&self->lock);
  closed = self->fd < 0;
  fd = closed ? -1 : mp_fd_dup (self->fd);
  saved_errno = errno;
  mp_shared_memory_unlock (&self->lock);

  if (closed)
    mp_shared_memory_set_closed (what, error);
  else if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s: %s", what, g_strerror (saved_errno));
  return fd;
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
  MpMapping *mapping;
  GPtrArray *older;
  int fd;

  g_return_if_fail (MP_IS_SHARED_MEMORY (self));

  mp_shared_memory_lock (&self->lock);
  fd = self->fd;
  self->fd = -1;
  mapping = g_steal_pointer (&self->mapping);
  older = g_steal_pointer (&self->older);
  mp_shared_memory_unlock (&self->lock);

  if (fd >= 0 && self->name != NULL && mp_shared_memory_names_disown (self))
    {
      MP_TORTURE_POINT ("shm-disowned");
      mp_shared_memory_names_unlink (self->id, self->name, NULL);
      MP_TORTURE_POINT ("shm-unlinked");
    }
  g_clear_pointer (&mapping, mp_mapping_unref);
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

  mp_shared_memory_lock (&self->lock);
  ok = mp_shared_memory_names_unlink (self->id, self->name, error);
  mp_shared_memory_names_disown (self);
  mp_shared_memory_unlock (&self->lock);
  return ok;
}
