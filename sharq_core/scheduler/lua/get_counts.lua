-- get_counts: return how many jobs of a partition were enqueued and leased by minute, and its types with live jobs.
-- Writes nothing.
--
-- Keys: counters
-- Args: now, ''
-- Reply: {0, now, -1, -1, {minute, enqueued, leased, ...}, {type, ...}}; a minute may appear more than once
-- Cost: O(types of the partition)
--
-- Uses: shortcuts, counters

local get_counts = {}

-- Add a minute's counts to a list, unless the minute is too old.
local function add_minute(minutes, oldest, minute, enqueued, leased)
  local count = #minutes
  if minute >= oldest then
    minutes[count + 1], minutes[count + 2], minutes[count + 3] = minute, enqueued, leased
  end
end

function get_counts.run(tx)
  local row = call('HGETALL', tx.keys[KEY.counters])
  local oldest = math.floor(tx.now / counters.MINUTE_US) - 9
  local minutes, types = {}, {}
  for index = 1, #row, 2 do
    local name, value = row[index], row[index + 1]
    if sub(name, 1, 2) == ':m' then
      add_minute(minutes, oldest, unpack_bytes(counters.MINUTE, value))
    elseif sub(name, 1, 1) ~= ':' then
      local counts = counters.unpack(value)
      add_minute(minutes, oldest, counts.minute, counts.minute_enqueued, counts.minute_leased)
      if counts.queued + counts.delayed + counts.leased > 0 then types[#types + 1] = name end
    end
  end
  return {0, tx.now, -1, -1, minutes, types}
end
