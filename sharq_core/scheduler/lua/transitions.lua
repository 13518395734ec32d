-- The moves of a job from state to state: the job's record, its place, its timer, its queue's counts and the totals
-- change together here and nowhere else. lua/README.md draws them.

local transitions = {}

local STATE_TOTAL = {'queued', 'delayed', 'leased'}

-- Takes a live job out of its state. A deleted one is counted as cancelled already. member: the job's, if it is known.
function transitions.leave(own, queue, job, member)
  local state = job.state
  if state == job_record.LEASED then
    own.timers['L' .. job.field] = false
  else
    own.members[member or job_record.member(job)] = false
    if state == job_record.DELAYED then own.timers['D' .. job.field] = false end
  end
  if queue and not unit.is_deleted(queue, job) then
    local name = STATE_TOTAL[state]
    local count = queue[name]
    if count > 0 then queue[name] = count - 1 end
    counters.move(own, name)
    queue.is_changed = true
  end
end

local function enter(own, queue, job, state, due)
  job.state, job.due, job.is_changed = state, due, true
  own.jobs[job.field] = job
  local name = STATE_TOTAL[state]
  queue[name], queue.is_changed = queue[name] + 1, true
  counters.move(own, nil, name)
end

-- Puts a job in its place by its seq; with due (µs) after now it waits apart until then.
function transitions.queue_up(own, queue, job, due)
  if due and due > own.now then
    enter(own, queue, job, job_record.DELAYED, due)
    own.timers['D' .. job.field] = due
  else
    enter(own, queue, job, job_record.QUEUED, own.now)
  end
  own.members[job_record.member(job)] = 0
end

-- Into a worker's hands until `due`, under the job's token. member: the job's, if it is known.
function transitions.lease(own, queue, job, due, member)
  transitions.leave(own, queue, job, member)
  job.flags = 0
  enter(own, queue, job, job_record.LEASED, due)
  own.timers['L' .. job.field] = due
end

-- The lease ended: back to its place, or dead, or gone when the queue was deleted meanwhile.
function transitions.end_lease(own, queue, job, due)
  transitions.leave(own, queue, job)
  if job.seq < queue.fence then
    counters.move(own, nil, 'cancelled')
    tombstones.add_deleted(own, job)
    unit.drop_job(own, job)
  elseif job.limit >= 0 and job.attempt > job.limit then
    counters.move(own, nil, 'dead')
    unit.drop_job(own, job)
    dead_letters.bury(own, queue, job)
  else
    transitions.queue_up(own, queue, job, due)
  end
end

function transitions.finish(own, queue, job)
  transitions.leave(own, queue, job)
  counters.move(own, nil, 'finished')
  tombstones.add(own, job, tombstones.FINISHED)
  unit.drop_job(own, job)
end

-- Removes a job that its queue's fence deleted: it is counted already, its record goes now.
function transitions.clear_deleted(own, queue, job)
  transitions.leave(own, queue, job)
  if job.attempt > 0 then tombstones.add_deleted(own, job) end
  unit.drop_job(own, job)
end
