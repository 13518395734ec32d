-- put_periods: replace the bounds of calendars that quotas count by. A calendar that no quota counts by stays absent.
--
-- Keys: counters
-- Args: now, '', then for each calendar: name, bounds (periods.lua)
-- Reply: {0, now, -1, -1, number of calendars replaced}
-- Cost: O(bounds)
--
-- Uses: clock, periods

local put_periods = {}

function put_periods.run(tx, args, first, length)
  local count = 0
  clock.read(tx)
  for at = first, first + length - 1, 2 do
    if periods.put(tx, args[at], args[at + 1]) then count = count + 1 end
  end
  return {0, clock.store_time(tx), -1, -1, count}
end
