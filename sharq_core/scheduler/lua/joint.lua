-- A joint call: what calls of one function for several partitions of one server do, at the price of one.
--
-- Keys: those of one call after those of another
-- Args: now, type, how many more arguments each call has (2 bytes each), then those of one call after another's
-- Reply: {0, now, the reply of each call}; where one of them failed its reply is the error, and the others are done
-- Cost: that of the calls

local joint = {}

local function failure(raised)
  return {err = raised.err or tostring(raised)}
end

-- numbered: gives keys the numbers of KEY.
function joint.run(run, numbered, keys, args)
  local now, type, lengths, at = unit.time(args[1]), args[2], args[3], 4
  local count = #lengths / 2
  local width, reply, carried = #keys / count, {0, now}, 0
  for index = 1, count do
    local next_at = at + unpack_bytes('>I2', lengths, 2 * index - 1)
    local own_args = {now, type, unpack(args, at, next_at - 1)}
    local own = unit.open(numbered({unpack(keys, (index - 1) * width + 1, index * width)}), own_args)
    own.carried = carried
    local is_done, answer = pcall(run, own, own_args)
    carried = own.carried
    reply[index + 2] = is_done and answer or failure(answer)
    at = next_at
  end
  return reply
end
