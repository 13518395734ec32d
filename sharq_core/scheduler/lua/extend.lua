-- extend: move the end of a lease to a later or earlier time. A job that waits again under its newest lease is leased
-- again, unless it has expired, its batch was cancelled, windows hold it back, or its queue or its type has all the
-- leases that it may have: then the lease is lost. So it is if the lease had permits of caps (job_permits.lua). A lease
-- that has permits is extended only by a caller that has renewed them.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs notes parked capsets
-- Args: now, type, terms (unit.TERMS; a call after not_after is done as of that time),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n tokens ('' for the live lease), n durations from
--       now (µs), and, if the byte after the terms has a bit of 3, n reports of progress (JSON; '' for none). If it has
--       RENEWED, the number of changes of the partition's time that the caller knows (8 bytes) follows it
-- Reply: {0, now, ready hint, timer hint, then for each job: status, new end (µs) or 0; then, if leases have permits
--        that must be renewed first, one text: for each such job PERMITS, and the permits}
--        {1, now, -1, -1} if a call with RENEWED came after not_after, or if the shift of the partition's time has
--        changed since the caller's reading of it: nothing was done
-- Statuses: 0 done, 1 not found, 2 lost; 1 and 2 changed nothing
-- Cost: O(log n) a job
--
-- Uses: shortcuts, clock, job_record, notes, queue_limits, lines, counters, unit, transitions, leases

local extend = {
  PROGRESS = 3, RENEWED = 4,  -- bits of the byte after the terms
  NUMBER = '>i8',
  PERMITS = '>I2I2',  -- index of the job from 0, length of the permits
}

-- Take a released job back under its lease, which counts again. A cost is corrected once for each lease.
local function take_back(job)
  if job_record.has(job, job_record.UNCOUNTED) then job.attempt = job.attempt + 1 end
  job.flags = job_record.lasting_flags(job)
    + (job_record.has(job, job_record.CORRECTED) and job_record.CORRECTED or 0)
    + (job_record.has(job, job_record.PERMITTED) and job_record.PERMITTED or 0)
end

local function extend_one(tx, queue_id, field, token, by, progress, is_renewed, retention, dead_retention)
  local job, queue, status = leases.find(tx, queue_id, field, token, 'extend', retention, dead_retention)
  if not job then return status, 0 end
  if not is_renewed and job_record.has(job, job_record.PERMITTED) then
    return leases.LOST, 0, notes.permits(tx, job)
  end
  if job.state ~= LEASED and (job_record.has(job, job_record.SETTLED) or queue_limits.is_full(queue)
    or counters.is_full(tx) or transitions.is_over(tx, job.newer) or lines.hold_back(tx, queue, job.newer)) then
    return leases.LOST, 0
  end
  if job.flags > 0 then take_back(job) end
  if progress and progress ~= '' then notes.set_progress(tx, job, progress) end
  transitions.lease(tx, queue, job, tx.now + by)
  unit.touch(tx, queue)
  return leases.DONE, clock.shown(tx, job.due)
end

function extend.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local marks = string.byte(args[first], unit.TERMS_LENGTH + 1) or 0
  local has_progress, is_renewed, permit_entries = marks % extend.RENEWED > 0, marks >= extend.RENEWED, ''
  local first_id, count = first + 1, (length - 1) / (has_progress and 5 or 4)
  if not counters.open(tx, not_after, not is_renewed) then return unit.expired(tx) end
  if is_renewed and clock.number(tx) ~= unpack_bytes(extend.NUMBER, args[first], unit.TERMS_LENGTH + 2) then
    return unit.expired(tx)
  end
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  local reply = unit.reply(tx)
  for at = first_id, first + count do
    local status, due, permits_of = extend_one(tx, args[at], args[at + count], args[at + 2 * count],
      tonumber(args[at + 3 * count]), has_progress and args[at + 4 * count], is_renewed, retention, dead_retention)
    if permits_of then
      permit_entries = permit_entries .. pack_bytes(extend.PERMITS, at - first_id, #permits_of) .. permits_of
    end
    local last = #reply
    reply[last + 1], reply[last + 2] = status, due
  end
  if permit_entries ~= '' then reply[#reply + 1] = permit_entries end
  return unit.close(tx, reply)
end
