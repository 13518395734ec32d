-- park: take one queue out of the service of the original, and say for how long its next lease must wait.
--
-- The original serves the queues of a type whose score in the ready set has passed. A parked queue has a score in the
-- far future. Three things keep it there, whatever the original's own scripts do:
--   its entry in the ready set: an enqueue leaves the score of a queue alone that is in the set
--   a mark in its job list, which is therefore never empty: a requeue gives a new score only to a queue whose list was
--     empty, and a finish forgets the interval only then
--   a last dequeue time in the far future: a queue that was deleted at the original comes back with it
-- The mark stands at the head of the list, so that the jobs before it are those that a requeue has put back since.
--
-- Keys: 1 ready set of the type, 2 job list of the queue, 3 its last dequeue time, 4 intervals, 5 parked queues,
--       6 types with ready queues
-- Args: queue type, queue id, tolerated difference of clocks (ms), length of a lease (ms; 0 if it is not known),
--       interval to use if the original has forgotten it (ms; '' for none)
-- Reply: hold (ms from now; 0 for none), 1 if there is no interval or else 0
-- Cost: O(log n). Safe to repeat: a parked queue keeps its hold.
local queue_type, queue_id, tolerance, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local field = queue_type .. ':' .. queue_id
if redis.replicate_commands then redis.replicate_commands() end  -- Redis 3.2 to 4 refuse writes after TIME without it
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local has_interval = redis.call('HEXISTS', KEYS[4], field) == 1
if not has_interval and ARGV[5] ~= '' then
  redis.call('HSET', KEYS[4], field, ARGV[5])
  has_interval = true
end
local score = tonumber(redis.call('ZSCORE', KEYS[1], queue_id))
local hold = redis.call('HGET', KEYS[5], field)
local is_served = score and score < FAR
if not hold or is_served then
  -- The original may have leased a job until this moment. It would not lease the next before the score has passed, nor
  -- may anyone before one interval after the last dequeue. The original forgets the time of that after the length of a
  -- lease; then the score is right if it is ahead, and else the last dequeue is at least that old. One interval from
  -- now is always enough, whatever the clocks of its hosts say.
  local interval = tonumber(redis.call('HGET', KEYS[4], field)) or 0
  local last = tonumber(redis.call('GET', KEYS[3]))
  local ready_at = is_served and score or 0
  if last and last < FAR then
    ready_at = math.max(ready_at, last + interval)
  elseif ready_at <= now then
    ready_at = math.max(ready_at, now + interval - lease - tolerance)
  end
  hold = math.min(now + interval, ready_at + tolerance)
  hold = hold > now and string.format('%.0f', hold) or ''
end

if redis.call('EXISTS', KEYS[2]) == 0 or not redis.call('HGET', KEYS[5], field) then
  redis.call('LPUSH', KEYS[2], MARK)
end
redis.call('HSET', KEYS[5], field, hold)
redis.call('ZADD', KEYS[1], FAR, queue_id)
redis.call('SET', KEYS[3], string.format('%.0f', FAR))
redis.call('SADD', KEYS[6], queue_type)
return { hold == '' and 0 or math.max(tonumber(hold) - now, 0), has_interval and 0 or 1 }
