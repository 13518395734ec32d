-- get_periods: return how far the calendars of a partition reach. Writes nothing.
--
-- Keys: counters
-- Args: now, ''
-- Reply: {0, now, -1, -1, then for each calendar: name, its first and its last bound (µs by the store's clock; 0 if
--        it has none)}
-- Cost: O(calendars), of which there are no more than two for each zone
--
-- Uses: shortcuts, clock, periods

local get_periods = {}

function get_periods.run(tx)
  clock.read(tx)
  local key, reply = tx.keys[KEY.counters], {0, clock.store_time(tx), -1, -1}
  for _, name in ipairs(periods.names(tx)) do
    local at = #reply
    reply[at + 1] = name
    reply[at + 2], reply[at + 3] = periods.reach(call('HGET', key, periods.field(name)))
  end
  return reply
end
