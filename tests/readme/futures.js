import Mp from 'gi://Mp';

const check = Mp.register(function check(name) {
    return name + name;
});
Mp.init();

const pool = Mp.Pool.new(2);
const files = ['a', 'b', 'c'];
const seen = [];
const print = value => seen.push(value);
@README@
if (`${seen.sort()}` !== 'aa,bb,cc')
    throw new Error(`seen: ${seen}`);
