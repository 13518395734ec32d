-- get_type: return when a type's next queue and next timer are due in a partition. Writes nothing.
--
-- Keys: counters
-- Args: now, type
-- Reply: {0, now, -1, -1, the type's row (counters.row) or '', shift (µs) of the partition's time, which the row's
--        times use}
-- Cost: O(1)
--
-- Uses: shortcuts, clock, counters

local get_type = {}

function get_type.run(tx)
  clock.read(tx)
  local raw = call('HGET', tx.keys[KEY.counters], tx.type)
  return {0, clock.store_time(tx), -1, -1, raw and counters.row(raw) or '', tx.shift or 0}
end
