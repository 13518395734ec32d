-- dequeue: lease ready jobs of one type, the longest ready queue first, ties in rounds.
--
-- Keys: ready queued jobs timers queues agenda counters done0 done1 deadjobs dead
-- Args: now, type, not_after (µs or ''), count (1-100), most jobs a queue in this call, lease (µs),
--       payload bytes to stay below (looked at before a job is taken; one is always taken), 8 random bytes
-- Reply: {0, now, head of ready or -1, timer hint, due queues before, due queues after, 1 when the bytes ended it,
--        leases that ended by timer, jobs of those that became dead letters, then for each job: queue_id, job_id, payload, token, leased until, enqueued, attempt, requeues remaining,
--        jobs queued in its queue after it, how long it was ready (µs)}
--        or {1, now, -1, -1} when it came after not_after: nothing was done
-- Cost: O(log n) a job, and 16 timers at the most

local dequeue = {TIMERS = 16, FEW = 4}
local NONE = {}

-- Runs a few due timers: an ended lease is not invisible until the reaper comes. The agenda knows when the first is due
-- (early perhaps, never late), at a third of the price of looking. Returns how many leases ended.
local function run_timers(own)
  own.timer_head = tonumber(redis.call('ZSCORE', own.keys.agenda, 't' .. own.type))
  if not own.timer_head or own.timer_head > own.now then return 0 end
  local leased = own.counters.totals.leased
  if timers.run(own, dequeue.TIMERS) > 0 then unit.flush(own) end
  return leased - own.counters.totals.leased
end

-- The first queues of the type in pairs of id and time, one more than count; few are read while few are due.
local function read_row(own, count)
  local few = math.min(count, dequeue.FEW)
  local row = redis.call('ZRANGE', own.keys.ready, 0, few, 'WITHSCORES')
  if few == count or not row[2 * few + 2] or tonumber(row[2 * few + 2]) > own.now then return row, few end
  return redis.call('ZRANGE', own.keys.ready, 0, count, 'WITHSCORES'), count
end

