import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import Mp from 'gi://Mp';

const check = Mp.register(function check(name) {
    if (name === 'bad')
        throw new RangeError(name);
    GLib.spawn_command_line_sync(`kill -KILL ${new Gio.Credentials().get_unix_pid()}`);
});
Mp.init();

const pool = Mp.Pool.new(1);
const seen = [];
const print = text => seen.push(text);
for (const name of ['bad', 'worse']) {
    @README@
}
if (seen[0] !== 'bad' || !/killed by signal 9/.test(seen[1]))
    throw new Error(`seen: ${seen}`);
