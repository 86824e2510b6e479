/* mp-sync-object.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/sync/mp-sync-object-private.h"

/**
 * MpSyncObject:
 *
 * What the objects by which processes wait for each other have in common.
 *
 * They travel to other processes inside of values, see [iface@Mp.Shareable], and are the same thing there. Each lives
 * in 64 bytes of shared memory as long as any process has it, and outlives whoever made it. None of them can be left in
 * disorder by a process that dies at a bad moment. They may be used in any thread.
 *
 * Making one never fails: when there is no memory or no descriptor for it, each operation tells the reason.
 *
 * Since: 0.1
 */

enum { PROP_0, PROP_ISOLATED, N_PROPS };
static GParamSpec *props[N_PROPS];

static void mp_sync_object_shareable_init (MpShareableInterface *iface);

G_DEFINE_ABSTRACT_TYPE_WITH_CODE (MpSyncObject, mp_sync_object, G_TYPE_OBJECT,
                                  G_IMPLEMENT_INTERFACE (MP_TYPE_SHAREABLE, mp_sync_object_shareable_init))

/* What the object that is being constructed in this thread is to have instead of a slot of its own. */
static __thread MpSlotRef *slot_to_adopt;

static const MpSyncKind *
get_kind (gpointer object)
{
  return ((MpSyncObjectClass *) G_OBJECT_GET_CLASS (object))->kind;
}

static const char *
mp_sync_object_get_kind (MpShareable *shareable)
{
  return get_kind (shareable)->kind;
}

static GVariant *
mp_sync_object_describe (MpShareable  *shareable,
                         GArray       *fds,
                         GError      **error)
{
  return mp_sync_describe (&MP_SYNC_OBJECT (shareable)->sync, fds, error);
}

static gboolean
mp_sync_object_get_isolated (MpShareable *shareable)
{
  return mp_sync_is_isolated (&MP_SYNC_OBJECT (shareable)->sync);
}

static void
mp_sync_object_shareable_init (MpShareableInterface *iface)
{
  iface->get_kind = mp_sync_object_get_kind;
  iface->describe = mp_sync_object_describe;
  iface->get_isolated = mp_sync_object_get_isolated;
}

MpShareable *
mp_sync_object_adopt (GType              type,
                      const MpSyncKind  *kind,
                      GVariant          *state,
                      int               *fds,
                      guint              n_fds,
                      const char        *property,
                      gpointer           object,
                      GError           **error)
{
  MpSlotRef slot = { NULL };
  MpShareable *self = NULL;

  if (!mp_slot_adopt (&slot, kind->slot_kind, state, fds, n_fds, kind->kind, error))
    return NULL;

  slot_to_adopt = &slot;
  self = g_object_new (type, property, object, NULL);
  slot_to_adopt = NULL;
  return self;
}

static void
mp_sync_object_get_property (GObject    *object,
                             guint       prop_id,
                             GValue     *value,
                             GParamSpec *pspec)
{
  switch (prop_id)
    {
    case PROP_ISOLATED:
      g_value_set_boolean (value, mp_sync_is_isolated (&MP_SYNC_OBJECT (object)->sync));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_sync_object_set_property (GObject      *object,
                             guint         prop_id,
                             const GValue *value,
                             GParamSpec   *pspec)
{
  switch (prop_id)
    {
    case PROP_ISOLATED:
      MP_SYNC_OBJECT (object)->sync.isolated = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
mp_sync_object_constructed (GObject *object)
{
  MpSyncObject *self = MP_SYNC_OBJECT (object);
  MpSyncObjectClass *klass = (MpSyncObjectClass *) G_OBJECT_GET_CLASS (object);
  gboolean fresh = slot_to_adopt == NULL;

  mp_sync_init (&self->sync, klass->kind, slot_to_adopt);
  if (fresh && klass->begin != NULL && mp_sync_is_usable (&self->sync))
    klass->begin (self);

  G_OBJECT_CLASS (mp_sync_object_parent_class)->constructed (object);
}

static void
mp_sync_object_finalize (GObject *object)
{
  mp_sync_clear (&MP_SYNC_OBJECT (object)->sync);

  G_OBJECT_CLASS (mp_sync_object_parent_class)->finalize (object);
}

static void
mp_sync_object_class_init (MpSyncObjectClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = mp_sync_object_get_property;
  object_class->set_property = mp_sync_object_set_property;
  object_class->constructed = mp_sync_object_constructed;
  object_class->finalize = mp_sync_object_finalize;

  /**
   * MpSyncObject:isolated:
   *
   * Whether it shares no memory with other objects.
   *
   * Such an object has a memory file of its own. It may be sent to a process that is not one of this program's own
   * workers.
   *
   * Since: 0.1
   */
  props[PROP_ISOLATED] = g_param_spec_boolean ("isolated", NULL, NULL, FALSE,
                                               G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
mp_sync_object_init (MpSyncObject *self)
{
}

void
mp_sync_ensure_kinds (void)
{
  mp_lock_ensure_kind ();
  mp_semaphore_ensure_kind ();
  mp_bounded_semaphore_ensure_kind ();
  mp_condition_ensure_kind ();
  mp_event_ensure_kind ();
  mp_rlock_ensure_kind ();
  mp_barrier_ensure_kind ();
}
