#!/usr/bin/env python3
# test_programs.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole programs: how they are started, interrupted and ended."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import unittest

import support
from support import TIMEOUT, Script, run_script

SQUARES = '''
    from gi.repository import Mp
    def square(x): return x * x
    if __name__ == '__main__':
        with Mp.Pool(processes=4) as pool:
            print(pool.map(square, range(10)))
    '''
SQUARES_OUTPUT = '[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n'


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.text = ''

    def read_until(self, pattern):
        deadline = time.monotonic() + TIMEOUT
        while not re.search(pattern, self.text):
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError('no %r in %r' % (pattern, self.text))
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b''
            if not data:
                raise AssertionError('no %r before the end of %r' % (pattern, self.text))
            self.text += data.decode('utf-8', 'replace').replace('\r\n', '\n')
        text, self.text = self.text, ''
        return text

    def write(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        """Reads to the end; what came, and the status of the program."""
        text = self.text
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            text += data.decode('utf-8', 'replace').replace('\r\n', '\n')
        os.close(self.fd)
        return text, os.waitpid(self.pid, 0)[1]


class StartTest(unittest.TestCase):
    def check(self, result, output=SQUARES_OUTPUT):
        self.assertEqual((result.stdout, result.stderr, result.returncode), (output, '', 0))

    def test_script(self):
        script = Script(SQUARES)
        self.check(script.run())
        # By a relative name, and from elsewhere later.
        self.check(subprocess.run([sys.executable, 'script.py'], cwd=script.directory, capture_output=True, text=True,
                                  timeout=TIMEOUT))

    def test_after_chdir(self):
        script = Script('''
            import os
            from gi.repository import Mp
            def where(): return os.getcwd()
            if __name__ == '__main__':
                os.chdir('/')
                with Mp.Pool(1) as pool:
                    print(pool.apply(where))
            ''')
        self.check(subprocess.run([sys.executable, 'script.py'], cwd=script.directory, capture_output=True, text=True,
                                  timeout=TIMEOUT), '/\n')

    def test_logger(self):
        """The level and the handler reach the workers, and their records say whose they are."""
        for method in 'spawn', 'forkserver', 'fork':
            with self.subTest(method):
                result = run_script('''
                    import logging
                    from gi.repository import Mp
                    def work(x):
                        Mp.get_logger().info('got %%d', x)
                        Mp.get_logger().debug('not asked for')
                    if __name__ == '__main__':
                        Mp.log_to_stderr(logging.INFO)
                        process = Mp.get_context(%r).Process(target=work, args=(7,), name='Seven')
                        process.start()
                        process.join()
                    ''' % method)
                self.assertEqual((result.stdout, result.returncode), ('', 0), result.stderr)
                self.assertEqual([line for line in result.stderr.splitlines() if 'got' in line or 'asked' in line],
                                 ['[INFO/Seven] got 7'])

    def test_module(self):
        script = Script(SQUARES, name='program.py')
        self.check(subprocess.run([sys.executable, '-m', 'program'], cwd=script.directory, capture_output=True,
                                  text=True, timeout=TIMEOUT))
        self.check(subprocess.run([sys.executable, '-c', 'from program import *; from gi.repository import Mp\n'
                                   'with Mp.Pool(2) as pool: print(pool.map(square, range(10)))'],
                                  cwd=script.directory, capture_output=True, text=True, timeout=TIMEOUT))

    def test_standard_input(self):
        result = subprocess.run([sys.executable, '-'], input='''
from gi.repository import Mp
import math
with Mp.Pool(2) as pool: print(pool.map(math.sqrt, [4, 9]))
''', capture_output=True, text=True, timeout=TIMEOUT)
        self.check(result, '[2.0, 3.0]\n')

    def test_another_interpreter_in_path(self):
        script = Script(SQUARES)
        fake = os.path.join(script.directory, 'python3')
        with open(fake, 'w') as stream:
            stream.write('#!/bin/sh\necho wrong interpreter >&2\nexit 1\n')
        os.chmod(fake, 0o755)
        env = dict(os.environ, PATH=script.directory + ':' + os.environ['PATH'])
        self.check(subprocess.run(['python3', script.path], executable=os.path.realpath(sys.executable), env=env,
                                  capture_output=True, text=True, timeout=TIMEOUT))

    def test_no_guard(self):
        for method in ('spawn', 'forkserver'):
            with self.subTest(method):
                script = Script('''
                    import sys
                    from gi.repository import Mp
                    def square(x): return x * x
                    print('imported')
                    with Mp.get_context(%r).Pool(4) as pool:
                        print(pool.map(square, range(10)))
                    ''' % method)
                result = script.run()
                self.assertEqual(result.returncode, 1)
                self.assertIn('RuntimeError', result.stderr)
                self.assertIn("if __name__ == '__main__':", result.stderr)
                self.assertLess(result.stdout.count('imported'), 10)

    def test_no_guard_with_init(self):
        # What stands outside of the guard runs in workers too, but starts nothing there.
        self.check(run_script('''
            from gi.repository import Mp
            @Mp.function
            def square(x): return x * x
            Mp.init()
            if __name__ == '__main__':
                with Mp.Pool(2) as pool:
                    print(pool.map('square', [1, 2, 3]))
            '''), '[1, 4, 9]\n')

    def test_application(self):
        """A pool is made where a program of GNOME makes it, also when Mp is imported there only."""
        for method in (None, 'spawn', 'forkserver'):
            with self.subTest(method):
                self.check(run_script('''
                    import sys
                    from gi.repository import Gio
                    def square(x): return x * x
                    class Application(Gio.Application):
                        def do_activate(self):
                            from gi.repository import Mp
                            Mp.set_start_method(%r)
                            process = Mp.Process(target=square, args=(1,))
                            process.start()
                            process.join()
                            print(process.exitcode)
                            self.pool = Mp.Pool(2)
                            self.hold()
                            self.pool.map_async(square, range(5), callback=self.done, error_callback=self.done)
                        def done(self, result):
                            print(result)
                            self.pool.terminate()
                            self.release()
                    if __name__ == '__main__':
                        application = Application(application_id='org.example.Squares',
                                                  flags=Gio.ApplicationFlags.NON_UNIQUE)
                        Gio.Application.set_default(application)
                        sys.exit(application.run(sys.argv))
                    ''' % method), '0\n[0, 1, 4, 9, 16]\n')

    def test_environment_of_workers(self):
        """What made it a worker is not handed on, neither by this process's environment nor by Python's copy of it."""
        for method in ('spawn', 'forkserver', 'fork'):
            with self.subTest(method):
                result = run_script('''
                    import os, subprocess, sys
                    from gi.repository import Mp
                    def run_again(text):
                        print(sorted(name for name in os.environ if name.startswith('MP_WORKER')), flush=True)
                        return subprocess.run([sys.executable, '-c', text], env=dict(os.environ)).returncode
                    def square(x): return x * x
                    if __name__ == '__main__':
                        text = 'from gi.repository import Mp; print(Mp.Pool(1).apply(pow, (3, 2)))'
                        with Mp.get_context(%r).Pool(1) as pool:
                            print(pool.apply(run_again, (text,)))
                        process = Mp.get_context(%r).Process(target=run_again, args=(text,))
                        process.start()
                        process.join()
                    ''' % (method, method))
                self.assertEqual(sorted(result.stdout.split()), ['0', '9', '9', '[]', '[]'])
                self.assertEqual((result.stderr, result.returncode), ('', 0))

    def test_worker_output(self):
        for method in ('spawn', 'forkserver', 'fork'):
            with self.subTest(method):
                result = run_script('''
                    from gi.repository import Mp
                    def say(x): print('item', x)
                    if __name__ == '__main__':
                        Mp.set_start_method(%r)
                        pool = Mp.Pool(2)
                        pool.map(say, range(5))
                        pool.close()
                        pool.join()
                    ''' % method)
                self.assertEqual(sorted(result.stdout.splitlines()), ['item %d' % x for x in range(5)])
                self.assertEqual((result.stderr, result.returncode), ('', 0))


class PromptTest(unittest.TestCase):
    def setUp(self):
        self.terminal = Terminal([sys.executable, '-q'])
        self.terminal.read_until('>>> ')
        self.run_line('from gi.repository import Mp')

    def run_line(self, line):
        self.terminal.write(line + '\n')
        return self.terminal.read_until(r'\n>>> $')

    def tearDown(self):
        self.terminal.write('exit()\n')
        text, status = self.terminal.close()
        self.assertNotIn('Traceback', text)
        self.assertEqual(status, 0)

    def test_importable_function(self):
        self.run_line('import math')
        self.run_line('pool = Mp.Pool(2)')
        self.assertIn('[2.0, 3.0]', self.run_line('pool.map(math.sqrt, [4, 9])'))
        self.run_line('pool.terminate()')

    def test_function_of_the_prompt(self):
        self.run_line('square = eval("lambda x: x * x")')
        self.terminal.write('def cube(x): return x ** 3\n\n')
        self.terminal.read_until(r'\n>>> $')
        for method in ('forkserver', 'spawn'):
            self.run_line('pool = Mp.get_context(%r).Pool(2)' % method)
            text = self.run_line('pool.map(cube, [4, 9])')
            self.assertIn("AttributeError: Can't get attribute 'cube'", text)
            self.assertIn('functions defined at the prompt', text)
            self.run_line('pool.terminate()')

    def test_interrupt(self):
        self.run_line('pool = Mp.Pool(2)')
        with support.tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'begun')
            self.run_line('code = "open(%r, \'w\'); import signal; signal.pause()"' % path)
            self.terminal.write('pool.map(exec, [code, code])\n')
            # Ctrl-C is for the call, not for the line that is still being read.
            support.wait_until(lambda: os.path.exists(path), 'the call')
        self.terminal.write('\3')
        text = self.terminal.read_until(r'\n>>> $')
        self.assertIn('KeyboardInterrupt', text)
        self.assertEqual(text.count('Traceback'), 1)
        self.run_line('pool.terminate()')


