-- unpark: give a queue back to the original, one interval from now at the earliest.
--
-- Keys: 1 ready set of the type, 2 job list of the queue, 3 its last dequeue time, 4 intervals, 5 parked queues,
--       6 types with ready queues, 7 intervals that the new server knows
-- Args: queue type, queue id
-- Reply: number of jobs in the queue
-- Cost: O(jobs of the queue)
local queue_type, queue_id = ARGV[1], ARGV[2]
local field = queue_type .. ':' .. queue_id
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local interval = tonumber(redis.call('HGET', KEYS[4], field)) or 0
redis.call('LREM', KEYS[2], 0, MARK)
local jobs = redis.call('LLEN', KEYS[2])
if jobs > 0 then
  redis.call('ZADD', KEYS[1], now + interval, queue_id)
  redis.call('SADD', KEYS[6], queue_type)
else
  redis.call('ZREM', KEYS[1], queue_id)
end
redis.call('PSETEX', KEYS[3], math.max(interval, 1), string.format('%.0f', now))
redis.call('HDEL', KEYS[5], field)
redis.call('HDEL', KEYS[7], field)
return jobs
