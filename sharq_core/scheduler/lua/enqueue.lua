-- enqueue: queue jobs of one type, each on its own.
--
-- Keys: ready queued jobs timers queues agenda counters done0 done1 deadjobs dead
-- Args: now, type, not_after (µs or ''), retention of finished jobs (µs), of dead letters (µs),
--       then four a job: header (HEADER below), queue_id, job_id, payload
-- Reply: {0, now, ready hint, timer hint, status and jobs queued and delayed before, for each job}
--        or {1, now, -1, -1} when it came after not_after: nothing was done
-- Statuses: 0 queued, 1 duplicate, 2 full, 3 no interval; all but 0 changed nothing
-- Cost: O(log n) a job

local enqueue = {
  HEADER = '>i8i4I8i4i8B',  -- interval (µs, -1 none), burst (0 none), delay (µs), requeue limit, cap (-1 none), repeat
  QUEUED = 0, DUPLICATE = 1, FULL = 2, NO_INTERVAL = 3,
}

-- Of a job that has a record or is to be a repeat: is it live, or remembered as finished or dead?
local function is_duplicate(own, queue, live, queue_id, job_id, is_repeat, retention, dead_retention)
  if live and not unit.is_deleted(queue, live) then return true end
  if is_repeat == 0 then return false end
  local stone = tombstones.find(own, queue_id, job_id, retention)
  return stone and stone.kind == tombstones.FINISHED
    or dead_letters.find(own, queue_id, job_id, dead_retention) ~= nil
end

-- Gives the queue the rate that a job carries, unless an operator pinned another.
function enqueue.adopt_rate(queue, interval, burst)
  if queue.is_pinned then return end
  interval = interval >= 0 and interval or queue.interval
  burst = burst > 0 and burst or queue.burst
  if interval ~= queue.interval or burst ~= queue.burst then
    queue_record.change_rate(queue, interval, burst)
    queue.is_moved = true
  end
end

function enqueue.add(own, queue, queue_id, job_id, limit, delay, payload)
  local job = {
    field = job_record.field(queue_id, job_id), queue_id = queue_id, job_id = job_id, state = job_record.QUEUED, flags = 0, priority = job_record.PRIORITY,
    seq = counters.next_seq(own), limit = limit, attempt = 0, enqueued = own.now, due = 0, payload = payload,
  }
  transitions.queue_up(own, queue, job, own.now + delay)
  if queue.is_purged then queue.is_purged = nil end
  unit.touch(own, queue, true)
end

local function enqueue_one(own, args, at, retention, dead_retention)
  local interval, burst, delay, limit, cap, is_repeat = struct.unpack(enqueue.HEADER, args[at])
  local queue_id, job_id, payload = args[at + 1], args[at + 2], args[at + 3]
  local queue = unit.queue(own, queue_id)
  local length = queue and queue.queued + queue.delayed or 0
  local live = unit.job(own, queue_id, job_id)
  local may_be_known = live or is_repeat == 1
  if may_be_known and is_duplicate(own, queue, live, queue_id, job_id, is_repeat, retention, dead_retention) then
    return enqueue.DUPLICATE, length
  end
  if cap >= 0 and length >= cap then return enqueue.FULL, length end
  if interval < 0 and not queue then return enqueue.NO_INTERVAL, length end
  if live then transitions.clear_deleted(own, queue, live) end
  queue = queue or unit.new_queue(own, queue_id)
  enqueue.adopt_rate(queue, interval, burst)
  enqueue.add(own, queue, queue_id, job_id, limit, delay, payload)
  queue.enqueued_now = (queue.enqueued_now or 0) + 1
  counters.move(own, nil, 'enqueued')
  own.counters.enqueued = own.counters.enqueued + 1
  return enqueue.QUEUED, length
end

function enqueue.run(own, args)
  if unit.is_late(own, args[3]) then return unit.expired(own) end
  local retention, dead_retention = tonumber(args[4]), tonumber(args[5])
  counters.open(own)
  unit.read_named(own, args, 7, 4)
  local reply = {0, own.now, -1, -1}
  for at = 6, #args, 4 do
    local count = #reply
    reply[count + 1], reply[count + 2] = enqueue_one(own, args, at, retention, dead_retention)
  end
  return unit.close(own, reply)
end