class InterruptTest(unittest.TestCase):
    SCRIPT = '''
        import signal, sys
        from gi.repository import Mp
        def wait(_=None):
            print('waiting', flush=True)
            signal.pause()
        def wait_alone():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            wait()
        def use(pool):
            {use}
        if __name__ == '__main__':
            try:
                with Mp.Pool(2) as pool:
                    use(pool)
            except KeyboardInterrupt:
                print('interrupted', flush=True)
                sys.exit(5)
        '''

    def interrupt(self, script, kill=os.killpg, errors=''):
        process = script.start(start_new_session=True)
        self.assertEqual(process.stdout.readline(), 'waiting\n')
        workers = support.descendants(process.pid)
        before = time.monotonic()
        # As Ctrl-C does: to the whole group.
        kill(process.pid, signal.SIGINT)
        output, written = process.communicate(timeout=TIMEOUT)
        self.assertLess(time.monotonic() - before, 5)
        self.assertRegex(written, errors + r'\Z')
        for worker in workers:
            support.wait_until(lambda: not support.is_running(worker), 'the end of the workers')
        return output.replace('waiting\n', ''), process.returncode

    def test_each_blocking_call(self):
        for use in ('pool.map(wait, [1, 2])', 'pool.apply(wait)', 'pool.apply_async(wait).get()',
                    'pool.apply_async(wait).wait()', 'pool.apply_async(wait).get(1000)', 'next(pool.imap(wait, [1]))',
                    'pool.apply_async(wait); pool.close(); pool.join()',
                    'p = Mp.Process(target=wait_alone, daemon=True); p.start(); p.join()'):
            with self.subTest(use):
                self.assertEqual(self.interrupt(Script(self.SCRIPT.format(use=use))), ('interrupted\n', 5))

    def test_without_a_handler(self):
        script = self.SCRIPT.format(use='pool.map(wait, [1, 2])')
        left = script.replace('with Mp.Pool(2) as pool', 'pool = Mp.Pool(2)\n                if True')
        default = left.replace("if __name__ == '__main__':", """if __name__ == '__main__':
            signal.signal(signal.SIGINT, signal.SIG_DFL)""")
        for kill in (os.kill, os.killpg):
            with self.subTest(kill=kill.__name__):
                self.assertEqual(self.interrupt(Script(script), kill), ('interrupted\n', 5))
                self.assertEqual(self.interrupt(Script(left), kill), ('interrupted\n', 5))
                self.assertEqual(self.interrupt(Script(default), kill), ('', -signal.SIGINT))
                raised = Script(left.replace('except KeyboardInterrupt', 'except MemoryError'))
                self.assertEqual(self.interrupt(raised, kill, r'Traceback [^\0]*\nKeyboardInterrupt\n'),
                                 ('', -signal.SIGINT))

    def test_connection(self):
        script = Script('''
            import sys
            from gi.repository import Mp
            first, second = Mp.Pipe()
            try:
                print('waiting', flush=True)
                first.recv()
            except KeyboardInterrupt:
                print('interrupted', flush=True)
                sys.exit(5)
            ''')
        self.assertEqual(self.interrupt(script), ('interrupted\n', 5))

    def test_other_handlers_run_and_the_call_goes_on(self):
        script = Script('''
            import os, signal
            from gi.repository import Mp
            def wait(path):
                print('waiting', flush=True)
                open(path).close()
                return 'done'
            def handler(signum, frame):
                print('handler', flush=True)
                open(path, 'w').close()
            if __name__ == '__main__':
                path = os.path.join(os.path.dirname(__file__), 'go')
                os.mkfifo(path)
                signal.signal(signal.SIGUSR1, handler)
                with Mp.Pool(1) as pool:
                    print(pool.apply(wait, (path,)))
            ''')
        process = script.start()
        self.assertEqual(process.stdout.readline(), 'waiting\n')
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.communicate(timeout=TIMEOUT), ('handler\ndone\n', ''))

    def test_callback_that_is_interrupted(self):
        script = Script('''
            import os, signal, sys
            from gi.repository import Mp
            def callback(_):
                print('waiting', flush=True)
                os.kill(os.getpid(), signal.SIGINT)
            if __name__ == '__main__':
                try:
                    with Mp.Pool(1) as pool:
                        pool.apply_async(abs, (1,), callback=callback)
                        pool.close()
                        pool.join()
                        pool.join()
                except KeyboardInterrupt:
                    print('interrupted', flush=True)
                    sys.exit(5)
            ''')
        result = script.run()
        self.assertEqual((result.stdout, result.stderr, result.returncode), ('waiting\ninterrupted\n', '', 5))

    def test_nested_calls_that_are_interrupted(self):
        for connect in ('pool.apply_async(abs, (1,), callback=callback)',
                        "pool.connect('worker-exited', callback); pool.close()"):
            with self.subTest(connect):
                script = Script('''
                    import os, signal, sys
                    from gi.repository import Mp
                    def callback(*args):
                        global called
                        if not called:
                            called = True
                            signal.alarm(1)
                            first.recv()
                    called = False
                    if __name__ == '__main__':
                        first, second = Mp.Pipe()
                        signal.signal(signal.SIGALRM, signal.default_int_handler)
                        try:
                            pool = Mp.Pool(1)
                            pool.apply(abs, (1,))
                            {}
                            pool.close()
                            pool.join()
                        except KeyboardInterrupt:
                            print('interrupted', flush=True)
                            sys.exit(5)
                    '''.format(connect))
                result = script.run()
                self.assertEqual((result.stdout, result.returncode), ('interrupted\n', 5), result.stderr)

    def test_handlers_are_kept(self):
        result = run_script('''
            import signal
            from gi.repository import Mp
            def handler(signum, frame): pass
            if __name__ == '__main__':
                signal.signal(signal.SIGUSR1, handler)
                with Mp.Pool(1) as pool:
                    pool.apply(abs, (1,))
                    pool.apply_async(abs, (1,), callback=lambda _: print(
                        signal.getsignal(signal.SIGINT) is signal.default_int_handler,
                        signal.getsignal(signal.SIGUSR1) is handler)).get()
                print(signal.getsignal(signal.SIGINT) is signal.default_int_handler,
                      signal.getsignal(signal.SIGUSR1) is handler)
            ''')
        self.assertEqual((result.stdout, result.stderr), ('True True\nTrue True\n', ''))

    def test_wakeup_fd_is_kept(self):
        result = run_script('''
            import os, signal, threading
            from gi.repository import Mp
            if __name__ == '__main__':
                read_fd, write_fd = os.pipe2(os.O_NONBLOCK)
                signal.set_wakeup_fd(write_fd)
                signal.signal(signal.SIGUSR1, lambda *args: None)
                first, second = Mp.Pipe()
                def later():
                    os.kill(os.getpid(), signal.SIGUSR1)
                    second.send('x')
                thread = threading.Thread(target=later)
                thread.start()
                print(first.recv())
                thread.join()
                print(os.read(read_fd, 10) == bytes([signal.SIGUSR1]), signal.set_wakeup_fd(-1) == write_fd)
            ''')
        self.assertEqual((result.stdout, result.stderr), ('x\nTrue True\n', ''))


