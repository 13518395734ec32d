-- dequeue: lease ready jobs of one type, the longest ready queue first, ties in rounds.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead
-- Args: now, type, demand (DEMAND below)
-- Reply: {0, now, head of ready or -1, timer hint, due queues before, due queues after, 1 when the bytes ended it,
--        leases that ended by timer, jobs of those that became dead letters, then for each job: queue_id, job_id,
--        payload, its lease (LEASE below)}
--        or {1, now, -1, -1} when it came after not_after: nothing was done
-- Cost: O(log n) a job, and 16 timers at the most

local dequeue = {
  -- not_after (µs, 0: none), count (1-100), most jobs a queue in this call, lease (µs), payload bytes to stay below
  -- (looked at before a job is taken; one is always taken), random bytes
  DEMAND = '>I8I2I2I8I4c8',
  -- token, leased until, enqueued, attempt, requeues remaining (-1 for ever), jobs queued in its queue after it, how
  -- long it was ready (µs). Seven values of a reply cost twice as much.
  LEASE = '>c16I8I8I4i4I4I8',
  TIMERS = 16,
  FEW = 4,        -- queues looked at first
  AHEAD = 8,      -- jobs read at once: what is read beyond the bytes is at most so many payloads
  CARRIED = 1048576, -- payload bytes of a joint call to stay below
}

local NONE = {}

-- Runs a few due timers: an ended lease is not invisible until the reaper comes. The agenda knows when the first is due
-- (early perhaps, never late). Returns how many leases ended.
local function run_timers(own)
  local counts = own.counters
  if not counts.timer_at or counts.timer_at > own.now then return 0 end
  local leased = counts.leased
  if timers.run(own, dequeue.TIMERS) > 0 then unit.go_on(own) end
  return leased - counts.leased
end

-- The first queues of the type in pairs of id and time, one more than count; few are read while few are due. Returns
-- them and how many of them are looked at.
local function read_row(own, count)
  local key, few = own.keys[KEY.ready], dequeue.FEW
  if count > few then
    local row = call('ZRANGE', key, 0, few, 'WITHSCORES')
    local last = tonumber(row[2 * few + 2])
    if not last or last > own.now then return row, few end
  end
  return call('ZRANGE', key, 0, count, 'WITHSCORES'), count
end

-- The type's first queues, longest ready first, and what follows them.
-- Returns their ids and scores (µs), how many queues of the type are due, and when the first after these is, or nil.
local function read_heads(own, limit)
  local row, count = read_row(own, limit)
  local ids, scores, due, now = {}, {}, 0, own.now
  local rest = tonumber(row[2 * count + 2])
  for at = 1, rest and count or #row / 2 do
    local score = tonumber(row[2 * at])
    ids[at], scores[at] = row[2 * at - 1], score
    if score <= now then due = at end
  end
  if rest and rest <= now then due = call('ZCOUNT', own.keys[KEY.ready], '-inf', now) end
  return ids, scores, due, rest
end

