-- cap_uses: return how many queues of a partition have a cap, and how many jobs are queued in them. Writes nothing.
--
-- Keys: counters
-- Args: now, '', name, set to go on after (0 at first), most sets to look at
-- Reply: {0, now, -1, -1, queues, queued jobs, set to go on after (0 at the end)}
-- Cost: O(sets that have the cap) for their numbers, and O(log n) for each of those looked at
--
-- Uses: clock, cap_sets

local cap_uses = {}

function cap_uses.run(tx, args, first)
  clock.read(tx)
  local after, limit = tonumber(args[first + 1]), tonumber(args[first + 2])
  local queues, queued, last = cap_sets.count_uses(tx, args[first], after, limit)
  return {0, clock.store_time(tx), -1, -1, queues, queued, last}
end
