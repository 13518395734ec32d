-- The identity of the data set: a record for the whole deployment, and the same id in every partition's counters.
-- A store that lost its data, or holds another data set, does not have the id that the running nodes remember.
--
-- identity  'id' -> random; new for each data set, and whenever an operator accepts a loss
--           'generation' -> 1, and one more for each accepted loss
--           'state' -> 'new' while some partitions may still lack the id, then 'whole'
--           'created' -> when this id was written, µs
--           'partitions' -> P
--           'pulse', 'pulsed' -> grows with every look of a node; the time of the latest one, µs
--           'follows' -> ids of earlier generations, newest first, at most MOST_FOLLOWED, separated by spaces
--           'missed:'<id> -> generation, '1' or '0', node_id: that node remembers this data set and did not find it
--                            here; 1: what is here was begun after the node had last found its own
-- counters  ':id' -> the id of the data set that the partition belongs to

local identity = {
  FIELD = ':id',
  MISSED = 'missed:',
  MOST_FOLLOWED = 16,
  MOST_MISSED = 16,
}

-- The record; one without an id when there is none, or when the key holds something else.
function identity.read(own)
  local found = {generation = 0, created = 0, pulse = 0, pulsed = 0, follows = '', state = '', missed = {},
    missed_count = 0}
  local key = own.keys[KEY.identity]
  if call('TYPE', key).ok ~= 'hash' then return found end
  local row = call('HGETALL', key)
  for index = 1, #row, 2 do
    local field, value = row[index], row[index + 1]
    if sub(field, 1, #identity.MISSED) == identity.MISSED then
      found.missed[sub(field, #identity.MISSED + 1)] = value
      found.missed_count = found.missed_count + 1
    elseif field == 'id' or field == 'state' or field == 'follows' then
      found[field] = value
    else
      found[field] = tonumber(value)
    end
  end
  return found
end

-- P: by the record, else by the key that older versions write; nil when neither is there.
function identity.number(own, found)
  if found and found.partitions then return found.partitions end
  local number = redis.pcall('GET', own.keys[KEY.partitions])
  return type(number) == 'string' and tonumber(number) or nil
end

function identity.has_followed(follows, id)
  return string.find(' ' .. follows .. ' ', ' ' .. id .. ' ', 1, true) ~= nil
end

-- True when what is here was begun in the place of a data set that some node remembers, and that is not this one.
function identity.misses_another(found, id)
  for missed, note in pairs(found.missed) do
    if missed ~= id and string.find(note, '^%d+ 1 ') then return true end
  end
  return false
end

-- Raises an error when the partition does not belong to the data set of this id ('': any will do). Asked only where a
-- type is new in a partition: then it costs other calls nothing, and in an emptied store every type is new.
function identity.require(own, id)
  if id ~= '' and call('HGET', own.keys[KEY.counters], identity.FIELD) ~= id then
    error({err = 'OTHERDATA the partition belongs to no data set, or to another one than the call'})
  end
end

-- Writes a record anew. pairs: its fields and values.
function identity.write(own, ...)
  call('DEL', own.keys[KEY.identity])
  call('HSET', own.keys[KEY.identity], ...)
end

-- Completes a reply: P or -1, id or '', generation, state, pulse, when that was, ids that it follows, and who misses
-- which id.
function identity.describe(own, found, number)
  local missed = {}
  for id, note in pairs(found.missed) do
    missed[#missed + 1], missed[#missed + 2] = id, note
  end
  return {0, own.now, -1, -1, number or -1, found.id or '', found.generation, found.state, found.pulse, found.pulsed,
    found.follows, missed}
end
