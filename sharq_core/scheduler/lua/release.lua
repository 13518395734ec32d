-- release: give back unfinished jobs. A job keeps its place, and becomes a dead letter at once past its requeue limit.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts notes parked capsets
-- Args: now, type, terms (unit.TERMS),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n tokens ('' for the live lease), n delays (µs; 'r'
--       before it: only if the attempt does not count, or if neither the job, its queue nor its type has a retry
--       policy), n flags: 1 if nobody received the lease, so that its attempt does not count, plus 2 if the caller can
--       decode the numbers of expired jobs, and, if a byte follows the terms, n reports (reports.lua; '' for none)
-- Reply: {0, now, ready hint, timer hint, then for each job: status; then, if jobs expired and the caller can decode
--        it, their number and that of those that were dropped; then corrections, as finish}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done (also if the job waits again already; then only the report counts, once), 1 not found, 2 lost,
--           3 done and now a dead letter; 1 and 2 changed nothing
-- Cost: O(log n) a job
--
-- Uses: shortcuts, job_record, counters, unit, transitions, reports, leases

local release = {DIED = 3}

-- Note that the worker of a job released it, and what it reports of it. Returns true if the attempt counts.
local function give_back(tx, queue, job, report)
  job_record.mark(job, job_record.RELEASED)
  if not report or report == '' or reports.apply(tx, queue, job, report) then return true end
  job.attempt = job.attempt - 1
  job_record.mark(job, job_record.UNCOUNTED)
  return false
end

-- Take the report of a job that waits again because its lease ended by time. The job keeps its place.
local function report_late(tx, queue, job, report)
  if not report or report == '' or job_record.has(job, job_record.RELEASED) then return end
  give_back(tx, queue, job, report)
  unit.put_job(tx, job.field, job_record.pack(job))
  unit.touch(tx, queue)
end

local function release_one(tx, queue_id, field, token, delay, is_void, report, retention, dead_retention)
  local job, queue, status = leases.find(tx, queue_id, field, token, 'release', retention, dead_retention)
  if not job then return status end
  if job.state ~= LEASED then
    report_late(tx, queue, job, report)
    return leases.DONE
  end
  local has_failed = false
  if is_void then
    local is_permitted = job_record.has(job, job_record.PERMITTED)
    job.attempt, job.token, job.flags = job.attempt - 1, nil, job_record.lasting_flags(job)
    if is_permitted then job_record.mark(job, job_record.PERMITTED) end
  else
    has_failed = give_back(tx, queue, job, report)
  end
  local died = tx.died
  local fallback = has_failed and tonumber(string.match(delay, '^r(%d+)$'))
  local due = tx.now + (fallback or tonumber(string.match(delay, '%d+')))
  transitions.end_lease(tx, queue, job, due, fallback)
  unit.touch(tx, queue)
  return tx.died ~= died and release.DIED or leases.DONE
end

function release.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local has_reports = #args[first] > unit.TERMS_LENGTH
  local first_id, count = first + 1, (length - 1) / (has_reports and 6 or 5)
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  local reply = unit.reply(tx)
  for at = first_id, first + count do
    local flags = args[at + 4 * count]
    if has_reports then tx.index = at - first_id end
    reply[#reply + 1] = release_one(tx, args[at], args[at + count], args[at + 2 * count],
      args[at + 3 * count], flags == '1' or flags == '3', has_reports and args[at + 5 * count], retention,
      dead_retention)
  end
  if tx.expired and args[first_id + 4 * count] >= '2' then unit.add_expired(tx, reply) end
  if tx.corrections then reports.add_corrections(tx, args[first], reply) end
  return unit.close(tx, reply)
end