class ExitTest(unittest.TestCase):
    def check(self, text, output, status=0):
        result = run_script(text)
        self.assertEqual((result.stdout, result.stderr, result.returncode), (output, '', status))

    def test_processes_are_joined(self):
        self.check('''
            import time
            from gi.repository import Mp
            def work():
                time.sleep(0.2)  # work that is not done when the main program is
                print('worked')
            if __name__ == '__main__':
                Mp.Process(target=work).start()
                print('main ends', flush=True)
            ''', 'main ends\nworked\n')

    def test_daemons_are_terminated(self):
        self.check('''
            import signal
            from gi.repository import Mp
            def work():
                signal.pause()
            if __name__ == '__main__':
                Mp.Process(target=work, daemon=True).start()
                print('main ends', flush=True)
            ''', 'main ends\n')

    def test_pools_are_terminated(self):
        self.check('''
            import time
            from gi.repository import Mp
            if __name__ == '__main__':
                pool = Mp.Pool(2)
                results = [pool.apply_async(time.sleep, (1000,)) for _ in range(100)]
                results[0].wait(0.1)
                print('main ends', flush=True)
            ''', 'main ends\n')

    def test_pool_with_pending_callbacks(self):
        self.check('''
            from gi.repository import Mp
            if __name__ == '__main__':
                pool = Mp.Pool(2)
                for x in range(100):
                    pool.apply_async(abs, (x,), callback=lambda value: None)
                pool.map(abs, range(10))
            ''', '')

    def test_exit_with_an_exception(self):
        result = run_script('''
            from gi.repository import Mp
            if __name__ == '__main__':
                pool = Mp.Pool(2)
                pool.map(abs, range(10))
                raise SystemExit(4)
            ''')
        self.assertEqual((result.stdout, result.stderr, result.returncode), ('', '', 4))

    def test_owner_killed(self):
        for method in ('spawn', 'forkserver'):
            with self.subTest(method):
                script = Script('''
                    from gi.repository import Mp
                    def spin(_=None):
                        print('spinning', flush=True)
                        while True: pass
                    if __name__ == '__main__':
                        Mp.set_start_method(%r)
                        with Mp.Pool(2) as pool:
                            pool.apply(spin)
                    ''' % method)
                process = script.start()
                self.assertEqual(process.stdout.readline(), 'spinning\n')
                pids = support.descendants(process.pid)
                self.assertTrue(pids)
                before = time.monotonic()
                process.kill()
                for pid in pids:
                    support.wait_until(lambda: not support.is_running(pid), 'the end of %d' % pid)
                self.assertLess(time.monotonic() - before, 1)
                process.communicate()

    IGNORING = '''
        import signal
        from gi.repository import Mp
        def square(x): return x * x
        if __name__ == '__main__':
            {habit}
            with Mp.Pool(2) as pool:
                print(pool.map(square, range(4)))
            p = Mp.Process(target=square, args=(1,))
            p.start()
            p.join()
            print(p.is_alive(), p.exitcode is not None, signal.getsignal(signal.SIGCHLD))
        '''

    def test_a_host_that_ignores_its_children(self):
        output = '[0, 1, 4, 9]\nFalse True %s\n' % signal.SIG_IGN
        self.check(self.IGNORING.format(habit='signal.signal(signal.SIGCHLD, signal.SIG_IGN)'), output)
        # Or was started so.
        script = Script(self.IGNORING.format(habit='pass'))
        result = subprocess.run(['env', '--ignore-signal=CHLD', *script.command()], capture_output=True, text=True,
                                timeout=TIMEOUT)
        self.assertEqual((result.stdout, result.stderr, result.returncode), (output, '', 0))

    def test_a_host_that_reaps(self):
        for method in ('spawn', 'forkserver', 'fork'):
            with self.subTest(method):
                self.check('''
                    import os, signal
                    from gi.repository import Mp
                    def square(x): return x * x
                    def reap(*args):
                        try:
                            while os.waitpid(-1, os.WNOHANG)[0]:
                                pass
                        except ChildProcessError:
                            pass
                    if __name__ == '__main__':
                        signal.signal(signal.SIGCHLD, reap)
                        Mp.set_start_method(%r)
                        for _ in range(5):
                            p = Mp.Process(target=square, args=(1,))
                            p.start()
                            p.join()
                            if p.is_alive() or p.exitcode is None:
                                print(p)
                        with Mp.Pool(2) as pool:
                            print(pool.map(square, range(4)))
                        print(signal.getsignal(signal.SIGCHLD) is reap)
                    ''' % method, '[0, 1, 4, 9]\nTrue\n')

    def test_nothing_is_changed(self):
        for method in ('spawn', 'forkserver', 'fork'):
            with self.subTest(method):
                self.check('''
                    import os, signal
                    LIBC = 1 << 31 | 1 << 32   # the C library's own, from the first thread of a program on
                    def state():
                        with open('/proc/self/status') as stream:
                            fields = dict(line.split(':', 1) for line in stream)
                        return ([signal.getsignal(number) for number in signal.valid_signals()], fields['Umask'],
                                [int(fields[name], 16) & ~LIBC for name in ('SigBlk', 'SigIgn', 'SigCgt')],
                                dict(os.environ), os.getcwd(), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
                    if __name__ == '__main__':
                        os.umask(0o27)
                        os.chdir('/')
                        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
                        before = state()
                        from gi.repository import Mp
                        Mp.set_start_method(%r)
                        p = Mp.Process(target=abs, args=(1,))
                        p.start()
                        p.join()
                        print(p.exitcode, state() == before)
                        with Mp.Pool(2) as pool:
                            pool.map(abs, range(10))
                            print(state() == before)
                        print(state() == before, signal.set_wakeup_fd(-1))
                    ''' % method, '0 True\nTrue\nTrue -1\n')


if __name__ == '__main__':
    support.main()
