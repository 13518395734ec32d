-- list_caps: return a page of the caps of a partition. Writes nothing.
--
-- Keys: counters caps
-- Args: now, '', scan ('0' at first), approximate number of records to read
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), then for each cap as cap_state.add}
-- Cost: O(records read). A whole scan returns every cap that exists throughout at least once
--
-- Uses: shortcuts, clock, caps, cap_state

local list_caps = {}

function list_caps.run(tx, args, first)
  clock.read(tx)
  local page = call('HSCAN', caps.key(tx), args[first], 'COUNT', args[first + 1])
  local reply = {0, clock.store_time(tx), -1, -1, page[1]}
  for index = 1, #page[2], 2 do
    local cap = caps.see(tx, page[2][index], page[2][index + 1])
    if not cap.is_dropped then cap_state.add(tx, reply, cap) end
  end
  return reply
end
