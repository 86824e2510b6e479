/* mp-task-list-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-pool-tally-private.h"

G_BEGIN_DECLS

/* The tasks of a pool that have not ended, in order of their submission, as a GListModel of futures. Those are made when
 * somebody asks for them: a window shows few of a hundred thousand. In the pool's main context only. */
#define MP_TYPE_TASK_LIST (mp_task_list_get_type ())
G_DECLARE_FINAL_TYPE (MpTaskList, mp_task_list, MP, TASK_LIST, GObject)

/* What comes and goes, taken out of the tally in one piece. */
typedef struct
{
  gboolean  was_cut;   /* all that was listed so far is not to be listed any more */
  GArray   *gone;      /* (owned) (element-type guint64) numbers */
  GArray   *fresh;     /* (owned) the last first */
} MpTaskListChange;

MpTaskList *mp_task_list_new     (void);
/* With the hub's lock held. */
void        mp_task_list_look    (MpPoolCore        *core,
                                  MpTaskListChange  *change);
/* Takes what is in @change. */
void        mp_task_list_update  (MpTaskList        *self,
                                  MpTaskListChange  *change);

/* With the hub's lock held: whether tasks are listed. */
void        mp_tally_set_listing (MpPoolCore        *core,
                                  gboolean           listing);

G_END_DECLS
