-- heartbeat: announce a live shard node. Members not seen for their ttl are removed.
--
-- Keys: members partitions identity (nodes of older versions name only the first)
-- Args: now, '', node_id, incarnation (at most 255 bytes), address, draining ('1' or '0'), record format it reads,
--       ttl (µs), most members; then (older versions leave these out): number of partitions, id of the data set that
--       the node remembers ('' for none), version of its view (0 for none); and, once code 5 asked for them: node_id,
--       incarnation, address, draining and format of each member of that view
-- Reply: {0, now, -1, -1, 0, version, then for each member: node_id, incarnation, address, draining, format}
--        A refusal changes nothing:
--        {0, now, -1, -1, 1, address, remaining µs}: another live incarnation, with this address, holds the node_id
--        {0, now, -1, -1, 2}: the number of members is at its limit
--        {0, now, -1, -1, 3, the deployment's number of partitions}: the node has another number
--        {0, now, -1, -1, 4, the id of the data set here}: the node remembers another one, or some node misses one
--        {0, now, -1, -1, 5}: the membership was lost; the node must repeat the call with the members of its view
-- Cost: O(members)
--
-- Uses: shortcuts, members, identity

local heartbeat = {}

-- Add all members to the reply.
local function describe(reply, membership)
  for node_id, member in pairs(membership.by_id) do
    reply[#reply + 1] = node_id
    reply[#reply + 1] = member.incarnation
    reply[#reply + 1] = member.address
    reply[#reply + 1] = member.is_draining and 1 or 0
    reply[#reply + 1] = member.formats
  end
  return reply
end

-- Return true if the member on record says the same.
local function is_same(old, member)
  return old and old.incarnation == member.incarnation and old.address == member.address
    and old.is_draining == member.is_draining and old.formats == member.formats
end

-- Return the code of a refusal and its value if the data here is not what the node works with. Otherwise return nil and
-- P.
local function refuse_data(tx, args)
  local record = identity.read(tx)
  if args[11] ~= '' and (record.id ~= args[11] or identity.misses_another(record, args[11])) then
    return 4, record.id or ''
  end
  local number = identity.number(tx, record)
  if number and number ~= tonumber(args[10]) then return 3, number end
  return nil, number
end

-- Take over the members of the node's view. Each has one ttl (µs) to send a heartbeat.
local function begin_anew(tx, args, membership, ttl)
  membership.version, membership.is_changed = tonumber(args[12]), true
  for at = 13, #args, 5 do
    membership.by_id[args[at]] = {
      node_id = args[at], incarnation = args[at + 1], address = args[at + 2], is_draining = args[at + 3] == '1',
      formats = tonumber(args[at + 4]), seen = tx.now, ttl = ttl, newer = '', is_changed = true,
    }
    membership.count = membership.count + 1
  end
end

function heartbeat.run(tx, args)
  local is_of_members, ttl, has_number = true, tonumber(args[8]), true
  if args[10] then
    local status, value = refuse_data(tx, args)
    if status then return {0, tx.now, -1, -1, status, value} end
    has_number, is_of_members = value ~= nil, members.is_right_type(tx)
  end
  local membership = is_of_members and members.read(tx) or members.none(tx)
  if args[10] and membership.version == 0 and (tonumber(args[12]) > 0 or not is_of_members) then
    if not args[13] then return {0, tx.now, -1, -1, 5} end
    begin_anew(tx, args, membership, ttl)
  end
  local old = membership.by_id[args[3]]
  if old and old.incarnation ~= args[4] and members.is_live(tx, old) then
    return {0, tx.now, -1, -1, 1, old.address, old.seen + old.ttl - tx.now}
  end
  members.expire(tx, membership, ttl)
  if not membership.by_id[args[3]] and membership.count >= tonumber(args[9]) then return {0, tx.now, -1, -1, 2} end
  local member = {
    node_id = args[3], incarnation = args[4], address = args[5], is_draining = args[6] == '1',
    formats = tonumber(args[7]), seen = tx.now, ttl = ttl, newer = old and old.newer or '', is_changed = true,
  }
  membership.is_changed = membership.is_changed or not is_same(membership.by_id[member.node_id], member)
  membership.by_id[member.node_id], membership.heard = member, tx.now
  if not is_of_members then call('DEL', tx.keys[KEY.members]) end
  if not has_number then call('SET', tx.keys[KEY.partitions], args[10]) end
  return describe({0, tx.now, -1, -1, 0, members.write(tx, membership)}, membership)
end
