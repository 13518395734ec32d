-- give_back_celery: put refused messages back to where the workers of Celery take the next from, in their old order.
--
-- Keys: 1 refused messages, then the lists of the queue, the highest priority first
-- Args: most messages
-- Reply: number of messages
-- Cost: O(messages)
local rows = redis.call('LRANGE', KEYS[1], -2 * ARGV[1], -1)
for at = #rows, 1, -2 do redis.call('RPUSH', KEYS[2 + rows[at - 1]], rows[at]) end
if #rows > 0 then redis.call('LTRIM', KEYS[1], 0, -#rows - 1) end
return #rows / 2
