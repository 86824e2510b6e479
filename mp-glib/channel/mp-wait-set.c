/* mp-wait-set.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-wait-private.h"

#include "mp-glib/platform/mp-fd-private.h"
#include "mp-glib/platform/mp-poll-private.h"

#include <errno.h>
#include <pthread.h>

/* The system refuses more than a process may have descriptors; they are polled this many at a time. */
#define MAX_POLLED 512

/* What was found of the epoll set at once. When there was more, all are polled. */
#define MAX_EVENTS 64
#define TOKEN_TOLD G_MAXUINT64

typedef struct _Entry Entry;

struct _Entry
{
  MpWaitSpot   spot;        /* first: told() has it */
  MpWaitSet   *set;
  MpWaitable  *object;      /* (owned) (nullable): NULL: a plain descriptor */
  int          set_fd;      /* what is in the epoll set for it; -1: nothing */
  gboolean     owns_fd;     /* that is a duplicate */
  GIOCondition condition;   /* for which it is there */
  gboolean     ready;
  gboolean     armed;
  gboolean     told;        /* these two: the set's lock */
  Entry       *next_told;   /* (nullable) */
};

struct _MpWaitSet
{
  Entry          *entries;    /* (owned): each object and each descriptor once */
  guint           n_entries;
  guint          *inputs;     /* (owned): the entry of each that was given */
  gsize           n_inputs;
  guint           n_ready;
  gpointer       *owners;     /* (owned) (nullable) */
  guint           n_owners;

  int             event_fd;   /* (owned) for what tells; -1: not armed */
  int             epfd;       /* (owned) with that in it; -1: not used */
  GPollFD        *polled;     /* (owned) (nullable): behind n_own places, the eventfd, and then … */
  Entry         **polled_entries; /* (owned) (nullable): … of these */
  guint           n_own;
  guint           n_polled;
  pthread_mutex_t lock;       /* a leaf */
  Entry          *first_told;
};

static void
told (MpWaitSpot *spot)
{
  Entry *entry = (Entry *) spot;
  MpWaitSet *self = entry->set;
  gboolean was_first;

  pthread_mutex_lock (&self->lock);
  was_first = self->first_told == NULL;
  if (!entry->told)
    {
      entry->told = TRUE;
      entry->next_told = self->first_told;
      self->first_told = entry;
    }
  /* Under the lock: the set is there as long as somebody may tell. */
  if (was_first)
    mp_fd_signal (self->event_fd);
  pthread_mutex_unlock (&self->lock);
}

/* The entry of an object or a descriptor: a new one unless it was there before. */
static guint
find_entry (MpWaitSet  *self,
            GHashTable *known,
            gpointer    key)
{
  gpointer index = NULL;

  if (g_hash_table_lookup_extended (known, key, NULL, &index))
    return GPOINTER_TO_UINT (index);

  g_hash_table_insert (known, key, GUINT_TO_POINTER (self->n_entries));
  self->entries[self->n_entries] = (Entry) { .spot = { -1, G_IO_IN, NULL, told }, .set = self, .set_fd = -1 };
  return self->n_entries++;
}

MpWaitSet *
mp_wait_set_new (MpWaitable * const *objects,
                 gsize               n_objects,
                 const int          *fds,
                 gsize               n_fds)
{
  MpWaitSet *self = g_new0 (MpWaitSet, 1);
  g_autoptr(GHashTable) known_objects = g_hash_table_new (NULL, NULL);
  g_autoptr(GHashTable) known_fds = g_hash_table_new (NULL, NULL);

  self->n_inputs = n_objects + n_fds;
  self->entries = g_new (Entry, self->n_inputs);
  self->inputs = g_new (guint, self->n_inputs);
  self->epfd = self->event_fd = -1;
  pthread_mutex_init (&self->lock, NULL);

  for (gsize i = 0; i < n_objects; i++)
    {
      Entry *entry = &self->entries[self->inputs[i] = find_entry (self, known_objects, objects[i])];

      if (entry->object == NULL)
        entry->object = g_object_ref (objects[i]);
    }
  for (gsize i = 0; i < n_fds; i++)
    {
      guint index = find_entry (self, known_fds, GINT_TO_POINTER (fds[i]));

      self->inputs[n_objects + i] = index;
      self->entries[index].spot.fd = fds[i];
    }
  return self;
}

