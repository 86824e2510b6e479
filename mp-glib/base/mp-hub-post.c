/* mp-hub-post.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-hub-state-private.h"
#include "mp-glib/platform/mp-fd-private.h"

#include <errno.h>

/* The hub's source on one main context. */
typedef struct
{
  GSource       parent;
  MpHubContext *record;      /* (nullable): NULL once nobody needs the context; hub's lock */
  int           n_pending;   /* posts, atomic: GLib looks without the hub's lock */
} HubSource;

typedef struct
{
  gconstpointer owner;
  GQueue        posts;
} OwnerQueue;

typedef struct
{
  GList           context_link;
  GList           owner_link;
  OwnerQueue     *queue;
  guint64         number;
  MpPostFunc      func;
  gpointer        data;
  GDestroyNotify  destroy;
} Post;

typedef struct
{
  GTask               *task;        /* (owned) */
  GAsyncReadyCallback  callback;    /* (nullable) */
  gpointer             user_data;
} TaskPost;

static GSList *left_behind;   /* (element-type GHashTable): contexts of the process that this one was forked from */
static GHashTable *inherited; /* (nullable): context → how many references to it these had, and may be given back here */

static void record_unref (MpHubContext *record);

/* Not left behind by a fork in a callback: then it, and what it still holds, are the parent's. */
static gboolean
is_of_this_process (MpHubContext *record)
{
  return record->epoch == mp_hub.epoch;
}

static Post *
first_post (MpHubContext *record)
{
  return record->posts.head != NULL ? record->posts.head->data : NULL;
}

static Post *
first_post_of (MpHubContext  *record,
               gconstpointer  owner)
{
  OwnerQueue *queue = g_hash_table_lookup (record->owners, owner);

  return queue != NULL ? queue->posts.head->data : NULL;
}

static void
count_posts (int change)
{
  __atomic_store_n (&mp_hub.n_posts, mp_hub.n_posts + change, __ATOMIC_RELEASE);
}

/* Takes the post out first: whoever else looks for posts, in this thread or another one, does not find it again. */
static void
take_out (MpHubContext *record,
          Post         *post)
{
  g_queue_unlink (&record->posts, &post->context_link);
  g_queue_unlink (&post->queue->posts, &post->owner_link);
  if (post->queue->posts.length == 0)
    g_hash_table_remove (record->owners, post->queue->owner);
  count_posts (-1);

  g_atomic_int_add (&((HubSource *) record->source)->n_pending, -1);
  if (record->posts.length == 0)
    record->woken = FALSE;
}

static void
run_post (MpHubContext *record,
          Post         *post)
{
  take_out (record, post);
  mp_hub_unlock ();

  post->func (post->data);
  if (post->destroy != NULL)
    post->destroy (post->data);
  g_slice_free (Post, post);

  mp_hub_lock ();
  record_unref (record);
}

/* Runs what was posted up to @last, in order. By looking anew each time, because the callbacks may themselves block or
 * iterate the context, and so run some of it. */
static void
run_all (MpHubContext *record,
         guint64       last)
{
  Post *post;

  record->woken = FALSE;
  while (is_of_this_process (record) && (post = first_post (record)) != NULL && post->number <= last)
    run_post (record, post);
}

static gboolean
source_has_posts (HubSource *self)
{
  return g_atomic_int_get (&self->n_pending) > 0;
}

static gboolean
source_prepare (GSource *source,
                int     *timeout)
{
  *timeout = -1;
  return source_has_posts ((HubSource *) source);
}

static gboolean
source_check (GSource *source)
{
  return source_has_posts ((HubSource *) source);
}

