/* mp-memory.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-memory-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <unistd.h>

/* What is taken without a question, as by malloc(). */
#define SMALL (G_GUINT64_CONSTANT (1) << 20)

/* What is left to all others at least. */
#define LEAVE (G_GUINT64_CONSTANT (4) << 20)

/* Between two looks at what is there: others take memory at the same time. */
#define STEP  (G_GUINT64_CONSTANT (256) << 20)

static const char *root = "/";

static gboolean
fail (int      code,
      guint64  size,
      GError **error)
{
  switch (code)
    {
    case EFBIG:
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "%" G_GUINT64_FORMAT " bytes are more than a file may have", size);
      break;
    case ENOSPC:
    case ENOMEM:
      g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE, "there is no memory for %" G_GUINT64_FORMAT " bytes: %s", size,
                   g_strerror (code));
      break;
    case EPERM:
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "the memory is sealed");
      break;
    case EMFILE:
    case ENFILE:
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES, "no shared memory: %s", g_strerror (code));
      break;
    default:
      g_set_error (error, MP_ERROR, MP_ERROR_FAILED, "no shared memory: %s", g_strerror (code));
    }
  return FALSE;
}

gboolean
mp_memory_check_room (guint64   more,
                      GError  **error)
{
  MpRoom room;

  if (more < SMALL)
    return TRUE;

  mp_platform_memory_room (root, &room);
  if (room.available >= LEAVE && room.available - LEAVE >= more)
    return TRUE;

  g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
               "%" G_GUINT64_FORMAT " bytes are wanted, and %s %" G_GUINT64_FORMAT " bytes", more,
               room.is_group ? "the limit of the control group leaves" : "the memory available is", room.available);
  return FALSE;
}

/* A tmpfs with a limit, such as /dev/shm. */
static gboolean
check_space (int       fd,
             guint64   more,
             GError  **error)
{
  guint64 space = mp_memory_file_get_space (fd);

  if (space >= more)
    return TRUE;

  g_set_error (error, MP_ERROR, MP_ERROR_TOO_LARGE,
               "%" G_GUINT64_FORMAT " bytes are wanted, and its file system has %" G_GUINT64_FORMAT " bytes left", more,
               space);
  return FALSE;
}

gboolean
mp_memory_reserve (int       fd,
                   guint64   offset,
                   guint64   length,
                   GError  **error)
{
  guint64 whole = length;
  guint64 has;

  if (offset > G_MAXINT64 || length > G_MAXINT64 - offset)
    return fail (EFBIG, length, error);

  /* What has memory already is known for the whole only. */
  has = offset == 0 ? mp_memory_file_get_reserved (fd) : 0;
  has = MIN (length, has);
  if (!check_space (fd, length - has, error))
    return FALSE;

  while (length > 0)
    {
      guint64 step = MIN (length, STEP);

      if (!mp_memory_check_room (length - MIN (length, has), error))
        return FALSE;
      if (!mp_memory_file_reserve (fd, offset, step, TRUE))
        return fail (errno, whole, error);
      offset += step;
      length -= step;
    }
  return TRUE;
}

gboolean
mp_memory_grow (int       fd,
                guint64   size,
                GError  **error)
{
  gint64 now = mp_memory_file_get_size (fd);
  gint64 page = sysconf (_SC_PAGESIZE);
  guint64 begin;

  if (now < 0)
    return fail (errno, size, error);
  if (size <= (guint64) now)
    return TRUE;

  /* The rest of the last page has memory, unless the file came from elsewhere. What was reserved in vain when this fails
   * stays: it could be somebody else's by now who does the same. */
  begin = now / page * page;
  if (!mp_memory_reserve (fd, begin, size - begin, error))
    return FALSE;
  /* Never makes it smaller, as ftruncate() would. */
  if (!mp_memory_file_reserve (fd, size - 1, 1, FALSE))
    return fail (errno, size, error);
  return TRUE;
}

int
mp_memory_create (const char  *name,
                  gsize        size,
                  gboolean     reserve,
                  GError     **error)
{
  gboolean ok;
  int fd;

  g_return_val_if_fail (size > 0, -1);

  if (size > G_MAXINT64)
    {
      fail (EFBIG, size, error);
      return -1;
    }
  /* Before anything is made. */
  if (reserve && !mp_memory_check_room (size, error))
    return -1;

  fd = mp_memory_file_new (name);
  if (fd < 0)
    {
      fail (errno, size, error);
      return -1;
    }

  ok = reserve ? mp_memory_grow (fd, size, error) : mp_memory_file_set_size (fd, size) || fail (errno, size, error);
  if (!ok)
    mp_fd_close (&fd);
  return fd;
}

gboolean
mp_memory_seal (int       fd,
                guint     seals,
                GError  **error)
{
  if (mp_memory_file_add_seals (fd, seals))
    return TRUE;

  if (errno == EBUSY)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "the memory is in use for writing");
  else if (errno == EINVAL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "such memory cannot be sealed");
  else
    fail (errno, 0, error);
  return FALSE;
}

gboolean
mp_memory_complete (int       fd,
                    guint64   size,
                    gboolean  foreign,
                    GError  **error)
{
  if (mp_memory_file_get_reserved (fd) >= size)
    return TRUE;
  if (!foreign)
    return mp_memory_reserve (fd, 0, size, error);

  g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL,
               "its memory of %" G_GUINT64_FORMAT " bytes is not all there, and a stranger has it to provide", size);
  return FALSE;
}

gboolean
mp_memory_adopt (int       fd,
                 guint64   least,
                 guint64   most,
                 gboolean  reserve,
                 guint64  *size,
                 GError  **error)
{
  int seals = mp_memory_file_get_seals (fd);
  gint64 now = mp_memory_file_get_size (fd);

  if (seals < 0 || now < 0 || (seals & MP_MEMORY_SEAL_SHRINK) == 0)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "its memory is none, or can be made smaller");
      return FALSE;
    }
  /* Who writes where he was told that he may would die of it. */
  if (!mp_memory_file_is_writable (fd))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "its memory is for reading only");
      return FALSE;
    }
  if ((guint64) now < least || (guint64) now > most)
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "its memory has a wrong size of %" G_GINT64_FORMAT " bytes", now);
      return FALSE;
    }
  if (size != NULL)
    *size = now;

  return !reserve || mp_memory_complete (fd, now, mp_shareable_is_foreign (), error);
}

gpointer
mp_memory_map (int        fd,
               gsize      size,
               gboolean  *writable,
               GError   **error)
{
  gboolean is_writable;
  gpointer address = mp_memory_file_map (fd, size, &is_writable);

  if (address == NULL)
    fail (errno, size, error);
  if (writable != NULL)
    *writable = is_writable;
  return address;
}

void
mp_memory_set_root_for_testing (const char *path)
{
  root = path != NULL ? path : "/";
}
