from gi.repository import Mp


def work_on(task):
    pass


@README@
    assert tasks.empty()
