-- get_window: return one window of a partition. Writes nothing.
--
-- Keys: counters
-- Args: now, '', name
-- Reply: {0, now, -1, -1} if there is none, else {0, now, -1, -1, then as windows.add}
-- Cost: O(openings)
--
-- Uses: clock, windows

local get_window = {}

function get_window.run(tx, args, first)
  clock.read(tx)
  local reply = {0, clock.store_time(tx), -1, -1}
  local number, window = windows.find(tx, args[first])
  if window and not window.is_dropped then windows.add(tx, reply, number, window) end
  return reply
end
