-- turn: drop the older generation of the partition's tombstones when its retention has passed.
--
-- Keys: counters done0 done1
-- Args: now, '' (tombstones are of no type), retention (µs), most tombstones of a generation
-- Reply: {0, now, -1, -1}
-- Cost: O(1)

local turn = {}

function turn.run(own, args)
  tombstones.turn(own, tonumber(args[3]), tonumber(args[4]))
  return {0, own.now, -1, -1}
end