void
mp_wait_set_free (MpWaitSet *self)
{
  for (guint i = 0; i < self->n_entries; i++)
    g_clear_object (&self->entries[i].object);
  g_free (self->entries);
  g_free (self->inputs);
  g_free (self->owners);
  g_free (self->polled);
  g_free (self->polled_entries);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

gpointer *
mp_wait_set_get_owners (MpWaitSet *self,
                        guint     *n_owners)
{
  if (self->owners == NULL)
    {
      self->owners = g_new (gpointer, self->n_entries + 1);
      for (guint i = 0; i < self->n_entries; i++)
        {
          MpWaitable *object = self->entries[i].object;
          MpWaitableInterface *iface = object != NULL ? MP_WAITABLE_GET_IFACE (object) : NULL;

          if (object != NULL)
            self->owners[self->n_owners++] = iface->get_owner != NULL ? (gpointer) iface->get_owner (object) : object;
        }
    }
  *n_owners = self->n_owners;
  return self->owners;
}

static gboolean
set_no_descriptor (int      fd,
                   GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "wait: %d is not the number of an open descriptor", fd);
  return FALSE;
}

/* FALSE with error. */
static gboolean
look_at (MpWaitSet     *self,
         Entry         *entry,
         GIOCondition   condition,
         GError       **error)
{
  MpWaitState state = condition != 0 ? MP_WAIT_READY : MP_WAIT_NOT_YET;

  if (entry->ready)
    return TRUE;

  if (entry->object != NULL)
    state = MP_WAITABLE_GET_IFACE (entry->object)->look (entry->object, &entry->spot, condition, error);
  else if ((condition & G_IO_NVAL) != 0)
    return set_no_descriptor (entry->spot.fd, error);
  if (state == MP_WAIT_READY)
    {
      entry->ready = TRUE;
      self->n_ready++;
    }
  return state != MP_WAIT_FAILED;
}

static gboolean
set_cannot_wait (GError **error)
{
  int saved_errno = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "wait: cannot wait for the descriptors: %s",
               g_strerror (saved_errno));
  return FALSE;
}

/* It is told of under its number. */
static gboolean
add_to_set (MpWaitSet  *self,
            Entry      *entry,
            GError    **error)
{
  guint64 token = entry - self->entries;
  int fd = entry->spot.fd;
  int result = mp_poll_add (self->epfd, fd, entry->spot.condition, token);

  /* Two objects of one descriptor. */
  if (result < 0 && errno == EEXIST)
    {
      fd = mp_fd_dup (fd);
      entry->owns_fd = fd >= 0;
      result = fd >= 0 ? mp_poll_add (self->epfd, fd, entry->spot.condition, token) : -1;
    }
  if (result == 0)
    {
      entry->set_fd = fd;
      entry->condition = entry->spot.condition;
      return TRUE;
    }

  if (entry->owns_fd)
    mp_fd_close (&fd);
  entry->owns_fd = FALSE;
  /* What the kernel cannot poll, as regular files, never blocks. */
  return errno == EPERM ? look_at (self, entry, G_IO_IN, error) : set_cannot_wait (error);
}

static void
take_from_set (MpWaitSet *self,
               Entry     *entry)
{
  if (entry->set_fd >= 0)
    mp_poll_remove (self->epfd, entry->set_fd);
  if (entry->owns_fd)
    mp_fd_close (&entry->set_fd);
  entry->set_fd = -1;
  entry->owns_fd = FALSE;
}

