-- inspect: find parked queues that need attention: new jobs, an interval that changed, or a score that is not parked.
--
-- It builds the names of the lists and ready sets of its queues, as the original's scripts do.
--
-- Keys: 1 intervals, 2 intervals that the new server knows
-- Args: key prefix, queues (type and id with a colon between)
-- Reply: for each queue that needs attention: its number from 1, 1 if its score is not parked or else 0, 1 if it has
--        jobs or lacks its mark or else 0, its interval if that changed ('' if it did not)
-- Cost: O(queues)
local prefix = ARGV[1]
local reply = {}
for at = 2, #ARGV do
  local field = ARGV[at]
  local queue_type, queue_id = string.match(field, '^([^:]+):(.+)$')
  local list = prefix .. ':' .. field
  local score = redis.call('ZSCORE', prefix .. ':' .. queue_type, queue_id)
  local is_loose = not score or tonumber(score) < FAR
  local is_busy = redis.call('LLEN', list) ~= 1 or redis.call('LINDEX', list, 0) ~= MARK
  local interval = redis.call('HGET', KEYS[1], field)
  local known = redis.call('HGET', KEYS[2], field)
  local news = interval and known and interval ~= known and interval or ''
  if is_loose or is_busy or news ~= '' then
    local size = #reply
    reply[size + 1], reply[size + 2] = at - 1, is_loose and 1 or 0
    reply[size + 3], reply[size + 4] = is_busy and 1 or 0, news
  end
end
return reply
