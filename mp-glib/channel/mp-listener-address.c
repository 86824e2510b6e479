/* mp-listener-address.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-listener-private.h"

#include "mp-glib/channel/mp-address-private.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>

/* From what a listener is asked to listen at to the socket that does. */

/* Of one name. */
#define MAX_ADDRESSES 64

static gboolean
set_system_error (GError    **error,
                  int         code,
                  const char *where)
{
  if (code == EEXIST)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS, "listener: cannot listen at %s: there is something that is no "
                 "socket", where);
  else if (code == EADDRINUSE)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE, "listener: cannot listen at %s: somebody does already",
                 where);
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "listener: cannot listen at %s: %s", where,
                 g_strerror (code));
  return FALSE;
}

/* The address that a socket has got: of TCP, the port. */
static GSocketAddress *
get_bound (int fd)
{
  struct sockaddr_storage bound;
  socklen_t size = sizeof bound;

  if (getsockname (fd, (struct sockaddr *) &bound, &size) < 0)
    return NULL;
  return g_socket_address_new_from_native (&bound, size);
}

/* For who comes after the program has changed its directory, if it has room in an address. */
static char *
make_absolute (const char *path)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);

  return g_strdup (strlen (absolute) <= MP_ADDRESS_MAX_PATH ? absolute : path);
}

static int
listen_at_path (MpListenerCore    *core,
                MpListenerAddress *self,
                const char        *path)
{
  char *absolute = make_absolute (path);
  int fd = mp_listen_at_path (path, self->backlog, &core->file);
  int saved_errno = errno;

  if (fd >= 0)
    self->socket_address = g_unix_socket_address_new (absolute);
  g_free (absolute);
  errno = saved_errno;
  return fd;
}

static int
listen_at (MpListenerCore    *core,
           MpListenerAddress *self,
           GSocketAddress    *address,
           GError           **error)
{
  g_autofree char *text = mp_address_to_string (G_SOCKET_CONNECTABLE (address));
  struct sockaddr_storage native;
  int fd;

  if (!mp_listener_tls_check_address (core, address, error))
    return -1;

  if (G_IS_UNIX_SOCKET_ADDRESS (address) &&
      g_unix_socket_address_get_address_type (G_UNIX_SOCKET_ADDRESS (address)) == G_UNIX_SOCKET_ADDRESS_PATH)
    {
      fd = listen_at_path (core, self, g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (address)));
    }
  else
    {
      if (!g_socket_address_to_native (address, &native, sizeof native, error))
        return -1;
      fd = mp_listen_at ((struct sockaddr *) &native, g_socket_address_get_native_size (address), self->backlog);
    }

  if (fd < 0)
    set_system_error (error, errno, text);
  else if (self->socket_address == NULL)
    self->socket_address = get_bound (fd);
  return fd;
}

/* All addresses, those of IPv6 last. This may ask a name server. */
static GPtrArray *
list_addresses (GSocketConnectable *connectable,
                GCancellable       *cancellable,
                GError            **error)
{
  g_autoptr(GSocketAddressEnumerator) enumerator = g_socket_connectable_enumerate (connectable);
  g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func (g_object_unref);
  GError *local_error = NULL;
  GSocketAddress *address;
  g_autofree char *where = NULL;
  guint n_first = 0;

  while (addresses->len < MAX_ADDRESSES &&
         (address = g_socket_address_enumerator_next (enumerator, cancellable, &local_error)) != NULL)
    if (g_socket_address_get_family (address) == G_SOCKET_FAMILY_IPV6)
      g_ptr_array_add (addresses, address);
    else
      g_ptr_array_insert (addresses, n_first++, address);

  if (addresses->len > 0)
    {
      g_clear_error (&local_error);
      return g_steal_pointer (&addresses);
    }

  if (local_error == NULL)
    g_set_error (&local_error, G_IO_ERROR, G_IO_ERROR_HOST_NOT_FOUND, "it stands for no address");
  where = g_socket_connectable_to_string (connectable);
  g_propagate_prefixed_error (error, local_error, "listener: cannot listen at %s: ", where);
  return NULL;
}

static int
listen_at_connectable (MpListenerCore     *core,
                       MpListenerAddress  *self,
                       GSocketConnectable *connectable,
                       GCancellable       *cancellable,
                       GError            **error)
{
  g_autoptr(GPtrArray) addresses = list_addresses (connectable, cancellable, error);
  GError *local_error = NULL;
  int fd = -1;
  guint i;

  /* The first error is the one to tell: the others may be those of a family that this machine has not. */
  for (i = 0; addresses != NULL && i < addresses->len && fd < 0; i++)
    fd = listen_at (core, self, g_ptr_array_index (addresses, i), local_error == NULL ? &local_error : NULL);

  if (fd >= 0)
    g_clear_error (&local_error);
  else if (local_error != NULL)
    g_propagate_error (error, local_error);
  return fd;
}

static int
listen_in_own_directory (MpListenerCore    *core,
                         MpListenerAddress *self,
                         GError           **error)
{
  g_autofree char *path = NULL;
  int fd = -1;

  if (mp_socket_directory_make (&core->directory) < 0)
    {
      set_system_error (error, errno, g_get_tmp_dir ());
      return -1;
    }

  path = g_build_filename (core->directory.path, "socket", NULL);
  if (strlen (path) > MP_ADDRESS_MAX_PATH)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG, "listener: the path %s is too long for a socket",
                 path);
  else if ((fd = listen_at_path (core, self, path)) < 0)
    set_system_error (error, errno, path);
  if (fd < 0)
    mp_socket_directory_remove (&core->directory);
  return fd;
}

int
mp_listener_bind (MpListenerCore    *core,
                  MpListenerAddress *self,
                  GCancellable      *cancellable,
                  GError           **error)
{
  MpAddressFlags flags = MP_ADDRESS_FLAGS_LISTEN | (self->allow_abstract ? MP_ADDRESS_FLAGS_ALLOW_ABSTRACT : 0);

  if (self->connectable == NULL && self->address == NULL)
    return mp_listener_tls_check_address (core, NULL, error) ? listen_in_own_directory (core, self, error) : -1;

  if (self->connectable == NULL)
    {
      self->connectable = mp_address_parse (self->address, flags, error);
      if (self->connectable == NULL)
        return -1;
    }
  return mp_address_check (self->connectable, flags, error)
         ? listen_at_connectable (core, self, self->connectable, cancellable, error) : -1;
}
