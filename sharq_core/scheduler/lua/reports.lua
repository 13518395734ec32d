-- What a worker reports of a job when it finishes or releases it: the actual cost, a hold, and the error of a release.
-- A lease corrects its cost once, and only a lease that ends its job's work now does anything.
--
-- Uses: shortcuts, job_record, notes, queue_record, type_settings, unit

local reports = {
  -- actual cost (-1: as enqueued), hold (µs), hold of the type (µs), 1 if the attempt counts; then the error of a
  -- release as text, if there is one
  FORMAT = '>i4I8I8B',
}

-- Apply a report to a job's queue and type, and note in the job that its cost is corrected. Returns true if the attempt
-- counts.
function reports.apply(tx, queue, job, report)
  local actual, hold, type_hold, counts, text_at = unpack_bytes(reports.FORMAT, report)
  if actual >= 0 and not job_record.has(job, job_record.CORRECTED) then
    job_record.mark(job, job_record.CORRECTED)
    local cost = job_record.cost(job)
    queue_record.correct(queue, cost, actual)
    if tx.settings then type_settings.correct(tx.settings, actual - cost, job.token) end
    unit.move(tx, queue)
  end
  if hold > 0 then
    unit.hold(tx, queue, tx.now + hold)
  end
  if type_hold > 0 then
    type_settings.hold(type_settings.require(tx), tx.now + type_hold)
  end
  if text_at <= #report then notes.set_error(tx, job, sub(report, text_at)) end
  return counts == 1
end
