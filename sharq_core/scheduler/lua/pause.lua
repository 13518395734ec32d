-- pause: a paused queue takes jobs and gives none; its leases run on.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, queue_id, '1' to pause or '0' to resume
-- Reply: {0, now, ready hint, timer hint, 1 when it was done, 0 when there is no such queue}
-- Cost: O(log n)

local pause = {}

function pause.run(own, args)
  local queue = unit.queue(own, args[3])
  if not queue then return {0, own.now, -1, -1, 0} end
  counters.open(own)
  queue_record.flag(queue, 'is_paused', args[4] == '1')
  unit.touch(own, queue)
  return unit.close(own, {0, own.now, -1, -1, 1})
end
