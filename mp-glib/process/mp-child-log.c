/* mp-child-log.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/process/mp-child-impl-private.h"

#include <string.h>

/* What is kept for messages. */
#define MAX_LOGS    10
#define MAX_LOG     512
/* Of one record. */
#define MAX_FIELDS  32
/* Records that wait for their context: who logs without end while nobody looks loses some. */
#define MAX_WAITING 4096

typedef struct
{
  GVariant *fields;   /* (owned) a{ss} */
  char     *name;     /* (owned) */
} Record;

static int n_waiting;   /* (atomic) */

static void
record_free (gpointer data)
{
  Record *record = data;

  g_variant_unref (record->fields);
  g_free (record->name);
  g_free (record);
  g_atomic_int_add (&n_waiting, -1);
}

/* The level that a priority of syslog stands for. Never one that ends this process: the misfortune is the worker's. */
static GLogLevelFlags
priority_to_level (const char *priority)
{
  switch (g_ascii_strtoll (priority, NULL, 10))
    {
    case 0:
    case 1:
    case 2:
    case 3:
      return G_LOG_LEVEL_CRITICAL;
    case 4:
      return G_LOG_LEVEL_WARNING;
    case 5:
      return G_LOG_LEVEL_MESSAGE;
    case 6:
      return G_LOG_LEVEL_INFO;
    default:
      return G_LOG_LEVEL_DEBUG;
    }
}

static gboolean
is_field_name (const char *name)
{
  for (const char *p = name; *p != '\0'; p++)
    if (!g_ascii_isupper (*p) && !g_ascii_isdigit (*p) && *p != '_')
      return FALSE;
  return *name != '\0' && strlen (name) <= 64;
}

static void
emit_record (gpointer data)
{
  Record *record = data;
  GLogField fields[MAX_FIELDS + 4];
  GLogLevelFlags level = G_LOG_LEVEL_MESSAGE;
  g_autofree char *message = NULL;
  const char *key, *value;
  GVariantIter iter;
  gsize n = 0;

  /* As g_log() marks its own, in the first place, and for the same effect: a level that is set to be fatal ends the
   * process where the record was made, not this one. */
  fields[n++] = (GLogField) { "GLIB_OLD_LOG_API", "1", -1 };
  g_variant_iter_init (&iter, record->fields);
  while (n < MAX_FIELDS && g_variant_iter_next (&iter, "{&s&s}", &key, &value))
    {
      if (strcmp (key, "PRIORITY") == 0)
        level = priority_to_level (value);
      else if (strcmp (key, "MESSAGE") == 0 && message == NULL)
        message = g_strdup_printf ("[%s] %s", record->name, value);
      else if (is_field_name (key) && strcmp (key, "GLIB_OLD_LOG_API") != 0 && strcmp (key, "MP_PROCESS_NAME") != 0)
        fields[n++] = (GLogField) { key, value, -1 };
    }
  fields[n++] = (GLogField) { "MESSAGE", message != NULL ? message : "", -1 };
  fields[n++] = (GLogField) { "MP_PROCESS_NAME", record->name, -1 };
  /* The level goes as a field as well, in what syslog counts. */
  fields[n++] = (GLogField) { "PRIORITY", level == G_LOG_LEVEL_CRITICAL ? "4" : level == G_LOG_LEVEL_WARNING ? "4"
                              : level == G_LOG_LEVEL_MESSAGE ? "5" : level == G_LOG_LEVEL_INFO ? "6" : "7", -1 };
  g_log_structured_array (level, fields, n);
}

static void
emit_unlocked (gpointer data)
{
  emit_record (data);
  record_free (data);
}

void
mp_child_handle_log (MpChild  *self,
                     GVariant *fields)
{
  Record *record;
  const char *message = NULL;

  if (g_variant_lookup (fields, "MESSAGE", "&s", &message))
    {
      char *kept = g_strndup (message, MAX_LOG);

      if (strlen (message) > MAX_LOG)
        *(char *) g_utf8_find_prev_char (kept, kept + MAX_LOG) = '\0';
      g_queue_push_tail (&self->logs, kept);
      if (self->logs.length > MAX_LOGS)
        g_free (g_queue_pop_head (&self->logs));
    }
  if (g_atomic_int_add (&n_waiting, 1) >= MAX_WAITING)
    {
      g_atomic_int_add (&n_waiting, -1);
      return;
    }
  record = g_new (Record, 1);
  record->fields = g_variant_ref (fields);
  record->name = g_strdup (self->name);
  /* A fork server's are nobody's, and not kept for a main loop that may never run. */
  if (self->context != NULL && self->owner != NULL)
    mp_hub_post (self->context, self->owner, emit_record, record, record_free);
  else
    mp_hub_run_unlocked (emit_unlocked, record);
}
