-- ask_batches: return which batches go on in a partition. Writes nothing.
--
-- Keys: counters notes
-- Args: now, type, then up to 100 batch ids
-- Reply: {0, now, -1, -1, then for each batch: 0 the partition does not know it, 1 its last job ended a retention ago,
--        2 it goes on}
-- Cost: O(1) a batch
--
-- Uses: clock, batches, unit

local ask_batches = {UNKNOWN = 0, OVER = 1, GOES_ON = 2}

function ask_batches.run(tx, args, first, length)
  clock.read(tx)
  local reply = unit.reply(tx)
  for at = first, first + length - 1 do
    local batch, status = batches.find(tx, args[at]), ask_batches.UNKNOWN
    if batch then
      local forget_at = batches.forget_at(tx, batch)
      status = forget_at and forget_at <= tx.now and ask_batches.OVER or ask_batches.GOES_ON
    end
    reply[#reply + 1] = status
  end
  return reply
end
