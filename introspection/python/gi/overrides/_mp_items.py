# _mp_items.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Items that a pool asks for as it has room for them."""

from gi.repository import Gio, GLib

from ..module import get_introspection_module
from . import _mp_call
from . import _mp_errors as errors
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')


def _guarded(func):
    """@func as the library calls it: what it raises comes out again, at its place, where the results are read."""
    def call(*args):
        try:
            with _mp_call.user_code():
                return func(*args)
        except Exception as exc:
            error = _to_glib(exc)
        raise error

    return call


def _to_glib(exc):
    if isinstance(exc, GLib.Error) and exc.domain:
        return GLib.Error(errors.clean_text(exc.message), exc.domain, exc.code)
    error = GLib.Error(errors.describe(exc), errors.MP_DOMAIN, int(_Mp.Error.REMOTE))
    details = {key: errors.bytes_variant(value) if key == 'blob' else GLib.Variant('s', value)
               for key, value in errors.details_of(exc).items()}
    _Mp.error_set_details(error, GLib.Variant('a{sv}', details))
    return error


def value_of(item):
    """What an item of a list stands for, when nobody has said it."""
    if isinstance(item, _Mp.Shareable):
        return item
    for name in ('variant', 'string'):
        if item.find_property(name) is not None:
            value = item.get_property(name)
            if value is not None:
                return value
    return item


def values_of(model):
    """Those of a list, one after another, as it is when they are asked for."""
    position = 0
    while (item := model.get_item(position)) is not None:
        yield value_of(item)
        position += 1


def _variant_of(value):
    return _Mp.Shareable.to_variant(value) if isinstance(value, _Mp.Shareable) else values.variant_from(value)


class Items(_Mp.Items):
    """The input of a function that is called by its name, asked for item by item.

    Made of any iterable: Mp.Items(generator). An exception of it comes in the place of the item."""

    __module__ = 'gi.overrides.Mp'

    def __new__(cls, iterable=()):
        iterator = iter(iterable)

        def read():
            for value in iterator:
                return _variant_of(value)
            return None

        return _Mp.Items.new_for_func(_guarded(read))

    def __init__(self, iterable=()):
        """It is made already."""

    @classmethod
    def new_for_func(cls, func):
        """What @func () gives, until that is None."""
        def read(*_data):
            value = func()
            return None if value is None else _variant_of(value)

        return _Mp.Items.new_for_func(_guarded(read))

    @classmethod
    def new_for_model(cls, model, convert=None):
        """The items of a Gio.ListModel: what @convert (item) gives, or what they are without it."""
        if convert is None:
            return _Mp.Items.new_for_model(model)
        return _Mp.Items.new_for_model(model, _guarded(lambda item, *_data: _variant_of(convert(item))))


class Given:
    """The input of an imap that the library reads by itself."""

    def __init__(self, iterator):
        self._iterator = iterator

    def current(self):
        return self._iterator

    def taken(self, _index):
        return None

    def went_on(self):
        pass

    def end(self, _everything=False):
        self._iterator = None

    def raise_failure(self):
        pass

    def failure_at(self, _index):
        return None


def given(iterable):
    """The Mp.Items of what a function called by its name is given; None when it is neither such nor a list."""
    if isinstance(iterable, Gio.ListModel):
        return _Mp.Items.new_for_model(iterable)
    return iterable if isinstance(iterable, _Mp.Items) else None


def iterable_of(iterable):
    """What a Python function is called with: the values of a list; anything else as it is."""
    if isinstance(iterable, _Mp.Items):
        raise TypeError('Mp.Items are for functions that are called by their name')
    return values_of(iterable) if isinstance(iterable, Gio.ListModel) else iterable
