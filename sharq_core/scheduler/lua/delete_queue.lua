-- delete_queue: drop the queued and delayed jobs of a queue. A fence makes these jobs absent at once. Their records are
-- removed in bounded steps, the first one here. Leased jobs run out and are not requeued. The rate is kept until its
-- ready time has passed.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, queue_id, '1' to forget the rate as soon as its ready time has passed, most jobs to remove here,
--       not_after (µs)
-- Reply: {0, now, ready hint, timer hint, number of jobs dropped}; with 0 nothing changed
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n) and O(log n) a job removed here
--
-- Uses: timer_kinds, clock, queue_windows, queue_record, counters, unit, sweep

local delete_queue = {}

function delete_queue.run(tx, args)
  if not counters.open(tx, tonumber(args[6])) then return unit.expired(tx) end
  local queue, store_time = unit.queue(tx, args[3]), clock.store_time(tx)
  local dropped = queue and queue.queued + queue.delayed or 0
  if dropped == 0 then
    counters.close(tx)
    return {0, store_time, -1, -1, 0}
  end
  local counts = tx.counters
  counts.queued, counts.delayed = counts.queued - queue.queued, counts.delayed - queue.delayed
  counts.cancelled = counts.cancelled + dropped
  queue.queued, queue.delayed = 0, 0
  if queue.lines then queue_windows.clear(queue) end
  queue.fence = counts.seq + 1
  queue_record.flag(queue, 'is_purged', args[4] == '1')
  unit.touch(tx, queue)
  sweep.run(tx, queue, tonumber(args[5]))
  if queue.is_unswept then unit.put_timer(tx, SWEEP_TIMER .. queue.queue_id, tx.now) end
  return unit.close(tx, {0, store_time, -1, -1, dropped})
end
