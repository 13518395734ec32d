-- The transaction of a call, `tx`: what the call has read, each record once, and what it will write at the end. A
-- function thus makes every decision before its first write, and twenty jobs need only a few commands.
--
-- Pending writes are lists in the form of the commands' arguments. Removals are written before additions: within a
-- transaction a job, a place or a timer may be removed and then added, but not added and then removed.
--
-- Uses: shortcuts, lists, timer_kinds, clock, cap_sets, windows, job_record, notes, queue_limits, queue_record, lines,
-- counters, parking, batches, tombstones, dead_letters

local unit = {
  -- The terms of a call about jobs: not_after (µs, 0: none), retention of finished jobs (µs), retention of dead letters
  -- (µs). One packed argument costs a third of three numbers.
  TERMS = '>I8I8I8',
  TERMS_LENGTH = 24,
  RANGE = 4,  -- members in a row that are removed as a range, which costs as much as three single ones
}

-- Return the time (µs) that a call names, or the store's clock if it names none ('').
function unit.time(named)
  if named ~= '' then return tonumber(named) end
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Open the transaction of a call.
-- now: the store's clock (µs), replaced by the partition's time when the call opens its counters (clock.lua). keys: key
-- names by their numbers in KEY. shared: the state that the calls of a joint call share (joint.lua), false for a call
-- alone.
-- In the table: queues has records by queue_id, false for none. records has the bytes of jobs by field, as the call
-- leaves them.
function unit.open(keys, now, type, shared)
  return {keys = keys, type = type, now = now, queues = {}, records = {}, counters = false,
    jobs_gone = false, jobs = false, places_gone = false, places = false, timers_gone = false, timers = false,
    tombstones = false, ready_hint = false, timer_hint = false, shared = shared or false}
end

-- Drop what the transaction has read and what it was to write.
local function forget(tx)
  tx.queues, tx.records = {}, {}
  tx.jobs_gone, tx.jobs = false, false
  tx.places_gone, tx.places = false, false
  tx.timers_gone, tx.timers = false, false
  if tx.cap_sets then tx.cap_sets = nil end
  if tx.lapsed then tx.lapsed = nil end
end

-- Open the transaction again for the next call of a joint call, at a third of the cost of a new one. The counts stay,
-- and counters.open overwrites them.
function unit.reopen(tx, keys, now)
  tx.now = now
  if tx.shift then tx.shift = nil end
  if tx.tick then tx.tick = nil end
  tx.keys = keys
  tx.ready_hint, tx.timer_hint = false, false
  tx.tombstones = false
  forget(tx)
  if tx.died then tx.died = nil end
  if tx.expired then tx.expired, tx.dropped = nil, nil end
  if tx.is_stuck then tx.is_stuck = nil end
  if tx.ranges_gone then tx.ranges_gone = nil end
  if tx.buried then tx.buried, tx.letters = nil, nil end
  if tx.notes then tx.notes = nil end
  if tx.batches then tx.batches, tx.batch_queues, tx.last_batch = nil, nil, nil end
  if tx.last then tx.last = nil end
  if tx.past_minute then tx.past_minute = nil end
  if tx.is_limited then tx.is_limited, tx.settings, tx.is_all_paused = nil, nil, nil end
  if tx.has_settings then tx.has_settings = nil end
  if tx.is_held then tx.is_held = nil end
  if tx.windows then tx.windows, tx.openings = nil, nil end
  if tx.window_numbers then tx.window_numbers = nil end
  if tx.has_windows then tx.has_windows = nil end
  if tx.own_set then tx.own_set, tx.left_cost, tx.permits = nil, nil, nil end
  if tx.corrections then tx.corrections = nil end
end

-- Begin the reply of a call: {0, now, ready hint, timer hint} and further values. unit.close fills in the hints. In a
-- joint call (joint.lua) the values go into the row of all replies, without the first two.
-- Returns the table, and how many values of other calls stand before this reply.
function unit.reply(tx, ...)
  local shared = tx.shared
  if not shared then return {0, clock.store_time(tx), -1, -1, ...}, 0 end
  local row, at = shared.row, shared.at
  row[at + 1], row[at + 2] = -1, -1
  for index = 1, select('#', ...) do row[at + 2 + index] = select(index, ...) end
  return row, at - 2
