/* mp-shareable-within.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-shareable-private.h"

#include "mp-glib/base/mp-error.h"

/* What stands for an object: its kind, how many of the descriptors are its own, its state. */
#define ENTRY_TYPE "(suv)"

static __thread gboolean foreign_here;

const char *
mp_shareable_get_kind (MpShareable *self)
{
  MpShareableInterface *iface = MP_SHAREABLE_GET_IFACE (self);

  return iface->kind != NULL ? iface->kind : iface->get_kind (self);
}

gboolean
mp_shareable_begin_foreign (gboolean foreign)
{
  gboolean outer = foreign_here;

  foreign_here |= foreign;
  return outer;
}

void
mp_shareable_end_foreign (gboolean outer)
{
  foreign_here = outer;
}

gboolean
mp_shareable_is_foreign (void)
{
  return foreign_here;
}

GVariant *
mp_shareable_describe_within (MpShareable  *inner,
                              GArray       *fds,
                              GError      **error)
{
  MpShareableInterface *iface = MP_SHAREABLE_GET_IFACE (inner);
  guint n_before = fds->len;
  g_autoptr(GVariant) state = iface->describe (inner, fds, error);

  if (state == NULL)
    return NULL;

  return g_variant_ref_sink (g_variant_new (ENTRY_TYPE, mp_shareable_get_kind (inner), fds->len - n_before, state));
}

MpShareable *
mp_shareable_adopt_within (GVariant  *described,
                           int       *fds,
                           guint      n_fds,
                           guint     *used,
                           GError   **error)
{
  g_autoptr(GVariant) state = NULL;
  MpShareableAdopt adopt = NULL;
  MpShareable *inner;
  const char *kind = NULL;
  guint n_own = 0;

  *used = 0;
  if (!g_variant_is_of_type (described, G_VARIANT_TYPE (ENTRY_TYPE)))
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed object: its description");
      return NULL;
    }

  g_variant_get (described, "(&suv)", &kind, &n_own, &state);
  adopt = mp_shareable_find_kind (kind);
  if (adopt == NULL)
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received an object of an unknown kind");
      return NULL;
    }
  if (n_own > n_fds)
    {
      g_set_error_literal (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received a malformed object: descriptors are missing");
      return NULL;
    }

  *used = n_own;
  inner = adopt (state, fds, n_own, error);
  /* A stranger may send only what is; all else would be taken for this program's own. */
  if (inner != NULL && foreign_here && !mp_shareable_get_isolated (inner))
    {
      g_set_error (error, MP_ERROR, MP_ERROR_PROTOCOL, "Received an object (%s) that is not isolated", kind);
      g_clear_object (&inner);
    }
  return inner;
}