/* What the last look wants. */
static gboolean
update (MpWaitSet  *self,
        Entry      *entry,
        GError    **error)
{
  if (self->epfd < 0)
    return TRUE;
  if (entry->ready || entry->spot.fd < 0)
    take_from_set (self, entry);
  else if (entry->set_fd < 0)
    return add_to_set (self, entry, error);
  else if (entry->condition != entry->spot.condition)
    {
      entry->condition = entry->spot.condition;
      if (mp_poll_modify (self->epfd, entry->set_fd, entry->condition, entry - self->entries) < 0)
        return set_cannot_wait (error);
    }
  return TRUE;
}

static gboolean
look_at_and_update (MpWaitSet     *self,
                    Entry         *entry,
                    GIOCondition   condition,
                    GError       **error)
{
  return look_at (self, entry, condition, error) && update (self, entry, error);
}

/* Those of @entries, with their descriptors in @fds. */
static gboolean
poll_some (MpWaitSet  *self,
           Entry     **entries,
           GPollFD    *fds,
           guint       n_fds,
           GError    **error)
{
  if (mp_poll_fds (fds, n_fds, 0) < 0)
    return set_cannot_wait (error);
  for (guint i = 0; i < n_fds; i++)
    if (fds[i].revents != 0 && !look_at_and_update (self, entries[i], fds[i].revents, error))
      return FALSE;
  return TRUE;
}

/* All that have a descriptor and are not ready. */
static gboolean
poll_all (MpWaitSet  *self,
          GError    **error)
{
  Entry *entries[MAX_POLLED];
  GPollFD fds[MAX_POLLED];
  guint n = 0;

  for (guint i = 0; i < self->n_entries; i++)
    {
      Entry *entry = &self->entries[i];

      if (entry->ready || (entry->object != NULL && entry->spot.fd < 0))
        continue;
      /* poll() passes over those. */
      if (entry->spot.fd < 0)
        return set_no_descriptor (entry->spot.fd, error);
      entries[n] = entry;
      fds[n++] = (GPollFD) { entry->spot.fd, entry->spot.condition, 0 };
      if (n < MAX_POLLED)
        continue;
      if (!poll_some (self, entries, fds, n, error))
        return FALSE;
      n = 0;
    }
  return n == 0 || poll_some (self, entries, fds, n, error);
}

gboolean
mp_wait_set_look (MpWaitSet  *self,
                  GError    **error)
{
  for (guint i = 0; i < self->n_entries; i++)
    if (self->entries[i].object != NULL && !look_at (self, &self->entries[i], 0, error))
      return FALSE;
  return poll_all (self, error);
}

gboolean
mp_wait_set_arm (MpWaitSet  *self,
                 GError    **error)
{
  self->event_fd = mp_fd_eventfd ();
  if (self->event_fd < 0)
    return set_cannot_wait (error);

  for (guint i = 0; i < self->n_entries; i++)
    {
      Entry *entry = &self->entries[i];
      MpWaitableInterface *iface = entry->object != NULL ? MP_WAITABLE_GET_IFACE (entry->object) : NULL;

      if (iface == NULL)
        continue;
      if (iface->arm != NULL)
        {
          if (!iface->arm (entry->object, &entry->spot, error))
            return FALSE;
          entry->armed = TRUE;
        }
      if (!look_at (self, entry, 0, error))
        return FALSE;
    }
  return TRUE;
}

GPollFD *
mp_wait_set_get_polled (MpWaitSet *self,
                        guint      n_own,
                        guint     *n_fds)
{
  guint n = 0;

  if (self->polled == NULL)
    {
      self->polled = g_new (GPollFD, n_own + 1 + self->n_entries);
      self->polled_entries = g_new (Entry *, self->n_entries);
      self->n_own = n_own;
    }

  self->polled[n_own] = (GPollFD) { self->event_fd, G_IO_IN, 0 };
  for (guint i = 0; i < self->n_entries; i++)
    {
      Entry *entry = &self->entries[i];

      if (entry->spot.fd < 0)
        continue;
      self->polled[n_own + 1 + n] = (GPollFD) { entry->spot.fd, entry->spot.condition, 0 };
      self->polled_entries[n++] = entry;
    }
  self->n_polled = n;
  *n_fds = n_own + 1 + n;
  return self->polled;
}

