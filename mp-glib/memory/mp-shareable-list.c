/* mp-shareable-list.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-shareable-list-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/memory/mp-list-layout-private.h"

/**
 * MpShareableList:
 *
 * A list of plain values in shared memory, which several processes read and write.
 *
 * As Python's `multiprocessing.shared_memory.ShareableList`, and in the same form: a list with a name can be used by
 * programs that know nothing of this library, and theirs by this one. It has as many items as it was made with. Each is
 * an integer of 64 bits (`x`), a double (`d`), a boolean (`b`), a text (`s`), bytes (`ay`) or nothing (an empty `mv`),
 * and can become any other of these; texts and bytes only as long as the place of the item, which is a multiple of 8
 * bytes, and at least one byte more than it was made with. What the form cannot keep is an error: texts and bytes that
 * end in NUL, or that are too long. What other programs have written is checked each time that it is read: damaged
 * items are errors too.
 *
 * It travels to another process as a part of a function's arguments or of a message, see [iface@Mp.Shareable]; with a
 * name, other programs find it as well. It lives in an [class@Mp.SharedMemory], whose rules for its name and its end
 * hold ([method@Mp.ShareableList.get_memory]).
 *
 * It has no lock. An integer or a double is always read as one that was written; but an item that gets another type, or
 * a text, is for a moment half of the one and half of the other, and stays so when its writer is killed in that moment.
 * Use a [class@Mp.Lock] for what is changed while others read it: it tells who has it next that somebody died. Whatever
 * is in an item, it is a value or an error, and can be set again.
 *
 * It may be used in any thread.
 *
 * Since: 0.1
 */
struct _MpShareableList
{
  GObject parent_instance;

  MpSharedMemory *memory;   /* (owned) */
  MpListLayout    layout;
};

#define KIND "shareable-list"

enum { PROP_0, PROP_ISOLATED, PROP_LENGTH, PROP_MEMORY, N_PROPS };
static GParamSpec *props[N_PROPS];

static void mp_shareable_list_shareable_init (MpShareableInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpShareableList, mp_shareable_list, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_shareable_list_shareable_init))

/* One that comes from g_object_new() has nothing. */
static gboolean
check_made (MpShareableList  *self,
            GError          **error)
{
  if (self->memory != NULL)
    return TRUE;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "it has no memory");
  return FALSE;
}

/* The memory, as long as it is held, also when another thread closes it. NULL: @error. */
static GBytes *
dup_memory (MpShareableList  *self,
            GError          **error)
{
  g_autoptr(GBytes) bytes = NULL;

  if (!check_made (self, error))
    return NULL;
  bytes = mp_shared_memory_get_bytes (self->memory, error);
  if (bytes == NULL)
    return NULL;
  if (g_bytes_get_size (bytes) < self->layout.size)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "its shared memory has %" G_GSIZE_FORMAT " bytes, and had %" G_GSIZE_FORMAT,
                   g_bytes_get_size (bytes), self->layout.size);
      return NULL;
    }
  return g_steal_pointer (&bytes);
}

static GBytes *
dup_memory_of_item (MpShareableList  *self,
                    gsize             index,
                    GError          **error)
{
  if (index >= self->layout.n_items)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "index %" G_GSIZE_FORMAT " is out of range, there are %" G_GSIZE_FORMAT " items", index,
                   self->layout.n_items);
      return NULL;
    }
  return dup_memory (self, error);
}

/* While the memory is held it cannot be sealed. */
static gboolean
check_writable (MpShareableList  *self,
                GError          **error)
{
  if ((mp_shared_memory_get_seals (self->memory) & MP_SEAL_FLAGS_WRITE) == 0)
    return TRUE;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_READ_ONLY, "its shared memory is sealed");
  return FALSE;
}

/* @memory: (transfer full); @layout: its contents are taken. */
static MpShareableList *
list_new_taking (MpSharedMemory *memory,
                 MpListLayout   *layout)
{
  MpShareableList *self = g_object_new (MP_TYPE_SHAREABLE_LIST, NULL);

  self->memory = memory;
  self->layout = *layout;
  *layout = (MpListLayout) { 0 };
  return self;
}

