-- The reason why a type leases nothing.
--
-- Uses: shortcuts, timer_kinds, cap_sets, queue_limits, queue_record, lines, blocked_by, counters, parking, unit

local explanation = {
  LOOK = 100,   -- queue records to look at if no queue is in ready
  TIMERS = 16,  -- timers to look at for the next delayed job
  SETS = 16,    -- cap sets to look at for the first queue with caps
}

-- Return the first of a bounded number of queues that have queued jobs, or nil.
local function find_queue(tx)
  local page = call('HSCAN', tx.keys[KEY.queues], '0', 'COUNT', explanation.LOOK)[2]
  for index = 1, #page, 2 do
    local queue = queue_record.unpack(page[index], page[index + 1], tx.now)
    if queue and queue.queued > 0 then return queue end
  end
end

-- Return the queue that comes first among those with caps, or nil. It reads a bounded number of cap sets.
local function first_parked(tx, counts)
  local first_at, first_id = nil, nil
  if not counters.has_caps(counts) then return nil end
  for _, number in ipairs(call('ZRANGE', parking.sets_key(tx), 0, explanation.SETS - 1)) do
    local head = parking.heads(tx, unpack_bytes(parking.NUMBER, number), nil, 1)[1]
    local _, at, queue_id = parking.unpack(head or string.rep('\255', parking.ID_AT))
    if head and not (first_at and first_at <= at) then first_at, first_id = at, queue_id end
  end
  return first_id and unit.queue(tx, first_id), first_at
end

-- Return the queue that comes first, or nil if none has queued jobs.
local function first_queue(tx, counts)
  local row = call('ZRANGE', tx.keys[KEY.ready], 0, 0, 'WITHSCORES')
  local parked, parked_at = first_parked(tx, counts)
  if parked and not (row[2] and tonumber(row[2]) <= parked_at) then return parked end
  return row[1] and unit.queue(tx, row[1]) or find_queue(tx)
end

-- Return when the first delayed job of a type is due (µs), or false if its timer is not among the first ones.
local function first_delay(tx)
  local row = call('ZRANGE', tx.keys[KEY.timers], 0, explanation.TIMERS - 1, 'WITHSCORES')
  for index = 1, #row, 2 do
    if sub(row[index], 1, 1) == DELAY_TIMER then return tonumber(row[index + 1]) end
  end
  return false
end

-- Return why the queue that comes first leases nothing apart from its type, when that ends (µs, or false), and, if its
-- caps may be the reason, their set.
local function of_first_queue(tx, counts)
  if counts.queued == 0 then
    if counts.delayed == 0 then return blocked_by.EMPTY, false end
    return blocked_by.DELAYED, first_delay(tx)
  end
  local queue = first_queue(tx, counts)
  -- Queues with queued jobs are in ready or parked unless they are paused or full.
  if not queue then return counts.leased > 0 and blocked_by.MAX_LEASED or blocked_by.PAUSED, false end
  local is_stopped = queue.is_paused or queue_limits.is_full(queue)
  local opens_at = not is_stopped and lines.expected_at(tx, queue)
  return blocked_by.of_queue(tx, queue), opens_at and math.max(queue_limits.ready_at(queue), opens_at), queue.cap_set
end

-- Return why a type leases nothing, the time until it may (µs), or -1 if it is not known, and the names of the caps
-- that are the reason, '' for none. counts: nil for none. knows_caps: the caller can decode that caps are the reason.
function explanation.of(tx, counts, knows_caps)
  counts = counts or {queued = 0, delayed = 0, leased = 0}
  local of_type, type_at = blocked_by.of_type(tx.is_all_paused, tx.settings, counts.leased, tx.now)
  local of_queue, queue_at, cap_set = of_first_queue(tx, counts)
  if of_queue == blocked_by.CAP and not knows_caps then of_queue = blocked_by.NOTHING end
  local at, reason = type_at and queue_at and math.max(type_at, queue_at), blocked_by.first(of_type, of_queue)
  return reason, at and math.max(at - tx.now, 0) or -1, cap_sets.names(tx, reason == blocked_by.CAP and cap_set or nil)
end
