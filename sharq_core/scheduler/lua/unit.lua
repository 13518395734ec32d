-- One call's unit of work: what it read, each thing once, and what it will write, all at the end. So a function decides
-- everything before its first write, and twenty jobs cost few commands.
--
-- What is to be written is kept in lists in the form that the commands take. What goes is written before what comes: a
-- job, a place or a timer may go and come back in one unit, never the other way round.

local unit = {
  -- The terms of a call about jobs: not_after (µs, 0: none), how long a finished job and a dead letter are remembered
  -- (µs). One argument of bytes costs a third of three numbers.
  TERMS = '>I8I8I8',
  TERMS_LENGTH = 24,
  LONGEST_US = 90000000,  -- no call has longer: [redis] timeout is at most a minute
}

-- The time (µs) that a call names, or, for '', that of the store's clock.
function unit.time(named)
  if named ~= '' then return tonumber(named) end
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- now: the store's time; the partition's from the moment on at which the call has opened its counters (clock.lua).
-- keys: the names of the keys, by the numbers that KEY gives to what they hold. queues: records by queue_id, false for
-- none. records: jobs' bytes by field, as the call leaves them. shared: what the calls of a joint call have together
-- (joint.lua), false for a call alone.
function unit.open(keys, now, type, shared)
  return {keys = keys, type = type, now = now, queues = {}, records = {}, counters = false,
    jobs_gone = false, jobs = false, places_gone = false, places = false, timers_gone = false, timers = false,
    tombstones = false, ready_hint = false, timer_hint = false, shared = shared or false}
end

-- Opens a unit for the next call of a joint one, which costs a third of a new one. The counts stay, to be written over
-- when that one opens its own (counters.open).
function unit.reopen(own, keys, now)
  own.now = now
  if own.shift then own.shift = nil end
  if own.tick then own.tick = nil end
  own.keys, own.queues, own.records, own.tombstones, own.ready_hint, own.timer_hint = keys, {}, {}, false, false, false
  own.jobs_gone, own.jobs, own.places_gone, own.places, own.timers_gone, own.timers = false, false, false, false, false,
    false
  if own.died then own.died = nil end
  if own.buried then own.buried = nil end
  if own.last then own.last = nil end
  if own.past_minute then own.past_minute = nil end
end

-- Begins the reply of a call: {0, now, ready hint, timer hint}, the hints to be filled in by unit.close, and further
-- values; in a joint call (joint.lua) in the row of all replies, and without the first two. Returns the table and how
-- many values of other calls stand before this one's.
function unit.reply(own, ...)
  local shared = own.shared
  if not shared then return {0, clock.told(own), -1, -1, ...}, 0 end
  local row, at = shared.row, shared.at
  row[at + 1], row[at + 2] = -1, -1
  for index = 1, select('#', ...) do row[at + 2 + index] = select(index, ...) end
  return row, at - 2
end

-- True when the call came too late to be done (a socket buffer during a pause): its sender has given it up. Or the
-- store's clock stepped ahead, and the call must wait until the partition's time is mended; or it stepped back, and the
-- call may be as old as the step is long. Both times are by the store's clock: ask before the counters are opened.
function unit.is_late(own, not_after)
  return not_after > 0 and (own.now > not_after or not_after - own.now > unit.LONGEST_US)
end

-- The same of a call that names that time in its last argument, or not at all.
function unit.is_late_by(own, argument)
  return argument ~= nil and unit.is_late(own, tonumber(argument))
end

-- Reads at once what a call names: the ids of `count` queues stand in args from first on, or in a list of their own.
function unit.read_queues(own, args, first, count)
  if count == 1 then return unit.queue(own, args[first]) end
  local queues, now = own.queues, own.now
  local raws = call('HMGET', own.keys[KEY.queues], unpack(args, first, first + count - 1))
  for index = 1, count do
    local queue_id, raw = args[first + index - 1], raws[index]
    if queues[queue_id] == nil then queues[queue_id] = raw and queue_record.unpack(queue_id, raw, now) end
  end
end

-- The same of jobs by their fields.
function unit.read_jobs(own, args, first, count)
  local records = own.records
  if count == 1 then
    records[args[first]] = call('HGET', own.keys[KEY.jobs], args[first])
    return
  end
  local raws = call('HMGET', own.keys[KEY.jobs], unpack(args, first, first + count - 1))
  for index = 1, count do records[args[first + index - 1]] = raws[index] end
end

-- The queue's record, or nil when there is none or it counts as forgotten.
function unit.queue(own, queue_id)
  local queue = own.queues[queue_id]
  if queue == nil then
    local raw = call('HGET', own.keys[KEY.queues], queue_id)
    queue = raw and queue_record.unpack(queue_id, raw, own.now)
    own.queues[queue_id] = queue
  end
  return queue or nil
end

function unit.new_queue(own, queue_id)
  local queue = queue_record.new(queue_id)
  own.queues[queue_id] = queue
  return queue
end

-- Marks a queue as changed by a client's call, not by a timer.
function unit.touch(own, queue)
  queue.is_changed, queue.active = true, own.now
end

-- The queue has another rate: its place in ready may be another, and keeps the time since which it is ready.
function unit.move(own, queue)
  if queue.place == true then
    queue.place = math.min(tonumber(call('ZSCORE', own.keys[KEY.ready], queue.queue_id) or own.now), own.now)
  end
end

-- The job's record as this call knows it, deleted ones (below their queue's fence) included; or nil.
function unit.job(own, queue_id, field)
  local raw = own.records[field]
  if raw == nil then
    raw = call('HGET', own.keys[KEY.jobs], field)
    own.records[field] = raw
  end
  return raw and job_record.unpack(queue_id, field, raw) or nil
