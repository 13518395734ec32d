-- claim_partitions: write the number of partitions if none is written yet.
--
-- Keys: partitions
-- Args: now, '', number
-- Reply: {0, now, -1, -1, the number that holds}
-- Cost: O(1)

local claim_partitions = {}

function claim_partitions.run(own, args)
  redis.call('SET', own.keys.partitions, args[3], 'NX')
  return {0, own.now, -1, -1, tonumber(redis.call('GET', own.keys.partitions))}
end
