/* mp-shared-memory-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/memory/mp-shared-memory.h"
#include "mp-glib/platform/mp-memory-file-private.h"

#include <pthread.h>

G_BEGIN_DECLS

/* A piece of address space. */
typedef struct
{
  gatomicrefcount ref_count;
  guint8         *address;   /* (owned) */
  gsize           size;
  gboolean        writable;
} MpMapping;

struct _MpSharedMemory
{
  GObject          parent_instance;

  char            *name;      /* (nullable) */
  gboolean         foreign;   /* it came from a stranger, by whatever way */
  MpFileId         id;
  pthread_mutex_t  lock;      /* guards what follows */
  int              fd;        /* (owned); -1: closed */
  MpMapping       *mapping;   /* (owned) (nullable): the newest */
  GPtrArray       *older;     /* (owned) (nullable) of MpMapping: pointers into these have been given away */
};

void     mp_mapping_unref               (gpointer     mapping);
/* FALSE: @error says that it is closed. */
gboolean mp_shared_memory_set_closed    (const char  *what,
                                         GError     **error);

/* For the locks of objects: no other thread holds them while this process is forked. Nothing that somebody waits for who
 * forks is called meanwhile. */
void     mp_shared_memory_watch_forks   (void);
void     mp_shared_memory_lock          (pthread_mutex_t *lock);
void     mp_shared_memory_unlock        (pthread_mutex_t *lock);

/* The names of shared memory, as shm_open() has them: a file in /dev/shm, or another folder when a test says so. */

/* (nullable) (transfer full): as get_name() tells it, without the '/' in front; NULL: it is no name. @what: of the operation. */
char    *mp_shared_memory_names_check   (const char  *name,
                                         const char  *what,
                                         GError     **error);
/* A file of that name and size, or of a name that is made up and put there when it is NULL. -1: @error. */
int      mp_shared_memory_names_create  (char       **name,
                                         gsize        size,
                                         GError     **error);
int      mp_shared_memory_names_open    (const char  *name,
                                         GError     **error);
/* Takes away what this process owns: at exit(), and when a forked worker ends without it. */
void     mp_shared_memory_names_leave   (void);
/* Only if it is this file's. */
gboolean mp_shared_memory_names_unlink  (MpFileId     id,
                                         const char  *name,
                                         GError     **error);
/* What this process is to take away when it exits, for @owner. */
void     mp_shared_memory_names_own     (gpointer     owner,
                                         MpFileId     id,
                                         const char  *name);
/* FALSE: it was not there; it may be another process's, of which this one is a fork. */
gboolean mp_shared_memory_names_disown  (gpointer     owner);
gboolean mp_shared_memory_names_is_own  (gpointer     owner);

void     mp_shared_memory_names_before_fork (void);
void     mp_shared_memory_names_after_fork (void);

void     mp_shared_memory_names_set_folder_for_testing (const char *dir);
/* As where there are no files without a name. */
void     mp_shared_memory_names_set_by_steps_for_testing (gboolean setting);

G_END_DECLS
