import GLib from 'gi://GLib';
import Mp from 'gi://Mp';

const client = Mp.register(async function client(address) {
    const seen = [];
    const print = message => seen.push(message instanceof GLib.Bytes ? message.get_size() : message);
    @README | from const connection | with 'tcp:localhost:6000' -> address@
    return seen;
});
Mp.init();

const pool = Mp.Pool.new(1);
let received = null;
@README | until for await | with 6000 -> 0@
received = pool.apply_async(client, [listener.address]);
@README | from for await | until // In another | with connection.close(); -> connection.close(), listener.close();@
received = await received;
if (`${received}` !== '2.25,,junk,8')
    throw new Error(`received: ${received}`);
@README | from // In another | until const connection@
