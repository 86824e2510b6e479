# _mp_properties.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""The properties of a class as attributes of its objects.

PyGObject has them as object.props.name only, and `object.name = value` makes an attribute that nobody looks at. A number
out of bounds is a ValueError here; else it would be a warning, and nothing set."""

import operator

from gi.repository import GObject

from ..module import get_introspection_module

_Mp = get_introspection_module('Mp')

_READABLE, _WRITABLE = GObject.ParamFlags.READABLE, GObject.ParamFlags.WRITABLE
_CONSTRUCT_ONLY = GObject.ParamFlags.CONSTRUCT_ONLY


def index(name, value):
    """@value, which a parameter of that name takes, as an integer."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError('%s must be an integer, not %s' % (name, type(value).__name__)) from None


def check(spec, value):
    """@value, if the property takes it."""
    least, most = getattr(spec, 'minimum', None), getattr(spec, 'maximum', None)
    if least is not None and most is not None and isinstance(value, (int, float)) and not least <= value <= most:
        raise ValueError('%s must be from %s to %s, not %r' % (spec.name.replace('-', '_'), least, most, value))
    return value


def _attribute(spec, name):
    def get(self):
        return getattr(self.props, name)

    def set_(self, value):
        setattr(self.props, name, check(spec, value))

    is_settable = spec.flags & _WRITABLE and not spec.flags & _CONSTRUCT_ONLY
    return property(get, set_ if is_settable else None, doc=spec.blurb)


def with_attributes(cls):
    """Decorator of a class: those that have no attribute of their name; those that cannot be set cannot be assigned to."""
    for spec in cls.list_properties():
        name = spec.name.replace('-', '_')
        if spec.flags & _READABLE and not hasattr(cls, name):
            setattr(cls, name, _attribute(spec, name))
    return cls


@with_attributes
class TaskOptions(_Mp.TaskOptions):
    """What is said of one call, see Pool.submit(): TaskOptions(priority=5, run_timeout_us=1000000, …)."""

    __module__ = 'gi.overrides.Mp'

    def __init__(self, **properties):
        specs = {spec.name.replace('-', '_'): spec for spec in self.list_properties()}
        super().__init__(**{name: check(specs[name], value) if name in specs else value
                            for name, value in properties.items()})
