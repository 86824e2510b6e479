from gi.repository import Mp


def rest():
    outcomes = []
    for result in [pool.apply_async(abs, (-n,)) for n in range(50)]:
        try:
            outcomes.append(result.get())
        except Mp.WorkerDiedError:
            outcomes.append(None)
    runs.append(outcomes)


if __name__ == '__main__':
    runs = []
    for _ in range(2):
        @README@

    assert runs[0] == runs[1] and None in runs[0], runs
