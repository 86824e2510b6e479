import Mp from 'gi://Mp';

const render = Mp.register(function render(page) {
    @README | from Mp.Invocation@
    return page;
});
Mp.init();

const pool = Mp.Pool.new(1);
const page = 7;
const bar = {
    fraction: 0,
    set_fraction(fraction) {
        this.fraction = fraction;
    },
};
@README | until Mp.Invocation@
if (await future.get_async() !== 7 || bar.fraction < 0.5)
    throw new Error(`fraction: ${bar.fraction}`);
