/* mp-typed-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-typed-memory-private.h"

/**
 * MpTypedMemory:
 *
 * What values and arrays that processes share have in common.
 *
 * They travel to other processes inside of values, see [iface@Mp.Shareable], and are the same memory there, with the
 * same lock. The memory lives as long as any process has it, and outlives whoever made it. It is reserved at the
 * making, so that no later access fails.
 *
 * Their type is one of GVariant that has a fixed size: `b`, `y`, `n`, `q`, `i`, `u`, `x`, `t`, `d`, and tuples of
 * them such as `(id)`. Elements lie in memory as GVariant lays out an array of them, which is how a compiler lays out
 * an array of such structures, but for truth values, which take one byte.
 *
 * ## Locks
 *
 * Each has a lock of its own, unless it was made with another one, or without. The functions here and in the classes do
 * not take it. A single number is always read and written whole, and the functions that add, exchange, or compare and
 * exchange are one step each. For everything else those who take part acquire the lock first. When a process dies
 * while it has the lock, the next one finds it abandoned: see [method@Mp.RLock.is_abandoned].
 *
 * They may be used in any thread, and in several at once.
 *
 * Since: 0.1
 */

enum { PROP_0, PROP_TYPE_STRING, PROP_N_ITEMS, PROP_LOCK, PROP_FORMAT, PROP_ISOLATED, N_PROPS };
static GParamSpec *props[N_PROPS];

static void mp_typed_memory_shareable_init (MpShareableInterface *iface);

G_DEFINE_ABSTRACT_TYPE_WITH_CODE (MpTypedMemory, mp_typed_memory, G_TYPE_OBJECT,
                                  G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_typed_memory_shareable_init))

/* What the object that is being constructed in this thread is to have instead of memory of its own. */
static __thread MpElements *elements_to_adopt;

static MpTypedMemoryClass *
get_class (gpointer object)
{
  return (MpTypedMemoryClass *) G_OBJECT_GET_CLASS (object);
}

static const char *
mp_typed_memory_get_kind (MpShareable *shareable)
{
  return get_class (shareable)->kind;
}

static GVariant *
mp_typed_memory_describe (MpShareable  *shareable,
                          GArray       *fds,
                          GError      **error)
{
  MpTypedMemory *self = MP_TYPED_MEMORY (shareable);
  g_autofree char *what = g_strdup_printf ("Cannot send the %s", get_class (self)->kind);
  const MpElementsPlace place = mp_typed_memory_get_place (self, what, 0);

  if (!mp_elements_check (&place, error))
    return NULL;
  return mp_elements_describe (self->elements, self->lock, fds, get_class (self)->kind, error);
}

static gboolean
mp_typed_memory_get_isolated (MpShareable *shareable)
{
  MpTypedMemory *self = MP_TYPED_MEMORY (shareable);

  if (self->elements == NULL)
    return self->isolated;
  return mp_elements_get_isolated (self->elements) &&
         (self->lock == NULL || mp_shareable_get_isolated (self->lock));
}

static void
mp_typed_memory_shareable_init (MpShareableInterface *iface)
{
  iface->get_kind = mp_typed_memory_get_kind;
  iface->describe = mp_typed_memory_describe;
  iface->get_isolated = mp_typed_memory_get_isolated;
}

MpShareable *
mp_typed_memory_adopt (GType      type,
                       GVariant  *state,
                       int       *fds,
                       guint      n_fds,
                       GError   **error)
{
  MpTypedMemoryClass *klass = g_type_class_ref (type);
  g_autoptr(MpShareable) lock = NULL;
  MpElements *elements = mp_elements_adopt (&lock, klass->is_one, state, fds, n_fds, klass->kind, error);
  MpShareable *self = NULL;

  g_type_class_unref (klass);
  if (elements == NULL)
    return NULL;

  elements_to_adopt = elements;
  self = g_object_new (type, "lock", lock, NULL);
  elements_to_adopt = NULL;
  return self;
}

gpointer
mp_typed_memory_check_new (gpointer   self,
                           GError   **error)
{
  MpTypedMemory *memory = self;

  if (memory->failure == NULL)
    return self;

  g_propagate_error (error, g_error_copy (memory->failure));
  g_object_unref (self);
  return NULL;
}

