-- return_leases: put the jobs of ended leases back at the head of their parked queues, as the original's requeue does.
--
-- It comes after the original's own requeue, if that still runs: the caller leaves it some time. A job past its requeue
-- limit is discarded, as the original does.
--
-- Keys: 1 leases of the type, 2 types with leases, 3 payloads, 4 parked queues
-- Args: key prefix, queue type, end of the leases to return (ms), most leases
-- Reply: number of jobs put back, number of discarded jobs
-- Cost: O(leases)
local prefix, queue_type, before, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local returned, discarded = 0, 0
for _, lease in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'LIMIT', 0, most)) do
  local queue_id, job_id = string.match(lease, '^([^:]+):(.+)$')
  local field = queue_id and queue_type .. ':' .. queue_id
  if field and redis.call('HEXISTS', KEYS[4], field) == 1 then
    local requeues = prefix .. ':' .. field .. ':requeues_remaining'
    local remaining = tonumber(redis.call('HGET', requeues, job_id)) or -1
    if remaining == 0 then
      redis.call('HDEL', KEYS[3], field .. ':' .. job_id)
      redis.call('HDEL', requeues, job_id)
      discarded = discarded + 1
    else
      if remaining > 0 then redis.call('HSET', requeues, job_id, remaining - 1) end
      redis.call('LPUSH', prefix .. ':' .. field, job_id)
      returned = returned + 1
    end
    redis.call('ZREM', KEYS[1], lease)
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], queue_type) end
return { returned, discarded }
