/* mp-descriptor.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-descriptor-private.h"

#include "mp-glib/base/mp-error.h"
#include "mp-glib/base/mp-shareable-private.h"
#include "mp-glib/base/mp-waitable-private.h"
#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#define KIND       "descriptor"
#define STATE_TYPE "()"   /* all there is to it is beside the message */

/**
 * MpDescriptor:
 *
 * A file descriptor that can travel to another process.
 *
 * Makes an open file, a socket, an end of a pipe or anything else that has a descriptor a part of a value; see
 * [iface@Mp.Shareable]. It crosses a connection, also one that came from a listener if that is a UNIX socket, and goes
 * with the arguments and results of processes and tasks. What arrives is a descriptor of the same open file, as by
 * `dup()`: the position in a file, the flag `O_NONBLOCK` and locks of the open file are common to both. Each process
 * closes its own.
 *
 * ```c
 * g_autoptr(MpDescriptor) descriptor = mp_descriptor_new (g_socket_get_fd (socket), &error);
 * g_autoptr(GVariant) handle = mp_shareable_to_variant (MP_SHAREABLE (descriptor));
 *
 * mp_connection_send (connection, handle, -1, NULL, &error);
 * ```
 *
 * The sender decides what kind of a file it is. Whoever gets one from a peer that is not trusted must look at it before
 * using it: to read from it may wait for ever, and a memory file may shrink while it is mapped, unless it is sealed.
 *
 * A task that runs in a thread of this process is given the very object: to close it there closes it here.
 *
 * All methods may be called in any thread.
 *
 * Since: 0.1
 */
struct _MpDescriptor
{
  GObject         parent_instance;
  pthread_mutex_t lock;   /* or what is duplicated might be another file, which has got the number since */
  int             fd;     /* (owned), CLOEXEC; -1: closed or stolen */
  GSList         *spots;  /* (owned) (element-type MpWaitSpot): of those who wait */
};

static void mp_descriptor_shareable_init (MpShareableInterface *iface);
static void mp_descriptor_waitable_init (MpWaitableInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpDescriptor, mp_descriptor, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_descriptor_shareable_init)
                               G_IMPLEMENT_INTERFACE (MP_TYPE_WAITABLE, mp_descriptor_waitable_init))

static void
set_error (GError     **error,
           const char  *operation,
           int          saved_errno)
{
  int code = saved_errno == EBADF ? (int) G_IO_ERROR_INVALID_ARGUMENT : (int) g_io_error_from_errno (saved_errno);

  g_set_error (error, G_IO_ERROR, code, "Cannot %s: %s", operation, g_strerror (saved_errno));
}

static MpDescriptor *
mp_descriptor_new_owning (int fd)
{
  MpDescriptor *self = g_object_new (MP_TYPE_DESCRIPTOR, NULL);

  self->fd = fd;
  return self;
}

/* -1 sets @error. */
static int
dup_fd (MpDescriptor  *self,
        const char    *operation,
        GError       **error)
{
  int fd = -1;
  int saved_errno = 0;
  gboolean closed;

  pthread_mutex_lock (&self->lock);
  closed = self->fd < 0;
  if (!closed)
    fd = mp_fd_dup (self->fd);
  saved_errno = errno;
  pthread_mutex_unlock (&self->lock);

  if (closed)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "Cannot %s: it is closed", operation);
  else if (fd < 0)
    set_error (error, operation, saved_errno);
  return fd;
}

static GVariant *
mp_descriptor_describe (MpShareable  *shareable,
                        GArray       *fds,
                        GError      **error)
{
  int fd = dup_fd (MP_DESCRIPTOR (shareable), "send a descriptor", error);

  if (fd < 0)
    return NULL;

  g_array_append_val (fds, fd);
  return g_variant_ref_sink (g_variant_new_tuple (NULL, 0));
}

