-- What a worker reports of a job when it finishes or releases it: the actual cost, and a hold. A lease corrects its
-- cost once, and only a lease that ends its job's work now does anything.
--
-- Uses: shortcuts, job_record, queue_record, unit

local reports = {
  FORMAT = '>i4I8I8B',  -- actual cost (-1: as enqueued), hold (µs), hold of the type (µs), 1 if the attempt counts
}

-- Apply a report to a job's queue, and note in the job that its cost is corrected. Returns true if the attempt counts.
function reports.apply(tx, queue, job, report)
  local actual, hold, _, counts = unpack_bytes(reports.FORMAT, report)
  if actual >= 0 and not job_record.has(job, job_record.CORRECTED) then
    job_record.mark(job, job_record.CORRECTED)
    queue_record.correct(queue, job_record.cost(job), actual)
    unit.move(tx, queue)
  end
  if hold > 0 then
    unit.hold(tx, queue, tx.now + hold)
  end
  return counts == 1
end
