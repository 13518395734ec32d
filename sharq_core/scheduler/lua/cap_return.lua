-- cap_return: give slots of a cap back that were not used. Those that are not due yet are free again; the others stay
-- reserved. The permits of all of them end.
--
-- Keys: counters caps permits
-- Args: now, '', not_after (µs), name of the cap, points of cost with which they were reserved, slots (SLOT each)
-- Reply: {0, now, -1, -1, number of slots that are free again}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(slots * ranges of slots that came back). It is safe to repeat
--
-- Uses: shortcuts, clock, unit, caps, cap_slots, permits

local cap_return = {SLOT = '>I7I7'}  -- due (µs, the partition's time), serial

function cap_return.run(tx, args, first)
  local raw, slots, serials, at = args[first + 3], {}, {}, 1
  if not caps.open(tx, tonumber(args[first])) then return unit.expired(tx) end
  local cap = caps.enter(tx, args[first + 1])
  if not cap then
    caps.leave(tx)
    return {0, clock.store_time(tx), -1, -1, 0}
  end
  while at <= #raw do
    local due, serial
    due, serial, at = unpack_bytes(cap_return.SLOT, raw, at)
    slots[#slots + 1], serials[#serials + 1] = {due, serial}, serial
  end
  cap_slots.trim(cap)
  if cap.leased > 0 then permits.settle(tx, cap, serials) end
  -- The slots of a dropped cap are lost, but the permits of one that is defined again must not last.
  local count = cap.is_dropped and 0 or cap_slots.give_back(cap, slots, tonumber(args[first + 2]))
  caps.close(tx, cap)
  return {0, clock.store_time(tx), -1, -1, count}
end
