-- explain: return why a type leases nothing in a partition. Writes nothing.
--
-- Keys: ready timers queues counters parked capsets
-- Args: now, type, and '1' if the caller can decode that caps are the reason, unlike nodes of revision 9
-- Reply: {0, now, -1, -1, reason of the queue that comes first (blocked_by.lua; 0 if it may be leased from), time until
--        it may (µs) or -1, and for '1' the names of the caps that are the reason (cap_sets.lua), '' for none}
-- Cost: O(log n), O(16 log n) for queues with caps, and O(100) if all queues with jobs are paused or full
--
-- Uses: clock, counters, explanation

local explain = {}

function explain.run(tx, args, first, length)
  local counts, knows_caps = counters.see(tx), length > 0 and args[first] == '1'
  local reason, ready_in, names = explanation.of(tx, counts, knows_caps)
  return {0, clock.store_time(tx), -1, -1, reason, ready_in, knows_caps and names or nil}
end
