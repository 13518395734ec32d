-- The transitions of a job between states. Only this file changes a job's record, place in line and timer, its queue's
-- counts and the totals, and it changes them together. README.md has the state diagram.
--
-- Uses: timer_kinds, windows, retry_policy, job_record, notes, queue_windows, queue_life, queue_limits, queue_record,
-- lines, batches, tombstones, dead_letters, unit, job_permits

local transitions = {}

-- Count a job with rarely used fields that enters (1) or leaves (-1) a state: queued, delayed or leased.
local function count_state(tx, queue, newer, state, difference)
  local base, number, is_in_batch = job_record.window_in(newer)
  if base then
    if not queue.settings then queue_limits.extend(queue) end
    if queue_windows.count(queue, base, number, state, difference) then windows.use(tx, number, 1) end
  end
  if is_in_batch then batches.count(tx, queue.queue_id, newer, state, difference) end
end

-- Take a waiting job out of its line. member: the job's member in queued:<type>, if it is known.
local function leave_line(tx, queue, job, member)
  local counts, newer = tx.counters, job.newer
  unit.drop_place(tx, member or job_record.member(job))
  queue.is_changed = true
  if newer then count_state(tx, queue, newer, job.state == QUEUED and 'queued' or 'delayed', -1) end
  if job.state == QUEUED then
    if queue.queued > 0 then queue.queued = queue.queued - 1 end
    counts.queued = counts.queued - 1
  else
    unit.drop_timer(tx, DELAY_TIMER .. job.field)
    if queue.delayed > 0 then queue.delayed = queue.delayed - 1 end
    counts.delayed = counts.delayed - 1
  end
end

-- Take a live job out of its state. member: see leave_line.
local function leave_state(tx, queue, job, member)
  if job.state ~= LEASED then return leave_line(tx, queue, job, member) end
  unit.drop_timer(tx, LEASE_TIMER .. job.field)
  if queue.leased > 0 then queue.leased = queue.leased - 1 end
  tx.counters.leased = tx.counters.leased - 1
  queue.is_changed = true
  if job.newer then count_state(tx, queue, job.newer, 'leased', -1) end
  if job.flags >= job_record.PERMITTED then job_permits.settle(tx, job) end
end

-- Count a job that waits from now on, or, if due (µs) is later than now, one that is delayed until then. newer: its
-- rarely used fields, nil for none.
-- Returns its state and due time.
local function enter_line(tx, queue, field, newer, due)
  local counts, is_delayed = tx.counters, due and due > tx.now
  queue.is_changed = true
  if newer then count_state(tx, queue, newer, is_delayed and 'delayed' or 'queued', 1) end
  if is_delayed then
    queue.delayed, counts.delayed = queue.delayed + 1, counts.delayed + 1
    unit.put_timer(tx, DELAY_TIMER .. field, due)
    return DELAYED, due
  end
  queue.queued, counts.queued = queue.queued + 1, counts.queued + 1
  -- The job may leave earlier than those that windows hold back.
  if (queue.is_flagged or tx.settings) and lines.matter(tx, queue) then unit.move(tx, queue) end
  return QUEUED, tx.now
end

-- Let the sweep of expired jobs (expiry.lua) look at a queue when a job that waits from now on expires. newer: the
-- job's rarely used fields, nil for none.
function transitions.watch_expiry(tx, queue, newer)
  local at = job_record.expiry_in(newer)
  if not at then return end
  queue_limits.extend(queue)
  queue.is_changed = true
  if queue_life.note_expiry(queue, at) then unit.put_timer(tx, EXPIRY_TIMER .. queue.queue_id, at) end
end

-- Add a job that the store does not have to the end of its queue.
-- priority: its byte. rare_fields: see job_record.pack_rare; nil for none.
function transitions.add(tx, queue, field, priority, limit, due, payload, rare_fields)
  local state, due_at = enter_line(tx, queue, field, rare_fields, due)
  local counts, now = tx.counters, tx.now
  local seq = counts.seq + 1
  counts.seq, queue.active = seq, now
  if queue.is_purged then queue.is_purged = nil end
  if rare_fields then transitions.watch_expiry(tx, queue, rare_fields) end
  unit.put_job(tx, field,
    job_record.pack_new(state, priority, seq, limit, now, due_at, payload, rare_fields))
  local class = job_record.class_of(state, priority, rare_fields)
  unit.put_place(tx, job_record.new_member(queue.queue_id, class, seq, field))
