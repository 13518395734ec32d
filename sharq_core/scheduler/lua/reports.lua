-- The report of a worker that finishes or releases a job: the actual cost, a hold, and the error of a release.
-- A lease corrects its cost once, and only a lease that ends its job's work now does anything.
--
-- Uses: shortcuts, lists, cap_sets, job_record, notes, queue_record, type_settings, unit

local reports = {
  -- actual cost (-1: as enqueued), hold (µs), hold of the type (µs), 1 if the attempt counts; then the error of a
  -- release as text, if there is one
  FORMAT = '>i4I8I8B',
  -- A byte behind the terms of a call says that its jobs have reports. Callers with TELLS_CAPS can decode the
  -- corrections of jobs whose queues have caps, because they pass them on to the ledgers.
  TELLS_CAPS = 2,
  CORRECTION = '>I2i8B',  -- index of the job from 0, difference of the cost, length of the names of the caps; the names
}

-- Note a correction of the job at tx.index, whose queue has caps.
local function note_correction(tx, queue, difference)
  local names = cap_sets.names(tx, queue.cap_set)
  tx.corrections = append(tx.corrections, pack_bytes(reports.CORRECTION, tx.index, difference, #names) .. names)
end

-- Add the corrections of a call to the end of its reply, as one text, if there are any and the caller can decode them.
-- terms: the argument with the byte behind it.
function reports.add_corrections(tx, terms, reply)
  if (string.byte(terms, unit.TERMS_LENGTH + 1) or 0) < reports.TELLS_CAPS then return end
  reply[#reply + 1] = table.concat(tx.corrections)
end

-- Apply the report of the job at tx.index (from 0, among the jobs of the call) to its queue and type, and note in the
-- job that its cost is corrected. A job may stand twice in a call, and is corrected once. Returns true if the attempt
-- counts.
function reports.apply(tx, queue, job, report)
  local actual, hold, type_hold, counts, text_at = unpack_bytes(reports.FORMAT, report)
  if actual >= 0 and not job_record.has(job, job_record.CORRECTED) then
    job_record.mark(job, job_record.CORRECTED)
    local cost = job_record.cost(job)
    queue_record.correct(queue, cost, actual)
    if tx.settings then type_settings.correct(tx.settings, actual - cost, job.token) end
    if queue.cap_set and actual ~= cost then note_correction(tx, queue, actual - cost) end
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
