-- move_schedule: set the next slot of a schedule, if it still has the slot that the caller knows.
--
-- Keys: counters schedules
-- Args: now, '', name, version, slot, new slot (µs; 0: none), not_after (µs)
-- Reply: {0, now, -1, -1, 1 if it was set}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(1)
--
-- Uses: unit, schedule_record

local move_schedule = {}

function move_schedule.run(tx, args, first)
  local name, version, slot, to = args[first], tonumber(args[first + 1]), tonumber(args[first + 2]), args[first + 3]
  if unit.is_late_by(tx, args[first + 4]) then return unit.expired(tx) end
  local schedule = schedule_record.read(tx, name)
  if not schedule or schedule.version ~= version or schedule.slot ~= slot then return unit.reply(tx, 0) end
  schedule.slot = tonumber(to)
  schedule_record.write(tx, schedule)
  return unit.reply(tx, 1)
end