end

-- Add a new job, and count it for the minute of its queue and of its type.
function transitions.enqueue(tx, queue, field, priority, limit, due, payload, rare_fields)
  local counts = tx.counters
  counts.enqueued, counts.minute_enqueued = counts.enqueued + 1, counts.minute_enqueued + 1
  if queue.minute ~= counts.minute then queue_record.turn_minute(queue, counts.minute) end
  queue.minute_enqueued = queue.minute_enqueued + 1
  transitions.add(tx, queue, field, priority, limit, due, payload, rare_fields)
end

-- Put a job into the line at its seq.
local function queue_up(tx, queue, job, due)
  if job.newer then transitions.watch_expiry(tx, queue, job.newer) end
  job.state, job.due = enter_line(tx, queue, job.field, job.newer, due)
  unit.put_job(tx, job.field, job_record.pack(job))
  unit.put_place(tx, job_record.member(job))
end

-- Queue a delayed job that is due.
function transitions.make_ready(tx, queue, job)
  leave_line(tx, queue, job)
  queue_up(tx, queue, job)
end

-- Lease a job until `due` under the token and with the flags in its record, or extend its lease. member: the member of
-- a job in its line, if it is known.
function transitions.lease(tx, queue, job, due, member)
  if job.state ~= LEASED then
    leave_line(tx, queue, job, member)
    queue.leased, tx.counters.leased = queue.leased + 1, tx.counters.leased + 1
    if job.newer then count_state(tx, queue, job.newer, 'leased', 1) end
  end
  job.state, job.due = LEASED, due
  unit.put_job(tx, job.field, job_record.pack(job))
  unit.put_timer(tx, LEASE_TIMER .. job.field, due)
end

-- Drop the record and the note of a job.
local function forget_job(tx, job)
  unit.drop_job(tx, job.field)
  if job.newer then notes.drop(tx, job) end
end

-- Return when a job may be leased again after a failed attempt (µs), or nil if no retry policy says so. The first
-- policy counts of those of the job, its queue and its gathered type.
local function retry_at(tx, queue, job)
  local settings = tx.settings
  local policy = job.newer and job_record.retry(job) or queue.retry or settings and settings.retry
  return policy and tx.now + retry_policy.wait(policy, job)
end

-- Let a job expire that left its state: it becomes a dead letter, or goes.
local function lapse(tx, queue, job)
  local counts = tx.counters
  tx.expired = (tx.expired or 0) + 1
  if job_record.is_dropped(job) then
    tx.dropped = (tx.dropped or 0) + 1
    counts.cancelled = counts.cancelled + 1
    batches.count(tx, job.queue_id, job.newer, 'cancelled', 1)
    tombstones.add_unfinished(tx, job, tombstones.EXPIRED)
    forget_job(tx, job)
  else
    counts.dead = counts.dead + 1
    batches.count(tx, job.queue_id, job.newer, 'dead', 1)
    job_record.mark(job, job_record.EXPIRED)
    unit.drop_job(tx, job.field)
    dead_letters.bury(tx, queue, job)
  end
end

-- Return true if a waiting job with these rarely used fields is not leased any more: it has expired, or its batch was
-- cancelled. newer: nil for none.
function transitions.is_over(tx, newer)
  if not newer then return false end
  local at = job_record.expiry_in(newer)
  return at ~= nil and tx.now >= at or batches.has_cancelled(tx, newer)
end

-- Forget a job that left its state because it was cancelled; a tombstone remembers it.
local function forget_cancelled(tx, job)
  tx.counters.cancelled = tx.counters.cancelled + 1
  if job.newer then batches.count(tx, job.queue_id, job.newer, 'cancelled', 1) end
  tombstones.add_unfinished(tx, job, tombstones.REMOVED)
  forget_job(tx, job)
end

-- Remove a waiting job that is over. It goes if its batch was cancelled; else it has expired. member: its member in its
-- line, if it is known.
function transitions.expire(tx, queue, job, member)
  leave_line(tx, queue, job, member)
  if batches.has_cancelled(tx, job.newer) then return forget_cancelled(tx, job) end
  lapse(tx, queue, job)
end

