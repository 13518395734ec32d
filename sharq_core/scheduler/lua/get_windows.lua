-- get_windows: return a page of the windows of a partition, in the order of their numbers. Writes nothing.
--
-- Keys: counters
-- Args: now, '', number after which to go on (0 at first), most windows, bytes of records to stay below (one window is
--       returned in any case)
-- Reply: {0, now, -1, -1, number after which to go on (0 at the end), 1 if a walk over the queues is not over
--        (rescore_windows.lua) else 0, then for each window as windows.add}
-- Cost: O(windows)
--
-- Uses: shortcuts, clock, windows

local get_windows = {}

function get_windows.run(tx, args, first)
  clock.read(tx)
  local key, after, limit, budget = tx.keys[KEY.counters], tonumber(args[first]), tonumber(args[first + 1]),
    tonumber(args[first + 2])
  local reply = {0, clock.store_time(tx), -1, -1, 0, call('HEXISTS', key, windows.WALK)}
  local index, bytes, count, last = call('HGET', key, windows.INDEX) or '', 0, 0, 0
  for at = 5, #index, 4 do
    local number = unpack_bytes(windows.NUMBER, index, at)
    if number > after then
      local raw = call('HGET', key, windows.field(windows.PREFIX, number))
      bytes = bytes + #raw
      if count == limit or count > 0 and bytes > budget then
        reply[5] = last
        break
      end
      windows.add(tx, reply, number, windows.unpack(raw))
      count, last = count + 1, number
    end
  end
  return reply
end