int
mp_wait_set_get_fd (MpWaitSet *self)
{
  return self->epfd;
}

/* Those in the chain may be told of anew, and then are in a chain of others: so it is copied. */
static gboolean
collect_told (MpWaitSet  *self,
              GError    **error)
{
  g_autoptr(GPtrArray) entries = g_ptr_array_new ();
  gboolean any;

  pthread_mutex_lock (&self->lock);
  any = self->first_told != NULL;
  for (Entry *entry = g_steal_pointer (&self->first_told); entry != NULL; entry = entry->next_told)
    {
      entry->told = FALSE;
      g_ptr_array_add (entries, entry);
    }
  if (any)
    mp_fd_clear_signal (self->event_fd);
  pthread_mutex_unlock (&self->lock);

  for (guint i = 0; i < entries->len; i++)
    {
      Entry *entry = g_ptr_array_index (entries, i);

      if (!look_at_and_update (self, entry, 0, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
mp_wait_set_take_polled (MpWaitSet  *self,
                         GError    **error)
{
  GPollFD *fds = self->polled + self->n_own + 1;

  for (guint i = 0; i < self->n_polled; i++)
    if (fds[i].revents != 0 && !look_at (self, self->polled_entries[i], fds[i].revents, error))
      return FALSE;
  return collect_told (self, error);
}

gboolean
mp_wait_set_use_epoll (MpWaitSet  *self,
                       GError    **error)
{
  self->epfd = mp_poll_new ();
  if (self->epfd < 0 || mp_poll_add (self->epfd, self->event_fd, G_IO_IN, TOKEN_TOLD) < 0)
    return set_cannot_wait (error);

  for (guint i = 0; i < self->n_entries; i++)
    if (!update (self, &self->entries[i], error))
      return FALSE;
  return TRUE;
}

gboolean
mp_wait_set_collect (MpWaitSet  *self,
                     GError    **error)
{
  MpPollEvent events[MAX_EVENTS];
  int n = mp_poll_wait (self->epfd, events, MAX_EVENTS, 0);

  if (n < 0)
    return set_cannot_wait (error);
  if (!collect_told (self, error))
    return FALSE;
  if (n == MAX_EVENTS)
    return poll_all (self, error);

  for (int i = 0; i < n; i++)
    {
      Entry *entry = events[i].data != TOKEN_TOLD ? &self->entries[events[i].data] : NULL;

      if (entry != NULL && !look_at_and_update (self, entry, events[i].condition, error))
        return FALSE;
    }
  return TRUE;
}

void
mp_wait_set_disarm (MpWaitSet *self)
{
  for (guint i = 0; i < self->n_entries; i++)
    {
      Entry *entry = &self->entries[i];

      if (entry->armed)
        MP_WAITABLE_GET_IFACE (entry->object)->disarm (entry->object, &entry->spot);
      entry->armed = FALSE;
      if (entry->owns_fd)
        mp_fd_close (&entry->set_fd);
      entry->set_fd = -1;
      entry->owns_fd = FALSE;
    }
  mp_fd_close (&self->epfd);
  mp_fd_close (&self->event_fd);
}

gboolean
mp_wait_set_is_ready (MpWaitSet *self)
{
  return self->n_ready > 0;
}

GPtrArray *
mp_wait_set_list (MpWaitSet *self)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_object_unref);

  for (gsize i = 0; i < self->n_inputs; i++)
    {
      Entry *entry = &self->entries[self->inputs[i]];

      if (entry->ready && entry->object != NULL)
        g_ptr_array_add (list, g_object_ref (entry->object));
    }
  return list;
}

GArray *
mp_wait_set_list_positions (MpWaitSet *self)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < self->n_inputs; i++)
    if (self->entries[self->inputs[i]].ready)
      g_array_append_val (list, i);
  return list;
}
