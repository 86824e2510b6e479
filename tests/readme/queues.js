import Mp from 'gi://Mp';

const squareWorker = Mp.register(function squareWorker(queue) {
    for (let n = 0; n < 3; n++)
        queue.put([n, n * n]);
});
Mp.init();

const seen = [];
const print = text => seen.push(text);
@README@
if (`${seen}` !== '0 squared is 0,1 squared is 1,2 squared is 4')
    throw new Error(`seen: ${seen}`);
