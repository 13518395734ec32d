-- settle: forget the journal, and keep those of its rows that the new server did not take.
--
-- Keys: 1 journal, 2 time of the claim, 3 refused rows, 4 rows that were perhaps moved
-- Args: length of a row, number of refused rows, their numbers from 0, and the numbers of those perhaps moved
-- Reply: nothing
-- Cost: O(rows)
local width, count = tonumber(ARGV[1]), tonumber(ARGV[2])
for at = 3, #ARGV do
  local start = tonumber(ARGV[at]) * width
  local key = at < 3 + count and KEYS[3] or KEYS[4]
  redis.call('RPUSH', key, unpack(redis.call('LRANGE', KEYS[1], start, start + width - 1)))
end
redis.call('DEL', KEYS[1], KEYS[2])
