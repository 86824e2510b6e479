import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import Mp from 'gi://Mp';

const Widget = GObject.registerClass({
    Properties: {fraction: GObject.ParamSpec.double('fraction', '', '', GObject.ParamFlags.READWRITE, 0, 1, 0)},
    Signals: {clicked: {}},
}, class Widget extends GObject.Object {});

const makeThumbnail = Mp.register(function makeThumbnail(path) {
    return path + path;
});
Mp.init();

for (const cancel of [false, true]) {
    const progressBar = new Widget(), cancelButton = new Widget();
    const paths = cancel ? new Array(1000).fill('a') : ['a', 'b'];
    let seen = null;
    const showAll = all => (seen = all);
    const showError = error => (seen = error);
    if (cancel)
        GLib.idle_add(GLib.PRIORITY_HIGH, () => cancelButton.emit('clicked'));

    @README@
    if (cancel ? !seen.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED) : `${seen}` !== 'aa,bb')
        throw new Error(`seen: ${seen}`);
    while (!cancel && progressBar.fraction < 1)
        GLib.MainContext.default().iteration(true);
    pool.terminate();
}
