-- accept_loss: accept the data that the store holds now as a new generation of the data set. Nodes that remember an id
-- which the new one follows adopt the new one.
--
-- Keys: partitions identity
-- Args: now, '', number of partitions, new id, id that the caller saw in the record ('' for none), further ids that the
--       new one follows (found in the partitions), separated by spaces
-- Reply: {0, now, -1, -1, 1}, or {0, now, -1, -1, 0} if another call has changed the record meanwhile, or
--        {0, now, -1, -1, 2, the number of partitions that the data was made with} if that is another number
-- Cost: O(1)
--
-- Uses: shortcuts, identity

local accept_loss = {}

-- Return the ids that the new one follows, newest first, each once.
local function gather(record, further_ids)
  local list, is_listed = {}, {}
  local function add(id)
    if id == '' or is_listed[id] or #list >= identity.MOST_FOLLOWED then return end
    is_listed[id] = true
    list[#list + 1] = id
  end
  add(record.id or '')
  for id in pairs(record.missed) do add(id) end
  for id in string.gmatch(further_ids .. ' ' .. record.follows, '%S+') do add(id) end
  return table.concat(list, ' ')
end

-- Return the highest generation that the record or one of its notes names.
local function newest_generation(record)
  local generation = record.generation
  for _, note in pairs(record.missed) do
    generation = math.max(generation, tonumber(string.match(note, '^%d+')) or 0)
  end
  return generation
end

function accept_loss.run(tx, args)
  local record = identity.read(tx)
  if (record.id or '') ~= args[5] then return {0, tx.now, -1, -1, 0} end
  local number = identity.number(tx, record) or tonumber(args[3])
  if number ~= tonumber(args[3]) then return {0, tx.now, -1, -1, 2, number} end
  identity.write(tx, 'id', args[4], 'generation', newest_generation(record) + 1, 'state', 'new',
    'created', string.format('%.0f', tx.now), 'partitions', number, 'follows', gather(record, args[6]))
  call('SET', tx.keys[KEY.partitions], number)
  return {0, tx.now, -1, -1, 1}
end
