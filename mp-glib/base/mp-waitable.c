/* mp-waitable.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-waitable-private.h"

/**
 * MpWaitable:
 *
 * An object that can be waited for together with others, by [func@Mp.wait].
 *
 * What makes it ready is said by its class:
 *
 * - [class@Mp.Connection]: a receiving call would not block: a whole message is there, or the end of the stream.
 * - [class@Mp.Listener]: accepting would not block: a client has shown that it has the key. Handshakes go on meanwhile.
 * - [class@Mp.Process]: it has ended.
 * - [class@Mp.Queue] and its subclasses: a getting call would not block: there is an item, or the end.
 * - [class@Mp.Descriptor]: to read from it would not block.
 * - [class@Mp.Future]: the task has ended, well or not.
 *
 * One that is closed is ready, because what is done to it next does not block. To wait takes nothing from any of them.
 *
 * The interface is implemented by the library only.
 *
 * Since: 0.1
 */

G_DEFINE_INTERFACE (MpWaitable, mp_waitable, G_TYPE_OBJECT)

static void
mp_waitable_default_init (MpWaitableInterface *iface)
{
}
