/* mp-shared-memory-data.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-shared-memory-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What is in shared memory, and how much of it there is. */

static MpMapping *
mp_mapping_ref (MpMapping *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
mp_mapping_unref (gpointer data)
{
  MpMapping *self = data;

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  mp_fd_unmap (self->address, self->size);
  g_free (self);
}

gboolean
mp_shared_memory_set_closed (const char  *what,
                             GError     **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "%s: it is closed", what);
  return FALSE;
}

/* All of the file that there is now, mapped; with the lock held. The mapping may be larger, when somebody has made a named
 * one smaller. NULL: @error. */
static MpMapping *
look (MpSharedMemory  *self,
      const char      *what,
      gsize           *size,
      GError         **error)
{
  g_autoptr(GError) reason = NULL;
  MpMapping *mapping;
  gboolean writable;
  gpointer address;
  gint64 now;

  *size = 0;
  if (self->fd < 0)
    {
      mp_shared_memory_set_closed (what, error);
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
  if (!mp_memory_complete (self->fd, now, self->foreign, &reason))
    address = NULL;
  else
    address = mp_memory_map (self->fd, now, &writable, &reason);
  if (address == NULL)
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&reason), "%s: ", what);
      return NULL;
    }

  mapping = g_new (MpMapping, 1);
  *mapping = (MpMapping) { .address = address, .size = now, .writable = writable };
  g_atomic_ref_count_init (&mapping->ref_count);
  if (self->mapping != NULL && self->older == NULL)
    self->older = g_ptr_array_new_with_free_func (mp_mapping_unref);
  if (self->mapping != NULL)
    g_ptr_array_add (self->older, self->mapping);
  return self->mapping = mapping;
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
 * Another process may have sealed memory that it sent: whoever does not trust it looks at
 * [method@Mp.SharedMemory.get_seals] when the pointer is there. Without a seal then it stays good for writing.
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
  MpMapping *mapping;
  gpointer data;
  gsize now;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), NULL);

  mp_shared_memory_lock (&self->lock);
  mapping = look (self, "", &now, NULL);
  data = mapping != NULL ? mapping->address : NULL;
  mp_shared_memory_unlock (&self->lock);

  if (size != NULL)
    *size = data != NULL ? now : 0;
  return data;
}

/* A reference to what is mapped of it; NULL: @error. */
static MpMapping *
dup_mapping (MpSharedMemory  *self,
             const char      *what,
             gsize           *size,
             GError         **error)
{
  MpMapping *mapping;

  mp_shared_memory_lock (&self->lock);
  mapping = look (self, what, size, error);
  if (mapping != NULL)
    mp_mapping_ref (mapping);
  mp_shared_memory_unlock (&self->lock);
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
  MpMapping *mapping;
  gsize size;

  g_return_val_if_fail (MP_IS_SHARED_MEMORY (self), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  mapping = dup_mapping (self, "shared memory get bytes", &size, error);
  if (mapping == NULL)
    return NULL;
  return g_bytes_new_with_free_func (mapping->address, size, mp_mapping_unref, mapping);
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
  MpMapping *mapping;
  gboolean ok;
  gsize size;

  if (self->name != NULL)
    {
      mp_shared_memory_lock (&self->lock);
      ok = look (self, what, &size, error) != NULL && check_range (what, size, offset, length, error) &&
           copy_by_file (self->fd, what, writes, buffer, offset, length, error);
      mp_shared_memory_unlock (&self->lock);
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
  mp_mapping_unref (mapping);
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
      mp_shared_memory_set_closed (what, error);
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

  mp_shared_memory_lock (&self->lock);
  fd = self->fd;
  now = fd >= 0 ? mp_memory_file_get_size (fd) : 0;
  if (fd < 0)
    mp_shared_memory_set_closed (what, &reason);
  else if (size < (guint64) now)
    g_set_error (&reason, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 "%s: it has %" G_GINT64_FORMAT " bytes, and cannot have fewer", what, now);
  else if (!mp_memory_grow (fd, size, &reason))
    g_prefix_error (&reason, "%s: ", what);
  MP_TORTURE_POINT ("shm-grown");
  mp_shared_memory_unlock (&self->lock);

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
    if (!g_atomic_ref_count_compare (&((MpMapping *) g_ptr_array_index (self->older, i))->ref_count, 1))
      return FALSE;

  g_clear_pointer (&self->mapping, mp_mapping_unref);
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
 * A seal against writing ends the pointers of [method@Mp.SharedMemory.get_data], also when there is an error at last;
 * those that it gives later are for reading only, unless there was one.
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

  mp_shared_memory_lock (&self->lock);
  if (self->fd < 0)
    mp_shared_memory_set_closed (what, &reason);
  else if (self->name != NULL)
    g_set_error (&reason, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s: memory with a name cannot be sealed", what);
  else if ((flags & MP_SEAL_FLAGS_WRITE) != 0 && !drop_mappings (self))
    g_set_error (&reason, G_IO_ERROR, G_IO_ERROR_BUSY, "%s: its bytes are in use in this process", what);
  else if (!mp_memory_seal (self->fd, seals, &reason))
    g_prefix_error (&reason, "%s: ", what);
  mp_shared_memory_unlock (&self->lock);

  if (reason == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}
