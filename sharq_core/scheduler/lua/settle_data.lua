-- settle_data: every partition has the id, so the data set is whole. Writes the record anew if it is lost.
--
-- Keys: partitions identity
-- Args: now, '', number of partitions, id, generation, pulse with which a record that is written anew goes on
-- Reply: {0, now, -1, -1, 1 when the record has this id now, 0 when it has another and nothing was changed}
-- Cost: O(1)

local settle_data = {}

function settle_data.run(own, args)
  local found, key = identity.read(own), own.keys[KEY.identity]
  if found.id and found.id ~= args[4] then return {0, own.now, -1, -1, 0} end
  if not found.id then
    identity.write(own, 'id', args[4], 'generation', args[5], 'pulse', args[6],
      'created', string.format('%.0f', own.now))
    for id, note in pairs(found.missed) do
      if id ~= args[4] then call('HSET', key, identity.MISSED .. id, note) end
    end
  end
  call('HSET', key, 'state', 'whole', 'partitions', args[3])
  call('SET', own.keys[KEY.partitions], args[3])
  return {0, own.now, -1, -1, 1}
end
