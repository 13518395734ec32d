-- The reason why a type leases nothing.
--
-- Uses: shortcuts, timer_kinds, queue_limits, queue_record, lines, blocked_by, unit

local explanation = {
  LOOK = 100,   -- queue records to look at if no queue is in ready
  TIMERS = 16,  -- timers to look at for the next delayed job
}

-- Return the first of a bounded number of queues that have queued jobs, or nil.
local function find_queue(tx)
  local page = call('HSCAN', tx.keys[KEY.queues], '0', 'COUNT', explanation.LOOK)[2]
  for index = 1, #page, 2 do
    local queue = queue_record.unpack(page[index], page[index + 1], tx.now)
    if queue and queue.queued > 0 then return queue end
  end
end

-- Return when the first delayed job of a type is due (µs), or false if its timer is not among the first ones.
local function first_delay(tx)
  local row = call('ZRANGE', tx.keys[KEY.timers], 0, explanation.TIMERS - 1, 'WITHSCORES')
  for index = 1, #row, 2 do
    if sub(row[index], 1, 1) == DELAY_TIMER then return tonumber(row[index + 1]) end
  end
  return false
end

-- Return why the queue that comes first leases nothing apart from its type, and when that ends (µs, or false).
local function of_first_queue(tx, counts)
  if counts.queued == 0 then
    if counts.delayed == 0 then return blocked_by.EMPTY, false end
    return blocked_by.DELAYED, first_delay(tx)
  end
  local head = call('ZRANGE', tx.keys[KEY.ready], 0, 0)[1]
  local queue = head and unit.queue(tx, head) or find_queue(tx)
  -- Queues with queued jobs are in ready unless they are paused or full.
  if not queue then return counts.leased > 0 and blocked_by.MAX_LEASED or blocked_by.PAUSED, false end
  local is_stopped = queue.is_paused or queue_limits.is_full(queue)
  local opens_at = not is_stopped and lines.expected_at(tx, queue)
  return blocked_by.of_queue(tx, queue), opens_at and math.max(queue_limits.ready_at(queue), opens_at)
end

-- Return why a type leases nothing, and the time until it may (µs), or -1 if it is not known. counts: nil for none.
function explanation.of(tx, counts)
  counts = counts or {queued = 0, delayed = 0, leased = 0}
  local of_type, type_at = blocked_by.of_type(tx.is_all_paused, tx.settings, counts.leased, tx.now)
  local of_queue, queue_at = of_first_queue(tx, counts)
  local at = type_at and queue_at and math.max(type_at, queue_at)
  return blocked_by.first(of_type, of_queue), at and math.max(at - tx.now, 0) or -1
end
