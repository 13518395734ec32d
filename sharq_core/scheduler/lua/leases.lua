-- The job that a lease token acts on.
--
-- Uses: job_record, tombstones, dead_letters, unit

local leases = {DONE = 0, NOT_FOUND = 1, LOST = 2}

-- Return true if this lease released the job, which was then deleted or became a dead letter.
local function was_released(job, token)
  return job and job.token == token and job_record.has(job, job_record.RELEASED)
end

-- Return the status of a token that acts on no live job.
-- job: a live job with another lease, a deleted job, or nil.
local function gone(tx, queue_id, field, job, is_deleted, token, verb, retention, dead_retention)
  local is_lost = job and (not is_deleted or job.attempt > 0 or job.token)
  local tombstone = tombstones.find(tx, field, retention)
  if tombstone and tombstone.kind == tombstones.FINISHED and tombstone.token == token then
    if verb == 'finish' then return leases.DONE end
    return is_lost and leases.LOST or leases.NOT_FOUND
  end
  local dead_letter = dead_letters.find(tx, queue_id, field, dead_retention)
  if verb == 'release' and (was_released(dead_letter, token) or (is_deleted and was_released(job, token))
    or (tombstone and tombstones.was_released(tombstone) and tombstone.token == token)) then
    return leases.DONE
  end
  return (tombstone or dead_letter or is_lost) and leases.LOST or leases.NOT_FOUND
end

-- Return the job that a lease may act on, and its queue. Otherwise return nil, nil and a status: DONE if this lease did
-- it already, LOST if the job has another lease, is dead or was deleted, else NOT_FOUND. An empty token means the live
-- lease, whoever holds it. Retentions are in µs.
function leases.find(tx, queue_id, field, token, verb, retention, dead_retention)
  local raw = tx.records[field]
  local job = raw and job_record.unpack(queue_id, field, raw)
  local queue = job and (tx.queues[queue_id] or unit.new_queue(tx, queue_id))
  if token == '' then
    if job and job.state == LEASED then return job, queue end
    return nil, nil, leases.NOT_FOUND
  end
  local is_deleted = job and queue.fence and unit.is_deleted(queue, job)
  if job and job.token == token and not is_deleted then return job, queue end
  return nil, nil, gone(tx, queue_id, field, job, is_deleted, token, verb, retention, dead_retention)
end
