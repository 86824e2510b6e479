/* mp-serve-private.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mp-glib/channel/mp-wire-private.h"
#include "mp-glib/process/mp-protocol-private.h"

G_BEGIN_DECLS

/* The results of one chunk after another; zeros before the first. */
typedef struct
{
  gsize               n_items;            /* of the chunk */
  gsize               n;                  /* results that there are */
  gboolean            per_item;
  guint8             *block;              /* (owned) (nullable): results side by side while raw_size > 0 */
  gsize               block_size;
  gsize               raw_size;
  char               *raw_type;           /* (owned) (nullable) */
  gboolean            raw_plain;          /* any bytes are a value */
  GVariant           *first;              /* (owned) (nullable): of the raw ones; keeps their type where it is: … */
  const GVariantType *type;               /* … here */
  GPtrArray          *values;             /* (owned) (nullable) (element-type GVariant) */
  GArray             *failed;             /* (owned) (nullable) (element-type gsize): which of them are errors */
  gsize               n_failed;
} MpResults;

void      mp_results_begin     (MpResults     *self,
                                gsize          n_items,
                                gboolean       per_item);
void      mp_results_add       (MpResults     *self,
                                GVariant      *value);   /* (transfer full); may be floating */
void      mp_results_add_error (MpResults     *self,
                                GVariant      *error);   /* (transfer full) (sisa{sv}) */
/* Queues the answer: @lead has its seq, the rest is filled in. FALSE with the reason: nothing is queued. */
gboolean  mp_results_queue     (MpResults     *self,
                                MpWire        *wire,
                                MpResultLead  *lead,
                                GError       **error);
/* The answer itself, instead: (full), not floating. @lead: status and index are filled in. */
GVariant *mp_results_take      (MpResults     *self,
                                MpResultLead  *lead);
/* After the answer has left. */
void      mp_results_drop      (MpResults     *self);
void      mp_results_clear     (MpResults     *self);

/* mp-serve-plain.c: the short way of numbers and tuples of numbers, which is what a call at a time mostly carries; both
 * ends of a pool use it. FALSE, NULL: the value has to go through the codec. */
gboolean  mp_plain_queue       (MpWire        *wire,
                                guint16        kind,
                                gconstpointer  lead,
                                gsize          lead_size,
                                GVariant      *value);
GVariant *mp_plain_take        (const guint8  *data,
                                gsize          size);
gboolean  mp_plain_type_is_fixed (const GVariantType *type);   /* … and holds no object */

/* mp-serve-reports.c: what a function tells of how far it is. */
typedef struct
{
  MpWire   *wire;
  guint64   seq;
  gint64    told_us;    /* when something was sent last */
  gboolean  kept;       /* something is kept, which is … */
  double    fraction;
  GVariant *value;      /* (owned) (nullable) */
  GSource  *later;      /* (owned) (nullable): sends it when the main context turns */
} MpReports;

void      mp_reports_init      (MpReports     *self,
                                MpWire        *wire);
void      mp_reports_begin     (MpReports     *self,
                                guint64        seq);
void      mp_reports_add       (double         fraction,
                                GVariant      *value,    /* (nullable) */
                                gpointer       self);
void      mp_reports_flush     (MpReports     *self);
void      mp_reports_clear     (MpReports     *self);

/* mp-serve.c */
gboolean  mp_serve_queue_value (MpWire        *wire,
                                MpResultLead  *lead,
                                GVariant      *value,
                                GError       **error);

G_END_DECLS
