/* mp-future-list-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/pool/mp-future-list.h"
#include "mp-glib/pool/mp-future-private.h"

G_BEGIN_DECLS

/* A list of futures without its GObject: which of them have ended, and who waits for the next one that does. What is
 * marked (unlocked) is called without the hub's lock, everything else with it. */

typedef struct _MpRoster MpRoster;
typedef struct _MpRosterEntry MpRosterEntry;

struct _MpRosterEntry
{
  MpJobWatch     watch;
  int            ref_count;   /* atomic */
  MpRoster      *roster;      /* (not owned): only while it is a member */
  MpFuture      *future;      /* (owned) */
  gboolean       done, given;
  MpRosterEntry *next_done;   /* of those that have ended and have not been given */
};

struct _MpRoster
{
  int            ref_count;   /* atomic */
  GMainContext  *context;     /* (owned) the hub's reference: where the list notifies */
  GWeakRef       list;        /* (unlocked) */
  guint          n_members, n_done, n_given;
  MpRosterEntry *first_done, *last_done;
  GQueue         replies;     /* (element-type MpReply): who waits for the next one */
  GPtrArray     *cores;       /* (element-type MpPoolCore): (owned) all pools that members ever came from */
  GPtrArray     *maps;        /* (element-type MpRosterEntry): members that are maps and have not ended */
  gboolean       armed;       /* a notification is on its way, … */
  MpTimer       *timer;       /* … but not yet */
  gint64         told_us;     /* when the last one was */
};

MpRoster      *mp_roster_new         (MpFutureList         *list);      /* (unlocked) */
MpRoster      *mp_roster_ref         (MpRoster             *self);
void           mp_roster_unref       (gpointer              self);      /* (unlocked) */
MpRosterEntry *mp_roster_add         (MpRoster             *self,
                                      MpFuture             *future);    /* (unlocked) */
void           mp_roster_remove      (MpRoster             *self,
                                      MpRosterEntry        *entry);     /* (unlocked) takes it */
/* TRUE: @entry is the next that has ended, with a reference, or NULL if all have been given. FALSE: none has. */
gboolean       mp_roster_take        (MpRoster             *self,
                                      MpRosterEntry       **entry);
void           mp_roster_entry_unref (MpRosterEntry        *entry);     /* (unlocked) */
/* How much has ended, as a number of members. */
double         mp_roster_get_sum     (MpRoster             *self);
/* The list is gone. */
void           mp_roster_drop        (MpRoster             *self);      /* (unlocked) */
/* Keys for a blocking call. */
GPtrArray     *mp_roster_list_owners (MpRoster             *self);      /* (unlocked) */
/* Answered when the next one has ended. Its data is an MpRosterEntry, that is set then. */
void           mp_roster_wait        (MpRoster             *self,
                                      MpReply              *reply);
void           mp_roster_withdraw    (MpRoster             *self,
                                      MpReply              *reply);

/* mp-future-list.c */
void           mp_future_list_notify (MpFutureList         *self);      /* (unlocked) */

G_END_DECLS
