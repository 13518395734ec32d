-- drop_dead_letter: drop one dead letter for good.
--
-- Keys: counters dead deadjobs deadcounts notes
-- Args: now, type, queue_id, field (queue_id:job_id), retention of dead letters (µs), not_after (µs)
-- Reply: {0, now, -1, -1, 1 if it is dropped, 0 if there is none}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n)
--
-- Uses: clock, counters, batches, dead_letters, unit

local drop_dead_letter = {}

function drop_dead_letter.run(tx, args)
  if not counters.open(tx, tonumber(args[6])) then return unit.expired(tx) end
  local letter = dead_letters.find(tx, args[3], args[4], tonumber(args[5]))
  if letter then
    batches.drop_letter(tx, letter)
    dead_letters.remove(tx, {args[4]})
    counters.cancel_dead(tx, 1)
  end
  if tx.batches then batches.flush(tx) end
  counters.close(tx)
  return {0, clock.store_time(tx), -1, -1, letter and 1 or 0}
end
