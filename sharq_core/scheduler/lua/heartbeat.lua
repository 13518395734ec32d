-- heartbeat: a shard node says that it is there; who was silent for its ttl is taken out.
--
-- Keys: members partitions identity (nodes of older versions name the first only)
-- Args: now, '', node_id, incarnation (at most 255 bytes), address, draining ('1' or '0'), record format it reads,
--       ttl (µs), most members; and, but for older versions: number of partitions, id of the data set that it remembers
--       ('' for none), version of the view that it has (0 for none), and node_id, incarnation, address, draining and
--       format of each member of that view, once it was asked for them
-- Reply: {0, now, -1, -1, 0, version, {node_id, incarnation, address, draining, format}...} of all members, or
--        {0, now, -1, -1, 1, its address, µs it has left}: another live incarnation holds the node_id; or
--        {0, now, -1, -1, 2}: as many members as there may be, or
--        {0, now, -1, -1, 3, the deployment's number of partitions}: the node has another one, or
--        {0, now, -1, -1, 4, the id of the data set here}: the node remembers another one, or some node misses one, or
--        {0, now, -1, -1, 5}: the membership was lost, and begins anew with the members that the node names. Refused,
--        it changes nothing
-- Cost: O(members)

local heartbeat = {}

local function describe(reply, known)
  for node_id, member in pairs(known.by_id) do
    reply[#reply + 1] = node_id
    reply[#reply + 1] = member.incarnation
    reply[#reply + 1] = member.address
    reply[#reply + 1] = member.is_draining and 1 or 0
    reply[#reply + 1] = member.formats
  end
  return reply
end

local function is_same(old, new)
  return old and old.incarnation == new.incarnation and old.address == new.address
    and old.is_draining == new.is_draining and old.formats == new.formats
end

-- The code of a refusal, and its value, because the data here is not what the node works with; nil for none, and P.
local function refuse_data(own, args)
  local found = identity.read(own)
  if args[11] ~= '' and (found.id ~= args[11] or identity.misses_another(found, args[11])) then
    return 4, found.id or ''
  end
  local number = identity.number(own, found)
  if number and number ~= tonumber(args[10]) then return 3, number end
  return nil, number
end

-- Takes the members that a node knows for those that are there: each has one ttl to say so.
local function begin_anew(own, args, known, ttl)
  known.version, known.is_changed = tonumber(args[12]), true
  for at = 13, #args, 5 do
    known.by_id[args[at]] = {
      node_id = args[at], incarnation = args[at + 1], address = args[at + 2], is_draining = args[at + 3] == '1',
      formats = tonumber(args[at + 4]), seen = own.now, ttl = ttl, newer = '', is_changed = true,
    }
    known.count = known.count + 1
  end
end

function heartbeat.run(own, args)
  local is_of_members, ttl, has_number = true, tonumber(args[8]), true
  if args[10] then
    local status, value = refuse_data(own, args)
    if status then return {0, own.now, -1, -1, status, value} end
    has_number, is_of_members = value ~= nil, members.is_right_type(own)
  end
  local known = is_of_members and members.read(own) or members.none(own)
  if args[10] and known.version == 0 and (tonumber(args[12]) > 0 or not is_of_members) then
    if not args[13] then return {0, own.now, -1, -1, 5} end
    begin_anew(own, args, known, ttl)
  end
  local old = known.by_id[args[3]]
  if old and old.incarnation ~= args[4] and members.is_live(own, old) then
    return {0, own.now, -1, -1, 1, old.address, old.seen + old.ttl - own.now}
  end
  members.expire(own, known, ttl)
  if not known.by_id[args[3]] and known.count >= tonumber(args[9]) then return {0, own.now, -1, -1, 2} end
  local new = {
    node_id = args[3], incarnation = args[4], address = args[5], is_draining = args[6] == '1',
    formats = tonumber(args[7]), seen = own.now, ttl = ttl, newer = old and old.newer or '', is_changed = true,
  }
  known.is_changed = known.is_changed or not is_same(known.by_id[new.node_id], new)
  known.by_id[new.node_id], known.heard = new, own.now
  if not is_of_members then call('DEL', own.keys[KEY.members]) end
  if not has_number then call('SET', own.keys[KEY.partitions], args[10]) end
  return describe({0, own.now, -1, -1, 0, members.write(own, known)}, known)
end
