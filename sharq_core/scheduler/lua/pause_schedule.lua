-- pause_schedule: pause a schedule in a partition, or resume it from a slot on.
--
-- Keys: counters schedules schedule_jobs
-- Args: now, '', name, version, version of the record that the caller has read (0: there was none), 1 to pause it, next
--       slot (µs; 0: none), not_after (µs)
-- Reply: {0, now, -1, -1, status, the version of the record}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done, 1 there is none, 2 the record has a higher version, 4 the record is not the one that the caller has
--           read; 2 and 4 changed nothing
-- Cost: O(1)
--
-- Uses: unit, schedule_record

local pause_schedule = {}

function pause_schedule.run(tx, args, first)
  local name, version, seen = args[first], tonumber(args[first + 1]), tonumber(args[first + 2])
  local is_paused, slot = args[first + 3] == '1', tonumber(args[first + 4])
  if unit.is_late_by(tx, args[first + 5]) then return unit.expired(tx) end
  local schedule = schedule_record.read(tx, name)
  local current_version = schedule and schedule.version or 0
  if current_version > version then return unit.reply(tx, schedule_record.SUPERSEDED, current_version) end
  if current_version ~= seen then return unit.reply(tx, schedule_record.CHANGED, current_version) end
  if not schedule or schedule.is_dropped then
    schedule_record.drop(tx, name, version)
    return unit.reply(tx, schedule_record.NOT_FOUND, version)
  end
  schedule.version, schedule.is_paused, schedule.slot = version, is_paused, slot
  schedule_record.write(tx, schedule)
  return unit.reply(tx, schedule_record.DONE, version)
end
