-- interval: change a queue's rate, with effect on its waiting slot at once; pin it, so that no enqueue changes it.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, queue_id, interval (µs), burst (0: as it is), pin ('1', '0', or '' for as it is), not_after (µs)
-- Reply: {0, now, ready hint, timer hint, 1 when it was done, 0 when there is no such queue and pin is not '1'}
-- Cost: O(log n)

local interval = {}

function interval.run(own, args)
  local queue_id, new, burst, pin = args[3], tonumber(args[4]), tonumber(args[5]), args[6]
  if unit.is_late_by(own, args[7]) then return unit.expired(own) end
  counters.open(own)
  local queue, told = unit.queue(own, queue_id), clock.told(own)
  if not queue and pin ~= '1' then return {0, told, -1, -1, 0} end
  queue = queue or unit.new_queue(own, queue_id)
  queue_record.change_rate(queue, new, burst > 0 and burst or queue.burst)
  queue_record.flag(queue, 'is_purged', false)
  unit.move(own, queue)
  if pin ~= '' then queue_record.flag(queue, 'is_pinned', pin == '1') end
  unit.touch(own, queue)
  return unit.close(own, {0, told, -1, -1, 1})
end
