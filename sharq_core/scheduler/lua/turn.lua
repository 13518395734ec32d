-- turn: drop the older generation of the partition's tombstones when its retention has passed.
--
-- Keys: counters done0 done1
-- Args: now, '' (tombstones are not of one type), retention (µs), most tombstones of a generation, not_after (µs)
-- Reply: {0, now, -1, -1}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(1)
--
-- Uses: shortcuts, clock, tombstones, unit

local turn = {}

function turn.run(tx, args)
  local raw = call('HGET', tx.keys[KEY.counters], clock.FIELD)
  if not clock.set(tx, raw, tonumber(args[5])) then return unit.expired(tx) end
  tombstones.turn(tx, tonumber(args[3]), tonumber(args[4]))
  return {0, clock.store_time(tx), -1, -1}
end