end

-- Add to the end of a reply how many jobs expired in the call, and how many of them were dropped. Callers of revision 5
-- cannot decode them in the replies of enqueue and release.
function unit.add_expired(tx, reply)
  local length = #reply
  reply[length + 1], reply[length + 2] = tx.expired, tx.dropped or 0
end

-- Return true if a call that opens no counters must not run any more. argument: its not_after (clock.set); nil: none.
function unit.is_late_by(tx, argument)
  local not_after = tonumber(argument or 0)
  return not_after > 0 and not clock.allows(tx, call('HGET', tx.keys[KEY.counters], clock.FIELD), not_after)
end

-- Note the cap set of a queue that counts as forgotten, which ends with the record.
local function note_lapsed(tx, queue_id, cap_set)
  tx.lapsed = tx.lapsed or {}
  tx.lapsed[queue_id] = cap_set
end

-- End the use of the cap set of a forgotten queue, whose record goes.
function unit.end_lapsed(tx, queue_id)
  local cap_set = tx.lapsed and tx.lapsed[queue_id]
  if not cap_set then return end
  cap_sets.use(tx, cap_set, -1)
  tx.lapsed[queue_id] = nil
end

-- Read the records of `count` queues at once. Their ids begin at args[first].
function unit.read_queues(tx, args, first, count)
  if count == 1 then return unit.queue(tx, args[first]) end
  local queues, now = tx.queues, tx.now
  local raws = call('HMGET', tx.keys[KEY.queues], unpack(args, first, first + count - 1))
  for index = 1, count do
    local queue_id, raw = args[first + index - 1], raws[index]
    if queues[queue_id] == nil then
      local queue, lapsed = false, nil
      if raw then queue, lapsed = queue_record.unpack(queue_id, raw, now) end
      queues[queue_id] = queue
      if lapsed then note_lapsed(tx, queue_id, lapsed) end
    end
  end
end

-- Read the records of `count` jobs at once. Their fields begin at args[first].
function unit.read_jobs(tx, args, first, count)
  local records = tx.records
  if count == 1 then
    records[args[first]] = call('HGET', tx.keys[KEY.jobs], args[first])
    return
  end
  local raws = call('HMGET', tx.keys[KEY.jobs], unpack(args, first, first + count - 1))
  for index = 1, count do records[args[first + index - 1]] = raws[index] end
end

-- Return a queue, or nil if it has no record or counts as forgotten.
function unit.queue(tx, queue_id)
  local queue = tx.queues[queue_id]
  if queue == nil then
    local raw, lapsed = call('HGET', tx.keys[KEY.queues], queue_id), nil
    queue = raw
    if raw then queue, lapsed = queue_record.unpack(queue_id, raw, tx.now) end
    tx.queues[queue_id] = queue
    if lapsed then note_lapsed(tx, queue_id, lapsed) end
  end
  return queue or nil
end

-- Add a new queue to the transaction.
function unit.new_queue(tx, queue_id)
  local queue = queue_record.new(queue_id)
  tx.queues[queue_id] = queue
  if tx.lapsed then unit.end_lapsed(tx, queue_id) end
  return queue
end

-- Mark a queue as changed by a client's call, as opposed to a timer.
function unit.touch(tx, queue)
  queue.is_changed, queue.active = true, tx.now
end

-- Give a queue whose rate changed a new entry in ready, with the time since which it was ready.
function unit.move(tx, queue)
  if queue.ready_score == UNMOVED then
    local at = queue.parked_at or tonumber(call('ZSCORE', tx.keys[KEY.ready], queue.queue_id) or tx.now)
    queue.ready_score = math.min(at, tx.now)
  end
end

-- Give a queue other caps. names: see cap_sets.lua; '' for none.
function unit.set_caps(tx, queue, names)
  local before, number = queue.cap_set, names ~= '' and cap_sets.take(tx, names) or nil
  if number == before then return end
  queue_limits.extend(queue)
  unit.move(tx, queue)
  if not before and queue.ready_score then queue.leaves_ready = true end
  cap_sets.use(tx, before, -1)
  cap_sets.use(tx, number, 1)
  queue.cap_set, queue.is_changed = number, true
