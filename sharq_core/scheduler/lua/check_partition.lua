-- check_partition: return the id of the partition's data set. The function counts as a write, so that only a primary
-- answers.
--
-- Keys: counters
-- Args: now, ''
-- Reply: {0, now, -1, -1, id or ''}
-- Cost: O(1)
--
-- Uses: shortcuts, identity

local check_partition = {}

function check_partition.run(tx)
  return {0, tx.now, -1, -1, call('HGET', tx.keys[KEY.counters], identity.FIELD) or ''}
end
