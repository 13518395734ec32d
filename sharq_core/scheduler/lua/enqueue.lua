-- enqueue: queue jobs of one type, each independently of the others.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs
-- Args: now, type, terms (unit.TERMS) followed by the id of the caller's data set (older versions leave it out),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n headers (HEADER below), n payloads
-- Reply: {0, now, ready hint, timer hint, then for each job: status, number of jobs queued and delayed before it}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 queued, 1 duplicate, 2 full, 3 no interval; only 0 changed anything
-- Error: OTHERDATA before any write, if a type would be new in a partition of another data set
-- Cost: O(log n) a job
--
-- Uses: shortcuts, job_record, queue_record, counters, tombstones, dead_letters, unit, transitions, identity

local enqueue = {
  -- interval (µs, -1: none), burst (0: none), delay (µs), requeue limit, most jobs queued and delayed (-1: no limit),
  -- 1 for a repeat
  HEADER = '>i8i4I8i4i8B',
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

-- Give the queue the rate that a job names, unless an operator pinned its rate.
local function adopt_rate(tx, queue, interval, burst)
  if interval < 0 then interval = queue.interval end
  if burst == 0 then burst = queue.burst end
  if (interval ~= queue.interval or burst ~= queue.burst) and not queue.is_pinned then
    queue_record.change_rate(queue, interval, burst)
    unit.move(tx, queue)
  end
end

local function enqueue_one(tx, queue_id, field, header, payload, retention, dead_retention)
  local interval, burst, delay, limit, cap, is_repeat = unpack_bytes(enqueue.HEADER, header)
  local queue, raw = tx.queues[queue_id], tx.records[field]
  local length = queue and queue.queued + queue.delayed or 0
  local live = raw and job_record.unpack(queue_id, field, raw)
  if (live or is_repeat == 1)
    and is_duplicate(tx, queue, live, queue_id, field, is_repeat, retention, dead_retention) then
    return enqueue.DUPLICATE, length
  end
  if cap >= 0 and length >= cap then return enqueue.FULL, length end
  if interval < 0 and not queue then return enqueue.NO_INTERVAL, length end
  if live then transitions.clear_deleted(tx, live) end
  queue = queue or unit.new_queue(tx, queue_id)
  adopt_rate(tx, queue, interval, burst)
  transitions.enqueue(tx, queue, field, limit, tx.now + delay, payload)
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
