/* mp-boot-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-private.h"

#include <sys/types.h>

G_BEGIN_DECLS

/* What this process is, found out at load and by mp_init(), and the guards that keep a program from starting itself
 * without end. Two marks make a worker: the variable MP_WORKER, "<socket>:<pid of the owner>:<life-line or -1>", and a
 * blocked real-time signal, which survives what loses the variable: set-uid, env -i, a shell in between. */

#define MP_WORKER_VARIABLE "MP_WORKER"

typedef enum
{
  MP_MARK_NONE,       /* an ordinary process */
  MP_MARK_WORKER,
  MP_MARK_TAINTED,    /* a worker that lost its mark, or a forged one: may start nothing */
} MpMark;

/* Written at load and by mp_init(), both before there is a second thread that uses the library. */
typedef struct
{
  MpMark       mark;
  const char  *taint;         /* (nullable) static: why it is tainted */
  pid_t        pid;           /* worker: as it was at load */
  int          fd;            /* worker: its socket, until the wire has it */
  int          lifeline;      /* worker: armed; -1 none */
  MpWire      *wire;          /* (owned) (nullable) worker: made at first use */

  gboolean     initialized;   /* mp_init() has been here */
  const char  *refused;       /* (nullable) static: why mp_init() did not do its work */
  gboolean     booting;       /* worker: not READY yet; cannot start anything */

  /* The command line to run again, as it was at mp_init(). */
  char        *exe;           /* (owned) what to execute */
  dev_t        exe_device;    /* of the file at @exe then; */
  ino_t        exe_inode;     /* 0: there was none */
  char       **argv;          /* (owned) */
  int          cwd_fd;        /* O_PATH; -1 unknown */
} MpBoot;

MpBoot     *mp_boot_get              (void);

/* Remembers command line and directory, once. */
void        mp_boot_capture          (void);

/* Worker: its wire, made at first use. */
MpWire     *mp_boot_get_wire         (void);
/* Worker: tells the owner why this process will not work, before it is READY. */
void        mp_boot_send_error       (const GError     *error);

/* All guards that are certain at once. A worker that is not ready yet tells its owner, too. */
gboolean    mp_boot_check_may_start  (GError          **error);

/* What to execute for another copy of this program: the file as long as it is the same one, else the running image. */
const char *mp_boot_get_exe          (void);

G_END_DECLS
