-- give_back_bullmq: put refused jobs back to where BullMQ had them, in their old order, and wake a worker of it.
--
-- Keys: 1 refused jobs, 2 marker that workers wait for, 3 to 6 as claim_bullmq
-- Args: length of a row, most jobs
-- Reply: number of jobs
-- Cost: O(jobs log n)
local width = tonumber(ARGV[1])
local rows = redis.call('LRANGE', KEYS[1], -width * ARGV[2], -1)
for at = #rows - width + 1, 1, -width do
  local key, id, score = tonumber(rows[at]), rows[at + 1], rows[at + 2]
  if key < 5 then redis.call('RPUSH', KEYS[key], id) else redis.call('ZADD', KEYS[key], score, id) end
end
if #rows > 0 then
  redis.call('ZADD', KEYS[2], 0, '0')
  redis.call('LTRIM', KEYS[1], 0, -#rows - 1)
end
return #rows / width