-- Let plain jobs (job_record.plain_expiry) of a queue expire, as `expire` does: those of fields[first] to fields[last].
-- This costs much less, because their records are neither unpacked nor packed. records, members: theirs by the same
-- indices. The members are all that the line has between the first and the last of them. are_dropped: true if they go,
-- false if they become dead letters.
function transitions.expire_row(tx, queue, fields, records, members, first, last, are_dropped)
  local counts, count = tx.counters, last - first + 1
  queue.is_changed, tx.expired = true, (tx.expired or 0) + count
  queue.queued = queue.queued > count and queue.queued - count or 0
  counts.queued = counts.queued - count
  unit.drop_row(tx, members, first, last)
  unit.drop_jobs(tx, fields, first, last)
  if are_dropped then
    tx.dropped = (tx.dropped or 0) + count
    counts.cancelled = counts.cancelled + count
    tombstones.add_row(tx, fields, records, first, last)
  else
    counts.dead = counts.dead + count
    dead_letters.bury_row(tx, queue, fields, records, first, last)
  end
end

-- End a lease. The job goes if its queue was deleted meanwhile or its batch cancelled, becomes a dead letter past its
-- requeue limit, expires, or returns to its place.
-- due: when it may be leased again (µs); nil: at once. has_failed: if there is a retry policy, it decides instead.
function transitions.end_lease(tx, queue, job, due, has_failed)
  leave_state(tx, queue, job)
  local counts = tx.counters
  if queue.fence and job.seq < queue.fence then
    counts.cancelled = counts.cancelled + 1
    if job.newer then batches.count(tx, job.queue_id, job.newer, 'cancelled', 1) end
    tombstones.add_unfinished(tx, job, tombstones.CANCELLED)
    forget_job(tx, job)
  elseif job.newer and batches.has_cancelled(tx, job.newer) then
    forget_cancelled(tx, job)
  elseif job.limit >= 0 and job.attempt > job.limit then
    counts.dead = counts.dead + 1
    tx.died = (tx.died or 0) + 1
    if job.newer then batches.count(tx, job.queue_id, job.newer, 'dead', 1) end
    unit.drop_job(tx, job.field)
    dead_letters.bury(tx, queue, job)
  elseif job.newer and job_record.is_expired(job, tx.now) then
    lapse(tx, queue, job)
  else
    queue_up(tx, queue, job, has_failed and retry_at(tx, queue, job) or due)
  end
end

-- Forget a finished job; a tombstone remembers it.
function transitions.finish(tx, queue, job)
  leave_state(tx, queue, job)
  tx.counters.finished = tx.counters.finished + 1
  if job.newer then batches.count(tx, job.queue_id, job.newer, 'finished', 1) end
  tombstones.add(tx, job, tombstones.FINISHED)
  forget_job(tx, job)
end

-- Cancel a live job; a tombstone remembers it. member: the member of a waiting job in its line, if it is known.
function transitions.cancel(tx, queue, job, member)
  leave_state(tx, queue, job, member)
  forget_cancelled(tx, job)
end

-- Put a waiting job with new values into the line. member: the old one. due: when it may be leased (µs), which gives it
-- a new place at the end; nil: it keeps its place and its time.
function transitions.change(tx, queue, job, member, due)
  local queued_since = not due and job.state == QUEUED and job.due or nil
  if job.newer then transitions.watch_expiry(tx, queue, job.newer) end
  leave_line(tx, queue, job, member)
  if due then
    tx.counters.seq = tx.counters.seq + 1
    job.seq = tx.counters.seq
  end
  job.state, job.due = enter_line(tx, queue, job.field, job.newer, due or not queued_since and job.due)
  job.due = queued_since or job.due
  unit.put_job(tx, job.field, job_record.pack(job))
  unit.put_place(tx, job_record.member(job))
end

-- Remove the record and the place of a waiting job that its queue's fence deleted. The deletion has counted the job
-- already, except for its batch.
function transitions.clear_deleted(tx, job)
  unit.drop_place(tx, job_record.member(job))
  if job.newer then
    batches.count(tx, job.queue_id, job.newer, job.state == DELAYED and 'delayed' or 'queued', -1)
    batches.count(tx, job.queue_id, job.newer, 'cancelled', 1)
  end
  if job.state == DELAYED then unit.drop_timer(tx, DELAY_TIMER .. job.field) end
  if job.attempt > 0 or job.token then tombstones.add_unfinished(tx, job, tombstones.CANCELLED) end
  forget_job(tx, job)
end
