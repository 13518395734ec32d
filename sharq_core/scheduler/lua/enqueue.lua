-- enqueue: queue jobs of one type, each independently of the others.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes
-- Args: now, type, terms (unit.TERMS) followed by the id of the caller's data set (older versions leave it out),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n headers (HEADER below, for some jobs followed by
--       LIMITS, or by LIMITS, LIFE and a retry policy), n payloads
-- Reply: {0, now, ready hint, timer hint, then for each job: status, number of jobs queued and delayed before it}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 queued, 1 duplicate, 2 full, 3 no interval, 4 the job expires before it is due; only 0 changed anything.
--           A waiting job of the same id that has expired is removed first
-- Error: OTHERDATA before any write, if a type would be new in a partition of another data set
-- Cost: O(log n) a job
--
-- Uses: shortcuts, clock, retry_policy, job_record, queue_life, queue_limits, queue_record, counters, tombstones,
-- dead_letters, unit, transitions, identity

local enqueue = {
  -- interval (µs, -1: none), burst (0: none), delay (µs), requeue limit, most jobs queued and delayed (-1: no limit),
  -- 1 for a repeat
  HEADER = '>i8i4I8i4i8B',
  LIMITS = '>BI4I4',  -- hundredths of the burst, cost, max_leased (0: none)
  -- priority of the API, when the job is due (µs, the store's clock; 0: after the delay), EXPIRY below, when (µs),
  -- on_expiry (queue_life.lua; 0: not said)
  LIFE = '>BI8BI8B',
  NEVER = 0, AFTER = 1, AT = 2,  -- EXPIRY: the job does not say; it expires some time after its enqueue, or at a time
  QUEUED = 0, DUPLICATE = 1, FULL = 2, NO_INTERVAL = 3, EXPIRES_EARLY = 4,
}

-- Return true if a job is live, or, for a repeat, if it is remembered as finished or dead. Called only for a job that
-- has a record or is a repeat.
local function is_duplicate(tx, queue, live, queue_id, field, is_repeat, retention, dead_retention)
  if live and not unit.is_deleted(queue, live) then return true end
  if is_repeat == 0 then return false end
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

-- Return what a header says after its first part: hundredths of the burst, cost and max_leased (nil for none), and, if
-- the job has a life of its own, priority, at, expiry, expires, on_expiry and retry.
local function unpack_rest(header, at)
  local hundredths, cost, max_leased, life_at = unpack_bytes(enqueue.LIMITS, header, at)
  hundredths, max_leased = hundredths > 0 and hundredths or nil, max_leased > 0 and max_leased or nil
  if life_at > #header then return {hundredths = hundredths, cost = cost, max_leased = max_leased} end
  local priority, due, expires_how, expires, on_expiry, policy_at = unpack_bytes(enqueue.LIFE, header, life_at)
  return {hundredths = hundredths, cost = cost, max_leased = max_leased, priority = priority, at = due,
    expiry = expires_how, expires = expires, on_expiry = on_expiry, retry = retry_policy.bytes(header, policy_at)}
end

-- Return the same for a job of the call. Jobs that come together often say the same, so the last answer is kept.
local function rest_of(tx, header, at)
  local tail = sub(header, at)
  if tail ~= tx.tail then tx.tail, tx.rest = tail, unpack_rest(header, at) end
  return tx.rest
end

-- Return when a job expires (µs): at what it says, else as its queue or its gathered type says, counted from the time
-- at which it is due. nil: never.
local function expires_at(tx, queue, rest, due)
  local given, settings = rest and rest.expiry or enqueue.NEVER, tx.settings
  if given == enqueue.AFTER then return tx.now + rest.expires end
  if given == enqueue.AT then return clock.partition_time(tx, rest.expires) end
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
  local at = expires_at(tx, queue, rest, due)
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

-- Let a waiting job expire whose id a new job has, if it is time. Nodes of revision 4 do not declare the keys for it.
local function expire_live(tx, queue, live)
  local is_due = job_record.is_expired(live, tx.now) and live.state ~= LEASED and not unit.is_deleted(queue, live)
  if not is_due or not tx.keys[KEY.dead] then return live end
  transitions.expire(tx, queue, live)
  return nil
end

-- Return a new queue. forgotten: the record of this id that counts as forgotten since this call removed the last job
-- of its queue, or nil.
local function renew(tx, queue_id, forgotten)
  local queue = unit.new_queue(tx, queue_id)
  if forgotten then queue.ready_score = forgotten.ready_score end
  return queue
end

local function enqueue_one(tx, queue_id, field, header, payload, retention, dead_retention)
  local interval, burst, delay, limit, cap, is_repeat, limits_at = unpack_bytes(enqueue.HEADER, header)
  local rest = limits_at <= #header and rest_of(tx, header, limits_at) or nil
  local queue, raw = tx.queues[queue_id], tx.records[field]
  local live = raw and job_record.unpack(queue_id, field, raw)
  if live and live.newer and queue then live = expire_live(tx, queue, live) end
  local forgotten = tx.expired and queue and queue_record.is_forgettable(queue, tx.now) and queue or nil
  if forgotten then queue = nil end
  local length = queue and queue.queued + queue.delayed or 0
  if (live or is_repeat == 1)
    and is_duplicate(tx, queue, live, queue_id, field, is_repeat, retention, dead_retention) then
    return enqueue.DUPLICATE, length
  end
  if cap >= 0 and length >= cap then return enqueue.FULL, length end
  if interval < 0 and not has_rate(queue) then return enqueue.NO_INTERVAL, length end
  local due = rest and (rest.at or 0) > 0 and clock.partition_time(tx, rest.at) or tx.now + delay
  local rare, is_early = rare_fields(tx, queue, rest, due)
  if is_early then return enqueue.EXPIRES_EARLY, length end
  if live then transitions.clear_deleted(tx, live) end
  queue = queue or renew(tx, queue_id, forgotten)
  local hundredths = rest and rest.hundredths
  -- Most jobs name the rate that their queue has.
  if interval ~= queue.interval or burst > 0 and burst ~= queue.burst or hundredths or queue.is_flagged then
    adopt_rate(tx, queue, interval, burst, hundredths)
  end
  if rest and rest.max_leased then adopt_max_leased(queue, rest.max_leased) end
  local priority = rest and rest.priority and job_record.priority_byte(rest.priority) or job_record.PRIORITY
  transitions.enqueue(tx, queue, field, priority, limit, due, payload, rare)
  return enqueue.QUEUED, length
end

function enqueue.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local first_id, count = first + 1, (length - 1) / 4
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  if not tx.counters.is_known then identity.require(tx, sub(args[first], unit.TERMS_LENGTH + 1)) end
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  local reply = unit.reply(tx)
  for at = first_id, first + count do
    local status, waiting = enqueue_one(tx, args[at], args[at + count], args[at + 2 * count], args[at + 3 * count],
      retention, dead_retention)
    local last = #reply
    reply[last + 1], reply[last + 2] = status, waiting
  end
  return unit.close(tx, reply)
end
