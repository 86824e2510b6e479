#!/usr/bin/env python3
# test_context.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Contexts, start methods, and the functions of the module."""

import os
import sys
import unittest

from gi.repository import Mp

import support


def modules():
    return [name for name in ('colorsys', 'chunk') if name in sys.modules]


class ContextTest(unittest.TestCase):
    def test_start_methods(self):
        self.assertEqual(sorted(Mp.get_all_start_methods()), ['fork', 'forkserver', 'spawn'])
        self.assertIsNone(Mp.get_start_method(allow_none=True))
        self.assertEqual(Mp.get_start_method(), Mp.get_all_start_methods()[0])
        self.assertIsNone(Mp.get_start_method(allow_none=True))
        for method in Mp.get_all_start_methods():
            context = Mp.get_context(method)
            self.assertEqual(context.get_start_method(), method)
            self.assertIs(Mp.get_context(method), context)
            self.assertIs(context.get_context(), context)
        with self.assertRaisesRegex(ValueError, "cannot find context for 'thread'"):
            Mp.get_context('thread')

    def test_set_start_method(self):
        result = support.run_script('''
            from gi.repository import Mp
            if __name__ == '__main__':
                try:
                    Mp.set_start_method('none')
                except ValueError as e:
                    print(e)
                Mp.set_start_method('spawn')
                print(Mp.get_start_method(), Mp.get_start_method(allow_none=True))
                print(type(Mp.get_context().Process()).__name__, Mp.get_context().get_start_method())
                try:
                    Mp.set_start_method('fork')
                except RuntimeError as e:
                    print(e)
                Mp.set_start_method('fork', force=True)
                print(Mp.get_start_method())
                Mp.set_start_method(None, force=True)
                print(Mp.get_start_method(allow_none=True))
            ''')
        self.assertEqual(result.stdout, "cannot find context for 'none'\nspawn spawn\nSpawnProcess spawn\n"
                                        'context has already been set\nfork\nNone\n')
        self.assertEqual(result.stderr, '')

    def test_of_a_context(self):
        context = Mp.get_context('spawn')
        self.assertEqual(context.cpu_count(), Mp.cpu_count())
        self.assertEqual(context.active_children(), [])
        self.assertIs(context.current_process(), Mp.current_process())
        self.assertIsNone(context.parent_process())
        self.assertIsNone(context.freeze_support())
        self.assertIsNone(Mp.freeze_support())
        self.assertRegex(context.Process().name, r'^SpawnProcess-\d+$')
        self.assertIs(context.get_logger(), Mp.get_logger())
        self.assertIs(context.TimeoutError, Mp.TimeoutError)
        self.assertIsNone(context.allow_connection_pickling())
        self.assertIsNone(Mp.allow_connection_pickling())
        with self.assertRaisesRegex(ValueError, 'concrete context'):
            context.set_start_method('fork')
        first, second = context.Pipe()
        first.send(1)
        self.assertEqual(second.recv(), 1)

    def test_cpu_count(self):
        self.assertEqual(Mp.cpu_count(), os.cpu_count())
        self.assertLessEqual(Mp.get_n_usable_cpus(), len(os.sched_getaffinity(0)))

    def test_preload(self):
        for method in ('forkserver', 'spawn'):
            with self.subTest(method):
                context = Mp.Context(start_method=getattr(Mp.StartMethod, method.upper()))
                context.set_forkserver_preload(['colorsys'])
                with context.Pool(1) as pool:
                    self.assertEqual(pool.apply(modules), ['colorsys'])
                self.assertEqual(list(context.dup_preloaded()), ['colorsys'])
                context.set_forkserver_preload(['no_such_module'])
                with self.assertRaisesRegex(Mp.WorkerStartError, 'no_such_module'), context.Pool(1) as pool:
                    pool.apply(modules)
        with self.assertRaises(TypeError):
            Mp.set_forkserver_preload([5])

    def test_executable(self):
        result = support.run_script('''
            import os, sys
            from gi.repository import Mp
            def executable():
                return os.environ.get('WRAPPED')
            if __name__ == '__main__':
                path = os.path.join(os.path.dirname(__file__), 'wrapper')
                with open(path, 'w') as stream:
                    stream.write('#!/bin/sh\\nWRAPPED=yes exec %s "$@"\\n' % sys.executable)
                os.chmod(path, 0o755)
                Mp.set_executable(path)
                with Mp.get_context('spawn').Pool(1) as pool:
                    print(pool.apply(executable))
            ''')
        self.assertEqual((result.stdout, result.stderr), ('yes\n', ''))

    def test_missing_executable(self):
        context = Mp.Context(start_method=Mp.StartMethod.SPAWN, worker_argv=['/nonexistent/python'])
        with self.assertRaisesRegex(Mp.WorkerStartError, '/nonexistent/python'), context.Pool(1) as pool:
            pool.apply('anything')

    def test_interpreter_flags(self):
        result = support.Script('''
            import sys
            from gi.repository import Mp
            def flags():
                return sys.flags.optimize, sys.flags.dont_write_bytecode, sys.argv[1:], sys._xoptions
            if __name__ == '__main__':
                with Mp.Pool(1) as pool:
                    print(pool.apply(flags) == flags(), *flags())
            ''')
        import subprocess
        run = subprocess.run([sys.executable, '-OO', '-B', '-X', 'dev', result.path, 'a', 'b'], capture_output=True,
                             text=True, timeout=support.TIMEOUT)
        self.assertEqual(run.stdout, "True 2 1 ['a', 'b'] {'dev': True}\n", run.stderr)


if __name__ == '__main__':
    support.main()
