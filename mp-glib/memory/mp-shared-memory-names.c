/* mp-shared-memory-names.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/memory/mp-shared-memory-private.h"

#include "mp-glib/arena/mp-torture-private.h"
#include "mp-glib/base/mp-memory-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER    "/dev/shm"
#define MAX_NAME  255
/* As CPython's. */
#define PREFIX    "psm_"

typedef struct
{
  gpointer owner;
  MpFileId id;
  pid_t    pid;
  char    *name;   /* (owned) */
} Own;

static const char *folder = FOLDER;
static gboolean by_steps;   /* as where files cannot be without a name */

/* Guards these. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GArray *owned;   /* of Own */

static gboolean
fail (int          code,
      const char  *what,
      const char  *name,
      GError     **error)
{
  switch (code)
    {
    case EEXIST:
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS, "%s: there is one of the name “%s” already", what, name);
      break;
    case ENOENT:
    case ENOTDIR:
      if (g_file_test (folder, G_FILE_TEST_IS_DIR))
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s: there is none of the name “%s”", what, name);
      else
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                     "%s: nothing can have a name, because there is no folder %s", what, folder);
      break;
    case ELOOP:
    case EISDIR:
    case ENXIO:
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: what has the name “%s” is no memory", what, name);
      break;
    default:
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: “%s”: %s", what, name, g_strerror (code));
    }
  return FALSE;
}

char *
mp_shared_memory_names_check (const char  *name,
                              const char  *what,
                              GError     **error)
{
  while (*name == '/')
    name++;
  if (*name != '\0' && strlen (name) <= MAX_NAME && strchr (name, '/') == NULL &&
      strcmp (name, ".") != 0 && strcmp (name, "..") != 0 && g_utf8_validate (name, -1, NULL))
    return g_strdup (name);

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               "%s: a name has 1 to %d bytes of UTF-8, and none of them is “/”", what, MAX_NAME);
  return NULL;
}

static char *
make_up (void)
{
  guint32 number;

  if (getentropy (&number, sizeof number) < 0)
    number = g_random_int ();
  return g_strdup_printf (PREFIX "%08x", number);
}

static gboolean
is_taken (const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS) || g_file_test (path, G_FILE_TEST_IS_SYMLINK);
}

/* Nobody sees it before it is whole, and nothing is left when its maker dies meanwhile. Puts the made up name into @name.
 * -1 sets @error, or errno when it does not work here. */
static int
create_at_once (char   **name,
                gsize    size,
                GError **error)
{
  g_autofree char *own = NULL;
  gboolean published;
  int fd = mp_named_memory_new (folder);

  if (fd < 0)
    return -1;
  if (!mp_memory_grow (fd, size, error))
    {
      mp_fd_close (&fd);
      return -1;
    }

  MP_TORTURE_POINT ("shm-reserved");
  do
    {
      g_free (own);
      own = *name != NULL ? g_strdup (*name) : make_up ();
      published = mp_named_memory_publish (fd, folder, own);
    }
  while (!published && errno == EEXIST && *name == NULL);

  MP_TORTURE_POINT ("shm-published");
  if (!published)
    mp_fd_close (&fd);
  else if (*name == NULL)
    *name = g_steal_pointer (&own);
  return fd;
}

/* Where files cannot be without a name, or not get one without /proc. */
static int
create_by_steps (char   **name,
                 gsize    size,
                 GError **error)
{
  g_autofree char *own = NULL;
  int fd;

  do
    {
      g_free (own);
      own = *name != NULL ? g_strdup (*name) : make_up ();
      fd = mp_named_memory_create (folder, own);
    }
  while (fd < 0 && errno == EEXIST && *name == NULL);
  if (fd < 0)
    return -1;

  MP_TORTURE_POINT ("names-empty");
  if (!mp_memory_grow (fd, size, error))
    {
      mp_named_memory_unlink (mp_named_memory_get_id (fd), folder, own);
      mp_fd_close (&fd);
    }
  else if (*name == NULL)
    *name = g_steal_pointer (&own);
  return fd;
}

