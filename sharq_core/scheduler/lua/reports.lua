-- The report of a worker that finishes or releases a job: the actual cost, a hold, and the error of a release.
-- A lease corrects its cost once, and only a lease that ends its job's work now does anything.
--
-- Uses: shortcuts, cap_sets, job_record, notes, queue_record, type_settings, unit

local reports = {
  -- actual cost (-1: as enqueued), hold (µs), hold of the type (µs), 1 if the attempt counts; then the error of a
  -- release as text, if there is one
  FORMAT = '>i4I8I8B',
  -- A byte behind the terms of a call says that its jobs have reports. Callers with TELLS_CAPS can decode the
  -- corrections of jobs whose queues have caps, because they pass them on to the ledgers.
  TELLS_CAPS = 2,
  CORRECTION = '>I2i8B',  -- index of the job from 0, difference of the cost, length of the names of the caps; the names
}

-- Note a correction of a job whose queue has caps.
local function note_correction(tx, queue, field, difference)
  tx.corrections = tx.corrections or {}
  tx.corrections[field] = {difference, cap_sets.names(tx, queue.cap_set)}
end

-- Add the corrections of a call to the end of its reply, as one text, if there are any and the caller can decode them.
-- terms: the argument with the byte behind it. The fields of the `count` jobs begin at args[first].
function reports.add_corrections(tx, terms, args, first, count, reply)
  local list = {}
  if (string.byte(terms, unit.TERMS_LENGTH + 1) or 0) < reports.TELLS_CAPS then return end
  for index = 0, count - 1 do
    local correction = tx.corrections[args[first + index]]
    if correction then
      list[#list + 1] = pack_bytes(reports.CORRECTION, index, correction[1], #correction[2]) .. correction[2]
    end
  end
  reply[#reply + 1] = table.concat(list)
end

-- Apply a report to a job's queue and type, and note in the job that its cost is corrected. Returns true if the attempt
-- counts.
function reports.apply(tx, queue, job, report)
  local actual, hold, type_hold, counts, text_at = unpack_bytes(reports.FORMAT, report)
  if actual >= 0 and not job_record.has(job, job_record.CORRECTED) then
    job_record.mark(job, job_record.CORRECTED)
    local cost = job_record.cost(job)
    queue_record.correct(queue, cost, actual)
    if tx.settings then type_settings.correct(tx.settings, actual - cost, job.token) end
    if queue.cap_set and actual ~= cost then note_correction(tx, queue, job.field, actual - cost) end
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
