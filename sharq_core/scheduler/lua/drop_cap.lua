-- drop_cap: drop a cap. Its record stays for a while, so that a new cap of its name gives nothing anew.
--
-- Keys: counters caps
-- Args: now, '', not_after (µs), name of the cap
-- Reply: {0, now, -1, -1, 1 if there was such a cap, else 0}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(1)
--
-- Uses: clock, unit, caps

local drop_cap = {}

function drop_cap.run(tx, args, first)
  if not caps.open(tx, tonumber(args[first])) then return unit.expired(tx) end
  local cap = caps.enter(tx, args[first + 1])
  caps.sweep(tx)
  if not cap or cap.is_dropped then
    caps.leave(tx)
    return {0, clock.store_time(tx), -1, -1, 0}
  end
  cap.dropped_at = cap.now
  caps.close(tx, cap)
  return {0, clock.store_time(tx), -1, -1, 1}
end
