-- pause: pause, hold or resume a queue. A paused or held queue accepts jobs but hands none out; its leases continue. A
-- hold ends by itself, and only grows. A resume ends a pause and a hold.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts parked capsets
-- Args: now, type, queue_id, '1' to pause or '0' to resume, not_after (µs), and optionally how long to hold the queue
--       instead (µs), or 0 and until when (µs, the store's clock)
-- Reply: {0, now, ready hint, timer hint, 1}, or {0, now, -1, -1, 0} if there is no such queue, 2 if the hold would end
--        in the past, 3 if it would last longer than a day; 0, 2 and 3 changed nothing
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n)
--
-- Uses: clock, queue_limits, queue_record, counters, unit

local pause = {NOT_FOUND = 0, DONE = 1, PAST = 2, TOO_LONG = 3}

-- Hold a queue for some time (µs), or until a time by the store's clock if that is not 0.
local function hold(tx, queue, span, at)
  if at > 0 then span = clock.partition_time(tx, at) - tx.now end
  if span <= 0 then return pause.PAST end
  if span > queue_limits.LONGEST_HOLD_US then return pause.TOO_LONG end
  unit.hold(tx, queue, tx.now + span)
  return pause.DONE
end

function pause.run(tx, args)
  if not counters.open(tx, tonumber(args[5])) then return unit.expired(tx) end
  local queue, store_time = unit.queue(tx, args[3]), clock.store_time(tx)
  if not queue then return {0, store_time, -1, -1, pause.NOT_FOUND} end
  if args[6] then
    local status = hold(tx, queue, tonumber(args[6]), tonumber(args[7]))
    if status ~= pause.DONE then return {0, store_time, -1, -1, status} end
  else
    queue_record.flag(queue, 'is_paused', args[4] == '1')
    if args[4] ~= '1' then queue.held_until = nil end
    unit.move(tx, queue)
  end
  unit.touch(tx, queue)
  return unit.close(tx, {0, store_time, -1, -1, 1})
end
