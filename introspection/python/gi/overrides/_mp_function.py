# _mp_function.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Functions that are called by a name: what a Python worker offers to owners in any language."""

import functools
import inspect
import operator

from gi.repository import GLib

from ..module import get_introspection_module
from . import _mp_boot as boot
from . import _mp_errors as errors
from . import _mp_pickle as values

_Mp = get_introspection_module('Mp')


def _arguments(args):
    """The positional arguments that a variant stands for: a tuple is several, anything else one."""
    if args.get_type_string().startswith('('):
        return [values.plain(args.get_child_value(i)) for i in range(args.n_children())]
    return [values.plain(args)]


def _wrap(func, raw):
    is_coroutine = inspect.iscoroutinefunction(func)

    def serve(args, *_data):
        try:
            result = func(args) if raw else func(*_arguments(args))
            if is_coroutine:
                import asyncio
                result = asyncio.run(result)
            return values.variant_from(result)
        except BaseException as exc:
            error = errors.to_glib(exc, _Mp.Invocation.get_current())
        finally:
            boot.flush()
        raise error

    return serve


def function_register(name, func, raw=False):
    """Gives @func the @name by which other processes can call it.

    It is called with plain values: those of the tuple that it is given, or the one value that is no tuple. What it
    returns, a plain value or a GLib.Variant, is sent back. With @raw it gets the GLib.Variant itself."""
    if not callable(func):
        raise TypeError('%r is not callable' % (func,))
    if not _Mp.function_register(name, _wrap(func, raw)):
        raise ValueError('the name %r is taken, or no name' % name)


def function(func=None, *, name=None, raw=False, argument_type=None, result_type=None):
    """Decorator: registers a function under its own name, or @name.

        @Mp.function
        def square(x): return x * x

    @argument_type and @result_type: (nullable) GVariant type strings that are checked at each call."""
    def register(function):
        own_name = name or function.__name__
        function_register(own_name, function, raw=raw)
        if argument_type is not None or result_type is not None:
            _Mp.function_declare(own_name, argument_type, result_type, _Mp.FunctionFlags.NONE)
        return function

    if isinstance(func, str):
        name, func = func, None
    return register if func is None else register(func)


def idempotent(func=None, *, attempts=2):
    """Decorator: to run the function twice does no harm.

        @Mp.idempotent(attempts=3)
        def fetch(url): …

    A call of it that fails, or whose worker dies, is begun anew, until it has been tried @attempts times; the last
    error tells of them all."""
    def mark(function):
        function.__mp_attempts__ = attempts
        return function

    attempts = operator.index(attempts)
    if attempts < 1:
        raise ValueError('attempts must be at least 1')
    if func is not None and not callable(func):
        raise TypeError('idempotent() takes a function, or attempts=…; not %r' % (func,))
    return mark if func is None else mark(func)


_named = {}   # (name, attempts): the options of a call for which nothing else was said
_MOST_NAMED = 1000


def options_for(func, options=None):
    """The options of a call of @func: @options, an Mp.TaskOptions or None, and what idempotent() says of it.

    What goes by the name of a function of the library is shown by its own one."""
    if func is None or isinstance(func, str):
        return options
    name = errors.full_name_of(func)
    while isinstance(func, functools.partial):
        func = func.func
    attempts = getattr(func, '__mp_attempts__', 1)
    if options is not None:
        return _completed(options, name, attempts)
    options = _named.get((name, attempts))
    if options is None:
        if len(_named) >= _MOST_NAMED:
            _named.clear()
        own = {'max_attempts': attempts, 'idempotent': True} if attempts != 1 else {}
        options = _named[name, attempts] = _Mp.TaskOptions(name=errors.clean_text(name), **own)
    return options


def _completed(options, name, attempts):
    """A copy of @options with what they do not say."""
    own = {spec.name.replace('-', '_'): options.get_property(spec.name) for spec in options.list_properties()}
    if attempts != 1:
        own['idempotent'] = True
        if own['max_attempts'] == 1:
            own['max_attempts'] = attempts
    elif own['name'] is not None:
        return options
    if own['name'] is None:
        own['name'] = errors.clean_text(name)
    return _Mp.TaskOptions(**own)


def call_variant(args, kwds):
    """The argument of a function called by name: a single GLib.Variant itself, else a tuple; and whether the caller
    speaks in plain values."""
    if isinstance(args, GLib.Variant):
        return args, False
    if kwds:
        raise TypeError('a function called by its name takes no keyword arguments')
    args = tuple(args)
    if len(args) == 1 and isinstance(args[0], GLib.Variant):
        return args[0], False
    return values.tuple_from(args), not any(isinstance(arg, GLib.Variant) for arg in args)


def items_variant(items, star):
    """The items of a map by name as one array; and whether the caller speaks in plain values."""
    if isinstance(items, GLib.Variant):
        return items, False
    items = list(items)
    variants = any(isinstance(item, GLib.Variant) for item in items)
    if star:
        children = [item if isinstance(item, GLib.Variant) else values.tuple_from(item) for item in items]
    else:
        children = [values.variant_from(item) for item in items]
    return values.array_from(children), not variants
