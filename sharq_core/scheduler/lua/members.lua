-- The shard nodes that are there: one hash for the whole deployment.
--
-- members  'version' -> grows with every change of who is there, and never falls behind the store's clock in ms, so
--          that a store that lost its last writes or all of them goes on with a higher one
--          'heard' -> when the latest heartbeat of any node came, µs
--          'm'<node_id> -> format, flags, record format it reads, seen, ttl, incarnation, address, newer bytes

local members = {
  DRAINING = 1,
  HEAD = '>BBBI7I5BI2', -- format, flags, record format it reads, seen, ttl (µs), lengths of incarnation and address
  HEAD_LENGTH = 18,
  SILENCE = 0.6,      -- of a ttl; above half of one, which is the longest pause that a configuration may set
}

local function unpack_member(node_id, raw)
  local _, flags, formats, seen, ttl, incarnation_length, address_length = unpack_bytes(members.HEAD, raw)
  local middle = members.HEAD_LENGTH + incarnation_length
  local last = middle + address_length
  return {
    node_id = node_id, incarnation = sub(raw, members.HEAD_LENGTH + 1, middle),
    address = sub(raw, middle + 1, last), is_draining = flags % 2 >= 1, formats = formats, seen = seen,
    ttl = ttl, newer = sub(raw, last + 1),
  }
end

local function pack_member(member)
  return pack_bytes(members.HEAD, 1, member.is_draining and members.DRAINING or 0, member.formats, member.seen,
    member.ttl, #member.incarnation, #member.address) .. member.incarnation .. member.address .. member.newer
end

-- False when somebody has put something else in the place of the members.
function members.is_right_type(own)
  local type = call('TYPE', own.keys[KEY.members]).ok
  return type == 'hash' or type == 'none'
end

-- Nobody.
function members.none(own)
  return {by_id = {}, count = 0, version = 0, heard = own.now, removed = {}}
end

-- Everybody on record, run out or not.
function members.read(own)
  local known = members.none(own)
  local row = call('HGETALL', own.keys[KEY.members])
  for index = 1, #row, 2 do
    local field, value = row[index], row[index + 1]
    if field == 'version' or field == 'heard' then
      known[field] = tonumber(value)
    else
      local member = unpack_member(sub(field, 2), value)
      if member.seen > own.now then -- the clock stepped back: it keeps nobody longer than one ttl
        member.seen, member.is_changed = own.now, true
      end
      known.by_id[member.node_id] = member
      known.count = known.count + 1
    end
  end
  return known
end

function members.is_live(own, member)
  return own.now < member.seen + member.ttl
end

-- Takes out who was not seen for its ttl. When nobody was heard for long the store was away, and all begin a new one.
function members.expire(own, known, ttl)
  local was_away = own.now - known.heard > members.SILENCE * ttl
  for node_id, member in pairs(known.by_id) do
    if was_away then
      member.seen = own.now
      member.is_changed = true
    elseif not members.is_live(own, member) then
      members.remove(known, node_id)
    end
  end
end

function members.remove(known, node_id)
  known.by_id[node_id] = nil
  known.count = known.count - 1
  known.removed[#known.removed + 1] = 'm' .. node_id
  known.is_changed = true
end

-- Writes what changed, and returns the version that holds.
function members.write(own, known)
  local values = {'heard', string.format('%.0f', known.heard)}
  if known.is_changed then
    known.version = math.max(known.version + 1, math.floor(own.now / 1000))
    values[3], values[4] = 'version', string.format('%.0f', known.version)
  end
  for node_id, member in pairs(known.by_id) do
    if member.is_changed then
      values[#values + 1] = 'm' .. node_id
      values[#values + 1] = pack_member(member)
    end
  end
  if #known.removed > 0 then call('HDEL', own.keys[KEY.members], unpack(known.removed)) end
  call('HSET', own.keys[KEY.members], unpack(values))
  return known.version
end
