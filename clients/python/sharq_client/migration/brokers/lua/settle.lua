-- settle: forget the journal, and keep those of its rows that the new server did not take.
--
-- Keys: 1 journal, 2 time of the claim, 3 refused rows, 4 rows that were perhaps moved,
--       5 number of the latest run
-- Args: number of this run, length of a row, number of refused rows, their numbers from 0, and the numbers of those
--       perhaps moved
-- Reply: nothing
-- Errors: SUPERSEDED, a later run goes on with the import; nothing was done
-- Cost: O(rows)
if redis.call('GET', KEYS[5]) ~= ARGV[1] then return redis.error_reply(SUPERSEDED) end
local width, count = tonumber(ARGV[2]), tonumber(ARGV[3])
for at = 4, #ARGV do
  local start = tonumber(ARGV[at]) * width
  local key = at < 4 + count and KEYS[3] or KEYS[4]
  redis.call('RPUSH', key, unpack(redis.call('LRANGE', KEYS[1], start, start + width - 1)))
end
redis.call('DEL', KEYS[1], KEYS[2])
