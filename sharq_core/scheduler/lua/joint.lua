-- A joint call runs the calls of one function for several partitions of one server, at the overhead of a single call.
--
-- Keys: the counters of each partition; the other keys are derived from them (partition_keys.lua)
-- Args: now, type, the number of further arguments of each call (2 bytes each), then the arguments of each call in turn
-- Reply: {0, now, then for each call the number of values in its reply after those two, and these values}. A call that
--        came after its not_after has no values. A call that failed has only its error; the others are done
-- Cost: the sum of the calls
--
-- A function with joint calls finds its arguments at args[first] to args[first + length - 1]. The others begin at
-- args[3].
--
-- Uses: shortcuts, unit, partition_keys

local joint = {
  SHARED = 2,  -- values that all replies have in common: 0, now
}

-- A table within a reply costs as much as eight values, and so does a table to copy from. All replies therefore share
-- one row, and most functions write into it themselves (unit.reply).
local function add_reply(row, at, reply)
  if reply ~= row and reply[1] == 0 then
    for index = joint.SHARED + 1, #reply do row[at + index - joint.SHARED] = reply[index] end
  end
  row[at] = #row - at
end

-- Replace what the call may have written into the row by its error.
local function add_failure(row, at, raised)
  for last = #row, at + 1, -1 do row[last] = nil end
  row[at] = {err = raised.err or tostring(raised)}
end

function joint.run(run, keys, args)
  local now, type, lengths, first = unit.time(args[1]), args[2], args[3], 4
  local row = {0, now}
  -- at: where the current call's reply begins. carried: payload bytes that dequeues have handed out so far. dropped:
  -- results that made room for others so far (results.lua).
  local shared, tx = {row = row, at = 0, carried = 0}, nil
  for index = 1, #keys do
    local length, at = unpack_bytes('>I2', lengths, 2 * index - 1), #row + 1
    local part_keys = partition_keys.of(keys[index], type)
    if tx then unit.reopen(tx, part_keys, now) else tx = unit.open(part_keys, now, type, shared) end
    row[at], shared.at = 0, at
    local is_done, answer = pcall(run, tx, args, first, length)
    if is_done then add_reply(row, at, answer) else add_failure(row, at, answer) end
    first = first + length
  end
  return row
end
