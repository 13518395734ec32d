-- One call's unit of work: what it read, each thing once, and what it will write, all at the end. So a function decides
-- everything before its first write, and twenty jobs cost few commands.

local unit = {}

-- keys: the names of the keys by what they hold. args[1]: the time in µs, or '' for the store's clock; args[2]: the
-- queue type.
function unit.open(keys, args)
  local own = {keys = keys, type = args[2], queues = {}, jobs = {}, members = {}, timers = {}, died = 0, now = 0,
    counters = false, ahead = false, buried = false, tombstones = false}
  if args[1] ~= '' then
    own.now = tonumber(args[1])
  else
    local time = redis.call('TIME')
    own.now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  return own
end

-- True when the call came too late to be done (a socket buffer during a pause): its sender has given it up.
function unit.is_late(own, not_after)
  return not_after ~= '' and own.now > tonumber(not_after)
end

-- Reads the records of queues or jobs that are asked for soon, at once: that costs a third of one by one. They share
-- `ahead`: only a job's field has a ':' in it.
function unit.read_ahead(own, key, fields, count)
  if count < 2 then return end
  local ahead = own.ahead or {}
  local values = redis.call('HMGET', key, unpack(fields, 1, count))
  for index = 1, count do ahead[fields[index]] = values[index] end
  own.ahead = ahead
end

-- The queue's record, or nil when there is none or it counts as forgotten.
function unit.queue(own, queue_id)
  local queue = own.queues[queue_id]
  if queue == nil then
    local ahead = own.ahead
    local raw
    if ahead then raw = ahead[queue_id] end
    if raw == nil then raw = redis.call('HGET', own.keys.queues, queue_id) end
    queue = raw and queue_record.unpack(queue_id, raw) or false
    if queue then
      queue_record.heal(queue, own.now)
      queue.was_ready = queue.queued > 0 and not queue.is_paused
      if not queue.was_ready and queue_record.is_forgettable(queue, own.now) then queue = false end
    end
    own.queues[queue_id] = queue
  end
  return queue or nil
end

function unit.new_queue(own, queue_id)
  local queue = queue_record.new(queue_id)
  own.queues[queue_id] = queue
  return queue
end

-- Marks a queue as changed. is_activity: by a client's call, not by a timer.
function unit.touch(own, queue, is_activity)
  queue.is_changed = true
  if is_activity then queue.active = own.now end
end

-- The job's record as this call knows it, deleted ones (below their queue's fence) included; or nil.
function unit.job(own, queue_id, job_id)
  local field = job_record.field(queue_id, job_id)
  local job = own.jobs[field]
  if job == nil then
    local ahead = own.ahead
    local raw
    if ahead then raw = ahead[field] end
    if raw == nil then raw = redis.call('HGET', own.keys.jobs, field) end
    job = raw and job_record.unpack(field, queue_id, job_id, raw) or false
    own.jobs[field] = job
  end
  return job or nil
end

-- The age (µs) of the job at a queue's head, or -1 when none is queued.
function unit.head_age(own, queue)
  if queue.queued == 0 then return -1 end
  local from, to = job_record.range(queue.queue_id, job_record.PRIORITY_LANE, queue.fence)
  local member = redis.call('ZRANGE', own.keys.queued, from, to, 'BYLEX', 'LIMIT', 0, 1)[1]
  local job = member and unit.job(own, queue.queue_id, (job_record.parse_member(queue.queue_id, member)))
  return job and math.max(own.now - job.enqueued, 0) or -1
end

-- Reads ahead what a call is about that names its jobs: queue_id and job_id stand in args from first on, every step-th.
function unit.read_named(own, args, first, step)
  if first + step > #args then return end
  local queue_ids, fields, count = {}, {}, 0
  for at = first, #args, step do
    count = count + 1
    queue_ids[count], fields[count] = args[at], job_record.field(args[at], args[at + 1])
  end
  unit.read_ahead(own, own.keys.queues, queue_ids, count)
  unit.read_ahead(own, own.keys.jobs, fields, count)
end

function unit.drop_job(own, job)
  own.jobs[job.field] = false
  own.dropped = own.dropped or {}
  own.dropped[job.field] = true
end

-- A queued or delayed job was deleted when it is older than its queue's fence; a leased one runs out first.
function unit.is_deleted(queue, job)
  return job.state ~= job_record.LEASED and queue ~= nil and job.seq < queue.fence
end

-- The earlier of two times; either may be nil.
local function earlier(left, right)
  if not right or (left and left <= right) then return left end
  return right
end

-- Adds one or two values to a list that is made with its first. (To set what is past the end to nil is to do nothing.)
local function append(list, first, second)
  if not list then return {first, second} end
  local count = #list
  list[count + 1], list[count + 2] = first, second
  return list
