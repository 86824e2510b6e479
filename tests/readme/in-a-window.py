from concurrent.futures import CancelledError

from gi.repository import GLib, GObject, Mp


class Bar(GObject.Object):
    fraction = GObject.Property(type=float)


class Button(GObject.Object):
    @GObject.Signal
    def clicked(self):
        pass


def make_thumbnail(path):
    return path * 2


if __name__ == '__main__':
    progress_bar = Bar()
    cancel_button = Button()
    paths = ['a', 'b']
    seen = []
    show_all = show_error = seen.append
    context = GLib.MainContext.default()

    @README | until result =@
    for cancel in False, True:
        @README | from result = | until cancel_button@
        @README | from cancel_button@
        if cancel:
            paths = ['a', 'b']
            cancel_button.emit('clicked')
        while len(seen) < 1 + cancel or (not cancel and progress_bar.fraction < 1):
            context.iteration(True)
        paths *= 1000

    assert seen[0] == ['aa', 'bb']
    assert isinstance(seen[1], CancelledError), seen[1]
    pool.terminate()
