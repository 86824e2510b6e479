#!/usr/bin/env python3
# test_process.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Process: what multiprocessing.Process does."""

import multiprocessing
import os
import select
import signal
import sys
import unittest

from gi.repository import GLib
from gi.repository import Mp

import support
from support import TIMEOUT


def send(connection, *args, **kwargs):
    connection.send((args, kwargs))


def send_facts(connection):
    me, parent = Mp.current_process(), Mp.parent_process()
    connection.send((me.name, me.pid, me.daemon, parent.name, parent.pid, parent.is_alive(),
                     multiprocessing.current_process().name))


def wait_for_ever(connection):
    connection.send(os.getpid())
    while True:
        signal.pause()


def wait_for_interrupt(connection):
    try:
        connection.send('ready')
        while True:
            signal.pause()
    except KeyboardInterrupt:
        connection.send('interrupted')
        sys.exit(7)


def leave(code):
    sys.exit(code)


def fail():
    raise ValueError('on purpose')


def abort():
    os.abort()


def start_another(connection, depth):
    if depth:
        process = Mp.Process(target=start_another, args=(connection, depth - 1))
        process.start()
        process.join()
        connection.send((depth, process.name, process.exitcode))


class Greeter(Mp.Process):
    greeting = 'hello'

    def __init__(self, connection, whom):
        super().__init__(name='greeter of ' + whom)
        self.connection = connection
        self.whom = whom

    def run(self):
        self.connection.send((self.greeting, self.whom, self.name, type(self).__name__, self.pid == os.getpid(),
                              Mp.current_process() is self))


class Stated(Mp.Process):
    def __init__(self, connection):
        super().__init__()
        self.connection = connection
        self.unpicklable = lambda: None

    def __getstate__(self):
        return {'connection': self.connection}

    def run(self):
        self.connection.send(hasattr(self, 'unpicklable'))


