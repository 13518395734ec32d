-- explain_types: return why each of several types leases nothing in a partition. Writes nothing. It reads the keys of
-- explain for each type, whose names it derives (partition_keys.lua).
--
-- Keys: counters
-- Args: now, '', then up to 16 types
-- Reply: {0, now, -1, -1, then for each type the reason, the time and the names of the caps that explain replies}
-- Cost: that of as many calls of explain
--
-- Uses: clock, counters, unit, explanation, partition_keys

local explain_types = {}

function explain_types.run(tx, args, first, length)
  local counters_key, now = tx.keys[KEY.counters], tx.now
  local reply = {0, clock.store_time(tx), -1, -1}
  for at = first, first + length - 1 do
    local part = unit.open(partition_keys.of(counters_key, args[at]), now, args[at])
    local reason, ready_in, names = explanation.of(part, counters.see(part), true)
    local count = #reply
    reply[count + 1], reply[count + 2], reply[count + 3] = reason, ready_in, names
  end
  return reply
end
