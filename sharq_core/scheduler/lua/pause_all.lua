-- pause_all: pause everything in a partition, or resume it. Enqueues and leases continue; nothing is handed out.
--
-- Keys: counters
-- Args: now, '', '1' to pause or '0' to resume, not_after (µs)
-- Reply: {0, now, -1, -1}
--        {1, now, -1, -1} if the call came after not_after: nothing was done
-- Cost: O(1)
--
-- Uses: shortcuts, clock, touched, unit

local pause_all = {}

function pause_all.run(tx, args, first)
  local raw, is_paused = call('HGET', tx.keys[KEY.counters], clock.FIELD), args[first] == '1'
  if not clock.set(tx, raw, tonumber(args[first + 1])) then return unit.expired(tx) end
  clock.write(tx, clock.ALL_PAUSED, is_paused)
  -- Any number of types may be due now, so their owner must read the partition again.
  if not is_paused then touched.add(tx, '', 0) end
  return {0, clock.store_time(tx), -1, -1}
end