end

-- Lease nothing from a queue before a time (µs).
function unit.hold(tx, queue, at)
  queue_limits.hold(queue, at)
  unit.move(tx, queue)
  tx.is_held = true
end

-- Return a job as this call sees it, or nil. Deleted jobs (below their queue's fence) are included.
function unit.job(tx, queue_id, field)
  local raw = tx.records[field]
  if raw == nil then
    raw = call('HGET', tx.keys[KEY.jobs], field)
    tx.records[field] = raw
  end
  return raw and job_record.unpack(queue_id, field, raw) or nil
end

-- Return the same for a queue whose deleted jobs are not swept yet: they stand before the others of each class.
local function line_above_fence(tx, queue, after, count)
  local queue_id, first = queue.queue_id, job_record.FIRST_PRIORITY
  if after then first = job_record.class_of_member(queue_id, after) end
  for class = first, job_record.LAST_PRIORITY do
    local from, to = job_record.range(queue_id, string.char(class), queue.fence)
    if after and class == first then from = '(' .. after end
    local members = call('ZRANGE', tx.keys[KEY.queued], from, to, 'BYLEX', 'LIMIT', 0, count)
    if #members > 0 then return members end
  end
  return {}
end

-- Return members of a queue that may be leased, in their order, after the member `after` (nil: from the first): at
-- least one if there are any, about `count` at most. Windows may hold back some of its jobs.
function unit.line(tx, queue, after, count)
  if (queue.is_flagged or tx.settings) and lines.matter(tx, queue) then
    local priority, seq = job_record.FIRST_PRIORITY, 0
    if after then priority, seq = job_record.position(queue.queue_id, after) end
    return (lines.members(tx, queue, lines.open(tx, queue), priority, seq, count))
  end
  if queue.is_unswept then return line_above_fence(tx, queue, after, count) end
  local from, to = job_record.bounds(queue.queue_id)
  return call('ZRANGE', tx.keys[KEY.queued], after and '(' .. after or from, to, 'BYLEX', 'LIMIT', 0, count)
end

-- Return the age (µs) of the job at the head of a queue, or -1 if none is queued.
function unit.head_age(tx, queue)
  if queue.queued == 0 then return -1 end
  local queue_id = queue.queue_id
  local row = queue.lines and lines.members(tx, queue, lines.filled(queue), job_record.FIRST_PRIORITY, 0, 1)
  local member = (row or unit.line(tx, queue, nil, 1))[1]
  local job = member and unit.job(tx, queue_id, queue_id .. ':' .. job_record.id_of_member(queue_id, member))
  return job and math.max(tx.now - job.enqueued, 0) or -1
end

-- Return true if a queued or delayed job is older than its queue's fence, which deleted it. A leased job first runs
-- out.
function unit.is_deleted(queue, job)
  return queue and queue.fence and job.seq < queue.fence and job.state ~= LEASED
end

-- The functions below note writes: jobs, their places in line, and timers.

function unit.put_job(tx, field, raw)
  tx.records[field] = raw
  tx.jobs = append(tx.jobs, field, raw)
end

function unit.drop_job(tx, field)
  tx.records[field] = false
  tx.jobs_gone = append(tx.jobs_gone, field)
end

function unit.put_place(tx, member)
  tx.places = append(tx.places, '0', member)
end

function unit.drop_place(tx, member)
  tx.places_gone = append(tx.places_gone, member)
end

-- Remove the jobs of fields[first] to fields[last], none of which the call reads again: unlike drop_job, this does not
-- note that in tx.records.
function unit.drop_jobs(tx, fields, first, last)
  local gone = tx.jobs_gone or {}
  local before = #gone - first + 1
  for index = first, last do gone[before + index] = fields[index] end
  tx.jobs_gone = gone
end

-- Remove members[first] to members[last], which are all that the store has between the first and the last of them.
function unit.drop_row(tx, members, first, last)
  if last - first + 1 < unit.RANGE then
    for at = first, last do unit.drop_place(tx, members[at]) end
  else
    tx.ranges_gone = append(tx.ranges_gone, '[' .. members[first], '[' .. members[last])
  end
end

function unit.put_timer(tx, timer, at)
  local hint = tx.timer_hint
  if not hint or at < hint then tx.timer_hint = at end
  tx.timers = append(tx.timers, at, timer)
end

function unit.drop_timer(tx, timer)
  tx.timers_gone = append(tx.timers_gone, timer)
end

-- Set the timer that drops the record of an idle queue. A queue that falls idle repeatedly keeps its first timer: that
-- timer checks the queue and sets itself again, which saves the store a move each time.
local function watch_idle(tx, queue)
  local timer = queue.timer
  if timer > 0 and timer <= queue.active + queue_record.KEEP_US and not queue.is_purged
    or not queue_record.is_idle(queue) then return end
  local forget_at = queue_record.forget_at(queue)
  if timer == 0 or forget_at < timer then
    queue.timer = forget_at
    unit.put_timer(tx, IDLE_TIMER .. queue.queue_id, forget_at)
  end
end

-- Set the score of a queue's new entry in ready, and return it. A queue whose turn goes on keeps its place before the
-- queues that wait for theirs, unless it has to wait itself.
local function set_ready_score(tx, queue, is_flagged)
  local at, ready_at, hint = queue.ready_score or tx.now, queue.tat, tx.ready_hint
  if is_flagged then ready_at = queue_limits.ready_at(queue) end
  if (is_flagged or tx.settings) and lines.matter(tx, queue) then
    ready_at = math.max(ready_at, lines.ready_at(tx, queue))
  end
  if at < ready_at and (ready_at > tx.now or not queue.given) then at = ready_at end
  if not hint or at < hint then tx.ready_hint = at end
  queue.ready_score = at
  return at
end

-- Write a list of values. The store gets numbers with 17 digits, so µs stay exact.
local function write_values(command, key, values)
  call(command, key, unpack(values))
end

-- Give a queue that has caps, or had some, its place in parked. Afterwards ready_score says what is left to do in
-- ready. Returns the list of queues that leave ready.
local function park(tx, queue, unready)
  local set, score = queue.cap_set, queue.ready_score
  if queue.counted_set == set then
    cap_sets.count(tx, set, queue.queued - queue.counted)
  else
    cap_sets.count(tx, queue.counted_set, -(queue.counted or 0))
    cap_sets.count(tx, set, queue.queued)
  end
  queue.counted_set, queue.counted = set, queue.queued
  if set and queue.queued > 0 and not queue.is_paused and not queue_limits.is_full(queue) then
    if score ~= UNMOVED or queue.parked_set ~= set then
      local hint = tx.ready_hint
      if score == UNMOVED then queue.ready_score = tx.now end
      parking.put(tx, queue, set_ready_score(tx, queue, true))
      if set == tx.own_set then tx.ready_hint = hint end
    end
    queue.ready_score = UNMOVED
  else
    parking.take_out(tx, queue)
    if set then queue.ready_score = NOT_READY end
  end
  if not queue.leaves_ready then return unready end
  queue.leaves_ready = nil
  return set and append(unready, queue.queue_id) or unready
end

-- Write the records of the changed queues and their entries in ready.
local function flush_queues(tx)
  local records, ready, unready = false, false, false
  for queue_id, queue in pairs(tx.queues) do
    if queue and queue.is_changed then
      local is_flagged = queue.is_flagged
      if is_flagged and (queue.cap_set or queue.counted_set) then unready = park(tx, queue, unready) end
      if queue.queued == 0 or is_flagged and (queue.is_paused or queue_limits.is_full(queue)) then
        if queue.ready_score then
          queue.ready_score, unready = NOT_READY, append(unready, queue_id)
        end
        if queue.leased == 0 then watch_idle(tx, queue) end
      elseif queue.ready_score ~= UNMOVED then
        ready = append(ready, set_ready_score(tx, queue, is_flagged), queue_id)
      end
      if queue.lines then lines.settle(tx, queue) end
      records = append(records, queue_id, queue_record.pack(queue))
    end
  end
  if records then write_values('HSET', tx.keys[KEY.queues], records) end
  if unready then write_values('ZREM', tx.keys[KEY.ready], unready) end
  if ready then write_values('ZADD', tx.keys[KEY.ready], ready) end
  if tx.parking then parking.flush(tx) end
end

-- Write the removals of jobs and of their places.
local function flush_removals(tx)
  local keys, ranges = tx.keys, tx.ranges_gone
  if tx.jobs_gone then write_values('HDEL', keys[KEY.jobs], tx.jobs_gone) end
  if tx.places_gone then write_values('ZREM', keys[KEY.queued], tx.places_gone) end
  if ranges then
    for at = 1, #ranges, 2 do call('ZREMRANGEBYLEX', keys[KEY.queued], ranges[at], ranges[at + 1]) end
    tx.ranges_gone = nil
  end
end

-- Write the removals of jobs and places, the dead letters and the tombstones before the end of the call. Only then does
-- is_spent know what they take.
function unit.write_removals(tx)
  flush_removals(tx)
  tx.jobs_gone, tx.places_gone = false, false
  if tx.buried then dead_letters.flush(tx) end
  if tx.tombstones then tombstones.flush(tx) end
end

-- Write all changes so far except the counters.
function unit.flush(tx)
  local keys = tx.keys
  flush_queues(tx)
  if tx.jobs_gone or tx.places_gone then flush_removals(tx) end
  if tx.jobs then write_values('HSET', keys[KEY.jobs], tx.jobs) end
  if tx.places then write_values('ZADD', keys[KEY.queued], tx.places) end
  if tx.timers_gone then write_values('ZREM', keys[KEY.timers], tx.timers_gone) end
  if tx.timers then write_values('ZADD', keys[KEY.timers], tx.timers) end
  if tx.buried then dead_letters.flush(tx) end
  if tx.batches then batches.flush(tx) end
  if tx.notes then notes.flush(tx) end
  if tx.tombstones then tombstones.flush(tx) end
  if tx.window_uses then windows.flush(tx) end
  if tx.cap_sets then cap_sets.flush(tx) end
end

-- Write all changes so far and forget what was read, so that the transaction can continue.
function unit.go_on(tx)
  unit.flush(tx)
  forget(tx)
end

-- Return the earlier of two times. Either may be nil or false for none.
local function earlier(left, right)
  if not right or (left and left <= right) then return left end
  return right
end

-- Write the counters, lower the agenda to what became due earlier, and complete the head of the reply:
-- {0, now, earliest ready time that this call set or -1, earliest timer that it set or -1}
function unit.close_counters(tx, reply)
  local counts, ready, timer, shared = tx.counters, tx.ready_hint, tx.timer_hint, tx.shared
  local is_limited = tx.is_limited
  if is_limited and tx.settings then ready = counters.ready_under_limits(tx, ready) end
  if ready then counts.ready_at = earlier(counts.ready_at, ready) end
  if is_limited and ready and counters.is_stopped(tx) then ready = false end
  if timer then counts.timer_at = earlier(counts.timer_at, timer) end
  counters.close(tx)
  local hint = shared and shared.at + 1 or 3
  if tx.shift then
    ready, timer = ready and clock.shown(tx, ready), timer and clock.shown(tx, timer)
  end
  reply[hint], reply[hint + 1] = ready or -1, timer or -1
  return reply
end

-- Write everything, and complete the head of the reply.
function unit.close(tx, reply)
  unit.flush(tx)
  return unit.close_counters(tx, reply)
end

-- Limit the time (µs) of the part of a call's work that it may leave to the next call.
function unit.limit_time(tx, limit_us)
  local spent = tx.shared or tx
  spent.most_us = limit_us
end

-- Return true if a call has used up a share of that time. It counts from the first such question on. It is CPU time of
-- the store, so that a slow machine takes smaller steps. Without such a clock only the numbers bound a call. A question
-- costs half a microsecond.
function unit.is_spent(tx, share)
  local spent = tx.shared or tx
  local limit_us = spent.most_us
  if not limit_us or not cpu_clock then return false end
  local now = cpu_clock()
  local began = spent.began
  if not began then
    spent.began = now
    return false
  end
  return (now - began) * 1000000 >= limit_us * share
end

-- Return the reply of a call that counters.open or clock.set refused: it did nothing.
function unit.expired(tx)
  return {1, tx.now, -1, -1}
end
