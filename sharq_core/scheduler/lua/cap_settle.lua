-- cap_settle: give permits of a cap back, because their leases ended.
--
-- Keys: counters caps permits
-- Args: now, '', not_after (µs), name of the cap, serials (7 bytes each)
-- Reply: {0, now, -1, -1, number of permits that there were}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(permits). It is safe to repeat
--
-- Uses: clock, unit, caps, permits

local cap_settle = {}

function cap_settle.run(tx, args, first)
  if not caps.open(tx, tonumber(args[first])) then return unit.expired(tx) end
  local cap = caps.enter(tx, args[first + 1])
  if not cap then
    caps.leave(tx)
    return {0, clock.store_time(tx), -1, -1, 0}
  end
  local count = permits.settle(tx, cap, permits.serials(args[first + 2]))
  caps.close(tx, cap)
  return {0, clock.store_time(tx), -1, -1, count}
end
