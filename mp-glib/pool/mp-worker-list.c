/* mp-worker-list.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/pool/mp-pool-view-private.h"

/* The list of a pool's workers follows them from look to look: ordered by number, one item for each process. */

static MpWorkerState
find_state (MpPoolWorker *worker)
{
  switch (worker->state)
    {
    case MP_WORKER_STARTING:
      return MP_WORKER_STATE_STARTING;
    case MP_WORKER_INITIALIZING:
      return MP_WORKER_STATE_INITIALIZING;
    case MP_WORKER_READY:
      return mp_tally_is_running (worker) ? MP_WORKER_STATE_RUNNING : MP_WORKER_STATE_IDLE;
    default:
      return MP_WORKER_STATE_ENDING;
    }
}

GArray *
mp_worker_list_look (MpPoolCore *core)
{
  GArray *facts = g_array_new (FALSE, TRUE, sizeof (MpWorkerFacts));
  gint64 now = g_get_monotonic_time ();

  g_array_set_clear_func (facts, (GDestroyNotify) mp_worker_facts_clear);
  for (guint i = 0; i < core->n_workers; i++)
    {
      MpPoolWorker *worker = core->workers[i];
      MpWorkerFacts fact = { 0 };

      if (worker == NULL)
        continue;
      fact.number = worker->number;
      fact.serial = worker->serial;
      fact.pid = worker->pid;
      fact.state = find_state (worker);
      fact.n_done = worker->n_answered;
      fact.start_time = worker->start_time;
      fact.busy_time = MIN (worker->busy_us, G_MAXINT64);
      fact.task_start_time = -1;
      if (mp_tally_is_running (worker))
        {
          fact.task = g_strdup (mp_job_get_name (worker->flight[worker->first].job));
          fact.task_start_time = mp_tally_find_start (worker, now);
        }
      g_array_append_val (facts, fact);
    }

  return facts;
}

/* The next place, from *@position and *@index on, where list and facts differ, and how much differs there. */
static gboolean
find_difference (GListStore *list,
                 GArray     *facts,
                 guint      *position,
                 guint      *index,
                 guint      *n_gone,
                 guint      *n_new)
{
  guint n_items = g_list_model_get_n_items (G_LIST_MODEL (list));

  *n_gone = *n_new = 0;
  while (*position + *n_gone < n_items || *index + *n_new < facts->len)
    {
      g_autoptr(MpWorkerInfo) info = g_list_model_get_item (G_LIST_MODEL (list), *position + *n_gone);
      MpWorkerFacts *fact = *index + *n_new < facts->len ? &g_array_index (facts, MpWorkerFacts, *index + *n_new) : NULL;

      if (info != NULL && fact != NULL && mp_worker_info_get_serial (info) == fact->serial)
        {
          if (*n_gone > 0 || *n_new > 0)
            return TRUE;
          ++*position;
          ++*index;
          continue;
        }
      /* By number; of two with one number the old goes before the new one comes. */
      if (info != NULL && (fact == NULL || mp_worker_info_get_number (info) <= fact->number))
        ++*n_gone;
      else
        ++*n_new;
    }
  return *n_gone > 0 || *n_new > 0;
}

static void
replace (GListStore *list,
         GArray     *facts,
         guint       position,
         guint       index,
         guint       n_gone,
         guint       n_new)
{
  g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr(GPtrArray) additions = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < n_gone; i++)
    g_ptr_array_add (gone, g_list_model_get_item (G_LIST_MODEL (list), position + i));
  for (guint i = 0; i < n_new; i++)
    g_ptr_array_add (additions, mp_worker_info_new (&g_array_index (facts, MpWorkerFacts, index + i)));
  g_list_store_splice (list, position, n_gone, additions->pdata, n_new);
  for (guint i = 0; i < n_gone; i++)
    mp_worker_info_end (g_ptr_array_index (gone, i));
}

void
mp_worker_list_update (GListStore *self,
                       GArray     *facts)
{
  guint position = 0, index = 0, n_gone = 0, n_new = 0;

  while (find_difference (self, facts, &position, &index, &n_gone, &n_new))
    {
      replace (self, facts, position, index, n_gone, n_new);
      position += n_new;
      index += n_new;
    }

  for (guint i = 0; i < facts->len; i++)
    {
      g_autoptr(MpWorkerInfo) info = g_list_model_get_item (G_LIST_MODEL (self), i);
      MpWorkerFacts *fact = &g_array_index (facts, MpWorkerFacts, i);

      /* It is a store, and whoever looks at it could have written to it. */
      if (info != NULL && mp_worker_info_get_serial (info) == fact->serial)
        mp_worker_info_update (info, fact);
    }
}
