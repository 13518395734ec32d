-- claim_partitions: write the number of partitions if none is written yet, and begin the data set's record if there is
-- none and no node misses another data set here. What holds is written again, so that a WAIT after the call covers it.
--
-- Keys: partitions identity (nodes of older versions name the first only, and get no more than the number)
-- Args: now, '', number, id for a new data set
-- Reply: {0, now, -1, -1, the number that holds, and the rest of identity.describe}
-- Cost: O(1)

local claim_partitions = {}

local function begin(own, id, number)
  identity.write(own, 'id', id, 'generation', 1, 'state', 'new', 'created', string.format('%.0f', own.now),
    'partitions', number)
  return identity.read(own)
end

function claim_partitions.run(own, args)
  local has_identity = own.keys[KEY.identity] ~= nil
  local found = has_identity and identity.read(own) or nil
  local number = identity.number(own, found) or tonumber(args[3])
  call('SET', own.keys[KEY.partitions], number)
  if not has_identity then return {0, own.now, -1, -1, number} end
  if not found.id and found.missed_count == 0 then found = begin(own, args[4], number) end
  return identity.describe(own, found, number)
end
