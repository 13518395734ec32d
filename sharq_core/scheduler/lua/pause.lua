-- pause: pause or resume a queue. A paused queue accepts jobs but hands none out; its leases continue.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, queue_id, '1' to pause or '0' to resume, not_after (µs)
-- Reply: {0, now, ready hint, timer hint, 1}, or {0, now, -1, -1, 0} if there is no such queue
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n)
--
-- Uses: clock, queue_record, counters, unit

local pause = {}

function pause.run(tx, args)
  if unit.is_late_by(tx, args[5]) then return unit.expired(tx) end
  counters.open(tx)
  local queue, told = unit.queue(tx, args[3]), clock.told(tx)
  if not queue then return {0, told, -1, -1, 0} end
  queue_record.flag(queue, 'is_paused', args[4] == '1')
  unit.touch(tx, queue)
  return unit.close(tx, {0, told, -1, -1, 1})
end
