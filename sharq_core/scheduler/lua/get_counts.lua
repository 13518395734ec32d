-- get_counts: what was enqueued and leased in a partition by the minute, and its types with live jobs. Writes nothing.
--
-- Keys: counters
-- Args: now, ''
-- Reply: {0, now, -1, -1, {minute, enqueued, leased, ...}, {type, ...}}
-- Cost: O(types of the partition)

local get_counts = {}

function get_counts.run(own)
  local row = redis.call('HGETALL', own.keys.counters)
  local oldest = math.floor(own.now / 60000000) - 9
  local minutes, types = {}, {}
  for index = 1, #row, 2 do
    local kind, value = string.sub(row[index], 1, 1), row[index + 1]
    if kind == 'm' then
      local minute, enqueued, leased = struct.unpack(counters.MINUTE, value)
      if minute >= oldest then
        for _, number in ipairs({minute, enqueued, leased}) do minutes[#minutes + 1] = number end
      end
    elseif kind == 't' then
      local totals = counters.unpack_totals(value)
      if totals.queued + totals.delayed + totals.leased > 0 then types[#types + 1] = string.sub(row[index], 3) end
    end
  end
  return {0, own.now, -1, -1, minutes, types}
end
