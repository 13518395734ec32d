-- forget_schedule: forget the record of a schedule that was dropped long ago.
--
-- Keys: schedules
-- Args: now, '', name, version
-- Reply: {0, now, -1, -1, 1 if it was forgotten}
-- Cost: O(1)
--
-- Uses: shortcuts, unit, schedule_record

local forget_schedule = {}

function forget_schedule.run(tx, args, first)
  local name, schedule = args[first], schedule_record.read(tx, args[first])
  if not schedule or not schedule.is_dropped or schedule.version ~= tonumber(args[first + 1])
    or tx.now < schedule.since + schedule_record.KEEP_US then return unit.reply(tx, 0) end
  call('HDEL', tx.keys[KEY.schedules], name)
  return unit.reply(tx, 1)
end
