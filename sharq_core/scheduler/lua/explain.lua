-- explain: return why a type leases nothing in a partition. Writes nothing.
--
-- Keys: ready timers queues counters parked capsets
-- Args: now, type
-- Reply: {0, now, -1, -1, reason of the queue that comes first (blocked_by.lua; 0 if it may be leased from), time until
--        it may (µs) or -1}
-- Cost: O(log n), and O(100) if all queues with jobs are paused or full
--
-- Uses: clock, counters, explanation

local explain = {}

function explain.run(tx)
  local counts = counters.see(tx)
  local reason, ready_in = explanation.of(tx, counts)
  return {0, clock.told(tx), -1, -1, reason, ready_in}
end
