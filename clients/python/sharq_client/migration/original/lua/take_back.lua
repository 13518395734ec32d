-- take_back: put a refused job back at the head of its queue.
--
-- Keys: 1 ready set of the type, 2 job list of the queue, 3 refused jobs, 4 types with ready queues
-- Args: queue type, queue id, job id, now (ms)
-- Reply: nothing
-- Cost: O(log n) and the jobs before the mark
local queue_type, queue_id, job_id = ARGV[1], ARGV[2], ARGV[3]
if redis.call('LINSERT', KEYS[2], 'AFTER', MARK, job_id) < 1 then redis.call('LPUSH', KEYS[2], job_id) end
if not redis.call('ZSCORE', KEYS[1], queue_id) then
  redis.call('ZADD', KEYS[1], ARGV[4], queue_id)
  redis.call('SADD', KEYS[4], queue_type)
end
redis.call('HDEL', KEYS[3], queue_type .. ':' .. queue_id .. ':' .. job_id)
