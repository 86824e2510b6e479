# _mp_module.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Modules within Mp that have the names of those within multiprocessing."""

import sys
import types


def make(name, **members):
    """Mp.@name, which can be imported, too: `from gi.repository.Mp.managers import SharedMemoryManager`."""
    module = types.ModuleType('gi.repository.Mp.' + name, 'As multiprocessing.%s.' % name)
    module.__dict__.update(members, __all__=sorted(members))
    sys.modules[module.__name__] = module
    return module
