-- finish: end the lease of a job whose work is done, and forget the job.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs notes
-- Args: now, type, terms (unit.TERMS; a call after not_after is done as of that time),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n tokens ('' for the live lease), and, if a byte
--       follows the terms, n reports (reports.lua; '' for none)
-- Reply: {0, now, ready hint, timer hint, then for each job: status}
-- Statuses: 0 done (also if this lease finished the job before), 1 not found, 2 lost; 1 and 2 changed nothing
-- Cost: O(log n) a job
--
-- Uses: shortcuts, counters, unit, transitions, reports, leases

local finish = {}

local function finish_one(tx, queue_id, field, token, report, retention, dead_retention)
  local job, found = leases.find(tx, queue_id, field, token, 'finish', retention, dead_retention)
  if not job then return found end
  if report and report ~= '' then reports.apply(tx, found, job, report) end
  transitions.finish(tx, found, job)
  unit.touch(tx, found)
  return leases.DONE
end

function finish.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local has_reports = #args[first] > unit.TERMS_LENGTH
  local first_id, count = first + 1, (length - 1) / (has_reports and 4 or 3)
  counters.open(tx, not_after, true)
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  local reply = unit.reply(tx)
  for at = first_id, first + count do
    reply[#reply + 1] = finish_one(tx, args[at], args[at + count], args[at + 2 * count],
      has_reports and args[at + 3 * count], retention, dead_retention)
  end
  return unit.close(tx, reply)
end
