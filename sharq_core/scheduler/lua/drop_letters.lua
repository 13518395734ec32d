-- drop_letters: drop dead letters for good, those that are named.
--
-- Keys: counters dead deadjobs deadcounts notes
-- Args: now, type, retention of dead letters (µs), not_after (µs), then the field of each (queue_id:job_id), up to 100
-- Reply: {0, now, -1, -1, for each 1 if it is dropped, 0 if there is none}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) a dead letter; if the type has batches, the letters are read
--
-- Uses: clock, counters, batches, dead_letters, unit

local drop_letters = {}

function drop_letters.run(tx, args)
  if not counters.open(tx, tonumber(args[4])) then return unit.expired(tx) end
  local fields, reply = {unpack(args, 5)}, {0, clock.store_time(tx), -1, -1}
  local dropped = dead_letters.drop_named(tx, fields, tonumber(args[3]))
  for _, field in ipairs(fields) do
    reply[#reply + 1] = dropped[field] and 1 or 0
    dropped[field] = nil
  end
  if tx.batches then batches.flush(tx) end
  counters.close(tx)
  return reply
end
