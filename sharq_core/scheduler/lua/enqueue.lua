-- enqueue: queue jobs of one type, each independently of the others.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs
-- Args: now, type, terms (unit.TERMS) followed by the id of the caller's data set (older versions leave it out),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n headers (HEADER below, for some jobs followed by
--       LIMITS), n payloads
-- Reply: {0, now, ready hint, timer hint, then for each job: status, number of jobs queued and delayed before it}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 queued, 1 duplicate, 2 full, 3 no interval; only 0 changed anything
-- Error: OTHERDATA before any write, if a type would be new in a partition of another data set
-- Cost: O(log n) a job
--
-- Uses: shortcuts, job_record, queue_limits, queue_record, counters, tombstones, dead_letters, unit, transitions,
-- identity

local enqueue = {
  -- interval (µs, -1: none), burst (0: none), delay (µs), requeue limit, most jobs queued and delayed (-1: no limit),
  -- 1 for a repeat
  HEADER = '>i8i4I8i4i8B',
  LIMITS = '>BI4I4',  -- hundredths of the burst, cost, max_leased (0: none)
  QUEUED = 0, DUPLICATE = 1, FULL = 2, NO_INTERVAL = 3,
}

-- Return true if a job is live, or, for a repeat, if it is remembered as finished or dead. Called only for a job that
-- has a record or is a repeat.
local function is_duplicate(tx, queue, live, queue_id, field, is_repeat, retention, dead_retention)
  if live and not unit.is_deleted(queue, live) then return true end
  if is_repeat == 0 then return false end
  local tombstone = tombstones.find(tx, field, retention)
  return tombstone and tombstone.kind == tombstones.FINISHED
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
  if interval == queue.interval and burst == queue.burst and not hundredths and not queue.is_flagged then return end
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

-- Return what a header says after its first part: the hundredths of the burst, the rarely used fields of the job's
-- record, and the limit of leases. nil: none.
local function unpack_limits(header, at)
  local hundredths, cost, max_leased = unpack_bytes(enqueue.LIMITS, header, at)
  return hundredths > 0 and hundredths or nil, job_record.rare_fields(cost), max_leased > 0 and max_leased or nil
end

local function enqueue_one(tx, queue_id, field, header, payload, retention, dead_retention)
  local interval, burst, delay, limit, cap, is_repeat, limits_at = unpack_bytes(enqueue.HEADER, header)
  local hundredths, rare_fields, max_leased
  if limits_at <= #header then hundredths, rare_fields, max_leased = unpack_limits(header, limits_at) end
  local queue, raw = tx.queues[queue_id], tx.records[field]
  local length = queue and queue.queued + queue.delayed or 0
  local live = raw and job_record.unpack(queue_id, field, raw)
  if (live or is_repeat == 1)
    and is_duplicate(tx, queue, live, queue_id, field, is_repeat, retention, dead_retention) then
    return enqueue.DUPLICATE, length
  end
  if cap >= 0 and length >= cap then return enqueue.FULL, length end
  if interval < 0 and not has_rate(queue) then return enqueue.NO_INTERVAL, length end
  if live then transitions.clear_deleted(tx, live) end
  queue = queue or unit.new_queue(tx, queue_id)
  adopt_rate(tx, queue, interval, burst, hundredths)
  if max_leased then adopt_max_leased(queue, max_leased) end
  transitions.enqueue(tx, queue, field, limit, tx.now + delay, payload, rare_fields)
  return enqueue.QUEUED, length
end

function enqueue.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  if unit.is_late(tx, not_after) then return unit.expired(tx) end
  local first_id, count = first + 1, (length - 1) / 4
  counters.open(tx)
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
