-- The moves of a job from state to state: the job's record, its place, its timer, its queue's counts and the totals
-- change together here and nowhere else. lua/README.md draws them.

local transitions = {}

-- Takes a waiting job out of its line. member: the job's, if it is known.
local function leave_line(own, queue, job, member)
  local counts = own.counters
  unit.drop_place(own, member or job_record.member(job))
  queue.is_changed = true
  if job.state == QUEUED then
    if queue.queued > 0 then queue.queued = queue.queued - 1 end
    counts.queued = counts.queued - 1
  else
    unit.drop_timer(own, 'D' .. job.field)
    if queue.delayed > 0 then queue.delayed = queue.delayed - 1 end
    counts.delayed = counts.delayed - 1
  end
end

-- Takes a live job out of its state.
local function leave(own, queue, job)
  if job.state ~= LEASED then return leave_line(own, queue, job) end
  unit.drop_timer(own, 'L' .. job.field)
  if queue.leased > 0 then queue.leased = queue.leased - 1 end
  own.counters.leased = own.counters.leased - 1
  queue.is_changed = true
end

-- Counts a job that waits from now on; with due (µs) after now apart, until then. Returns its state, due time and lane.
local function enter_line(own, queue, field, due)
  local counts = own.counters
  queue.is_changed = true
  if due and due > own.now then
    queue.delayed, counts.delayed = queue.delayed + 1, counts.delayed + 1
    unit.put_timer(own, 'D' .. field, due)
    return DELAYED, due, job_record.DELAYED_LANE
  end
  queue.queued, counts.queued = queue.queued + 1, counts.queued + 1
  return QUEUED, own.now, job_record.PRIORITY_LANE
end

-- Puts a job that the store does not have at the end of its queue.
function transitions.add(own, queue, field, limit, due, payload)
  local state, due_at, lane = enter_line(own, queue, field, due)
  local counts, now = own.counters, own.now
  local seq = counts.seq + 1
  counts.seq, queue.active = seq, now
  if queue.is_purged then queue.is_purged = nil end
  unit.put_job(own, field, job_record.pack_new(state, seq, limit, now, due_at, payload))
  unit.put_place(own, job_record.new_member(queue.queue_id, lane, seq, field))
end

-- A new job: it counts for its queue's and its partition's minute.
function transitions.enqueue(own, queue, field, limit, due, payload)
  local counts = own.counters
  counts.enqueued, counts.enqueued_now = counts.enqueued + 1, counts.enqueued_now + 1
  if queue.minute ~= counts.minute then queue_record.turn_minute(queue, counts.minute) end
  queue.enqueued = queue.enqueued + 1
  transitions.add(own, queue, field, limit, due, payload)
end

-- Puts a job in its place by its seq.
local function queue_up(own, queue, job, due)
  job.state, job.due = enter_line(own, queue, job.field, due)
  unit.put_job(own, job.field, job_record.pack(job))
  unit.put_place(own, job_record.member(job))
end

-- A delayed job is due.
function transitions.make_ready(own, queue, job)
  leave_line(own, queue, job)
  queue_up(own, queue, job)
end

-- Into a worker's hands until `due`, under the job's token. member: of a job in its line, if it is known.
function transitions.lease(own, queue, job, due, member)
  if job.state ~= LEASED then
    leave_line(own, queue, job, member)
    queue.leased, own.counters.leased = queue.leased + 1, own.counters.leased + 1
  end
  job.state, job.flags, job.due = LEASED, 0, due
  unit.put_job(own, job.field, job_record.pack(job))
  unit.put_timer(own, 'L' .. job.field, due)
end

-- The lease ended: back to its place, or dead, or gone when the queue was deleted meanwhile.
function transitions.end_lease(own, queue, job, due)
  leave(own, queue, job)
  local counts = own.counters
  if queue.fence and job.seq < queue.fence then
    counts.cancelled = counts.cancelled + 1
    tombstones.add_deleted(own, job)
    unit.drop_job(own, job.field)
  elseif job.limit >= 0 and job.attempt > job.limit then
    counts.dead = counts.dead + 1
    unit.drop_job(own, job.field)
    dead_letters.bury(own, queue, job)
  else
    queue_up(own, queue, job, due)
  end
end

function transitions.finish(own, queue, job)
  leave(own, queue, job)
  own.counters.finished = own.counters.finished + 1
  tombstones.add(own, job, tombstones.FINISHED)
  unit.drop_job(own, job.field)
end

-- Removes a waiting job that its queue's fence deleted: it is counted already, its record and its place go now.
function transitions.clear_deleted(own, job)
  unit.drop_place(own, job_record.member(job))
  if job.state == DELAYED then unit.drop_timer(own, 'D' .. job.field) end
  if job.attempt > 0 then tombstones.add_deleted(own, job) end
  unit.drop_job(own, job.field)
end
