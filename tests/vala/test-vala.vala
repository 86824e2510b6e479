/* test-vala.vala — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Every public class, through the VAPI. */

Variant square (Variant item) throws Error {
    int x = item.get_int32 ();
    if (x < 0)
        throw new IOError.INVALID_ARGUMENT ("Cannot take %d", x);
    return new Variant.int32 (x * x);
}

Variant set_offset (Variant args) throws Error {
    offset = args.get_child_value (0).get_int32 ();
    return new Variant.tuple ({});
}

Variant add_offset (Variant item) throws Error {
    return new Variant.int32 (item.get_int32 () + offset);
}

Variant echo (Variant args) throws Error {
    var connection = (Mp.Connection) Mp.Shareable.from_variant (args.get_child_value (0));
    var message = connection.recv (-1);
    connection.send (message, -1);
    return new Variant.tuple ({});
}

Variant hold (Variant args) throws Error {
    var held = (Mp.Lock) Mp.Shareable.from_variant (args.get_child_value (0));
    var connection = (Mp.Connection) Mp.Shareable.from_variant (args.get_child_value (1));
    held.acquire (-1);
    connection.send (new Variant.boolean (held.is_locked ()), -1);
    connection.recv (-1);
    return new Variant.tuple ({});
}

void answer_later (Mp.Invocation invocation, Variant args) {
    /* A forked worker has a main context of its own. */
    var source = new IdleSource ();
    source.set_callback (() => {
        invocation.return_value (new Variant.string (invocation.get_function ()));
        return Source.REMOVE;
    });
    source.attach (MainContext.ref_thread_default ());
}

int offset;

Variant numbers (int n) {
    Variant[] items = {};
    for (int i = 0; i < n; i++)
        items += new Variant.int32 (i);
    return new Variant.array (VariantType.INT32, items);
}

void test_map () {
    try {
        var pool = new Mp.Pool (2);
        assert_cmpuint (pool.get_n_workers (), CompareOperator.EQ, 2);
        var squares = pool.map ("square", numbers (5), 0, -1);
        assert_cmpstr (squares.print (false), CompareOperator.EQ, "[0, 1, 4, 9, 16]");
        pool.close ();
        assert_true (pool.join (-1));
    } catch (Error error) {
        assert_no_error (error);
    }
}

async void call_async (Mp.Pool pool) throws Error {
    var squares = yield pool.map_async ("square", numbers (3), 1, null);
    assert_cmpstr (squares.print (false), CompareOperator.EQ, "[0, 1, 4]");
    var nine = yield pool.apply_async ("square", new Variant.int32 (3), null);
    assert_cmpint (nine.get_int32 (), CompareOperator.EQ, 9);
    var name = yield pool.apply_async ("answer_later", new Variant.tuple ({}), null);
    assert_cmpstr (name.get_string (), CompareOperator.EQ, "answer_later");
}

void test_async () {
    var pool = new Mp.Pool (2);
    var loop = new MainLoop ();
    call_async.begin (pool, (object, result) => {
        try {
            call_async.end (result);
        } catch (Error error) {
            assert_no_error (error);
        }
        loop.quit ();
    });
    loop.run ();
    pool.terminate ();
}

void test_error () {
    var pool = new Mp.Pool (1);
    Error? caught = null;
    try {
        pool.apply ("square", new Variant.int32 (-1), -1);
    } catch (Error error) {
        caught = error;
    }
    assert_error (caught, IOError.quark (), IOError.INVALID_ARGUMENT);
    assert_cmpstr (caught.message, CompareOperator.EQ, "Cannot take -1");
    assert_nonnull (Mp.Error.dup_details (caught));

    caught = null;
    try {
        pool.apply ("unheard-of", new Variant.int32 (1), -1);
    } catch (Error error) {
        caught = error;
    }
    assert_error (caught, Mp.Error.quark (), Mp.Error.NO_SUCH_FUNCTION);
}

