-- drop_schedule: drop a schedule from a partition. Its record stays for a while, to refuse changes of lower versions.
--
-- Keys: counters schedules schedule_jobs
-- Args: now, '', name, version, not_after (µs)
-- Reply: {0, now, -1, -1, status, the version of the record}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 dropped, 1 there was none, 2 the record has a higher version: nothing was done
-- Cost: O(1)
--
-- Uses: unit, schedule_record

local drop_schedule = {}

function drop_schedule.run(tx, args, first)
  local name, version = args[first], tonumber(args[first + 1])
  if unit.is_late_by(tx, args[first + 2]) then return unit.expired(tx) end
  local before = schedule_record.read(tx, name)
  if before and before.version > version then
    return unit.reply(tx, schedule_record.SUPERSEDED, before.version)
  end
  schedule_record.drop(tx, name, version)
  local is_found = before and not before.is_dropped
  return unit.reply(tx, is_found and schedule_record.DONE or schedule_record.NOT_FOUND, version)
end
