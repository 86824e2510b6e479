/* mp-authkey.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/channel/mp-authkey.h"

#include "mp-glib/platform/mp-random-private.h"

#include <errno.h>
#include <pthread.h>

#define KEY_SIZE 32

/* A leaf: nothing is called while it is held that could wait. What it guards is one pointer, which is whole at any
 * instant, so a forked child may begin with a lock that is free. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static GBytes *process_key;   /* (owned) (nullable): of memory that is our own, so that nobody's function frees it */

static void
after_fork (void)
{
  pthread_mutex_init (&lock, NULL);
}

static void
watch_forks (void)
{
  pthread_atfork (NULL, NULL, after_fork);
}

static GBytes *
make_key (void)
{
  guint8 *data = g_malloc (KEY_SIZE);

  /* Nothing that could be guessed will do instead. */
  if (!mp_random_bytes (data, KEY_SIZE))
    g_error ("Cannot make a key: %s", g_strerror (errno));
  return g_bytes_new_take (data, KEY_SIZE);
}

/**
 * mp_get_authkey:
 *
 * Gives the key of this process.
 *
 * It is for [class@Mp.Listener]s and clients ([property@Mp.ClientOptions:authkey]) of processes that belong together: 32
 * random bytes, made at the first use, that every process which this one starts gets, in whatever way it is started, and
 * those that it starts in turn. They are handed over through the private channel to the process: the key is in no
 * environment, no command line and no log.
 *
 * Not used by itself: a listener or client that is given no key has none. May be called in any thread.
 *
 * Returns: (transfer full): the key
 *
 * Since: 0.1
 */
GBytes *
mp_get_authkey (void)
{
  GBytes *key;

  pthread_once (&once, watch_forks);
  pthread_mutex_lock (&lock);
  if (process_key == NULL)
    process_key = make_key ();
  key = g_bytes_ref (process_key);
  pthread_mutex_unlock (&lock);
  return key;
}

/**
 * mp_set_authkey:
 * @authkey: the key, not empty
 *
 * Sets the key of this process.
 *
 * Processes that are started from now on get it, unless they have a key of their own. The bytes are copied. May be called
 * in any thread.
 *
 * Since: 0.1
 */
void
mp_set_authkey (GBytes *authkey)
{
  g_autoptr(GBytes) key = NULL;
  GBytes *old;

  g_return_if_fail (authkey != NULL && g_bytes_get_size (authkey) > 0);

  key = g_bytes_new (g_bytes_get_data (authkey, NULL), g_bytes_get_size (authkey));
  pthread_once (&once, watch_forks);
  pthread_mutex_lock (&lock);
  old = process_key;
  process_key = g_steal_pointer (&key);
  pthread_mutex_unlock (&lock);
  g_clear_pointer (&old, g_bytes_unref);
}