void test_future_and_iter () {
    try {
        var pool = new Mp.Pool.full (2, "set_offset", new Variant ("(i)", 100), 0, null);
        var future = pool.submit ("add_offset", new Variant.int32 (1));
        assert_cmpint (future.get (-1).get_int32 (), CompareOperator.EQ, 101);
        assert_true (future.is_ready ());
        assert_true (future.is_successful ());

        var iter = pool.imap ("add_offset", numbers (3), 1);
        int sum = 0;
        Variant? value;
        while ((value = iter.next (-1)) != null)
            sum += value.get_int32 ();
        assert_cmpint (sum, CompareOperator.EQ, 303);
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_process () {
    try {
        Mp.Connection ours, theirs;
        Mp.pipe_new (true, out ours, out theirs);
        var process = new Mp.Process ("echo", new Variant.tuple ({ theirs.to_variant () }));
        process.context = new Mp.Context (Mp.StartMethod.SPAWN);
        process.name = "echo";
        int status = -1;
        process.exited.connect ((exit_status) => { status = exit_status; });
        assert_true (process.start (-1));
        ours.send (new Variant.string ("hello"), -1);
        assert_cmpstr (ours.recv (-1).get_string (), CompareOperator.EQ, "hello");
        assert_true (process.join (-1));
        assert_cmpint (process.exit_status, CompareOperator.EQ, 0);
        assert_cmpint (status, CompareOperator.EQ, 0);
    } catch (Error error) {
        assert_no_error (error);
    }
}

async void wait_for (Mp.Lock held) throws Error {
    assert_true (yield held.acquire_async (null));
    assert_true (held.is_abandoned ());
    assert_true (held.mark_consistent ());
    assert_false (held.is_abandoned ());
    assert_true (held.release ());
}

void test_lock () {
    try {
        var held = new Mp.Lock ();
        assert_true (held.try_acquire ());
        assert_false (held.try_acquire ());
        assert_true (held.release ());
        Error? caught = null;
        try {
            held.release ();
        } catch (Mp.Error error) {
            caught = error;
        }
        assert_error (caught, Mp.Error.quark (), Mp.Error.NOT_OWNER);
        assert_true (new Mp.Lock.isolated ().acquire (0));

        Mp.Connection ours, theirs;
        Mp.pipe_new (true, out ours, out theirs);
        var process = new Mp.Process ("hold", new Variant.tuple ({ held.to_variant (), theirs.to_variant () }));
        process.start (-1);
        assert_true (ours.recv (-1).get_boolean ());
        caught = null;
        try {
            held.acquire (1000);
        } catch (IOError error) {
            caught = error;
        }
        assert_error (caught, IOError.quark (), IOError.TIMED_OUT);

        var loop = new MainLoop ();
        wait_for.begin (held, (object, result) => {
            try {
                wait_for.end (result);
            } catch (Error error) {
                assert_no_error (error);
            }
            loop.quit ();
        });
        process.kill ();
        loop.run ();
        assert_false (held.is_locked ());
        process.join (-1);
    } catch (Error error) {
        assert_no_error (error);
    }
}

async void wait_for_notice (Mp.Condition condition) throws Error {
    assert_true (yield condition.acquire_async (null));
    assert_true (yield condition.wait_async (null));
    assert_true (condition.release ());
}

void test_condition () {
    try {
        var condition = new Mp.Condition (null);
        var given = new Mp.Condition (new Mp.Lock ());
        var is_so = false;

        assert_true (condition.lock is Mp.RLock && given.lock is Mp.Lock);
        Error? caught = null;
        try {
            given.notify (1);
        } catch (Mp.Error error) {
            caught = error;
        }
        assert_error (caught, Mp.Error.quark (), Mp.Error.NOT_OWNER);

        var loop = new MainLoop ();
        wait_for_notice.begin (condition, (source, result) => {
            try {
                wait_for_notice.end (result);
                is_so = true;
            } catch (Error error) {
                assert_no_error (error);
            }
            loop.quit ();
        });
        while (condition.get_n_waiting () == 0)
            MainContext.default ().iteration (true);
        assert_true (condition.acquire (-1) && condition.try_acquire () && condition.notify_all ());
        assert_true (condition.release () && condition.release ());
        loop.run ();
        assert_true (condition.try_acquire () && condition.wait_for (() => is_so, 0) && condition.release ());
    } catch (Error error) {
        assert_no_error (error);
    }
}

async void wait_for_all (Mp.Semaphore semaphore, Mp.Event event, Mp.RLock rlock) throws Error {
    assert_true (yield semaphore.acquire_async (null));
    assert_true (yield event.wait_async (null));
    assert_true (yield rlock.acquire_async (null));
}

void test_sync () {
    try {
        var semaphore = new Mp.Semaphore (1);
        var bounded = new Mp.BoundedSemaphore (1);
        var event = new Mp.Event ();
        var rlock = new Mp.RLock ();

        assert_true (semaphore.try_acquire () && !semaphore.try_acquire ());
        assert_true (semaphore.get_n_held () == 1 && semaphore.value == 0);
        Error? caught = null;
        try {
            bounded.release ();
        } catch (Mp.Error error) {
            caught = error;
        }
        assert_error (caught, Mp.Error.quark (), Mp.Error.NOT_OWNER);
        assert_true (rlock.acquire (-1) && rlock.try_acquire () && rlock.get_depth () == 2);

        var loop = new MainLoop ();
        wait_for_all.begin (semaphore, event, rlock, (source, result) => {
            try {
                wait_for_all.end (result);
            } catch (Error error) {
                assert_no_error (error);
            }
            loop.quit ();
        });
        assert_true (semaphore.release () && event.set ());
        loop.run ();
        assert_true (event.is_set () && event.wait (0) && event.clear ());
        assert_true (rlock.get_depth () == 3);
    } catch (Error error) {
        assert_no_error (error);
    }
}

async uint wait_at_barrier (Mp.Barrier barrier) throws Error {
    uint index;
    assert_true (yield barrier.wait_async (null, out index));
    return index;
}

void test_barrier () {
    try {
        var barrier = new Mp.Barrier (2);
        var loop = new MainLoop ();
        uint index, n_actions = 0;

        barrier.set_action (object => {
            n_actions++;
            return object.n_waiting == 2;
        });
        wait_at_barrier.begin (barrier, (source, result) => {
            try {
                assert_true (wait_at_barrier.end (result) == 0);
            } catch (Error error) {
                assert_no_error (error);
            }
            loop.quit ();
        });
        assert_true (barrier.parties == 2 && barrier.get_n_waiting () == 1);
        assert_true (barrier.wait (out index, -1) && index == 1);
        loop.run ();
        assert_true (n_actions == 1 && barrier.abort () && barrier.broken && barrier.reset () && !barrier.is_broken ());
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_shared_memory () {
    try {
        var memory = new Mp.SharedMemory (100);
        size_t size;
        var numbers = (double*) memory.get_data (out size);
        numbers[1] = 0.5;
        assert_true (size == 100);
        assert_true (memory.write (0, new Bytes ({ 1, 2 })) && memory.read (0, 2).get (1) == 2);
        assert_true (memory.grow (5000) && memory.size == 5000 && memory.get_isolated ());
        var named = new Mp.SharedMemory.named (null, 10);
        var same = new Mp.SharedMemory.attach (named.name);
        assert_true (named.owner && !same.owner && named.unlink ());

        var manager = new Mp.SharedMemoryManager ();
        var list = new Mp.ShareableList.named (new Variant ("(xs)", (int64) 7, "text"), null);
        assert_true (manager.add (list.memory));
        assert_true (list.set_item (1, new Variant.boolean (true)) && list.length == 2);
        var again = new Mp.ShareableList.attach (list.memory.name);
        assert_true (again.get_item (1).get_boolean () && again.dup_format (0) == "q");
        assert_true (again.index (new Variant.double (7)) == 0 && again.count (new Variant.string ("text")) == 0);
        assert_true (new Mp.ShareableList.for_memory (list.memory).dup_values ().n_children () == 2);
        manager.shutdown ();
        Error? caught = null;
        try {
            new Mp.ShareableList.attach (list.memory.name);
        } catch (Error error) {
            caught = error;
        }
        assert_error (caught, IOError.quark (), IOError.NOT_FOUND);
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_values () {
    try {
        var value = new Mp.Value (VariantType.INT32, new Variant.int32 (7));
        assert_true (value.add_int (3) == 7 && value.get_int () == 10 && value.type_string == "i");
        bool swapped;
        assert_true (value.compare_exchange (new Variant.int32 (10), new Variant.int32 (1), out swapped) && swapped);
        assert_true (value.exchange (new Variant.int32 (2)).get_int32 () == 1 && value.set_int (5));
        var held = (Mp.RLock) value.lock;
        assert_true (held.try_acquire () && held.release ());

        var array = new Mp.Array (new VariantType ("(id)"), 3);
        assert_true (array.set_item (2, new Variant ("(id)", 1, 0.5)) && array.get_length () == 3);
        assert_true (array.get_slice (1, 2).n_children () == 2 && array.get_item (2).get_child_value (1).get_double () == 0.5);
        var reals = new Mp.Array.full (VariantType.DOUBLE, 2, null);
        assert_true (reals.add_double (1, 0.5) == 0 && reals.get_double (1) == 0.5 && reals.set_double (0, 1));
        size_t size;
        var numbers = (double*) reals.get_data (out size);
        assert_true (numbers[1] == 0.5 && size == 16 && reals.get_bytes ().length == 16 && reals.get_item_size () == 8);
        assert_true (reals.get_isolated () && reals.lock == null);
        new Mp.Array.from_variant (new Variant ("ai", null));
        assert_not_reached ();
    } catch (Error error) {
        assert_error (error, IOError.quark (), IOError.INVALID_ARGUMENT);
    }
}

async void take_two (Mp.Queue queue, Mp.JoinableQueue tasks) throws Error {
    assert_cmpstr ((yield queue.get_async (null)).get_string (), CompareOperator.EQ, "two");
    assert_true (yield queue.put_async (new Variant.string ("three"), null));
    assert_true (yield tasks.join_async (null));
}

void test_queues () {
    try {
        var queue = new Mp.Queue (1, 0);
        var tasks = new Mp.JoinableQueue (0, 0);

        assert_true (queue.put (new Variant.string ("one"), -1) && queue.is_full ());
        Error? caught = null;
        try {
            queue.try_put (new Variant.string ("one too many"));
        } catch (Mp.Error error) {
            caught = error;
        }
        assert_error (caught, Mp.Error.quark (), Mp.Error.FULL);
        assert_cmpstr (queue.get (-1).get_string (), CompareOperator.EQ, "one");
        assert_true (new Mp.SimpleQueue ().is_empty ());

        assert_true (tasks.put_bytes (new Bytes ({ 1, 2, 3 }), -1));
        assert_cmpuint (tasks.n_unfinished, CompareOperator.EQ, 1);
        assert_true (tasks.get_bytes (-1).length == 3 && tasks.task_done ());

        var loop = new MainLoop ();
        take_two.begin (queue, tasks, (source, result) => {
            try {
                take_two.end (result);
            } catch (Error error) {
                assert_no_error (error);
            }
            loop.quit ();
        });
        assert_true (queue.try_put (new Variant.string ("two")));
        loop.run ();
        assert_cmpstr (queue.try_get ().get_string (), CompareOperator.EQ, "three");
        assert_true (tasks.join (0) && tasks.get_n_abandoned () == 0 && tasks.put_back_abandoned () == 0);
    } catch (Error error) {
        assert_no_error (error);
    }
}

void test_calls () {
    try {
        var pool = new Mp.Pool (1);
        var options = new Mp.TaskOptions ();
        options.priority = 1;
        options.name = "nine";
        var list = new Mp.FutureList ();
        list.add (pool.submit_with ("square", new Variant.int32 (3), options));
        list.add (pool.try_submit ("square", new Variant.int32 (4), null));
        assert_true (list.wait_all (-1));
        assert_cmpuint (list.get_n_done (), CompareOperator.EQ, 2);
        int sum = 0;
        Mp.Future? future;
        while ((future = list.next_done (-1)) != null) {
            assert_true (future.state == Mp.FutureState.SUCCEEDED);
            sum += future.get (-1).get_int32 ();
        }
        assert_cmpint (sum, CompareOperator.EQ, 25);

        bool told = false;
        var pending = pool.submit_with ("answer_later", new Variant.tuple ({}), options);
        assert_cmpstr (pending.name, CompareOperator.EQ, "nine");
        pending.done.connect (() => { told = true; });
        assert_true (pending.cancel ());
        assert_false (pending.cancel ());
        assert_true (pending.state == Mp.FutureState.CANCELLED);
        while (!told)
            MainContext.default ().iteration (true);

        int n = 0;
        var items = new Mp.Items.for_func (() => { return n < 4 ? new Variant.int32 (n++) : null; });
        var iter = pool.imap_with ("square", items, 1, true, null);
        Variant? value;
        while ((value = iter.next (-1)) != null)
            sum += value.get_int32 ();
        assert_cmpint (sum, CompareOperator.EQ, 39);
        var squares = pool.submit_map_with ("square", new Mp.Items.for_array (numbers (3)), 0, options);
        assert_cmpstr (squares.get (-1).print (false), CompareOperator.EQ, "[0, 1, 4]");

        var workers = pool.get_workers ();
        assert_cmpuint (workers.get_n_items (), CompareOperator.EQ, 1);
        var worker = (Mp.WorkerInfo) workers.get_item (0);
        assert_cmpint (worker.pid, CompareOperator.GT, 0);
        uint64 n_done;
        assert_true (pool.dup_statistics ().lookup ("n-done", "t", out n_done));
        assert_cmpuint ((uint) n_done, CompareOperator.GT, 6);
    } catch (Error error) {
        assert_no_error (error);
    }
}

async void submit_async (Mp.Pool pool) throws Error {
    var future = yield pool.submit_async ("square", new Variant.int32 (5), null, null);
    assert_cmpint ((yield future.get_async (null)).get_int32 (), CompareOperator.EQ, 25);
}

void test_backends () {
    foreach (var backend in new Mp.Backend[] { Mp.Backend.PROCESSES, Mp.Backend.THREADS, Mp.Backend.INLINE }) {
        var pool = new Mp.Pool.for_backend (backend, 1);
        assert_true (pool.backend == backend);
        var loop = new MainLoop ();
        submit_async.begin (pool, (object, result) => {
            try {
                submit_async.end (result);
            } catch (Error error) {
                assert_no_error (error);
            }
            loop.quit ();
        });
        loop.run ();
        pool.terminate ();
    }
}

class Greeter : Mp.Process {
    public string greeting { get; set; default = ""; }

    public override bool run () throws Error {
        /* The property's value came from the owner: it tells by its exit status. */
        Posix.exit (greeting == "hello" ? 42 : 1);
        return false;
    }
}

void test_subclass () {
    try {
        var process = new Greeter ();
        process.greeting = "hello";
        assert_true (process.start (-1));
        assert_true (process.join (-1));
        assert_cmpint (process.exit_status, CompareOperator.EQ, 42);
    } catch (Error error) {
        assert_no_error (error);
    }
}

int main (string[] args) {
    Mp.function_register ("square", square);
    Mp.function_register ("set_offset", set_offset);
    Mp.function_register ("add_offset", add_offset);
    Mp.function_register ("echo", echo);
    Mp.function_register ("hold", hold);
    Mp.function_register_async ("answer_later", answer_later);
    typeof (Greeter).ensure ();
    Mp.init ();

    Test.init (ref args);
    Test.add_func ("/vala/map", test_map);
    Test.add_func ("/vala/async", test_async);
    Test.add_func ("/vala/error", test_error);
    Test.add_func ("/vala/future-and-iter", test_future_and_iter);
    Test.add_func ("/vala/calls", test_calls);
    Test.add_func ("/vala/backends", test_backends);
    Test.add_func ("/vala/process", test_process);
    Test.add_func ("/vala/lock", test_lock);
    Test.add_func ("/vala/sync", test_sync);
    Test.add_func ("/vala/condition", test_condition);
    Test.add_func ("/vala/barrier", test_barrier);
    Test.add_func ("/vala/queues", test_queues);
    Test.add_func ("/vala/shared-memory", test_shared_memory);
    Test.add_func ("/vala/values", test_values);
    Test.add_func ("/vala/subclass", test_subclass);
    return Test.run ();
}
