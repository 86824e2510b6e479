import Mp from 'gi://Mp';

Mp.init();
@README@
numbers[999] = 0.5;
if (list.get_item(0) !== 'one' || numbers.length !== 1000)
    throw new Error(`item: ${list.get_item(0)}`);
