-- A joint call: what calls of one function for several partitions of one server do, at the price of one.
--
-- Keys: of each partition its counters; the others follow (partition_keys.lua)
-- Args: now, type, how many more arguments each call has (2 bytes each), then those of one call after another's
-- Reply: {0, now, then for each call how many values its reply has after those two, and these: none when it came after
--        its not_after; for one that failed only its error: the others are done}
-- Cost: that of the calls
--
-- A function that joins finds its own arguments at args[first] to args[first + length - 1]; those that do not join begin
-- at the third.

local joint = {
  SHARED = 2,  -- values of a reply that stand there once
}

-- A table within a reply costs as much as eight values, and one to copy from no less: so the replies stand in one row,
-- and most functions write into it themselves (unit.reply).
local function add_reply(row, at, reply)
  if reply ~= row and reply[1] == 0 then
    for index = joint.SHARED + 1, #reply do row[at + index - joint.SHARED] = reply[index] end
  end
  row[at] = #row - at
end

-- In the place of what the call may have written.
local function add_failure(row, at, raised)
  for last = #row, at + 1, -1 do row[last] = nil end
  row[at] = {err = raised.err or tostring(raised)}
end

function joint.run(run, keys, args)
  local now, type, lengths, first = unit.time(args[1]), args[2], args[3], 4
  local row = {0, now}
  -- at: where the present call's reply begins. carried: payload bytes that dequeues hand out so far.
  local shared, own = {row = row, at = 0, carried = 0}, nil
  for index = 1, #keys do
    local length, at = unpack_bytes('>I2', lengths, 2 * index - 1), #row + 1
    local own_keys = partition_keys.of(keys[index], type)
    if own then unit.reopen(own, own_keys, now) else own = unit.open(own_keys, now, type, shared) end
    row[at], shared.at = 0, at
    local is_done, answer = pcall(run, own, args, first, length)
    if is_done then add_reply(row, at, answer) else add_failure(row, at, answer) end
    first = first + length
  end
  return row
end
