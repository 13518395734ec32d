-- fire_schedule: enqueue the job of a schedule and set its next slot, in one step.
--
-- Keys: ready queued jobs timers queues counters done0 done1 deadjobs dead deadcounts schedules
--       schedule_jobs notes parked capsets
-- Args: now, type, terms (unit.TERMS) followed by the id of the caller's data set, name, version, slot (µs), the slot
--       to fire (µs; the latest that has passed, or the same), next slot (µs; 0: none), field of the job
--       (queue_id:job_id)
-- Reply: {0, now, ready hint, timer hint, status, status of the enqueue}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 fired, whatever the status of the enqueue (enqueue_job.lua), 1 the schedule is another one now, or it is
--           paused, 2 the slot has not come; 1 and 2 changed nothing
-- Error: OTHERDATA before any write, if the type would be new in a partition of another data set
-- Cost: O(log n), and the size of the job
--
-- Uses: shortcuts, counters, unit, identity, enqueue_job, schedule_record

local fire_schedule = {FIRED = 0, STALE = 1, EARLY = 2}

function fire_schedule.run(tx, args, first)
  local not_after, retention, dead_retention = unpack_bytes(unit.TERMS, args[first])
  local name, version, slot, fired, to, field = unpack(args, first + 1, first + 6)
  local schedule = schedule_record.read(tx, name)
  if not schedule or schedule.is_dropped or schedule.is_paused or schedule.version ~= tonumber(version)
    or schedule.slot ~= tonumber(slot) then return unit.reply(tx, fire_schedule.STALE, 0) end
  fired = tonumber(fired)
  if tx.now < fired then return unit.reply(tx, fire_schedule.EARLY, 0) end
  local header, _, payload = schedule_record.job(tx, name)
  if not counters.open(tx, not_after) then return unit.expired(tx) end
  if not tx.counters.is_known then identity.require(tx, sub(args[first], unit.TERMS_LENGTH + 1)) end
  local queue_id = schedule.queue_id
  unit.queue(tx, queue_id)
  unit.read_jobs(tx, {field}, 1, 1)
  local status = enqueue_job.enqueue(tx, queue_id, field, header, payload, retention, dead_retention)
  schedule.last, schedule.slot, schedule.status, schedule.fired = fired, tonumber(to), 1 + status, schedule.fired + 1
  schedule_record.write(tx, schedule)
  return unit.close(tx, unit.reply(tx, fire_schedule.FIRED, status))
end
