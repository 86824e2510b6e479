import time

from gi.repository import Mp


def watch_folder(path):
    while True:
        time.sleep(1)


def rest():
    assert process.is_alive() and process.daemon


if __name__ == '__main__':
    seen = []

    def print(*values):
        seen.append(values)

    @README@

    assert process.exitcode == -15
    assert seen == [('it has ended:', -15)], seen
