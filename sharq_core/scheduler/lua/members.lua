-- The shard nodes of the deployment: one hash.
--
-- members  'version' -> grows with every change of the membership, and is never behind the store's clock in ms. A store
--          that lost its latest writes, or all of them, thus continues with a higher version
--          'heard' -> when the latest heartbeat of any node came, µs
--          'm'<node_id> -> format, flags, record format it reads, seen, ttl, incarnation, address, newer bytes
--
-- Uses: shortcuts

local members = {
  DRAINING = 1,
  HEAD = '>BBBI7I5BI2', -- format, flags, record format it reads, seen, ttl (µs), lengths of incarnation and address
  HEAD_LENGTH = 18,
  SILENCE = 0.6,      -- fraction of a ttl; more than a half, which is the longest pause between heartbeats
}

-- Return the member of a field, or nil for a field that another program has put there.
local function unpack_member(field, raw)
  if sub(field, 1, 1) ~= 'm' or #raw < members.HEAD_LENGTH then return nil end
  local _, flags, formats, seen, ttl, incarnation_length, address_length = unpack_bytes(members.HEAD, raw)
  local middle = members.HEAD_LENGTH + incarnation_length
  local last = middle + address_length
  if #raw < last then return nil end
  return {
    node_id = sub(field, 2), incarnation = sub(raw, members.HEAD_LENGTH + 1, middle),
    address = sub(raw, middle + 1, last), is_draining = flags % 2 >= 1, formats = formats, seen = seen,
    ttl = ttl, newer = sub(raw, last + 1),
  }
end

local function pack_member(member)
  return pack_bytes(members.HEAD, 1, member.is_draining and members.DRAINING or 0, member.formats, member.seen,
    member.ttl, #member.incarnation, #member.address) .. member.incarnation .. member.address .. member.newer
end

-- Return false if the key holds another type.
function members.is_right_type(tx)
  local type = call('TYPE', tx.keys[KEY.members]).ok
  return type == 'hash' or type == 'none'
end

-- Return an empty membership.
function members.none(tx)
  return {by_id = {}, count = 0, version = 0, heard = tx.now, removed = {}}
end

-- Return all members on record, expired or not.
function members.read(tx)
  local membership = members.none(tx)
  local row = call('HGETALL', tx.keys[KEY.members])
  for index = 1, #row, 2 do
    local field, value = row[index], row[index + 1]
    if field == 'version' or field == 'heard' then
      membership[field] = tonumber(value) or membership[field]
    else
      local member = unpack_member(field, value)
      if member then
        if member.seen > tx.now then -- the clock stepped back; no member is kept longer than one ttl
          member.seen, member.is_changed = tx.now, true
        end
        membership.by_id[member.node_id] = member
        membership.count = membership.count + 1
      end
    end
  end
  return membership
end

-- Return true if the member was seen within its ttl.
function members.is_live(tx, member)
  return tx.now < member.seen + member.ttl
end

-- Remove the members not seen for their ttl (µs). If no node was heard for a long time, the store was away, and every
-- member gets a new ttl.
function members.expire(tx, membership, ttl)
  local was_away = tx.now - membership.heard > members.SILENCE * ttl
  for node_id, member in pairs(membership.by_id) do
    if was_away then
      member.seen = tx.now
      member.is_changed = true
    elseif not members.is_live(tx, member) then
      members.remove(membership, node_id)
    end
  end
end

-- Remove a member.
function members.remove(membership, node_id)
  membership.by_id[node_id] = nil
  membership.count = membership.count - 1
  membership.removed[#membership.removed + 1] = 'm' .. node_id
  membership.is_changed = true
end

-- Write the changes. Returns the current version.
function members.write(tx, membership)
  local values = {'heard', string.format('%.0f', membership.heard)}
  if membership.is_changed then
    membership.version = math.max(membership.version + 1, math.floor(tx.now / 1000))
    values[3], values[4] = 'version', string.format('%.0f', membership.version)
  end
  for node_id, member in pairs(membership.by_id) do
    if member.is_changed then
      values[#values + 1] = 'm' .. node_id
      values[#values + 1] = pack_member(member)
    end
  end
  if #membership.removed > 0 then call('HDEL', tx.keys[KEY.members], unpack(membership.removed)) end
  call('HSET', tx.keys[KEY.members], unpack(values))
  return membership.version
end