-- The lanes of a round: due queues, longest ready first. A name in ready without a waiting queue is taken out.
local function open_lanes(own, ids, scores, due)
  local lanes, count, now = {}, math.min(due, #ids), own.now
  unit.read_queues(own, ids, 1, count)
  for index = 1, count do
    local queue_id = ids[index]
    local queue = own.queues[queue_id]
    if not queue or not queue.place then
      call('ZREM', own.keys[KEY.ready], queue_id)
    elseif now < queue.tat then
      queue.place, queue.is_changed = scores[index], true
    else
      lanes[#lanes + 1] = {queue = queue, members = NONE, fields = NONE, next = 1}
    end
  end
  return lanes
end

-- Fetches the lane's next members, a share at a time: so one queue costs one range and a hundred cost a hundred.
local function fetch_members(own, lane, share)
  local queue, last = lane.queue, lane.members[#lane.members]
  local queue_id = queue.queue_id
  local from, to = job_record.bounds(queue_id)
  if last then
    from = '(' .. last
  elseif queue.fence then
    from = job_record.range(queue_id, job_record.PRIORITY_LANE, queue.fence)
  end
  local members = call('ZRANGE', own.keys[KEY.queued], from, to, 'BYLEX', 'LIMIT', 0,
    share == 1 and 1 or queue_record.turns(queue, own.now, share))
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
    local counts = own.counters
    queue.queued, counts.queued, counts.cancelled = queue.queued - 1, counts.queued - 1, counts.cancelled + 1
  end
  queue.is_changed = true
end

-- The next job of a lane and its member, or nil when it has none.
local function next_job(own, lanes, index, share)
  local lane, records = lanes[index], own.records
  local queue_id = lane.queue.queue_id
  while true do
    local at = lane.next
    local field = lane.fields[at]
    if not field or records[field] == nil then
      read_ahead(own, lanes, index, share)
      at = lane.next
      field = lane.fields[at]
      if not field then return nil end
    end
    lane.next = at + 1
    local member, raw = lane.members[at], records[field]
    local job = raw and job_record.unpack(queue_id, field, raw)
    if job and job.seq == job_record.seq_of_member(queue_id, member) and job.state == QUEUED then
      return job, member
    end
    clear_place(own, lane.queue, member)
  end
end

-- Leases a job until `due` and adds it to the reply.
local function lease_job(own, queue, job, member, due, random, reply)
  local counts, now, since = own.counters, own.now, job.due
  if queue.tat > since then since = queue.tat end
  local number, attempt, limit = counts.lease + 1, job.attempt + 1, job.limit
  local token, payload = pack_bytes('>I8', number) .. random, job_record.payload(job)
  counts.lease, counts.given_now, job.token, job.attempt = number, counts.given_now + 1, token, attempt
  queue_record.lease(queue, now, counts.minute)
  queue.place, queue.active = now, now
  transitions.lease(own, queue, job, due, member)
  local at, queue_id = #reply, job.queue_id
  reply[at + 1], reply[at + 2], reply[at + 3] = queue_id, job_record.job_id(queue_id, job.field), payload
  local enqueued = job.enqueued
  if own.shift then due, enqueued = clock.shown(own, due), clock.shown(own, enqueued) end
  reply[at + 4] = pack_bytes(dequeue.LEASE, token, due, enqueued, attempt, limit < 0 and -1 or limit - attempt + 1,
    queue.queued, since < now and now - since or 0)
end

-- Serves the lanes in rounds: a queue that is still due goes to the end, until it gave per_queue jobs (one a round).
-- Returns true when the bytes ended it.
local function serve(own, lanes, demand, reply)
  local _, left, per_queue, lease, budget, random = unpack_bytes(dequeue.DEMAND, demand)
  local now, due, shared, wanted = own.now, own.now + lease, own.shared, left
  local share = math.ceil(left / math.max(#lanes, 1))
  local bytes, round = 0, 1
  while #lanes > 0 do
    local again
    for index = 1, #lanes do
      if left == 0 then return false end
      local lane = lanes[index]
      local queue = lane.queue
      local job, member = next_job(own, lanes, index, share)
      if job then
        local length = job.payload_bytes
        if left < wanted and bytes + length > budget
          or shared and shared.carried > 0 and shared.carried + length > dequeue.CARRIED then return true end
        lease_job(own, queue, job, member, due, random, reply)
        left, bytes = left - 1, bytes + length
        if shared then shared.carried = shared.carried + length end
        if queue.queued > 0 and now >= queue.tat and round < per_queue then
          again = again or {}
          again[#again + 1] = lane
        end
      else
        queue.queued, queue.is_changed = 0, true
      end
    end
    lanes, round = again or NONE, round + 1
  end
  return false
end

-- When a head is due after the call, or nil when it left ready.
local function ready_after(own, queue_id, score)
  local queue = own.queues[queue_id]
  if queue == nil then return score end
  local place = queue and queue.place
  if place == true then return score end
  return place or nil
end

-- The agenda says exactly when the type's next queue is due. Returns how many queues are due.
local function settle_agenda(own, ids, scores, due, rest)
  local first, now = rest, own.now
  for index = 1, #ids do
    local at = ready_after(own, ids[index], scores[index])
    if scores[index] <= now and not (at and at <= now) then due = due - 1 end
    if at and not (first and first <= at) then first = at end
  end
  own.counters.ready_at, own.ready_hint = first, false
  return due
end

function dequeue.run(own, args, first)
  local not_after, count = unpack_bytes('>I8I2', args[first])
  if unit.is_late(own, not_after) then return unit.expired(own) end
  counters.open(own)
  local ended = run_timers(own)
  local ids, scores, due, rest = read_heads(own, count)
  local reply, before = unit.reply(own, due, due, 0, ended, own.died or 0)
  if due > 0 and serve(own, open_lanes(own, ids, scores, due), args[first], reply) then reply[before + 7] = 1 end
  unit.flush(own)
  reply[before + 6] = settle_agenda(own, ids, scores, due, rest)
  unit.close_counters(own, reply)
  local ready_at = own.counters.ready_at
  reply[before + 3] = ready_at and clock.shown(own, ready_at) or -1
  return reply
end
