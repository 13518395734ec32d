-- claim_schedule: begin a change of a schedule in the home partition of its name.
--
-- Keys: counters schedules
-- Args: now, '', name, a version that the new one must exceed (0: any), partition that will have the schedule (-1: the
--       change adds none), whether it is paused from now on (1 or 0; -1: as before), not_after (µs)
-- Reply: {0, now, -1, -1, version of the change, 1 if the schedule is paused, 1 if the name was known, partitions that
--        may have a record of it}
--        A version of 0 says that the name is not known and that nothing was done.
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(partitions that may have a record)
--
-- Uses: unit, schedule_record

local claim_schedule = {}

-- Add a partition to a list that may have it already.
local function include(partitions, partition)
  for _, listed in ipairs(partitions) do
    if listed == partition then return end
  end
  partitions[#partitions + 1] = partition
end

function claim_schedule.run(tx, args, first)
  local name, above, partition = args[first], tonumber(args[first + 1]), tonumber(args[first + 2])
  local paused = tonumber(args[first + 3])
  if unit.is_late_by(tx, args[first + 4]) then return unit.expired(tx) end
  local home = schedule_record.home(tx, name)
  local is_known = home ~= nil
  if not home then
    if partition < 0 then return unit.reply(tx, 0, 0, 0) end
    home = {is_paused = false, version = 0, partitions = {}}
  end
  home.version = math.max(tx.now, above + 1, home.version + 1)
  if paused >= 0 then home.is_paused = paused == 1 end
  if partition >= 0 then include(home.partitions, partition) end
  schedule_record.write_home(tx, name, home)
  return unit.reply(tx, home.version, home.is_paused and 1 or 0, is_known and 1 or 0, unpack(home.partitions))
end
