/* mp-spin-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A short busy wait before a thread goes to sleep: an answer that comes within some microseconds is then found without
 * the cost of falling asleep and being woken. Between two looks it yields, so that on a busy CPU the one that is waited
 * for runs at once; and it gives itself up for a while when it does not pay. Zeros at first.
 *
 *   gint64 until = mp_spin_begin (&spin);
 *
 *   if (until > 0)
 *     {
 *       while (!(found = look ()) && mp_spin_again (until))
 *         ;
 *       mp_spin_end (&spin, until, found);
 *     }
 */
typedef struct
{
  int    credit;      /* of times that paid */
  guint  to_skip;     /* waits for which it is not tried */
  guint  last_skip;
} MpSpin;

/* Result: until when it may last, 0: not now. */
gint64   mp_spin_begin (MpSpin   *self);
gboolean mp_spin_again (gint64    until);
void     mp_spin_end   (MpSpin   *self,
                        gint64    until,
                        gboolean  found);
/* Between two looks at memory that another CPU is about to change, where that is worth no system call. */
static inline void
mp_spin_pause (void)
{
#if defined (__x86_64__) || defined (__i386__)
  __builtin_ia32_pause ();
#elif defined (__aarch64__) || defined (__arm__)
  __asm__ volatile ("yield");
#endif
}

/* For all of this process: whether it is ever tried. Before any use. */
void     mp_spin_set_for_testing (gboolean is_on);

G_END_DECLS
