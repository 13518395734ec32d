-- heartbeat: a shard node says that it is there; who was silent for its ttl is taken out.
--
-- Keys: members
-- Args: now, '', node_id, incarnation (at most 255 bytes), address, draining ('1' or '0'), record format it reads,
--       ttl (µs), most members
-- Reply: {0, now, -1, -1, 0, version, {node_id, incarnation, address, draining, format}...} of all members, or
--        {0, now, -1, -1, 1, its address, µs it has left}: another live incarnation holds the node_id; or
--        {0, now, -1, -1, 2}: as many members as there may be. Refused, it changes nothing
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

function heartbeat.run(own, args)
  local known, ttl = members.read(own), tonumber(args[8])
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
  return describe({0, own.now, -1, -1, 0, members.write(own, known)}, known)
end
