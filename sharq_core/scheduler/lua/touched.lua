-- What nodes that do not own a partition changed in it: they leave word here for its owner, which reads at each look
-- (survey.lua) only what is new. The owner's own calls write nothing here.
--
-- counters  :touches -> how many words were left, ever
--           :t<0-63> -> the latest word of those whose type falls here: its number (7 bytes), the number of the latest
--                       word of another type that it replaced (7), the type; '' stands for all types
--
-- Uses: nothing

local touched = {
  COUNT = ':touches',
  PLACES = 64,
  FORMAT = '>I7I7',
  HEAD = 14,  -- bytes before the type
}

-- Leaves word that a type was changed; '' for any number of them. place: 0-63, the same for each word of a type.
function touched.add(own, type, place)
  local key, field = own.keys[KEY.counters], ':t' .. place
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

-- Every word that stands: {number, lost, type}.
function touched.entries(own)
  local fields, found = {}, {}
  for place = 0, touched.PLACES - 1 do fields[place + 1] = ':t' .. place end
  local raws = call('HMGET', own.keys[KEY.counters], unpack(fields))
  for place = 1, touched.PLACES do
    local raw = raws[place]
    if raw then
      local number, lost = unpack_bytes(touched.FORMAT, raw)
      found[#found + 1] = {number = number, lost = lost, type = sub(raw, touched.HEAD + 1)}
    end
  end
  return found
end
