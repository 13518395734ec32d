-- The identity of the data set: one record for the deployment, and the same id in the counters of every partition. A
-- store that lost its data, or that holds another data set, lacks the id that the running nodes remember.
--
-- identity  'id' -> random; new for each data set, and for each loss that an operator accepts
--           'generation' -> 1, plus one for each accepted loss
--           'state' -> 'new' while some partitions may lack the id, then 'whole'
--           'created' -> when this id was written, µs
--           'partitions' -> P
--           'pulse', 'pulsed' -> the number of checks by nodes, and the time of the latest check, µs
--           'follows' -> ids of earlier generations, newest first, at most MOST_FOLLOWED, separated by spaces
--           'missed:'<id> -> generation, '1' or '0', node_id: that node remembers this data set and did not find it
--                            here. 1: the data set here was begun after the node last found the one that it remembers
-- counters  ':id' -> the id of the data set that the partition belongs to
--
-- Uses: shortcuts

local identity = {
  FIELD = ':id',
  MISSED = 'missed:',
  MOST_FOLLOWED = 16,
  MOST_MISSED = 16,
}

-- Return the record. It has no id if the record does not exist or the key holds another type.
function identity.read(tx)
  local record = {generation = 0, created = 0, pulse = 0, pulsed = 0, follows = '', state = '', missed = {},
    missed_count = 0}
  local key = tx.keys[KEY.identity]
  if call('TYPE', key).ok ~= 'hash' then return record end
  local row = call('HGETALL', key)
  for index = 1, #row, 2 do
    local field, value = row[index], row[index + 1]
    if sub(field, 1, #identity.MISSED) == identity.MISSED then
      record.missed[sub(field, #identity.MISSED + 1)] = value
      record.missed_count = record.missed_count + 1
    elseif field == 'id' or field == 'state' or field == 'follows' then
      record[field] = value
    else
      record[field] = tonumber(value)
    end
  end
  return record
end

-- Return P from the record, or from the key that older versions write; nil if neither exists.
function identity.number(tx, record)
  if record and record.partitions then return record.partitions end
  local number = redis.pcall('GET', tx.keys[KEY.partitions])
  return type(number) == 'string' and tonumber(number) or nil
end

-- Return true if the list of earlier ids names this id.
function identity.has_followed(follows, id)
  return string.find(' ' .. follows .. ' ', ' ' .. id .. ' ', 1, true) ~= nil
end

-- Return true if the data set here replaced one that some node remembers, other than the one with this id.
function identity.misses_another(record, id)
  for missed, note in pairs(record.missed) do
    if missed ~= id and string.find(note, '^%d+ 1 ') then return true end
  end
  return false
end

-- Raise OTHERDATA if the partition does not belong to the data set with this id ('' accepts any). Only calls that add a
-- type to a partition check this, so other calls pay nothing. In an emptied store every type is new.
function identity.require(tx, id)
  if id ~= '' and call('HGET', tx.keys[KEY.counters], identity.FIELD) ~= id then
    error({err = 'OTHERDATA the partition belongs to no data set, or to another one than the call'})
  end
end

-- Replace the record. The further arguments are its fields and values.
function identity.write(tx, ...)
  call('DEL', tx.keys[KEY.identity])
  call('HSET', tx.keys[KEY.identity], ...)
end

-- Return a complete reply: its head, then P or -1, id or '', generation, state, pulse, pulsed, follows, and the list of
-- missed ids, each with its note.
function identity.describe(tx, record, number)
  local missed = {}
  for id, note in pairs(record.missed) do
    missed[#missed + 1], missed[#missed + 2] = id, note
  end
  return {0, tx.now, -1, -1, number or -1, record.id or '', record.generation, record.state, record.pulse,
    record.pulsed, record.follows, missed}
end
