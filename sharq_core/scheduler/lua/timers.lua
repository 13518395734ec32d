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
  local colon = string.find(field, ':', 1, true)
  return unit.job(own, string.sub(field, 1, colon - 1), string.sub(field, colon + 1))
end

function timers.handlers.L(own, field, timer)
  local job = job_of(own, field)
  if job and job.state == job_record.LEASED and job.due <= own.now then
    transitions.end_lease(own, unit.queue(own, job.queue_id) or unit.new_queue(own, job.queue_id), job)
  else
    own.timers[timer] = job and job.state == job_record.LEASED and job.due or false
  end
end

function timers.handlers.D(own, field, timer)
  local job = job_of(own, field)
  if not job or job.state ~= job_record.DELAYED or job.due > own.now then
    own.timers[timer] = job and job.state == job_record.DELAYED and job.due or false
    return
  end
  local queue = unit.queue(own, job.queue_id) or unit.new_queue(own, job.queue_id)
  if unit.is_deleted(queue, job) then
    transitions.clear_deleted(own, queue, job)
  else
    transitions.leave(own, queue, job)
    transitions.queue_up(own, queue, job)
  end
end

local reaper_only = {}

function reaper_only.Q(own, queue_id, timer)
  local queue = unit.queue(own, queue_id)
  if queue then
    own.timers[timer] = queue_record.is_idle(queue) and queue_record.forget_at(queue)
  else
    redis.call('HDEL', own.keys.queues, queue_id)
    own.timers[timer] = false
  end
end

function reaper_only.F(own, queue_id, timer, settings)
  local queue = unit.queue(own, queue_id)
  if not queue or sweep.run(own, queue, settings.limit) then own.timers[timer] = false end
end

function reaper_only.X(own, _, timer, settings)
  dead_letters.drop(own, own.now - settings.dead_retention, settings.limit)
  local oldest = redis.call('ZRANGE', own.keys.dead, 0, 0, 'WITHSCORES')[2]
  own.timers[timer] = oldest and tonumber(oldest) + settings.dead_retention or false
end

-- Runs up to limit due timers. settings nil: only those that make jobs ready, as a dequeue may.
-- Returns how many it handled.
function timers.run(own, limit, settings)
  local due = redis.call('ZRANGE', own.keys.timers, '-inf', string.format('%.0f', own.now), 'BYSCORE', 'LIMIT', 0, limit)
  local handled = 0
  for _, timer in ipairs(due) do
    local kind = string.sub(timer, 1, 1)
    local handler = timers.handlers[kind] or (settings and reaper_only[kind])
    if handler then
      handler(own, string.sub(timer, 2), timer, settings)
      handled = handled + 1
    end
  end
  return handled
end
