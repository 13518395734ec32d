-- interval: set a queue's rate. The change applies to its ready time at once. A pinned rate is not changed by enqueues.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts parked capsets
-- Args: now, type, queue_id, interval (µs), burst (up to two decimals; 0 keeps it), pin ('1', '0', or '' keeps it),
--       not_after (µs)
-- Reply: {0, now, ready hint, timer hint, 1}, or {0, now, -1, -1, 0} if there is no such queue and pin is not '1'
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n)
--
-- Uses: clock, queue_limits, queue_record, counters, unit

local interval = {}

function interval.run(tx, args)
  local queue_id, pin = args[3], args[6]
  local new_interval, burst = tonumber(args[4]), tonumber(args[5])
  if not counters.open(tx, tonumber(args[7])) then return unit.expired(tx) end
  local queue, store_time = unit.queue(tx, queue_id), clock.store_time(tx)
  if not queue and pin ~= '1' then return {0, store_time, -1, -1, 0} end
  queue = queue or unit.new_queue(tx, queue_id)
  local whole, hundredths = queue.burst, queue.hundredths
  if burst > 0 then whole, hundredths = queue_limits.split_burst(burst) end
  queue_record.change_rate(queue, new_interval, whole, hundredths)
  if queue.settings then queue_limits.mark(queue, queue_limits.NO_INTERVAL, false) end
  queue_record.flag(queue, 'is_purged', false)
  unit.move(tx, queue)
  if pin ~= '' then queue_record.flag(queue, 'is_pinned', pin == '1') end
  unit.touch(tx, queue)
  return unit.close(tx, {0, store_time, -1, -1, 1})
end
