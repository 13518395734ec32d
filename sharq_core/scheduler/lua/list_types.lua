-- list_types: return a page of a partition's types with queued, delayed or leased jobs, and how many jobs were enqueued
-- and leased by minute. Writes nothing.
--
-- Keys: counters
-- Args: now, '', scan ('0' at first), approximate number of types to read
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), {minute, enqueued, leased, ...}, {type, ...},
--        {field, ...} of the counters that the minutes come from, one for each}; a minute may appear more than once
-- Cost: O(types read). A whole scan reads every type that exists throughout at least once.
--
-- Uses: shortcuts, counters

local list_types = {}

-- Add a minute's counts to a list, with the field of counters that they come from, unless the minute is too old or has
-- no counts.
local function add_minute_of(minutes, names, oldest, name, minute, enqueued, leased)
  if minute < oldest or enqueued + leased == 0 then return end
  local count = #minutes
  minutes[count + 1], minutes[count + 2], minutes[count + 3] = minute, enqueued, leased
  names[#names + 1] = name
end

function list_types.run(tx, args, first)
  local page = call('HSCAN', tx.keys[KEY.counters], args[first], 'COUNT', args[first + 1])
  local oldest = math.floor(tx.now / counters.MINUTE_US) - 9
  local minutes, names, types = {}, {}, {}
  for index = 1, #page[2], 2 do
    local name, value = page[2][index], page[2][index + 1]
    if sub(name, 1, 2) == ':m' then
      add_minute_of(minutes, names, oldest, name, unpack_bytes(counters.MINUTE, value))
    elseif sub(name, 1, 1) ~= ':' then
      local counts = counters.unpack(value)
      add_minute_of(minutes, names, oldest, name, counts.minute, counts.minute_enqueued, counts.minute_leased)
      if counts.queued + counts.delayed + counts.leased > 0 then types[#types + 1] = name end
    end
  end
  return {0, tx.now, -1, -1, page[1], minutes, types, names}
end
