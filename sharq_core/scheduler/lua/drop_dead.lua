-- drop_dead: drop dead letters for good, oldest first.
--
-- Keys: counters dead deadjobs
-- Args: now, type, most letters
-- Reply: {0, now, -1, -1, number dropped}
-- Cost: O(log n) a letter

local drop_dead = {}

function drop_dead.run(own, args)
  counters.open(own)
  local dropped = dead_letters.drop(own, math.huge, tonumber(args[3]))
  counters.close(own)
  return {0, clock.told(own), -1, -1, dropped}
end
