/* mp-cgroup-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What limits this process together with others. */

typedef void (* MpCgroupFunc) (const char *dir,
                               gboolean    v2,
                               gpointer    user_data);

/* Calls @func for the folder of each control group that this process is in, from its own up to the top of what is
 * mounted: of version 1's hierarchy that has @controller, and of version 2's. @root: "/". */
void     mp_cgroup_foreach (const char   *root,
                            const char   *controller,
                            MpCgroupFunc  func,
                            gpointer      user_data);
/* (nullable) (transfer full): the text of a file there, without the end of the line. */
char    *mp_cgroup_read    (const char   *dir,
                            const char   *name);

G_END_DECLS
