-- claim_celery: move messages from the lists of a Celery queue into the journal, the oldest of the highest priority
-- first. A journal that an interrupted run left is returned as it is: its messages were perhaps sent.
--
-- Keys: 1 journal, 2 time of the claim, 3 number of the latest run, then the lists of the queue, the highest priority
--       first
-- Args: number of this run, most messages
-- Reply: age of a journal that was there (ms; -1 if there was none), and for each message: the number of its list from
--        0, and the message
-- Errors: SUPERSEDED, a later run goes on with the import; nothing was done
-- Cost: O(messages)
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return redis.error_reply(SUPERSEDED) end
local most = tonumber(ARGV[2])
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local age = -1

if redis.call('EXISTS', KEYS[1]) == 1 then
  age = math.max(now - tonumber(redis.call('GET', KEYS[2]) or 0), 0)
else
  redis.call('SET', KEYS[2], string.format('%.0f', now))
  for list = 4, #KEYS do
    local messages = most > 0 and redis.call('LRANGE', KEYS[list], -most, -1) or {}
    for at = #messages, 1, -1 do redis.call('RPUSH', KEYS[1], list - 4, messages[at]) end
    if #messages > 0 then redis.call('LTRIM', KEYS[list], 0, -#messages - 1) end
    most = most - #messages
  end
  if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
end

local reply = { age }
for _, text in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do reply[#reply + 1] = text end
return reply