class ProcessTest(unittest.TestCase):
    def run_process(self, target, *args, **kwargs):
        process = Mp.Process(target=target, args=args, **kwargs)
        process.start()
        process.join(TIMEOUT)
        return process

    def test_arguments(self):
        ours, theirs = Mp.Pipe()
        process = Mp.Process(None, send, 'sender', (theirs, 1, 'a'), {'b': [None]})
        self.assertEqual(process.name, 'sender')
        process.start()
        self.assertEqual(ours.recv(), ((1, 'a'), {'b': [None]}))
        process.join()
        self.assertEqual(process.exitcode, 0)
        with self.assertRaises(AssertionError):
            Mp.Process(group=1)

    def test_states(self):
        ours, theirs = Mp.Pipe()
        process = Mp.Process(target=wait_for_ever, args=(theirs,))
        self.assertFalse(process.is_alive())
        self.assertIsNone(process.pid)
        self.assertIsNone(process.ident)
        self.assertIsNone(process.exitcode)
        self.assertIn('initial', repr(process))
        with self.assertRaisesRegex(ValueError, 'process not started'):
            process.sentinel
        with self.assertRaisesRegex(AssertionError, 'can only join a started process'):
            process.join()
        process.start()
        self.assertIsInstance(process.pid, int)
        self.assertEqual(ours.recv(), process.pid)
        self.assertTrue(process.is_alive())
        self.assertIsNone(process.exitcode)
        self.assertIn('started', repr(process))
        with self.assertRaisesRegex(AssertionError, 'cannot start a process twice'):
            process.start()
        self.assertIsNone(process.join(0.01))
        self.assertTrue(process.is_alive())
        with self.assertRaisesRegex(ValueError, 'Cannot close a process while it is still running'):
            process.close()
        self.assertEqual(select.select([process.sentinel], [], [], 0)[0], [])
        process.terminate()
        self.assertEqual(select.select([process.sentinel], [], [], TIMEOUT)[0], [process.sentinel])
        process.join()
        process.join()
        self.assertFalse(process.is_alive())
        self.assertEqual(process.exitcode, -signal.SIGTERM)
        self.assertIn('stopped exitcode=-SIGTERM', repr(process))
        process.terminate()
        process.close()
        process.close()
        self.assertIn('closed', repr(process))
        for call in (process.is_alive, process.join, process.start, process.kill, lambda: process.exitcode,
                     lambda: process.pid, lambda: process.sentinel):
            with self.assertRaisesRegex(ValueError, 'process object is closed'):
                call()

    def test_facts(self):
        ours, theirs = Mp.Pipe()
        process = Mp.Process(target=send_facts, name='fact', args=(theirs,))
        process.daemon = True
        process.start()
        self.assertEqual(ours.recv(), ('fact', process.pid, True, 'MainProcess', os.getpid(), True, 'fact'))
        process.join()
        with self.assertRaisesRegex(AssertionError, 'process has already started'):
            process.daemon = False

    def test_names(self):
        first, second = Mp.Process(), Mp.Process()
        self.assertRegex(first.name, r'^Process-\d+$')
        self.assertEqual(int(second.name[8:]), int(first.name[8:]) + 1)
        second.name = 'other'
        self.assertEqual(second.name, 'other')
        with self.assertRaises(AssertionError):
            second.name = 5
        self.assertRegex(Stated(None).name, r'^Stated-\d+$')

    def test_main_process(self):
        main = Mp.current_process()
        self.assertEqual((main.name, main.pid, main.daemon), ('MainProcess', os.getpid(), False))
        self.assertTrue(main.is_alive())
        self.assertIsNone(Mp.parent_process())

    def test_exit_codes(self):
        self.assertEqual(self.run_process(leave, None).exitcode, 0)
        self.assertEqual(self.run_process(leave, 5).exitcode, 5)
        self.assertEqual(self.run_process(os._exit, 6).exitcode, 6)
        self.assertEqual(self.run_process(abort).exitcode, -signal.SIGABRT)
        self.assertEqual(self.run_process(None).exitcode, 0)

    def test_what_is_written(self):
        result = support.run_script('''
            import sys
            from gi.repository import Mp
            from test_process import fail, leave
            if __name__ == '__main__':
                for target, args in ((fail, ()), (leave, ('a text',)), (print, ('printed',))):
                    p = Mp.Process(target=target, args=args, name='P')
                    p.start()
                    p.join()
                    print(p.exitcode, flush=True)
            ''', env=dict(os.environ, PYTHONPATH=os.pathsep.join([os.path.dirname(os.path.abspath(__file__)),
                                                                  os.environ.get('PYTHONPATH', '')])))
        self.assertEqual(result.stdout, '1\n1\nprinted\n0\n')
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r'^Process P:\nTraceback \(most recent call last\):\n(.*\n)*'
                                        r'ValueError: on purpose\na text\n$')

    def test_subclass(self):
        ours, theirs = Mp.Pipe()
        process = Greeter(theirs, 'you')
        process.start()
        self.assertEqual(ours.recv(), ('hello', 'you', 'greeter of you', 'Greeter', True, True))
        process.join()
        self.assertEqual(process.exitcode, 0)
        stated = Stated(theirs)
        stated.start()
        self.assertIs(ours.recv(), False)
        stated.join()

    def test_run_here(self):
        got = []
        Mp.Process(target=got.append, args=[1]).run()
        self.assertEqual(got, [1])

    def test_cannot_be_pickled(self):
        with self.assertRaises(TypeError):
            multiprocessing.reduction.ForkingPickler.dumps(Mp.Process())

    def test_unpicklable_target(self):
        process = Mp.Process(target=lambda: None)
        with self.assertRaisesRegex(Exception, "[Cc]an't pickle"):
            process.start()
        self.assertFalse(process.is_alive())

    def test_interrupt(self):
        ours, theirs = Mp.Pipe()
        process = Mp.Process(target=wait_for_interrupt, args=(theirs,))
        process.start()
        self.assertEqual(ours.recv(), 'ready')
        process.interrupt()
        self.assertEqual(ours.recv(), 'interrupted')
        process.join()
        self.assertEqual(process.exitcode, 7)

    def test_kill(self):
        ours, theirs = Mp.Pipe()
        process = Mp.Process(target=wait_for_ever, args=(theirs,))
        process.start()
        ours.recv()
        process.kill()
        process.join(TIMEOUT)
        self.assertEqual(process.exitcode, -signal.SIGKILL)

    def test_active_children(self):
        ours, theirs = Mp.Pipe()
        processes = [Mp.Process(target=wait_for_ever, args=(theirs,)) for _ in range(3)]
        for process in processes:
            process.start()
        active = Mp.active_children()
        for process in processes:
            self.assertIn(process, active)
            process.kill()
            process.join()
        self.assertEqual([process for process in processes if process in Mp.active_children()], [])

    def test_dropped_object(self):
        ours, theirs = Mp.Pipe()
        Mp.Process(target=send, args=(theirs, 'alive')).start()
        self.assertEqual(ours.recv(), (('alive',), {}))

    def test_nested(self):
        ours, theirs = Mp.Pipe()
        process = Mp.Process(target=start_another, args=(theirs, 2), name='Top-1')
        process.start()
        first, second = ours.recv(), ours.recv()
        process.join()
        self.assertEqual((first[0], first[2], second[0], second[2], process.exitcode), (1, 0, 2, 0, 0))
        self.assertTrue(first[1].startswith(second[1] + ':'), (first, second))

    def test_start_methods(self):
        result = support.run_script('''
            import functools
            from gi.repository import Mp
            def send(connection, method):
                connection.send(method)
            if __name__ == '__main__':
                # fork first: later there is a thread of GLib's.
                for method in sorted(Mp.get_all_start_methods()):
                    context = Mp.get_context(method)
                    ours, theirs = context.Pipe()
                    process = context.Process(target=functools.partial(send, theirs), args=(method,))
                    process.start()
                    print(isinstance(process, Mp.Process), ours.recv() == method, end=' ')
                    process.join()
                    print(process.exitcode)
            ''')
        self.assertEqual((result.stdout, result.stderr), ('True True 0\n' * 3, ''))

    def test_signals(self):
        seen = []
        process = Mp.Process(target=leave, args=(3,))
        process.connect('started', lambda _process: seen.append('started'))
        process.connect('exited', lambda _process, status: seen.append(status))
        process.start()
        process.join()
        self.assertEqual(seen, ['started', 3])

    def test_signals_in_a_main_loop(self):
        loop, seen = GLib.MainLoop(), []
        process = Mp.Process(target=leave, args=(4,))

        def exited(_process, status):
            seen.append(status)
            loop.quit()

        process.connect('exited', exited)
        process.start()
        GLib.timeout_add_seconds(int(TIMEOUT), loop.quit)
        loop.run()
        self.assertEqual(seen, [4])
        self.assertEqual(process.exitcode, 4)

    def test_output_by_line(self):
        lines = []
        process = Mp.Process(target=print, args=('one\ntwo',), capture_output=True)
        process.connect('line', lambda _process, stream, text: lines.append((stream, text)))
        process.start()
        process.join()
        self.assertEqual(lines, [('stdout', 'one'), ('stdout', 'two')])


if __name__ == '__main__':
    support.main()
