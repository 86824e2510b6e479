import GLib from 'gi://GLib';
import Mp from 'gi://Mp';

const watchFolder = Mp.register(function watchFolder(_path) {
    for (;;)
        GLib.usleep(1000000);
});
Mp.init();

const seen = [];
const print = text => seen.push(text);
const rest = () => seen.push(process.is_alive());
@README@
if (`${seen}` !== 'true,it has ended: -15' || process.exit_status !== -15)
    throw new Error(`seen: ${seen}`);
