-- drop_batches: forget those of some batches whose last job ended a retention ago.
--
-- Keys: timers counters notes
-- Args: now, type, not_after (µs), then up to 100 batch ids
-- Reply: {0, now, ready hint, timer hint, number of batches that were forgotten}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a batch
--
-- Uses: counters, batches, unit

local drop_batches = {}

function drop_batches.run(tx, args, first, length)
  if not counters.open(tx, tonumber(args[first])) then return unit.expired(tx) end
  local count = 0
  for at = first + 1, first + length - 1 do
    local batch = batches.find(tx, args[at])
    local forget_at = batch and batches.forget_at(tx, batch)
    if forget_at and forget_at <= tx.now then
      batches.forget(tx, batch)
      count = count + 1
    end
  end
  return unit.close(tx, unit.reply(tx, count))
end
