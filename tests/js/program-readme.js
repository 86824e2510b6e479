import Mp from 'gi://Mp';

const square = Mp.function_register('square', x => x * x);
Mp.init();

const pool = Mp.Pool.new(4);
print(await pool.map_async(square, [1, 2, 3]));  // 1,4,9
