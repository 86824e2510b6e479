@README@
if (`${pool.map(square, [4, 5])}` !== '16,25')
    throw new Error('wrong squares');
