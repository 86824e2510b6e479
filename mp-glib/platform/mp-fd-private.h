/* mp-fd-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Descriptors: every one made here is CLOEXEC and never 0, 1 or 2, which a program that has closed them may still write
 * to. -1 sets errno. */
int      mp_fd_dup              (int          fd);
int      mp_fd_lift             (int          fd);          /* takes @fd; the same, or its duplicate from 3 up; -1 stays */
int      mp_fd_lift_pair        (int          fds[2]);      /* -1: both are closed */
void     mp_fd_close            (int         *fd);          /* closes unless -1, sets to -1, keeps errno */
int      mp_fd_pipe             (int          fds[2]);
int      mp_fd_eventfd          (void);                     /* non-blocking */
/* This thread's eventfd, kept for its next sleep; a forked copy has its own. An earlier sleep's signal may still be in it:
 * who finds it readable clears it. -1: there are no descriptors left, it is to look again by itself. */
int      mp_fd_get_thread_event (void);
void     mp_fd_signal           (int          fd);          /* of an eventfd: adds 1 */
void     mp_fd_clear_signal     (int          fd);
int      mp_fd_open_null        (void);
/* All of @data to a blocking descriptor, up to an error; a pipe without readers raises no SIGPIPE. */
void     mp_fd_write_quietly    (int           fd,
                                 gconstpointer data,
                                 gsize         size);
/* A sealed (SHRINK|GROW) memory file of @size zero bytes; MFD_NOEXEC_SEAL where the kernel knows it. EFBIG where files may
 * not be so large. */
int      mp_fd_memory_file      (const char  *name,
                                 gsize        size);
/* As F_GET_SEALS tells them; -1: it is no memory file, or one of huge pages. */
int      mp_fd_get_seals        (int          fd);
/* Whether it is a memory file that cannot shrink; nothing is read, so that no other kind of file can make it wait. */
gboolean mp_fd_is_sealed        (int          fd);
/* Checks size and seals of a memory file got from another process, then maps it shared. NULL sets errno. */
gpointer mp_fd_map_memory_file  (int          fd,
                                 gsize        size);
gpointer mp_fd_map_part         (int          fd,
                                 guint64      offset,      /* a multiple of the size of a page */
                                 gsize        size);
void     mp_fd_unmap            (gpointer     address,
                                 gsize        size);
/* Anonymous memory for large buffers, huge pages asked for. mp_fd_unmap() frees it. */
gpointer mp_fd_map_anonymous    (gsize        size);
/* For functions that run between clone() and exec(), on a stack that is unmapped before they return: address sanitizer
 * must not leave its marks there. */
#define MP_IN_CHILD __attribute__ ((no_sanitize_address))

/* Sets CLOEXEC on all descriptors from @first up: close_range(), else by /proc/self/fd, else up to the limit.
 * Async-signal-safe. */
void     mp_fd_cloexec_from     (int          first);

G_END_DECLS