end

-- The age (µs) of the job at a queue's head, or -1 when none is queued.
function unit.head_age(own, queue)
  if queue.queued == 0 then return -1 end
  local queue_id = queue.queue_id
  local from, to = job_record.range(queue_id, job_record.PRIORITY_LANE, queue.fence)
  local member = call('ZRANGE', own.keys[KEY.queued], from, to, 'BYLEX', 'LIMIT', 0, 1)[1]
  local job = member and unit.job(own, queue_id, queue_id .. ':' .. job_record.id_of_member(queue_id, member))
  return job and math.max(own.now - job.enqueued, 0) or -1
end

-- A queued or delayed job was deleted when it is older than its queue's fence; a leased one runs out first.
function unit.is_deleted(queue, job)
  return queue and queue.fence and job.seq < queue.fence and job.state ~= LEASED
end

-- What is to be written of jobs, of their places in line and of timers.

function unit.put_job(own, field, raw)
  own.records[field] = raw
  own.jobs = append(own.jobs, field, raw)
end

function unit.drop_job(own, field)
  own.records[field] = false
  own.jobs_gone = append(own.jobs_gone, field)
end

function unit.put_place(own, member)
  own.places = append(own.places, 0, member)
end

function unit.drop_place(own, member)
  own.places_gone = append(own.places_gone, member)
end

function unit.put_timer(own, timer, at)
  local hint = own.timer_hint
  if not hint or at < hint then own.timer_hint = at end
  own.timers = append(own.timers, at, timer)
end

function unit.drop_timer(own, timer)
  own.timers_gone = append(own.timers_gone, timer)
end

-- Sees to it that an idle queue's record goes in time. A queue that falls idle again and again keeps its first timer:
-- that one looks and sets itself again, and the store is spared a move each time.
local function watch_idle(own, queue)
  local timer = queue.timer
  if timer > 0 and timer <= queue.active + queue_record.KEEP_US and not queue.is_purged
    or not queue_record.is_idle(queue) then return end
  local forget_at = queue_record.forget_at(queue)
  if timer == 0 or forget_at < timer then
    queue.timer = forget_at
    unit.put_timer(own, 'Q' .. queue.queue_id, forget_at)
  end
end

-- The score under which a queue is to stand in ready.
local function ready_score(own, queue)
  local at, tat, hint = queue.place or own.now, queue.tat, own.ready_hint
  if at < tat then at = tat end
  if not hint or at < hint then own.ready_hint = at end
  queue.place = at
  return at
end

-- Numbers go to the store with 17 digits: µs stay whole.
local function write(command, key, values)
  call(command, key, unpack(values))
end

-- Writes the queues' records and their places in ready.
local function flush_queues(own)
  local records, ready, unready = false, false, false
  for queue_id, queue in pairs(own.queues) do
    if queue and queue.is_changed then
      if queue.queued == 0 or queue.is_paused then
        if queue.place then
          queue.place, unready = false, append(unready, queue_id)
        end
        if queue.leased == 0 then watch_idle(own, queue) end
      elseif queue.place ~= true then
        ready = append(ready, ready_score(own, queue), queue_id)
      end
      records = append(records, queue_id, queue_record.pack(queue))
    end
  end
  if records then write('HSET', own.keys[KEY.queues], records) end
  if unready then write('ZREM', own.keys[KEY.ready], unready) end
  if ready then write('ZADD', own.keys[KEY.ready], ready) end
end

-- Writes what changed so far, all but the counters.
function unit.flush(own)
  local keys = own.keys
  flush_queues(own)
  if own.jobs_gone then write('HDEL', keys[KEY.jobs], own.jobs_gone) end
  if own.jobs then write('HSET', keys[KEY.jobs], own.jobs) end
  if own.places_gone then write('ZREM', keys[KEY.queued], own.places_gone) end
  if own.places then write('ZADD', keys[KEY.queued], own.places) end
  if own.timers_gone then write('ZREM', keys[KEY.timers], own.timers_gone) end
  if own.timers then write('ZADD', keys[KEY.timers], own.timers) end
  if own.buried then dead_letters.flush(own) end
  if own.tombstones then tombstones.flush(own) end
end

-- Writes what changed so far and forgets what was read, so that the unit can go on.
function unit.go_on(own)
  unit.flush(own)
  own.queues, own.records, own.jobs_gone, own.jobs, own.places_gone = {}, {}, false, false, false
  own.places, own.timers_gone, own.timers = false, false, false
end

-- The earlier of two times; either may be nil or false for none.
local function earlier(left, right)
  if not right or (left and left <= right) then return left end
  return right
end

-- Writes the counters, lets the agenda know of what became due earlier, and completes the head of the reply:
-- {0, now, earliest ready time that this call set or -1, earliest timer that it set or -1}
function unit.close_counters(own, reply)
  local counts, ready, timer, shared = own.counters, own.ready_hint, own.timer_hint, own.shared
  if ready then counts.ready_at = earlier(counts.ready_at, ready) end
  if timer then counts.timer_at = earlier(counts.timer_at, timer) end
  counters.close(own)
  local hint = shared and shared.at + 1 or 3
  if own.shift then
    ready, timer = ready and clock.shown(own, ready), timer and clock.shown(own, timer)
  end
  reply[hint], reply[hint + 1] = ready or -1, timer or -1
  return reply
end

-- Writes everything, and completes the head of the reply.
function unit.close(own, reply)
  unit.flush(own)
  return unit.close_counters(own, reply)
end

-- The reply of a call that came too late; nothing was done.
function unit.expired(own)
  return {1, own.now, -1, -1}
end
