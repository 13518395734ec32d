-- list_types: a page of a partition's types that have queued, delayed or leased jobs, and what was enqueued and leased
-- by the minute. Writes nothing.
--
-- Keys: counters
-- Args: now, '', scan ('0' at first), about how many types to look at
-- Reply: {0, now, -1, -1, scan to go on with ('0' at the end), {minute, enqueued, leased, ...}, {type, ...},
--        {type, ...} of those that the minutes count}; a minute may stand there more than once
-- Cost: O(types looked at). A whole scan looks at every type that is there throughout, once or more.

local list_types = {}

-- A minute's counts, with the type that they are of ('' for all types that were in it), unless it is too old.
local function add_minute(minutes, names, oldest, name, minute, enqueued, leased)
  if minute < oldest or enqueued + leased == 0 then return end
  local count = #minutes
  minutes[count + 1], minutes[count + 2], minutes[count + 3] = minute, enqueued, leased
  names[#names + 1] = name
end

function list_types.run(own, args, first)
  local page = call('HSCAN', own.keys[KEY.counters], args[first], 'COUNT', args[first + 1])
  local oldest = math.floor(own.now / counters.MINUTE_US) - 9
  local minutes, names, types = {}, {}, {}
  for index = 1, #page[2], 2 do
    local name, value = page[2][index], page[2][index + 1]
    if sub(name, 1, 2) == ':m' then
      add_minute(minutes, names, oldest, name, unpack_bytes(counters.MINUTE, value))
    elseif sub(name, 1, 1) ~= ':' then
      local counts = counters.unpack(value)
      add_minute(minutes, names, oldest, name, counts.minute, counts.enqueued_now, counts.given_now)
      if counts.queued + counts.delayed + counts.leased > 0 then types[#types + 1] = name end
    end
  end
  return {0, own.now, -1, -1, page[1], minutes, types, names}
end
