-- finish: end the lease of a job whose work is done, and forget the job. finish_with_results also keeps what the work
-- gave.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs notes parked capsets
-- Args: now, type, terms (unit.TERMS; a call after not_after is done as of that time),
--       then for n jobs: n queue ids, n fields (queue_id:job_id), n tokens ('' for the live lease), and, if a byte
--       follows the terms, n reports (reports.lua; '' for none)
-- Reply: {0, now, ready hint, timer hint, then for each job: status; then, if there are any and the caller can decode
--        them, the corrections of jobs whose queues have caps (CORRECTION of reports.lua)}
-- Statuses: 0 done (also if this lease finished the job before), 1 not found, 2 lost; 1 and 2 changed nothing
-- Cost: O(log n) a job
--
-- Uses: shortcuts, counters, unit, reports, endings

local finish = {}

function finish.run(tx, args, first, length)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local has_reports = #args[first] > unit.TERMS_LENGTH
  local first_id, count = first + 1, (length - 1) / (has_reports and 4 or 3)
  counters.open(tx, not_after, true)
  unit.read_queues(tx, args, first_id, count)
  unit.read_jobs(tx, args, first_id + count, count)
  local reply = unit.reply(tx)
  for at = first_id, first + count do
    if has_reports then tx.index = at - first_id end
    local status = endings.finish(tx, args[at], args[at + count], args[at + 2 * count],
      has_reports and args[at + 3 * count], retention, dead_retention)
    reply[#reply + 1] = status
  end
  if tx.corrections then reports.add_corrections(tx, args[first], reply) end
  return unit.close(tx, reply)
end
