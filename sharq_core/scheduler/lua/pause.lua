-- pause: a paused queue takes jobs and gives none; its leases run on.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, queue_id, '1' to pause or '0' to resume, not_after (µs)
-- Reply: {0, now, ready hint, timer hint, 1 when it was done, 0 when there is no such queue}
-- Cost: O(log n)

local pause = {}

function pause.run(own, args)
  if unit.is_late_by(own, args[5]) then return unit.expired(own) end
  counters.open(own)
  local queue, told = unit.queue(own, args[3]), clock.told(own)
  if not queue then return {0, told, -1, -1, 0} end
  queue_record.flag(queue, 'is_paused', args[4] == '1')
  unit.touch(own, queue)
  return unit.close(own, {0, told, -1, -1, 1})
end
