-- drop_dead: drop dead letters for good, oldest first.
--
-- Keys: counters dead deadjobs
-- Args: now, type, most letters, then perhaps a time (µs, by the store's clock): letters that died between it and now are left
-- Reply: {0, now, -1, -1, number dropped}
-- Cost: O(log n) a letter

local drop_dead = {}

function drop_dead.run(own, args)
  local limit, before = tonumber(args[3]), tonumber(args[4])
  counters.open(own)
  before = before and clock.own_time(own, before)
  local dropped = dead_letters.drop(own, '-inf', before or '+inf', limit)
  if before then -- a letter that dies in the future was there before the clock stepped back
    local after = '(' .. string.format('%.0f', math.max(before, own.now))
    dropped = dropped + dead_letters.drop(own, after, '+inf', limit - dropped)
  end
  counters.close(own)
  return {0, clock.told(own), -1, -1, dropped}
end
