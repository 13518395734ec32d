-- The reasons why nothing is leased. A reason is a number; of several reasons the smallest one is told. The order is
-- that of BlockedBy in limits.py.
--
-- Uses: shortcuts, timer_kinds, queue_record, type_settings, unit

local blocking = {
  NOTHING = 0, ALL_PAUSED = 1, TYPE_PAUSED = 2, PAUSED = 3, TYPE_HOLD = 4, HOLD = 5, EMPTY = 6, DELAYED = 7,
  TYPE_MAX_LEASED = 10, MAX_LEASED = 11, TYPE_RATE = 12, RATE = 13,
  LOOK = 100,   -- queue records to look at if no queue is in ready
  TIMERS = 16,  -- timers to look at for the next delayed job
}

-- Return the first of two reasons, if there is any.
function blocking.first(left, right)
  if left == 0 or right == 0 then return left + right end
  return math.min(left, right)
end

-- Return why a type leases nothing from any queue, and when that ends (µs; 0 for now, false if it is not known).
-- settings: nil for none.
function blocking.of_type(is_all_paused, settings, counts, now)
  if is_all_paused then return blocking.ALL_PAUSED, false end
  if not settings then return blocking.NOTHING, 0 end
  local ready_at = type_settings.ready_at(settings)
  if settings.is_paused then return blocking.TYPE_PAUSED, false end
  local is_full = type_settings.is_full(settings, counts)
  local reason = blocking.NOTHING
  if settings.held_until > now then
    reason = blocking.TYPE_HOLD
  elseif is_full then
    reason = blocking.TYPE_MAX_LEASED
  elseif ready_at > now then
    reason = blocking.TYPE_RATE
  end
  return reason, not is_full and ready_at
end

-- Return why a queue leases nothing apart from its type, and when that ends (µs, or false).
function blocking.of_queue(queue, now)
  if queue.is_paused then return blocking.PAUSED, false end
  if queue.queued == 0 then return queue.delayed > 0 and blocking.DELAYED or blocking.EMPTY, false end
  if queue.tat > now then return blocking.RATE, queue.tat end
  return blocking.NOTHING, 0
end

-- Return the first of a bounded number of queues that have queued jobs, or nil.
local function find_queue(tx)
  local page = call('HSCAN', tx.keys[KEY.queues], '0', 'COUNT', blocking.LOOK)[2]
  for index = 1, #page, 2 do
    local queue = queue_record.unpack(page[index], page[index + 1], tx.now)
    if queue and queue.queued > 0 then return queue end
  end
end

-- Return when the first delayed job of a type is due (µs), or false if its timer is not among the first ones.
local function first_delay(tx)
  local row = call('ZRANGE', tx.keys[KEY.timers], 0, blocking.TIMERS - 1, 'WITHSCORES')
  for index = 1, #row, 2 do
    if sub(row[index], 1, 1) == DELAY_TIMER then return tonumber(row[index + 1]) end
  end
  return false
end

-- Return why the queue that comes first leases nothing apart from its type, and when that ends (µs, or false).
local function of_first_queue(tx, counts)
  if counts.queued == 0 then
    if counts.delayed == 0 then return blocking.EMPTY, false end
    return blocking.DELAYED, first_delay(tx)
  end
  local head = call('ZRANGE', tx.keys[KEY.ready], 0, 0)[1]
  local queue = head and unit.queue(tx, head) or find_queue(tx)
  -- Queues with queued jobs are in ready unless they are paused or full.
  if not queue then return counts.leased > 0 and blocking.MAX_LEASED or blocking.PAUSED, false end
  return blocking.of_queue(queue, tx.now)
end

-- Return why a type leases nothing, and the time until it may (µs), or -1 if it is not known. counts: nil for none.
function blocking.explain(tx, counts)
  counts = counts or {queued = 0, delayed = 0, leased = 0}
  local of_type, type_at = blocking.of_type(tx.is_all_paused, tx.settings, counts, tx.now)
  local of_queue, queue_at = of_first_queue(tx, counts)
  local at = type_at and queue_at and math.max(type_at, queue_at)
  return blocking.first(of_type, of_queue), at and math.max(at - tx.now, 0) or -1
end