int
mp_shared_memory_names_create (char   **name,
                               gsize    size,
                               GError **error)
{
  static const char what[] = "shared memory creation";
  g_autoptr(GError) reason = NULL;
  int fd, code;

  if (*name != NULL && is_taken (*name))
    {
      fail (EEXIST, what, *name, error);
      return -1;
    }

  fd = by_steps ? -1 : create_at_once (name, size, &reason);
  code = errno;
  if (fd < 0 && reason == NULL && (by_steps || code != EEXIST))
    {
      fd = create_by_steps (name, size, &reason);
      code = errno;
    }
  if (fd >= 0)
    return fd;

  if (reason != NULL)
    g_propagate_prefixed_error (error, g_steal_pointer (&reason), "%s: ", what);
  else
    fail (code, what, *name != NULL ? *name : PREFIX, error);
  return -1;
}

int
mp_shared_memory_names_open (const char  *name,
                             GError     **error)
{
  int fd = mp_named_memory_open (folder, name);

  if (fd < 0)
    fail (errno, "shared memory attach", name, error);
  return fd;
}

gboolean
mp_shared_memory_names_unlink (MpFileId     id,
                               const char  *name,
                               GError     **error)
{
  return mp_named_memory_unlink (id, folder, name) || fail (errno, "shared memory unlink", name, error);
}

/* Another thread may be at it, in a fork for ever. */
void
mp_shared_memory_names_leave (void)
{
  guint i;

  if (pthread_mutex_trylock (&lock) != 0)
    return;

  for (i = 0; owned != NULL && i < owned->len; i++)
    {
      const Own *own = &g_array_index (owned, Own, i);

      if (own->pid == getpid ())
        (void) mp_named_memory_unlink (own->id, folder, own->name);
    }
  pthread_mutex_unlock (&lock);
}

void
mp_shared_memory_names_own (gpointer    owner,
                            MpFileId    id,
                            const char *name)
{
  Own own = { owner, id, getpid (), g_strdup (name) };

  pthread_mutex_lock (&lock);
  if (owned == NULL)
    {
      owned = g_array_new (FALSE, FALSE, sizeof (Own));
      (void) atexit (mp_shared_memory_names_leave);
    }
  g_array_append_val (owned, own);
  pthread_mutex_unlock (&lock);
}

static guint
find_own (gpointer owner)
{
  guint i;

  for (i = 0; owned != NULL && i < owned->len; i++)
    {
      const Own *own = &g_array_index (owned, Own, i);

      if (own->owner == owner && own->pid == getpid ())
        return i;
    }
  return G_MAXUINT;
}

gboolean
mp_shared_memory_names_is_own (gpointer owner)
{
  gboolean is_own;

  pthread_mutex_lock (&lock);
  is_own = find_own (owner) != G_MAXUINT;
  pthread_mutex_unlock (&lock);
  return is_own;
}

gboolean
mp_shared_memory_names_disown (gpointer owner)
{
  guint i;

  pthread_mutex_lock (&lock);
  i = find_own (owner);
  if (i != G_MAXUINT)
    {
      g_free (g_array_index (owned, Own, i).name);
      g_array_remove_index_fast (owned, i);
    }
  pthread_mutex_unlock (&lock);
  return i != G_MAXUINT;
}

void
mp_shared_memory_names_before_fork (void)
{
  pthread_mutex_lock (&lock);
}

void
mp_shared_memory_names_after_fork (void)
{
  pthread_mutex_unlock (&lock);
}

void
mp_shared_memory_names_set_folder_for_testing (const char *dir)
{
  folder = dir != NULL ? dir : FOLDER;
}

void
mp_shared_memory_names_set_by_steps_for_testing (gboolean setting)
{
  by_steps = setting;
}
