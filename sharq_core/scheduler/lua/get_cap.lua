-- get_cap: return one cap of a partition. Writes nothing.
--
-- Keys: counters caps
-- Args: now, '', name of the cap
-- Reply: {0, now, -1, -1} if there is none, else {0, now, -1, -1, then as cap_state.add}
-- Cost: O(1)
--
-- Uses: shortcuts, clock, caps, cap_state

local get_cap = {}

function get_cap.run(tx, args, first)
  clock.read(tx)
  local reply, raw = {0, clock.store_time(tx), -1, -1}, call('HGET', caps.key(tx), args[first])
  local cap = raw and caps.see(tx, args[first], raw)
  if cap and not cap.is_dropped then cap_state.add(tx, reply, cap) end
  return reply
end