/* @memory: (transfer full) */
static MpShareableList *
list_open_taking (MpSharedMemory  *memory,
                  GError         **error)
{
  g_autoptr(MpSharedMemory) owned = memory;
  g_autoptr(GBytes) bytes = mp_shared_memory_get_bytes (memory, error);
  MpListLayout layout = { 0 };

  if (bytes == NULL ||
      !mp_list_layout_read (&layout, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), error))
    return NULL;
  return list_new_taking (g_steal_pointer (&owned), &layout);
}

static GVariant *
mp_shareable_list_describe (MpShareable  *shareable,
                            GArray       *fds,
                            GError      **error)
{
  MpShareableList *self = MP_SHAREABLE_LIST (shareable);

  if (check_made (self, error))
    return mp_shareable_describe_within (MP_SHAREABLE (self->memory), fds, error);
  g_prefix_error (error, "Cannot send a list: ");
  return NULL;
}

static MpShareable *
mp_shareable_list_adopt (GVariant  *state,
                         int       *fds,
                         guint      n_fds,
                         GError   **error)
{
  guint n_used = 0;
  g_autoptr(MpShareable) memory = mp_shareable_adopt_within (state, fds, n_fds, &n_used, error);
  MpShareableList *self = NULL;

  if (memory != NULL && (!MP_IS_SHARED_MEMORY (memory) || n_used != n_fds))
    g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a list that is none");
  else if (memory != NULL)
    self = list_open_taking (MP_SHARED_MEMORY (g_steal_pointer (&memory)), error);
  return (MpShareable *) self;
}

static gboolean
mp_shareable_list_get_isolated (MpShareable *shareable)
{
  MpSharedMemory *memory = MP_SHAREABLE_LIST (shareable)->memory;

  return memory == NULL || mp_shareable_get_isolated (MP_SHAREABLE (memory));
}

static void
mp_shareable_list_shareable_init (MpShareableInterface *iface)
{
  iface->kind = KIND;
  iface->describe = mp_shareable_list_describe;
  iface->get_isolated = mp_shareable_list_get_isolated;
  iface->isolated_how = "a list without a name";
}

MP_SHAREABLE_DEFINE_KIND (mp_shareable_list, KIND, mp_shareable_list_adopt)

