-- get_queue: return one queue. Writes nothing.
--
-- Keys: queued jobs queues counters deadcounts
-- Args: now, type, queue_id, and '1' for the limits, which nodes of revision 3 cannot decode, '2' for these and the
--       defaults of the lives of jobs, which nodes of revision 4 cannot decode, or '3' for these and the window, which
--       nodes of revision 5 cannot decode, or '4' for these and the caps, which nodes of revision 9 cannot decode
-- A queue without a record is known while it has dead letters; its rate is forgotten.
-- Reply: {0, now, -1, -1} for an unknown queue, else {0, now, -1, -1, interval (µs), burst, pinned, paused, queued,
--        delayed, leased, time until it may be leased from (µs) or -1, age of its head (µs) or -1, with limits then
--        hundredths of the burst, max_leased or 0, end of its hold (µs) or -1, weight, number of dead letters,
--        blocked_by (blocked_by.lua), flags of what an operator set and NO_INTERVAL (queue_limits.lua); then the
--        defaults of the lives of jobs (queue_stats.add_life); then the name of its window, '' for none; then the names
--        of its caps (cap_sets.lua), '' for none; then for each minute: minute, enqueued, leased}
-- Cost: O(log n)
--
-- Uses: clock, counters, dead_letters, unit, queue_stats

local get_queue = {}

function get_queue.run(tx, args)
  counters.see(tx)
  local queue, store_time = unit.queue(tx, args[3]), clock.store_time(tx)
  local dead = args[4] and dead_letters.count(tx, args[3])
  if not queue then
    if dead_letters.number(dead) == 0 then return {0, store_time, -1, -1} end
    queue = queue_stats.without_record(args[3])
  end
  local row = queue_stats.row(tx, queue, unit.head_age(tx, queue))
  if args[4] then queue_stats.add_limits(tx, queue, dead, row, args[4] == '4') end
  if args[4] and args[4] >= '2' then queue_stats.add_life(queue, row) end
  if args[4] and args[4] >= '3' then queue_stats.add_window(tx, queue, row) end
  if args[4] == '4' then queue_stats.add_caps(tx, queue, row) end
  queue_stats.add_minutes(queue, row)
  return {0, store_time, -1, -1, unpack(row)}
end
