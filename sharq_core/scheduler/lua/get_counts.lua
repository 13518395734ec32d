-- get_counts: what was enqueued and leased in a partition by the minute, and its types with live jobs. Writes nothing.
--
-- Keys: counters
-- Args: now, ''
-- Reply: {0, now, -1, -1, {minute, enqueued, leased, ...}, {type, ...}}
-- Cost: O(types of the partition)

local get_counts = {}

-- Minute, enqueued, leased of a field that holds a minute's counts; nil of any other.
local function minute_of(name, value)
  if name == 'head' then
    local _, _, _, minute, enqueued, leased = struct.unpack(counters.HEAD, value)
    return minute, enqueued, leased
  elseif string.sub(name, 1, 1) == 'm' then
    return struct.unpack(counters.MINUTE, value)
  end
end

function get_counts.run(own)
  local row = redis.call('HGETALL', own.keys[KEY.counters])
  local oldest = math.floor(own.now / counters.MINUTE_US) - 9
  local minutes, types = {}, {}
  for index = 1, #row, 2 do
    local name, value = row[index], row[index + 1]
    local minute, enqueued, leased = minute_of(name, value)
    if minute and minute >= oldest then
      local count = #minutes
      minutes[count + 1], minutes[count + 2], minutes[count + 3] = minute, enqueued, leased
    elseif string.sub(name, 1, 2) == 't:' then
      local totals = counters.unpack_totals(value)
      if totals.queued + totals.delayed + totals.leased > 0 then types[#types + 1] = string.sub(name, 3) end
    end
  end
  return {0, own.now, -1, -1, minutes, types}
end
