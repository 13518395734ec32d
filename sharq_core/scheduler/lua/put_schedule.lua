-- put_schedule: create or replace a schedule in the partition of its queue.
--
-- Keys: counters schedules schedule_jobs
-- Args: now, type, not_after (µs), id of the caller's data set, name, version, 1 if it is paused, first slot
--       (µs; 0: none), queue id, rule, header (enqueue_job.lua), entry, payload
-- Reply: {0, now, -1, -1, status, the version of the record}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done, 2 the record has a higher version, 3 the partition has as many schedules as it may have; 2 and 3
--           changed nothing
-- Error: OTHERDATA before any write, if the partition belongs to another data set
-- Cost: O(size of the job)
--
-- Uses: shortcuts, unit, identity, schedule_record

local put_schedule = {}

function put_schedule.run(tx, args, first)
  local not_after, data_id, name, version, is_paused, slot, queue_id, rule, header, entry, payload =
    unpack(args, first, first + 10)
  if unit.is_late_by(tx, not_after) then return unit.expired(tx) end
  identity.require(tx, data_id)
  version = tonumber(version)
  local before = schedule_record.read(tx, name)
  if before and before.version > version then
    return unit.reply(tx, schedule_record.SUPERSEDED, before.version)
  end
  local is_new = not before or before.is_dropped
  if is_new and call('HLEN', tx.keys[KEY.schedule_jobs]) >= schedule_record.MOST then
    return unit.reply(tx, schedule_record.FULL, 0)
  end
  local schedule = {name = name, version = version, is_paused = is_paused == '1', slot = tonumber(slot), last = 0,
    status = 0, fired = 0, since = 0, type = tx.type, queue_id = queue_id, rule = rule}
  if not is_new then schedule.last, schedule.status, schedule.fired = before.last, before.status, before.fired end
  schedule_record.write(tx, schedule)
  schedule_record.write_job(tx, name, header, entry, payload)
  return unit.reply(tx, schedule_record.DONE, version)
end
