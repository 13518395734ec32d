-- drop_window: remove a window, unless something uses it. Its name keeps its number, because dead letters know only
-- that.
--
-- Keys: counters
-- Args: now, '', name, not_after (µs)
-- Reply: {0, now, -1, -1, status}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Statuses: 0 done, 1 there is no such window, 2 it is used; 1 and 2 changed nothing
-- Cost: O(windows)
--
-- Uses: shortcuts, clock, windows, unit

local drop_window = {DONE = 0, UNKNOWN = 1, USED = 2}

-- Remove a number from those of the present windows.
local function leave(key, number)
  local index, dropped, width = call('HGET', key, windows.INDEX), pack_bytes(windows.NUMBER, number), 4
  local kept = {sub(index, 1, width)}
  for at = width + 1, #index, width do
    local other = sub(index, at, at + width - 1)
    if other ~= dropped then kept[#kept + 1] = other end
  end
  call('HSET', key, windows.INDEX, table.concat(kept))
end

function drop_window.run(tx, args, first)
  if unit.is_late_by(tx, args[first + 1]) then return unit.expired(tx) end
  clock.read(tx)
  local key, store_time = tx.keys[KEY.counters], clock.store_time(tx)
  local number, window = windows.find(tx, args[first])
  if not window or window.is_dropped then return {0, store_time, -1, -1, drop_window.UNKNOWN} end
  if windows.uses(tx, number) > 0 then return {0, store_time, -1, -1, drop_window.USED} end
  leave(key, number)
  window.known_until, window.openings, window.definition = 0, {}, ''
  call('HSET', key, windows.field(windows.PREFIX, number), windows.pack(window))
  return {0, store_time, -1, -1, drop_window.DONE}
end
