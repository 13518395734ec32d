-- What is due by the clock.
--
-- timers:<type>  kind and id -> when, µs
--   L queue_id:job_id   the lease ends
--   D queue_id:job_id   the delayed job may be leased
--   Q queue_id          an idle queue may be forgotten
--   F queue_id          a deleted queue's jobs are still to be removed
--   X                   the oldest dead letter is past its retention

local timers = {handlers = {}}

local function job_of(own, field)
  return unit.job(own, sub(field, 1, string.find(field, ':', 1, true) - 1), field)
end

-- A timer that found nothing to do comes again at a time (µs), or, when that is false, goes.
local function reset(own, timer, at)
  if at then unit.put_timer(own, timer, at) else unit.drop_timer(own, timer) end
end

function timers.handlers.L(own, field, timer)
  local job = job_of(own, field)
  if job and job.state == LEASED and job.due <= own.now then
    transitions.end_lease(own, unit.queue(own, job.queue_id) or unit.new_queue(own, job.queue_id), job)
  else
    reset(own, timer, job and job.state == LEASED and job.due)
  end
end

function timers.handlers.D(own, field, timer)
  local job = job_of(own, field)
  if not job or job.state ~= DELAYED or job.due > own.now then
    reset(own, timer, job and job.state == DELAYED and job.due)
    return
  end
  local queue = unit.queue(own, job.queue_id) or unit.new_queue(own, job.queue_id)
  if unit.is_deleted(queue, job) then
    transitions.clear_deleted(own, job)
  else
    transitions.make_ready(own, queue, job)
  end
end

function timers.handlers.Q(own, queue_id, timer)
  local queue = unit.queue(own, queue_id)
  if queue then
    queue.timer = queue_record.is_idle(queue) and queue_record.forget_at(queue) or 0
    queue.is_changed = true
    reset(own, timer, queue.timer > 0 and queue.timer)
  else
    call('HDEL', own.keys[KEY.queues], queue_id)
    unit.drop_timer(own, timer)
  end
end

-- Deleted queues share the bound of one call, and one that has more left goes behind the timers that are due.
function timers.handlers.F(own, queue_id, timer, limits)
  local queue = unit.queue(own, queue_id)
  if queue then limits.swept = limits.swept + sweep.run(own, queue, limits.jobs - limits.swept) end
  reset(own, timer, queue and queue.is_unswept and own.now)
end

function timers.handlers.X(own, _, timer, limits)
  if not limits.dead_retention then return end
  dead_letters.drop(own, '-inf', own.now - limits.dead_retention, limits.jobs)
  local oldest = call('ZRANGE', own.keys[KEY.dead], 0, 0, 'WITHSCORES')[2]
  reset(own, timer, oldest and tonumber(oldest) + limits.dead_retention)
end

-- Runs up to limit due timers, of all kinds, or those in front would hide those behind. A dequeue does not know the
-- retention of dead letters (µs) and leaves that one timer. Returns how many timers ran and deleted jobs went.
function timers.run(own, limit, dead_retention)
  local due = call('ZRANGE', own.keys[KEY.timers], '-inf', own.now, 'BYSCORE', 'LIMIT', 0, limit)
  local limits = {jobs = limit, swept = 0, dead_retention = dead_retention}
  for _, timer in ipairs(due) do
    local handler = timers.handlers[sub(timer, 1, 1)]
    if handler then handler(own, sub(timer, 2), timer, limits) end
  end
  return #due + limits.swept
end
