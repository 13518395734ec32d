-- trim_results: drop the results of a partition whose jobs are not remembered any more, and those above a limit.
--
-- Keys: counters results resulted
-- Args: now, '' (results are not of one type), retention of finished jobs (µs), most bytes of the partition's results,
--       most results to drop, not_after (µs)
-- Reply: {0, now, -1, -1}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) for each result that is dropped
--
-- Uses: clock, results, unit

local trim_results = {}

function trim_results.run(tx, args)
  if unit.is_late_by(tx, args[6]) then return unit.expired(tx) end
  clock.read(tx)
  results.open(tx, tonumber(args[3]))
  results.trim(tx, tonumber(args[4]), tonumber(args[5]))
  results.flush(tx)
  return {0, clock.store_time(tx), -1, -1}
end
