/* mp-event-loop.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-event-loop.h"
#include "mp-glib/base/mp-hub-state-private.h"

/**
 * mp_loop_get_fd:
 *
 * Gets the descriptor to watch in an event loop that is not GLib's.
 *
 * It becomes readable when [func@Mp.loop_dispatch], called in a thread with the same thread-default main context as
 * that of the caller, has something to do: results have come in, or callbacks and signals are due. The descriptor
 * belongs to the library; it is the same for every call with one main context, and stays open. Nothing is to be read
 * from it. It is a level: it stays readable until the work is done.
 *
 * A program that runs a [struct@GLib.MainLoop] needs neither of the two.
 *
 * Returns: a descriptor, or -1 when the process has none left
 *
 * Since: 0.1
 */
int
mp_loop_get_fd (void)
{
  g_autoptr(GMainContext) context = g_main_context_ref_thread_default ();

  return mp_hub_get_external_fd (context);
}

/**
 * mp_loop_dispatch:
 *
 * Does what the descriptor of [func@Mp.loop_get_fd] is readable for, without blocking.
 *
 * Callbacks and signals that are due in the thread-default main context of the caller are run, and nothing else of that
 * context. Does nothing for them while another thread owns the context.
 *
 * Since: 0.1
 */
void
mp_loop_dispatch (void)
{
  g_autoptr(GMainContext) context = g_main_context_ref_thread_default ();

  mp_hub_dispatch_external (context);
}

/**
 * mp_set_interrupt_fd:
 * @fd: a descriptor, or -1 for none
 *
 * Sets what interrupts the blocking calls of the calling thread.
 *
 * While it is set, a blocking call ends with `MP_ERROR_INTERRUPTED` as soon as @fd is readable, unless what it waits for
 * is there. Nothing is read from @fd, and it is not closed. This is for language bindings whose signal handlers cannot
 * run during a call into C: they watch the descriptor to which their signals are written.
 *
 * Returns: the descriptor that was set before, or -1
 *
 * Since: 0.1
 */
int
mp_set_interrupt_fd (int fd)
{
  return mp_hub_set_interrupt_fd (fd);
}
