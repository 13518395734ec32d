-- dequeue: lease ready jobs of one type, the longest ready queue first, ties in rounds.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, not_after (µs or ''), count (1-100), most jobs a queue in this call, lease (µs),
--       payload bytes to stay below (looked at before a job is taken; one is always taken), 8 random bytes
-- Reply: {0, now, head of ready or -1, timer hint, due queues before, due queues after, 1 when the bytes ended it,
--        leases that ended by timer, jobs of those that became dead letters, then for each job: queue_id, job_id,
--        payload, token, leased until, enqueued, attempt, requeues remaining, jobs queued in its queue after it, how
--        long it was ready (µs)}
--        or {1, now, -1, -1} when it came after not_after: nothing was done
-- Cost: O(log n) a job, and 16 timers at the most

local dequeue = {
  TIMERS = 16,
  FEW = 4,        -- queues looked at first
  AHEAD = 8,      -- jobs read at once: what is read beyond the bytes is at most so many payloads
}

local NONE = {}

-- Runs a few due timers: an ended lease is not invisible until the reaper comes. The agenda knows when the first is due
-- (early perhaps, never late). Returns how many leases ended.
local function run_timers(own)
  local totals = own.totals
  if not totals.timer_at or totals.timer_at > own.now then return 0 end
  local leased = totals.leased
  if timers.run(own, dequeue.TIMERS) > 0 then unit.go_on(own) end
  return leased - totals.leased
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
  local lanes, ids, now = {}, heads.ids, own.now
  local count = math.min(heads.due, #ids)
  unit.read_queues(own, ids, 1, count)
  for index = 1, count do
    local queue_id = ids[index]
    local queue = own.queues[queue_id]
    if not queue or not queue.place then
      redis.call('ZREM', own.keys.ready, queue_id)
    elseif now < queue.tat then
      queue.place, queue.is_changed = heads.scores[index], true
    else
      lanes[#lanes + 1] = {queue = queue, members = NONE, fields = NONE, next = 1, given = 0}
    end
  end
  return lanes
end

-- Fetches the lane's next members, a share at a time: so one queue costs one range and a hundred cost a hundred.
local function fetch_members(own, lane, share)
  local queue, last = lane.queue, lane.members[#lane.members]
  local queue_id = queue.queue_id
  local from, to = job_record.range(queue_id, job_record.PRIORITY_LANE, queue.fence)
  if last then from = '(' .. last end
  local members = redis.call('ZRANGE', own.keys.queued, from, to, 'BYLEX', 'LIMIT', 0,
    queue_record.turns(queue, own.now, share))
  local fields = {}
  for at = 1, #members do fields[at] = queue_id .. ':' .. job_record.id_of_member(queue_id, members[at]) end
  lane.members, lane.fields, lane.next = members, fields, 1
end

-- Reads a few of the jobs whose turn comes next: those of the lanes from this one on.
local function read_ahead(own, lanes, first, share)
  local fields, count = {}, 0
  for index = first, #lanes do
    local lane = lanes[index]
    if lane.next > #lane.members then fetch_members(own, lane, share) end
    for at = lane.next, #lane.members do
      if count == dequeue.AHEAD then break end
      count = count + 1
      fields[count] = lane.fields[at]
    end
    if count == dequeue.AHEAD then break end
  end
  if count > 0 then unit.read_jobs(own, fields, 1, count) end
end

-- A place without a record is taken out: nothing may block a type.
local function clear_place(own, queue, member)
  unit.drop_place(own, member)
  if queue.queued > 0 then
    local totals = own.totals
    queue.queued, totals.queued, totals.cancelled = queue.queued - 1, totals.queued - 1, totals.cancelled + 1
  end
  queue.is_changed = true
end

-- The next job of a lane and its member, or nil when it has none.
local function next_job(own, lanes, index, share)
  local lane = lanes[index]
  local queue, records = lane.queue, own.records
  while true do
    local field = lane.fields[lane.next]
    if not field or records[field] == nil then
      read_ahead(own, lanes, index, share)
      field = lane.fields[lane.next]
      if not field then return nil end
    end
    local member, raw = lane.members[lane.next], records[field]
    lane.next = lane.next + 1
    local job = raw and job_record.unpack(queue.queue_id, field, raw)
    if job and job.state == job_record.QUEUED and job.seq == job_record.seq_of_member(queue.queue_id, member) then
      return job, member
    end
    clear_place(own, queue, member)
  end
end

-- Leases a job and adds it to the reply.
local function lease_job(own, queue, job, member, settings, reply)
  local head, now, tat, since = own.counters, own.now, queue.tat, job.due
  if tat > since then since = tat end
  head.lease, head.leased = head.lease + 1, head.leased + 1
  job.token, job.attempt = struct.pack('>I8', head.lease) .. settings.random, job.attempt + 1
  queue_record.lease(queue, now, head.minute)
  queue.place, queue.active = now, now
  transitions.lease(own, queue, job, now + settings.lease, member)
  local at, limit, queue_id = #reply, job.limit, job.queue_id
  reply[at + 1], reply[at + 2] = queue_id, job_record.job_id(queue_id, job.field)
  reply[at + 3], reply[at + 4], reply[at + 5] = job_record.payload(job), job.token, job.due
  reply[at + 6], reply[at + 7] = job.enqueued, job.attempt
  reply[at + 8] = limit < 0 and -1 or limit - job.attempt + 1
  reply[at + 9], reply[at + 10] = queue.queued, since < now and now - since or 0
end

-- Serves the lanes in rounds: a queue that is still due goes to the end. Returns true when the bytes ended it.
local function serve(own, lanes, settings, reply)
  local share = math.ceil(settings.count / math.max(#lanes, 1))
  local left, bytes, now = settings.count, 0, own.now
  while #lanes > 0 do
    local again = {}
    for index = 1, #lanes do
      if left == 0 then return false end
      local lane = lanes[index]
      local queue = lane.queue
      local job, member = next_job(own, lanes, index, share)
      if job then
        local length = job_record.payload_length(job)
        if left < settings.count and bytes + length > settings.bytes then return true end
        lease_job(own, queue, job, member, settings, reply)
        left, bytes, lane.given = left - 1, bytes + length, lane.given + 1
        if queue.queued > 0 and now >= queue.tat and lane.given < settings.per_queue then again[#again + 1] = lane end
      else
        queue.queued, queue.is_changed = 0, true
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
  local place = queue and queue.place
  if place == true then return heads.scores[index] end
  return place or nil
end

-- The agenda says exactly when the type's next queue is due. Returns how many queues are due.
local function settle_agenda(own, heads)
  local first, due, now = heads.rest, heads.due, own.now
  for index = 1, #heads.ids do
    local at = ready_after(own, heads, index)
    if heads.scores[index] <= now and not (at and at <= now) then due = due - 1 end
    if at and not (first and first <= at) then first = at end
  end
  own.totals.ready_at, own.ready_hint = first, false
  return due
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
  unit.flush(own)
  reply[6] = settle_agenda(own, heads)
  unit.close_counters(own, reply)
  reply[3] = own.totals.ready_at or -1
  return reply
end
