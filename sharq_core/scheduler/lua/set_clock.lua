-- set_clock: a node says how far a partition's time is ahead of the store's clock, after that clock stepped; or, with the
-- shift that holds, only that the partition's time has come so far.
--
-- Keys: counters
-- Args: now, '', number and `seen` of the record that the node has read, shift (µs, signed)
-- Reply: {0, now, -1, -1, number, shift}, as they hold now; a record of another number, or none, is not changed, and the
--        shift is not raised when a call may have come since the step: its lease would end early
-- Cost: O(1)

local set_clock = {}

function set_clock.run(own, args)
  local key, told = own.keys[KEY.counters], own.now
  local raw = call('HGET', key, clock.FIELD)
  local number, shift, seen, since = clock.unpack(raw)
  local new, is_before = tonumber(args[5]), told + shift < seen
  -- A time before `seen` says that no call has come since the clock stepped back: it would have raised the shift.
  if not raw or number ~= tonumber(args[3]) or new > shift and not is_before and seen ~= tonumber(args[4]) then
    return {0, told, -1, -1, number, is_before and seen - told or shift}
  end
  -- Calls ran without a pause until later than that: the node that says so was away itself.
  if told + new < seen and since <= told + new then new = seen - told end
  if new ~= shift then number = number + 1 end
  local now = told + new
  if now > seen + clock.RUN_US or now < since then since = now end
  clock.forget(own)
  call('HSET', key, clock.FIELD, clock.pack(number, new, now, since))
  return {0, told, -1, -1, number, new}
end
