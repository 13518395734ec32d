-- turn: drop the older generation of the partition's tombstones when its retention has passed.
--
-- Keys: counters done0 done1
-- Args: now, '' (tombstones are of no type), retention (µs), most tombstones of a generation, not_after (µs)
-- Reply: {0, now, -1, -1}, or {1, now, -1, -1} when it came after not_after: nothing was done
-- Cost: O(1)

local turn = {}

function turn.run(own, args)
  if unit.is_late_by(own, args[5]) then return unit.expired(own) end
  clock.read(own)
  tombstones.turn(own, tonumber(args[3]), tonumber(args[4]))
  return {0, clock.told(own), -1, -1}
end