end

-- Numbers go to the store with 17 digits: µs stay whole.
local function write(command, key, values)
  if values then redis.call(command, key, unpack(values)) end
end

-- The score under which a queue waits: it keeps the time since which it is ready, so that idle time earns no precedence.
local function ready_score(own, queue)
  local since = own.now
  if queue.was_ready and not queue.leased_now then
    since = math.min(tonumber(redis.call('ZSCORE', own.keys.ready, queue.queue_id) or since), since)
  end
  return math.max(queue.tat, since)
end

-- Writes the queues' records and places in ready. Returns the times at which idle ones may be forgotten and their
-- timers, in pairs, or nil.
local function flush_queues(own)
  local records, count, ready, unready, idle = nil, 0, nil, nil, nil
  for queue_id, queue in pairs(own.queues) do
    if queue and queue.is_changed then
      local is_ready = queue.queued > 0 and not queue.is_paused
      if is_ready and (queue.is_moved or not queue.was_ready) then
        queue.ready_at = ready_score(own, queue)
        ready = append(ready, queue.ready_at, queue_id)
        own.ready_hint = earlier(own.ready_hint, queue.ready_at)
      elseif queue.was_ready and not is_ready then
        unready = append(unready, queue_id)
      end
      if not is_ready and queue_record.is_idle(queue) then
        local forget_at = queue_record.forget_at(queue)
        idle = append(idle, forget_at, 'Q' .. queue_id)
        own.timer_hint = earlier(own.timer_hint, forget_at)
      end
      records = records or {}
      records[count + 1], records[count + 2] = queue_id, queue_record.pack(queue, own.counters.minute)
      count = count + 2
      queue_record.settle(queue, is_ready)
    end
  end
  write('HSET', own.keys.queues, records)
  write('ZREM', own.keys.ready, unready)
  write('ZADD', own.keys.ready, ready)
  return idle
end

local function flush_jobs(own)
  local records, count, gone = nil, 0, nil
  for field, job in pairs(own.jobs) do
    if not job then
      if own.dropped and own.dropped[field] then gone = append(gone, field) end
    elseif job.is_changed then
      records = records or {}
      records[count + 1], records[count + 2] = field, job_record.pack(job)
      count = count + 2
      job.is_changed = nil
    end
  end
  own.dropped = nil
  write('HDEL', own.keys.jobs, gone)
  write('HSET', own.keys.jobs, records)
end

-- A member or timer set to false goes, any other value is its score. Returns the earliest score set, or nil.
local function flush_scores(key, scores)
  local added, removed, more, less, first = nil, nil, 0, 0, nil
  for member, score in pairs(scores) do
    if score then
      added = added or {}
      added[more + 1], added[more + 2] = score, member
      more = more + 2
      if not first or score < first then first = score end
    else
      removed, less = removed or {}, less + 1
      removed[less] = member
    end
  end
  write('ZREM', key, removed)
  write('ZADD', key, added)
  return first
end

-- Writes what changed so far; the unit can go on. A queue that falls idle again and again keeps its first timer: that
-- one looks and sets itself again, and the store is spared a move each time.
function unit.flush(own)
  local idle = flush_queues(own)
  flush_jobs(own)
  if next(own.members) then
    flush_scores(own.keys.queued, own.members)
    own.members = {}
  end
  if own.buried then dead_letters.flush(own) end
  if own.tombstones then tombstones.flush(own) end
  if next(own.timers) then
    own.timer_hint = earlier(own.timer_hint, flush_scores(own.keys.timers, own.timers))
    own.timers = {}
  end
  if idle then redis.call('ZADD', own.keys.timers, 'LT', unpack(idle)) end
end

-- Writes everything but the agenda's ready time.
function unit.close_but_ready(own)
  unit.flush(own)
  counters.close(own)
  local hint, known = own.timer_hint, own.timer_head
  if hint and not (known and known <= hint) then
    redis.call('ZADD', own.keys.agenda, 'LT', hint, 't' .. own.type)
  end
end

-- Writes everything, lets the agenda know of what became due earlier, and completes the head of the reply:
-- {0, now, earliest ready time that this call set or -1, earliest timer that it set or -1}
function unit.close(own, reply)
  unit.close_but_ready(own)
  if own.ready_hint then redis.call('ZADD', own.keys.agenda, 'LT', own.ready_hint, 'r' .. own.type) end
  reply[3], reply[4] = own.ready_hint or -1, own.timer_hint or -1
  return reply
end

-- The reply of a call that came too late; nothing was done.
function unit.expired(own)
  return {1, own.now, -1, -1}
end
