-- claim: move jobs from the head of a parked queue into its journal, from which they are sent to the new server.
--
-- The journal holds a job whole, so that an enqueue of the same job id at the original meanwhile is a job of its own. A
-- journal that an interrupted run left is returned as it is: its jobs were perhaps sent.
--
-- Keys: 1 job list of the queue, 2 payloads, 3 remaining requeues of the queue, 4 journal of the queue,
--       5 queues with a journal, 6 intervals, 7 number of the latest run
-- Args: queue type and id with a colon between, most jobs, most bytes of payloads (passed by one job at most), number
--       of this run
-- Reply: now (ms), age of a journal that was there (ms; -1 if there was none), interval (ms; '' if there is none),
--        number of ids without a payload that were dropped, and for each job: id, 'r' if a requeue put it back or
--        'w' if not, remaining requeues, payload
-- Errors: SUPERSEDED, a later run goes on with the import; nothing was done
-- Cost: O(jobs)
if redis.call('GET', KEYS[7]) ~= ARGV[4] then return redis.error_reply(SUPERSEDED) end
local field, most, most_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local age = -1
local dropped, taken, bytes = 0, 0, 0

if redis.call('EXISTS', KEYS[4]) == 1 then
  age = math.max(now - tonumber(redis.call('ZSCORE', KEYS[5], field) or 0), 0)
else
  local has_mark = false
  local section = 'r'
  for _, job_id in ipairs(redis.call('LRANGE', KEYS[1], 0, most)) do
    if taken - (has_mark and 1 or 0) >= most or bytes >= most_bytes then break end
    taken = taken + 1
    if job_id == MARK then
      has_mark, section = true, 'w'
    else
      local payload = redis.call('HGET', KEYS[2], field .. ':' .. job_id)
      if payload then
        -- The push comes first: it is what fails when the memory is full, and then nothing has changed.
        local remaining = redis.call('HGET', KEYS[3], job_id) or '-1'
        redis.call('RPUSH', KEYS[4], job_id, section, remaining, payload)
        redis.call('HDEL', KEYS[2], field .. ':' .. job_id)
        bytes = bytes + #payload
      else
        dropped = dropped + 1
      end
      redis.call('HDEL', KEYS[3], job_id)
    end
  end
  if taken > 0 then redis.call('LTRIM', KEYS[1], taken, -1) end
  if has_mark or redis.call('EXISTS', KEYS[1]) == 0 then redis.call('LPUSH', KEYS[1], MARK) end
  if redis.call('EXISTS', KEYS[4]) == 1 then redis.call('ZADD', KEYS[5], now, field) end
end

local interval = redis.call('HGET', KEYS[6], field) or ''
local reply = { now, age, interval, dropped }
for _, text in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do reply[#reply + 1] = text end
return reply
