import Mp from 'gi://Mp';

const appendToTheFile = () => {};
@README@
if (!lock.try_acquire())
    throw new Error('somebody has the lock');
