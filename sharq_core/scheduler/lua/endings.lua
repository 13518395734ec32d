-- The end of the work on a job, as finish and finish_with_results share it.
--
-- Uses: unit, transitions, reports, leases

local endings = {}

-- Finish the job of a lease. report: see reports.lua; false or '' for none. Retentions are in µs.
-- Returns a status of leases.lua, and the job; nil if the call changed nothing.
function endings.finish(tx, queue_id, field, token, report, retention, dead_retention)
  local job, queue, status = leases.find(tx, queue_id, field, token, 'finish', retention, dead_retention)
  if not job then return status end
  if report and report ~= '' then reports.apply(tx, queue, job, report) end
  transitions.finish(tx, queue, job)
  unit.touch(tx, queue)
  return leases.DONE, job
end
