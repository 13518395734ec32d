-- claim_partitions: write the number of partitions if there is none, and begin the data set's record if there is none
-- and no node misses another data set here. An existing number is written again, so that a WAIT after the call covers
-- it.
--
-- Keys: partitions identity (nodes of older versions name only the first, and get only the number)
-- Args: now, '', number of partitions, id for a new data set
-- Reply: {0, now, -1, -1, the current number of partitions, then the rest of identity.describe}
-- Cost: O(1)
--
-- Uses: shortcuts, identity

local claim_partitions = {}

-- Begin the record of a new data set. Returns the record.
local function begin(tx, id, number)
  identity.write(tx, 'id', id, 'generation', 1, 'state', 'new', 'created', string.format('%.0f', tx.now),
    'partitions', number)
  return identity.read(tx)
end

function claim_partitions.run(tx, args)
  local has_identity = tx.keys[KEY.identity] ~= nil
  local record = has_identity and identity.read(tx) or nil
  local number = identity.number(tx, record) or tonumber(args[3])
  call('SET', tx.keys[KEY.partitions], number)
  if not has_identity then return {0, tx.now, -1, -1, number} end
  if not record.id and record.missed_count == 0 then record = begin(tx, args[4], number) end
  return identity.describe(tx, record, number)
end