static gboolean
source_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     user_data)
{
  MpHubContext *record;

  mp_hub_lock ();
  record = ((HubSource *) source)->record;
  if (record != NULL)
    {
      record->n_refs++;
      mp_hub_turn ();
      run_all (record, mp_hub.last_post);
      record_unref (record);
    }
  mp_hub_unlock ();

  return record != NULL ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static GSourceFuncs source_funcs = {
  .prepare = source_prepare,
  .check = source_check,
  .dispatch = source_dispatch,
};

static MpHubContext *
record_find (GMainContext *context)
{
  return mp_hub.contexts != NULL ? g_hash_table_lookup (mp_hub.contexts, context) : NULL;
}

static void
owner_queue_free (gpointer data)
{
  g_slice_free (OwnerQueue, data);
}

/* With a reference. */
static MpHubContext *
record_ref (GMainContext *context)
{
  MpHubContext *record = record_find (context);

  if (record == NULL)
    {
      mp_hub_ensure ();
      record = g_new0 (MpHubContext, 1);
      record->context = g_main_context_ref (context);
      record->owners = g_hash_table_new_full (NULL, NULL, NULL, owner_queue_free);
      record->event_fd = -1;
      record->poll_fd = -1;
      record->epoch = mp_hub.epoch;
      g_queue_init (&record->posts);

      record->source = g_source_new (&source_funcs, sizeof (HubSource));
      ((HubSource *) record->source)->record = record;
      g_source_set_static_name (record->source, "mp-glib hub");
      /* A callback may iterate the context until something comes that is brought by the hub. */
      g_source_set_can_recurse (record->source, TRUE);
      g_source_add_unix_fd (record->source, mp_hub.epfd, G_IO_IN);
      g_source_attach (record->source, context);

      if (mp_hub.contexts == NULL)
        mp_hub.contexts = g_hash_table_new (NULL, NULL);
      g_hash_table_insert (mp_hub.contexts, context, record);
    }

  record->n_refs++;
  return record;
}

static void
remove_dirty (MpHubContext *record)
{
  MpHubContext **at = &mp_hub.dirty;

  while (*at != NULL && *at != record)
    at = &(*at)->next_dirty;
  if (*at != NULL)
    *at = record->next_dirty;
}

static void
record_detach (MpHubContext *record)
{
  ((HubSource *) record->source)->record = NULL;
  g_source_destroy (record->source);
  g_source_unref (record->source);
  mp_fd_close (&record->event_fd);
  mp_fd_close (&record->poll_fd);
}

static void
record_unref (MpHubContext *record)
{
  if (--record->n_refs > 0 || !is_of_this_process (record))
    return;

  if (record->dirty)
    remove_dirty (record);
  g_hash_table_remove (mp_hub.contexts, record->context);
  record_detach (record);
  g_hash_table_unref (record->owners);
  /* The last reference to a context frees the user's sources. */
  mp_hub_run_unlocked ((GDestroyNotify) g_main_context_unref, record->context);
  g_free (record);
}

GMainContext *
mp_hub_ref_context (GMainContext *context)
{
  context = context != NULL ? g_main_context_ref (context) : g_main_context_ref_thread_default ();

  mp_hub_lock ();
  record_ref (context)->n_held++;
  mp_hub_unlock ();
  return context;
}

/* In a forked child: one that it has from its parent. Nothing tells it from one of its own, so those come first: what is
 * the child's own is not dropped before its time, and perhaps never. */
static gboolean
give_back_inherited (GMainContext *context)
{
  guint n = inherited != NULL ? GPOINTER_TO_UINT (g_hash_table_lookup (inherited, context)) : 0;

  if (n > 1)
    g_hash_table_insert (inherited, context, GUINT_TO_POINTER (n - 1));
  else if (n == 1)
    g_hash_table_remove (inherited, context);
  return n > 0;
}

void
mp_hub_unref_context (GMainContext *context)
{
  MpHubContext *record;

  mp_hub_lock ();
  record = record_find (context);
  if (!give_back_inherited (context) && record != NULL)
    {
      record->n_held--;
      record_unref (record);
    }
  mp_hub_run_unlocked ((GDestroyNotify) g_main_context_unref, context);
  mp_hub_unlock ();
}

static OwnerQueue *
owner_queue (MpHubContext  *record,
             gconstpointer  owner)
{
  OwnerQueue *queue = g_hash_table_lookup (record->owners, owner);

  if (queue == NULL)
    {
      queue = g_slice_new0 (OwnerQueue);
      queue->owner = owner;
      g_hash_table_insert (record->owners, (gpointer) owner, queue);
    }
  return queue;
}

void
mp_hub_post (GMainContext   *context,
             gconstpointer   owner,
             MpPostFunc      func,
             gpointer        data,
             GDestroyNotify  destroy)
{
  MpHubContext *record = record_ref (context);
  Post *post = g_slice_new0 (Post);
  GList *link;

  post->context_link.data = post;
  post->owner_link.data = post;
  post->queue = owner_queue (record, owner);
  post->number = ++mp_hub.last_post;
  post->func = func;
  post->data = data;
  post->destroy = destroy;
  g_queue_push_tail_link (&record->posts, &post->context_link);
  g_queue_push_tail_link (&post->queue->posts, &post->owner_link);
  count_posts (1);
  g_atomic_int_inc (&((HubSource *) record->source)->n_pending);

  if (!record->dirty)
    {
      record->dirty = TRUE;
      record->next_dirty = mp_hub.dirty;
      mp_hub.dirty = record;
    }
  for (link = mp_hub.sleepers.head; link != NULL; link = link->next)
    {
      MpHubSleeper *sleeper = link->data;

      for (guint i = 0; i < sleeper->n_owners; i++)
        if (sleeper->owners[i] == owner)
          sleeper->wanted = TRUE;
    }
}

/* A thread that owns its context comes by itself: it looks at the number of posts before it sleeps. */
static void
wake (MpHubContext *record)
{
  if (record->posts.length == 0)
    return;

  if (record->event_fd >= 0 && !record->signalled)
    {
      record->signalled = TRUE;
      mp_fd_signal (record->event_fd);
    }
  if (!record->woken && !g_main_context_is_owner (record->context))
    {
      record->woken = TRUE;
      g_main_context_wakeup (record->context);
    }
}

void
mp_hub_wake_contexts (void)
{
  MpHubContext *record;

  while ((record = mp_hub.dirty) != NULL)
    {
      mp_hub.dirty = record->next_dirty;
      record->dirty = FALSE;
      wake (record);
    }
}

static gboolean
is_thread_default (GMainContext *context)
{
  GMainContext *current = g_main_context_get_thread_default ();

  return context == (current != NULL ? current : g_main_context_default ());
}

/* Makes this thread the one that owns the context, as user code expects to find it. */
static gboolean
enter_context (GMainContext *context,
               gboolean     *pushed)
{
  if (!g_main_context_acquire (context))
    return FALSE;

  *pushed = !is_thread_default (context);
  if (*pushed)
    g_main_context_push_thread_default (context);
  return TRUE;
}

static void
leave_context (GMainContext *context,
               gboolean      pushed)
{
  if (pushed)
    g_main_context_pop_thread_default (context);
  g_main_context_release (context);
}

static guint
run_posts_in (MpHubContext  *record,
              gconstpointer  owner,
              guint64        last)
{
  gboolean pushed;
  guint n = 0;
  Post *post;

  if (!enter_context (record->context, &pushed))
    return 0;

  record->n_refs++;
  while (is_of_this_process (record) && (post = first_post_of (record, owner)) != NULL && post->number <= last)
    {
      run_post (record, post);
      n++;
    }
  leave_context (record->context, pushed);
  record_unref (record);
  return n;
}

guint
mp_hub_run_posts (gconstpointer owner)
{
  guint64 last = mp_hub.last_post;
  guint n = 0, n_now;

  /* Begins anew after each context that had some: the table may have changed meanwhile. */
  do
    {
      GHashTableIter iter;
      MpHubContext *record;

      if (mp_hub.n_posts == 0)
        break;

      n_now = 0;
      g_hash_table_iter_init (&iter, mp_hub.contexts);
      while (n_now == 0 && g_hash_table_iter_next (&iter, NULL, (gpointer *) &record))
        {
          Post *post = first_post_of (record, owner);

          if (post != NULL && post->number <= last)
            n_now = run_posts_in (record, owner, last);
        }
      n += n_now;
    }
  while (n_now > 0);

  return n;
}

guint
mp_hub_run_due (gconstpointer owner)
{
  guint n;

  /* Who posts after this look has to wake the caller, as ever. */
  if (__atomic_load_n (&mp_hub.n_posts, __ATOMIC_ACQUIRE) == 0)
    return 0;

  mp_hub_lock ();
  n = mp_hub_run_posts (owner);
  mp_hub_unlock ();
  return n;
}

static void
task_post_run (gpointer data)
{
  TaskPost *self = data;

  if (self->callback != NULL)
    self->callback (g_task_get_source_object (self->task), G_ASYNC_RESULT (self->task), self->user_data);
}

/* A task without a callback still puts a source on its context, only to say that it is completed, and lives until that
 * has run: for ever in a program without a main loop. So it is run here, as the main loop would do it. */
void
mp_hub_complete_task (GTask *task)
{
  GSource *source = g_main_context_find_source_by_funcs_user_data (g_task_get_context (task), &g_idle_funcs, task);
  GSourceFunc func = NULL;
  gpointer data = NULL;

  if (source == NULL)
    return;

  g_source_ref (source);
  source->callback_funcs->get (source->callback_data, source, &func, &data);
  if (func != NULL && !func (data))
    g_source_destroy (source);
  g_source_unref (source);
}

static void
task_post_free (gpointer data)
{
  TaskPost *self = data;

  /* Here too who waits for the callback may not come to the context again. */
  mp_hub_complete_task (self->task);
  g_object_unref (self->task);
  g_slice_free (TaskPost, self);
}

void
mp_hub_post_task (GTask               *task,
                  gconstpointer        owner,
                  GAsyncReadyCallback  callback,
                  gpointer             user_data)
{
  TaskPost *post = g_slice_new (TaskPost);

  post->task = task;
  post->callback = callback;
  post->user_data = user_data;
  mp_hub_post (g_task_get_context (task), owner, task_post_run, post, task_post_free);
}

/* The epoll descriptor for another event loop holds the hub's, whose events concern every thread, and one for the posts
 * of this context alone, which no other thread could clear. */
static gboolean
make_external (MpHubContext *record)
{
  int event_fd = mp_fd_eventfd ();
  int poll_fd = mp_poll_new ();

  if (event_fd < 0 || poll_fd < 0 ||
      mp_poll_add (poll_fd, mp_hub.epfd, G_IO_IN, 0) < 0 || mp_poll_add (poll_fd, event_fd, G_IO_IN, 1) < 0)
    {
      mp_fd_close (&event_fd);
      mp_fd_close (&poll_fd);
      return FALSE;
    }

  record->event_fd = event_fd;
  record->poll_fd = poll_fd;
  wake (record);
  return TRUE;
}

int
mp_hub_get_external_fd (GMainContext *context)
{
  MpHubContext *record;
  int fd = -1;

  mp_hub_lock ();
  record = record_ref (context);
  /* The first one keeps its reference: nothing says when the other event loop is done with the descriptor. */
  if (record->poll_fd >= 0 || !make_external (record))
    {
      fd = record->poll_fd;
      record_unref (record);
    }
  else
    fd = record->poll_fd;
  mp_hub_unlock ();
  return fd;
}

void
mp_hub_dispatch_external (GMainContext *context)
{
  MpHubContext *record;
  gboolean pushed;

  mp_hub_lock ();
  record = record_ref (context);
  mp_hub_turn ();
  if (enter_context (context, &pushed))
    {
      run_all (record, mp_hub.last_post);
      leave_context (context, pushed);
    }
  if (record->signalled && record->posts.length == 0)
    {
      record->signalled = FALSE;
      mp_fd_clear_signal (record->event_fd);
    }
  record_unref (record);
  mp_hub_unlock ();
}

/* The context itself stays: the record that is left behind has a reference. */
static void
inherit (MpHubContext *record)
{
  guint n;

  if (record->n_held == 0)
    return;
  if (inherited == NULL)
    inherited = g_hash_table_new (NULL, NULL);
  n = GPOINTER_TO_UINT (g_hash_table_lookup (inherited, record->context));
  g_hash_table_insert (inherited, record->context, GUINT_TO_POINTER (n + record->n_held));
}

void
mp_hub_forget_contexts (void)
{
  GHashTableIter iter;
  MpHubContext *record;

  mp_hub.dirty = NULL;
  __atomic_store_n (&mp_hub.n_posts, 0, __ATOMIC_RELAXED);
  if (mp_hub.contexts == NULL)
    return;

  /* The posts, and what they would free, belong to the parent: they are left lying, in sight of a leak checker. */
  g_hash_table_iter_init (&iter, mp_hub.contexts);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &record))
    {
      record_detach (record);
      inherit (record);
    }
  left_behind = g_slist_prepend (left_behind, g_steal_pointer (&mp_hub.contexts));
}
