#!/usr/bin/env python3
# test_languages.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Functions called by name, and programs in C and Python as each other's workers."""

import os
import subprocess
import unittest

from gi.repository import GLib
from gi.repository import Mp

import support

HELPER = os.path.join(os.environ.get('G_TEST_BUILDDIR', '.'), 'helper-languages')


@Mp.function
def square(x):
    return x * x


@Mp.function('join-texts')
def join_texts(first, second):
    return first + second


@Mp.function(raw=True)
def type_of(variant):
    return variant.get_type_string()


@Mp.function
def back(*args):
    return args[0] if len(args) == 1 else args


@Mp.function
def nothing():
    pass


@Mp.function
def fail(text):
    raise ValueError(text)


@Mp.function
def give_object(_):
    return object()


@Mp.function(argument_type='x', result_type='x')
def declared(x):
    return x if x < 10 else 'large'


@Mp.function
async def later(x):
    import asyncio
    await asyncio.sleep(0)
    return x + 1


WORKER = '''
    import asyncio
    from gi.repository import Mp

    @Mp.function
    def square(x):
        return x * x

    def describe(name, numbers):
        return '%s: %d' % (name, len(numbers))

    @Mp.function
    def fail(text):
        raise ValueError(text)

    @Mp.function
    async def later(x):
        await asyncio.sleep(0)
        return x + 1

    Mp.function_register('describe', describe)
    Mp.init()
    print('this is not reached in a worker')
    '''


class NamedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = Mp.Pool(2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.terminate()
        cls.pool.join()

    def test_plain_values(self):
        self.assertEqual(self.pool.apply('square', (7,)), 49)
        self.assertEqual(self.pool.map('square', range(100)), [x * x for x in range(100)])
        self.assertEqual(self.pool.map('square', []), [])
        self.assertEqual(self.pool.starmap('join-texts', [('a', 'b'), ('c', 'd')]), ['ab', 'cd'])
        self.assertEqual(list(self.pool.imap('square', range(10))), [x * x for x in range(10)])
        self.assertEqual(sorted(self.pool.imap_unordered('square', range(10), 3)), [x * x for x in range(10)])
        self.assertEqual(self.pool.apply_async('square', (3,)).get(), 9)
        self.assertIsNone(self.pool.apply('nothing'))
        self.assertEqual(self.pool.apply('later', (1,)), 2)

    def test_kinds_of_values(self):
        for value in (True, 5, 2 ** 63, -2 ** 63, 1.5, 'ä', b'\0\xff', [1, 2], ['a', 1], {'a': 1, 'b': [None]},
                      (1, 'a'), []):
            self.assertEqual(self.pool.apply('back', (value,)), value)
            self.assertEqual(self.pool.map('back', [value]), [value])
        with self.assertRaises(OverflowError):
            self.pool.apply('back', (2 ** 64,))
        with self.assertRaises(TypeError):
            self.pool.apply('back', (object(),))
        with self.assertRaises(TypeError):
            self.pool.apply('back', (), {'a': 1})

    def test_variants(self):
        variant = GLib.Variant('(sai)', ('a', [1, 2]))
        result = self.pool.apply('type_of', (variant,))
        self.assertIsInstance(result, GLib.Variant)
        self.assertEqual(result, GLib.Variant('s', '(sai)'))
        self.assertEqual(self.pool.apply('back', GLib.Variant('d', 2)), GLib.Variant('d', 2))
        self.assertEqual(self.pool.map('square', [GLib.Variant('i', 3)]), [GLib.Variant('x', 9)])
        results = self.pool.map('square', GLib.Variant('ax', [1, 2, 3]))
        self.assertIsInstance(results, GLib.Variant)
        self.assertEqual(list(results), [1, 4, 9])

    def test_errors(self):
        with self.assertRaisesRegex(ValueError, 'on purpose') as caught:
            self.pool.apply('fail', ('on purpose',))
        self.assertIn('in fail', str(caught.exception.__cause__))
        with self.assertRaisesRegex(TypeError, 'no natural GVariant form'):
            self.pool.apply('give_object', (1,))
        self.assertEqual(self.pool.apply('declared', GLib.Variant('x', 1)), GLib.Variant('x', 1))
        with self.assertRaises(TypeError):
            self.pool.apply('declared', GLib.Variant('s', 'text'))
        with self.assertRaises((TypeError, Mp.ProcessError)):
            self.pool.apply('declared', GLib.Variant('x', 10))
        with self.assertRaises(TypeError):
            Mp.function_register('no-function', 5)

    def test_process(self):
        process = Mp.Process(target='join-texts', args=('a', 'b'))
        process.start()
        process.join()
        self.assertEqual(process.exitcode, 0)
        process = Mp.Process.new('square', GLib.Variant('x', 2))
        process.start()
        process.join()
        self.assertEqual(process.exitcode, 0)

    def test_named_initializer(self):
        with Mp.Pool(1, initializer='square', initargs=(2,)) as pool:
            self.assertEqual(pool.apply('square', (2,)), 4)


class LanguagesTest(unittest.TestCase):
    def test_owner_in_c(self):
        script = support.Script(WORKER)
        result = subprocess.run([HELPER, *script.command()], capture_output=True, text=True, timeout=support.TIMEOUT)
        self.assertEqual(result.stdout,
                         'square: [int64 1, 4, 9, 16, 25]\n'
                         "describe: 'numbers: 2'\n"
                         'later: int64 21\n'
                         'fail: mp-error-quark %d: ValueError: on purpose\n'
                         'details: ValueError, traceback of fail\n'
                         'process: 0\n' % int(Mp.Error.REMOTE))
        self.assertEqual((result.stderr, result.returncode), ('', 0))

    def test_worker_in_c(self):
        context = Mp.Context(worker_argv=[HELPER])
        with context.Pool(2) as pool:
            self.assertEqual(pool.map('square', range(10)), [x * x for x in range(10)])
            self.assertEqual(pool.apply('describe', (GLib.Variant('(sax)', ('n', [1, 2])),)), GLib.Variant('s', 'n: 2'))
            self.assertEqual(pool.apply('describe', ('n', [1, 2])), 'n: 2')
            with self.assertRaises(TypeError):
                pool.apply('square', (GLib.Variant('s', 'text'),))
            with self.assertRaises(GLib.Error) as caught:
                pool.apply('fail')
            self.assertEqual(caught.exception.message, 'failed in C')
            with self.assertRaises(Mp.NoSuchFunctionError):
                pool.map(len, ['a'])
        process = Mp.Process(target='describe', args=('n', [1]), context=context)
        process.start()
        process.join()
        self.assertEqual(process.exitcode, 0)

    def test_worker_script_in_python(self):
        script = support.Script(WORKER)
        with Mp.Context(worker_argv=script.command()).Pool(1) as pool:
            self.assertEqual(pool.map('square', [1, 2]), [1, 4])
            self.assertEqual(pool.apply('later', (1,)), 2)

    def test_worker_that_starts_something_before_init(self):
        script = support.Script('''
            from gi.repository import Mp
            with Mp.Pool(2) as pool:
                pool.map(abs, [1])
            Mp.init()
            ''')
        with Mp.Context(worker_argv=script.command()).Pool(1) as pool:
            with self.assertRaisesRegex(Mp.WorkerStartError, r'Mp.init\(\) must be called before'):
                pool.apply('anything')


if __name__ == '__main__':
    support.main()
