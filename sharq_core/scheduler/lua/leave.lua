-- leave: take a shard node out at once, unless another incarnation of it has come.
--
-- Keys: members
-- Args: now, '', node_id, incarnation
-- Reply: {0, now, -1, -1, 1 when it was a member, or 0}
-- Cost: O(members)

local leave = {}

function leave.run(own, args)
  local known = members.read(own)
  local member = known.by_id[args[3]]
  if not member or member.incarnation ~= args[4] then return {0, own.now, -1, -1, 0} end
  members.remove(known, args[3])
  members.write(own, known)
  return {0, own.now, -1, -1, 1}
end
