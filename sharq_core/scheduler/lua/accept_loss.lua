-- accept_loss: go on with what the store holds now, as a new generation. Nodes that remember an id which the new one
-- follows take the new one over.
--
-- Keys: partitions identity
-- Args: now, '', number of partitions, new id, id that the caller saw in the record ('' none), more ids that the new one
--       follows (those found in the partitions), separated by spaces
-- Reply: {0, now, -1, -1, 1 done, 0 when another call has changed the record meanwhile, or 2 when the data was made with
--        another number of partitions, and that number}
-- Cost: O(1)

local accept_loss = {}

-- The ids that the new one follows, newest first, each once.
local function gather(found, more)
  local list, known = {}, {}
  local function add(id)
    if id == '' or known[id] or #list >= identity.MOST_FOLLOWED then return end
    known[id] = true
    list[#list + 1] = id
  end
  add(found.id or '')
  for id in pairs(found.missed) do add(id) end
  for id in string.gmatch(more .. ' ' .. found.follows, '%S+') do add(id) end
  return table.concat(list, ' ')
end

local function newest_generation(found)
  local generation = found.generation
  for _, note in pairs(found.missed) do
    generation = math.max(generation, tonumber(string.match(note, '^%d+')) or 0)
  end
  return generation
end

function accept_loss.run(own, args)
  local found = identity.read(own)
  if (found.id or '') ~= args[5] then return {0, own.now, -1, -1, 0} end
  local number = identity.number(own, found) or tonumber(args[3])
  if number ~= tonumber(args[3]) then return {0, own.now, -1, -1, 2, number} end
  identity.write(own, 'id', args[4], 'generation', newest_generation(found) + 1, 'state', 'new',
    'created', string.format('%.0f', own.now), 'partitions', number, 'follows', gather(found, args[6]))
  call('SET', own.keys[KEY.partitions], number)
  return {0, own.now, -1, -1, 1}
end
