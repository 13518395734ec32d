-- enqueue: queue jobs of one type, each on its own.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs
-- Args: now, type, terms (unit.TERMS) and, but for older versions, the id of the caller's data set,
--       then of n jobs: n queue ids, n fields (queue_id:job_id), n headers (HEADER below), n payloads
-- Reply: {0, now, ready hint, timer hint, status and jobs queued and delayed before, for each job}
--        or {1, now, -1, -1} when it came after not_after: nothing was done
-- Statuses: 0 queued, 1 duplicate, 2 full, 3 no interval; all but 0 changed nothing
-- Error: OTHERDATA, before anything is written, where a type would be new in a partition of another data set
-- Cost: O(log n) a job

local enqueue = {
  HEADER = '>i8i4I8i4i8B',  -- interval (µs, -1 none), burst (0 none), delay (µs), requeue limit, cap (-1 none), repeat
  QUEUED = 0, DUPLICATE = 1, FULL = 2, NO_INTERVAL = 3,
}

-- Of a job that has a record or is to be a repeat: is it live, or remembered as finished or dead?
local function is_duplicate(own, queue, live, queue_id, field, is_repeat, retention, dead_retention)
  if live and not unit.is_deleted(queue, live) then return true end
  if is_repeat == 0 then return false end
  local stone = tombstones.find(own, field, retention)
  return stone and stone.kind == tombstones.FINISHED
    or dead_letters.find(own, queue_id, field, dead_retention) ~= nil
end

-- Gives the queue the rate that a job carries, unless an operator pinned another.
local function adopt_rate(own, queue, interval, burst)
  if interval < 0 then interval = queue.interval end
  if burst == 0 then burst = queue.burst end
  if (interval ~= queue.interval or burst ~= queue.burst) and not queue.is_pinned then
    queue_record.change_rate(queue, interval, burst)
    unit.move(own, queue)
  end
end

local function enqueue_one(own, queue_id, field, header, payload, retention, dead_retention)
  local interval, burst, delay, limit, cap, is_repeat = unpack_bytes(enqueue.HEADER, header)
  local queue, raw = own.queues[queue_id], own.records[field]
  local length = queue and queue.queued + queue.delayed or 0
  local live = raw and job_record.unpack(queue_id, field, raw)
  if (live or is_repeat == 1)
    and is_duplicate(own, queue, live, queue_id, field, is_repeat, retention, dead_retention) then
    return enqueue.DUPLICATE, length
  end
  if cap >= 0 and length >= cap then return enqueue.FULL, length end
  if interval < 0 and not queue then return enqueue.NO_INTERVAL, length end
  if live then transitions.clear_deleted(own, live) end
  queue = queue or unit.new_queue(own, queue_id)
  adopt_rate(own, queue, interval, burst)
  transitions.enqueue(own, queue, field, limit, own.now + delay, payload)
  return enqueue.QUEUED, length
end

function enqueue.run(own, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  if unit.is_late(own, not_after) then return unit.expired(own) end
  local first_id, count = first + 1, (length - 1) / 4
  counters.open(own)
  if not own.counters.is_known then identity.require(own, sub(args[first], unit.TERMS_LENGTH + 1)) end
  unit.read_queues(own, args, first_id, count)
  unit.read_jobs(own, args, first_id + count, count)
  local reply = unit.reply(own)
  for at = first_id, first + count do
    local status, waiting = enqueue_one(own, args[at], args[at + count], args[at + 2 * count], args[at + 3 * count],
      retention, dead_retention)
    local last = #reply
    reply[last + 1], reply[last + 2] = status, waiting
  end
  return unit.close(own, reply)
end
