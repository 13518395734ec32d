-- cap_hold: let no slot of a cap be due before a time. A hold only grows. Slots that are reserved stay so: it is their
-- nodes that must not use them.
--
-- Keys: counters caps
-- Args: now, '', not_after (µs), name of the cap, hold from now (µs)
-- Reply: {0, now, -1, -1, 1 if there is such a cap, else 0}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(1)
--
-- Uses: clock, unit, caps

local cap_hold = {}

function cap_hold.run(tx, args, first)
  if not caps.open(tx, tonumber(args[first])) then return unit.expired(tx) end
  local cap = caps.enter(tx, args[first + 1])
  if not cap or cap.is_dropped then
    caps.leave(tx)
    return {0, clock.store_time(tx), -1, -1, 0}
  end
  cap.held_until = math.max(cap.held_until, cap.now + tonumber(args[first + 2]))
  caps.close(tx, cap)
  return {0, clock.store_time(tx), -1, -1, 1}
end
