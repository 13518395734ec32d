-- Which job a lease token acts on.

local leases = {DONE = 0, NOT_FOUND = 1, LOST = 2}

-- What a token that acts on no live job means.
local function gone(own, queue_id, job_id, token, verb, retention, dead_retention)
  local stone = tombstones.find(own, queue_id, job_id, retention)
  if stone and stone.kind == tombstones.FINISHED and stone.token == token then
    return verb == 'finish' and leases.DONE or leases.NOT_FOUND
  end
  local letter = dead_letters.find(own, queue_id, job_id, dead_retention)
  if letter and letter.token == token and letter.flags == job_record.RELEASED and verb == 'release' then
    return leases.DONE
  end
  return (stone or letter) and leases.LOST or leases.NOT_FOUND
end

-- The job and its queue that a lease may act on; or nil and a status: DONE when this lease did it already, LOST when
-- the job has another lease, is dead or deleted, NOT_FOUND else. An empty token means the live lease, whoever holds it.
function leases.find(own, queue_id, job_id, token, verb, retention, dead_retention)
  local job = unit.job(own, queue_id, job_id)
  local queue = job and unit.queue(own, queue_id)
  local is_deleted = job and unit.is_deleted(queue, job)
  if token == '' then
    if job and job.state == job_record.LEASED then return job, queue end
    return nil, leases.NOT_FOUND
  end
  if job and not is_deleted and job.token == token then return job, queue end
  local status = gone(own, queue_id, job_id, token, verb, retention, dead_retention)
  if job and status == leases.NOT_FOUND then status = leases.LOST end
  return nil, status
end
