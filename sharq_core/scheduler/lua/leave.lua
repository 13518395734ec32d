-- leave: remove a shard node at once, unless another incarnation of it has joined.
--
-- Keys: members
-- Args: now, '', node_id, incarnation
-- Reply: {0, now, -1, -1, 1 if it was a member, else 0}
-- Cost: O(members)
--
-- Uses: members

local leave = {}

function leave.run(tx, args)
  local membership = members.read(tx)
  local member = membership.by_id[args[3]]
  if not member or member.incarnation ~= args[4] then return {0, tx.now, -1, -1, 0} end
  members.remove(membership, args[3])
  members.write(tx, membership)
  return {0, tx.now, -1, -1, 1}
end
