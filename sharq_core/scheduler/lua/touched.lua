-- Changes by nodes that do not own the partition. Such a node leaves a note here for the owner, which reads only the
-- new notes in each survey (survey.lua). The owner's own calls write nothing here.
--
-- counters  :touches -> the number of notes ever left
--           :t<0-63> -> the latest note of the types with this place: its number (7 bytes), the number of the latest
--                       note of another type that it replaced (7), the type; '' stands for any number of types
--
-- Uses: shortcuts

local touched = {
  COUNT = ':touches',
  PLACES = 64,
  FORMAT = '>I7I7',
  HEAD = 14,  -- bytes before the type
}

-- Leave a note that a type was changed ('' for any number of types). place: 0-63, the same for each note of a type.
function touched.add(tx, type, place)
  local key, field = tx.keys[KEY.counters], ':t' .. place
  local raw = call('HGET', key, field)
  local lost, number = 0, call('HINCRBY', key, touched.COUNT, 1)
  if type == '' then
    lost = number
  elseif raw then
    local before, before_lost = unpack_bytes(touched.FORMAT, raw)
    lost = sub(raw, touched.HEAD + 1) == type and before_lost or before
  end
  call('HSET', key, field, pack_bytes(touched.FORMAT, number, lost) .. type)
end

-- Return all current notes as {number, lost, type}.
function touched.entries(tx)
  local fields, entries = {}, {}
  for place = 0, touched.PLACES - 1 do fields[place + 1] = ':t' .. place end
  local raws = call('HMGET', tx.keys[KEY.counters], unpack(fields))
  for place = 1, touched.PLACES do
    local raw = raws[place]
    if raw then
      local number, lost = unpack_bytes(touched.FORMAT, raw)
      entries[#entries + 1] = {number = number, lost = lost, type = sub(raw, touched.HEAD + 1)}
    end
  end
  return entries
end
