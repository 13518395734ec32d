-- settle_schedule: end a change of a schedule in the home partition of its name, unless a later change has begun.
--
-- Keys: counters schedules
-- Args: now, '', name, version of the change, the partition that has the schedule now (-1: none has), not_after (µs)
-- Reply: {0, now, -1, -1, 1 if no later change has begun}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(partitions that may have a record)
--
-- Uses: shortcuts, unit, schedule_record

local settle_schedule = {}

function settle_schedule.run(tx, args, first)
  local name, version, partition = args[first], tonumber(args[first + 1]), tonumber(args[first + 2])
  if unit.is_late_by(tx, args[first + 3]) then return unit.expired(tx) end
  local home = schedule_record.home(tx, name)
  if not home or home.version ~= version then return unit.reply(tx, 0) end
  if partition < 0 then
    call('HDEL', tx.keys[KEY.schedules], schedule_record.HOME_PREFIX .. name)
  else
    home.partitions = {partition}
    schedule_record.write_home(tx, name, home)
  end
  return unit.reply(tx, 1)
end
