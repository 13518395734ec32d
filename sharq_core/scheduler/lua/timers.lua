-- Timers that are due.
--
-- timers:<type>  kind and id -> when, µs
--   LEASE_TIMER    queue_id:job_id   the lease ends
--   DELAY_TIMER    queue_id:job_id   the delayed job may be leased
--   IDLE_TIMER     queue_id          an idle queue may be forgotten
--   EXPIRY_TIMER   queue_id          a waiting job may have expired
--   SWEEP_TIMER    queue_id          jobs of a deleted queue are still to be removed
--   LETTERS_TIMER                    the oldest dead letter is past its retention
--   BATCH_TIMER    number (4 bytes)  a batch may be forgotten
--   SETTLE_TIMER   permits           a lease with these permits ended (job_permits.lua)
--
-- Uses: shortcuts, timer_kinds, job_record, queue_record, batches, dead_letters, unit, transitions, expiry, sweep

local timers = {
  LATER_US = 1000000,  -- when permits are named again to a caller that cannot decode them
}

do -- the functions below are private to this file

-- Return the job of a timer, or nil.
local function job_of(tx, field)
  return unit.job(tx, sub(field, 1, string.find(field, ':', 1, true) - 1), field)
end

-- Set a timer that had nothing to do to another time (µs), or drop it if that is false.
local function reset(tx, timer, at)
  if at then unit.put_timer(tx, timer, at) else unit.drop_timer(tx, timer) end
end

local function end_lease(tx, field, timer)
  local job = job_of(tx, field)
  if job and job.state == LEASED and job.due <= tx.now then
    transitions.end_lease(tx, unit.queue(tx, job.queue_id) or unit.new_queue(tx, job.queue_id), job, nil, true)
  else
    reset(tx, timer, job and job.state == LEASED and job.due)
  end
end

local function end_delay(tx, field, timer)
  local job = job_of(tx, field)
  if not job or job.state ~= DELAYED or job.due > tx.now then
    reset(tx, timer, job and job.state == DELAYED and job.due)
    return
  end
  local queue = unit.queue(tx, job.queue_id) or unit.new_queue(tx, job.queue_id)
  if unit.is_deleted(queue, job) then
    transitions.clear_deleted(tx, job)
  elseif transitions.is_over(tx, job.newer) then
    transitions.expire(tx, queue, job)
  else
    transitions.make_ready(tx, queue, job)
  end
end

-- Drop the record of a queue that counts as forgotten, and its timers. The record must not outlive its EXPIRY_TIMER: if
-- the partition's time is taken back, the queue may count as known again.
local function drop_forgotten(tx, queue_id)
  unit.end_lapsed(tx, queue_id)
  call('HDEL', tx.keys[KEY.queues], queue_id)
  unit.drop_timer(tx, IDLE_TIMER .. queue_id)
  unit.drop_timer(tx, EXPIRY_TIMER .. queue_id)
end

local function forget_idle_queue(tx, queue_id, timer)
  local queue = unit.queue(tx, queue_id)
  if queue then
    queue.timer = queue_record.is_idle(queue) and queue_record.forget_at(queue) or 0
    queue.is_changed = true
    reset(tx, timer, queue.timer > 0 and queue.timer)
  else
    drop_forgotten(tx, queue_id)
  end
end

-- Walks share the limit of one call with the sweeps of deleted queues. A walk that goes on uses up the limit, because
-- the reaper takes a call that did less for the last one. A dequeue removes the expired jobs that it meets, and leaves
-- the walks to the reaper.
local function remove_expired(tx, queue_id, timer, limits)
  if not limits.dead_retention then return limits.is_crowded and reset(tx, timer, tx.now) end
  local is_untouched = tx.queues[queue_id] == nil
  local queue = unit.queue(tx, queue_id)
  if not queue then return drop_forgotten(tx, queue_id) end
  local from = queue.expires_from
  if not from or from > tx.now then return reset(tx, timer, from) end
  if limits.swept >= limits.jobs or unit.is_spent(tx, 1) then
    limits.swept = math.max(limits.swept, limits.jobs)
    return reset(tx, timer, tx.now)
  end
  if not is_untouched then
    -- Earlier timers of the call may have changed the queue, and the walk reads its line in the store. They may also
    -- have ended the last job of a queue that nobody used for long, or that was purged: then it is gone.
    unit.go_on(tx)
    queue = unit.queue(tx, queue_id)
    if not queue then return drop_forgotten(tx, queue_id) end
  end
  local count, at = expiry.walk(tx, queue, (limits.jobs - limits.swept) * expiry.PER_TIMER)
  limits.swept = queue.walk and limits.jobs or limits.swept + math.ceil(count / expiry.PER_TIMER)
  reset(tx, timer, at)
