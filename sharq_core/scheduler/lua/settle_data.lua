-- settle_data: mark the data set as whole, because every partition has its id. A lost record is written anew.
--
-- Keys: partitions identity
-- Args: now, '', number of partitions, id, generation, pulse at which a record that is written anew continues
-- Reply: {0, now, -1, -1, 1 if the record has this id now, 0 if it has another one and nothing was changed}
-- Cost: O(1)
--
-- Uses: shortcuts, identity

local settle_data = {}

function settle_data.run(tx, args)
  local record, key = identity.read(tx), tx.keys[KEY.identity]
  if record.id and record.id ~= args[4] then return {0, tx.now, -1, -1, 0} end
  if not record.id then
    identity.write(tx, 'id', args[4], 'generation', args[5], 'pulse', args[6],
      'created', string.format('%.0f', tx.now))
    for id, note in pairs(record.missed) do
      if id ~= args[4] then call('HSET', key, identity.MISSED .. id, note) end
    end
  end
  call('HSET', key, 'state', 'whole', 'partitions', args[3])
  call('SET', tx.keys[KEY.partitions], args[3])
  return {0, tx.now, -1, -1, 1}
end
