import Mp from 'gi://Mp';

Mp.init();
@README@
numbers[999] = 0.5;
if (counter.value !== 2 || numbers.length !== 1000)
    throw new Error(`value: ${counter.value}`);