static void
mp_shareable_list_get_property (GObject    *object,
                                guint       prop_id,
                                GValue     *value,
                                GParamSpec *pspec)
{
  MpShareableList *self = MP_SHAREABLE_LIST (object);

  switch (prop_id)
    {
    case PROP_ISOLATED:
      g_value_set_boolean (value, mp_shareable_get_isolated (MP_SHAREABLE (self)));
      break;
    case PROP_LENGTH:
      g_value_set_uint64 (value, self->layout.n_items);
      break;
    case PROP_MEMORY:
      g_value_set_object (value, self->memory);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_shareable_list_finalize (GObject *object)
{
  MpShareableList *self = MP_SHAREABLE_LIST (object);

  g_clear_object (&self->memory);
  mp_list_layout_clear (&self->layout);

  G_OBJECT_CLASS (mp_shareable_list_parent_class)->finalize (object);
}

static void
mp_shareable_list_class_init (MpShareableListClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_shareable_list_get_property;
  object_class->finalize = mp_shareable_list_finalize;

  /**
   * MpShareableList:isolated:
   *
   * Whether it shares no memory with other objects: `TRUE` unless it has a name.
   *
   * Since: 0.1
   */
  props[PROP_ISOLATED] = g_param_spec_boolean ("isolated", NULL, NULL, TRUE,
                                               G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * MpShareableList:length:
   *
   * The number of items.
   *
   * Since: 0.1
   */
  props[PROP_LENGTH] = g_param_spec_uint64 ("length", NULL, NULL, 0, G_MAXUINT64, 0,
                                            G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * MpShareableList:memory:
   *
   * The shared memory that it lies in.
   *
   * Since: 0.1
   */
  props[PROP_MEMORY] = g_param_spec_object ("memory", NULL, NULL, MP_TYPE_SHARED_MEMORY,
                                            G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_shareable_list_init (MpShareableList *self)
{
}

static MpShareableList *
list_make (GVariant    *values,
           gboolean     is_named,
           const char  *name,
           GError     **error)
{
  g_autoptr(GVariant) sunk = g_variant_ref_sink (values);
  g_autoptr(MpSharedMemory) memory = NULL;
  g_autoptr(GBytes) bytes = NULL;
  MpListLayout layout = { 0 };

  if (!mp_list_layout_plan (&layout, sunk, error))
    {
      g_prefix_error (error, "list creation: ");
      return NULL;
    }
  if (is_named)
    memory = mp_shared_memory_new_named (name, layout.size, error);
  else
    memory = mp_shared_memory_new (layout.size, error);
  if (memory != NULL)
    bytes = mp_shared_memory_get_bytes (memory, error);
  /* Others may have found a name already, and made it smaller. */
  if (bytes != NULL && g_bytes_get_size (bytes) < layout.size)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "its shared memory has %" G_GSIZE_FORMAT " bytes",
                   g_bytes_get_size (bytes));
      g_clear_pointer (&bytes, g_bytes_unref);
    }
  if (bytes == NULL)
    {
      g_prefix_error (error, "list creation: ");
      mp_list_layout_clear (&layout);
      return NULL;
    }

  mp_list_layout_write (&layout, (gpointer) g_bytes_get_data (bytes, NULL), sunk);
  return list_new_taking (g_steal_pointer (&memory), &layout);
}

/**
 * mp_shareable_list_new:
 * @values: an array or a tuple: the items; sunk if floating
 * @error: return location for an error
 *
 * Makes a list, in shared memory without a name.
 *
 * The children of @values are of the types that a list has, or integers of other sizes, inside of variants (`av`) or
 * not.
 *
 * Errors: `MP_ERROR_INVALID_TYPE` for a value of another type, `G_IO_ERROR_INVALID_ARGUMENT` for a number that is too
 * large, for texts and bytes that end in NUL, and for those of 10 MB and more, and those of [ctor@Mp.SharedMemory.new].
 *
 * Returns: (transfer full): a list
 *
 * Since: 0.1
 */
MpShareableList *
mp_shareable_list_new (GVariant  *values,
                       GError   **error)
{
  g_return_val_if_fail (values != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  return list_make (values, FALSE, NULL, error);
}

/**
 * mp_shareable_list_new_named:
 * @values: as for [ctor@Mp.ShareableList.new]
 * @name: (nullable): a name, or `NULL` for one that is made up
 * @error: return location for an error
 *
 * Makes a list, in shared memory with a name.
 *
 * Errors: those of [ctor@Mp.ShareableList.new] and of [ctor@Mp.SharedMemory.new_named]: `G_IO_ERROR_EXISTS` when there
 * is one of that name.
 *
 * Returns: (transfer full): a list
 *
 * Since: 0.1
 */
MpShareableList *
mp_shareable_list_new_named (GVariant    *values,
                             const char  *name,
                             GError     **error)
{
  g_return_val_if_fail (values != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  return list_make (values, TRUE, name, error);
}

/**
 * mp_shareable_list_new_for_memory:
 * @memory: shared memory that holds a list
 * @error: return location for an error
 *
 * Opens the list that lies in shared memory.
 *
 * Errors: `G_IO_ERROR_INVALID_DATA` when @memory holds none, `G_IO_ERROR_CLOSED`.
 *
 * Returns: (transfer full): the list
 *
 * Since: 0.1
 */
MpShareableList *
mp_shareable_list_new_for_memory (MpSharedMemory  *memory,
                                  GError         **error)
{
  MpShareableList *self;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (memory), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  self = list_open_taking (g_object_ref (memory), error);
  if (self == NULL)
    g_prefix_error (error, "list attach: ");
  return self;
}

/**
 * mp_shareable_list_attach: (constructor)
 * @name: a name
 * @error: return location for an error
 *
 * Opens the list that lies in shared memory of a name, also one of a program that knows nothing of this library.
 *
 * Errors: those of [ctor@Mp.SharedMemory.attach], `G_IO_ERROR_INVALID_DATA` when the memory holds no list.
 *
 * Returns: (transfer full): the list
 *
 * Since: 0.1
 */
MpShareableList *
mp_shareable_list_attach (const char  *name,
                          GError     **error)
{
  MpSharedMemory *memory;
  MpShareableList *self = NULL;

  g_return_val_if_fail (name != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  memory = mp_shared_memory_attach (name, error);
  if (memory != NULL)
    self = list_open_taking (memory, error);
  if (self == NULL)
    g_prefix_error (error, "list attach: ");
  return self;
}

/**
 * mp_shareable_list_get_memory:
 * @self: a list
 *
 * Gets the shared memory that the list lies in: it has the name, and closes and unlinks it.
 *
 * Returns: (transfer none) (nullable): the shared memory; `NULL` for an object that was not made by one of the
 * constructors
 *
 * Since: 0.1
 */
MpSharedMemory *
mp_shareable_list_get_memory (MpShareableList *self)
{
  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), NULL);

  return self->memory;
}

/**
 * mp_shareable_list_get_length:
 * @self: a list
 *
 * Gets the number of items, which never changes.
 *
 * Returns: the number of items
 *
 * Since: 0.1
 */
gsize
mp_shareable_list_get_length (MpShareableList *self)
{
  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), 0);

  return self->layout.n_items;
}

/**
 * mp_shareable_list_get_item:
 * @self: a list
 * @index: which item, from 0
 * @error: return location for an error
 *
 * Gets an item.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when there is no such item, `G_IO_ERROR_INVALID_DATA` when another program has
 * left there what is no value, `G_IO_ERROR_CLOSED`.
 *
 * Returns: (transfer full): a value of type `x`, `d`, `b`, `s`, `ay`, or an empty `mv`
 *
 * Since: 0.1
 */
GVariant *
mp_shareable_list_get_item (MpShareableList  *self,
                            gsize             index,
                            GError          **error)
{
  g_autoptr(GBytes) memory = NULL;
  GVariant *value = NULL;

  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  memory = dup_memory_of_item (self, index, error);
  if (memory != NULL)
    value = mp_list_layout_get_item (&self->layout, g_bytes_get_data (memory, NULL), index, error);
  if (value == NULL)
    g_prefix_error (error, "list get item: ");
  return value;
}

/**
 * mp_shareable_list_set_item:
 * @self: a list
 * @index: which item, from 0
 * @value: its value, as for [ctor@Mp.ShareableList.new]; sunk if floating
 * @error: return location for an error
 *
 * Sets an item. After an error it is what it was.
 *
 * Errors: `G_IO_ERROR_INVALID_ARGUMENT` when there is no such item, for a number that is too large and for a text or
 * bytes that end in NUL, `MP_ERROR_TOO_LARGE` for a text or bytes longer than the item's place,
 * `MP_ERROR_INVALID_TYPE`, `G_IO_ERROR_CLOSED`, and `G_IO_ERROR_READ_ONLY` when its memory is sealed against writing.
 *
 * Returns: whether it is set
 *
 * Since: 0.1
 */
gboolean
mp_shareable_list_set_item (MpShareableList  *self,
                            gsize             index,
                            GVariant         *value,
                            GError          **error)
{
  g_autoptr(GVariant) sunk = NULL;
  g_autoptr(GBytes) memory = NULL;

  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), FALSE);
  g_return_val_if_fail (value != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  sunk = g_variant_ref_sink (value);
  memory = dup_memory_of_item (self, index, error);
  if (memory == NULL || !check_writable (self, error) ||
      !mp_list_layout_set_item (&self->layout, (gpointer) g_bytes_get_data (memory, NULL), index, sunk, error))
    {
      g_prefix_error (error, "list set item: ");
      return FALSE;
    }
  return TRUE;
}

/**
 * mp_shareable_list_dup_format:
 * @self: a list
 * @index: which item, from 0
 * @error: return location for an error
 *
 * Gets how an item is stored, in the notation of Python's `struct` module: `q` an integer, `d` a double, `xxxxxxx?` a
 * boolean, `xxxxxx?x` nothing, `16s` a text or bytes in a place of 16 bytes.
 *
 * Errors: those of [method@Mp.ShareableList.get_item].
 *
 * Returns: (transfer full): the format
 *
 * Since: 0.1
 */
char *
mp_shareable_list_dup_format (MpShareableList  *self,
                              gsize             index,
                              GError          **error)
{
  g_autoptr(GBytes) memory = NULL;
  char *format = NULL;

  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  memory = dup_memory_of_item (self, index, error);
  if (memory != NULL)
    format = mp_list_layout_dup_format (&self->layout, g_bytes_get_data (memory, NULL), index, error);
  if (format == NULL)
    g_prefix_error (error, "list get item: ");
  return format;
}

/**
 * mp_shareable_list_dup_values:
 * @self: a list
 * @error: return location for an error
 *
 * Gets all items.
 *
 * Errors: those of [method@Mp.ShareableList.get_item].
 *
 * Returns: (transfer full): an `av`
 *
 * Since: 0.1
 */
GVariant *
mp_shareable_list_dup_values (MpShareableList  *self,
                              GError          **error)
{
  g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("av"));

  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  for (gsize i = 0; i < self->layout.n_items; i++)
    {
      g_autoptr(GVariant) value = mp_shareable_list_get_item (self, i, error);

      if (value == NULL)
        return NULL;
      g_variant_builder_add (&builder, "v", value);
    }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

/* Goes on from @index to the next item that equals @wanted: 1, at the end 0, -1 with an error. */
static int
find (MpShareableList  *self,
      GVariant         *wanted,
      gsize            *index,
      GError          **error)
{
  for (; *index < self->layout.n_items; ++*index)
    {
      g_autoptr(GVariant) item = mp_shareable_list_get_item (self, *index, error);

      if (item == NULL)
        return -1;
      if (mp_list_layout_equal (item, wanted))
        return 1;
    }
  return 0;
}

/**
 * mp_shareable_list_count:
 * @self: a list
 * @value: a value; sunk if floating
 * @error: return location for an error
 *
 * Counts the items that are equal to a value.
 *
 * As in Python, numbers and booleans are equal when they are the same number, whatever their types are. Values of a
 * type that no list can have are equal to none.
 *
 * Errors: those of [method@Mp.ShareableList.get_item].
 *
 * Returns: the number of items, -1 after an error
 *
 * Since: 0.1
 */
gssize
mp_shareable_list_count (MpShareableList  *self,
                         GVariant         *value,
                         GError          **error)
{
  g_autoptr(GVariant) sunk = NULL;
  g_autoptr(GVariant) wanted = NULL;
  gsize index = 0;
  gssize n = 0;
  int found = 0;

  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), -1);
  g_return_val_if_fail (value != NULL, -1);
  g_return_val_if_fail (error == NULL || *error == NULL, -1);

  sunk = g_variant_ref_sink (value);
  wanted = mp_list_layout_normalize (sunk, NULL);
  if (wanted == NULL)
    return 0;
  for (; (found = find (self, wanted, &index, error)) > 0; index++)
    n++;
  return found < 0 ? -1 : n;
}

/**
 * mp_shareable_list_index:
 * @self: a list
 * @value: a value; sunk if floating
 * @error: return location for an error
 *
 * Finds the first item that is equal to a value, as [method@Mp.ShareableList.count] compares them.
 *
 * Errors: `G_IO_ERROR_NOT_FOUND` when there is none, and those of [method@Mp.ShareableList.get_item].
 *
 * Returns: the number of the item, from 0; -1 after an error
 *
 * Since: 0.1
 */
gssize
mp_shareable_list_index (MpShareableList  *self,
                         GVariant         *value,
                         GError          **error)
{
  g_autoptr(GVariant) sunk = NULL;
  g_autoptr(GVariant) wanted = NULL;
  gsize index = 0;
  int found = 0;

  g_return_val_if_fail (MP_IS_SHAREABLE_LIST (self), -1);
  g_return_val_if_fail (value != NULL, -1);
  g_return_val_if_fail (error == NULL || *error == NULL, -1);

  sunk = g_variant_ref_sink (value);
  wanted = mp_list_layout_normalize (sunk, NULL);
  if (wanted != NULL)
    found = find (self, wanted, &index, error);
  if (found == 0)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "No item of the list equals the value");
  return found > 0 ? (gssize) index : -1;
}