static MpShareable *
mp_descriptor_adopt (GVariant  *state,
                     int       *fds,
                     guint      n_fds,
                     GError   **error)
{
  if (n_fds != 1 || fds[0] < 0 || !g_variant_is_of_type (state, G_VARIANT_TYPE (STATE_TYPE)))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a descriptor that is none");
      return NULL;
    }

  return MP_SHAREABLE (mp_descriptor_new_owning (g_steal_fd (&fds[0])));
}

static gboolean
mp_descriptor_get_isolated (MpShareable *shareable)
{
  return TRUE;
}

static void
mp_descriptor_shareable_init (MpShareableInterface *iface)
{
  iface->kind = KIND;
  iface->describe = mp_descriptor_describe;
  iface->get_isolated = mp_descriptor_get_isolated;
}

static MpWaitState
mp_descriptor_wait_look (MpWaitable    *waitable,
                         MpWaitSpot    *spot,
                         GIOCondition   condition,
                         GError       **error)
{
  MpDescriptor *self = MP_DESCRIPTOR (waitable);
  GPollFD fd = { -1, G_IO_IN, 0 };

  /* Whether the number is still that of the file is known only here. */
  pthread_mutex_lock (&self->lock);
  fd.fd = self->fd;
  if (fd.fd >= 0 && condition != 0)
    mp_poll_fds (&fd, 1, 0);
  pthread_mutex_unlock (&self->lock);

  spot->fd = fd.fd;
  spot->condition = G_IO_IN;
  return fd.fd < 0 || fd.revents != 0 ? MP_WAIT_READY : MP_WAIT_NOT_YET;
}

static gboolean
mp_descriptor_wait_arm (MpWaitable  *waitable,
                        MpWaitSpot  *spot,
                        GError     **error)
{
  MpDescriptor *self = MP_DESCRIPTOR (waitable);

  pthread_mutex_lock (&self->lock);
  self->spots = g_slist_prepend (self->spots, spot);
  pthread_mutex_unlock (&self->lock);
  return TRUE;
}

static void
mp_descriptor_wait_disarm (MpWaitable *waitable,
                           MpWaitSpot *spot)
{
  MpDescriptor *self = MP_DESCRIPTOR (waitable);

  pthread_mutex_lock (&self->lock);
  self->spots = g_slist_remove (self->spots, spot);
  pthread_mutex_unlock (&self->lock);
}

static void
mp_descriptor_waitable_init (MpWaitableInterface *iface)
{
  iface->look = mp_descriptor_wait_look;
  iface->arm = mp_descriptor_wait_arm;
  iface->disarm = mp_descriptor_wait_disarm;
}

MP_SHAREABLE_DEFINE_KIND (mp_descriptor, KIND, mp_descriptor_adopt)

static void
mp_descriptor_finalize (GObject *object)
{
  MpDescriptor *self = MP_DESCRIPTOR (object);

  mp_fd_close (&self->fd);
  pthread_mutex_destroy (&self->lock);

  G_OBJECT_CLASS (mp_descriptor_parent_class)->finalize (object);
}

static void
mp_descriptor_class_init (MpDescriptorClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = mp_descriptor_finalize;
}

static void
mp_descriptor_init (MpDescriptor *self)
{
  pthread_mutex_init (&self->lock, NULL);
  self->fd = -1;
}

/**
 * mp_descriptor_new:
 * @fd: a file descriptor
 * @error: return location for an error
 *
 * Makes an object for a duplicate of the descriptor.
 *
 * The duplicate is closed on `exec()`; @fd stays the caller's. Errors: `G_IO_ERROR_INVALID_ARGUMENT` when @fd is no open
 * descriptor, `G_IO_ERROR_TOO_MANY_OPEN_FILES`.
 *
 * Returns: (transfer full): the object
 *
 * Since: 0.1
 */
MpDescriptor *
mp_descriptor_new (int      fd,
                   GError **error)
{
  int own = mp_fd_dup (fd);
  int saved_errno = errno;

  if (own < 0)
    {
      g_autofree char *operation = g_strdup_printf ("duplicate descriptor %d", fd);

      set_error (error, operation, saved_errno);
      return NULL;
    }

  return mp_descriptor_new_owning (own);
}

