-- check_partition: which data set does the partition belong to? It counts as writing, so that only a primary answers.
--
-- Keys: counters
-- Args: now, ''
-- Reply: {0, now, -1, -1, id, or ''}
-- Cost: O(1)

local check_partition = {}

function check_partition.run(own)
  return {0, own.now, -1, -1, call('HGET', own.keys[KEY.counters], identity.FIELD) or ''}
end
