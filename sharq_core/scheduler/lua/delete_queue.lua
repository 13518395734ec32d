-- delete_queue: drop what is queued and delayed. A fence makes those jobs absent at once; their records go in bounded
-- steps, the first here. Leased jobs run out and are not requeued. The rate stays until its ready time has passed.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, queue_id, '1' to forget the rate as soon as its ready time has passed, most jobs to remove here,
--       not_after (µs)
-- Reply: {0, now, ready hint, timer hint, number of jobs dropped}; with 0 nothing changed
-- Cost: O(log n), and the jobs removed here

local delete_queue = {}

function delete_queue.run(own, args)
  if unit.is_late_by(own, args[6]) then return unit.expired(own) end
  counters.open(own)
  local queue, told = unit.queue(own, args[3]), clock.told(own)
  local dropped = queue and queue.queued + queue.delayed or 0
  if dropped == 0 then
    counters.close(own)
    return {0, told, -1, -1, 0}
  end
  local counts = own.counters
  counts.queued, counts.delayed = counts.queued - queue.queued, counts.delayed - queue.delayed
  counts.cancelled = counts.cancelled + dropped
  queue.queued, queue.delayed = 0, 0
  queue.fence = counts.seq + 1
  queue_record.flag(queue, 'is_purged', args[4] == '1')
  unit.touch(own, queue)
  sweep.run(own, queue, tonumber(args[5]))
  if queue.is_unswept then unit.put_timer(own, 'F' .. queue.queue_id, own.now) end
  return unit.close(own, {0, told, -1, -1, dropped})
end
