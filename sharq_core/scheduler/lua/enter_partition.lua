-- enter_partition: give the partition the data set's id, if it has none or one of an earlier generation. An existing id
-- is written again, so that a WAIT after the call covers it.
--
-- Keys: counters
-- Args: now, '' (the id is not of one type), id, ids of earlier generations, separated by spaces
-- Reply: {0, now, -1, -1, the id that the partition has now}
-- Cost: O(1)
--
-- Uses: shortcuts, identity

local enter_partition = {}

function enter_partition.run(tx, args, first)
  local key, id = tx.keys[KEY.counters], args[first]
  local held = call('HGET', key, identity.FIELD)
  if not held or identity.has_followed(args[first + 1], held) then held = id end
  call('HSET', key, identity.FIELD, held)
  return {0, tx.now, -1, -1, held}
end
