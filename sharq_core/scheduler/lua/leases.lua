-- Which job a lease token acts on.

local leases = {DONE = 0, NOT_FOUND = 1, LOST = 2}

-- True when this lease gave the job back, which is a dead letter now or was deleted.
local function was_released(job, token)
  return job and job.token == token and job.flags == job_record.RELEASED
end

-- What a token that acts on no live job means; job: a live one with another lease, or a deleted one, or nil.
local function gone(own, queue_id, field, job, is_deleted, token, verb, retention, dead_retention)
  local is_lost = job and (not is_deleted or job.attempt > 0)
  local stone = tombstones.find(own, field, retention)
  if stone and stone.kind == tombstones.FINISHED and stone.token == token then
    if verb == 'finish' then return leases.DONE end
    return is_lost and leases.LOST or leases.NOT_FOUND
  end
  local letter = dead_letters.find(own, queue_id, field, dead_retention)
  if verb == 'release' and (was_released(letter, token) or (is_deleted and was_released(job, token))
    or (stone and stone.kind == tombstones.RELEASED and stone.token == token)) then
    return leases.DONE
  end
  return (stone or letter or is_lost) and leases.LOST or leases.NOT_FOUND
end

-- The job and its queue that a lease may act on; or nil and a status: DONE when this lease did it already, LOST when
-- the job has another lease, is dead or deleted, NOT_FOUND else. An empty token means the live lease, whoever holds it.
function leases.find(own, queue_id, field, token, verb, retention, dead_retention)
  local raw = own.records[field]
  local job = raw and job_record.unpack(queue_id, field, raw)
  local queue = job and (own.queues[queue_id] or unit.new_queue(own, queue_id))
  if token == '' then
    if job and job.state == LEASED then return job, queue end
    return nil, leases.NOT_FOUND
  end
  local is_deleted = job and queue.fence and unit.is_deleted(queue, job)
  if job and job.token == token and not is_deleted then return job, queue end
  return nil, gone(own, queue_id, field, job, is_deleted, token, verb, retention, dead_retention)
end
