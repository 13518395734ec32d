-- enter_partition: give the partition the data set's id, if it has none or that of an earlier generation. What holds is
-- written again, so that a WAIT after the call covers it.
--
-- Keys: counters
-- Args: now, '' (the id is of no type), id, ids of earlier generations, separated by spaces
-- Reply: {0, now, -1, -1, the id that the partition has now}
-- Cost: O(1)

local enter_partition = {}

function enter_partition.run(own, args, first)
  local key, id = own.keys[KEY.counters], args[first]
  local held = call('HGET', key, identity.FIELD)
  if not held or identity.has_followed(args[first + 1], held) then held = id end
  call('HSET', key, identity.FIELD, held)
  return {0, own.now, -1, -1, held}
end
