/* mp-connection-blob.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-connection-private.h"

#include "mp-glib/base/mp-blob.h"
#include "mp-glib/base/mp-error.h"

#include <string.h>

/* Messages for bindings, to which every call and every object in between costs something: one call for each. */

/* More bytes are not copied once more. */
#define MAX_COPIED 4096

/**
 * mp_connection_send_blob:
 * @self: a connection
 * @tag: what reads it: the language and its format
 * @data: (array length=size) (element-type guint8): the value's bytes
 * @size: their number
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @error: return location for an error
 *
 * Sends the plain value of another language, and waits until it has left.
 *
 * This is for bindings: it is [func@Mp.blob_new], without a text and parts, and [method@Mp.Connection.send] in one.
 *
 * Returns: whether the message is sent
 *
 * Since: 0.1
 */
gboolean
mp_connection_send_blob (MpConnection  *self,
                         const char    *tag,
                         const guint8  *data,
                         gsize          size,
                         gint64         timeout_us,
                         GCancellable  *cancellable,
                         GError       **error)
{
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(GVariant) blob = NULL;

  g_return_val_if_fail (MP_IS_CONNECTION (self), FALSE);
  g_return_val_if_fail (tag != NULL, FALSE);
  g_return_val_if_fail (data != NULL || size == 0, FALSE);

  /* It is encoded before the call returns, so the bytes need not live longer. */
  bytes = g_bytes_new_static (data, size);
  blob = mp_blob_new (tag, "", bytes, NULL, 0);
  return mp_connection_send (self, blob, timeout_us, cancellable, error);
}

/* The bytes of a blob of this tag that is nothing but bytes; else NULL. */
static GVariant *
get_plain_blob (GVariant   *value,
                const char *tag)
{
  g_autoptr(GVariant) text = NULL;
  g_autoptr(GVariant) parts = NULL;
  const char *found;

  if (!g_variant_is_of_type (value, (const GVariantType *) "(ssayav)"))
    return NULL;

  g_variant_get_child (value, 0, "&s", &found);
  text = g_variant_get_child_value (value, 1);
  parts = g_variant_get_child_value (value, 3);
  if (strcmp (found, tag) != 0 || g_variant_get_string (text, NULL)[0] != 0 || g_variant_n_children (parts) > 0)
    return NULL;

  return g_variant_get_child_value (value, 2);
}

/* Gives the bytes of @data, an `ay` that is consumed, one way or the other. */
static guint8 *
give (GVariant  *data,
      GVariant **value,
      gsize     *size)
{
  const guint8 *bytes = g_variant_get_fixed_array (data, size, 1);
  guint8 *copy;

  if (*size > MAX_COPIED)
    {
      *size = 0;
      *value = data;
      return NULL;
    }

  copy = g_memdup2 (bytes, *size);
  g_variant_unref (data);
  return copy;
}

/**
 * mp_connection_recv_blob:
 * @self: a connection
 * @kinds: which messages are wanted: 1 for values, 2 for bytes, 3 for either
 * @tag: the tag of blobs that are to be taken apart
 * @timeout_us: microseconds to wait, -1 for ever, 0 to try once
 * @cancellable: (nullable): ends the wait
 * @size: (out): number of bytes that are returned
 * @kind: (out): what came: 0 for nothing, 1 for a value, 2 for bytes, 3 for a blob of @tag that holds bytes only
 * @value: (out) (transfer full) (nullable): the value; of bytes and blobs, when they are many, an `ay` of them
 * @error: return location for an error
 *
 * Receives a message.
 *
 * This is for bindings: it is what [method@Mp.Connection.recv], [method@Mp.Connection.recv_bytes] and
 * [func@Mp.blob_get] do in one. Unlike these it has no error when @timeout_us is 0 and nothing is there.
 *
 * Returns: (transfer full) (nullable) (array length=size) (element-type guint8): the bytes
 *
 * Since: 0.1
 */
guint8 *
mp_connection_recv_blob (MpConnection  *self,
                         guint          kinds,
                         const char    *tag,
                         gint64         timeout_us,
                         GCancellable  *cancellable,
                         gsize         *size,
                         guint         *kind,
                         GVariant     **value,
                         GError       **error)
{
  MpOp op = { .state = MP_OP_IDLE, .kind = kinds };
  g_autoptr(GError) local_error = NULL;
  guint8 *data = NULL;
  GVariant *child;

  *size = 0;
  *kind = 0;
  *value = NULL;
  g_return_val_if_fail (MP_IS_CONNECTION (self), NULL);
  g_return_val_if_fail (kinds >= MP_MESSAGE_VALUE && kinds <= MP_MESSAGE_ANY, NULL);
  g_return_val_if_fail (tag != NULL, NULL);

  if (!mp_connection_run_op (self, &op, "connection receive", timeout_us, cancellable, &local_error))
    {
      if (timeout_us != 0 || !g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        g_propagate_error (error, g_steal_pointer (&local_error));
    }
  else if (op.bytes != NULL)
    {
      *kind = 2;
      child = g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, op.bytes, TRUE);
      data = give (g_variant_ref_sink (child), value, size);
    }
  else
    {
      child = get_plain_blob (op.value, tag);
      *kind = child != NULL ? 3 : 1;
      if (child != NULL)
        data = give (child, value, size);
      else
        *value = g_steal_pointer (&op.value);
    }

  mp_op_clear (&op);
  return data;
}
