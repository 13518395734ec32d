-- claim_partitions: write the number of partitions if none is written yet.
-- What holds is written again, so that a WAIT after the call covers it.
--
-- Keys: partitions
-- Args: now, '', number
-- Reply: {0, now, -1, -1, the number that holds}
-- Cost: O(1)

local claim_partitions = {}

function claim_partitions.run(own, args)
  local number = call('GET', own.keys[KEY.partitions]) or args[3]
  call('SET', own.keys[KEY.partitions], number)
  return {0, own.now, -1, -1, tonumber(number)}
end
