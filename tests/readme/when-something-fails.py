import os
import signal

from gi.repository import Mp


def check(name):
    if name == 'bad':
        raise ValueError(name)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == '__main__':
    seen = []

    def print(*values):
        seen.append(values)

    with Mp.Pool(1) as pool:
        for name in 'bad', 'worse':
            @README@

    (own, cause), (died, exitcode) = seen
    assert str(own) == 'bad' and 'in check' in str(cause), cause
    assert isinstance(died, Mp.WorkerDiedError) and exitcode == -9, exitcode
