-- cap_renew: let permits of a cap last longer, before their leases are extended.
--
-- Keys: counters caps permits
-- Args: now, '', not_after (µs), name of the cap, length of the leases from the extend on (µs), serials (7 bytes each)
-- Reply: {0, now, -1, -1, then for each serial 1 if its permit lasts at least five seconds, the lease and a margin from
--        now, 0 if there is no such permit any more}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(permits)
--
-- Uses: clock, unit, caps, permits

local cap_renew = {}

function cap_renew.run(tx, args, first)
  if not caps.open(tx, tonumber(args[first])) then return unit.expired(tx) end
  local serials, reply = permits.serials(args[first + 3]), {0, 0, -1, -1}
  local cap, has_permit = caps.enter(tx, args[first + 1]), {}
  if cap then
    has_permit = permits.renew(tx, cap, serials, tonumber(args[first + 2]))
    caps.close(tx, cap)
  else
    caps.leave(tx)
  end
  reply[2] = clock.store_time(tx)
  for index = 1, #serials do reply[4 + index] = has_permit[index] or 0 end
  return reply
end
