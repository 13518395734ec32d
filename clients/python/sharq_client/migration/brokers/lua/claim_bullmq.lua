-- claim_bullmq: move jobs of a BullMQ queue into the journal, with all that is needed to send them: first those that
-- wait, then those with a priority, then the delayed ones. Their hashes stay until the new server has them. A journal
-- that an interrupted run left is returned as it is: its jobs were perhaps sent.
--
-- Keys: 1 journal, 2 time of the claim, 3 waiting jobs, 4 jobs of a paused queue, 5 jobs with a priority,
--       6 delayed jobs, 7 number of the latest run
-- Args: number of this run, key of the queue with a colon at the end, most jobs
-- Reply: age of a journal that was there (ms; -1 if there was none), and for each job: the number of the key that it
--        came from, id, score, and the fields name, data, opts, priority, atm, parentKey and rjk ('' for none)
-- Errors: SUPERSEDED, a later run goes on with the import; nothing was done
-- Cost: O(jobs log n)
if redis.call('GET', KEYS[7]) ~= ARGV[1] then return redis.error_reply(SUPERSEDED) end
local most = tonumber(ARGV[3])
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local age = -1

local function push(key, id, score)
  local fields = redis.call('HMGET', ARGV[2] .. id, 'name', 'data', 'opts', 'priority', 'atm', 'parentKey', 'rjk')
  for at = 1, 7 do fields[at] = fields[at] or '' end
  redis.call('RPUSH', KEYS[1], key, id, score, unpack(fields, 1, 7))
end

if redis.call('EXISTS', KEYS[1]) == 1 then
  age = math.max(now - tonumber(redis.call('GET', KEYS[2]) or 0), 0)
else
  redis.call('SET', KEYS[2], string.format('%.0f', now))
  for key = 3, 4 do
    local ids = most > 0 and redis.call('LRANGE', KEYS[key], -most, -1) or {}
    for at = #ids, 1, -1 do push(key, ids[at], '') end
    if #ids > 0 then redis.call('LTRIM', KEYS[key], 0, -#ids - 1) end
    most = most - #ids
  end
  for key = 5, 6 do
    local rows = most > 0 and redis.call('ZRANGE', KEYS[key], 0, most - 1, 'WITHSCORES') or {}
    for at = 1, #rows, 2 do push(key, rows[at], rows[at + 1]) end
    if #rows > 0 then redis.call('ZREMRANGEBYRANK', KEYS[key], 0, #rows / 2 - 1) end
    most = most - #rows / 2
  end
  if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
end

local reply = { age }
for _, text in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do reply[#reply + 1] = text end
return reply
