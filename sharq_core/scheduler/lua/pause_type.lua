-- pause_type: pause or resume all queues of a type in a partition, also those that come later. Enqueues and leases
-- continue; nothing is handed out. A resume also ends the type's hold.
--
-- Keys: ready counters
-- Args: now, type, '1' to pause or '0' to resume, not_after (µs)
-- Reply: {0, now, ready hint, -1}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(log n)
--
-- Uses: type_settings, counters, unit

local pause_type = {}

function pause_type.run(tx, args, first)
  if not counters.open(tx, tonumber(args[first + 1])) then return unit.expired(tx) end
  local settings, is_paused = type_settings.require(tx), args[first] == '1'
  settings.is_changed, settings.is_paused = true, is_paused
  if not is_paused then settings.held_until, settings.is_earlier = 0, true end
  return unit.close(tx, unit.reply(tx))
end