end

-- Deleted queues share the limit of one call. A queue with jobs left moves behind the timers that are due, so that it
-- does not block them.
local function sweep_deleted_queue(tx, queue_id, timer, limits)
  local queue = unit.queue(tx, queue_id)
  if queue then limits.swept = limits.swept + sweep.run(tx, queue, limits.jobs - limits.swept) end
  reset(tx, timer, queue and queue.is_unswept and tx.now)
end

local function drop_dead_letters(tx, _, timer, limits)
  if not limits.dead_retention then return end
  dead_letters.drop(tx, '-inf', tx.now - limits.dead_retention, limits.jobs)
  local oldest = call('ZRANGE', tx.keys[KEY.dead], 0, 0, 'WITHSCORES')[2]
  reset(tx, timer, oldest and tonumber(oldest) + limits.dead_retention)
end

-- Name a batch that may be forgotten to the caller, which asks the other partitions first. Until it has done so, it is
-- named again each time that its retention has passed.
local function end_batch(tx, number, timer, limits)
  local batch = batches.get(tx, (unpack_bytes(job_record.BATCH_FORMAT, number)))
  local at = batch and batches.forget_at(tx, batch)
  if not at or at > tx.now then return reset(tx, timer, at) end
  local ended = limits.ended
  if not ended then return reset(tx, timer, tx.now + batches.ASK_AGAIN) end
  ended[#ended + 1] = batch.id
  reset(tx, timer, tx.now + math.max(batch.retention, batches.ASK_AGAIN))
end

-- Name the permits of a lease that ended to the caller, which gives them back. A dequeue cannot do that, and leaves
-- them behind the other due timers.
local function name_permits(tx, raw, timer, limits)
  local settled = limits.settled
  if not settled then return reset(tx, timer, limits.dead_retention and tx.now + timers.LATER_US or tx.now) end
  settled[#settled + 1] = raw
  reset(tx, timer, false)
end

timers.HANDLERS = {
  [LEASE_TIMER] = end_lease,
  [DELAY_TIMER] = end_delay,
  [IDLE_TIMER] = forget_idle_queue,
  [EXPIRY_TIMER] = remove_expired,
  [SWEEP_TIMER] = sweep_deleted_queue,
  [LETTERS_TIMER] = drop_dead_letters,
  [BATCH_TIMER] = end_batch,
  [SETTLE_TIMER] = name_permits,
}

-- Run up to `limit` due timers. All kinds count, because the kinds in front would otherwise hide those behind them. A
-- dequeue does not know the retention of dead letters (µs) and leaves that timer alone. ended: a list that gets the ids
-- of batches that may be forgotten; nil if the caller cannot ask about them. settled: the same for the permits of
-- leases that ended.
-- Returns the number of timers run, plus the numbers of deleted jobs removed and of jobs that walks looked at.
function timers.run(tx, limit, dead_retention, ended, settled)
  local due = call('ZRANGE', tx.keys[KEY.timers], '-inf', tx.now, 'BYSCORE', 'LIMIT', 0, limit)
  local limits = {jobs = limit, swept = 0, dead_retention = dead_retention, ended = ended,
    settled = settled, is_crowded = #due == limit}
  for _, timer in ipairs(due) do
    local handler = timers.HANDLERS[sub(timer, 1, 1)]
    if handler then handler(tx, sub(timer, 2), timer, limits) end
  end
  return #due + limits.swept
end

end
