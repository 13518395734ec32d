-- get_batch: return the numbers of a batch in a partition. Writes nothing.
--
-- Keys: counters notes
-- Args: now, type, batch id
-- Reply: {0, now, -1, -1} if the partition does not know it, else {0, now, -1, -1, 1 if it is cancelled, 1 if its
--        retention is over, then the number of its jobs by state: queued, delayed, leased, finished, dead, cancelled}
-- Cost: O(1)
--
-- Uses: clock, batches, unit

local get_batch = {}

function get_batch.run(tx, args, first)
  clock.read(tx)
  local batch, reply = batches.find(tx, args[first]), unit.reply(tx)
  if not batch then return reply end
  local forget_at, last = batches.forget_at(tx, batch), #reply
  reply[last + 1] = batches.is_cancelled(batch) and 1 or 0
  reply[last + 2] = forget_at and forget_at <= tx.now and 1 or 0
  for index, state in ipairs(batches.STATES) do reply[last + 2 + index] = batch[state] end
  return reply
end
