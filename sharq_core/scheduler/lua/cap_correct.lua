-- cap_correct: correct the cost of a lease of a cap with a limit of cost.
--
-- Keys: counters caps
-- Args: now, '', not_after (µs), name of the cap, difference to the cost with which the slot was reserved (signed)
-- Reply: {0, now, -1, -1, 1 if there is such a cap, else 0}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(1)
--
-- Uses: clock, unit, caps, cap_slots

local cap_correct = {}

function cap_correct.run(tx, args, first)
  if not caps.open(tx, tonumber(args[first])) then return unit.expired(tx) end
  local cap = caps.enter(tx, args[first + 1])
  if not cap or cap.is_dropped then
    caps.leave(tx)
    return {0, clock.store_time(tx), -1, -1, 0}
  end
  cap_slots.trim(cap)
  cap_slots.correct(cap, tonumber(args[first + 2]))
  caps.close(tx, cap)
  return {0, clock.store_time(tx), -1, -1, 1}
end
