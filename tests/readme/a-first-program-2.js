import Mp from 'gi://Mp';

const seen = [];
const print = value => seen.push(value);

@README@
if (`${seen}` !== '11,12,13,15')
    throw new Error(`seen: ${seen}`);
