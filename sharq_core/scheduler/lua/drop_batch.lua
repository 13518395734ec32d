-- drop_batch: forget a batch whose last job ended a retention ago.
--
-- Keys: timers counters notes
-- Args: now, type, batch id, not_after (µs)
-- Reply: {0, now, ready hint, timer hint, 1 if it is forgotten, 0 if there is none, or if it is too early}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n)
--
-- Uses: counters, batches, unit

local drop_batch = {}

function drop_batch.run(tx, args, first)
  if not counters.open(tx, tonumber(args[first + 1])) then return unit.expired(tx) end
  local batch, reply = batches.find(tx, args[first]), unit.reply(tx, 0)
  local forget_at = batch and batches.forget_at(tx, batch)
  if forget_at and forget_at <= tx.now then
    batches.forget(tx, batch)
    reply[#reply] = 1
  end
  return unit.close(tx, reply)
end
