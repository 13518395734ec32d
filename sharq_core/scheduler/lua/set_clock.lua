-- set_clock: set a partition's shift after the store's clock stepped. With the current shift, a node only states that
-- the partition's time has advanced to now.
--
-- Keys: counters
-- Args: now, '', number and `seen` of the record that the node has read, shift (µs, signed), and optionally the store's
--       clock in that reading and not_after (µs, by the same clock)
-- Reply: {0, now, -1, -1, current number, current shift (µs), 1 if the record was written, else 0}. The record is not
--        changed if it is missing, if it has another number, or if the store's clock stepped since the reading, from
--        which the shift was computed. The shift is not raised if a call may have come since the step: the lease of
--        that call would end early. The record then has a new number, which tells the other nodes that its time stands
-- Cost: O(1)
--
-- Uses: shortcuts, clock

local set_clock = {}

function set_clock.run(tx, args)
  local key, store_time = tx.keys[KEY.counters], tx.now
  local raw = call('HGET', key, clock.FIELD)
  local number, shift, seen, since, flags = clock.unpack(raw)
  local new_shift, is_before = tonumber(args[5]), store_time + shift < seen
  -- A time before `seen` proves that no call came since the clock stepped back: a call would have raised the shift.
  local has_stepped = args[6] and (store_time < tonumber(args[6]) or store_time > tonumber(args[7]))
  if not raw or number ~= tonumber(args[3]) or has_stepped then
    return {0, store_time, -1, -1, number, is_before and seen - store_time or shift, 0}
  end
  if new_shift > shift and not is_before and seen ~= tonumber(args[4]) then
    new_shift, number = shift, number + 1
  end
  -- Calls ran without a pause until later than the new time, so the node that reports the step was away itself.
  if store_time + new_shift < seen and since <= store_time + new_shift then new_shift = seen - store_time end
  if new_shift ~= shift then number = number + 1 end
  local now = store_time + new_shift
  if now > seen + clock.RUN_US or now < since then since = now end
  clock.forget(tx)
  call('HSET', key, clock.FIELD, clock.pack(number, new_shift, now, since, flags))
  return {0, store_time, -1, -1, number, new_shift, 1}
end
