-- list_schedules: return a page of a partition's schedules, those that were dropped lately included. Writes nothing.
--
-- Keys: schedules
-- Args: now, '', scan ('0' at first), approximate number of records to read
-- Reply: {0, now, -1, -1, scan to continue with ('0' at the end), then the row of each schedule (schedule_record.row)}
-- Cost: O(records read). A whole scan returns every schedule that exists throughout at least once.
--
-- Uses: shortcuts, unit, schedule_record

local list_schedules = {}

function list_schedules.run(tx, args, first)
  local page = call('HSCAN', tx.keys[KEY.schedules], args[first], 'COUNT', args[first + 1])
  local reply = unit.reply(tx, page[1])
  for index = 1, #page[2], 2 do
    local name = page[2][index]
    if sub(name, 1, 1) ~= schedule_record.HOME_PREFIX then
      local schedule = schedule_record.unpack(name, page[2][index + 1])
      reply[#reply + 1] = {schedule_record.row(schedule)}
    end
  end
  return reply
end
