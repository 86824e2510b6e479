# _mp_pool_size.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""How many workers a pool keeps, and for how long: in Python's numbers."""

import operator
import sys

MOST_PROCESSES = 65536   # what the library's own property takes
_MOST_US = (1 << 63) - 1
_MOST_BYTES = (1 << 64) - 1
_MOST_RATE = sys.float_info.max


def _count(name, value, least):
    value = operator.index(value)
    if not least <= value <= MOST_PROCESSES:
        raise ValueError('%s must be from %d to %d' % (name, least, MOST_PROCESSES))
    return value


def _microseconds(name, value):
    if value is None:
        return -1
    if not value >= 0:
        raise ValueError('%s must be a number of seconds, at least 0, or None' % name)
    return int(min(value * 1e6, _MOST_US >> 1))


def _amount(name, value, most):
    if value is None:
        return 0
    if not 0 < value <= most:
        raise ValueError('%s must be a positive number of at most %g, or None' % (name, most))
    return value


def properties(min_processes, idle_timeout, worker_max_age, worker_max_growth, max_start_rate):
    """The arguments of a pool as its properties."""
    return {
        'min_workers': _count('min_processes', min_processes, 0),
        'idle_timeout_us': _microseconds('idle_timeout', idle_timeout),
        'worker_max_age_us': _microseconds('worker_max_age', worker_max_age),
        'worker_max_growth': int(_amount('worker_max_growth', worker_max_growth, _MOST_BYTES)),
        'max_start_rate': float(_amount('max_start_rate', max_start_rate, _MOST_RATE)),
    }


def _seconds(value):
    return None if value < 0 else value / 1e6


class Sized:
    """A mixin for Pool: all of it may be changed while the workers work."""

    @property
    def processes(self):
        """The number of workers; with idle_timeout the largest. Set to None: as many as there are usable CPUs."""
        return self.get_n_workers()

    @processes.setter
    def processes(self, value):
        self.set_n_workers(0 if value is None else _count('processes', value, 1))

    @property
    def min_processes(self):
        """How many workers stay although they have nothing to do, with idle_timeout."""
        return self.props.min_workers

    @min_processes.setter
    def min_processes(self, value):
        self.props.min_workers = _count('min_processes', value, 0)

    @property
    def idle_timeout(self):
        """How many seconds a worker that has nothing to do is kept; None: for ever.

        With it the pool begins with min_processes, and starts others when tasks wait."""
        return _seconds(self.props.idle_timeout_us)

    @idle_timeout.setter
    def idle_timeout(self, value):
        self.props.idle_timeout_us = _microseconds('idle_timeout', value)

    @property
    def worker_max_age(self):
        """After how many seconds a worker is replaced, once it has done what it runs; None: never."""
        return _seconds(self.props.worker_max_age_us)

    @worker_max_age.setter
    def worker_max_age(self, value):
        self.props.worker_max_age_us = _microseconds('worker_max_age', value)

    @property
    def worker_max_growth(self):
        """By how many bytes a worker's own memory may grow before it is replaced; None: any."""
        return self.props.worker_max_growth or None

    @worker_max_growth.setter
    def worker_max_growth(self, value):
        self.props.worker_max_growth = int(_amount('worker_max_growth', value, _MOST_BYTES))

    @property
    def max_start_rate(self):
        """How many workers may be started in a second; None: any number."""
        return self.props.max_start_rate or None

    @max_start_rate.setter
    def max_start_rate(self, value):
        self.props.max_start_rate = float(_amount('max_start_rate', value, _MOST_RATE))
