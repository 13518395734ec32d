-- The enqueue of one job: whether it is queued, which rate and limits its queue takes from it, and when it expires.
-- The caller has opened the counters, and has read the record of the queue and that of a live job of the same id.
--
-- Uses: shortcuts, clock, cap_sets, windows, retry_policy, job_record, notes, queue_windows, queue_life, queue_limits,
-- queue_record, lines, batches, tombstones, dead_letters, unit, transitions

local enqueue_job = {
  -- interval (µs, -1: none), burst (0: none), delay (µs), requeue limit, most jobs queued and delayed (-1: no limit),
  -- flags: 1 for a repeat, 2 if the caller can decode the numbers of expired jobs, TRACED
  HEADER = '>i8i4I8i4i8B',
  FLAGS_AT = 33,
  LIMITS = '>BI4I4',  -- hundredths of the burst, cost, max_leased (0: none)
  -- priority of the API, when the job is due (µs, the store's clock; 0: after the delay), EXPIRY below, when (µs),
  -- on_expiry (queue_life.lua; 0: not said)
  LIFE = '>BI8BI8B',
  NEVER = 0, AFTER = 1, AT = 2,  -- EXPIRY: the job does not say; it expires some time after its enqueue, or at a time
  -- flags IGNORES_WINDOW and HAS_CAPS, name of the window, name of the batch ('' for none)
  CAMPAIGN = '>BBc0Bc0',
  IGNORES_WINDOW = 1, HAS_CAPS = 2,
  CAPS = '>Bc0',          -- with HAS_CAPS then the names of the caps (cap_sets.lua), '' for none from now on
  TRACED = 4,                     -- the header ends with the trace of the job and the length of the trace
  TRACE_LENGTH = '>I2',
  QUEUED = 0, DUPLICATE = 1, FULL = 2, NO_INTERVAL = 3, EXPIRES_EARLY = 4, UNKNOWN_WINDOW = 5, TOO_MANY_WINDOWS = 6,
  BATCH_CANCELLED = 7,
}

do -- the functions below are private to this file

-- The header of the latest job and its values. Jobs that come together often have the same.
local latest_header, latest_interval, latest_burst, latest_delay, latest_limit, latest_cap, latest_flags, latest_at

-- Return true if a job is live, or, for a repeat, if it is remembered as finished or dead. Called only for a job that
-- has a record or is a repeat.
local function is_duplicate(tx, queue, live, queue_id, field, is_repeat, retention, dead_retention)
  if live and not unit.is_deleted(queue, live) then return true end
  if not is_repeat then return false end
  local tombstone = tombstones.find(tx, field, retention)
  return tombstone and tombstones.forbids_repeat(tombstone)
    or dead_letters.find(tx, queue_id, field, dead_retention) ~= nil
end

-- Return true if the queue has a rate. A queue that only settings made has none yet.
local function has_rate(queue)
  return queue and not queue_limits.has(queue, queue_limits.NO_INTERVAL)
end

-- Return the rate that a queue with limits takes from a job: an operator may have set a part of it, or pinned it.
local function settle_rate(queue, interval, burst, hundredths)
  local is_first = not has_rate(queue)
  if is_first then queue_limits.mark(queue, queue_limits.NO_INTERVAL, false) end
  if not is_first and (queue.is_pinned or queue_limits.has(queue, queue_limits.INTERVAL)) then
    interval = queue.interval
  end
  if queue.is_pinned or queue_limits.has(queue, queue_limits.BURST) then
    burst, hundredths = queue.burst, queue.hundredths
  end
  return interval, burst, hundredths
end

-- Give the queue the rate that a job names, unless an operator pinned or set it. hundredths: those of the burst, nil
-- for none.
local function adopt_rate(tx, queue, interval, burst, hundredths)
  if interval < 0 then interval = queue.interval end
  if burst == 0 then burst, hundredths = queue.burst, queue.hundredths end
  if queue.settings then
    interval, burst, hundredths = settle_rate(queue, interval, burst, hundredths)
  elseif queue.is_pinned then
    return
  end
  if interval ~= queue.interval or burst ~= queue.burst or hundredths ~= queue.hundredths then
    queue_record.change_rate(queue, interval, burst, hundredths)
    unit.move(tx, queue)
  end
end

-- Give the queue the limit of leases that a job names, unless an operator pinned the queue or set a limit.
local function adopt_max_leased(queue, max_leased)
  if queue.is_pinned or queue_limits.has(queue, queue_limits.MAX_LEASED) then return end
  queue_limits.extend(queue)
  queue.max_leased = max_leased
end

-- Give the queue the caps that a job names, unless an operator pinned the queue or set its caps.
local function adopt_caps(tx, queue, names)
  if queue.is_pinned or queue_limits.has(queue, queue_limits.CAPS) then return end
  unit.set_caps(tx, queue, names)
end

-- Return what a header says after its first part: hundredths of the burst, cost and max_leased (nil for none), if the
-- job has a life of its own, priority, at, expiry, expires, on_expiry and retry, and, if it is part of a campaign or
-- names caps, ignores_window, window, batch and caps (nil for none).
local function unpack_rest(header, at)
  local hundredths, cost, max_leased, life_at = unpack_bytes(enqueue_job.LIMITS, header, at)
  hundredths, max_leased = hundredths > 0 and hundredths or nil, max_leased > 0 and max_leased or nil
  if life_at > #header then return {hundredths = hundredths, cost = cost, max_leased = max_leased} end
  local priority, due, expires_how, expires, on_expiry, policy_at = unpack_bytes(enqueue_job.LIFE, header, life_at)
  local rest = {hundredths = hundredths, cost = cost, max_leased = max_leased, priority = priority, at = due,
    expiry = expires_how, expires = expires, on_expiry = on_expiry, retry = retry_policy.bytes(header, policy_at)}
  local campaign_at = policy_at + retry_policy.LENGTH
  if campaign_at <= #header then
    local flags, window, batch, caps_at = unpack_bytes(enqueue_job.CAMPAIGN, header, campaign_at)
    rest.ignores_window = flags % 2 == enqueue_job.IGNORES_WINDOW
    rest.window, rest.batch = window ~= '' and window or nil, batch ~= '' and batch or nil
    if flags >= enqueue_job.HAS_CAPS then rest.caps = unpack_bytes(enqueue_job.CAPS, header, caps_at) end
  end
  return rest
end

-- Return the header of a job without its trace, and the trace.
local function split_trace(header)
  local length_at = #header - 1
  local trace_at = length_at - unpack_bytes(enqueue_job.TRACE_LENGTH, header, length_at)
  return sub(header, 1, trace_at - 1), sub(header, trace_at, length_at - 1)
end

-- Return the same for a job of the call. Jobs that come together often say the same, so the last answer is kept.
local function rest_of(tx, header, at)
  local tail = sub(header, at)
  if tail ~= tx.tail then tx.tail, tx.rest = tail, unpack_rest(header, at) end
  return tx.rest
end

-- Return when a job expires (µs): at what it says, else as its queue or its gathered type says, counted from the time
-- at which it is due. nil: never.
local function expiry_of(tx, queue, rest, due)
  local expiry_rule, settings = rest and rest.expiry or enqueue_job.NEVER, tx.settings
  if expiry_rule == enqueue_job.AFTER then return tx.now + rest.expires end
  if expiry_rule == enqueue_job.AT then return clock.partition_time(tx, rest.expires) end
  local expires = queue and queue.expires or settings and settings.expires
  return expires and math.max(due, tx.now) + expires
end

-- Return true if a job that expires is dropped then. Job, queue and gathered type are asked in this order.
local function is_dropped(tx, queue, rest)
  local on_expiry, settings = rest and rest.on_expiry or 0, tx.settings
  if on_expiry == 0 then on_expiry = queue and queue.on_expiry or settings and settings.on_expiry or queue_life.KEPT end
  return on_expiry == queue_life.DROPPED
end

-- Return the rarely used fields of a new job, or nil; and true if it expires before it is due. Most jobs have none.
local function rare_fields(tx, queue, rest, due)
  local settings = tx.settings
  if not rest and not (queue and queue.expires) and not (settings and settings.expires) then return nil, false end
  local at = expiry_of(tx, queue, rest, due)
  if at and at <= math.max(due, tx.now) then return nil, true end
  local bytes = not at and rest.bytes or nil
  if bytes == nil then
    bytes = job_record.pack_rare({cost = rest and rest.cost, expires_at = at, retry = rest and rest.retry,
      is_dropped = at and is_dropped(tx, queue, rest)})
    -- Without an expiry they are the same for all jobs that say the same (rest_of).
    if not at then rest.bytes = bytes end
  end
  return bytes, false
end

-- Return the number of the window of a job, queue_windows.IGNORED if it ignores windows, or nil for none; and true if
-- there is no window of the name that it gives.
local function window_of(tx, rest)
  if not rest or not rest.window and not rest.ignores_window then return nil, false end
  local number = rest.window and windows.number(tx, rest.window)
  if rest.window and not number then return nil, true end
  return rest.ignores_window and queue_windows.IGNORED or number, false
end

-- Return true if the batch of an id was cancelled.
local function is_cancelled_batch(tx, id)
  local batch = batches.find(tx, id)
  return batch and batches.is_cancelled(batch)
end

-- Remove a waiting job whose id a new job has, if it has expired or its batch was cancelled. Nodes of revision 4 do not
-- declare the keys for it.
local function expire_live(tx, queue, live)
  local is_due = transitions.is_over(tx, live.newer) and live.state ~= LEASED and not unit.is_deleted(queue, live)
  if not is_due or not tx.keys[KEY.dead] then return live end
  transitions.expire(tx, queue, live)
  return nil
end

-- Return a new queue. forgotten: the record of this id that counts as forgotten since this call removed the last job
-- of its queue, or nil. The new queue has its place in ready or in parked, but not its caps.
local function renew(tx, queue_id, forgotten)
  local queue = unit.new_queue(tx, queue_id)
  if not forgotten then return queue end
  if forgotten.cap_set then
    cap_sets.use(tx, forgotten.cap_set, -1)
    queue_limits.extend(queue)
    queue.parked_at, queue.parked_set = forgotten.parked_at, forgotten.parked_set
    queue.counted, queue.counted_set = forgotten.counted, forgotten.counted_set
  else
    queue.ready_score = forgotten.ready_score
  end
  return queue
end

-- Queue one job unless something speaks against it. field: queue_id:job_id. header: HEADER and what follows it.
-- retention, dead_retention: how long finished jobs and dead letters are remembered (µs).
-- Returns the status, and the number of jobs queued and delayed before it.
function enqueue_job.enqueue(tx, queue_id, field, header, payload, retention, dead_retention)
  if header ~= latest_header then
    latest_header, latest_interval, latest_burst, latest_delay, latest_limit, latest_cap, latest_flags, latest_at =
      header, unpack_bytes(enqueue_job.HEADER, header)
  end
  local interval, burst, delay, limit, cap, flags, limits_at = latest_interval, latest_burst, latest_delay,
    latest_limit, latest_cap, latest_flags, latest_at
  local is_repeat, trace = flags % 2 == 1, nil
  if flags >= enqueue_job.TRACED then header, trace = split_trace(header) end
  local rest = limits_at <= #header and rest_of(tx, header, limits_at) or nil
  local queue, raw = tx.queues[queue_id], tx.records[field]
  local live = raw and job_record.unpack(queue_id, field, raw)
  if live and live.newer and queue then live = expire_live(tx, queue, live) end
  local forgotten = (tx.expired or tx.batches) and queue and queue_record.is_forgettable(queue, tx.now) and queue or nil
  if forgotten then queue = nil end
  local length = queue and queue.queued + queue.delayed or 0
  if (live or is_repeat)
    and is_duplicate(tx, queue, live, queue_id, field, is_repeat, retention, dead_retention) then
    return enqueue_job.DUPLICATE, length
  end
  if rest and rest.batch and is_cancelled_batch(tx, rest.batch) then return enqueue_job.BATCH_CANCELLED, length end
  if cap >= 0 and length >= cap then return enqueue_job.FULL, length end
  if interval < 0 and not has_rate(queue) then return enqueue_job.NO_INTERVAL, length end
  local due = rest and (rest.at or 0) > 0 and clock.partition_time(tx, rest.at) or tx.now + delay
  local rare, is_early = rare_fields(tx, queue, rest, due)
  if is_early then return enqueue_job.EXPIRES_EARLY, length end
  local window, is_unknown = window_of(tx, rest)
  if is_unknown then return enqueue_job.UNKNOWN_WINDOW, length end
  local line = window and queue and lines.take(tx, queue, window)
  if window and queue and not line then return enqueue_job.TOO_MANY_WINDOWS, length end
  if live then transitions.clear_deleted(tx, live) end
  queue = queue or renew(tx, queue_id, forgotten)
  if window then rare = job_record.put_in_line(rare, line or lines.take(tx, queue, window), window) end
  if rest and rest.batch then
    rare = job_record.put_in_batch(rare, batches.take(tx, rest.batch, retention).number)
  end
  if trace then rare = notes.begin(tx, field, trace, rare) end
  local hundredths = rest and rest.hundredths
  -- Most jobs name the rate that their queue has.
  if interval ~= queue.interval or burst > 0 and burst ~= queue.burst or hundredths or queue.is_flagged then
    adopt_rate(tx, queue, interval, burst, hundredths)
  end
  if rest and rest.max_leased then adopt_max_leased(queue, rest.max_leased) end
  if rest and rest.caps then adopt_caps(tx, queue, rest.caps) end
  local priority = rest and rest.priority and job_record.priority_byte(rest.priority) or job_record.PRIORITY
  transitions.enqueue(tx, queue, field, priority, limit, due, payload, rare)
  return enqueue_job.QUEUED, length
end

end
