-- One call's unit of work: what it read, each thing once, and what it will write, all at the end. So a function decides
-- everything before its first write, and twenty jobs cost few commands.

local unit = {}

-- keys: the names of the keys by what they hold. args[1]: the time in µs, or '' for the store's clock; args[2]: the
-- queue type.
function unit.open(keys, args)
  local own = {keys = keys, type = args[2], ahead = {}, queues = {}, jobs = {}, members = {}, timers = {},
    buried = {}, died = 0, tombstones = {}, now = 0}
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
function unit.read_ahead(own, key, fields)
  if #fields < 2 then return end
  local ahead = own.ahead
  local values = redis.call('HMGET', key, unpack(fields))
  for index, field in ipairs(fields) do ahead[field] = values[index] end
end

-- The queue's record, or nil when there is none or it counts as forgotten.
function unit.queue(own, queue_id)
  local queue = own.queues[queue_id]
  if queue == nil then
    local raw = own.ahead[queue_id]
    if raw == nil then raw = redis.call('HGET', own.keys.queues, queue_id) end
    queue = raw and queue_record.unpack(queue_id, raw) or false
    if queue then
      queue_record.heal(queue, own.now)
      if queue_record.is_forgettable(queue, own.now) then
        queue = false
      else
        queue.was_ready = queue.queued > 0 and not queue.is_paused
      end
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
    local raw = own.ahead[field]
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
  local queue_ids, fields = {}, {}
  for at = first, #args, step do
    local count = #fields + 1
    queue_ids[count], fields[count] = args[at], job_record.field(args[at], args[at + 1])
  end
  unit.read_ahead(own, own.keys.queues, queue_ids)
  unit.read_ahead(own, own.keys.jobs, fields)
end

function unit.put_job(own, job)
  job.is_changed = true
  own.jobs[job.field] = job
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

-- Numbers go to the store with 17 digits: µs stay whole.
local function write(command, key, values)
  if values[1] then redis.call(command, key, unpack(values)) end
end

-- The score under which a queue waits: it keeps the time since which it is ready, so that idle time earns no precedence.
local function ready_score(own, queue)
  if not queue.was_ready then return math.max(queue.tat, own.now) end
  if not queue.is_moved then return nil end
  if queue.is_leased then return math.max(queue.tat, own.now) end
  local since = tonumber(redis.call('ZSCORE', own.keys.ready, queue.queue_id) or own.now)
  return math.max(queue.tat, math.min(since, own.now))
end

local function flush_queue(own, queue, ready, unready)
  local is_ready = queue.queued > 0 and not queue.is_paused
  local score = is_ready and ready_score(own, queue)
  if score then
    local count = #ready
    ready[count + 1], ready[count + 2] = score, queue.queue_id
    queue.ready_at = score
    own.ready_hint = math.min(own.ready_hint or score, score)
  elseif queue.was_ready and not is_ready then
    unready[#unready + 1] = queue.queue_id
  end
  queue.was_ready = is_ready
  queue.is_moved, queue.is_leased, queue.is_changed = nil, nil, nil
  if queue_record.is_idle(queue) then
    own.timers['Q' .. queue.queue_id] = queue_record.forget_at(queue)
  end
end

local function flush_queues(own)
  local records, ready, unready = {}, {}, {}
  for queue_id, queue in pairs(own.queues) do
    if queue and queue.is_changed then
      flush_queue(own, queue, ready, unready)
      local count = #records
      records[count + 1], records[count + 2] = queue_id, queue_record.pack(queue)
    end
  end
  write('HSET', own.keys.queues, records)
  write('ZREM', own.keys.ready, unready)
  write('ZADD', own.keys.ready, ready)
end

local function flush_jobs(own)
  local records, gone = {}, {}
  for field, job in pairs(own.jobs) do
    if job and job.is_changed then
      local count = #records
      records[count + 1], records[count + 2] = field, job_record.pack(job)
      job.is_changed = nil
    elseif not job and own.dropped and own.dropped[field] then
      gone[#gone + 1] = field
    end
  end
  own.dropped = nil
  write('HDEL', own.keys.jobs, gone)
  write('HSET', own.keys.jobs, records)
end

-- A member or timer set to false goes, any other value is its score.
local function flush_scores(key, scores)
  local added, removed = {}, {}
  for member, score in pairs(scores) do
    if score then
      local count = #added
      added[count + 1], added[count + 2] = score, member
    else
      removed[#removed + 1] = member
    end
  end
  write('ZREM', key, removed)
  write('ZADD', key, added)
end

local function flush_timers(own)
  if not next(own.timers) then return end
  for _, at in pairs(own.timers) do
    if at and not (own.timer_hint and own.timer_hint <= at) then own.timer_hint = at end
  end
  flush_scores(own.keys.timers, own.timers)
  own.timers = {}
end

-- Writes what changed so far; the unit can go on.
function unit.flush(own)
  flush_queues(own)
  flush_jobs(own)
  if next(own.members) then
    flush_scores(own.keys.queued, own.members)
    own.members = {}
  end
  if next(own.buried) then dead_letters.flush(own) end
  if next(own.tombstones) then tombstones.flush(own) end
  flush_timers(own)
end

-- Writes everything but the agenda's ready time, and begins the reply:
-- {0, now, earliest ready time that this call set or -1, earliest timer that it set or -1}
function unit.close_but_ready(own)
  unit.flush(own)
  counters.close(own)
  if own.timer_hint then redis.call('ZADD', own.keys.agenda, 'LT', own.timer_hint, 't' .. own.type) end
  return {0, own.now, own.ready_hint or -1, own.timer_hint or -1}
end

-- Writes everything, and lets the agenda know of what became due earlier.
function unit.close(own)
  local reply = unit.close_but_ready(own)
  if own.ready_hint then redis.call('ZADD', own.keys.agenda, 'LT', own.ready_hint, 'r' .. own.type) end
  return reply
end

-- The reply of a call that came too late; nothing was done.
function unit.expired(own)
  return {1, own.now, -1, -1}
end
