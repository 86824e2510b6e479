/* mp-memory-file-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Memory files of users' data, whose pages are reserved, and the names that they may have. What fails sets errno. */

typedef struct
{
  guint64  available;   /* bytes; G_MAXUINT64: not known */
  gboolean is_group;    /* a control group's limit says so */
} MpRoom;

/* How many more bytes of memory may be taken now, by what /proc/meminfo and the limits of the control groups (version 1
 * and 2) of this process say. Swap space does not count. @root: "/". */
void     mp_platform_memory_room  (const char *root,
                                   MpRoom     *room);

/* Which of these are set tells what is possible no more. */
typedef enum
{
  MP_MEMORY_SEAL_SHRINK = 1 << 0,
  MP_MEMORY_SEAL_GROW   = 1 << 1,
  MP_MEMORY_SEAL_WRITE  = 1 << 2,
  MP_MEMORY_SEAL_SEAL   = 1 << 3,
} MpMemorySeals;

/* An empty memory file, sealed against shrinking only. */
int      mp_memory_file_new       (const char *name);
gboolean mp_memory_file_add_seals (int         fd,
                                   guint       seals);
/* -1: it is no memory file, not even one of a tmpfs. */
int      mp_memory_file_get_seals (int         fd);
/* Whether this descriptor of it is for reading and writing. */
gboolean mp_memory_file_is_writable (int       fd);
/* -1: it is no regular file. */
gint64   mp_memory_file_get_size  (int         fd);
/* Without memory for what is more. */
gboolean mp_memory_file_set_size  (int         fd,
                                   guint64     size);
/* Bytes that have memory now. */
guint64  mp_memory_file_get_reserved (int      fd);
/* Gives memory to a part of the file, EINTR or not, beyond its end too. ENOSPC, ENOMEM; EFBIG where files may not be so
 * large, instead of the signal; EPERM: sealed. With @keep_size its size stays, else it may grow by that; it never shrinks. */
gboolean mp_memory_file_reserve   (int         fd,
                                   guint64     offset,
                                   guint64     length,
                                   gboolean    keep_size);
/* Takes the memory of whole pages away again; they read as zeros. */
gboolean mp_memory_file_punch     (int         fd,
                                   guint64     offset,
                                   guint64     length);
/* All of @size bytes. What is written gets memory by that: ENOSPC, ENOMEM. */
gboolean mp_memory_file_write     (int           fd,
                                   guint64       offset,
                                   gconstpointer data,
                                   gsize         size);
gboolean mp_memory_file_read      (int           fd,
                                   guint64       offset,
                                   gpointer      data,
                                   gsize         size);
/* How much room the file system has for the file; G_MAXUINT64: it has no limit of its own. */
guint64  mp_memory_file_get_space (int         fd);
/* The pages of a file that is sealed against writing can only be read, others be written too. @writable: (out). */
gpointer mp_memory_file_map       (int         fd,
                                   gsize       size,
                                   gboolean   *writable);

typedef struct
{
  dev_t dev;
  ino_t ino;
} MpFileId;

/* Names, as shm_open() has them, but without the '/' in front. @dir: "/dev/shm". */
/* A file in @dir that has no name yet (O_TMPFILE), mode 0600. ENOENT, ENOTDIR: no such folder. EOPNOTSUPP: no such files. */
int      mp_named_memory_new      (const char *dir);
/* The same file with a name. EEXIST. */
gboolean mp_named_memory_publish  (int         fd,
                                   const char *dir,
                                   const char *name);
/* A file that has its name at once; where the other way does not work. EEXIST. */
int      mp_named_memory_create   (const char *dir,
                                   const char *name);
/* Never waits, whatever it is. */
int      mp_named_memory_open     (const char *dir,
                                   const char *name);
/* Which file it is; all zeros when that cannot be told. */
MpFileId mp_named_memory_get_id   (int         fd);
/* The name goes if it is that of this file, else ENOENT. */
gboolean mp_named_memory_unlink   (MpFileId    id,
                                   const char *dir,
                                   const char *name);

G_END_DECLS