/**
 * mp_descriptor_new_take:
 * @fd: a file descriptor
 * @error: return location for an error
 *
 * Makes an object for the descriptor itself.
 *
 * On success @fd belongs to the object, which closes it, and is closed on `exec()`. The only error is
 * `G_IO_ERROR_INVALID_ARGUMENT`, when @fd is no open descriptor.
 *
 * Returns: (transfer full): the object
 *
 * Since: 0.1
 */
MpDescriptor *
mp_descriptor_new_take (int      fd,
                        GError **error)
{
  int flags = fcntl (fd, F_GETFD);

  if (flags < 0 || fcntl (fd, F_SETFD, flags | FD_CLOEXEC) < 0)
    {
      set_error (error, "take a descriptor", errno);
      return NULL;
    }

  return mp_descriptor_new_owning (fd);
}

/**
 * mp_descriptor_get_fd:
 * @self: a descriptor
 *
 * Gets the file descriptor.
 *
 * It stays the object's: [method@Mp.Descriptor.dup_fd] gives one to keep, [method@Mp.Descriptor.steal_fd] this one.
 *
 * Returns: the file descriptor, -1 when it was closed or stolen
 *
 * Since: 0.1
 */
int
mp_descriptor_get_fd (MpDescriptor *self)
{
  int fd;

  g_return_val_if_fail (MP_IS_DESCRIPTOR (self), -1);

  pthread_mutex_lock (&self->lock);
  fd = self->fd;
  pthread_mutex_unlock (&self->lock);

  return fd;
}

/**
 * mp_descriptor_dup_fd:
 * @self: a descriptor
 * @error: return location for an error
 *
 * Duplicates the file descriptor.
 *
 * The duplicate is the caller's, and is closed on `exec()`. Errors: `G_IO_ERROR_CLOSED` when it was closed or stolen,
 * `G_IO_ERROR_TOO_MANY_OPEN_FILES`.
 *
 * Returns: the duplicate, -1 with an error
 *
 * Since: 0.1
 */
int
mp_descriptor_dup_fd (MpDescriptor  *self,
                      GError       **error)
{
  g_return_val_if_fail (MP_IS_DESCRIPTOR (self), -1);

  return dup_fd (self, "duplicate a descriptor", error);
}

/**
 * mp_descriptor_steal_fd:
 * @self: a descriptor
 *
 * Takes the file descriptor out of the object.
 *
 * It is the caller's then, and the object is as one that is closed.
 *
 * Returns: the file descriptor, -1 when it was closed or stolen before
 *
 * Since: 0.1
 */
int
mp_descriptor_steal_fd (MpDescriptor *self)
{
  int fd;

  g_return_val_if_fail (MP_IS_DESCRIPTOR (self), -1);

  pthread_mutex_lock (&self->lock);
  fd = g_steal_fd (&self->fd);
  for (GSList *link = self->spots; link != NULL; link = link->next)
    mp_wait_spot_tell (link->data);
  pthread_mutex_unlock (&self->lock);

  return fd;
}

/**
 * mp_descriptor_close:
 * @self: a descriptor
 *
 * Closes the file descriptor.
 *
 * To close twice is no error. An object that is finalized is closed.
 *
 * Since: 0.1
 */
void
mp_descriptor_close (MpDescriptor *self)
{
  int fd;

  g_return_if_fail (MP_IS_DESCRIPTOR (self));

  fd = mp_descriptor_steal_fd (self);
  mp_fd_close (&fd);
}

/**
 * mp_descriptor_is_closed:
 * @self: a descriptor
 *
 * Gets whether the object has no file descriptor any more.
 *
 * Returns: whether it was closed or stolen
 *
 * Since: 0.1
 */
gboolean
mp_descriptor_is_closed (MpDescriptor *self)
{
  g_return_val_if_fail (MP_IS_DESCRIPTOR (self), TRUE);

  return mp_descriptor_get_fd (self) < 0;
}
