-- get_type: when a type's next queue and next timer are due in a partition. Writes nothing.
--
-- Keys: counters
-- Args: now, type
-- Reply: {0, now, -1, -1, the type's row (counters.row) or '', the shift of the partition's time, which its times go by}
-- Cost: O(1)

local get_type = {}

function get_type.run(own)
  clock.read(own)
  local raw = call('HGET', own.keys[KEY.counters], own.type)
  return {0, clock.told(own), -1, -1, raw and counters.row(raw) or '', own.shift or 0}
end