static void
mp_typed_memory_get_property (GObject    *object,
                              guint       prop_id,
                              GValue     *value,
                              GParamSpec *pspec)
{
  MpTypedMemory *self = MP_TYPED_MEMORY (object);

  switch (prop_id)
    {
    case PROP_TYPE_STRING:
      g_value_set_string (value, self->type_string);
      break;
    case PROP_N_ITEMS:
      g_value_set_uint64 (value, self->n_items);
      break;
    case PROP_LOCK:
      g_value_set_object (value, self->lock);
      break;
    case PROP_FORMAT:
      g_value_set_string (value, self->format);
      break;
    case PROP_ISOLATED:
      g_value_set_boolean (value, mp_typed_memory_get_isolated (MP_SHAREABLE (self)));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_typed_memory_set_property (GObject      *object,
                              guint         prop_id,
                              const GValue *value,
                              GParamSpec   *pspec)
{
  MpTypedMemory *self = MP_TYPED_MEMORY (object);

  switch (prop_id)
    {
    case PROP_TYPE_STRING:
      self->type_string = g_value_dup_string (value);
      break;
    case PROP_N_ITEMS:
      self->n_items = g_value_get_uint64 (value);
      break;
    case PROP_LOCK:
      self->lock = g_value_dup_object (value);
      break;
    case PROP_FORMAT:
      self->format = g_value_dup_string (value);
      break;
    case PROP_ISOLATED:
      self->isolated = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
make_elements (MpTypedMemory *self)
{
  g_autofree char *what = g_strdup_printf ("%s creation", get_class (self)->kind);

  if (self->lock != NULL && !mp_elements_is_lock (self->lock))
    g_set_error (&self->failure, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 "%s: its lock is a lock or an rlock, not a %s", what, G_OBJECT_TYPE_NAME (self->lock));
  else if (self->type_string == NULL)
    g_set_error (&self->failure, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: it needs a type", what);
  else if (!g_variant_type_string_is_valid (self->type_string))
    g_set_error (&self->failure, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: “%s” is no type", what,
                 self->type_string);
  else if (get_class (self)->is_one && self->n_items != 1)
    g_set_error (&self->failure, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: it is one", what);
  else
    self->elements = mp_elements_new (G_VARIANT_TYPE (self->type_string), self->n_items, self->format,
                                      get_class (self)->is_one, self->isolated, what, &self->failure);
}

static void
mp_typed_memory_constructed (GObject *object)
{
  MpTypedMemory *self = MP_TYPED_MEMORY (object);

  if (elements_to_adopt == NULL)
    {
      make_elements (self);
    }
  else
    {
      self->elements = g_steal_pointer (&elements_to_adopt);
      self->type_string = g_variant_type_dup_string (self->elements->type);
      self->n_items = self->elements->n;
      self->format = g_strdup (self->elements->format);
    }

  G_OBJECT_CLASS (mp_typed_memory_parent_class)->constructed (object);
}

static void
mp_typed_memory_finalize (GObject *object)
{
  MpTypedMemory *self = MP_TYPED_MEMORY (object);

  g_clear_pointer (&self->elements, mp_elements_unref);
  g_clear_object (&self->lock);
  g_clear_error (&self->failure);
  g_free (self->type_string);
  g_free (self->format);

  G_OBJECT_CLASS (mp_typed_memory_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  /**
   * MpTypedMemory:type-string:
   *
   * The type of an element, of fixed size.
   *
   * Since: 0.1
   */
  props[PROP_TYPE_STRING] = g_param_spec_string ("type-string", NULL, NULL, NULL, flags);
  /**
   * MpTypedMemory:n-items:
   *
   * How many elements there are: at least one, and of a value just one.
   *
   * Since: 0.1
   */
  props[PROP_N_ITEMS] = g_param_spec_uint64 ("n-items", NULL, NULL, 0, G_MAXUINT64, 1, flags);
  /**
   * MpTypedMemory:lock:
   *
   * Its lock, a [class@Mp.Lock] or [class@Mp.RLock], or none.
   *
   * Since: 0.1
   */
  props[PROP_LOCK] = g_param_spec_object ("lock", NULL, NULL, MP_TYPE_SHAREABLE, flags);
  /**
   * MpTypedMemory:format:
   *
   * A note about the type, of at most 256 bytes, that travels with it.
   *
   * It is for the bindings of languages that know types which GVariant does not; the library does not look at it.
   *
   * Since: 0.1
   */
  props[PROP_FORMAT] = g_param_spec_string ("format", NULL, NULL, NULL, flags);
  /**
   * MpTypedMemory:isolated:
   *
   * Whether it shares no memory with other objects.
   *
   * It may then be sent to a process that is not one of this program's own workers. At construction it asks for such
   * memory, which all arrays and large values have anyway; its lock has to be isolated as well, if there is one.
   *
   * Since: 0.1
   */
  props[PROP_ISOLATED] = g_param_spec_boolean ("isolated", NULL, NULL, FALSE, flags);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_typed_memory_class_init (MpTypedMemoryClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_typed_memory_get_property;
  object_class->set_property = mp_typed_memory_set_property;
  object_class->constructed = mp_typed_memory_constructed;
  object_class->finalize = mp_typed_memory_finalize;
  install_properties (object_class);
}

static void
mp_typed_memory_init (MpTypedMemory *self)
{
}

/**
 * mp_typed_memory_get_type_string: (get-property type-string)
 * @self: a value or an array
 *
 * Gets the type of an element.
 *
 * Returns: (nullable): a type string; `NULL` when there is none
 *
 * Since: 0.1
 */
const char *
mp_typed_memory_get_type_string (MpTypedMemory *self)
{
  g_return_val_if_fail (MP_IS_TYPED_MEMORY (self), NULL);

  return self->type_string;
}

/**
 * mp_typed_memory_get_item_size:
 * @self: a value or an array
 *
 * Gets the size of an element.
 *
 * Returns: bytes; 0 when there is no memory
 *
 * Since: 0.1
 */
gsize
mp_typed_memory_get_item_size (MpTypedMemory *self)
{
  g_return_val_if_fail (MP_IS_TYPED_MEMORY (self), 0);

  return self->elements != NULL ? self->elements->size : 0;
}

/**
 * mp_typed_memory_get_format: (get-property format)
 * @self: a value or an array
 *
 * Gets what was noted at its making.
 *
 * Returns: (nullable): the note
 *
 * Since: 0.1
 */
const char *
mp_typed_memory_get_format (MpTypedMemory *self)
{
  g_return_val_if_fail (MP_IS_TYPED_MEMORY (self), NULL);

  return self->format;
}

/**
 * mp_typed_memory_get_lock: (get-property lock)
 * @self: a value or an array
 *
 * Gets the lock that goes with it: an [class@Mp.RLock] of its own, the one that was given, or none.
 *
 * Returns: (transfer none) (nullable): a [class@Mp.Lock] or [class@Mp.RLock]
 *
 * Since: 0.1
 */
MpShareable *
mp_typed_memory_get_lock (MpTypedMemory *self)
{
  g_return_val_if_fail (MP_IS_TYPED_MEMORY (self), NULL);

  return self->lock;
}

/**
 * mp_typed_memory_get_data:
 * @self: a value or an array
 * @size: (out) (optional): its size in bytes
 *
 * Gets the memory itself, to read and to write.
 *
 * It stays where it is as long as @self lives, and is aligned to 8 bytes. Element number i begins at i times
 * [method@Mp.TypedMemory.get_item_size]. Other processes read and write it at the same time: use the lock, or atomic
 * instructions of the compiler for single numbers.
 *
 * Returns: (transfer none) (nullable): the memory; `NULL` when there is none, also in a copy of the process made by
 * fork()
 *   that found no room beside the others
 *
 * Since: 0.1
 */
gpointer
mp_typed_memory_get_data (MpTypedMemory *self,
                          gsize         *size)
{
  gboolean is_usable = FALSE;

  g_return_val_if_fail (MP_IS_TYPED_MEMORY (self), NULL);

  is_usable = mp_elements_is_usable (self->elements);
  if (size != NULL)
    *size = is_usable ? self->elements->n * self->elements->size : 0;
  return is_usable ? self->elements->data : NULL;
}

/**
 * mp_typed_memory_get_address:
 * @self: a value or an array
 *
 * Gets where the memory is, for languages that cannot have a pointer but can use a number as one, as Python's `ctypes`.
 *
 * What is said of [method@Mp.TypedMemory.get_data] is true of it, too.
 *
 * Returns: the address of the memory, or 0 when there is none
 *
 * Since: 0.1
 */
guint64
mp_typed_memory_get_address (MpTypedMemory *self)
{
  g_return_val_if_fail (MP_IS_TYPED_MEMORY (self), 0);

  return (guintptr) mp_typed_memory_get_data (self, NULL);
}

/**
 * mp_typed_memory_get_bytes:
 * @self: a value or an array
 * @error: return location for an error
 *
 * Gets the memory itself as bytes, without a copy.
 *
 * They keep the memory, also when @self is gone. Unlike other bytes they change when some process writes.
 *
 * Errors: the reason when there is no memory for it, or when this process was forked with no room left for it beside
 * the others.
 *
 * Returns: (transfer full): the bytes
 *
 * Since: 0.1
 */
GBytes *
mp_typed_memory_get_bytes (MpTypedMemory  *self,
                           GError        **error)
{
  g_autofree char *what = NULL;
  MpElementsPlace place;

  g_return_val_if_fail (MP_IS_TYPED_MEMORY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  what = g_strdup_printf ("%s get bytes", get_class (self)->kind);
  place = mp_typed_memory_get_place (self, what, 0);
  return mp_elements_get_bytes (&place, error);
}
