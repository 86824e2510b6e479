/* mp-task-list.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-task-list-private.h"

#include "mp-glib/pool/mp-future-private.h"

/* Up to so many gaps are told one by one, so that whoever looks at the list keeps its place; more as one change. */
#define MAX_GAPS 32

typedef struct
{
  guint64   number;   /* ascending */
  MpJob    *job;      /* (owned) */
  MpFuture *future;   /* (owned) (nullable): when it has been asked for */
} Entry;

struct _MpTaskList
{
  GObject  parent_instance;

  GArray  *entries;   /* (owned) (element-type Entry) */
};

static void mp_task_list_iface_init (GListModelInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MpTaskList, mp_task_list, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, mp_task_list_iface_init))

static void
entry_clear (gpointer data)
{
  Entry *entry = data;

  g_clear_object (&entry->future);
  g_clear_pointer (&entry->job, mp_job_unref);
}

static GArray *
entries_new (void)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (Entry));

  g_array_set_clear_func (entries, entry_clear);

  return entries;
}

static GType
mp_task_list_get_item_type (GListModel *model)
{
  return MP_TYPE_FUTURE;
}

static guint
mp_task_list_get_n_items (GListModel *model)
{
  return MP_TASK_LIST (model)->entries->len;
}

static gpointer
mp_task_list_get_item (GListModel *model,
                       guint       position)
{
  MpTaskList *self = MP_TASK_LIST (model);
  Entry *entry = NULL;

  if (position >= self->entries->len)
    return NULL;

  entry = &g_array_index (self->entries, Entry, position);
  if (entry->future == NULL)
    entry->future = mp_future_find (entry->job);
  return g_object_ref (entry->future);
}

static void
mp_task_list_iface_init (GListModelInterface *iface)
{
  iface->get_item_type = mp_task_list_get_item_type;
  iface->get_n_items = mp_task_list_get_n_items;
  iface->get_item = mp_task_list_get_item;
}

static void
mp_task_list_finalize (GObject *object)
{
  g_array_unref (MP_TASK_LIST (object)->entries);

  G_OBJECT_CLASS (mp_task_list_parent_class)->finalize (object);
}

static void
mp_task_list_class_init (MpTaskListClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = mp_task_list_finalize;
}

static void
mp_task_list_init (MpTaskList *self)
{
  self->entries = entries_new ();
}

MpTaskList *
mp_task_list_new (void)
{
  return g_object_new (MP_TYPE_TASK_LIST, NULL);
}

/* With the hub's lock held. Numbers grow with the places of jobs in the pool's own list, so that those that the list has not
 * seen are found at its end, and nothing has to be kept for them. */

void
mp_tally_set_listing (MpPoolCore *core,
                      gboolean    listing)
{
  MpTally *tally = core->tally;

  if (tally->listing == listing)
    return;

  tally->listing = listing;
  tally->list_was_cut = TRUE;
  tally->n_listed = tally->last_number;
  g_array_set_size (tally->unlisted, 0);
  for (MpJob *job = core->first_job; listing && job != NULL; job = job->next)
    job->list_number = ++tally->last_number;
  mp_pool_view_changed (core);
}

void
mp_task_list_look (MpPoolCore       *core,
                   MpTaskListChange *change)
{
  MpTally *tally = core->tally;

  change->was_cut = tally->list_was_cut;
  change->fresh = entries_new ();
  change->gone = tally->unlisted;
  tally->list_was_cut = FALSE;
  tally->unlisted = g_array_new (FALSE, FALSE, sizeof (guint64));
  if (!tally->listing)
    return;

  for (MpJob *job = core->last_job; job != NULL && job->list_number > tally->n_listed; job = job->prev)
    {
      Entry entry = { job->list_number, NULL, NULL };

      if (job->done)
        continue;
      entry.job = mp_job_ref (job);
      g_array_append_val (change->fresh, entry);
    }
  tally->n_listed = tally->last_number;
}

/* Changes. Whenever one is told, the list is as it says. */

static void
take_out (MpTaskList *self,
          guint       position,
          guint       n)
{
  g_array_remove_range (self->entries, position, n);
  g_list_model_items_changed (G_LIST_MODEL (self), position, n, 0);
}

static int
compare_numbers (gconstpointer a,
                 gconstpointer b)
{
  guint64 first = *(const guint64 *) a, second = *(const guint64 *) b;

  return first < second ? -1 : first > second;
}

static guint
find_entry (MpTaskList *self,
            guint64     number)
{
  guint low = 0, high = self->entries->len;

  while (low < high)
    {
      guint middle = low + (high - low) / 2;

      if (g_array_index (self->entries, Entry, middle).number < number)
        low = middle + 1;
      else
        high = middle;
    }
  return low;
}

/* Of the entries from @first to @last those that are left: as one change. */
static void
close_gaps (MpTaskList *self,
            guint       first,
            guint       last,
            GArray     *gone)
{
  g_autoptr(GArray) removed = entries_new ();
  guint kept = first, index = 0;

  for (guint i = first; i <= last; i++)
    {
      Entry *entry = &g_array_index (self->entries, Entry, i);

      if (index < gone->len && g_array_index (gone, guint64, index) == entry->number)
        {
          g_array_append_val (removed, *entry);
          index++;
        }
      else
        {
          g_array_index (self->entries, Entry, kept++) = *entry;
        }
    }
  /* What stands there now stands elsewhere, too. */
  g_array_set_clear_func (self->entries, NULL);
  g_array_remove_range (self->entries, kept, last + 1 - kept);
  g_array_set_clear_func (self->entries, entry_clear);
  g_list_model_items_changed (G_LIST_MODEL (self), first, last + 1 - first, kept - first);
}

static void
remove_gone (MpTaskList *self,
             GArray     *gone)
{
  g_autoptr(GArray) gaps = g_array_new (FALSE, FALSE, sizeof (guint));   /* positions, each with a length */

  g_array_sort (gone, compare_numbers);
  for (guint i = 0; i < gone->len; i++)
    {
      guint position = find_entry (self, g_array_index (gone, guint64, i));
      guint one = 1;
      guint *end = gaps->len > 0 ? &g_array_index (gaps, guint, gaps->len - 2) : NULL;

      if (end != NULL && end[0] + end[1] == position)
        {
          end[1]++;
          continue;
        }
      g_array_append_val (gaps, position);
      g_array_append_val (gaps, one);
    }

  if (gaps->len / 2 > MAX_GAPS)
    {
      close_gaps (self, g_array_index (gaps, guint, 0),
                  g_array_index (gaps, guint, gaps->len - 2) + g_array_index (gaps, guint, gaps->len - 1) - 1, gone);
      return;
    }
  for (guint i = gaps->len; i > 0; i -= 2)
    take_out (self, g_array_index (gaps, guint, i - 2), g_array_index (gaps, guint, i - 1));
}

void
mp_task_list_update (MpTaskList       *self,
                     MpTaskListChange *change)
{
  if (change->was_cut && self->entries->len > 0)
    take_out (self, 0, self->entries->len);
  if (change->gone->len > 0)
    remove_gone (self, change->gone);
  if (change->fresh->len > 0)
    {
      guint n = change->fresh->len, position = self->entries->len;

      for (guint i = n; i > 0; i--)
        g_array_append_val (self->entries, g_array_index (change->fresh, Entry, i - 1));
      g_array_set_clear_func (change->fresh, NULL);
      g_list_model_items_changed (G_LIST_MODEL (self), position, 0, n);
    }
  g_clear_pointer (&change->fresh, g_array_unref);
  g_clear_pointer (&change->gone, g_array_unref);
}
