-- list_parked: return the cap sets of a type whose parked queues have news. Writes nothing.
--
-- Keys: counters parked capsets
-- Args: now, type, number of the latest change that the caller knows (0: none), most sets
-- Reply: {0, now, -1, -1, number of the latest change that the caller knows now, 1 if more sets follow it,
--        counters.allowed_at, number of changes of the partition's time, then for each set: number, names
--        (cap_sets.lua), when its first queue is due (µs), how many are due}
-- Cost: O(log n) a set
--
-- Uses: shortcuts, clock, cap_sets, counters, parking

local list_parked = {}

function list_parked.run(tx, args, first)
  local counts, since, limit = counters.see(tx), args[first], tonumber(args[first + 1])
  local number = clock.number(tx)
  local reply = {0, clock.store_time(tx), -1, -1, 0, 0, counts and counters.allowed_at(tx) or 0, number}
  if not counts then return reply end
  local row = call('ZRANGE', parking.sets_key(tx), '(' .. since, '+inf', 'BYSCORE', 'LIMIT', 0, limit + 1, 'WITHSCORES')
  reply[5] = counters.parking(counts)
  for index = 1, math.min(#row / 2, limit) do
    local set, at = unpack_bytes(parking.NUMBER, row[2 * index - 1]), #reply
    local due_at, due = parking.see(tx, set)
    if #row > 2 * limit then reply[5], reply[6] = tonumber(row[2 * index]), 1 end
    if due_at then
      reply[at + 1], reply[at + 2] = set, cap_sets.names(tx, set)
      reply[at + 3], reply[at + 4] = clock.shown(tx, due_at), due
    end
  end
  return reply
end
