from gi.repository import GLib, Mp


def render(page):
    @README | from Mp.Invocation@
    return page


class Bar:
    fraction = 0

    def set_fraction(self, fraction):
        self.fraction = fraction


if __name__ == '__main__':
    bar = Bar()
    page = 7

    with Mp.Pool(1) as pool:
        @README | until Mp.Invocation@
        assert call.get() == 7
        while bar.fraction < 0.5:
            GLib.MainContext.default().iteration(True)