-- The type's first queues, longest ready first, and what follows them.
-- Returns {ids, scores (µs), due: how many queues of the type are due, rest: when the first one after these is, or nil}
local function read_heads(own, limit)
  local row, count = read_row(own, limit)
  local ids, scores, due = {}, {}, 0
  for index = 1, math.min(#row / 2, count) do
    local score = tonumber(row[2 * index])
    ids[index], scores[index] = row[2 * index - 1], score
    if score <= own.now then due = index end
  end
  local rest = tonumber(row[2 * count + 2])
  if rest and rest <= own.now then due = redis.call('ZCOUNT', own.keys.ready, '-inf', own.now) end
  return {ids = ids, scores = scores, due = due, rest = rest}
end

-- The lanes of a round: due queues, longest ready first. A name in ready without a waiting queue is taken out.
local function open_lanes(own, heads)
  local lanes, ids = {}, heads.ids
  local count = math.min(heads.due, #ids)
  unit.read_ahead(own, own.keys.queues, ids, count)
  for index = 1, count do
    local queue_id = ids[index]
    local queue = unit.queue(own, queue_id)
    if not queue or queue.queued == 0 or queue.is_paused then
      redis.call('ZREM', own.keys.ready, queue_id)
    elseif own.now < queue.tat then
      queue.is_moved = true
      unit.touch(own, queue)
    else
      lanes[#lanes + 1] = {queue = queue, members = NONE, next = 1, from = queue.fence, last = false, given = 0}
    end
  end
  return lanes
end

-- The lane's next member: fetched a share at a time, so that one queue costs one range and a hundred cost a hundred.
local function next_member(own, lane, share)
  if lane.next > #lane.members then
    local from, to = job_record.range(lane.queue.queue_id, job_record.PRIORITY_LANE, lane.from)
    if lane.last then from = '(' .. lane.last end
    local size = math.min(share, queue_record.turns(lane.queue, own.now))
    lane.members = redis.call('ZRANGE', own.keys.queued, from, to, 'BYLEX', 'LIMIT', 0, size)
    lane.next = 1
  end
  local member = lane.members[lane.next]
  lane.next, lane.last = lane.next + 1, member
  return member
end

-- The lane's next job and its member, or nil when it has none. A place without a record is taken out (nothing may block a type).
local function next_job(own, lane, share)
  while true do
    local member = next_member(own, lane, share)
    if not member then return nil end
    local job_id, seq = job_record.parse_member(lane.queue.queue_id, member)
    local job = unit.job(own, lane.queue.queue_id, job_id)
    if job and job.seq == seq and job.state == job_record.QUEUED then return job, member end
    own.members[member] = false
    if lane.queue.queued > 0 then
      lane.queue.queued = lane.queue.queued - 1
      counters.move(own, 'queued', 'cancelled')
    end
    unit.touch(own, lane.queue)
  end
end

local function lease_job(own, queue, job, member, settings, reply)
  local since = queue.tat > job.due and queue.tat or job.due
  local ready_for = since < own.now and own.now - since or 0
  local payload = job_record.payload(job)
  job.token = struct.pack('>I8', counters.next_lease(own)) .. settings.random
  job.attempt = job.attempt + 1
  job.payload = payload
  queue_record.lease(queue, own.now)
  queue.is_moved, queue.leased_now = true, (queue.leased_now or 0) + 1
  transitions.lease(own, queue, job, own.now + settings.lease, member)
  unit.touch(own, queue, true)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = job.queue_id, job.job_id, payload, job.token
  reply[at + 5], reply[at + 6], reply[at + 7] = job.due, job.enqueued, job.attempt
  reply[at + 8] = job.limit < 0 and -1 or job.limit - job.attempt + 1
  reply[at + 9], reply[at + 10] = queue.queued, ready_for
  return #payload
end

-- Serves the lanes in rounds: a queue that is still due goes to the end. Returns true when the bytes ended it.
local function serve(own, lanes, settings, reply)
  local share = math.ceil(settings.count / math.max(#lanes, 1))
  local taken, bytes = 0, 0
  while #lanes > 0 do
    local again = {}
    for index = 1, #lanes do
      local lane = lanes[index]
      if taken == settings.count then return false end
      local job, member = next_job(own, lane, share)
      if job then
        if taken > 0 and bytes + job_record.payload_length(job) > settings.bytes then return true end
        bytes = bytes + lease_job(own, lane.queue, job, member, settings, reply)
        taken, lane.given = taken + 1, lane.given + 1
        if lane.given < settings.per_queue and lane.queue.queued > 0 and own.now >= lane.queue.tat then
          again[#again + 1] = lane
        end
      else
        lane.queue.queued = 0
        unit.touch(own, lane.queue)
      end
    end
    lanes = again
  end
  return false
end

-- When a head is due after the call, or nil when it left ready.
local function ready_after(own, heads, index)
  local queue = own.queues[heads.ids[index]]
  if queue == nil then return heads.scores[index] end
  if not queue or queue.queued == 0 or queue.is_paused then return nil end
  return queue.ready_at or heads.scores[index]
end

-- The agenda says exactly when the type's next queue is due. Returns that time or -1, and how many queues are due.
local function settle_agenda(own, heads)
  local first, due, now = heads.rest, heads.due, own.now
  for index = 1, #heads.ids do
    local at = ready_after(own, heads, index)
    if heads.scores[index] <= now and not (at and at <= now) then due = due - 1 end
    if at and not (first and first <= at) then first = at end
  end
  if first then
    redis.call('ZADD', own.keys.agenda, first, 'r' .. own.type)
  else
    redis.call('ZREM', own.keys.agenda, 'r' .. own.type)
  end
  return first or -1, due
end

function dequeue.run(own, args)
  if unit.is_late(own, args[3]) then return unit.expired(own) end
  local settings = {count = tonumber(args[4]), per_queue = tonumber(args[5]), lease = tonumber(args[6]),
    bytes = tonumber(args[7]), random = args[8]}
  counters.open(own)
  local ended = run_timers(own)
  local heads = read_heads(own, settings.count)
  local reply = {0, own.now, -1, -1, heads.due, heads.due, 0, ended, own.died}
  if heads.due > 0 and serve(own, open_lanes(own, heads), settings, reply) then reply[7] = 1 end
  unit.close_but_ready(own)
  reply[3], reply[6] = settle_agenda(own, heads)
  reply[4] = own.timer_hint or -1
  return reply
end
