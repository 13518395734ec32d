-- drop_dead: drop dead letters for good, oldest first.
--
-- Keys: counters dead deadjobs deadcounts notes
-- Args: now, type, most dead letters, and optionally a time (µs, the store's clock): dead letters that died between it
--       and now are kept ('' for none); and not_after (µs)
-- Reply: {0, now, -1, -1, number dropped}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a dead letter
--
-- Uses: clock, counters, batches, dead_letters, unit

local drop_dead = {}

function drop_dead.run(tx, args)
  local limit, before = tonumber(args[3]), tonumber(args[4])
  if not counters.open(tx, tonumber(args[5])) then return unit.expired(tx) end
  before = before and clock.partition_time(tx, before)
  local dropped = dead_letters.drop(tx, '-inf', before or '+inf', limit)
  if before then -- a time of death in the future: the letter is older than a backward step of the clock
    local after = '(' .. string.format('%.0f', math.max(before, tx.now))
    dropped = dropped + dead_letters.drop(tx, after, '+inf', limit - dropped)
  end
  if tx.batches then batches.flush(tx) end
  counters.close(tx)
  return {0, clock.store_time(tx), -1, -1, dropped}
end
