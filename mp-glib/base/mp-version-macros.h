/* mp-version-macros.h — SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#if !defined (MP_INSIDE) && !defined (MP_COMPILATION)
# error "Only <mp-glib/mp-glib.h> can be included directly."
#endif

#include <glib.h>
#include "mp-glib/base/mp-version.h"

#ifndef _MP_EXTERN
# define _MP_EXTERN extern
#endif

#define MP_VERSION_0_1 (G_ENCODE_VERSION (0, 1))

#ifdef MP_DISABLE_DEPRECATION_WARNINGS
# define MP_UNAVAILABLE(major, minor) _MP_EXTERN
#else
# define MP_UNAVAILABLE(major, minor) G_UNAVAILABLE (major, minor) _MP_EXTERN
#endif

#ifndef MP_VERSION_MAX_ALLOWED
# define MP_VERSION_MAX_ALLOWED MP_VERSION_0_1
#endif

#define MP_AVAILABLE_IN_ALL _MP_EXTERN

#if MP_VERSION_MAX_ALLOWED < MP_VERSION_0_1
# define MP_AVAILABLE_IN_0_1 MP_UNAVAILABLE (0, 1)
#else
# define MP_AVAILABLE_IN_0_1 _MP_EXTERN
#endif
