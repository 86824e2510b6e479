/* test-channels.vala — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connections, listeners, clients, and what is waited for, through the VAPI. */

const string KEY = "secret password";
const int64 LONG = 60 * TimeSpan.SECOND;   /* never reached unless something hangs */

Bytes key () {
    return new Bytes (KEY.data);
}

Variant greet (Variant args) throws Error {
    var options = new Mp.ClientOptions ();
    options.authkey = key ();
    var connection = Mp.client_connect_to (args.get_string (), options, LONG);
    connection.send (new Variant ("(is)", 1, "hello"), LONG);
    return connection.recv (LONG);
}

Variant write_there (Variant args) throws Error {
    var descriptor = (Mp.Descriptor) Mp.Shareable.from_variant (args);
    Posix.write (descriptor.get_fd (), "written", 7);
    descriptor.close ();
    return new Variant.tuple ({});
}

void test_bytes () {
    try {
        Mp.Connection first, second;
        Mp.pipe_new (true, out first, out second);
        uint8[] data = { 1, 2, 3, 4, 5 };
        first.send_data (data, LONG);
        first.send_bytes_full (new Bytes (data), 1, 3, LONG);
        first.send_bytes_full (new Bytes (data), 3, -1, LONG);

        try {
            second.recv_bytes_full (4, LONG);
            assert_not_reached ();
        } catch (Mp.Error error) {
            assert_true (error is Mp.Error.TOO_LARGE);
        }
        assert_cmpuint (second.recv_bytes_full (5, LONG).length, CompareOperator.EQ, 5);
        assert_cmpuint (second.recv_bytes (LONG)[0], CompareOperator.EQ, 2);
        assert_true (second.poll (LONG));
        assert_cmpuint (second.recv_bytes (LONG).length, CompareOperator.EQ, 2);
        assert_false (second.poll (0));
        first.close ();
        try {
            second.recv (LONG);
            assert_not_reached ();
        } catch (IOError error) {
            assert_true (error is IOError.CLOSED);
        }
    } catch (Error error) {
        assert_no_error (error);
    }
}

async void exchange (MainLoop loop) {
    try {
        Mp.Connection first, second;
        Mp.pipe_new (true, out first, out second);
        yield first.send_async (new Variant.string ("value"), null);
        assert_true (yield second.poll_async (null));
        assert_cmpstr ((yield second.recv_async (null)).get_string (), CompareOperator.EQ, "value");
        yield second.send_bytes_async (key (), null);
        assert_true ((yield first.recv_bytes_full_async (100, null)).compare (key ()) == 0);
    } catch (Error error) {
        assert_no_error (error);
    }
    loop.quit ();
}

void test_async () {
    var loop = new MainLoop ();
    exchange.begin (loop);
    loop.run ();
}

void test_listener () {
    try {
        var listener = new Mp.Listener ("tcp:127.0.0.1:0", key ());
        assert_true (listener.get_address ().has_prefix ("tcp:127.0.0.1:"));
        var pool = new Mp.Pool (1);
        var future = pool.submit ("greet", new Variant.string (listener.get_address ()));
        var connection = listener.accept (LONG);
        var message = connection.recv (LONG);
        assert_cmpstr (message.get_child_value (1).get_string (), CompareOperator.EQ, "hello");
        connection.send (new Variant.string ("welcome"), LONG);
        assert_cmpstr (future.get (LONG).get_string (), CompareOperator.EQ, "welcome");
        assert_nonnull (listener.last_accepted);
        pool.close ();
        pool.join (LONG);
        listener.close ();
        assert_true (listener.is_closed ());
    } catch (Error error) {
        assert_no_error (error);
    }
}

async void accept (Mp.Listener listener, MainLoop loop) {
    try {
        var connection = yield listener.accept_async (null);
        connection.send (new Variant.int32 (5), LONG);
    } catch (Error error) {
        assert_no_error (error);
    }
    loop.quit ();
}

async void connect_to (string address, out int number) {
    number = 0;
    try {
        var connection = yield Mp.client_connect_to_async (address, null, null);
        number = (yield connection.recv_async (null)).get_int32 ();
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_listener_async () {
    try {
        var listener = new Mp.Listener (null, null);
        var loop = new MainLoop ();
        int number = 0;
        AsyncResult? result = null;
        accept.begin (listener, loop);
        connect_to.begin (listener.get_address (), (object, done) => { result = done; });
        loop.run ();
        while (result == null)
            MainContext.default ().iteration (true);
        connect_to.end (result, out number);
        assert_cmpint (number, CompareOperator.EQ, 5);
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_wrong_key () {
    try {
        var listener = new Mp.Listener ("tcp:127.0.0.1:0", key ());
        int n_failed = 0, n_clients = 0;
        var loop = new MainLoop ();
        listener.client_failed.connect ((error) => {
            assert_true (error is Mp.Error.AUTHENTICATION);
            n_failed++;
            loop.quit ();
        });
        listener.connection.connect ((connection) => { n_clients++; });
        listener.start ();
        var options = new Mp.ClientOptions ();
        options.set_authkey (new Bytes ("another".data));
        Mp.client_connect_to_async.begin (listener.get_address (), options, null, (object, result) => {
            try {
                Mp.client_connect_to_async.end (result);
                assert_not_reached ();
            } catch (Error error) {
                assert_true (error is Mp.Error.AUTHENTICATION);
            }
        });
        loop.run ();
        assert_cmpint (n_failed, CompareOperator.EQ, 1);
        assert_cmpint (n_clients, CompareOperator.EQ, 0);
        listener.stop ();
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_descriptor () {
    try {
        int fds[2];
        assert_cmpint (Posix.pipe (fds), CompareOperator.EQ, 0);
        var descriptor = new Mp.Descriptor.take (fds[1]);
        var pool = new Mp.Pool (1);
        pool.apply ("write_there", descriptor.to_variant (), LONG);
        pool.close ();
        pool.join (LONG);
        descriptor.close ();
        assert_true (descriptor.is_closed ());
        uint8 text[20];
        assert_cmpint ((int) Posix.read (fds[0], text, 20), CompareOperator.EQ, 7);
        assert_cmpint ((int) Posix.read (fds[0], text, 20), CompareOperator.EQ, 0);
        Posix.close (fds[0]);
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_wait () {
    try {
        Mp.Connection first, second, third, fourth;
        Mp.pipe_new (true, out first, out second);
        Mp.pipe_new (true, out third, out fourth);
        Mp.Waitable[] objects = { second, fourth };
        assert_cmpuint (Mp.wait (objects, 0).length, CompareOperator.EQ, 0);
        third.send (new Variant.int32 (1), LONG);
        var ready = Mp.wait (objects, LONG);
        assert_cmpuint (ready.length, CompareOperator.EQ, 1);
        assert_true (ready[0] == fourth);
    } catch (Error error) {
        assert_no_error (error);
    }
}

int main (string[] args) {
    Mp.function_register ("greet", greet);
    Mp.function_register ("write_there", write_there);
    Mp.init ();

    Test.init (ref args);
    Test.add_func ("/vala/channels/bytes", test_bytes);
    Test.add_func ("/vala/channels/async", test_async);
    Test.add_func ("/vala/channels/listener", test_listener);
    Test.add_func ("/vala/channels/listener/async", test_listener_async);
    Test.add_func ("/vala/channels/wrong-key", test_wrong_key);
    Test.add_func ("/vala/channels/descriptor", test_descriptor);
    Test.add_func ("/vala/channels/wait", test_wait);
    return Test.run ();
}
